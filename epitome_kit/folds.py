"""Assign subjects to folds; a fold holds whole subjects."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from epitome_kit.errors import CohortError, LeakageError


def assign_folds(
    labels: pd.Series,
    *,
    folds: int = 5,
    seed: int = 0,
    unlabelled: Collection[str] = (),
    groups: pd.Series | None = None,
) -> pd.Series:
    """Assign each subject the fold in which it is tested.

    Parameters
    ----------
    labels : Series of int
        Class of each subject, indexed by participant_id.
    folds : int, default=5
        Number of folds, stratified by class.
    seed : int, default=0
        Seed of the shuffling.
    unlabelled : sequence of str, default=()
        Subjects without a label, which are distributed over the folds as well.
    groups : Series, default=None
        Group of each row, such as the patient of a scan, indexed by participant_id. A
        group is not split over folds, and has the class of most of its rows.

    Returns
    -------
    Series of int
        Fold from 0 to `folds` - 1, indexed by participant_id, sorted.

    Raises
    ------
    CohortError
        A subject occurs twice, or the smaller class has fewer subjects (or groups) than folds.
    """
    names = [*labels.index, *unlabelled]
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise CohortError(
            "assign_folds", "each subject once", f"{', '.join(repeated[:5])} twice", "keep one row per subject"
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


def class_of_groups(labels: pd.Series, groups: pd.Series) -> pd.Series:
    """Return the majority class of each group.

    Parameters
    ----------
    labels : Series of 0 and 1
        Class of each row.
    groups : Series
        Group of each row, with the same index.

    Returns
    -------
    Series of int
        Indexed by group, sorted; 1 for a tie.
    """
    return (labels.groupby(groups).mean() >= 0.5).astype(int)


def make_equal_folds(names: Sequence[str], *, folds: int = 5, seed: int = 0) -> np.ndarray:
    """Assign subjects to folds of equal size, regardless of their labels.

    Parameters
    ----------
    names : sequence of str
        Subjects.
    folds : int, default=5
        Number of folds.
    seed : int, default=0
        Seed of the shuffling.

    Returns
    -------
    ndarray of int, shape (n,)
        Fold of each subject, from 0 to `folds` - 1; does not depend on their order.

    Raises
    ------
    CohortError
        Fewer than two folds, or fewer subjects than folds.
    """
    if not 2 <= folds <= len(names):
        hint = f"lower `folds` to {max(2, min(5, len(names)))}, or add subjects"
        raise CohortError(
            "make_equal_folds",
            "at least two folds, and a subject for each",
            f"{folds} folds, {len(names)} subjects",
            hint,
        )
    shuffled = np.random.default_rng(seed).permutation(np.arange(len(names)) % folds)
    return shuffled[np.argsort(np.argsort(names))]


def require_disjoint(train: Iterable[str], test: Iterable[str], *, where: str, what: str = "subject") -> None:
    """Make sure that no subject, or group of rows, is in both sets of a split.

    Parameters
    ----------
    train, test : iterable of str
        Subjects for training and for testing.
    where : str
        The step to name in an error.
    what : str, default="subject"
        Name of a member of the sets, for the error.

    Raises
    ------
    LeakageError
        A subject is in both sets.
    """
    both = sorted(set(train) & set(test))
    if both:
        raise LeakageError(
            where,
            f"each {what} in one set of a split",
            f"{', '.join(map(str, both[:5]))} in training and in test",
            f"split by {what}: `epitome_kit.folds.assign_folds` does",
        )


def _assign_groups(classes: pd.Series, groups: pd.Series, folds: int, seed: int) -> dict[str, int]:
    """Assign groups, the largest first, to the fold with the fewest groups of that class, then the fewest rows."""
    sizes = groups.value_counts().sort_index()
    classes = classes.reindex(sizes.index, fill_value=2)
    shuffled = sizes.iloc[np.random.default_rng(seed).permutation(len(sizes))]
    order = shuffled.sort_values(ascending=False, kind="stable").index
    rows, counts = np.zeros(folds, int), np.zeros((3, folds), int)
    fold: dict[str, int] = {}
    for group in order:
        count = counts[classes[group]]
        fold[group] = int(np.lexsort((np.arange(folds), rows, count))[0])
        count[fold[group]] += 1
        rows[fold[group]] += sizes[group]
    return fold
