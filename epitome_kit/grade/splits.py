"""Assign the rows of a table to repeated folds, and shuffle labels; groups are never split."""

import numpy as np
import pandas as pd

from epitome_kit.folds import assign_folds
from epitome_kit.learn.probes import GROUP


def make_repeated_folds(features: pd.DataFrame, *, repeats: int = 4, folds: int = 5, seed: int = 0) -> pd.DataFrame:
    """Assign subjects to folds repeatedly, stratified by class.

    Parameters
    ----------
    features : DataFrame
        From :func:`epitome_kit.grade.table.read_features`; rows with the same
        ``group_id``, if there is such a column, are in the same fold.
    repeats : int, default=4
        Number of repeats.
    folds : int, default=5
        Number of folds.
    seed : int, default=0
        Seed of the first repeat; each further repeat uses the next seed.

    Returns
    -------
    DataFrame
        Every subject once per fold and repeat, with ``repeat``, ``fold`` and
        ``role`` ("train" or "test").

    Raises
    ------
    CohortError
        The smaller class has fewer subjects, or groups, than folds.
    """
    rows = features.set_index("participant_id")
    parts = []
    for repeat in range(repeats):
        fold_of = assign_folds(rows.label, folds=folds, seed=seed + repeat, groups=rows.get(GROUP))
        test_fold = fold_of.loc[features.participant_id].to_numpy()
        for fold in range(folds):
            role = np.where(test_fold == fold, "test", "train")
            split = pd.DataFrame({"repeat": repeat + 1, "fold": fold + 1, "role": role}, index=features.index)
            parts.append(pd.concat([split, features], axis=1))
    return pd.concat(parts, ignore_index=True)


def shuffle_labels(features: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Shuffle the labels of a table, by row or by group.

    Parameters
    ----------
    features : DataFrame
        Table with ``label``, and optionally ``group_id``.
    seed : int, default=0
        Seed of the shuffling.

    Returns
    -------
    DataFrame
        A copy. Each group gets the labels of another group, repeated or cut to its
        number of rows.
    """
    rng = np.random.default_rng(seed)
    if GROUP not in features:
        return features.assign(label=rng.permutation(features.label))
    places = [np.flatnonzero(features[GROUP] == group) for group in features[GROUP].unique()]
    labels = features.label.to_numpy(copy=True)
    for place, other in zip(places, rng.permutation(len(places)), strict=True):
        labels[place] = np.resize(features.label.to_numpy()[places[other]], len(place))
    return features.assign(label=labels)
