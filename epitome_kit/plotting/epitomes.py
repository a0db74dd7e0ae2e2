"""Draw learned epitomes, tumours reconstructed from them, and how well they fit."""

from collections.abc import Sequence

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import CenteredNorm, Normalize

from epitome_kit.epitome.model import LearnedEpitome
from epitome_kit.files import Json
from epitome_kit.plotting.panels import draw_letters, draw_outline, draw_scale_bar, finish, image_axes, show_picture
from epitome_kit.plotting.slices import Stack, slice_view
from epitome_kit.plotting.style import (
    BLUE,
    CLASS_COLOURS,
    CLASS_MARKERS,
    GREY,
    ORANGE,
    DescribedFigure,
    in_house_style,
    new_figure,
)

UNIT = "robust sd"
"""Unit of normalised intensity: 0 is the median of the brain, 1 its robust standard deviation."""

METHOD_NAMES = {"epitome": "epitome", "kmeans": "k-means", "random": "random patches"}
"""Names of the codebooks in charts."""

_WIDTH = 10.5

_Strip = tuple[str, np.ndarray, str, Normalize, str]
"""Label, volume, colour map, norm and unit of a row of slices."""


@in_house_style
def epitome_picture(epitome: LearnedEpitome, *, title: str = "Learned epitome") -> DescribedFigure:
    """Show all slices of a learned epitome: the mean and the variance of each contrast.

    Parameters
    ----------
    epitome : LearnedEpitome
    title : str, default="Learned epitome"

    Returns
    -------
    DescribedFigure
        A row with a colour bar for each mean and variance: the slices along the
        third axis from left to right, oriented as axial slices of a scan. The
        epitome wraps around: opposite sides of a slice continue each other.
    """
    rows: list[_Strip] = []
    for number, contrast in enumerate(epitome.contrasts):
        mean, variance = epitome.mean[..., number], epitome.variance[..., number]
        rows += [(f"{contrast}, mean", mean, "gray", _window(mean), UNIT)]
        rows += [(f"{contrast}, variance", variance, "viridis", Normalize(0, np.percentile(variance, 99)), f"{UNIT}²")]
    figure = _strips(rows)
    sides = " × ".join(map(str, epitome.usage.shape))
    figure.suptitle(f"{title}: {sides} voxels, learned from patches of {' × '.join(map(str, epitome.patch))}")
    return figure


@in_house_style
def epitome_difference(
    negative: LearnedEpitome,
    positive: LearnedEpitome,
    *,
    names: Sequence[str] = ("grade 2", "grade 3"),
    counts: Sequence[int] | None = None,
    title: str = "Epitomes",
) -> DescribedFigure:
    """Show the epitomes of two classes, slice under slice, and their difference.

    Parameters
    ----------
    negative, positive : LearnedEpitome
        Epitomes learned from the same initial one, so that their voxels correspond.
    names : (str, str), default=("grade 2", "grade 3")
        Names of the classes.
    counts : (int, int), default=None
        Number of subjects from which each was learned.
    title : str, default="Epitomes"

    Returns
    -------
    DescribedFigure
        Three rows for each contrast, with colour bars: the mean of the negative
        class, that of the positive class, and positive minus negative.
    """
    rows: list[_Strip] = []
    for number, contrast in enumerate(negative.contrasts):
        low, high = negative.mean[..., number], positive.mean[..., number]
        window, change = _window(np.stack([low, high])), high - low
        rows += [
            (f"{contrast}\n{name}", mean, "gray", window, UNIT) for name, mean in zip(names, (low, high), strict=True)
        ]
        limit = CenteredNorm(0, max(float(np.percentile(np.abs(change), 99)), 1e-6))
        rows += [(f"{contrast}\ndifference", change, "berlin", limit, UNIT)]
    figure = _strips(rows)
    numbers = f", n = {counts[0]} and {counts[1]} subjects" if counts is not None else ""
    figure.suptitle(f"{title}: {names[0]}, {names[1]}, and {names[1]} minus {names[0]}{numbers}")
    return figure


@in_house_style
def rebuilt_tumour(
    scans: np.ndarray,
    rebuilt: np.ndarray,
    mask: np.ndarray,
    affine: np.ndarray,
    contrasts: Sequence[str],
    *,
    title: str = "Rebuilt from the epitome",
) -> DescribedFigure:
    """Show a tumour and its reconstruction from an epitome.

    Parameters
    ----------
    scans, rebuilt : ndarray, shape (i, j, k, contrasts)
        Scans, and the output of :func:`epitome_kit.epitome.model.reconstruct`.
    mask : ndarray of bool, shape (i, j, k)
        Tumour mask.
    affine : ndarray, shape (4, 4)
    contrasts : sequence of str
        Names along the last axis.
    title : str, default="Rebuilt from the epitome"

    Returns
    -------
    DescribedFigure
        A row for each contrast, the axial slice with the largest tumour area:
        scan, reconstruction, and reconstruction minus scan, with the mean
        squared error inside the tumour.
    """
    covered = np.isfinite(rebuilt)
    parts = {
        f"{name} {number}": part[..., number]
        for number in range(len(contrasts))
        for name, part in (("scan", np.where(covered, scans, np.nan)), ("rebuilt", rebuilt))
    }
    stack = Stack(nib.Nifti1Image(mask.astype(np.uint8), affine), parts, {"tumour": mask}).crop(
        covered.any(-1), margin_mm=3
    )
    view = slice_view(stack.grid)
    index = stack.busiest(view)
    figure, axes = image_axes(len(contrasts), 3, 3.2, [view], legend=True)
    for number, (panels, contrast) in enumerate(zip(axes, contrasts, strict=True)):
        before, after = (stack.volumes[f"{name} {number}"] for name in ("scan", "rebuilt"))
        error = np.mean((after - before)[stack.masks["tumour"]] ** 2)
        window, change = _window(before[np.isfinite(before)]), view.cut(after - before, index)
        limit = max(float(np.nanpercentile(np.abs(change), 99)), 1e-6)
        shown: list[tuple[str, np.ndarray, str, Normalize]] = [
            (contrast, view.cut(before, index), "gray", window),
            ("rebuilt", view.cut(after, index), "gray", window),
            (f"rebuilt − scan, mean square {error:.2f}", change, "berlin", CenteredNorm(0, limit)),
        ]
        for panel, (heading, picture, colours, norm) in zip(panels, shown, strict=True):
            drawn = show_picture(panel, view, picture, cmap=colours, norm=norm)
            draw_outline(panel, view, view.cut(stack.masks["tumour"], index), "tumour")
            draw_letters(panel, view)
            panel.set_title(heading)
            if panel is not panels[0]:
                _colour_bar(figure, drawn, panel, UNIT, top=True)
        draw_scale_bar(panels[0], view)
    finish(figure, f"{title}, {view.position(index)}", stack.roles)
    return figure


@in_house_style
def error_chart(table: pd.DataFrame, *, title: str = "Reconstruction of held-out patches") -> DescribedFigure:
    """Draw how well an epitome, k-means and random patches of the same size reconstruct held-out patches.

    Parameters
    ----------
    table : DataFrame
        Columns ``mse_epitome``, ``mse_kmeans`` and ``mse_random``, one row per subject.
    title : str, default="Reconstruction of held-out patches"

    Returns
    -------
    DescribedFigure
        A line for each subject, and the mean of each method.
    """
    errors = table[[f"mse_{name}" for name in METHOD_NAMES]].dropna().to_numpy(float)
    figure, ((axes,),) = new_figure(size=(7.2, 4.2))
    places = np.arange(len(METHOD_NAMES))
    axes.plot(places, errors.T, "o-", color=BLUE, ms=4, lw=0.8, alpha=0.35)
    means = errors.mean(axis=0)
    for place, mean in zip(places, means, strict=True):
        axes.plot([place - 0.16, place + 0.16], [mean, mean], color=ORANGE, lw=3.2, solid_capstyle="butt", zorder=3)
        label = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        axes.text(place + 0.2, mean, f"mean {mean:.3f}", va="center", weight="bold", bbox=label, zorder=4)
    won = [int((errors[:, 0] < baseline).sum()) for baseline in errors[:, 1:].T]
    axes.set_xticks(places, METHOD_NAMES.values())
    axes.set(xlim=(-0.4, 2.75), ylim=(0, None), ylabel=f"mean squared error ({UNIT}²)")
    axes.set_xlabel(f"epitome better than k-means for {won[0]} subjects, than random patches for {won[1]}")
    axes.grid(axis="y")
    axes.set_title(f"{title}, n = {len(errors)} subjects")
    return figure


@in_house_style
def ratio_chart(
    ratios: np.ndarray,
    labels: np.ndarray,
    scores: Json,
    *,
    names: Sequence[str] = ("grade 2", "grade 3"),
    title: str = "Which epitome fits better?",
) -> DescribedFigure:
    """Draw the log-likelihood ratio of each subject, by class.

    Parameters
    ----------
    ratios, labels : array, shape (n,)
        Log-likelihood ratios in nats per patch, and classes (0 or 1).
    scores : dict
        ``auc``, ``auc_ci95``, ``balanced_accuracy``, ``accuracy`` and ``majority_accuracy``.
    names : (str, str), default=("grade 2", "grade 3")
        Names of classes 0 and 1.
    title : str, default="Which epitome fits better?"

    Returns
    -------
    DescribedFigure
    """
    ratios, labels = np.asarray(ratios, float), np.asarray(labels, int)
    figure, ((axes,),) = new_figure(size=(7.6, 3.5))
    axes.axvline(0, color=GREY, lw=1.2, ls="--")
    for label, (colour, marker) in enumerate(zip(CLASS_COLOURS, CLASS_MARKERS, strict=True)):
        values = np.sort(ratios[labels == label])
        spread = 0.28 * np.sin(2.4 * np.arange(len(values)))
        axes.plot(values, label + spread, marker, color=colour, ms=6, alpha=0.75)
        axes.plot([np.median(values)] * 2, [label - 0.36, label + 0.36], color=colour, lw=2.4)
    axes.set_yticks([0, 1], [f"{name}, n = {int((labels == label).sum())}" for label, name in enumerate(names)])
    axes.set(
        ylim=(-0.6, 1.6),
        xlabel=f"← {names[0]} fits better      log-likelihood ratio (nats per patch)      {names[1]} fits better →",
    )
    axes.grid(axis="x")
    low, high = scores["auc_ci95"]
    summary = f"AUC {scores['auc']:.2f} ({low:.2f} to {high:.2f}, subjects alone), chance 0.50"
    summary += f"; accuracy {scores['accuracy']:.2f}, majority {scores['majority_accuracy']:.2f}"
    axes.set_title(f"{title} n = {len(ratios)} held-out subjects\n{summary}")
    return figure


def _strips(rows: Sequence[_Strip]) -> DescribedFigure:
    """Draw volumes as rows of slices."""
    tallest = _WIDTH / max(volume.shape[2] for _, volume, *_ in rows)
    figure, axes = new_figure(len(rows), 1, size=(_WIDTH + 1.8, len(rows) * (tallest + 0.12) + 0.5))
    for (panel,), (label, volume, colours, norm, unit) in zip(axes, rows, strict=True):
        gap = np.full((1, volume.shape[1]), np.nan)
        tiles = [np.concatenate([volume[::-1, ::-1, k], gap]) for k in range(volume.shape[2])]
        drawn = panel.imshow(np.concatenate(tiles)[:-1].T, cmap=colours, norm=norm, interpolation="nearest")
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
        panel.set_ylabel(label, rotation=0, ha="right", va="center")
        _colour_bar(figure, drawn, panel, unit)
    return figure


def _window(volume: np.ndarray) -> Normalize:
    low, high = np.percentile(volume, (1, 99))
    return Normalize(low, max(high, low + 1e-6))


def _colour_bar(figure: DescribedFigure, drawn: ScalarMappable, panel: Axes, unit: str, *, top: bool = False) -> None:
    shrink, anchor, panchor = (0.8, (0, 1), False) if top else (1, (0, 0.5), (1, 0.5))
    bar = figure.colorbar(drawn, ax=panel, pad=0.01, label=unit, shrink=shrink, anchor=anchor, panchor=panchor)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=9)
