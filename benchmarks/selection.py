"""Does selecting features help? Ways to select, compared on many simulated cohorts.

    make selection
    python benchmarks/selection.py --heads 600 --draws 100 --network-draws 20

Heads are simulated and measured once, and the distribution of their 80 features given
the latent variables of the tumour is fitted (`simulated_features.py`). From it each draw
takes a training set, of the size that 5 folds of a cohort of 48 or 159 leave, and 500
test subjects of its own, so draws are independent. Differences to training on all
features are paired by draw. Wide tables hold the 80 features and 1,950 others, which
have the same distribution, but of tumours that have nothing to do with the label.

Interrupted, it continues from the draws that are finished; writes `selection.md`.
"""

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import typer
from fast_models import RandomFeatureNetwork, Ridge
from simulated_features import feature_model
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from epitome_kit.files import read_json, write_json, write_text
from epitome_kit.grade.select import METHODS, FeatureSelector
from epitome_kit.parallel import for_each
from epitome_kit.simulate.labels import draw_labels

FOLDER = Path("build/selection")
RESULT = Path(__file__).with_suffix(".md")
WIDE = 2030
TESTED = 500
NUMBERS = (10, 20, 40, 80)
ALL, DEFAULT = "all features", "mean of three methods, numbers by inner folds"
MODELS = {"ridge": Ridge, "network": RandomFeatureNetwork}

Columns = Sequence[np.ndarray]
"""Columns of several selections, whose models are averaged."""


class Cell(NamedTuple):
    """A kind of cohort: subjects, features, and the model that is trained on them."""

    subjects: int
    features: int
    model: str


class Draw(NamedTuple):
    """Training and test rows, and the model."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    model: str

    def auc(self, selections: Columns) -> float:
        """Train on each selection, and return the AUC of the mean prediction in the test rows."""
        model = MODELS[self.model]()
        predicted = [model.fit(self.x[:, each], self.y).predict(self.x_test[:, each]) for each in selections]
        return float(roc_auc_score(self.y_test, np.mean(predicted, axis=0)))


def main(heads: int = 600, draws: int = 100, network_draws: int = 20, workers: int = 2) -> None:
    """Simulate the heads, run all draws and write the table."""
    features = feature_model(heads, FOLDER, workers).values.shape[1]
    cells = [
        Cell(subjects, columns, model) for model in MODELS for columns in (features, WIDE) for subjects in (48, 159)
    ]
    jobs = [(cell, n) for cell in cells for n in range(network_draws if cell.model == "network" else draws)]
    for_each(partial(_run_once, heads=heads), jobs, title="Training", workers=workers)
    found = {cell: [read_json(_path(cell, n, heads)) for each, n in jobs if each == cell] for cell in cells}
    text = _report(found, heads)
    write_text(RESULT, text)
    print(text)


def _path(cell: Cell, number: int, heads: int) -> Path:
    return FOLDER / f"{heads}-heads" / f"{cell.model}-{cell.features}-n{cell.subjects}" / f"{number:04d}.json"


def _run_once(job: tuple[Cell, int], heads: int) -> None:
    """Compute the AUC of every way to select in one draw, unless that is done."""
    cell, number = job
    path = _path(cell, number, heads)
    if path.is_file():
        return
    draw = _draw(cell, number, heads)
    orders = {method: _order(draw.x, draw.y, method) for method in METHODS}
    found = {ALL: draw.auc([np.arange(cell.features)])}
    for method in ("ranking", "redundancy"):
        for n in NUMBERS:
            if n < cell.features:
                found[f"{method}, {n}"] = draw.auc([orders[method][:n]])
        found[f"{method}, number by inner folds"] = draw.auc(_by_inner_folds(draw, orders, [method], 1))
    found["stability, with its threshold"] = draw.auc([orders["stability"]])
    found["number of stable features"] = float(len(orders["stability"]))
    found[DEFAULT] = draw.auc(_by_inner_folds(draw, orders, METHODS, 2))
    write_json(path, found)


def _draw(cell: Cell, number: int, heads: int) -> Draw:
    model, rng = feature_model(heads, FOLDER), np.random.default_rng([cell.subjects, number])
    size = round(0.8 * cell.subjects)
    kinds = draw_labels(size, rng) + draw_labels(TESTED, rng)
    parts = [model.draw(kinds, rng)]
    while sum(part.shape[1] for part in parts) < cell.features:
        parts.append(model.draw([kinds[place] for place in rng.permutation(len(kinds))], rng))
    x, y = np.concatenate(parts, axis=1)[:, : cell.features], np.array([kind.grade_3 for kind in kinds], int)
    return Draw(x[:size], y[:size], x[size:], y[size:], cell.model)


def _order(x: np.ndarray, y: np.ndarray, method: str) -> np.ndarray:
    """Return the selected columns, best first, of which fewer are the first ones; the strongest if none is stable."""
    order = FeatureSelector(keep=max(NUMBERS), method=method).fit(x, y).order_
    return order if len(order) else FeatureSelector(keep=1).fit(x, y).order_


def _by_inner_folds(draw: Draw, orders: dict[str, np.ndarray], methods: Sequence[str], best: int) -> Columns:
    """Select by each method, in the `best` numbers with the highest AUC in inner folds."""
    aucs = np.zeros(len(NUMBERS))
    for train, validation in StratifiedKFold(4, shuffle=True, random_state=0).split(draw.x, draw.y):
        x, y = draw.x[train], draw.y[train]
        inner = draw._replace(x=x, y=y, x_test=draw.x[validation], y_test=draw.y[validation])
        found = [_order(x, y, method) for method in methods]
        aucs += [inner.auc([order[:n] for order in found]) for n in NUMBERS]
    return [orders[method][: NUMBERS[n]] for n in np.argsort(-aucs, kind="stable")[:best] for method in methods]


def _report(found: dict[Cell, list[dict[str, float]]], heads: int) -> str:
    """Write one table per model: mean AUC of all features, and the paired differences to it."""
    lines = ["# Selecting features", "", __doc__.split("\n\n")[2].replace("\n", " "), ""]
    lines += [f"Written by `make selection` on {date.today().isoformat()}, {heads} heads; ± is the standard error.", ""]
    for model in dict.fromkeys(cell.model for cell in found):
        cells = {cell: pd.DataFrame(rows) for cell, rows in found.items() if cell.model == model}
        titles = [f"{cell.features} features, n = {cell.subjects}" for cell in cells]
        lines += [f"## {model}", "", " | ".join(["|", *titles, ""]).strip(), "|" + "---|" * (len(cells) + 1)]
        for name in dict.fromkeys(name for table in cells.values() for name in table):
            row = [_cell(table, name) for table in cells.values()]
            lines.append(" | ".join([f"| {name}", *row]) + " |")
        lines += ["| draws | " + " | ".join(str(len(table)) for table in cells.values()) + " |", ""]
    return "\n".join(lines)


def _cell(table: pd.DataFrame, name: str) -> str:
    if name not in table:
        return ""
    values: pd.Series = table[name]
    as_text: Callable[[float], str] = "{:.3f}".format
    if name not in (ALL, "number of stable features"):
        values, as_text = values - table[ALL], "{:+.3f}".format
    return f"{as_text(values.mean())} ± {values.std(ddof=1) / np.sqrt(len(values)):.3f}"


if __name__ == "__main__":
    typer.run(main)
