"""Resample tumour probabilities to the subject's scan, threshold, measure and compare them."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from epitome_kit.cohort import Cohort, Subject, annotation_path
from epitome_kit.errors import CohortError
from epitome_kit.files import Json, PathLike
from epitome_kit.images import load_image, load_mask, new_image_like, resample, save_image, voxel_size_known
from epitome_kit.large import bounding_box, label_sizes, map_above
from epitome_kit.learn.arrays import Arrays
from epitome_kit.metrics import dice, hausdorff95_mm, volume_error_pct
from epitome_kit.preprocess.pipeline import Preprocessed, assign_nominal_voxel_size, registration_reference
from epitome_kit.tumour.measure import measure_tumour
from epitome_kit.workspace import Workspace

THRESHOLD = 0.5
"""Probability above which a voxel counts as tumour."""

_MIN_COMPONENT_FRACTION = 0.1


def to_subject_space(subject: Subject, preprocessed: PathLike, probability: np.ndarray) -> nib.Nifti1Image:
    """Resample a probability map from the template to the scan of a subject, and threshold it.

    Parameters
    ----------
    subject : Subject
        Subject of a cohort.
    preprocessed : path
        Folder written by :func:`epitome_kit.preprocess_cohort`.
    probability : ndarray of float32, shape (i, j, k)
        On the template grid of that folder.

    Returns
    -------
    Nifti1Image
        uint8, on the grid of the reference contrast, without components of less than a
        tenth of the largest.
    """
    files = Preprocessed(Path(preprocessed), subject.id)
    reference = registration_reference(subject)
    original = load_image(subject.images[reference], check_voxels=False)
    scan = assign_nominal_voxel_size(original)
    template = nib.Nifti1Image.from_filename(files.mask("desc-brain")).affine
    to_scan = np.linalg.inv(np.loadtxt(files.transform(reference)))
    to_template = np.linalg.inv(to_scan @ template) @ scan.affine
    found = map_above(probability.astype(np.float32), to_template, scan.shape, THRESHOLD)
    box = bounding_box(found)
    found[box] &= _large_components(found[box])
    return new_image_like(found.view(np.uint8), original)


def _large_components(mask: np.ndarray) -> np.ndarray:
    pieces, sizes = label_sizes(mask)
    return (sizes >= _MIN_COMPONENT_FRACTION * sizes.max())[pieces]


def mask_path(out: PathLike, subject_id: str) -> Path:
    """Return the path of the tumour mask of a subject in a workspace."""
    return Workspace(Path(out)).masks / annotation_path("", subject_id).name


def describe_outline(subject: Subject, mask: nib.Nifti1Image) -> Json:
    """Measure a mask, and compare it with the best available reference.

    Parameters
    ----------
    subject : Subject
        Subject of a cohort.
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


def compare_outline(subject: Subject, mask: nib.Nifti1Image) -> Json:
    """Compare a mask with the ground truth, else with the annotation; empty without a reference."""
    path = reference_path(subject)
    if path is None:
        return {}
    reference = np.asarray(load_mask(path, like=mask).dataobj) > 0
    found = np.asarray(mask.dataobj) > 0
    kind = "all slices" if subject.annotated_slices is None else "annotated slices"
    if subject.truth is not None:
        kind = "truth"
    elif subject.annotated_slices is not None:
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


def voxel_ml(image: nib.Nifti1Image) -> float:
    """Return the volume of one voxel; NaN if the voxel size is unknown."""
    return abs(np.linalg.det(image.affine[:3, :3])) / 1000 if voxel_size_known(image) else np.nan


def true_mask(subject: Subject) -> Path:
    """Return the path of the true tumour mask of a simulated subject, on the grid of the reference contrast."""
    if subject.truth is None:
        raise CohortError("true_mask", "a simulated subject", subject.id, "use the annotation")
    return subject.truth / f"{subject.id}_space-{registration_reference(subject)}_label-tumour_mask.nii.gz"


def reference_path(subject: Subject) -> Path | None:
    """Return the path of the best reference for a subject's mask: the truth, else the annotation, else None."""
    return subject.annotation if subject.truth is None else true_mask(subject)


def save_outline(mask: nib.Nifti1Image, out: PathLike, subject_id: str) -> None:
    """Write the mask of a subject into a workspace."""
    save_image(mask, mask_path(out, subject_id))


def with_whole_truth(arrays: Arrays, cohort: Cohort, preprocessed: PathLike) -> Arrays:
    """Replace the annotated slices of arrays by the whole true tumour.

    Parameters
    ----------
    arrays : Arrays
        Scans and annotations.
    cohort : Cohort
        Simulated cohort.
    preprocessed : path
        Folder that the arrays were loaded from.

    Returns
    -------
    Arrays
        With every voxel known.
    """
    files = {name: Preprocessed(Path(preprocessed), name) for name in arrays.ids}
    tumour = np.stack([_on_template(cohort[name], each) for name, each in files.items()])[..., None]
    return replace(arrays, tumour=tumour, known=np.ones_like(tumour))


def _on_template(subject: Subject, files: Preprocessed) -> np.ndarray:
    grid = nib.Nifti1Image.from_filename(files.mask("desc-brain"))
    transform = np.loadtxt(files.transform(registration_reference(subject)))
    carried = resample(load_mask(true_mask(subject)), grid.affine, grid.shape, transform=transform)
    return (np.asarray(carried.dataobj) > 0.5).astype(np.uint8)
