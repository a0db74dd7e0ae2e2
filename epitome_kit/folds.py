"""Splits by subject: every fold holds whole subjects, whatever is learned from them."""

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from epitome_kit.errors import BadCohort, Leak


def assign_folds(labels, *, folds=5, seed=0, unlabelled=()):
    """Give each subject the fold in which it is tested.

    Parameters
    ----------
    labels : Series of int
        Class of each subject, indexed by participant_id.
    folds : int, default=5
        Number of folds; each keeps the mix of classes.
    seed : int, default=0
        Shuffling.
    unlabelled : sequence of str, default=()
        Subjects without a label, spread over the folds as well.

    Returns
    -------
    Series of int
        Fold from 0 to `folds` - 1, indexed by participant_id, sorted.

    Raises
    ------
    BadCohort
        A subject stands twice, or the smaller class has fewer subjects than folds.
    """
    names = [*labels.index, *unlabelled]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise BadCohort("assign_folds", "each subject once", f"{', '.join(twice[:5])} twice", "keep one row a subject")
    smallest = int(labels.value_counts().min())
    if folds < 2 or smallest < folds:
        raise BadCohort(
            "assign_folds",
            "at least two folds, and as many subjects of each class as folds",
            f"{folds} folds and {smallest} subjects in the smaller class of {len(labels)}",
            f"add subjects, or lower `folds` to {max(smallest, 2)}",
        )
    fold = pd.Series(0, index=sorted(names), dtype=int)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    ordered = labels.sort_index()
    for number, (_, test) in enumerate(splitter.split(ordered, ordered)):
        fold[ordered.index[test]] = number
    rest = np.random.default_rng(seed).permutation(sorted(unlabelled))
    fold[rest] = np.arange(len(rest)) % folds
    return fold


def deal_evenly(names, *, folds=5, seed=0):
    """Deal subjects into folds of equal size, whatever their labels.

    Parameters
    ----------
    names : sequence of str
    folds : int, default=5
    seed : int, default=0

    Returns
    -------
    ndarray of int, shape (n,)
        Fold of each, from 0 to `folds` - 1; does not depend on their order.

    Raises
    ------
    BadCohort
        Fewer than two folds, or fewer subjects than folds.
    """
    if not 2 <= folds <= len(names):
        hint = f"lower `folds` to {max(2, min(5, len(names)))}, or add subjects"
        raise BadCohort(
            "deal_evenly", "two folds or more, and a subject for each", f"{folds} folds, {len(names)} subjects", hint
        )
    dealt = np.random.default_rng(seed).permutation(np.arange(len(names)) % folds)
    return dealt[np.argsort(np.argsort(names))]


def require_apart(train, test, *, where):
    """Make sure that no subject stands on both sides of a split.

    Parameters
    ----------
    train, test : sequence of str
        Subjects to learn from, and subjects to test on.
    where : str
        Step that asks, for the error.

    Raises
    ------
    Leak
        A subject is in both.
    """
    both = sorted(set(train) & set(test))
    if both:
        raise Leak(
            where,
            "each subject on one side of a split",
            f"{', '.join(map(str, both[:5]))} in training and in test",
            "split by subject: `epitome_kit.folds.assign_folds` does",
        )
