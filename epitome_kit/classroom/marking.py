"""Marking: the answers of a student, set into the kit's own notebook, and the points that its checks give."""

import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from epitome_kit.classroom.handouts import tagged
from epitome_kit.classroom.submissions import notes_on_copies, read_submissions
from epitome_kit.errors import NotebookError, ParameterError, SubmissionError, plain
from epitome_kit.extras import needs
from epitome_kit.files import read_json
from epitome_kit.run.execute import new_kernel
from epitome_kit.run.notebooks import kit_notebooks, run_notebooks
from epitome_kit.run.parameters import TAG as PARAMETERS
from epitome_kit.run.parameters import declared_parameters
from epitome_kit.teach.check_result import MIME
from epitome_kit.workspace import Workspace, read_notebook

with needs("lab"):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from nbformat.v4 import new_code_cell, new_notebook


_PATIENCE = 10
"""How many times longer a cell of the kit may take than an answer: a busy machine is not the student's fault."""

_KEEP = "_kit = {name: value for name, value in globals().items() if not name.startswith(('_', 'my_'))}"
_PUT_BACK = "globals().update(_kit)"


def mark_folder(path, *, workspace, cohort="phantom", profile="quick", limit_s=300):
    """Mark what students handed in: one file, or every file below a folder.

    A notebook is known by its content, whatever it is called, in a zip as well; every
    other file is refused by name. Only the cells tagged ``exercise`` are taken from a
    student, by their id; every other cell is the kit's own. What the steps before
    would make is made once, in `workspace`; each notebook then runs in a copy that
    is thrown away.

    A notebook is a program: it can do on this machine whatever you can do, and
    change the kit in its memory before it is checked. Mark strangers' work in a
    container or under another account, and read the answers of whom you doubt.

    Parameters
    ----------
    path : path
        A notebook, a zip of some, or a folder.
    workspace : path
        Of a run with the same cohort and profile; made when it is not there.
    cohort : path or "phantom", default="phantom"
    profile : {"smoke", "quick", "full"}, default="quick"
        As the class used it: a number typed in by hand depends on it.
    limit_s : float, default=300
        Seconds that an answer may take, and its check; cells of the kit ten times as long.

    Returns
    -------
    DataFrame
        One row an exercise: file, notebook, exercise (from 1), points (0 or 1),
        state ("right", "not yet", "blank", "error"), said, note. A file that cannot be
        marked has one row without exercise, in state "refused", and so has a
        folder or a link that holds nothing. Files that a system keeps for itself
        have none: ``attrs["passed_over"]`` counts them.

    Raises
    ------
    SubmissionError
        A single file is not a notebook of the kit, or lacks exercises.
    ParameterError
        Nothing to mark.
    NotebookError
        The kit's own notebook does not run.
    """
    path, workspace = Path(path), Path(workspace).absolute()
    hand_ins, passed_over = read_submissions(path)
    if not hand_ins:
        state = "which holds no file" if path.is_dir() else "which is not there" if not path.exists() else "no file"
        raise ParameterError("grade", "a notebook, or a folder with some", f"{path}, {state}", "check the path")
    alone = path.is_file() and len(hand_ins) == 1
    taken, marks = {}, {}
    for hand_in in hand_ins:
        with _refusing(hand_in.file, marks, alone=alone):
            taken[hand_in.file] = take_answers(hand_in)
    names = {file: name for file, (name, _) in taken.items()}
    wanted = [name for name in kit_notebooks() if name in names.values()]
    if wanted:
        run_notebooks(wanted, out=workspace, cohort=cohort, profile=profile, latest=False)
    for file, (name, answers) in taken.items():
        with _refusing(file, marks, alone=alone):
            marks[file] = [{"notebook": name, **mark} for mark in _mark_in_copy(name, answers, workspace, limit_s)]
    copies = notes_on_copies(names)
    notes = {each.file: "; ".join(filter(None, (each.note, copies.get(each.file)))) or None for each in hand_ins}
    rows = [{"file": plain(file), **mark, "note": note} for file, note in notes.items() for mark in marks[file]]
    columns = ["file", "notebook", "exercise", "points", "state", "said", "note"]
    table = pd.DataFrame(rows, columns=columns).astype({"exercise": "Int64"})
    table.attrs["passed_over"] = passed_over
    return table


def take_answers(hand_in):
    """Take a student's answers out of a file.

    Parameters
    ----------
    hand_in : Submission

    Returns
    -------
    str
        Name of the kit's notebook that it is a copy of.
    dict of str to str
        Id of each exercise to the code of the answer.

    Raises
    ------
    SubmissionError
        It cannot be read, is none of the kit's, or cells of exercises are missing or there twice.
    """
    if hand_in.refused:
        raise hand_in.refused
    theirs = hand_in.cells
    asked = {name: _exercises(source) for name, source in kit_notebooks().items()}
    name = max(asked, key=lambda name: len(asked[name].keys() & theirs.keys()))
    numbers = {id: number for number, id in enumerate(asked[name], 1)}
    missing = [number for id, number in numbers.items() if id not in theirs]
    if len(missing) == len(numbers):
        raise SubmissionError(
            "grade",
            f"a copy of one of the kit's notebooks ({', '.join(asked)})",
            f"{hand_in.file}, which holds none of their exercises",
            "hand out copies with `epitome notebooks --student FOLDER`; they keep the ids of their cells",
        )
    twice = [number for id, number in numbers.items() if len(set(theirs.get(id, ()))) > 1]
    if missing or twice:
        received = f"without exercise {', '.join(map(str, missing))}" if missing else ""
        received += f"{' and ' if missing and twice else ''}"
        received += f"with two answers to exercise {', '.join(map(str, twice))}" if twice else ""
        raise SubmissionError(
            "grade",
            f"all {len(numbers)} cells of exercises of {name}, each once",
            f"{hand_in.file}, {received}",
            "put the answer into the cell that came with the notebook: a new cell has another id, a blank one is fine",
        )
    return name, {id: theirs[id][0].strip() or blank for id, blank in asked[name].items()}


def mark_answers(notebook, answers, parameters, *, cwd, limit_s=300):
    """Run a notebook of the kit with a student's answers, and read what its checks say.

    An answer that fails, takes too long or stops the kernel costs its own point
    only: names of the kit that it took are put back, and after the worst the
    notebook runs once more without it. What comes after the last check is left out.

    Parameters
    ----------
    notebook : NotebookNode
        With ``exercise``, ``solution`` and ``check`` in turn.
    answers : dict of str to str
        Id of each exercise to code.
    parameters : dict
        JSON values to inject.
    cwd : path
        Folder that the kernel works in.
    limit_s : float, default=300
        Seconds that an answer may take, and its check; cells of the kit ten times as long.

    Returns
    -------
    list of dict
        exercise, points, state, said.

    Raises
    ------
    NotebookError
        A cell of the kit itself takes too long or stops the kernel.
    """
    blank = {cell.id: cell.source for cell in tagged(notebook, "exercise")}
    stopped = {}
    while True:
        cells = list(_in_turn(notebook, parameters, answers | {id: blank[id] for id in stopped}))
        ready = new_notebook(cells=cells, metadata=notebook.metadata)
        reason = _run(ready, cwd, limit_s)
        if reason is None:
            return [_read_mark(*turn, stopped) for turn in enumerate(_turns(ready), 1)]
        blamed, why = reason
        if blamed is None or blamed in stopped:
            expected = "a notebook of the kit that runs to its last check, whatever the answers"
            raise NotebookError("grade", expected, f"one that {why}", "allow more time with `--limit`")
        stopped[blamed] = why


@contextmanager
def _refusing(shown, marks, *, alone):
    """Note why a file of a class cannot be marked, and go on with the others."""
    try:
        yield
    except (SubmissionError, NotebookError) as error:
        if alone:
            raise
        said = f"{error.received}; try: {error.hint}" if isinstance(error, SubmissionError) else error.reason
        marks[shown] = [{"points": 0, "state": "refused", "said": said}]


def _exercises(path):
    """Id of each exercise of a notebook to its blank cell."""
    return {cell.id: cell.source for cell in tagged(read_notebook(path), "exercise")}


def _mark_in_copy(name, answers, workspace, limit_s):
    """Mark in a copy of the workspace, beside it, so that the built-in cohort is found."""
    source = kit_notebooks()[name]
    known = read_json(Workspace(workspace).parameters)
    with TemporaryDirectory(prefix=".marking-", dir=workspace.parent, ignore_cleanup_errors=True) as copy:
        shutil.copytree(workspace, copy, ignore=shutil.ignore_patterns("notebooks"), dirs_exist_ok=True)
        declared = declared_parameters(source)
        parameters = {key: known.get(key, default) for key, default in declared.items()} | {"out": copy}
        return mark_answers(read_notebook(source), answers, parameters, cwd=copy, limit_s=limit_s)


def _in_turn(notebook, parameters, answers):
    """List the code down to the last check, each answer between cells that put back the names that it took."""
    last = notebook.cells.index(tagged(notebook, "check")[-1])
    for cell in notebook.cells[: last + 1]:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code" or "solution" in tags:
            continue
        if cell.id in answers:
            answer = new_code_cell(answers[cell.id], id=cell.id, metadata=cell.metadata)
            yield from (new_code_cell(_KEEP), answer, new_code_cell(_PUT_BACK))
        else:
            yield cell.copy()
        if PARAMETERS in tags:
            yield new_code_cell("\n".join(f"{name} = {value!r}" for name, value in parameters.items()))


def _run(notebook, cwd, limit_s):
    """Execute every cell, whatever fails; return the exercise to blame for a stop, and why, or None."""
    reached = []

    def limit(cell):
        return limit_s if {"exercise", "check"} & set(cell.metadata.get("tags", [])) else _PATIENCE * limit_s

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


def _turns(notebook):
    return zip(tagged(notebook, "exercise"), tagged(notebook, "check"), strict=True)


def _read_mark(number, turn, stopped):
    exercise, check = turn
    found = [output.data[MIME] for output in check.outputs if MIME in output.get("data", {})]
    state, said = (found[-1]["state"], found[-1]["message"]) if found else ("error", "")
    error = stopped.get(exercise.id) or _error(exercise) or _error(check)
    if error and state != "right":
        state, said = "error", error
    return {"exercise": number, "points": int(state == "right"), "state": state, "said": said}


def _error(cell):
    found = [output for output in cell.outputs if output.output_type == "error"]
    return f"{found[0].ename}: {' '.join(found[0].evalue.split())[:200]}" if found else ""
