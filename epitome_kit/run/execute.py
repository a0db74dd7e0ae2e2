"""Execute one notebook by papermill, and fail on errors that papermill ignores."""

import asyncio
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty

import psutil

from epitome_kit.errors import NotebookError
from epitome_kit.extras import needs
from epitome_kit.files import Json, PathLike, whole_file
from epitome_kit.system import put_in_place
from epitome_kit.temporary import clear_temporary, temporary_folder
from epitome_kit.workspace import RECORD, read_notebook

with needs("lab"):
    import nbformat
    import papermill
    from jupyter_client import AsyncKernelClient, AsyncKernelManager
    from jupyter_client.channels import AsyncZMQSocketChannel
    from jupyter_core.utils import run_sync
    from nbclient.exceptions import DeadKernelError
    from nbformat import NotebookNode
    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import ERROR_MARKER_TAG, remove_error_markers
    from traitlets import Type

KERNEL_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",  # errors only
    "MALLOC_ARENA_MAX": "2",  # native threads share memory instead of hoarding it
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # figures stay in the notebook
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # no warning about frozen modules
}
"""Variables added to the environment of the kernel."""


logging.getLogger("papermill").setLevel(logging.CRITICAL)  # its warnings are errors here

_PROGRAM = Path(__file__).with_name("kernel.py")
_POLL_S = 0.1
_IOPUB_TIMEOUT_S = 300  # between the end of a cell and its last output, on a busy machine

_WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def execute_notebook(
    source: Path,
    target: Path,
    parameters: Json,
    *,
    cwd: PathLike,
    record: Json | None = None,
    on_cell: Callable[[int], object] | None = None,
) -> Json:
    """Execute a notebook, and keep it as finished only if every cell succeeded.

    On success the executed notebook is written to `target`. On failure it is
    kept as ``<name>.failed.ipynb`` with a red mark at the cell that failed.

    Parameters
    ----------
    source, target : Path
        Notebook to run, and where to write the executed one.
    parameters : dict
        JSON values to inject.
    cwd : Path
        Working directory of the kernel.
    record : dict, default=None
        Stored in the metadata of the notebook, with seconds and memory added.
    on_cell : callable, default=None
        Called with the number of code cells started so far.

    Returns
    -------
    dict
        The record: seconds, tree_peak_rss_mb (kernel and its child processes, in
        10^6 bytes), peak_rss_mb (kernel alone).

    Raises
    ------
    NotebookError
        A cell or a widget failed, the notebook exited early, or the kernel died.
    """
    started = time.perf_counter()
    position = _Position(on_cell)
    with whole_file(target) as partial:
        shutil.copyfile(source, partial)
        failure: tuple[int | None, str] | None = None
        try:
            with new_kernel(cwd) as manager, peak_memory(getattr(manager.provisioner, "pid", 0)) as peaks:
                papermill.execute_notebook(
                    str(source),
                    str(partial),
                    parameters,
                    kernel_name=manager.kernel_name,
                    language="python",
                    progress_bar=False,
                    iopub_timeout=_IOPUB_TIMEOUT_S,
                    km=manager,
                    on_cell_execute=position,
                    coalesce_streams=True,
                )
        except PapermillExecutionError as error:
            failure = error.cell_index, _one_line(error)
        except DeadKernelError:
            failure = (
                position.index,
                f"the kernel died, using {peaks['tree_peak_rss_mb']} MB (often for lack of memory)",
            )
        except Exception as error:  # papermill itself failed
            failure = position.index, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        notebook = remove_error_markers(read_notebook(partial))
        failure = failure or find_failure(notebook)
        if failure is not None:
            raise _keep_failed(notebook, partial, target.with_suffix(".failed.ipynb"), *failure)
        record = {**(record or {}), "seconds": round(time.perf_counter() - started, 1), **peaks}
        notebook.metadata[RECORD] = record
        nbformat.write(notebook, partial)
    target.with_suffix(".failed.ipynb").unlink(missing_ok=True)
    return record


def find_failure(notebook: NotebookNode) -> tuple[int | None, str] | None:
    """Find the first sign that an executed notebook is incomplete.

    Parameters
    ----------
    notebook : NotebookNode
        After execution.

    Returns
    -------
    (int or None, str) or None
        Index of the cell (None for a widget that no cell shows) and the
        reason; None if every cell succeeded.
    """
    for index, cell in enumerate(notebook.cells):
        if not _has_code(cell):
            continue
        for output in cell.outputs:
            if output.output_type == "error":
                return index, _one_line(output)
        if cell.execution_count is None:
            return index, "never executed"
    return _find_widget_failure(notebook)


@contextmanager
def peak_memory(pid: int, *, every_s: float = 0.2) -> Iterator[dict[str, int]]:
    """Measure the peak resident memory of a process and its children.

    Parameters
    ----------
    pid : int
        Process number.
    every_s : float, default=0.2
        Seconds between two measurements.

    Yields
    ------
    dict
        tree_peak_rss_mb (sum over the tree) and peak_rss_mb (the process
        alone), in 10^6 bytes, updated while the context is open.
    """
    peaks = {"tree_peak_rss_mb": 0, "peak_rss_mb": 0}
    done = threading.Event()

    def watch() -> None:
        while True:
            alone, tree = _resident_mb(pid)
            peaks["tree_peak_rss_mb"] = max(peaks["tree_peak_rss_mb"], tree)
            peaks["peak_rss_mb"] = max(peaks["peak_rss_mb"], alone)
            if done.wait(every_s):
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peaks
    finally:
        done.set()
        watcher.join()


class _Position:
    """Position of the execution; papermill calls it before each code cell."""

    def __init__(self, on_cell: Callable[[int], object] | None) -> None:
        self.index: int | None = None
        self.count, self.on_cell = 0, on_cell

    def __call__(self, *, cell: NotebookNode, cell_index: int) -> None:
        self.index, self.count = cell_index, self.count + 1
        if self.on_cell is not None:
            self.on_cell(self.count)


class ShellChannel(AsyncZMQSocketChannel):
    """Shell channel that polls, so that no reply of a cell is missed.

    Messages to output widgets are sent on the same socket, and sending clears
    the edge-triggered event of libzmq for a reply that has just arrived. A client
    that waits for that event never wakes up (jupyter/nbclient, issue 312).
    """

    async def get_msg(self, timeout: float | None = None) -> Json:  # type: ignore[override]  # as in the base class
        """Wait for the next message, polling the socket."""
        last = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            try:
                return await super().get_msg(max(0, min(_POLL_S, last - time.monotonic())))
            except Empty:
                if time.monotonic() >= last:
                    raise


class _Client(AsyncKernelClient):
    shell_channel_class = Type(ShellChannel)


@contextmanager
def new_kernel(cwd: PathLike) -> Iterator[AsyncKernelManager]:
    """Start a kernel with this Python interpreter; it ends with the context, or with this process.

    Parameters
    ----------
    cwd : path
        Working directory of the kernel.

    Yields
    ------
    AsyncKernelManager
        Manager of the running kernel.
    """
    manager = AsyncKernelManager(kernel_name="python3", client_factory=_Client)
    if manager.kernel_spec is None:
        raise NotebookError("run", "a Jupyter kernel `python3`", "none", "look at `epitome doctor`")
    manager.kernel_spec.argv = [sys.executable, str(_PROGRAM), str(os.getpid()), "-f", "{connection_file}"]
    with temporary_folder() as folder:
        manager.connection_file = str(folder / "kernel.json")
        try:
            run_sync(manager.start_kernel)(
                cwd=str(cwd),
                env={**os.environ, **KERNEL_ENVIRONMENT},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                extra_arguments=["--HistoryManager.hist_file=:memory:"],
            )
            yield manager
        except BaseException:
            run_sync(_halt)(manager)
            clear_temporary()
            raise
        run_sync(manager.shutdown_kernel)()


async def _halt(manager: AsyncKernelManager) -> None:
    """Cancel pending tasks, then kill the kernel and its children."""
    pending = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    await manager.shutdown_kernel(now=True)


def _resident_mb(pid: int) -> tuple[int, int]:
    """Return the resident memory of a process and of its tree, in 10^6 bytes."""
    sizes = []
    try:
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            sizes.append(member.memory_info().rss / 1e6)
    except psutil.Error:
        pass  # a process may end during the measurement
    return (round(sizes[0]), round(sum(sizes))) if sizes else (0, 0)


def _has_code(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


def _one_line(output: NotebookNode | PapermillExecutionError) -> str:
    if output.ename == "SystemExit":
        return "exited early, by `sys.exit` or `exit`"
    return f"{output.ename}: {' '.join(output.evalue.split())}".removesuffix(": ")


def _find_widget_failure(notebook: NotebookNode) -> tuple[int | None, str] | None:
    """Find an error caught by a widget, of which the cell itself shows nothing."""
    models = notebook.metadata.get("widgets", {}).get(_WIDGET_STATE, {}).get("state", {})
    for name, model in models.items():
        for output in model["state"].get("outputs", ()):
            if output["output_type"] == "error":
                return _shown_in(notebook, models, name), f"inside a widget, {_one_line(nbformat.from_dict(output))}"
    return None


def _shown_in(notebook: NotebookNode, models: Json, name: str) -> int | None:
    """Return the index of the cell that shows a widget, directly or inside another widget."""
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            view = output.get("data", {}).get(_WIDGET_VIEW)
            if view and name in _family(models, view["model_id"]):
                return index
    return None


def _family(models: Json, name: str, known: Iterable[str] = ()) -> set[str]:
    """Return the names of a widget and of all widgets inside it."""
    known = {*known, name}
    for inner in re.findall(r"IPY_MODEL_(\w+)", str(models.get(name, {}).get("state", ""))):
        if inner not in known:
            known |= _family(models, inner, known)
    return known


def _keep_failed(notebook: NotebookNode, partial: Path, kept: Path, index: int | None, reason: str) -> NotebookError:
    """Mark the failing cell in red, keep the notebook, and return the error to raise."""
    number = sum(map(_has_code, notebook.cells[: index + 1])) if index is not None else 0
    where = f"in code cell {number}: " if number else ""
    text = f"<div style='color:#b00020;font-size:1.4em'>This notebook stopped.</div>\n\n```\n{where}{reason}\n```"
    for position in sorted({index or 0, 0}, reverse=True):
        mark = nbformat.v4.new_markdown_cell(text, metadata={"tags": [ERROR_MARKER_TAG]})
        notebook.cells.insert(position, mark)
    nbformat.write(notebook, partial)
    put_in_place(partial, kept)
    name = kept.name.removesuffix(".failed.ipynb")
    hint = f"open {kept} at the red mark; once fixed, the same command continues from there"
    return NotebookError("run", f"{name} to run to its end", f"{where}{reason}", hint)
