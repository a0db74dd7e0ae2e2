"""README: every figure of its table of benchmarks stands in benchmarks/results.md, as it was measured."""

import re

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


def test_every_benchmark_is_of_this_kit_and_dated():
    assert len(MEASURED) > 15
    for what, kit, _, _, date, cores in MEASURED:
        assert kit and re.fullmatch(r"\d{4}-\d\d-\d\d", date) and int(cores) >= 1, what
