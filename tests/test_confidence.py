"""Confidence intervals: one owner of the level, and no display that writes it down again."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest

import epitome_kit
from epitome_kit.confidence import SCORE_LEVEL, interval_label, interval_quantiles
from epitome_kit.metrics import mean_ci95

PACKAGE = Path(epitome_kit.__file__).parent
LITERAL = re.compile(r"\b9[05] ?%")


@pytest.mark.parametrize(
    ("level", "label"), [(0.95, "95 % interval"), (0.9, "90 % interval"), (0.995, "99.5 % interval")]
)
def test_the_label_says_the_level(level, label):
    assert interval_label(level) == label
    assert interval_label() == interval_label(SCORE_LEVEL) == "95 % interval"


def test_the_quantiles_are_exactly_those_that_were_always_used():
    assert interval_quantiles() == (0.025, 0.975) and interval_quantiles(0.9) == (0.05, 0.95)
    values = np.random.default_rng(1).uniform(size=30)
    means = np.random.default_rng(0).choice(values, (2000, 30)).mean(axis=1)
    assert mean_ci95(values) == tuple(np.quantile(means, (0.025, 0.975)))


def _texts(source, *, help_counts):
    """String literals of a module but docstrings; those of functions count where they are what `--help` prints."""
    nodes = list(ast.walk(ast.parse(source)))
    documents = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    if help_counts:
        documents -= {id(getattr(node.body[0], "value", None)) for node in nodes if isinstance(node, ast.FunctionDef)}
    strings = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [node.value for node in strings if id(node) not in documents]


def _literals():
    """Where a display could write the level: modules, templates, and code cells of notebooks."""
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        yield name, _texts(path.read_text(encoding="utf-8"), help_counts=name.startswith("cli/"))
    for path in PACKAGE.rglob("*.j2"):
        yield path.name, [path.read_text(encoding="utf-8")]
    for path in PACKAGE.parent.glob("notebooks/**/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        yield path.name, ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_no_display_writes_the_level_of_an_interval_itself():
    assert not {name: found for name, texts in _literals() if (found := [t for t in texts if LITERAL.search(t)])}


def test_the_scan_sees_text_and_passes_over_docstrings():
    source = '"""A 95 % interval."""\nLEVEL = 0.9\n"""The 90 % one."""\n\ndef verb():\n    """Hold 95%."""\n'
    assert not [text for text in _texts(source, help_counts=False) if LITERAL.search(text)]
    assert len([text for text in _texts(source, help_counts=True) if LITERAL.search(text)]) == 1
    assert [text for text in _texts('print(f"a 95% interval {x}")', help_counts=False) if LITERAL.search(text)]
    assert len(dict(_literals())) > 200
