"""Compare segmentations, and draw volumes with their intervals."""

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, NullLocator

from epitome_kit.confidence import interval_label
from epitome_kit.plotting.style import BLUE, GREY, ORANGE, RED, DescribedFigure, in_house_style, new_figure
from epitome_kit.tumour.coverage import interval_ratio
from epitome_kit.tumour.intervals import VOLUME_LEVEL

_TITLE = f"Volume and its {interval_label(VOLUME_LEVEL)}"


@in_house_style
def compare_segmentations(tumours: pd.DataFrame, *, title: str = "Network and symmetry") -> DescribedFigure:
    """Draw the Dice of the network against that of the symmetry method, one point per subject.

    Parameters
    ----------
    tumours : DataFrame
        Columns dice and dice_classical; subjects without both are left out.
    title : str, default="Network and symmetry"

    Returns
    -------
    DescribedFigure
    """
    both = tumours[["dice", "dice_classical"]].dropna()
    better = int((both.dice > both.dice_classical).sum())
    figure, ((axes,),) = new_figure(size=(4.9, 4.9))
    axes.plot([0, 1], [0, 1], color=GREY, ls="--", lw=1)
    axes.plot(both.dice_classical, both.dice, "o", color=BLUE, ms=6, alpha=0.8)
    axes.plot(both.dice_classical.mean(), both.dice.mean(), "D", color=ORANGE, ms=10, mec="white", label="mean")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set(xlabel="Dice of the symmetry method", ylabel="Dice of the network")
    axes.grid()
    axes.legend(loc="lower right")
    axes.set_title(f"{title}, n = {len(both)}\nthe network is better for {better}")
    return figure


@in_house_style
def volume_intervals(tumours: pd.DataFrame, *, title: str = _TITLE) -> DescribedFigure:
    """Draw the interval of each volume, and the reference where the whole tumour is known, in order of size.

    Parameters
    ----------
    tumours : DataFrame
        Table returned by :func:`epitome_kit.segment_cohort`; subjects without an interval
        are left out.
    title : str, default="Volume and its 90 % interval"

    Returns
    -------
    DescribedFigure
        Blue: intervals that contain the reference; red: the others; grey: those of
        subjects whose whole tumour is not known. The title gives the median ratio of the
        limits next to the coverage, of subjects that did not calibrate the intervals.
    """
    shown = tumours.dropna(subset=["volume_high_voxels"]).reset_index(drop=True)
    sizes = shown.reference_volume_voxels.where(shown.covered.notna(), shown.volume_voxels)
    shown = shown.loc[sizes.sort_values().index]
    unit = "ml" if len(shown) and shown.volume_ml.notna().all() else "voxels"
    covered, place = shown.covered, np.arange(1, len(shown) + 1)
    low, high, found = (shown[f"volume_{part}{unit}"].to_numpy(float) for part in ("low_", "high_", ""))
    figure, ((axes,),) = new_figure(size=(9.6, 4.1))
    for chosen, colour, name in (
        (covered.eq(True), BLUE, "contains the reference"),
        (covered.eq(False), RED, "misses it"),
        (covered.isna(), GREY, "whole volume unknown"),
    ):
        if chosen.any():
            where = chosen.to_numpy()
            axes.vlines(place[where], low[where], high[where], color=colour, lw=2.4, label=f"{name}: {where.sum()}")
            axes.plot(place[where], found[where], "o", color=colour, ms=4)
    tested = covered.notna().to_numpy()
    if tested.any():
        reference = shown[f"reference_volume_{unit}"].to_numpy(float)[tested]
        axes.plot(place[tested], reference, "_", color="black", ms=9, mew=2, label="reference")
    if (low > 0).all():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="subjects, smallest tumour first", ylabel=f"volume ({'mL' if unit == 'ml' else 'voxels'})")
    axes.grid(axis="y")
    if len(shown):
        axes.legend(loc="lower right")
    width = [f"median high / low {interval_ratio(shown).median():.2f}"] if len(shown) else []
    coverage = [f"coverage {covered[tested].astype(bool).mean():.0%} (n = {tested.sum()})"] if tested.any() else []
    axes.set_title(", ".join([title, f"n = {len(shown)}", *width, *coverage]))
    return figure
