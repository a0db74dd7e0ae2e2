"""Find DICOM files by their content, with or without preamble, and read their headers."""

import hashlib
import io
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, NotRequired, TypedDict

import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from epitome_kit.files import Json, PathLike
from epitome_kit.folders import open_file, walk_entries
from epitome_kit.parallel import for_each
from epitome_kit.sources.contrast_fields import as_number
from epitome_kit.sources.dicom_physics import (
    PHYSICS_TAGS,
    as_numbers,
    first_value,
    inner_sets,
    kind_of_frame,
    read_physics,
)

START = 132
"""Number of leading bytes by which DICOM is recognised."""

Place = tuple[float, ...]
"""Position of a slice (ImagePositionPatient), in mm."""

Stack = tuple[float | None, tuple[float, ...] | None, str, list[Place | None]]
"""Images of one file with one echo time in ms, orientation and type, and the position of each."""

_MAX_FRAMES = 100_000
_META_BYTES = 4096
_FIRST_GROUPS = (0x0002, 0x0008)
_MAX_FIRST_LENGTH = 1 << 16
_VRS = re.compile(rb"AE|AS|AT|CS|DA|DS|DT|FD|FL|IS|LO|LT|OB|OW|PN|SH|SL|SQ|SS|ST|TM|UI|UL|UN|US|UT")
_NAMED = re.compile(r"\.(dcm|dicom|ima)", re.IGNORECASE)
_PLACE = {
    "patient": "PatientID",
    "name": "PatientName",
    "class": "SOPClassUID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "frame": "FrameOfReferenceUID",
    "instance": "SOPInstanceUID",
    "rows": "Rows",
    "columns": "Columns",
    "frames": "NumberOfFrames",
    "echo": "EchoTime",
    "orientation": "ImageOrientationPatient",
    "position": "ImagePositionPatient",
}
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_TAGS = [*PHYSICS_TAGS, *_PLACE.values(), *_GROUPS]


class Header(TypedDict):
    """Header of one DICOM file as plain values.

    `physics` is what :func:`epitome_kit.sources.dicom_physics.read_physics` returns, `size`
    is rows and columns, and `pixels` is the digest of the pixels once it was computed.
    Identifiers are None if they are missing.
    """

    study: str | None
    series: str | None
    frame: str | None
    instance: str | None
    patient: str
    name: str
    path: Path
    physics: Json
    size: tuple[int, int]
    stacks: list[Stack]
    pixels: NotRequired[str | None]


class Found(NamedTuple):
    """Content of a folder.

    Attributes
    ----------
    headers : list of Header
        One per DICOM file that belongs to a series, in natural order of their paths.
    damaged : list of Path
        DICOM files that cannot be read.
    others : list of Path
        Files that are not DICOM.
    skipped : Counter of str
        Number of other entries by kind.
    """

    headers: list[Header]
    damaged: list[Path]
    others: list[Path]
    skipped: Counter[str]


def find_headers(source: PathLike, *, workers: int = 1) -> Found:
    """Read the header of every DICOM file of a folder.

    Parameters
    ----------
    source : path
        Folder, searched recursively.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    Found
    """
    files, others = [], []
    skipped: Counter[str] = Counter()
    for path, kind in walk_entries(source):
        if kind != "file":
            skipped[kind] += 1
        elif _is_dicom(path):
            files.append(path)
        else:
            others.append(path)
    read = for_each(read_header, files, title="Reading headers", workers=workers)
    headers, damaged = [], []
    for path, header in zip(files, read, strict=True):
        if header is None:
            damaged.append(path)
        elif header == "directory":
            skipped["DICOMDIR"] += 1
        elif header == "no DICOM":
            (damaged if _NAMED.fullmatch(path.suffix) else others).append(path)
        elif header["series"] is None:
            skipped["DICOM without a SeriesInstanceUID, so that its images cannot be grouped"] += 1
        else:
            headers.append(header)
    return Found(headers, damaged, others, skipped)


def looks_like_dicom(start: bytes) -> bool:
    """Recognise DICOM by the first bytes of a file.

    Parameters
    ----------
    start : bytes
        The first :data:`START` bytes, fewer if the file is shorter.

    Returns
    -------
    bool
        Also True without the preamble and ``DICM`` that the standard requires, if the
        first element is one with which a data set begins.
    """
    if start[128:132] == b"DICM":
        return True
    if len(start) < START or int.from_bytes(start[:2], "little") not in _FIRST_GROUPS or start[3] > 1:
        return False
    explicit = _VRS.fullmatch(start[4:6]) is not None
    return explicit or 0 < int.from_bytes(start[4:8], "little") < _MAX_FIRST_LENGTH


def _is_dicom(path: Path) -> bool:
    try:
        with open_file(path) as stream:
            return looks_like_dicom(stream.read(START))
    except OSError:
        return False


def _read_meta(path: PathLike) -> pydicom.Dataset:
    """Read the file meta information; empty if there is none."""
    with open_file(path) as stream:
        start = stream.read(_META_BYTES)
    if start[128:132] == b"DICM":
        return pydicom.filereader.read_file_meta_info(path)
    return pydicom.filereader.read_partial(io.BytesIO(start), lambda tag, *_: tag.group > 2, force=True).file_meta


def read_header(path: Path) -> Header | Literal["directory", "no DICOM"] | None:
    """Read the header of one file as plain values.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Header, str or None
        ``"directory"`` for a DICOMDIR, ``"no DICOM"`` for any other file; None if it
        cannot be read.
    """
    try:
        meta = _read_meta(path)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            return None  # rare, not supported by dcm2niix, and a few bytes can expand to gigabytes
        if meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            return "directory"
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS, force=True)
        shared, frames = (dataset.get(name) or [] for name in _GROUPS)
        sources = [dataset, *inner_sets(shared[:1]), *inner_sets(frames[:1])]
        values = {name: first_value(sources, keyword) for name, keyword in _PLACE.items()}
        physics = read_physics(sources)
        if not (values["class"] or physics["modality"]):
            return "no DICOM"
        return Header(
            study=values["study"] and str(values["study"]),
            series=values["series"] and str(values["series"]),
            frame=values["frame"] and str(values["frame"]),
            instance=values["instance"] and str(values["instance"]),
            patient=str(values["patient"] or "").strip(" \0"),
            name=str(values["name"] or "").strip(" \0"),
            path=path,
            physics=physics,
            size=(int(values["rows"] or 0), int(values["columns"] or 0)),
            stacks=_stacks(frames, sources, int(values["frames"] or 1)),
        )
    except Exception:  # a damaged file can raise anything in its reader
        return None


def _stacks(frames: Iterable[pydicom.Dataset], sources: Sequence[pydicom.Dataset], count: int) -> list[Stack]:
    """Group the images of one file by echo time, orientation and type, with the position of each if it is stated."""
    stacks: dict[tuple[float | None, tuple[float, ...] | None, str], list[Place | None]] = defaultdict(list)
    for frame in [inner_sets([frame]) for frame in frames] or [[]]:
        values = [*frame, *sources]
        echo = as_number(first_value(values, "EffectiveEchoTime") or first_value(values, "EchoTime"))
        orientation = as_numbers(first_value(values, "ImageOrientationPatient"), 6)
        stacks[echo, orientation, kind_of_frame(values)].append(
            as_numbers(first_value(values, "ImagePositionPatient"), 3)
        )
    if not frames and count > 1:
        stacks = {key: [None] * min(count, _MAX_FRAMES) for key in stacks}
    return [(*key, places) for key, places in stacks.items()]


def digest_pixels(path: PathLike) -> str | None:
    """Compute the SHA-256 digest of a file's pixels.

    Parameters
    ----------
    path : path

    Returns
    -------
    str or None
        Hexadecimal digits; None if there are no pixels, or fewer than the header states.
    """
    tags = ["Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames", "PixelData"]
    try:
        dataset = pydicom.dcmread(path, specific_tags=tags, force=True)
        pixels = dataset.PixelData
        sizes = (dataset.get(name) or 1 for name in (*tags[:2], "SamplesPerPixel", "NumberOfFrames"))
        stated = math.prod(map(int, sizes)) * int(dataset.get("BitsAllocated") or 8) // 8
        compressed = dataset["PixelData"].is_undefined_length
    except Exception:  # as for a header
        return None
    return hashlib.sha256(pixels).hexdigest() if compressed or len(pixels) >= stated else None
