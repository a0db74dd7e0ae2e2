"""Features that give the label away: alone they separate the classes, and better than chance can explain."""

from math import comb

import numpy as np
import pandas as pd
from scipy.special import gammaln

from epitome_kit.errors import LeakageError

SEPARATES = 0.98
"""AUC, or 1 - AUC, from which on a feature separates the classes almost perfectly."""

_BY_CHANCE = 0.0025
"""Share of tables of noise that may raise an alarm, for each of the four ways to look."""

_ENOUGH = 10, 60
"""Rows of each class, and in all, from which on no chance reaches :data:`SEPARATES` in any table."""

_COULD = 0.001
"""Chance from which down a grouping could tell the classes apart at all: others are not counted as tried."""

_SAID = 0.9
_MOST_GROUPS = 500
_MOST_CLUSTERS = 10
_GAPS = {2: 0.5}
"""Gap between so many clusters of values, as a share of the widest, from which on they count as codes; else 1."""


def find_leaks(features, codes, groups=None):
    """Find features that alone separate the classes almost perfectly, and not by chance.

    A feature is looked at by order: its AUC is 0.98 or more, or 0.02 or less. And by
    groups: its values, or whether it is missing, or two, or more, clusters of values
    with gaps between them each belong to one class; a value that stands once says
    nothing. Chance is the exact distribution over all orders of the labels, from the
    rows where the feature is there, ties included; it is multiplied by the number
    of features that could have been found (Bonferroni and Tarone).

    Parameters
    ----------
    features : DataFrame of float, shape (n, p)
        NaN where missing.
    codes : array of 0 and 1, shape (n,)
    groups : array, shape (n,), default=None
        Rows of one group, such as scans of a patient, count once.

    Returns
    -------
    dict of str to str
        Name of each, and what it does.

    References
    ----------
    Tarone, Biometrics 1990, doi:10.2307/2531456
    """
    codes = np.asarray(codes, int)
    if groups is not None:
        units = features.groupby([np.asarray(groups), codes]).median()
        features, codes = units, units.index.get_level_values(1).to_numpy()
    return _by_groups(features, codes) | _by_order(features, codes)


def require_no_leaks(features, codes, label, *, groups=None, allowed=()):
    """Complain of features that give the label away; see :func:`find_leaks`.

    Parameters
    ----------
    features : DataFrame of float, shape (n, p)
    codes : array of 0 and 1, shape (n,)
    label : str
        What it is called.
    groups : array, shape (n,), default=None
    allowed : collection of str, default=()
        Features that may.

    Returns
    -------
    dict of str to str
        Those that do and may, and what they do.

    Raises
    ------
    Leak
        Any other does.
    """
    found = find_leaks(features, codes, groups)
    refused = [name for name in found if name not in allowed]
    if refused:
        more = f", and {len(refused) - 1} more, such as {', '.join(refused[1:4])}" if len(refused) > 1 else ""
        hint = f"`--drop {refused[0]}`, or `--allow-leak {refused[0]}` where it was known before the label"
        received = f"column {refused[0]}, {found[refused[0]]}{more}"
        raise LeakageError("grade", f"no feature that alone gives {label} away", received, hint)
    return found


def require_no_copy(others, codes, label, *, allowed=()):
    """Complain of a column, of numbers or of text, that has two values, one for each class.

    Parameters
    ----------
    others : DataFrame
        Columns beside label and subject, features or not. One in ten texts may be missing.
    codes : Series of 0 and 1
    label : str
    allowed : collection of str, default=()
        Columns that may.

    Raises
    ------
    Leak
        There is one.
    """
    for name in others:
        values, kinds = pd.factorize(others[name])
        there = values >= 0
        least = 1 if pd.api.types.is_numeric_dtype(others[name]) else _SAID
        if len(kinds) != 2 or there.mean() < least or name in allowed:
            continue
        if len(set(zip(values[there], np.asarray(codes)[there], strict=True))) == 2:
            received = f"column {name}, which says it in other words"
            hint = f"leave it out: `--drop {name}`"
            raise LeakageError("grade", f"features that do not give {label} away", received, hint)


def _by_order(features, codes):
    """Features whose values alone put one class before the other."""
    positive, ranks, there = codes == 1, features.rank().to_numpy(), features.notna().to_numpy()
    high, low = there[positive].sum(axis=0), there[~positive].sum(axis=0)
    won = np.nansum(ranks[positive], axis=0) - high * (high + 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        aucs = won / (high * low)
    found = {}
    for column in np.flatnonzero(np.maximum(aucs, 1 - aucs) >= SEPARATES - 1e-9):
        present = there[:, column]
        chance = _chance_of_order(features.iloc[present, column].to_numpy(), codes[present])
        if chance * len(aucs) <= _BY_CHANCE:
            found[features.columns[column]] = f"whose AUC is {aucs[column]:.3f} with n = {present.sum()}"
    return found


def _chance_of_order(values, codes):
    """Share of all orders of the labels whose AUC is as far from one half, on either side, as that of the values."""
    n, least = len(codes), min(codes.sum(), (1 - codes).sum())
    if least >= _ENOUGH[0] and n >= _ENOUGH[1]:
        return 0.0
    few = codes if codes.sum() == least else 1 - codes
    blocks = pd.DataFrame({"value": values, "few": few}).groupby("value").few.agg(["sum", "count"]).to_numpy(int)
    lost = [_lost_pairs(blocks), _lost_pairs(blocks[::-1])]
    ways = [_ways(sizes[:, 1], least, min(lost)) for sizes in (blocks, blocks[::-1])]
    return min(1.0, sum(ways) / comb(int(n), int(least)))


def _lost_pairs(blocks):
    """Twice the pairs in which the rarer class does not come after the other; ties count once."""
    rare, common = blocks[:, 0], blocks[:, 1] - blocks[:, 0]
    return int((2 * common * (np.cumsum(rare) - rare) + rare * common).sum())


def _ways(sizes, rare, most):
    """Ways to give labels to blocks of ties so that at most so many pairs are lost, as :func:`_lost_pairs` counts."""
    states = {(0, 0): 1}
    for size in map(int, sizes):
        after = {}
        for (placed, lost), ways in states.items():
            for here in range(min(size, rare - placed) + 1):
                then = lost + 2 * (size - here) * placed + here * (size - here)
                if then <= most:
                    key = placed + here, then
                    after[key] = after.get(key, 0) + ways * comb(size, here)
        states = after
    return sum(ways for (placed, _), ways in states.items() if placed == rare)


def _by_groups(features, codes):
    """Features whose values, clusters of values or gaps each belong to one class."""
    ways = (
        ("whose values each belong to one class", [*_equal_values(features, codes), *_gaps(features, codes)]),
        ("whose values lie in two clusters, one for each class", _clustered(features, codes, [2])),
        ("whose clusters of values each belong to one class", _clustered(features, codes, range(3, _MOST_CLUSTERS))),
    )
    return {name: f"{what}, n = {n}" for what, tests in ways for name, n in _pure(list(tests))}


def _pure(tests):
    """Names of features, and rows, where the groups tell the class and chance does not explain it."""
    could = sum(_chance_of_purity(np.bincount(groups), labels.sum(), 0) <= _COULD for _, groups, labels in tests)
    for name, groups, labels in tests:
        counts = np.stack([np.bincount(groups, labels == value) for value in (0, 1)]).astype(int)
        errors = int(counts.min(axis=0).sum())
        if errors > len(labels) / 10 or _auc_of_others(groups, labels, counts) < SEPARATES - 1e-9:
            continue
        if _chance_of_purity(counts.sum(axis=0), labels.sum(), errors) * max(could, 1) <= _BY_CHANCE:
            yield name, len(labels)


def _equal_values(features, codes):
    """Values that stand several times: name, and group and label of each row that has a value."""
    for name in features:
        there = features[name].notna().to_numpy()
        distinct, groups = np.unique(features[name].to_numpy()[there], return_inverse=True)
        if 2 <= len(distinct) <= min(there.sum() / 2, _MOST_GROUPS):
            yield name, groups, codes[there]


def _gaps(features, codes):
    """Whether a value is missing, each pattern once: name, and missing or not and label of every row."""
    missing = features.isna()
    some = missing.loc[:, missing.any() & ~missing.all()]
    for name in some.T.drop_duplicates().index:
        yield name, some[name].to_numpy(int), codes


def _clustered(features, codes, numbers):
    """Values that lie in so many clusters with gaps between them: as :func:`_equal_values` gives them."""
    for name in features:
        there = features[name].notna().to_numpy()
        distinct, groups = np.unique(features[name].to_numpy(float)[there], return_inverse=True)
        gaps = np.diff(distinct)
        order = np.argsort(-gaps, kind="stable")
        for number in numbers:
            if number > len(gaps):
                break
            cuts = np.sort(order[: number - 1])
            widest = (distinct[np.append(cuts, len(gaps))] - distinct[np.append(0, cuts + 1)]).max()
            if gaps[order[number - 2]] >= _GAPS.get(number, 1) * widest:
                yield name, np.searchsorted(cuts, groups), codes[there]


def _auc_of_others(groups, labels, counts):
    """AUC of the share of positives among the other rows of a group, one half where there are none; or 1 - AUC."""
    others = counts.sum(axis=0)[groups] - 1
    share = np.where(others > 0, (counts[1][groups] - labels) / np.maximum(others, 1), 0.5)
    positive = labels == 1
    if positive.all() or not positive.any():
        return 0.5
    ranks = pd.Series(share).rank().to_numpy()
    won = ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return won / (positive.sum() * (~positive).sum())


def _chance_of_purity(sizes, positive, errors):
    """Share of all orders of the labels in which at most so many rows are in the minority of their group."""
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
