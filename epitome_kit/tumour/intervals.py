"""Intervals of a tumour's volume: their levels, their calibration, and the text that every display prints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from epitome_kit.confidence import interval_label
from epitome_kit.tumour.conformal import nonconformity_score, volume_interval

VOLUME_LEVEL = 0.9
"""Share of subjects whose true volume the interval of an outlined volume is to hold."""

ELLIPSOID_LEVEL = 0.95
"""Probability of the interval of a whole tumour that is estimated from a few annotated slices."""


@dataclass(frozen=True)
class VolumeText:
    """A volume and its interval as displays print them, with the precision of their unit.

    Attributes
    ----------
    amount, low, high : str
        Numbers; `low` and `high` are empty where nothing calibrates the interval.
    unit : {"mL", "voxels"}
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
    """Word a volume with its interval: in mL, or in voxels where their size is unknown.

    Parameters
    ----------
    size : mapping or Series
        Volumes of one tumour, named as in the table of :func:`add_intervals`.

    Returns
    -------
    VolumeText
    """
    known = not pd.isna(size["volume_ml"])
    unit, digits = ("ml", 1) if known else ("voxels", 0)
    values = (size[f"volume_{part}{unit}"] for part in ("", "low_", "high_"))
    numbers = ("" if pd.isna(value) else f"{value:.{digits}f}" for value in values)
    return VolumeText(*numbers, unit="mL" if known else "voxels")


def score_misfits(tumours: pd.DataFrame) -> np.ndarray:
    """Measure how far each volume was off its reference, for the calibration of intervals.

    Parameters
    ----------
    tumours : DataFrame
        Columns ``compared_volume_voxels``, ``reference_volume_voxels`` and ``spread``.

    Returns
    -------
    ndarray of float, shape (n,)
        As :func:`epitome_kit.tumour.conformal.nonconformity_score` gives it; NaN without a reference.
    """
    columns = tumours.compared_volume_voxels, tumours.reference_volume_voxels, tumours.spread
    return nonconformity_score(*columns).to_numpy(float)


def add_intervals(tumours: pd.DataFrame, misfits: Sequence[float] | None = None) -> pd.DataFrame:
    """Add an interval of :data:`VOLUME_LEVEL` to the volume of each subject.

    Parameters
    ----------
    tumours : DataFrame
        One row a subject: ``volume_voxels``, ``volume_ml``, ``voxel_ml`` and
        ``spread``; where there is a reference, also ``compared_volume_voxels``
        and ``reference_volume_voxels``.
    misfits : sequence of float, default=None
        From :func:`score_misfits`, of subjects that the network never saw; None
        means that each subject is calibrated by all others of the table.

    Returns
    -------
    DataFrame
        With the columns ``volume_low_voxels``, ``volume_high_voxels``,
        ``volume_low_ml``, ``volume_high_ml`` and ``covered``: whether the
        interval of the compared volume holds the reference.
    """
    tumours = tumours.reset_index(drop=True)
    if "compared_volume_voxels" not in tumours:
        tumours = tumours.assign(compared_volume_voxels=np.nan, reference_volume_voxels=np.nan)
    off = score_misfits(tumours)
    covered = np.full(len(tumours), np.nan, object)
    for row, spread in tumours.spread.items():
        others = misfits if misfits is not None else [each for each in np.delete(off, row) if np.isfinite(each)]
        calibrated = {"spread": spread, "misfits": others, "level": VOLUME_LEVEL}
        for unit, one in (("voxels", 1.0), ("ml", tumours.at[row, "voxel_ml"])):
            interval = volume_interval(tumours.at[row, f"volume_{unit}"], one=one, **calibrated)
            tumours.loc[row, [f"volume_low_{unit}", f"volume_high_{unit}"]] = interval
        low, high = volume_interval(tumours.at[row, "compared_volume_voxels"], **calibrated)
        if np.isfinite(off[row]) and np.isfinite(high):
            covered[row] = low <= tumours.at[row, "reference_volume_voxels"] <= high
    return tumours.assign(covered=covered)
