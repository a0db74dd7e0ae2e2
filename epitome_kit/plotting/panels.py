"""Panels: one slice on black, in mm, with outlines, orientation letters and a scale bar."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from epitome_kit.plotting.slices import SliceView
from epitome_kit.plotting.style import MASK_ROLES, new_figure

_BARS = (200, 100, 50, 20, 10, 5, 2, 1)


def image_axes(rows, columns, width, views, *, heading=0.3, legend=False, text_column=False):
    """Make panels whose widths follow the extents of the planes they show.

    Parameters
    ----------
    rows, columns : int
    width : float
        Mean width of a panel in inches.
    views : sequence of SliceView
        Planes along a row; they repeat when there are more columns.
    heading : float, default=0.3
        Inches above each row, for the titles of its panels.
    legend : bool, default=False
        Leave room for a legend below.
    text_column : bool, default=False
        The last column holds text.

    Returns
    -------
    (Figure, ndarray of Axes)
    """
    extents = [tuple(length + 2 * _gutter(view) for length in view.size) for view in views]
    ratios = [extents[column % len(extents)][1] for column in range(columns)]
    if text_column:
        ratios[-1] = max(ratios)
    tallest = max(down for down, _ in extents)
    height = rows * (tallest * width * columns / sum(ratios) + heading + 0.05) + 0.35 + 0.35 * bool(legend)
    figure, axes = new_figure(rows, columns, size=(width * columns + 0.2, height), width_ratios=ratios)
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.04, wspace=0.01, hspace=0.01)
    return figure, axes


def draw_slice(panel, view, index, volume, window, stack, *, letters=True, scale_bar=False):
    """Draw one slice with outlines, orientation letters and a scale bar.

    Parameters
    ----------
    panel : Axes
    view : SliceView
    index : int
    volume : ndarray, shape (i, j, k)
    window : (float, float)
        Intensities shown as black and as white.
    stack : Stack or None
        Its masks are outlined, each by its role.
    letters, scale_bar : bool
    """
    show_picture(panel, view, view.cut(volume, index), cmap="gray", vmin=window[0], vmax=window[1])
    for name, role in stack.roles.items() if stack else ():
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
        The mask, as :meth:`~epitome_kit.plotting.slices.SliceView.cut` cuts it.
    role : str
        Key of :data:`~epitome_kit.plotting.style.MASK_ROLES`, which gives colour and line.
    width : float, default=1.4
        Points.
    """
    if not inside.any():
        return
    rows, columns = ((np.arange(n + 2) - 0.5) * size for n, size in zip(view.shape, view.pixel_size, strict=True))
    look = {"colors": [MASK_ROLES[role].colour], "linestyles": [MASK_ROLES[role].line], "linewidths": width}
    panel.contour(columns, rows, np.pad(inside, 1), levels=[0.5], **look)


def paint_voxels(panel: Axes, view: SliceView, inside: np.ndarray, role: str) -> None:
    """Colour the pixels of a boolean picture by their role, over what the panel shows."""
    layer = np.zeros((*inside.shape, 4))
    layer[inside] = (*to_rgb(MASK_ROLES[role].colour), 0.75)
    show_picture(panel, view, layer, interpolation="nearest")


def show_picture(panel, view, picture, **options):
    """Show rows and columns of a plane in mm, on black, with a gutter around."""
    down, across = view.size
    gutter = _gutter(view)
    drawn = panel.imshow(picture, extent=(0, across, down, 0), **options)
    panel.set(xlim=(-gutter, across + gutter), ylim=(down + gutter, -gutter), xticks=[], yticks=[], facecolor="black")
    panel.spines[:].set_visible(False)
    panel.set_anchor("N")
    return drawn


def finish(figure: Figure, title: str, roles: Mapping[str, str]) -> None:
    """Set the title of a figure, on more lines where it is narrow, and the legend of its masks: name to role."""
    if title:
        figure.suptitle(title, wrap=True)
    if roles:
        styles = [(name, *MASK_ROLES[role]) for name, role in roles.items()]
        handles = [Line2D([], [], color=colour, ls=line, lw=2, label=name) for name, colour, line in styles]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def draw_letters(panel, view):
    """Write the orientation around a picture, in its gutter."""
    (down, across), border = view.size, _gutter(view) / 2
    for side, x, y in (
        ("left", -border, down / 2),
        ("right", across + border, down / 2),
        ("top", across / 2, -border),
        ("bottom", across / 2, down + border),
    ):
        panel.text(x, y, view.letters[side], color="white", size=9, ha="center", va="center")


def draw_scale_bar(panel, view):
    """Draw a bar of a round length in mm, or in voxels where their size is unknown."""
    (down, across), gutter = view.size, _gutter(view)
    unit, size = ("mm", 1) if view.known else ("voxels", view.pixel_size[1])
    length = next((bar for bar in _BARS if bar * size <= across / 4), 1)
    middle, start = down + gutter / 2, -0.8 * gutter
    end = start + length * size
    panel.plot([start, end], [middle] * 2, color="white", lw=2, solid_capstyle="butt")
    panel.text(end + gutter / 6, middle, f"{length} {unit}", color="white", size=9, va="center")


def _gutter(view):
    """Width of the black border that holds the letters, in mm."""
    return 0.08 * max(view.size)
