"""Summarise a run: key figures, read from the files of its workspace."""

import re
from pathlib import Path

import pandas as pd

from epitome_kit.cohort import TARGETS, Cohort
from epitome_kit.errors import EpitomeError, Reason
from epitome_kit.files import Json, PathLike, read_json
from epitome_kit.simulate.phantom import load_cohort
from epitome_kit.workspace import Workspace, column, executed_notebooks, run_parameters, table

GRADING = (
    "auc",
    "auc_ci95",
    "balanced_accuracy",
    "balanced_accuracy_ci95",
    "majority_accuracy",
    "accuracy",
    "accuracy_ci95",
    "oracle_auc",
    "oracle_auc_cohort",
    "n",
)
"""Scores copied from ``scores.json``."""

PREPROCESS = ("brain_mask_dice", "bias_residual_sd", "registration_error_mm")
"""Quality columns that need a known truth; averaged over subjects."""


def build_summary(workspace: PathLike) -> Json:
    """Gather the key figures of a run; those not computed yet, or without a truth, are None.

    Parameters
    ----------
    workspace : path
        Folder of a run.

    Returns
    -------
    dict
        cohort, preprocess, grading, tumour, case (one scan), notebooks and provenance.

    Raises
    ------
    ParameterError
        The folder is not the workspace of a run.
    """
    workspace = Path(workspace)
    parameters = run_parameters(workspace)
    return {
        "cohort": _cohort(workspace, parameters),
        "preprocess": _preprocess(workspace),
        "grading": _grading(workspace),
        "tumour": _tumour(workspace),
        "case": _case(workspace),
        "notebooks": [
            {key: notebook[key] for key in ("name", "status", "seconds", "tree_peak_rss_mb", "peak_rss_mb")}
            for notebook in executed_notebooks(workspace)
        ],
        "provenance": _provenance(workspace, parameters),
    }


def open_run_cohort(workspace: PathLike, parameters: Json) -> Cohort | None:
    """Open the cohort of a run as its notebooks do.

    Parameters
    ----------
    workspace : path
        Folder of a run.
    parameters : dict
        From :func:`epitome_kit.workspace.run_parameters`.

    Returns
    -------
    Cohort or None
        None if it does not exist (yet) or cannot be opened.
    """
    folder = Path(workspace).absolute().parent / "cohorts"
    settings = {key: parameters[key] for key in ("profile", "subjects", "seed") if key in parameters}
    phantoms = f"phantom_{settings.get('profile')}_*seed{settings.get('seed')}/participants.tsv"
    if parameters.get("cohort", "phantom") == "phantom" and not any(folder.glob(phantoms)):
        return None
    try:
        return load_cohort(parameters["cohort"], folder=folder, **settings)
    except EpitomeError:
        return None


def _cohort(workspace: Path, parameters: Json) -> Json:
    cohort = open_run_cohort(workspace, parameters)
    target = parameters.get("target")
    left_out = table(Workspace(workspace).excluded)
    excluded = (
        []
        if cohort is None
        else [_unnamed(*row) for row in zip(cohort.excluded.id, cohort.excluded.reason, strict=True)]
    )
    excluded += [{"id": str(row["id"]), "reason": str(row["reason"])} for row in left_out.to_dict("records")]
    return {
        "name": Path(parameters.get("cohort", "One scan")).name if cohort is None else cohort.name,
        "simulated": parameters.get("cohort") == "phantom" if cohort is None else cohort.simulated,
        "n_subjects": None if cohort is None else len(cohort),
        "n_excluded": len(excluded),
        "excluded": excluded,
        "target": target,
        "class_counts": None if cohort is None else _class_counts(cohort, target),
    }


def _unnamed(name: str, reason: str) -> Json:
    """Describe a subject that an import left out, without what the private ledger quotes of the source."""
    known = re.fullmatch(r"sub-[A-Za-z0-9]+", name) is not None
    return {"id": name if known else "not imported", "reason": Reason.read(reason).kind}


def _class_counts(cohort: Cohort, target: str | None) -> dict[str, int] | None:
    if target is None:
        return None
    try:
        counts = cohort.labels(target).value_counts()
    except EpitomeError:
        return None
    return {str(value): int(counts[code]) for code, value in enumerate(TARGETS[target])}


def _preprocess(workspace: Path) -> Json:
    quality = table(Workspace(workspace).quality)
    return {name: _rounded(column(quality, name).mean()) for name in PREPROCESS}


def _grading(workspace: Path) -> Json:
    scores = read_json(Workspace(workspace).scores, missing={})
    return {name: scores.get(name) for name in GRADING}


def _tumour(workspace: Path) -> Json:
    tumours = table(Workspace(workspace).tumours)
    dice = column(tumours, "dice")
    return {
        "dice_mean": _rounded(dice.mean()),
        "dice_median": _rounded(dice.median()),
        "volume_error_pct_median": _rounded(column(tumours, "volume_error_pct").abs().median(), 2),
        "n": len(dice),
    }


def _case(workspace: Path) -> Json:
    found = read_json(Workspace(workspace).case_facts, missing={})
    size, grade = found.get("size") or {}, found.get("grade") or {}
    parts = [f"volume_{part}{unit}" for unit in ("ml", "voxels") for part in ("", "low_", "high_")]
    volumes = {name: _rounded(size.get(name), 2) for name in parts}
    probability = {"probability": _rounded(grade.get("probability"), 8), "of": (grade.get("names") or [None])[-1]}
    return {**volumes, **probability}


def _provenance(workspace: Path, parameters: Json) -> Json:
    stated = read_json(Workspace(workspace).provenance, missing={})
    return {"versions": None, "seed": None, "git_commit": None, **stated, "parameters": parameters}


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None or pd.isna(value) else round(float(value), digits)
