"""Limits of time, memory and files, as far as the operating system enforces them.

Each function has a branch for Windows, as in :mod:`epitome_kit.system`.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from epitome_kit.processes import run_program


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
