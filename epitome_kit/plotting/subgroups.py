"""Draw the scores of subgroups as a forest plot."""

import pandas as pd
from matplotlib.axes import Axes

from epitome_kit.confidence import interval_label
from epitome_kit.files import Json
from epitome_kit.plotting.style import (
    BLUE,
    GREY,
    DescribedFigure,
    draw_estimate,
    draw_row_text,
    in_house_style,
    new_figure,
)

_MEASURES = {"auc": "AUC", "in_the_large": "calibration in the large (log odds)"}


@in_house_style
def subgroups_chart(subgroups: pd.DataFrame, scores: Json, *, title: str = "Subgroups") -> DescribedFigure:
    """Draw AUC and calibration in the large of each subgroup, with intervals.

    Parameters
    ----------
    subgroups : DataFrame
        As in ``subgroups.tsv``.
    scores : dict
        Content of ``scores.json``, whose values of all subjects are the dotted lines.
    title : str, default="Subgroups"

    Returns
    -------
    DescribedFigure
        One line for each subgroup, with its number of subjects.
    """
    figure, (row,) = new_figure(1, 2, size=(11, 1.4 + 0.36 * len(subgroups)), sharey=True)
    calibration = scores.get("calibration") or {}
    for axes, (name, label), value, ideal in zip(
        row, _MEASURES.items(), (scores["auc"], calibration.get("in_the_large")), (0.5, 0.0), strict=True
    ):
        _draw(axes, subgroups, name)
        axes.axvline(ideal, color=GREY, ls="--", lw=1)
        if value is not None:
            axes.axvline(value, color=BLUE, ls=":", lw=1.6)
        axes.set_xlabel(f"{label}; dashed: {'chance' if name == 'auc' else 'perfect'}, dotted: all subjects")
    first = row[0]
    labels = [f"{each['variable']}: {each['group']}, n = {each['n']}" for each in subgroups.to_dict("records")]
    first.set_yticks(range(len(subgroups)), labels)
    first.set(ylim=(len(subgroups) - 0.4, -0.6), xlim=(min(0.3, subgroups.auc_low.min()), 1))
    figure.suptitle(f"{title}, n = {scores['n']}, with {interval_label()}")
    return figure


def _draw(axes: Axes, subgroups: pd.DataFrame, name: str) -> None:
    """Draw one measure of every subgroup; those that are not scored are named so."""
    for place, row in enumerate(subgroups.to_dict("records")):
        value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
        if pd.notna(value):
            draw_estimate(axes, place, value, (low, high), BLUE)
        else:
            draw_row_text(axes, place, "too few, not scored")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
