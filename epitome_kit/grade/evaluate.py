"""Cross-validation by subject, and scores that stand beside their baselines."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import beta
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    roc_auc_score,
)

from epitome_kit.cohort import TARGETS
from epitome_kit.errors import BadCohort
from epitome_kit.files import whole_file, write_json, write_tsv
from epitome_kit.grade.ann import Grader
from epitome_kit.grade.select import select_features
from epitome_kit.learn.features import feature_columns
from epitome_kit.progress import for_each

DRAWS = 2000
"""Bootstrap draws behind each interval."""


def grade_features(features, out, *, target="grade", keep=12, balanced=True, epochs=60, seed=0, oracle_auc=None):
    """Select features, train the ANN and score it, fold by fold.

    In each fold the features are ranked and selected, scaled and learned from
    rows with role ``train`` alone; rows with role ``test`` are only predicted.

    Parameters
    ----------
    features : DataFrame
        As :func:`epitome_kit.learn_features` returns it.
    out : path
        Workspace: ``scores.json``, ``predictions.tsv``, ``selected.tsv``,
        ``ann.keras`` (of the last fold).
    target : {"grade", "codeletion"}, default="grade"
    keep : int, default=12
        Features to select.
    balanced : bool, default=True
        Balanced training.
    epochs : int, default=60
    seed : int, default=0
    oracle_auc : float, default=None
        Ceiling of any model, known for phantoms.

    Returns
    -------
    dict
        As in ``scores.json``; see :func:`score`.

    Raises
    ------
    BadCohort
        A subject is both in training and in test of a fold.
    """
    out, keep = Path(out), min(keep, len(feature_columns(features)))
    labelled = features[features.label.notna()]
    folds = sorted(labelled.fold.unique())
    grader = Grader(keep, epochs=epochs, balanced=balanced, seed=seed)
    parts = for_each(
        lambda fold: _grade_fold(labelled[labelled.fold == fold], grader, keep), folds, title="Training the ANN"
    )
    predictions = pd.concat([part for part, _ in parts], ignore_index=True).sort_values("participant_id")
    chosen = pd.Series([name for _, names in parts for name in names]).value_counts()
    scores = {
        "target": target,
        "positive": str(TARGETS[target][1]),
        **score(predictions.label, predictions.probability, seed=seed),
        "oracle_auc": oracle_auc,
        "folds": len(folds),
        "repeats": 1,
        "features": {"offered": len(feature_columns(features)), "selected": keep},
    }
    scores["class_counts"] = dict(zip(map(str, TARGETS[target]), scores["class_counts"], strict=True))
    write_tsv(out / "predictions.tsv", predictions)
    write_tsv(out / "selected.tsv", chosen.rename_axis("feature").rename("folds").reset_index())
    with whole_file(out / "ann.keras") as path:
        grader.model.save(path)
    write_json(out / "scores.json", scores)
    return scores


def score(labels, probabilities, *, seed=0):
    """Score out-of-fold probabilities, each beside what the majority class would get.

    Intervals of AUC and balanced accuracy: percentiles of a bootstrap over
    subjects, stratified by class; that of accuracy: Clopper-Pearson.

    Parameters
    ----------
    labels : array of 0 and 1, shape (n,)
    probabilities : array, shape (n,)
    seed : int, default=0
        Bootstrap.

    Returns
    -------
    dict
        ``n``, ``class_counts``, ``auc``, ``auc_ci95``, ``accuracy``,
        ``accuracy_ci95``, ``balanced_accuracy``, ``balanced_accuracy_ci95``,
        ``sensitivity``, ``specificity``, ``brier``, ``majority_accuracy``,
        ``confusion_matrix`` [[tn, fp], [fn, tp]].
    """
    labels, probabilities = np.asarray(labels, int), np.asarray(probabilities, float)
    decided = (probabilities >= 0.5).astype(int)
    (tn, fp), (fn, tp) = matrix = confusion_matrix(labels, decided, labels=[0, 1]).tolist()
    counts = np.bincount(labels, minlength=2)
    intervals = _bootstrap(labels, probabilities, np.random.default_rng(seed))
    return {
        "n": len(labels),
        "class_counts": counts.tolist(),
        "auc": float(roc_auc_score(labels, probabilities)),
        "auc_ci95": intervals["auc"],
        "accuracy": (tn + tp) / len(labels),
        "accuracy_ci95": _clopper_pearson(tn + tp, len(labels)),
        "balanced_accuracy": float(balanced_accuracy_score(labels, decided)),
        "balanced_accuracy_ci95": intervals["balanced_accuracy"],
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "brier": float(brier_score_loss(labels, probabilities)),
        "majority_accuracy": float(counts.max() / len(labels)),
        "confusion_matrix": matrix,
    }


def _grade_fold(rows, grader, keep):
    """Everything learned in one fold, from its training rows."""
    train, test = rows[rows.role == "train"], rows[rows.role == "test"]
    both = sorted(set(train.participant_id) & set(test.participant_id))
    if both:
        raise BadCohort(
            "grade_features",
            "each subject on one side of a split",
            f"{', '.join(both[:5])} in training and in test of fold {rows.fold.iloc[0]}",
            "split by subject: `epitome_kit.folds.assign_folds` does",
        )
    columns = feature_columns(rows)
    names = select_features(train[columns], train.label, keep=keep)
    grader.fit(train[names], train.label)
    probability = grader.predict(test[names])
    answer = pd.DataFrame({"participant_id": test.participant_id, "fold": test.fold, "label": test.label.astype(int)})
    return answer.assign(probability=probability), names


def _bootstrap(labels, probabilities, rng):
    groups = [np.flatnonzero(labels == value) for value in (0, 1)]
    aucs, balanced = [], []
    for _ in range(DRAWS):
        negative, positive = (probabilities[rng.choice(group, len(group))] for group in groups)
        below = np.searchsorted(np.sort(negative), positive, side="left")
        upto = np.searchsorted(np.sort(negative), positive, side="right")
        aucs.append((below + upto).mean() / (2 * len(negative)))
        balanced.append(((positive >= 0.5).mean() + (negative < 0.5).mean()) / 2)
    return {
        name: np.quantile(values, (0.025, 0.975)).tolist()
        for name, values in (("auc", aucs), ("balanced_accuracy", balanced))
    }


def _clopper_pearson(hits, n):
    low = beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
    return [float(low), float(high)]
