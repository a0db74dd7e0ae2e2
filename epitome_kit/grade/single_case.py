"""Grade one new scan with the networks of a workspace, and state how reliable the result is."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.cohort import TARGETS
from epitome_kit.errors import CohortError, ImageError
from epitome_kit.files import Json, PathLike, read_json, read_tsv
from epitome_kit.learn.probes import feature_columns
from epitome_kit.manifest import require_recorded
from epitome_kit.preprocess.derivative import Preprocessed
from epitome_kit.workspace import Workspace, latest_run

NEIGHBOURS = 10
"""Number of subjects with the most similar probability whose classes are counted."""


def grading_files(workspace: PathLike) -> list[Path]:
    """List the files of a workspace that are needed to grade a new scan."""
    run = Workspace(Path(workspace))
    return [run.features, run.handcrafted, run.ann_columns, run.ann, run.scores, run.predictions]


def has_graded(workspace: PathLike) -> bool:
    """Return whether a workspace has all files that are needed to grade a new scan."""
    return all(path.is_file() for path in grading_files(workspace))


def grade_head(files: Preprocessed, workspace: PathLike) -> Json:
    """Predict the probability of the positive class for one new scan, with its context.

    The probability is the output of ``ann.keras`` for the features of the CNN of the
    last fold, calibrated on the out-of-fold predictions. A scan is unusual if more of
    its features are outside the range of the training subjects than for any held-out
    subject.

    Parameters
    ----------
    files : Preprocessed
        The subject, preprocessed at the voxel size of the workspace.
    workspace : path
        Workspace of a run that has graded its cohort.

    Returns
    -------
    dict
        ``probability`` (calibrated) and ``probability_uncalibrated`` of the class
        ``positive`` of ``target``; ``n``, ``class_counts``, ``auc``, ``auc_ci95``,
        ``majority_accuracy``, ``brier`` and ``oracle_auc`` of the model, out of
        fold; ``selects``, whether it takes selected features; ``trained_on``, the
        number of training subjects; ``near`` and ``near_positive``, the number of
        subjects with the most similar probability, and how many of them were of the
        positive class; ``contrasts`` of the model and ``missing`` ones; the number of
        ``features``, of those ``outside`` the range, ``outside_usual`` (the maximum of
        the held-out subjects), and ``unusual``.

    Raises
    ------
    CohortError
        The workspace has not graded its cohort.
    ImageError
        The subject has none of the contrasts of the model.
    ParameterError
        The grid differs from that of the model.
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
    names = [path.relative_to(workspace).as_posix() for path in grading_files(workspace)]
    require_recorded(workspace, "grade_head", *names)
    from epitome_kit.grade.grader import load_grader
    from epitome_kit.learn.single_case import features_of_scan, learned_features

    table, network, contrasts = learned_features(workspace)
    missing = [name for name in contrasts if not files.scan(name).is_file()]
    if len(missing) == len(contrasts):
        hint = "add a scan of one of them"
        raise ImageError("grade_head", f"a scan of {' or '.join(contrasts)}", "none of them", hint)
    features = features_of_scan(files, network, contrasts)
    run = Workspace(workspace)
    selected = read_json(run.ann_columns)["features"]
    unknown = sorted({*selected, *feature_columns(table)} - features.keys())
    if unknown:
        raise CohortError(
            "grade_head",
            "a run whose features this version computes",
            f"{workspace.name}, with {', '.join(unknown[:3])}",
            "run it again: `epitome run 03 04`",
        )
    raw = load_grader(run.ann)([features[name] for name in selected])
    scores, predictions = read_json(run.scores), read_tsv(run.predictions)
    probability, near = calibrate_probability(predictions, raw)
    context = ("n", "class_counts", "auc", "auc_ci95", "majority_accuracy", "brier", "oracle_auc")
    target = scores.get("target", "grade")
    return {
        "target": target,
        "positive": scores.get("positive", str(TARGETS[target][1])),
        "probability": probability,
        "probability_uncalibrated": raw,
        **{name: scores.get(name) for name in context},
        "selects": (scores.get("selection") or {}).get("used", True),
        "trained_on": int((table.role == "train").sum()),
        **near,
        "contrasts": list(contrasts),
        "missing": missing,
        **_compare_range(table, features),
    }


def calibrate_probability(predictions: pd.DataFrame, raw: float) -> tuple[float, dict[str, int]]:
    """Calibrate the probability of a new subject, and count the classes of subjects with similar ones.

    Parameters
    ----------
    predictions : DataFrame
        Out-of-fold predictions, as in ``predictions.tsv``.
    raw : float
        Probability before calibration.

    Returns
    -------
    probability : float
        Calibrated probability.
    counts : dict of str to int
        ``near``, the number of subjects with the most similar probability, and
        ``near_positive``, how many of them were of the positive class.
    """
    from epitome_kit.grade.baselines import calibrate

    first = predictions[predictions["repeat"] == predictions["repeat"].min()]
    known, labels = first.probability.to_numpy(), first.label.to_numpy(int)
    near = np.argsort(np.abs(known - raw), kind="stable")[: min(NEIGHBOURS, len(known))]
    probability = float(calibrate(known, labels, np.array([raw]))[0])
    return probability, {"near": len(near), "near_positive": int(labels[near].sum())}


def _compare_range(table: pd.DataFrame, features: Mapping[str, float]) -> dict[str, int | bool]:
    """Count the features outside the range of the training subjects, compared with the held-out ones."""
    columns = feature_columns(table)
    train, test = (table.loc[table.role == role, columns].to_numpy(float) for role in ("train", "test"))
    low, high = train.min(axis=0), train.max(axis=0)

    def outside(rows: np.ndarray) -> np.ndarray:
        return ((rows < low) | (rows > high)).sum(axis=-1)

    count = int(outside(np.array([features[name] for name in columns])))
    usual = int(outside(test).max()) if len(test) else 0
    return {"features": len(columns), "outside": count, "outside_usual": usual, "unusual": count > usual}


def find_trained_run(workspace: PathLike) -> Path | None:
    """Find the run with the networks that grade one scan: a workspace, else the latest run in the same folder.

    Parameters
    ----------
    workspace : path
        Workspace, which need not exist.

    Returns
    -------
    Path or None
        None if neither run has graded its cohort.
    """
    workspace = Path(workspace).absolute()
    runs = (workspace, latest_run(workspace.parent))
    return next((run for run in runs if run is not None and has_graded(run)), None)
