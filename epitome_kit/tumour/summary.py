"""Summarise how well the outlines of a cohort agree with their references."""

import numpy as np
import pandas as pd

from epitome_kit.files import Json
from epitome_kit.metrics import mean_ci95
from epitome_kit.tumour.coverage import coverage_by, institutions, interval_ratio, size_groups


def summarise(tumours: pd.DataFrame) -> Json:
    """Summarise the agreement of outlines with their references.

    Parameters
    ----------
    tumours : DataFrame
        From :func:`segment_cohort` or :func:`predict_tumours`.

    Returns
    -------
    dict
        ``n`` subjects with a reference, ``reference``, ``dice_mean`` with its
        bootstrap interval ``dice_mean_ci95``, ``dice_median``,
        ``dice_classical_mean``, ``volume_error_pct_median`` (of absolute errors),
        ``interval_ratio_median``, the median ratio of the limits of the intervals, and
        ``coverage`` of the ``coverage_n`` intervals that can be tested, with
        ``coverage_sd``, its standard deviation over folds. No subject calibrated the
        interval of its own fold. Figures that need more subjects are left out; empty
        without a reference.
    """
    if "dice" not in tumours or not (scored := tumours.dropna(subset="dice")).size:
        return {}
    dice, tested = scored.dice.to_numpy(), scored.dropna(subset="covered")
    covered = tested.covered.astype(float)
    figures: Json = {
        "n": len(scored),
        "reference": ", ".join(sorted(scored.reference.unique())),
        "dice_mean": float(dice.mean()),
        "dice_median": float(np.median(dice)),
        "dice_classical_mean": float(scored.dice_classical.mean()),
        "volume_error_pct_median": float(scored.volume_error_pct.abs().median()),
        "interval_ratio_median": float(interval_ratio(scored).median()),
        "coverage": float(covered.mean()),
    }
    if len(tested):
        figures["coverage_n"] = len(tested)
    if "fold" in tested:
        figures["coverage_sd"] = float(covered.groupby(tested.fold).mean().std())
    if interval := mean_ci95(dice):
        figures["dice_mean_ci95"] = list(interval)
    return {name: value for name, value in figures.items() if value == value}


def coverage_of_parts(tumours: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the coverage and width of the intervals of all subjects, by size, and by TCGA's institutions.

    Parameters
    ----------
    tumours : DataFrame
        As for :func:`summarise`.

    Returns
    -------
    DataFrame
        Rows of :func:`epitome_kit.tumour.coverage.coverage_by` for all subjects, for three
        groups of size and, if there are several, for the institutions; empty without a
        reference or an interval.
    """
    if "dice" not in tumours or tumours.volume_high_voxels.isna().all():
        return pd.DataFrame()
    groups = [pd.Series("all", tumours.index), size_groups(tumours)]
    if (places := institutions(tumours.participant_id)).nunique() > 1:
        groups.append(places)
    return pd.concat([coverage_by(tumours, each) for each in groups], ignore_index=True)
