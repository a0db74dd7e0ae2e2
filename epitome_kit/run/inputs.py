"""Check the input files of a run: scan, networks and cohort."""

from pathlib import Path

from epitome_kit.errors import CohortError
from epitome_kit.files import Json, PathLike, checksum, text_digest
from epitome_kit.grade.single_case import find_trained_run, grading_files
from epitome_kit.provenance import cohort_files
from epitome_kit.report.summary import open_run_cohort
from epitome_kit.workspace import find_scan

_MAX_NAMED = 3


def scan_checksum(parameters: Json) -> str | None:
    """Return the checksum of the scan of a notebook, its name and the networks that grade it.

    Parameters
    ----------
    parameters : dict
        Parameters of one notebook, including ``out``.

    Returns
    -------
    str or None
        None for a notebook without the parameter ``scan``.
    """
    if "scan" not in parameters:
        return None
    networks = find_trained_run(parameters["out"])
    files = grading_files(networks) if networks else []
    if not parameters["scan"]:
        return checksum(*files)
    scan = find_scan(parameters["scan"], parameters["out"])
    return text_digest(f"{checksum(scan, *files)} {scan.name}")  # the name may state the contrast


def remake_phantoms(workspace: Path, parameters: Json) -> None:
    """Simulate those heads of the built-in cohort again whose files were changed, if the cohort was made before.

    Parameters
    ----------
    workspace : Path
        Workspace of a run.
    parameters : dict
        Parameters of the run.
    """
    if parameters.get("cohort") == "phantom":
        open_run_cohort(workspace, parameters)


def check_unchanged(cohort: PathLike, files: dict[str, str]) -> None:
    """Raise an error if the cohort changed during a run, because its results would then be mixed.

    Parameters
    ----------
    cohort : path or "phantom"
        Folder of the cohort.
    files : dict of str to str
        From :func:`epitome_kit.provenance.cohort_files` at the start of the run.

    Raises
    ------
    CohortError
        A file was changed, added or removed since then.
    """
    present = cohort_files(cohort)
    changed = sorted(name for name in {*files, *present} if files.get(name) != present.get(name))
    if changed:
        named = ", ".join(changed[:_MAX_NAMED]) + ", ..." * (len(changed) > _MAX_NAMED)
        raise CohortError(
            "run",
            f"unchanged files in {cohort} while notebooks run",
            f"{len(changed)} changed, added or removed: {named}",
            "repeat the command: results of the old files are computed again",
        )
