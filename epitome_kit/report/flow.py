"""The flow of subjects through a run, counted from its tables."""

from pathlib import Path

import pandas as pd

from epitome_kit.cohort import COLUMNS
from epitome_kit.errors import EpitomeError, Reason
from epitome_kit.files import read_json
from epitome_kit.report.summary import open_run_cohort
from epitome_kit.workspace import Workspace, run_parameters, table

CLASSES = {"grade": tuple(COLUMNS["grade"]["Levels"].values()), "codeletion": ("1p/19q intact", "1p/19q co-deleted")}
"""What the two classes of a target are called."""


def write_flow(workspace):
    """Draw ``reporting/flow.png``: how many subjects were found, left out and analysed.

    Parameters
    ----------
    workspace : path
        Folder of a run, complete or not.

    Returns
    -------
    Path or None
        The figure; None where no subject can be counted yet.

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


def class_names(scores, target=None):
    """Call the two classes by name: those of a target, else the labels themselves.

    A label that is a bare number gets the name of its column.

    Parameters
    ----------
    scores : dict
        As in ``scores.json``.
    target : str, default=None
        The default is what the scores say.
    """
    target = target or scores.get("target")
    labels = tuple(str(label) for label in scores.get("class_counts") or {})
    named = target and all(label.replace(".", "").isdigit() for label in labels)
    return CLASSES.get(target) or tuple(f"{target} = {label}" if named else label for label in labels)


def count_flow(cohort, workspace, scores, names, target):
    """Count the subjects of a run from those found to those analysed.

    Parameters
    ----------
    cohort : Cohort or None
    workspace : path
    scores : dict
        As in ``scores.json``; empty when nothing was graded.
    names : sequence of str
        The two classes.
    target : str
        What was predicted.

    Returns
    -------
    dict
        ``stages``, ``analysed`` and ``folds``, as
        :func:`epitome_kit.plotting.flow_chart.flow` takes them. Where the counts
        of a stage do not fit those after it, the stages down to it are left out.
    """
    workspace = Path(workspace)
    predictions = table(Workspace(workspace).predictions)
    analysed = _analysed(predictions, scores, names)
    stages = []
    if cohort is not None:
        lost = table(Workspace(workspace).excluded)
        stages = [("Simulated" if cohort.simulated else "Found", len(cohort), {})]
        if len(cohort.excluded):
            reasons = _reasons(cohort.excluded)
            stages = [("Found", len(cohort) + sum(reasons.values()), reasons), ("Imported", len(cohort), {})]
        quality = table(Workspace(workspace).quality)
        if len(quality):
            stages[-1] = (*stages[-1][:2], _reasons(lost))
            stages.append(("Preprocessed", len(quality), _unlabelled(cohort, quality, target)))
    return {"stages": _that_add_up(stages, analysed), "analysed": analysed, "folds": _per_fold(predictions, names)}


def _that_add_up(stages, analysed):
    """Give subjects that no table explains a reason of their own; drop stages with fewer subjects than the next."""
    kept = []
    following = [*(n for _, n, _ in stages[1:]), sum(analysed.values()) or None]
    for (label, n, reasons), after in zip(stages, following, strict=False):
        unexplained = 0 if after is None else n - sum(reasons.values()) - after
        if unexplained < 0:
            kept = []
            continue
        kept.append((label, n, {**reasons, "reason not recorded": unexplained} if unexplained else reasons))
    return kept


def _analysed(predictions, scores, names):
    if "label" in predictions:
        labels = predictions.drop_duplicates("participant_id").label
        return {name: int((labels == code).sum()) for code, name in enumerate(names)}
    return dict(zip(names, (scores.get("class_counts") or {}).values(), strict=False))


def _per_fold(predictions, names):
    """Subjects of each class in the test part of each fold, of the first repeat."""
    if not {"fold", "label"} <= set(predictions):
        return None
    first = predictions[predictions.repeat == predictions.repeat.min()] if "repeat" in predictions else predictions
    counts = first.groupby(["label", "fold"]).size().unstack(fill_value=0)
    return {name: counts.loc[code].tolist() if code in counts.index else [] for code, name in enumerate(names)}


def _reasons(excluded):
    """How many were left out for each reason; what one file held is no part of a reason."""
    reasons = excluded.drop_duplicates("id").reason if len(excluded) else pd.Series(dtype=str)
    return reasons.map(lambda text: Reason.read(text).kind).value_counts().to_dict()


def _unlabelled(cohort, quality, target):
    try:
        without = set(quality.participant_id) - set(cohort.labels(target).index)
    except EpitomeError:
        return {}
    return {f"without a label of {target}": len(without)} if without else {}
