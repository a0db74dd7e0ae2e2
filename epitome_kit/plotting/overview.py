"""Draw one tumour through all five steps of the kit."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch
from sklearn.metrics import roc_curve

from epitome_kit.files import Json
from epitome_kit.images import ImageLike
from epitome_kit.plotting.panels import draw_outline, show_picture
from epitome_kit.plotting.slices import SliceView, Stack, display_windows, slice_view, stack_images
from epitome_kit.plotting.style import BLUE, GREY, ORANGE, DescribedFigure, in_house_style, new_figure

HEAD_MM, TUMOUR_MM = 204, 92
"""Height of the panels around a head and around a tumour."""

_SIZE, _BOX = (9.6, 3.15), (1.62, 2.0)
"""Width and height of the figure, and of each panel, in inches."""
_LEFT, _BELOW, _GAP = 0.2, 0.76, 0.275


@in_house_style
def five_steps(
    scan: ImageLike,
    outline: ImageLike,
    ready: ImageLike,
    mask: ImageLike,
    heat: ImageLike,
    scores: Json,
    predictions: pd.DataFrame,
    *,
    captions: Sequence[str],
) -> DescribedFigure:
    """Draw one tumour through the five steps of the kit.

    Parameters
    ----------
    scan, outline : image or path
        Original scan, and its tumour mask on the same grid.
    ready, mask, heat : image or path
        On the template grid: the preprocessed scan, its tumour mask, and the
        tumour probability of a network.
    scores : dict
        Content of ``scores.json``.
    predictions : DataFrame
        Columns label and probability, one out-of-fold prediction per subject.
    captions : sequence of 5 str
        Text below each step.

    Returns
    -------
    DescribedFigure
    """
    figure, ((*panels,),) = new_figure(1, 5, size=_SIZE)
    figure.set_layout_engine("none")
    inspect, preprocess, learn, grade, extract = panels
    raw, template = stack_images(scan, outline), stack_images({"ready": ready, "heat": heat}, mask)
    _draw(inspect, raw, "scan", HEAD_MM)
    _draw(preprocess, template, "ready", HEAD_MM)
    view, index = _draw(learn, template, "ready", HEAD_MM)
    warmth = np.clip(np.nan_to_num(view.cut(template.volumes["heat"], index)), 0, 1)
    layer = np.concatenate([np.broadcast_to(to_rgb(ORANGE), (*warmth.shape, 3)), 0.9 * warmth[..., None]], axis=-1)
    _show(learn, view, layer, HEAD_MM, _middle(view, template, "ready"), None)
    _draw_roc(grade, scores, predictions)
    _draw(extract, raw, "scan", TUMOUR_MM, outlined=True)
    for number, (panel, verb, caption) in enumerate(
        zip(panels, ("Inspect", "Preprocess", "Learn", "Grade", "Extract"), captions, strict=True)
    ):
        left = _LEFT + number * (_BOX[0] + _GAP)
        margin = 0.2 if panel is grade else 0  # for the axis labels
        _place(panel, left + margin, _BELOW + margin, _BOX[0] - margin, _BOX[1] - margin)
        across, up = left / _SIZE[0], (_BELOW + _BOX[1] + 0.1) / _SIZE[1]
        figure.text(across, up, f"{number + 1}  {verb}", size=13, weight="bold", color="#222222")
        figure.text(across, (_BELOW - 0.1) / _SIZE[1], caption, size=9, color="#444444", va="top", linespacing=1.35)
        if number:
            _draw_arrow(figure, left - _GAP + 0.05, left - 0.05)
    return figure


def _place(panel: Axes, left: float, below: float, width: float, height: float) -> None:
    """Set the position of a panel, in inches."""
    panel.set_position((left / _SIZE[0], below / _SIZE[1], width / _SIZE[0], height / _SIZE[1]))


def _draw_arrow(figure: DescribedFigure, start: float, end: float) -> None:
    """Draw an arrow from one panel to the next, between two positions in inches."""
    height = (_BELOW + _BOX[1] / 2) / _SIZE[1]
    arrow = FancyArrowPatch(
        (start / _SIZE[0], height),
        (end / _SIZE[0], height),
        transform=figure.transFigure,
        arrowstyle="-|>",
        color=GREY,
        lw=1.2,
        shrinkA=0,
        shrinkB=0,
        mutation_scale=9,
    )
    figure.add_artist(arrow)


def _draw(panel: Axes, stack: Stack, name: str, height_mm: float, *, outlined: bool = False) -> tuple[SliceView, int]:
    """Draw the axial slice with the largest tumour area, around the head or around the tumour."""
    view = slice_view(stack.grid, "axial")
    index, (mask,) = stack.busiest(view), stack.masks.values()
    middle = _middle(view, stack, None if outlined else name)
    low, high = display_windows(stack.volumes)[name]
    if low < 0:  # normalised around the median of the brain
        low -= 0.4 * (high - low)
    picture = np.nan_to_num(view.cut(stack.volumes[name], index), nan=low)
    _show(panel, view, picture, height_mm, middle, (low, high))
    if outlined:
        draw_outline(panel, view, view.cut(mask, index), "tumour", width=2)
        left, down = panel.get_xlim()[0] + 6, panel.get_ylim()[0] - 6
        panel.plot([left, left + 20], [down, down], color="white", lw=2.5, solid_capstyle="butt")
        panel.text(left + 23, down, "20 mm", color="white", size=9, va="center")
    return view, index


def _middle(view: SliceView, stack: Stack, name: str | None) -> np.ndarray:
    """Return the row and column of the middle of a volume, or of its tumour, in mm."""
    (shown,) = stack.masks.values()
    if name is not None:
        low, high = display_windows(stack.volumes)[name]
        shown = stack.volumes[name] > low + 0.15 * max(low + high, 0)
    inside = np.argwhere(view.cut(shown, stack.busiest(view)))
    return (inside.min(axis=0) + inside.max(axis=0) + 1) / 2 * view.pixel_size


def _show(
    panel: Axes,
    view: SliceView,
    picture: np.ndarray,
    height_mm: float,
    middle: np.ndarray,
    window: tuple[float, float] | None,
) -> None:
    """Show a picture, in grey if it has a window, with its middle in the middle of the panel."""
    if window is None:
        show_picture(panel, view, picture, interpolation="bicubic")
    else:
        show_picture(panel, view, picture, interpolation="bicubic", cmap="gray", window=window)
    (y, x), half, wide = middle, height_mm / 2, height_mm / 2 * _BOX[0] / _BOX[1]
    panel.set(xlim=(x - wide, x + wide), ylim=(y + half, y - half))
    panel.set_anchor("C")


def _draw_roc(panel: Axes, scores: Json, predictions: pd.DataFrame) -> None:
    wrong, right, _ = roc_curve(predictions.label, predictions.probability)
    panel.plot([0, 1], [0, 1], "--", color=GREY, lw=1)
    panel.fill_between(wrong, right, color=BLUE, alpha=0.15, lw=0)
    panel.plot(wrong, right, color=BLUE, lw=2.2)
    panel.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=[], yticks=[])
    panel.set_xlabel("grade 2 called 3", size=9, labelpad=2)
    panel.set_ylabel("grade 3 found", size=9, labelpad=2)
    panel.text(0.98, 0.06, f"AUC {scores['auc']:.2f}", ha="right", size=12, weight="bold", color=BLUE)
