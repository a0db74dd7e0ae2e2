"""Gather what the files of a run say about it, for model card and checklists."""

import zipfile
from pathlib import Path

import pandas as pd
from sklearn.metrics import brier_score_loss

from epitome_kit.cohort import Cohort
from epitome_kit.errors import ParameterError
from epitome_kit.extras import needs
from epitome_kit.files import Json, PathLike, read_json
from epitome_kit.grade.reliable import LEAST_ICC
from epitome_kit.io.model_files import bad_model, read_config
from epitome_kit.preprocess.derivative import quality_records
from epitome_kit.report.flow import class_names, count_flow
from epitome_kit.report.subgroups import subgroup_rows
from epitome_kit.report.summary import build_summary, open_run_cohort
from epitome_kit.workspace import Workspace, column, run_parameters, table

MODELS = {Workspace.cnn.name: "epitome_kit.learn.cnn", Workspace.ann.name: "epitome_kit.grade.ann"}
"""Models of a workspace, and the module that defines their layers."""


def gather(folder: PathLike, *, provenance: Json | None = None) -> Json:
    """Gather everything known about a run, or about a graded table.

    Parameters
    ----------
    folder : path
        Workspace of a run, complete or not, or a folder with ``scores.json``.
    provenance : dict, default=None
        From :func:`epitome_kit.provenance.describe_run`, for a folder without
        ``provenance.json``.

    Returns
    -------
    dict
        Missing entries are None or empty. ``parameters``, ``summary``,
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
        expected = "a folder written by `epitome run` or `epitome grade`"
        received = f"{folder}, without parameters.json and scores.json"
        raise ParameterError("report", expected, received, "give the folder that was passed as `--out`")
    scores, parameters = read_json(run.scores, missing={}), run_parameters(folder) if is_run else None
    cohort = open_run_cohort(folder, parameters) if parameters is not None else None
    names = class_names(scores, (parameters or {}).get("target"))
    return {
        "parameters": parameters,
        "summary": build_summary(folder) if is_run else None,
        "cohort": None if cohort is None else _describe_cohort(cohort),
        "scores": scores,
        "names": names,
        "counts": dict(zip(names, (scores.get("class_counts") or {}).values(), strict=False)),
        "predictions": _describe_predictions(table(run.predictions)),
        "subgroups": subgroup_rows(table(run.subgroups)),
        "reliability": _reliability(table(run.reliability)),
        "selected": table(run.selected).iloc[:, :2].values.tolist(),
        "models": {name: _describe_model(folder / name) for name in MODELS if (folder / name).is_file()},
        "training": _training(run.cnn_folds / "settings.json"),
        "preprocessing": _preprocessing(run.preprocessed),
        "ablation": sorted(path.name for path in (folder / "ablation").glob("*/")),
        "files": sorted(path.name for path in [*folder.glob("*.*"), *folder.glob("figures/*.png")]),
        "provenance": read_json(run.provenance, missing={}) or provenance or {},
        "flow": None
        if parameters is None
        else count_flow(cohort, folder, scores, names, parameters.get("target", "grade")),
    }


def _describe_cohort(cohort: Cohort) -> Json:
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


def _describe_predictions(predictions: pd.DataFrame) -> Json | None:
    """Summarise the table of predictions; None if it lacks columns."""
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


def _describe_model(path: Path) -> Json:
    """Read inputs, layers and number of weights of a saved model without loading it."""
    with needs("train"):
        import h5py

    sizes: list[int] = []

    def add_size(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and "seed_generator" not in name:
            sizes.append(int(item.size))

    config = read_config(path, where="report")
    try:
        layers = config["config"].get("layers", [])
        with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as stream, h5py.File(stream) as file:
            file["layers"].visititems(add_size)
        return {**_describe_layers(layers), "weights": sum(sizes), "bytes": path.stat().st_size}
    except Exception as error:  # a damaged file can raise anything in its reader
        raise bad_model(path, f"{type(error).__name__}: {error}", where="report") from error


def _describe_layers(layers: list[Json]) -> Json:
    """Count the layers of a model by kind, and read its inputs."""
    kinds = pd.Series([layer["class_name"] for layer in layers], dtype=str).value_counts(sort=False)
    shapes = [layer["config"]["batch_shape"][1:] for layer in layers if layer["class_name"] == "InputLayer"]
    members = max((layer["config"].get("members") or 0 for layer in layers), default=0)
    return {"kinds": kinds.to_dict(), "inputs": shapes, "members": members}


def _preprocessing(folder: Path) -> Json:
    """Read the settings of preprocessing; empty if nothing was preprocessed."""
    record = next(iter(quality_records(folder)), None)
    return read_json(record, missing={}).get("settings", {}) if record else {}


def _reliability(icc: pd.DataFrame) -> Json:
    """Count the features that a second scan leaves as they are; empty if that was not measured."""
    if not len(icc):
        return {}
    medians = icc.groupby("feature").icc.median()
    return {"features": len(medians), "reliable": int((medians >= LEAST_ICC).sum()), "least": LEAST_ICC}


def _training(record: Path) -> Json:
    """Read the settings of training; records of earlier versions hold nothing else."""
    found = read_json(record, missing={})
    return found.get("settings", found)
