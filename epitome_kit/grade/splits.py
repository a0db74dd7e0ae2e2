"""Deals of the rows of a table into folds, and labels shuffled: whole groups stay together."""

import numpy as np
import pandas as pd

from epitome_kit.folds import assign_folds
from epitome_kit.learn.probes import GROUP


def make_repeated_folds(features, *, repeats=4, folds=5, seed=0):
    """Deal subjects into folds, several times, stratified by class.

    Parameters
    ----------
    features : DataFrame
        From :func:`epitome_kit.grade.table.read_features`; rows with the same
        ``group_id``, where it has one, stand in one fold.
    repeats : int, default=4
        Deals.
    folds : int, default=5
    seed : int, default=0
        Of the first deal; the next one takes the next seed.

    Returns
    -------
    DataFrame
        Every subject once in every fold of every deal, with ``repeat``, ``fold``
        and ``role`` ("train" or "test").

    Raises
    ------
    CohortError
        The smaller class has fewer subjects, or groups, than folds.
    """
    rows = features.set_index("participant_id")
    parts = []
    for repeat in range(repeats):
        dealt = assign_folds(rows.label, folds=folds, seed=seed + repeat, groups=rows.get(GROUP))
        dealt = dealt.loc[features.participant_id].to_numpy()
        for fold in range(folds):
            role = np.where(dealt == fold, "test", "train")
            told = pd.DataFrame({"repeat": repeat + 1, "fold": fold + 1, "role": role}, index=features.index)
            parts.append(pd.concat([told, features], axis=1))
    return pd.concat(parts, ignore_index=True)


def shuffle_labels(features, *, seed=0):
    """Shuffle the labels of a table: of rows, or of whole groups.

    Parameters
    ----------
    features : DataFrame
        With ``label``, and ``group_id`` or not.
    seed : int, default=0

    Returns
    -------
    DataFrame
        A copy. A group takes the labels of another one, as many of them as it has rows.
    """
    rng = np.random.default_rng(seed)
    if GROUP not in features:
        return features.assign(label=rng.permutation(features.label))
    places = [np.flatnonzero(features[GROUP] == group) for group in features[GROUP].unique()]
    labels = features.label.to_numpy(copy=True)
    for place, other in zip(places, rng.permutation(len(places)), strict=True):
        labels[place] = np.resize(features.label.to_numpy()[places[other]], len(place))
    return features.assign(label=labels)
