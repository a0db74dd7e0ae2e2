"""Inputs: the files that the results of a run depend on, and whether they stay what they are."""

from pathlib import Path

from epitome_kit.errors import CohortError
from epitome_kit.files import checksum
from epitome_kit.grade.single_case import find_trained_run, grading_files
from epitome_kit.provenance import cohort_files

_SHOWN = 3


def head_checksum(parameters):
    """Checksum of what a notebook about one head reads: the scan, and the networks that grade it.

    Parameters
    ----------
    parameters : dict
        Of one notebook, with ``out``.

    Returns
    -------
    str or None
        None for a notebook that takes no scan.
    """
    if "scan" not in parameters:
        return None
    networks = find_trained_run(parameters["out"])
    scan = [Path(parameters["scan"])] if parameters["scan"] else []
    return checksum(*scan, *(grading_files(networks) if networks else ()))


def check_unchanged(cohort, files):
    """Stop a run whose cohort changes under it: half of its results would be of other scans.

    Parameters
    ----------
    cohort : path or "phantom"
    files : dict of str to str
        As :func:`cohort_files` gave them when the run began.

    Raises
    ------
    CohortError
        A file was changed, added or removed since.
    """
    present = cohort_files(cohort)
    changed = sorted(name for name in {*files, *present} if files.get(name) != present.get(name))
    if changed:
        named = ", ".join(changed[:_SHOWN]) + ", ..." * (len(changed) > _SHOWN)
        raise CohortError(
            "run",
            f"files in {cohort} that stay as they are while notebooks run on them",
            f"{len(changed)} that changed, came or went: {named}",
            "give the same command again: all that was made from the old files is made again",
        )
