"""What differs between operating systems: links, moving files, signals, limits of time and memory, processes.

How processes end is in `processes.py`. Each function has a branch for Windows; a test keeps such calls
out of all other modules. The branches for Windows are tested here with stand-ins, and on Windows
itself by the workflow in ``.github``.
"""

import _thread
import ctypes
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from epitome_kit.processes import run_program

_REPLACE_ATTEMPTS = 20
_REPLACE_PAUSE_S = 0.1

_PARENT_DEATH_SIGNAL, _CHILD_SUBREAPER = 1, 36
"""Numbers of ``prctl`` of Linux."""

_JUNCTION = 0xA0000003
"""``stat.IO_REPARSE_TAG_MOUNT_POINT``, which Python has on Windows only."""


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a finished file its name and the usual permissions, in place of an earlier file.

    On Windows a file that another process has open cannot be replaced: that is tried for two seconds.

    Parameters
    ----------
    temporary, path : Path
        In the same folder.

    Raises
    ------
    OSError
        The file cannot be replaced.
    """
    temporary.chmod(0o644)
    for attempt in range(_REPLACE_ATTEMPTS):
        try:
            temporary.replace(path)
            return
        except PermissionError:
            if sys.platform != "win32" or attempt == _REPLACE_ATTEMPTS - 1:
                raise
            time.sleep(_REPLACE_PAUSE_S)


def link_folder(link: Path, target: Path) -> None:
    """Point a link to a folder, in place of an earlier link: a junction on Windows, which needs no rights.

    Parameters
    ----------
    link, target : Path
        In the same folder.

    Raises
    ------
    OSError
        The file system has no links, or `link` is a folder of its own.
    """
    if sys.platform == "win32":
        import _winapi

        if is_link(link):
            os.rmdir(link)  # removes the junction, not what it leads to
        _winapi.CreateJunction(str(target.absolute()), str(link))
        return
    link.unlink(missing_ok=True)
    link.symlink_to(target.name, target_is_directory=True)


def is_link(path: Path) -> bool:
    """Return whether a path is a symbolic link or a junction.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool
    """
    try:
        status = os.lstat(path)
    except OSError:
        return False
    junction = getattr(status, "st_reparse_tag", 0) == _JUNCTION
    return stat.S_ISLNK(status.st_mode) or junction


def symlink_or_copy(source: Path, target: Path) -> None:
    """Link to a file by a symbolic link; copy it where those are not allowed, as often on Windows.

    Parameters
    ----------
    source, target : path
    """
    try:
        os.symlink(source, target)
    except OSError:
        shutil.copyfile(source, target)


def hard_link_or_copy(source: Path | str, target: Path | str) -> None:
    """Give a file a second name; copy it where the file system has no hard links.

    Parameters
    ----------
    source, target : path
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def interrupt_on_ctrl_c() -> None:
    """Let Ctrl-C raise KeyboardInterrupt, also where a shell started the process in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def belongs_to_user(path: Path) -> bool:
    """Return whether a file or link belongs to the user of this process; always on Windows, if it exists.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool
    """
    try:
        owner = os.lstat(path).st_uid
    except OSError:
        return False
    return sys.platform == "win32" or owner == os.getuid()


def shared_memory() -> Path | None:
    """Return the folder that shows shared memory as files, on Linux; None elsewhere.

    Returns
    -------
    Path or None
    """
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and os.access(folder, os.W_OK) else None


@contextmanager
def time_limit(seconds: int, exceeded: Callable[[], Exception]) -> Iterator[None]:
    """Stop the main thread where it takes longer than a limit.

    By an alarm; on Windows, which has none, by an interrupt between two steps of Python.

    Parameters
    ----------
    seconds : int
    exceeded : callable
        Makes the exception to raise.
    """
    limit = _alarm if hasattr(signal, "SIGALRM") else _interrupt
    with limit(seconds, exceeded):
        yield


@contextmanager
def _alarm(seconds: int, exceeded: Callable[[], Exception]) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise exceeded()

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)


@contextmanager
def _interrupt(seconds: int, exceeded: Callable[[], Exception]) -> Iterator[None]:
    late = threading.Event()

    def stop() -> None:
        late.set()
        _thread.interrupt_main()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except KeyboardInterrupt:
        if late.is_set():
            raise exceeded() from None
        raise
    finally:
        timer.cancel()
        timer.join()


@contextmanager
def memory_limit(more: int) -> Iterator[None]:
    """Limit the memory that this process may take in addition, so that a bomb raises an error instead of filling it.

    By ``RLIMIT_AS``, of the whole process; without effect on Windows and on macOS.

    Parameters
    ----------
    more : int
        In bytes.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + more
    if soft != resource.RLIM_INFINITY and soft < limit:
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def run_limited(
    command: Sequence[str], *, seconds: int, memory_bytes: int, file_bytes: int
) -> subprocess.CompletedProcess[str]:
    """Run native code on bytes of somebody else: without environment, and with limits that the system enforces.

    On Windows only the time is limited, and the variables are kept that programs need there.

    Parameters
    ----------
    command : sequence of str
        Program, as an absolute path, and its arguments.
    seconds : int
        Maximum time.
    memory_bytes, file_bytes : int
        Maximum memory, and maximum size of each file that it writes.

    Returns
    -------
    CompletedProcess
        With its output as text.

    Raises
    ------
    subprocess.TimeoutExpired
        It took longer.
    """
    if sys.platform == "win32":
        kept, limits = ["SYSTEMROOT", "TEMP"], None
    else:
        import resource

        kept = list[str]()
        stated = {"RLIMIT_AS": memory_bytes, "RLIMIT_FSIZE": file_bytes, "RLIMIT_CPU": seconds, "RLIMIT_CORE": 0}

        def limits() -> None:
            for name, most in stated.items():
                _, hard = resource.getrlimit(getattr(resource, name))
                most = most if hard == resource.RLIM_INFINITY else min(most, hard)
                resource.setrlimit(getattr(resource, name), (most, hard))

    env = {name: os.environ[name] for name in kept if name in os.environ}
    return run_program(command, timeout_s=seconds, env=env, limit=limits)


def container_memory_bytes() -> int | None:
    """Return the memory that a Linux container may use; None without a limit, and on other systems.

    Returns
    -------
    int or None
    """
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="ascii").strip() if limit.is_file() else ""
    return int(text) if text.isdigit() else None


def limit_process(*, memory_bytes: int, file_bytes: int, processes: int) -> None:
    """Limit this process and those that it starts; on Windows, only who watches them can.

    Parameters
    ----------
    memory_bytes : int
        Memory of one process.
    file_bytes : int
        Size of a file that it writes.
    processes : int
        Processes and threads, in addition to all that this user runs now.
    """
    if sys.platform == "win32":
        return
    import resource

    running = 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        uids = process.info["uids"]
        running += (process.info["num_threads"] or 1) if uids and uids.real == os.getuid() else 0
    limits = {
        resource.RLIMIT_DATA: memory_bytes,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NPROC: running + processes,
        resource.RLIMIT_CORE: 0,
    }
    for kind, limit in limits.items():
        most = resource.getrlimit(kind)[1]
        limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(kind, (limit, limit))


def separate_session() -> dict[str, Any]:
    """Return the arguments of ``subprocess.Popen`` by which no signal to its group reaches this process.

    Returns
    -------
    dict
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def process_group(pid: int) -> int:
    """Return the number of the group of a process, or its own where there are no groups.

    Parameters
    ----------
    pid : int

    Returns
    -------
    int
    """
    return pid if sys.platform == "win32" else os.getpgid(pid)


def end_with_parent() -> None:
    """Let the system kill this process when the thread that started it ends; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def adopt_orphans(adopt: bool = True) -> None:
    """Become the parent of processes whose own parent ends, so that none is lost sight of; Linux only.

    Parameters
    ----------
    adopt : bool, default=True
        False to stop it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


def system_folders() -> list[Path]:
    """Return the folders and devices that programs need to run at all, such as ``/usr``; none on Windows.

    Returns
    -------
    list of Path
    """
    names = (
        "usr",
        "lib",
        "lib32",
        "lib64",
        "bin",
        "sbin",
        "etc",
        "proc",
        "sys",
        "dev/null",
        "dev/random",
        "dev/urandom",
    )
    return [] if sys.platform == "win32" else [Path("/", name) for name in names]
