"""The four conclusions of the 2018 project, each put to a test."""

from time import perf_counter

import numpy as np
import pandas as pd

from epitome_kit.grade.ann import Grader
from epitome_kit.grade.select import choose_columns
from epitome_kit.learn.probes import feature_columns
from epitome_kit.metrics import auc, bootstrap_change

_SAME = 0.05

HOLDS, FAILS, OPEN = "holds here", "does not hold here", "cannot be told from so few subjects"


def try_conclusions(features, *, keep=10, seed=0):
    """Test on one table what the 2018 project concluded without a test.

    Each is a difference between two ways to train the same network in the same
    folds, with a 95 % interval: over subjects by a stratified bootstrap, for time
    by the spread over folds.

    Parameters
    ----------
    features : DataFrame
        As :func:`epitome_kit.learn_features` returns it.
    keep : int, default=10
        Features that selection keeps; fixed beforehand.
    seed : int, default=0

    Returns
    -------
    DataFrame
        A row a conclusion: ``conclusion``, ``measure``, ``without``, ``with``,
        ``difference``, ``low``, ``high``, ``n`` and ``answer``.
    """
    features = features[features.label.notna()]
    folds = [rows for _, rows in features.groupby("fold")]
    columns = feature_columns(features)
    few = min(keep, len(columns))
    ways = {
        "given": (len(columns), True, lambda x, y: np.arange(len(columns))),
        "ranked": (len(columns), True, lambda x, y: _ranked(x, y, len(columns))),
        "selected": (few, True, lambda x, y: _ranked(x, y, few)),
        "unbalanced": (few, False, lambda x, y: _ranked(x, y, few)),
    }
    found = {name: _out_of_fold(folds, columns, *way, seed=seed) for name, way in ways.items()}
    labels = found["given"][0]
    told = {name: (labels, probability) for name, (_, probability, _) in found.items()}
    rng = np.random.default_rng(seed)
    rows = [
        _compare("Balancing prevents bias", "gap between specificity and sensitivity", _gap, told, "unbalanced", rng),
        _compare("Ranking alone does not help", "AUC", auc, told, "given", rng, with_it="ranked"),
        _compare_times(found["given"][2], found["selected"][2]),
        _compare("Selection improves accuracy", "AUC", auc, told, "given", rng),
    ]
    rows[0]["answer"] = _answer(-rows[0]["high"], -rows[0]["low"])
    rows[1]["answer"] = HOLDS if max(abs(rows[1]["low"]), abs(rows[1]["high"])) < _SAME else OPEN
    rows[3]["answer"] = _answer(rows[3]["low"], rows[3]["high"])
    return pd.DataFrame(rows).assign(n=len(labels))[
        ["conclusion", "measure", "without", "with", "difference", "low", "high", "n", "answer"]
    ]


def _ranked(x, y, keep):
    """Order columns by strength; constant ones come last."""
    best = choose_columns(x, y, keep=keep, method="ranking")
    return np.concatenate([best, np.setdiff1d(np.arange(x.shape[1]), best)])[:keep]


def _out_of_fold(folds, columns, features, balanced, order, *, seed):
    """Labels, out-of-fold probabilities, and the seconds of each training after the first, which compiles."""
    most = max(int((rows.role == "train").sum()) for rows in folds)
    grader = Grader(features, most, balanced=balanced, seed=seed)
    labels, probabilities, seconds = [], [], []
    for rows in [folds[0], *folds]:
        train, test = rows[rows.role == "train"], rows[rows.role == "test"]
        x, y = train[columns].to_numpy(np.float32), train.label.to_numpy(int)
        taken = order(x, y)
        start = perf_counter()
        grader.fit(x[:, taken], y)
        seconds.append(perf_counter() - start)
        probabilities.append(grader.predict(test[columns].to_numpy(np.float32)[:, taken]))
        labels.append(test.label.to_numpy(int))
    return np.concatenate(labels[1:]), np.concatenate(probabilities[1:]), np.array(seconds[1:])


def _gap(labels, probabilities):
    """How much better the commoner class is recognised."""
    hit = (probabilities >= 0.5) == labels
    common = int(np.mean(labels) >= 0.5)
    return hit[labels == common].mean() - hit[labels != common].mean()


def _compare(conclusion, measure, score, told, without, rng, *, with_it="selected"):
    (labels, before), (_, after) = told[without], told[with_it]
    values = score(labels, before), score(labels, after)
    return _row(conclusion, measure, *values, *bootstrap_change(score, labels, before, after, rng=rng))


def _compare_times(before, after):
    ratios = after / before
    spread = 1.96 * ratios.std(ddof=1) / np.sqrt(len(ratios)) if len(ratios) > 1 else np.inf
    low, high = ratios.mean() - 1 - spread, ratios.mean() - 1 + spread
    row = _row(
        "Selection shortens training", "seconds a fold", before.mean(), after.mean(), ratios.mean() - 1, low, high
    )
    return {**row, "measure": "seconds a fold (difference: share)", "answer": _answer(-high, -low)}


def _row(conclusion, measure, without, with_it, difference, low, high):
    values = {"without": without, "with": with_it, "difference": difference, "low": low, "high": high}
    return {"conclusion": conclusion, "measure": measure, **{name: float(value) for name, value in values.items()}}


def _answer(low, high):
    if low > 0:
        return HOLDS
    return FAILS if high < 0 else OPEN
