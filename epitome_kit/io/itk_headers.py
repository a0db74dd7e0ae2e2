"""Read NRRD and MetaImage headers, to check them against their files before SimpleITK opens these."""

import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from epitome_kit.errors import ImageError
from epitome_kit.folders import open_file
from epitome_kit.io.header_checks import check_voxel_count

MOST_HEADER = 2**20
"""Maximum size of a header in bytes; that of a segmentation with many parts has some thousand."""

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
_ROTATION_TOLERANCE = 0.02
"""Largest error of the product of two axes, or of the square of their length; 1 % of a length."""

_BLOCK = 1 << 20
_LONGEST_LINE = 4000
_PACKED, _PLAIN = ("gzip", "gz"), ("raw",)
_MM = ("mm", "millimeter", "millimetre", "")


class VoxelLayout(NamedTuple):
    """Voxels of a scan according to its header.

    Attributes
    ----------
    shape : tuple of int
        Number of voxels along each axis.
    item_bytes : int
        Bytes per voxel.
    data : Path
        The file that holds the voxels.
    begin : int
        Smallest possible offset of the voxels, in bytes.
    packed : bool
        Whether the voxels are compressed.
    size_known, sides_known, place_known : bool
        Whether the header has voxel sizes, an orientation and an origin.
    counted : bool
        Whether the voxels end with the file, and are not compressed.
    """

    shape: tuple[int, ...]
    item_bytes: int
    data: Path
    begin: int
    packed: bool
    size_known: bool
    sides_known: bool
    place_known: bool
    counted: bool


def read_nrrd_header(path: Path, where: str) -> VoxelLayout:
    """Read the header of a NRRD file.

    Parameters
    ----------
    path : Path
        A ``.nrrd`` or ``.nhdr`` file.
    where : str
        The step to name in an error.

    Returns
    -------
    VoxelLayout
        What the header states about the voxels.

    Raises
    ------
    ImageError
        A field is missing or invalid, the unit is not mm, or the file with the voxels is
        missing, outside the folder, or one of several.
    """
    text, begin = _header_text(path, where, b"\n\n", b"\r\n\r\n")
    fields: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#") and not value.startswith("="):
            _add_field(fields, name.strip().lower(), value.strip(), path, where)
    try:
        shape = tuple(int(each) for each in fields["sizes"].split())
        item_bytes = _NRRD_BYTES[fields["type"].lower()]
        encoding = fields["encoding"].lower()
        known = len(shape) == int(fields["dimension"]) and encoding in _PACKED + _PLAIN
    except (KeyError, ValueError) as error:
        raise _header_error(path, where, str(error)) from error
    check_voxel_count(shape, where, path.name)
    if not known or not _is_valid_shape(shape) or fields.get("block size"):
        raise _header_error(path, where, f"sizes {fields['sizes']}, encoding {encoding}")
    units = [unit.strip() for unit in fields.get("space units", fields.get("units", "")).split('"')]
    _check_unit(units, path, where)
    directions = fields.get("space directions")
    spacings = [each for each in fields.get("spacings", "").lower().split() if each != "nan"]
    data = _data_file(fields.get("data file", fields.get("datafile")), path, where)
    begin = begin if data == path else 0
    skipped = _integer(fields.get("byte skip", fields.get("byteskip", "0")))
    lines = _integer(fields.get("line skip", fields.get("lineskip", "0")))
    packed, size = encoding in _PACKED, math.prod(shape) * item_bytes
    if skipped < -1 or lines < 0 or (skipped < 0 and packed):
        raise _header_error(path, where, f"byte skip {skipped}, line skip {lines}")
    if packed and not lines and not _decompresses_to(data, begin, size + skipped):
        raise _header_error(path, where, "compressed voxels whose number does not match the sizes")
    return VoxelLayout(
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


def read_meta_header(path: Path, where: str) -> VoxelLayout:
    """Read the header of a MetaImage.

    Parameters
    ----------
    path : Path
        A ``.mha`` or ``.mhd`` file.
    where : str
        The step to name in an error.

    Returns
    -------
    VoxelLayout
        What the header states about the voxels.

    Raises
    ------
    ImageError
        As :func:`read_nrrd_header`, or the compressed voxels are truncated.
    """
    text, begin = _header_text(path, where, b"ElementDataFile")
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if len(line) > _LONGEST_LINE:
            raise _header_error(path, where, f"a line of {len(line)} characters")
        name, equals, value = line.partition("=")
        if equals:
            _add_field(fields, name.strip(), value.strip(), path, where)
    try:
        shape = tuple(int(each) for each in fields["DimSize"].split())
        item_bytes = _META_BYTES[fields["ElementType"]] * int(fields.get("ElementNumberOfChannels", 1))
        known = len(shape) == int(fields["NDims"]) and fields.get("BinaryData", "True").lower() == "true"
        local = fields["ElementDataFile"].upper() == "LOCAL"
    except (KeyError, ValueError) as error:
        raise _header_error(path, where, str(error)) from error
    check_voxel_count(shape, where, path.name)
    if not known or not _is_valid_shape(shape) or item_bytes <= 0:
        raise _header_error(path, where, f"sizes {fields['DimSize']}, BinaryData {fields.get('BinaryData', 'True')}")
    _check_unit([fields.get("DistanceUnits", "")], path, where)
    matrix = _numbers(fields, ("TransformMatrix", "Orientation", "Rotation"), path, where)
    place = _numbers(fields, ("Offset", "Position", "Origin"), path, where)
    if matrix and not is_rotation(matrix):
        numbers = " ".join(f"{each:.3g}" for each in matrix)
        raise _header_error(path, where, f"axes {numbers}, which are not perpendicular and of length one")
    sizes = fields.get("ElementSpacing", fields.get("ElementSize", "1 " * len(shape))).split()
    if len(sizes) != len(shape) or not all(_is_size(each) for each in sizes):
        raise _header_error(path, where, f"voxels of {' x '.join(sizes)}")
    data = _data_file(None if local else fields["ElementDataFile"], path, where)
    begin = begin + 1 if data == path else 0
    packed = fields.get("CompressedData", "False").lower() == "true"
    held, size = data.stat().st_size - begin, math.prod(shape) * item_bytes
    if packed and not (0 < _integer(fields.get("CompressedDataSize")) <= held and _decompresses_to(data, begin, size)):
        raise _header_error(path, where, "compressed voxels that are truncated, damaged or of unknown size")
    if "HeaderSize" in fields and not -1 <= _integer(fields["HeaderSize"]) <= (0 if packed else held - size):
        raise _header_error(path, where, f"HeaderSize {fields['HeaderSize']}")
    skipped = _integer(fields.get("HeaderSize", "0"))
    return VoxelLayout(
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


def is_rotation(numbers: Sequence[float] | np.ndarray) -> bool:
    """Check whether axes are perpendicular and of length one, within 1 %.

    Parameters
    ----------
    numbers : sequence of float
        Components of the first axis, then of the next.

    Returns
    -------
    bool
        Also False if the number of components is not a square.
    """
    axes = np.asarray(numbers, float)
    n = round(axes.size**0.5)
    return n * n == axes.size and np.allclose(
        axes.reshape(n, n) @ axes.reshape(n, n).T, np.eye(n), atol=_ROTATION_TOLERANCE
    )


def _numbers(fields: Mapping[str, str], names: Iterable[str], path: Path, where: str) -> list[float] | None:
    """Return the numbers of a field with several possible names; repeats must agree."""
    try:
        stated = {name: [float(each) for each in fields[name].split()] for name in names if name in fields}
    except ValueError as error:
        raise _header_error(path, where, str(error)) from error
    first = next(iter(stated), None)
    if first is None:
        return None
    for name, numbers in stated.items():
        if len(numbers) != len(stated[first]) or not np.allclose(numbers, stated[first], atol=1e-3):
            raise _header_error(path, where, f"{first} and {name} that differ")
    return stated[first]


def _header_text(path: Path, where: str, *ends: bytes) -> tuple[str, int]:
    """Read the text before the voxels, and its length in bytes."""
    with open_file(path) as stream:
        start = stream.read(MOST_HEADER)
    places = [start.find(end) for end in ends if end in start]
    if not places and (len(start) == MOST_HEADER or ends == (b"ElementDataFile",)):
        raise _header_error(path, where, f"no end within {MOST_HEADER >> 20} MB")
    place = min(places, default=len(start))
    if ends == (b"ElementDataFile",):
        line_end = start.find(b"\n", place)
        place = line_end if line_end >= 0 else len(start)
        return start[:place].decode("utf-8", "replace"), place
    ended = next((len(end) for end in ends if start.startswith(end, place)), 0)
    return start[:place].decode("utf-8", "replace"), place + ended


def _add_field(fields: dict[str, str], name: str, value: str, path: Path, where: str) -> None:
    if name in fields and fields[name] != value:
        raise _header_error(path, where, f"{name} twice")
    fields[name] = value


def _integer(text: str | None) -> int:
    """Read an integer; return -2 for other text."""
    return int(text) if text and re.fullmatch(r"-?\d{1,15}", text) else -2


def _is_size(text: str) -> bool:
    try:
        return 0 < float(text) < _LARGEST_SIZE
    except ValueError:
        return False


def _decompresses_to(data: Path, begin: int, size: int) -> bool:
    """Whether compressed voxels have the right number of bytes; SimpleITK reads noise otherwise."""
    unzip = zlib.decompressobj(wbits=47)
    try:
        with open_file(data) as stream:
            stream.seek(begin)
            while size > 0 and not unzip.eof:
                block = unzip.decompress(unzip.unconsumed_tail or stream.read(_BLOCK), _BLOCK)
                size -= len(block)
                if not block and not unzip.unconsumed_tail and stream.tell() == data.stat().st_size:
                    break
    except zlib.error:
        return False
    return size == 0


def _is_valid_shape(shape: Sequence[int]) -> bool:
    return 1 <= len(shape) <= 5 and min(shape) >= 1 and math.prod(shape) < 2**62


def _check_unit(units: Iterable[str], path: Path, where: str) -> None:
    odd = [unit for unit in units if unit.lower() not in _MM]
    if odd:
        raise ImageError(
            where, "a header in mm", f"{odd[0]!r} in {path.name}", "write it again in mm, or convert from DICOM"
        )


def _data_file(name: str | None, path: Path, where: str) -> Path:
    """Find the file with the voxels: the header file itself, or the named one in the same folder."""
    if name is None:
        return path
    folder = path.resolve().parent
    data = folder / name
    several = name.upper().startswith("LIST") or "%" in name
    if several or "\0" in name or not data.resolve().is_relative_to(folder) or not data.is_file():
        received = f"{name[:80]!r} in {path.name}" + ("" if several else ", which does not exist")
        hint = "copy that file into its folder, or save header and voxels in one file (.nrrd, .mha)"
        raise ImageError(where, "one file with the voxels, in the folder of the header", received, hint)
    return data.resolve()


def _header_error(path: Path, where: str, content: str) -> ImageError:
    received = f"{path.name}, whose header has {' '.join(content.split())[:100]}"
    return ImageError(where, "a header that can be read", received, "save the scan again, for instance as .nii.gz")
