"""Preprocessed scans as arrays that a network can eat."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.contrast_table import CONTRASTS, either
from epitome_kit.errors import CohortError, ImageError
from epitome_kit.images import load_image
from epitome_kit.learn.channels import shipped_channels
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
    tumour, known : ndarray of uint8, shape (n, i, j, k, 1)
        Tumour as drawn, and where it is known whether there is any: see
        :func:`known_region`.
    spacing_mm : tuple of 3 float
        Voxel size.
    """

    ids: tuple
    contrasts: tuple
    scans: np.ndarray
    tumour: np.ndarray
    known: np.ndarray
    spacing_mm: tuple


def load_arrays(cohort, preprocessed, contrasts=None):
    """Load every preprocessed subject of a cohort.

    Parameters
    ----------
    cohort : Cohort
    preprocessed : path
        Folder that :func:`epitome_kit.preprocess_cohort` wrote.
    contrasts : sequence of str, default=None
        Channels; None means those that at least half of the subjects have, out of
        those of the shipped CNN.

    Returns
    -------
    Arrays

    Raises
    ------
    CohortError
        Nothing has been preprocessed there, or none of those contrasts.
    """
    files = [Preprocessed(Path(preprocessed), subject.id) for subject in cohort]
    files = [each for each in files if each.record.is_file()]
    if not files:
        raise CohortError(
            "load_arrays",
            "preprocessed subjects",
            f"none in {preprocessed}",
            "run `epitome preprocess`, or notebook 02, first",
        )
    contrasts = tuple(contrasts or _channels(cohort))
    scans = np.stack([load_scans(each, contrasts) for each in files])
    shape = scans.shape[1:4]
    masks = [[_mask(each, name, shape) for name in ("label-tumour", "desc-annotated", "desc-brain")] for each in files]
    tumour = np.stack([drawn for drawn, _, _ in masks])[..., None]
    known = np.stack([known_region(*three) for three in masks])[..., None]
    spacing_mm = nib.affines.voxel_sizes(nib.load(files[0].mask("desc-brain")).affine)
    return Arrays(tuple(each.id for each in files), contrasts, scans, tumour, known, tuple(spacing_mm))


def _channels(cohort):
    known = shipped_channels("epitome_cnn")
    found = tuple(name for name in cohort.contrasts if name in known)
    if not found:
        received = f"{', '.join(cohort.contrasts) or 'no contrast'} in half of the subjects of {cohort.root}"
        hint = "add scans of one of these contrasts: others are no channels of the network"
        raise CohortError("load_arrays", f"scans of {either(known)}", received, hint)
    return found


def known_region(tumour, annotated, brain):
    """Tell where it is known whether there is tumour.

    That is on the annotated slices; outside the brain; and further away from
    those slices than the tumour is wide on them, since they hold its widest
    part. All else is unknown, not background.

    Parameters
    ----------
    tumour, annotated, brain : ndarray of uint8, shape (i, j, k)
        On one isotropic grid; `annotated` is 1 on the slices that were looked at.

    Returns
    -------
    ndarray of uint8, shape (i, j, k)
        All 0 where nothing was annotated.
    """
    if not annotated.any():
        return annotated
    drawn = np.argwhere(tumour)
    width = np.linalg.norm(np.ptp(drawn, axis=0)) if len(drawn) else np.inf
    far = ndimage.distance_transform_edt(annotated == 0) > width
    return (annotated.astype(bool) | (brain == 0) | far).astype(np.uint8)


def load_scans(files, contrasts):
    """Load the normalised scans of one subject.

    Parameters
    ----------
    files : Preprocessed
    contrasts : sequence of str

    Returns
    -------
    ndarray of float32, shape (i, j, k, contrasts)
        A contrast that the subject lacks is 0.

    Raises
    ------
    ImageError
        The subject has none of the contrasts.
    """
    volumes = {name: np.asarray(load_image(path).dataobj, np.float32) for name, path in _existing(files, contrasts)}
    if not volumes:
        there = [name for name in CONTRASTS if files.scan(name).is_file()]
        hint = "preprocess one of these contrasts as well, or leave the subject out"
        received = f"{', '.join(there) or 'no scan'} of {files.id} in {files.folder}"
        raise ImageError("load_scans", f"a scan of {either(contrasts)}", received, hint)
    empty = np.zeros_like(next(iter(volumes.values())))
    return np.stack([volumes.get(name, empty) for name in contrasts], axis=-1)


def _existing(files, contrasts):
    return [(name, files.scan(name)) for name in contrasts if files.scan(name).is_file()]


def _mask(files, name, shape):
    """Load a mask, or nothing at all where the subject has no annotation."""
    path = files.mask(name)
    if not path.is_file():
        return np.zeros(shape, np.uint8)
    return np.asarray(load_image(path, check_voxels=False).dataobj, np.uint8)
