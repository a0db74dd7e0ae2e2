"""Inputs: the files that the results of a run depend on, and whether they stay what they are."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from epitome_kit.errors import BadCohort
from epitome_kit.files import checksum
from epitome_kit.grade.one_head import NEEDED
from epitome_kit.run.latest import networks_for

_INPUTS = ("participants.tsv", "sub-*/anat/[!.]*", "derivatives/annotations/sub-*/anat/[!.]*")
_SHOWN = 3


def cohort_checksum(cohort):
    """Checksum of a cohort by the names and bytes of :func:`cohort_files`; None for the built-in phantom."""
    files = cohort_files(cohort)
    return sha256(repr(sorted(files.items())).encode()).hexdigest()[:16] if files else None


def cohort_files(cohort):
    """Checksum of every file of a cohort that results depend on: its table, scans, masks and their sidecars.

    A file is read again only when its size or its time has changed.

    Parameters
    ----------
    cohort : path or "phantom"

    Returns
    -------
    dict of str to str
        By path in the cohort; empty for the built-in phantom.
    """
    if cohort in (None, "phantom"):
        return {}
    root = Path(cohort)
    found = [path for pattern in _INPUTS for path in root.glob(pattern) if path.is_file()]
    states = [(path, path.stat()) for path in found]
    return {
        path.relative_to(root).as_posix(): _checksum_at(path, state.st_size, state.st_mtime_ns)
        for path, state in states
    }


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
    networks = networks_for(parameters["out"])
    scan = [Path(parameters["scan"])] if parameters["scan"] else []
    return checksum(*scan, *([networks / name for name in NEEDED] if networks else ()))


@cache
def _checksum_at(path, size, time_ns):
    return checksum(path)


def check_unchanged(cohort, files):
    """Stop a run whose cohort changes under it: half of its results would be of other scans.

    Parameters
    ----------
    cohort : path or "phantom"
    files : dict of str to str
        As :func:`cohort_files` gave them when the run began.

    Raises
    ------
    BadCohort
        A file was changed, added or removed since.
    """
    present = cohort_files(cohort)
    changed = sorted(name for name in {*files, *present} if files.get(name) != present.get(name))
    if changed:
        named = ", ".join(changed[:_SHOWN]) + ", ..." * (len(changed) > _SHOWN)
        raise BadCohort(
            "run",
            f"files in {cohort} that stay as they are while notebooks run on them",
            f"{len(changed)} that changed, came or went: {named}",
            "give the same command again: all that was made from the old files is made again",
        )
