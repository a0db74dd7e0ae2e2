"""Analyse one case: from scans to a self-contained HTML sheet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from epitome_kit import __version__
from epitome_kit.case.findings import size_lines, state_findings
from epitome_kit.case.steps import STEPS as STEPS
from epitome_kit.case.upload import NAME, keep_scan
from epitome_kit.cohort import Subject, image_path
from epitome_kit.contrast_table import CONTRASTS, by_conspicuity
from epitome_kit.epitome.by_subject import load_tumour
from epitome_kit.epitome.model import learn_epitome
from epitome_kit.epitome.patches import take_patches
from epitome_kit.epitome.region import extract_epitomes
from epitome_kit.errors import EpitomeError, ParameterError
from epitome_kit.files import Json, PathLike, read_json, read_tsv, write_json
from epitome_kit.grade.single_case import grade_head, grading_files, has_graded
from epitome_kit.images import ImageLike
from epitome_kit.preprocess.derivative import quality_records
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.preprocess.subject import describe_steps
from epitome_kit.report.flow import CLASSES
from epitome_kit.report.html import embed_picture, render_page, write_page
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.tumour.intervals import describe_volume
from epitome_kit.tumour.outline import mask_path
from epitome_kit.tumour.segment import predict_tumours
from epitome_kit.tumour.single_case import SPACING_MM, prepare_head
from epitome_kit.tumour.size import RANO_NOTE
from epitome_kit.workspace import CASE_FACTS, CASE_SHEET, Workspace

if TYPE_CHECKING:
    from epitome_kit.plotting.style import DescribedFigure

_MIN_PATCHES, _MAX_PATCHES = 120, 300
_PATCH, _SIDE = 3, 8


@dataclass(frozen=True)
class CaseReport:
    """Findings of one case.

    Attributes
    ----------
    folder : Path
        Folder of all output files.
    main_contrast : str
        Contrast that was segmented.
    scans : dict of str to Path
        Scans by contrast, without text in their headers.
    brain, tumour : Path
        Masks on the grid of the segmented scan.
    facts : dict
        As in ``case.json``: ``size``, ``grade`` or ``ungraded``, ``notes`` and more.
    pictures : dict of str to Path
        Figures ``brain``, ``tumour``, ``epitome``, ``learned`` and ``grade``, as
        far as available.
    """

    folder: Path
    main_contrast: str
    scans: dict[str, Path]
    brain: Path
    tumour: Path
    facts: Json
    pictures: dict[str, Path] = field(default_factory=dict)

    @property
    def sheet(self) -> Path:
        """Path of the HTML sheet."""
        return self.folder / CASE_SHEET


def case_report(
    images: Mapping[str, ImageLike],
    out: PathLike,
    *,
    workspace: PathLike | None = None,
    truth: Json | None = None,
    evidence: Mapping[str, str] | None = None,
    progress: Callable[[str], object] | None = None,
) -> CaseReport:
    """Preprocess, segment, measure and grade one case, and write an HTML sheet; a finished one is kept.

    Parameters
    ----------
    images : dict of str to image-like
        Scans by contrast, any of :data:`epitome_kit.contrast_table.CONTRASTS`. Of
        their headers only the geometry is kept.
    out : path
        Output folder: ``case.html``, ``case.json``, ``figures/``, ``masks/``,
        ``epitomes/``, ``preprocessed/``, ``scans/`` and ``record.json`` (inputs and
        settings).
    workspace : path, default=None
        Workspace of a run with graded networks. The case is not graded if it is
        None or has none.
    truth : dict, default=None
        Known truth of a simulated scan: ``grade`` and ``volume_ml``.
    evidence : dict of str to str, default=None
        Contrast to the evidence by which it was determined; default "as stated".
    progress : callable, default=None
        Called with each of :data:`epitome_kit.case.steps.STEPS` when it begins.

    Returns
    -------
    CaseReport
        Findings, masks and figures.

    Raises
    ------
    ParameterError
        No scan, or an unknown contrast.
    ImageError
        A scan cannot be used.
    """
    out, report_step = Path(out), progress or (lambda step: None)
    report_step(STEPS[0])
    scans = _keep_scans(images, out)
    main_contrast = by_conspicuity(scans)[0]
    record = _record(out, scans, workspace, truth, evidence)
    if record.valid():
        return _read_report(out, main_contrast, scans, record)
    report_again("case_report", [record.difference()])
    record.path.unlink(missing_ok=True)
    report_step(STEPS[1])
    subject, files = prepare_head(scans, out)
    report_step(STEPS[2])
    tumour = predict_tumours([subject], files.folder, out).iloc[0]
    report = _empty_report(out, main_contrast, scans)
    report_step(STEPS[3])
    report.facts.update(state_findings(report, tumour, truth, evidence or {}, files.warnings))
    report_step(STEPS[4])
    if report.facts["size"] is not None:
        _cut_out(report, subject, files)
    report_step(STEPS[5])
    report.facts.update(
        _grade(subject, files, out, workspace) if report.facts["size"] else {"ungraded": "no tumour was found"}
    )
    report_step(STEPS[6])
    _draw(report, workspace)
    write_json(out / CASE_FACTS, report.facts)
    write_page(report.sheet, "case.html.j2", **_shown(report))
    record.finish(pictures=list(report.pictures))
    return report


def case_html(report: CaseReport) -> str:
    """Render the findings as an HTML fragment.

    Parameters
    ----------
    report : CaseReport
        From :func:`case_report`.

    Returns
    -------
    str
        The body of the sheet, with all text escaped.
    """
    return render_page("case_body.html.j2", **_shown(report))


def _empty_report(out: Path, main_contrast: str, scans: dict[str, Path]) -> CaseReport:
    brain = Preprocessed(Workspace(out).preprocessed, NAME).mask("desc-brain", space=main_contrast)
    return CaseReport(out, main_contrast, scans, brain, mask_path(out, NAME), {})


def _record(
    out: Path,
    scans: dict[str, Path],
    workspace: PathLike | None,
    truth: Json | None,
    evidence: Mapping[str, str] | None,
) -> Record:
    """Return the record of a sheet, with the scans and the networks as inputs."""
    settings: Json = {"version": __version__, "steps": describe_steps()}
    networks: list[Path] = []
    if workspace is not None and has_graded(workspace):
        settings["model"] = {"spacing_mm": _spacing_mm(workspace), **_origin(workspace)}
        networks = [*grading_files(workspace), *sorted(Workspace(Path(workspace)).cnn_folds.glob("fold-*.keras"))]
    settings |= {"truth": truth, "evidence": evidence or {}}
    report = _empty_report(out, by_conspicuity(scans)[0], scans)
    outputs = [report.sheet, out / CASE_FACTS, report.brain, report.tumour]
    return Record(out / "record.json", settings, checksums(*scans.values(), *networks), outputs)


def _read_report(out: Path, main_contrast: str, scans: dict[str, Path], record: Record) -> CaseReport:
    """Read a finished report; null becomes NaN."""
    report = _empty_report(out, main_contrast, scans)
    report.facts.update(read_json(out / CASE_FACTS))
    if size := report.facts["size"]:
        size.update({name: np.nan for name, value in size.items() if value is None and name != "measured"})
    report.pictures.update({name: Workspace(out).figures / f"{name}.png" for name in record.results()["pictures"]})
    return report


def _keep_scans(images: Mapping[str, ImageLike], out: Path) -> dict[str, Path]:
    unknown = [name for name in images if name not in CONTRASTS]
    if unknown or not images:
        raise ParameterError(
            "case_report",
            f"scans by contrast: {', '.join(CONTRASTS)}",
            f"{', '.join(map(repr, unknown)) or 'none'}",
            "give the contrast of each scan: `{'FLAIR': 'scan.nii.gz'}`",
        )
    places = {name: out / "scans" / image_path("", NAME, name).name for name in CONTRASTS if name in images}
    return {name: keep_scan(images[name], path) for name, path in places.items()}


def _grade(subject: Subject, files: Preprocessed, out: Path, workspace: PathLike | None) -> Json:
    """Grade the case, or explain why it is not graded."""
    if workspace is None or not has_graded(workspace):
        return {"ungraded": "no trained model; train one with `epitome run`"}
    try:
        spacing = _spacing_mm(workspace)
        if spacing != SPACING_MM:
            _, files = prepare_head(subject.images, out / "for_grading", spacing_mm=spacing)
        grade = grade_head(files, workspace)
    except EpitomeError as error:
        return {"ungraded": f"{error.reason}; {error.hint}"}
    names = CLASSES[grade["target"]]
    return {"grade": {**grade, "names": list(names), **_origin(workspace)}}


def _spacing_mm(workspace: PathLike) -> float:
    """Return the voxel size of the grid of a workspace."""
    record = next(iter(quality_records(Workspace(Path(workspace)).preprocessed)), None)
    return float(read_json(record)["settings"]["spacing_mm"]) if record else SPACING_MM


def _origin(workspace: PathLike) -> Json:
    """Return the cohort and the run in which a model was trained."""
    path = Workspace(Path(workspace)).parameters
    cohort = str(read_json(path, missing={"cohort": "a cohort"}).get("cohort", "phantom"))
    return {"cohort": Path(cohort).name, "run": Path(workspace).resolve().name, "simulated": cohort == "phantom"}


def _cut_out(report: CaseReport, subject: Subject, files: Preprocessed) -> None:
    """Extract the region of the tumour, and learn its epitome if it is large enough."""
    from epitome_kit.plotting.epitomes import epitome_picture
    from epitome_kit.plotting.scans import epitome_sheet

    crops = dict(extract_epitomes([subject], files.folder, report.folder)[NAME])
    figure = epitome_sheet(crops, crops.pop("mask"), size_lines(report.facts["size"]), title="The region of the tumour")
    _save(report, "epitome", figure, "The tumour cut out of every contrast, in three planes, with its size.")
    scans, mask, _ = load_tumour(subject, files.folder, report.folder, tuple(report.scans))
    patches = take_patches(scans, mask, _PATCH)
    report.facts["patches"] = len(patches)
    if len(patches) >= _MIN_PATCHES:
        some = np.random.default_rng(0).permutation(len(patches))[:_MAX_PATCHES]
        learned = learn_epitome(patches[some], _SIDE, contrasts=tuple(report.scans))
        figure = epitome_picture(learned, title="The learned epitome")
        _save(report, "learned", figure, "Slices of the mean and the variance of the learned epitome.")


def _draw(report: CaseReport, workspace: PathLike | None) -> None:
    from epitome_kit.case.charts import grade_chart
    from epitome_kit.plotting.scans import show_planes

    scan = {report.main_contrast: report.scans[report.main_contrast]}
    figure = show_planes(scan, {"brain": report.brain}, title="Skull strip")
    _save(report, "brain", figure, f"The {report.main_contrast} scan in three planes, with the brain mask outlined.")
    if report.facts["size"]:
        figure = show_planes(scan, {"tumour": report.tumour}, title="Tumour")
        _save(report, "tumour", figure, f"The {report.main_contrast} scan in three planes, with the tumour outlined.")
    if "grade" in report.facts and workspace is not None:
        predictions = read_tsv(Workspace(Path(workspace)).predictions)
        figure = grade_chart(predictions, report.facts["grade"])
        text = "Probabilities of the test subjects, by true class, and that of this scan."
        _save(report, "grade", figure, text)


def _save(report: CaseReport, name: str, figure: "DescribedFigure", alt: str) -> None:
    from epitome_kit.plotting.style import save_figure

    report.pictures[name] = report.folder / "figures" / f"{name}.png"
    save_figure(figure, report.pictures[name], alt)


def _shown(report: CaseReport) -> Json:
    pictures = {name: embed_picture(path) for name, path in report.pictures.items()}
    facts = report.facts
    parts = {
        "volume": facts["size"] and describe_volume(facts["size"]),
        "rano": RANO_NOTE,
        "grade": facts.get("grade"),
        "ungraded": facts.get("ungraded"),
        "pictures": pictures,
    }
    return {**facts, **parts}
