"""Test the four conclusions of the 2018 project."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np
import pandas as pd

from epitome_kit.confidence import SCORE_LEVEL
from epitome_kit.files import Json
from epitome_kit.grade.differences import Difference, corrected_t, difference_of_sizes, holm
from epitome_kit.grade.nested import Selections, Settings, primary_model, select_hyperparameters
from epitome_kit.grade.select import FeatureSelector
from epitome_kit.learn.probes import feature_columns
from epitome_kit.metrics import auc

SAME = 0.05
"""Difference in AUC below which two ways to train count as equivalent."""

HOLDS, FAILS, OPEN = "holds here", "does not hold here", "undecided with so few subjects"

_Select = Callable[[np.ndarray, np.ndarray], Selections]


class Trained(NamedTuple):
    """Predictions for the test subjects of one fold, and the seconds of selection and training."""

    labels: np.ndarray
    probabilities: np.ndarray
    seconds: float

    @property
    def auc(self) -> float:
        """Area under the ROC curve."""
        return auc(self.labels, self.probabilities)

    @property
    def accuracy(self) -> float:
        """Share of the subjects that are classified correctly."""
        return float(self._correct.mean())

    @property
    def gap(self) -> float:
        """Recall of class 0 minus recall of class 1."""
        return float(self._correct[self.labels == 0].mean() - self._correct[self.labels == 1].mean())

    @property
    def _correct(self) -> np.ndarray:
        return (self.probabilities >= 0.5) == self.labels


def try_conclusions(features: pd.DataFrame, *, seed: int = 0, network: bool = True) -> pd.DataFrame:
    """Test the conclusions of the 2018 project on one table; it tested none of them.

    Each is a difference between two ways to train one model in the same folds: with and
    without balanced classes; with the columns in the order of their ranking; and with
    all features, or with those that are selected as
    :func:`epitome_kit.grade.nested.select_hyperparameters` does.

    Parameters
    ----------
    features : DataFrame
        Table returned by :func:`epitome_kit.learn_features`.
    seed : int, default=0
        Seed of inner folds and networks.
    network : bool, default=True
        Whether to train the network; else a logistic regression takes its place.

    Returns
    -------
    DataFrame
        One row per measure: ``conclusion``, ``measure``, ``without``, ``with``,
        ``difference``, the bounds ``low`` and ``high`` of its 95 % interval, ``p``, ``n``
        and ``answer``. Scores are means over the folds.

    Notes
    -----
    Intervals are those of :func:`epitome_kit.grade.differences.corrected_t`, which count
    the variation of training. The gap is that between the recalls of the two classes,
    whichever is larger. That ranking alone does not help is tested as an equivalence:
    the AUCs differ by less than :data:`SAME`. The time is that of selection and
    training; its difference is relative. p is corrected for the number of rows (Holm),
    and `answer` is open unless it is at most 0.05.
    """
    features = features[features.label.notna()]
    folds = [rows for _, rows in features.groupby("fold")]
    found = _train_variants(folds, feature_columns(features), seed, network)
    test = [fold.labels for fold in found["all"]]
    smallest_class = min(int(np.bincount(labels.astype(int), minlength=2).min()) for labels in test)

    def change(score: str, one: str, other: str, **options: float) -> tuple[float, float, Difference]:
        before, after = (np.array([getattr(fold, score) for fold in found[name]]) for name in (one, other))
        return before.mean(), after.mean(), corrected_t(after - before, **options)

    gaps = [np.array([fold.gap for fold in found[name]]) for name in ("unbalanced", "all")]
    gap = *(abs(each.mean()) for each in gaps), difference_of_sizes(*gaps, step=1 / smallest_class)
    accuracy = change("accuracy", "all", "selected", step=1 / max(map(len, test)))
    rows = [
        _row("Balancing prevents bias", "gap between recalls", -1, *gap),
        _row("Ranking alone does not help", "AUC", 0, *change("auc", "all", "ranked", margin=SAME)),
        _row("Selection shortens training", "seconds a fold", -1, *_times(found["all"], found["selected"])),
        _row("Selection improves accuracy", "accuracy", 1, *accuracy),
        _row("Selection improves accuracy", "AUC", 1, *change("auc", "all", "selected")),
    ]
    table = pd.DataFrame(rows).assign(n=sum(map(len, test)))
    table["p"] = holm(table.p.to_numpy())
    as_claimed = (table.claim == 0) | (table.claim * table.difference > 0)
    decided = table.p <= 1 - SCORE_LEVEL + 1e-12
    table["answer"] = np.where(decided, np.where(as_claimed, HOLDS, FAILS), OPEN)
    return table[["conclusion", "measure", "without", "with", "difference", "low", "high", "p", "n", "answer"]]


def _train_variants(
    folds: Sequence[pd.DataFrame], columns: Sequence[str], seed: int, network: bool
) -> dict[str, list[Trained]]:
    subjects = max(int((rows.role == "train").sum()) for rows in folds)
    settings = Settings(len(columns), subjects, seed=seed, network=network)
    everything = np.arange(len(columns))
    variants: dict[str, tuple[bool, _Select]] = {
        "all": (True, lambda x, y: [everything]),
        "ranked": (True, lambda x, y: [_ranked(x, y)]),
        "selected": (True, lambda x, y: select_hyperparameters(x, y, settings).selections),
        "unbalanced": (False, lambda x, y: [everything]),
    }
    found = {}
    for name, (balanced, select) in variants.items():
        chosen = settings._replace(balanced=balanced)
        _train(folds[0], columns, chosen, variants["all"][1])  # compiles, which must not count
        found[name] = [_train(rows, columns, chosen, select) for rows in folds]
    return found


def _train(rows: pd.DataFrame, columns: Sequence[str], settings: Settings, select: _Select) -> Trained:
    """Select features, train on each selection, and predict the test subjects by the mean."""
    train, test = rows[rows.role == "train"], rows[rows.role == "test"]
    x, y, x_test = train[columns].to_numpy(np.float32), train.label.to_numpy(int), test[columns].to_numpy(np.float32)
    model = primary_model(settings)
    if not (settings.network or settings.balanced):
        model.set_params(logisticregression__class_weight=None)
    start = perf_counter()
    probabilities, seconds = [], 0.0
    for chosen in select(x, y):
        model.fit(x[:, chosen], y)
        seconds = perf_counter() - start
        probabilities.append(model.predict_proba(x_test[:, chosen])[:, 1])
    return Trained(test.label.to_numpy(int), np.mean(probabilities, axis=0), seconds)


def _ranked(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Order columns by how well each separates the classes, constant ones last."""
    best = FeatureSelector(keep=x.shape[1]).fit(x, y).order_
    return np.concatenate([best, np.setdiff1d(np.arange(x.shape[1]), best)])


def _times(before: Sequence[Trained], after: Sequence[Trained]) -> tuple[float, float, Difference]:
    """Return the mean seconds, and the relative difference, whose interval is that of the log ratio."""
    one, other = (np.array([fold.seconds for fold in folds]) for folds in (before, after))
    found = corrected_t(np.log(other / one))
    change, low, high = np.expm1(found[:3]).tolist()
    return one.mean(), other.mean(), Difference(change, low, high, found.p)


def _row(conclusion: str, measure: str, claim: int, without: float, with_it: float, found: Difference) -> Json:
    """Return one row; `claim` is the sign of the difference that the conclusion expects."""
    scores = {"without": float(without), "with": float(with_it)}
    return {"conclusion": conclusion, "measure": measure, "claim": claim, **scores, **found._asdict()}
