"""Intervals of tumour volumes: levels, calibration and display text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from epitome_kit.confidence import interval_label
from epitome_kit.tumour.conformal import nonconformity_score, volume_interval

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


def score_volumes(tumours: pd.DataFrame) -> np.ndarray:
    """Compute the nonconformity score of each volume, for the calibration of intervals.

    Parameters
    ----------
    tumours : DataFrame
        Columns ``compared_volume_voxels``, ``reference_volume_voxels`` and ``spread``.

    Returns
    -------
    ndarray of float, shape (n,)
        See :func:`epitome_kit.tumour.conformal.nonconformity_score`; NaN without a reference.
    """
    found, true = tumours.compared_volume_voxels, tumours.reference_volume_voxels
    return np.asarray(nonconformity_score(found, true, tumours.spread), float)


def add_intervals(tumours: pd.DataFrame, scores: Sequence[float] | None = None) -> pd.DataFrame:
    """Add an interval of :data:`VOLUME_LEVEL` to the volume of each subject.

    Parameters
    ----------
    tumours : DataFrame
        One row for each subject: ``volume_voxels``, ``volume_ml``, ``voxel_ml`` and
        ``spread``; with a reference, also ``compared_volume_voxels``
        and ``reference_volume_voxels``.
    scores : sequence of float, default=None
        From :func:`score_volumes`, of held-out subjects; None: each subject is
        calibrated on all others of the table.

    Returns
    -------
    DataFrame
        With the columns ``volume_low_voxels``, ``volume_high_voxels``,
        ``volume_low_ml``, ``volume_high_ml`` and ``covered``: whether the
        interval of the compared volume contains the reference.
    """
    tumours = tumours.reset_index(drop=True)
    if "compared_volume_voxels" not in tumours:
        tumours = tumours.assign(compared_volume_voxels=np.nan, reference_volume_voxels=np.nan)
    own_scores = score_volumes(tumours)
    covered = np.full(len(tumours), np.nan, object)
    for row, spread in tumours.spread.items():
        others = scores if scores is not None else [each for each in np.delete(own_scores, row) if np.isfinite(each)]
        interval = partial(volume_interval, spread=spread, scores=others, level=VOLUME_LEVEL)
        for unit, one in (("voxels", 1.0), ("ml", tumours.at[row, "voxel_ml"])):
            limits = interval(tumours.at[row, f"volume_{unit}"], one=one)
            tumours.loc[row, [f"volume_low_{unit}", f"volume_high_{unit}"]] = limits
        low, high = interval(tumours.at[row, "compared_volume_voxels"])
        if np.isfinite(own_scores[row]) and np.isfinite(high):
            covered[row] = low <= tumours.at[row, "reference_volume_voxels"] <= high
    return tumours.assign(covered=covered)
