"""Charts of one case: its probability among those of the subjects that the model was tested on."""

import numpy as np

from epitome_kit.plotting.style import CLASS_COLOURS, CLASS_MARKERS, GREY, in_house_style, new_figure


@in_house_style
def grade_chart(predictions, grade):
    """Draw the probability of one head among those out of fold, by their true class.

    Parameters
    ----------
    predictions : DataFrame
        As in ``predictions.tsv``.
    grade : dict
        From :func:`epitome_kit.grade.single_case.grade_head`, with the ``names`` of the classes.

    Returns
    -------
    Figure
    """
    figure, ((axes,),) = new_figure(size=(7.2, 2.9))
    lift = np.random.default_rng(0).uniform(-0.28, 0.28, len(predictions))
    for label, (colour, marker) in enumerate(zip(CLASS_COLOURS, CLASS_MARKERS, strict=True)):
        mine = (predictions.label == label).to_numpy()
        axes.plot(
            predictions.calibrated[mine],
            label + lift[mine],
            marker,
            color=colour,
            ms=6,
            alpha=0.65,
            mec="white",
            mew=0.5,
        )
    axes.axvline(grade["probability"], color="black", lw=2)
    side = "right" if grade["probability"] > 0.7 else "left"
    text = f"  this head, {grade['probability']:.0%}  ".replace("%", " %")
    axes.text(grade["probability"], 1.62, text, ha=side, va="center", weight="bold")
    axes.axvline(grade["class_counts"][grade["positive"]] / grade["n"], color=GREY, ls="--", lw=1)
    axes.set_yticks([0, 1], [f"truly {name}" for name in grade["names"]])
    axes.set(xlim=(0, 1), ylim=(-0.55, 1.9), xlabel=f"calibrated probability of {grade['names'][1]}; dashed: its share")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.set_title(f"Subjects that the model was tested on, n = {grade['n']}")
    return figure
