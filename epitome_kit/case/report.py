"""One case, from the scans of a head to a sheet to keep."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from epitome_kit import __version__
from epitome_kit.case.findings import size_lines, state_findings
from epitome_kit.case.upload import NAME, keep_scan
from epitome_kit.cohort import image_path
from epitome_kit.contrast_table import CONTRASTS, by_conspicuity
from epitome_kit.epitome.by_subject import load_tumour
from epitome_kit.epitome.model import learn_epitome
from epitome_kit.epitome.patches import take_patches
from epitome_kit.epitome.region import extract_epitomes
from epitome_kit.errors import EpitomeError, ParameterError
from epitome_kit.files import read_json, read_tsv, write_json
from epitome_kit.grade.single_case import grade_head, grading_files, has_graded
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.preprocess.subject import describe_steps
from epitome_kit.report.flow import CLASSES
from epitome_kit.report.html import embed_picture, render_page, write_page
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.tumour.intervals import describe_volume
from epitome_kit.tumour.outline import mask_path
from epitome_kit.tumour.segment import predict_tumours
from epitome_kit.tumour.single_case import SPACING_MM, prepare_head
from epitome_kit.workspace import CASE_FACTS, CASE_SHEET, Workspace

STEPS = (
    "Reading the scans",
    "Stripping the skull, evening out the brightness, aligning with the template",
    "Outlining the tumour",
    "Measuring",
    "Cutting out the epitome",
    "Grading",
    "Writing the sheet",
)
"""What :func:`case_report` does, in order, in words for a visitor."""

_FEWEST_PATCHES, _MOST_PATCHES = 120, 300
_PATCH, _SIDE = 3, 8


@dataclass(frozen=True)
class CaseReport:
    """What was found in one head.

    Attributes
    ----------
    folder : Path
        Holds everything that was written.
    lead : str
        Contrast that was outlined.
    scans : dict of str to Path
        By contrast, headers cleaned.
    brain, tumour : Path
        Masks on the grid of the leading scan.
    facts : dict
        As in ``case.json``: ``size``, ``grade`` or ``ungraded``, ``notes`` and more.
    pictures : dict of str to Path
        ``brain``, ``tumour``, ``epitome``, ``learned``, ``grade``; those that
        could be made.
    """

    folder: Path
    lead: str
    scans: dict
    brain: Path
    tumour: Path
    facts: dict
    pictures: dict = field(default_factory=dict)

    @property
    def sheet(self):
        """The page to keep."""
        return self.folder / CASE_SHEET


def case_report(images, out, *, workspace=None, truth=None, evidence=None, progress=None):
    """Strip, outline, measure, cut out and grade one head, and write a sheet about it; a finished one is kept.

    Parameters
    ----------
    images : dict of str to path
        Scans by contrast, any of :data:`epitome_kit.contrast_table.CONTRASTS`. Nothing of
        their headers but the geometry goes any further.
    out : path
        Everything is written there: ``case.html``, ``case.json``, ``figures/``,
        ``masks/``, ``epitomes/``, ``preprocessed/`` and ``scans/``; and
        ``record.json``, what it was made from.
    workspace : path, default=None
        Of a run that has graded its cohort; its networks grade the head. None,
        or a folder where that was not done: everything but the grade.
    truth : dict, default=None
        What is known of a simulated head: ``grade`` and ``volume_ml``.
    evidence : dict of str to str, default=None
        By contrast, how it is known that the scan shows it; else it counts as stated.
    progress : callable, default=None
        Called with each of :data:`STEPS` as it begins.

    Returns
    -------
    CaseReport

    Raises
    ------
    ParameterError
        No scan, or one of no known contrast.
    ImageError
        A scan cannot be used.
    """
    out, tell = Path(out), progress or (lambda step: None)
    tell(STEPS[0])
    scans = _keep_scans(images, out)
    lead = by_conspicuity(scans)[0]
    record = _record(out, scans, workspace, truth, evidence)
    if record.valid():
        return _read_report(out, lead, scans, record)
    report_again("case_report", [record.difference()])
    record.path.unlink(missing_ok=True)
    tell(STEPS[1])
    subject, files = prepare_head(scans, out)
    tell(STEPS[2])
    tumour = predict_tumours([subject], files.folder, out).iloc[0]
    report = _empty_report(out, lead, scans)
    tell(STEPS[3])
    report.facts.update(state_findings(report, tumour, truth, evidence or {}, files.warnings))
    tell(STEPS[4])
    if report.facts["size"] is not None:
        _cut_out(report, subject, files)
    tell(STEPS[5])
    report.facts.update(
        _grade(subject, files, out, workspace) if report.facts["size"] else {"ungraded": "no tumour was outlined"}
    )
    tell(STEPS[6])
    _draw(report, workspace)
    write_json(out / CASE_FACTS, report.facts)
    write_page(report.sheet, "case.html.j2", **_shown(report))
    record.finish(pictures=list(report.pictures))
    return report


def case_html(report):
    """Render the findings as a part of a page, as on the sheet but without its frame.

    Parameters
    ----------
    report : CaseReport

    Returns
    -------
    str
        HTML, everything that came from outside escaped.
    """
    return render_page("case_body.html.j2", **_shown(report))


def _empty_report(out, lead, scans):
    brain = Preprocessed(Workspace(out).preprocessed, NAME).mask("desc-brain", space=lead)
    return CaseReport(out, lead, scans, brain, mask_path(out, NAME), {})


def _record(out, scans, workspace, truth, evidence):
    """Record of a sheet: the scans, and the networks that grade them."""
    settings, networks = {"version": __version__, "steps": describe_steps()}, []
    if workspace is not None and has_graded(workspace):
        settings["model"] = {"spacing_mm": _spacing_mm(workspace), **_origin(workspace)}
        networks = [*grading_files(workspace), *sorted(Workspace(workspace).cnn_folds.glob("fold-*.keras"))]
    settings |= {"truth": truth, "evidence": evidence or {}}
    report = _empty_report(out, by_conspicuity(scans)[0], scans)
    outputs = [report.sheet, out / CASE_FACTS, report.brain, report.tumour]
    return Record(out / "record.json", settings, checksums(*scans.values(), *networks), outputs)


def _read_report(out, lead, scans, record):
    """Read a finished report; a missing number is written as null."""
    report = _empty_report(out, lead, scans)
    report.facts.update(read_json(out / CASE_FACTS))
    if size := report.facts["size"]:
        size.update({name: np.nan for name, value in size.items() if value is None and name != "measured"})
    report.pictures.update({name: Workspace(out).figures / f"{name}.png" for name in record.results()["pictures"]})
    return report


def _keep_scans(images, out):
    unknown = [name for name in images if name not in CONTRASTS]
    if unknown or not images:
        raise ParameterError(
            "case_report",
            f"scans by contrast: {', '.join(CONTRASTS)}",
            f"{', '.join(map(repr, unknown)) or 'none'}",
            "say what each scan shows: `{'FLAIR': 'scan.nii.gz'}`",
        )
    places = {name: out / "scans" / image_path("", NAME, name).name for name in CONTRASTS if name in images}
    return {name: keep_scan(images[name], path) for name, path in places.items()}


def _grade(subject, files, out, workspace):
    """Grade the head, or say why not."""
    if workspace is None or not has_graded(workspace):
        return {"ungraded": "no trained model here; make one with `make run`"}
    try:
        spacing = _spacing_mm(workspace)
        if spacing != SPACING_MM:
            _, files = prepare_head(subject.images, out / "for_grading", spacing_mm=spacing)
        grade = grade_head(files, workspace)
    except EpitomeError as error:
        return {"ungraded": f"{error.reason}; {error.hint}"}
    names = CLASSES[grade["target"]]
    return {"grade": {**grade, "names": list(names), **_origin(workspace)}}


def _spacing_mm(workspace):
    """Voxel size of the grid that a workspace learned on."""
    record = next(Path(workspace).glob("preprocessed/sub-*/anat/[!.]*_desc-preproc_quality.json"), None)
    return float(read_json(record)["settings"]["spacing_mm"]) if record else SPACING_MM


def _origin(workspace):
    """Tell which cohort a model learned from, and in which run."""
    path = Workspace(workspace).parameters
    cohort = str(read_json(path, missing={"cohort": "a cohort"}).get("cohort", "phantom"))
    return {"cohort": Path(cohort).name, "run": Path(workspace).resolve().name, "simulated": cohort == "phantom"}


def _cut_out(report, subject, files):
    """Cut the tumour out of every contrast, and distil its epitome if it is large enough."""
    from epitome_kit.plotting.epitomes import epitome_picture
    from epitome_kit.plotting.scans import epitome_sheet

    crops = dict(extract_epitomes([subject], files.folder, report.folder)[NAME])
    figure = epitome_sheet(crops, crops.pop("mask"), size_lines(report.facts["size"]), title="The region of the tumour")
    _save(report, "epitome", figure, "The tumour cut out of every contrast, in three planes, with its size.")
    scans, mask, _ = load_tumour(subject, files.folder, report.folder, tuple(report.scans))
    patches = take_patches(scans, mask, _PATCH)
    report.facts["patches"] = len(patches)
    if len(patches) >= _FEWEST_PATCHES:
        some = np.random.default_rng(0).permutation(len(patches))[:_MOST_PATCHES]
        learned = learn_epitome(patches[some], _SIDE, contrasts=tuple(report.scans))
        figure = epitome_picture(learned, title="The learned epitome")
        _save(report, "learned", figure, "Slices of the mean and the variance of the learned epitome.")


def _draw(report, workspace):
    from epitome_kit.case.charts import grade_chart
    from epitome_kit.plotting.scans import show_planes

    lead = {report.lead: report.scans[report.lead]}
    figure = show_planes(lead, {"brain": report.brain}, title="Skull strip")
    _save(report, "brain", figure, f"The {report.lead} scan in three planes, with what was taken for brain outlined.")
    if report.facts["size"]:
        figure = show_planes(lead, {"tumour": report.tumour}, title="Tumour")
        _save(report, "tumour", figure, f"The {report.lead} scan in three planes, with the tumour outlined.")
    if "grade" in report.facts:
        predictions = read_tsv(Workspace(workspace).predictions)
        figure = grade_chart(predictions, report.facts["grade"])
        text = "Probabilities of the subjects that the model was tested on, by their true class, and that of this head."
        _save(report, "grade", figure, text)


def _save(report, name, figure, alt):
    from epitome_kit.plotting.style import save_figure

    report.pictures[name] = report.folder / "figures" / f"{name}.png"
    save_figure(figure, report.pictures[name], alt)


def _shown(report):
    pictures = {name: embed_picture(path) for name, path in report.pictures.items()}
    facts = report.facts
    parts = {
        "volume": facts["size"] and describe_volume(facts["size"]),
        "grade": facts.get("grade"),
        "ungraded": facts.get("ungraded"),
        "pictures": pictures,
    }
    return {**facts, **parts}
