"""Where the voxels of a scan lie: what its header says in several places has to agree, and grids are compared in mm."""

import nibabel as nib
import numpy as np

from epitome_kit.errors import ImageError, ParameterError

TOLERANCE_VOXELS = 0.1
"""How far two statements of one place may lie apart: more than rounding, and too little to see."""

TRUST = ("sform", "qform")
"""The two places where a NIfTI header keeps its affine."""

_SIZE_TOLERANCE = 0.01
_UNIT_MM = {1: 1000.0, 3: 0.001}
_UNIT_NAMES = {1: "metres", 3: "micrometres"}
_LEAST_FIELD_MM = 20.0
"""Of a head whose header counts in another unit: less, and the unit is wrong."""

SPACE = "MNI152NLin2009aSym"
"""BIDS name of the ICBM152 template that nilearn ships."""

_SMALL_FIELD_MM = 30.0
"""Of a scan in mm: a head in centimetres that are taken for mm has less."""

_ROUNDING = 4e-7
"""Of the fourth part of a turn, squared: a qform keeps the other three, in 32 bits, and near half a turn it shows."""

SIDES_UNKNOWN = "does not say which side is left; sizes are as its header states them, left and right may be swapped"

_NO_CODE = "says by no code where it lies; sizes are as pixdim states them, left and right are unknown"


def corners(shape):
    """List the indices of the eight outermost voxels of a grid, shape (8, 3)."""
    ends = [(0, max(n - 1, 1)) for n in shape[:3]]
    return np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)


def same_grid(first, second):
    """Tell whether the voxels of two images lie in the same places.

    Parameters
    ----------
    first, second : SpatialImage

    Returns
    -------
    bool
        Equal shapes, and each corner within :data:`TOLERANCE_VOXELS` of the
        shortest voxel side; in mm, or in whatever unit both count where the
        size of their voxels is unknown.
    """
    if first.shape[:3] != second.shape[:3]:
        return False
    places = corners(first.shape)
    apart = nib.affines.apply_affine(first.affine, places) - nib.affines.apply_affine(second.affine, places)
    side = min(nib.affines.voxel_sizes(image.affine).min() for image in (first, second))
    return bool(np.linalg.norm(apart, axis=1).max() <= TOLERANCE_VOXELS * side)


def reorient_like(mask, scan):
    """Turn a mask to the axes of its scan, where it lies on the same grid with axes in another order or direction.

    Parameters
    ----------
    mask, scan : Nifti1Image

    Returns
    -------
    Nifti1Image or None
        The voxels of the mask, none of them changed or resampled; the mask itself
        where it already lies on that grid, None where no exchange or flip of axes puts it there.
    """
    if same_grid(mask, scan):
        return mask
    if sorted(mask.shape[:3]) != sorted(scan.shape[:3]):
        return None
    turns = np.linalg.inv(scan.affine[:3, :3]) @ mask.affine[:3, :3]
    axes = nib.orientations.io_orientation(nib.affines.from_matvec(turns))
    if np.isnan(axes).any():
        return None
    turned = mask.as_reoriented(axes)
    return turned if same_grid(turned, scan) else None


def stated_affine(image, header, trust=None, *, where="load_image", name="an image in memory"):
    """Read where the voxels of a NIfTI image lie, in mm.

    Parameters
    ----------
    image : Nifti1Image
    header : Nifti1Header
        As it stands in the file.
    trust : {"sform", "qform"}, default=None
        Which of its two affines counts; None for the sform, else the qform, else
        the voxel sizes alone, as nibabel has it.
    where, name : str
        The step and the file to name in an error.

    Returns
    -------
    affine : ndarray, shape (4, 4)
    remarks : list of str
        What has to be said of it.

    Raises
    ------
    ParameterError
        Another word, or the sform of a header without one.
    ImageError
        The qform is no place.
    """
    sform, qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    if trust is not None and trust not in TRUST:
        raise ParameterError(
            where, f"`--trust` with {' or '.join(TRUST)}", repr(trust), "leave it out where both agree"
        )
    if trust == "sform" and not sform:
        raise ParameterError(where, f"a header with an sform in {name}", "one whose code is 0", "leave out `--trust`")
    affine = image.affine
    if trust == "qform" and (sform or qform):
        affine = _qform(header)
        if affine is None:
            raise ImageError(where, "a qform that is a turn", f"another one in {name}", "leave out `--trust qform`")
    remarks = []
    unit = int(header["xyzt_units"]) & 7
    if not (sform or qform) or (trust == "qform" and not qform):
        remarks.append(f"{name} {_NO_CODE}{'' if unit else ', and so is their unit, taken as mm'}")
    if unit in _UNIT_MM:
        affine = np.diag([*[_UNIT_MM[unit]] * 3, 1]) @ affine
        remarks.append(f"the header of {name} counts in {_UNIT_NAMES[unit]}, which are converted to mm")
    return affine, remarks


def check_agreement(image, header, *, where, name):
    """Make sure that a NIfTI header says the same wherever it speaks of places and sizes.

    Parameters
    ----------
    image : Nifti1Image
    header : Nifti1Header
        As it stands in the file.
    where, name : str
        The step and the file to name in an error.

    Raises
    ------
    ImageError
        The sform and the qform, both with a code above zero, lie more than
        :data:`TOLERANCE_VOXELS` apart at a corner; or the voxel sizes of the sform
        and those of ``pixdim`` differ by more than 1 %; or the unit makes no head.
    """
    _check_unit(image, header, where, name)
    if int(header["sform_code"]) <= 0:
        return
    sform, sizes = header.get_sform(), np.abs(np.asarray(header["pixdim"][1:4], float))
    stated = nib.affines.voxel_sizes(sform)
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        return
    said = f"{_sizes(stated)} mm by the sform and {_sizes(sizes)} mm by pixdim in {name}"
    way_out = "say which is right, with `--trust sform` or `--trust qform`, or convert the scan from DICOM again"
    if not (np.abs(stated / sizes - 1) <= _SIZE_TOLERANCE).all():
        raise ImageError(where, "a header with one voxel size", said, way_out)
    if int(header["qform_code"]) <= 0:
        return
    qform = _qform(header, sform)
    apart = _voxels_apart(sform, qform, image.shape)
    if apart > TOLERANCE_VOXELS:
        by_how_much = f"{apart:.3g} voxels apart at a corner" if np.isfinite(apart) else "one of them no place at all"
        sides = ["".join(each or "?" for each in nib.aff2axcodes(form)) for form in (sform, qform) if form is not None]
        said = f"sform and qform {by_how_much} ({' and '.join(sides)}; {_sizes(stated)} mm) in {name}"
        raise ImageError(where, "a header whose sform and qform agree", said, way_out)


def with_affine(image, affine):
    """Put an image on another grid of the same shape, and say so wherever its header speaks of places.

    Parameters
    ----------
    image : Nifti1Image
    affine : ndarray, shape (4, 4)
        In mm. The sform holds it; so does the qform, which cannot hold a shear.

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


def remark_on_field(image):
    """Say that a field of view is too small for a head, as where centimetres are taken for mm; None where it is not."""
    field = nib.affines.voxel_sizes(image.affine) * image.shape[:3]
    if field.max() >= _SMALL_FIELD_MM:
        return None
    return f"is {_sizes(field)} mm in all, less than a head: where it is no cut-out, its unit may not be mm"


def agrees_with_affine(image):
    """Tell whether the voxel sizes in the header of a NIfTI image are those of its affine."""
    sizes = np.asarray(image.header["pixdim"][1:4], float)
    return np.allclose(sizes, nib.affines.voxel_sizes(image.affine), rtol=_SIZE_TOLERANCE / 2)


def _check_unit(image, header, where, name):
    """Refuse a unit in which the field of view is none of a head."""
    unit = int(header["xyzt_units"]) & 7
    if unit not in _UNIT_MM:
        return
    sizes = nib.affines.voxel_sizes(image.affine)
    if not (sizes * np.array(image.shape[:3])).max() * _UNIT_MM[unit] >= _LEAST_FIELD_MM:
        raise ImageError(
            where,
            f"a field of view of at least {_LEAST_FIELD_MM:g} mm",
            f"voxels of {_sizes(sizes)} {_UNIT_NAMES[unit]}, shape {image.shape[:3]}, in {name}",
            "if they are mm, say so in the header: `image.header.set_xyzt_units('mm')`",
        )


def _qform(header, sform=None):
    """Affine of the qform whatever its code, as near to the sform as rounding lets it be; None where it is no turn."""
    turn = np.array([float(header[f"quatern_{part}"]) for part in "bcd"])
    rest = 1 - turn @ turn
    if not np.isfinite(rest) or rest < -0.001:
        return None
    fourth, flip = np.sqrt(max(rest, 0)), np.array([1, 1, -1 if header["pixdim"][0] < 0 else 1])
    if sform is not None:
        first, *others = nib.quaternions.mat2quat(sform[:3, :3] / nib.affines.voxel_sizes(sform) * flip)
        first = first if turn @ others >= 0 else -first
        fourth = first if abs(first**2 - rest) <= _ROUNDING else fourth
    axes = nib.quaternions.quat2mat([fourth, *turn]) * np.abs(np.asarray(header["pixdim"][1:4], float)) * flip
    return nib.affines.from_matvec(axes, [float(header[f"qoffset_{axis}"]) for axis in "xyz"])


def _voxels_apart(first, second, shape):
    """How far two affines set one corner apart at most, in voxels of the first along its axes."""
    if second is None or not np.isfinite(second).all():
        return np.inf
    places = corners(shape)
    apart = nib.affines.apply_affine(second, places) - nib.affines.apply_affine(first, places)
    return float(np.abs(apart @ np.linalg.pinv(first[:3, :3]).T).max())


def _sizes(sizes):
    return " x ".join(f"{size:.4g}" for size in sizes)
