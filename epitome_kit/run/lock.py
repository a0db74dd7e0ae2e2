"""Lock a workspace, so that one run at a time writes to it."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from epitome_kit.errors import OutputError
from epitome_kit.files import read_json, write_json
from epitome_kit.provenance import now


@contextmanager
def workspace_lock(workspace: Path) -> Iterator[None]:
    """Lock a workspace inside the context.

    The operating system releases the lock when the process ends, even if it is killed.

    Parameters
    ----------
    workspace : Path
        Created if needed.

    Raises
    ------
    OutputError
        Another run holds the lock, or the workspace cannot be written to.
    """
    note = workspace / ".owner.json"
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        lock = FileLock(workspace / ".lock", timeout=0, is_singleton=False)
        lock.acquire()
    except Timeout as error:
        raise OutputError(
            "run",
            f"no other run in {workspace}",
            _describe(note),
            "wait until that run ends, or choose another folder with `--out`",
        ) from error
    except OSError as error:
        received = f"{workspace} ({error.strerror or error})"
        hint = "choose another folder with `--out`, or ask for write permission"
        raise OutputError("run", "a writable folder", received, hint) from error
    try:
        write_json(note, {"pid": os.getpid(), "host": platform.node(), "since": now()})
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _describe(note: Path) -> str:
    try:
        return "process {pid} on {host}, since {since}".format(**read_json(note))
    except (OSError, ValueError, KeyError, TypeError):
        return "another process that has just started"
