"""Open scans of several formats as NIfTI; formats are recognised by content, sizes checked before voxels are read."""

import gzip
import io
import math
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import nibabel as nib
import numpy as np

from epitome_kit.errors import ImageError
from epitome_kit.folders import open_file
from epitome_kit.io.content import describe_content, first_bytes, scan_kind
from epitome_kit.io.geometry import SIDES_UNKNOWN
from epitome_kit.io.header_checks import (
    LOST_VOXEL_SIZE,
    check_file_end,
    check_file_size,
    check_header,
    check_voxel_count,
)
from epitome_kit.io.itk_headers import is_rotation, read_meta_header, read_nrrd_header

if TYPE_CHECKING:
    import SimpleITK

OTHER_FORMAT = "or bring DICOM into a cohort with `epitome cohort dicom`"
"""Hint for folders and for files that are not scans."""

_PLAIN, _PACKED = ".nii", ".nii.gz"
_MGH_TYPES = {0: 1, 1: 4, 3: 4, 4: 2, 10: 2}
_MGH_HEADER = 284
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class OpenedScan(NamedTuple):
    """An opened scan, whose voxels may still have to be read.

    Attributes
    ----------
    image : SpatialImage
        The file is at least as large as its header requires.
    header : Nifti1Header or None
        Unchanged from the file; None for other formats than NIfTI.
    remarks : list of str
        Messages for the user.
    """

    image: nib.spatialimages.SpatialImage
    header: nib.Nifti1Header | None
    remarks: list[str]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the messages of nibabel about repaired headers."""
    logger = nib.imageglobals.logger
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            for category in (UserWarning, RuntimeWarning):
                warnings.simplefilter("ignore", category)
            yield
    finally:
        logger.disabled = before


@_quiet()
def open_scan(path: Path, where: str) -> OpenedScan:
    """Open a scan of any supported format.

    Parameters
    ----------
    path : Path
        An existing file with any name: NIfTI in one file or two, NRRD, MetaImage, MGH
        or Analyze; NIfTI and MGH may be compressed by gzip.
    where : str
        The step to name in an error.

    Returns
    -------
    OpenedScan
        The image, its header and remarks.

    Raises
    ------
    ImageError
        Another format; a part of the scan is missing or lies outside the folder; or the
        file is smaller than its header requires.
    """
    start, packed = first_bytes(path)
    kind = scan_kind(start)
    name = path.name.lower()
    if kind not in ("nifti", "mgh", "nrrd", "meta") and name.endswith((".img", ".img.gz")):
        return _open_pair(_find_partner(path, "hdr", where), path, where)
    if kind in ("pair", "analyze"):
        return _open_pair(path, _find_partner(path, "img", where), where)
    if kind is None or (packed and kind in ("nrrd", "meta")):
        raise unknown_format(path, start, packed, where)
    reader = {"nifti": _open_nifti, "mgh": _open_mgh, "nrrd": _open_itk, "meta": _open_itk}[kind]
    return reader(path, start, packed, where)


def unknown_format(path: Path, start: bytes, packed: bool, where: str) -> ImageError:
    """Make the error for a file of another format."""
    content = describe_content(start, path)
    hint = f"give a scan as .nii, .nii.gz, .nrrd, .mha or .mgz, {OTHER_FORMAT}"
    if "ends within" in content or content == "which is empty" or "pointer" in content:
        hint = "copy or download the file again"
    elif "archive" in content or packed:
        hint = "unpack it and give the scan inside"
    elif "begins with ._" in content:
        hint = "give the file of the same name without `._`"
    content = "which is damaged or empty gzip" if packed and not start else content + " in gzip" * packed
    received = f"{path.name}, {content}"
    return ImageError(where, "a readable scan: NIfTI, NRRD, MetaImage, MGH or Analyze", received, hint)


def _open_nifti(path: Path, start: bytes, packed: bool, where: str) -> OpenedScan:
    header = check_header(path, start, where)
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    if path.name.endswith(_PACKED if packed else _PLAIN):
        opened = kind.from_filename(path, mmap=False)
        return OpenedScan(opened, header, _check_end(opened, path, packed, where))
    check_voxel_count(header.get_data_shape(), where, path.name)
    size = int(header["vox_offset"]) + _bytes_of(header.get_data_shape(), header.get_data_dtype().itemsize)
    content = _read_bytes(path, size, packed, where)
    opened = kind.from_file_map({"image": nib.FileHolder(fileobj=io.BytesIO(content))})
    return OpenedScan(opened, header, _check_end(opened, path, packed, where))


def _check_end(opened: nib.spatialimages.SpatialImage, path: Path, packed: bool, where: str) -> list[str]:
    """Check the length of a file against the shape that nibabel reads from its header; return remarks."""
    check_voxel_count(opened.shape, where, path.name)
    offset = int(opened.dataobj.offset) if isinstance(opened.dataobj, nib.arrayproxy.ArrayProxy) else 0
    claimed = offset + _bytes_of(opened.shape, opened.get_data_dtype().itemsize)
    check_file_size(claimed, path.stat().st_size, packed, where, path.name)
    return check_file_end(path, claimed, packed, where) if all(opened.shape) else []


def _open_pair(hdr: Path, img: Path, where: str) -> OpenedScan:
    start, packed = first_bytes(hdr)
    kind = scan_kind(start)
    if kind not in ("pair", "analyze"):
        raise unknown_format(hdr, start, packed, where)
    files = {"header": nib.FileHolder(filename=str(hdr)), "image": nib.FileHolder(filename=str(img))}
    if kind == "pair":
        header = check_header(hdr, start, where)
        pair = nib.Nifti2Pair if isinstance(header, nib.Nifti2Header) else nib.Nifti1Pair
        opened = pair.from_file_map(files, mmap=False)
        return OpenedScan(opened, header, _check_end(opened, img, first_bytes(img)[1], where))
    sizes = np.array(nib.AnalyzeHeader(start[:348], check=False)["pixdim"][1:4], float)
    if not (sizes > 0).all():
        received = f"a voxel size of {' x '.join(f'{size:g}' for size in sizes)} in {hdr.name}"
        raise ImageError(where, "voxel sizes above zero", received, "convert the scan from DICOM again")
    mat = hdr.with_name(f"{_stem(hdr)}.mat")
    files["mat"] = nib.FileHolder(filename=str(mat))
    opened = nib.Spm2AnalyzeImage.from_file_map(files, mmap=False)
    if (np.abs(nib.affines.voxel_sizes(opened.affine) / sizes - 1) > 0.01).any():
        received = f"another size in {mat.name} than in {hdr.name}"
        raise ImageError(where, "one voxel size", received, f"remove {mat.name} if it is wrong")
    remarks = _check_end(opened, img, first_bytes(img)[1], where)
    return OpenedScan(opened, None, remarks + [f"{hdr.name} is Analyze, which {SIDES_UNKNOWN}"] * (not mat.is_file()))


def _find_partner(path: Path, ending: str, where: str) -> Path:
    """Find the other file of a pair, in upper or lower case, compressed or not."""
    stem = _stem(path)
    names = [f"{stem}.{ending}", f"{stem}.{ending}.gz"]
    found = [path.with_name(name) for name in names if path.with_name(name).is_file()]
    found += [each for each in sorted(path.parent.iterdir()) if each.name.lower() in [name.lower() for name in names]]
    found = [each for each in found if each != path]
    if found:
        return found[0]
    other = "the header" if ending == "hdr" else "the voxels"
    received = f"{path.name} without {names[0]}, which holds {other}"
    raise ImageError(
        where, "a readable pair of files, .hdr and .img", received, f"copy {names[0]} into the same folder"
    )


def _stem(path: Path) -> str:
    return re.sub(r"\.(hdr|img)(\.gz)?$", "", path.name, flags=re.IGNORECASE)


def _open_mgh(path: Path, start: bytes, packed: bool, where: str) -> OpenedScan:
    shape, begin, item_bytes = mgh_voxels(start)
    check_voxel_count(shape, where, path.name)
    known = struct.unpack(">h", start[28:30])[0] == 1
    sizes, axes = np.split(np.array(struct.unpack(">12f", start[30:78])), [3])
    if known and not ((sizes > 0).all() and is_rotation(axes)):
        numbers = f"{' x '.join(f'{size:g}' for size in sizes)}, axes {' '.join(f'{axis:.3g}' for axis in axes)}"
        received, hint = f"voxels of {numbers} in {path.name}", "save the scan again from its origin"
        raise ImageError(where, "sizes above zero and perpendicular axes of length one", received, hint)
    content = _read_bytes(path, begin + _bytes_of(shape, item_bytes), packed, where)
    opened = nib.MGHImage.from_file_map({"image": nib.FileHolder(fileobj=io.BytesIO(content))})
    image = as_nifti(np.asarray(opened.dataobj), opened.affine)
    if not known:
        image.header["descrip"] = LOST_VOXEL_SIZE
        return OpenedScan(image, None, [f"{path.name} has neither voxel sizes nor an orientation"])
    return OpenedScan(image, None, [])


def _open_itk(path: Path, start: bytes, packed: bool, where: str) -> OpenedScan:
    """Read NRRD or MetaImage with SimpleITK, after its header has been checked against its files."""
    import SimpleITK as sitk

    read, io_name = (
        (read_nrrd_header, "NrrdImageIO") if scan_kind(start) == "nrrd" else (read_meta_header, "MetaImageIO")
    )
    layout = read(path, where)
    size = _bytes_of(layout.shape, layout.item_bytes)
    check_file_size(size + layout.begin, layout.data.stat().st_size, layout.packed, where, layout.data.name)
    behind = check_file_end(layout.data, size + layout.begin, False, where) if layout.counted else []
    reader = sitk.ImageFileReader()
    reader.SetImageIO(io_name)
    reader.SetFileName(str(path))
    try:
        with _quiet_itk(sitk.ProcessObject):
            found = reader.Execute()
    except RuntimeError as error:
        kind = "NRRD" if read is read_nrrd_header else "MetaImage"
        received, hint = f"{path.name}, which is damaged or not supported", "copy the file again, or save it as NIfTI"
        raise ImageError(where, f"a readable {kind} file", received, hint) from error
    while found.GetDimension() > 3 and found.GetSize()[-1] == 1:
        found = found[..., 0]
    if found.GetDimension() != 3 or found.GetNumberOfComponentsPerPixel() != 1:
        received = f"{found.GetNumberOfComponentsPerPixel()} values per voxel, sizes {layout.shape} from {path.name}"
        raise ImageError(where, "a 3-D image", received, "save a single volume or layer")
    data = sitk.GetArrayFromImage(found).T
    axes = np.reshape(found.GetDirection(), (3, 3)) * found.GetSpacing()
    image = as_nifti(data, _LPS @ nib.affines.from_matvec(axes, found.GetOrigin()))
    remark = None if layout.sides_known else SIDES_UNKNOWN
    if not layout.size_known:
        image.header["descrip"] = LOST_VOXEL_SIZE
        remark = "has neither voxel sizes nor an orientation"
    if not layout.place_known:
        remark = f"{f'{remark}; it ' if remark else ''}has no origin and is placed at 0 0 0"
    return OpenedScan(image, None, behind + [f"{path.name} {remark}"] * bool(remark))


def mgh_voxels(start: bytes) -> tuple[list[int], int, int]:
    """Read shape, offset and voxel size in bytes from the header of an MGH file.

    Parameters
    ----------
    start : bytes
        First bytes of the file, decompressed.

    Returns
    -------
    shape : list of int
        Number of voxels along each axis.
    begin : int
        Offset of the voxels, in bytes.
    item_bytes : int
        Bytes per voxel.
    """
    *shape, code = struct.unpack(">5i", start[4:24])
    return shape, _MGH_HEADER, _MGH_TYPES[code]


def as_nifti(data: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    """Make a NIfTI image in mm; bool becomes uint8."""
    data = data.astype(np.uint8) if data.dtype.kind == "b" else data
    image = nib.Nifti1Image(data.astype(data.dtype.newbyteorder("=")), affine, dtype=data.dtype.newbyteorder("="))
    image.header.set_xyzt_units("mm")
    return image


def _bytes_of(shape: Sequence[int], item_bytes: int) -> int:
    return math.prod(int(n) for n in shape) * item_bytes


def _read_bytes(path: Path, size: int, packed: bool, where: str) -> bytes:
    """Read as many bytes of a file as its header requires, if the file can hold them."""
    check_file_size(size, path.stat().st_size, packed, where, path.name)
    with gzip.open(path) if packed else open_file(path) as stream:
        return stream.read(size)


@contextmanager
def _quiet_itk(process: "type[SimpleITK.ProcessObject]") -> Iterator[None]:
    """Silence the messages of ITK."""
    before = process.GetGlobalWarningDisplay()
    process.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        process.SetGlobalWarningDisplay(before)
