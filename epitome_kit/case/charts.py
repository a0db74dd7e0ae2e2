"""Plot the probability of one case among those of the test subjects."""

import numpy as np
import pandas as pd

from epitome_kit.files import Json
from epitome_kit.plotting.style import CLASS_COLOURS, CLASS_MARKERS, GREY, DescribedFigure, in_house_style, new_figure


@in_house_style
def grade_chart(predictions: pd.DataFrame, grade: Json) -> DescribedFigure:
    """Plot the probability of one scan among the out-of-fold probabilities, by true class.

    Parameters
    ----------
    predictions : DataFrame
        As in ``predictions.tsv``.
    grade : dict
        From :func:`epitome_kit.grade.single_case.grade_head`, with the ``names`` of the classes.

    Returns
    -------
    Figure
        One point per test subject and a line for the scan.
    """
    figure, ((axes,),) = new_figure(size=(7.2, 2.9))
    lift = np.random.default_rng(0).uniform(-0.28, 0.28, len(predictions))
    for label, (colour, marker) in enumerate(zip(CLASS_COLOURS, CLASS_MARKERS, strict=True)):
        of_class = (predictions.label == label).to_numpy()
        axes.plot(
            predictions.calibrated[of_class],
            label + lift[of_class],
            marker,
            color=colour,
            ms=6,
            alpha=0.65,
            mec="white",
            mew=0.5,
        )
    axes.axvline(grade["probability"], color="black", lw=2)
    side = "right" if grade["probability"] > 0.7 else "left"
    text = f"  this scan, {grade['probability']:.0%}  ".replace("%", " %")
    axes.text(grade["probability"], 1.62, text, ha=side, va="center", weight="bold")
    axes.axvline(grade["class_counts"][grade["positive"]] / grade["n"], color=GREY, ls="--", lw=1)
    axes.set_yticks([0, 1], [f"true {name}" for name in grade["names"]])
    axes.set(xlim=(0, 1), ylim=(-0.55, 1.9), xlabel=f"calibrated probability of {grade['names'][1]}; dashed: its share")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.set_title(f"Test subjects (out of fold), n = {grade['n']}")
    return figure
