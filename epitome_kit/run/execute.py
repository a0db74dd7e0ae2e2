"""Strict execution of one notebook: what papermill lets pass is found and shown."""

import asyncio
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from queue import Empty

import psutil

from epitome_kit.errors import NotebookError
from epitome_kit.extras import needs
from epitome_kit.files import whole_file
from epitome_kit.system import put_in_place
from epitome_kit.workspace import RECORD, read_notebook

with needs("lab"):
    import nbformat
    import papermill
    from jupyter_client import AsyncKernelClient, AsyncKernelManager
    from jupyter_client.channels import AsyncZMQSocketChannel
    from jupyter_core.utils import run_sync
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import ERROR_MARKER_TAG, remove_error_markers
    from traitlets import Type

KERNEL_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",  # errors only
    "MALLOC_ARENA_MAX": "2",  # native threads share memory instead of hoarding it
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # figures stay in the notebook
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # no warning about frozen modules
}
"""What the kernel's environment adds to that of the command."""


logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it would warn of is an error here

_LOOK_AGAIN_S = 0.1
_LONGEST_SILENCE_S = 300  # between the end of a cell and the last of what it printed, on a busy machine

_WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def execute_notebook(source, target, parameters, *, cwd, record=None, on_cell=None):
    """Execute a notebook and keep it only when it truly ran to its end.

    The executed notebook appears as `target` on success. On failure it stands
    beside it as ``<name>.failed.ipynb``, a red mark at the cell that failed.

    Parameters
    ----------
    source, target : Path
        Notebook to run, and where to write the executed one.
    parameters : dict
        JSON values to inject.
    cwd : Path
        Folder that the kernel works in.
    record : dict, optional
        Kept in the notebook's metadata, with seconds and memory added.
    on_cell : callable, optional
        Called with the number of code cells reached so far.

    Returns
    -------
    dict
        The record: seconds, tree_peak_rss_mb (kernel and its child processes, in
        10^6 bytes), peak_rss_mb (kernel alone).

    Raises
    ------
    NotebookError
        A cell or a widget failed, the notebook left early, or the kernel died.
    """
    started = time.perf_counter()
    position = _Position(on_cell)
    with whole_file(target) as partial:
        shutil.copyfile(source, partial)
        failure = None
        try:
            with new_kernel(cwd) as manager, peak_memory(manager.provisioner.pid) as peaks:
                papermill.execute_notebook(
                    str(source),
                    str(partial),
                    parameters,
                    kernel_name=manager.kernel_name,
                    language="python",
                    progress_bar=False,
                    iopub_timeout=_LONGEST_SILENCE_S,
                    km=manager,
                    on_cell_execute=position,
                    coalesce_streams=True,
                )
        except PapermillExecutionError as error:
            failure = error.cell_index, _one_line(error)
        except DeadKernelError:
            failure = (
                position.index,
                f"the kernel died, holding {peaks['tree_peak_rss_mb']} MB (often too little memory is left)",
            )
        except Exception as error:  # papermill could not go on
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


def find_failure(notebook):
    """Find the first sign that an executed notebook did not do all of its work.

    Parameters
    ----------
    notebook : NotebookNode

    Returns
    -------
    (int or None, str) or None
        Index of the cell, None for a widget that no cell shows, and the
        reason; None when all is well.
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
def peak_memory(pid, *, every_s=0.2):
    """Watch the resident memory of a process and of its children.

    Parameters
    ----------
    pid : int
    every_s : float, default=0.2
        Seconds between two looks.

    Yields
    ------
    dict
        tree_peak_rss_mb (sum over the tree) and peak_rss_mb (the process
        alone), in 10^6 bytes, growing while the watch lasts.
    """
    peaks = {"tree_peak_rss_mb": 0, "peak_rss_mb": 0}
    done = threading.Event()

    def watch():
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
    """Where the execution stands; papermill calls it before each code cell."""

    def __init__(self, on_cell):
        self.index, self.count, self.on_cell = None, 0, on_cell

    def __call__(self, *, cell, cell_index):
        self.index, self.count = cell_index, self.count + 1
        if self.on_cell is not None:
            self.on_cell(self.count)


class ShellChannel(AsyncZMQSocketChannel):
    """The channel that brings a cell's reply, read in a way that cannot miss it.

    A message to an output widget leaves on the same socket, and sending clears
    the one sign that libzmq gives of a reply that has just come in. Who waits
    for that sign then waits for ever (jupyter/nbclient, issue 312).
    """

    async def get_msg(self, timeout=None):
        """Wait for the next message, looking for it again and again."""
        last = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            try:
                return await super().get_msg(max(0, min(_LOOK_AGAIN_S, last - time.monotonic())))
            except Empty:
                if time.monotonic() >= last:
                    raise


class _Client(AsyncKernelClient):
    shell_channel_class = Type(ShellChannel)


@contextmanager
def new_kernel(cwd):
    """Start a kernel of this very Python, and stop it with all of its children.

    Parameters
    ----------
    cwd : path
        Folder that it works in.

    Yields
    ------
    AsyncKernelManager
    """
    manager = AsyncKernelManager(kernel_name="python3", client_factory=_Client)
    manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    run_sync(manager.start_kernel)(
        cwd=str(cwd),
        env={**os.environ, **KERNEL_ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        extra_arguments=["--HistoryManager.hist_file=:memory:"],
    )
    try:
        yield manager
    except BaseException:
        run_sync(_halt)(manager)
        raise
    run_sync(manager.shutdown_kernel)()


async def _halt(manager):
    """Drop what is under way, then kill the kernel and its children."""
    under_way = asyncio.all_tasks() - {asyncio.current_task()}
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    await manager.shutdown_kernel(now=True)


def _resident_mb(pid):
    """Memory of a process alone, and of its whole tree, in 10^6 bytes."""
    sizes = []
    try:
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            sizes.append(member.memory_info().rss / 1e6)
    except psutil.Error:
        pass  # a process may end while it is looked at
    return (round(sizes[0]), round(sum(sizes))) if sizes else (0, 0)


def _has_code(cell):
    return cell.cell_type == "code" and bool(cell.source.strip())


def _one_line(output):
    if output.ename == "SystemExit":
        return "left early, by `sys.exit` or `exit`"
    return f"{output.ename}: {' '.join(output.evalue.split())}".removesuffix(": ")


def _find_widget_failure(notebook):
    """Find an error caught by a widget, which leaves the cell itself green."""
    models = notebook.metadata.get("widgets", {}).get(_WIDGET_STATE, {}).get("state", {})
    for name, model in models.items():
        for output in model["state"].get("outputs", ()):
            if output["output_type"] == "error":
                return _shown_in(notebook, models, name), f"inside a widget, {_one_line(nbformat.from_dict(output))}"
    return None


def _shown_in(notebook, models, name):
    """Index of the cell that shows a widget, itself or inside another."""
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            view = output.get("data", {}).get(_WIDGET_VIEW)
            if view and name in _family(models, view["model_id"]):
                return index
    return None


def _family(models, name, known=()):
    """Names of a widget and of everything inside it."""
    known = {*known, name}
    for inner in re.findall(r"IPY_MODEL_(\w+)", str(models.get(name, {}).get("state", ""))):
        if inner not in known:
            known |= _family(models, inner, known)
    return known


def _keep_failed(notebook, partial, kept, index, reason):
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
    hint = f"open {kept} at the red mark; when it is mended, the same command goes on from there"
    return NotebookError("run", f"{name} to run to its end", f"{where}{reason}", hint)
