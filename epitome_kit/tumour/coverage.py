"""Coverage of the intervals of volumes, next to their width: of a cohort, and of parts of it."""

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from epitome_kit.confidence import SCORE_LEVEL
from epitome_kit.vocabulary import institutions as institutions


def interval_ratio(tumours: pd.DataFrame) -> pd.Series:
    """Return the width of each interval: the ratio of its limits in voxels, with 1 added to each.

    Parameters
    ----------
    tumours : DataFrame
        From :func:`epitome_kit.tumour.intervals.add_intervals`.

    Returns
    -------
    Series
        At least 1; NaN without an interval.
    """
    return (tumours.volume_high_voxels + 1) / (tumours.volume_low_voxels + 1)


def coverage_by(tumours: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """Tabulate coverage and width of the intervals of each group of subjects.

    Parameters
    ----------
    tumours : DataFrame
        From :func:`epitome_kit.tumour.intervals.add_intervals`. To test each group with
        intervals that the other groups calibrated, give the groups to it as `apart`.
    groups : Series
        Group of each row, such as a column of ``participants.tsv``,
        :func:`size_groups` or :func:`epitome_kit.vocabulary.institutions`; rows with a
        missing group are left out.

    Returns
    -------
    DataFrame
        One row for each group: ``group``, ``n`` subjects whose whole tumour and interval
        are known, ``coverage`` with its Clopper-Pearson interval ``coverage_low`` and
        ``coverage_high``, and ``ratio``, the median of :func:`interval_ratio` of all
        subjects of the group.
    """
    ratios = interval_ratio(tumours).to_numpy()
    rows = []
    for group, chosen in pd.Series(range(len(tumours))).groupby(groups.reset_index(drop=True), observed=True):
        tested = tumours.covered.iloc[chosen].dropna().astype(bool)
        row = {"group": group, "n": len(tested), "ratio": pd.Series(ratios[chosen]).median()}
        if len(tested):
            held = binomtest(int(tested.sum()), len(tested)).proportion_ci(SCORE_LEVEL)
            row |= {"coverage": tested.mean(), "coverage_low": held.low, "coverage_high": held.high}
        rows.append(row)
    return pd.DataFrame(rows, columns=["group", "n", "coverage", "coverage_low", "coverage_high", "ratio"])


def size_groups(tumours: pd.DataFrame, names: tuple[str, ...] = ("small", "medium", "large")) -> pd.Series:
    """Divide subjects into groups of equal number by the size of their reference.

    Parameters
    ----------
    tumours : DataFrame
        Column ``reference_volume_voxels``, and ``reference_volume_ml`` where voxel sizes
        are known.
    names : tuple of str, default=("small", "medium", "large")
        Names of the groups, in ascending order.

    Returns
    -------
    Series
        Name of the group of each row, an ordered category; missing without a reference.
    """
    in_ml = tumours.get("reference_volume_ml")
    sizes = tumours.reference_volume_voxels if in_ml is None or in_ml.isna().all() else in_ml
    places = (sizes.rank(method="first") - 1) * len(names) // sizes.count()
    return pd.Series(pd.Categorical.from_codes(places.fillna(-1).astype(int), names, ordered=True), tumours.index)


def shuffle_volumes(tumours: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Give each subject the segmented volume of another: a network that guesses.

    Parameters
    ----------
    tumours : DataFrame
        As for :func:`epitome_kit.tumour.intervals.add_intervals`.
    seed : int, default=0
        Seed of the permutation.

    Returns
    -------
    DataFrame
        A copy. References, blur and voxel sizes stay where they are.
    """
    dealt = np.random.default_rng(seed).permutation(len(tumours))
    names = ["volume_voxels", "compared_volume_voxels"]
    wrong = {name: tumours[name].to_numpy()[dealt] for name in names}
    return tumours.assign(**wrong, volume_ml=wrong["volume_voxels"] * tumours.voxel_ml)
