"""Lock a folder or a file, so that one command at a time writes to it."""

import inspect
import os
import platform
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import psutil
from filelock import FileLock, Timeout

from epitome_kit.errors import EpitomeWarning, OutputError, plain
from epitome_kit.files import Json, PathLike, read_json, write_json
from epitome_kit.provenance import now
from epitome_kit.temporary import remove_abandoned

LOCK, OWNER = ".lock", ".owner.json"
"""Files in a folder while it is locked: the lock, and who holds it."""

_POLL_S = 0.05
_RETRY_S = 0.3  # another command may be looking whether the lock is held

_guard = threading.RLock()

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def folder_lock(folder: PathLike, verb: str, *, wait_s: float = 0) -> Iterator[None]:
    """Lock a folder inside the context, and remove what killed commands left in it.

    The operating system releases the lock when the process ends, even if it is killed. Inside
    a lock of this process, or of one that started it, the same folder and those below it can be
    locked again. A folder below that of another process cannot.

    Parameters
    ----------
    folder : path
        Created if needed, and removed again if nothing is written to it.
    verb : str
        What locks it, for the message to others.
    wait_s : float, default=0
        How long to wait for another command, in seconds.

    Raises
    ------
    OutputError
        Another command holds the lock, or the folder cannot be written to.
    """
    path = Path(os.path.realpath(folder))
    if path.exists() and not path.is_dir():  # what writes to it says why that is wrong
        yield
        return
    with _locked(path / LOCK, path / OWNER, folder, verb, wait_s=wait_s, clean=remove_abandoned):
        yield


@contextmanager
def file_lock(file: PathLike, verb: str) -> Iterator[None]:
    """Lock one file inside the context; other files of its folder stay free.

    Parameters
    ----------
    file : path
        File to write.
    verb : str
        As for :func:`folder_lock`.

    Raises
    ------
    OutputError
        Another command holds the lock, or the folder cannot be written to.
    """
    path = Path(os.path.realpath(file))
    with _locked(path.with_name(f".{path.name}{LOCK}"), path.with_name(f".{path.name}{OWNER}"), file, verb):
        yield


def locks(verb: str, argument: str = "out") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function that writes to a folder: it holds the lock of the folder.

    Parameters
    ----------
    verb : str
        As for :func:`folder_lock`.
    argument : str, default="out"
        Name of the parameter that is the folder.

    Returns
    -------
    callable
        Decorator.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @wraps(function)
        def locked(*args: P.args, **kwargs: P.kwargs) -> R:
            folder = signature.bind(*args, **kwargs).arguments[argument]
            with folder_lock(folder, verb):
                return function(*args, **kwargs)

        return locked

    return decorate


@contextmanager
def _locked(
    lock: Path,
    note: Path,
    shown: PathLike,
    verb: str,
    *,
    wait_s: float = 0,
    clean: Callable[[Path], object] | None = None,
) -> Iterator[None]:
    """Hold a lock, unless a process that started this one holds it; nested calls and threads share it."""
    made = [folder for folder in lock.parents if not folder.exists()]
    with _guard:
        held = _acquire(lock, note, shown, wait_s)
    try:
        if held is not None and held.lock_counter == 1:
            _say_taken_over(note, shown)
            write_json(note, {"pid": os.getpid(), "host": platform.node(), "verb": verb, "since": now()})
            if clean is not None:
                clean(lock.parent)
        yield
    finally:
        with _guard:
            if held is not None:
                _release(held, lock, note)
        with suppress(OSError):
            for folder in made:
                folder.rmdir()  # only if it is empty


def _acquire(lock: Path, note: Path, shown: PathLike, wait_s: float) -> FileLock | None:
    """Return the lock of this process; None if a process that started this one holds it."""
    try:
        for folder in lock.parent.parents:
            if (folder / OWNER).exists() and _is_held(folder / LOCK) and not _is_ours(folder / OWNER):
                raise _in_use(shown, folder / OWNER)
        held = FileLock(lock, thread_local=False, is_singleton=True)
        if _wait_for(held, lock.parent, _RETRY_S):
            return held
        if _is_ours(note):
            return None
        if wait_s:
            warnings.warn(EpitomeWarning(f"waiting for {_describe(note)}, which writes to {shown}"), stacklevel=2)
        if wait_s and _wait_for(held, lock.parent, wait_s):
            return held
        raise _in_use(shown, note)
    except OSError as error:
        received = f"{shown} ({error.strerror or error})"
        hint = "choose another folder with `--out`, or ask for write permission"
        raise OutputError("lock", "a writable folder", received, hint) from error


def _wait_for(lock: FileLock, folder: Path, seconds: float) -> bool:
    """Try to get a lock for some time; whoever held it may remove its folder."""
    last = time.monotonic() + seconds
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=max(0, last - time.monotonic()), poll_interval=_POLL_S)
            return True
        except Timeout:
            return False
        except (FileNotFoundError, FileExistsError):  # removed after, or while, it was made
            if time.monotonic() > last:
                raise
            time.sleep(_POLL_S)


def _release(held: FileLock, lock: Path, note: Path) -> None:
    if held.lock_counter == 1:
        for path in (note, lock):
            with suppress(OSError):
                path.unlink(missing_ok=True)
    held.release()


def _is_held(lock: Path) -> bool:
    """Whether any process holds a lock."""
    probe = FileLock(lock, is_singleton=False)
    try:
        probe.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    probe.release()
    return False


def _is_ours(note: Path) -> bool:
    """Whether a lock is held by this process, or by one that started it."""
    holder = _read(note)
    if holder.get("host") != platform.node():
        return False
    return holder.get("pid") in (os.getpid(), *(process.pid for process in psutil.Process().parents()))


def _say_taken_over(note: Path, shown: PathLike) -> None:
    """Warn that an earlier holder was killed, if its note is still there."""
    if note.exists() and not _is_ours(note):
        warnings.warn(EpitomeWarning(f"taking over {shown} from {_describe(note)}, which was killed"), stacklevel=2)


def _in_use(shown: PathLike, note: Path) -> OutputError:
    return OutputError(
        "lock",
        f"no other command that writes to {shown}",
        _describe(note),
        "wait until it ends, or choose another folder with `--out`",
    )


def _describe(note: Path) -> str:
    holder = _read(note)
    try:
        return plain("`{verb}` of process {pid} on {host}, since {since}".format(**holder))
    except KeyError:
        return "another process that has just started"


def _read(note: Path) -> Json:
    try:
        holder = read_json(note)
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}
