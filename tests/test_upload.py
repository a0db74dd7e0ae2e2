"""What visitors send: known by content, bounded in size, and nothing of names and free text goes any further."""

import errno
import gzip
import io
import struct
import zipfile

import made_dicom
import nibabel as nib
import numpy as np
import pytest
from made_dicom import series, write_series
from tiny import head, raises_three_lines

from epitome_kit.case import upload
from epitome_kit.case.upload import receive_scan, safe_name
from epitome_kit.errors import EpitomeWarning, ImageError, ParameterError
from epitome_kit.images import load_image, mark_voxel_size_unknown, voxel_size_known
from epitome_kit.tumour.single_case import label_contrasts

SCRIPT = "<script>alert(1)</script>"


def as_bytes(image, *, packed=True):
    plain = image.to_bytes()
    return gzip.compress(plain, 1, mtime=0) if packed else plain


def packed(files, **how):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, **how) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def everything_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def dicom(tmp_path):
    """Bytes of DICOM files by name: a T2 and a FLAIR of one exam."""
    source = tmp_path / "dicom"
    write_series(source, series(number=1, **made_dicom.T2) + series(number=2, **made_dicom.FLAIR))
    return {path.name: path.read_bytes() for path in source.iterdir()}


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("in_gzip", [True, False])
def test_nifti_is_known_whatever_it_is_called(tmp_path, kind, in_gzip):
    scan = kind(np.asarray(head().dataobj), head().affine)
    found = receive_scan(as_bytes(scan, packed=in_gzip), tmp_path / "in", name="holiday.jpg")
    assert list(found) == [""]
    kept = load_image(found[""])
    np.testing.assert_array_equal(np.asarray(kept.dataobj), np.asarray(scan.dataobj))
    np.testing.assert_allclose(kept.affine, scan.affine)


@pytest.mark.parametrize("name", ["../../evil.nii.gz", "/etc/passwd", "..\\..\\evil.nii", f"{SCRIPT}.nii.gz", ""])
def test_no_path_is_made_of_a_name(tmp_path, name):
    receive_scan(as_bytes(head()), tmp_path / "in", name=name)
    assert everything_below(tmp_path) == ["in/received_clean.nii"]


def test_free_text_of_the_header_goes_no_further(tmp_path):
    scan = head()
    scan.header["descrip"], scan.header["intent_name"], scan.header["aux_file"] = SCRIPT, b"Doe^Jane", b"HOSP-77"
    scan.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Doe^Jane 19610203"))
    found = receive_scan(as_bytes(scan), tmp_path / "in")
    kept = found[""].read_bytes()
    assert not [word for word in (b"script", b"Doe", b"HOSP", b"1961") if word in kept]


def test_that_the_voxel_size_is_unknown_is_not_forgotten(tmp_path):
    found = receive_scan(as_bytes(mark_voxel_size_unknown(head())), tmp_path / "in")
    assert not voxel_size_known(load_image(found[""]))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n" + bytes(600), "a PNG picture"),
        (b"%PDF-1.7" + bytes(600), "a PDF document"),
        (bytes(128) + b"DICM" + bytes(600), "a single DICOM image"),
        (SCRIPT.encode() * 50, "is text"),
        (b"1234n+2\0", "unknown format"),
        (gzip.compress(b"%PDF" + bytes(600), mtime=0), "a PDF document"),
        (gzip.compress(b"", mtime=0), "empty"),
        (b"\x1f\x8b" + bytes(100), "damaged"),
        (b"PK\x03\x04" + bytes(100), "damaged or encrypted"),
    ],
)
def test_another_type_is_said_by_what_it_is(tmp_path, data, words):
    with raises_three_lines(ImageError, words, "scan.nii.gz"):
        receive_scan(data, tmp_path / "in", name="scan.nii.gz")
    assert everything_below(tmp_path) == []


def test_a_file_that_ends_early_is_refused(tmp_path):
    whole = as_bytes(head(), packed=False)
    for data in (whole[:-100], gzip.compress(whole[:-100], mtime=0), as_bytes(head())[:-2000]):
        with raises_three_lines(ImageError, "ends after"):
            receive_scan(data, tmp_path / "in")


def test_a_gzip_bomb_is_stopped_where_its_header_says_that_it_ends(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(upload, "_BLOCK", 1 << 16)
    real = upload._blocks
    monkeypatch.setattr(upload, "_blocks", lambda *a: (written.append(len(b)) or b for b in real(*a)))
    bomb = gzip.compress(head().to_bytes() + bytes(100 << 20), 9)
    assert len(bomb) < 1 << 20
    with raises_three_lines(ImageError, "larger"):
        receive_scan(bomb, tmp_path / "in")
    assert sum(written) < 2 << 20
    assert everything_below(tmp_path) == []


@pytest.mark.parametrize("shape", [(9000, 9000, 9000), (64, 64, 30, 32767), (0, 5, 5)])
def test_a_header_that_promises_too_much_is_refused_at_once(tmp_path, shape):
    scan = nib.Nifti1Header()
    scan["dim"][0] = len(shape)
    scan["dim"][1 : 1 + len(shape)] = shape
    scan["magic"], scan["vox_offset"], scan["bitpix"] = b"n+1", 352, 16
    with raises_three_lines(ImageError, "million voxels", " x ".join(map(str, shape))):
        receive_scan(gzip.compress(scan.binaryblock + bytes(600), mtime=0), tmp_path / "in")


def test_a_dicom_exam_tells_its_contrasts_and_leaves_the_person_behind(tmp_path, dicom):
    found = receive_scan(packed(dicom), tmp_path / "in", name="DOE_JANE.zip")
    assert list(found) == ["T2w", "FLAIR"]
    for path in found.values():
        assert load_image(path).shape == made_dicom.SHAPE
        assert not [secret for secret in made_dicom.SECRETS if secret.encode() in path.read_bytes()]
    assert everything_below(tmp_path / "in") == ["sub-case_FLAIR.nii.gz", "sub-case_T2w.nii.gz"]


def test_a_series_whose_contrast_cannot_be_told_is_kept_under_its_name(tmp_path):
    source, unsure = tmp_path / "dicom", {"SeriesDescription": "AX T1 W AND WO"}
    write_series(source, series(number=1, **made_dicom.T2) + series(number=7, **unsure, **made_dicom.T1))
    found = receive_scan(packed({path.name: path.read_bytes() for path in source.iterdir()}), tmp_path / "in")
    assert list(found) == ["T2w", "series 7"]
    with pytest.warns(EpitomeWarning, match="series 7 is left out"):
        images, _ = label_contrasts(found, "exam.zip")
    assert list(images) == ["T2w"]
    with raises_three_lines(ParameterError, "series 7", "unknown contrast"):
        label_contrasts({"series 7": found["series 7"]}, "exam.zip")
    assert list(label_contrasts({"series 7": found["series 7"]}, "exam.zip", stated="T1w")[0]) == ["T1w"]


def test_names_in_an_archive_are_never_paths(tmp_path, dicom):
    evil = {f"../../../{number}/evil.dcm": data for number, data in enumerate(dicom.values())}
    evil |= {"/tmp/evil.sh": b"rm -rf", "..\\evil.nii.gz": b"x", f"{SCRIPT}.txt": b"x"}
    assert list(receive_scan(packed(evil), tmp_path / "deep" / "in")) == ["T2w", "FLAIR"]
    outside = [name for name in everything_below(tmp_path) if not name.startswith(("deep/in/", "dicom/"))]
    assert outside == []


def test_an_archive_is_bounded_by_what_it_holds_not_by_what_it_says(tmp_path, dicom, monkeypatch):
    monkeypatch.setattr(upload, "MOST_FILES", 3)
    with raises_three_lines(ImageError, "at most 3 files"):
        receive_scan(packed(dicom), tmp_path / "in")
    monkeypatch.setattr(upload, "MOST_FILES", 10_000)
    with raises_three_lines(ImageError, "more in"):
        receive_scan(packed(dicom), tmp_path / "in", most_bytes=20_000)
    assert [name for name in everything_below(tmp_path) if not name.startswith("dicom/")] == []


def test_a_directory_is_counted_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(upload.zipfile, "ZipFile", lambda *_: pytest.fail("the directory was read"))
    entry = b"PK\x01\x02" + bytes(42)
    liar = entry * (upload.MOST_FILES + 1) + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 46, 0, 0)
    with raises_three_lines(ImageError, "at most 10000 files"):
        receive_scan(b"PK\x03\x04" + liar, tmp_path / "in")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_of_another_method_is_refused(tmp_path, dicom, method):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in dicom.items():
            archive.writestr(name, data)
    with raises_three_lines(ImageError, "deflate"):
        receive_scan(stream.getvalue(), tmp_path / "in")


def test_a_full_disk_is_no_damaged_archive(tmp_path, dicom, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(upload, "_copy", full)
    with pytest.raises(OSError, match="No space"):
        receive_scan(packed(dicom), tmp_path / "in")


def test_an_archive_that_lost_its_beginning_is_refused(tmp_path, dicom):
    whole = packed(dicom)
    with raises_three_lines(ImageError, "damaged or encrypted"):
        receive_scan(b"PK" + whole[len(whole) // 2 :], tmp_path / "in")
    assert [name for name in everything_below(tmp_path) if not name.startswith("dicom/")] == []


def test_an_archive_with_a_file_without_a_name_is_refused(tmp_path, dicom):
    whole = bytearray(packed(dicom))
    entry = whole.index(b"PK\x01\x02")
    whole[entry + 28 : entry + 32] = bytes([0, 0, whole[entry + 28], 0])  # its name becomes an extra field
    with raises_three_lines(ImageError, "damaged or encrypted"):
        receive_scan(bytes(whole), tmp_path / "in")


def test_two_persons_or_none_are_refused(tmp_path, dicom):
    other = series(number=3, patient="HOSP-78", study="1.2.9.2", **made_dicom.T2)
    write_series(tmp_path / "other", other)
    both = {**dicom, **{f"b{path.name}": path.read_bytes() for path in (tmp_path / "other").iterdir()}}
    with raises_three_lines(ImageError, "images of 2"):
        receive_scan(packed(both), tmp_path / "in")
    with raises_three_lines(ImageError, "none in"):
        receive_scan(packed({"scan.nii.gz": as_bytes(head())}), tmp_path / "in")


def test_a_name_is_made_fit_to_read():
    assert safe_name("C:\\scans\\flair.nii") == safe_name("/a/flair.nii") == "flair.nii"
    assert safe_name("a\x00b\nc\u202ed.nii") == "a b c d.nii"
    assert len(safe_name("x" * 500)) <= 60
