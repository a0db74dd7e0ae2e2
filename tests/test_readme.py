"""README: every figure of its tables stands in a file that a command wrote, as it was measured."""

import re

import pandas as pd
import pytest
from tiny import ROOT

ROWS_OF = {
    "skull strip, exam": ["skull strip, glioma exam"],
    "skull strip, research": ["skull strip, research scan, t1"],
    "N4": ["N4"],
    "affine": ["affine"],
    "training": ["training, ", "training with"],
    "Dice and HD95": ["Dice and HD95, 240"],
    "one step of the slice viewer": ["viewer"],
    "one head": ["one head"],
    "1,000 subjects": ["strip and normalise at 6 mm, two Dask workers, n = 1000"],
}
"""How a row of README begins, and the rows of the results that it is made of."""


FIGURES_OF = {
    "brain mask": ["brain_mask_dice, mean"],
    "bias field": ["bias_residual_sd, mean"],
    "registration": ["registration_error_mm, mean", "beyond_affine_mm, mean"],
    "tumour out of fold": ["dice, mean", "dice_classical, mean"],
    "volume": ["volume_error_pct, median"],
    "interval of the volume": ["volume intervals that hold the volume", "volume_high_over_low, median"],
    "grade 2 or 3": [
        *("AUC, ann", "p, permutation", "AUC, volume", "AUC, logistic", "AUC, random_forest", "AUC, perceptron"),
        *("AUC, selected features", "AUC, CNN features alone", "AUC, handcrafted alone"),
        *("AUC, oracle, this cohort", "AUC, oracle, population"),
    ],
    "grade, accuracy": ["accuracy, ann", "accuracy, majority"],
}
"""How a row of the figures of runs begins, and the figures in benchmarks/run_figures.tsv that it is made of."""

COMMANDS = ("make run", "epitome run --cohort runs/tcga")
"""Commands of its columns."""


def _cells(line):
    return [cell.strip() for cell in line.strip()[1:-1].split("|")]


def _table(path, heading):
    """Rows of the first table after a heading, without its head."""
    lines = (ROOT / path).read_text(encoding="utf-8").partition(heading)[2].partition("|---")[2].splitlines()[1:]
    return [_cells(line) for line in lines[: next((n for n, line in enumerate(lines) if line[:1] != "|"), None)]]


def _numbers(text):
    """Numbers as they are written, but for those that are part of a name, such as T1."""
    return re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d)", text)


SHOWN = _table("README.md", "Steps compared with other tools")
MEASURED = _table("benchmarks/results.md", "# Benchmarks")


@pytest.mark.parametrize("row", SHOWN, ids=lambda row: row[0][:30])
def test_every_figure_was_measured(row):
    names = [names for start, names in ROWS_OF.items() if row[0].startswith(start)]
    assert len(names) == 1, f"name in ROWS_OF the benchmark of {row[0]!r}"
    found = [cells for cells in MEASURED if cells[0].startswith(tuple(names[0]))]
    for column in (1, 2):
        measured = [float(number) for cells in found for number in _numbers(cells[column])]
        shown = _numbers(row[column])
        assert shown or not row[column]
        for number in shown:
            decimals = len(number.partition(".")[2])
            assert float(number) in [round(value, decimals) for value in measured], (number, found)


@pytest.mark.parametrize("row", _table("README.md", "## What it measures"), ids=lambda row: row[0][:30])
def test_every_figure_of_a_run_is_in_its_file(row):
    kept = pd.read_csv(ROOT / "benchmarks/run_figures.tsv", sep="\t")
    names = [names for start, names in FIGURES_OF.items() if row[0].startswith(start)]
    assert len(names) == 1, f"name in FIGURES_OF the figures of {row[0]!r}"
    for command, shown in zip(COMMANDS, row[1:], strict=True):
        rows = kept[(kept.command == command) & kept.figure.isin(names[0])]
        measured = rows[["value", "low", "high", "n"]].to_numpy().ravel()
        for number in _numbers(shown.replace("95 %", "").replace("Oracle on the latents", "")):
            decimals = len(number.partition(".")[2])
            assert float(number) in [round(value, decimals) for value in measured], (command, number)


def test_figures_of_the_locked_test_are_kept_with_their_commit():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    locked = pd.read_csv(ROOT / "benchmarks/locked.tsv", sep="\t", dtype={"value": str})
    assert list(locked.columns) == ["commit", "date", "set", "n", "figure", "value", "by"]
    (paragraph,) = [line for line in text.splitlines() if line.startswith("**Locked test.**")]
    assert all(commit in paragraph for commit in locked.commit.unique())
    for number in _numbers(paragraph.replace(locked.commit[0], "")):
        assert number in {*locked.value, *locked.n.astype(str), "51", "2026"}, number


def test_every_benchmark_is_of_this_kit_and_dated():
    assert len(MEASURED) > 15
    for what, kit, _, _, date, cores in MEASURED:
        assert kit and re.fullmatch(r"\d{4}-\d\d-\d\d", date) and int(cores) >= 1, what
