"""The list of contrasts: whatever is named as a scan stands in it, read or not."""

import bz2
import zipfile

import nibabel as nib
import numpy as np
import pytest
from made_dicom import T1, series, write_series

from epitome_kit.sources.contrast_listing import list_contrasts


def fill(folder):
    """One scan, and what only is named as one."""
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), folder / "t1.nii.gz")
    (folder / "flair.nii").touch()
    (folder / "t2.nii.gz").write_text("version https://git-lfs.github.com/spec/v1\n")
    (folder / "cut_t1.nii.gz").write_bytes(b"\x1f\x8b\x08cut")
    (folder / "gone_t2.nii.gz").symlink_to("nowhere.nii.gz")
    (folder / "gone.json").symlink_to("nowhere.json")
    (folder / "packed_t1.nii.bz2").write_bytes(bz2.compress(b"scan"))
    with zipfile.ZipFile(folder / "t1.nii.zip", "w") as archive:
        archive.writestr("t1.nii", b"scan")
    (folder / "words.dcm").write_text("words")
    (folder / "torn.dcm").write_bytes(bytes(128) + b"DICMtorn")
    (folder / "notes.txt").write_text("words")


FOUND = {
    "t1.nii.gz": ("T1w", "file name says T1"),
    "flair.nii": ("other", "not a scan: empty"),
    "t2.nii.gz": ("other", "not a scan: a Git LFS pointer"),
    "cut_t1.nii.gz": ("other", "not a scan: a damaged gzip"),
    "gone_t2.nii.gz": (None, "a broken link"),
    "packed_t1.nii.bz2": (None, "a bzip2 archive"),
    "t1.nii.zip": (None, "a zip archive"),
    "words.dcm": ("other", "not a scan: text"),
    "torn.dcm": (None, "DICOM whose header cannot be read"),
}


def test_all_that_is_named_as_a_scan_stands_in_the_list(tmp_path):
    fill(tmp_path)
    rows = {row["file"].rsplit("/", 1)[-1]: row for row in list_contrasts([tmp_path])}
    assert rows.keys() == FOUND.keys()
    for name, (contrast, evidence) in FOUND.items():
        assert rows[name]["contrast"] == contrast and rows[name]["evidence"].startswith(evidence), rows[name]


@pytest.mark.parametrize("name", FOUND)
def test_a_file_alone_is_told_as_in_its_folder(tmp_path, name):
    fill(tmp_path)
    (row,) = list_contrasts([tmp_path / name])
    assert row["contrast"] == FOUND[name][0] and row["evidence"].startswith(FOUND[name][1])


def test_images_of_a_volume_and_their_copies_are_no_rows_of_their_own(tmp_path):
    write_series(tmp_path / "one", series(**T1, SeriesDescription="AX T1")[:5])
    for image in list((tmp_path / "one").iterdir()):
        (tmp_path / f"copy_{image.name}").write_bytes(image.read_bytes())
    assert [row["contrast"] for row in list_contrasts([tmp_path])] == ["T1w"]
