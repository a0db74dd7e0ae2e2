"""Paths of the files of a run, and functions that read them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import pandas as pd

from epitome_kit.errors import NotebookError, ParameterError
from epitome_kit.extras import needs
from epitome_kit.files import Json, PathLike, read_json, read_tsv, write_text
from epitome_kit.system import is_link, link_folder

if TYPE_CHECKING:
    from nbformat import NotebookNode

QUALITY_TABLE, EXCLUDED_TABLE, QUALITY_PAGE = "quality.tsv", "excluded.tsv", "qc.html"
"""Tables and page of a preprocessed cohort."""

CASE_FACTS, CASE_SHEET = "case.json", "case.html"
"""Findings of one scan, as data and as a page."""

LOG = "log.jsonl"
"""What happened in a run, and when; `fresh` keeps it."""

LATEST = "latest"
"""Name of the link; without links, a text file of that name contains its target."""

RECORD = "epitome_kit"
"""Key of the metadata of an executed notebook with settings, inputs and measurements."""

MEASURED = ("seconds", "tree_peak_rss_mb", "peak_rss_mb")
"""Measurements of each executed notebook."""


class _Member:
    """A file or folder of a workspace, as an attribute that holds its path."""

    def __init__(self, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, workspace: None, owner: type) -> "_Member": ...
    @overload
    def __get__(self, workspace: "Workspace", owner: type) -> Path: ...
    def __get__(self, workspace: "Workspace | None", owner: type) -> "Path | _Member":
        """Path of the member in a workspace."""
        return self if workspace is None else Path(workspace.folder) / self.name


@dataclass(frozen=True)
class Workspace:
    """The files and folders of a run, each as an attribute that holds its path.

    Parameters
    ----------
    folder : path
        Folder of the run; it need not exist.

    Examples
    --------
    >>> Workspace("runs/latest").scores.as_posix()
    'runs/latest/scores.json'
    """

    folder: PathLike

    parameters = _Member("parameters.json")  # what the run was asked for
    private = _Member(".private.json")  # paths of scans, which may name people; not to be shared
    provenance = _Member("provenance.json")  # versions, machine and inputs
    manifest = _Member("manifest.json")  # which notebook wrote which file, with checksums
    notebooks = _Member("notebooks")  # executed notebooks
    audit = _Member("audit.tsv")  # 01
    spreadsheet = _Member("dataset.xlsx")
    preprocessed = _Member("preprocessed")  # 02, a BIDS derivative
    quality = _Member(f"preprocessed/{QUALITY_TABLE}")
    excluded = _Member(f"preprocessed/{EXCLUDED_TABLE}")
    features = _Member("features.tsv")  # 03
    handcrafted = _Member("handcrafted.tsv")
    reliability = _Member("reliability.tsv")  # ICC of each feature and fold
    cnn = _Member("cnn.keras")
    cnn_folds = _Member("cnn")  # networks and history of each fold
    scores = _Member("scores.json")  # 04
    scoreboard = _Member("scoreboard.png")
    predictions = _Member("predictions.tsv")
    baselines = _Member("baselines.tsv")
    subgroups = _Member("subgroups.tsv")
    ann_folds = _Member("folds")
    selected = _Member("selected.tsv")
    ann = _Member("ann.keras")
    ann_columns = _Member("ann.json")
    unet = _Member("unet.keras")  # 05
    unet_folds = _Member("unet")
    masks = _Member("masks")
    tumours = _Member("tumours.tsv")
    epitomes = _Member("epitomes")
    case = _Member("case")  # 06, one scan
    case_facts = _Member(f"case/{CASE_FACTS}")
    case_sheet = _Member(f"case/{CASE_SHEET}")
    labs = _Member("labs")
    figures = _Member("figures")
    reporting = _Member("reporting")  # flow of subjects and checklists
    model_card = _Member("model_card.md")
    model_page = _Member("model_card.html")
    summary = _Member("summary.json")
    page = _Member("index.html")

    def products(self) -> list[Path]:
        """List everything that a run writes, whether it exists or not; `fresh` removes these and nothing else."""
        members = [member for member in vars(Workspace).values() if isinstance(member, _Member)]
        return [Path(self.folder) / member.name for member in members]


def stand_in(scan: str) -> str:
    """Return the name by which pages, parameters and notebooks call the scan of a user.

    Parameters
    ----------
    scan : str
        Path of the scan.

    Returns
    -------
    str
        Such as ``"scan.nii.gz"``; empty if `scan` is.
    """
    ending = re.search(r"\.(nii|nii\.gz|mg[hz]|nrrd|mha|zip)$", scan, re.IGNORECASE)
    return f"scan{ending[0].lower() if ending else ''}" if scan else ""


def find_scan(scan: str, workspace: str | Path) -> Path:
    """Return the path of the scan that a parameter names.

    Parameters
    ----------
    scan : str
        A path, or the name that :func:`stand_in` gave to one.
    workspace : path
        The run, whose private file holds the path.

    Returns
    -------
    Path

    Raises
    ------
    ParameterError
        There is no such file.
    """
    known = read_json(Workspace(workspace).private, missing={}).get("scan")
    path = Path(known) if isinstance(known, str) and known and stand_in(known) == scan else Path(scan)
    if not path.is_file():
        hint = "give its path again: `-p 'scan=\"/path/to/scan.nii.gz\"'`"
        raise ParameterError("run", "an existing scan", f"{scan}, whose file is not there", hint)
    return path


def run_parameters(workspace: PathLike) -> Json:
    """Read the parameters of a run.

    Parameters
    ----------
    workspace : path
        Folder of a run.

    Returns
    -------
    dict

    Raises
    ------
    ParameterError
        The folder is not the workspace of a run, or the file cannot be read.
    """
    path = Workspace(workspace).parameters
    try:
        found = read_json(path)
    except FileNotFoundError as error:
        received, hint = f"{workspace}, which has no {path.name}", "make one with `epitome run --out FOLDER`"
        raise ParameterError("report", "the workspace of a run", received, hint) from error
    except (OSError, ValueError) as error:
        received, hint = f"{path}, which cannot be read", "repeat the command that made the run"
        raise ParameterError("report", "the parameters of a run as JSON", received, hint) from error
    return found


def table(path: Path) -> pd.DataFrame:
    """Read a table of the workspace; without rows if it does not exist."""
    return read_tsv(path) if path.is_file() else pd.DataFrame()


def column(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return the numbers of a column without missing ones; empty if there is no such column."""
    return pd.to_numeric(frame[name], errors="coerce").dropna() if name in frame else pd.Series(dtype=float)


def executed_notebooks(workspace: PathLike) -> list[Json]:
    """List the executed notebooks of a workspace, in order of their names.

    Parameters
    ----------
    workspace : path
        Folder of a run.

    Returns
    -------
    list of dict
        name, status ("done" or "failed"), path, and for those that are done
        seconds, tree_peak_rss_mb, peak_rss_mb.
    """
    found = []
    for path in sorted(Workspace(workspace).notebooks.glob("[!.]*.ipynb")):
        record = read_notebook(path).metadata.get(RECORD, {})
        measured = {key: record.get(key) for key in MEASURED}
        status = "failed" if path.name.endswith(".failed.ipynb") else "done"
        found.append({"name": path.name.split(".")[0], "status": status, "path": path, **measured})
    return found


def read_notebook(path: Path) -> "NotebookNode":
    """Read a notebook in the current format, with cell ids.

    Parameters
    ----------
    path : Path
        Notebook of any earlier format.

    Returns
    -------
    NotebookNode

    Raises
    ------
    NotebookError
        The file is not a notebook.
    """
    with needs("lab"):
        import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, AttributeError, KeyError, nbformat.ValidationError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        hint = "save it again in Jupyter, or fetch a fresh copy"
        raise NotebookError("run", "a notebook that can be read", f"{path} ({reason})", hint) from error


def point_latest(workspace: Path) -> None:
    """Point the link ``latest``, next to a workspace, to it.

    Parameters
    ----------
    workspace : Path
        Absolute.
    """
    link = workspace.parent / LATEST
    if link.exists() and not is_link(link):
        return
    try:
        link_folder(link, workspace)
    except OSError:
        write_text(link.with_suffix(".txt"), f"{workspace.name}\n")


def latest_run(folder: PathLike) -> Path | None:
    """Follow the link to the latest run.

    Parameters
    ----------
    folder : path
        Folder of the workspaces.

    Returns
    -------
    Path or None
        Its workspace; None if there is none.
    """
    link = Path(folder) / LATEST
    note = link.with_suffix(".txt")
    run = link.parent / note.read_text(encoding="utf-8").strip() if note.is_file() and not link.exists() else link
    return run.resolve() if run.is_dir() else None
