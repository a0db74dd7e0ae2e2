"""Panels: one slice on black, in mm, with outlines, orientation letters and a scale bar."""

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from epitome_kit.plotting.style import mask_colours, new_figure

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


def draw_slice(panel, view, index, volume, window, masks, *, letters=True, scale_bar=False):
    """Draw one slice with outlines, orientation letters and a scale bar.

    Parameters
    ----------
    panel : Axes
    view : SliceView
    index : int
    volume : ndarray, shape (i, j, k)
    window : (float, float)
        Intensities shown as black and as white.
    masks : dict of str to ndarray of bool
        Outlined in the colours of :func:`~epitome_kit.plotting.style.mask_colours`.
    letters, scale_bar : bool
    """
    show_picture(panel, view, view.cut(volume, index), cmap="gray", vmin=window[0], vmax=window[1])
    rows, columns = ((np.arange(n + 2) - 0.5) * size for n, size in zip(view.shape, view.pixel_size, strict=True))
    for name, colour in mask_colours(masks).items():
        inside = np.pad(view.cut(masks[name], index), 1)
        if inside.any():
            panel.contour(columns, rows, inside, levels=[0.5], colors=[colour], linewidths=1.4)
    if letters:
        draw_letters(panel, view)
    if scale_bar:
        draw_scale_bar(panel, view)


def paint_voxels(panel, view, inside, colour):
    """Colour the pixels of a boolean picture, over what the panel shows."""
    layer = np.zeros((*inside.shape, 4))
    layer[inside] = (*to_rgb(colour), 0.75)
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


def finish(figure, title, masks):
    """Set the title of a figure, on more lines where it is narrow, and the legend of its masks."""
    if title:
        figure.suptitle(title, wrap=True)
    if masks:
        handles = [Line2D([], [], color=colour, lw=2, label=name) for name, colour in mask_colours(masks).items()]
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
