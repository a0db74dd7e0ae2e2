"""Count the subjects of a run from found to analysed, and draw the flow chart."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from epitome_kit.cohort import COLUMNS, Cohort
from epitome_kit.errors import EpitomeError, Reason
from epitome_kit.files import Json, PathLike, read_json
from epitome_kit.report.summary import open_run_cohort
from epitome_kit.workspace import Workspace, run_parameters, table

CLASSES = {
    "grade": tuple(COLUMNS["grade"]["Levels"].values()),
    "codeletion": ("1p/19q intact", "1p/19q co-deleted"),
}
"""Names of the two classes of each target."""

Stage = tuple[str, int, dict[str, int]]
"""Stage of the flow: its label, number of subjects, and number excluded after it by reason."""


def write_flow(workspace: PathLike) -> Path | None:
    """Draw ``reporting/flow.png``: numbers of subjects found, excluded and analysed.

    Parameters
    ----------
    workspace : path
        Folder of a run, complete or not.

    Returns
    -------
    Path or None
        The figure; None if there are no subjects to count yet.

    Raises
    ------
    ParameterError
        The folder is not the workspace of a run.
    OutputError
        The folder cannot be written to.
    """
    from epitome_kit.plotting.flow_chart import describe_flow, flow
    from epitome_kit.plotting.style import save_figure

    workspace = Path(workspace)
    parameters, scores = run_parameters(workspace), read_json(Workspace(workspace).scores, missing={})
    cohort, target = open_run_cohort(workspace, parameters), parameters.get("target", "grade")
    counted = count_flow(cohort, workspace, scores, class_names(scores, target), target)
    if not counted["stages"] and not counted["analysed"]:
        return None
    path = Workspace(workspace).reporting / "flow.png"
    title = f"Flow of subjects{': ' + cohort.name if cohort else ''}"
    save_figure(flow(**counted, title=title), path, describe_flow(counted["stages"], counted["analysed"]))
    return path


def class_names(scores: Json, target: str | None = None) -> tuple[str, ...]:
    """Return the names of the two classes: those of a known target, else the labels.

    A numeric label is written as ``column = label``.

    Parameters
    ----------
    scores : dict
        As in ``scores.json``.
    target : str, default=None
        None means the target in `scores`.

    Returns
    -------
    tuple of str
        Empty if nothing was graded and the target is unknown.
    """
    target = target or scores.get("target")
    labels = tuple(str(label) for label in scores.get("class_counts") or {})
    named = target and all(label.replace(".", "").isdigit() for label in labels)
    return CLASSES.get(target or "") or tuple(f"{target} = {label}" if named else label for label in labels)


def count_flow(cohort: Cohort | None, workspace: PathLike, scores: Json, names: Sequence[str], target: str) -> Json:
    """Count the subjects of a run from those found to those analysed.

    Parameters
    ----------
    cohort : Cohort or None
    workspace : path
    scores : dict
        As in ``scores.json``; empty if nothing was graded.
    names : sequence of str
        The two classes.
    target : str
        Predicted column.

    Returns
    -------
    dict
        ``stages``, ``analysed`` and ``folds``, the arguments of
        :func:`epitome_kit.plotting.flow_chart.flow`. A stage with fewer subjects
        than the next is dropped, with all stages before it.
    """
    workspace = Path(workspace)
    predictions = table(Workspace(workspace).predictions)
    analysed = _analysed(predictions, scores, names)
    stages: list[Stage] = []
    if cohort is not None:
        lost = table(Workspace(workspace).excluded)
        stages = [("Simulated" if cohort.simulated else "Found", len(cohort), {})]
        if len(cohort.excluded):
            reasons = _reasons(cohort.excluded)
            stages = [("Found", len(cohort) + sum(reasons.values()), reasons), ("Imported", len(cohort), {})]
        quality = table(Workspace(workspace).quality)
        if len(quality):
            stages[-1] = (stages[-1][0], stages[-1][1], _reasons(lost))
            stages.append(("Preprocessed", len(quality), _unlabelled(cohort, quality, target)))
    return {"stages": _that_add_up(stages, analysed), "analysed": analysed, "folds": _per_fold(predictions, names)}


def _that_add_up(stages: list[Stage], analysed: dict[str, int]) -> list[Stage]:
    """Count unexplained exclusions as "reason not recorded"; drop stages with fewer subjects than the next."""
    kept: list[Stage] = []
    following = [*(n for _, n, _ in stages[1:]), sum(analysed.values()) or None]
    for (label, n, reasons), after in zip(stages, following, strict=False):
        unexplained = 0 if after is None else n - sum(reasons.values()) - after
        if unexplained < 0:
            kept = []
            continue
        kept.append((label, n, {**reasons, "reason not recorded": unexplained} if unexplained else reasons))
    return kept


def _analysed(predictions: pd.DataFrame, scores: Json, names: Sequence[str]) -> dict[str, int]:
    if "label" in predictions:
        labels = predictions.drop_duplicates("participant_id").label
        return {name: int((labels == code).sum()) for code, name in enumerate(names)}
    return dict(zip(names, (scores.get("class_counts") or {}).values(), strict=False))


def _per_fold(predictions: pd.DataFrame, names: Sequence[str]) -> dict[str, list[int]] | None:
    """Count the test subjects of each class in each fold of the first repeat."""
    if not {"fold", "label"} <= set(predictions):
        return None
    first = predictions[predictions.repeat == predictions.repeat.min()] if "repeat" in predictions else predictions
    counts = first.groupby(["label", "fold"]).size().unstack(fill_value=0)
    return {name: counts.loc[code].tolist() if code in counts.index else [] for code, name in enumerate(names)}


def _reasons(excluded: pd.DataFrame) -> dict[str, int]:
    """Count the exclusions by reason, without details of single files."""
    reasons = excluded.drop_duplicates("id").reason if len(excluded) else pd.Series(dtype=str)
    return reasons.map(lambda text: Reason.read(text).kind).value_counts().to_dict()


def _unlabelled(cohort: Cohort, quality: pd.DataFrame, target: str) -> dict[str, int]:
    try:
        without = set(quality.participant_id) - set(cohort.labels(target).index)
    except EpitomeError:
        return {}
    return {f"without a label of {target}": len(without)} if without else {}
