"""Rank and select features on training subjects."""

import warnings
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from epitome_kit.errors import CohortError, EpitomeWarning, LeakageError, ParameterError
from epitome_kit.grade.binary import binary_only, encode_classes
from epitome_kit.learn.probes import feature_columns
from epitome_kit.metrics import auc_of_ranks

METHODS = ("ranking", "redundancy", "stability")
"""Selection methods; see :func:`select_features`."""

THRESHOLD = 0.75
"""Share of the halves in which ``"stability"`` has to select a feature."""

FALSE_SELECTIONS = 1.0
"""Upper bound on the expected number of features that ``"stability"`` selects by chance."""

_REDUNDANT = 0.9
_PAIRS = 50


def rank_features(rows: pd.DataFrame) -> pd.Series:
    """Rank features by how well each alone separates the classes.

    Parameters
    ----------
    rows : DataFrame, shape (n, ...)
        Training rows of a table of features: ``label`` (0 or 1) and the
        features, without missing values.

    Returns
    -------
    Series
        Strength of each feature, best first: twice the distance of its AUC from
        0.5, so 0 is chance and 1 is perfect. Constant features have strength 0.

    Raises
    ------
    LeakageError
        A row is held out for testing.
    CohortError
        The labels are not of two classes, or one is missing.

    References
    ----------
    Hanley and McNeil, Radiology 1982, doi:10.1148/radiology.143.1.7063747
    """
    columns = _training_columns(rows, "rank_features")
    strength = _strength(_ranks(rows[columns].to_numpy(float)), rows.label.to_numpy())
    return pd.Series(strength, index=columns).sort_values(ascending=False, kind="stable")


def select_features(rows: pd.DataFrame, *, keep: int = 12, method: str = "ranking", seed: int = 0) -> list[str]:
    """Select features by one of three methods.

    Parameters
    ----------
    rows : DataFrame, shape (n, ...)
        Training rows, as for :func:`rank_features`.
    keep : int, default=12
        Maximum number of features. Features that are constant or have a missing value
        are never selected; a warning states how many have one.
    method : {"ranking", "redundancy", "stability"}, default="ranking"
        ``"ranking"``: the strongest features. ``"redundancy"``: a correlation filter,
        the strongest features that do not correlate with a stronger one (absolute
        Spearman correlation up to 0.9). ``"stability"``: the features that are among
        the strongest in at least three quarters of random halves of the subjects,
        which may be none.
    seed : int, default=0
        Seed of the random halves.

    Returns
    -------
    list of str
        Names of the features, best first. Among features without any relation to the
        label, ``"stability"`` usually selects none, the other methods select `keep`.

    Notes
    -----
    ``"stability"`` is the selection by complementary pairs of Shah and Samworth (2013),
    a variant of Meinshausen and Bühlmann's. In each half, the q strongest of p features
    are selected. The expected number of features that are selected although a half
    selects them no more often than a random pick, with a chance of at most q / p, is at
    most q² / ((2 :data:`THRESHOLD` - 1) p); q is the largest number for which this is
    at most :data:`FALSE_SELECTIONS` (at least 1).

    Raises
    ------
    LeakageError
        A row is held out for testing.
    CohortError
        The labels are not of two classes, or one is missing.
    ParameterError
        `method` is unknown, or `keep` is less than 1.

    References
    ----------
    Meinshausen and Bühlmann, J R Stat Soc B 2010, doi:10.1111/j.1467-9868.2010.00740.x
    Shah and Samworth, J R Stat Soc B 2013, doi:10.1111/j.1467-9868.2011.01034.x
    """
    columns = _training_columns(rows, "select_features")
    selector = FeatureSelector(keep=keep, method=method, random_state=seed)
    return [columns[index] for index in selector.fit(rows[columns].to_numpy(float), rows.label.to_numpy()).order_]


class FeatureSelector(SelectorMixin, BaseEstimator):
    """Select features of training subjects: the methods of :func:`select_features` as an estimator of scikit-learn.

    Parameters
    ----------
    keep : int, default=12
        Maximum number of features. Features that are constant or have a missing value
        are never selected.
    method : {"ranking", "redundancy", "stability"}, default="ranking"
        Selection method, see :func:`select_features`.
    random_state : int, default=0
        Seed of the random halves of ``"stability"``.

    Attributes
    ----------
    order_ : ndarray of int, at most `keep`
        Selected columns, best first; ``"stability"`` may select none.
    frequency_ : ndarray, shape (p,)
        Share of the random halves that select each column; ``"stability"`` alone.
    classes_ : ndarray, shape (2,)
        The classes.
    n_features_in_ : int
        Number of features.

    References
    ----------
    Meinshausen and Bühlmann, J R Stat Soc B 2010, doi:10.1111/j.1467-9868.2010.00740.x
    Shah and Samworth, J R Stat Soc B 2013, doi:10.1111/j.1467-9868.2011.01034.x

    Examples
    --------
    Columns 0 and 1 are informative, and one is a copy of the other:

    >>> import numpy as np
    >>> from epitome_kit.grade import FeatureSelector
    >>> labels = np.arange(40) % 2
    >>> features = np.random.default_rng(0).standard_normal((40, 6))
    >>> features[:, 0] += 3 * labels
    >>> features[:, 1] = features[:, 0]
    >>> FeatureSelector(keep=2).fit(features, labels).order_.tolist()
    [0, 1]
    >>> 1 in FeatureSelector(keep=2, method="redundancy").fit(features, labels).order_
    False
    """

    def __init__(self, *, keep: int = 12, method: str = "ranking", random_state: int = 0) -> None:
        self.keep, self.method, self.random_state = keep, method, random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803
        """Select columns.

        Parameters
        ----------
        X : array-like, shape (n, p)
            Features; those with a missing value (NaN) are not selected.
        y : array-like, shape (n,)
            One of two classes each.

        Returns
        -------
        FeatureSelector
            The fitted selector itself.

        Raises
        ------
        ParameterError
            `method` is unknown, or `keep` is less than 1.
        ValueError
            There are not exactly two classes.
        """
        if self.method not in METHODS:
            received = repr(self.method)
            raise ParameterError("FeatureSelector", f"one of {', '.join(METHODS)}", received, 'use `method="ranking"`')
        if self.keep < 1:
            raise ParameterError("FeatureSelector", "at least one feature", f"keep={self.keep}", "use `keep=12`")
        values, labels = validate_data(self, X, y, dtype=float, ensure_all_finite="allow-nan")
        incomplete = np.count_nonzero(np.isnan(values).any(axis=0))
        if incomplete:
            text = f"{incomplete} of {values.shape[1]} features have missing values and are not selected: impute them"
            warnings.warn(text, EpitomeWarning, stacklevel=2)
        self.classes_, codes = encode_classes(self, labels)
        ranks = _ranks(values)
        strength = _strength(ranks, codes)
        order = np.argsort(-strength, kind="stable")
        order = order[ranks.std(axis=0)[order] > 0]
        if self.method == "redundancy":
            order = _without_redundant(ranks, order, self.keep)
        elif self.method == "stability":
            rng = np.random.default_rng(self.random_state)
            self.frequency_ = np.zeros(values.shape[1])
            self.frequency_[order] = _selection_frequency(ranks[:, order], codes, rng)
            order = order[np.argsort(-self.frequency_[order], kind="stable")]
            order = order[self.frequency_[order] >= THRESHOLD]
        self.order_ = order[: self.keep]
        return self

    def _get_support_mask(self) -> np.ndarray:
        check_is_fitted(self)
        return np.isin(np.arange(self.n_features_in_), self.order_)

    def __sklearn_tags__(self) -> Tags:
        tags = binary_only(super().__sklearn_tags__())
        tags.input_tags.allow_nan = True
        return tags


def _training_columns(rows: pd.DataFrame, where: str) -> list[str]:
    """Return the feature columns; raise an error if there are test rows."""
    held_out = rows[rows.role == "test"] if "role" in rows else rows[:0]
    if len(held_out):
        raise LeakageError(
            where,
            "training rows only: selection uses labels, which must not be those of test rows",
            f"{len(held_out)} rows with role test, such as {held_out.participant_id.iloc[0]}",
            'pass `rows[rows.role == "train"]` of one fold',
        )
    if set(rows.label) != {0, 1}:
        received = ", ".join(map(str, pd.unique(rows.label))) or "no rows"
        raise CohortError(where, "rows of both classes, labels 0 and 1", received, "drop rows without a label")
    return feature_columns(rows)


def _ranks(values: np.ndarray) -> np.ndarray:
    return rankdata(values, axis=0)


def _strength(ranks: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.abs(2 * auc_of_ranks(ranks, labels) - 1)


def _without_redundant(ranks: np.ndarray, order: np.ndarray, keep: int) -> np.ndarray:
    """Go through the columns in order, skipping those correlated with a column already kept."""
    scaled = ranks[:, order] - ranks[:, order].mean(axis=0)
    scaled /= np.linalg.norm(scaled, axis=0)
    free, kept = np.ones(len(order), bool), list[int]()
    for place in range(len(order)):
        if free[place] and len(kept) < keep:
            kept.append(place)
            free &= np.abs(scaled.T @ scaled[:, place]) <= _REDUNDANT
    return order[kept]


def features_of_a_half(features: int) -> int:
    """Return how many of the features each half selects, so that :data:`FALSE_SELECTIONS` is kept."""
    return max(1, int(np.sqrt(FALSE_SELECTIONS * (2 * THRESHOLD - 1) * features)))


def _selection_frequency(ranks: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the share of random halves in which each feature is among the strongest.

    The halves come in pairs without a common subject, stratified by class. Ranks are
    those among all subjects, which takes no label.
    """
    halves = np.zeros((_PAIRS, 2, len(labels)))
    for value, sign in ((0, -1), (1, 1)):
        members = np.flatnonzero(labels == value)
        size = max(len(members) // 2, 1)
        for pair, order in zip(halves, (rng.permutation(members) for _ in range(_PAIRS)), strict=True):
            for half, chosen in zip(pair, (order[:size], order[-size:]), strict=True):
                half[chosen] = sign / size
    distance = np.abs(halves.reshape(2 * _PAIRS, -1) @ ranks) / (ranks.std(axis=0) + 1e-9)
    top = np.argsort(-distance, axis=1, kind="stable")[:, : features_of_a_half(ranks.shape[1])]
    return np.bincount(top.ravel(), minlength=ranks.shape[1]) / (2 * _PAIRS)
