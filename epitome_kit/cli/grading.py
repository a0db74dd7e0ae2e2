"""Print the result of `epitome grade`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from epitome_kit.cli.printing import show
from epitome_kit.cli.terminal import say
from epitome_kit.confidence import interval_label

if TYPE_CHECKING:
    from epitome_kit.files import Json


def show_grading(scores: "Json", folder: Path, as_json: bool) -> None:
    """Print the scores of the model, its baselines and probes, its calibration and its subgroups.

    Parameters
    ----------
    scores : dict
        As in ``scores.json``.
    folder : Path
        Output folder.
    as_json : bool
        Print JSON instead of a table.
    """
    from epitome_kit.report.statements import (
        describe_calibration,
        describe_columns,
        describe_selection,
        describe_uncertainty,
    )
    from epitome_kit.report.subgroups import HEADER, subgroup_rows
    from epitome_kit.workspace import Workspace, table

    run = Workspace(folder)
    subgroups = table(run.subgroups)
    probes = {f"{name} alone": each for name, each in scores["probes"].items()}
    leading = "random-feature network" if scores["model"] == "ann" else scores["model"]
    models = {leading: scores, **scores["baselines"], **probes}
    apart = {
        f"{name} alone" if name in scores["probes"] else name: each for name, each in scores["differences"].items()
    }
    header = ("model", "AUC", interval_label(), "balanced accuracy", "Brier", f"AUC of {leading} less this", "p (Holm)")
    rows = [(name.replace("_", " "), *_graded(each), *_apart(apart.get(name))) for name, each in models.items()]
    records = json.loads(subgroups.to_json(orient="records"))
    show({**scores, "subgroups": records} if records else scores, as_json, rows, header=header)
    counts = ", ".join(f"{name}: {count}" for name, count in scores["class_counts"].items())
    left_out = {"without a label": "without_label", "columns of text": "not_numbers", "constant columns": "constant"}
    source = scores["source"]
    noted = [f"{len(source[name])} {what}" for what, name in left_out.items() if source[name]]
    say(f"Positive: {scores['positive']}", err=as_json)
    say(f"n = {scores['n']} ({counts}){'; left out: ' if noted else ''}{', '.join(noted)}", err=as_json)
    described = (describe_selection, describe_uncertainty, describe_calibration)
    for text in (*(line for describe in described for line in describe(scores)), *describe_columns(source)):
        say(text, err=as_json)
    if records and not as_json:
        show(None, False, subgroup_rows(subgroups), header=HEADER)
    say(f"Open {run.scoreboard} and {run.model_card}", err=as_json)


def _graded(scores: "Json") -> tuple[str, ...]:
    low, high = scores["auc_ci95"]
    figures = (scores["auc"], f"{low:.2f} to {high:.2f}", scores["balanced_accuracy"], scores["brier"])
    return tuple(f"{each:.3f}" if isinstance(each, float) else each for each in figures)


def _apart(comparison: "Json | None") -> tuple[str, str]:
    if comparison is None:
        return "", ""
    low, high = comparison["difference_ci95"]
    return f"{comparison['difference']:+.3f} ({low:+.2f} to {high:+.2f})", f"{comparison['p_holm']:.3f}"
