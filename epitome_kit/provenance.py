"""Provenance: what a run was made with, and where."""

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count
from pathlib import Path

import psutil

import epitome_kit
from epitome_kit.files import checksum

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
"""Packages whose version can change a result or how it is shown."""

_INPUTS = ("participants.tsv", "sub-*/anat/[!.]*", "derivatives/annotations/sub-*/anat/[!.]*")


def describe_run(parameters):
    """Describe the software, the machine and the input of a run.

    Parameters
    ----------
    parameters : dict
        Parameters of the run; `cohort` and `seed` are looked at.

    Returns
    -------
    dict
        versions (of this kit, Python and packages), git_commit (of the kit,
        ``-dirty`` when edited since; None outside a checkout), platform,
        cpu_count, memory_gb, seed, cohort, cohort_checksum (as from
        :func:`epitome_kit.provenance.cohort_checksum`), started (UTC).
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


def now():
    """Return the time in UTC, to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_commit():
    """Commit that this kit is checked out at; None when it is installed, or not committed yet."""
    root = Path(epitome_kit.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _versions():
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


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


@cache
def _checksum_at(path, size, time_ns):
    return checksum(path)
