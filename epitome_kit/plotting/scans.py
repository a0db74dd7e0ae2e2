"""Figures of scans: slices with outlines, orientation letters and a scale bar."""

import numpy as np
from matplotlib.colors import CenteredNorm
from matplotlib.patches import Patch

from epitome_kit.errors import ParameterError
from epitome_kit.plotting.panels import draw_slice, finish, image_axes, paint_voxels, show_picture
from epitome_kit.plotting.slices import PLANES, Stack, display_windows, slice_view, stack_images
from epitome_kit.plotting.style import MASK_ROLES, in_house_style


@in_house_style
def show_slices(images, masks=None, *, plane="axial", index=None, mm=None, window="robust", title=None):
    """Show one slice of each contrast, side by side, with mask outlines.

    Parameters
    ----------
    images : dict of str to image or path, or one of these
        Contrasts by name; all are brought onto the grid of the first.
    masks : dict of str to image or path, or one of these, optional
        Outlined on every contrast, each in the colour of its role
        (:data:`~epitome_kit.plotting.style.MASK_ROLES`): its name, or given as ``(mask, role)``.
    plane : {"axial", "coronal", "sagittal"}, default="axial"
    index : int, optional
        Array index of the slice. Default: the slice with most of the first
        mask, else the middle one.
    mm : float, optional
        World coordinate of the slice instead of `index`.
    window : {"robust", "shared"} or (float, float), default="robust"
        See :func:`~epitome_kit.plotting.slices.display_windows`.
    title : str, optional
        Stands before the position of the slice.

    Returns
    -------
    Figure

    Raises
    ------
    ParameterError
        No such plane or slice.
    ImageError
        A file cannot be read as a 3-D image.
    """
    stack = stack_images(images, masks, where="show_slices")
    view = slice_view(stack.grid, plane)
    if mm is not None:
        index = view.nearest(mm)
    index = _slice_index(stack, view, index)
    windows = display_windows(stack.volumes, window)
    width = min(3.4, 10.5 / len(stack.volumes))
    figure, axes = image_axes(1, len(stack.volumes), width, [view], legend=stack.masks)
    for position, (name, volume) in enumerate(stack.volumes.items()):
        draw_slice(axes[0, position], view, index, volume, windows[name], stack, scale_bar=position == 0)
        axes[0, position].set_title(name)
    finish(figure, _join(title, view.describe(index)), stack.roles)
    return figure


@in_house_style
def show_planes(image, masks=None, *, point=None, window="robust", title=None):
    """Show three planes through one point, which a cross-hair marks.

    Parameters
    ----------
    image : image or path
    masks : dict of str to image or path, or one of these, optional
    point : (int, int, int), optional
        Voxel (i, j, k). Default: the middle of the first mask, else of the grid.
    window, title
        See :func:`show_slices`.

    Returns
    -------
    Figure
    """
    stack = stack_images(image, masks, where="show_planes")
    ((name, volume),) = stack.volumes.items()
    window = display_windows(stack.volumes, window)[name]
    point = _middle(stack) if point is None else tuple(point)
    figure, axes, views = _plane_axes(stack, legend=stack.masks)
    for panel, view in zip(axes, views, strict=True):
        index = int(point[view.axis])
        draw_slice(panel, view, index, volume, window, stack, scale_bar=view.plane == "axial")
        row, column = ((place + 0.5) * size for place, size in zip(view.pixel(point), view.pixel_size, strict=True))
        panel.axhline(row, color="white", lw=0.6, alpha=0.6)
        panel.axvline(column, color="white", lw=0.6, alpha=0.6)
        panel.set_title(f"{view.plane}, {view.position(index)}")
    finish(figure, _join(title, "" if views[0].known else "voxel size unknown"), stack.roles)
    return figure


@in_house_style
def montage(image, masks=None, *, n=12, plane="axial", window="robust", title=None):
    """Show slices spread evenly over the scan.

    Parameters
    ----------
    image : image or path
    masks : dict of str to image or path, or one of these, optional
    n : int, default=12
        At most how many slices.
    plane, window, title
        See :func:`show_slices`.

    Returns
    -------
    Figure
    """
    stack = stack_images(image, masks, where="montage")
    view = slice_view(stack.grid, plane)
    ((name, volume),) = stack.volumes.items()
    window = display_windows(stack.volumes, window)[name]
    margin = view.count * 0.06
    indices = np.unique(np.linspace(margin, view.count - 1 - margin, min(n, view.count)).round().astype(int))
    indices = indices if view.step > 0 else indices[::-1]
    columns = min(6, len(indices))
    rows = -(-len(indices) // columns)
    figure, axes = image_axes(rows, columns, 10.5 / columns, [view], heading=0, legend=stack.masks)
    for position, panel in enumerate(axes.flat):
        if position >= len(indices):
            panel.set_visible(False)
            continue
        index = indices[position]
        draw_slice(panel, view, index, volume, window, stack, letters=position == 0, scale_bar=position == 1)
        place = view.position(index).partition(" = ")[2]
        panel.text(0.97, 0.97, place, transform=panel.transAxes, color="white", size=9, ha="right", va="top")
    axis = view.position(0).partition(" = ")[0]
    finish(figure, _join(title, f"{len(indices)} of {view.count} {plane} slices, labelled by {axis}"), stack.roles)
    return figure


@in_house_style
def before_after(
    before,
    after,
    masks=None,
    *,
    labels=("before", "after"),
    compare="difference",
    plane="axial",
    index=None,
    window="shared",
    title=None,
):
    """Show a scan before and after a step, and what the step changed.

    Parameters
    ----------
    before, after : image or path
        `after` is brought onto the grid of `before`.
    masks : dict of str to image or path, or one of these, optional
        Outlined; the first also chooses the slice, and limits a ratio.
    labels : (str, str), default=("before", "after")
    compare : {"difference", "ratio", None}, default="difference"
        Third panel: after minus before, after divided by before, or nothing.
    plane, index, title
        See :func:`show_slices`.
    window : {"shared", "robust"} or (float, float), default="shared"
        ``"robust"`` where the two have no common scale of intensity.

    Returns
    -------
    Figure
    """
    if compare not in ("difference", "ratio", None):
        raise ParameterError("before_after", "`difference`, `ratio` or None", repr(compare), "use `difference`")
    stack = stack_images(dict(zip(labels, (before, after), strict=True)), masks, where="before_after")
    view = slice_view(stack.grid, plane)
    index = _slice_index(stack, view, index)
    windows = display_windows(stack.volumes, window)
    figure, axes = image_axes(1, 3 if compare else 2, 3.4, [view], legend=stack.masks)
    for position, (name, volume) in enumerate(stack.volumes.items()):
        draw_slice(axes[0, position], view, index, volume, windows[name], stack, scale_bar=position == 0)
        axes[0, position].set_title(name)
    if compare:
        first, second = (view.cut(volume, index) for volume in stack.volumes.values())
        worth = next((view.cut(mask, index) for mask in stack.masks.values()), first > 0.05 * windows[labels[0]][1])
        change = second - first if compare == "difference" else _ratio(second, first, worth)
        _draw_change(figure, axes[0, 2], view, change, compare, labels)
    finish(figure, _join(title, view.describe(index)), stack.roles)
    return figure


@in_house_style
def missed_and_extra(answer, truth, image=None, *, what="mask"):
    """Colour the voxels that a mask missed and those it has too many.

    Parameters
    ----------
    answer, truth : image or path
        Masks on one grid.
    image : image or path, optional
        Scan to draw on; without it, the truth is drawn in grey.
    what : str, default="mask"
        What the masks show, for the title.

    Returns
    -------
    Figure
        Three planes, each where the masks differ most.
    """
    stack = stack_images(
        truth if image is None else image, {"answer": answer, "truth": truth}, where="missed_and_extra"
    )
    held = stack.masks["answer"] | stack.masks["truth"]
    stack = stack.crop(held if held.any() else ~held)
    answer, truth = stack.masks["answer"], stack.masks["truth"]
    ((name, volume),) = stack.volumes.items()
    window = (0, 2) if image is None else display_windows(stack.volumes)[name]
    wrong = Stack(stack.grid, {}, {"wrong": answer != truth, "truth": truth})
    figure, axes, views = _plane_axes(stack, legend=True)
    for panel, view in zip(axes, views, strict=True):
        index = wrong.busiest(view)
        draw_slice(panel, view, index, volume, window, None, scale_bar=view.plane == "axial")
        paint_voxels(panel, view, view.cut(truth & ~answer, index), "missed")
        paint_voxels(panel, view, view.cut(answer & ~truth, index), "extra")
        panel.set_title(f"{view.plane}, {view.position(index)}" if view.known else view.plane)
    missed, extra = np.count_nonzero(truth & ~answer), np.count_nonzero(answer & ~truth)
    handles = [
        Patch(color=MASK_ROLES["missed"].colour, label=f"missed: {missed:,} voxels"),
        Patch(color=MASK_ROLES["extra"].colour, label=f"extra: {extra:,} voxels"),
    ]
    figure.suptitle(f"{what}: the answer against the truth")
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


@in_house_style
def epitome_sheet(images, mask, lines, *, title="Epitome of the tumour"):
    """Show the crop of a tumour in three planes, with its size beside it.

    Parameters
    ----------
    images : dict of str to image or path
        Crops by contrast.
    mask : image or path
        Crop of the tumour mask.
    lines : sequence of str
        What is said of the tumour, one fact a line.
    title : str, default="Epitome of the tumour"

    Returns
    -------
    Figure
    """
    stack = stack_images(images, {"tumour": mask}, where="epitome_sheet")
    views = [slice_view(stack.grid, plane) for plane in PLANES]
    windows = display_windows(stack.volumes)
    point = _middle(stack)
    figure, axes = image_axes(len(stack.volumes), 4, 2.1, views, legend=True, text_column=True)
    for row, (name, volume) in enumerate(stack.volumes.items()):
        for column, view in enumerate(views):
            panel = axes[row, column]
            index = point[view.axis]
            draw_slice(panel, view, index, volume, windows[name], stack, scale_bar=row == column == 0)
            panel.set_title(f"{name}, {view.plane}")
        axes[row, 3].set_axis_off()
    axes[0, 3].text(0.04, 1, "\n".join(lines), va="top", size=10.5, linespacing=1.7, transform=axes[0, 3].transAxes)
    finish(figure, title, stack.roles)
    return figure


def _slice_index(stack, view, index):
    if index is None:
        return stack.busiest(view)
    if not 0 <= index < view.count:
        raise ParameterError(
            "figures", f"a {view.plane} slice from 0 to {view.count - 1}", repr(index), "choose another `index`"
        )
    return int(index)


def _plane_axes(stack, *, legend):
    views = [slice_view(stack.grid, plane) for plane in PLANES]
    figure, axes = image_axes(1, 3, 3.4, views, legend=legend)
    return figure, axes[0], views


def _draw_change(figure, panel, view, change, compare, labels):
    middle = 0 if compare == "difference" else 1
    away = np.abs(change[np.isfinite(change)] - middle)
    half = float(np.percentile(away, 99.5)) if away.any() else 1.0
    drawn = show_picture(panel, view, change, cmap="berlin", norm=CenteredNorm(middle, half))
    sign, unit = ("−", "intensity") if compare == "difference" else ("/", "ratio")
    panel.set_title(f"{labels[1]} {sign} {labels[0]}")
    bar = figure.colorbar(
        drawn, ax=panel, shrink=0.8, pad=0.02, label=unit, extend="both", anchor=(0, 1), panchor=False
    )
    bar.outline.set_visible(False)


def _ratio(above, below, worth):
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = above / below
    return np.where(worth & np.isfinite(ratio), ratio, np.nan)


def _join(title, position):
    return ": ".join(part for part in (title, position) if part)


def _middle(stack):
    """Voxel in the middle of the first mask that holds any, else of the grid."""
    for mask in stack.masks.values():
        if mask.any():
            return tuple(round(float(places.mean())) for places in np.nonzero(mask))
    return tuple(length // 2 for length in stack.grid.shape)
