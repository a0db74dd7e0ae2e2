"""Detect features that leak the label: they separate the classes on their own, better than by chance."""

from collections.abc import Collection, Iterable, Iterator
from math import comb

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import gammaln

from epitome_kit.errors import LeakageError

SEPARATES = 0.98
"""AUC, or 1 - AUC, above which a feature separates the classes almost perfectly."""

_BY_CHANCE = 0.0025
"""False positive rate per table of noise, for each of the four tests."""

_ENOUGH = 10, 60
"""Rows per class, and in total, above which noise cannot reach :data:`SEPARATES`."""

_COULD = 0.001
"""Smallest attainable p-value of a grouping below which it counts as a test (Tarone)."""

_TEXT_SHARE = 0.9
_MAX_GROUPS = 500
_MAX_CLUSTERS = 10
_MIN_GAP = {2: 0.5}
"""Minimum gap between clusters, as a share of the widest cluster, by number of clusters; else 1."""


_Grouping = tuple[str, np.ndarray, np.ndarray]
"""Name of a feature, and group and label of each row with a value."""


def find_leaks(features: pd.DataFrame, codes: ArrayLike, groups: ArrayLike | None = None) -> dict[str, str]:
    """Find features that alone separate the classes almost perfectly, and not by chance.

    There are two kinds of tests. By order: the AUC of the feature is at least 0.98 or
    at most 0.02. By groups: its values, whether it is missing, or clusters of its
    values with gaps between them each belong to one class; a value that occurs once
    is not counted. The p-value is exact over all permutations of the labels of the
    rows with a value, ties included, and multiplied by the number of features that
    could have been found (Bonferroni and Tarone).

    Parameters
    ----------
    features : DataFrame of float, shape (n, p)
        Features; NaN where missing.
    codes : array of 0 and 1, shape (n,)
        Labels.
    groups : array, shape (n,), default=None
        Group of each row, such as the patient of a scan; a group counts once.

    Returns
    -------
    dict of str to str
        Description of the leak by name of the feature.

    References
    ----------
    Tarone, Biometrics 1990, doi:10.2307/2531456
    """
    labels = np.asarray(codes, int)
    if groups is not None:
        features = features.groupby([np.asarray(groups), labels]).median()
        labels = features.index.get_level_values(1).to_numpy()
    return _by_groups(features, labels) | _by_order(features, labels)


def require_no_leaks(
    features: pd.DataFrame,
    codes: ArrayLike,
    label: str,
    *,
    groups: ArrayLike | None = None,
    allowed: Collection[str] = (),
) -> dict[str, str]:
    """Raise an error if features leak the label; see :func:`find_leaks`.

    Parameters
    ----------
    features : DataFrame of float, shape (n, p)
        Features; NaN where missing.
    codes : array of 0 and 1, shape (n,)
        Labels.
    label : str
        Name of the label.
    groups : array, shape (n,), default=None
        Group of each row.
    allowed : collection of str, default=()
        Features that are accepted.

    Returns
    -------
    dict of str to str
        Description of the leaks that were accepted, by name.

    Raises
    ------
    LeakageError
        Another feature leaks the label.
    """
    found = find_leaks(features, codes, groups)
    refused = [name for name in found if name not in allowed]
    if refused:
        more = f", and {len(refused) - 1} more, such as {', '.join(refused[1:4])}" if len(refused) > 1 else ""
        hint = f"`--drop {refused[0]}`, or `--allow-leak {refused[0]}` if it was known before the label"
        received = f"column {refused[0]}, {found[refused[0]]}{more}"
        raise LeakageError("grade", f"no feature that alone reveals {label}", received, hint)
    return found


def require_no_copy(others: pd.DataFrame, codes: ArrayLike, label: str, *, allowed: Collection[str] = ()) -> None:
    """Raise an error if a column of numbers or text has two values, one for each class.

    Parameters
    ----------
    others : DataFrame
        Columns except label and subject. One in ten texts may be missing.
    codes : array of 0 and 1
        Labels.
    label : str
        Name of the label.
    allowed : collection of str, default=()
        Columns that are accepted.

    Raises
    ------
    LeakageError
        There is such a column.
    """
    for name in others:
        values, kinds = pd.factorize(others[name])
        present = values >= 0
        least = 1 if pd.api.types.is_numeric_dtype(others[name]) else _TEXT_SHARE
        if len(kinds) != 2 or present.mean() < least or name in allowed:
            continue
        if len(set(zip(values[present], np.asarray(codes)[present], strict=True))) == 2:
            received = f"column {name}, a copy of the label with other values"
            hint = f"leave it out: `--drop {name}`"
            raise LeakageError("grade", f"features that do not reveal {label}", received, hint)


def _by_order(features: pd.DataFrame, codes: np.ndarray) -> dict[str, str]:
    """Find features with an AUC near 0 or 1."""
    positive, ranks, valid = codes == 1, features.rank().to_numpy(), features.notna().to_numpy()
    high, low = valid[positive].sum(axis=0), valid[~positive].sum(axis=0)
    won = np.nansum(ranks[positive], axis=0) - high * (high + 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        aucs = won / (high * low)
    found = {}
    for column in np.flatnonzero(np.maximum(aucs, 1 - aucs) >= SEPARATES - 1e-9):
        present = valid[:, column]
        chance = _chance_of_order(features.iloc[present, column].to_numpy(), codes[present])
        if chance * len(aucs) <= _BY_CHANCE:
            found[features.columns[column]] = f"whose AUC is {aucs[column]:.3f} with n = {present.sum()}"
    return found


def _chance_of_order(values: np.ndarray, codes: np.ndarray) -> float:
    """Return the share of all permutations of the labels with an AUC as far from 0.5, on either side."""
    n, least = len(codes), min(codes.sum(), (1 - codes).sum())
    if least >= _ENOUGH[0] and n >= _ENOUGH[1]:
        return 0.0
    few = codes if codes.sum() == least else 1 - codes
    blocks = pd.DataFrame({"value": values, "few": few}).groupby("value").few.agg(["sum", "count"]).to_numpy(int)
    lost = [_lost_pairs(blocks), _lost_pairs(blocks[::-1])]
    ways = [_ways(sizes[:, 1], least, min(lost)) for sizes in (blocks, blocks[::-1])]
    return min(1.0, sum(ways) / comb(int(n), int(least)))


def _lost_pairs(blocks: np.ndarray) -> int:
    """Return twice the number of pairs in which the rarer class is not after the other; ties count once."""
    rare, common = blocks[:, 0], blocks[:, 1] - blocks[:, 0]
    return int((2 * common * (np.cumsum(rare) - rare) + rare * common).sum())


def _ways(sizes: np.ndarray, rare: int, most: int) -> int:
    """Count the assignments of labels to blocks of ties with at most `most` pairs lost, see :func:`_lost_pairs`."""
    states = {(0, 0): 1}
    for size in map(int, sizes):
        after: dict[tuple[int, int], int] = {}
        for (placed, lost), ways in states.items():
            for here in range(min(size, rare - placed) + 1):
                then = lost + 2 * (size - here) * placed + here * (size - here)
                if then <= most:
                    key = placed + here, then
                    after[key] = after.get(key, 0) + ways * comb(size, here)
        states = after
    return sum(ways for (placed, _), ways in states.items() if placed == rare)


def _by_groups(features: pd.DataFrame, codes: np.ndarray) -> dict[str, str]:
    """Find features whose values, clusters of values or missing values each belong to one class."""
    kinds = (
        ("whose values each belong to one class", [*_equal_values(features, codes), *_missing_values(features, codes)]),
        ("whose values lie in two clusters, one for each class", _clustered(features, codes, [2])),
        ("whose clusters of values each belong to one class", _clustered(features, codes, range(3, _MAX_CLUSTERS))),
    )
    return {name: f"{leak}, n = {n}" for leak, tests in kinds for name, n in _pure(list(tests))}


def _pure(tests: list[_Grouping]) -> Iterator[tuple[str, int]]:
    """Yield name and number of rows of features whose groups separate the classes, and not by chance."""
    could = sum(_chance_of_purity(np.bincount(groups), labels.sum(), 0) <= _COULD for _, groups, labels in tests)
    for name, groups, labels in tests:
        counts = np.stack([np.bincount(groups, labels == value) for value in (0, 1)]).astype(int)
        errors = int(counts.min(axis=0).sum())
        if errors > len(labels) / 10 or _auc_of_others(groups, labels, counts) < SEPARATES - 1e-9:
            continue
        if _chance_of_purity(counts.sum(axis=0), labels.sum(), errors) * max(could, 1) <= _BY_CHANCE:
            yield name, len(labels)


def _equal_values(features: pd.DataFrame, codes: np.ndarray) -> Iterator[_Grouping]:
    """Group rows with equal values."""
    for name in features:
        present = features[name].notna().to_numpy()
        distinct, groups = np.unique(features[name].to_numpy()[present], return_inverse=True)
        if 2 <= len(distinct) <= min(present.sum() / 2, _MAX_GROUPS):
            yield name, groups, codes[present]


def _missing_values(features: pd.DataFrame, codes: np.ndarray) -> Iterator[_Grouping]:
    """Group rows by whether the value is missing, each pattern once."""
    missing = features.isna()
    some = missing.loc[:, missing.any() & ~missing.all()]
    for name in some.T.drop_duplicates().index:
        yield name, some[name].to_numpy(int), codes


def _clustered(features: pd.DataFrame, codes: np.ndarray, numbers: Iterable[int]) -> Iterator[_Grouping]:
    """Group rows by clusters of values with gaps between them, for each number of clusters."""
    for name in features:
        present = features[name].notna().to_numpy()
        distinct, groups = np.unique(features[name].to_numpy(float)[present], return_inverse=True)
        gaps = np.diff(distinct)
        order = np.argsort(-gaps, kind="stable")
        for number in numbers:
            if number > len(gaps):
                break
            cuts = np.sort(order[: number - 1])
            widest = (distinct[np.append(cuts, len(gaps))] - distinct[np.append(0, cuts + 1)]).max()
            if gaps[order[number - 2]] >= _MIN_GAP.get(number, 1) * widest:
                yield name, np.searchsorted(cuts, groups), codes[present]


def _auc_of_others(groups: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> float:
    """Return the AUC of the share of positives among the other rows of a group, 0.5 without others."""
    others = counts.sum(axis=0)[groups] - 1
    share = np.where(others > 0, (counts[1][groups] - labels) / np.maximum(others, 1), 0.5)
    positive = labels == 1
    if positive.all() or not positive.any():
        return 0.5
    ranks = pd.Series(share).rank().to_numpy()
    won = ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return won / (positive.sum() * (~positive).sum())


def _chance_of_purity(sizes: np.ndarray, positive: int, errors: int) -> float:
    """Return the share of all permutations of the labels with at most `errors` rows in the minority of their group."""
    positive = int(positive)
    ways = np.zeros((errors + 1, positive + 1))
    ways[0, 0] = 1
    for size in map(int, sizes):
        after = np.zeros_like(ways)
        for wrong in range(min(errors, size // 2) + 1):
            for here in {wrong, size - wrong}:
                if here <= positive:
                    moved = ways[: errors + 1 - wrong, : positive + 1 - here]
                    after[wrong:, here:] += moved * comb(size, wrong)
        ways = after
    total, n = ways[:, positive].sum(), int(np.sum(sizes))
    orders = gammaln(n + 1) - gammaln(positive + 1) - gammaln(n - positive + 1)
    return float(np.exp(np.log(total) - orders)) if total else 0.0
