"""Load, check, resample and save images as NIfTI."""

import os
import warnings
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import cast

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from epitome_kit.errors import EpitomeWarning, ImageError, OutputError, UnknownVoxelSizeError
from epitome_kit.files import PathLike, whole_file
from epitome_kit.io.formats import OTHER_FORMAT, as_nifti, open_scan
from epitome_kit.io.geometry import apply_header_affine, same_grid, small_field_remark
from epitome_kit.io.header_checks import LOST_VOXEL_SIZE, strip_header_text
from epitome_kit.io.mask_labels import voxels_inside
from epitome_kit.io.voxels import DAMAGE, read_voxels, unreadable
from epitome_kit.large import check_scan, is_large

ImageLike = PathLike | nib.Nifti1Image
"""Image-like argument: a path to an image, or the image itself."""

GRID_MM = 4.0
"""Voxel size of the coarse grid on which heads are found and checked."""


def load_image(
    image: ImageLike, *, where: str = "load_image", check_voxels: bool = True, trust: str | None = None
) -> nib.Nifti1Image:
    """Load and check one 3-D scan or mask.

    NIfTI, NRRD, MetaImage, MGH and Analyze files are recognised by content. The header
    is checked against the file before voxels are read, and its free text, which may
    contain names and dates, is removed. Assumptions are issued as
    :class:`epitome_kit.errors.EpitomeWarning`; see :func:`epitome_kit.errors.collect_warnings`.

    Parameters
    ----------
    image : image-like
        Path or image. Trailing dimensions of length one are dropped.
    where : str, default="load_image"
        The step to name in an error.
    check_voxels : bool, default=True
        Also read all voxels and reject NaN, infinity and constant volumes.
    trust : {"sform", "qform"}, default=None
        Which affine of a NIfTI header is used if they disagree; it then replaces
        the other one.

    Returns
    -------
    Nifti1Image
        Shape (i, j, k), affine in mm.

    Raises
    ------
    ImageError
        Missing, unreadable, truncated, not 3-D, larger than a head, with a singular affine,
        with a header that contradicts itself, or (with `check_voxels`) not finite or constant.
    """
    opened, name, header = _open(image, where)
    shape = opened.shape[:3] if set(opened.shape[3:]) <= {1} else opened.shape
    if len(shape) != 3 or min(shape) < 1:
        raise ImageError(
            where, "a 3-D image", f"shape {opened.shape} from {name}", "pick one volume with `image.slicer[..., 0]`"
        )
    placed, remarks = apply_header_affine(opened, header, trust, where=where, name=name)
    _warn(remarks)
    if opened is not image:
        placed = placed if isinstance(placed, nib.Nifti1Pair) else as_nifti(np.asarray(placed.dataobj), placed.affine)
        strip_header_text(placed.header)
        small = small_field_remark(placed) if voxel_size_known(placed) else None
        _warn([f"{name} {small}"] if small else [])
    if placed.shape != shape:
        voxels = cast("np.ndarray", placed.dataobj) if is_large(placed) else read_voxels(placed, where, name)
        placed = nib.Nifti1Image(voxels.reshape(shape), placed.affine, placed.header)
    if check_voxels:
        check_scan(placed, where=where, name=name)
    return cast("nib.Nifti1Image", placed)  # a Nifti1Pair differs only in how it is saved


def _open(image: ImageLike, where: str) -> tuple[nib.spatialimages.SpatialImage, str, nib.Nifti1Header | None]:
    """Return the image, a name for messages, and its unchanged NIfTI header."""
    if not isinstance(image, (str, os.PathLike)):
        name = image.get_filename() or "an image in memory"
        if image.affine is None:
            image = type(image)(image.dataobj, image.header.get_best_affine(), image.header)
        return image, name, image.header
    path = Path(image)
    if path.is_dir():
        raise ImageError(where, "a NIfTI file", f"{path}, a folder", f"give a file inside it, {OTHER_FORMAT}")
    if not path.is_file():
        raise ImageError(where, "a NIfTI file", f"{path}, which does not exist", "check the path")
    try:
        opened = open_scan(path, where)
    except DAMAGE as error:
        raise unreadable(where, path.name, error) from error
    _warn(opened.remarks)
    return opened.image, path.name, opened.header


def _warn(remarks: Iterable[str]) -> None:
    for remark in remarks:
        warnings.warn(remark, EpitomeWarning, stacklevel=4)


def load_mask(
    mask: ImageLike,
    *,
    like: nib.Nifti1Image | None = None,
    where: str = "load_mask",
    labels: str | Collection[int] | None = None,
    trust: str | None = None,
) -> nib.Nifti1Image:
    """Load a mask of one part as a uint8 image of 0 and 1.

    Fractions are thresholded at 0.5 with a warning; see :func:`epitome_kit.errors.collect_warnings`.

    Parameters
    ----------
    mask : image-like
        Path or image.
    like : Nifti1Image, default=None
        The scan that the mask was drawn on, to check the grid.
    where : str, default="load_mask"
        The step to name in an error.
    labels : str or collection of int, default=None
        Which of several values are inside: numbers, ``"1,2,4"``, ``"all"`` for all
        above zero, or a part of a scheme such as ``"brats21:WT"``
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
        labels with none selected.
    """
    loaded = load_image(mask, where=where, check_voxels=False, trust=trust)
    name = Path(mask).name if isinstance(mask, (str, os.PathLike)) else loaded.get_filename() or "a mask in memory"
    if like is not None and not same_grid(loaded, like):
        raise ImageError(
            where,
            f"a mask on the grid of its scan, shape {like.shape}",
            f"shape {loaded.shape} and affine {np.round(loaded.affine, 2).tolist()} from {name}",
            "resample the mask with `nilearn.image.resample_to_img(..., interpolation='nearest')`",
        )
    data = read_voxels(loaded, where, name)
    voxel_ml = abs(np.linalg.det(loaded.affine[:3, :3])) / 1000 if voxel_size_known(loaded) else None
    inside = voxels_inside(data, labels, where=where, name=name, voxel_ml=voxel_ml)
    _warn(f"{name} {remark}" for remark in inside.remarks)
    return new_image_like(inside.voxels.view(np.uint8), loaded)


def new_image_like(data: np.ndarray, image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Make an image from an array on the grid of another image, with the data type of the array."""
    header = image.header.copy()
    strip_header_text(header)
    header.set_data_dtype(data.dtype)
    header["scl_slope"], header["scl_inter"] = np.nan, np.nan
    header["cal_min"], header["cal_max"] = 0, 0
    return nib.Nifti1Image(data, image.affine, header)


def require_nifti_name(path: PathLike, *, where: str = "save_image") -> None:
    """Make sure that an output path has a NIfTI suffix.

    Parameters
    ----------
    path : path
        File to write.
    where : str, default="save_image"
        The step to name in an error.

    Raises
    ------
    OutputError
        The name ends neither in ``.nii`` nor in ``.nii.gz``.
    """
    if not str(path).endswith((".nii", ".nii.gz")):
        raise OutputError(where, "a name that ends in .nii or .nii.gz", f"{path}", f"write to `{path}.nii.gz`")


def save_image(image: nib.spatialimages.SpatialImage, path: PathLike) -> None:
    """Write an image as NIfTI, whole or not at all."""
    require_nifti_name(path)
    with whole_file(path) as temporary:
        nib.save(image, temporary)


def mark_voxel_size_unknown(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return the image with its header marked as having lost the voxel size."""
    header = image.header.copy()
    header["descrip"] = LOST_VOXEL_SIZE
    header.set_xyzt_units("unknown")
    return nib.Nifti1Image(image.dataobj, image.affine, header)


def voxel_size_known(image: nib.Nifti1Pair) -> bool:
    """Check whether the voxel size of an image is known; see :func:`mark_voxel_size_unknown`."""
    return bytes(image.header["descrip"]).rstrip(b"\0") != LOST_VOXEL_SIZE


def spacing_mm(image: nib.Nifti1Image, *, where: str = "spacing_mm") -> tuple[float, float, float]:
    """Return the voxel size along the three axes.

    Parameters
    ----------
    image : Nifti1Image
        Shape (i, j, k).
    where : str, default="spacing_mm"
        The step to name in an error.

    Returns
    -------
    tuple of 3 float
        In mm.

    Raises
    ------
    UnknownVoxelSizeError
        The voxel size was lost; see :func:`mark_voxel_size_unknown`.
    """
    if not voxel_size_known(image):
        raise UnknownVoxelSizeError(
            where,
            "a scan with a known voxel size",
            f"{image.get_filename() or 'an image'} without one",
            "measure in voxels, or import the original DICOM",
        )
    i, j, k = (float(size) for size in nib.affines.voxel_sizes(image.affine))
    return i, j, k


def axis_codes(image: nib.spatialimages.SpatialImage) -> str:
    """Return the orientation of the three axes as letters, such as ``"RAS"``."""
    return "".join(nib.aff2axcodes(image.affine))


def unit_range(data: ArrayLike) -> np.ndarray:
    """Scale to float32 from 0 to 1, with the brightest half per cent of the head at 1."""
    values = np.asarray(data, np.float32)
    values = values - np.float32(min(values.min(), 0))
    bright = values[values > 0.1 * values.max()]
    top = np.quantile(bright, 0.99, overwrite_input=True) if bright.size else 1
    del bright  # a scan may be large
    values /= np.float32(max(top, 1e-6))
    return np.clip(values, 0, 1, out=values)


def resample_isotropic(image: nib.Nifti1Image, spacing: float, *, multiple: int = 1) -> nib.Nifti1Image:
    """Resample to cubic voxels along the RAS axes, with smoothing along axes that become coarser.

    Parameters
    ----------
    image : Nifti1Image
        Shape (i, j, k), any orientation, oblique or sheared.
    spacing : float
        Voxel size of the result, in the units of the affine.
    multiple : int, default=1
        The number of voxels along each axis is a multiple of this.

    Returns
    -------
    Nifti1Image
        float32, covers the field of view, zero outside.
    """
    index = np.stack(np.meshgrid(*[(0, n - 1) for n in image.shape], indexing="ij"), -1).reshape(-1, 3)
    corners = nib.affines.apply_affine(image.affine, index)
    extent = corners.max(0) - corners.min(0)
    shape = np.ceil((extent / spacing + 1) / multiple).astype(int) * multiple
    affine = nib.affines.from_matvec(np.eye(3) * spacing, corners.mean(0) - spacing * (shape - 1) / 2)
    return resample(image, affine, tuple(shape), smooth=True)


def resample(
    image: ImageLike,
    affine: np.ndarray,
    shape: Sequence[int],
    *,
    transform: np.ndarray | None = None,
    order: int = 1,
    smooth: bool = False,
) -> nib.Nifti1Image:
    """Resample an image onto a grid.

    The value of each voxel of the grid is interpolated by splines.

    Parameters
    ----------
    image : image-like
        Path or image, shape (i, j, k).
    affine : ndarray, shape (4, 4)
        Voxel of the grid to mm.
    shape : sequence of 3 int
        Number of voxels of the grid along each axis.
    transform : ndarray, shape (4, 4), default=None
        Image mm to grid mm; None for the same space.
    order : int, default=1
        0 nearest, 1 linear, 3 cubic.
    smooth : bool, default=False
        Smooth first along axes that become coarser, so that a voxel of the grid
        averages those of the image.

    Returns
    -------
    Nifti1Image
        Resampled image, float32, zero outside the original one.

    See Also
    --------
    resample_deformed : Resample with a deformable registration.
    register_rigid : Find the transform between two scans.

    Examples
    --------
    >>> import nibabel as nib
    >>> import numpy as np
    >>> import epitome_kit as ek
    >>> image = nib.Nifti1Image(np.ones((8, 8, 8), np.float32), np.eye(4))
    >>> coarse = ek.resample(image, np.diag([2.0, 2.0, 2.0, 1.0]), (4, 4, 4), smooth=True)
    >>> coarse.shape
    (4, 4, 4)
    """
    if isinstance(image, (str, os.PathLike)):
        image = load_image(image, where="resample", check_voxels=False)
    to_grid = image.affine if transform is None else transform @ image.affine
    matrix, offset = nib.affines.to_matvec(np.linalg.inv(to_grid) @ affine)
    data = np.asarray(image.dataobj, np.float32)
    if smooth:
        spacing = nib.affines.voxel_sizes(affine).max()
        data = ndimage.gaussian_filter(data, 0.4 * np.maximum(spacing / nib.affines.voxel_sizes(to_grid) - 1, 0))
    return nib.Nifti1Image(ndimage.affine_transform(data, matrix, offset, tuple(shape), order=order), affine)
