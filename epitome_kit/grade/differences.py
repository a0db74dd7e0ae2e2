"""Compare two ways to train by their scores in the same folds, counting the variation of training."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from epitome_kit.confidence import interval_quantiles


class Difference(NamedTuple):
    """A difference, its 95 % interval and its p."""

    difference: float
    low: float
    high: float
    p: float


def corrected_t(values: ArrayLike, *, margin: float = 0.0, step: float = 0.0) -> Difference:
    """Compute the mean of one value per fold, with an interval for folds that share training subjects.

    The corrected resampled t: the variance of the mean is (1/k + 1/(k - 1)) times that of
    the values, where 1/(k - 1) is the size of a test set relative to its training set,
    with k - 1 degrees of freedom. It assumes that the values of two folds correlate by at
    most 1/k. The mean is an estimate for models that are trained on (k - 1)/k of the
    subjects.

    Parameters
    ----------
    values : array, shape (k,)
        One value per fold, such as the difference between two AUCs; at least two.
    margin : float, default=0.0
        With 0, p tests the hypothesis that the mean is 0. Else it tests the hypothesis
        that it is at least `margin` away from 0 (two one-sided tests), so that a small p
        shows that two models are equivalent.
    step : float, default=0.0
        Smallest change of one value, such as 1 / n for the accuracy of n test subjects.
        The standard deviation is at least that of values of which one differs by it,
        so that folds without any change do not give an interval of width 0.

    Returns
    -------
    Difference
        Mean, interval and p.

    References
    ----------
    Nadeau and Bengio, Mach Learn 2003, doi:10.1023/A:1024068626366
    Schuirmann, J Pharmacokinet Biopharm 1987, doi:10.1007/BF01068419

    Examples
    --------
    >>> from epitome_kit.grade.differences import corrected_t
    >>> found = corrected_t([0.02, 0.05, 0.03, 0.04, 0.06])
    >>> round(found.difference, 3), round(found.low, 3), round(found.high, 3), round(found.p, 3)
    (0.04, 0.011, 0.069, 0.019)
    """
    values = np.asarray(values, float)
    k, mean = len(values), float(np.mean(values))
    variance = max(float(values.var(ddof=1)), step**2 / k, 1e-24)
    error = float(np.sqrt((1 / k + 1 / (k - 1)) * variance))
    half = error * float(student.ppf(interval_quantiles()[1], k - 1))
    p = student.sf((margin - abs(mean)) / error, k - 1) if margin else 2 * student.sf(abs(mean) / error, k - 1)
    return Difference(mean, mean - half, mean + half, float(p))


def difference_of_sizes(before: ArrayLike, after: ArrayLike, *, step: float = 0.0) -> Difference:
    """Compute the change of the absolute value of a mean over folds, such as that of a bias of either sign.

    With the changes u = after - before and v = after + before of the means, it is the
    smaller of abs(u) and abs(v), positive where both have the same sign. Its bounds are
    the extremes over the intervals of u and v, and it differs from 0 where both do, so p
    is the larger one of theirs.

    Parameters
    ----------
    before, after : array, shape (k,)
        One value per fold.
    step : float, default=0.0
        As for :func:`corrected_t`.

    Returns
    -------
    Difference
        Change, interval and p.

    References
    ----------
    Berger and Hsu, Stat Sci 1996, doi:10.1214/ss/1032280304

    Examples
    --------
    A bias of 0.3 becomes one of -0.1:

    >>> from epitome_kit.grade.differences import difference_of_sizes
    >>> found = difference_of_sizes([0.3, 0.32, 0.29, 0.29], [-0.1, -0.09, -0.12, -0.09])
    >>> round(found.difference, 2), round(found.low, 2), round(found.high, 2)
    (-0.2, -0.24, -0.16)
    """
    before, after = np.asarray(before, float), np.asarray(after, float)
    u, v = corrected_t(after - before, step=step), corrected_t(after + before, step=step)
    corners = [_size(first, second) for first in (u.low, u.high) for second in (v.low, v.high)]
    return Difference(_size(u.difference, v.difference), min(corners), max(corners), max(u.p, v.p))


def _size(u: float, v: float) -> float:
    return float(np.sign(u * v) * min(abs(u), abs(v)))


def holm(p: ArrayLike) -> np.ndarray:
    """Correct p values for the number of tests by the method of Holm.

    Parameters
    ----------
    p : array, shape (m,)
        The p value of each test.

    Returns
    -------
    ndarray, shape (m,)
        Corrected p values. Rejecting all hypotheses with a value of at most 0.05 rejects
        a true one in at most 5 % of repetitions.

    References
    ----------
    Holm, Scand J Stat 1979, 6:65-70

    Examples
    --------
    >>> from epitome_kit.grade.differences import holm
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return corrected
