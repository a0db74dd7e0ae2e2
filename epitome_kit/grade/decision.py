"""Decision curves: the net benefit of acting on probabilities, compared with acting on everybody and on nobody."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from epitome_kit.errors import ParameterError
from epitome_kit.files import Json
from epitome_kit.grade.scores import Estimate, proportion_interval, units_of, variance

THRESHOLDS = tuple(np.round(np.arange(0.05, 0.96, 0.05), 2).tolist())
"""Threshold probabilities of a decision curve."""

KEPT = (0.25, 0.5, 0.75)
"""Threshold probabilities that ``scores.json`` holds."""


def net_benefit(
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    thresholds: ArrayLike = THRESHOLDS,
    groups: ArrayLike | None = None,
    design_effect: float = 1.0,
) -> pd.DataFrame:
    """Compute the net benefit of a model over threshold probabilities, from one repeat of the folds or several.

    Who acts from a probability t upwards takes a false positive for t / (1 - t) times as
    important as a true positive. The net benefit is the number of true positives less
    that of false positives, so weighted, per subject. Acting on everybody has a net
    benefit, too, and acting on nobody has none; a model is of use at a threshold where
    its net benefit is above both. With several repeats it is the mean over them.

    Parameters
    ----------
    labels : array of 0 and 1, shape (n,)
        Classes.
    probabilities : array, shape (n,) or (repeats, n)
        Calibrated probabilities of class 1, out of fold.
    thresholds : array, shape (m,), default=THRESHOLDS
        Threshold probabilities, above 0 and below 1.
    groups : array, shape (n,), default=None
        Group of each row, such as the patient of several scans; the units of the
        interval are then groups.
    design_effect : float, default=1.0
        Factor of the variance for the variation of training. That of the accuracy is
        exact for a threshold of 0.5, where the net benefit is the accuracy less a
        constant, and stands in for the unknown one elsewhere.

    Returns
    -------
    DataFrame
        One row for each threshold: ``threshold``; the net benefit of the ``model``, of
        acting on everybody, ``treat_all``, and on nobody, ``treat_none``;
        ``difference``, the net benefit of the model less that of the better of these
        two, with its 95 % interval ``difference_low`` and ``difference_high``.

    Raises
    ------
    ParameterError
        A threshold is not between 0 and 1.

    Notes
    -----
    The difference is the smaller one of those to everybody and to nobody, and its limits
    are the smaller ones of theirs. Each of these is a weighted difference of two shares,
    such as those of true and of false positives, whose limits are combined from the
    limits of :func:`epitome_kit.grade.scores.proportion_interval` for the shares (Zou and
    Donner). Without a design effect, predictions are held fixed. Limits hold for one
    threshold, not for the whole curve.

    References
    ----------
    Vickers and Elkin, Med Decis Making 2006, doi:10.1177/0272989X06295361
    Zou and Donner, Stat Med 2008, doi:10.1002/sim.3095

    Examples
    --------
    >>> import numpy as np
    >>> from epitome_kit.grade.decision import net_benefit
    >>> labels = np.repeat([0, 1], [60, 40])
    >>> probabilities = np.repeat([0.1, 0.7, 0.1, 0.7], [50, 10, 10, 30])
    >>> net_benefit(labels, probabilities, thresholds=[0.2, 0.5])[["model", "treat_all"]].round(3).values.tolist()
    [[0.275, 0.25], [0.2, -0.2]]
    """
    labels, probabilities = np.asarray(labels, int), np.atleast_2d(np.asarray(probabilities, float))
    thresholds = np.asarray(thresholds, float)
    if (wrong := thresholds[~((thresholds > 0) & (thresholds < 1))]).size:
        raise ParameterError("net_benefit", "thresholds between 0 and 1", f"{wrong.flat[0]:g}", "use 0.05 to 0.95")
    units = units_of(labels, None if groups is None else np.asarray(groups))
    return pd.DataFrame([_at(float(each), labels, probabilities, units, design_effect) for each in thresholds])


def summarise_decision(
    labels: ArrayLike, probabilities: ArrayLike, *, groups: ArrayLike | None = None, design_effect: float = 1.0
) -> list[Json]:
    """Compute the net benefit at the thresholds of :data:`KEPT`, for ``scores.json``.

    Parameters
    ----------
    labels, probabilities, groups, design_effect
        As for :func:`net_benefit`.

    Returns
    -------
    list of dict
        For each threshold ``threshold``, ``model``, ``treat_all``, ``treat_none``,
        ``difference`` and ``difference_ci95``.
    """
    found = net_benefit(labels, probabilities, thresholds=KEPT, groups=groups, design_effect=design_effect)
    found["difference_ci95"] = found[["difference_low", "difference_high"]].values.tolist()
    return found.drop(columns=["difference_low", "difference_high"]).to_dict("records")


def _at(threshold: float, labels: np.ndarray, probabilities: np.ndarray, units: np.ndarray, effect: float) -> Json:
    """Compute one row of :func:`net_benefit`."""
    weight = threshold / (1 - threshold)
    acted = (probabilities >= threshold).mean(axis=0)
    true, false = acted * (labels == 1), acted * (labels == 0)
    missed, spared = (labels == 1) - true, (labels == 0) - false
    model, everybody = (
        float((right - weight * wrong).mean()) for right, wrong in ((true, false), (labels, 1 - labels))
    )
    limits = _interval(true, false, (1, weight), units, effect), _interval(spared, missed, (weight, 1), units, effect)
    low, high = (min(each) for each in zip(*limits, strict=True))
    return {
        "threshold": threshold,
        "model": model,
        "treat_all": everybody,
        "treat_none": 0.0,
        "difference": model - max(everybody, 0.0),
        "difference_low": low,
        "difference_high": high,
    }


def _interval(
    gained: np.ndarray, lost: np.ndarray, weights: tuple[float, float], units: np.ndarray, effect: float
) -> tuple[float, float]:
    """Return the limits of the weighted share of gains less that of losses, by the method of Zou and Donner."""
    found = [Estimate(float(each.mean()), (each - each.mean()) / len(each)) for each in (gained, lost)]
    spreads, count = [variance(each, units) for each in found], int(units.max()) + 1
    (low, high), (least, most) = (
        np.array(proportion_interval(each.value, spread, count, effect))
        for each, spread in zip(found, spreads, strict=True)
    )
    both = (np.bincount(units, each.influence) for each in found)
    shared = float(np.prod(list(both), axis=0).sum())
    correlation = shared / np.sqrt(np.prod(spreads)) if min(spreads) > 0 else 0.0
    (gain, loss), (gain_weight, loss_weight) = (each.value for each in found), weights
    value = gain_weight * gain - loss_weight * loss
    below, above = (
        np.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other))
        for one, other in (
            (gain_weight * (gain - low), loss_weight * (most - loss)),
            (gain_weight * (high - gain), loss_weight * (loss - least)),
        )
    )
    return float(value - below), float(value + above)
