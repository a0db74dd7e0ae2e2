"""Many subjects, several workers, one progress bar that goes away when done."""

import os
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    track,
)

from epitome_kit.errors import BadParameter

WORKER_MB = 1300
"""Memory that one process may need, in MB; this process counts as well."""


def for_each(function, items, *, title, workers=1):
    """Call `function` on every item and return the results in the order of the items.

    Parameters
    ----------
    function : callable
        Takes one item. Importable by name, or a `functools.partial` of one that
        is, when `workers` is more than 1.
    items : sequence
    title : str
        Shown beside the bar, on a terminal (standard error) or in a notebook.
    workers : int, default=1
        Most processes to use; fewer where memory is short, see
        :data:`WORKER_MB`.

    Returns
    -------
    list

    Raises
    ------
    BadParameter
        `workers` is less than 1.
    """
    if workers < 1:
        raise BadParameter("for_each", "at least one worker", f"workers={workers}", "use `workers=1`")
    fitting = max(1, int(memory_mb() // WORKER_MB) - 1)
    results = Parallel(n_jobs=min(workers, fitting), return_as="generator")(delayed(function)(item) for item in items)
    console, unseen = _console()
    return list(track(results, title, total=len(items), console=console, transient=True, disable=unseen))


@contextmanager
def step_bar(title, total):
    """Show how far a long task is, and the time left, on a terminal or in a notebook.

    Parameters
    ----------
    title : str
        Shown beside the bar.
    total : int
        Steps to come.

    Yields
    ------
    callable
        Takes a number of steps that are done.
    """
    with _bar(title, total, TaskProgressColumn()) as advance:
        yield advance


@contextmanager
def byte_bar(title, total):
    """Show how far a download is.

    Parameters
    ----------
    title : str
        Shown beside the bar.
    total : int
        Bytes to come; 0 where unknown.

    Yields
    ------
    callable
        Takes a number of bytes that have come; less than zero takes them back.
    """
    with _bar(title, total or None, DownloadColumn()) as advance:
        yield advance


@contextmanager
def _bar(title, total, measure):
    console, unseen = _console()
    columns = (TextColumn("{task.description}"), BarColumn(), measure, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=unseen, speed_estimate_period=600) as bar:
        yield partial(bar.advance, bar.add_task(title, total=total))


def _console():
    """Return standard error, and whether nobody would see a bar on it."""
    console = Console(stderr=True)
    return console, not (console.is_terminal or console.is_jupyter)


def memory_mb():
    """Memory that this process and its children may use, in MB.

    Returns
    -------
    float
        The limit of the server (Binder states it in ``MEM_LIMIT``) or of the
        container, else all memory of the machine.
    """
    limits = [psutil.virtual_memory().total]
    stated = os.environ.get("MEM_LIMIT", "")
    container = Path("/sys/fs/cgroup/memory.max")
    texts = [stated, container.read_text().strip() if container.is_file() else ""]
    limits += [int(text) for text in texts if text.isdigit()]
    return min(limits) / 1e6
