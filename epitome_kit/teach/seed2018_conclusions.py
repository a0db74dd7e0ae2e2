"""Test the four conclusions of the 2018 project."""

from collections.abc import Callable, Sequence
from time import perf_counter

import numpy as np
import pandas as pd

from epitome_kit.files import Json
from epitome_kit.grade.grader import Grader
from epitome_kit.grade.select import FeatureSelector
from epitome_kit.learn.probes import feature_columns
from epitome_kit.metrics import auc, bootstrap_change

_SAME = 0.05

_Order = Callable[[np.ndarray, np.ndarray], np.ndarray]

HOLDS, FAILS, OPEN = "holds here", "does not hold here", "undecided with so few subjects"

Score = Callable[[np.ndarray, np.ndarray], float]
"""Takes labels and probabilities, returns a score."""


def try_conclusions(features: pd.DataFrame, *, keep: int = 10, seed: int = 0) -> pd.DataFrame:
    """Test the untested conclusions of the 2018 project on one table.

    Each is a difference between two ways to train the same network in the same
    folds, with a 95 % interval: over subjects by a stratified bootstrap, for time
    by the spread over folds.

    Parameters
    ----------
    features : DataFrame
        Table returned by :func:`epitome_kit.learn_features`.
    keep : int, default=10
        Number of features to select, fixed beforehand.
    seed : int, default=0

    Returns
    -------
    DataFrame
        One row per conclusion: ``conclusion``, ``measure``, ``without``,
        ``with``, ``difference``, ``low``, ``high``, ``n`` and ``answer``.
    """
    features = features[features.label.notna()]
    folds = [rows for _, rows in features.groupby("fold")]
    columns = feature_columns(features)
    few = min(keep, len(columns))
    variants: dict[str, tuple[int, bool, _Order]] = {
        "given": (len(columns), True, lambda x, y: np.arange(len(columns))),
        "ranked": (len(columns), True, lambda x, y: _ranked(x, y, len(columns))),
        "selected": (few, True, lambda x, y: _ranked(x, y, few)),
        "unbalanced": (few, False, lambda x, y: _ranked(x, y, few)),
    }
    found = {name: _out_of_fold(folds, columns, *variant, seed=seed) for name, variant in variants.items()}
    labels = found["given"][0]
    predicted = {name: (labels, probability) for name, (_, probability, _) in found.items()}
    gap, rng = "gap between specificity and sensitivity", np.random.default_rng(seed)
    rows = [
        _compare("Balancing prevents bias", gap, _gap, predicted, "unbalanced", rng),
        _compare("Ranking alone does not help", "AUC", auc, predicted, "given", rng, with_it="ranked"),
        _compare_times(found["given"][2], found["selected"][2]),
        _compare("Selection improves accuracy", "AUC", auc, predicted, "given", rng),
    ]
    rows[0]["answer"] = _answer(-rows[0]["high"], -rows[0]["low"])
    rows[1]["answer"] = HOLDS if max(abs(rows[1]["low"]), abs(rows[1]["high"])) < _SAME else OPEN
    rows[3]["answer"] = _answer(rows[3]["low"], rows[3]["high"])
    return pd.DataFrame(rows).assign(n=len(labels))[
        ["conclusion", "measure", "without", "with", "difference", "low", "high", "n", "answer"]
    ]


def _ranked(x: np.ndarray, y: np.ndarray, keep: int) -> np.ndarray:
    """Order columns by the strength of their association with the label, constant ones last."""
    best = FeatureSelector(keep=keep).fit(x, y).order_
    return np.concatenate([best, np.setdiff1d(np.arange(x.shape[1]), best)])[:keep]


def _out_of_fold(
    folds: Sequence[pd.DataFrame], columns: Sequence[str], features: int, balanced: bool, order: _Order, *, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, out-of-fold probabilities, and the seconds of each training after the first, which compiles."""
    most = max(int((rows.role == "train").sum()) for rows in folds)
    grader = Grader(balanced=balanced, max_features=features, max_subjects=most, random_state=seed)
    labels, probabilities, seconds = [], [], []
    for rows in [folds[0], *folds]:
        train, test = rows[rows.role == "train"], rows[rows.role == "test"]
        x, y = train[columns].to_numpy(np.float32), train.label.to_numpy(int)
        taken = order(x, y)
        start = perf_counter()
        grader.fit(x[:, taken], y)
        seconds.append(perf_counter() - start)
        probabilities.append(grader.predict_proba(test[columns].to_numpy(np.float32)[:, taken])[:, 1])
        labels.append(test.label.to_numpy(int))
    return np.concatenate(labels[1:]), np.concatenate(probabilities[1:]), np.array(seconds[1:])


def _gap(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the recall of the larger class minus that of the smaller."""
    hit = (probabilities >= 0.5) == labels
    common = int(np.mean(labels) >= 0.5)
    return hit[labels == common].mean() - hit[labels != common].mean()


def _compare(
    conclusion: str,
    measure: str,
    score: Score,
    predicted: dict[str, tuple[np.ndarray, np.ndarray]],
    without: str,
    rng: np.random.Generator,
    *,
    with_it: str = "selected",
) -> Json:
    (labels, before), (_, after) = predicted[without], predicted[with_it]
    values = score(labels, before), score(labels, after)
    return _row(conclusion, measure, *values, *bootstrap_change(score, labels, before, after, rng=rng))


def _compare_times(before: np.ndarray, after: np.ndarray) -> Json:
    ratios = after / before
    spread = 1.96 * ratios.std(ddof=1) / np.sqrt(len(ratios)) if len(ratios) > 1 else np.inf
    low, high = ratios.mean() - 1 - spread, ratios.mean() - 1 + spread
    row = _row(
        "Selection shortens training", "seconds a fold", before.mean(), after.mean(), ratios.mean() - 1, low, high
    )
    return {**row, "measure": "seconds a fold (difference: share)", "answer": _answer(-high, -low)}


def _row(
    conclusion: str, measure: str, without: float, with_it: float, difference: float, low: float, high: float
) -> Json:
    values = {"without": without, "with": with_it, "difference": difference, "low": low, "high": high}
    return {"conclusion": conclusion, "measure": measure, **{name: float(value) for name, value in values.items()}}


def _answer(low: float, high: float) -> str:
    if low > 0:
        return HOLDS
    return FAILS if high < 0 else OPEN
