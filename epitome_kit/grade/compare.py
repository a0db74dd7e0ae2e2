"""Compare the AUC of a model with those of others on the same subjects."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from epitome_kit.confidence import interval_quantiles
from epitome_kit.files import Json
from epitome_kit.grade.scores import Estimate, estimates, units_of, variance


class Predictions(NamedTuple):
    """Out-of-fold probabilities of one model.

    Attributes
    ----------
    labels : array of 0 and 1, shape (n,)
        Classes.
    probabilities : ndarray, shape (repeats, n)
        Probabilities of class 1.
    groups : ndarray, shape (n,), or None
        Groups of rows.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray | None = None


def compare(primary: Predictions, others: Mapping[str, Predictions], *, design_effect: float = 1.0) -> dict[str, Json]:
    """Compute paired differences in AUC, with intervals and p values adjusted by Holm.

    Parameters
    ----------
    primary : Predictions
        Of the model.
    others : dict of str to Predictions
        By name, of the same subjects in the same order.
    design_effect : float, default=1.0
        Factor of the variance for the variation of training, see
        :func:`epitome_kit.grade.permutation.permute`.

    Returns
    -------
    dict of str to dict
        For each of `others`: ``difference``, the AUC of the model less that of the other;
        ``difference_ci95``; ``p``, two-sided; ``p_holm``, adjusted for all of `others`.

    Notes
    -----
    The variance of a difference is that of paired AUCs (DeLong), multiplied by the
    design effect of the AUC. For the coverage of these intervals see
    ``benchmarks/coverage.md``.

    References
    ----------
    DeLong et al., Biometrics 1988, doi:10.2307/2531595
    Holm, Scand J Stat 1979, 6(2):65-70
    """
    units = units_of(primary.labels, primary.groups)
    own = estimates(primary.labels, primary.probabilities)["auc"]
    z, found = float(norm.ppf(interval_quantiles()[1])), dict[str, Json]()
    for name, other in others.items():
        its = estimates(other.labels, other.probabilities)["auc"]
        change = Estimate(own.value - its.value, own.influence - its.influence)
        error = float(np.sqrt(variance(change, units) * design_effect))
        interval = [change.value - z * error, change.value + z * error]
        p = 2 * norm.sf(abs(change.value) / error) if error > 0 else float(change.value == 0)
        found[name] = {"difference": change.value, "difference_ci95": interval, "p": float(p)}
    adjusted = holm([each["p"] for each in found.values()])
    return {name: {**each, "p_holm": p} for (name, each), p in zip(found.items(), adjusted, strict=True)}


def holm(values: list[float]) -> list[float]:
    """Adjust p values for the number of tests by the method of Holm.

    Parameters
    ----------
    values : list of float
        p values.

    Returns
    -------
    list of float
        Adjusted p values in the same order, at most 1.
    """
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    factors = len(values) - np.arange(len(values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.array(values)[order] * factors)) if len(values) else []
    return adjusted.tolist()
