"""Assign the rows of a table to repeated folds, and shuffle labels; groups are never split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from epitome_kit.errors import ParameterError
from epitome_kit.folds import assign_folds
from epitome_kit.learn.probes import GROUP

_FEWEST_PERMUTATIONS = 99


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How often a table is split into folds, and how often its labels are permuted.

    More repeats and permutations take longer and depend less on chance; the split of
    the first repeat is used for the permutations.

    Parameters
    ----------
    repeats : int, default=4
        Repeats of the cross-validation.
    folds : int, default=5
        Folds of each repeat.
    permutations : int, default=199
        Number of permutations of the labels that train again, for the p value and the
        intervals; 0 leaves them out, and intervals count test subjects alone.

    Raises
    ------
    ParameterError
        Fewer than one repeat, or from 1 to 98 permutations.

    See Also
    --------
    grade_table : Grade a table of features.

    Examples
    --------
    >>> import epitome_kit as ek
    >>> ek.Resampling(repeats=1)
    Resampling(repeats=1, folds=5, permutations=199)
    """

    repeats: int = 4
    folds: int = 5
    permutations: int = 199

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ParameterError("grade", "at least one repeat", f"repeats={self.repeats}", "use `--repeats 4`")
        if self.permutations != 0 and self.permutations < _FEWEST_PERMUTATIONS:
            received = f"permutations={self.permutations}"
            expected = f"at least {_FEWEST_PERMUTATIONS} permutations, or none"
            raise ParameterError("grade", expected, received, "use `--permutations 199`")


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


def permute_labels(
    labels: np.ndarray,
    tests: Sequence[np.ndarray],
    *,
    groups: np.ndarray | None = None,
    draws: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Permute labels within test folds, many times.

    Parameters
    ----------
    labels : array of 0 and 1, shape (n,)
        Classes.
    tests : sequence of ndarray of int
        Numbers of the rows of each test fold.
    groups : ndarray, shape (n,), default=None
        Groups of rows. Each gets the labels of another group of its fold, repeated or cut
        to its number of rows.
    draws : int
        Number of permutations.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (1 + draws, n)
        The actual labels first.
    """
    shuffled = np.tile(np.asarray(labels, int), (1 + draws, 1))
    for test in tests:
        if groups is None:
            shuffled[1:, test] = rng.permuted(shuffled[1:, test], axis=1)
            continue
        places = [test[groups[test] == group] for group in pd.unique(groups[test])]
        for draw in shuffled[1:]:
            for place, other in zip(places, rng.permutation(len(places)), strict=True):
                draw[place] = np.resize(labels[places[other]], len(place))
    return shuffled
