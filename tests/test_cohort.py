"""Cohort: a BIDS folder opened, its labels read, and folders that are no cohort."""

import json

import pandas as pd
import pytest
from tiny import head, raises_three_lines, write_cohort

from epitome_kit.cohort import (
    annotation_path,
    image_path,
    open_cohort,
    truth_folder,
    write_annotation_sidecar,
    write_dataset,
)
from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import CohortError, ParameterError
from epitome_kit.files import read_tsv, write_tsv
from epitome_kit.images import save_image
from epitome_kit.ledger import Entry, write_ledger


@pytest.fixture
def root(tmp_path):
    return write_cohort(tmp_path / "cohort")


def _relabel(root, **columns):
    table = read_tsv(root / "participants.tsv")
    write_tsv(root / "participants.tsv", table.assign(**columns))


def test_a_cohort_opens_with_all_it_holds(root):
    cohort = open_cohort(root)
    assert (cohort.name, len(cohort), cohort.contrasts) == ("tiny", 4, ("T1ce", "FLAIR"))
    assert [subject.id for subject in cohort] == ["sub-01", "sub-02", "sub-03", "sub-04"]
    subject = cohort["sub-02"]
    assert subject.images == {name: image_path(root, "sub-02", name) for name in ("T1ce", "FLAIR")}
    assert subject.annotation == annotation_path(root, "sub-02")
    assert subject.annotated_on == "T1ce" and subject.annotated_slices is None
    assert cohort.excluded.empty and not cohort.simulated


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_every_contrast_and_its_mask_are_found(tmp_path, contrast):
    cohort = open_cohort(write_cohort(tmp_path, contrasts=(contrast,)))
    assert cohort.contrasts == (contrast,)
    assert {subject.annotated_on for subject in cohort} == {contrast}


def test_annotated_slices_come_back(root):
    write_annotation_sidecar(root, "sub-01", "FLAIR", annotated_slices=[4, 5, 6])
    subject = open_cohort(root)["sub-01"]
    assert subject.annotated_on == "FLAIR" and subject.annotated_slices == (4, 5, 6)


def test_a_mask_whose_scan_is_gone_belongs_to_one_that_is_there(root):
    image_path(root, "sub-01", "T1ce").unlink()
    assert open_cohort(root)["sub-01"].annotated_on == "FLAIR"


def test_a_contrast_counts_when_half_of_the_subjects_have_it(root):
    for name in ("sub-01", "sub-02"):
        image_path(root, name, "FLAIR").unlink()
    assert open_cohort(root).contrasts == ("T1ce", "FLAIR")
    image_path(root, "sub-03", "FLAIR").unlink()
    assert open_cohort(root).contrasts == ("T1ce",)


def test_a_cohort_is_simulated_when_every_subject_has_its_truth(root):
    for name in ("sub-01", "sub-02", "sub-03", "sub-04"):
        assert not open_cohort(root).simulated
        truth_folder(root, name).mkdir(parents=True)
    assert open_cohort(root).simulated


def test_subjects_left_out_come_back(root):
    excluded = [("case-9", "expected a 3-D image; received shape (2, 2)")]
    write_dataset(root, name="tiny", readme="", participants=read_tsv(root / "participants.tsv"), excluded=excluded)
    assert open_cohort(root).excluded.to_numpy().tolist() == [list(excluded[0])]


def test_a_subject_whose_scans_have_other_names_is_left_out_by_name(root):
    (root / "sub-77" / "anat").mkdir(parents=True)
    (root / "sub-77" / "anat" / "sub-77_T1w.nii").write_bytes(b"named otherwise")
    (root / "sub-notes.txt").write_text("a file")
    ((name, reason),) = open_cohort(root).excluded.to_numpy().tolist()
    assert name == "sub-77" and "epitome inspect" in reason
    write_ledger(root, [Entry("a.nii", "scan", "sub-01", "T1w")])
    assert open_cohort(root).excluded.empty, "the ledger of an import tells already"


@pytest.mark.parametrize(("target", "expected"), [("grade", [0, 1, 0, 1]), ("codeletion", [1, 0, 1, 0])])
def test_labels_are_zero_and_one(root, target, expected):
    labels = open_cohort(root).labels(target)
    assert labels.tolist() == expected
    assert labels.index.tolist() == ["sub-01", "sub-02", "sub-03", "sub-04"]


def test_subjects_without_a_usable_label_are_left_out(root):
    _relabel(root, grade=[2, 3, None, 4])
    assert open_cohort(root).labels("grade").to_dict() == {"sub-01": 0, "sub-02": 1}


def test_a_subject_that_is_not_listed_has_no_label(root):
    save_image(head(99), image_path(root, "sub-99", "T1ce"))
    cohort = open_cohort(root)
    assert "sub-99" in cohort.subjects and "sub-99" not in cohort.labels("grade")


@pytest.mark.parametrize("grades", [[2, 2, 2, None], [None] * 4])
def test_one_class_only_is_three_lines(root, grades):
    _relabel(root, grade=grades)
    with raises_three_lines(CohortError, "2 and 3", root, "among 4 subjects"):
        open_cohort(root).labels("grade")


def test_an_unknown_target_is_three_lines(root):
    with raises_three_lines(ParameterError, "'survival'", "grade, codeletion"):
        open_cohort(root).labels("survival")


def test_a_missing_path_is_three_lines(tmp_path):
    with raises_three_lines(CohortError, tmp_path / "none", "does not exist"):
        open_cohort(tmp_path / "none")


def test_a_file_is_no_cohort(tmp_path):
    (tmp_path / "a.zip").write_text("")
    with raises_three_lines(CohortError, tmp_path / "a.zip", "is a file"):
        open_cohort(tmp_path / "a.zip")


def test_an_empty_folder_is_three_lines(tmp_path):
    with raises_three_lines(CohortError, tmp_path, "empty"):
        open_cohort(tmp_path)


@pytest.mark.parametrize("name", ["notes.txt", "sub-01/anat/notes.txt", "sub-01/anat/sub-01_dwi.nii.gz"])
def test_a_folder_without_scans_is_three_lines(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("")
    with raises_three_lines(CohortError, tmp_path, "no such NIfTI file"):
        open_cohort(tmp_path)


def test_a_subject_listed_twice_is_three_lines(root):
    table = read_tsv(root / "participants.tsv")
    write_tsv(root / "participants.tsv", pd.concat([table, table.iloc[1:2]]))
    with raises_three_lines(CohortError, "sub-02", "participants.tsv"):
        open_cohort(root)


@pytest.mark.parametrize("content", [b"name\tgrade\na\t2\n", b"", b"\xff\xfe\x00\x01", b'participant_id\n"a\tb\n'])
def test_a_damaged_table_is_three_lines(root, content):
    (root / "participants.tsv").write_bytes(content)
    with raises_three_lines(CohortError, "participants.tsv"):
        open_cohort(root)


def test_a_table_in_another_encoding_is_named_as_what_it_is(root):
    path = root / "participants.tsv"
    text = path.read_text()
    for content, words in (
        (text.encode("utf-16"), "which is text in UTF-16"),
        (b"PK\x03\x04\xff", "which is a zip archive"),
    ):
        path.write_bytes(content)
        with raises_three_lines(CohortError, "participants.tsv", words, "UTF-8"):
            open_cohort(root)


def test_damaged_json_is_three_lines(root):
    (root / "dataset_description.json").write_text("{")
    with raises_three_lines(CohortError, "dataset_description.json"):
        open_cohort(root)


def test_scans_are_enough(root):
    for name in ("participants.tsv", "participants.json", "sources.tsv", "dataset_description.json"):
        (root / name).unlink()
    cohort = open_cohort(root)
    assert cohort.name == "cohort" and len(cohort.participants) == len(cohort) == 4


def test_the_table_describes_exactly_its_columns(root):
    described = json.loads((root / "participants.json").read_text())
    assert list(described) == list(read_tsv(root / "participants.tsv"))
    assert all("Description" in column for column in described.values())
