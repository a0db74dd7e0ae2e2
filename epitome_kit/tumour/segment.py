"""Segmentation: the tumour map of the CNN, out of fold, on each subject's own grid."""

from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import ndimage

from epitome_kit.backend import keras
from epitome_kit.cohort import annotation_path
from epitome_kit.files import write_tsv
from epitome_kit.images import image_like, load_image, load_mask, resample, save_image, voxel_size_known
from epitome_kit.learn.arrays import load_arrays
from epitome_kit.learn.train import fold_model_path, learn_features
from epitome_kit.overlap import dice, volume_error_pct
from epitome_kit.preprocess.pipeline import Preprocessed, give_nominal_size, lead_contrast
from epitome_kit.progress import for_each
from epitome_kit.tumour.measure import measure_tumour

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
"""Tumour probabilities to choose among."""


def segment_cohort(cohort, preprocessed, out, *, target="grade", folds=5, epochs=5, seed=0):
    """Find the tumour in every subject with a network that never saw the subject.

    The network is the CNN of :func:`epitome_kit.learn_features`, trained here
    if it was not before: one of its two answers is where the tumour is. Each
    scan is shown to it as it is and mirrored, and the two maps are averaged.
    The threshold on the map is the one that fits the training subjects of the
    fold best.

    Where annotation is sparse, training and scores look at the annotated
    slices alone: the others are unknown, not background. On a simulated cohort
    the network still learns from the sparse annotation, and is scored on the
    whole truth.

    Parameters
    ----------
    cohort : Cohort
    preprocessed : path
        Folder that :func:`epitome_kit.preprocess_cohort` wrote.
    out : path
        Workspace: ``masks/`` on each subject's own grid, and ``tumours.tsv``.
    target : {"grade", "codeletion"}, default="grade"
    folds : int, default=5
    epochs : int, default=5
    seed : int, default=0
        The last four as for :func:`epitome_kit.learn_features`.

    Returns
    -------
    DataFrame
        ``participant_id``, ``fold``, ``volume_voxels``, ``volume_ml``,
        ``rano_long_mm``, ``rano_perpendicular_mm``, ``dice``, ``reference``
        ("truth", "all slices" or "annotated slices"),
        ``reference_volume_voxels``, ``reference_volume_ml`` and
        ``volume_error_pct``. What has a unit is missing where the voxel size is
        unknown, and what compares is missing where there is no reference.

    Raises
    ------
    BadCohort
        Nothing preprocessed, or too few subjects for the folds.
    """
    out, preprocessed = Path(out), Path(preprocessed)
    features = learn_features(cohort, preprocessed, out, target=target, folds=folds, epochs=epochs, seed=seed)
    tests = features[features.role == "test"].groupby("fold").participant_id.apply(list)
    arrays = load_arrays(cohort, preprocessed)
    find = partial(_segment_fold, tests=tests, arrays=arrays, cohort=cohort, preprocessed=preprocessed, out=out)
    parts = for_each(find, tests.index, title="Segmenting")
    tumours = pd.DataFrame([row for part in parts for row in part]).sort_values("participant_id", ignore_index=True)
    write_tsv(out / "tumours.tsv", tumours)
    return tumours


def _segment_fold(fold, *, tests, arrays, cohort, preprocessed, out):
    model = keras.saving.load_model(fold_model_path(out, fold - 1), compile=False)
    grid = nib.load(Preprocessed(preprocessed, arrays.ids[0]).mask("desc-brain"))
    maps = _maps(model, arrays.scans)
    tested = np.isin(arrays.ids, tests[fold])
    threshold = choose_threshold(maps[~tested], arrays.tumour[~tested, ..., 0], arrays.known[~tested, ..., 0])
    affine = _coarser(grid.affine, grid.shape, maps.shape[1:])
    rows = []
    for index in np.flatnonzero(tested):
        subject_id = arrays.ids[index]
        coarse = nib.Nifti1Image(maps[index], affine)
        answer = _finish(cohort[subject_id], Preprocessed(preprocessed, subject_id), coarse, threshold, out)
        rows.append({"participant_id": subject_id, "fold": int(fold), **answer})
    return rows


def _maps(model, scans):
    """Tumour maps of scans, each seen as it is and mirrored."""
    straight, mirrored = (
        np.asarray(model.predict(view, batch_size=4, verbose=0)["tumour"])[..., 0] for view in (scans, scans[:, ::-1])
    )
    return (straight + mirrored[:, ::-1]) / 2


def choose_threshold(maps, tumour, known):
    """Choose the threshold with the best mean Dice, judged where the truth is known.

    Parameters
    ----------
    maps : ndarray, shape (n, i / f, j / f, k / f)
        Tumour probability of training subjects, at a coarser resolution.
    tumour, known : ndarray of uint8, shape (n, i, j, k)
        Tumour, and where it is known whether there is any.

    Returns
    -------
    float
        One of :data:`THRESHOLDS`.
    """
    factor = tumour.shape[1] // maps.shape[1]
    truth, seen = (_blocks(part, factor) > 0.5 for part in (tumour, known))
    each = list(zip(maps, truth & seen, seen, strict=True))
    scores = [np.mean([dice((one > limit) & inside, true) for one, true, inside in each]) for limit in THRESHOLDS]
    return THRESHOLDS[int(np.argmax(scores))]


def _blocks(volumes, factor):
    """Mean of each block of voxels, shape (n, i, j, k) to (n, i / f, j / f, k / f)."""
    n, i, j, k = volumes.shape
    split = volumes.reshape(n, i // factor, factor, j // factor, factor, k // factor, factor)
    return split.mean(axis=(2, 4, 6), dtype=np.float32)


def _coarser(affine, shape, coarse_shape):
    """Affine of a grid whose voxels each cover a block of finer ones."""
    factors = np.array(shape) / np.array(coarse_shape)
    matrix = affine[:3, :3] * factors
    return nib.affines.from_matvec(matrix, affine[:3, 3] + affine[:3, :3] @ ((factors - 1) / 2))


def _finish(subject, files, probability, threshold, out):
    """Carry one answer to the subject's own grid, save it, measure it and compare it."""
    lead = lead_contrast(subject)
    original = load_image(subject.images[lead])
    scan = give_nominal_size(original)
    to_template = np.loadtxt(files.transform(lead))
    on_scan = resample(probability, scan.affine, scan.shape, transform=np.linalg.inv(to_template))
    found = _largest_piece(np.asarray(on_scan.dataobj) > threshold)
    mask = image_like(found.astype(np.uint8), original)
    save_image(mask, out / "masks" / annotation_path("", subject.id).name)
    return {**_measure(mask), **_compare(subject, original, found)}


def _largest_piece(mask):
    pieces, count = ndimage.label(mask)
    return pieces == np.bincount(pieces.ravel())[1:].argmax() + 1 if count else mask


def _measure(mask):
    known = voxel_size_known(mask) and np.any(mask.dataobj)
    size = measure_tumour(mask) if known else None
    return {
        "volume_voxels": int(np.sum(mask.dataobj)),
        "volume_ml": size.volume_ml if size else None,
        "rano_long_mm": size.rano_long_mm if size else None,
        "rano_perpendicular_mm": size.rano_perpendicular_mm if size else None,
    }


def _compare(subject, original, found):
    """Dice and volume error against the best reference there is."""
    reference, kind = _reference(subject, original)
    if reference is None:
        return {}
    if kind == "annotated slices":
        kept = list(subject.annotated_slices)
        found, reference = found[:, :, kept], reference[:, :, kept]
    voxels = int(reference.sum())
    ml = abs(np.linalg.det(original.affine[:3, :3])) / 1000 if voxel_size_known(original) else None
    return {
        "dice": dice(found, reference),
        "reference": kind,
        "reference_volume_voxels": voxels,
        "reference_volume_ml": voxels * ml if ml else None,
        "volume_error_pct": volume_error_pct(found, reference) if voxels else None,
    }


def _reference(subject, original):
    lead = lead_contrast(subject)
    if subject.truth is not None:
        path = subject.truth / f"{subject.id}_space-{lead}_label-tumour_mask.nii.gz"
        return np.asarray(load_mask(path, like=original).dataobj) > 0, "truth"
    if subject.annotation is None:
        return None, None
    kind = "all slices" if subject.annotated_slices is None else "annotated slices"
    return np.asarray(load_mask(subject.annotation, like=original).dataobj) > 0, kind
