"""Collect the answers of one student as data, from a process of their own; judge those of a class in another."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import matplotlib

import epitome_kit
from epitome_kit.classroom.values import MOST_BYTES
from epitome_kit.classroom.variables import Exercise, digest_of
from epitome_kit.classroom.watched import Limits, run_watched
from epitome_kit.errors import NotebookError
from epitome_kit.files import Json, PathLike
from epitome_kit.run.execute import KERNEL_ENVIRONMENT
from epitome_kit.run.notebooks import notebooks_folder
from epitome_kit.system import is_link, system_folders

_PACKAGE = Path(epitome_kit.__file__).parent
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "KERAS_BACKEND", "SYSTEMROOT", "CUDA_VISIBLE_DEVICES")
_HOLDING_CHECKS = ("exercises.py", "__pycache__")
_JUDGE_STARTS_S = 120
"""Time to load the variables of an exercise, which counts with the first answer to it."""


class Place(NamedTuple):
    """Where answers are run.

    Attributes
    ----------
    cwd : Path
        Working directory, which answers can write to.
    private : Path
        Folder of the marking, which they can neither read nor write to.
    untouched : Path
        Copy of the working directory, which is put back after each run.
    readable : tuple of Path
        What they can read in addition to the packages: the cohort.
    hidden : tuple of Path
        What they cannot read even where that is below another: the submissions.
    """

    cwd: Path
    private: Path
    untouched: Path
    readable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()


def collect_answers(exercises: Sequence[Exercise], codes: dict[str, str], place: Place, limits: Limits) -> list[Json]:
    """Run the answers of one student, and keep what they leave as data.

    An answer that takes too long, uses too much or ends its process is left out, and
    the others run again without it.

    Parameters
    ----------
    exercises : sequence of Exercise
    codes : dict of str to str
        Id of each exercise to code.
    place : Place
    limits : Limits

    Returns
    -------
    list of dict
        For each exercise ``file`` and ``digest`` of the answer, or ``reason``.
    """
    stopped: dict[str, str] = {}
    kept = Path(place.private, f"student-{len(list(place.private.iterdir()))}")
    while True:
        running = [each for each in exercises if each.id not in stopped]
        shutil.rmtree(kept, ignore_errors=True)
        scratch = kept / "scratch"
        values = scratch / "values"
        values.mkdir(parents=True)
        reason = _run(running, codes, values, place, limits) if running else None
        _restore(place.cwd, place.untouched)
        if reason is None:
            break
        done = max(_done(values, len(running)) - 1, 0)
        stopped[running[done].id] = reason
    found = {each.id: _take(values / str(number), kept / str(number)) for number, each in enumerate(running)}
    shutil.rmtree(scratch, ignore_errors=True)
    return [{"reason": stopped[each.id]} if each.id in stopped else found[each.id] for each in exercises]


def judge_answers(
    exercises: Sequence[Exercise], students: Sequence[Sequence[Json]], place: Place, limits: Limits
) -> list[list[Json]]:
    """Judge the answers of a class in a process that runs the kit alone.

    Parameters
    ----------
    exercises : sequence of Exercise
    students : sequence of sequences of dict
        Answers of each student, from :func:`collect_answers`.
    place : Place
    limits : Limits
        For the check of one answer.

    Returns
    -------
    list of lists of dict
        exercise, points, state, said for each exercise of each student.

    Raises
    ------
    NotebookError
        The process does not start.
    """
    task, results, ready = (place.private / name for name in ("judge.json", "results", "ready"))
    asked = [
        {"exercise": exercise._asdict(), "answers": [student[number] for student in students]}
        for number, exercise in enumerate(exercises)
    ]
    task.write_text(json.dumps({"exercises": asked, "results": str(results), "ready": str(ready)}), encoding="utf-8")
    results.touch()
    total = len(exercises) * len(students)
    limits = limits._replace(step_s=limits.step_s + _JUDGE_STARTS_S)
    command = [sys.executable, "-m", "epitome_kit.classroom.judging", str(task)]
    environment = {**os.environ, **_own_environment()}
    while _lines(results) < total:
        ready.unlink(missing_ok=True)
        reason = run_watched(
            command, lambda: ready.exists() + _lines(results), total + 1, limits, cwd=place.cwd, env=environment
        )
        if reason and not ready.exists():
            raise NotebookError("grade", "a process that judges the answers", f"one that {reason}", "`epitome doctor`")
        if reason:
            with results.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"state": "error", "said": f"could not be judged: the check {reason}"}) + "\n")
    found = iter(map(json.loads, results.read_text(encoding="utf-8").splitlines()))
    marks = [[next(found) for _ in students] for _ in exercises]
    return [
        [
            {"exercise": number, "points": int(mark["state"] == "right"), **mark}
            for number, mark in enumerate((row[student] for row in marks), 1)
        ]
        for student in range(len(students))
    ]


def _run(
    exercises: Sequence[Exercise], codes: dict[str, str], values: Path, place: Place, limits: Limits
) -> str | None:
    scratch, task = values.parent, values.parent / "task.json"
    answers = [
        {"code": codes[each.id], "names": each.names, "state": each.state, "digest": each.digest} for each in exercises
    ]
    rights: dict[str, list[PathLike]] = {
        "read": [
            *(sys.prefix, sys.base_prefix, matplotlib.get_cachedir(), _PACKAGE),
            *(path for path in sys.path if {"site-packages", "dist-packages"} & set(Path(path).parts)),
            *system_folders(),
            *place.readable,
            *(each.state for each in exercises),
        ],
        "write": [place.cwd, scratch, os.devnull],
        "hidden": [notebooks_folder(), *(_PACKAGE / "teach" / name for name in _HOLDING_CHECKS), *place.hidden],
        "listed": [_PACKAGE.parent],
    }
    content = {
        "answers": answers,
        "values": str(values),
        "rights": {name: [str(Path(path).absolute()) for path in paths] for name, paths in rights.items()},
        "limits": {
            "memory_bytes": limits.memory_bytes,
            "file_bytes": MOST_BYTES,
            "processes": 16 * limits.processes,
        },
    }
    task.write_text(json.dumps(content), encoding="utf-8")
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    home = dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "IPYTHONDIR"), str(scratch))
    return run_watched(
        [sys.executable, "-m", "epitome_kit.classroom.answering", str(task)],
        lambda: _done(values, len(exercises)),
        len(exercises) + 1,
        limits,
        cwd=place.cwd,
        env={**passed_on, **home, **_own_environment(), "MPLCONFIGDIR": matplotlib.get_cachedir()},
        folders=(place.cwd, scratch),
    )


def _restore(folder: Path, untouched: Path) -> None:
    """Give a folder the content of another, whatever has become of it."""
    with TemporaryDirectory(dir=untouched.parent, ignore_cleanup_errors=True) as used:
        if os.path.lexists(folder):
            folder.rename(Path(used, folder.name))  # allowed whatever the rights of what is in it
    shutil.copytree(untouched, folder, symlinks=True)


def _own_environment() -> dict[str, str]:
    path = os.pathsep.join([str(_PACKAGE.parent), *filter(None, map(os.path.abspath, _python_path()))])
    return {**KERNEL_ENVIRONMENT, "MPLBACKEND": "agg", "PYTHONPATH": path}


def _python_path() -> list[str]:
    return [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]


def _done(values: Path, answers: int) -> int:
    """Count the files of a student's process: that it is ready, then one for each answer in turn."""
    names = ["ready", *map(str, range(answers))]
    return next((number for number, name in enumerate(names) if not os.path.lexists(values / name)), len(names))


def _take(written: Path, kept: Path) -> Json:
    """Take the file of an answer out of the reach of the process that wrote it."""
    if is_link(written) or not written.is_file() or written.stat().st_size > MOST_BYTES:
        return {"reason": "left something else than an answer"}
    written.replace(kept)
    return {"file": str(kept), "digest": digest_of(kept.read_bytes())}


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")
