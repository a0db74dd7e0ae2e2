"""Mark submitted notebooks: answers run in a process of the student, their values are judged in another."""

import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from epitome_kit.classroom.answers import Place, collect_answers, judge_answers
from epitome_kit.classroom.handouts import FillInSolutions, tagged
from epitome_kit.classroom.kit_run import keep_states
from epitome_kit.classroom.likeness import alike
from epitome_kit.classroom.submissions import Submission, notes_on_copies, read_submissions
from epitome_kit.classroom.watched import Limits
from epitome_kit.confinement import landlock_version
from epitome_kit.errors import EpitomeError, EpitomeWarning, ParameterError, SubmissionError, plain
from epitome_kit.extras import needs
from epitome_kit.files import Json, PathLike, read_json
from epitome_kit.folders import walk_files
from epitome_kit.lock import locks
from epitome_kit.run.notebooks import kit_notebooks, run_notebooks
from epitome_kit.run.parameters import declared_parameters
from epitome_kit.system import is_link
from epitome_kit.temporary import temporary_folder
from epitome_kit.workspace import Workspace, read_notebook

with needs("lab"):
    from nbformat import NotebookNode

USUAL = Limits(step_s=300)
"""Limits of an answer, if none are given."""

_SOLUTION = "the kit's solution"


@locks("notebooks --grade", "workspace")
def mark_folder(
    path: PathLike,
    *,
    workspace: PathLike,
    cohort: PathLike = "phantom",
    profile: str = "quick",
    limits: Limits = USUAL,
) -> pd.DataFrame:
    """Mark submissions: one file, or every file below a folder.

    Notebooks are recognised by content, also inside zips; other files are refused
    with a reason. Only cells tagged ``exercise`` are taken from a submission, by
    id; all other cells are those of the kit. Results of earlier steps are computed
    once in `workspace`; answers run in temporary copies of it.

    Points depend on nothing but the values of the answers; see :func:`mark_answers`.
    A notebook is a program that runs on your machine all the same: on Linux, answers
    cannot read the submissions, the solutions or your other files, change anything
    outside their copy, connect to a network by TCP or send signals to other
    processes (:mod:`epitome_kit.confinement`); on other systems they can. Mark notebooks
    of people you do not know in a container.

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
    limits : Limits, default=USUAL
        Of one answer, and of its check: 300 s, 4 GB of memory, 2 GB on disk and 64
        processes. A cell of the kit gets ten times as long.

    Returns
    -------
    DataFrame
        One row per exercise: file, notebook, exercise (from 1), points (0 or 1),
        state ("right", "not yet", "blank", "error"), said, alike, note. `alike` names
        the files in which the code of this answer is nearly the same. A file that cannot be
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
        with _refusing(submission.file, marks=marks, alone=alone):
            taken[submission.file] = take_answers(submission)
    names = {file: name for file, (name, _) in taken.items()}
    submitted = [name for name in kit_notebooks() if name in names.values()]
    if submitted:
        if not landlock_version():
            text = "answers can read and change your files on this system: mark in a container (`--container`)"
            warnings.warn(EpitomeWarning(text), stacklevel=2)
        run_notebooks(submitted, out=workspace, cohort=cohort, profile=profile, latest=False)
    likeness: dict[tuple[str, int], str] = {}
    for name in submitted:
        files = [file for file in taken if names[file] == name]
        with _refusing(*files, marks=marks, alone=alone):
            answers = [taken[file][1] for file in files]
            likeness |= alike({_SOLUTION: _solutions(name)} | dict(zip(files, answers, strict=True)))
            marked = _mark_in_copy(name, answers, workspace, limits, path.absolute())
            marks |= {
                file: [{"notebook": name, **mark} for mark in rows] for file, rows in zip(files, marked, strict=True)
            }
    copies = notes_on_copies(names)
    lines = []
    for each in submissions:
        note = "; ".join(filter(None, (each.note, copies.get(each.file)))) or None
        for mark in marks[each.file]:
            same = likeness.get((each.file, mark.get("exercise", 0)))
            line = {"file": each.file, **mark, "alike": same, "note": note}
            lines.append({name: plain(value) if isinstance(value, str) else value for name, value in line.items()})
    columns = ["file", "notebook", "exercise", "points", "state", "said", "alike", "note"]
    table = pd.DataFrame(lines, columns=columns).astype({"exercise": "Int64"})
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
    notebook: NotebookNode,
    answers: Sequence[dict[str, str]],
    parameters: Json,
    *,
    cwd: PathLike,
    limits: Limits,
    readable: Sequence[Path] = (),
    hidden: Sequence[Path] = (),
) -> list[list[Json]]:
    """Mark the answers of several students to one notebook of the kit.

    The cells of the kit are run once, without any answer. Each answer then starts
    from the variables that they left, in a process of the student; its value leaves
    that process as data and is judged in another, which ran the kit alone. An answer
    that fails, takes too long or ends its process loses only its own point.

    Parameters
    ----------
    notebook : NotebookNode
        With cells tagged ``exercise``, ``solution`` and ``check`` in turn.
    answers : sequence of dict of str to str
        For each student, id of each exercise to code.
    parameters : dict
        JSON values to inject.
    cwd : path
        Working directory, such as a copy of a workspace; restored for each student.
    limits : Limits
        Of one answer, and of its check.
    readable, hidden : sequence of Path, default=()
        As of :class:`epitome_kit.classroom.answers.Place`.

    Returns
    -------
    list of lists of dict
        exercise, points, state, said for each exercise of each student.

    Raises
    ------
    NotebookError
        A cell of the kit fails, takes too long or stops the kernel.
    """
    cwd = Path(cwd).absolute()
    with temporary_folder(cwd.parent) as private:
        exercises = keep_states(notebook, parameters, private, cwd=cwd, limit_s=limits.step_s)
        untouched = shutil.copytree(cwd, private / "untouched", symlinks=True)
        place = Place(cwd, private, untouched, tuple(readable), tuple(hidden))
        students = []
        for codes in answers:
            try:
                students.append(collect_answers(exercises, codes, place, limits))
            except Exception as error:  # whatever one student has left: the others are marked
                students.append([{"reason": f"could not be run: {type(error).__name__}"}] * len(exercises))
        return judge_answers(exercises, students, place, limits)


@contextmanager
def _refusing(*files: str, marks: dict[str, list[Json]], alone: bool) -> Iterator[None]:
    """Record why files cannot be marked, and continue with the others."""
    try:
        yield
    except Exception as error:  # of whatever kind: the others are marked
        if alone:
            raise
        message = f"{error.received}; try: {error.hint}" if isinstance(error, SubmissionError) else _reason(error)
        marks |= {file: [{"points": 0, "state": "refused", "said": message}] for file in files}


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, EpitomeError) else f"{type(error).__name__}: {error}"


def _exercises(path: Path) -> dict[str, str]:
    """Return the id of each exercise of a notebook with its blank code."""
    return {cell.id: cell.source for cell in tagged(read_notebook(path), "exercise")}


def _solutions(name: str) -> dict[str, str]:
    filled = FillInSolutions().preprocess(read_notebook(kit_notebooks()[name]), {})[0]
    return {cell.id: cell.source for cell in tagged(filled, "exercise")}


def _mark_in_copy(
    name: str, answers: Sequence[dict[str, str]], workspace: Path, limits: Limits, submissions: Path
) -> list[list[Json]]:
    """Mark in a copy of the workspace in the same folder, where the built-in cohort is found."""
    source = kit_notebooks()[name]
    known = read_json(Workspace(workspace).parameters)
    with temporary_folder(workspace.parent) as copy:
        shutil.copytree(workspace, copy, ignore=shutil.ignore_patterns("notebooks"), dirs_exist_ok=True)
        declared = declared_parameters(source)
        parameters = {key: known.get(key, default) for key, default in declared.items()} | {"out": str(copy)}
        return mark_answers(
            read_notebook(source),
            answers,
            parameters,
            cwd=copy,
            limits=limits,
            readable=_cohort_folders(workspace, str(parameters.get("cohort", "phantom"))),
            hidden=[submissions, workspace],
        )


def _cohort_folders(workspace: Path, cohort: str) -> list[Path]:
    """Return the folder of the cohort, and those outside to which links in it lead, as git-annex makes them."""
    folder = workspace.parent / "cohorts" if cohort == "phantom" else Path(cohort)
    inside = folder.resolve()
    targets = {path.resolve().parent for path in walk_files(folder) if is_link(path)}
    return [folder, *(target for target in targets if not target.is_relative_to(inside))]
