"""Run the cells of a notebook of the kit without any answer, and keep the variables at each exercise."""

import ast
from collections.abc import Iterator
from pathlib import Path

from epitome_kit.classroom.handouts import tagged
from epitome_kit.classroom.variables import Exercise, digest_of
from epitome_kit.errors import NotebookError
from epitome_kit.extras import needs
from epitome_kit.files import Json, PathLike
from epitome_kit.run.execute import new_kernel
from epitome_kit.run.parameters import TAG as PARAMETERS

with needs("lab"):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from nbformat import NotebookNode
    from nbformat.v4 import new_code_cell, new_notebook

_KIT_FACTOR = 10
"""Factor by which the time limit of the kit's cells exceeds that of answers."""

_KEEP = "__import__('epitome_kit.classroom.variables', fromlist=['_']).keep_variables(globals(), {!r})"


def keep_states(
    notebook: NotebookNode, parameters: Json, folder: Path, *, cwd: PathLike, limit_s: float
) -> list[Exercise]:
    """Run a notebook up to its last exercise, and keep the variables at each.

    Parameters
    ----------
    notebook : NotebookNode
        With cells tagged ``exercise``, ``solution`` and ``check`` in turn, which are not run.
    parameters : dict
        JSON values to inject.
    folder : Path
        Where to write the variables.
    cwd : path
        Working directory of the kernel.
    limit_s : float
        Time limit of an answer in seconds; a cell of the kit gets ten times as long.

    Returns
    -------
    list of Exercise

    Raises
    ------
    NotebookError
        A cell of the kit fails, takes too long or stops the kernel.
    """
    turns = list(zip(tagged(notebook, "exercise"), tagged(notebook, "check"), strict=True))
    states = [folder / f"{number}.state" for number in range(len(turns))]
    ready = new_notebook(cells=list(_cells(notebook, parameters, states)), metadata=notebook.metadata)
    try:
        with new_kernel(cwd) as manager:
            client = NotebookClient(ready, km=manager, timeout=_KIT_FACTOR * limit_s)
            client.reset_execution_trackers()
            with client.setup_kernel():
                for index, cell in enumerate(ready.cells):
                    client.execute_cell(cell, index)
    except CellTimeoutError as error:
        raise _failed(f"took longer than {_KIT_FACTOR * limit_s:g} s") from error
    except DeadKernelError as error:
        raise _failed("stopped the kernel") from error
    except CellExecutionError as error:
        raise _failed(f"raised {error.ename}: {error.evalue}") from error
    return [
        Exercise(cell.id, _names(cell.source), check.source, str(state), digest_of(state.read_bytes()))
        for (cell, check), state in zip(turns, states, strict=True)
    ]


def _cells(notebook: NotebookNode, parameters: Json, states: list[Path]) -> Iterator[NotebookNode]:
    """Yield the code cells of the kit, and one that keeps the variables in place of each exercise."""
    remaining = list(states)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if not remaining:
            return
        if cell.cell_type != "code" or {"solution", "check"} & set(tags):
            continue
        if "exercise" in tags:
            yield new_code_cell(_KEEP.format(str(remaining.pop(0))))
            continue
        yield cell.copy()
        if PARAMETERS in tags:
            yield new_code_cell("\n".join(f"{name} = {value!r}" for name, value in parameters.items()))


def _names(blank: str) -> list[str]:
    """Return the variables that a blank exercise sets."""
    return [node.id for node in ast.walk(ast.parse(blank)) if isinstance(node, ast.Name)]


def _failed(reason: str) -> NotebookError:
    expected = "a notebook of the kit that runs up to its last exercise"
    return NotebookError("grade", expected, f"one that {reason}", "allow more time with `--limit`")
