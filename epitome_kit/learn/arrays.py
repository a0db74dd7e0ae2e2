"""Preprocessed scans as arrays that a network can eat."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from epitome_kit.errors import BadCohort
from epitome_kit.images import load_image
from epitome_kit.preprocess.pipeline import Preprocessed


@dataclass(frozen=True)
class Arrays:
    """Scans of a cohort on the template grid.

    Attributes
    ----------
    ids : tuple of str
        Subjects, in the order of the first axis.
    contrasts : tuple of str
        In the order of the last axis.
    scans : ndarray of float32, shape (n, i, j, k, contrasts)
        Normalised; a contrast that a subject lacks is 0, its median.
    tumour, annotated : ndarray of uint8, shape (n, i, j, k, 1)
        Tumour as drawn, and the part of space where anyone looked.
    """

    ids: tuple
    contrasts: tuple
    scans: np.ndarray
    tumour: np.ndarray
    annotated: np.ndarray


def load_arrays(cohort, preprocessed):
    """Load every preprocessed subject of a cohort.

    Parameters
    ----------
    cohort : Cohort
    preprocessed : path
        Folder that :func:`epitome_kit.preprocess_cohort` wrote.

    Returns
    -------
    Arrays

    Raises
    ------
    BadCohort
        Nothing has been preprocessed there.
    """
    files = [Preprocessed(Path(preprocessed), subject.id) for subject in cohort]
    files = [each for each in files if each.record.is_file()]
    if not files:
        raise BadCohort(
            "load_arrays",
            "preprocessed subjects",
            f"none in {preprocessed}",
            "run `epitome preprocess`, or notebook 02, first",
        )
    contrasts = cohort.contrasts
    scans = np.stack([_scans(each, contrasts) for each in files])
    shape = scans.shape[1:4]
    tumour, annotated = (
        np.stack([_mask(each, name, shape) for each in files]) for name in ("label-tumour", "desc-annotated")
    )
    return Arrays(tuple(each.id for each in files), contrasts, scans, tumour, annotated)


def _scans(files, contrasts):
    volumes = {name: np.asarray(load_image(path).dataobj, np.float32) for name, path in _existing(files, contrasts)}
    empty = np.zeros_like(next(iter(volumes.values())))
    return np.stack([volumes.get(name, empty) for name in contrasts], axis=-1)


def _existing(files, contrasts):
    return [(name, files.scan(name)) for name in contrasts if files.scan(name).is_file()]


def _mask(files, name, shape):
    """Load a mask, or nothing at all where the subject has no annotation."""
    path = files.mask(name)
    if not path.is_file():
        return np.zeros((*shape, 1), np.uint8)
    return np.asarray(load_image(path, check_voxels=False).dataobj, np.uint8)[..., None]
