"""A table of one's own: what is normal is read, what would cheat is refused."""

import numpy as np
import pandas as pd
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import LeakageError, TableError
from epitome_kit.grade.table import TableColumns, read_features
from epitome_kit.learn.probes import feature_columns, probe_columns


def _table(n=40, columns=6, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.standard_normal((n, columns)), columns=[f"f{number}" for number in range(columns)])
    table.insert(0, "patient", [f"p{number:03d}" for number in range(n)])
    table["status"] = np.where(np.arange(n) % 3 == 0, "mutant", "wild")
    return table


def _read(table, **more):
    return read_features(table, TableColumns(label="status", id="patient", **more))


@pytest.mark.parametrize(
    "name, separator", [("t.csv", ","), ("t.csv.gz", ","), ("t.tsv", "\t"), ("semicolon.csv", ";")]
)
def test_text_of_any_usual_kind_is_read(tmp_path, name, separator):
    _table().to_csv(tmp_path / name, index=False, sep=separator)
    features, notes = _read(tmp_path / name)
    assert feature_columns(features) == [f"f{number}" for number in range(6)] and len(features) == 40
    assert notes["classes"] == ["mutant", "wild"] and features.label.sum() == 26


def test_the_positive_class_is_a_choice():
    assert _read(_table(), positive="mutant")[0].label.sum() == 14
    with raises_three_lines(TableError, "'Mutant'", "mutant and wild"):
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


def test_columns_of_subgroups_are_no_features_and_keep_their_values(tmp_path):
    table = _table().assign(site=["A", "B", "n/a", "A"] * 10, years=np.arange(40.0) * 1.7, sex=["F", "M"] * 20)
    table.loc[7, "years"] = np.nan
    table.to_csv(tmp_path / "t.csv", index=False)
    for given in (table, tmp_path / "t.csv"):
        features, notes = _read(given, subgroups=["site", "years", "sex", "sex"], probes=["sex"], drop=["site"])
        values = notes["subgroups"]
        assert feature_columns(features) == [f"f{number}" for number in range(6)] and notes["not_numbers"] == []
        assert list(probe_columns(features)) == ["sex"], "a probe may be a variable of subgroups, too"
        assert list(values) == ["site", "years", "sex"] and list(values.index) == list(features.participant_id)
        assert values.site.isna().sum() == 10 and values.years.isna().sum() == 1 and values.years.max() == 39 * 1.7
    with raises_three_lines(TableError, "subgroups by columns other than label"):
        _read(table, subgroups=["status"])
    with raises_three_lines(TableError, "at most 20 subgroups"):
        _read(table.assign(word=[f"w{number}" for number in range(40)]), subgroups=["word"])
    with raises_three_lines(TableError, "a column 'centre'"):
        _read(table, subgroups=["centre"])


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
    with raises_three_lines(TableError, "in patient name", "40 different texts"):
        _read(_table().assign(**{"patient name": [f"n{number}" for number in range(40)]}), probes=["patient name"])


@pytest.mark.parametrize("name", ["PatientID", "id", "Case number", "tcia_id", "patient"])
def test_a_subject_that_nobody_named_is_asked_for(name):
    table = _table().rename(columns={"patient": name})
    with raises_three_lines(TableError, "no `--id`", f"--id {name}"):
        read_features(table, TableColumns(label="status"))
    assert len(read_features(table, TableColumns(label="status", drop=[name]))[0]) == 40
    assert len(read_features(table.rename(columns={name: "centroid"}), TableColumns(label="status"))[0]) == 40


@pytest.mark.parametrize("name", ["status", "patient"])
def test_label_and_subject_cannot_be_dropped(name):
    with raises_three_lines(TableError, "columns to drop", name):
        _read(_table(), drop=[name])


def test_a_decimal_comma_is_read(tmp_path):
    table = _table()
    table.to_csv(tmp_path / "mine.csv", sep=";", decimal=",", index=False)
    features, notes = _read(tmp_path / "mine.csv")
    assert np.allclose(features.f3, table.f3) and not notes["not_numbers"]


@pytest.mark.parametrize("separator", [",", ";"])
def test_thousands_with_a_comma_do_not_turn_the_other_numbers_to_text(tmp_path, separator):
    table = _table().assign(cells=[f"1,{number:03d}" for number in range(40)])
    table.to_csv(tmp_path / "mine.csv", sep=separator, index=False)
    features, notes = _read(tmp_path / "mine.csv")
    assert np.allclose(features.f3, table.f3) and notes["not_numbers"] == ["cells"]


def test_a_number_with_an_infinity_is_no_word():
    features, _ = _read(_table().assign(age=[np.inf, *range(39)]), probes=["age"])
    assert probe_columns(features)["age"] == ["probe_age_1"] and features.probe_age_1.isna().sum() == 1


def test_two_rows_of_a_subject_are_a_leak():
    table = pd.concat([_table(), _table().iloc[[7]].assign(f0=9.0)])
    with raises_three_lines(LeakageError, "patient", "p007", "one row per subject"):
        _read(table)


def test_one_scan_under_two_names_is_a_leak():
    table = pd.concat([_table(), _table().iloc[[7]].assign(patient="p999")], ignore_index=True)
    with raises_three_lines(LeakageError, "p007 and p999", "under one name"):
        _read(table)


def test_rows_of_few_and_coarse_features_are_alike_by_chance():
    table = _table(columns=0).assign(count=np.random.default_rng(0).poisson(2, 40), flag=np.arange(40) % 2)
    assert len(_read(table)[0]) == 40


def test_the_label_in_other_words_is_a_leak():
    table = _table().assign(code=lambda table: table.status.map({"wild": 0, "mutant": 1}))
    with raises_three_lines(LeakageError, "code", "--drop code"):
        _read(table)
    assert len(_read(table, drop=["code"])[0]) == 40


@pytest.mark.parametrize("asked", ["label", "id"])
@pytest.mark.parametrize("name", ["Patients", "PATIENT"])
def test_a_column_that_is_not_there_names_the_nearest(asked, name):
    columns = {"label": "status", "id": "patient"} | {asked: name}
    with raises_three_lines(TableError, f"'{name}'", "such as patient"):
        read_features(_table(), TableColumns(**columns))


def test_no_more_than_three_near_columns_are_named():
    with pytest.raises(TableError) as raised:
        read_features(_table(columns=30), TableColumns(label="f"))
    assert str(raised.value).count("f") < 10


def test_a_label_of_three_values_is_three_lines():
    with raises_three_lines(TableError, "3 values", "a, b, c"):
        _read(_table().assign(status=list("abcb") * 10))


def test_too_few_of_a_class_is_three_lines():
    with raises_three_lines(TableError, "5 of 15", "at least 10"):
        _read(_table(15))


def test_nothing_but_text_is_three_lines():
    with raises_three_lines(TableError, "1 columns of text"):
        _read(_table()[["patient", "status"]].assign(site=["A", "B"] * 20))


@pytest.mark.parametrize("name", ["absent.csv", "empty.csv", "image.csv.gz"])
def test_what_is_no_table_is_three_lines(tmp_path, name):
    if name != "absent.csv":
        (tmp_path / name).write_bytes(b"" if name == "empty.csv" else b"\x1f\x8bnot gzip at all")
    with raises_three_lines(TableError, name, "as text or .xlsx"):
        read_features(tmp_path / name, TableColumns(label="status"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_ids_stay_letter_by_letter_in_every_encoding(tmp_path, encoding):
    names = ["007", "7", "10E1", "1e5", "NA", "Müller", "1.50", "0x1F", *(f"{number:04d}" for number in range(32))]
    _table().assign(patient=names).to_csv(tmp_path / "mine.csv", index=False, encoding=encoding)
    assert list(_read(tmp_path / "mine.csv")[0].participant_id) == names


def test_a_workbook_is_read(tmp_path):
    table = _table().assign(patient=[f"{number:03d}" for number in range(40)])
    table.to_excel(tmp_path / "mine.xlsx", index=False)
    features, _ = _read(tmp_path / "mine.xlsx")
    assert list(features.participant_id) == list(table.patient) and np.allclose(features.f4, table.f4)


@pytest.mark.parametrize("gap", ["NA", "n/a", "NaN", ".", "?", "#DIV/0!"])
def test_a_gap_does_not_turn_numbers_to_text(tmp_path, gap):
    table = _table().astype({"f2": object})
    table.loc[[4, 9], "f2"] = gap
    table.to_csv(tmp_path / "mine.csv", index=False)
    features, notes = _read(tmp_path / "mine.csv")
    assert features.f2.isna().sum() == 2 and not notes["not_numbers"]


def test_true_and_false_are_numbers():
    flag = np.resize(["TRUE", "FALSE", "TRUE"], 40)
    features, _ = _read(_table().assign(flag=np.roll(flag, 1), other=np.arange(40) % 7 == 0))
    assert set(features.flag) == set(features.other) == {0.0, 1.0}


def test_commas_that_could_all_part_thousands_are_no_decimals(tmp_path):
    table = _table()[["patient", "status"]].assign(a=[f"1,{n:03d}" for n in range(40)], b=np.arange(40) ** 2 % 83)
    table.to_csv(tmp_path / "mine.csv", index=False, sep=";")
    assert _read(tmp_path / "mine.csv")[1]["not_numbers"] == ["a"]


def test_the_same_features_twice_in_one_group_are_no_leak():
    table = _table().assign(scan=[f"s{number}" for number in range(40)])
    table.loc[7, "f0":"f5"] = table.loc[4, "f0":"f5"].to_numpy()
    with raises_three_lines(LeakageError, "s4 and s7"):
        read_features(table, TableColumns(label="status", id="scan", group="patient"))
    table.loc[7, "patient"] = table.loc[4, "patient"]
    assert len(read_features(table, TableColumns(label="status", id="scan", group="patient"))[0]) == 40


def test_a_row_without_a_name_is_three_lines():
    table = _table()
    table.loc[3, "patient"] = None
    with raises_three_lines(TableError, "1 rows without one", "fill column patient"):
        _read(table)


@pytest.mark.parametrize("name", ["fold", "role", "probe_age_1"])
def test_a_feature_called_as_a_column_of_the_kit_is_three_lines(name):
    with raises_three_lines(TableError, name, f"--drop {name}"):
        _read(_table().assign(**{name: _noise(9)}))


def _saved(table, path):
    table.to_csv(path)
    return path


@pytest.mark.parametrize("shape", ["saved", "saved twice", "restarted", "with gaps", "backwards", "from 100"])
def test_row_numbers_never_become_features(tmp_path, shape):
    rows = np.arange(40.0)
    table = _table().sort_values("status").reset_index(drop=True)
    numbers = {"restarted": rows % 20, "backwards": rows[::-1], "from 100": rows + 100}.get(shape, rows)
    named = "Unnamed: 0" if shape.startswith("saved") else "k"
    table = table.assign(**({} if shape.startswith("saved") else {"k": numbers}))
    if shape == "with gaps":
        table.loc[[5, 30], "k"] = np.nan
    path = _saved(table, tmp_path / "mine.csv") if shape.startswith("saved") else tmp_path / "mine.csv"
    if shape == "saved twice":
        _saved(pd.read_csv(path), path)
    elif shape != "saved":
        table.to_csv(path, index=False)
    features, notes = _read(path)
    assert feature_columns(features) == [f"f{number}" for number in range(6)]
    assert named in notes["row_numbers"] and len(notes["row_numbers"]) == 1 + (shape == "saved twice")


@pytest.mark.parametrize("shape", ["shuffled", "growing"])
def test_what_may_be_a_row_number_is_asked_for(shape):
    rng = np.random.default_rng(0)
    numbers = rng.permutation(40) + 1 if shape == "shuffled" else np.cumsum(rng.integers(1, 9, 40))
    with raises_three_lines(LeakageError, "column k", "--drop k", "--allow-leak k"):
        _read(_table().assign(k=numbers))
    features, notes = _read(_table().assign(k=numbers), allow_leak=["k"])
    assert "k" in feature_columns(features) and "k" in notes["allowed_leaks"]


def test_measurements_are_no_row_numbers():
    rng = np.random.default_rng(0)
    table = _table().assign(
        age=rng.integers(20, 80, 40), sorted=np.sort(rng.normal(size=40)), batch=np.arange(40) // 10
    )
    ranks = pd.DataFrame({f"r{number}": rng.permutation(40) for number in range(8)})
    features, notes = _read(table)
    assert {"age", "sorted", "batch"} <= set(feature_columns(features)) and not notes["row_numbers"]
    assert len(feature_columns(_read(pd.concat([_table(columns=0), ranks], axis=1))[0])) == 8, "a table of ranks"


def test_ids_never_become_features_and_inverse_differences_do():
    table = _table().assign(scan_id=np.random.default_rng(0).permutation(4000)[:40], original_glcm_Id=_noise(3))
    features, notes = _read(table)
    assert notes["ids"] == ["scan_id"] and "original_glcm_Id" in feature_columns(features)


def _noise(seed, n=40):
    return np.random.default_rng(seed).normal(size=n)


@pytest.mark.parametrize(
    "name", ["site", "scanner", "center", "hospital", "batch", "site_id", "patient_age", "n_cases"]
)
def test_what_many_people_share_is_no_person(name):
    table = _table(60).assign(**{name: np.random.default_rng(0).integers(1, 9, 60)})
    features, notes = _read(table)
    assert (name in feature_columns(features)) == (name not in notes["ids"]) and len(features) == 60


def test_columns_that_stand_twice_or_have_odd_names_are_read():
    table = (
        pd.concat([_table(), _table(seed=1)[["f1"]]], axis=1).assign(self_=1.0).rename(columns={"f2": "self", "f3": 7})
    )
    features, _ = _read(table)
    assert {"f1", "f1.1", "self", "7"} <= set(feature_columns(features)) and len(feature_columns(features)) == 7
    with raises_three_lines(TableError, "one column 'status'"):
        _read(pd.concat([_table(), _table()[["status"]]], axis=1))
