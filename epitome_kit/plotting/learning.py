"""Draw training curves, learned features and the attention of a network."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from scipy.cluster.hierarchy import leaves_list, linkage

from epitome_kit.errors import ParameterError
from epitome_kit.learn.probes import feature_columns
from epitome_kit.plotting.style import (
    BLUE,
    CLASS_COLOURS,
    CLASS_MARKERS,
    GREY,
    RED,
    DescribedFigure,
    in_house_style,
    new_figure,
)
from epitome_kit.simulate.latents import LATENTS

_KINDS = {
    "first": "brightness",
    "border": "border",
    "texture": "texture",
    "shape": "shape",
    "position": "position",
    "pair": "pairs of contrasts",
}


@in_house_style
def training_curves(history: pd.DataFrame, *, title: str = "Training") -> DescribedFigure:
    """Draw each measure over the epochs, one line per fold.

    Parameters
    ----------
    history : DataFrame
        Columns epoch, optionally fold, and one per measure. ``val_loss`` is
        drawn dashed in the panel of ``loss``.
    title : str, default="Training"

    Returns
    -------
    DescribedFigure

    Raises
    ------
    ParameterError
        There is no column ``epoch`` or no measure.
    """
    names = [name for name in history.columns if name not in ("epoch", "fold")]
    measures = list(dict.fromkeys(name.removeprefix("val_") for name in names))
    if "epoch" not in history or not measures:
        raise ParameterError(
            "training_curves",
            "columns `epoch` and a measure, such as `loss`",
            f"{list(history)}",
            "pass the history of the training",
        )
    folds = history["fold"] if "fold" in history else pd.Series(0, index=history.index)
    figure, axes = new_figure(1, len(measures), size=(3.9 * len(measures), 3.1))
    for panel, measure in zip(axes[0], measures, strict=True):
        for name, colour, dashes, label in (
            (measure, BLUE, "-", "training"),
            (f"val_{measure}", CLASS_COLOURS[1], "--", "validation"),
        ):
            if name not in history:
                continue
            for _, fold in history.groupby(folds):
                panel.plot(fold["epoch"], fold[name], color=colour, ls=dashes, lw=0.9, alpha=0.35)
            mean = history.groupby("epoch")[name].mean()
            panel.plot(mean.index, mean, color=colour, ls=dashes, lw=2.2, label=label, marker="o" * (len(mean) == 1))
        panel.set(xlabel="epoch", ylabel="AUC" if measure == "auc" else measure.replace("_", " "))
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(axis="y")
        if f"val_{measure}" in history:
            panel.legend()
    figure.suptitle(f"{title}, n = {folds.nunique()} fold{'s' * (folds.nunique() > 1)}, their mean in bold")
    return figure


@in_house_style
def feature_map(
    features: pd.DataFrame,
    labels: pd.Series,
    names: Sequence[str] = ("class 0", "class 1"),
    *,
    title: str = "CNN features",
) -> DescribedFigure:
    """Draw the learned features as a heat map, and their first two principal components.

    Parameters
    ----------
    features : DataFrame
        One row per subject, as returned by :func:`epitome_kit.learn_features`.
    labels : Series of int
        0 or 1, on the index of `features`; subjects without a label are left out.
    names : (str, str)
        Names of classes 0 and 1.
    title : str, default="CNN features"

    Returns
    -------
    DescribedFigure
        Left: z-scores, subjects by class, similar features side by side.
        Right: the first two principal components.

    Raises
    ------
    ParameterError
        There are no features, or fewer than three labelled subjects.
    """
    columns = feature_columns(features)
    shared = features.index.intersection(labels.index)
    if not columns or len(shared) < 3:
        raise ParameterError(
            "feature_map",
            "features of three labelled subjects or more",
            f"{len(columns)} features, {len(shared)} subjects with a label",
            "index features and labels by participant_id",
        )
    order = labels[shared].sort_values(kind="stable").index
    codes = labels[order].to_numpy()
    values = features.loc[order, columns].to_numpy(float)
    values = values[:, values.std(axis=0) > 0]
    scores = (values - values.mean(axis=0)) / values.std(axis=0)
    figure, ((heat, cloud),) = new_figure(1, 2, size=(10.5, 4.2), width_ratios=(1.25, 1))
    leaves = leaves_list(linkage(scores.T, "average")) if scores.shape[1] > 2 else np.arange(scores.shape[1])
    drawn = heat.imshow(scores[:, leaves], aspect="auto", cmap="PuOr_r", vmin=-3, vmax=3, interpolation="nearest")
    border = int((codes == 0).sum())
    heat.axhline(border - 0.5, color="black", lw=1.5)
    heat.set(xlabel=f"{scores.shape[1]} features, similar ones side by side", xticks=[])
    heat.set_yticks([(border - 1) / 2, (border + len(codes) - 1) / 2], names, rotation=90, va="center")
    heat.tick_params(length=0)
    heat.set_title(f"{title}, n = {len(order)} subjects")
    figure.colorbar(drawn, ax=heat, label="z-score", shrink=0.7, extend="both").outline.set_visible(False)
    _draw_components(cloud, scores, codes, names)
    return figure


@in_house_style
def selection_frequency(frequency: pd.Series, *, top: int = 20, title: str = "Selected features") -> DescribedFigure:
    """Draw how often each feature was selected over the folds and methods.

    Parameters
    ----------
    frequency : Series of float
        Share of the selections, 0 to 1, by feature name.
    top : int, default=20
        Maximum number of features to draw.
    title : str, default="Selected features"

    Returns
    -------
    DescribedFigure
    """
    shown = frequency.sort_values(ascending=False, kind="stable").head(top)
    figure, ((axes,),) = new_figure(size=(6.2, 0.9 + 0.24 * len(shown)))
    axes.barh(shown.index.astype(str), 100 * shown, color=[BLUE if share > 0.5 else "#A9C8DE" for share in shown])
    axes.axvline(50, color=GREY, lw=1, ls="--")
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set(xlim=(0, 100), xlabel="share of the selections (%); dark: in more than half")
    axes.set_title(f"{title}, {len(shown)} of n = {int((frequency > 0).sum())} selected at least once")
    return figure


@in_house_style
def attention_shares(table: pd.DataFrame, *, title: str = "Attention inside the tumour") -> DescribedFigure:
    """Draw the share of each map that lies in the tumour, relative to chance.

    Parameters
    ----------
    table : DataFrame
        Table returned by :func:`epitome_kit.learn.explain.attention_table`.
    title : str, default="Attention inside the tumour"

    Returns
    -------
    DescribedFigure
        A row for each method: one point per subject for the learned and for
        shuffled weights, and a bar at their median. Points below a hundredth of
        chance are drawn at the left edge.

    Raises
    ------
    ParameterError
        The table is empty.
    """
    if table.empty:
        raise ParameterError(
            "attention_shares",
            "a table of at least one subject with an annotated tumour",
            "an empty table",
            "pass subjects that have a tumour mask",
        )
    methods = list(table["method"].unique())
    times = (table["share_inside"] / table["share_by_chance"]).clip(lower=0.01)
    figure, ((axes,),) = new_figure(size=(7.2, 1.3 + 0.62 * len(methods)))
    for offset, colour, marker, weights in ((-0.14, BLUE, "o", "learned"), (0.14, RED, "^", "shuffled")):
        for row, method in enumerate(methods):
            shown = times[(table["method"] == method) & (table["weights"] == weights)]
            label = f"{weights} weights" if row == 0 else None
            axes.plot(shown, [row + offset] * len(shown), marker, color=colour, ms=5, alpha=0.5, mew=0, label=label)
            axes.plot([shown.median()] * 2, [row + offset - 0.13, row + offset + 0.13], color=colour, lw=2.5)
    axes.axvline(1, color=GREY, lw=1, ls="--", label="by chance")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(methods)), methods)
    axes.invert_yaxis()
    axes.set_xlabel("share of the map inside the tumour, relative to chance")
    axes.set_title(f"{title}, n = {table['participant_id'].nunique()} subjects")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


@in_house_style
def icc_chart(
    table: pd.DataFrame, *, least_icc: float = 0.75, title: str = "Features in a simulated second scan"
) -> DescribedFigure:
    """Draw the intraclass correlation of every feature, in a row for each kind of feature.

    Parameters
    ----------
    table : DataFrame
        From :func:`epitome_kit.learn.feature_reliability`.
    least_icc : float, default=0.75
        Limit that is drawn; each row says how many features reach it.
    title : str, default="Features in a simulated second scan"

    Returns
    -------
    DescribedFigure
        One point per feature, its median over the folds; negative values are drawn at 0.

    Raises
    ------
    ParameterError
        The table is empty.
    """
    if table.empty:
        hint = "call `feature_reliability` first"
        raise ParameterError("icc_chart", "the ICC of at least one feature", "an empty table", hint)
    icc = table.groupby("feature", sort=False)["icc"].median()
    kinds = icc.groupby([_kind(str(name)) for name in icc.index], sort=False)
    figure, ((axes,),) = new_figure(size=(7.2, 1.5 + 0.42 * kinds.ngroups))
    labels = list[str]()
    for row, (kind, values) in enumerate(kinds):
        steady = values >= least_icc
        labels.append(f"{kind}, {steady.sum()} of {len(values)}")
        spread = row + 0.3 * (np.arange(len(values)) % 3 - 1) * (len(values) > 4)
        for chosen, colour, marker in ((steady, BLUE, "o"), (~steady, RED, "^")):
            axes.plot(values[chosen].clip(lower=0), spread[chosen], marker, color=colour, ms=5, alpha=0.6, mew=0)
    axes.axvline(least_icc, color=GREY, lw=1, ls="--")
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set(
        xlim=(-0.02, 1.02),
        xlabel=f"intraclass correlation, median of the folds; counted: {least_icc:g} (dashed) or more",
    )
    axes.set_title(f"{title}, n = {table['n'].min()} subjects a fold")
    return figure


def _kind(feature: str) -> str:
    """Name the kind of a feature."""
    if feature in LATENTS:
        return "CNN, traits"
    prefix = feature.partition("_")[0]
    return _KINDS.get(prefix, "CNN, measured")


def _draw_components(axes: Axes, scores: np.ndarray, codes: np.ndarray, names: Sequence[str]) -> None:
    left, sizes, _ = np.linalg.svd(scores, full_matrices=False)
    share = sizes**2 / (sizes**2).sum()
    for code, name in enumerate(names):
        points = (left[:, :2] * sizes[:2])[codes == code]
        axes.scatter(
            points[:, 0],
            points[:, 1],
            color=CLASS_COLOURS[code],
            marker=CLASS_MARKERS[code],
            s=34,
            alpha=0.8,
            lw=0,
            label=f"{name}, n = {len(points)}",
        )
    axes.set(xlabel=f"component 1 ({share[0]:.0%} of the variance)", ylabel=f"component 2 ({share[1]:.0%})")
    axes.set_title("Principal components")
    axes.legend()
