"""From a tumour map on the template to a mask on the subject's own scan, measured and compared."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.cohort import annotation_path
from epitome_kit.images import image_like, load_image, load_mask, resample, save_image, voxel_size_known
from epitome_kit.metrics import dice, hausdorff95_mm, volume_error_pct
from epitome_kit.preprocess.pipeline import Preprocessed, assign_nominal_voxel_size, registration_reference
from epitome_kit.tumour.measure import measure_tumour
from epitome_kit.workspace import Workspace

THRESHOLD = 0.5
"""Probability above which a voxel counts as tumour."""

_SMALLEST_PIECE = 0.1


def to_subject_space(subject, preprocessed, probability):
    """Carry a tumour map from the template to the scan of a subject, and cut a mask out of it.

    Parameters
    ----------
    subject : Subject
    preprocessed : path
        Folder that :func:`epitome_kit.preprocess_cohort` wrote.
    probability : ndarray of float32, shape (i, j, k)
        On the template grid of that folder.

    Returns
    -------
    Nifti1Image
        uint8, on the grid of the contrast that leads; pieces of less than a
        tenth of the largest are left out.
    """
    files = Preprocessed(Path(preprocessed), subject.id)
    lead = registration_reference(subject)
    original = load_image(subject.images[lead])
    scan = assign_nominal_voxel_size(original)
    on_template = nib.Nifti1Image(probability.astype(np.float32), nib.load(files.mask("desc-brain")).affine)
    to_scan = np.linalg.inv(np.loadtxt(files.transform(lead)))
    on_scan = resample(on_template, scan.affine, scan.shape, transform=to_scan)
    found = _remove_small_components(np.asarray(on_scan.dataobj) > THRESHOLD)
    return image_like(found.astype(np.uint8), original)


def _remove_small_components(mask):
    pieces, count = ndimage.label(mask)
    if not count:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return (sizes >= _SMALLEST_PIECE * sizes.max())[pieces] & mask


def mask_path(out, subject_id):
    """Where a workspace keeps the tumour mask of a subject."""
    return Workspace(out).masks / annotation_path("", subject_id).name


def describe_outline(subject, mask):
    """Measure a mask, and compare it with the best reference there is.

    Parameters
    ----------
    subject : Subject
    mask : Nifti1Image
        From :func:`to_subject_space`.

    Returns
    -------
    dict
        Columns of ``tumours.tsv``: see :func:`epitome_kit.segment_cohort`.
    """
    known = voxel_size_known(mask)
    size = measure_tumour(mask) if known and np.any(mask.dataobj) else None
    measured = {
        "volume_voxels": int(np.sum(mask.dataobj)),
        "volume_ml": size.volume_ml if size else 0.0 if known else np.nan,
        "rano_long_mm": size.rano_long_mm if size else np.nan,
        "rano_perpendicular_mm": size.rano_perpendicular_mm if size else np.nan,
    }
    return {**measured, **compare_outline(subject, mask)}


def compare_outline(subject, mask):
    """Compare a mask with the truth, else with what was annotated; empty where there is neither."""
    reference, kind = _reference(subject, mask)
    if reference is None:
        return {}
    found = np.asarray(mask.dataobj) > 0
    if kind == "annotated slices":
        kept = list(subject.annotated_slices)
        found, reference = found[:, :, kept], reference[:, :, kept]
    voxels = int(reference.sum())
    known = voxel_size_known(mask) and found.any() and voxels
    return {
        "dice": dice(found, reference),
        "hd95_mm": hausdorff95_mm(found, reference, nib.affines.voxel_sizes(mask.affine)) if known else np.nan,
        "reference": kind,
        "compared_volume_voxels": int(found.sum()),
        "reference_volume_voxels": voxels,
        "reference_volume_ml": voxels * voxel_ml(mask),
        "volume_error_pct": volume_error_pct(found, reference) if voxels else np.nan,
    }


def voxel_ml(image):
    """Volume of one voxel; missing where the voxel size is unknown."""
    return abs(np.linalg.det(image.affine[:3, :3])) / 1000 if voxel_size_known(image) else np.nan


def true_mask(subject):
    """Path of the whole true tumour of a simulated subject, on the grid of the contrast that leads."""
    return subject.truth / f"{subject.id}_space-{registration_reference(subject)}_label-tumour_mask.nii.gz"


def reference_path(subject):
    """Path of the best reference for a subject's mask: the truth, else the annotation, else None."""
    return subject.annotation if subject.truth is None else true_mask(subject)


def _reference(subject, like):
    path = reference_path(subject)
    if path is None:
        return None, None
    kind = "annotated slices" if subject.annotated_slices is not None else "all slices"
    return np.asarray(load_mask(path, like=like).dataobj) > 0, kind if subject.truth is None else "truth"


def save_outline(mask, out, subject_id):
    """Write the mask of a subject into a workspace."""
    save_image(mask, mask_path(out, subject_id))


def with_whole_truth(arrays, cohort, preprocessed):
    """Give arrays the whole true tumour in place of the annotated slices.

    Parameters
    ----------
    arrays : Arrays
    cohort : Cohort
        Simulated.
    preprocessed : path
        Folder that the arrays were loaded from.

    Returns
    -------
    Arrays
        With everything known.
    """
    files = {name: Preprocessed(Path(preprocessed), name) for name in arrays.ids}
    tumour = np.stack([_on_template(cohort[name], each) for name, each in files.items()])[..., None]
    return replace(arrays, tumour=tumour, known=np.ones_like(tumour))


def _on_template(subject, files):
    grid = nib.load(files.mask("desc-brain"))
    transform = np.loadtxt(files.transform(registration_reference(subject)))
    carried = resample(load_mask(true_mask(subject)), grid.affine, grid.shape, transform=transform)
    return (np.asarray(carried.dataobj) > 0.5).astype(np.uint8)
