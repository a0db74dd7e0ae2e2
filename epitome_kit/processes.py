"""How processes end on each operating system: by signals, and together with the process that started them.

This module needs the standard library alone: its last lines make it a program, which supervises another one.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

_PARENT_POLL_S = 0.5
_GRACE_S = 3
_PR_SET_PDEATHSIG = 1
_NOT_RUN = "epitome: cannot run, error "


class Ended(KeyboardInterrupt):
    """Raised in the main thread, as by Ctrl-C, when a signal asks this process to end.

    Parameters
    ----------
    number : int
        Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def signals_as_ctrl_c(forced: Callable[[Ended], object]) -> Iterator[None]:
    """Let SIGTERM and SIGHUP (on Windows SIGBREAK) raise :class:`Ended` inside the context, once.

    If this process still runs some seconds later, as in a long call of a library, it and its children
    are ended without further ado. A signal that is ignored, as by ``nohup``, stays ignored. Nothing is
    changed in a thread other than the main one.

    Parameters
    ----------
    forced : callable
        Called before the process is ended that way, if the context is still open.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    over, cancelled = threading.Event(), threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            raise Ended(number)

    known = (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP", "SIGBREAK"))
    handled = [number for number in known if number and signal.getsignal(number) is not signal.SIG_IGN]
    reading, writing = os.pipe()
    if sys.platform != "win32":
        os.set_blocking(writing, False)  # as Python demands here, and cannot do there

    def watch() -> None:
        while number := os.read(reading, 1):  # written at once, whatever the main thread does
            if number[0] in handled and not cancelled.wait(_GRACE_S):
                if not over.is_set():
                    forced(Ended(number[0]))
                _end_all(128 + number[0])
        os.close(reading)

    def leave() -> None:
        with suppress(OSError, ValueError):  # the terminal is gone
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(128 + received[0])

    earlier = {number: signal.signal(number, stop) for number in handled}
    waking = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=watch, daemon=True).start()
    atexit.register(leave)  # after what is registered later; the rest of an exit can take seconds
    try:
        yield
    finally:
        over.set()
        if not received:
            cancelled.set()
            atexit.unregister(leave)
        signal.set_wakeup_fd(waking)
        for number, handler in earlier.items():
            signal.signal(number, handler)
        os.close(writing)


def end_with_parent(parent: int, at_once: bool = True) -> None:
    """End this process and its children as soon as the process that started it has ended.

    On Linux the system ends it, also in the middle of a long call of a library; elsewhere, a thread.

    Parameters
    ----------
    parent : int
        Number of the process that started this one.
    at_once : bool, default=True
        Let the system do it. That counts the thread that started this process as its parent:
        use False if that thread may end earlier.
    """
    if at_once and sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _when_parent_ends(parent, lambda: _end_all(1))


def run_program(
    command: Sequence[str],
    *,
    timeout_s: float,
    cwd: str | Path | None = None,
    env: dict[str, str] | None = None,
    limit: Callable[[], None] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a program, and wait for it; it ends with this process, as does whatever it starts.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    timeout_s : float
        Maximum time in seconds.
    cwd : path, default=None
        Folder to run in; None means the current one.
    env : dict of str to str, default=None
        Environment; None means that of this process.
    limit : callable, default=None
        Called in the new process before the program starts, to limit it; not on Windows.

    Returns
    -------
    CompletedProcess
        ``returncode``, ``stdout`` and ``stderr``, as text.

    Raises
    ------
    subprocess.TimeoutExpired
        It took longer, and was ended.
    OSError
        The program cannot be run.
    """
    group = sys.platform != "win32"
    supervised = [sys.executable, "-S", "-P", __file__, str(os.getpid()), *command] if group else list(command)
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(
        supervised, cwd=cwd, env=env, text=True, errors="replace", start_new_session=group, preexec_fn=limit, **pipes
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL) if group else _end_children()
            raise
    if group and stderr.startswith(_NOT_RUN):
        number = int(stderr.removeprefix(_NOT_RUN))
        raise OSError(number, os.strerror(number), command[0])
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def become(command: Sequence[str]) -> int:
    """Replace this process by a program, which then receives its signals; on Windows, wait for it.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.

    Returns
    -------
    int
        Exit code, on Windows only.
    """
    if sys.platform == "win32":
        return subprocess.run(command, check=False).returncode
    sys.stdout.flush()
    sys.stderr.flush()
    # A program and its arguments, as stated by the caller.
    os.execv(command[0], list(command))  # nosec B606


def _supervise(parent: int, command: Sequence[str]) -> NoReturn:
    """Run a program in the group of this process, and end the group with the parent."""
    _when_parent_ends(parent, lambda: os.killpg(0, signal.SIGKILL))
    try:
        code = subprocess.call(command)
    except OSError as error:
        sys.exit(f"{_NOT_RUN}{error.errno}")
    sys.exit(code if code >= 0 else 128 - code)


def _when_parent_ends(parent: int, end: Callable[[], object]) -> None:
    def gone() -> bool:
        if sys.platform != "win32":
            return os.getppid() != parent  # a process whose parent has ended gets another one
        import psutil

        return not psutil.pid_exists(parent)

    def watch() -> None:
        while not gone():
            time.sleep(_PARENT_POLL_S)
        end()

    if gone():  # before the system was asked to watch it
        end()
    threading.Thread(target=watch, daemon=True).start()


def _end_all(code: int) -> NoReturn:
    _end_children()
    os._exit(code)


def _end_children() -> None:
    """End all children; trackers of shared memory ignore that, and clean up when the others have ended."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.terminate()


if __name__ == "__main__":
    _supervise(int(sys.argv[1]), sys.argv[2:])
