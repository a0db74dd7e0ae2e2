"""Load preprocessed scans as arrays for network input."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.cohort import Cohort
from epitome_kit.contrast_table import CONTRASTS, either
from epitome_kit.errors import CohortError, ImageError
from epitome_kit.files import PathLike
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
        Contrasts, in the order of the last axis.
    scans : ndarray of float32, shape (n, i, j, k, contrasts)
        Normalised; a missing contrast is 0, the median of the brain.
    tumour, known : ndarray of uint8, shape (n, i, j, k, 1)
        Annotated tumour, and where the annotation is known: see
        :func:`known_region`.
    spacing_mm : tuple of 3 float
        Voxel size.
    """

    ids: tuple[str, ...]
    contrasts: tuple[str, ...]
    scans: np.ndarray
    tumour: np.ndarray
    known: np.ndarray
    spacing_mm: tuple[float, ...]


def load_arrays(cohort: Cohort, preprocessed: PathLike, contrasts: Iterable[str] | None = None) -> Arrays:
    """Load every preprocessed subject of a cohort.

    Parameters
    ----------
    cohort : Cohort
        Subjects to load; those that were not preprocessed are skipped.
    preprocessed : path
        Output folder of :func:`epitome_kit.preprocess_cohort`.
    contrasts : sequence of str, default=None
        Channels; None means the channels of the shipped CNN that at least half of
        the subjects have.

    Returns
    -------
    Arrays
        Scans and masks of all subjects on one grid.

    Raises
    ------
    CohortError
        No subject has been preprocessed, or the cohort has none of the contrasts.
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
    tumour = np.stack([annotation for annotation, _, _ in masks])[..., None]
    known = np.stack([known_region(*three) for three in masks])[..., None]
    spacing_mm = nib.affines.voxel_sizes(nib.Nifti1Image.from_filename(files[0].mask("desc-brain")).affine)
    return Arrays(tuple(each.id for each in files), contrasts, scans, tumour, known, tuple(spacing_mm))


def _channels(cohort: Cohort) -> tuple[str, ...]:
    known = shipped_channels("epitome_cnn")
    found = tuple(name for name in cohort.contrasts if name in known)
    if not found:
        received = f"{', '.join(cohort.contrasts) or 'no contrast'} in half of the subjects of {cohort.root}"
        hint = "add scans of one of these contrasts: the network has no channel for others"
        raise CohortError("load_arrays", f"scans of {either(known)}", received, hint)
    return found


def known_region(tumour: np.ndarray, annotated: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Mark where the annotation says whether there is tumour.

    The annotation is known on the annotated slices, outside the brain, and at a
    distance from those slices of more than the width of the tumour on them, as
    annotators choose the widest part. All other voxels are unknown, not background.

    Parameters
    ----------
    tumour, annotated, brain : ndarray of uint8, shape (i, j, k)
        Masks on one isotropic grid; `annotated` is 1 on the annotated slices.

    Returns
    -------
    ndarray of uint8, shape (i, j, k)
        1 where known; all 0 without annotated slices.
    """
    if not annotated.any():
        return annotated
    voxels = np.argwhere(tumour)
    width = np.linalg.norm(np.ptp(voxels, axis=0)) if len(voxels) else np.inf
    far = ndimage.distance_transform_edt(annotated == 0) > width
    return (annotated.astype(bool) | (brain == 0) | far).astype(np.uint8)


def load_scans(files: Preprocessed, contrasts: Sequence[str]) -> np.ndarray:
    """Load the normalised scans of one subject.

    Parameters
    ----------
    files : Preprocessed
        Derivative of the subject.
    contrasts : sequence of str
        Channels, in order.

    Returns
    -------
    ndarray of float32, shape (i, j, k, contrasts)
        A missing contrast is 0.

    Raises
    ------
    ImageError
        The subject has none of the contrasts.
    OutputError
        A file was changed since preprocessing.
    """
    files.require_intact("load_scans")
    volumes = {name: np.asarray(load_image(path).dataobj, np.float32) for name, path in _existing(files, contrasts)}
    if not volumes:
        available = [name for name in CONTRASTS if files.scan(name).is_file()]
        hint = "preprocess one of these contrasts as well, or leave the subject out"
        received = f"{', '.join(available) or 'no scan'} of {files.id} in {files.folder}"
        raise ImageError("load_scans", f"a scan of {either(contrasts)}", received, hint)
    empty = np.zeros_like(next(iter(volumes.values())))
    return np.stack([volumes.get(name, empty) for name in contrasts], axis=-1)


def _existing(files: Preprocessed, contrasts: Iterable[str]) -> list[tuple[str, Path]]:
    return [(name, files.scan(name)) for name in contrasts if files.scan(name).is_file()]


def _mask(files: Preprocessed, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Load a mask; all 0 for a subject without annotation."""
    path = files.mask(name)
    if not path.is_file():
        return np.zeros(shape, np.uint8)
    return np.asarray(load_image(path, check_voxels=False).dataobj, np.uint8)
