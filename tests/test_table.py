"""A table of one's own: what is normal is read, what would cheat is refused."""

import numpy as np
import pandas as pd
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import BadCohort, BadTable, Leak
from epitome_kit.grade.deal import deal_folds
from epitome_kit.grade.table import read_features
from epitome_kit.learn.features import feature_columns
from epitome_kit.learn.probes import probe_columns


def _table(n=40, columns=6, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.standard_normal((n, columns)), columns=[f"f{number}" for number in range(columns)])
    table.insert(0, "patient", [f"p{number:03d}" for number in range(n)])
    table["status"] = np.where(np.arange(n) % 3 == 0, "mutant", "wild")
    return table


def _read(table, **more):
    return read_features(table, label="status", id="patient", **more)


@pytest.mark.parametrize(
    "name, separator", [("t.csv", ","), ("t.csv.gz", ","), ("t.tsv", "\t"), ("semicolon.csv", ";")]
)
def test_text_of_any_usual_kind_is_read(tmp_path, name, separator):
    _table().to_csv(tmp_path / name, index=False, sep=separator)
    features, notes = read_features(tmp_path / name, label="status", id="patient")
    assert feature_columns(features) == [f"f{number}" for number in range(6)] and len(features) == 40
    assert notes["classes"] == ["mutant", "wild"] and features.label.sum() == 26


def test_the_positive_class_is_a_choice():
    assert _read(_table(), positive="mutant")[0].label.sum() == 14
    with raises_three_lines(BadTable, "'Mutant'", "mutant and wild"):
        _read(_table(), positive="Mutant")


def test_numbers_as_labels_keep_their_names():
    features, notes = _read(_table().assign(status=lambda table: np.where(table.status == "wild", 3.0, 2.0)))
    assert notes["classes"] == ["2", "3"] and features.label.sum() == 26


def test_missing_infinite_constant_and_text_columns_are_normal():
    table = _table().assign(site="here", scanner=["A", "B"] * 20, flat=7.0)
    table.loc[3, "f1"], table.loc[4, "f2"], table.loc[5, "f3"] = np.nan, np.inf, np.nan
    features, notes = _read(table)
    assert feature_columns(features) == [f"f{number}" for number in range(6)]
    assert (notes["not_numbers"], notes["constant"]) == (["site", "scanner"], ["flat"])
    assert notes["missing_values"] == pytest.approx(3 / 240)
    assert features[["f1", "f2", "f3"]].isna().sum().tolist() == [1, 1, 1]


def test_subjects_without_a_label_are_left_out_by_name():
    table = _table()
    table.loc[[2, 5], "status"] = None
    features, notes = _read(table)
    assert len(features) == 38 and notes["without_label"] == ["p002", "p005"]


def test_columns_can_be_dropped_or_probed():
    features, _ = _read(_table().assign(age_years=np.arange(40.0)), drop=["f0"], probes=["age_years"])
    assert feature_columns(features) == [f"f{number}" for number in range(1, 6)]
    assert probe_columns(features) == {"age-years": ["probe_age-years_1"]}


def test_a_probe_of_words_has_a_column_a_word():
    scanner = np.resize(["GE", "Siemens", "Philips"], 40)
    features, _ = _read(_table().assign(scanner=scanner), probes=["scanner"])
    columns = probe_columns(features)["scanner"]
    assert len(columns) == 3 and np.array_equal(features[columns[0]] == 1, scanner == "GE")
    with raises_three_lines(BadTable, "in patient name", "40 different texts"):
        _read(_table().assign(**{"patient name": [f"n{number}" for number in range(40)]}), probes=["patient name"])


@pytest.mark.parametrize("name", ["PatientID", "id", "Case number", "tcia_id", "patient"])
def test_a_subject_that_nobody_named_is_asked_for(name):
    table = _table().rename(columns={"patient": name})
    with raises_three_lines(BadTable, "no `--id`", f"--id {name}"):
        read_features(table, label="status")
    assert len(read_features(table, label="status", drop=[name])[0]) == 40
    assert len(read_features(table.rename(columns={name: "centroid"}), label="status")[0]) == 40


@pytest.mark.parametrize("name", ["status", "patient"])
def test_label_and_subject_cannot_be_dropped(name):
    with raises_three_lines(BadTable, "columns to drop", name):
        _read(_table(), drop=[name])


def test_a_decimal_comma_is_read(tmp_path):
    table = _table()
    table.to_csv(tmp_path / "mine.csv", sep=";", decimal=",", index=False)
    features, notes = read_features(tmp_path / "mine.csv", label="status", id="patient")
    assert np.allclose(features.f3, table.f3) and not notes["not_numbers"]


@pytest.mark.parametrize("separator", [",", ";"])
def test_thousands_with_a_comma_do_not_turn_the_other_numbers_to_text(tmp_path, separator):
    table = _table().assign(cells=[f"1,{number:03d}" for number in range(40)])
    table.to_csv(tmp_path / "mine.csv", sep=separator, index=False)
    features, notes = read_features(tmp_path / "mine.csv", label="status", id="patient")
    assert np.allclose(features.f3, table.f3) and notes["not_numbers"] == ["cells"]


def test_a_number_with_an_infinity_is_no_word():
    features, _ = _read(_table().assign(age=[np.inf, *range(39)]), probes=["age"])
    assert probe_columns(features)["age"] == ["probe_age_1"] and features.probe_age_1.isna().sum() == 1


def test_two_rows_of_a_subject_are_a_leak():
    table = pd.concat([_table(), _table().iloc[[7]].assign(f0=9.0)])
    with raises_three_lines(Leak, "patient", "p007", "one row a subject"):
        _read(table)


def test_one_scan_under_two_names_is_a_leak():
    table = pd.concat([_table(), _table().iloc[[7]].assign(patient="p999")], ignore_index=True)
    with raises_three_lines(Leak, "p007 and p999", "under one name"):
        _read(table)


def test_the_label_in_other_words_is_a_leak():
    table = _table().assign(code=lambda table: table.status.map({"wild": 0, "mutant": 1}))
    with raises_three_lines(Leak, "code", "--drop code"):
        _read(table)
    assert len(_read(table, drop=["code"])[0]) == 40


@pytest.mark.parametrize("asked", ["label", "id"])
@pytest.mark.parametrize("name", ["Patients", "PATIENT"])
def test_a_column_that_is_not_there_names_the_nearest(asked, name):
    columns = {"label": "status", "id": "patient"} | {asked: name}
    with raises_three_lines(BadTable, f"'{name}'", "such as patient"):
        read_features(_table(), **columns)


def test_no_more_than_three_near_columns_are_named():
    with pytest.raises(BadTable) as raised:
        read_features(_table(columns=30), label="f")
    assert str(raised.value).count("f") < 10


def test_a_label_of_three_values_is_three_lines():
    with raises_three_lines(BadTable, "3 values", "a, b, c"):
        _read(_table().assign(status=list("abcb") * 10))


def test_too_few_of_a_class_is_three_lines():
    with raises_three_lines(BadTable, "5 of 15", "at least 10"):
        _read(_table(15))


def test_nothing_but_text_is_three_lines():
    with raises_three_lines(BadTable, "1 columns of text"):
        _read(_table()[["patient", "status"]].assign(site=["A", "B"] * 20))


@pytest.mark.parametrize("name", ["absent.csv", "empty.csv", "image.csv.gz"])
def test_what_is_no_table_is_three_lines(tmp_path, name):
    if name != "absent.csv":
        (tmp_path / name).write_bytes(b"" if name == "empty.csv" else b"\x1f\x8bnot gzip at all")
    with raises_three_lines(BadTable, name, ".csv or .tsv"):
        read_features(tmp_path / name, label="status")


def test_every_deal_tests_each_subject_once_and_no_two_deals_are_alike():
    features, _ = _read(_table())
    dealt = deal_folds(features, repeats=3, folds=4)
    tested = dealt[dealt.role == "test"]
    assert len(dealt) == 3 * 4 * 40 and (tested.groupby("repeat").participant_id.nunique() == 40).all()
    shares = tested.groupby(["repeat", "fold"]).label.mean()
    assert shares.between(0.55, 0.75).all(), "stratified"
    folds = tested.pivot(index="participant_id", columns="repeat", values="fold")
    assert (folds[1] != folds[2]).any()


def test_more_folds_than_subjects_of_a_class_is_three_lines():
    with raises_three_lines(BadCohort, "20 folds and 14 subjects"):
        deal_folds(_read(_table())[0], folds=20)
