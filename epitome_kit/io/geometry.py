"""Affines of scans: read and check them, compare grids in mm."""

from collections.abc import Iterable, Sequence

import nibabel as nib
import numpy as np

from epitome_kit.errors import ImageError, ParameterError
from epitome_kit.io.header_checks import check_header_plausible

TOLERANCE_VOXELS = 0.1
"""Largest distance between two positions of the same voxel: above rounding, below what can be seen."""

TRUST = ("sform", "qform")
"""The two affines of a NIfTI header."""

_SIZE_TOLERANCE = 0.01
_UNIT_MM = {1: 1000.0, 3: 0.001}
_UNIT_NAMES = {1: "metres", 3: "micrometres"}
_LEAST_FIELD_MM = 20.0
"""Smallest field of view if the unit is not mm; if it is smaller, the unit is wrong."""

SPACE = "MNI152NLin2009aSym"
"""BIDS name of the ICBM152 template that nilearn ships."""

_SMALL_FIELD_MM = 30.0
"""Smallest field of view in mm without a remark; a head in centimetres read as mm is smaller."""

_ROUNDING = 4e-7
"""Tolerance of the squared first quaternion component, which is computed from the other three in 32 bits."""

SIDES_UNKNOWN = "has no orientation; voxel sizes are read from its header, left and right may be swapped"

_NO_CODE = "has neither a qform nor an sform code; voxel sizes are read from pixdim, left and right are unknown"


def corners(shape: Sequence[int]) -> np.ndarray:
    """Return the indices of the eight corner voxels of a grid, shape (8, 3)."""
    ends = [(0, max(n - 1, 1)) for n in shape[:3]]
    return np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)


def same_grid(first: nib.spatialimages.SpatialImage, second: nib.spatialimages.SpatialImage) -> bool:
    """Check whether two images have the same grid.

    Parameters
    ----------
    first, second : SpatialImage
        Images with an affine.

    Returns
    -------
    bool
        Whether the shapes are equal, and corresponding corners differ by at most
        :data:`TOLERANCE_VOXELS` of the shortest voxel side.
    """
    if first.shape[:3] != second.shape[:3]:
        return False
    places = corners(first.shape)
    apart = nib.affines.apply_affine(first.affine, places) - nib.affines.apply_affine(second.affine, places)
    side = min(nib.affines.voxel_sizes(image.affine).min() for image in (first, second))
    return bool(np.linalg.norm(apart, axis=1).max() <= TOLERANCE_VOXELS * side)


def reorient_like(mask: nib.Nifti1Image, scan: nib.Nifti1Image) -> nib.Nifti1Image | None:
    """Permute and flip the axes of a mask to match the grid of its scan.

    Parameters
    ----------
    mask, scan : Nifti1Image
        The mask, and the scan that it was drawn on.

    Returns
    -------
    Nifti1Image or None
        The same voxels, not resampled; the mask itself if it already has the grid of the
        scan, None if no permutation and flip of axes gives that grid.
    """
    if same_grid(mask, scan):
        return mask
    if sorted(mask.shape[:3]) != sorted(scan.shape[:3]):
        return None
    rotation = np.linalg.inv(scan.affine[:3, :3]) @ mask.affine[:3, :3]
    axes = nib.orientations.io_orientation(nib.affines.from_matvec(rotation))
    if np.isnan(axes).any():
        return None
    reoriented = mask.as_reoriented(axes)
    return reoriented if same_grid(reoriented, scan) else None


def header_affine(
    image: nib.Nifti1Pair,
    header: nib.Nifti1Header,
    trust: str | None = None,
    *,
    where: str = "load_image",
    name: str = "an image in memory",
) -> tuple[np.ndarray, list[str]]:
    """Read the affine of a NIfTI image in mm.

    Parameters
    ----------
    image : Nifti1Image
        As loaded by nibabel.
    header : Nifti1Header
        Unchanged from the file.
    trust : {"sform", "qform"}, default=None
        Which of its two affines is used; None for the sform, else the qform, else
        only the voxel sizes, as in nibabel.
    where, name : str
        The step and the file to name in an error.

    Returns
    -------
    affine : ndarray, shape (4, 4)
        Voxel to mm.
    remarks : list of str
        Assumptions that were made, for the user.

    Raises
    ------
    ParameterError
        `trust` is invalid, or the header has no sform.
    ImageError
        The qform is not a rotation.
    """
    sform, qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    if trust is not None and trust not in TRUST:
        raise ParameterError(where, f"`--trust` with {' or '.join(TRUST)}", repr(trust), "leave it out if both agree")
    if trust == "sform" and not sform:
        raise ParameterError(where, f"a header with an sform in {name}", "one whose code is 0", "leave out `--trust`")
    affine = image.affine
    if trust == "qform" and (sform or qform):
        affine = _qform(header)
        if affine is None:
            raise ImageError(
                where, "a qform that is a rotation", f"another matrix in {name}", "leave out `--trust qform`"
            )
    remarks = []
    unit = int(header["xyzt_units"]) & 7
    if not (sform or qform) or (trust == "qform" and not qform):
        remarks.append(f"{name} {_NO_CODE}{'' if unit else ', and so is the unit, assumed to be mm'}")
    if unit in _UNIT_MM:
        affine = np.diag([*[_UNIT_MM[unit]] * 3, 1]) @ affine
        remarks.append(f"the header of {name} is in {_UNIT_NAMES[unit]}, which were converted to mm")
    return affine, remarks


def apply_header_affine(
    image: nib.spatialimages.SpatialImage,
    header: nib.Nifti1Header | None,
    trust: str | None = None,
    *,
    where: str = "load_image",
    name: str = "an image in memory",
) -> tuple[nib.spatialimages.SpatialImage, list[str]]:
    """Check the header of an image, and return the image with the affine that the header states.

    Parameters
    ----------
    image : SpatialImage
        From a file or in memory.
    header : Nifti1Header or None
        Unchanged from the file; None for other formats than NIfTI.
    trust : {"sform", "qform"}, default=None
        As for :func:`header_affine`.
    where, name : str
        The step and the file to name in an error.

    Returns
    -------
    image : SpatialImage
        The same image if its affine is right.
    remarks : list of str
        Assumptions that were made, for the user.

    Raises
    ------
    ImageError
        The header contradicts itself, or does not fit a scan of a head.
    """
    if not isinstance(header, nib.Nifti1Header) or not isinstance(image, nib.Nifti1Pair):
        check_header_plausible(image, where, name=name)
        return image, []
    if trust is None and not np.allclose(image.affine, image.header.get_best_affine(), equal_nan=True):
        check_header_plausible(image, where, name=name)  # moved in memory; its header is updated when it is saved
        return image, []
    affine, remarks = header_affine(image, header, trust, where=where, name=name)
    both = int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0
    try:
        check_header_plausible(image, where, affine=affine, name=name)
    except ImageError:
        if trust is None and both:  # the other affine may be valid
            check_agreement(image, header, where=where, name=name)
        raise
    if trust is None:
        check_agreement(image, header, where=where, name=name)
    unchanged = trust is None and not remarks and agrees_with_affine(image)
    return image if unchanged else with_affine(image, affine), remarks


def check_agreement(image: nib.Nifti1Pair, header: nib.Nifti1Header, *, where: str, name: str) -> None:
    """Make sure that sform, qform, voxel sizes and unit of a NIfTI header agree.

    Parameters
    ----------
    image : Nifti1Image
        As loaded by nibabel.
    header : Nifti1Header
        Unchanged from the file.
    where, name : str
        The step and the file to name in an error.

    Raises
    ------
    ImageError
        The sform and the qform, both with a code above zero, differ by more than
        :data:`TOLERANCE_VOXELS` at a corner; or the voxel sizes of the sform and of
        ``pixdim`` differ by more than 1 %; or the field of view is too small for a head.
    """
    _check_unit(image, header, where, name)
    if int(header["sform_code"]) <= 0:
        return
    sform, sizes = header.get_sform(), np.abs(np.asarray(header["pixdim"][1:4], float))
    stated = nib.affines.voxel_sizes(sform)
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        return
    received = f"{_format_sizes(stated)} mm by the sform and {_format_sizes(sizes)} mm by pixdim in {name}"
    hint = "choose one with `--trust sform` or `--trust qform`, or convert the scan from DICOM again"
    if not (np.abs(stated / sizes - 1) <= _SIZE_TOLERANCE).all():
        raise ImageError(where, "a header with one voxel size", received, hint)
    if int(header["qform_code"]) <= 0:
        return
    qform = _qform(header, sform)
    apart = _corner_distance(sform, qform, image.shape)
    if apart > TOLERANCE_VOXELS:
        distance = f"{apart:.3g} voxels apart at a corner" if np.isfinite(apart) else "one of them invalid"
        sides = ["".join(each or "?" for each in nib.aff2axcodes(form)) for form in (sform, qform) if form is not None]
        received = f"sform and qform {distance} ({' and '.join(sides)}; {_format_sizes(stated)} mm) in {name}"
        raise ImageError(where, "a header with matching sform and qform", received, hint)


def with_affine(image: nib.Nifti1Pair, affine: np.ndarray) -> nib.Nifti1Pair:
    """Return an image with another affine, in all fields of its header.

    Parameters
    ----------
    image : Nifti1Image
        Its voxels are kept.
    affine : ndarray, shape (4, 4)
        Voxel to mm. Stored as sform and, unless it has a shear, as qform.

    Returns
    -------
    Nifti1Image
        The same voxels, with the same scaling.
    """
    moved = type(image)(image.dataobj, affine, image.header)
    axes = affine[:3, :3] / nib.affines.voxel_sizes(affine)
    square = np.allclose(axes.T @ axes, np.eye(3), atol=1e-4)
    moved.header.set_qform(affine, code=int(square))
    moved.header.set_sform(affine, code=1)
    moved.header.set_xyzt_units("mm")
    return moved


def small_field_remark(image: nib.spatialimages.SpatialImage) -> str | None:
    """Return a remark if the field of view is too small for a head, as with centimetres read as mm; else None."""
    field = nib.affines.voxel_sizes(image.affine) * image.shape[:3]
    if field.max() >= _SMALL_FIELD_MM:
        return None
    return f"covers {_format_sizes(field)} mm, less than a head: unless it was cropped, its unit may not be mm"


def agrees_with_affine(image: nib.Nifti1Pair) -> bool:
    """Check whether the voxel sizes in the header of a NIfTI image are those of its affine."""
    sizes = np.asarray(image.header["pixdim"][1:4], float)
    return np.allclose(sizes, nib.affines.voxel_sizes(image.affine), rtol=_SIZE_TOLERANCE / 2)


def _check_unit(image: nib.Nifti1Pair, header: nib.Nifti1Header, where: str, name: str) -> None:
    """Reject a unit with which the field of view is too small for a head."""
    unit = int(header["xyzt_units"]) & 7
    if unit not in _UNIT_MM:
        return
    sizes = nib.affines.voxel_sizes(image.affine)
    if not (sizes * np.array(image.shape[:3])).max() * _UNIT_MM[unit] >= _LEAST_FIELD_MM:
        raise ImageError(
            where,
            f"a field of view of at least {_LEAST_FIELD_MM:g} mm",
            f"voxels of {_format_sizes(sizes)} {_UNIT_NAMES[unit]}, shape {image.shape[:3]}, in {name}",
            "if they are mm, correct the header: `image.header.set_xyzt_units('mm')`",
        )


def _qform(header: nib.Nifti1Header, sform: np.ndarray | None = None) -> np.ndarray | None:
    """Affine of the qform, whatever its code; None if it is not a rotation.

    The first quaternion component is taken from the sform if it is equal within rounding.
    """
    vector = np.array([float(header[f"quatern_{part}"]) for part in "bcd"])
    rest = 1 - vector @ vector
    if not np.isfinite(rest) or rest < -0.001:
        return None
    fourth, flip = np.sqrt(max(rest, 0)), np.array([1, 1, -1 if header["pixdim"][0] < 0 else 1])
    if sform is not None:
        first, *others = nib.quaternions.mat2quat(sform[:3, :3] / nib.affines.voxel_sizes(sform) * flip)
        first = first if vector @ others >= 0 else -first
        fourth = first if abs(first**2 - rest) <= _ROUNDING else fourth
    axes = nib.quaternions.quat2mat([fourth, *vector]) * np.abs(np.asarray(header["pixdim"][1:4], float)) * flip
    return nib.affines.from_matvec(axes, [float(header[f"qoffset_{axis}"]) for axis in "xyz"])


def _corner_distance(first: np.ndarray, second: np.ndarray | None, shape: Sequence[int]) -> float:
    """Largest distance between the corners of two grids, in voxels of the first along its axes."""
    if second is None or not np.isfinite(second).all():
        return np.inf
    places = corners(shape)
    apart = nib.affines.apply_affine(second, places) - nib.affines.apply_affine(first, places)
    return float(np.abs(apart @ np.linalg.pinv(first[:3, :3]).T).max())


def _format_sizes(sizes: Iterable[float]) -> str:
    return " x ".join(f"{size:.4g}" for size in sizes)
