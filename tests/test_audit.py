"""Audit: every fault that a cohort can have is found in the right row, and a sound cohort has none."""

import os
import warnings

import nibabel as nib
import numpy as np
import openpyxl
import pandas as pd
import pytest
from tiny import CENTRE, SHAPE, affine, head, lesion, raises_three_lines, write_cohort

from epitome_kit import audit
from epitome_kit.audit import COLUMNS, audit_cohort, write_spreadsheet
from epitome_kit.cohort import annotation_path, image_path, open_cohort
from epitome_kit.errors import CohortError, EpitomeWarning, OutputError
from epitome_kit.files import read_tsv, write_tsv
from epitome_kit.images import load_image, load_mask, mark_voxel_size_unknown, new_image_like, save_image


@pytest.fixture
def root(tmp_path):
    return write_cohort(tmp_path / "cohort")


def findings(root):
    """What the audit says, as {(subject, contrast): findings}, rows without any left out."""
    table = audit_cohort(open_cohort(root))
    said = {(row.participant_id, row.contrast): row.findings.split("; ") for row in table.itertuples() if row.findings}
    return said


def _scan(root, image, subject="sub-02", contrast="FLAIR"):
    save_image(image, image_path(root, subject, contrast))


def _filled(value, place=...):
    data = head(77).get_fdata().astype(np.float32)
    data[place] = value
    return new_image_like(data, head())


def test_a_sound_cohort_has_a_row_an_image_and_no_finding(root):
    table = audit_cohort(open_cohort(root))
    assert list(table) == list(COLUMNS)
    assert len(table) == 8 and (table.findings == "").all()


def test_the_numbers_are_those_of_the_scan(root):
    data = np.zeros(SHAPE, np.float32)
    data[8:, :, :] = np.arange(data[8:].size).reshape(data[8:].shape)
    _scan(root, nib.Nifti1Image(data, affine((1.5, 2.0, 2.5)) @ np.diag([-1, 1, 1, 1])))
    row = audit_cohort(open_cohort(root)).set_index(["participant_id", "contrast"]).loc["sub-02", "FLAIR"]
    assert row.file == "sub-02/anat/sub-02_FLAIR.nii.gz" and row["dtype"] == "float32"
    assert (row.shape_i, row.shape_j, row.shape_k) == SHAPE
    assert (row.spacing_i_mm, row.spacing_j_mm, row.spacing_k_mm) == (1.5, 2.0, 2.5)
    assert row.orientation == "LAS" and row.voxel_size_known
    assert row["min"] == 0 and row["max"] == 1727 and row.p50 == 0 and row.n_nan == 0
    assert row.p99 == pytest.approx(np.percentile(data, 99)) and row["mean"] == pytest.approx(data.mean())
    assert row["std"] == pytest.approx(data.std(dtype=float)) and row.zero_fraction == pytest.approx(np.mean(data == 0))
    assert row.size_mb == pytest.approx(image_path(root, "sub-02", "FLAIR").stat().st_size / 1e6)


def test_the_mask_is_counted_with_its_scan_only(root):
    table = audit_cohort(open_cohort(root))
    assert table.mask_voxels[table.contrast == "T1ce"].tolist() == [27] * 4
    assert table.mask_voxels[table.contrast == "FLAIR"].isna().all()


def test_an_unknown_voxel_size_is_not_made_up(root):
    _scan(root, mark_voxel_size_unknown(head(77)))
    row = audit_cohort(open_cohort(root)).set_index(["participant_id", "contrast"]).loc["sub-02", "FLAIR"]
    assert not row.voxel_size_known
    assert row[["spacing_i_mm", "spacing_j_mm", "spacing_k_mm"]].isna().all() and row.findings == ""


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (_filled(np.nan, (0, 0, slice(5))), "5 voxels NaN or infinite"),
        (_filled(np.nan), "3456 voxels NaN or infinite"),
        (_filled(np.inf, (0, 0, 0)), "1 voxels NaN or infinite"),
        (_filled(0), "every voxel is 0"),
        (_filled(-7, (0, 0, 0)), "negative intensities, down to -7"),
        (_filled(4000, (slice(4, 8), 9, slice(3, 9))), "saturated: 0.7% of the voxels are 4000"),
        (nib.Nifti1Image(np.random.default_rng(0).random((4, 5, 6, 2)), np.eye(4)), "(4, 5, 6, 2)"),
        (nib.Nifti1Image(np.zeros((4, 5, 6), np.complex64), np.eye(4)), "type complex64"),
        (head(77, spacing=(2, 2, 6)), "voxel size 2 x 2 x 6 mm, usual is 2 x 2 x 3"),
        (head(77, spacing=(1, 2, 3)), "voxel size 1 x 2 x 3 mm, usual is 2 x 2 x 3"),
        (head(77, shape=(16, 18, 11)), "shape 16 x 18 x 11, most have 16 x 18 x 12"),
        (nib.Nifti1Image(head(77).get_fdata(), affine((2, 2, -3))), "orientation RAI, most have RAS"),
    ],
)
def test_a_fault_of_a_scan_is_found_and_no_other(root, image, words):
    _scan(root, image)
    found = findings(root)
    assert list(found) == [("sub-02", "FLAIR")]
    assert any(words in text for text in found["sub-02", "FLAIR"]), found


@pytest.mark.parametrize("size", [0, 40, 1000])
def test_a_truncated_file_is_a_finding(root, size):
    path = image_path(root, "sub-02", "T1ce")
    path.write_bytes(path.read_bytes()[:size])
    (text,) = findings(root)["sub-02", "T1ce"]
    assert "unreadable" in text or "readable scan" in text


def test_a_header_that_claims_the_impossible_is_a_finding(root):
    save_image(head(77), root / "big.nii")
    content = bytearray((root / "big.nii").read_bytes())
    content[42:48] = np.array([32767] * 3, "<i2").tobytes()
    nib.openers.Opener(image_path(root, "sub-02", "FLAIR"), "wb").write(bytes(content))
    assert "shape (32767, 32767, 32767)" in findings(root)["sub-02", "FLAIR"][0]


def test_a_lone_thin_scan_among_thick_ones_stands_out_whatever_its_axes(root):
    for subject in ("sub-01", "sub-03", "sub-04"):
        _scan(root, head(int(subject[-1]), spacing=(0.9, 0.9, 5.5)), subject)
    _scan(root, nib.Nifti1Image(head(9).get_fdata(), affine((5.5, 0.9, 0.9))))
    assert not [text for text in findings(root).get(("sub-02", "FLAIR"), []) if "voxel size" in text]


def test_without_a_majority_no_shape_stands_out(root):
    for number in (1, 2, 3, 4):
        _scan(root, head(number, shape=(16, 18, 9 + number)), f"sub-0{number}")
    assert findings(root) == {}


def test_copies_are_named_on_both_sides(root):
    _scan(root, new_image_like(head(0).get_fdata(), head()), "sub-03")
    assert findings(root) == {
        ("sub-01", "T1ce"): ["same voxels as sub-03 FLAIR"],
        ("sub-03", "FLAIR"): ["same voxels as sub-01 T1ce"],
    }


def test_a_missing_contrast_stands_with_the_first_scan(root):
    image_path(root, "sub-03", "FLAIR").unlink()
    assert findings(root) == {("sub-03", "T1ce"): ["no FLAIR"]}


def _relabel(root, table):
    write_tsv(root / "participants.tsv", table)


def test_labels_that_do_not_match_are_found(root):
    table = read_tsv(root / "participants.tsv")
    table["grade"] = [2, 4, None, 3]
    _relabel(root, pd.concat([table.drop(index=3), pd.DataFrame([{"participant_id": "sub-99", "grade": 2}])]))
    found = findings(root)
    assert found["sub-02", "T1ce"] == ["no usable grade label"] == found["sub-03", "T1ce"]
    assert found["sub-04", "T1ce"] == ["not in participants.tsv"]
    (lost,) = [texts for (name, _), texts in found.items() if name == "sub-99"]
    assert lost == ["in participants.tsv, but has no scan"] and len(found) == 4


def test_a_label_that_hardly_anybody_has_is_not_missed(root):
    _relabel(root, read_tsv(root / "participants.tsv").assign(codeletion=[None, None, None, "intact"]))
    assert findings(root) == {}


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (lesion(head(shape=(16, 18, 11))), "mask: expected a mask on the grid"),
        (new_image_like(np.zeros(SHAPE, np.uint8), head()), "mask: empty"),
        (nib.Nifti1Image(np.ones((*SHAPE, 2), np.uint8), affine()), "mask: expected a 3-D image"),
    ],
)
def test_a_fault_of_a_mask_stands_with_its_scan(root, mask, words):
    save_image(mask, annotation_path(root, "sub-02"))
    found = findings(root)
    assert list(found) == [("sub-02", "T1ce")] and found["sub-02", "T1ce"][0].startswith(words)


def test_a_mask_outside_the_head_is_found(root):
    data = np.zeros(SHAPE, np.uint8)
    data[0, 0, :3] = data[CENTRE] = 1
    save_image(new_image_like(data, head()), annotation_path(root, "sub-02"))
    assert findings(root) == {("sub-02", "T1ce"): ["mask: outside the head, only 25% of it is on tissue"]}


def test_a_damaged_mask_is_a_finding(root):
    annotation_path(root, "sub-02").write_bytes(b"no mask")
    (text,) = findings(root)["sub-02", "T1ce"]
    assert text.startswith("mask: ") and "label-tumour_mask" in text


def test_faults_of_one_scan_are_all_named(root):
    data = head(77).get_fdata().astype(np.float32)
    data[0, 0, :2] = np.nan, -5
    _scan(root, nib.Nifti1Image(data, affine((2, 2, -6))))
    assert len(findings(root)["sub-02", "FLAIR"]) == 4


def _without_save(image, path):
    """Write an image as its header stands, as other programs do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)


def test_a_header_that_says_two_things_of_one_place_is_a_finding(root):
    image = nib.Nifti1Image(head(77).get_fdata().astype(np.float32), affine((2, 2, 3)))
    image.set_qform(affine((2, 2, 3)), 1)
    image.set_sform(affine((1, 1, 1)), 1)
    _without_save(image, image_path(root, "sub-02", "FLAIR"))
    found = findings(root)
    assert list(found) == [("sub-02", "FLAIR")] and "sform" in found["sub-02", "FLAIR"][0]


def test_what_a_reader_has_to_assume_is_a_finding_of_scan_and_mask(root, monkeypatch):
    def remarking(path, **options):
        warnings.warn(f"{path.name}: the unit is taken to be mm", EpitomeWarning, stacklevel=1)
        return load_mask(path, **options) if "mask" in path.name else load_image(path, **options)

    monkeypatch.setattr(audit, "load_image", remarking)
    monkeypatch.setattr(audit, "load_mask", remarking)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = findings(root)
    assert "sub-02_FLAIR.nii.gz: the unit is taken to be mm" in found["sub-02", "FLAIR"]
    assert len(found) == 8 and found["sub-02", "T1ce"][1].startswith("mask: sub-02_label-tumour_mask")


def _unread(root):
    """File, or subject where there is none, to its finding, of rows without a contrast."""
    table = audit_cohort(open_cohort(root))
    rows = table[table.contrast.isna()]
    files = rows.file.where(rows.file.notna(), rows.participant_id)
    return dict(zip(files, rows.findings, strict=True))


def test_every_image_that_is_not_read_has_a_row(root):
    strays = ["sub-05/anat/sub-05_T1w.nii", "sub-06/ses-1/anat/sub-06_ses-1_FLAIR.nii.gz", "sub-02/anat/own_mask.nii"]
    strays += [
        "derivatives/annotations/sub-02/anat/sub-02_mask.nii.gz",
        "sub-10/anat/sub-10_acq-x_T1w.nii.gz",
        "extra/head.nii",
    ]
    for name in [*strays, "derivatives/truth/sub-02/anat/sub-02_desc-brain_mask.nii.gz"]:
        _without_save(head(3), root / name)
    (root / "sub-07" / "anat").mkdir(parents=True)
    (root / "sub-07" / "anat" / "sub-07_T1w.nii.gz").symlink_to("../../.git/annex/gone.nii.gz")
    (root / "sub-08").mkdir()
    (root / "sub-08" / "notes.txt").write_text("no scan")
    (root / "sub-09").mkdir()
    (root / "sub-02" / "anat" / "._own_mask.nii").write_bytes(b"Mac")
    (root / "participants.csv").write_text("participant_id,grade")
    found = _unread(root)
    assert set(found) == {*strays, "sub-07/anat/sub-07_T1w.nii.gz", "sub-08", "sub-09", "participants.csv"}
    assert all("`epitome cohort bids`" in found[name] for name in strays)
    assert "a broken link" in found["sub-07/anat/sub-07_T1w.nii.gz"]
    assert found["sub-08"].startswith("left out: no scan in") and found["sub-09"] == "not read: an empty folder"
    assert "only from participants.tsv" in found["participants.csv"]
    table = audit_cohort(open_cohort(root))
    assert (table.participant_id[table.file == strays[1]] == "sub-06").all()
    assert (table.findings[table.contrast.notna()] == "").all(), "the scans that are read are as sound as before"


def test_documents_and_pipes_in_the_folder_are_no_images(root):
    for name, start in {
        "a.xlsx": b"PK\x03\x04",
        "b.pdf": b"%PDF-1.7",
        "c.json": b"{",
        "d.gz": b"\x1f\x8bx",
        "e": b"",
    }.items():
        (root / "sub-01" / name).write_bytes(start)
    os.mkfifo(root / "sub-01" / "pipe")
    assert _unread(root) == {"sub-01/pipe": "not read: neither a file nor a folder"}


def test_dicom_in_the_folder_is_one_row(root):
    for number in range(5):
        path = root / "sub-05" / "raw" / f"IM{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(128) + b"DICM" + bytes(50))
    assert "5 DICOM files" in _unread(root)["sub-05/raw"] and "`epitome cohort dicom`" in _unread(root)["sub-05/raw"]


def test_a_subject_that_cannot_be_opened_has_a_row(root):
    annotation_path(root, "sub-03").with_name("sub-03_label-tumour_mask.json").write_text("{")
    ((place, finding),) = _unread(root).items()
    assert place == "sub-03" and finding.startswith("left out: expected a JSON file")


def test_a_folder_of_scans_named_otherwise_says_which(tmp_path):
    for number in range(1, 6):
        _without_save(head(number), tmp_path / "raw" / f"sub-0{number}" / "anat" / f"sub-0{number}_T1w.nii")
    with raises_three_lines(CohortError, "sub-01/anat/sub-01_T1w.nii", "and 2 more", "import the folder"):
        open_cohort(tmp_path / "raw")


def test_workers_change_nothing(root):
    _scan(root, _filled(np.nan, (0, 0, 0)))
    cohort = open_cohort(root)
    pd.testing.assert_frame_equal(audit_cohort(cohort), audit_cohort(cohort, workers=2))


def _sheet(root, path):
    cohort = open_cohort(root)
    assert write_spreadsheet(cohort, audit_cohort(cohort), path) == path
    return openpyxl.load_workbook(path)["images"]


def test_the_spreadsheet_has_a_row_an_image_with_its_labels(root, tmp_path):
    sheet = _sheet(root, tmp_path / "dataset.xlsx")
    rows = [dict(zip(next(sheet.values), row, strict=True)) for row in list(sheet.values)[1:]]
    assert len(rows) == 8 and sheet.freeze_panes == "B2"
    assert [(row["participant_id"], row["contrast"], row["grade"], row["codeletion"]) for row in rows[:3]] == [
        ("sub-01", "T1ce", 2, "codeleted"),
        ("sub-01", "FLAIR", 2, "codeleted"),
        ("sub-02", "T1ce", 3, "intact"),
    ]
    assert set(rows[0]) == {"participant_id", "grade", "codeletion", "source_id", *COLUMNS}
    assert 10 < sheet.column_dimensions["A"].width < 70
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["dataset.xlsx"]


@pytest.mark.parametrize("text", ["=1+1", '=HYPERLINK("http://a")', "bell\a", "+1", "@SUM(A1)"])
def test_text_in_the_spreadsheet_stays_text(root, tmp_path, text):
    cohort = open_cohort(root)
    cohort.participants["source_id"] = [text, "b", "c", "d"]
    write_spreadsheet(cohort, audit_cohort(cohort), tmp_path / "dataset.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "dataset.xlsx").active
    column = next(sheet.values).index("source_id")
    cell = sheet.cell(2, column + 1)
    assert cell.data_type == "s" and cell.value == text.replace("\a", " ")


def test_an_unwritable_spreadsheet_is_three_lines(root):
    cohort = open_cohort(root)
    with raises_three_lines(OutputError, root / "participants.tsv"):
        write_spreadsheet(cohort, audit_cohort(cohort), root / "participants.tsv" / "dataset.xlsx")
