"""The grade of one new head, by the networks of a workspace, and how far to believe it."""

from pathlib import Path

import numpy as np

from epitome_kit.cohort import TARGETS
from epitome_kit.errors import CohortError, ImageError
from epitome_kit.files import read_json, read_tsv
from epitome_kit.learn.probes import feature_columns
from epitome_kit.workspace import Workspace, latest_run

NEIGHBOURS = 10
"""Subjects with the most similar probability, whose classes tell what that probability was worth."""


def grading_files(workspace):
    """List the files of a workspace from which one new scan is graded."""
    run = Workspace(workspace)
    return [run.features, run.handcrafted, run.ann_columns, run.ann, run.scores, run.predictions]


def has_graded(workspace):
    """Tell whether a workspace holds the networks that grade a head, and all that goes with them."""
    return all(path.is_file() for path in grading_files(workspace))


def grade_head(files, workspace):
    """Say how likely one new head is of the positive class, with all that the number must be read with.

    The probability is that of ``ann.keras``, from features of the CNN that the
    network learned with, calibrated on the predictions out of fold. A head is
    called unusual when more of its features lie outside the range of the
    training subjects than of any subject that was held out.

    Parameters
    ----------
    files : Preprocessed
        The head, preprocessed at the voxel size of the workspace.
    workspace : path
        Of a run that has graded its cohort.

    Returns
    -------
    dict
        ``probability`` (calibrated) and ``probability_uncalibrated`` of the class
        ``positive`` of ``target``; ``n``, ``class_counts``, ``auc``, ``auc_ci95``,
        ``majority_accuracy``, ``brier`` and ``oracle_auc`` of the model, out of
        fold; ``trained_on``, the number of subjects it learned from; ``near`` and
        ``near_positive``, how many subjects had the most similar probability, and
        how many of those were of the positive class; ``contrasts`` of the model
        and ``missing`` ones; ``features``, ``outside`` (those out of range),
        ``outside_usual`` (the most of any held-out subject) and ``unusual``.

    Raises
    ------
    CohortError
        The workspace has not graded its cohort.
    ImageError
        No contrast that the model looks at.
    ParameterError
        Another grid than the model's.
    """
    workspace = Path(workspace)
    missing_files = [path.name for path in grading_files(workspace) if not path.is_file()]
    if missing_files:
        raise CohortError(
            "grade_head",
            "a workspace that has graded its cohort",
            f"{workspace.name}, without {', '.join(missing_files)}",
            "make one with `make run`, or `epitome run 03 04`",
        )
    from epitome_kit.grade.ann import load_grader
    from epitome_kit.learn.single_case import features_of_scan, learned_features

    table, network, contrasts = learned_features(workspace)
    missing = [name for name in contrasts if not files.scan(name).is_file()]
    if len(missing) == len(contrasts):
        hint = "send one of them as well"
        raise ImageError("grade_head", f"a scan of {' or '.join(contrasts)}", "none of them", hint)
    head = features_of_scan(files, network, contrasts)
    run = Workspace(workspace)
    chosen = read_json(run.ann_columns)["features"]
    raw = load_grader(run.ann)([head[name] for name in chosen])
    scores, predictions = read_json(run.scores), read_tsv(run.predictions)
    probability, near = calibrate_probability(predictions, raw)
    told = ("n", "class_counts", "auc", "auc_ci95", "majority_accuracy", "brier", "oracle_auc")
    target = scores.get("target", "grade")
    return {
        "target": target,
        "positive": scores.get("positive", str(TARGETS[target][1])),
        "probability": probability,
        "probability_uncalibrated": raw,
        **{name: scores.get(name) for name in told},
        "trained_on": int((table.role == "train").sum()),
        **near,
        "contrasts": list(contrasts),
        "missing": missing,
        **_compare_range(table, head),
    }


def calibrate_probability(predictions, raw):
    """Calibrate the answer for a new head, and look at what became of similar ones.

    Parameters
    ----------
    predictions : DataFrame
        As in ``predictions.tsv``: out of fold.
    raw : float
        Probability before calibration.

    Returns
    -------
    (float, dict)
        The probability; ``near``, how many subjects got the most similar answer,
        and ``near_positive``, how many of those were of the positive class.
    """
    from epitome_kit.grade.baselines import calibrate

    first = predictions[predictions["repeat"] == predictions["repeat"].min()]
    known, labels = first.probability.to_numpy(), first.label.to_numpy(int)
    near = np.argsort(np.abs(known - raw), kind="stable")[: min(NEIGHBOURS, len(known))]
    probability = float(calibrate(known, labels, np.array([raw]))[0])
    return probability, {"near": len(near), "near_positive": int(labels[near].sum())}


def _compare_range(table, head):
    """Count the features outside the range of the training subjects, beside how many that is for held-out ones."""
    columns = feature_columns(table)
    train, test = (table.loc[table.role == role, columns].to_numpy(float) for role in ("train", "test"))
    low, high = train.min(axis=0), train.max(axis=0)

    def outside(rows):
        return ((rows < low) | (rows > high)).sum(axis=-1)

    mine = int(outside(np.array([head[name] for name in columns])))
    usual = int(outside(test).max()) if len(test) else 0
    return {"features": len(columns), "outside": mine, "outside_usual": usual, "unusual": mine > usual}


def find_trained_run(workspace):
    """Choose the run whose networks grade one head: that of a workspace, else the latest one beside it.

    Parameters
    ----------
    workspace : path

    Returns
    -------
    Path or None
        None where neither has graded its cohort.
    """
    workspace = Path(workspace).absolute()
    runs = (workspace, latest_run(workspace.parent))
    return next((run for run in runs if run is not None and has_graded(run)), None)
