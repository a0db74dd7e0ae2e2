"""Intervals of tumour volumes: levels, calibration and display text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from epitome_kit.confidence import interval_label
from epitome_kit.tumour.conformal import nonconformity_score, possible_volumes, volume_interval

VOLUME_LEVEL = 0.9
"""Nominal coverage of the interval of a segmented volume."""

ELLIPSOID_LEVEL = 0.95
"""Probability of the interval of a volume estimated from a few annotated slices."""


@dataclass(frozen=True)
class VolumeText:
    """A volume and its interval as text, with the precision of their unit.

    Attributes
    ----------
    amount, low, high : str
        Numbers; `low` and `high` are empty if the interval is not calibrated.
    unit : {"mL", "voxels"}
        Unit of the volume.
    """

    amount: str
    low: str
    high: str
    unit: str

    @property
    def volume(self) -> str:
        """Volume and unit, such as ``"38.2 mL"``."""
        return f"{self.amount} {self.unit}"

    @property
    def limits(self) -> str:
        """Limits of the interval, such as ``"30.0 to 47.1 mL"``, or ``"unknown"``."""
        return f"{self.low} to {self.high} {self.unit}" if self.low and self.high else "unknown"

    @property
    def label(self) -> str:
        """Name of the interval, such as ``"90 % interval"``."""
        return interval_label(VOLUME_LEVEL)

    @property
    def interval(self) -> str:
        """Label and limits, such as ``"90 % interval 30.0 to 47.1 mL"``."""
        return f"{self.label} {self.limits}"


def describe_volume(size: Mapping[str, Any] | pd.Series) -> VolumeText:
    """Format a volume and its interval: in mL, or in voxels if the voxel size is unknown.

    Parameters
    ----------
    size : mapping or Series
        Volumes of one tumour, named as in the table of :func:`add_intervals`.

    Returns
    -------
    VolumeText
        Texts for displays.
    """
    known = not pd.isna(size["volume_ml"])
    unit, digits = ("ml", 1) if known else ("voxels", 0)
    values = (size[f"volume_{part}{unit}"] for part in ("", "low_", "high_"))
    amount, low, high = ("" if pd.isna(value) else f"{value:.{digits}f}" for value in values)
    return VolumeText(amount, low, high, unit="mL" if known else "voxels")


def score_volumes(tumours: pd.DataFrame, unseen: Sequence[float] = (0.0,)) -> np.ndarray:
    """Compute the nonconformity scores of each volume, for the calibration of intervals.

    Parameters
    ----------
    tumours : DataFrame
        Columns ``volume_voxels``, ``compared_volume_voxels``, ``reference_volume_voxels``,
        ``spread`` and, for sparse annotation, ``reference``.
    unseen : sequence of float, default=(0.0,)
        From :func:`epitome_kit.tumour.conformal.unseen_error`, of subjects whose whole
        tumour is known. The default takes the segmentation's word for what lies outside
        the annotated slices, and makes intervals that are too narrow.

    Returns
    -------
    ndarray of float, shape (n, m)
        Nonconformity scores; NaN without a reference. The m scores of a subject are equal
        if its whole tumour is known; otherwise there is one for each of `unseen`.
    """
    found, true = tumours.volume_voxels.to_numpy(float), tumours.reference_volume_voxels.to_numpy(float)
    whole = np.repeat(true[:, None], len(unseen), axis=1)
    sparse = on_slices(tumours)
    compared = tumours.compared_volume_voxels.to_numpy(float)[sparse]
    whole[sparse] = possible_volumes(found[sparse], compared, true[sparse], unseen)
    return nonconformity_score(found[:, None], whole, tumours.spread.to_numpy(float)[:, None])


def on_slices(tumours: pd.DataFrame) -> np.ndarray:
    """Return whether the reference of each subject is known on a few slices only; of shape (n,)."""
    return (
        (tumours["reference"] == "annotated slices").to_numpy()
        if "reference" in tumours
        else np.zeros(len(tumours), bool)
    )


def pool_scores(scores: np.ndarray) -> np.ndarray:
    """Return one score for each subject, with the quantiles of all scores of :func:`score_volumes`.

    Parameters
    ----------
    scores : ndarray of float, shape (n, m)
        Subjects with NaN are left out.

    Returns
    -------
    ndarray of float, shape (at most n,)
        In ascending order; those of the subjects themselves, if each has m equal scores.
    """
    known = scores[np.isfinite(scores).all(axis=1)]
    return np.sort(known, axis=None)[known.shape[1] - 1 :: known.shape[1]]


def add_intervals(
    tumours: pd.DataFrame,
    scores: Sequence[float] | np.ndarray | None = None,
    *,
    unseen: Sequence[float] = (0.0,),
    apart: pd.Series | None = None,
) -> pd.DataFrame:
    """Add an interval of :data:`VOLUME_LEVEL` to the volume of each subject.

    A subject is never calibrated by itself nor by its group, so that ``covered`` is
    measured on subjects that did not calibrate the interval.

    Parameters
    ----------
    tumours : DataFrame
        One row for each subject: ``volume_voxels``, ``volume_ml``, ``voxel_ml`` and
        ``spread``; with a reference, also ``reference``, ``compared_volume_voxels``
        and ``reference_volume_voxels``.
    scores : sequence of float, default=None
        From :func:`pool_scores`, of held-out subjects that are not in the table; None:
        each subject is calibrated on the other groups of the table.
    unseen : sequence of float, default=(0.0,)
        As for :func:`score_volumes`.
    apart : Series, default=None
        Group of each row, such as its institution; None for the fold, or for single
        subjects if the table has no column ``fold``.

    Returns
    -------
    DataFrame
        With the columns ``volume_low_voxels``, ``volume_high_voxels``,
        ``volume_low_ml``, ``volume_high_ml`` and ``covered``: whether the interval
        contains the reference; missing if the reference is known on a few slices only.

    Notes
    -----
    See :func:`epitome_kit.tumour.conformal.volume_interval` for what is guaranteed;
    ``make volume-coverage`` measures coverage and width.
    """
    groups = tumours.get("fold", pd.Series(range(len(tumours)))) if apart is None else apart
    groups, tumours = np.asarray(groups), tumours.reset_index(drop=True)
    if "reference_volume_voxels" not in tumours:
        tumours = tumours.assign(compared_volume_voxels=np.nan, reference_volume_voxels=np.nan)
    own_scores = score_volumes(tumours, unseen)
    limits = []
    for row, size in enumerate(tumours.itertuples()):
        elsewhere = (groups != groups[row]) & (tumours.index != row)
        others = pool_scores(own_scores[elsewhere]) if scores is None else scores
        interval = partial(volume_interval, spread=size.spread, scores=others, level=VOLUME_LEVEL)
        limits.append((*interval(size.volume_voxels), *interval(size.volume_ml, one=size.voxel_ml)))
    names = ["volume_low_voxels", "volume_high_voxels", "volume_low_ml", "volume_high_ml"]
    found = tumours.assign(**dict(zip(names, np.array(limits).T, strict=True)))
    true = found.reference_volume_voxels
    held = (found.volume_low_voxels <= true) & (true <= found.volume_high_voxels)
    known = true.notna() & found.volume_high_voxels.notna() & ~on_slices(tumours)
    return found.assign(covered=held.astype(object).where(known))
