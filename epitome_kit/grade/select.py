"""Feature ranking and selection. Call it on training subjects only."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata


def rank_features(features, labels):
    """Rank features by how well each alone tells the classes apart.

    Parameters
    ----------
    features : DataFrame, shape (n, p)
        Numbers, none missing.
    labels : array of 0 and 1, shape (n,)

    Returns
    -------
    Series
        Strength of each feature, best first: twice the distance of its AUC
        from one half, so 0 is chance and 1 is perfect. Constant features get 0.

    References
    ----------
    Hanley and McNeil, Radiology 1982, doi:10.1148/radiology.143.1.7063747
    """
    labels = np.asarray(labels).astype(bool)
    positive, negative = labels.sum(), (~labels).sum()
    ranks = rankdata(features.to_numpy(float), axis=0)
    auc = (ranks[labels].sum(0) - positive * (positive + 1) / 2) / (positive * negative)
    return pd.Series(np.abs(2 * auc - 1), index=features.columns).sort_values(ascending=False, kind="stable")


def select_features(features, labels, *, keep=12, redundancy=0.5):
    """Keep the strongest features that do not repeat each other.

    Walks down the ranking and passes over a feature whose correlation with one
    already kept is too high.

    Parameters
    ----------
    features : DataFrame, shape (n, p)
    labels : array of 0 and 1, shape (n,)
    keep : int, default=12
        Most features to keep.
    redundancy : float, default=0.5
        Highest absolute Spearman correlation between two kept features.

    Returns
    -------
    list of str
        Names, best first.

    References
    ----------
    Ding and Peng, J Bioinform Comput Biol 2005, doi:10.1142/S0219720005001004
    """
    ranking = rank_features(features, labels)
    order = list(ranking.index)
    ranks = features[order].rank().to_numpy()
    spread = ranks.std(0)
    ranks = (ranks - ranks.mean(0)) / np.where(spread > 0, spread, 1)
    correlation = np.abs(ranks.T @ ranks) / len(ranks)
    kept = []
    for index in range(len(order)):
        if len(kept) == keep:
            break
        if spread[index] > 0 and all(correlation[index, other] <= redundancy for other in kept):
            kept.append(index)
    return [order[index] for index in kept]
