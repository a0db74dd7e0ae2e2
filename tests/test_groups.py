"""Rows of one person are asked about, however their ids say that they are; plain ids are not."""

import numpy as np
import pandas as pd
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import LeakageError, TableError
from epitome_kit.grade.groups import subjects_of_ids
from epitome_kit.grade.table import TableColumns, read_features
from epitome_kit.learn.probes import feature_columns

SCANS = {
    "letter": "K{p:03d}_{ab}",
    "letter at the end": "K{p}{ab}",
    "scan": "K{p:03d}-mri{k}",
    "no sign between": "K{p:03d}visit{k}",
    "date": "K{p:03d}_2019{m:02d}{d:02d}",
    "date with signs": "K{p:03d} {d:02d}.{m:02d}.2019",
    "sample": "TCGA-HT-{p:04d}-0{k}A",
    "post-treatment": "BraTS-GLI-{p:05d}-10{k}",
    "weeks": "Person-{p:03d}_week-{d:03d}",
    "point": "{p}.{k}",
    "folders": "data/K{p:02d}/s{k}.nii.gz",
    "windows": "D:\\data\\K{p:02d}\\t{k}.nii",
    "side": "Person {p} {side}",
    "in front": "{side}_{p:02d}",
    "BIDS": "sub-{p:02d}_ses-{k}",
    "BIDS with folders": "sub-{p:02d}/ses-{k}",
    "accession": "K{p:03d}_{a}",
    "case": "{kK}{p}",
    "zeros": "{p:0{width}d}",
}
PLAIN = {
    "BIDS": "sub-{n:03d}",
    "one session": "sub-{n:03d}_ses-1",
    "archive": "LGG-{a}",
    "case": "case_{n}",
    "letter": "P{n:02d}",
    "number": "{n}",
    "BraTS": "BraTS2021_{n:05d}",
    "one time point": "BraTS-GLI-{n:05d}-000",
    "scan": "scan_{n}",
    "file": "P{n:02d}_T1.nii.gz",
    "centres": "{site:02d}-{within:03d}",
    "cases and controls": "{PC}{within:02d}",
    "hospitals": "{hospital}_{within:03d}",
    "date": "2019{m:02d}{d:02d}",
}
TCGA = (
    *("CS-4941", "CS-4942", "CS-4943", "CS-5393", "CS-5395", "CS-6186", "CS-6665", "DU-5849", "DU-5851"),
    *("DU-5852", "DU-5853", "DU-5871", "DU-6399", "DU-6400", "DU-7008", "DU-7010", "DU-7298", "DU-7299"),
    *("DU-7300", "DU-8162", "DU-8163", "DU-A5TP", "DU-A5TR", "DU-A5TS", "DU-A5TT", "DU-A5TU", "EZ-7264"),
    *("FG-5962", "FG-6688", "FG-6689", "FG-7634", "FG-A4MT", "FG-A4MU", "HT-7473", "HT-7602", "HT-7680"),
    *("HT-7855", "HT-7856", "HT-8018", "HT-A616", "HT-A61A", "HT-A61B", "DB-A4XA", "DB-A4XB", "DB-A64L"),
    *("DB-A64O", "DB-A64P", "DB-A64R", "E1-5318", "E1-5319", "P5-A5EX", "P5-A72U", "P5-A735"),
)


def _scans(kind, people=30, scans=2):
    return [
        SCANS[kind].format(
            p=p + 1, k=k + 1, ab="ab"[k], side=("left", "right")[k], m=1 + p % 12, d=1 + (p * 3 + k) % 28,
            a=(2 * p + k) * 7919 % 99991, kK="kK"[k], width=1 + 3 * k,
        )
        for p in range(people)
        for k in range(scans)
    ]  # fmt: skip


@pytest.mark.parametrize("kind", SCANS)
def test_scans_of_one_person_are_seen_in_their_ids(kind):
    names = _scans(kind)
    pair, share = subjects_of_ids(pd.Series(names))
    assert set(pair) <= set(names) and len(pair) == 2 and share == 1.0


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_ids_are_not_taken_for_scans(kind):
    names = [
        PLAIN[kind].format(
            n=n + 1, a=n * 7919 % 997, site=1 + n // 14, within=n % 14 if kind == "centres" else n % 40,
            PC="PC"[n // 40], hospital=("UCL", "KCL", "MGH")[n // 40], m=1 + n // 20, d=1 + n % 20,
        )
        for n in range(80)
    ]  # fmt: skip
    assert len(set(names)) == 80 and subjects_of_ids(pd.Series(names)) == ((), 0.0)


@pytest.mark.parametrize("form", ["TCGA-{}", "TCGA_{}", "sub-TCGA-{}", "TCGA-{}-01A"])
def test_barcodes_of_an_archive_are_not_taken_for_scans(form):
    for names in (TCGA, [name.replace("-", "_") for name in TCGA], [name.replace("-", "") for name in TCGA]):
        assert subjects_of_ids(pd.Series([form.format(name) for name in names])) == ((), 0.0)


def test_few_ids_that_look_so_are_said_and_not_asked_about():
    table = (
        _visits(people=30, visits=2)
        .drop(columns="patient")
        .assign(row=[*_scans("letter")[:4], *(f"R{n}" for n in range(56))])
    )
    features, notes = read_features(table, TableColumns(label="status", id="row"))
    assert len(features) == 60 and notes["reading"][0].startswith("K001_a and K001_b in column row")


@pytest.mark.parametrize("column", ["Image", "filename", "name", "Mask"])
@pytest.mark.parametrize("repeats", [True, False])
def test_files_of_one_person_are_asked_about(column, repeats):
    values = [f"K{n // 2:02d}.nii" if repeats else f"K{n // 2:02d}_scan{n % 2}.nii" for n in range(60)]
    table = _visits(people=30, visits=2).drop(columns=["patient", "row"]).assign(**{column: values})
    with raises_three_lines(LeakageError, column, "--no-group"):
        read_features(table, TableColumns(label="status"))
    assert len(read_features(table, TableColumns(label="status", no_group=True))[0]) == 60


def test_names_with_blanks_below_them_are_asked_about():
    table = _visits(people=30, visits=2).astype({"patient": object})
    table.loc[1::2, "patient"] = None
    with raises_three_lines(LeakageError, "30 empty cells", "--group patient"):
        read_features(table, TableColumns(label="status", id="row"))
    with raises_three_lines(TableError, "30 rows without one", "down from the cell above"):
        read_features(table, TableColumns(label="status", id="patient"))
    assert len(read_features(table, TableColumns(label="status", id="row", no_group=True))[0]) == 60


def test_an_index_of_people_is_asked_about():
    table = (
        _visits(people=30, visits=2)
        .drop(columns=["patient", "row"])
        .set_index(pd.Index([f"K{n // 2}" for n in range(60)]))
    )
    with raises_three_lines(LeakageError, "an index", "such as K0"):
        read_features(table, TableColumns(label="status"))


def _visits(name="patient", people=20, visits=3, seed=0):
    """Several rows of each person, whose label is that of the person; the features are noise."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), visits)
    own = rng.normal(size=(people, 5))[who] + rng.normal(scale=0.05, size=(people * visits, 5))
    table = pd.DataFrame(own, columns=list("abcde"))
    return table.assign(**{"row": [f"r{n}" for n in range(len(who))], name: who * 7 + 5, "status": who % 2})


@pytest.mark.parametrize(
    "name", ["patient", "SubjectID", "mrn", "Patientennummer", "Fall-Nr", "record_id", "numéro_patient", "ID", "PTID"]
)
def test_a_person_with_several_rows_is_asked_for(name):
    table, how = _visits(name), {"label": "status", "id": "row"}
    with raises_three_lines(LeakageError, f"--group {name}", "--no-group"):
        read_features(table, TableColumns(**how))
    with raises_three_lines(LeakageError, f"--group {name}"):
        read_features(table, TableColumns(**how, drop=[name]))
    features, notes = read_features(table, TableColumns(**how, group=name))
    assert notes["group"] == {"column": name, "groups": 20} and features.group_id.nunique() == 20
    assert feature_columns(features) == list("abcde")
    alone, said = read_features(table, TableColumns(**how, no_group=True))
    assert feature_columns(alone) == list("abcde") and said["rows_apart"] == name and "group_id" not in alone


def test_visits_in_the_name_of_a_row_are_asked_for():
    table = _visits().drop(columns="patient").assign(row=[f"sub-{n // 3:02d}_ses-{n % 3}" for n in range(60)])
    with raises_three_lines(LeakageError, "sub-00_ses-0", "--no-group"):
        read_features(table, TableColumns(label="status", id="row"))
    assert len(read_features(table, TableColumns(label="status", id="row", no_group=True))[0]) == 60


@pytest.mark.parametrize(
    ("change", "how", "words"),
    [
        ({}, {"group": "patient", "no_group": True}, "one of"),
        ({}, {"group": "row"}, "row for both"),
        ({"patient": [None, *range(59)]}, {"group": "patient"}, "1 rows without one"),
        ({"patient": ["01", "1", *(str(n // 2) for n in range(4, 62))]}, {"group": "patient"}, "'01' and '1'"),
        ({"site": np.arange(60) % 4}, {"group": "site"}, "in 3 groups of site"),
    ],
)
def test_groups_that_cannot_be_kept_together_are_three_lines(change, how, words):
    with raises_three_lines((TableError, LeakageError), words):
        read_features(_visits().assign(**change), TableColumns(label="status", id="row", **how))
