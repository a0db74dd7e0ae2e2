"""Calibration of probabilities: slope, intercept and calibration in the large, each with an interval."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import t as student

from epitome_kit.confidence import interval_quantiles
from epitome_kit.files import Json

FEWEST = 3
"""Fewest independent subjects, or groups, for an interval."""

_CLIP = 1e-4
_POWER = 1 / 6
_STEPS, _LARGEST_STEP, _CLOSE = 60, 2.0, 1e-5


def log_odds(probabilities: ArrayLike) -> np.ndarray:
    """Return the log odds of probabilities, which are clipped to 0.0001 and 0.9999.

    Parameters
    ----------
    probabilities : array
        Any shape.

    Returns
    -------
    ndarray
        Same shape; from -9.2 to 9.2.
    """
    return logit(np.clip(np.asarray(probabilities, float), _CLIP, 1 - _CLIP))


def score_calibration(labels: ArrayLike, probabilities: ArrayLike, *, groups: ArrayLike | None = None) -> Json:
    """Measure how well probabilities are calibrated, from one repeat of the folds or several.

    The labels are regressed on the log odds of the probabilities. A slope below 1
    means that the probabilities are too extreme, above 1 that they are too close to
    each other. Calibration in the large is the intercept if the slope is fixed at 1:
    below 0 where the probabilities are too high on average. Perfect probabilities
    have slope 1, and 0 for both others.

    Estimates maximise the likelihood times the sixth root of the determinant of the
    information. Those of maximum likelihood alone are too far from 0 in small cohorts,
    and infinite where the classes are separated; these are finite, and lie nearly as
    often above the truth as below it. Intervals have the level
    :data:`~epitome_kit.confidence.SCORE_LEVEL`. They come from the profile of the same
    function and Student's t; with groups they are wider by the standard error of a
    jackknife over groups, relative to that for independent rows. That of calibration in
    the large is always scaled by a jackknife, over rows if there are no groups, as a slope
    that is not 1 would make it too narrow. With several repeats, estimates and limits are
    means over the repeats.

    The predictions are held fixed: the intervals count how labels vary for
    predictions such as these, not how predictions would vary if the model were
    trained on other subjects.

    Parameters
    ----------
    labels : array of 0 and 1, shape (n,)
        Classes.
    probabilities : array, shape (n,) or (repeats, n)
        Probabilities of class 1, out of fold.
    groups : array, shape (n,), default=None
        Group of each row, such as the patient of several scans; None takes every
        row for a subject of its own.

    Returns
    -------
    dict
        ``slope``, ``intercept`` and ``in_the_large``, each with ``..._ci95``. All are
        NaN if there is one class only, and slope and intercept also if the
        probabilities are all the same. Intervals are NaN for fewer than
        :data:`FEWEST` subjects or groups.

    References
    ----------
    Cox, Biometrika 1958, doi:10.1093/biomet/45.3-4.562
    Kosmidis and Firth, Biometrika 2021, doi:10.1093/biomet/asaa052
    Van Calster et al., BMC Med 2019, doi:10.1186/s12916-019-1466-7

    Examples
    --------
    >>> import numpy as np
    >>> from epitome_kit.grade.calibration import score_calibration
    >>> probabilities = np.repeat([0.2, 0.4, 0.6, 0.8], 50)
    >>> labels = np.arange(200) % 10 < 10 * probabilities
    >>> print(f"{score_calibration(labels, probabilities)['slope']:.2f}")
    1.00
    """
    labels, odds = np.asarray(labels, float), np.atleast_2d(log_odds(probabilities))
    members = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    one = np.ones_like(odds)
    nothing = (np.nan, [np.nan, np.nan])
    large, intercept, slope = nothing, nothing, nothing
    if np.ptp(labels) > 0:
        # The slope is fixed, perhaps wrongly, so the spread of the rows is measured rather than assumed.
        rows = np.arange(len(labels)) if members is None else members
        (large,) = _estimate(one[..., None], odds, labels, rows)
        if np.ptp(odds, axis=1).min() > _CLOSE:
            intercept, slope = _estimate(np.stack([one, odds], axis=-1), 0 * odds, labels, members)
    named = {"slope": slope, "intercept": intercept, "in_the_large": large}
    return {key: value for name, (mean, ci95) in named.items() for key, value in ((name, mean), (f"{name}_ci95", ci95))}


def _estimate(
    design: np.ndarray, offset: np.ndarray, labels: np.ndarray, members: np.ndarray | None
) -> list[tuple[float, list[float]]]:
    """Fit every repeat, (repeats, n, coefficients); return the mean of each coefficient and its interval."""
    repeats, _, size = design.shape
    best = _maximise(design, offset, labels, np.zeros((repeats, size)), list(range(size)))
    count = len(labels) if members is None else members.max() + 1
    if count < FEWEST:
        return [(float(mean), [np.nan, np.nan]) for mean in best.mean(axis=0)]
    scores, information, _ = _likelihood(design, offset, labels, best)
    error = np.sqrt(np.einsum("rkk->rk", np.linalg.pinv(information.sum(axis=1))))
    wider = np.ones(size) if members is None else _jackknife(scores, information, members) / error.mean(axis=0)
    reach = student.ppf(interval_quantiles()[1], count - 1) * wider
    found = []
    for number in range(size):
        limits = _profile_limits(design, offset, labels, best, number, reach[number], error[:, number])
        found.append((float(best[:, number].mean()), limits.mean(axis=1).tolist()))
    return found


def _profile_limits(
    design: np.ndarray,
    offset: np.ndarray,
    labels: np.ndarray,
    best: np.ndarray,
    number: int,
    reach: float,
    error: np.ndarray,
) -> np.ndarray:
    """Return the values of a coefficient, (2, repeats), at which the root of the deviance equals `reach`."""
    highest = np.tile(_likelihood(design, offset, labels, best)[2], 2)
    design, offset, best = (np.concatenate([each, each]) for each in (design, offset, best))
    rest = [each for each in range(design.shape[-1]) if each != number]
    far, moved = (np.array([[-reach], [reach]]) * error).ravel(), best.copy()
    for _ in range(_STEPS):
        moved[:, number] = best[:, number] + far
        moved = _maximise(design, offset, labels, moved, rest)
        deviance = 2 * (highest - _likelihood(design, offset, labels, moved)[2])
        ratio = (reach / np.sqrt(np.maximum(deviance, 1e-12))).clip(0.25, 4)
        far *= ratio
        if np.abs(ratio - 1).max() < _CLOSE:
            break
    return (best[:, number] + far).reshape(2, -1)


def _maximise(
    design: np.ndarray, offset: np.ndarray, labels: np.ndarray, start: np.ndarray, free: list[int]
) -> np.ndarray:
    """Maximise the penalised likelihood over the free coefficients, by Fisher scoring with short steps."""
    fitted = start.copy()
    for _ in range(_STEPS if free else 0):
        scores, information, _ = _likelihood(design, offset, labels, fitted)
        inverse = np.linalg.pinv(information.sum(axis=1)[:, free][:, :, free])
        step = np.einsum("rkl,rl->rk", inverse, scores.sum(axis=1)[:, free])
        longest = np.abs(np.einsum("rnk,rk->rn", design[..., free], step)).max(axis=1)
        fitted[:, free] += step * np.minimum(1, _LARGEST_STEP / np.maximum(longest, 1e-12))[:, None]
        if longest.max() < _CLOSE:
            break
    return fitted


def _likelihood(
    design: np.ndarray, offset: np.ndarray, labels: np.ndarray, fitted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return score, (repeats, n, k), and information, (repeats, n, k, k), of every row, and the log likelihood."""
    odds = offset + np.einsum("rnk,rk->rn", design, fitted)
    expected = expit(odds)
    weights = expected * (1 - expected)
    information = weights[..., None, None] * design[..., :, None] * design[..., None, :]
    total = information.sum(axis=1)
    leverage = weights * np.einsum("rnk,rkl,rnl->rn", design, np.linalg.pinv(total), design)
    residual = labels - expected + _POWER * leverage * (1 - 2 * expected)
    penalty = _POWER * np.linalg.slogdet(total)[1]
    return residual[..., None] * design, information, (labels * odds - np.logaddexp(0, odds)).sum(axis=1) + penalty


def _jackknife(scores: np.ndarray, information: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Return standard errors by leaving out each group, with one step of Fisher scoring for each."""
    count = members.max() + 1
    own_scores, own_information = (_sum_groups(each, members, count) for each in (scores, information))
    rest = information.sum(axis=1)[:, None] - own_information
    changes = np.einsum("rgkl,rgl->rgk", np.linalg.pinv(rest), own_scores).mean(axis=0)
    return np.sqrt((count - 1) / count * ((changes - changes.mean(axis=0)) ** 2).sum(axis=0))


def _sum_groups(values: np.ndarray, members: np.ndarray, count: int) -> np.ndarray:
    """Sum the rows (axis 1) of each group."""
    rows = values.swapaxes(0, 1)
    sums = np.zeros((count, *rows.shape[1:]))
    np.add.at(sums, members, rows)
    return sums.swapaxes(0, 1)
