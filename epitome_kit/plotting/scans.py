"""Draw slices of scans with outlines, orientation letters and a scale bar."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm
from matplotlib.patches import Patch

from epitome_kit.errors import ParameterError
from epitome_kit.images import ImageLike
from epitome_kit.plotting.panels import draw_slice, finish, image_axes, paint_voxels, show_picture
from epitome_kit.plotting.slices import (
    PLANES,
    ImagesLike,
    MasksLike,
    SliceView,
    Stack,
    Window,
    display_windows,
    slice_view,
    stack_images,
)
from epitome_kit.plotting.style import MASK_ROLES, DescribedFigure, in_house_style


@in_house_style
def show_slices(
    images: ImagesLike,
    masks: MasksLike | None = None,
    *,
    plane: str = "axial",
    index: int | None = None,
    mm: float | None = None,
    window: Window = "robust",
    title: str | None = None,
) -> DescribedFigure:
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
        Array index of the slice. Default: the slice with the largest area of
        the first mask, else the middle one.
    mm : float, optional
        World coordinate of the slice, in place of `index`.
    window : {"robust", "shared"} or (float, float), default="robust"
        See :func:`~epitome_kit.plotting.slices.display_windows`.
    title : str, optional
        Text before the position of the slice.

    Returns
    -------
    DescribedFigure

    Raises
    ------
    ParameterError
        The plane or the slice does not exist.
    ImageError
        A file cannot be read as a 3-D image.
    """
    stack = stack_images(images, masks, where="show_slices")
    view = slice_view(stack.grid, plane)
    index = _slice_index(stack, view, index if mm is None else view.nearest(mm))
    windows = display_windows(stack.volumes, window)
    width = min(3.4, 10.5 / len(stack.volumes))
    figure, axes = image_axes(1, len(stack.volumes), width, [view], legend=bool(stack.masks))
    for position, (name, volume) in enumerate(stack.volumes.items()):
        draw_slice(axes[0, position], view, index, volume, windows[name], stack, scale_bar=position == 0)
        axes[0, position].set_title(name)
    finish(figure, _join(title, view.describe(index)), stack.roles)
    return figure


@in_house_style
def show_planes(
    image: ImagesLike,
    masks: MasksLike | None = None,
    *,
    point: Sequence[int] | None = None,
    window: Window = "robust",
    title: str | None = None,
) -> DescribedFigure:
    """Show three planes through one point, with a cross-hair.

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
    DescribedFigure
    """
    stack = stack_images(image, masks, where="show_planes")
    ((name, volume),) = stack.volumes.items()
    levels = display_windows(stack.volumes, window)[name]
    i, j, k = _middle(stack) if point is None else point
    figure, axes, views = _plane_axes(stack, legend=bool(stack.masks))
    for panel, view in zip(axes, views, strict=True):
        index = int((i, j, k)[view.axis])
        draw_slice(panel, view, index, volume, levels, stack, scale_bar=view.plane == "axial")
        row, column = (np.array(view.pixel((i, j, k))) + 0.5) * view.pixel_size
        panel.axhline(row, color="white", lw=0.6, alpha=0.6)
        panel.axvline(column, color="white", lw=0.6, alpha=0.6)
        panel.set_title(f"{view.plane}, {view.position(index)}")
    finish(figure, _join(title, "" if views[0].known else "voxel size unknown"), stack.roles)
    return figure


@in_house_style
def montage(
    image: ImageLike,
    masks: MasksLike | None = None,
    *,
    n: int = 12,
    plane: str = "axial",
    window: Window = "robust",
    title: str | None = None,
) -> DescribedFigure:
    """Show slices at equal distances through the scan.

    Parameters
    ----------
    image : image or path
    masks : dict of str to image or path, or one of these, optional
    n : int, default=12
        Maximum number of slices.
    plane, window, title
        See :func:`show_slices`.

    Returns
    -------
    DescribedFigure
    """
    stack = stack_images(image, masks, where="montage")
    view = slice_view(stack.grid, plane)
    ((name, volume),) = stack.volumes.items()
    levels = display_windows(stack.volumes, window)[name]
    margin = view.count * 0.06
    indices = np.unique(np.linspace(margin, view.count - 1 - margin, min(n, view.count)).round().astype(int))
    indices = indices if view.step > 0 else indices[::-1]
    columns = min(6, len(indices))
    rows = -(-len(indices) // columns)
    figure, axes = image_axes(rows, columns, 10.5 / columns, [view], heading=0, legend=bool(stack.masks))
    for position, panel in enumerate(axes.flat):
        if position >= len(indices):
            panel.set_visible(False)
            continue
        index = int(indices[position])
        draw_slice(panel, view, index, volume, levels, stack, letters=position == 0, scale_bar=position == 1)
        place = view.position(index).partition(" = ")[2]
        panel.text(0.97, 0.97, place, transform=panel.transAxes, color="white", size=9, ha="right", va="top")
    axis = view.position(0).partition(" = ")[0]
    finish(figure, _join(title, f"{len(indices)} of {view.count} {plane} slices, labelled by {axis}"), stack.roles)
    return figure


@in_house_style
def before_after(
    before: ImageLike,
    after: ImageLike,
    masks: MasksLike | None = None,
    *,
    labels: tuple[str, str] = ("before", "after"),
    compare: str | None = "difference",
    index: int | None = None,
    window: Window = "shared",
    title: str | None = None,
) -> DescribedFigure:
    """Show an axial slice of a scan before and after a step, and the change.

    Parameters
    ----------
    before, after : image or path
        `after` is brought onto the grid of `before`.
    masks : dict of str to image or path, or one of these, optional
        Outlined; the first also determines the slice and the region of a ratio.
    labels : (str, str), default=("before", "after")
    compare : {"difference", "ratio", None}, default="difference"
        Third panel: after minus before, after divided by before, or nothing.
    index, title
        See :func:`show_slices`.
    window : {"shared", "robust"} or (float, float), default="shared"
        Use ``"robust"`` if the two have no common scale of intensity.

    Returns
    -------
    DescribedFigure
    """
    if compare not in ("difference", "ratio", None):
        raise ParameterError("before_after", "`difference`, `ratio` or None", repr(compare), "use `difference`")
    stack = stack_images(dict(zip(labels, (before, after), strict=True)), masks, where="before_after")
    view = slice_view(stack.grid)
    index = _slice_index(stack, view, index)
    windows = display_windows(stack.volumes, window)
    figure, axes = image_axes(1, 3 if compare else 2, 3.4, [view], legend=bool(stack.masks))
    for position, (name, volume) in enumerate(stack.volumes.items()):
        draw_slice(axes[0, position], view, index, volume, windows[name], stack, scale_bar=position == 0)
        axes[0, position].set_title(name)
    if compare:
        first, second = (view.cut(volume, index) for volume in stack.volumes.values())
        inside = next((view.cut(mask, index) for mask in stack.masks.values()), first > 0.05 * windows[labels[0]][1])
        change = second - first if compare == "difference" else _ratio(second, first, inside)
        _draw_change(figure, axes[0, 2], view, change, compare, labels)
    finish(figure, _join(title, view.describe(index)), stack.roles)
    return figure


@in_house_style
def missed_and_extra(
    answer: ImageLike, truth: ImageLike, image: ImageLike | None = None, *, what: str = "mask"
) -> DescribedFigure:
    """Colour the voxels that a mask misses and those that it has in excess.

    Parameters
    ----------
    answer, truth : image or path
        Mask to check and true mask, on one grid.
    image : image or path, optional
        Scan to draw on. By default the truth is drawn in grey.
    what : str, default="mask"
        Name of the masks, for the title.

    Returns
    -------
    DescribedFigure
        Three planes, each through the slice where the masks differ most.
    """
    stack = stack_images(
        truth if image is None else image, {"answer": answer, "truth": truth}, where="missed_and_extra"
    )
    either = stack.masks["answer"] | stack.masks["truth"]
    stack = stack.crop(either if either.any() else ~either)
    found, true = stack.masks["answer"], stack.masks["truth"]
    missed, extra = true & ~found, found & ~true
    ((name, volume),) = stack.volumes.items()
    window = (0, 2) if image is None else display_windows(stack.volumes)[name]
    wrong = Stack(stack.grid, {}, {"wrong": found != true, "truth": true})
    figure, axes, views = _plane_axes(stack, legend=True)
    for panel, view in zip(axes, views, strict=True):
        index = wrong.busiest(view)
        draw_slice(panel, view, index, volume, window, None, scale_bar=view.plane == "axial")
        paint_voxels(panel, view, view.cut(missed, index), "missed")
        paint_voxels(panel, view, view.cut(extra, index), "extra")
        panel.set_title(f"{view.plane}, {view.position(index)}" if view.known else view.plane)
    handles = [
        Patch(color=MASK_ROLES["missed"].colour, label=f"missed: {np.count_nonzero(missed):,} voxels"),
        Patch(color=MASK_ROLES["extra"].colour, label=f"extra: {np.count_nonzero(extra):,} voxels"),
    ]
    figure.suptitle(f"{what}: your answer compared with the truth")
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


@in_house_style
def epitome_sheet(
    images: Mapping[str, ImageLike], mask: ImageLike, lines: Sequence[str], *, title: str = "Epitome of the tumour"
) -> DescribedFigure:
    """Show the cropped tumour in three planes, with a list of facts.

    Parameters
    ----------
    images : dict of str to image or path
        Crops by contrast.
    mask : image or path
        Crop of the tumour mask.
    lines : sequence of str
        Facts about the tumour, one per line.
    title : str, default="Epitome of the tumour"

    Returns
    -------
    DescribedFigure
    """
    stack = stack_images(images, {"tumour": mask}, where="epitome_sheet")
    views = [slice_view(stack.grid, plane) for plane in PLANES]
    windows = display_windows(stack.volumes)
    point = _middle(stack)
    figure, axes = image_axes(len(stack.volumes), 4, 2.1, views, legend=True, text_column=True)
    for row, (name, volume) in enumerate(stack.volumes.items()):
        for column, view in enumerate(views):
            panel = axes[row, column]
            draw_slice(panel, view, point[view.axis], volume, windows[name], stack, scale_bar=row == column == 0)
            panel.set_title(f"{name}, {view.plane}")
        axes[row, 3].set_axis_off()
    axes[0, 3].text(0.04, 1, "\n".join(lines), va="top", size=10.5, linespacing=1.7, transform=axes[0, 3].transAxes)
    finish(figure, title, stack.roles)
    return figure


def _slice_index(stack: Stack, view: SliceView, index: int | None) -> int:
    if index is None:
        return stack.busiest(view)
    if not 0 <= index < view.count:
        raise ParameterError(
            "figures", f"a {view.plane} slice from 0 to {view.count - 1}", repr(index), "choose another `index`"
        )
    return int(index)


def _plane_axes(stack: Stack, *, legend: bool) -> tuple[DescribedFigure, np.ndarray, list[SliceView]]:
    views = [slice_view(stack.grid, plane) for plane in PLANES]
    figure, axes = image_axes(1, 3, 3.4, views, legend=legend)
    return figure, axes[0], views


def _draw_change(
    figure: DescribedFigure, panel: Axes, view: SliceView, change: np.ndarray, compare: str, labels: tuple[str, str]
) -> None:
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


def _ratio(above: np.ndarray, below: np.ndarray, inside: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = above / below
    return np.where(inside & np.isfinite(ratio), ratio, np.nan)


def _join(title: str | None, position: str) -> str:
    return ": ".join(part for part in (title, position) if part)


def _middle(stack: Stack) -> tuple[int, ...]:
    """Return the voxel in the middle of the first mask that has voxels, else of the grid."""
    for mask in stack.masks.values():
        if mask.any():
            return tuple(round(float(places.mean())) for places in np.nonzero(mask))
    return tuple(length // 2 for length in stack.grid.shape)
