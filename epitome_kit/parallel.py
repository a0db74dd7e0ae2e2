"""Process many subjects in parallel, with a progress bar."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import psutil
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, TaskProgressColumn, TimeRemainingColumn

from epitome_kit.cluster import R, T, map_on_cluster, scheduler
from epitome_kit.errors import ParameterError, ToolError, plain
from epitome_kit.escaping import label_column, plain_console
from epitome_kit.limits import container_memory_bytes
from epitome_kit.processes import end_with_parent
from epitome_kit.temporary import mark_shared_memory

WORKER_MB = 1300
"""Memory that one process may need, in MB; this process is counted too."""


def for_each(function: Callable[[T], R], items: Iterable[T], *, title: str, workers: int | None = None) -> list[R]:
    """Call a function on every item and return the results in the order of the items.

    Items are processed by processes of this machine, or by a Dask cluster if the
    environment names its scheduler (:data:`epitome_kit.cluster.SCHEDULER`). Processes
    of this machine end with this process, however it ends.

    Parameters
    ----------
    function : callable
        Takes one item. Unless `workers` is None, it must be importable by name, or a
        `functools.partial` of such a function.
    items : iterable
        Arguments, one per call.
    title : str
        Shown with the progress bar, on a terminal (standard error) or in a notebook.
    workers : int or None, default=None
        Maximum number of processes, limited by memory (see :data:`WORKER_MB`). A
        cluster uses all of its workers. None: always this process.

    Returns
    -------
    list
        One result per item.

    Raises
    ------
    ParameterError
        `workers` is less than 1.
    ToolError
        The cluster cannot be reached, its workers fail, or a process was killed.
    """
    if workers is not None and workers < 1:
        raise ParameterError("for_each", "at least one worker", f"workers={workers}", "use `workers=1`")
    items = list(items)
    numbered: Iterable[tuple[int, R]]
    if workers is not None and items and (address := scheduler()):
        numbered = map_on_cluster(function, items, address)
    else:
        fitting = max(1, int(memory_mb() // WORKER_MB) - 1)
        numbered = enumerate(_on_this_machine(function, items, min(workers or 1, fitting)))
    results: dict[int, R] = {}
    try:
        with step_bar(title, len(items)) as advance:
            for index, result in numbered:
                results[index] = result
                advance(1)
    except TerminatedWorkerError as error:
        expected, hint = "processes that run to their end", "use fewer `--workers`; finished items are kept"
        raise ToolError("for_each", expected, "one that was killed, often for lack of memory", hint) from error
    return [results[index] for index in range(len(items))]


def _on_this_machine(function: Callable[[T], R], items: list[T], processes: int) -> Iterator[R]:
    if processes > 1:
        mark_shared_memory()
    main = threading.current_thread() is threading.main_thread()
    parallel = Parallel(processes, return_as="generator", initializer=end_with_parent, initargs=(os.getpid(), main))
    return parallel(delayed(function)(item) for item in items)


@contextmanager
def step_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show the progress of a long task and the time left, on a terminal or in a notebook.

    Parameters
    ----------
    title : str
        Shown with the bar.
    total : int
        Number of steps.

    Yields
    ------
    callable
        Takes a number of further steps that are done.
    """
    with _bar(title, total, TaskProgressColumn()) as advance:
        yield advance


@contextmanager
def byte_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show the progress of a download.

    Parameters
    ----------
    title : str
        Shown with the bar.
    total : int
        Number of bytes; 0 if unknown.

    Yields
    ------
    callable
        Takes a number of further bytes; a negative number subtracts them.
    """
    with _bar(title, total or None, DownloadColumn()) as advance:
        yield advance


@contextmanager
def _bar(title: str, total: int | None, measure: ProgressColumn) -> Iterator[Callable[[int], None]]:
    console, hidden = _console()
    columns = (label_column(), BarColumn(), measure, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=hidden, speed_estimate_period=600) as bar:
        yield partial(bar.advance, bar.add_task(plain(title), total=total))


def _console() -> tuple[Console, bool]:
    """Return standard error, and whether a progress bar on it is hidden."""
    console = plain_console()
    return console, not (console.is_terminal or console.is_jupyter)


def memory_mb() -> float:
    """Return the memory that this process and its children may use.

    Returns
    -------
    float
        In MB: the limit of the server (``MEM_LIMIT``, as set by Binder) or of the
        container, else the memory of the machine.
    """
    limits = [psutil.virtual_memory().total]
    stated = os.environ.get("MEM_LIMIT", "")
    limits += [int(stated)] if stated.isdigit() else []
    limits += [container_memory_bytes() or limits[0]]
    return min(limits) / 1e6
