"""The figures of a finished run, each with its n and interval, as README quotes them.

    python benchmarks/run_figures.py runs/latest "make run"

Writes them to benchmarks/run_figures.tsv, in place of those of the same command. Intervals
of means and medians over subjects are by the bootstrap; those of scores are the ones of
``scores.json``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import typer
from scipy.stats import bootstrap

from epitome_kit.confidence import SCORE_LEVEL
from epitome_kit.files import Json, read_json, read_tsv, write_tsv
from epitome_kit.metrics import mean_ci95
from epitome_kit.report.summary import open_run_cohort
from epitome_kit.tumour.coverage import interval_ratio
from epitome_kit.tumour.summary import coverage_of_parts
from epitome_kit.workspace import QUALITY_TABLE, Workspace

RESULT = Path(__file__).with_suffix(".tsv")
COLUMNS = ["command", "cohort", "figure", "value", "low", "high", "n"]

Row = tuple[str, float, float, float, int]
"""Name of the figure, value, lower and upper limit, and number of subjects."""


def main(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    command: Annotated[str, typer.Argument(help="Command that made it.")],
) -> None:
    """Write the figures of a run and print them."""
    workspace = Workspace(run)
    cohort = read_json(workspace.summary)["cohort"]["name"] if workspace.summary.is_file() else run.name
    found = pd.DataFrame([(command, cohort, *row) for row in figures(workspace)], columns=COLUMNS)
    kept = read_tsv(RESULT) if RESULT.is_file() else found.iloc[:0]
    write_tsv(RESULT, pd.concat([kept[kept.command != command], found]).round(4))
    print(found.drop(columns="command").round(3).to_string(index=False))


def figures(workspace: Workspace) -> Iterator[Row]:
    """Yield the figures that a run, or a graded table, has."""
    quality = _table(workspace.preprocessed / QUALITY_TABLE)
    for column in ("brain_mask_dice", "bias_residual_sd", "registration_error_mm"):
        yield from _statistic(quality, column, "mean")
    yield from _beyond_affine(workspace)
    yield from _tumours(_table(workspace.tumours))
    if workspace.scores.is_file():
        yield from _scores(read_json(workspace.scores))


def _table(path: Path) -> pd.DataFrame:
    return read_tsv(path) if path.is_file() else pd.DataFrame()


def _tumours(tumours: pd.DataFrame) -> Iterator[Row]:
    if not len(tumours):
        return
    tumours["volume_error_pct"] = tumours.volume_error_pct.abs()
    tumours["volume_high_over_low"] = interval_ratio(tumours)
    yield from _statistic(tumours, "dice", "mean")
    yield from _statistic(tumours, "dice_classical", "mean")
    yield from _statistic(tumours, "volume_error_pct", "median")
    yield from _statistic(tumours, "volume_high_over_low", "median")
    for _, row in coverage_of_parts(tumours)[:1].dropna().iterrows():  # of all subjects
        yield "volume intervals that hold the volume", row.coverage, row.coverage_low, row.coverage_high, row.n


def _beyond_affine(workspace: Workspace) -> Iterator[Row]:
    """Yield the mean distance of the anatomy of phantoms to their best affine."""
    if not workspace.parameters.is_file():
        return
    cohort = open_run_cohort(workspace.folder, read_json(workspace.parameters))
    if cohort is not None and cohort.simulated:
        latents = read_tsv(cohort.root / "derivatives" / "truth" / "latents.tsv")
        yield from _statistic(latents, "beyond_affine_mm", "mean")


def _statistic(table: pd.DataFrame, column: str, name: Literal["mean", "median"]) -> Iterator[Row]:
    values = pd.to_numeric(table[column], errors="coerce").dropna().to_numpy() if column in table else np.empty(0)
    if len(values) > 2:
        interval = mean_ci95(values) if name == "mean" else _median_ci95(values)
        yield f"{column}, {name}", float(getattr(np, name)(values)), *interval, len(values)


def _median_ci95(values: np.ndarray) -> tuple[float, float]:
    found = bootstrap([values], np.median, confidence_level=SCORE_LEVEL, rng=np.random.default_rng(0))
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _scores(scores: Json) -> Iterator[Row]:
    n, nothing = scores["n"], (np.nan, np.nan)
    models = {scores["model"]: scores, **scores["baselines"], **scores["probes"]}
    for name, each in models.items():
        yield f"AUC, {name}", each["auc"], *each["auc_ci95"], n
    yield f"accuracy, {scores['model']}", scores["accuracy"], *scores["accuracy_ci95"], n
    yield "accuracy, majority", scores["majority_accuracy"], *nothing, n
    for name, each in scores["differences"].items():
        yield f"AUC, {scores['model']} less {name}", each["difference"], *each["difference_ci95"], n
    if scores["permutation"]:
        yield "p, permutation", scores["permutation_p"], *nothing, n
        yield "AUC, smallest that is detectable", scores["permutation"]["detectable_auc"], *nothing, n
    for key, name in (("oracle_auc", "oracle, population"), ("oracle_auc_cohort", "oracle, this cohort")):
        if scores.get(key) is not None:
            yield f"AUC, {name}", scores[key], *nothing, n


if __name__ == "__main__":
    typer.run(main)
