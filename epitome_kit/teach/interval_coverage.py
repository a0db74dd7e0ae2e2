"""Draw cohorts of known truth, and count how often intervals hold it and p values are small."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit
from scipy.stats import norm
from sklearn.model_selection import StratifiedKFold

from epitome_kit.confidence import SCORE_LEVEL, interval_quantiles
from epitome_kit.files import Json
from epitome_kit.grade.compare import Predictions, compare
from epitome_kit.grade.permutation import DRAWS, Fold, permute
from epitome_kit.grade.scores import PROPORTIONS, score
from epitome_kit.metrics import auc as auc_of
from epitome_kit.parallel import for_each

INFORMATIVE = 5
"""Number of features whose mean differs between the classes."""

EFFECTS = {"null": 0.0, "weak": 0.3, "strong": 0.75}
"""Difference of their means, in standard deviations."""

_FOLDS = 5
_POSITIVE_SHARE = 17 / 48
_MOST_COHORTS = 1_000_000


class Cell(NamedTuple):
    """One kind of cohort.

    Attributes
    ----------
    n, features : int
        Number of subjects and of features.
    effect : float
        Difference of the class means of the first :data:`INFORMATIVE` features.
    repeats : int
        Repeats of the cross-validation.
    """

    n: int
    features: int
    effect: float
    repeats: int


def draw_cohort(cell: Cell, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw independent normal features, some of which differ between the classes.

    Parameters
    ----------
    cell : Cell
        Size and effect.
    rng : numpy.random.Generator

    Returns
    -------
    x : ndarray, shape (n, features)
    labels : array of 0 and 1, shape (n,)
        About a third is of class 1.
    """
    labels = (np.arange(cell.n) < round(cell.n * _POSITIVE_SHARE)).astype(int)
    x = rng.standard_normal((cell.n, cell.features))
    x[:, :INFORMATIVE] += cell.effect * labels[:, None]
    return x, labels


def make_folds(x: np.ndarray, labels: np.ndarray, seed: int) -> list[Fold]:
    """Divide subjects into five stratified folds.

    Parameters
    ----------
    x : ndarray, shape (n, p)
        Features.
    labels : array of 0 and 1, shape (n,)
        Classes.
    seed : int
        Seed of the shuffling.

    Returns
    -------
    list of Fold
    """
    splitter = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    return [Fold(train, test, x[train], x[test]) for train, test in splitter.split(x, labels)]


def learn_ridge(x: np.ndarray, labels: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """Train a balanced ridge classifier on each draw of the labels, all of them by one matrix.

    Parameters
    ----------
    x : ndarray, shape (n, p)
        Features of the training rows.
    labels : array of 0 and 1, shape (draws, n)
        Their classes.
    x_test : ndarray, shape (m, p)
        Features of the test rows.

    Returns
    -------
    ndarray, shape (draws, m)
        Between 0 and 1, in the order of the regression; not calibrated.
    """
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    z, z_test = (x - mean) / spread, (x_test - mean) / spread
    n, p = z.shape
    if p <= n:
        hat = z_test @ np.linalg.solve(z.T @ z + p * np.eye(p), z.T)
    else:
        hat = z_test @ z.T @ np.linalg.inv(z @ z.T + p * np.eye(n))
    positive = labels.sum(axis=1, keepdims=True)
    return expit(np.where(labels == 1, n / positive, -n / (n - positive)) @ hat.T)


def run_cohort(cell: Cell, seed: int, *, draws: int = DRAWS) -> Json:
    """Draw a cohort, cross-validate the ridge classifier, and compute its intervals and p value.

    Parameters
    ----------
    cell : Cell
        Kind of the cohort.
    seed : int
        Seed of the cohort, its folds and permutations.
    draws : int, default=199
        Number of permutations.

    Returns
    -------
    dict
        ``p``; for each of :data:`~epitome_kit.grade.scores.PROPORTIONS`, ``brier`` and
        ``difference`` (in AUC to the same classifier on the informative features alone) a
        list of estimate, lower and upper limit; ``auc_subjects_alone``, the same without
        the variation of training.
    """
    rng = np.random.default_rng([seed, *map(int, np.array(cell) * 100)])
    x, labels = draw_cohort(cell, rng)
    repeats = [make_folds(x, labels, int(number)) for number in rng.integers(2**31, size=cell.repeats)]
    all_features, few = (np.stack([_predict(folds, labels, p) for folds in repeats]) for p in (None, INFORMATIVE))
    permuted = permute(
        repeats[0], labels, learn_ridge, features=cell.features, draws=draws, seed=int(rng.integers(2**31))
    )
    scores, plain = score(labels, all_features, design_effects=permuted.design_effects), score(labels, all_features)
    found = {name: [scores[name], *scores[f"{name}_ci95"]] for name in (*PROPORTIONS, "brier")}
    others = {"few": Predictions(labels, few)}
    effect = permuted.design_effects["auc"]
    change = compare(Predictions(labels, all_features), others, design_effect=effect)["few"]
    return {
        "p": permuted.p,
        **found,
        "difference": [change["difference"], *change["difference_ci95"]],
        "auc_subjects_alone": [plain["auc"], *plain["auc_ci95"]],
    }


def summarise(rows: Sequence[Json]) -> Json:
    """Summarise the cohorts of one cell.

    Parameters
    ----------
    rows : sequence of dict
        From :func:`run_cohort`.

    Returns
    -------
    dict
        ``cohorts``; ``false_positives``, the share with p of at most 0.05, which is a
        share of true positives if there is an effect; for each score a dict of ``truth``
        (mean of the estimates), ``coverage``, its Monte-Carlo standard ``error``, median
        ``width``, and ``width_ratio``: the width in units of that of an interval by the
        true standard deviation of the estimate.
    """
    names, z = [name for name in rows[0] if name != "p"], float(norm.ppf(interval_quantiles()[1]))
    summary: Json = {"cohorts": len(rows), "false_positives": float(np.mean([row["p"] <= 0.05 for row in rows]))}
    for name in names:
        value, low, high = np.array([row[name] for row in rows]).T
        coverage = float(np.mean((low <= value.mean()) & (value.mean() <= high)))
        summary[name] = {
            "truth": float(value.mean()),
            "coverage": coverage,
            "error": float(np.sqrt(coverage * (1 - coverage) / len(rows))),
            "width": float(np.median(high - low)),
            "width_ratio": float(np.median(high - low) / (2 * z * max(value.std(), 1e-9))),
        }
    return summary


def run_study(
    cell: Cell, cohorts: int, *, seed: int = 0, draws: int = DRAWS, workers: int = 1
) -> dict[str, pd.DataFrame]:
    """Run many cohorts of one kind, each as a study of its own.

    Parameters
    ----------
    cell : Cell
        Kind of the cohorts.
    cohorts : int
        Number of cohorts.
    seed : int, default=0
        Seed of the first cohort, which sets those of the others.
    draws : int, default=199
        Number of permutations of each cohort.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    dict of str to DataFrame
        ``fixed``, intervals and p values that hold the predictions fixed, and
        ``trained``, those that count training: one row per cohort with ``auc``,
        ``low``, ``high`` and ``p``.
    """
    seeds = range(seed * _MOST_COHORTS, seed * _MOST_COHORTS + cohorts)
    rows = for_each(partial(run_cohort, cell, draws=draws), seeds, title="Drawing cohorts", workers=workers)
    columns = ["auc", "low", "high"]
    fixed = pd.DataFrame([row["auc_subjects_alone"] for row in rows], columns=columns)
    trained = pd.DataFrame([row["auc"] for row in rows], columns=columns)
    return {
        "fixed": fixed.assign(p=p_of_fixed_predictions(fixed.auc, cell)),
        "trained": trained.assign(p=[row["p"] for row in rows]),
    }


def p_of_fixed_predictions(auc: ArrayLike, cell: Cell) -> np.ndarray:
    """Compute the p value of an AUC as if its predictions were from a model that was trained on other subjects.

    That is the p value to which permutations of the labels come if nothing is trained
    again: the one of Mann and Whitney, one-sided, here by its normal approximation.
    Under cross-validation it is too small, as training varies as well.

    Parameters
    ----------
    auc : array, shape (n,)
        Areas under ROC curves.
    cell : Cell
        Kind of the cohorts.

    Returns
    -------
    ndarray, shape (n,)
    """
    positive = round(cell.n * _POSITIVE_SHARE)
    error = np.sqrt((cell.n + 1) / (12 * positive * (cell.n - positive)))
    return norm.sf((np.asarray(auc) - 0.5) / error)


def expected_auc(cell: Cell, *, cohorts: int = 1000, seed: int = 0) -> float:
    """Estimate the AUC that the cross-validated classifier has on average over cohorts.

    Parameters
    ----------
    cell : Cell
        Kind of the cohorts.
    cohorts : int, default=1000
        Number of cohorts, other ones than those of :func:`run_study`.
    seed : int, default=0
        Seed of the cohorts.

    Returns
    -------
    float
        What an interval should hold, and what nobody knows of real data.
    """
    found = []
    for number in range(cohorts):
        rng = np.random.default_rng([seed, number, *map(int, np.array(cell) * 100), 1])
        x, labels = draw_cohort(cell, rng)
        found.append(auc_of(labels, _predict(make_folds(x, labels, int(rng.integers(2**31))), labels, None)))
    return float(np.mean(found))


def judge_intervals(intervals: Mapping[str, pd.DataFrame], truth: float) -> pd.DataFrame:
    """Count how many intervals hold the truth, and whether that is what they promise.

    Parameters
    ----------
    intervals : dict of str to DataFrame
        By name: ``low`` and ``high``, one row per cohort.
    truth : float
        What they should hold.

    Returns
    -------
    DataFrame
        One row per name: ``coverage``; its Monte-Carlo standard ``error``; median
        ``width``; and ``keeps its promise``, whether the coverage is less than two
        standard errors below :data:`~epitome_kit.confidence.SCORE_LEVEL`.
    """
    rows = {}
    for name, each in intervals.items():
        coverage = float(((each.low <= truth) & (truth <= each.high)).mean())
        error = float(np.sqrt(coverage * (1 - coverage) / len(each)))
        width = float((each.high - each.low).median())
        rows[name] = {
            "coverage": coverage,
            "error": error,
            "width": width,
            "keeps its promise": coverage + 2 * error >= SCORE_LEVEL,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _predict(folds: Sequence[Fold], labels: np.ndarray, features: int | None) -> np.ndarray:
    probabilities = np.empty(len(labels))
    for fold in folds:
        probabilities[fold.test] = learn_ridge(
            fold.x_train[:, :features], labels[None, fold.train], fold.x_test[:, :features]
        )
    return probabilities
