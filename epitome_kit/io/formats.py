"""Scans in every format that is read, known by content and bounded before a voxel is; NIfTI comes out."""

import gzip
import io
import math
import re
import struct
import warnings
from contextlib import contextmanager
from typing import NamedTuple

import nibabel as nib
import numpy as np

from epitome_kit.errors import ImageError
from epitome_kit.io.content import SCANS, describe_content, first_bytes, scan_kind
from epitome_kit.io.geometry import SIDES_UNKNOWN
from epitome_kit.io.header_checks import LOST_VOXEL_SIZE, check_count, check_header, check_length, check_size
from epitome_kit.io.itk_headers import is_turn, read_meta_header, read_nrrd_header

OTHER_FORMAT = "or bring DICOM into a cohort with `epitome cohort dicom`"
"""What to do with what is no scan in one file."""

_PLAIN, _PACKED = ".nii", ".nii.gz"
_MGH_TYPES = {0: 1, 1: 4, 3: 4, 4: 2, 10: 2}
_MGH_HEADER = 284
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Opened(NamedTuple):
    """A scan whose voxels are still to be read, or bounded by the size of its file.

    Attributes
    ----------
    image : SpatialImage
    header : Nifti1Header or None
        As it stands in the file; None where the file is no NIfTI.
    remarks : list of str
        What has to be said of it.
    """

    image: nib.spatialimages.SpatialImage
    header: nib.Nifti1Header | None
    remarks: list


@contextmanager
def _quiet():
    """Keep from the screen what a library says of the headers that it repairs."""
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
def open_scan(path, where):
    """Open a scan by its content.

    Parameters
    ----------
    path : Path
        A file that is there: NIfTI in one file or two, NRRD, MetaImage, MGH or
        Analyze, under any name; the first and MGH also in gzip.
    where : str
        The step to name in an error.

    Returns
    -------
    Opened

    Raises
    ------
    ImageError
        Something else; a part that is missing, or lies outside the folder; or a
        header that claims more than its file can hold.
    """
    start, packed = first_bytes(path)
    kind = scan_kind(start)
    name = path.name.lower()
    if kind not in ("nifti", "mgh", "nrrd", "meta") and name.endswith((".img", ".img.gz")):
        return _open_pair(_twin(path, "hdr", where), path, where)
    if kind in ("pair", "analyze"):
        return _open_pair(path, _twin(path, "img", where), where)
    if kind is None or (packed and kind in ("nrrd", "meta")):
        raise no_scan(path, start, packed, where)
    reader = {"nifti": _open_nifti, "mgh": _open_mgh, "nrrd": _open_itk, "meta": _open_itk}[kind]
    return reader(path, start, packed, where)


def no_scan(path, start, packed, where):
    """Make the error for a file that is none of the formats."""
    what = describe_content(start, path)
    hint = f"give a scan as .nii, .nii.gz, .nrrd, .mha or .mgz, {OTHER_FORMAT}"
    if "ends within" in what or what == "which is empty" or "pointer" in what:
        hint = "copy or download the file again"
    elif "archive" in what or packed:
        hint = "unpack it and give the scan itself"
    elif "begins with ._" in what:
        hint = "give the file of the same name without `._`"
    what = "which is damaged or empty gzip" if packed and not start else what + " in gzip" * packed
    return ImageError(where, "a readable scan: NIfTI, NRRD, MetaImage, MGH or Analyze", f"{path.name}, {what}", hint)


def _open_nifti(path, start, packed, where):
    header = check_header(path, start, where)
    if path.name.endswith(_PACKED if packed else _PLAIN):
        return Opened(opened := nib.load(path, mmap=False), header, _behind(opened, path, packed, where))
    check_count(header.get_data_shape(), where, path.name)
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    size = int(header["vox_offset"]) + _bytes_of(header.get_data_shape(), header.get_data_dtype().itemsize)
    content = _bounded(path, size, packed, where)
    opened = kind.from_file_map({"image": nib.FileHolder(fileobj=io.BytesIO(content))})
    return Opened(opened, header, _behind(opened, path, packed, where))


def _behind(opened, path, packed, where):
    """Hold the length of a file against the shape that nibabel reads from its header."""
    check_count(opened.shape, where, path.name)
    claimed = int(opened.dataobj.offset) + _bytes_of(opened.shape, opened.get_data_dtype().itemsize)
    check_size(claimed, path.stat().st_size, packed, where, path.name)
    return check_length(path, claimed, packed, where) if all(opened.shape) else []


def _open_pair(hdr, img, where):
    start, packed = first_bytes(hdr)
    kind = scan_kind(start)
    if kind not in ("pair", "analyze"):
        raise no_scan(hdr, start, packed, where)
    files = {"header": nib.FileHolder(filename=str(hdr)), "image": nib.FileHolder(filename=str(img))}
    if kind == "pair":
        header = check_header(hdr, start, where)
        pair = nib.Nifti2Pair if isinstance(header, nib.Nifti2Header) else nib.Nifti1Pair
        opened = pair.from_file_map(files, mmap=False)
        return Opened(opened, header, _behind(opened, img, first_bytes(img)[1], where))
    sizes = np.array(nib.AnalyzeHeader(start[:348], check=False)["pixdim"][1:4], float)
    if not (sizes > 0).all():
        received = f"a voxel size of {' x '.join(f'{size:g}' for size in sizes)} in {hdr.name}"
        raise ImageError(where, "voxel sizes above zero", received, "convert the scan from DICOM again")
    mat = hdr.with_name(f"{_stem(hdr)}.mat")
    files["mat"] = nib.FileHolder(filename=str(mat))
    opened = nib.Spm2AnalyzeImage.from_file_map(files, mmap=False)
    if (np.abs(nib.affines.voxel_sizes(opened.affine) / sizes - 1) > 0.01).any():
        received = f"another size in {mat.name} than in {hdr.name}"
        raise ImageError(where, "one voxel size", received, f"take away {mat.name} where it is wrong")
    remarks = _behind(opened, img, first_bytes(img)[1], where)
    return Opened(opened, None, remarks + [f"{hdr.name} is Analyze, which {SIDES_UNKNOWN}"] * (not mat.is_file()))


def _twin(path, ending, where):
    """Find the other file of a pair, in upper or lower case, in gzip or not."""
    stem = _stem(path)
    wanted = [f"{stem}.{ending}", f"{stem}.{ending}.gz"]
    found = [path.with_name(name) for name in wanted if path.with_name(name).is_file()]
    found += [each for each in sorted(path.parent.iterdir()) if each.name.lower() in [name.lower() for name in wanted]]
    found = [each for each in found if each != path]
    if found:
        return found[0]
    other = "the header" if ending == "hdr" else "the voxels"
    received = f"{path.name}, and no {wanted[0]} with {other} beside it"
    raise ImageError(
        where, "a readable pair of files, .hdr and .img", received, f"copy {wanted[0]} into the same folder"
    )


def _stem(path):
    return re.sub(r"\.(hdr|img)(\.gz)?$", "", path.name, flags=re.IGNORECASE)


def _open_mgh(path, start, packed, where):
    shape, begin, item_bytes = mgh_voxels(start)
    check_count(shape, where, path.name)
    known = struct.unpack(">h", start[28:30])[0] == 1
    sizes, axes = np.split(np.array(struct.unpack(">12f", start[30:78])), [3])
    if known and not ((sizes > 0).all() and is_turn(axes)):
        numbers = f"{' x '.join(f'{size:g}' for size in sizes)}, axes {' '.join(f'{axis:.3g}' for axis in axes)}"
        received, hint = f"voxels of {numbers} in {path.name}", "save the scan again from its origin"
        raise ImageError(where, "sizes above zero and perpendicular axes of length one", received, hint)
    content = _bounded(path, begin + _bytes_of(shape, item_bytes), packed, where)
    opened = nib.MGHImage.from_file_map({"image": nib.FileHolder(fileobj=io.BytesIO(content))})
    image = as_nifti(np.asarray(opened.dataobj), opened.affine)
    if not known:
        image.header["descrip"] = LOST_VOXEL_SIZE
        return Opened(image, None, [f"{path.name} says neither how large its voxels are nor which side is left"])
    return Opened(image, None, [])


def _open_itk(path, start, packed, where):
    """Read NRRD or MetaImage with SimpleITK, once its header has been held against its files."""
    import SimpleITK as sitk

    read, io_name = (
        (read_nrrd_header, "NrrdImageIO") if scan_kind(start) == "nrrd" else (read_meta_header, "MetaImageIO")
    )
    claimed = read(path, where)
    size = _bytes_of(claimed.shape, claimed.item_bytes)
    check_size(size + claimed.begin, claimed.data.stat().st_size, claimed.packed, where, claimed.data.name)
    behind = check_length(claimed.data, size + claimed.begin, False, where) if claimed.counted else []
    reader = sitk.ImageFileReader()
    reader.SetImageIO(io_name)
    reader.SetFileName(str(path))
    try:
        with _quiet_itk(sitk.ProcessObject):
            found = reader.Execute()
    except RuntimeError as error:
        kind = SCANS[scan_kind(start)]
        received = f"{path.name}, which is damaged or of a kind that is not read"
        raise ImageError(
            where, f"a readable {kind} file", received, "copy the file again, or save it as NIfTI"
        ) from error
    while found.GetDimension() > 3 and found.GetSize()[-1] == 1:
        found = found[..., 0]
    if found.GetDimension() != 3 or found.GetNumberOfComponentsPerPixel() != 1:
        received = f"{found.GetNumberOfComponentsPerPixel()} values a voxel, sizes {claimed.shape} from {path.name}"
        raise ImageError(where, "a 3-D image", received, "save one volume or layer alone")
    data = sitk.GetArrayFromImage(found).T
    axes = np.reshape(found.GetDirection(), (3, 3)) * found.GetSpacing()
    image = as_nifti(data, _LPS @ nib.affines.from_matvec(axes, found.GetOrigin()))
    remark = None if claimed.sides_known else SIDES_UNKNOWN
    if not claimed.size_known:
        image.header["descrip"] = LOST_VOXEL_SIZE
        remark = "says neither how large its voxels are nor which side is left"
    if not claimed.place_known:
        remark = f"{f'{remark}; it also ' if remark else ''}does not say where it lies, and is placed at 0 0 0"
    return Opened(image, None, behind + [f"{path.name} {remark}"] * bool(remark))


def mgh_voxels(start):
    """Read what the header of an MGH file says of its voxels.

    Parameters
    ----------
    start : bytes
        How the file begins, unpacked.

    Returns
    -------
    shape : list of int
    begin, item_bytes : int
        Where the voxels begin, and bytes of one.
    """
    *shape, code = struct.unpack(">5i", start[4:24])
    return shape, _MGH_HEADER, _MGH_TYPES[code]


def as_nifti(data, affine):
    """Make an image of numbers of any type, in mm; a type that NIfTI lacks becomes one that it has."""
    data = data.astype(np.uint8) if data.dtype.kind == "b" else data
    image = nib.Nifti1Image(data.astype(data.dtype.newbyteorder("=")), affine, dtype=data.dtype.newbyteorder("="))
    image.header.set_xyzt_units("mm")
    return image


def _bytes_of(shape, item_bytes):
    return math.prod(int(n) for n in shape) * item_bytes


def _bounded(path, size, packed, where):
    """Read as many bytes of a file as its header claims, once they can be there."""
    check_size(size, path.stat().st_size, packed, where, path.name)
    with gzip.open(path) if packed else open(path, "rb") as stream:
        return stream.read(size)


@contextmanager
def _quiet_itk(process):
    """Keep from the screen what ITK would print there."""
    before = process.GetGlobalWarningDisplay()
    process.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        process.SetGlobalWarningDisplay(before)
