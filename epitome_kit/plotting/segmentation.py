"""Compare segmentations, and draw volumes with their intervals."""

import numpy as np
import pandas as pd

from epitome_kit.confidence import interval_label
from epitome_kit.plotting.style import BLUE, GREY, ORANGE, RED, DescribedFigure, in_house_style, new_figure
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
    """Draw the interval and the reference of each volume, in order of size.

    Parameters
    ----------
    tumours : DataFrame
        Table returned by :func:`epitome_kit.segment_cohort`. For sparse
        annotation the intervals are those of the annotated slices.
    title : str, default="Volume and its 90 % interval"

    Returns
    -------
    DescribedFigure
        Blue: intervals that contain the reference; red: the others.
    """
    scored = tumours.dropna(subset=["covered"]).sort_values("reference_volume_voxels")
    factor = (scored.volume_high_voxels + 1) / (scored.volume_voxels + 1)
    in_ml = scored.reference_volume_ml.notna().all() and len(scored)
    unit = (scored.reference_volume_ml / scored.reference_volume_voxels) if in_ml else 1.0
    reference, found = scored.reference_volume_voxels * unit, scored.compared_volume_voxels * unit
    low = ((scored.compared_volume_voxels + 1) / factor - 1).clip(lower=0) * unit
    high = ((scored.compared_volume_voxels + 1) * factor - 1) * unit
    covered = scored.covered.astype(bool).to_numpy()
    place = np.arange(1, len(scored) + 1)
    figure, ((axes,),) = new_figure(size=(9.6, 4.1))
    for inside, colour, name in ((True, BLUE, "contains the reference"), (False, RED, "misses it")):
        where = covered == inside
        axes.vlines(place[where], low[where], high[where], color=colour, lw=2.4, label=f"{name}: {where.sum()}")
        axes.plot(place[where], found[where], "o", color=colour, ms=4)
    axes.plot(place, reference, "_", color="black", ms=9, mew=2, label="reference")
    if (low > 0).all():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="subjects, smallest tumour first", ylabel=f"volume ({'mL' if in_ml else 'voxels'})")
    axes.grid(axis="y")
    axes.legend(loc="lower right")
    coverage = f", coverage {covered.mean():.0%}" if len(covered) else ""
    axes.set_title(f"{title}, n = {len(scored)}{coverage}")
    return figure
