"""Feature ranking and selection, on training subjects only."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from epitome_kit.errors import LeakageError, ParameterError
from epitome_kit.learn.probes import feature_columns
from epitome_kit.metrics import auc_of_ranks

METHODS = ("ranking", "redundancy", "stability")
"""Ways to select; see :func:`select_features`."""

_REDUNDANT = 0.9
_DRAWS = 100


def rank_features(rows):
    """Rank features by how well each alone tells the classes apart.

    Parameters
    ----------
    rows : DataFrame, shape (n, ...)
        Training rows of a table of features: ``label`` (0 or 1) and the
        features, none missing.

    Returns
    -------
    Series
        Strength of each feature, best first: twice the distance of its AUC
        from one half, so 0 is chance and 1 is perfect. Constant features get 0.

    Raises
    ------
    Leak
        A row is held out for testing.

    References
    ----------
    Hanley and McNeil, Radiology 1982, doi:10.1148/radiology.143.1.7063747
    """
    columns = _learnable(rows, "rank_features")
    strength = _strength(_ranks(rows[columns].to_numpy(float)), rows.label.to_numpy())
    return pd.Series(strength, index=columns).sort_values(ascending=False, kind="stable")


def select_features(rows, *, keep=12, method="ranking", seed=0):
    """Select features by one of three methods.

    Parameters
    ----------
    rows : DataFrame, shape (n, ...)
        As for :func:`rank_features`.
    keep : int, default=12
        Most features to keep. Constant ones are never kept.
    method : {"ranking", "redundancy", "stability"}, default="ranking"
        The strongest features; the strongest that do not repeat each other
        (absolute Spearman correlation up to 0.9); or those that are most often
        among the strongest in random halves of the subjects.
    seed : int, default=0
        Halves.

    Returns
    -------
    list of str
        Names, best first.

    Raises
    ------
    Leak
        A row is held out for testing.
    ParameterError
        There is no such method.

    References
    ----------
    Ding and Peng, J Bioinform Comput Biol 2005, doi:10.1142/S0219720005001004
    Meinshausen and Bühlmann, J R Stat Soc B 2010, doi:10.1111/j.1467-9868.2010.00740.x
    """
    columns = _learnable(rows, "select_features")
    chosen = choose_columns(rows[columns].to_numpy(float), rows.label.to_numpy(), keep=keep, method=method, seed=seed)
    return [columns[index] for index in chosen]


def choose_columns(values, labels, *, keep, method, seed=0):
    """Select columns of an array, as :func:`select_features` does; training subjects only.

    Parameters
    ----------
    values : ndarray, shape (n, p)
    labels : array of 0 and 1, shape (n,)
    keep : int
    method : {"ranking", "redundancy", "stability"}
    seed : int, default=0

    Returns
    -------
    ndarray of int, at most `keep`
        Columns, best first.
    """
    if method not in METHODS:
        raise ParameterError("select_features", f"one of {', '.join(METHODS)}", repr(method), "use `method='ranking'`")
    ranks = _ranks(values)
    strength = _strength(ranks, labels)
    order = np.argsort(-strength, kind="stable")
    order = order[ranks.std(axis=0)[order] > 0]
    if method == "redundancy":
        order = _without_repeats(ranks, order, keep)
    elif method == "stability":
        often = _how_often(ranks, labels, keep, np.random.default_rng(seed))
        order = order[np.argsort(-often[order], kind="stable")]
    return order[:keep]


def _learnable(rows, where):
    """Feature columns of training rows; complain of any other rows."""
    held_out = rows.loc[rows.role == "test", "participant_id"] if "role" in rows else ()
    if len(held_out):
        raise LeakageError(
            where,
            "training rows only: what looks at labels may not look at those under test",
            f"{len(held_out)} rows with role test, such as {held_out.iloc[0]}",
            'pass `rows[rows.role == "train"]` of one fold',
        )
    return feature_columns(rows)


def _ranks(values):
    return rankdata(values, axis=0)


def _strength(ranks, labels):
    return np.abs(2 * auc_of_ranks(ranks, labels) - 1)


def _without_repeats(ranks, order, keep):
    """Walk down an order and pass over what is too like something already kept."""
    scaled = ranks[:, order] - ranks[:, order].mean(axis=0)
    scaled /= np.linalg.norm(scaled, axis=0)
    free, kept = np.ones(len(order), bool), []
    for place in range(len(order)):
        if free[place] and len(kept) < keep:
            kept.append(place)
            free &= np.abs(scaled.T @ scaled[:, place]) <= _REDUNDANT
    return order[kept]


def _how_often(ranks, labels, keep, rng):
    """Share of random halves in which each feature is among the `keep` strongest."""
    labels = np.asarray(labels).astype(bool)
    halves = np.zeros((_DRAWS, len(labels)))
    for half in halves:
        for group in (np.flatnonzero(labels), np.flatnonzero(~labels)):
            chosen = rng.choice(group, max(len(group) // 2, 1), replace=False)
            half[chosen] = (1 if labels[group[0]] else -1) / len(chosen)
    distance = np.abs(halves @ ranks) / (ranks.std(axis=0) + 1e-9)
    top = np.argsort(-distance, axis=1, kind="stable")[:, :keep]
    return np.bincount(top.ravel(), minlength=ranks.shape[1]) / _DRAWS
