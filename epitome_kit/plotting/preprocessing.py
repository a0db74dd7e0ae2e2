"""Draw the effects of preprocessing steps and their settings."""

from collections.abc import Iterable, Mapping, Sequence

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm

from epitome_kit.errors import ParameterError
from epitome_kit.images import ImageLike, load_image, load_mask, new_image_like, voxel_size_known
from epitome_kit.metrics import dice
from epitome_kit.plotting.panels import draw_letters, draw_scale_bar, draw_slice, finish, image_axes, show_picture
from epitome_kit.plotting.slices import SliceView, display_windows, slice_view, stack_images
from epitome_kit.plotting.style import BLUE, GREEN, GREY, ORANGE, DescribedFigure, in_house_style, new_figure
from epitome_kit.preprocess.quality import log_residual_sd, split_correction_error
from epitome_kit.preprocess.skull_stripping import THRESHOLD, mask_above

_BAR_WIDTH = 1.0

_OUTLINED = (0.1, THRESHOLD, 0.9)
_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

_ABLATED = (
    (("brain_mask_dice", "Mask", "Dice with the truth"), ("template_dice", "Mask", "Dice with the template's brain")),
    (
        ("bias_residual_sd", "Residual bias", "sd of the log ratio to the truth"),
        ("asymmetry", "Left–right asymmetry", "slow difference (robust sd)"),
    ),
    (
        ("registration_error_mm", "Registration", "mean error in the brain (mm)"),
        ("agreement", "Agreement", "correlation with the others"),
    ),
    (("brightness_offset", "Brightness", "offset of the median (robust sd)"),),
)
"""Measures of each panel (name, heading, unit), of which the first with values is drawn."""


@in_house_style
def strip_thresholds(
    image: ImageLike,
    probability: ImageLike,
    truth: ImageLike | None = None,
    *,
    title: str = "Threshold of the skull strip",
) -> DescribedFigure:
    """Draw the brain outline at three thresholds, and size and overlap against the threshold.

    Parameters
    ----------
    image : image or path
    probability : image or path
        Brain probability on the grid of `image`.
    truth : image or path, optional
        True mask, to draw Dice.
    title : str, default="Threshold of the skull strip"

    Returns
    -------
    DescribedFigure
    """
    likely = load_image(probability, where="strip_thresholds", check_voxels=False)
    masks = {threshold: np.asarray(mask_above(likely, threshold).dataobj) > 0 for threshold in _THRESHOLDS}
    outlined = {
        f"above {threshold:g}": new_image_like(masks[threshold].astype(np.uint8), likely) for threshold in _OUTLINED
    }
    stack = stack_images({"scan": image}, outlined, where="strip_thresholds")
    view = slice_view(stack.grid)
    ratios = [1.3, 1] if truth is None else [1.3, 1, 1]
    figure, ((panel, *charts),) = new_figure(1, len(ratios), size=(10.5, 4), width_ratios=ratios)
    window = display_windows(stack.volumes)["scan"]
    index = stack.busiest(view)
    draw_slice(panel, view, index, stack.volumes["scan"], window, stack, scale_bar=True)
    panel.set_title(view.describe(index))
    known = voxel_size_known(stack.grid)
    scale = np.prod(nib.affines.voxel_sizes(stack.grid.affine)) / 1000 if known else 1
    _draw_curve(charts[0], _THRESHOLDS, [int(np.count_nonzero(mask)) * scale for mask in masks.values()])
    charts[0].set(ylabel="brain (mL)" if known else "brain (voxels)", ylim=(0, None))
    if truth is not None:
        true = np.asarray(load_mask(truth, like=likely, where="strip_thresholds").dataobj) > 0
        charts[0].axhline(np.count_nonzero(true) * scale, color=GREEN, lw=1.5, ls="--", label="truth")
        charts[0].legend()
        _draw_curve(charts[1], _THRESHOLDS, [dice(mask, true) for mask in masks.values()])
        charts[1].set(ylabel="Dice with the truth")
    for chart in charts:
        chart.set(xlabel="threshold of the brain probability", xlim=(0, 1))
        chart.axvline(THRESHOLD, color=GREY, lw=1, ls=":")
    finish(figure, title, stack.roles)
    return figure


@in_house_style
def bias_levels(
    image: ImageLike,
    fields: Sequence[ImageLike],
    mask: ImageLike,
    truth: ImageLike | None = None,
    *,
    title: str = "Levels of detail",
) -> DescribedFigure:
    """Draw the N4 fields for an increasing number of levels of detail, and the residual bias.

    Parameters
    ----------
    image : image or path
    fields : sequence of image or path
        Fields found with one level, with two, and so on.
    mask : image or path
        Brain mask; the fields are shown and measured inside.
    truth : image or path, optional
        True field. Without it the strength of each field is drawn.
    title : str, default="Levels of detail"

    Returns
    -------
    DescribedFigure
    """
    chosen = {
        f"{count} level{'s' * (count > 1)}": fields[count - 1]
        for count in sorted({1, min(3, len(fields)), len(fields)})
    }
    shown = chosen if truth is None else {"truth": truth, **chosen}
    scan = load_image(image, where="bias_levels")
    stack = stack_images({"scan": scan, **shown}, {"brain": mask}, where="bias_levels")
    view = slice_view(stack.grid)
    index, inside = stack.busiest(view), stack.masks["brain"]
    figure, axes = image_axes(1, len(shown) + 1, 2.6, [view])
    cuts = {name: np.where(inside, np.log(stack.volumes[name]), np.nan) for name in shown}
    _draw_logs(figure, axes[0, : len(shown)], view, [(name, view.cut(cut, index)) for name, cut in cuts.items()])
    found = [np.ones(inside.shape), *(np.asarray(load_image(field).dataobj, float) for field in fields)]
    true = np.ones(inside.shape) if truth is None else stack.volumes["truth"]
    residuals = [log_residual_sd(field[inside], true[inside]) for field in found]
    chart = axes[0, -1]
    _draw_curve(chart, range(len(found)), residuals)
    measure = "sd of the log field" if truth is None else "residual bias (sd of the log)"
    chart.set(xlabel="levels (0: no correction)", ylabel=measure, ylim=(0, None), xticks=range(len(found)))
    finish(figure, f"{title}: {view.describe(index)}", {})
    return figure


@in_house_style
def compare_corrections(
    image: ImageLike,
    outputs: Mapping[str, ImageLike],
    field: ImageLike,
    mask: ImageLike,
    *,
    title: str = "Corrections of brightness",
) -> DescribedFigure:
    """Show the output of each bias correction, and its error relative to the scan without bias.

    Parameters
    ----------
    image : image or path
        Scan with bias.
    outputs : dict of str to image or path
        Output of each correction by name.
    field : image or path
        True bias field.
    mask : image or path
        Brain mask; errors are shown and measured inside.
    title : str, default="Corrections of brightness"

    Returns
    -------
    DescribedFigure
        Upper row: the scans. Lower row: the logarithm of the ratio of each to
        the scan without bias, with the numbers of
        :func:`~epitome_kit.preprocess.quality.split_correction_error`.
    """
    scan = load_image(image, where="compare_corrections")
    stack = stack_images({"scan": scan, **outputs}, {"brain": mask}, where="compare_corrections")
    view = slice_view(stack.grid)
    index, inside = stack.busiest(view), stack.masks["brain"]
    window = display_windows(stack.volumes, "shared")["scan"]
    figure, axes = image_axes(2, len(stack.volumes), 3.2, [view], heading=0.5)
    clean = np.asarray(scan.dataobj, np.float32) / np.asarray(load_image(field).dataobj, np.float32)
    errors = []
    for position, (name, volume) in enumerate(stack.volumes.items()):
        draw_slice(axes[0, position], view, index, volume, window, None, scale_bar=position == 0)
        axes[0, position].set_title(name)
        residual, changed = split_correction_error(new_image_like(volume, scan), scan, field, mask)
        positive = inside & (volume > 0) & (clean > 0)
        error = np.log(np.divide(volume, clean, out=np.ones_like(volume), where=positive))
        heading = f"residual bias {residual:.3f}\nchange of detail {changed:.3f}"
        errors.append((heading, view.cut(np.where(positive, error, np.nan), index)))
    _draw_logs(figure, axes[1], view, errors)
    finish(figure, f"{title}: {view.describe(index)}", {})
    return figure


@in_house_style
def ablation_chart(table: pd.DataFrame, *, title: str = "Each step left out in turn") -> DescribedFigure:
    """Draw the quality of preprocessing without each of its steps, one point per subject.

    Parameters
    ----------
    table : DataFrame
        Table returned by :func:`~epitome_kit.preprocess.ablation.leave_out_each_step`.
    title : str, default="Each step left out in turn"

    Returns
    -------
    DescribedFigure
        One panel per measure; measures that need no truth are drawn if the
        truth is unknown. Orange bars are the medians of the variants, the
        dotted line that of all steps.

    Raises
    ------
    ParameterError
        No measure has values.
    """
    found = [next((choice for choice in choices if table[choice[0]].notna().any()), None) for choices in _ABLATED]
    panels = [choice for choice in found if choice is not None]
    if not panels:
        raise ParameterError("ablation_chart", "a measure", "none in any row", "read `excluded.tsv` of the ablation")
    variants = list(dict.fromkeys(table["left_out"]))
    figure, axes = new_figure(1, len(panels), size=(2.75 * len(panels), 3.4), sharey=True)
    for axis, (name, heading, unit) in zip(axes[0], panels, strict=True):
        for row, variant in enumerate(variants):
            values = table.loc[table["left_out"] == variant, name].dropna()
            if values.empty:
                axis.text(0.5, row, "failed", transform=axis.get_yaxis_transform(), ha="center", va="center")
                continue
            axis.plot(values, np.full(len(values), row), "o", color=BLUE, alpha=0.5, ms=6)
            axis.plot([values.median()] * 2, [row - 0.3, row + 0.3], color=ORANGE, lw=3)
            if variant == "none":
                axis.axvline(values.median(), color=GREY, lw=1, ls=":")
        axis.set(xlabel=unit, yticks=range(len(variants)))
        axis.set_title(heading)
        axis.grid(axis="x")
    axes[0, 0].set_yticklabels(["all steps" if variant == "none" else f"without {variant}" for variant in variants])
    axes[0, 0].invert_yaxis()
    figure.suptitle(f"{title}, n = {table['participant_id'].nunique()} subjects, medians in orange")
    return figure


def _draw_curve(axis: Axes, x: Iterable[float], y: Sequence[float]) -> None:
    axis.plot(list(x), y, "o-", color=BLUE, ms=5)
    axis.grid()


def _draw_logs(
    figure: DescribedFigure, panels: np.ndarray, view: SliceView, pictures: Sequence[tuple[str, np.ndarray]]
) -> None:
    """Draw logarithms of ratios as ratios, in one range of colours around 1."""
    away = np.concatenate([np.abs(picture[np.isfinite(picture)]) for _, picture in pictures])
    half = max(float(np.percentile(away, 98)) if away.size else 0, 0.05)
    for panel, (name, picture) in zip(panels, pictures, strict=True):
        drawn = show_picture(panel, view, picture, cmap="berlin", norm=CenteredNorm(0, half))
        draw_letters(panel, view)
        panel.set_title(name)
    draw_scale_bar(panels[0], view)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width + _BAR_WIDTH, height)
    bar = figure.colorbar(
        drawn, ax=list(panels), shrink=0.8, pad=0.02, extend="both", label="ratio", anchor=(0, 1), panchor=False
    )
    ticks = np.linspace(-half, half, 5)
    bar.set_ticks(ticks.tolist(), labels=[f"{np.exp(tick):.2f}" for tick in ticks])
    bar.outline.set_visible(False)
