"""Many subjects, several workers, one progress bar that goes away when done."""

import os
from contextlib import contextmanager
from functools import partial

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

from epitome_kit.cluster import map_on_cluster, scheduler
from epitome_kit.errors import ParameterError
from epitome_kit.system import container_memory_bytes

WORKER_MB = 1300
"""Memory that one process may need, in MB; this process counts as well."""


def for_each(function, items, *, title, workers=None):
    """Call `function` on every item and return the results in the order of the items.

    Items go to processes of this machine; or to a Dask cluster, where the
    environment names its scheduler (:data:`epitome_kit.cluster.SCHEDULER`).

    Parameters
    ----------
    function : callable
        Takes one item. Importable by name, or a `functools.partial` of one that
        is, unless `workers` is None.
    items : sequence
    title : str
        Shown beside the bar, on a terminal (standard error) or in a notebook.
    workers : int or None, default=None
        Most processes to use; fewer where memory is short, see
        :data:`WORKER_MB`. A cluster uses as many as it has. None: this process,
        always.

    Returns
    -------
    list

    Raises
    ------
    ParameterError
        `workers` is less than 1.
    ToolError
        The cluster cannot be reached, or its workers die.
    """
    if workers is not None and workers < 1:
        raise ParameterError("for_each", "at least one worker", f"workers={workers}", "use `workers=1`")
    items = list(items)
    if workers is not None and items and scheduler():
        numbered = map_on_cluster(function, items, scheduler())
    else:
        fitting = max(1, int(memory_mb() // WORKER_MB) - 1)
        parallel = Parallel(n_jobs=min(workers or 1, fitting), return_as="generator")
        numbered = enumerate(parallel(delayed(function)(item) for item in items))
    console, unseen = _console()
    results = dict(track(numbered, title, total=len(items), console=console, transient=True, disable=unseen))
    return [results[index] for index in range(len(items))]


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
    limits += [int(stated)] if stated.isdigit() else []
    limits += [container_memory_bytes() or limits[0]]
    return min(limits) / 1e6
