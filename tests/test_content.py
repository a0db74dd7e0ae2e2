"""What a file is, by how it begins."""

import gzip
import io
import pickle
import zipfile

import nibabel as nib
import numpy as np
import openpyxl
import pytest
from PIL import Image
from tiny import head, raises_three_lines

from epitome_kit.errors import ImageError
from epitome_kit.images import load_image
from epitome_kit.io.content import describe_content, first_bytes, scan_kind, unpacked


def _saved(save, *args, **how):
    stream = io.BytesIO()
    save(stream, *args, **how)
    return stream.getvalue()


def _zip(**files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), data)
    return stream.getvalue()


OTHERS = {
    "a spreadsheet": (_saved(openpyxl.Workbook().save), "is a spreadsheet"),
    "an old spreadsheet": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "an Office document"),
    "text in UTF-16": ("Größe in mm".encode("utf-16"), "is text in UTF-16"),
    "text in UTF-8": ("Größe in mm".encode() * 500, "is text"),
    "a table": (b"id,label\n1,2\n", "is text"),
    "a web page": (b"<!doctype html><html>Sign in</html>", "is a web page"),
    "a document": (b"%PDF-1.4\n" + bytes(600), "is a PDF document"),
    "a photograph": (_saved(Image.new("L", (9, 9)).save, "JPEG"), "is a JPEG picture"),
    "a picture": (_saved(Image.new("L", (9, 9)).save, "PNG"), "is a PNG picture"),
    "slices": (_saved(Image.new("L", (9, 9)).save, "TIFF"), "is a TIFF picture"),
    "an array": (_saved(np.save, np.zeros(3)), "is a NumPy array"),
    "a pickle": (pickle.dumps(list(range(99)), 4), "is a pickle"),
    "MINC": (b"\x89HDF\r\n\x1a\n" + bytes(600), "MINC"),
    "DICOM": (bytes(128) + b"DICM" + bytes(600), "a single DICOM image"),
    "DICOM without preamble": (b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(600), "a single DICOM image"),
    "a note of macOS": (b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + bytes(90), "without `._`"),
    "annexed": (b"/annex/objects/MD5E-s3--ab.nii.gz\n", "datalad get"),
    "in Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
    "zipped scans": (
        _zip(exam__flair_nii="x", exam__t1_nii="x", __MACOSX__exam__x_nii="x"),
        "exam/flair.nii, exam/t1.nii",
    ),
    "a zip of nothing": (_zip(notes_txt="x"), "is a zip archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(600), "is a 7z archive"),
    "the start of a header": (head().to_bytes()[:200], "ends within its header"),
    "nothing": (b"", "is empty"),
    "a program": (b"\x7fELF" + bytes(600), "is a program"),
    "noise": (np.random.default_rng(0).bytes(900), "unknown format"),
    "text in gzip": (gzip.compress(b"see README\n" * 90), "is text in gzip"),
    "damaged gzip": (b"\x1f\x8b" + bytes(90), "damaged or empty gzip"),
}


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.xlsx"])
@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_scan_is_said_by_what_it_is(tmp_path, kind, name):
    content, words = OTHERS[kind]
    (tmp_path / name).write_bytes(content)
    with raises_three_lines(ImageError, f"{name}, which", words):
        load_image(tmp_path / name)


def test_scans_are_known_by_their_content():
    plain = head().to_bytes()
    assert scan_kind(plain) == scan_kind(nib.Nifti2Image(np.ones((2, 2, 2)), np.eye(4)).to_bytes()) == "nifti"
    assert scan_kind(nib.MGHImage(np.ones((2, 2, 2), np.float32), np.eye(4)).to_bytes()) == "mgh"
    assert scan_kind(b"NRRD0004\ntype: short\n") == "nrrd"
    assert scan_kind(b"ObjectType = Image\nNDims = 3\nElementDataFile = a.raw\n") == "meta"
    assert scan_kind(b"ObjectType = Image\n") is None and scan_kind(b"1234n+2\0") is None
    assert scan_kind(plain[:344] + b"ni1\0" + plain[348:]) == "pair"
    assert scan_kind(plain[:344] + bytes(4) + plain[348:]) == "analyze"


def test_no_more_than_the_start_is_unpacked(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(50 << 20)))
    start, packed = first_bytes(tmp_path / "a.gz")
    assert packed and len(start) == 4096
    assert unpacked(b"plain") == (b"plain", False)
    assert describe_content(b"") == "which is empty"
