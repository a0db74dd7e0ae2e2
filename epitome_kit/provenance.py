"""Record software, machine and input of a run."""

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count
from pathlib import Path
from stat import S_ISREG

import psutil

import epitome_kit
from epitome_kit.files import Json, PathLike, checksum
from epitome_kit.processes import run_program

PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "scikit-image",
    "nibabel",
    "nilearn",
    "SimpleITK",
    "keras",
    "tensorflow",
    "matplotlib",
    "seaborn",
    "jupyterlab",
    "ipykernel",
    "papermill",
)
"""Packages whose version can change a result or its display."""

_INPUTS = ("participants.tsv", "sub-*/anat/[!.]*", "derivatives/annotations/sub-*/anat/[!.]*")


def describe_run(parameters: Json) -> Json:
    """Describe the software, the machine and the input of a run.

    Parameters
    ----------
    parameters : dict
        Parameters of the run; `cohort` and `seed` are used.

    Returns
    -------
    dict
        versions (of this kit, Python and packages), git_commit (of the kit, with
        ``-dirty`` if edited; None outside a checkout), platform, cpu_count, memory_gb,
        seed, cohort, cohort_checksum (see :func:`cohort_checksum`), started (UTC).
    """
    return {
        "versions": {"epitome-kit": epitome_kit.__version__, "python": platform.python_version(), **_versions()},
        "git_commit": git_commit(),
        "platform": platform.platform(),
        "cpu_count": cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "seed": parameters.get("seed"),
        "cohort": parameters.get("cohort"),
        "cohort_checksum": cohort_checksum(parameters.get("cohort")),
        "started": now(),
    }


def now() -> str:
    """Return the current time in UTC as ISO 8601, without fractions of a second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_commit() -> str | None:
    """Return the checked-out commit of this kit; None if it is installed or has no commit."""
    root = Path(epitome_kit.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = run_program(command, timeout_s=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return None if described.returncode else described.stdout.strip()


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def cohort_checksum(cohort: PathLike | None) -> str | None:
    """Return a checksum of the names and contents of :func:`cohort_files`; None for the built-in phantom."""
    files = cohort_files(cohort)
    return sha256(repr(sorted(files.items())).encode()).hexdigest()[:16] if files else None


def cohort_files(cohort: PathLike | None) -> dict[str, str]:
    """Return checksums of the files of a cohort that results depend on: table, scans, masks and sidecars.

    A file is read again only if its size or its modification time has changed.

    Parameters
    ----------
    cohort : path, "phantom" or None
        Folder of the cohort; None and ``"phantom"`` are the built-in phantom.

    Returns
    -------
    dict of str to str
        Checksum by path in the cohort; empty for the built-in phantom.
    """
    if cohort is None or cohort == "phantom":
        return {}
    root = Path(cohort)
    found = [path for pattern in _INPUTS for path in root.glob(pattern) if path.is_file()]
    states = [(path, path.stat()) for path in found]
    return {
        path.relative_to(root).as_posix(): _checksum_at(path, state.st_size, state.st_mtime_ns)
        for path, state in states
    }


def cached_checksum(path: Path) -> str | None:
    """Return the checksum of a file, or None if it is missing or cannot be read.

    Parameters
    ----------
    path : Path
        Read once in a process, and again only if its size or modification time has changed.

    Returns
    -------
    str or None
    """
    try:
        state = path.stat()
        return _checksum_at(path, state.st_size, state.st_mtime_ns) if S_ISREG(state.st_mode) else None
    except OSError:
        return None


@cache
def _checksum_at(path: Path, size: int, time_ns: int) -> str:
    return checksum(path)
