"""What differs between operating systems: links, moving files, signals, what belongs to whom, processes.

How processes end is in `processes.py`. Each function has a branch for Windows; a test keeps such calls
out of all other modules. The branches for Windows are tested here with stand-ins, and on Windows
itself by the workflow in ``.github``.
"""

import ctypes
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

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
    # Where joblib keeps its shared memory; nothing is written here.
    folder = Path("/dev/shm")  # nosec B108
    return folder if folder.is_dir() and os.access(folder, os.W_OK) else None


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
