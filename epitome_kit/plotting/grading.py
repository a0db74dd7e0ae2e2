"""Draw the scores of the grading network and its baselines, its calibration and its features."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from epitome_kit.confidence import interval_label
from epitome_kit.files import Json, PathLike, read_json, read_tsv
from epitome_kit.grade.nested import ALL, SELECTED
from epitome_kit.plotting.scores import ORACLE
from epitome_kit.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    DescribedFigure,
    draw_estimate,
    draw_row_text,
    in_house_style,
    new_figure,
)
from epitome_kit.workspace import Workspace

_NAMES = {
    "ann": "random-feature network",
    "majority": "majority class",
    "logistic": "logistic regression",
    "random_forest": "random forest",
    "perceptron": "multilayer perceptron",
}
_SCORES = ("balanced_accuracy", "sensitivity", "specificity", "accuracy")


@in_house_style
def baselines_chart(scores: Json, *, title: str = "AUC of the network and its baselines") -> DescribedFigure:
    """Draw the AUC of the network, the baselines and the probes, each with its interval.

    Parameters
    ----------
    scores : dict
        Content of ``scores.json``.
    title : str, default="AUC of the network and its baselines"

    Returns
    -------
    DescribedFigure
    """
    rows = _rows(scores)
    figure, ((axes,),) = new_figure(size=(8.4, 1.3 + 0.36 * len(rows)))
    _draw_baselines(axes, rows, scores)
    axes.set_title(f"{title}, n = {scores['n']}")
    return figure


@in_house_style
def calibration_chart(predictions: pd.DataFrame, scores: Json, *, title: str = "Calibration") -> DescribedFigure:
    """Draw the observed share against the predicted probability, before and after calibration.

    Parameters
    ----------
    predictions : DataFrame
        Content of ``predictions.tsv``.
    scores : dict
        Content of ``scores.json``.
    title : str, default="Calibration"

    Returns
    -------
    DescribedFigure
    """
    figure, ((axes,),) = new_figure(size=(5.2, 4.8))
    _draw_calibration(axes, predictions, scores)
    axes.set_title(f"{title}, n = {scores['n']}")
    return figure


@in_house_style
def grading_board(folder: PathLike, *, title: str) -> DescribedFigure:
    """Draw the scores of a grading, its baselines, calibration and features on one page.

    Parameters
    ----------
    folder : path
        Folder with ``scores.json``, ``predictions.tsv`` and ``selected.tsv``.
    title : str
        Name of the graded table.

    Returns
    -------
    DescribedFigure
        AUC of the network and its baselines; its other scores and those of the
        majority class; calibration; the features selected most often.
    """
    folder = Path(folder)
    scores, predictions = read_json(Workspace(folder).scores), read_tsv(Workspace(folder).predictions)
    selected, rows = read_tsv(Workspace(folder).selected).head(15), _rows(scores)
    figure, ((baselines, others), (calibration, chosen)) = new_figure(
        2, 2, size=(13, 9.6), width_ratios=(1.15, 1), height_ratios=(1, 1.25)
    )
    _draw_baselines(baselines, rows, scores)
    baselines.set_title(f"AUC, with {interval_label()}")
    _draw_scores(others, scores)
    _draw_calibration(calibration, predictions, scores)
    names = [name if len(name) <= 44 else f"{name[:20]}…{name[-23:]}" for name in selected.feature.astype(str)]
    chosen.barh(np.arange(len(selected)), 100 * selected["share"], color=BLUE)
    chosen.set_yticks(np.arange(len(selected)), names, fontsize=9)
    chosen.invert_yaxis()
    chosen.set(xlim=(0, 100), xlabel="share of the selections (%)")
    used = scores.get("selection", {}).get("used", True)
    what = "Features selected most often" if used else "Selected most often; the network takes all"
    chosen.set_title(f"{what}, of {scores['features']['offered']} offered")
    counts = ", ".join(f"{name}: {count}" for name, count in scores["class_counts"].items())
    splits = f"{scores['folds']} folds, {scores['repeats']} repeat{'s' * (scores['repeats'] > 1)}"
    p = scores.get("permutation_p")
    test = "no permutations" if p is None else f"permutation p = {p:.3f}"
    figure.suptitle(f"{title}: n = {scores['n']} ({counts}); {splits}; {test}")
    return figure


def _rows(scores: Json) -> dict[str, Json]:
    models = {scores.get("model", "ann"): scores, **scores.get("baselines", {}), **scores.get("probes", {})}
    probes = {name: f"{name} alone" for name in scores.get("probes", {})}
    other = {name: f"network, {name}" for name in (ALL, SELECTED)}
    return {{**_NAMES, **probes, **other}.get(name, name): model for name, model in models.items()}


def _draw_baselines(axes: Axes, rows: dict[str, Json], scores: Json) -> None:
    for place, row in enumerate(rows.values()):
        colour = BLUE if place == 0 else GREY
        axes.plot(row["auc_ci95"], [place, place], color=colour, lw=2.4, solid_capstyle="butt")
        axes.plot(row["auc"], place, "o", color=colour, ms=7)
        low, high = row["auc_ci95"]
        text = f"{row['auc']:.3f}  ({low:.2f} to {high:.2f})"
        draw_row_text(axes, place, text)
    axes.axvline(0.5, color=GREY, ls="--", lw=1)
    if scores.get("oracle_auc"):
        axes.axvline(scores["oracle_auc"], color=ORANGE, ls="-.", lw=1.6)
        label = f"{ORACLE}, {scores['oracle_auc']:.2f}"
        axes.text(scores["oracle_auc"] - 0.01, len(rows) - 0.55, label, ha="right", color="#8A5F00", size=9)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=(min(0.3, *(row["auc_ci95"][0] for row in rows.values())), 1))
    axes.set_xlabel("AUC; dashed: chance")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)


def _draw_scores(axes: Axes, scores: Json) -> None:
    """Draw the other scores of the network, with those of the majority class."""
    majority = (
        {name: scores["baselines"]["majority"][name] for name in (*_SCORES, "brier")} if "baselines" in scores else {}
    )
    for place, name in enumerate((*_SCORES, "brier")):
        draw_estimate(axes, place, scores[name], scores[f"{name}_ci95"], BLUE)
        axes.plot(majority.get(name, np.nan), place, "|", color=GREY, ms=16, mew=2.2)
    axes.set_yticks(range(5), [*(name.replace("_", " ") for name in _SCORES), "Brier (lower is better)"])
    axes.set(ylim=(4.6, -0.6), xlim=(-0.01, 1.01), xlabel="grey: majority class")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.set_title(f"Scores of the {_NAMES[scores.get('model', 'ann')]}, with {interval_label()}")


def _calibration(scores: Json) -> str | None:
    """Return slope, intercept and calibration in the large, one line each; None without any."""
    found, lines = scores.get("calibration") or {}, []
    for key, name in (("slope", "slope"), ("intercept", "intercept"), ("in_the_large", "in the large")):
        if found.get(key) is not None and found.get(f"{key}_ci95"):
            low, high = found[f"{key}_ci95"]
            lines.append(f"{name} {found[key]:.2f} ({low:.2f} to {high:.2f})")
    return "\n".join(["after calibration:", *lines]) if lines else None


def _draw_calibration(axes: Axes, predictions: pd.DataFrame, scores: Json, bins: int = 6) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, ls="--", lw=1, label="perfectly calibrated")
    styles = (
        ("probability", ORANGE, "s", "brier_uncalibrated", "before"),
        ("calibrated", GREEN, "o", "brier", "after"),
    )
    for column, colour, marker, brier, when in styles:
        ordered = predictions.sort_values(column, kind="stable")
        groups = np.array_split(np.arange(len(ordered)), bins)
        x = [ordered[column].iloc[group].mean() for group in groups]
        y = [ordered["label"].iloc[group].mean() for group in groups]
        label = f"{when} calibration: Brier {scores[brier]:.3f}"
        axes.plot(x, y, color=colour, marker=marker, lw=1.8, label=label)
    axes.set(xlabel="predicted probability", ylabel="observed share", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_aspect("equal")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), title=_calibration(scores), title_fontsize=9.5)
    axes.set_title("Calibration in six groups of equal size")
