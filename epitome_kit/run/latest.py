"""The latest run: a link beside the workspaces, for people and for what needs the networks of a run."""

from pathlib import Path

from epitome_kit.files import write_text
from epitome_kit.grade.one_head import has_graded

LATEST = "latest"
"""Name of the link; a file of that name and ``.txt`` says where it would lead, where links are not allowed."""


def point_latest(workspace):
    """Let the link beside a workspace lead to it.

    Parameters
    ----------
    workspace : Path
        Absolute.
    """
    link = workspace.parent / LATEST
    if link.exists() and not link.is_symlink():
        return
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(workspace.name, target_is_directory=True)
    except OSError:
        write_text(link.with_suffix(".txt"), f"{workspace.name}\n")


def latest_run(folder):
    """Follow the link to the latest run.

    Parameters
    ----------
    folder : path
        Where the workspaces are.

    Returns
    -------
    Path or None
        Its workspace; None where there is none.
    """
    link = Path(folder) / LATEST
    said = link.with_suffix(".txt")
    run = link.parent / said.read_text(encoding="utf-8").strip() if said.is_file() and not link.exists() else link
    return run.resolve() if run.is_dir() else None


def networks_for(workspace):
    """Choose the run whose networks grade one head: that of a workspace, else the latest one beside it.

    Parameters
    ----------
    workspace : path

    Returns
    -------
    Path or None
        None where neither has graded its cohort.
    """
    workspace = Path(workspace).absolute()
    runs = (workspace, latest_run(workspace.parent))
    return next((run for run in runs if run is not None and has_graded(run)), None)
