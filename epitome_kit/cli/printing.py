"""What a verb answers: a table for people, JSON for programs."""

import json
import sys

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from epitome_kit.confidence import interval_label
from epitome_kit.errors import plain

KEY_FIGURES = {
    "preprocess": ("brain_mask_dice",),
    "grading": ("auc", "balanced_accuracy", "accuracy", "majority_accuracy", "oracle_auc"),
    "tumour": ("dice_mean", "volume_error_pct_median"),
}
"""What `epitome run` prints of the summary."""

_FIT = {
    "dice_mean": "Dice {dice_mean:.3f} on average, median {dice_median:.3f}, n = {n}, against {reference}",
    "dice_mean_ci95": "{score_interval} {dice_mean_ci95[0]:.3f} to {dice_mean_ci95[1]:.3f}",
    "dice_classical_mean": "symmetry alone {dice_classical_mean:.3f}",
    "volume_error_pct_median": "volume error {volume_error_pct_median:.1f} %",
    "coverage": "the {volume_interval} holds {coverage:.0%}",
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
    "sphericity": "sphericity (1 is a ball)",
    "rano_long_mm": "RANO: longest diameter in a slice",
    "rano_perpendicular_mm": "  at a right angle to it",
    "rano_product_mm2": "  product",
    "rano_slice": "  in slice",
    "measurable": "  measurable",
    "max_2d_mm": "largest extent at one height",
    "max_3d_mm": "largest extent in space",
    "axis_major_mm": "major axis",
    "axis_minor_mm": "minor axis",
    "axis_least_mm": "least axis",
    "lesions": "separate lesions",
    "largest_lesion_ml": "  largest",
    "largest_lesion_voxels": "  largest",
    "largest_slice": "slice with most of it",
    "touches_edge": "reaches the edge of the scan",
}
"""What `epitome measure` calls each size, in the order of its table; `{interval}` stands for the label of one."""

_UNITS = {"ml": ("mL", ".2f"), "mm2": ("mm²", ".0f"), "mm": ("mm", ".1f"), "voxels": ("voxels", "d")}


def show(answer, as_json, rows, header=()):
    """Print an answer as JSON or as a table.

    Parameters
    ----------
    answer : object
        What a program gets, as JSON.
    as_json : bool
    rows : iterable of sequence
        What a person gets.
    header : sequence of str, default=()
    """
    if as_json:
        spelt_out = not str(sys.stdout.encoding).lower().startswith("utf")
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=spelt_out, default=str))
        return
    table = Table(*header, show_header=bool(header), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(_plain(value), overflow="fold") for value in row))
    Console().print(table)


def show_frame(frame, as_json, columns=None):
    """Print a table, for people some of its columns, and none that is empty.

    Parameters
    ----------
    frame : DataFrame
    as_json : bool
    columns : list of str, default=None
        What a person gets; None means every column.
    """
    columns = [name for name in columns or frame.columns if frame[name].notna().any()]
    rows = frame[columns].astype(object).where(frame[columns].notna(), None).values.tolist()
    show(json.loads(frame.to_json(orient="records")), as_json, rows, header=columns)


def show_warnings(table):
    """Print what makes the results of a subject doubtful, on the error stream, so that JSON stays JSON.

    Parameters
    ----------
    table : DataFrame
        With ``participant_id`` and ``warnings``, missing where there are none; a
        table that an earlier version wrote has no such column.
    """
    for row in table.reindex(columns=["participant_id", "warnings"]).dropna().itertuples():
        typer.echo(f"Warning: {plain(row.participant_id)}: {plain(row.warnings)}", err=True)


def show_report(page, as_json):
    """Print the key figures of a run, the volume of its one scan, and where its page and the sheet of that scan are.

    Parameters
    ----------
    page : Path
    as_json : bool
    """
    from epitome_kit.files import read_json
    from epitome_kit.tumour.intervals import describe_volume
    from epitome_kit.workspace import LATEST, Workspace

    summary = read_json(Workspace(page.parent).summary)
    asked = [(part, name) for part, names in KEY_FIGURES.items() for name in names]
    rows = [_key_figure(summary, part, name) for part, name in asked if summary[part][name] is not None]
    if as_json or rows:
        show(summary, as_json, rows, header=("step", "figure", "value", interval_label(), "n"))
    if summary["case"]["volume_voxels"]:
        size = describe_volume(summary["case"])
        typer.echo(f"One scan: tumour {size.volume}, {size.interval}", err=as_json)
    workspace = page.absolute().parent
    latest = workspace.parent / LATEST
    shown = latest if latest.resolve() == workspace else workspace
    sheet = Workspace(shown).case_sheet
    if sheet.is_file():
        typer.echo(f"One scan: {sheet}", err=as_json)
    typer.echo(f"Open {shown / page.name}", err=as_json)


def show_sweep(table, page, as_json):
    """Print the runs of a sweep, and where its page is.

    Parameters
    ----------
    table : DataFrame
    page : Path
    as_json : bool
    """
    show_frame(table if as_json else table.round(3), as_json)
    typer.echo(f"Open {page}", err=as_json)


def show_rerun(compared, folder, as_json):
    """Print what differs between a run and the same run again, and how much does not.

    Parameters
    ----------
    compared : DataFrame
    folder : Path
    as_json : bool
    """
    differ = compared[~compared.same].drop(columns="same")
    figures = compared[compared.part == "figures"]
    if as_json or len(differ):
        show_frame(differ, as_json)
    typer.echo(f"{int(figures.same.sum())} of {len(figures)} figures are the same; see {folder}/rerun.tsv", err=as_json)


def show_size(size, as_json):
    """Print how large a tumour is, with units; what is unknown is left out for people, and null for programs.

    Parameters
    ----------
    size : dict
        As :class:`epitome_kit.tumour.measure.TumourSize`, or a count of voxels.
    as_json : bool
    """
    from epitome_kit.tumour.intervals import ELLIPSOID_LEVEL

    interval = interval_label(ELLIPSOID_LEVEL)
    known = [(name, label.format(interval=interval)) for name, label in SIZES.items() if size.get(name) is not None]
    show(size, as_json, [(label, *_with_unit(name, size[name])) for name, label in known])


def show_grading(scores, folder, as_json):
    """Print the scores of the network beside those of its rivals and probes.

    Parameters
    ----------
    scores : dict
        As in ``scores.json``.
    folder : Path
        Where the results are.
    as_json : bool
    """
    from epitome_kit.report.statements import describe_columns
    from epitome_kit.workspace import Workspace

    run = Workspace(folder)

    probes = {f"{name} alone": each for name, each in scores["probes"].items()}
    leading = "neural network" if scores["model"] == "ann" else scores["model"]
    models = {leading: scores, **scores["rivals"], **probes}
    header = ("model", "AUC", interval_label(), "balanced accuracy", "Brier", "permutation p")
    rows = [(name.replace("_", " "), *_graded(each)) for name, each in models.items()]
    show(scores, as_json, rows, header=header)
    counts = ", ".join(f"{name}: {count}" for name, count in scores["class_counts"].items())
    left_out = {"without a label": "without_label", "columns of text": "not_numbers", "constant columns": "constant"}
    source = scores["source"]
    noted = [f"{len(source[name])} {what}" for what, name in left_out.items() if source[name]]
    typer.echo(f"Positive: {scores['positive']}", err=as_json)
    typer.echo(f"n = {scores['n']} ({counts}){'; left out: ' if noted else ''}{', '.join(noted)}", err=as_json)
    for text in describe_columns(source):
        typer.echo(text, err=as_json)
    typer.echo(f"Open {run.scoreboard} and {run.model_card}", err=as_json)


def show_outlines(tumours, folder, as_json, scans=None):
    """Print the size of each tumour that was outlined, and how well outlines fit where that is known.

    Parameters
    ----------
    tumours : DataFrame
        From :func:`epitome_kit.segment_cohort` or :func:`epitome_kit.predict_tumours`.
    folder : Path
        Where the masks are.
    as_json : bool
    scans : list of dict, default=None
        Of one head: file, contrast and evidence of each.
    """
    from epitome_kit.tumour.intervals import VOLUME_LEVEL
    from epitome_kit.tumour.segment import summarise

    summary = summarise(tumours)
    if as_json:
        rows = json.loads(tumours.to_json(orient="records"))
        answer = {"summary": summary or None, "tumours": rows}
        show(answer if scans is None else answer | {"scans": scans}, as_json, ())
    else:
        unit = "ml" if tumours.volume_ml.notna().any() else "voxels"
        sizes = [f"volume_{unit}", f"volume_low_{unit}", f"volume_high_{unit}", "rano_long_mm"]
        columns = ["participant_id", *sizes, "dice", "dice_classical"]
        show_frame(tumours.round(3), False, [name for name in columns if name in tumours])
    if summary:
        labels = {"score_interval": interval_label(), "volume_interval": interval_label(VOLUME_LEVEL)}
        told = (text.format(**summary, **labels) for name, text in _FIT.items() if name in summary)
        typer.echo("; ".join(told), err=as_json)
    show_warnings(tumours)
    typer.echo(f"Masks: {folder / 'masks'}", err=as_json)


def show_epitomes(table, scores, folder, as_json):
    """Print what the epitomes explain of patches that were held out, beside their rivals.

    Parameters
    ----------
    table : DataFrame
        One row a subject, as in ``epitomes.tsv``.
    scores : dict
        As in ``epitomes.json``.
    folder : Path
        Where the results are.
    as_json : bool
    """
    classes = scores["classes"]
    held_out = {"other half of a tumour": scores["subjects"]}
    if "reason" not in classes:
        held_out[f"new subjects, by {scores['target']}"] = classes
    rows = [(name, *each["mse"].values(), each["n"]) for name, each in held_out.items()]
    header = ("mean squared error on", "epitome", "k-means", "random patches", "n")
    answer = {**scores, "rows": json.loads(table.to_json(orient="records"))}
    show(answer, as_json, rows, header=header)
    if "reason" in classes:
        typer.echo(f"No epitomes by {scores['target']}: {classes['reason']}", err=as_json)
    else:
        low, high = classes["auc_ci95"]
        told = f"{scores['target']} by log-likelihood ratio: AUC {classes['auc']:.2f} ({low:.2f} to {high:.2f})"
        majority = f"accuracy {classes['accuracy']:.2f}, majority {classes['majority_accuracy']:.2f}"
        typer.echo(f"{told}, {majority}, n = {classes['n']}", err=as_json)
    for row in table.dropna(subset="note").itertuples():
        typer.echo(f"{row.participant_id}: no learned epitome; {row.note}", err=as_json)
    typer.echo(f"Open {folder / 'epitomes.html'}", err=as_json)


def show_points(marks, as_json):
    """Print the points of students: of one file each exercise, of several one line a file.

    Parameters
    ----------
    marks : DataFrame
        From :func:`epitome_kit.classroom.marking.mark_folder`.
    as_json : bool
    """
    files = marks.groupby("file", sort=False)
    if as_json or len(files) == 1:
        show_frame(marks, as_json, ["exercise", "points", "state", "said", "note"])
    else:
        header = ("file", "notebook", "points", "exercises", "")
        show(None, False, [(file, *_class_line(rows)) for file, rows in files], header=header)
    told = marks.exercise.notna()
    refused = int((~told).sum())
    typer.echo(f"{marks.points.sum()} of {told.sum()} points", err=as_json)
    counted = f"{len(files)} files: {len(files) - refused} marked, {refused} refused"
    passed_over = marks.attrs.get("passed_over")
    if passed_over:
        counted += f"; passed over {passed_over} that a system keeps for itself, such as .DS_Store"
    typer.echo(counted, err=as_json)


def _class_line(marks):
    """Notebook, points, a mark an exercise, and why a file was refused or what else there is to say."""
    from epitome_kit.teach.check_result import MARKS

    first = marks.iloc[0].fillna("")
    if marks.exercise.isna().any():
        return None, 0, None, "; ".join(filter(None, (first.said, first.note)))
    mark_of = {word.lower(): mark for mark, word, _ in MARKS.values()}
    shown = " ".join(mark_of.get(state, "!") for state in marks.state)
    return first.notebook, f"{marks.points.sum()}/{len(marks)}", shown, first.note


def _graded(scores):
    low, high = scores["auc_ci95"]
    figures = (scores["auc"], f"{low:.2f} to {high:.2f}", scores["balanced_accuracy"], scores["brier"])
    return (*(f"{each:.3f}" if isinstance(each, float) else each for each in figures), f"{scores['permutation_p']:.4f}")


def _with_unit(name, value):
    if isinstance(value, bool):
        return "yes" if value else "no", ""
    unit, form = _UNITS.get(name.rpartition("_")[2], ("", ".2f" if isinstance(value, float) else "d"))
    return f"{value:{form}}", unit


def _plain(value):
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def _key_figure(summary, part, name):
    figures = summary[part]
    value, interval = figures[name], figures.get(f"{name}_ci95")
    spread = f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else None
    return part, name.replace("_", " "), f"{value:.2f}", spread, figures.get("n")
