"""Temporary files and folders, named after their process; what an ended process left is removed by the next."""

import atexit
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import psutil

from epitome_kit.system import belongs_to_user, shared_memory

PARTIAL = ".partial-"
"""Prefix of unfinished files and folders among results."""

_PRIVATE = "epitome-"
"""Prefix of folders in the temporary folder and in shared memory."""

_MACHINE = re.sub(r"\W", "", platform.node())
_NAMED = re.compile(r"(\d+)-(\w*)-(\d+)-.*", re.DOTALL)
_DAY_S = 24 * 3600


def owned_name(prefix: str) -> str:
    """Return the start of a name that says which process made a file.

    Parameters
    ----------
    prefix : str
        Such as :data:`PARTIAL`.

    Returns
    -------
    str
        Prefix, number of this process, machine and time in nanoseconds.
    """
    return f"{prefix}{os.getpid()}-{_MACHINE}-{time.time_ns()}-"


@contextmanager
def temporary_folder(parent: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """Make a folder that is removed at the end of the context, or by the next process if this one is killed.

    Parameters
    ----------
    parent : path, default=None
        Where to make it; None means the temporary folder of the system.

    Yields
    ------
    Path
        Readable by this user only.
    """
    prefix = _PRIVATE if parent is None else PARTIAL
    _remove(path for path in Path(parent or tempfile.gettempdir()).glob(f"{prefix}*") if _abandoned(path))
    with tempfile.TemporaryDirectory(prefix=owned_name(prefix), dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def remove_abandoned(folder: str | os.PathLike[str]) -> None:
    """Remove unfinished files and folders of ended processes anywhere below a folder.

    Parameters
    ----------
    folder : path
        Nothing is done where it does not exist.
    """
    _remove(path for path in [*Path(folder).rglob(f"{PARTIAL}*")] if _abandoned(path))


def clear_temporary() -> None:
    """Remove the temporary folders and the shared memory of ended processes of the kit.

    Files of running processes, of other users and of other programs are kept, as are those
    of another machine for a day.
    """
    with suppress(OSError):  # there may be no place for temporary files, and no need of one
        for folder in [folder for place in _places() for folder in place.glob(f"{_PRIVATE}*")]:
            if _abandoned(folder):
                _remove(_shared_by(folder))
                _remove([folder])


def mark_shared_memory() -> None:
    """Leave a folder in shared memory that says which names there belong to this process, until it ends."""
    _mark(os.getpid())


@cache
def _mark(owner: int) -> None:
    clear_temporary()
    try:
        note = tempfile.mkdtemp(prefix=owned_name(_PRIVATE), dir=shared_memory())
    except OSError:
        return  # a full disk is no reason to stop

    def forget() -> None:
        if os.getpid() == owner:  # not in a fork
            shutil.rmtree(note, ignore_errors=True)

    atexit.register(forget)


def _places() -> set[Path]:
    """Return the folders that hold temporary files, also those of joblib."""
    named = [tempfile.gettempdir(), os.environ.get("JOBLIB_TEMP_FOLDER"), shared_memory()]
    return {Path(place) for place in named if place}


def _shared_by(note: Path) -> Iterator[Path]:
    """Yield the arrays (joblib) and semaphores (loky) of the ended process that made a note."""
    number, _, begun = _owner(note)
    try:
        process = psutil.Process(number)
        again_s = process.create_time() if process.create_time() > begun else float("inf")
    except psutil.NoSuchProcess:
        again_s = float("inf")
    for place in _places():
        for pattern in (f"joblib_memmapping_folder_{number}_*", f"sem.loky-{number}-*"):
            for path in place.glob(pattern):
                if belongs_to_user(path) and begun <= path.lstat().st_mtime + 1 and path.lstat().st_mtime < again_s:
                    yield path


def _owner(path: Path) -> tuple[int, str, float]:
    """Return the number, the machine and the time of the process that made a file; number 0 if its name has none."""
    named = _NAMED.fullmatch(path.name.removeprefix(PARTIAL).removeprefix(_PRIVATE))
    return (int(named[1]), named[2], int(named[3]) / 1e9) if named else (0, "", 0.0)


def _abandoned(path: Path) -> bool:
    """Whether the process that made a temporary file has ended.

    Processes of other machines cannot be checked: their files are kept for a day.
    """
    number, machine, begun_s = _owner(path)
    if not number:
        return False
    if machine != _MACHINE:
        return time.time() - begun_s > _DAY_S
    try:
        process = psutil.Process(number)
        return process.create_time() > begun_s or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if not belongs_to_user(path):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
