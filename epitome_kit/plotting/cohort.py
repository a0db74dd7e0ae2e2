"""Draw the labels and scans of a cohort, and the quality of their preprocessing."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from epitome_kit.errors import ParameterError
from epitome_kit.extras import needs
from epitome_kit.images import ImageLike, load_image, load_mask
from epitome_kit.plotting.style import (
    BLUE,
    CLASS_COLOURS,
    CYCLE,
    ORANGE,
    DescribedFigure,
    in_house_style,
    new_figure,
)

with needs("lab"):
    import seaborn as sns

_SAMPLE = 20_000

_QUALITY = {
    "brain_mask_dice": ("Brain mask", "Dice with the truth"),
    "bias_residual_sd": ("Residual bias", "sd of the log ratio to the truth"),
    "registration_error_mm": ("Registration", "mean error in the brain (mm)"),
    "template_dice": ("Position", "Dice with the template's brain"),
}


@in_house_style
def class_balance(
    labels: pd.Series, names: Sequence[str] = ("class 0", "class 1"), *, title: str = "Labels"
) -> DescribedFigure:
    """Draw the number of subjects in each class.

    Parameters
    ----------
    labels : Series of int
        0 or 1 for each subject.
    names : (str, str)
        Names of classes 0 and 1.
    title : str, default="Labels"

    Returns
    -------
    DescribedFigure
    """
    counts = [int((labels == code).sum()) for code in (0, 1)]
    figure, ((axes,),) = new_figure(size=(5.6, 2.3))
    bars = axes.barh(list(names), counts, color=CLASS_COLOURS, height=0.62)
    share = [count / max(len(labels), 1) for count in counts]
    axes.bar_label(bars, [f"{count} ({part:.0%})" for count, part in zip(counts, share, strict=True)], padding=5)
    axes.invert_yaxis()
    majority = f"always predicting “{names[int(np.argmax(counts))]}” would be right for {max(share):.0%}"
    axes.set(xlabel=f"subjects; {majority}", xlim=(0, max(counts) * 1.22 + 0.5))
    axes.set_title(f"{title}, n = {len(labels)} subjects")
    return figure


@in_house_style
def intensity_histograms(
    images: Mapping[str, ImageLike],
    masks: Mapping[str, ImageLike] | None = None,
    *,
    unit: str = "scanner units",
    title: str = "Intensities",
) -> DescribedFigure:
    """Draw the distribution of intensities in each image.

    Parameters
    ----------
    images : dict of str to image or path
    masks : dict of str to image or path, optional
        Voxels to include in the image of the same name. Default: all non-zero
        voxels.
    unit : str, default="scanner units"
        Unit of the intensities.
    title : str, default="Intensities"

    Returns
    -------
    DescribedFigure
        One density per image; for more than seven images, thin lines without a legend.
    """
    figure, ((axes,),) = new_figure(size=(7.2, 3.2))
    many = len(images) > len(CYCLE)
    for position, (name, image) in enumerate(images.items()):
        colour = BLUE if many else CYCLE[position]
        style: dict[str, object] = {"alpha": 0.35, "linewidth": 1} if many else {"linewidth": 1.8, "label": name}
        sns.kdeplot(x=_sample(image, (masks or {}).get(name)), ax=axes, color=colour, cut=0, **style)
    if not many:
        axes.legend()
    axes.set(xlabel=f"intensity ({unit})", ylabel="density", yticks=[])
    axes.set_title(f"{title}, n = {len(images)} images")
    return figure


@in_house_style
def audit_overview(audit: pd.DataFrame, *, title: str = "Audit") -> DescribedFigure:
    """Draw the size, voxel size and intensity of every scan, and the findings of the audit.

    Parameters
    ----------
    audit : DataFrame
        Table returned by :func:`epitome_kit.audit_cohort`.
    title : str, default="Audit"

    Returns
    -------
    DescribedFigure
    """
    scans = audit.dropna(subset="contrast")
    contrasts = list(scans["contrast"].unique())
    palette = dict(zip(contrasts, CYCLE, strict=False))
    strip = {"x": scans["contrast"], "hue": scans["contrast"], "palette": palette, "alpha": 0.6, "legend": False}
    figure, ((shapes, sizes), (intensities, findings)) = new_figure(2, 2, size=(10.5, 6.4))
    sns.stripplot(y=scans[["shape_i", "shape_j", "shape_k"]].min(axis=1), ax=shapes, **strip)
    shapes.set(xlabel="", ylabel="voxels along the shortest axis")
    shapes.set_title("Slices")
    _draw_voxel_sizes(sizes, scans, strip)
    sns.stripplot(y=scans["p99"], ax=intensities, **strip)
    intensities.set(xlabel="", ylabel="99th percentile (scanner units)")
    intensities.set_title("Brightness")
    _draw_findings(findings, audit)
    figure.suptitle(f"{title}, n = {len(scans)} scans of {audit['participant_id'].nunique()} subjects")
    return figure


@in_house_style
def quality_strip(quality: pd.DataFrame, *, title: str = "Preprocessing") -> DescribedFigure:
    """Draw the quality of preprocessing, one point per subject.

    Parameters
    ----------
    quality : DataFrame
        Columns brain_mask_dice, bias_residual_sd, registration_error_mm,
        template_dice; missing and empty ones are left out.
    title : str, default="Preprocessing"

    Returns
    -------
    DescribedFigure
        One strip per measure, with its median.

    Raises
    ------
    ParameterError
        None of the columns holds a number.
    """
    known = [name for name in _QUALITY if name in quality and quality[name].notna().any()]
    if not known:
        raise ParameterError(
            "quality_strip",
            f"a column out of {', '.join(_QUALITY)}",
            f"{list(quality.columns)}",
            "pass the table that `preprocess_cohort` returns",
        )
    figure, axes = new_figure(1, len(known), size=(2.7 * len(known), 3.4))
    for panel, name in zip(axes[0], known, strict=True):
        values = quality[name].dropna().astype(float)
        heading, unit = _QUALITY[name]
        sns.stripplot(y=values, ax=panel, color=BLUE, alpha=0.6, size=5, jitter=0.18)
        panel.axhline(values.median(), color=ORANGE, lw=2)
        panel.set(ylabel=unit, xlabel=f"median {values.median():.3g}\nn = {len(values)}", xticks=[])
        panel.set_title(heading)
        panel.grid(axis="y")
    figure.suptitle(f"{title}, n = {len(quality)} subjects")
    return figure


def _sample(image: ImageLike, mask: ImageLike | None) -> np.ndarray:
    loaded = load_image(image, where="intensity_histograms")
    data = np.asarray(loaded.dataobj, dtype=np.float32)
    inside = np.asarray(load_mask(mask, like=loaded).dataobj) > 0 if mask is not None else data != 0
    values = data[inside]
    values = values[:: max(1, len(values) // _SAMPLE)]
    return values[values <= np.percentile(values, 99.5)]


def _draw_voxel_sizes(axes: Axes, scans: pd.DataFrame, strip: dict[str, object]) -> None:
    edges = scans[["spacing_i_mm", "spacing_j_mm", "spacing_k_mm"]]
    if edges.isna().all(axis=None):
        axes.set_title("Voxel size")
        _write_centred(axes, "unknown")
        return
    sns.stripplot(y=edges.max(axis=1), ax=axes, **strip)
    axes.set(xlabel="", ylabel="largest edge (mm)")
    smallest = edges.min(axis=1)
    axes.set_title(f"Voxel size; smallest edge {smallest.min():.3g} to {smallest.max():.3g} mm")


def _draw_findings(axes: Axes, audit: pd.DataFrame) -> None:
    """Draw the commonest findings; those that differ only in their numbers count as one."""
    texts = audit["findings"].fillna("").str.split("; ").explode().replace("", np.nan).dropna()
    counts = texts.str.replace(r"\b\d[\d.]*\b", "#", regex=True).str.slice(0, 44).value_counts().head(8)
    axes.set_title(f"Findings, n = {len(texts)}")
    if counts.empty:
        _write_centred(axes, "nothing looks wrong")
        return
    axes.barh(range(len(counts)), counts, color=ORANGE, height=0.62)
    for place, (text, count) in enumerate(counts.items()):
        axes.text(0.015, place, f"{count}: {text}", va="center", transform=axes.get_yaxis_transform())
    axes.invert_yaxis()
    axes.set(xlabel="scans", yticks=[])
    axes.locator_params(axis="x", integer=True)


def _write_centred(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set_axis_off()
