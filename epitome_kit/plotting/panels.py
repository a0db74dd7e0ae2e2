"""Draw single slices on black, in mm, with outlines, orientation letters and a scale bar."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from epitome_kit.plotting.slices import SliceView, Stack
from epitome_kit.plotting.style import MASK_ROLES, DescribedFigure, new_figure

_BARS = (200, 100, 50, 20, 10, 5, 2, 1)


def image_axes(
    rows: int,
    columns: int,
    width: float,
    views: Sequence[SliceView],
    *,
    heading: float = 0.3,
    legend: bool = False,
    text_column: bool = False,
) -> tuple[DescribedFigure, np.ndarray]:
    """Make panels with widths proportional to the extents of their planes.

    Parameters
    ----------
    rows, columns : int
        Number of panels.
    width : float
        Mean width of a panel in inches.
    views : sequence of SliceView
        Planes along a row; repeated if there are more columns.
    heading : float, default=0.3
        Inches above each row, for the titles of its panels.
    legend : bool, default=False
        Leave room for a legend below.
    text_column : bool, default=False
        The last column holds text.

    Returns
    -------
    figure : DescribedFigure
    axes : ndarray of Axes, shape (rows, columns)
    """
    extents = [tuple(length + 2 * _gutter(view) for length in view.size) for view in views]
    ratios = [extents[column % len(extents)][1] for column in range(columns)]
    if text_column:
        ratios[-1] = max(ratios)
    tallest = max(down for down, _ in extents)
    height = rows * (tallest * width * columns / sum(ratios) + heading + 0.05) + 0.35 + 0.35 * legend
    figure, axes = new_figure(rows, columns, size=(width * columns + 0.2, height), width_ratios=ratios)
    figure.set_layout_engine("constrained", w_pad=0.04, h_pad=0.04, wspace=0.01, hspace=0.01)
    return figure, axes


def draw_slice(
    panel: Axes,
    view: SliceView,
    index: int,
    volume: np.ndarray,
    window: tuple[float, float],
    stack: Stack | None,
    *,
    letters: bool = True,
    scale_bar: bool = False,
) -> None:
    """Draw one slice with outlines, orientation letters and a scale bar.

    Parameters
    ----------
    panel : Axes
    view : SliceView
    index : int
        Slice of `view`.
    volume : ndarray, shape (i, j, k)
    window : (float, float)
        Intensities shown as black and as white.
    stack : Stack or None
        Its masks are outlined, each by its role.
    letters, scale_bar : bool
        Whether to draw the orientation letters and the scale bar.
    """
    show_picture(panel, view, view.cut(volume, index), window=window, cmap="gray")
    if stack is not None:
        for name, role in stack.roles.items():
            draw_outline(panel, view, view.cut(stack.masks[name], index), role)
    if letters:
        draw_letters(panel, view)
    if scale_bar:
        draw_scale_bar(panel, view)


def draw_outline(panel: Axes, view: SliceView, inside: np.ndarray, role: str, *, width: float = 1.4) -> None:
    """Outline a mask on a slice, closed where the mask reaches the border.

    Parameters
    ----------
    panel : Axes
    view : SliceView
    inside : ndarray of bool, shape (rows, columns)
        Slice of the mask, from :meth:`~epitome_kit.plotting.slices.SliceView.cut`.
    role : str
        Key of :data:`~epitome_kit.plotting.style.MASK_ROLES`, which gives colour and line.
    width : float, default=1.4
        Line width in points.
    """
    if not inside.any():
        return
    rows, columns = ((np.arange(n + 2) - 0.5) * size for n, size in zip(view.shape, view.pixel_size, strict=True))
    colour, line = MASK_ROLES[role]
    padded = np.pad(inside, 1)
    panel.contour(columns, rows, padded, levels=[0.5], colors=[colour], linestyles=[line], linewidths=width)


def paint_voxels(panel: Axes, view: SliceView, inside: np.ndarray, role: str) -> None:
    """Paint the pixels of a mask in the colour of its role, over the picture of the panel."""
    layer = np.zeros((*inside.shape, 4))
    layer[inside] = (*to_rgb(MASK_ROLES[role].colour), 0.75)
    show_picture(panel, view, layer, interpolation="nearest")


def show_picture(
    panel: Axes,
    view: SliceView,
    picture: np.ndarray,
    *,
    window: tuple[float | None, float | None] = (None, None),
    cmap: str | None = None,
    norm: Normalize | None = None,
    interpolation: str | None = None,
) -> AxesImage:
    """Show rows and columns of a plane in mm, on black, with a gutter; `window` is shown from black to white."""
    down, across = view.size
    gutter = _gutter(view)
    drawn = panel.imshow(
        picture,
        cmap,
        norm,
        vmin=window[0],
        vmax=window[1],
        interpolation=interpolation,
        extent=(0, across, down, 0),
    )
    panel.set(xlim=(-gutter, across + gutter), ylim=(down + gutter, -gutter), xticks=[], yticks=[], facecolor="black")
    panel.spines[:].set_visible(False)
    panel.set_anchor("N")
    return drawn


def finish(figure: Figure, title: str, roles: Mapping[str, str]) -> None:
    """Add the title of a figure, wrapped to its width, and the legend of its masks (name to role)."""
    if title:
        figure.suptitle(title, wrap=True)
    if roles:
        styles = [(name, *MASK_ROLES[role]) for name, role in roles.items()]
        handles = [Line2D([], [], color=colour, ls=line, lw=2, label=name) for name, colour, line in styles]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def draw_letters(panel: Axes, view: SliceView) -> None:
    """Write the orientation letters into the gutter of a picture."""
    (down, across), border = view.size, _gutter(view) / 2
    for side, x, y in (
        ("left", -border, down / 2),
        ("right", across + border, down / 2),
        ("top", across / 2, -border),
        ("bottom", across / 2, down + border),
    ):
        panel.text(x, y, view.letters[side], color="white", size=9, ha="center", va="center")


def draw_scale_bar(panel: Axes, view: SliceView) -> None:
    """Draw a bar of a round length in mm, or in voxels if their size is unknown."""
    (down, across), gutter = view.size, _gutter(view)
    unit, size = ("mm", 1.0) if view.known else ("voxels", view.pixel_size[1])
    length = next((bar for bar in _BARS if bar * size <= across / 4), 1)
    middle, start = down + gutter / 2, -0.8 * gutter
    end = start + length * size
    panel.plot([start, end], [middle] * 2, color="white", lw=2, solid_capstyle="butt")
    panel.text(end + gutter / 6, middle, f"{length} {unit}", color="white", size=9, va="center")


def _gutter(view: SliceView) -> float:
    """Return the width of the black border that holds the letters, in mm."""
    return 0.08 * max(view.size)
