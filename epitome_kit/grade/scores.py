"""Score out-of-fold probabilities, each score with an interval."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta, rankdata
from sklearn.metrics import confusion_matrix

from epitome_kit.confidence import interval_quantiles
from epitome_kit.files import Json

DRAWS = 2000
"""Number of bootstrap and permutation draws."""


def score(
    labels: ArrayLike,
    probabilities: ArrayLike,
    calibrated: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> Json:
    """Score out-of-fold probabilities, from one repeat of the folds or several.

    A subject is predicted positive from a probability of 0.5. With several repeats
    each score is the mean over them: that of one model, not of an ensemble of
    repeats. Intervals have the level :data:`~epitome_kit.confidence.SCORE_LEVEL`: for
    AUC, balanced accuracy and Brier score, percentiles of a bootstrap over subjects,
    stratified by class; for accuracy, sensitivity and specificity, Clopper-Pearson.
    If rows are grouped, whole groups are drawn and permuted, and every interval is
    from the bootstrap.

    Parameters
    ----------
    labels : array of 0 and 1, shape (n,)
        Classes.
    probabilities : array, shape (n,) or (repeats, n)
        Probabilities of class 1.
    calibrated : array of the same shape, default=None
        Calibrated probabilities, for the Brier score; None uses `probabilities`.
    groups : array, shape (n,), default=None
        Group of each row, such as the patient of several scans.
    seed : int, default=0
        Seed of bootstrap and permutations.

    Returns
    -------
    dict
        ``n``, ``class_counts``, with `groups` also ``n_groups``; ``auc``, ``accuracy``, ``balanced_accuracy``,
        ``sensitivity``, ``specificity`` and ``brier``, each with ``..._ci95``;
        ``brier_uncalibrated``; ``permutation_p``, the share of random
        permutations of the labels that reach the AUC; ``majority_accuracy``;
        ``confusion_matrix`` [[tn, fp], [fn, tp]] of the mean probabilities.

    References
    ----------
    Clopper and Pearson, Biometrika 1934, doi:10.1093/biomet/26.4.404
    Ojala and Garriga, J Mach Learn Res 2010, 11:1833-1863
    """
    labels, probabilities = np.asarray(labels, int), np.atleast_2d(np.asarray(probabilities, float))
    calibrated = probabilities if calibrated is None else np.atleast_2d(np.asarray(calibrated, float))
    rng = np.random.default_rng(seed)
    groups = None if groups is None else np.unique(np.asarray(groups).astype(str), return_inverse=True)[1]
    weights = _bootstrap_weights(labels, rng) if groups is None else _group_weights(labels, groups, rng)
    right = ((probabilities >= 0.5) == labels).mean(axis=0)
    squared = ((calibrated - labels) ** 2).mean(axis=0)
    auc, aucs = _auc(labels, probabilities, weights)
    by_class = [right[labels == value] for value in (0, 1)]
    (specificity, sensitivity), drawn = _class_means(by_class), _class_means(by_class, weights)
    both, whole = np.hstack(weights), groups is not None
    rights = both @ np.concatenate(by_class)
    return {
        "n": len(labels),
        **({"n_groups": int(groups.max()) + 1} if groups is not None else {}),
        "class_counts": np.bincount(labels, minlength=2).tolist(),
        "auc": auc,
        "auc_ci95": _interval(aucs),
        "accuracy": float(right.mean()),
        "accuracy_ci95": _interval(rights) if whole else _clopper_pearson(right),
        "balanced_accuracy": float((specificity + sensitivity) / 2),
        "balanced_accuracy_ci95": _interval((drawn[0] + drawn[1]) / 2),
        "sensitivity": float(sensitivity),
        "sensitivity_ci95": _interval(drawn[1]) if whole else _clopper_pearson(by_class[1]),
        "specificity": float(specificity),
        "specificity_ci95": _interval(drawn[0]) if whole else _clopper_pearson(by_class[0]),
        "brier": float(squared.mean()),
        "brier_ci95": _interval(both @ np.concatenate([squared[labels == 0], squared[labels == 1]])),
        "brier_uncalibrated": float(((probabilities - labels) ** 2).mean()),
        "permutation_p": _permutation_p(labels, probabilities, auc, rng, groups),
        "majority_accuracy": float(max(labels.mean(), 1 - labels.mean())),
        "confusion_matrix": confusion_matrix(labels, probabilities.mean(axis=0) >= 0.5, labels=[0, 1]).tolist(),
    }


def _bootstrap_weights(labels: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the weight of each subject in each draw: negatives and positives, each (draws, n of the class)."""
    counts = np.bincount(labels, minlength=2)
    return [rng.multinomial(n, np.full(n, 1 / n), DRAWS) / len(labels) for n in counts]


def _group_weights(labels: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Return weights like :func:`_bootstrap_weights` for draws of whole groups, stratified by their classes."""
    counts = np.stack([np.bincount(groups, labels == value) for value in (0, 1)])
    kinds, drawn = (counts[0] > 0) + 2 * (counts[1] > 0), np.zeros((DRAWS, counts.shape[1]))
    for kind in np.unique(kinds):
        n = int((kinds == kind).sum())
        drawn[:, kinds == kind] = rng.multinomial(n, np.full(n, 1 / n), DRAWS)
    weights = drawn[:, groups] / drawn[:, groups].sum(axis=1, keepdims=True)
    return [weights[:, labels == value] for value in (0, 1)]


def _auc(labels: np.ndarray, probabilities: np.ndarray, weights: Sequence[np.ndarray]) -> tuple[float, np.ndarray]:
    """Return the mean AUC over the repeats, and its bootstrap draws."""
    negative, positive = probabilities[:, labels == 0], probabilities[:, labels == 1]
    difference = positive[:, :, None] - negative[:, None, :]
    won = ((difference > 0) + 0.5 * (difference == 0)).mean(axis=0)
    low, high = (part / part.sum(axis=1, keepdims=True) for part in weights)
    return float(won.mean()), ((high @ won) * low).sum(axis=1)


def _class_means(by_class: Sequence[np.ndarray], weights: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
    """Return the mean of each class, in every bootstrap draw if there are weights."""
    if weights is None:
        return [part.mean() for part in by_class]
    return [(part @ values) / part.sum(axis=1) for part, values in zip(weights, by_class, strict=True)]


def _permutation_p(
    labels: np.ndarray,
    probabilities: np.ndarray,
    auc: float,
    rng: np.random.Generator,
    groups: np.ndarray | None = None,
) -> float:
    """Return the share of permutations with at least this AUC; the actual order is one of them."""
    ranks = rankdata(probabilities, axis=1).mean(axis=0)
    if groups is None:
        positive, negative = labels.sum(), len(labels) - labels.sum()
        shuffled = rng.permuted(np.tile(labels, (DRAWS, 1)), axis=1)
    else:
        shuffled = _permuted_groups(labels, groups, rng)
        positive = shuffled.sum(axis=1)
        negative = len(labels) - positive
        positive, negative = np.maximum(positive, 1), np.maximum(negative, 1)
    aucs = (shuffled @ ranks - positive * (positive + 1) / 2) / (positive * negative)
    return float((1 + (aucs >= auc - 1e-12).sum()) / (1 + DRAWS))


def _permuted_groups(labels: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute labels between groups, repeated or cut to the number of rows, once per draw."""
    rows = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    most = max(map(len, rows))
    patterns = np.stack([np.resize(labels[each], most) for each in rows])
    places = np.concatenate([np.arange(len(each)) for each in rows])[np.argsort(np.concatenate(rows))]
    orders = rng.permuted(np.tile(np.arange(len(rows)), (DRAWS, 1)), axis=1)
    return patterns[orders[:, groups], places]


def _interval(draws: np.ndarray) -> list[float]:
    return np.quantile(draws, interval_quantiles()).round(12).tolist()


def _clopper_pearson(right: np.ndarray) -> list[float]:
    """Return the interval of a share; `right` is 0 or 1 for each subject, or its mean over several repeats."""
    n, hits, (below, above) = len(right), float(right.sum()), interval_quantiles()
    low = beta.ppf(below, hits, n - hits + 1) if hits > 0 else 0.0
    high = beta.ppf(above, hits + 1, n - hits) if hits < n else 1.0
    return [float(low), float(high)]
