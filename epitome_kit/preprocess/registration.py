"""Registration: rigid between scans of one head, affine to the ICBM152 template."""

from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nilearn import datasets
from scipy import ndimage

from epitome_kit.errors import ImageError
from epitome_kit.images import load_image, load_mask, resample_isotropic
from epitome_kit.preprocess.start import MOVED_DEGREES, TURNS_DEGREES, best_rotation, centre_and_extent, initial_pose

_MARGIN_MM = 10.0
_NEAR_BRAIN_MM = 3.0
_ELSEWHERE_MM = 10.0
_SIDE_MULTIPLE = 8
_SAMPLED, _SEED = 0.25, 1
_thread_lock, _threads_before = Lock(), []


def _stride(method):
    """Let an optimiser go far and not very exactly."""
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=0.01, numberOfIterations=120, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-5
    )


def _search_lines(method):
    """Let an optimiser stay near and find the very top."""
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
    choose_optimiser: object


_COARSE, _FINE = _Stage(4.0, 32, _stride), _Stage(2.5, 48, _search_lines)
PARAMETERS = {
    "coarse_mm": _COARSE.spacing_mm,
    "fine_mm": _FINE.spacing_mm,
    "margin_mm": _MARGIN_MM,
    "bins": [_COARSE.bins, _FINE.bins],
    "sampled": _SAMPLED,
    "elsewhere_mm": _ELSEWHERE_MM,
    "turns_degrees": list(TURNS_DEGREES),
    "moved_degrees": list(MOVED_DEGREES),
}
"""What the pipeline registers with."""


@lru_cache(maxsize=1)
def load_template():
    """ICBM152 T1 brain and its mask at 2 mm, as nilearn ships them.

    Returns
    -------
    template, mask : Nifti1Image

    References
    ----------
    Fonov et al., NeuroImage 2011, doi:10.1016/j.neuroimage.2010.07.033
    """
    return datasets.load_mni152_template(resolution=2), datasets.load_mni152_brain_mask(resolution=2)


@lru_cache(maxsize=1)
def _around_template():
    """Mask of the template's brain and a margin: the same for every head."""
    return grow_mask(load_template()[1], _MARGIN_MM)


def template_grid(spacing_mm):
    """Grid in ICBM152 space that just holds the brain.

    Parameters
    ----------
    spacing_mm : float

    Returns
    -------
    affine : ndarray, shape (4, 4)
    shape : tuple of 3 int
        Multiples of 8, so that networks can halve them three times.
    """
    mask = load_template()[1]
    voxels = np.argwhere(np.asarray(mask.dataobj) > 0)
    corners = nib.affines.apply_affine(mask.affine, np.array([voxels.min(0), voxels.max(0)]))
    extent = corners[1] - corners[0]
    shape = np.ceil(extent / spacing_mm / _SIDE_MULTIPLE).astype(int) * _SIDE_MULTIPLE
    affine = nib.affines.from_matvec(np.eye(3) * spacing_mm, corners.mean(0) - spacing_mm * (shape - 1) / 2)
    return affine, tuple(int(n) for n in shape)


def register_rigid(moving, fixed, fixed_mask, *, ignore=None):
    """Find the rotation and shift that carry one scan of a head onto another.

    A patient may move between two scans: besides the position of the headers,
    that of the middle of the head is a start where it lies over 10 mm away,
    and so is the turn of up to 30 degrees about one axis that matches best.

    Parameters
    ----------
    moving, fixed : Nifti1Image or path
        Two scans of one head, any contrasts.
    fixed_mask : Nifti1Image or path
        Brain mask of `fixed`; the match is judged there.
    ignore : Nifti1Image or path, default=None
        Mask on the grid of `fixed`, such as of a tumour, where the match is
        not judged.

    Returns
    -------
    ndarray, shape (4, 4)
        `moving` mm to `fixed` mm.

    Raises
    ------
    ImageError
        A scan cannot be read, or a mask is on another grid.

    References
    ----------
    Mattes et al., IEEE Trans Med Imaging 2003, doi:10.1109/TMI.2003.809072
    """
    moving, fixed = (load_image(image, where="register_rigid") for image in (moving, fixed))
    near = grow_mask(load_mask(fixed_mask, like=fixed, where="register_rigid"), _NEAR_BRAIN_MM)
    if ignore is not None:
        ignored = np.asarray(load_mask(ignore, like=fixed, where="register_rigid").dataobj)
        near = nib.Nifti1Image(np.asarray(near.dataobj) * (1 - ignored), near.affine)
    centre, moving_centre = _centre_of_mass(fixed), _centre_of_mass(moving)
    upright, shift = np.eye(3), moving_centre - centre
    tried = [(upright, np.zeros(3))]
    if np.linalg.norm(shift) > _ELSEWHERE_MM:
        tried.append((upright, shift))
    turn = best_rotation(moving, fixed, near, centre, moving_centre)
    if not np.array_equal(turn, upright):
        tried.append((turn, shift))
    starts = []
    for matrix, offset in tried:
        start = sitk.Euler3DTransform()
        start.SetCenter(centre.tolist())
        start.SetMatrix(matrix.ravel().tolist())
        start.SetTranslation(offset.tolist())
        starts.append(start)
    coarse = _optimise(moving, fixed, near, starts, _COARSE)
    return _as_matrix(_optimise(moving, fixed, near, [coarse], _FINE))


def register_affine(moving, moving_mask, *, ignore=None):
    """Find the affine that carries a scan onto the ICBM152 template.

    Starts from the place and size of the two brain masks along each axis, so
    that a head in an odd position or of unknown scale is still found, turned
    by up to 30 degrees about any axis where it matches clearly better that
    way. Then matches the stripped brain, outline included, on a coarse grid,
    and last the whole scan inside the template's brain on a fine one, where an
    outline that was stripped a little too far out does no harm.

    Parameters
    ----------
    moving : Nifti1Image or path
        Scan of a whole head, any contrast.
    moving_mask : Nifti1Image or path
        Its brain mask.
    ignore : Nifti1Image or path, default=None
        Mask on the grid of `moving`, such as of a tumour, where the match is
        not judged.

    Returns
    -------
    ndarray, shape (4, 4)
        `moving` mm to ICBM152 mm.

    Raises
    ------
    ImageError
        The scan cannot be read, or a mask is on another grid.

    References
    ----------
    Brett et al., NeuroImage 2001, doi:10.1006/nimg.2001.0845, on masking lesions
    """
    moving = load_image(moving, where="register_affine")
    mask = load_mask(moving_mask, like=moving, where="register_affine")
    judged = None
    if ignore is not None:
        ignored = np.asarray(load_mask(ignore, like=moving, where="register_affine").dataobj)
        judged = nib.Nifti1Image(1 - ignored, moving.affine)
    template, template_mask = load_template()
    near = _around_template()
    stripped = nib.Nifti1Image(np.asarray(moving.dataobj, np.float32) * np.asarray(mask.dataobj), moving.affine)
    start = _as_itk_affine(
        initial_pose(stripped, mask, template, template_mask, near), centre=centre_and_extent(template_mask)[0]
    )
    coarse = _optimise(stripped, template, near, [start], _COARSE, judged=judged)
    return _as_matrix(_optimise(moving, template, template_mask, [coarse], _FINE, judged=judged))


def centre_on_template(mask):
    """Find the shift that carries the middle of a mask to the middle of the template's brain.

    Parameters
    ----------
    mask : Nifti1Image
        Of a brain or a head.

    Returns
    -------
    ndarray, shape (4, 4)
        Mask mm to ICBM152 mm; neither turned nor scaled.
    """
    shift = centre_and_extent(load_template()[1])[0] - centre_and_extent(mask)[0]
    return nib.affines.from_matvec(np.eye(3), shift)


def _optimise(moving, fixed, fixed_mask, starts, stage, *, judged=None):
    """Maximise mutual information on the grid of a stage from every start; return the best transform."""
    images = [as_itk(resample_isotropic(image, stage.spacing_mm)) for image in (fixed, moving)]
    masks = [
        mask and sitk.Cast(as_itk(resample_isotropic(mask, stage.spacing_mm)) > 0.5, sitk.sitkUInt8)
        for mask in (fixed_mask, judged)
    ]
    results = [_maximise(*images, *masks, start, stage) for start in starts]
    return min(results, key=lambda result: result[1])[0]


def _as_itk_affine(matrix, centre):
    """Turn a matrix into ITK's transform, about a point; both from fixed to moving."""
    transform = sitk.AffineTransform(3)
    transform.SetCenter(centre.tolist())
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation((nib.affines.apply_affine(matrix, centre) - centre).tolist())
    return transform


def _as_matrix(transform):
    """Turn ITK's transform, from fixed to moving, into a matrix from moving mm to fixed mm."""
    matrix = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    offset = np.array(transform.GetTranslation()) + centre - matrix @ centre
    return np.linalg.inv(nib.affines.from_matvec(matrix, offset))


def grow_mask(mask, margin_mm):
    """Grow a mask by a margin in mm; one that is empty stays so."""
    inside, size_mm = np.asarray(mask.dataobj) > 0, nib.affines.voxel_sizes(mask.affine)
    grown = np.zeros(inside.shape, np.uint8)
    if inside.any():
        reach = np.ceil(margin_mm / size_mm).astype(int)
        spans = ndimage.find_objects(inside.astype(np.uint8))[0]
        box = tuple(slice(max(span.start - n, 0), span.stop + n) for span, n in zip(spans, reach, strict=True))
        grown[box] = ndimage.distance_transform_edt(~inside[box], sampling=size_mm) <= margin_mm
    return nib.Nifti1Image(grown, mask.affine)


@contextmanager
def one_thread():
    """Keep ITK to one thread everywhere, so that the metric adds up in the same order every time.

    Several threads of Python may be in here at once; the last one to leave gives ITK its threads back.
    """
    with _thread_lock:
        _threads_before.append(sitk.ProcessObject.GetGlobalDefaultNumberOfThreads())
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        with _thread_lock:
            threads = _threads_before.pop()
            if not _threads_before:
                sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _maximise(fixed, moving, fixed_mask, moving_mask, start, stage):
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
            "one that has hardly a voxel in common with what it is matched with",
            "take a scan with more slices, or leave it out",
        ) from error
    return transform, method.GetMetricValue()


def as_itk(image):
    """Hand over to ITK an image whose axes are those of RAS; its mm stay RAS mm."""
    result = array_as_itk(np.asarray(image.dataobj, np.float32), nib.affines.voxel_sizes(image.affine))
    result.SetOrigin([float(value) for value in image.affine[:3, 3]])
    return result


def array_as_itk(data, spacing_mm):
    """Hand over to ITK an array with the size of its voxels."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T))
    image.SetSpacing([float(step) for step in spacing_mm])
    return image


def _centre_of_mass(image):
    data = np.asarray(image.dataobj, np.float32)
    return nib.affines.apply_affine(image.affine, ndimage.center_of_mass(data > 0.15 * np.quantile(data, 0.99)))
