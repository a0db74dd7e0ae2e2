"""Pictures and charts of learned epitomes: what they look like, rebuild, explain and tell apart."""

import nibabel as nib
import numpy as np
from matplotlib.colors import CenteredNorm, Normalize

from epitome_kit.plotting.panels import draw_letters, draw_outline, draw_scale_bar, finish, image_axes, show_picture
from epitome_kit.plotting.slices import Stack, slice_view
from epitome_kit.plotting.style import BLUE, CLASS_COLOURS, CLASS_MARKERS, GREY, ORANGE, in_house_style, new_figure

UNIT = "robust sd"
"""Unit of normalised intensity: 0 is the median of the brain, 1 its robust standard deviation."""

METHOD_NAMES = {"epitome": "epitome", "kmeans": "k-means", "random": "random patches"}
"""How the charts call the ways to spend voxels."""

_WIDTH = 10.5


@in_house_style
def epitome_picture(epitome, *, title="Learned epitome"):
    """Show all slices of a learned epitome: the mean and the variance of each contrast.

    Parameters
    ----------
    epitome : LearnedEpitome
    title : str, default="Learned epitome"

    Returns
    -------
    Figure
        A row for each mean and variance, its slices along the third axis from
        left to right, laid as axial slices of a scan, and its colour bar. The
        epitome wraps around: what leaves a slice on one side goes on at the other.
    """
    rows = []
    for number, contrast in enumerate(epitome.contrasts):
        mean, variance = epitome.mean[..., number], epitome.variance[..., number]
        rows += [(f"{contrast}, mean", mean, "gray", _window(mean), UNIT)]
        rows += [(f"{contrast}, variance", variance, "viridis", Normalize(0, np.percentile(variance, 99)), f"{UNIT}²")]
    figure = _strips(rows)
    sides = " × ".join(map(str, epitome.usage.shape))
    figure.suptitle(f"{title}: {sides} voxels, learned from patches of {' × '.join(map(str, epitome.patch))}")
    return figure


@in_house_style
def epitome_difference(negative, positive, *, names=("grade II", "grade III"), counts=None, title="Epitomes"):
    """Show the epitomes of two classes, slice under slice, and their difference.

    Parameters
    ----------
    negative, positive : LearnedEpitome
        That began with a common one, so that the same place means the same part.
    names : (str, str), default=("grade II", "grade III")
    counts : (int, int), default=None
        Subjects that each was learned from.
    title : str, default="Epitomes"

    Returns
    -------
    Figure
        Three rows for each contrast: one mean, the other, and the other less
        the one, each with its colour bar.
    """
    rows = []
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
    figure.suptitle(f"{title}: {names[0]}, {names[1]}, and {names[1]} less {names[0]}{numbers}")
    return figure


@in_house_style
def rebuilt_tumour(scans, rebuilt, mask, affine, contrasts, *, title="Rebuilt from the epitome"):
    """Show a tumour beside what an epitome makes of it.

    Parameters
    ----------
    scans, rebuilt : ndarray, shape (i, j, k, contrasts)
        `rebuilt` as :func:`epitome_kit.epitome.model.reconstruct` gives it.
    mask : ndarray of bool, shape (i, j, k)
    affine : ndarray, shape (4, 4)
    contrasts : sequence of str
    title : str, default="Rebuilt from the epitome"

    Returns
    -------
    Figure
        A row for each contrast, the axial slice with most tumour: the scan, the
        scan rebuilt, and rebuilt less scan, with the mean squared error inside
        the tumour.
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
        reach = max(float(np.nanpercentile(np.abs(change), 99)), 1e-6)
        shown = [
            (f"{contrast}", view.cut(before, index), "gray", window),
            ("rebuilt", view.cut(after, index), "gray", window),
            (f"rebuilt − scan, mean square {error:.2f}", change, "berlin", CenteredNorm(0, reach)),
        ]
        for panel, (heading, picture, colours, norm) in zip(panels, shown, strict=True):
            drawn = show_picture(panel, view, picture, cmap=colours, norm=norm)
            draw_outline(panel, view, view.cut(stack.masks["tumour"], index), "tumour")
            draw_letters(panel, view)
            panel.set_title(heading)
            if panel is not panels[0]:
                _colour_bar(figure, drawn, panel, UNIT, shrink=0.8, anchor=(0, 1), panchor=False)
        draw_scale_bar(panels[0], view)
    finish(figure, f"{title}, {view.position(index)}", stack.roles)
    return figure


@in_house_style
def error_chart(table, *, title="New patches explained"):
    """Draw how well an epitome, k-means and random patches explain what was held out, at the same budget.

    Parameters
    ----------
    table : DataFrame
        Columns ``mse_epitome``, ``mse_kmeans`` and ``mse_random``, one row a subject.
    title : str, default="New patches explained"

    Returns
    -------
    Figure
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
    won = [int((errors[:, 0] < rival).sum()) for rival in errors[:, 1:].T]
    axes.set_xticks(places, METHOD_NAMES.values())
    axes.set(xlim=(-0.4, 2.75), ylim=(0, None), ylabel=f"mean squared error ({UNIT}²)")
    axes.set_xlabel(f"epitome better than k-means for {won[0]} subjects, than random patches for {won[1]}")
    axes.grid(axis="y")
    axes.set_title(f"{title}, n = {len(errors)} subjects")
    return figure


@in_house_style
def ratio_chart(ratios, labels, scores, *, names=("grade II", "grade III"), title="Which epitome fits better?"):
    """Draw the log-likelihood ratio of each subject, by class.

    Parameters
    ----------
    ratios, labels : array, shape (n,)
        In nats per patch; 0 or 1.
    scores : dict
        ``auc``, ``auc_ci95``, ``balanced_accuracy``, ``accuracy`` and ``majority_accuracy``.
    names : (str, str), default=("grade II", "grade III")
    title : str, default="Which epitome fits better?"

    Returns
    -------
    Figure
    """
    ratios, labels = np.asarray(ratios, float), np.asarray(labels, int)
    figure, ((axes,),) = new_figure(size=(7.6, 3.5))
    axes.axvline(0, color=GREY, lw=1.2, ls="--")
    for own, (colour, marker) in enumerate(zip(CLASS_COLOURS, CLASS_MARKERS, strict=True)):
        values = np.sort(ratios[labels == own])
        spread = 0.28 * np.sin(2.4 * np.arange(len(values)))
        axes.plot(values, own + spread, marker, color=colour, ms=6, alpha=0.75)
        axes.plot([np.median(values)] * 2, [own - 0.36, own + 0.36], color=colour, lw=2.4)
    axes.set_yticks([0, 1], [f"{name}, n = {int((labels == own).sum())}" for own, name in enumerate(names)])
    axes.set(
        ylim=(-0.6, 1.6),
        xlabel=f"← {names[0]} fits better      log-likelihood ratio (nats per patch)      {names[1]} fits better →",
    )
    axes.grid(axis="x")
    low, high = scores["auc_ci95"]
    figures = f"AUC {scores['auc']:.2f} ({low:.2f} to {high:.2f}), chance 0.50"
    figures += f"; accuracy {scores['accuracy']:.2f}, majority {scores['majority_accuracy']:.2f}"
    axes.set_title(f"{title} n = {len(ratios)} held-out subjects\n{figures}")
    return figure


def _strips(rows):
    """Draw volumes as rows of slices: (label, volume, colours, norm, unit)."""
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


def _window(volume):
    low, high = np.percentile(volume, (1, 99))
    return Normalize(low, max(high, low + 1e-6))


def _colour_bar(figure, drawn, panel, unit, **options):
    bar = figure.colorbar(drawn, ax=panel, pad=0.01, label=unit, **options)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=9)
