"""Case page: choose or upload a scan, follow the steps, read the findings, download the sheet."""

import base64
import html
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from epitome_kit.case.choices import OPTIONS, OWN, propose_contrast, select_scans
from epitome_kit.case.phantoms import PHANTOMS, known_truth, load_phantoms
from epitome_kit.case.upload import receive_scan
from epitome_kit.errors import EpitomeError, ImageError
from epitome_kit.extras import needs
from epitome_kit.files import Json, PathLike
from epitome_kit.grade.single_case import find_trained_run
from epitome_kit.widgets.slice_viewer import SliceViewer

if TYPE_CHECKING:
    from epitome_kit.case.report import CaseReport

with needs("lab"):
    import ipywidgets as ipw


def open_case_page(workspace: PathLike) -> "CasePage":
    """Create the case page in a notebook, where it runs in the kernel, without limits of time and memory.

    Parameters
    ----------
    workspace : path
        Workspace whose networks grade the scan, or next to one.

    Returns
    -------
    CasePage
        The widgets.
    """
    return CasePage(find_trained_run(workspace), Path(workspace).parent / "cohorts")


class CasePage(ipw.VBox):
    """Widgets of the page; every control is a public attribute.

    Parameters
    ----------
    workspace : path or None
        Workspace of a run whose networks grade the scan.
    cohorts : path
        Folder of the built-in cohorts.
    folder : path, default=None
        Folder for the files of this visitor; None means a temporary one.
    upload_mb : int, default=200
        Maximum size of an upload in MB.

    Attributes
    ----------
    choice, upload, contrasts, start, progress, step, message, findings : widgets
        From top to bottom.
    report : CaseReport or None
        Report of the last case.
    """

    def __init__(
        self,
        workspace: PathLike | None,
        cohorts: PathLike,
        *,
        folder: PathLike | None = None,
        upload_mb: int = 200,
    ) -> None:
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="epitome-case-")
            folder = self._temporary.name
        self._folder = Path(folder)
        self._workspace, self._cohorts, self._upload_mb = workspace, cohorts, upload_mb
        self._received: list[tuple[Json, ipw.Dropdown]] = []
        self.report: CaseReport | None = None
        self._make_controls()
        super().__init__(
            [
                *(self.choice, self.own, self.start, self.message),
                *(self.progress, self.step, self.findings),
            ]
        )
        self.add_class("case-page")
        self.choice.observe(lambda change: self._choose(), "value")
        self.upload.observe(lambda change: self._attempt(self._receive), "value")
        self.start.on_click(lambda button: self._attempt(self._run))
        self._choose()

    def _make_controls(self) -> None:
        self.choice = ipw.RadioButtons(options=[*PHANTOMS, OWN], value=next(iter(PHANTOMS)), layout={"width": "auto"})
        self.upload = ipw.FileUpload(
            accept=".nii,.gz,.nrrd,.mha,.mgz,.mgh,.zip",
            multiple=True,
            description="Choose files",
            layout={"width": "180px"},
        )
        self.contrasts = ipw.VBox()
        self.own = ipw.VBox([ipw.HTML(_HOW_TO_SEND.format(most=self._upload_mb)), self.upload, self.contrasts])
        self.start = ipw.Button(description="Analyse this scan", button_style="primary", layout={"width": "180px"})
        self.message = ipw.HTML()
        self.progress = ipw.IntProgress(layout={"width": "100%", "visibility": "hidden"})
        self.step, self.findings = ipw.HTML(), ipw.VBox()

    def _choose(self) -> None:
        """Show the controls of the choice, and clear the message."""
        self.own.layout.display = "flex" if self.choice.value == OWN else "none"
        self.message.value = ""
        self._allow()

    def _allow(self) -> None:
        self.start.disabled = self.choice.value == OWN and not (
            self._received and all(menu.value for _, menu in self._received)
        )

    def _attempt(self, action: Callable[[], None]) -> None:
        """Run an action; show errors of the kit to the visitor, and log all others."""
        self.message.value = ""
        try:
            action()
        except EpitomeError as error:
            self._show_error(error)
        except Exception:
            traceback.print_exc(file=sys.__stderr__)
            self.message.value = _alert("Internal error. Nothing was kept; please try again.")

    def _show_error(self, error: EpitomeError) -> None:
        hint = error.hint.replace("`", "")
        self.message.value = _alert(f"Expected {error.expected}.\nReceived: {error.received}.\nTry: {hint}.")

    def _receive(self) -> None:
        """Read the uploaded files by content; their names are only shown."""
        files = self.upload.value
        if not files:
            return
        self._received, self.contrasts.children = [], ()
        shutil.rmtree(self._folder / "scans", ignore_errors=True)
        try:
            if sum(file["size"] for file in files) > self._upload_mb * 10**6:
                received = f"{sum(file['size'] for file in files) / 1e6:.1f} MB"
                raise ImageError("upload", f"at most {self._upload_mb} MB", received, "send fewer scans")
            for number, file in enumerate(files):
                place = self._folder / "scans" / str(number)
                found = receive_scan(file["content"], place, name=file["name"])
                self._received += [self._ask(path, known, file["name"]) for known, path in found.items()]
        except BaseException:
            self._received = []
            shutil.rmtree(self._folder / "scans", ignore_errors=True)
            raise
        finally:
            self.upload.value = ()
            self.contrasts.children = [menu for _, menu in self._received]
            self._allow()

    def _ask(self, path: Path, known: str, name: str) -> tuple[Json, ipw.Dropdown]:
        """Make a menu for the contrast of a scan, preset if its DICOM header or its file name are clear."""
        scan = {"path": str(path), **propose_contrast(known, name)}
        menu = ipw.Dropdown(
            options=OPTIONS,
            value=scan["contrast"],
            description=scan["label"],
            style={"description_width": "50%"},
            layout={"width": "100%"},
        )
        menu.observe(lambda change: self._allow(), "value")
        return scan, menu

    def _run(self) -> None:
        """Write the report of the chosen scan, and show it."""
        self.findings.children, self.start.disabled, self.report = (), True, None
        self.progress.value, self.progress.layout.visibility = 0, "visible"
        self.step.value = "<p role='status'>Opening the scan …</p>"
        folder = self._folder / "case"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            from epitome_kit.case.report import STEPS, case_report  # loads Keras, so the page opens without

            self.progress.max = len(STEPS)
            images, truth, evidence = self._chosen()
            self.report = case_report(
                images,
                folder,
                workspace=self._workspace,
                truth=truth,
                evidence=evidence,
                progress=partial(self._show_step, STEPS),
            )
            self._show(self.report)
        finally:
            self.progress.layout.visibility, self.step.value = "hidden", ""
            self._allow()

    def _chosen(self) -> tuple[dict[str, Path], Json | None, dict[str, str] | None]:
        """Return the scans by contrast, the truth of a simulated scan, and the evidence of the contrasts."""
        if self.choice.value != OWN:
            cohort, name = load_phantoms(self._cohorts), PHANTOMS[self.choice.value]
            return cohort[name].images, known_truth(cohort, name), None
        scans, menus = zip(*self._received, strict=True) if self._received else ((), ())
        images, evidence = select_scans(scans, [menu.value for menu in menus])
        return {name: Path(path) for name, path in images.items()}, None, evidence

    def _show_step(self, steps: Sequence[str], step: str) -> None:
        self.progress.value = steps.index(step)
        self.step.value = f"<p role='status'>Step {steps.index(step) + 1} of {len(steps)}: {html.escape(step)} …</p>"

    def _show(self, report: "CaseReport") -> None:
        from epitome_kit.case.report import case_html

        masks = {"brain": report.brain, **({"tumour": report.tumour} if report.facts["size"] else {})}
        sheet = base64.b64encode(report.sheet.read_bytes()).decode()
        self.findings.children = [
            ipw.HTML(_KEEP.format(sheet=sheet)),
            ipw.HTML(case_html(report)),
            ipw.HTML("<h2>Look through the slices</h2>"),
            SliceViewer({report.main_contrast: report.scans[report.main_contrast]}, masks),
        ]


_KEEP = (
    "<p class='keep'><a class='button' download='epitome_case.html' href='data:text/html;base64,{sheet}'>"
    "Download this sheet</a> <span class='small'>One HTML file, which works offline and can be printed.</span></p>"
)

_HOW_TO_SEND = (
    "<p>NIfTI (.nii or .nii.gz), NRRD, MetaImage or MGZ, one file per contrast, or one exam as a .zip of its DICOM "
    "files; at most {most} MB in total. Upload only scans that you are allowed to share, and no names of patients in "
    "file names.</p>"
)


def _alert(text: str) -> str:
    lines = "<br>".join(html.escape(line) for line in text.split("\n"))
    return f"<p class='notice bad' role='alert'>{lines}</p>"
