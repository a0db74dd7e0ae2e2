"""Run a process under limits of time, memory, disk and processes, and leave none of its own behind."""

import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from epitome_kit.files import PathLike
from epitome_kit.system import adopt_orphans, separate_session

_POLL_S = 0.1
_DISK_EVERY_S = 1
_MARK = "EPITOME_MARKED_BY"
"""Variable of the environment by which processes are found whose parents have ended."""


class Limits(NamedTuple):
    """Limits of one process with all that it starts.

    Attributes
    ----------
    step_s, start_s : float
        Seconds for a step, and until the first step begins.
    memory_bytes : int
        Resident memory of all together.
    disk_bytes : int
        What they may add to the folders that they can write to.
    processes : int
        How many at once.
    """

    step_s: float
    start_s: float = 300
    memory_bytes: int = 4 * 2**30
    disk_bytes: int = 2 * 2**30
    processes: int = 64


def run_watched(
    command: Sequence[str],
    steps_done: Callable[[], int],
    steps: int,
    limits: Limits,
    *,
    cwd: PathLike,
    env: Mapping[str, str],
    folders: Sequence[Path] = (),
) -> str | None:
    """Run a command until all of its steps are done, and end it with all that it started.

    Its output is discarded.

    Parameters
    ----------
    command : sequence of str
    steps_done : callable
        Returns the number of steps done; the first is that it has started.
    steps : int
        Number of steps.
    limits : Limits
    cwd : path
    env : dict of str to str
        Its whole environment.
    folders : sequence of Path, default=()
        Folders whose size is limited.

    Returns
    -------
    str or None
        Why it did not finish, such as "took longer than 6 s"; None if it did.
    """
    token = secrets.token_hex(8)
    others = set(psutil.Process().children(recursive=True))
    adopt_orphans()
    try:
        running = subprocess.Popen(
            list(command),
            cwd=cwd,
            env={**env, _MARK: token},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **separate_session(),
        )
        try:
            return _watch(running, steps_done, steps, limits, folders)
        finally:
            _end(others, token)
            running.wait()
    finally:
        adopt_orphans(False)


def _watch(
    running: subprocess.Popen[bytes], steps_done: Callable[[], int], steps: int, limits: Limits, folders: Sequence[Path]
) -> str | None:
    done, since, measured, size = steps_done(), time.monotonic(), time.monotonic(), _size(folders)
    while True:
        ended = running.poll() is not None  # before the steps are counted: the last may be done in between
        earlier, done = done, steps_done()
        now = time.monotonic()
        since = now if done > earlier else since
        allowed = limits.step_s if done else limits.start_s
        if done >= steps:
            return None
        if ended:
            return "ended its process"
        if now - since > allowed:
            return f"took longer than {allowed:g} s"
        processes, memory = _used(running.pid)
        if processes > limits.processes:
            return f"ran more than {limits.processes} processes at once"
        if memory > limits.memory_bytes:
            return f"used more than {limits.memory_bytes / 2**30:.3g} GB of memory"
        if now - measured > _DISK_EVERY_S:
            measured = now
            if _size(folders) - size > limits.disk_bytes:
                return f"wrote more than {limits.disk_bytes / 2**30:.3g} GB"
        time.sleep(_POLL_S)


def _used(pid: int) -> tuple[int, int]:
    """Return the number of processes that a process has started, itself included, and their resident memory."""
    count, memory = 0, 0
    try:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            count += 1
            memory += each.memory_info().rss
    except psutil.Error:
        pass  # one of them has just ended
    return count, memory


def _size(folders: Sequence[Path]) -> int:
    total = 0
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                try:
                    total += os.stat(Path(parent, name), follow_symlinks=False).st_size
                except OSError:
                    continue  # removed in the meantime
    return total


def _end(others: set[psutil.Process], token: str) -> None:
    """Kill what was started since, again until nothing is left: a process can start another before it is killed."""
    for _ in range(100):
        left = {each for each in psutil.Process().children(recursive=True) if each not in others} | set(_marked(token))
        for each in left:
            try:
                each.kill()
            except psutil.Error:
                continue  # ended by itself
        if not left:
            return
        psutil.wait_procs(list(left), timeout=_POLL_S)


def _marked(token: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == token and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.Error, OSError):
            continue  # of another user, or ended
