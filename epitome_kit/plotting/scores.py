"""Draw ROC curves, confusion matrices, calibration, scores, and the accuracy of tumour masks."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, NullLocator
from scipy.stats import binomtest, norm
from sklearn.metrics import brier_score_loss, roc_curve

from epitome_kit.confidence import SCORE_LEVEL, interval_label
from epitome_kit.files import Json
from epitome_kit.plotting.style import BLUE, GREY, ORANGE, RED, DescribedFigure, in_house_style, new_figure

ORACLE = "oracle on latents (population)"
"""Label of the expected score of a classifier that knows the latent variables of phantoms."""


@in_house_style
def roc(
    y: np.ndarray,
    scores: np.ndarray,
    auc: float,
    ci: Sequence[float],
    *,
    oracle: float | None = None,
    title: str = "ROC curve",
) -> DescribedFigure:
    """Draw the ROC curve with its area and interval.

    Parameters
    ----------
    y : array of int, shape (n,)
        0 or 1.
    scores : array of float, shape (n,)
        Scores that are higher for class 1.
    auc : float
        Area under the curve.
    ci : (float, float)
        95 % interval of the AUC.
    oracle : float, optional
        Expected AUC of a classifier that knows the latent variables of phantoms, drawn as
        the curve of two normal distributions of equal variance.
    title : str, default="ROC curve"

    Returns
    -------
    DescribedFigure
    """
    y = np.asarray(y)
    false, true, _ = roc_curve(y, scores)
    figure, ((axes,),) = new_figure(size=(5.2, 4.8))
    axes.plot([0, 1], [0, 1], color=GREY, ls="--", lw=1, label="chance: AUC 0.50")
    if oracle is not None:
        grid = np.linspace(1e-4, 1 - 1e-4, 200)
        best = norm.cdf(norm.ppf(grid) + np.sqrt(2) * norm.ppf(oracle))
        axes.plot(grid, best, color=ORANGE, ls="-.", lw=1.6, label=f"{ORACLE}: AUC {oracle:.2f}")
    axes.step(false, true, where="post", color=BLUE, lw=2.2, label=f"AUC {auc:.2f} ({ci[0]:.2f} to {ci[1]:.2f})")
    axes.set(
        xlabel="false positives: 1 − specificity",
        ylabel="true positives: sensitivity",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
    )
    axes.set_title(f"{title}, n = {len(y)} ({int(y.sum())} positive)")
    axes.legend(loc="lower right")
    return figure


@in_house_style
def confusion(
    matrix: np.ndarray | Sequence[Sequence[int]],
    names: Sequence[str] = ("class 0", "class 1"),
    *,
    title: str = "Confusion matrix",
) -> DescribedFigure:
    """Draw a confusion matrix with counts and shares of each true class.

    Parameters
    ----------
    matrix : array of int, shape (2, 2)
        Rows are true classes: [[tn, fp], [fn, tp]].
    names : (str, str)
        Names of classes 0 and 1.
    title : str, default="Confusion matrix"

    Returns
    -------
    DescribedFigure
    """
    matrix = np.asarray(matrix, int)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure, ((axes,),) = new_figure(size=(4.6, 3.8))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{count}\n{share:.0%}",
            ha="center",
            va="center",
            size=13,
            color="white" if share > 0.5 else "black",
        )
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names, rotation=90, va="center")
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"{title}, n = {matrix.sum()}")
    return figure


@in_house_style
def reliability(
    y: np.ndarray, probabilities: np.ndarray, *, bins: int = 5, title: str = "Calibration"
) -> DescribedFigure:
    """Draw the observed share of class 1 against its predicted probability.

    Parameters
    ----------
    y : array of int, shape (n,)
        0 or 1.
    probabilities : array of float, shape (n,)
        Predicted probability of class 1.
    bins : int, default=5
        Number of groups of about equal size.
    title : str, default="Calibration"

    Returns
    -------
    DescribedFigure
        Observed against predicted share with Wilson 95 % intervals, and every
        prediction as a tick below.
    """
    order = np.argsort(probabilities, kind="stable")
    y, probabilities = np.asarray(y)[order], np.asarray(probabilities, float)[order]
    groups = [group for group in np.array_split(np.arange(len(y)), bins) if len(group)]
    predicted = [probabilities[group].mean() for group in groups]
    observed = np.array([y[group].mean() for group in groups])
    tests = (binomtest(int(y[group].sum()), len(group)) for group in groups)
    low, high = np.array([test.proportion_ci(SCORE_LEVEL, method="wilson") for test in tests]).T
    figure, ((axes,),) = new_figure(size=(5.2, 4.8))
    axes.plot([0, 1], [0, 1], color=GREY, ls="--", lw=1, label="perfectly calibrated")
    axes.errorbar(
        predicted,
        observed,
        [observed - low, high - observed],
        color=BLUE,
        marker="o",
        lw=1.8,
        capsize=4,
        label=f"observed, {interval_label()}",
    )
    axes.plot(probabilities, np.full(len(y), -0.06), "|", color=BLUE, ms=9, alpha=0.5)
    axes.set(
        xlabel="predicted probability", ylabel="observed share", xlim=(-0.02, 1.02), ylim=(-0.1, 1.02), aspect="equal"
    )
    axes.set_title(f"{title}, n = {len(y)}, Brier score {brier_score_loss(y, probabilities):.3f}")
    axes.legend(loc="upper left")
    return figure


@in_house_style
def scoreboard(rows: Mapping[str, Json], *, n: int | None = None, title: str = "Scoreboard") -> DescribedFigure:
    """Draw scores with their intervals and baselines as a forest plot.

    Parameters
    ----------
    rows : dict of str to dict
        By name of the score: ``value``; optionally ``ci`` (low, high),
        ``baseline`` (chance, or the majority class) and ``ceiling``, the expected score
        of a classifier that knows the latent variables of phantoms.
    n : int, optional
        Number of subjects, for the title.
    title : str, default="Scoreboard"

    Returns
    -------
    DescribedFigure
    """
    figure, ((axes,),) = new_figure(size=(8.4, 1.3 + 0.42 * len(rows)))
    marks = {"baseline": ("|", GREY, "baseline"), "ceiling": ("D", ORANGE, ORACLE)}
    for place, row in enumerate(rows.values()):
        value, (low, high) = row["value"], row.get("ci") or (row["value"], row["value"])
        axes.plot([low, high], [place, place], color=BLUE, lw=2.4, solid_capstyle="butt")
        axes.plot(value, place, "o", color=BLUE, ms=8)
        for name, (marker, colour, _) in marks.items():
            if row.get(name) is not None:
                axes.plot(row[name], place, marker, color=colour, ms=17 if marker == "|" else 7, mew=2.2)
        text = f"{value:.2f}" + (f"  ({low:.2f} to {high:.2f})" if row.get("ci") else "")
        axes.text(1.03, place, text, va="center", transform=axes.get_yaxis_transform())
    axes.set_yticks(range(len(rows)), rows)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=(0, 1), xlabel=f"score, with {interval_label()}")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.set_title(title if n is None else f"{title}, n = {n}")
    used = [mark for name, mark in marks.items() if any(row.get(name) is not None for row in rows.values())]
    handles = [
        axes.plot([], [], marker, color=colour, ls="", mew=2.2, label=label)[0] for marker, colour, label in used
    ]
    if handles:
        figure.legend(handles=handles, loc="outside lower right", ncols=2)
    return figure


@in_house_style
def dice_and_volume(tumours: pd.DataFrame, *, title: str = "Tumour masks") -> DescribedFigure:
    """Draw the overlap of tumour masks with the reference, and their volumes against it.

    Parameters
    ----------
    tumours : DataFrame
        Columns dice, reference, volume_error_pct and reference_volume_ml, or
        reference_volume_voxels if the voxel size is unknown.
    title : str, default="Tumour masks"

    Returns
    -------
    DescribedFigure
        Left: Dice of each subject. Right: volume against the reference.
        Subjects without a reference are left out; it may consist of the
        annotated slices only.
    """
    in_ml = "reference_volume_ml" in tumours and tumours["reference_volume_ml"].notna().any()
    unit = "ml" if in_ml else "voxels"
    where = " in annotated slices" if (tumours["reference"] == "annotated slices").any() else ""
    dice = tumours["dice"].dropna().sort_values(ignore_index=True)
    compared = tumours[[f"reference_volume_{unit}", "volume_error_pct"]].dropna().astype(float)
    reference, error_pct = compared.to_numpy().T
    found = reference * (1 + error_pct / 100)
    figure, ((ranks, sizes),) = new_figure(1, 2, size=(9.6, 4.1))
    ranks.plot(np.arange(1, len(dice) + 1), dice, "o", color=BLUE, ms=5, alpha=0.8)
    ranks.axhline(dice.median(), color=ORANGE, lw=2, label=f"median {dice.median():.2f}")
    ranks.axhline(dice.mean(), color=RED, lw=1.6, ls="--", label=f"mean {dice.mean():.2f}")
    ranks.set(xlabel="subjects, worst to best", ylabel="Dice with the reference", ylim=(-0.02, 1.02))
    ranks.grid(axis="y")
    ranks.legend(loc="lower right")
    ranks.set_title(f"{title}{where}, n = {len(dice)}")
    limits = np.array([min(*reference, *found), max(*reference, *found)]) if len(compared) else np.array([0.0, 1.0])
    sizes.plot(limits, limits, color=GREY, ls="--", lw=1, label="equal")
    sizes.plot(reference, found, "o", color=BLUE, ms=5, alpha=0.8)
    if len(compared) and limits[0] > 0:
        sizes.set(xscale="log", yscale="log")
        for axis in (sizes.xaxis, sizes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_locator(NullLocator())
    shown = {"ml": "mL"}.get(unit, unit)
    sizes.set(xlabel=f"reference volume ({shown})", ylabel=f"segmented volume ({shown})")
    sizes.grid()
    sizes.legend(loc="upper left")
    sizes.set_title(f"Volume{where}, n = {len(compared)}; median error {np.median(np.abs(error_pct)):.0f} %")
    return figure
