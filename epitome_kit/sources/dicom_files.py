"""DICOM files of a folder, known by their content, with or without the usual 128 bytes in front; and what one says."""

import hashlib
import io
import math
import re
from collections import Counter, defaultdict
from typing import NamedTuple

import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from epitome_kit.folders import walk_entries
from epitome_kit.parallel import for_each
from epitome_kit.sources.dicom_physics import (
    PHYSICS_TAGS,
    as_number,
    as_numbers,
    first_value,
    inner_sets,
    kind_of_frame,
    read_physics,
)

START = 132
"""Bytes at the start of a file that tell whether it is DICOM."""

_MOST_FRAMES = 100_000
_META = 4096
_FIRST_GROUPS = (0x0002, 0x0008)
_LONGEST_FIRST = 1 << 16
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


class Found(NamedTuple):
    """What lies in a folder.

    Attributes
    ----------
    headers : list of dict
        One a DICOM file that is part of a series, in natural order of their paths.
    damaged : list of Path
        DICOM files that cannot be read.
    others : list of Path
        Files that are no DICOM.
    passed : Counter of str
        Everything else that was passed over, by what it is.
    """

    headers: list
    damaged: list
    others: list
    passed: Counter


def find_headers(source, *, workers=1):
    """Read the header of every DICOM file of a folder.

    Parameters
    ----------
    source : path
    workers : int, default=1
        Number of processes.

    Returns
    -------
    Found
    """
    files, others, passed = [], [], Counter()
    for path, kind in walk_entries(source):
        if kind != "file":
            passed[kind] += 1
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
            passed["DICOMDIR"] += 1
        elif header == "no DICOM":
            (damaged if _NAMED.fullmatch(path.suffix) else others).append(path)
        elif header["series"] is None:
            passed["DICOM without a SeriesInstanceUID, so that nobody knows which images are one scan"] += 1
        else:
            headers.append(header)
    return Found(headers, damaged, others, passed)


def looks_like_dicom(start):
    """Tell DICOM by the first bytes of a file.

    Parameters
    ----------
    start : bytes
        :data:`START` of them, fewer where the file is shorter.

    Returns
    -------
    bool
        True also without the 128 bytes and the ``DICM`` that the standard asks for,
        where the first element is one that a data set begins with.
    """
    if start[128:132] == b"DICM":
        return True
    if len(start) < START or int.from_bytes(start[:2], "little") not in _FIRST_GROUPS or start[3] > 1:
        return False
    explicit = _VRS.fullmatch(start[4:6]) is not None
    return explicit or 0 < int.from_bytes(start[4:8], "little") < _LONGEST_FIRST


def _is_dicom(path):
    try:
        with path.open("rb") as stream:
            return looks_like_dicom(stream.read(START))
    except OSError:
        return False


def _meta(path):
    """File meta information; empty where there is none."""
    with open(path, "rb") as stream:
        start = stream.read(_META)
    if start[128:132] == b"DICM":
        return pydicom.filereader.read_file_meta_info(path)
    return pydicom.filereader.read_partial(io.BytesIO(start), lambda tag, *_: tag.group > 2, force=True).file_meta


def read_header(path):
    """Take what one file says of itself, in plain values.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict, str or None
        ``"directory"`` for a DICOMDIR, ``"no DICOM"`` where nothing in it is any; None
        where it cannot be read.
    """
    try:
        meta = _meta(path)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            return None  # nobody writes it, dcm2niix reads none, and a few bytes of it can become gigabytes
        if meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            return "directory"
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS, force=True)
        shared, frames = (dataset.get(name) or [] for name in _GROUPS)
        sources = [dataset, *inner_sets(shared[:1]), *inner_sets(frames[:1])]
        header = {name: first_value(sources, keyword) for name, keyword in _PLACE.items()}
        physics = read_physics(sources)
        if not (header["class"] or physics["modality"]):
            return "no DICOM"
        return {
            **{name: header[name] and str(header[name]) for name in ("study", "series", "frame", "instance")},
            **{name: str(header[name] or "").strip(" \0") for name in ("patient", "name")},
            "path": path,
            "physics": physics,
            "size": (int(header["rows"] or 0), int(header["columns"] or 0)),
            "stacks": _stacks(frames, sources, int(header["frames"] or 1)),
        }
    except Exception:  # a damaged file can raise anything in its reader
        return None


def _stacks(frames, sources, count):
    """Images of one file, by echo time, orientation and type: the place of each, None where it is not said."""
    stacks = defaultdict(list)
    for frame in [inner_sets([frame]) for frame in frames] or [[]]:
        values = [*frame, *sources]
        echo = as_number(first_value(values, "EffectiveEchoTime") or first_value(values, "EchoTime"))
        orientation = as_numbers(first_value(values, "ImageOrientationPatient"), 6)
        stacks[echo, orientation, kind_of_frame(values)].append(
            as_numbers(first_value(values, "ImagePositionPatient"), 3)
        )
    if not frames and count > 1:
        stacks = {key: [None] * min(count, _MOST_FRAMES) for key in stacks}
    return [(*key, places) for key, places in stacks.items()]


def digest_pixels(path):
    """Tell the pixels of a file from any others.

    Parameters
    ----------
    path : path

    Returns
    -------
    str or None
        Hexadecimal digits; None where there are no pixels, or fewer than the header promises.
    """
    tags = ["Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames", "PixelData"]
    try:
        dataset = pydicom.dcmread(path, specific_tags=tags, force=True)
        pixels = dataset.PixelData
        sizes = (dataset.get(name) or 1 for name in (*tags[:2], "SamplesPerPixel", "NumberOfFrames"))
        promised = math.prod(map(int, sizes)) * int(dataset.get("BitsAllocated") or 8) // 8
        packed = dataset["PixelData"].is_undefined_length
    except Exception:  # as for a header
        return None
    return hashlib.sha256(pixels).hexdigest() if packed or len(pixels) >= promised else None
