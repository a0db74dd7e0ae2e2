"""Mark submitted notebooks: run the notebooks of the kit with the answers of a student, and count points."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from epitome_kit.classroom.handouts import tagged
from epitome_kit.classroom.submissions import Submission, notes_on_copies, read_submissions
from epitome_kit.errors import NotebookError, ParameterError, SubmissionError, plain
from epitome_kit.extras import needs
from epitome_kit.files import Json, PathLike, read_json
from epitome_kit.lock import locks
from epitome_kit.run.execute import new_kernel
from epitome_kit.run.notebooks import kit_notebooks, run_notebooks
from epitome_kit.run.parameters import TAG as PARAMETERS
from epitome_kit.run.parameters import declared_parameters
from epitome_kit.teach.check_result import MIME
from epitome_kit.temporary import temporary_folder
from epitome_kit.workspace import Workspace, read_notebook

with needs("lab"):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from nbformat import NotebookNode
    from nbformat.v4 import new_code_cell, new_notebook


_KIT_FACTOR = 10
"""Factor by which the time limit of the kit's cells exceeds that of answers."""

_SAVE = "_kit = {name: value for name, value in globals().items() if not name.startswith(('_', 'my_'))}"
_RESTORE = "globals().update(_kit)"


@locks("notebooks --grade", "workspace")
def mark_folder(
    path: PathLike, *, workspace: PathLike, cohort: PathLike = "phantom", profile: str = "quick", limit_s: float = 300
) -> pd.DataFrame:
    """Mark submissions: one file, or every file below a folder.

    Notebooks are recognised by content, also inside zips; other files are refused
    with a reason. Only cells tagged ``exercise`` are taken from a submission, by
    id; all other cells are those of the kit. Results of earlier steps are computed
    once in `workspace`; each notebook then runs in a temporary copy of it.

    A notebook is a program that runs with your rights, and can change the kit in
    memory before it is checked. Mark notebooks of people you do not know in a
    container or under another account, and review suspicious ones by hand.

    Parameters
    ----------
    path : path
        A notebook, a zip of notebooks, or a folder.
    workspace : path
        Workspace of a run with the same cohort and profile; created if needed.
    cohort : path or "phantom", default="phantom"
        Cohort used by the class.
    profile : {"smoke", "quick", "full"}, default="quick"
        Profile used by the class; answers with numbers depend on it.
    limit_s : float, default=300
        Time limit of an answer and of its check, in seconds; ten times as long for
        other cells.

    Returns
    -------
    DataFrame
        One row per exercise: file, notebook, exercise (from 1), points (0 or 1),
        state ("right", "not yet", "blank", "error"), said, note. A file that cannot be
        marked has one row without exercise, in state "refused", as have empty
        folders and broken links. System files such as ``.DS_Store`` are counted in
        ``attrs["passed_over"]``.

    Raises
    ------
    SubmissionError
        A single file is not a notebook of the kit, or lacks exercises.
    ParameterError
        Nothing to mark.
    NotebookError
        The notebook of the kit itself fails.
    """
    path, workspace = Path(path), Path(workspace).absolute()
    submissions, passed_over = read_submissions(path)
    if not submissions:
        state = "an empty folder" if path.is_dir() else "which does not exist" if not path.exists() else "not a file"
        raise ParameterError("grade", "a notebook, or a folder of notebooks", f"{path}, {state}", "check the path")
    alone = path.is_file() and len(submissions) == 1
    taken: dict[str, tuple[str, dict[str, str]]] = {}
    marks: dict[str, list[Json]] = {}
    for submission in submissions:
        with _refusing(submission.file, marks, alone=alone):
            taken[submission.file] = take_answers(submission)
    names = {file: name for file, (name, _) in taken.items()}
    submitted = [name for name in kit_notebooks() if name in names.values()]
    if submitted:
        run_notebooks(submitted, out=workspace, cohort=cohort, profile=profile, latest=False)
    for file, (name, answers) in taken.items():
        with _refusing(file, marks, alone=alone):
            marks[file] = [{"notebook": name, **mark} for mark in _mark_in_copy(name, answers, workspace, limit_s)]
    copies = notes_on_copies(names)
    notes = {each.file: "; ".join(filter(None, (each.note, copies.get(each.file)))) or None for each in submissions}
    rows = [{"file": plain(file), **mark, "note": note} for file, note in notes.items() for mark in marks[file]]
    columns = ["file", "notebook", "exercise", "points", "state", "said", "note"]
    table = pd.DataFrame(rows, columns=columns).astype({"exercise": "Int64"})
    table.attrs["passed_over"] = passed_over
    return table


def take_answers(submission: Submission) -> tuple[str, dict[str, str]]:
    """Read the answers from a submission.

    Parameters
    ----------
    submission : Submission
        One submitted file.

    Returns
    -------
    name : str
        Notebook of the kit that it is a copy of.
    answers : dict of str to str
        Id of each exercise to the code of the answer.

    Raises
    ------
    SubmissionError
        It was refused, is not a notebook of the kit, or exercise cells are missing or duplicated.
    """
    if submission.refused:
        raise submission.refused
    theirs = submission.cells or {}
    asked = {name: _exercises(source) for name, source in kit_notebooks().items()}
    name = max(asked, key=lambda name: len(asked[name].keys() & theirs.keys()))
    numbers = {id: number for number, id in enumerate(asked[name], 1)}
    missing = [number for id, number in numbers.items() if id not in theirs]
    if len(missing) == len(numbers):
        raise SubmissionError(
            "grade",
            f"a copy of one of the kit's notebooks ({', '.join(asked)})",
            f"{submission.file}, without any of their exercises",
            "hand out copies made by `epitome notebooks --student FOLDER`, which keep the cell ids",
        )
    twice = [number for id, number in numbers.items() if len(set(theirs.get(id, ()))) > 1]
    if missing or twice:
        received = f"without exercise {', '.join(map(str, missing))}" if missing else ""
        received += f"{' and ' if missing and twice else ''}"
        received += f"with two answers to exercise {', '.join(map(str, twice))}" if twice else ""
        raise SubmissionError(
            "grade",
            f"all {len(numbers)} exercise cells of {name}, each once",
            f"{submission.file}, {received}",
            "put the answer into the cell of the notebook: a new cell has another id, a blank one is fine",
        )
    return name, {id: theirs[id][0].strip() or blank for id, blank in asked[name].items()}


def mark_answers(
    notebook: NotebookNode, answers: dict[str, str], parameters: Json, *, cwd: PathLike, limit_s: float = 300
) -> list[Json]:
    """Run a notebook of the kit with the answers of a student, and read its checks.

    An answer that fails, takes too long or stops the kernel loses only its own
    point: variables of the kit that it overwrote are restored, and after a timeout
    or a dead kernel the notebook runs again without it. Cells after the last check
    are not run.

    Parameters
    ----------
    notebook : NotebookNode
        With cells tagged ``exercise``, ``solution`` and ``check`` in turn.
    answers : dict of str to str
        Id of each exercise to code.
    parameters : dict
        JSON values to inject.
    cwd : path
        Working directory of the kernel.
    limit_s : float, default=300
        As for :func:`mark_folder`.

    Returns
    -------
    list of dict
        exercise, points, state, said.

    Raises
    ------
    NotebookError
        A cell of the kit takes too long or stops the kernel.
    """
    blank = {cell.id: cell.source for cell in tagged(notebook, "exercise")}
    stopped: dict[str, str] = {}
    while True:
        cells = list(_in_turn(notebook, parameters, answers | {id: blank[id] for id in stopped}))
        ready = new_notebook(cells=cells, metadata=notebook.metadata)
        reason = _run(ready, cwd, limit_s)
        if reason is None:
            return [_read_mark(*turn, stopped) for turn in enumerate(_turns(ready), 1)]
        blamed, why = reason
        if blamed is None or blamed in stopped:
            expected = "a notebook of the kit that runs up to its last check"
            raise NotebookError("grade", expected, f"one that {why}", "allow more time with `--limit`")
        stopped[blamed] = why


@contextmanager
def _refusing(shown: str, marks: dict[str, list[Json]], *, alone: bool) -> Iterator[None]:
    """Record why a file cannot be marked, and continue with the others."""
    try:
        yield
    except (SubmissionError, NotebookError) as error:
        if alone:
            raise
        message = f"{error.received}; try: {error.hint}" if isinstance(error, SubmissionError) else error.reason
        marks[shown] = [{"points": 0, "state": "refused", "said": message}]


def _exercises(path: Path) -> dict[str, str]:
    """Return the id of each exercise of a notebook with its blank code."""
    return {cell.id: cell.source for cell in tagged(read_notebook(path), "exercise")}


def _mark_in_copy(name: str, answers: dict[str, str], workspace: Path, limit_s: float) -> list[Json]:
    """Mark in a copy of the workspace in the same folder, where the built-in cohort is found."""
    source = kit_notebooks()[name]
    known = read_json(Workspace(workspace).parameters)
    with temporary_folder(workspace.parent) as copy:
        shutil.copytree(workspace, copy, ignore=shutil.ignore_patterns("notebooks"), dirs_exist_ok=True)
        declared = declared_parameters(source)
        parameters = {key: known.get(key, default) for key, default in declared.items()} | {"out": str(copy)}
        return mark_answers(read_notebook(source), answers, parameters, cwd=copy, limit_s=limit_s)


def _in_turn(notebook: NotebookNode, parameters: Json, answers: dict[str, str]) -> Iterator[NotebookNode]:
    """Yield the code cells up to the last check, each answer between cells that save and restore variables."""
    last = notebook.cells.index(tagged(notebook, "check")[-1])
    for cell in notebook.cells[: last + 1]:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code" or "solution" in tags:
            continue
        if cell.id in answers:
            answer = new_code_cell(answers[cell.id], id=cell.id, metadata=cell.metadata)
            yield from (new_code_cell(_SAVE), answer, new_code_cell(_RESTORE))
        else:
            yield cell.copy()
        if PARAMETERS in tags:
            yield new_code_cell("\n".join(f"{name} = {value!r}" for name, value in parameters.items()))


def _run(notebook: NotebookNode, cwd: PathLike, limit_s: float) -> tuple[str | None, str] | None:
    """Execute all cells despite errors; if execution stops, return the responsible exercise and the reason."""
    reached: list[NotebookNode] = []

    def limit(cell: NotebookNode) -> float:
        return limit_s if {"exercise", "check"} & set(cell.metadata.get("tags", [])) else _KIT_FACTOR * limit_s

    try:
        with new_kernel(cwd) as manager:
            client = NotebookClient(notebook, km=manager, allow_errors=True, timeout_func=limit)
            client.reset_execution_trackers()
            with client.setup_kernel():
                for index, cell in enumerate(notebook.cells):
                    reached.append(cell)
                    client.execute_cell(cell, index)
    except (CellTimeoutError, DeadKernelError) as error:
        exercises = {cell.id for cell in tagged(notebook, "exercise")}
        blamed = [cell.id for cell in reached if cell.id in exercises]
        slow = f"took longer than {limit(reached[-1]):g} s"
        return (blamed or [None])[-1], slow if isinstance(error, CellTimeoutError) else "stopped the kernel"
    return None


def _turns(notebook: NotebookNode) -> Iterator[tuple[NotebookNode, NotebookNode]]:
    return zip(tagged(notebook, "exercise"), tagged(notebook, "check"), strict=True)


def _read_mark(number: int, turn: tuple[NotebookNode, NotebookNode], stopped: dict[str, str]) -> Json:
    exercise, check = turn
    found = [output.data[MIME] for output in check.outputs if MIME in output.get("data", {})]
    state, message = (found[-1]["state"], found[-1]["message"]) if found else ("error", "")
    error = stopped.get(exercise.id) or _error(exercise) or _error(check)
    if error and state != "right":
        state, message = "error", error
    return {"exercise": number, "points": int(state == "right"), "state": state, "said": message}


def _error(cell: NotebookNode) -> str:
    found = [output for output in cell.outputs if output.output_type == "error"]
    return f"{found[0].ename}: {' '.join(found[0].evalue.split())[:200]}" if found else ""
