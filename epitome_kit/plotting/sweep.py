"""Draw the scores of the runs of a sweep with their intervals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from epitome_kit.confidence import interval_label
from epitome_kit.plotting.style import BLUE, GREEN, GREY, DescribedFigure, in_house_style, new_figure


@in_house_style
def sweep_chart(table: pd.DataFrame, varied: Sequence[str]) -> DescribedFigure:
    """Draw AUC, Dice and duration of the runs of a sweep side by side.

    Parameters
    ----------
    table : DataFrame
        Table returned by :func:`epitome_kit.run.sweep.sweep_notebooks`.
    varied : sequence of str
        Parameters that differ between the runs.

    Returns
    -------
    DescribedFigure
    """
    figure, (axes,) = new_figure(1, 3, size=(10.5, 1.6 + 0.34 * len(table)), sharey=True, width_ratios=(3, 3, 2))
    rows = np.arange(len(table))
    label = interval_label()
    panels = (("auc", f"AUC ({label}); chance 0.5", BLUE), ("dice", f"mean Dice ({label})", GREEN))
    for panel, (name, label, colour) in zip(axes, panels, strict=False):
        panel.hlines(rows, *(table[f"{name}_{end}"].astype(float) for end in ("low", "high")), color=colour, lw=2.4)
        panel.plot(table[name].astype(float), rows, "o", color=colour)
        panel.set(xlim=(0, 1), xlabel=label)
        panel.grid(axis="x")
    axes[0].axvline(0.5, color=GREY, ls="--", lw=1)
    axes[2].barh(rows, table.seconds.astype(float).fillna(0), height=0.5, color=GREY)
    axes[2].set(xlabel="seconds")
    for row in np.flatnonzero(table.status != "done"):
        axes[0].text(0.02, row, table.status.iloc[row], va="center", color=GREY, fontstyle="italic")
    names = [", ".join(f"{name} {row[name]}" for name in varied) or row["run"] for _, row in table.iterrows()]
    axes[0].set_yticks(rows, names)
    axes[0].set_ylim(len(table) - 0.4, -0.6)
    return figure
