"""What the files of a finished folder say of it, gathered for the reports that write themselves."""

import json
import zipfile
from pathlib import Path

import pandas as pd
from sklearn.metrics import brier_score_loss

from epitome_kit.errors import ParameterError
from epitome_kit.extras import needs
from epitome_kit.files import read_json
from epitome_kit.report.flow import class_names, count_flow
from epitome_kit.report.summary import build_summary, open_run_cohort
from epitome_kit.workspace import Workspace, column, run_parameters, table

MODELS = {Workspace.cnn.name: "epitome_kit.learn.cnn", Workspace.ann.name: "epitome_kit.grade.ann"}
"""Models that a folder may hold, and the module that knows their layers."""


def gather(folder, *, provenance=None):
    """Gather what is known of a run, or of the folder that grading a table made.

    Parameters
    ----------
    folder : path
        Workspace of a run, complete or not; or a folder with ``scores.json``.
    provenance : dict, default=None
        As :func:`epitome_kit.provenance.describe_run` gives it, for a
        folder that has no ``provenance.json``.

    Returns
    -------
    dict
        What is not there is None or empty. ``parameters``, ``summary``,
        ``cohort`` and ``flow`` are None for a table.

    Raises
    ------
    ParameterError
        The folder is neither the workspace of a run nor that of a graded table.
    """
    folder = Path(folder)
    run = Workspace(folder)
    is_run = run.parameters.is_file()
    if not is_run and not run.scores.is_file():
        expected = "a folder that `epitome run` or `epitome grade` wrote"
        received = f"{folder}, which has neither parameters.json nor scores.json"
        raise ParameterError("report", expected, received, "name the folder that was given as `--out`")
    scores, parameters = read_json(run.scores, missing={}), run_parameters(folder) if is_run else None
    cohort = open_run_cohort(folder, parameters) if is_run else None
    names = class_names(scores, (parameters or {}).get("target"))
    return {
        "parameters": parameters,
        "summary": build_summary(folder) if is_run else None,
        "cohort": None if cohort is None else _describe_cohort(cohort),
        "scores": scores,
        "names": names,
        "counts": dict(zip(names, (scores.get("class_counts") or {}).values(), strict=False)),
        "predictions": _describe_predictions(table(run.predictions)),
        "selected": table(run.selected).iloc[:, :2].values.tolist(),
        "models": {name: _describe_model(folder / name) for name in MODELS if (folder / name).is_file()},
        "training": _training(run.cnn_folds / "settings.json"),
        "preprocessing": _preprocessing(run.preprocessed),
        "ablation": sorted(path.name for path in (folder / "ablation").glob("*/")),
        "files": sorted(path.name for path in [*folder.glob("*.*"), *folder.glob("figures/*.png")]),
        "provenance": read_json(run.provenance, missing={}) or provenance or {},
        "flow": count_flow(cohort, folder, scores, names, parameters.get("target", "grade")) if is_run else None,
    }


def _describe_cohort(cohort):
    notes, people = read_json(cohort.root / "dataset_description.json", missing={}), cohort.participants
    ages, sexes = column(people, "age"), people["sex"].value_counts().to_dict() if "sex" in people else {}
    annotated = [subject for subject in cohort if subject.annotation]
    return {
        "name": cohort.name,
        "simulated": cohort.simulated,
        "licence": notes.get("License") if notes.get("License") != "n/a" else None,
        "n": len(cohort),
        "readme": (cohort.root / "README.md").is_file(),
        "contrasts": cohort.contrasts,
        "ages": {"n": len(ages), "median": ages.median(), "low": ages.min(), "high": ages.max()} if len(ages) else None,
        "sexes": {str(sex): int(n) for sex, n in sexes.items()},
        "annotated": len(annotated),
        "sparse": sum(subject.annotated_slices is not None for subject in annotated),
        "repaired": len(cohort.repaired),
    }


def _describe_predictions(predictions):
    """Check and count what can be, in the table of predictions."""
    if not {"participant_id", "label", "probability"} <= set(predictions):
        return None
    means = predictions.groupby("participant_id")[["label", "probability"]].mean()
    calibrated = column(predictions, "calibrated")
    return {
        "once": not predictions.duplicated(["participant_id", *({"repeat"} & set(predictions))]).any(),
        "mean_probability": float(predictions.probability.mean()),
        "share": float(means.label.mean()),
        "wrong": int(((means.probability >= 0.5) != (means.label >= 0.5)).sum()),
        "calibrated_brier": float(brier_score_loss(predictions.label[calibrated.index], calibrated))
        if len(calibrated)
        else None,
    }


def _describe_model(path):
    """Read inputs, layers and number of weights of a saved model, without running any of it."""
    with needs("train"):
        import h5py
    with zipfile.ZipFile(path) as archive:
        layers = json.loads(archive.read("config.json"))["config"].get("layers", [])
        with archive.open("model.weights.h5") as stream, h5py.File(stream) as file:
            sizes = []
            file["layers"].visititems(lambda name, item: sizes.append(_size(name, item, h5py.Dataset)))
    kinds = pd.Series([layer["class_name"] for layer in layers], dtype=str).value_counts(sort=False)
    shapes = [layer["config"]["batch_shape"][1:] for layer in layers if layer["class_name"] == "InputLayer"]
    members = max((layer["config"].get("members") or 0 for layer in layers), default=0)
    described = {"weights": sum(sizes), "kinds": kinds.to_dict(), "inputs": shapes, "members": members}
    return {**described, "bytes": path.stat().st_size}


def _size(name, item, dataset):
    return int(item.size) if isinstance(item, dataset) and "seed_generator" not in name else 0


def _preprocessing(folder):
    """Read the settings of preprocessing; empty when nothing was preprocessed."""
    record = next(iter(sorted(folder.glob("sub-*/anat/[!.]*_quality.json"))), None)
    return read_json(record, missing={}).get("settings", {}) if record else {}


def _training(record):
    """Read the settings of the training; an earlier version wrote nothing else into the record."""
    found = read_json(record, missing={})
    return found.get("settings", found)
