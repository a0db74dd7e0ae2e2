"""How often intervals and p values of `epitome grade` keep their promise, on cohorts of known truth.

    make interval-coverage
    PYTHONPATH=. .venv/bin/python benchmarks/interval_coverage.py --cohorts 100 --cells 48

Each cell of the grid draws cohorts, cross-validates a ridge classifier, and computes
intervals and p value by the code of `epitome grade`. The kit's own grader runs end to
end in two cells, on fewer cohorts. Finished blocks of cohorts are kept in the folder
`--out`, so an interrupted run continues; the result is benchmarks/coverage.md.
"""

import tempfile
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from epitome_kit import __version__
from epitome_kit.confidence import SCORE_LEVEL
from epitome_kit.files import Json, read_json, write_json
from epitome_kit.grade.scores import PROPORTIONS
from epitome_kit.grade.splits import Resampling
from epitome_kit.grade.table import TableColumns
from epitome_kit.parallel import for_each
from epitome_kit.report.graded_table import grade_table
from epitome_kit.teach.interval_coverage import EFFECTS, Cell, draw_cohort, run_cohort, summarise

GRID = {
    f"{name}, n = {n}, {features} features, {repeats} repeat{'s' * (repeats > 1)}": Cell(n, features, effect, repeats)
    for n, features, (name, effect), repeats in product((48, 159), (10, 80), EFFECTS.items(), (1, 4))
}
"""The cells, by name."""

OWN = {"null": Cell(48, 60, 0.0, 1), "strong": Cell(48, 60, 0.9, 1)}
"""Cells in which `epitome grade` runs end to end."""

BLOCK = 50
RESULT = Path(__file__).parent / "coverage.md"


def main(
    cohorts: Annotated[int, typer.Option(help="Cohorts of each cell of the grid.")] = 2500,
    own: Annotated[int, typer.Option(help="Cohorts of each cell of the kit's own grader.")] = 40,
    cells: Annotated[str, typer.Option(help="Only cells with this text in their name.")] = "",
    out: Annotated[Path, typer.Option(help="Folder of finished blocks.")] = Path("runs/interval_coverage"),
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Run what is missing and write the table."""
    wanted = {name: cell for name, cell in GRID.items() if cells in name}
    blocks = [
        (cell, start, min(BLOCK, cohorts - start)) for start in range(0, cohorts, BLOCK) for cell in wanted.values()
    ]
    for_each(partial(run_block, out=out), blocks, title="Drawing cohorts", workers=workers)
    for_each(
        partial(grade_cohort, out=out),
        [(cell, seed) for seed in range(own) for cell in OWN.values()],
        title="Grading cohorts end to end",
        workers=workers,
    )
    found = {name: _rows(out, cell, cohorts) for name, cell in wanted.items()}
    graded = {name: [read_json(_own_path(out, cell, seed)) for seed in range(own)] for name, cell in OWN.items()}
    if not cells:
        RESULT.write_text(describe(found, {name: rows for name, rows in graded.items() if rows}), encoding="utf-8")
        print(f"Open {RESULT}")


def run_block(job: tuple[Cell, int, int], out: Path) -> None:
    """Run some cohorts of a cell, unless they are there."""
    cell, start, count = job
    path = _path(out, cell, start)
    if not path.is_file():
        write_json(path, {"rows": [run_cohort(cell, seed) for seed in range(start, start + count)]})


def grade_cohort(job: tuple[Cell, int], out: Path) -> None:
    """Grade one cohort by `grade_table`, unless it is there."""
    cell, seed = job
    path = _own_path(out, cell, seed)
    if path.is_file():
        return
    x, labels = draw_cohort(cell, np.random.default_rng([seed, 2]))
    table = pd.DataFrame(x, columns=[f"f{number}" for number in range(cell.features)])
    table = table.assign(id=[f"s{number}" for number in range(cell.n)], grade=labels)
    with tempfile.TemporaryDirectory() as folder:
        columns = TableColumns(label="grade", id="id", positive="1")
        scores = grade_table(table, folder, columns, resampling=Resampling(repeats=cell.repeats), seed=seed, workers=1)
    names = (*PROPORTIONS, "brier")
    row = {"p": scores["permutation_p"], **{name: [scores[name], *scores[f"{name}_ci95"]] for name in names}}
    write_json(path, row)


def describe(found: dict[str, list[Json]], graded: dict[str, list[Json]]) -> str:
    """Write the tables in Markdown."""
    summaries = {name: summarise(rows) for name, rows in found.items()}
    level = f"{100 * SCORE_LEVEL:g} %"
    lines = [
        "# Coverage of intervals and p values of `epitome grade`",
        "",
        f"Written by `make interval-coverage` (epitome-kit {__version__}). Nominal coverage {level}; ± is the "
        "Monte-Carlo standard error. Width is the median; the ratio is to the width of an interval by the true "
        "standard deviation. p is the share of cohorts with p of at most 0.05: of false positives under the null, "
        "else the power.",
        "",
        "## A ridge classifier, by the interval and p code of the kit",
        "",
        "| cell | cohorts | AUC | coverage | width | ratio | subjects alone: coverage | p ≤ 0.05 | difference: "
        "coverage | balanced accuracy: coverage | accuracy: coverage |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, each in summaries.items():
        plain, auc = each["auc_subjects_alone"], each["auc"]
        error = np.sqrt(each["false_positives"] * (1 - each["false_positives"]) / each["cohorts"])
        others = " | ".join(_coverage(each[score]) for score in ("difference", "balanced_accuracy", "accuracy"))
        lines.append(
            f"| {name} | {each['cohorts']} | {auc['truth']:.3f} | {_coverage(auc)} | {auc['width']:.2f} | "
            f"{auc['width_ratio']:.2f} | {_coverage(plain)} | {each['false_positives']:.3f} ± {error:.3f} | {others} |"
        )
    if not graded:
        return "\n".join(lines) + "\n"
    lines += ["", "## The grader of the kit, end to end (`epitome grade --repeats 1`, n = 48, 60 features)", ""]
    lines += ["| cell | cohorts | AUC | coverage | width | ratio | p ≤ 0.05 |", "|---|---:|---:|---:|---:|---:|---:|"]
    for name, rows in graded.items():
        each = summarise(rows)
        truth = 0.5 if name == "null" else each["auc"]["truth"]
        low, high = np.array([row["auc"][1:] for row in rows]).T
        held = int(((low <= truth) & (truth <= high)).sum())
        lines.append(
            f"| {name} | {len(rows)} | {truth:.3f} | {held} of {len(rows)} | {each['auc']['width']:.2f} | "
            f"{each['auc']['width_ratio']:.2f} | {sum(row['p'] <= 0.05 for row in rows)} of {len(rows)} |"
        )
    return "\n".join(lines) + "\n"


def _coverage(score: Json) -> str:
    return f"{score['coverage']:.3f} ± {score['error']:.3f}"


def _rows(out: Path, cell: Cell, cohorts: int) -> list[Json]:
    return [row for start in range(0, cohorts, BLOCK) for row in read_json(_path(out, cell, start))["rows"]]


def _path(out: Path, cell: Cell, start: int) -> Path:
    return out / f"n-{cell.n}_p-{cell.features}_effect-{cell.effect}_repeats-{cell.repeats}_from-{start}.json"


def _own_path(out: Path, cell: Cell, seed: int) -> Path:
    return out / f"own_effect-{cell.effect}_seed-{seed}.json"


if __name__ == "__main__":
    typer.run(main)
