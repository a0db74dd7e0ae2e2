"""Quality of preprocessing: what the truth says where it is known, and what can be told without it."""

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.images import load_image, load_mask, resample, voxel_size_known
from epitome_kit.io.geometry import SPACE
from epitome_kit.metrics import dice
from epitome_kit.preprocess.registration import load_template

OF_TRUTH = ("brain_mask_dice", "bias_residual_sd", "registration_error_mm")
"""Measured where the truth is known."""

QUALITY = (*OF_TRUTH, "brain_volume_ml", "template_dice", "bias_field_sd")
"""What is measured of each subject."""

SAID = ("taken_as", "warnings")
"""What is said of each subject in words: what its scan was taken as, and what makes its results doubtful."""


def compare_with_truth(subject, lead, mask, field, to_template):
    """Compare the results of one subject with its truth.

    Parameters
    ----------
    subject : Subject
    lead : str
        Contrast that leads.
    mask : Nifti1Image
        Brain mask that was found, on the scan that leads.
    field : Nifti1Image or None
        Bias field that was found there; None: no correction.
    to_template : ndarray, shape (4, 4)
        Scan mm to ICBM152 mm.

    Returns
    -------
    dict of str to float or None
        The measures of :data:`OF_TRUTH`; None where no truth is known.
    """
    if subject.truth is None:
        return dict.fromkeys(OF_TRUTH)
    prefix = f"{subject.id}_space-{lead}"
    brain = np.asarray(load_mask(subject.truth / f"{prefix}_desc-brain_mask.nii.gz").dataobj) > 0
    bias = np.asarray(load_image(subject.truth / f"{prefix}_biasfield.nii.gz").dataobj)
    found = 1 if field is None else np.asarray(field.dataobj)[brain]
    truth = np.loadtxt(subject.truth / f"{subject.id}_from-{lead}_to-{SPACE}_mode-image_xfm.txt")
    measures = (
        dice(brain, np.asarray(mask.dataobj) > 0),
        log_residual_sd(found, bias[brain]),
        registration_error_mm(to_template, truth, mask),
    )
    return dict(zip(OF_TRUTH, measures, strict=True))


def measure_without_truth(mask, field, brain, *, stripped=True):
    """Measure what tells an odd subject from the others of its cohort.

    Parameters
    ----------
    mask : Nifti1Image
        Brain mask on the scan that leads.
    field : Nifti1Image or None
        Bias field that was found there.
    brain : Nifti1Image
        The mask, carried to the template grid.
    stripped : bool, default=True
        Whether the mask is of the brain, not of the head.

    Returns
    -------
    dict of str to float or None
        ``brain_volume_ml``, None where the voxel size is unknown;
        ``template_dice``, overlap of the carried mask with the template's
        brain; ``bias_field_sd``, sd of the logarithm of the field inside the
        mask. None where there is nothing to measure.
    """
    inside = np.asarray(mask.dataobj) > 0
    volume_ml = float(inside.sum() * abs(np.linalg.det(mask.affine[:3, :3])) / 1000)
    template = np.asarray(resample(load_template()[1], brain.affine, brain.shape).dataobj) > 0.5
    return {
        "brain_volume_ml": volume_ml if stripped and voxel_size_known(mask) else None,
        "template_dice": dice(template, np.asarray(brain.dataobj) > 0) if stripped else None,
        "bias_field_sd": None if field is None else float(np.log(np.asarray(field.dataobj)[inside]).std()),
    }


def registration_error_mm(estimated, truth, mask):
    """Mean distance over a mask between where two transforms send its voxels, in mm.

    Parameters
    ----------
    estimated, truth : ndarray, shape (4, 4)
    mask : Nifti1Image

    Returns
    -------
    float
    """
    points = nib.affines.apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj) > 0))
    return mean_distance(estimated, truth, points)


def mean_distance(first, second, points):
    """Mean distance between where two affine transforms put `points`, in their unit."""
    apart = nib.affines.apply_affine(first, points) - nib.affines.apply_affine(second, points)
    return float(np.linalg.norm(apart, axis=1).mean())


def log_residual_sd(found, true):
    """Measure how much of a bias field is left, the overall scale aside.

    Parameters
    ----------
    found, true : ndarray of float, shape (n,)
        The field that was found, or 1 for no correction, and the true one.

    Returns
    -------
    float
        Standard deviation of the natural logarithm of their ratio.
    """
    return float((np.log(true) - np.log(found)).std())


def split_correction_error(corrected, image, field, mask, *, slow_mm=10.0):
    """Tell what a correction of brightness leaves of the bias from what it does to the anatomy.

    The error is the logarithm of `corrected` over the scan without its bias,
    ``image / field``. Its slow part is bias that was left; the rest is detail
    that was changed.

    Parameters
    ----------
    corrected : Nifti1Image or path
        What the correction made of the scan, on its grid.
    image : Nifti1Image or path
        The scan.
    field : Nifti1Image or path
        Its true bias field.
    mask : Nifti1Image or path
        Brain mask; the error is measured inside.
    slow_mm : float, default=10.0
        Standard deviation of the blur that parts slow from fast.

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
    seen, made, true = (
        np.asarray(load_image(part, where=where, check_voxels=False).dataobj, np.float32)
        for part in (image, corrected, field)
    )
    clean = seen / true
    floor = 0.01 * np.median(clean[inside])
    error = np.where(inside, np.log(np.maximum(made, floor) / np.maximum(clean, floor)), 0)
    sigma = slow_mm / nib.affines.voxel_sizes(image.affine)
    total, weight = (ndimage.gaussian_filter(part.astype(np.float32), sigma)[inside] for part in (error, inside))
    slow = total / weight
    return float(slow.std()), float((error[inside] - slow).std())
