"""Measure the quality of preprocessing, with and without ground truth."""

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.cohort import Subject
from epitome_kit.images import ImageLike, load_image, load_mask, resample, voxel_size_known
from epitome_kit.io.geometry import SPACE
from epitome_kit.large import working_image, working_mask
from epitome_kit.metrics import dice
from epitome_kit.preprocess.registration import load_template

TRUTH_MEASURES = ("brain_mask_dice", "bias_residual_sd", "registration_error_mm")
"""Measures that need ground truth."""

QUALITY = (*TRUTH_MEASURES, "brain_volume_ml", "template_dice", "bias_field_sd")
"""All measures of a subject."""

REMARKS = ("taken_as", "warnings")
"""Remarks in words: what the scan was taken as, and warnings about the results."""


def compare_with_truth(
    subject: Subject, lead: str, mask: nib.Nifti1Image, field: nib.Nifti1Image | None, to_template: np.ndarray
) -> dict[str, float | None]:
    """Compare the results of one subject with the ground truth.

    Parameters
    ----------
    subject : Subject
    lead : str
        Reference contrast.
    mask : Nifti1Image
        Estimated brain mask on the reference scan.
    field : Nifti1Image or None
        Estimated bias field on the grid of :func:`epitome_kit.large.working_image`; None
        without correction.
    to_template : ndarray, shape (4, 4)
        Scan mm to ICBM152 mm.

    Returns
    -------
    dict of str to float or None
        The measures of :data:`TRUTH_MEASURES`; None without ground truth.
    """
    if subject.truth is None:
        return dict.fromkeys(TRUTH_MEASURES)
    prefix = f"{subject.id}_space-{lead}"
    brain = load_mask(subject.truth / f"{prefix}_desc-brain_mask.nii.gz")
    inside = np.asarray(working_mask(brain).dataobj) > 0
    truth_field = load_image(subject.truth / f"{prefix}_biasfield.nii.gz")
    bias = np.asarray(working_image(truth_field, where="preprocess").dataobj)
    found: np.ndarray | float = 1 if field is None else np.asarray(field.dataobj)[inside]
    truth = np.loadtxt(subject.truth / f"{subject.id}_from-{lead}_to-{SPACE}_mode-image_xfm.txt")
    measures = (
        dice(np.asarray(brain.dataobj) > 0, np.asarray(mask.dataobj) > 0),
        log_residual_sd(found, bias[inside]),
        registration_error_mm(to_template, truth, working_mask(mask)),
    )
    return dict(zip(TRUTH_MEASURES, measures, strict=True))


def measure_without_truth(
    mask: nib.Nifti1Image,
    field: nib.Nifti1Image | None,
    brain: nib.Nifti1Image,
    *,
    field_mask: nib.Nifti1Image,
    stripped: bool = True,
) -> dict[str, float | None]:
    """Measure quantities by which outliers of a cohort can be found.

    Parameters
    ----------
    mask : Nifti1Image
        Brain mask on the reference scan.
    field : Nifti1Image or None
        Estimated bias field on the reference scan.
    brain : Nifti1Image
        The mask, resampled to the template grid.
    field_mask : Nifti1Image
        The mask on the grid of the field.
    stripped : bool, default=True
        Whether the mask shows the brain rather than the head.

    Returns
    -------
    dict of str to float or None
        ``brain_volume_ml``, None if the voxel size is unknown;
        ``template_dice``, overlap of the resampled mask with the template's
        brain; ``bias_field_sd``, standard deviation of the log field inside the
        mask. None for measures that do not apply.
    """
    voxels = np.count_nonzero(mask.dataobj)
    volume_ml = float(voxels * abs(np.linalg.det(mask.affine[:3, :3])) / 1000)
    template = np.asarray(resample(load_template()[1], brain.affine, brain.shape).dataobj) > 0.5
    return {
        "brain_volume_ml": volume_ml if stripped and voxel_size_known(mask) else None,
        "template_dice": dice(template, np.asarray(brain.dataobj) > 0) if stripped else None,
        "bias_field_sd": None if field is None else _log_sd(field, field_mask),
    }


def _log_sd(field: nib.Nifti1Image, mask: nib.Nifti1Image) -> float:
    return float(np.log(np.asarray(field.dataobj)[np.asarray(mask.dataobj) > 0]).std())


def registration_error_mm(estimated: np.ndarray, truth: np.ndarray, mask: nib.Nifti1Image) -> float:
    """Return the mean distance between two transforms over the voxels of a mask, in mm.

    Parameters
    ----------
    estimated, truth : ndarray, shape (4, 4)
        Transforms from the mm of the mask.
    mask : Nifti1Image
        Mask of the voxels to compare.

    Returns
    -------
    float
    """
    points = nib.affines.apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj) > 0))
    return mean_distance(estimated, truth, points)


def mean_distance(first: np.ndarray, second: np.ndarray, points: np.ndarray) -> float:
    """Return the mean distance between `points` mapped by two affine transforms, in their unit."""
    offsets = nib.affines.apply_affine(first, points) - nib.affines.apply_affine(second, points)
    return float(np.linalg.norm(offsets, axis=1).mean())


def log_residual_sd(found: np.ndarray | float, true: np.ndarray) -> float:
    """Measure how much of a bias field remains, ignoring the overall scale.

    Parameters
    ----------
    found : ndarray of float, shape (n,), or float
        Estimated field; 1 for no correction.
    true : ndarray of float, shape (n,)
        True field.

    Returns
    -------
    float
        Standard deviation of the natural logarithm of the ratio of the fields.
    """
    return float((np.log(true) - np.log(found)).std())


def split_correction_error(
    corrected: ImageLike, image: ImageLike, field: ImageLike, mask: ImageLike, *, slow_mm: float = 10.0
) -> tuple[float, float]:
    """Split the error of a bias correction into residual bias and altered detail.

    The error is the logarithm of `corrected` over the bias-free scan, ``image / field``.
    Its low-frequency part is residual bias; the rest is altered anatomical detail.

    Parameters
    ----------
    corrected : image-like
        Corrected scan, on the grid of the scan.
    image : image-like
        The uncorrected scan.
    field : image-like
        Its true bias field.
    mask : image-like
        Brain mask, inside which the error is measured.
    slow_mm : float, default=10.0
        Standard deviation of the Gaussian filter that separates low from high frequencies.

    Returns
    -------
    bias_left, detail_changed : float
        Standard deviations over the mask, both of a natural logarithm: 0.1 is
        about 10 %.

    Raises
    ------
    ImageError
        An image cannot be read, or the mask is on another grid.
    """
    where = "split_correction_error"
    image = load_image(image, where=where)
    inside = np.asarray(load_mask(mask, like=image, where=where).dataobj) > 0
    observed, output, true = (
        np.asarray(load_image(part, where=where, check_voxels=False).dataobj, np.float32)
        for part in (image, corrected, field)
    )
    clean = observed / true
    floor = 0.01 * np.median(clean[inside])
    error = np.where(inside, np.log(np.maximum(output, floor) / np.maximum(clean, floor)), 0)
    sigma = slow_mm / nib.affines.voxel_sizes(image.affine)
    total, weight = (ndimage.gaussian_filter(part.astype(np.float32), sigma)[inside] for part in (error, inside))
    slow = total / weight
    return float(slow.std()), float((error[inside] - slow).std())
