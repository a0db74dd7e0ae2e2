"""Receive uploaded scans: identify them by content, limit their size, keep only voxels and geometry."""

import io
import itertools
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from epitome_kit.cohort import image_path
from epitome_kit.contrast_table import SUFFIX_KINDS, either
from epitome_kit.errors import ImageError
from epitome_kit.files import PathLike
from epitome_kit.images import ImageLike, load_image, mark_voxel_size_unknown, save_image, voxel_size_known
from epitome_kit.io.content import START, describe_content, scan_kind, unpacked
from epitome_kit.io.formats import mgh_voxels
from epitome_kit.io.header_checks import nifti_header
from epitome_kit.sources.dicom import read_patients
from epitome_kit.sources.dicom_choice import choose
from epitome_kit.sources.dicom_convert import convert, without_text
from epitome_kit.sources.dicom_files import looks_like_dicom

MOST_VOXELS = 100_000_000
"""Maximum number of voxels of a scan; a head at 0.5 mm has seventy million."""

MOST_BYTES = 2_000_000_000
"""Maximum size of an unpacked file in bytes."""

MOST_FILES = 10_000
"""Maximum number of files in an archive, of any kind; a long exam has some thousand images."""

NAME = "sub-case"
"""Subject id of every uploaded scan."""

_ENTRY = b"PK\x01\x02"
_BLOCK = 1 << 20
_EXTENSIONS = 1 << 20
_SUPPORTED = "upload NIfTI, NRRD, MetaImage (.mha) or MGZ, or the DICOM folder of one exam as .zip"


def receive_scan(
    data: bytes | memoryview, folder: PathLike, *, name: str = "the file", most_bytes: int = MOST_BYTES
) -> dict[str, Path]:
    """Receive one uploaded file.

    The type is determined by the content. The file name is only shown in messages:
    no path is derived from it or from names in an archive.

    Parameters
    ----------
    data : bytes-like
        NIfTI or MGH, plain or in gzip; NRRD or MetaImage in one file; or a zip archive
        with the DICOM files of one person.
    folder : path
        Folder of this visitor; scans are written there under neutral names.
    name : str, default="the file"
        For messages; see :func:`safe_name`.
    most_bytes : int, default=2_000_000_000
        Maximum size of the unpacked content in bytes.

    Returns
    -------
    dict of str to Path
        Scans by contrast, as far as DICOM headers determine it. Other DICOM series
        are keyed by name, such as ``"series 4"``; scans of other formats by ``""``.

    Raises
    ------
    ImageError
        Another type; damaged; larger than :data:`MOST_VOXELS`, `most_bytes` or
        :data:`MOST_FILES`, or than its header says; several persons.
    """
    data, folder, name = memoryview(data).cast("B"), Path(folder), safe_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    start, in_gzip = unpacked(bytes(data[:START]))
    if start[:2] == b"PK":
        return _from_archive(data, folder, name, most_bytes)
    kind = scan_kind(start)
    if kind not in ("nifti", "mgh", *(() if in_gzip else ("nrrd", "meta"))):
        what = "which is damaged or empty gzip" if in_gzip and not start else describe_content(start)
        raise ImageError("upload", "a scan in one file, or a zip of DICOM files", f"{name}, {what}", _SUPPORTED)
    path = folder / "received.nii"
    try:
        if kind in ("nifti", "mgh"):
            _unpack(data, path, name, most_bytes)
        else:
            path.write_bytes(data)
        return {"": keep_scan(path, folder / "received_clean.nii")}
    finally:
        path.unlink(missing_ok=True)


def keep_scan(scan: ImageLike, path: PathLike) -> Path:
    """Write a copy of a scan with voxels and geometry, but without text in the header.

    Parameters
    ----------
    scan : image-like
        Path or image.
    path : path
        File to write.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ImageError
        The scan cannot be used.
    """
    image = load_image(scan, where="upload")
    clean = without_text(image)
    save_image(clean if voxel_size_known(image) else mark_voxel_size_unknown(clean), path)
    return Path(path)


def safe_name(name: str) -> str:
    """Return a file name fit for display: one line, printable, at most 60 characters.

    Parameters
    ----------
    name : str
        As sent by the browser.

    Returns
    -------
    str
        Not HTML-escaped.
    """
    last = re.split(r"[/\\]", str(name))[-1]
    plain = "".join(letter if letter.isprintable() else " " for letter in last)
    plain = " ".join(plain.split())
    return plain if len(plain) <= 60 else f"{plain[:40]}…{plain[-18:]}"


def _promised_bytes(start: bytes, name: str) -> int:
    """Check the shape in the header, and return the file size that it implies."""
    shape, offset, size = _promised_voxels(start)
    voxels = int(np.prod(shape, dtype=object)) if shape else 0
    if not 0 < voxels <= MOST_VOXELS or min(shape) < 1:
        raise ImageError(
            "upload",
            f"a scan of at most {MOST_VOXELS // 10**6} million voxels",
            f"{name}, {' x '.join(map(str, shape)) or 'no voxels'} by its header",
            "upload one head scan, not a series of scans or a whole body",
        )
    if not 0 <= offset <= _EXTENSIONS:
        raise ImageError("upload", "voxels near the start of the file", f"{name}, at byte {offset:.0f}", _SUPPORTED)
    return int(offset) + int(voxels * size)


def _promised_voxels(start: bytes) -> tuple[list[int], float, float]:
    """Read shape, offset and bytes per voxel from the header of a NIfTI or MGH file."""
    if scan_kind(start) == "mgh":
        return mgh_voxels(start)
    header = nifti_header(start)
    shape = [int(n) for n in header["dim"][1 : 1 + int(np.clip(header["dim"][0], 0, 7))]]
    return shape, float(header["vox_offset"]), header["bitpix"].item() / 8


def _unpack(data: memoryview, path: Path, name: str, most_bytes: int) -> None:
    """Write an uncompressed copy of a NIfTI file, at most as large as its header says."""
    promised: int | None = None
    written = 0
    with open(path, "wb") as stream:
        for block in _blocks(data, name):
            if promised is None:
                promised = _promised_bytes(block[:START], name)
            written += len(block)
            if written > min(promised + _EXTENSIONS, most_bytes):
                raise ImageError(
                    "upload",
                    f"a file of {promised / 1e6:.1f} MB, as in its header",
                    f"{name}, which is larger",
                    "save the scan again, for instance with `nibabel`",
                )
            stream.write(block)
    if promised is None or written < promised:
        received = f"{name}, which ends after {written / 1e6:.1f} MB"
        raise ImageError(
            "upload", f"a complete file, {(promised or 0) / 1e6:.1f} MB by its header", received, "upload it again"
        )


def _blocks(data: memoryview, name: str) -> Iterator[bytes]:
    """Yield the uncompressed bytes in blocks; the first holds the header, if the file is long enough."""
    if bytes(data[:2]) != b"\x1f\x8b":
        yield from (bytes(data[start : start + _BLOCK]) for start in range(0, len(data), _BLOCK))
        return
    unzip = zlib.decompressobj(wbits=31)
    try:
        for start in range(0, len(data), _BLOCK):
            waiting = bytes(data[start : start + _BLOCK])
            while waiting and not unzip.eof:
                block = unzip.decompress(waiting, _BLOCK)
                waiting = unzip.unconsumed_tail
                if block:
                    yield block
    except zlib.error as error:
        raise ImageError("upload", "an intact gzip file", f"{name}, which is damaged", "upload it again") from error


def _from_archive(data: memoryview, folder: Path, name: str, most_bytes: int) -> dict[str, Path]:
    """Extract DICOM images from a zip archive, choose the scans and convert them."""
    images = folder / "images"
    images.mkdir(exist_ok=True)
    try:
        _extract(data, images, name, most_bytes)
        return _choose_and_keep(images, folder, name)
    finally:
        for path in images.iterdir():
            path.unlink()
        images.rmdir()


def _extract(data: memoryview, images: Path, name: str, most_bytes: int) -> None:
    """Extract the DICOM files of an archive under numbers; names in the archive are ignored."""
    left = most_bytes
    if _holds_more(data, _ENTRY, MOST_FILES):
        raise _too_much(name, most_bytes)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > most_bytes:
                raise _too_much(name, most_bytes)
            if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
                hint = "create the archive again, with the usual compression (deflate)"
                raise ImageError("upload", "a zip archive compressed by deflate", f"{name}, by another method", hint)
            for number, entry in enumerate(entries):
                with archive.open(entry) as stream:
                    start = stream.read(START)
                    if looks_like_dicom(start):
                        left = _copy(start, stream, images / f"{number:05d}.dcm", left)
                        if left < 0:
                            raise _too_much(name, most_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as error:
        if getattr(error, "errno", None):  # it is this machine that fails, such as a full disk
            raise
        hint = "create the archive again, without a password"
        raise ImageError("upload", "a readable zip archive", f"{name}, which is damaged or encrypted", hint) from error


def _copy(start: bytes, stream: IO[bytes], path: Path, left: int) -> int:
    """Copy an entry, and return how many bytes are left; negative if there were too many."""
    with open(path, "wb") as target:
        block = start
        while block:
            left -= len(block)
            if left < 0:
                break
            target.write(block)
            block = stream.read(_BLOCK)
    return left


def _holds_more(data: memoryview, word: bytes, most: int) -> bool:
    """Whether a word is in the data more often than `most`.

    Every entry of the directory of an archive begins with :data:`_ENTRY`, whatever its end record says.
    """
    found = itertools.islice(re.finditer(re.escape(word), data), most, None)
    return next(found, None) is not None


def _too_much(name: str, most_bytes: int) -> ImageError:
    return ImageError(
        "upload",
        f"at most {MOST_FILES} files and {most_bytes / 1e9:.0f} GB in an archive",
        f"more in {name}",
        "pack the series of one exam only",
    )


def _choose_and_keep(images: Path, folder: Path, name: str) -> dict[str, Path]:
    if not any(images.iterdir()):
        raise ImageError("upload", "DICOM images in the archive", f"none in {name}", _SUPPORTED)
    patients = [*read_patients(images)[0].values()]
    if len(patients) > 1 or patients[0].person.reason:
        hint = "pack the exam of one person only"
        several = f"images of {len(patients)} in {name}"
        received = several if len(patients) > 1 else f"studies in {name} that may be of several"
        raise ImageError("upload", "images of one person", received, hint)
    scans, repairs, seen = choose(patients[0].volumes)[0]
    unclear = {each.volume.title: each.volume for each in seen if each.contrast is None and not each.volume.defect}
    if not scans and not unclear:
        reason = "; ".join(repairs) or "none among its series"
        raise ImageError("upload", f"a {either(SUFFIX_KINDS)} series", reason, "look at the series in a viewer")
    kept = {
        contrast: keep_scan(convert(volume), folder / image_path("", NAME, contrast).name)
        for contrast, volume in scans.items()
    }
    for number, (title, volume) in enumerate(unclear.items()):
        kept[title] = keep_scan(convert(volume), folder / f"untold_{number}.nii.gz")
    return kept
