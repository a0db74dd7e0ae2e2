"""Rigid registration between scans of one subject, affine registration to the ICBM152 template."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nilearn import datasets
from scipy import ndimage

from epitome_kit.errors import ImageError
from epitome_kit.images import ImageLike, load_image, load_mask, resample_isotropic
from epitome_kit.preprocess.itk import LinearTransform, affine_as_itk, as_itk, as_matrix, one_thread
from epitome_kit.preprocess.start import (
    ALL_AXES_DEGREES,
    ONE_AXIS_DEGREES,
    best_rotation,
    centre_and_extent,
    initial_pose,
)

_MARGIN_MM = 10.0
_NEAR_BRAIN_MM = 3.0
_FAR_SHIFT_MM = 10.0
_SIDE_MULTIPLE = 8
_SAMPLED, _SEED = 0.25, 1


def _set_step_descent(method: sitk.ImageRegistrationMethod) -> None:
    """Set an optimiser that takes large steps and stops early."""
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=0.01, numberOfIterations=120, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-5
    )


def _set_line_search(method: sitk.ImageRegistrationMethod) -> None:
    """Set an optimiser that converges precisely near its start."""
    method.SetOptimizerAsGradientDescentLineSearch(
        learningRate=1.0,
        numberOfIterations=60,
        convergenceMinimumValue=1e-4,
        convergenceWindowSize=5,
        lineSearchMaximumIterations=5,
    )


class _Stage(NamedTuple):
    spacing_mm: float
    bins: int
    choose_optimiser: Callable[[sitk.ImageRegistrationMethod], None]


_COARSE, _FINE = _Stage(4.0, 32, _set_step_descent), _Stage(2.5, 48, _set_line_search)
PARAMETERS = {
    "coarse_mm": _COARSE.spacing_mm,
    "fine_mm": _FINE.spacing_mm,
    "margin_mm": _MARGIN_MM,
    "bins": [_COARSE.bins, _FINE.bins],
    "sampled": _SAMPLED,
    "elsewhere_mm": _FAR_SHIFT_MM,
    "turns_degrees": list(ALL_AXES_DEGREES),
    "moved_degrees": list(ONE_AXIS_DEGREES),
}
"""Settings recorded by the pipeline."""


@lru_cache(maxsize=1)
def load_template() -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Load the ICBM152 T1 brain and its mask at 2 mm, as shipped with nilearn.

    Returns
    -------
    template, mask : Nifti1Image

    References
    ----------
    Fonov et al., NeuroImage 2011, doi:10.1016/j.neuroimage.2010.07.033
    """
    return datasets.load_mni152_template(resolution=2), datasets.load_mni152_brain_mask(resolution=2)


@lru_cache(maxsize=1)
def _around_template() -> nib.Nifti1Image:
    """Return the template's brain mask, dilated by a margin."""
    return grow_mask(load_template()[1], _MARGIN_MM)


def template_grid(spacing_mm: float) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the smallest grid in ICBM152 space that contains the brain.

    Parameters
    ----------
    spacing_mm : float
        Voxel size.

    Returns
    -------
    affine : ndarray, shape (4, 4)
        Voxel to ICBM152 mm.
    shape : tuple of 3 int
        Multiples of 8, so that networks can downsample three times.
    """
    mask = load_template()[1]
    voxels = np.argwhere(np.asarray(mask.dataobj) > 0)
    corners = nib.affines.apply_affine(mask.affine, np.array([voxels.min(0), voxels.max(0)]))
    extent = corners[1] - corners[0]
    shape = np.ceil(extent / spacing_mm / _SIDE_MULTIPLE).astype(int) * _SIDE_MULTIPLE
    affine = nib.affines.from_matvec(np.eye(3) * spacing_mm, corners.mean(0) - spacing_mm * (shape - 1) / 2)
    return affine, tuple(int(n) for n in shape)


def register_rigid(
    moving: ImageLike, fixed: ImageLike, fixed_mask: ImageLike, *, ignore: ImageLike | None = None
) -> np.ndarray:
    """Find the rigid transform that aligns one scan of a subject with another.

    Mutual information is maximised from several starts, because a patient may move
    between two scans: the position given by the headers; the alignment of the centres
    of mass, if these are more than 10 mm apart; and the best rotation of up to 30
    degrees about one axis.

    Parameters
    ----------
    moving, fixed : image-like
        Two scans of one subject, any contrasts.
    fixed_mask : image-like
        Brain mask of `fixed`, inside which mutual information is computed.
    ignore : image-like, default=None
        Mask on the grid of `fixed`, such as of a tumour, to exclude from mutual
        information.

    Returns
    -------
    ndarray, shape (4, 4)
        `moving` mm to `fixed` mm.

    Raises
    ------
    ImageError
        A scan cannot be read, or a mask is on another grid.

    See Also
    --------
    register_affine : Register a scan to the template.
    resample : Apply the transform.

    References
    ----------
    Mattes et al., IEEE Trans Med Imaging 2003, doi:10.1109/TMI.2003.809072

    Examples
    --------
    >>> import nibabel as nib
    >>> import numpy as np
    >>> import epitome_kit as ek
    >>> from epitome_kit.preprocess import load_template
    >>> brain, mask = load_template()
    >>> shift = np.eye(4)
    >>> shift[0, 3] = 5.0
    >>> moved = nib.Nifti1Image(np.asarray(brain.dataobj), shift @ brain.affine)
    >>> transform = ek.register_rigid(moved, brain, mask)
    >>> bool(np.allclose(transform @ shift, np.eye(4), atol=0.5))
    True
    """
    moving, fixed = (load_image(image, where="register_rigid") for image in (moving, fixed))
    near = grow_mask(load_mask(fixed_mask, like=fixed, where="register_rigid"), _NEAR_BRAIN_MM)
    if ignore is not None:
        ignored = np.asarray(load_mask(ignore, like=fixed, where="register_rigid").dataobj)
        near = nib.Nifti1Image(np.asarray(near.dataobj) * (1 - ignored), near.affine)
    centre, moving_centre = _centre_of_mass(fixed), _centre_of_mass(moving)
    identity, shift = np.eye(3), moving_centre - centre
    poses = [(identity, np.zeros(3))]
    if np.linalg.norm(shift) > _FAR_SHIFT_MM:
        poses.append((identity, shift))
    rotation = best_rotation(moving, fixed, near, centre, moving_centre)
    if not np.array_equal(rotation, identity):
        poses.append((rotation, shift))
    starts = []
    for matrix, offset in poses:
        start = sitk.Euler3DTransform()
        start.SetCenter(centre.tolist())
        start.SetMatrix(matrix.ravel().tolist())
        start.SetTranslation(offset.tolist())
        starts.append(start)
    coarse = _optimise(moving, fixed, near, starts, _COARSE)
    return as_matrix(_optimise(moving, fixed, near, [coarse], _FINE))


def register_affine(moving: ImageLike, moving_mask: ImageLike, *, ignore: ImageLike | None = None) -> np.ndarray:
    """Find the affine that aligns a scan with the ICBM152 template.

    The start is given by the centres and extents of the two brain masks, so that unusual
    positions and unknown scales are handled, and is rotated by up to 30 degrees about
    any axis if that matches clearly better. A coarse stage registers the stripped brain,
    including its outline; a fine stage registers the whole scan inside the template's
    brain, where slightly generous skull stripping does no harm.

    Parameters
    ----------
    moving : image-like
        Scan of a whole head, any contrast.
    moving_mask : image-like
        Its brain mask.
    ignore : image-like, default=None
        Mask on the grid of `moving`, such as of a tumour, to exclude from mutual
        information.

    Returns
    -------
    ndarray, shape (4, 4)
        `moving` mm to ICBM152 mm.

    Raises
    ------
    ImageError
        The scan cannot be read, or a mask is on another grid.

    See Also
    --------
    register_rigid : Align two scans of one subject.
    register_deformable : Refine the affine with a displacement field.

    References
    ----------
    Brett et al., NeuroImage 2001, doi:10.1006/nimg.2001.0845, on masking lesions

    Examples
    --------
    >>> import nibabel as nib
    >>> import numpy as np
    >>> import epitome_kit as ek
    >>> from epitome_kit.preprocess import load_template
    >>> brain, mask = load_template()
    >>> scale = np.diag([1.1, 1.1, 1.1, 1.0])
    >>> large, large_mask = (nib.Nifti1Image(np.asarray(each.dataobj), scale @ each.affine) for each in (brain, mask))
    >>> transform = ek.register_affine(large, large_mask)
    >>> bool(np.allclose(transform @ scale, np.eye(4), atol=0.5))
    True
    """
    moving = load_image(moving, where="register_affine")
    mask = load_mask(moving_mask, like=moving, where="register_affine")
    metric_mask = None
    if ignore is not None:
        ignored = np.asarray(load_mask(ignore, like=moving, where="register_affine").dataobj)
        metric_mask = nib.Nifti1Image(1 - ignored, moving.affine)
    template, template_mask = load_template()
    near = _around_template()
    stripped = nib.Nifti1Image(np.asarray(moving.dataobj, np.float32) * np.asarray(mask.dataobj), moving.affine)
    start = affine_as_itk(
        initial_pose(stripped, mask, template, template_mask, near), centre=centre_and_extent(template_mask)[0]
    )
    coarse = _optimise(stripped, template, near, [start], _COARSE, metric_mask=metric_mask)
    return as_matrix(_optimise(moving, template, template_mask, [coarse], _FINE, metric_mask=metric_mask))


def centre_on_template(mask: nib.Nifti1Image) -> np.ndarray:
    """Find the translation that aligns the centre of a mask with the centre of the template's brain.

    Parameters
    ----------
    mask : Nifti1Image
        Mask of a brain or a head.

    Returns
    -------
    ndarray, shape (4, 4)
        Mask mm to ICBM152 mm; a translation only.
    """
    shift = centre_and_extent(load_template()[1])[0] - centre_and_extent(mask)[0]
    return nib.affines.from_matvec(np.eye(3), shift)


def _optimise(
    moving: nib.Nifti1Image,
    fixed: nib.Nifti1Image,
    fixed_mask: nib.Nifti1Image,
    starts: Sequence[LinearTransform],
    stage: _Stage,
    *,
    metric_mask: nib.Nifti1Image | None = None,
) -> LinearTransform:
    """Maximise mutual information on the grid of a stage from every start; return the best transform."""
    fixed_scan, moving_scan = (as_itk(resample_isotropic(image, stage.spacing_mm)) for image in (fixed, moving))
    fixed_region = _mask_as_itk(fixed_mask, stage)
    moving_region = None if metric_mask is None else _mask_as_itk(metric_mask, stage)
    results = [_maximise(fixed_scan, moving_scan, fixed_region, moving_region, start, stage) for start in starts]
    return min(results, key=lambda result: result[1])[0]


def _mask_as_itk(mask: nib.Nifti1Image, stage: _Stage) -> sitk.Image:
    return sitk.Cast(as_itk(resample_isotropic(mask, stage.spacing_mm)) > 0.5, sitk.sitkUInt8)


def grow_mask(mask: nib.Nifti1Image, margin_mm: float) -> nib.Nifti1Image:
    """Dilate a mask by a margin in mm; an empty mask stays empty."""
    inside, size_mm = np.asarray(mask.dataobj) > 0, nib.affines.voxel_sizes(mask.affine)
    grown = np.zeros(inside.shape, np.uint8)
    if inside.any():
        reach = np.ceil(margin_mm / size_mm).astype(int)
        spans = ndimage.find_objects(inside.astype(np.uint8))[0]
        box = tuple(slice(max(span.start - n, 0), span.stop + n) for span, n in zip(spans, reach, strict=True))
        grown[box] = ndimage.distance_transform_edt(~inside[box], sampling=size_mm) <= margin_mm
    return nib.Nifti1Image(grown, mask.affine)


def _maximise(
    fixed: sitk.Image,
    moving: sitk.Image,
    fixed_mask: sitk.Image,
    moving_mask: sitk.Image | None,
    start: LinearTransform,
    stage: _Stage,
) -> tuple[LinearTransform, float]:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(stage.bins)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(_SAMPLED, _SEED)
    method.SetMetricFixedMask(fixed_mask)
    if moving_mask is not None:
        method.SetMetricMovingMask(moving_mask)
    method.SetInterpolator(sitk.sitkLinear)
    stage.choose_optimiser(method)
    method.SetOptimizerScalesFromPhysicalShift()
    transform = type(start)(start)
    method.SetInitialTransform(transform, inPlace=True)
    try:
        with one_thread():
            method.Execute(fixed, moving)
    except RuntimeError as error:
        raise ImageError(
            "registration",
            "a scan that covers most of a head",
            "a scan with hardly any overlap with its reference",
            "use a scan with more slices, or leave it out",
        ) from error
    return transform, method.GetMetricValue()


def _centre_of_mass(image: nib.Nifti1Image) -> np.ndarray:
    data = np.asarray(image.dataobj, np.float32)
    return nib.affines.apply_affine(image.affine, ndimage.center_of_mass(data > 0.15 * np.quantile(data, 0.99)))
