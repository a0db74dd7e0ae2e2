"""Headers of NRRD and MetaImage, read far enough to hold them against their files before SimpleITK does."""

import math
import re
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from epitome_kit.errors import ImageError
from epitome_kit.io.header_checks import check_count

MOST_HEADER = 2**20
"""Bytes of a header: that of a segmentation with many parts has some thousand."""

_NRRD_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int"), 8),
    **dict.fromkeys(("int64", "int64_t", "ulonglong", "unsigned long long", "unsigned long long int"), 8),
    **dict.fromkeys(("uint64", "uint64_t"), 8),
    **{"float": 4, "double": 8},
}
_META_BYTES = {
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "MET_LONG", "MET_ULONG", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_LONG_LONG", "MET_ULONG_LONG", "MET_DOUBLE"), 8),
}
_SPACES = ("right-anterior-superior", "left-anterior-superior", "left-posterior-superior", "ras", "las", "lps")
_LARGEST_SIZE = 1e5
_TURN = 0.02
"""Between two axes, or off the square of their length: 1 % of a length."""

_BLOCK = 1 << 20
_LONGEST_LINE = 4000
_PACKED, _PLAIN = ("gzip", "gz"), ("raw",)
_MM = ("mm", "millimeter", "millimetre", "")


class Claimed(NamedTuple):
    """What a header says of its voxels.

    Attributes
    ----------
    shape : tuple of int
    item_bytes : int
        Of one voxel.
    data : Path
        The file that holds the voxels.
    begin : int
        Byte where they begin at the earliest.
    packed : bool
    size_known, sides_known, place_known : bool
        Whether the header says how large a voxel is, which side is left, and where the first one lies.
    counted : bool
        Whether the voxels end where the file does, and are not compressed.
    """

    shape: tuple
    item_bytes: int
    data: Path
    begin: int
    packed: bool
    size_known: bool
    sides_known: bool
    place_known: bool
    counted: bool


def read_nrrd_header(path, where):
    """Read the header of a NRRD file.

    Parameters
    ----------
    path : Path
    where : str
        The step to name in an error.

    Returns
    -------
    Claimed

    Raises
    ------
    ImageError
        A field that is missing or not understood, another unit than mm, or voxels in
        several files, outside the folder or nowhere.
    """
    text, begin = _header_text(path, where, b"\n\n", b"\r\n\r\n")
    fields = {}
    for line in text.splitlines()[1:]:
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#") and not value.startswith("="):
            _add(fields, name.strip().lower(), value.strip(), path, where)
    try:
        shape = tuple(int(each) for each in fields["sizes"].split())
        item_bytes = _NRRD_BYTES[fields["type"].lower()]
        encoding = fields["encoding"].lower()
        known = len(shape) == int(fields["dimension"]) and encoding in _PACKED + _PLAIN
    except (KeyError, ValueError) as error:
        raise _odd(path, where, str(error)) from error
    check_count(shape, where, path.name)
    if not known or not _sound(shape) or fields.get("block size"):
        raise _odd(path, where, f"sizes {fields['sizes']}, encoding {encoding}")
    units = [unit.strip() for unit in fields.get("space units", fields.get("units", "")).split('"')]
    _check_unit(units, path, where)
    directions = fields.get("space directions")
    spacings = [each for each in fields.get("spacings", "").lower().split() if each != "nan"]
    data = _data_file(fields.get("data file", fields.get("datafile")), path, where)
    begin = begin if data == path else 0
    skipped = _whole(fields.get("byte skip", fields.get("byteskip", "0")))
    lines = _whole(fields.get("line skip", fields.get("lineskip", "0")))
    packed, size = encoding in _PACKED, math.prod(shape) * item_bytes
    if skipped < -1 or lines < 0 or (skipped < 0 and packed):
        raise _odd(path, where, f"byte skip {skipped}, line skip {lines}")
    if packed and not lines and not _unpacks(data, begin, size + skipped):
        raise _odd(path, where, "compressed voxels of another length than its sizes make")
    return Claimed(
        shape,
        item_bytes,
        data,
        begin + (0 if packed else max(skipped, 0)),
        packed,
        size_known=bool(directions) or len(spacings) >= 3,
        sides_known=bool(directions) and fields.get("space", "").lower().removesuffix("-time") in _SPACES,
        place_known="space origin" in fields,
        counted=not packed and not lines and skipped >= 0,
    )


def read_meta_header(path, where):
    """Read the header of a MetaImage, .mha or .mhd.

    Parameters
    ----------
    path : Path
    where : str
        The step to name in an error.

    Returns
    -------
    Claimed

    Raises
    ------
    ImageError
        As :func:`read_nrrd_header`; or compressed voxels that are cut off.
    """
    text, begin = _header_text(path, where, b"ElementDataFile")
    fields = {}
    for line in text.splitlines():
        if len(line) > _LONGEST_LINE:
            raise _odd(path, where, f"a line of {len(line)} letters")
        name, equals, value = line.partition("=")
        if equals:
            _add(fields, name.strip(), value.strip(), path, where)
    try:
        shape = tuple(int(each) for each in fields["DimSize"].split())
        item_bytes = _META_BYTES[fields["ElementType"]] * int(fields.get("ElementNumberOfChannels", 1))
        known = len(shape) == int(fields["NDims"]) and fields.get("BinaryData", "True").lower() == "true"
        local = fields["ElementDataFile"].upper() == "LOCAL"
    except (KeyError, ValueError) as error:
        raise _odd(path, where, str(error)) from error
    check_count(shape, where, path.name)
    if not known or not _sound(shape) or item_bytes <= 0:
        raise _odd(path, where, f"sizes {fields['DimSize']}, BinaryData {fields.get('BinaryData', 'True')}")
    _check_unit([fields.get("DistanceUnits", "")], path, where)
    matrix = _one_of(fields, ("TransformMatrix", "Orientation", "Rotation"), path, where)
    place = _one_of(fields, ("Offset", "Position", "Origin"), path, where)
    if matrix and not is_turn(matrix):
        numbers = " ".join(f"{each:.3g}" for each in matrix)
        raise _odd(path, where, f"axes {numbers}, which are not perpendicular and of length one")
    sizes = fields.get("ElementSpacing", fields.get("ElementSize", "1 " * len(shape))).split()
    if len(sizes) != len(shape) or not all(_is_size(each) for each in sizes):
        raise _odd(path, where, f"voxels of {' x '.join(sizes)}")
    data = _data_file(None if local else fields["ElementDataFile"], path, where)
    begin = begin + 1 if data == path else 0
    packed = fields.get("CompressedData", "False").lower() == "true"
    held, size = data.stat().st_size - begin, math.prod(shape) * item_bytes
    if packed and not (0 < _whole(fields.get("CompressedDataSize")) <= held and _unpacks(data, begin, size)):
        raise _odd(path, where, "compressed voxels that are cut off or damaged, or of no stated size")
    if "HeaderSize" in fields and not -1 <= _whole(fields["HeaderSize"]) <= (0 if packed else held - size):
        raise _odd(path, where, f"HeaderSize {fields['HeaderSize']}")
    skipped = _whole(fields.get("HeaderSize", "0"))
    return Claimed(
        shape,
        item_bytes,
        data,
        begin + (0 if packed else max(skipped, 0)),
        packed,
        size_known=bool({"ElementSpacing", "ElementSize"} & set(fields)),
        sides_known=bool(matrix),
        place_known=bool(place),
        counted=not packed and skipped >= 0,
    )


def is_turn(numbers):
    """Tell whether numbers are axes of length one, perpendicular to each other, within 1 %.

    Parameters
    ----------
    numbers : sequence of float
        One axis after the other.

    Returns
    -------
    bool
    """
    axes = np.asarray(numbers, float)
    n = round(axes.size**0.5)
    return n * n == axes.size and np.allclose(axes.reshape(n, n) @ axes.reshape(n, n).T, np.eye(n), atol=_TURN)


def _one_of(fields, names, path, where):
    """Numbers that stand under one of several names; under two of them they have to be the same."""
    try:
        stated = {name: [float(each) for each in fields[name].split()] for name in names if name in fields}
    except ValueError as error:
        raise _odd(path, where, str(error)) from error
    first = next(iter(stated), None)
    for name, numbers in stated.items():
        if len(numbers) != len(stated[first]) or not np.allclose(numbers, stated[first], atol=1e-3):
            raise _odd(path, where, f"{first} and {name} that differ")
    return stated.get(first)


def _header_text(path, where, *ends):
    """Read the text before the voxels, and where it ends."""
    with open(path, "rb") as stream:
        start = stream.read(MOST_HEADER)
    places = [start.find(end) for end in ends if end in start]
    if not places and (len(start) == MOST_HEADER or ends == (b"ElementDataFile",)):
        raise _odd(path, where, f"no end within {MOST_HEADER >> 20} MB")
    place = min(places, default=len(start))
    if ends == (b"ElementDataFile",):
        line_end = start.find(b"\n", place)
        place = line_end if line_end >= 0 else len(start)
        return start[:place].decode("utf-8", "replace"), place
    ended = next((len(end) for end in ends if start.startswith(end, place)), 0)
    return start[:place].decode("utf-8", "replace"), place + ended


def _add(fields, name, value, path, where):
    if name in fields and fields[name] != value:
        raise _odd(path, where, f"{name} twice")
    fields[name] = value


def _whole(text):
    """Read a whole number; -2 where there is none."""
    return int(text) if re.fullmatch(r"-?\d{1,15}", text or "") else -2


def _is_size(text):
    try:
        return 0 < float(text) < _LARGEST_SIZE
    except ValueError:
        return False


def _unpacks(data, begin, size):
    """Whether compressed voxels become as many bytes as they should: SimpleITK makes noise of what does not."""
    unzip = zlib.decompressobj(wbits=47)
    try:
        with open(data, "rb") as stream:
            stream.seek(begin)
            while size > 0 and not unzip.eof:
                block = unzip.decompress(unzip.unconsumed_tail or stream.read(_BLOCK), _BLOCK)
                size -= len(block)
                if not block and not unzip.unconsumed_tail and stream.tell() == data.stat().st_size:
                    break
    except zlib.error:
        return False
    return size == 0


def _sound(shape):
    return 1 <= len(shape) <= 5 and min(shape) >= 1 and math.prod(shape) < 2**62


def _check_unit(units, path, where):
    odd = [unit for unit in units if unit.lower() not in _MM]
    if odd:
        raise ImageError(
            where, "a header in mm", f"{odd[0]!r} in {path.name}", "write it again in mm, or convert from DICOM"
        )


def _data_file(name, path, where):
    """Find the file with the voxels: this one, or one that is named and lies in the same folder."""
    if name is None:
        return path
    folder = path.resolve().parent
    data = folder / name
    several = name.upper().startswith("LIST") or "%" in name
    if several or "\0" in name or not data.resolve().is_relative_to(folder) or not data.is_file():
        received = f"{name[:80]!r} in {path.name}" + ("" if several else ", which is not there")
        hint = "copy that file beside it, or save header and voxels in one file (.nrrd, .mha)"
        raise ImageError(where, "one file with the voxels, in the folder of the header", received, hint)
    return data.resolve()


def _odd(path, where, what):
    received = f"{path.name}, whose header has {' '.join(what.split())[:100]}"
    return ImageError(where, "a header that can be read", received, "save the scan again, for instance as .nii.gz")
