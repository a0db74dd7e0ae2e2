"""Score out-of-fold probabilities, each score with an interval."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta, norm, rankdata
from sklearn.metrics import confusion_matrix

from epitome_kit.confidence import interval_quantiles
from epitome_kit.files import Json

PROPORTIONS = ("auc", "accuracy", "balanced_accuracy", "sensitivity", "specificity")
"""Scores between 0 and 1 that have an interval for a proportion."""


class Estimate(NamedTuple):
    """A score, and the influence of each subject on it.

    Attributes
    ----------
    value : float
        The score.
    influence : ndarray, shape (n,)
        Change of the score by each subject, with the mean taken out: the score of other
        subjects has about the variance of the sum.
    """

    value: float
    influence: np.ndarray


def score(
    labels: ArrayLike,
    probabilities: ArrayLike,
    calibrated: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
    design_effects: Mapping[str, float] | None = None,
) -> Json:
    """Score out-of-fold probabilities, from one repeat of the folds or several.

    A subject is predicted positive from a probability of 0.5. With several repeats
    each score is the mean over them: that of one model, not of an ensemble of
    repeats. Intervals have the level :data:`~epitome_kit.confidence.SCORE_LEVEL`.

    Without `design_effects`, an interval holds these predictions fixed: it counts the
    variation of test subjects alone, and holds the expected score of the method in
    some 84 to 95 % of studies if the predictions are from cross-validation (see
    ``benchmarks/coverage.md``). With the design effects of
    :func:`epitome_kit.grade.permutation.permute`, it counts the variation of training
    as well.

    Parameters
    ----------
    labels : array of 0 and 1, shape (n,)
        Classes.
    probabilities : array, shape (n,) or (repeats, n)
        Probabilities of class 1.
    calibrated : array of the same shape, default=None
        Calibrated probabilities, for the Brier score; None uses `probabilities`.
    groups : array, shape (n,), default=None
        Group of each row, such as the patient of several scans; the units of the
        intervals are then groups.
    design_effects : dict of str to float, default=None
        By name of the score, the factor by which its variance is larger than that
        from test subjects alone; None is 1 for every score.

    Returns
    -------
    dict
        ``n``, ``class_counts``, with `groups` also ``n_groups``; ``auc``, ``accuracy``,
        ``balanced_accuracy``, ``sensitivity``, ``specificity`` and ``brier``, each with
        ``..._ci95``; ``interval``, "training and subjects" or "subjects alone", what the
        intervals count; ``brier_uncalibrated``; ``majority_accuracy``;
        ``confusion_matrix`` [[tn, fp], [fn, tp]] of the mean probabilities.

    Notes
    -----
    The variance of a score is the sum of the squared influences of subjects, which for
    the AUC is the estimator of DeLong; with groups, influences are added up in each
    group first (Obuchowski). The interval of a proportion is that of Clopper and Pearson
    at the effective sample size ``value * (1 - value) / variance``, at most the number of
    units, divided by the design effect, as for surveys with a design effect (Korn and Graubard).

    References
    ----------
    DeLong et al., Biometrics 1988, doi:10.2307/2531595
    Obuchowski, Biometrics 1997, doi:10.2307/2533958
    Clopper and Pearson, Biometrika 1934, doi:10.1093/biomet/26.4.404
    Korn and Graubard, Survey Methodology 1998, 24(2):193-201
    """
    labels, probabilities = np.asarray(labels, int), np.atleast_2d(np.asarray(probabilities, float))
    calibrated = probabilities if calibrated is None else np.atleast_2d(np.asarray(calibrated, float))
    units = units_of(labels, None if groups is None else np.asarray(groups))
    found = estimates(labels, probabilities, calibrated)
    effects = {name: max(1.0, (design_effects or {}).get(name, 1.0)) for name in found}
    intervals = {}
    for name in PROPORTIONS:
        members = {"sensitivity": labels == 1, "specificity": labels == 0}.get(name, slice(None))
        most = len(np.unique(units[members]))
        intervals[name] = proportion_interval(found[name].value, variance(found[name], units), most, effects[name])
    brier = found["brier"]
    half = float(norm.ppf(interval_quantiles()[1]) * np.sqrt(variance(brier, units) * effects["brier"]))
    intervals["brier"] = [max(0.0, brier.value - half), min(1.0, brier.value + half)]
    scores: Json = {"n": len(labels), **({} if groups is None else {"n_groups": int(units.max()) + 1})}
    scores["class_counts"] = np.bincount(labels, minlength=2).tolist()
    for name, each in found.items():
        scores |= {name: each.value, f"{name}_ci95": intervals[name]}
    return scores | {
        "interval": "subjects alone" if design_effects is None else "training and subjects",
        "brier_uncalibrated": float(((probabilities - labels) ** 2).mean()),
        "majority_accuracy": float(max(labels.mean(), 1 - labels.mean())),
        "confusion_matrix": confusion_matrix(labels, probabilities.mean(axis=0) >= 0.5, labels=[0, 1]).tolist(),
    }


def estimates(
    labels: np.ndarray, probabilities: np.ndarray, calibrated: np.ndarray | None = None
) -> dict[str, Estimate]:
    """Estimate every score, with the influence of each subject.

    Parameters
    ----------
    labels : array of 0 and 1, shape (n,)
        Classes; both occur.
    probabilities, calibrated : ndarray, shape (repeats, n)
        Probabilities of class 1; `calibrated` is for the Brier score, default=None
        takes `probabilities`.

    Returns
    -------
    dict of str to Estimate
        For each of :data:`PROPORTIONS`, and ``brier``.
    """
    right = ((probabilities >= 0.5) == labels).mean(axis=0)
    squared = (((probabilities if calibrated is None else calibrated) - labels) ** 2).mean(axis=0)
    sensitivity, specificity = (_class_mean(right, labels == value) for value in (1, 0))
    balanced = Estimate(
        (sensitivity.value + specificity.value) / 2, (sensitivity.influence + specificity.influence) / 2
    )
    everybody = np.ones(len(labels), bool)
    return {
        "auc": _auc(labels, probabilities),
        "accuracy": _class_mean(right, everybody),
        "balanced_accuracy": balanced,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "brier": _class_mean(squared, everybody),
    }


def units_of(labels: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Assign a number to each independent unit: each group of rows if there are any, else each row.

    Parameters
    ----------
    labels : ndarray, shape (n,)
        One per row.
    groups : ndarray, shape (n,), or None
        Name of the group of each row.

    Returns
    -------
    ndarray of int, shape (n,)
        Number of the unit of each row, from 0.
    """
    return np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]


def variance(estimate: Estimate, units: np.ndarray) -> float:
    """Estimate the variance of a score, or of a difference of scores, over samples of subjects.

    Parameters
    ----------
    estimate : Estimate
        The score.
    units : ndarray of int, shape (n,)
        Number of the subject, or group of rows, from 0.

    Returns
    -------
    float
        Of the estimate, for predictions that are held fixed.
    """
    return float((np.bincount(units, estimate.influence) ** 2).sum())


def proportion_interval(value: float, variance: float, units: int, design_effect: float = 1.0) -> list[float]:
    """Compute the interval of Clopper and Pearson at the effective sample size.

    Parameters
    ----------
    value : float
        Proportion, from 0 to 1.
    variance : float
        Variance of its estimate.
    units : int
        Number of independent subjects or groups, which the effective sample size cannot
        exceed: the variance of a perfect score is estimated as 0.
    design_effect : float, default=1.0
        Divides the effective sample size.

    Returns
    -------
    [float, float]
        Lower and upper limit.
    """
    spread = value * (1 - value)
    size = (min(units, spread / variance) if variance > 0 else units) / design_effect
    hits, (below, above) = value * size, interval_quantiles()
    low = beta.ppf(below, hits, size - hits + 1) if value > 0 else 0.0
    high = beta.ppf(above, hits + 1, size - hits) if value < 1 else 1.0
    return [float(low), float(high)]


def _class_mean(values: np.ndarray, members: np.ndarray) -> Estimate:
    mean = float(values[members].mean())
    return Estimate(mean, np.where(members, values - mean, 0) / members.sum())


def _auc(labels: np.ndarray, probabilities: np.ndarray) -> Estimate:
    """Estimate the mean AUC over the repeats; the influences are centred placement values."""
    placements = np.empty(labels.shape)
    ranks = rankdata(probabilities, axis=1)
    for value in (0, 1):
        own = labels == value
        above = ranks[:, own] - rankdata(probabilities[:, own], axis=1)  # subjects of the other class, ties half
        share = above.mean(axis=0) / np.count_nonzero(~own)
        placements[own] = share if value else 1 - share
    auc = float(placements[labels == 1].mean())
    influence = (placements - auc) / np.bincount(labels, minlength=2)[labels]
    return Estimate(auc, influence)
