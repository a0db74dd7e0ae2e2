"""Draw the flow of subjects: numbers found, left out and analysed."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from epitome_kit.errors import ParameterError
from epitome_kit.plotting.style import CLASS_COLOURS, GREY, DescribedFigure, in_house_style, new_figure

Stages = Sequence[tuple[str, int, Mapping[str, int]]]
"""Stages of a flow: what the subjects are called, their number, and the number left out by reason."""

LINE, PAD, GAP = 0.21, 0.12, 0.4
"""Height of a line of text, space above and below it, and space between two boxes, in inches."""

_WIDTH, _MAIN, _SIDE = 8.0, 2.9, 3.9
_INK = "#444444"
_MOST_REASONS = 4
_MOST_FOLDS = 10


@in_house_style
def flow(
    stages: Stages,
    analysed: Mapping[str, int],
    *,
    folds: Mapping[str, Sequence[int]] | None = None,
    title: str = "Flow of subjects",
) -> DescribedFigure:
    """Draw the flow of subjects from those found to those analysed, as CONSORT does for trials.

    Parameters
    ----------
    stages : sequence of (str, int, dict of str to int)
        From top to bottom: the name of the subjects of a stage, their number,
        and the number left out before the next stage, by reason.
    analysed : dict of str to int
        Number of analysed subjects of each of the two classes; empty before the
        analysis.
    folds : dict of str to sequence of int, default=None
        Number of subjects of each class in the test set of each fold.
    title : str, default="Flow of subjects"

    Returns
    -------
    DescribedFigure

    Raises
    ------
    ParameterError
        The counts do not add up from one stage to the next.

    References
    ----------
    Schulz et al., BMJ 2010, doi:10.1136/bmj.c332
    """
    _require_sums(stages, analysed)
    rows = [(f"{label}\nn = {n}", _left_out(reasons)) for label, n, reasons in stages]
    if rows and not analysed:
        rows[-1] = (rows[-1][0], "")
    lowest = f"Analysed\nn = {sum(analysed.values())}" if analysed else "Not analysed yet"
    classes = [_class_text(name, n, (folds or {}).get(name, ())) for name, n in analysed.items()]
    heights = [max(_height(main) + GAP, _height(side) + GAP / 3) for main, side in rows]
    total = sum(heights) + _height(lowest) + (GAP + max(map(_height, classes)) if classes else 0) + 0.1
    figure, ((axes,),) = new_figure(size=(_WIDTH, total + 0.4))
    axes.set(xlim=(0, _WIDTH), ylim=(total, 0))
    axes.axis("off")
    axes.set_title(title)
    top, centre, right = 0.05, 0.05 + _MAIN / 2, _WIDTH - _SIDE - 0.05
    for (main, side), height in zip(rows, heights, strict=True):
        bottom = _box(axes, 0.05, top, _MAIN, main)
        branch = (bottom + top + height) / 2
        _arrow(axes, (centre, bottom), (centre, top + height))
        if side:
            _arrow(axes, (centre, branch), (right, branch), GREY)
            _box(axes, right, branch - _height(side) / 2, _SIDE, side, colour=GREY, align="left")
        top += height
    bottom = _box(axes, 0.05, top, _MAIN, lowest)
    for text, left, colour in zip(classes, (0.05, right), CLASS_COLOURS, strict=False):
        middle, turn = left + _MAIN / 2, bottom + GAP / 2
        axes.plot((centre, centre, middle), (bottom, turn, turn), color=_INK, linewidth=1)
        _arrow(axes, (middle, turn), (middle, bottom + GAP))
        _box(axes, left, bottom + GAP, _MAIN, text, colour=colour)
    return figure


def describe_flow(stages: Stages, analysed: Mapping[str, int]) -> str:
    """Return the text alternative of :func:`flow`.

    Parameters
    ----------
    stages : sequence of (str, int, dict of str to int)
    analysed : dict of str to int
        See :func:`flow`.

    Returns
    -------
    str
    """
    steps = []
    for label, n, reasons in stages:
        left_out = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
        steps.append(f"{label}: {n}; left out: {left_out or 'none'}")
    classes = ", ".join(f"{name}: {count}" for name, count in analysed.items())
    ending = f"Analysed: {sum(analysed.values())} ({classes})" if analysed else "Not analysed yet"
    return f"Flow of subjects. {'. '.join([*steps, ending])}."


def _require_sums(stages: Stages, analysed: Mapping[str, int]) -> None:
    following = [n for _, n, _ in stages[1:]] + ([sum(analysed.values())] if analysed else [])
    for (label, n, reasons), after in zip(stages, following, strict=False):
        if n - sum(reasons.values()) != after:
            raise ParameterError(
                "flow",
                "counts that add up from one stage to the next",
                f"{n} {label.lower()}, {sum(reasons.values())} left out, and {after} after that",
                "give a reason for every subject that was left out",
            )


def _left_out(reasons: Mapping[str, int]) -> str:
    """Return the text of the box at the side: the commonest reasons, one per paragraph."""
    counts = sorted(((reason, n) for reason, n in reasons.items() if n), key=lambda pair: -pair[1])
    if not counts:
        return "Left out: none"
    shown, rest = counts[:_MOST_REASONS], counts[_MOST_REASONS:]
    if rest:
        shown.append(("for other reasons", sum(n for _, n in rest)))
    lines = [f"Left out: {sum(n for _, n in counts)}"]
    for reason, n in shown:
        lines += textwrap.wrap(f"{n}  {reason}", 46, subsequent_indent="    ", max_lines=3, placeholder=" …")
    return "\n".join(lines)


def _class_text(name: str, n: int, folds: Sequence[int]) -> str:
    """Return the text of the box of one class, with its number of test subjects in each fold."""
    if len(folds) > _MOST_FOLDS:
        return f"{name}\nn = {n}\n{len(folds)} test folds of {min(folds)} to {max(folds)}"
    return f"{name}\nn = {n}" + (f"\ntest folds of {', '.join(map(str, folds))}" if len(folds) else "")


def _height(text: str) -> float:
    return LINE * len(text.splitlines()) + 2 * PAD if text else 0


def _box(
    axes: Axes,
    left: float,
    top: float,
    width: float,
    text: str,
    *,
    colour: str = _INK,
    align: Literal["left", "center"] = "center",
) -> float:
    """Draw a box around text; return its lower end."""
    bottom, shape = top + _height(text), "round,pad=0,rounding_size=0.07"
    box = FancyBboxPatch(
        (left, top), width, _height(text), boxstyle=shape, linewidth=1.5, facecolor="white", edgecolor=colour
    )
    axes.add_patch(box)
    place = left + (width / 2 if align == "center" else PAD)
    axes.text(place, (top + bottom) / 2, text, ha=align, va="center", linespacing=1.3)
    return bottom


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = _INK) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 11}
    axes.annotate("", xy=end, xytext=start, arrowprops=style)
