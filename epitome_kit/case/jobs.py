"""What a worker process does for a visitor of the case page; everything that reads an upload happens here."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from epitome_kit.case.choices import propose_contrast
from epitome_kit.case.phantoms import PHANTOMS, known_truth, load_phantoms
from epitome_kit.case.upload import receive_scan
from epitome_kit.cohort import Cohort
from epitome_kit.files import Json, read_text, write_json, write_text

FINDINGS = "findings.html"
"""Findings as a fragment of the page, in the folder of a case."""

SLICES = "slices.json"
"""Pictures of the slices, in the folder of a case."""

Progress = Callable[[str], object]


def receive(progress: Progress, *, sent: str, folder: str, name: str, most_bytes: int) -> list[Json]:
    """Receive one uploaded file; nothing is left of one that is refused.

    Parameters
    ----------
    progress : callable
        Not called.
    sent : str
        Path of the file as it was sent, which is removed.
    folder : str
        Folder for its scans.
    name : str
        Its name, for messages and as evidence of the contrast.
    most_bytes : int
        Maximum size of all files of the upload, unpacked.

    Returns
    -------
    list of dict
        ``path``, ``label``, ``contrast`` (None if it is unknown) and ``evidence`` of each scan.
    """
    path = Path(sent)
    try:
        room = most_bytes - folder_bytes(path.parent)
        found = receive_scan(path.read_bytes(), folder, name=name, most_bytes=room)
        return [{"path": str(scan), **propose_contrast(known, name)} for known, scan in found.items()]
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        path.unlink(missing_ok=True)


def analyse(
    progress: Progress,
    *,
    out: str,
    workspace: str,
    cohorts: str,
    phantom: str = "",
    images: dict[str, str] | None = None,
    evidence: dict[str, str] | None = None,
) -> None:
    """Analyse one case: the sheet, its fragment for the page, and pictures of the slices.

    Parameters
    ----------
    progress : callable
        Called with each step when it begins.
    out : str
        Folder of the case; what an earlier case left there is removed.
    workspace : str
        Workspace whose networks grade.
    cohorts : str
        Folder of the built-in cohorts.
    phantom : str, default=""
        Name of a simulated scan, to be analysed in place of `images`.
    images, evidence : dict of str to str, default=None
        Paths by contrast, and the evidence for each.
    """
    from epitome_kit.case.report import case_report  # loads Keras, which readers of uploads do without
    from epitome_kit.case.slices import render_slices

    shutil.rmtree(out, ignore_errors=True)
    truth: Json | None = None
    scans: dict[str, Any] = dict(images or {})
    if phantom:
        cohort = simulated(cohorts)
        scans, truth = cohort[PHANTOMS[phantom]].images, known_truth(cohort, PHANTOMS[phantom])
    report = case_report(scans, out, workspace=workspace, truth=truth, evidence=evidence, progress=progress)
    masks = {"brain": report.brain, **({"tumour": report.tumour} if report.facts["size"] else {})}
    write_json(Path(out) / SLICES, render_slices({report.main_contrast: report.scans[report.main_contrast]}, masks))
    sheet = read_text(report.sheet)
    write_text(Path(out) / FINDINGS, sheet.partition("<main>")[2].rpartition("</main>")[0])


def simulated(cohorts: str) -> Cohort:
    """Open the simulated scans, which the first worker that needs them makes."""
    Path(cohorts).mkdir(parents=True, exist_ok=True)
    with FileLock(Path(cohorts) / ".lock"):
        return load_phantoms(cohorts)


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below a folder, some of which may vanish meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat(follow_symlinks=False).st_size
    return total


JOBS: dict[str, Callable[..., object]] = {"receive": receive, "analyse": analyse}
"""Jobs by the name that the server calls them by."""
