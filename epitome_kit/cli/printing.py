"""Print the results of the verbs as a table or as JSON."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Column, Table
from rich.text import Text

from epitome_kit.cli.terminal import say, say_json
from epitome_kit.confidence import interval_label
from epitome_kit.errors import plain
from epitome_kit.escaping import plain_console

if TYPE_CHECKING:
    import pandas as pd

    from epitome_kit.files import Json

KEY_FIGURES = {
    "preprocess": ("brain_mask_dice",),
    "grading": ("auc", "balanced_accuracy", "accuracy", "majority_accuracy", "oracle_auc", "oracle_auc_cohort"),
    "tumour": ("dice_mean", "volume_error_pct_median"),
}
"""Figures of the summary that `epitome run` prints."""

_FIT = {
    "dice_mean": "Dice {dice_mean:.3f} on average, median {dice_median:.3f}, n = {n}, against {reference}",
    "dice_mean_ci95": "{score_interval} {dice_mean_ci95[0]:.3f} to {dice_mean_ci95[1]:.3f}",
    "dice_classical_mean": "symmetry alone {dice_classical_mean:.3f}",
    "volume_error_pct_median": "volume error {volume_error_pct_median:.1f} %",
    "coverage": "coverage of the {volume_interval} {coverage:.0%}, on {coverage_n} subjects that did not calibrate it",
    "coverage_sd": "sd over folds {coverage_sd:.0%}",
    "interval_ratio_median": "median high / low of the {volume_interval} {interval_ratio_median:.2f}",
}


_NAMED = {
    "oracle_auc": "AUC of the oracle on latents, population",
    "oracle_auc_cohort": "AUC of the oracle on latents, this cohort",
}

SIZES = {
    "volume_ml": "volume",
    "volume_voxels": "volume",
    "slab_volume_ml": "volume on the annotated slices",
    "slab_voxels": "volume on the annotated slices",
    "ellipsoid_volume_ml": "estimate of the whole, as an ellipsoid",
    "ellipsoid_volume_low_ml": "  {interval} from",
    "ellipsoid_volume_high_ml": "  to",
    "surface_volume_ml": "volume within the surface",
    "surface_mm2": "surface",
    "sphericity": "sphericity (1 for a ball)",
    "rano_long_mm": "RANO: longest diameter in a slice",
    "rano_perpendicular_mm": "  perpendicular diameter",
    "rano_product_mm2": "  product",
    "rano_slice": "  in slice",
    "measurable": "  measurable",
    "enhancing_volume_ml": "enhancing part: volume",
    "enhancing_long_mm": "  longest diameter in a slice",
    "enhancing_perpendicular_mm": "  perpendicular diameter",
    "enhancing_product_mm2": "  product",
    "enhancing_slice": "  in slice",
    "enhancing_measurable": "  measurable",
    "max_2d_mm": "maximum diameter in a slice",
    "max_3d_mm": "maximum diameter in 3-D",
    "axis_major_mm": "major axis",
    "axis_minor_mm": "minor axis",
    "axis_least_mm": "least axis",
    "lesions": "separate lesions",
    "largest_lesion_ml": "  largest",
    "largest_lesion_voxels": "  largest",
    "largest_slice": "slice with the largest area",
    "touches_edge": "touches the edge of the scan",
}
"""Labels of the sizes that `epitome measure` prints, in order; `{interval}` is replaced by the label of an interval."""

_UNITS = {"ml": ("mL", ".2f"), "mm2": ("mm²", ".0f"), "mm": ("mm", ".1f"), "voxels": ("voxels", "d")}


def show(result: object, as_json: bool, rows: Iterable[Sequence[object]], header: Sequence[Column | str] = ()) -> None:
    """Print a result as JSON or as a table.

    Parameters
    ----------
    result : object
        Printed as JSON.
    as_json : bool
        Print JSON instead of a table.
    rows : iterable of sequence
        Rows of the table.
    header : sequence of str, default=()
        Columns of the table.
    """
    if as_json:
        say_json(result)
        return
    table = Table(*map(_column, header), show_header=bool(header), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(_plain(value), overflow="fold") for value in row))
    plain_console(stderr=False).print(table)


def show_frame(frame: "pd.DataFrame", as_json: bool, columns: Sequence[str] | None = None) -> None:
    """Print a table without its empty columns.

    Parameters
    ----------
    frame : DataFrame
        JSON holds all of its columns.
    as_json : bool
        Print JSON instead of a table.
    columns : list of str, default=None
        Columns to print; None means all.
    """
    filled = [name for name in columns or frame.columns if frame[name].notna().any()]
    rows = frame[filled].astype(object).where(frame[filled].notna(), None).values.tolist()
    show(json.loads(frame.to_json(orient="records")), as_json, rows, header=filled)


def show_warnings(table: "pd.DataFrame") -> None:
    """Print the warnings of the subjects to standard error; tables of earlier versions have none."""
    for row in table.reindex(columns=["participant_id", "warnings"]).dropna().itertuples():
        say(f"Warning: {plain(row.participant_id)}: {plain(row.warnings)}", err=True)


def show_report(page: Path, as_json: bool) -> None:
    """Print the key figures of a run, the volume of its one scan, and the paths of page and sheet.

    Parameters
    ----------
    page : Path
        ``index.html`` of the run.
    as_json : bool
        Print JSON instead of a table.
    """
    from epitome_kit.files import read_json
    from epitome_kit.tumour.intervals import describe_volume
    from epitome_kit.workspace import LATEST, Workspace

    summary = read_json(Workspace(page.parent).summary)
    figures = [(part, name) for part, names in KEY_FIGURES.items() for name in names]
    rows = [_key_figure(summary, part, name) for part, name in figures if summary[part].get(name) is not None]
    if as_json or rows:
        show(summary, as_json, rows, header=("step", "figure", "value", interval_label(), "n"))
    if summary["case"]["volume_voxels"]:
        size = describe_volume(summary["case"])
        say(f"One scan: tumour {size.volume}, {size.interval}", err=as_json)
    workspace = page.absolute().parent
    latest = workspace.parent / LATEST
    shown = latest if latest.resolve() == workspace else workspace
    sheet = Workspace(shown).case_sheet
    if sheet.is_file():
        say(f"One scan: {sheet}", err=as_json)
    say(f"Open {shown / page.name}", err=as_json)


def show_verified(table: "pd.DataFrame", as_json: bool) -> bool:
    """Print the files that were changed since the kit wrote them.

    Parameters
    ----------
    table : DataFrame
        From :func:`epitome_kit.verify_products`.
    as_json : bool
        Print JSON with all files instead of a table.

    Returns
    -------
    bool
        Whether all files are as written.
    """
    changed = table[table.state != "as written"]
    show_frame(table if as_json else changed, as_json)
    say(f"{len(table) - len(changed)} of {len(table)} files are as they were written.", err=as_json)
    return changed.empty


def show_sweep(table: "pd.DataFrame", page: Path, as_json: bool) -> None:
    """Print the runs of a sweep, and the path of its page."""
    show_frame(table if as_json else table.round(3), as_json)
    say(f"Open {page}", err=as_json)


def show_rerun(compared: "pd.DataFrame", folder: Path, as_json: bool) -> None:
    """Print the differences between a run and its repetition, as in ``rerun.tsv``."""
    differ = compared[~compared.same].drop(columns="same")
    figures = compared[compared.part == "figures"]
    if as_json or len(differ):
        show_frame(differ, as_json)
    say(f"{int(figures.same.sum())} of {len(figures)} figures are the same; see {folder}/rerun.tsv", err=as_json)


def show_size(size: "Json", as_json: bool) -> None:
    """Print the size of a tumour with units; unknown values are omitted, or null in JSON.

    Parameters
    ----------
    size : dict
        As :class:`epitome_kit.tumour.size.TumourSize`, or a count of voxels.
    as_json : bool
        Print JSON instead of a table.
    """
    from epitome_kit.tumour.intervals import ELLIPSOID_LEVEL
    from epitome_kit.tumour.size import RANO_NOTE

    interval = interval_label(ELLIPSOID_LEVEL)
    known = [(name, label.format(interval=interval)) for name, label in SIZES.items() if size.get(name) is not None]
    show(size, as_json, [(label, *_with_unit(name, size[name])) for name, label in known])
    if not as_json and size.get("rano_long_mm") is not None:
        say(f"RANO: {RANO_NOTE}")


def show_outlines(tumours: "pd.DataFrame", folder: Path, as_json: bool, scans: "list[Json] | None" = None) -> None:
    """Print the size of each segmented tumour, and the Dice where there are reference masks.

    Parameters
    ----------
    tumours : DataFrame
        From :func:`epitome_kit.segment_cohort` or :func:`epitome_kit.predict_tumours`.
    folder : Path
        Workspace.
    as_json : bool
        Print JSON instead of a table.
    scans : list of dict, default=None
        For one subject: file, contrast and evidence of each scan.
    """
    from epitome_kit.tumour.intervals import VOLUME_LEVEL
    from epitome_kit.tumour.summary import coverage_of_parts, summarise

    summary, parts = summarise(tumours), coverage_of_parts(tumours)
    if as_json:
        rows = json.loads(tumours.to_json(orient="records"))
        parts_of = json.loads(parts.to_json(orient="records"))
        result = {"summary": summary or None, "intervals_of_parts": parts_of, "tumours": rows}
        show(result if scans is None else result | {"scans": scans}, as_json, ())
    else:
        unit = "ml" if tumours.volume_ml.notna().any() else "voxels"
        sizes = [f"volume_{unit}", f"volume_low_{unit}", f"volume_high_{unit}", "rano_long_mm"]
        columns = ["participant_id", *sizes, "dice", "dice_classical"]
        show_frame(tumours.round(3), False, [name for name in columns if name in tumours])
    if summary:
        labels = {"score_interval": interval_label(), "volume_interval": interval_label(VOLUME_LEVEL)}
        texts = (text.format(**summary, **labels) for name, text in _FIT.items() if name in summary)
        say("; ".join(texts), err=as_json)
    if len(parts) and not as_json:
        show_frame(parts.round(2), False)
    show_warnings(tumours)
    say(f"Masks: {folder / 'masks'}", err=as_json)


def show_epitomes(table: "pd.DataFrame", scores: "Json", folder: Path, as_json: bool) -> None:
    """Print the errors of epitomes and baselines on held-out patches.

    Parameters
    ----------
    table : DataFrame
        One row per subject, as in ``epitomes.tsv``.
    scores : dict
        As in ``epitomes.json``.
    folder : Path
        Workspace.
    as_json : bool
        Print JSON instead of a table.
    """
    classes = scores["classes"]
    held_out = {"other half of a tumour": scores["subjects"]}
    if "reason" not in classes:
        held_out[f"new subjects, by {scores['target']}"] = classes
    rows = [(name, *each["mse"].values(), each["n"]) for name, each in held_out.items()]
    header = ("mean squared error on", "epitome", "k-means", "random patches", "n")
    result = {**scores, "rows": json.loads(table.to_json(orient="records"))}
    show(result, as_json, rows, header=header)
    if "reason" in classes:
        say(f"No epitomes by {scores['target']}: {classes['reason']}", err=as_json)
    else:
        low, high = classes["auc_ci95"]
        auc = f"AUC {classes['auc']:.2f} ({low:.2f} to {high:.2f}, subjects alone)"
        majority = f"accuracy {classes['accuracy']:.2f}, majority {classes['majority_accuracy']:.2f}"
        ratio = f"{scores['target']} by log-likelihood ratio"
        say(f"{ratio}: {auc}, {majority}, n = {classes['n']}", err=as_json)
    for row in table.dropna(subset="note").itertuples():
        say(f"{row.participant_id}: no learned epitome; {row.note}", err=as_json)
    say(f"Open {folder / 'epitomes.html'}", err=as_json)


def _with_unit(name: str, value: float | bool) -> tuple[str, str]:
    if isinstance(value, bool):
        return "yes" if value else "no", ""
    unit, form = _UNITS.get(name.rpartition("_")[2], ("", ".2f" if isinstance(value, float) else "d"))
    return f"{value:{form}}", unit


def _column(name: Column | str) -> Column:
    return Column(header=Text(plain(name))) if isinstance(name, str) else name


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else plain(value)


def _key_figure(summary: "Json", part: str, name: str) -> tuple[str, str, str, str | None, int | None]:
    figures = summary[part]
    value, interval = figures[name], figures.get(f"{name}_ci95")
    spread = f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else None
    return part, _NAMED.get(name) or name.replace("_", " "), f"{value:.2f}", spread, figures.get("n")
