"""One run at a time in a workspace: a lock that dies with its process, and a note of whose it is."""

import os
import platform
from contextlib import contextmanager

from filelock import FileLock, Timeout

from epitome_kit.errors import OutputError
from epitome_kit.files import read_json, write_json
from epitome_kit.provenance import now


@contextmanager
def workspace_lock(workspace):
    """Hold a workspace for as long as the context lasts.

    The lock belongs to the process: what a killed one held is free at once.

    Parameters
    ----------
    workspace : Path
        Made when it does not exist.

    Raises
    ------
    OutputError
        Another run holds it, or it cannot be written to.
    """
    note = workspace / ".owner.json"
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        lock = FileLock(workspace / ".lock", timeout=0, is_singleton=False)
        lock.acquire()
    except Timeout as error:
        raise OutputError(
            "run",
            f"a workspace that no other run is using, unlike {workspace}",
            _describe(note),
            "wait for that run to end, or choose another folder with `--out`",
        ) from error
    except OSError as error:
        received = f"{workspace} ({error.strerror or error})"
        hint = "choose another folder with `--out`, or ask for write permission"
        raise OutputError("run", "a folder that can be written to", received, hint) from error
    try:
        write_json(note, {"pid": os.getpid(), "host": platform.node(), "since": now()})
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _describe(note):
    try:
        return "process {pid} on {host}, since {since}".format(**read_json(note))
    except (OSError, ValueError, KeyError, TypeError):
        return "another process, which has just begun"
