"""The case page: choose or send a scan, watch the steps, read what was found, keep the sheet."""

import base64
import html
import os
import shutil
import sys
import tempfile
import traceback
from functools import partial
from pathlib import Path

from epitome_kit.case.phantoms import PHANTOMS, known_truth, load_phantoms
from epitome_kit.case.upload import receive_scan, safe_name
from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import EpitomeError, ImageError
from epitome_kit.extras import needs
from epitome_kit.grade.single_case import find_trained_run
from epitome_kit.sources.contrasts import Judgement, judge_scan
from epitome_kit.system import time_limit
from epitome_kit.widgets.slice_viewer import SliceViewer

with needs("lab"):
    import ipywidgets as ipw

OWN = "A scan of my own"

_LEFT_OUT = "other"
_SHOWS = {
    "Say what it shows": None,
    **{row.label: name for name, row in CONTRASTS.items()},
    "Something else: leave it out": _LEFT_OUT,
}


def open_case_page(workspace):
    """Make the case page, for a notebook or for a visitor of `epitome app`.

    Parameters
    ----------
    workspace : path
        Its networks grade, or those of the latest run beside it. `epitome app`
        says by itself which, where files go, and what the limits are.

    Returns
    -------
    CasePage
    """
    stated = {name: os.environ.get(f"EPITOME_APP_{name.upper()}") for name in ("workspace", "cohorts", "folder")}
    limits = {name: int(os.environ.get(f"EPITOME_APP_{name.upper()}", n)) for name, n in _LIMITS.items()}
    networks = stated["workspace"] or find_trained_run(workspace)
    cohorts = stated["cohorts"] or Path(workspace).parent / "cohorts"
    return CasePage(networks, cohorts, folder=stated["folder"], **limits)


_LIMITS = {"upload_mb": 200, "case_s": 300}


class CasePage(ipw.VBox):
    """Widgets of the page; every control is a public attribute.

    Parameters
    ----------
    workspace : path or None
        Of a run whose networks grade.
    cohorts : path
        Where built-in cohorts are kept.
    folder : path, default=None
        For the files of this visitor alone; None: one that goes with the page.
    upload_mb, case_s : int
        Most MB that may be sent at once, and seconds that one case may take.

    Attributes
    ----------
    choice, upload, contrasts, start, progress, step, message, findings : widgets
        From top to bottom.
    report : CaseReport or None
        Of the last case.
    """

    def __init__(self, workspace, cohorts, *, folder=None, upload_mb=200, case_s=300):
        self._own_folder = None if folder else tempfile.TemporaryDirectory(prefix="epitome-case-")
        self._folder = Path(folder or self._own_folder.name)
        self._workspace, self._cohorts, self._upload_mb, self._case_s = workspace, cohorts, upload_mb, case_s
        self._received, self.report = [], None
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

    def _make_controls(self):
        self.choice = ipw.RadioButtons(options=[*PHANTOMS, OWN], value=next(iter(PHANTOMS)), layout={"width": "auto"})
        self.upload = ipw.FileUpload(
            accept=".nii,.gz,.nrrd,.mha,.mgz,.mgh,.zip",
            multiple=True,
            description="Choose files",
            layout={"width": "180px"},
        )
        self.contrasts = ipw.VBox()
        self.own = ipw.VBox([ipw.HTML(_HOW_TO_SEND.format(most=self._upload_mb)), self.upload, self.contrasts])
        self.start = ipw.Button(description="Look at this head", button_style="primary", layout={"width": "180px"})
        self.message = ipw.HTML()
        self.progress = ipw.IntProgress(layout={"width": "100%", "visibility": "hidden"})
        self.step, self.findings = ipw.HTML(), ipw.VBox()

    def _choose(self):
        """Show what belongs to the choice, and clear what was said of another."""
        self.own.layout.display = "flex" if self.choice.value == OWN else "none"
        self.message.value = ""
        self._allow()

    def _allow(self):
        self.start.disabled = self.choice.value == OWN and not (
            self._received and all(menu.value for _, menu, _ in self._received)
        )

    def _attempt(self, action):
        """Do what a visitor asks for; what goes wrong is said to the visitor, and its inside to the log alone."""
        self.message.value = ""
        try:
            action()
        except EpitomeError as error:
            self._say(error)
        except Exception:
            traceback.print_exc(file=sys.__stderr__)
            self.message.value = _alert("Something went wrong on our side. Nothing was kept; please try again.")

    def _say(self, error):
        hint = error.hint.replace("`", "")
        self.message.value = _alert(f"Expected {error.expected}.\nReceived: {error.received}.\nTry: {hint}.")

    def _receive(self):
        """Take in the files that were sent, each by its content; their names are only shown."""
        files = self.upload.value
        if not files:
            return
        self._received, self.contrasts.children = [], ()
        shutil.rmtree(self._folder / "scans", ignore_errors=True)
        try:
            if sum(file["size"] for file in files) > self._upload_mb * 10**6:
                received = f"{sum(file['size'] for file in files) / 1e6:.1f} MB"
                raise ImageError("upload", f"at most {self._upload_mb} MB", received, "send fewer scans")
            with time_limit(self._case_s, partial(_too_long, self._case_s)):
                for number, file in enumerate(files):
                    place = self._folder / "scans" / str(number)
                    found = receive_scan(file["content"], place, name=file["name"])
                    self._received += [self._ask(path, contrast, file["name"]) for contrast, path in found.items()]
        except BaseException:
            self._received = []
            raise
        finally:
            self.upload.value = ()
            self.contrasts.children = [menu for _, menu, _ in self._received]
            self._allow()

    def _ask(self, path, known, name):
        """Ask what a scan shows; the headers of DICOM or a telling name answer first, else nothing is chosen."""
        if known:
            judged = Judgement(known if known in CONTRASTS else None, "the header of its DICOM series")
        else:
            judged = judge_scan(name, notes={})
        menu = ipw.Dropdown(
            options=_SHOWS,
            value=judged.contrast if judged.contrast in CONTRASTS else None,
            description=f"{safe_name(name)}, {known}" if known and judged.contrast is None else safe_name(name),
            style={"description_width": "50%"},
            layout={"width": "100%"},
        )
        menu.observe(lambda change: self._allow(), "value")
        return path, menu, judged

    def _run(self):
        """Make the report of the chosen head, and show it."""
        self.findings.children, self.start.disabled, self.report = (), True, None
        self.progress.value, self.progress.layout.visibility = 0, "visible"
        self.step.value = "<p role='status'>Opening the head …</p>"
        folder = self._folder / "case"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            from epitome_kit.case.report import STEPS, case_report  # loads Keras, so the page opens without

            self.progress.max = len(STEPS)
            with time_limit(self._case_s, partial(_too_long, self._case_s)):
                images, truth, evidence = self._chosen()
                tell = partial(self._show_step, STEPS)
                known = {"truth": truth, "evidence": evidence}
                self.report = case_report(images, folder, workspace=self._workspace, **known, progress=tell)
            self._show()
        finally:
            self.progress.layout.visibility, self.step.value = "hidden", ""
            self._allow()

    def _chosen(self):
        """Give the scans by contrast, the truth of a simulated head, and how the contrasts are known."""
        if self.choice.value != OWN:
            cohort, name = load_phantoms(self._cohorts), PHANTOMS[self.choice.value]
            return cohort[name].images, known_truth(cohort, name), None
        wanted = [each for each in self._received if each[1].value != _LEFT_OUT]
        images = {menu.value: path for path, menu, _ in wanted}
        if not wanted:
            raise ImageError("upload", "a scan to look at", "none that is not left out", "say what one of them shows")
        if len(images) < len(wanted):
            raise ImageError("upload", "one scan of each contrast", "two of one", "say of each scan what it shows")
        evidence = {
            menu.value: judged.evidence if menu.value == judged.contrast else "as stated" for _, menu, judged in wanted
        }
        return {name: images[name] for name in CONTRASTS if name in images}, None, evidence

    def _show_step(self, steps, step):
        self.progress.value = steps.index(step)
        self.step.value = f"<p role='status'>Step {steps.index(step) + 1} of {len(steps)}: {html.escape(step)} …</p>"

    def _show(self):
        from epitome_kit.case.report import case_html

        report = self.report
        masks = {"brain": report.brain, **({"tumour": report.tumour} if report.facts["size"] else {})}
        sheet = base64.b64encode(report.sheet.read_bytes()).decode()
        self.findings.children = [
            ipw.HTML(_KEEP.format(sheet=sheet)),
            ipw.HTML(case_html(report)),
            ipw.HTML("<h2>Look through the slices</h2>"),
            SliceViewer({report.lead: report.scans[report.lead]}, masks),
        ]


_KEEP = (
    "<p class='keep'><a class='button' download='epitome_case.html' href='data:text/html;base64,{sheet}'>"
    "Keep this sheet</a> <span class='small'>One file that opens in any browser; print it from there.</span></p>"
)

_HOW_TO_SEND = (
    "<p>NIfTI (.nii or .nii.gz), NRRD, MetaImage or MGZ, one file a contrast, or one exam as a .zip of its DICOM "
    "files; at most {most} MB together. Send only what you may, and leave names out of file names.</p>"
)


def _alert(text):
    lines = "<br>".join(html.escape(line) for line in text.split("\n"))
    return f"<p class='notice bad' role='alert'>{lines}</p>"


def _too_long(seconds):
    return ImageError("case", f"a case that takes at most {seconds} s", "a longer one", "send a smaller scan, or fewer")
