"""Splits by subject: every fold holds whole subjects, whatever is learned from them."""

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from epitome_kit.errors import CohortError, LeakageError


def assign_folds(labels, *, folds=5, seed=0, unlabelled=(), groups=None):
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
    groups : Series, default=None
        What several rows have in common, such as the patient of a scan, indexed by
        participant_id: all of it goes into one fold. A group counts for the class of most
        of its rows.

    Returns
    -------
    Series of int
        Fold from 0 to `folds` - 1, indexed by participant_id, sorted.

    Raises
    ------
    CohortError
        A subject stands twice, or the smaller class has fewer subjects, or groups, than folds.
    """
    names = [*labels.index, *unlabelled]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise CohortError(
            "assign_folds", "each subject once", f"{', '.join(twice[:5])} twice", "keep one row a subject"
        )
    classes = labels if groups is None else class_of_groups(labels, groups)
    units = "subjects" if groups is None else "groups"
    smallest = int(classes.value_counts().min()) if groups is None or classes.nunique() == 2 else 0
    if folds < 2 or smallest < folds:
        raise CohortError(
            "assign_folds",
            f"at least two folds, and as many {units} of each class as folds",
            f"{folds} folds and {smallest} {units} in the smaller class of {len(classes)}",
            f"add subjects, or lower `folds` to {max(smallest, 2)}",
        )
    if groups is not None:
        groups = groups.loc[sorted(names)]
        return groups.map(_assign_groups(classes, groups, folds, seed)).rename(None)
    fold = pd.Series(0, index=sorted(names), dtype=int)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    ordered = labels.sort_index()
    for number, (_, test) in enumerate(splitter.split(ordered, ordered)):
        fold[ordered.index[test]] = number
    rest = np.random.default_rng(seed).permutation(sorted(unlabelled))
    fold[rest] = np.arange(len(rest)) % folds
    return fold


def class_of_groups(labels, groups):
    """Class of most rows of each group.

    Parameters
    ----------
    labels : Series of 0 and 1
        Class of each row.
    groups : Series
        Group of each row, indexed alike.

    Returns
    -------
    Series of int
        Indexed by group, sorted; 1 where both classes are as common.
    """
    return (labels.groupby(groups).mean() >= 0.5).astype(int)


def make_equal_folds(names, *, folds=5, seed=0):
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
    CohortError
        Fewer than two folds, or fewer subjects than folds.
    """
    if not 2 <= folds <= len(names):
        hint = f"lower `folds` to {max(2, min(5, len(names)))}, or add subjects"
        raise CohortError(
            "make_equal_folds",
            "two folds or more, and a subject for each",
            f"{folds} folds, {len(names)} subjects",
            hint,
        )
    dealt = np.random.default_rng(seed).permutation(np.arange(len(names)) % folds)
    return dealt[np.argsort(np.argsort(names))]


def require_apart(train, test, *, where, what="subject"):
    """Make sure that no subject, or group of rows, stands on both sides of a split.

    Parameters
    ----------
    train, test : sequence of str
        Subjects to learn from, and subjects to test on.
    where : str
        Step that asks, for the error.
    what : str, default="subject"
        What they are, for the error.

    Raises
    ------
    Leak
        One is in both.
    """
    both = sorted(set(train) & set(test))
    if both:
        raise LeakageError(
            where,
            f"each {what} on one side of a split",
            f"{', '.join(map(str, both[:5]))} in training and in test",
            f"split by {what}: `epitome_kit.folds.assign_folds` does",
        )


def _assign_groups(classes, groups, folds, seed):
    """Fold of each group: as many groups of a class in each, the largest ones first, where there are fewest rows."""
    sizes = groups.value_counts().sort_index()
    classes = classes.reindex(sizes.index, fill_value=2)
    shuffled = sizes.iloc[np.random.default_rng(seed).permutation(len(sizes))]
    order = shuffled.sort_values(ascending=False, kind="stable").index
    rows, counts, fold = np.zeros(folds, int), np.zeros((3, folds), int), {}
    for group in order:
        count = counts[classes[group]]
        fold[group] = int(np.lexsort((np.arange(folds), rows, count))[0])
        count[fold[group]] += 1
        rows[fold[group]] += sizes[group]
    return fold
