"""Images: nibabel NIfTI in and out, with their grid respected and checked."""

import gzip
import warnings
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.errors import EpitomeWarning, ImageError, OutputError, UnknownVoxelSizeError
from epitome_kit.files import whole_file
from epitome_kit.io.formats import OTHER_FORMAT, as_nifti, open_scan
from epitome_kit.io.geometry import (
    agrees_with_affine,
    check_agreement,
    remark_on_field,
    same_grid,
    stated_affine,
    with_affine,
)
from epitome_kit.io.header_checks import LOST_VOXEL_SIZE, check_header_plausible, strip_header_text
from epitome_kit.io.mask_labels import voxels_inside

GRID_MM = 4.0  # voxels of the coarse scans that the networks and the alarms look at
_LARGEST_VALUE = 1e15
_DAMAGE = (
    *(nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError, zlib.error),
    *(OSError, EOFError, ValueError, OverflowError, MemoryError),
)


def load_image(image, *, where="load_image", check_voxels=True, trust=None):
    """Load one 3-D scan or mask and make sure it can be used.

    A file is known by its content: NIfTI, NRRD, MetaImage, MGH or Analyze. Nothing
    is read before its header is held against the file, and the free text of the
    header, where names and days stand, is left behind. What has to be assumed is a
    warning, :class:`epitome_kit.errors.EpitomeWarning`; see :func:`epitome_kit.errors.noticed`.

    Parameters
    ----------
    image : path or Nifti1Image
        Trailing dimensions of length one are dropped.
    where : str, default="load_image"
        The step to name in an error.
    check_voxels : bool, default=True
        Also read every voxel and refuse NaN, infinity and constant volumes.
    trust : {"sform", "qform"}, default=None
        Which affine of a NIfTI header counts where they disagree; it then stands in
        both places of the header.

    Returns
    -------
    Nifti1Image
        Shape (i, j, k), affine in mm.

    Raises
    ------
    ImageError
        Missing, unreadable, truncated, not 3-D, larger than its file or than any
        head, with a singular affine, with a header that says two things of one
        place, or (with `check_voxels`) not finite or all of one value.
    """
    opened, name, header = _open(image, where)
    shape = opened.shape[:3] if set(opened.shape[3:]) <= {1} else opened.shape
    if len(shape) != 3 or min(shape) < 1:
        raise ImageError(
            where, "a 3-D image", f"shape {opened.shape} from {name}", "pick one volume with `image.slicer[..., 0]`"
        )
    placed = _place(opened, header, where, name, trust)
    if opened is not image:
        placed = placed if isinstance(placed, nib.Nifti1Pair) else as_nifti(np.asarray(placed.dataobj), placed.affine)
        strip_header_text(placed.header)
        small = remark_on_field(placed) if voxel_size_known(placed) else None
        _say([f"{name} {small}"] if small else [])
    try:
        data = np.asarray(placed.dataobj) if check_voxels else None
    except _DAMAGE as error:
        raise _unreadable(where, name, error) from error
    if data is not None:
        _check_values(data, where, name)
    if placed.shape != shape:
        return nib.Nifti1Image(np.asarray(placed.dataobj).reshape(shape), placed.affine, placed.header)
    return placed


def _open(image, where):
    """Return the image, a name for messages, and its NIfTI header as it stands in the file."""
    if not isinstance(image, (str, Path)):
        name = image.get_filename() or "an image in memory"
        if image.affine is None:
            image = type(image)(image.dataobj, image.header.get_best_affine(), image.header)
        return image, name, image.header
    path = Path(image)
    if path.is_dir():
        raise ImageError(where, "a NIfTI file", f"{path}, a folder", f"name a file in it, {OTHER_FORMAT}")
    if not path.is_file():
        raise ImageError(where, "a NIfTI file", f"{path}, which does not exist", "check the path")
    try:
        opened = open_scan(path, where)
    except _DAMAGE as error:
        raise _unreadable(where, path.name, error) from error
    _say(opened.remarks)
    return opened.image, path.name, opened.header


def _place(image, header, where, name, trust):
    """Put an image where its header says that it lies, once that can be believed."""
    if not isinstance(header, nib.Nifti1Header) or not isinstance(image, nib.Nifti1Pair):
        check_header_plausible(image, where, name=name)
        return image
    if trust is None and not np.allclose(image.affine, image.header.get_best_affine(), equal_nan=True):
        check_header_plausible(image, where, name=name)  # put elsewhere in memory; its header follows when it is saved
        return image
    affine, remarks = stated_affine(image, header, trust, where=where, name=name)
    both = int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0
    try:
        check_header_plausible(image, where, affine=affine, name=name)
    except ImageError:
        if trust is None and both:  # the other of the two may be a way out
            check_agreement(image, header, where=where, name=name)
        raise
    if trust is None:
        check_agreement(image, header, where=where, name=name)
    _say(remarks)
    return image if trust is None and not remarks and agrees_with_affine(image) else with_affine(image, affine)


def _say(remarks):
    for remark in remarks:
        warnings.warn(remark, EpitomeWarning, stacklevel=4)


def _unreadable(where, name, error):
    damaged = isinstance(error, (zlib.error, EOFError, gzip.BadGzipFile))
    reason = "cut off or damaged" if damaged else " ".join(str(error).split())[:160]
    return ImageError(where, "a readable scan", f"{name} ({reason})", "copy or download the file again")


def _check_values(data, where, name):
    if data.dtype.kind not in "biuf":
        raise ImageError(
            where,
            "real numbers in the voxels",
            f"data type {data.dtype} from {name}",
            "take the magnitude or one channel first",
        )
    bad = data.size - np.count_nonzero(np.isfinite(data)) if data.dtype.kind == "f" else 0
    if bad:
        raise ImageError(
            where,
            "finite voxels",
            f"{bad} of {data.size} voxels NaN or infinite in {name}",
            "replace them with `numpy.nan_to_num`, or export the scan again",
        )
    if data.dtype.kind == "f" and max(abs(data.min()), abs(data.max())) > _LARGEST_VALUE:
        raise ImageError(
            where,
            f"voxels of at most {_LARGEST_VALUE:g}",
            f"values from {data.min():g} to {data.max():g} in {name}",
            "look at the scaling in its header, or export the scan again",
        )
    if data.size and data.min() == data.max():
        raise ImageError(
            where,
            "a volume with contrast",
            f"every voxel equal to {data.flat[0]} in {name}",
            "check that the right series was exported",
        )


def load_mask(mask, *, like=None, where="load_mask", labels=None, trust=None):
    """Load a mask of one part as a uint8 image of 0 and 1.

    Fractions are cut at one half, which is a warning; see :func:`epitome_kit.errors.noticed`.

    Parameters
    ----------
    mask : path or Nifti1Image
    like : Nifti1Image, default=None
        The scan that the mask was drawn on.
    where : str, default="load_mask"
        The step to name in an error.
    labels : str or collection of int, default=None
        Which values are inside where there are several: numbers, ``"1,2,4"``,
        ``"all"`` for all above zero, or a part of a scheme such as ``"brats21:WT"``
        (:data:`epitome_kit.io.mask_labels.SCHEMES`).
    trust : {"sform", "qform"}, default=None
        As for :func:`load_image`.

    Returns
    -------
    Nifti1Image
        Shape (i, j, k).

    Raises
    ------
    ImageError
        Unreadable, not on the grid of `like`, a scan rather than a mask, or several
        labels with none asked for.
    """
    loaded = load_image(mask, where=where, check_voxels=False, trust=trust)
    name = Path(mask).name if isinstance(mask, (str, Path)) else loaded.get_filename() or "a mask in memory"
    if like is not None and not same_grid(loaded, like):
        raise ImageError(
            where,
            f"a mask on the grid of its scan, shape {like.shape}",
            f"shape {loaded.shape} and affine {np.round(loaded.affine, 2).tolist()} from {name}",
            "resample the mask with `nilearn.image.resample_to_img(..., interpolation='nearest')`",
        )
    try:
        data = np.asarray(loaded.dataobj)
    except _DAMAGE as error:
        raise _unreadable(where, name, error) from error
    if data.dtype.kind not in "biuf":
        _check_values(data, where, name)
    voxel_ml = abs(np.linalg.det(loaded.affine[:3, :3])) / 1000 if voxel_size_known(loaded) else None
    inside = voxels_inside(data, labels, where=where, name=name, voxel_ml=voxel_ml)
    _say(f"{name} {remark}" for remark in inside.remarks)
    return image_like(inside.voxels.astype(np.uint8), loaded)


def image_like(data, image):
    """Return `data` as an image on the grid of `image`, data type of `data`."""
    header = image.header.copy()
    strip_header_text(header)
    header.set_data_dtype(data.dtype)
    header["scl_slope"], header["scl_inter"] = np.nan, np.nan
    header["cal_min"], header["cal_max"] = 0, 0
    return nib.Nifti1Image(data, image.affine, header)


def require_nifti_name(path, *, where="save_image"):
    """Make sure that a path to write to is named as NIfTI.

    Raises
    ------
    OutputError
        The name ends neither in ``.nii`` nor in ``.nii.gz``.
    """
    if not str(path).endswith((".nii", ".nii.gz")):
        raise OutputError(where, "a name that ends in .nii or .nii.gz", f"{path}", f"write to `{path}.nii.gz`")


def save_image(image, path):
    """Write an image as NIfTI, whole or not at all."""
    require_nifti_name(path)
    with whole_file(path) as temporary:
        nib.save(image, temporary)


def mark_voxel_size_unknown(image):
    """Return the image with a note in its header that its origin lost the voxel size."""
    header = image.header.copy()
    header["descrip"] = LOST_VOXEL_SIZE
    header.set_xyzt_units("unknown")
    return nib.Nifti1Image(image.dataobj, image.affine, header)


def voxel_size_known(image):
    """Tell whether the image knows how large its voxels are."""
    return bytes(image.header["descrip"]).rstrip(b"\0") != LOST_VOXEL_SIZE


def spacing_mm(image, *, where="spacing_mm"):
    """Voxel size along the three axes, in mm.

    Raises
    ------
    UnknownVoxelSizeError
        The origin lost the voxel size.
    """
    if not voxel_size_known(image):
        raise UnknownVoxelSizeError(
            where,
            "a scan with a known voxel size",
            f"{image.get_filename() or 'an image'} whose origin lost it",
            "measure in voxels, or import the original DICOM",
        )
    return tuple(float(size) for size in nib.affines.voxel_sizes(image.affine))


def axis_codes(image):
    """Orientation of the three axes as letters, such as ``"RAS"``."""
    return "".join(nib.aff2axcodes(image.affine))


def unit_range(data):
    """Scale an array to float32 from 0 to 1, with the brightest half per cent of the head at 1."""
    data = np.asarray(data, np.float32) - np.float32(min(np.min(data), 0))
    bright = data[data > 0.1 * data.max()]
    top = np.quantile(bright, 0.99) if bright.size else 1
    return np.clip(data / np.float32(max(top, 1e-6)), 0, 1)


def resample_isotropic(image, spacing, *, multiple=1):
    """Resample to cubic voxels along the RAS axes, smoothing first where it gets coarser.

    Parameters
    ----------
    image : Nifti1Image
        Shape (i, j, k), any orientation, oblique or sheared.
    spacing : float
        Voxel size of the result, in the units of the affine.
    multiple : int, default=1
        Every side of the result is a multiple of this many voxels.

    Returns
    -------
    Nifti1Image
        float32, covering the field of view, zero outside it.
    """
    index = np.stack(np.meshgrid(*[(0, n - 1) for n in image.shape], indexing="ij"), -1).reshape(-1, 3)
    corners = nib.affines.apply_affine(image.affine, index)
    extent = corners.max(0) - corners.min(0)
    shape = np.ceil((extent / spacing + 1) / multiple).astype(int) * multiple
    affine = nib.affines.from_matvec(np.eye(3) * spacing, corners.mean(0) - spacing * (shape - 1) / 2)
    return resample(image, affine, tuple(shape), smooth=True)


def resample(image, affine, shape, *, transform=None, order=1, smooth=False):
    """Resample an image onto a grid.

    Parameters
    ----------
    image : Nifti1Image
    affine, shape
        The grid: voxel to mm, shape (4, 4), and three sizes.
    transform : ndarray, shape (4, 4), default=None
        Image mm to grid mm; None for the same space.
    order : int, default=1
        0 nearest, 1 linear, 3 cubic.
    smooth : bool, default=False
        Smooth first along the axes that get coarser, so that a voxel of the
        grid sums up those of the image instead of picking one.

    Returns
    -------
    Nifti1Image
        float32, zero outside the image.
    """
    to_grid = image.affine if transform is None else transform @ image.affine
    matrix, offset = nib.affines.to_matvec(np.linalg.inv(to_grid) @ affine)
    data = np.asarray(image.dataobj, np.float32)
    if smooth:
        spacing = nib.affines.voxel_sizes(affine).max()
        data = ndimage.gaussian_filter(data, 0.4 * np.maximum(spacing / nib.affines.voxel_sizes(to_grid) - 1, 0))
    return nib.Nifti1Image(ndimage.affine_transform(data, matrix, offset, tuple(shape), order=order), affine)
