"""Out-of-fold predictions of models, and differences between their AUCs on the same subjects."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm

from epitome_kit.confidence import interval_quantiles
from epitome_kit.files import Json
from epitome_kit.grade.differences import holm
from epitome_kit.grade.scores import Estimate, estimates, units_of, variance
from epitome_kit.learn.probes import GROUP


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


def gather_predictions(rows: pd.DataFrame) -> tuple[pd.Index, Predictions, np.ndarray]:
    """Gather the out-of-fold probabilities of one model from a table, subjects sorted by name.

    Parameters
    ----------
    rows : DataFrame
        ``participant_id``, ``repeat``, ``label``, ``probability``, ``calibrated``, and
        ``group_id`` if rows are grouped.

    Returns
    -------
    subjects : Index
        Names of the subjects.
    predictions : Predictions
    calibrated : ndarray, shape (repeats, n)
        Calibrated probabilities.
    """
    wide = rows.pivot(index="participant_id", columns="repeat")
    groups = wide[GROUP].iloc[:, 0].to_numpy() if GROUP in rows else None
    labels = wide["label"].iloc[:, 0].to_numpy(int)
    predictions = Predictions(labels, wide["probability"].to_numpy().T, groups)
    return wide.index, predictions, wide["calibrated"].to_numpy().T


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
    The variance of a difference is that of paired AUCs in one repeat of the folds (DeLong),
    multiplied by the design effect of the AUC. For the coverage of these intervals see
    ``benchmarks/coverage.md``.

    References
    ----------
    DeLong et al., Biometrics 1988, doi:10.2307/2531595
    """
    z, found = float(norm.ppf(interval_quantiles()[1])), dict[str, Json]()
    units, own = units_of(primary.labels, primary.groups), _aucs(primary)
    for name, other in others.items():
        difference, spread = _difference(own, _aucs(other), units)
        error = float(np.sqrt(spread * design_effect))
        p = 2 * norm.sf(abs(difference) / error) if error > 0 else float(difference == 0)
        interval = [difference - z * error, difference + z * error]
        found[name] = {"difference": difference, "difference_ci95": interval, "p": float(p)}
    adjusted = holm([each["p"] for each in found.values()]).tolist()
    return {name: {**each, "p_holm": p} for (name, each), p in zip(found.items(), adjusted, strict=True)}


def _aucs(predictions: Predictions) -> list[Estimate]:
    """Estimate the AUC of each repeat."""
    return [estimates(predictions.labels, each[None])["auc"] for each in predictions.probabilities]


def _difference(primary: list[Estimate], other: list[Estimate], units: np.ndarray) -> tuple[float, float]:
    """Return the difference in AUC, and its variance for predictions that are held fixed.

    The variance is the mean of those of single repeats. That of the mean over repeats would
    be smaller, but repeats share their subjects, so that they vary with training together.
    """
    pairs = zip(primary, other, strict=True)
    changes = [Estimate(one.value - its.value, one.influence - its.influence) for one, its in pairs]
    return float(np.mean([each.value for each in changes])), float(np.mean([variance(each, units) for each in changes]))
