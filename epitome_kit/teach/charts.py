"""Draw the results of the labs: scores with and without leaks, after each fix, and intervals of many cohorts."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from epitome_kit.confidence import interval_label
from epitome_kit.plotting.style import BLUE, GREY, ORANGE, RED, DescribedFigure, in_house_style, new_figure
from epitome_kit.teach.leakage import mean_interval


@in_house_style
def leak_chart(
    measured: Mapping[str, pd.DataFrame], *, n: int, title: str = "Scores with and without leaks"
) -> DescribedFigure:
    """Draw scores with and without each leak, and their difference.

    Parameters
    ----------
    measured : dict of str to DataFrame
        By name of the leak: columns ``honest`` and ``leaking``, one row per repeat.
    n : int
        Number of subjects.
    title : str, default="Scores with and without leaks"

    Returns
    -------
    DescribedFigure
        Means and their 95 % intervals over the repeats; on the right the mean
        paired difference with its interval.
    """
    figure, ((axes,),) = new_figure(size=(9.4, 1.5 + 0.44 * len(measured)))
    axes.axvline(0.5, color=GREY, ls="--", lw=1, label="chance")
    for place, scores in enumerate(measured.values()):
        for name, colour, marker, nudge in (("honest", BLUE, "o", -0.1), ("leaking", ORANGE, "D", 0.1)):
            mean, low, high = mean_interval(scores[name])
            label = ("without the leak" if name == "honest" else "with the leak") if place == 0 else None
            axes.plot([low, high], [place + nudge] * 2, color=colour, lw=2.4, solid_capstyle="butt")
            axes.plot(mean, place + nudge, marker, color=colour, ms=7, label=label)
        gain, low, high = 100 * np.array(mean_interval(scores["leaking"] - scores["honest"]))
        text = f"{gain:+z.0f}  ({low:+z.0f} to {high:+z.0f})"
        axes.text(1.02, place, text.replace("-", "−"), va="center", transform=axes.get_yaxis_transform())
    axes.text(1.02, -0.75, "points added", va="center", transform=axes.get_yaxis_transform(), color=GREY)
    axes.set_yticks(range(len(measured)), measured)
    axes.set(ylim=(len(measured) - 0.5, -0.6), xlim=(0, 1.02), xlabel="AUC, or balanced accuracy of slices")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    repeats = sorted({len(scores) for scores in measured.values()})
    axes.set_title(f"{title}, n = {n} subjects, {' or '.join(map(str, repeats))} repeats")
    figure.legend(loc="outside lower right", ncols=3)
    return figure


@in_house_style
def fix_chart(stages: pd.DataFrame, *, majority: float, title: str = "Scores after each fix") -> DescribedFigure:
    """Draw accuracy and AUC after each fix, with their intervals and baselines.

    Parameters
    ----------
    stages : DataFrame
        Indexed by name, in order. Columns ``n``, ``accuracy``, ``accuracy_ci95``,
        ``auc``, ``auc_ci95`` as returned by :func:`epitome_kit.grade.scores.score`.
    majority : float
        Accuracy of always predicting the larger class.
    title : str, default="Scores after each fix"

    Returns
    -------
    DescribedFigure
    """
    figure, (panels,) = new_figure(1, 2, size=(10.4, 1.3 + 0.42 * len(stages)), sharey=True)
    lines = {"accuracy": (majority, f"majority class: {majority:.2f}"), "auc": (0.5, "chance: 0.50")}
    for axes, (measure, (line, label)) in zip(panels, lines.items(), strict=True):
        axes.axvline(line, color=ORANGE, lw=2, ls="--", label=label)
        for place, (value, (low, high)) in enumerate(zip(stages[measure], stages[f"{measure}_ci95"], strict=True)):
            axes.plot([low, high], [place, place], color=BLUE, lw=2.4, solid_capstyle="butt")
            axes.plot(value, place, "o", color=BLUE, ms=7)
            axes.text(1.03, place, f"{value:.2f}", va="center", transform=axes.get_yaxis_transform())
        name = "AUC" if measure == "auc" else measure
        axes.set(xlim=(0, 1), xlabel=f"{name}, with {interval_label()}")
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    names = [f"{name}  (n = {n})" for name, n in stages["n"].items()]
    panels[0].set_yticks(range(len(stages)), names)
    panels[0].set_ylim(len(stages) - 0.5, -0.5)
    figure.suptitle(title)
    return figure


@in_house_style
def reading_chart(read: Mapping[str, np.ndarray], *, title: str = "Input of the network") -> DescribedFigure:
    """Draw one slice of the first subject as read in each way.

    Parameters
    ----------
    read : dict of str to ndarray
        Scans by name, each of shape (n, i, j, k, 1).
    title : str, default="Input of the network"

    Returns
    -------
    DescribedFigure
        The slice with the most non-zero voxels, anterior on top; grey values
        from percentile 1 to 99 of the volume.
    """
    figure, (panels,) = new_figure(1, len(read), size=(2.6 * len(read), 3.4))
    for axes, (name, volumes) in zip(panels, read.items(), strict=True):
        volume = volumes[0, ..., 0]
        fullest = int(np.count_nonzero(volume, axis=(0, 1)).argmax())
        low, high = np.quantile(volume, (0.01, 0.99))
        axes.imshow(volume[:, :, fullest].T, cmap="gray", origin="lower", vmin=low, vmax=high, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(f"{name}\n{' x '.join(map(str, volume.shape))}, {low:.3g} to {high:.3g}", fontsize=9.5)
    figure.suptitle(title)
    return figure


@in_house_style
def interval_chart(
    intervals: pd.DataFrame, truth: float, *, shown: int = 40, title: str = "Intervals of many cohorts"
) -> DescribedFigure:
    """Draw the first intervals of many cohorts, those that miss the truth in another colour.

    Parameters
    ----------
    intervals : DataFrame
        Columns ``auc``, ``low`` and ``high``, one row per cohort.
    truth : float
        What the intervals should hold.
    shown : int, default=40
        Number of cohorts that are drawn.
    title : str, default="Intervals of many cohorts"

    Returns
    -------
    DescribedFigure
        Each interval as a line with its AUC; the title has the number of those that miss.
    """
    drawn = intervals.iloc[:shown]
    held = ((drawn.low <= truth) & (truth <= drawn.high)).to_numpy()
    figure, ((axes,),) = new_figure(size=(9.4, 3.8))
    axes.axhline(truth, color=GREY, ls="--", lw=1, label=f"expected AUC, {truth:.2f}")
    for group, colour, marker, label in ((held, BLUE, "o", "holds it"), (~held, RED, "D", "misses it")):
        places, rows = np.flatnonzero(group), drawn[group]
        axes.vlines(places, rows.low, rows.high, color=colour, lw=2.4)
        axes.plot(places, rows.auc, marker, color=colour, ms=5, label=f"{label}: {len(rows)}")
    axes.set(xlim=(-1, len(drawn)), ylim=(-0.02, 1.02), xlabel="cohort", ylabel=f"AUC, with {interval_label()}")
    axes.grid(axis="y")
    axes.set_title(f"{title}: {(~held).sum()} of {len(drawn)} miss")
    figure.legend(loc="outside lower right", ncols=3)
    return figure
