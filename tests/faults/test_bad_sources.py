"""DICOM, TIFF, zip and xlsx files that lie: their patient is left out, and nothing is written outside."""

import io
import zipfile
import zlib

import numpy as np
import pytest
from in_bounds import three_lines
from made_dicom import FLAIR, T2, series, write_series
from PIL import Image
from test_tcga_lgg import patient, write_folder


def _dicom(change):
    """Images of one series, every one of them changed."""
    images = series(patient="HOSP-99", study="1.2.9.2", **FLAIR)
    for image in images:
        change(image)
    return images


DICOM = {
    "no pixel data": lambda image: image.__delattr__("PixelData"),
    "fewer pixels than stated": lambda image: setattr(image, "PixelData", image.PixelData[:100]),
    "65535 rows and columns": lambda image: (setattr(image, "Rows", 65535), setattr(image, "Columns", 65535)),
    "no rows": lambda image: image.__delattr__("Rows"),
    "a billion frames": lambda image: setattr(image, "NumberOfFrames", 10**9),
    "no place": lambda image: image.__delattr__("ImagePositionPatient"),
    "a pixel size of zero": lambda image: setattr(image, "PixelSpacing", [0, 0]),
    "an orientation of zeros": lambda image: setattr(image, "ImageOrientationPatient", [0] * 6),
    "colour": lambda image: (setattr(image, "SamplesPerPixel", 3), setattr(image, "PhotometricInterpretation", "RGB")),
}


@pytest.mark.parametrize("kind", DICOM)
def test_a_dicom_series_that_lies_leaves_its_subject_out(kind, bounded, tmp_path):
    write_series(tmp_path / "in" / "a", series(**FLAIR))
    write_series(tmp_path / "in" / "b", _dicom(DICOM[kind]))
    kept, excluded = bounded("dicom", tmp_path / "in", tmp_path / "out", seconds=20)["value"]
    assert "sub-001" in kept and {*kept, *excluded} <= {"sub-001", "sub-002"}
    assert "sub-002" not in kept or kind in ("no place",), excluded
    assert [path.name for path in tmp_path.iterdir() if path.name != "in"] == ["out"]


def test_a_deflated_bomb_among_dicom_files_is_passed_over(bounded, tmp_path):
    write_series(tmp_path / "in" / "a", series(**FLAIR))
    image = series(patient="HOSP-99", **T2)[0]
    image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packed.compress(bytes(2**24)) + packed.flush(zlib.Z_FULL_FLUSH)
    head = tmp_path / "head"
    image.save_as(head, enforce_file_format=True)
    start = head.read_bytes()
    length = 132 + 12 + int.from_bytes(start[140:144], "little")
    (tmp_path / "in" / "a" / "bomb.dcm").write_bytes(start[:length] + 200 * block + packed.flush())
    kept, _ = bounded("dicom", tmp_path / "in", tmp_path / "out")["value"]
    assert kept == ["sub-001"]


def test_a_spreadsheet_that_is_a_bomb_is_refused(bounded, tmp_path):
    write_series(tmp_path / "in", series(patient="LGG-104", **T2))
    with zipfile.ZipFile(tmp_path / "in" / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", bytes(200 * 2**20))
    three_lines(bounded("lgg", tmp_path / "in", tmp_path / "out"), "bomb.xlsx", "200 MB")


def _tiff(**options):
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(stream, format="TIFF", **options)
    return stream.getvalue()


def _resized(width):
    content = bytearray(_tiff())
    place = content.find(b"\x00\x01\x04\x00\x01\x00\x00\x00\x10\x00\x00\x00")
    assert place > 0
    content[place + 8 : place + 12] = width.to_bytes(4, "little")
    return bytes(content)


TIFFS = {
    "empty": b"",
    "text": b"no TIFF",
    "truncated": _tiff()[:-300],
    "wider than it is": _resized(1000),
    "a million pixels wide": _resized(10**6),
    "a PNG": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "a TIFF that has no end": b"II*\0\x08\0\0\0" + b"\xff" * 40,
    "a directory that points to itself": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("kind", TIFFS)
def test_a_slice_that_lies_leaves_its_patient_out(kind, packed, bounded, tmp_path):
    source = tmp_path / "in"
    for name in ("TCGA_AA_0001_19960101", "TCGA_AA_0002_19960101"):
        write_folder(source, patient(name))
    next((source / "TCGA_AA_0002_19960101").glob("*_7.tif")).write_bytes(TIFFS[kind])
    if packed:
        with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
            for path in source.rglob("*.tif"):
                archive.write(path, path.relative_to(source))
            archive.writestr("../../escaped.tif", b"outside")
            archive.writestr("/etc/escaped.tif", b"outside")
    kept, excluded = bounded("tcga", tmp_path / ("in.zip" if packed else "in"), tmp_path / "out")["value"]
    assert len(kept) == 1 and len(excluded) == 1 and "readable TIFF" in str(excluded) or "pixels" in str(excluded)
    assert not list(tmp_path.parent.rglob("escaped.tif"))
