"""Recognise the content of a file by its first bytes."""

import zipfile
import zlib
from pathlib import Path

from epitome_kit.files import PathLike
from epitome_kit.folders import open_file

START = 4096
"""Number of bytes that are read."""

SCANS = {
    "nifti": "NIfTI",
    "pair": "the header of a NIfTI pair",
    "analyze": "the header of an Analyze pair",
    "mgh": "MGH",
    "nrrd": "NRRD",
    "meta": "MetaImage",
}
"""Scan formats that can be read."""

_OTHERS = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"BM": "a BMP picture",
    b"II*\0": "a TIFF picture",
    b"MM\0*": "a TIFF picture",
    b"%PDF": "a PDF document",
    b"\xd0\xcf\x11\xe0": "an Office document (.xls, .doc or .ppt)",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zX": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstandard archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"\x89HDF": "HDF5, as written by MINC-2 and MATLAB",
    b"CDF": "netCDF, as written by MINC-1",
    b"MATLAB": "a MATLAB file",
    b"\x93NUMPY": "a NumPy array",
    b"\x00\x05\x16\x07": "a macOS metadata file, whose name begins with ._",
    b"\x80\x04\x95": "a pickle",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}
_NIFTI2 = 540
_OFFICE = {"xl/": "a spreadsheet (.xlsx)", "word/": "a Word document", "ppt/": "a presentation"}
_SCAN_NAMES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mgz", ".mgh", ".img", ".dcm")
_HEADER_SIZES = (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c")
"""First bytes of NIfTI and Analyze files, in either byte order."""


def first_bytes(path: PathLike) -> tuple[bytes, bool]:
    """Read the first bytes of a file.

    Parameters
    ----------
    path : path
        File to read.

    Returns
    -------
    start : bytes
        At most :data:`START` bytes, decompressed if the file is gzip.
    packed : bool
        Whether the file is gzip.
    """
    with open_file(path) as stream:
        start = stream.read(START)
    return unpacked(start)


def unpacked(start: bytes) -> tuple[bytes, bool]:
    """Decompress the first bytes of a file if they are gzip.

    Parameters
    ----------
    start : bytes
        First bytes of a file.

    Returns
    -------
    start : bytes
        At most :data:`START` bytes; empty if the gzip is damaged.
    packed : bool
        Whether it is gzip.
    """
    if start[:2] != b"\x1f\x8b":
        return start[:START], False
    try:
        return zlib.decompressobj(wbits=31).decompress(start, START), True
    except zlib.error:
        return b"", True


def scan_kind(start: bytes) -> str | None:
    """Recognise the format of a scan by its first bytes.

    Parameters
    ----------
    start : bytes
        As from :func:`first_bytes`.

    Returns
    -------
    str or None
        One of :data:`SCANS`; None if it is not a scan.
    """
    first, second = start[344:348], start[4:8] if len(start) >= _NIFTI2 else b""
    if first == b"n+1\0" or second == b"n+2\0":
        return "nifti"
    if first == b"ni1\0" or second == b"ni2\0":
        return "pair"
    if start.startswith(b"NRRD0"):
        return "nrrd"
    if _is_meta(start):
        return "meta"
    if _is_mgh(start):
        return "mgh"
    return "analyze" if len(start) >= 348 and start[:4] in _HEADER_SIZES[:2] else None


def describe_content(start: bytes, path: PathLike | None = None) -> str:
    """Describe the content of a file.

    Parameters
    ----------
    start : bytes
        As from :func:`first_bytes`.
    path : path, default=None
        File to open if it is an archive.

    Returns
    -------
    str
        Clause that follows the name of the file: ``"which is a PDF document"``.
    """
    kind = scan_kind(start)
    if not start:
        return "which is empty"
    if kind is not None:
        return f"which is {SCANS[kind]}"
    if start[:4] in _HEADER_SIZES:
        return "which ends within its header"
    if start[:2] == b"PK":
        return f"which is {_archive(path)}"
    if start[128:132] == b"DICM" or (start[:2] in (b"\x08\0", b"\x02\0") and start[3:4] == b"\0"):
        return "which is a single DICOM image"
    known = next((words for magic, words in _OTHERS.items() if start.startswith(magic)), None)
    return f"which is {known or _text(start) or 'an unknown format'}"


def _archive(path: PathLike | None) -> str:
    """Describe the content of a zip archive: an Office document, or scans."""
    if path is None:
        return "a zip archive"
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not Path(name).name.startswith("._")]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a zip archive"
    office = next((words for start, words in _OFFICE.items() if any(name.startswith(start) for name in names)), None)
    scans = [name for name in names if name.lower().endswith(_SCAN_NAMES)]
    if office or not scans:
        return office or "a zip archive"
    return f"a zip archive that holds {', '.join(scans[:2])}{' and more' * (len(scans) > 2)}"


def _text(start: bytes) -> str | None:
    """Describe the kind of a text file; None if it is not text."""
    try:
        text = start.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:
            return None
        text = start[: error.start].decode("utf-8")
    if any(ord(letter) < 32 and letter not in "\t\r\n\f" for letter in text):
        return None
    if "git-lfs.github.com" in text:
        return "a Git LFS pointer: fetch the file with `git lfs pull`"
    if "/annex/objects/" in text and len(text) < 1000:
        return "a git-annex pointer: fetch the file with `datalad get`"
    return "a web page" if text.lstrip()[:1] == "<" and "<html" in text.lower() else "text"


def _is_meta(start: bytes) -> bool:
    """Whether a file starts with lines `Name = value` that include the required ones of a MetaImage."""
    head = start.split(b"ElementDataFile", 1)[0]
    lines = [line.partition(b"=")[0].strip() for line in head.splitlines() if line.strip()]
    return bool(lines) and lines[0] in (b"ObjectType", b"NDims", b"Comment") and b"NDims" in lines


def _is_mgh(start: bytes) -> bool:
    if len(start) < 284 or start[:4] != b"\0\0\0\x01":
        return False
    numbers = [int.from_bytes(start[place : place + 4], "big", signed=True) for place in range(4, 24, 4)]
    return all(number > 0 for number in numbers[:4]) and numbers[4] in (0, 1, 3, 4, 10)
