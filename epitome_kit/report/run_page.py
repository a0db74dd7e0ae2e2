"""Write the report of a run: one HTML page that works offline."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from epitome_kit.confidence import interval_label
from epitome_kit.extras import needs
from epitome_kit.files import Json, PathLike, read_json, write_json, write_text
from epitome_kit.lock import locks
from epitome_kit.manifest import REPORT, Manifest, require_recorded
from epitome_kit.metrics import mean_ci95
from epitome_kit.report.documents import write_reporting
from epitome_kit.report.flow import CLASSES
from epitome_kit.report.html import TEMPLATES, write_page
from epitome_kit.report.summary import build_summary
from epitome_kit.resume import made_from
from epitome_kit.tumour.intervals import describe_volume
from epitome_kit.workspace import Workspace, column, executed_notebooks, read_notebook, run_parameters, table

with needs("lab"):
    from nbconvert import HTMLExporter

__all__ = ["build_summary", "write_report"]

STEPS = (
    (
        "01",
        "Inspect",
        "What does the cohort hold, and which scans look wrong?",
        (Workspace.audit, Workspace.spreadsheet),
    ),
    ("02", "Preprocess", "How are the scans made comparable?", (Workspace.quality,)),
    ("03", "Learn", "What does a small 3-D network learn?", (Workspace.features, Workspace.cnn)),
    ("04", "Grade", "How well do its features separate the classes?", (Workspace.scores, Workspace.predictions)),
    (
        "05",
        "Extract",
        "Where is the tumour, and how large is it?",
        (Workspace.tumours, Workspace.masks, Workspace.epitomes),
    ),
    ("06", "One scan", "What can be said about one new scan?", (Workspace.case_sheet,)),
)
"""Steps of a run: number, title, question, and the files that each writes."""

_QUESTION = "{}? Predicted from MRI, tested on held-out subjects."
_ALONE = "Analysis of one scan."


@locks("report", "workspace")
def write_report(workspace: PathLike) -> Path:
    """Write ``summary.json``, ``index.html`` and an HTML copy of each executed notebook.

    Also written: the flow of subjects and the checklists in ``reporting/``, and
    ``model_card.md`` once a model was graded.

    Parameters
    ----------
    workspace : path
        Folder of a run, complete or not.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ParameterError
        The folder is not the workspace of a run.
    OutputError
        The workspace cannot be written to.
    """
    workspace = Path(workspace)
    require_recorded(workspace, "report")
    summary, parameters = build_summary(workspace), run_parameters(workspace)
    notebooks = executed_notebooks(workspace)
    steps = [_step(workspace, summary, notebooks, *step) for step in STEPS]
    alone = "cohort" not in parameters  # one scan, or the user's own notebooks
    write_json(Workspace(workspace).summary, summary)
    for notebook in notebooks:
        _write_readable(notebook["path"])
    write_page(
        Workspace(workspace).page,
        "index.html.j2",
        summary=summary,
        parameters=parameters,
        alone=alone,
        question=_ALONE if alone else _QUESTION.format(" or ".join(_classes(summary))),
        date=(summary["provenance"].get("started") or "")[:10],
        failed=[notebook["name"] for notebook in notebooks if notebook["status"] == "failed"],
        cards=_cards(workspace, summary),
        steps=[step for step in steps if step["notebook"] or not alone],
        reporting=None if alone else _reporting(workspace),
        provenance=_provenance(summary["provenance"]),
        x=lambda share: round(6 + 228 * min(max(share, 0), 1), 1),
        seconds=_duration,
    )
    manifest = Manifest.read(workspace)
    manifest.record(REPORT, _written(workspace, manifest))
    return Workspace(workspace).page


def _written(workspace: Path, manifest: Manifest) -> list[Path]:
    """List the files of a report, without the documents that an author may edit."""
    members = Workspace(workspace)
    pages = [*members.notebooks.glob("*.html"), *members.notebooks.glob("*.json"), members.page, members.model_page]
    others = [path for path in members.reporting.glob("[!.]*") if path.suffix != ".md"]
    return [members.summary, *pages, *others]


def _write_readable(notebook: Path) -> None:
    """Convert an executed notebook to HTML, unless the page is up to date."""
    page = notebook.with_suffix(".html")
    record = made_from(page, notebook)
    if record.valid():
        return
    content = read_notebook(notebook)
    content.metadata.pop("widgets", None)
    exporter = HTMLExporter(template_name="notebook", extra_template_basedirs=[str(TEMPLATES)])
    write_text(page, exporter.from_notebook_node(content, {"metadata": {"name": notebook.stem}})[0])
    record.finish()


def _classes(summary: Json) -> tuple[str, ...]:
    return CLASSES.get(summary["cohort"]["target"], CLASSES["grade"])


def _cards(workspace: Path, summary: Json) -> list[Json]:
    """Return the key figures with their context; a figure that was not measured has only a label."""
    cohort, brain, grading, tumour = (summary[part] for part in ("cohort", "preprocess", "grading", "tumour"))
    ceiling = _mark("oracle on latents (population)", grading["oracle_auc"], "ceiling")
    majority = _mark("always the larger class", grading["majority_accuracy"], "baseline")
    chance = _mark("always the larger class, or chance", 0.5, "baseline")
    tumours = table(Workspace(workspace).tumours)
    dice, sparse = column(tumours, "dice"), list(tumours.get("reference", [])).count("annotated slices")
    brains = column(table(Workspace(workspace).quality), "brain_mask_dice")
    of_tumour = [
        _note("median Dice", tumour["dice_median"]),
        _note("median volume error", tumour["volume_error_pct_median"], "{:.0f} %"),
        _note("compared on annotated slices only:", sparse or None, "{} subjects"),
    ]
    of_brain = [
        _note("residual bias (SD of the log field)", brain["bias_residual_sd"], "{:.3f}"),
        _note("registration error", brain["registration_error_mm"], "{:.1f} mm"),
    ]
    return [
        *([_cohort_card(cohort, _classes(summary))] if cohort["n_subjects"] is not None else []),
        _score_card("Classification: AUC", *_score(grading, "auc"), marks=[chance, ceiling]),
        _score_card("Accuracy", *_score(grading, "accuracy"), marks=[majority]),
        _score_card("Balanced accuracy", *_score(grading, "balanced_accuracy"), marks=[chance]),
        _score_card("Tumour segmentation: mean Dice", tumour["dice_mean"], mean_ci95(dice), len(dice), notes=of_tumour),
        _score_card("Brain mask: mean Dice", brain["brain_mask_dice"], mean_ci95(brains), len(brains), notes=of_brain),
        *_case_cards(summary["case"]),
    ]


def _case_cards(case: Json) -> list[Json]:
    """Return the key figures of the one scan of notebook 06."""
    cards = []
    if case["volume_voxels"]:
        size = describe_volume(case)
        sample = [size.interval, *(["voxel size unknown"] if case["volume_ml"] is None else [])]
        cards.append({"label": "One scan: tumour", "value": size.volume, "sample": sample})
    if case["probability"] is not None:
        sample = ["see the case sheet for the model behind it"]
        value = f"{100 * case['probability']:.0f} %"
        cards.append({"label": f"One scan: {case['of']}", "value": value, "sample": sample})
    return cards


def _cohort_card(cohort: Json, names: Sequence[str]) -> Json:
    counts = list((cohort["class_counts"] or {}).values())
    unlabelled = cohort["n_subjects"] - sum(counts)
    parts = [{"label": name, "n": count} for name, count in zip(names, counts, strict=False)]
    return {
        "label": "Subjects",
        "value": cohort["n_subjects"],
        "sample": [
            f"{cohort['n_excluded']} excluded",
            *([f"{unlabelled} without a {cohort['target']}"] if counts and unlabelled else []),
        ],
        "parts": parts,
        "spoken": ", ".join(f"{part['label']}: {part['n']}" for part in parts),
    }


def _score_card(
    label: str,
    estimate: float | None,
    interval: Sequence[float] | None,
    n: int,
    *,
    marks: Sequence[Json] = (),
    notes: Sequence[str | None] = (),
) -> Json:
    """Return a figure from 0 to 1 as text, as a scale and as a label for screen readers."""
    if estimate is None:
        return {"label": label}
    marks = [mark for mark in marks if mark["at"] is not None]
    spread = [f"{interval_label()} {interval[0]:.2f} to {interval[1]:.2f}"] if interval else []
    return {
        "label": label,
        "value": f"{estimate:.2f}",
        "sample": [*spread, f"n = {n}"],
        "estimate": estimate,
        "interval": interval,
        "marks": marks,
        "notes": [note for note in notes if note],
        "spoken": "; ".join([f"{label} {estimate:.2f}", *(f"{mark['label']} {mark['at']:.2f}" for mark in marks)]),
    }


def _score(grading: Json, name: str) -> tuple[float | None, Sequence[float] | None, int]:
    return grading[name], grading[f"{name}_ci95"], grading["n"]


def _mark(label: str, at: float | None, kind: str) -> Json:
    return {"label": label, "at": at, "kind": kind}


def _note(label: str, value: float | None, form: str = "{:.2f}") -> str | None:
    return f"{label} {form.format(value)}" if value is not None else None


def _step(
    workspace: Path, summary: Json, notebooks: list[Json], number: str, title: str, question: str, files: Sequence[Path]
) -> Json:
    matching = [notebook for notebook in notebooks if notebook["name"].startswith(f"{number}_")]
    return {
        "number": number,
        "title": title,
        "question": question,
        "notebook": {**matching[-1], "ending": matching[-1]["path"].stem.removeprefix(matching[-1]["name"])}
        if matching
        else None,
        "files": [
            {"path": each.name, "label": Path(each.name).name} for each in files if (workspace / each.name).exists()
        ],
        "figures": [_figure(path) for path in _in_order(Workspace(workspace).figures, number, matching)],
        "confusion": _confusion(workspace, summary) if number == "04" else None,
    }


def _in_order(folder: Path, number: str, notebooks: list[Json]) -> list[Path]:
    """List the figures of one notebook in the order in which its code names them."""
    code = "\n".join(cell.source for notebook in notebooks for cell in read_notebook(notebook["path"]).cells)
    places = {path: code.find(path.name) for path in sorted(folder.glob(f"{number}_*.png"))}
    return sorted(places, key=lambda path: places[path] if places[path] >= 0 else len(code))


def _figure(path: Path) -> Json:
    """Describe a figure, with the alternative text saved in it."""
    with Image.open(path) as image:
        width, height = image.size
        text = image.info.get("Description") or path.stem[3:].replace("_", " ")
    return {"path": f"{path.parent.name}/{path.name}", "text": text, "width": width, "height": height}


def _reporting(workspace: Path) -> Json:
    """Write flow figure, model card and checklists, and describe them for the page."""
    written = write_reporting(workspace)
    return {**written, "flow": _figure(written["flow"]) if written["flow"] else None}


def _confusion(workspace: Path, summary: Json) -> Json | None:
    scores = read_json(Workspace(workspace).scores, missing={})
    counts = scores.get("confusion_matrix")
    if not counts:
        return None
    folds = f", {scores['folds']} folds" if scores.get("folds") else ""
    caption = f"n = {sum(map(sum, counts))}, out-of-fold predictions{folds}"
    return {"counts": counts, "names": _classes(summary), "caption": caption}


def _provenance(stated: Json) -> list[tuple[str, Iterable[tuple[str, object]]]]:
    tables = {title: (stated.get(title) or {}).items() for title in ("parameters", "versions")}
    machine = [(name, value) for name, value in stated.items() if name not in tables]
    return [("Parameters", tables["parameters"]), ("Run and machine", machine), ("Versions", tables["versions"])]


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
