"""Files: whole or absent, and tables and JSON that come back as they went."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import raises_three_lines

from epitome_kit.errors import OutputError
from epitome_kit.files import (
    checksum,
    read_json,
    read_tsv,
    whole_file,
    write_json,
    write_text,
    write_tsv,
)


def test_a_file_appears_whole_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_text(path, "tumour")
    assert path.read_text() == "tumour"
    assert [file.name for file in path.parent.iterdir()] == ["b.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_the_temporary_file_keeps_the_suffix(tmp_path):
    with whole_file(tmp_path / "scan.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz") and temporary.parent == tmp_path
        temporary.write_bytes(b"")


@pytest.mark.parametrize("folder", ["under-a-file", "/proc/epitome"])
def test_unwritable_output_is_three_lines(tmp_path, folder):
    (tmp_path / "under-a-file").write_text("no folder")
    path = Path(tmp_path, folder, "sub", "out.json")
    with raises_three_lines(OutputError, path.parent, "--out"):
        write_json(path, {})


def test_json_takes_numpy_and_turns_nan_into_null(tmp_path):
    value = {"auc": np.float32(0.5), "n": np.int64(3), "ci": np.array([0.1, np.nan]), "path": Path("a"), 1: pd.NA}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == {"auc": 0.5, "n": 3, "ci": [0.1, None], "path": "a", "1": None}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@given(value=_JSON)
def test_json_round_trip(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "round.json"
    write_json(path, value)
    assert read_json(path) == _finite(value)


_WORDS = st.text(st.characters(categories=["L", "N"], codec="ascii"), min_size=2, max_size=8).map("w{}".format)


@given(rows=st.lists(st.tuples(_WORDS, st.none() | st.integers(-99, 99), st.none() | _WORDS), min_size=1))
def test_tables_round_trip(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "round.tsv"
    write_tsv(path, pd.DataFrame(rows, columns=["participant_id", "grade", "histology"]).astype({"grade": "Int64"}))
    found = read_tsv(path)
    assert [None if pd.isna(v) else v for v in found.histology] == [row[2] for row in rows]
    assert [None if pd.isna(v) else int(v) for v in found.grade] == [row[1] for row in rows]
    assert list(found.participant_id) == [row[0] for row in rows]


def test_a_table_says_na_and_keeps_leading_zeros(tmp_path):
    write_tsv(tmp_path / "t.tsv", pd.DataFrame({"participant_id": ["007"], "age": [np.nan]}))
    assert (tmp_path / "t.tsv").read_text() == "participant_id\tage\n007\tn/a\n"
    assert read_tsv(tmp_path / "t.tsv").participant_id[0] == "007"


def test_a_checksum_depends_on_every_byte_and_on_the_order(tmp_path):
    for name, text in (("a", "one"), ("b", "two"), ("c", "twp")):
        (tmp_path / name).write_text(text)
    a, b, c = (tmp_path / name for name in "abc")
    assert checksum(a, b) == "25b6746d5172ed63"
    assert len({checksum(a, b), checksum(b, a), checksum(a, c), checksum(a)}) == 4


def test_a_json_file_that_is_missing_is_an_error_unless_something_stands_for_it(tmp_path):
    assert read_json(tmp_path / "none.json", missing={}) == {}
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")
    write_json(tmp_path / "some.json", {"a": 1})
    assert read_json(tmp_path / "some.json", missing={}) == {"a": 1}
