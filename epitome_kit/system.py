"""What differs between operating systems: links, moving files, signals, limits of time and memory.

Each function has a branch for Windows; a test keeps such calls out of all other modules. The branches
for Windows are tested here with stand-ins, and on Windows itself by the workflow in ``.github``.
"""

import _thread
import os
import shutil
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil

_REPLACE_ATTEMPTS = 20
_REPLACE_PAUSE_S = 0.1

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


def container_memory_bytes() -> int | None:
    """Return the memory that a Linux container may use; None without a limit, and on other systems.

    Returns
    -------
    int or None
    """
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="ascii").strip() if limit.is_file() else ""
    return int(text) if text.isdigit() else None


def interrupt_when_told_to_end() -> None:
    """Let SIGTERM, and SIGHUP of a closed terminal, raise KeyboardInterrupt as Ctrl-C does.

    SIGHUP stays ignored under ``nohup``. Windows has none, and ends a process by SIGTERM at once.
    """
    interrupt_on_ctrl_c()
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def ignore_ctrl_c() -> None:
    """Leave Ctrl-C to the parent of this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def limit_memory_and_files(memory_bytes: int, file_bytes: int) -> None:
    """Limit what this process may take from now on; its child processes inherit the limits.

    Linux enforces both; macOS only the size of files, and Windows neither: there the parent
    has to watch the memory of the process.

    Parameters
    ----------
    memory_bytes : int
        Address space, beyond what is taken now.
    file_bytes : int
        Size of a file.
    """
    if sys.platform == "win32":
        return
    import resource

    used = psutil.Process().memory_info().vms
    for kind, most in ((resource.RLIMIT_AS, used + memory_bytes), (resource.RLIMIT_FSIZE, file_bytes)):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(OSError, ValueError):  # macOS knows RLIMIT_AS, but refuses some values
            resource.setrlimit(kind, (most, most))


def most_open_files() -> int:
    """Raise the limit of open files and sockets as far as this process may, and return it.

    Returns
    -------
    int
        512 on Windows, where a process can wait for so many sockets.
    """
    if sys.platform == "win32":
        return 512
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return 4096 if soft == resource.RLIM_INFINITY else soft
