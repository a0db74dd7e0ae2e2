"""Sidecars, tables and names that lie: what they spoil is left out by name, and nothing else."""

import shutil

import pytest
from bad_files import NAMES, PARTICIPANTS, SIDECARS, TABLES, made
from in_bounds import three_lines

from epitome_kit.cohort import open_cohort
from epitome_kit.errors import plain
from epitome_kit.sources.bids import import_bids


@pytest.mark.parametrize("kind", SIDECARS)
def test_a_subject_with_a_bad_sidecar_is_left_out_by_name(kind, cohort):
    content, stays = SIDECARS[kind]
    path = next(cohort.glob("derivatives/annotations/sub-02/anat/*.json"))
    path.write_bytes(content)
    opened = open_cohort(cohort)
    assert list(opened.subjects) == ["sub-01", *(["sub-02"] if stays else []), "sub-03"]
    reasons = dict(opened.excluded.to_numpy().tolist())
    assert set(reasons) == (set() if stays else {"sub-02"})
    assert stays or path.name in reasons["sub-02"] and len(reasons["sub-02"]) < 400


@pytest.mark.parametrize("kind", SIDECARS)
@pytest.mark.parametrize("file", ["dataset_description.json", "sub-02/anat/sub-02_T2w.json"])
def test_a_bad_description_never_crashes_an_import(kind, file, cohort, tmp_path):
    (cohort / file).write_bytes(SIDECARS[kind][0])
    assert list(import_bids(cohort, tmp_path / "out").subjects) == ["sub-01", "sub-02", "sub-03"]


@pytest.mark.parametrize("kind", PARTICIPANTS)
def test_a_table_of_participants_is_understood_or_refused(kind, cohort, bounded, tmp_path):
    content, opens = PARTICIPANTS[kind]
    (cohort / "participants.tsv").write_bytes(content)
    for call, paths in (("inspect", [cohort]), ("bids", [cohort, tmp_path / "out"])):
        answer = bounded(call, *paths)
        assert "crash" not in answer, answer
        if opens is False and call == "inspect":
            three_lines(answer, "participants.tsv")
        elif opens:
            assert "value" in answer, answer


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_bids_does_not_allow_is_left_out_by_name(name, cohort, tmp_path):
    shutil.copytree(cohort / "sub-01", cohort / name)
    for path in (cohort / name / "anat").iterdir():
        path.rename(path.with_name(path.name.replace("sub-01", name)))
    for opened in (open_cohort(cohort), import_bids(cohort, tmp_path / "out")):
        assert list(opened.subjects) == ["sub-01", "sub-02", "sub-03"]
        (row,) = opened.excluded.itertuples()
        assert row.id == plain(name) and "letters and digits" in row.reason


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_features_is_read_or_refused_within_bounds(name, bounded, tmp_path):
    content, expected = TABLES[name]
    if content is not None:
        (tmp_path / name).write_bytes(made(content))
    answer = bounded("table", tmp_path / name)
    if expected is None:
        assert "crash" not in answer
        assert name == "nul.csv" or answer["value"][:2] == ["participant_id", "label"], answer
    else:
        three_lines(answer, expected)
