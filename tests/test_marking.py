"""Marking: the answers of a student in the kit's own notebook, whatever else the student did."""

import json
import zipfile

import nbformat
import psutil
import pytest
from made_class import made_up
from nbformat.v4 import new_code_cell, new_notebook

from epitome_kit.classroom import handouts as classroom
from epitome_kit.classroom.marking import mark_answers, mark_folder, take_answers
from epitome_kit.classroom.submissions import read_submissions
from epitome_kit.classroom.watched import Limits
from epitome_kit.errors import NotebookError, ParameterError, SubmissionError
from epitome_kit.run import notebooks

IMPORTS = "from pathlib import Path\nfrom epitome_kit.teach.checks import check_number\nmade = 1"
LONG = """
total, squares = 0, []
for number in range(1, 10):
    if number % 2 == 0:
        squares.append(number ** 2 - 4 * number + 1)
        total = total + squares[-1] / (number + 1)
my_one = 2 * made + 0 * total
"""


def _mark(notebook, answers, folder, **limits):
    """Marks of one student."""
    (marks,) = mark_answers(
        notebook, [answers], {"out": str(folder)}, cwd=folder, limits=Limits(**{"step_s": 60, **limits})
    )
    return marks


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture
def kit(tmp_path, monkeypatch):
    """A folder with one notebook of two exercises, in place of the kit's own."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(made_up(["one", "two"]), folder / "01_made.ipynb")
    for module in (notebooks, classroom):
        monkeypatch.setattr(module, "notebooks_folder", lambda: folder)
    return folder / "01_made.ipynb"


@pytest.mark.slow
def test_each_answer_gets_its_own_point_whatever_the_others_do(folder):
    answers = {
        "right": ("helper = made\nmy_right = 2 * helper", "right", "The value is 2, within 0 of the truth."),
        "wrong": ("my_wrong = 1", "not yet", "2 times too small"),
        "blank": ("my_blank = None", "blank", "Nothing to check yet"),
        "broken": ("my_broken = 1 / 0", "error", "ZeroDivisionError: division by zero"),
        "misnamed": ("my_mistaken = 2", "error", "NameError"),
        "typo": ("my_typo = (", "error", "SyntaxError"),
        "thief": ("made = 7\ncheck_number = print\nmy_thief = 14", "not yet", "7 times too large"),
        "leaver": ("import sys\nsys.exit()", "error", "SystemExit"),
        "helped": ("my_helped = 2 * helper", "right", ""),
    }
    sources = {name: source for name, (source, _, _) in answers.items()}
    marks = _mark(made_up(answers, IMPORTS), sources, folder)
    assert [mark["exercise"] for mark in marks] == list(range(1, 10))
    for mark, (_, state, words) in zip(marks, answers.values(), strict=True):
        assert (mark["state"], mark["points"]) == (state, int(state == "right")) and words in mark["said"]
    assert (folder / "trace").read_text() == "x", "once is enough"
    assert not (folder / "late").exists(), "nothing below the last check gives points"


@pytest.mark.slow
def test_an_answer_that_goes_beyond_a_limit_is_left_out_and_nothing_of_it_stays(folder):
    answers = {
        "dead": "import os\nos._exit(1)",
        "right": "my_right = 2",
        "endless": "while True:\n    try:\n        1 / 0\n    except BaseException:\n        pass",
        "memory": "my_memory = len(bytearray(8 << 30))",
        "output": "print('x' * 400_000_000)\nmy_output = 2",
        "crowd": "import subprocess, time\n"
        "for _ in range(60):\n    subprocess.Popen(['sleep', '4321.5'], start_new_session=True)\ntime.sleep(60)",
        "closed": "import os\nos.mkdir('a')\nopen('a/b', 'w').close()\nos.chmod('a', 0)\nmy_closed = 2",
        "disk": "import time\nfor number in range(40):\n    with open(str(number), 'wb') as stream:\n"
        "        stream.truncate(20 << 20)\ntime.sleep(60)",
    }
    limits = {"step_s": 20, "processes": 30, "disk_bytes": 500 << 20, "memory_bytes": 3 << 30}
    marks = _mark(made_up(answers, IMPORTS), answers, folder, **limits)
    states = {name: (mark["state"], mark["said"]) for name, mark in zip(answers, marks, strict=True)}
    assert states["right"][0] == states["output"][0] == states["closed"][0] == "right"
    assert states["dead"] == ("error", "ended its process") and states["endless"] == ("error", "took longer than 20 s")
    assert states["memory"][1].startswith("MemoryError") or "of memory" in states["memory"][1]
    assert "more than 30 processes" in states["crowd"][1] and "wrote more than" in states["disk"][1]
    assert not [each for each in psutil.process_iter(["cmdline"]) if "4321.5" in (each.info["cmdline"] or ())]
    assert [path.name for path in folder.iterdir()] == ["trace"], "each student gets the folder as the kit left it"


@pytest.mark.slow
def test_a_kit_that_stops_is_not_blamed_on_the_student(folder):
    notebook = made_up(["one"])
    notebook.cells[2].source = "import os\nos._exit(1)"
    with pytest.raises(NotebookError, match="stopped the kernel"):
        _mark(notebook, {"one": "my_one = 2"}, folder)


def _returned(kit, path, change):
    """Write a student's notebook: the kit's, with a few cells changed."""
    notebook = nbformat.read(kit, 4)
    change({cell.id: cell for cell in notebook.cells}, notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook))
    return path


def _cheat(cells, _):
    cells["start"].source = "made = 5"
    cells["one"].source = "my_one = 10"
    cells["one-c"].source = "print('✓ Right.')"
    cells["two"].source = "made = 1\nmy_two = 2 * made"


@pytest.mark.slow
def test_a_class_is_marked_on_what_one_run_made(kit, tmp_path):
    returned, workspace = tmp_path / "returned", tmp_path / "runs" / "class"
    _returned(kit, returned / "ann" / "01_made.ipynb", _cheat)
    _returned(kit, returned / "bob.ipynb", lambda cells, notebook: notebook.cells.remove(cells["two"]))
    (returned / "notes.ipynb").write_text("[]")
    (returned / "report.pdf").write_bytes(b"%PDF-1.7")
    with zipfile.ZipFile(returned / "eve.zip", "w") as archive:
        archive.write(_returned(kit, tmp_path / "eve", _cheat), "homework/01_made.IPYNB.txt")
    (returned / ".ipynb_checkpoints").mkdir()
    (returned / ".ipynb_checkpoints" / "bob.ipynb").write_text("[]")
    marks = mark_folder(returned, workspace=workspace, profile="smoke")
    assert marks.fillna({"exercise": 0})[["file", "exercise", "points", "state"]].values.tolist() == [
        ["ann/01_made.ipynb", 1, 0, "not yet"],
        ["ann/01_made.ipynb", 2, 1, "right"],
        ["bob.ipynb", 0, 0, "refused"],
        ["eve.zip/homework/01_made.IPYNB.txt", 1, 0, "not yet"],
        ["eve.zip/homework/01_made.IPYNB.txt", 2, 1, "right"],
        ["notes.ipynb", 0, 0, "refused"],
        ["report.pdf", 0, 0, "refused"],
    ]
    assert "without exercise 2" in marks.said[2] and "read as a notebook" in marks.said[5]
    assert "a .pdf file (report.pdf); try: ask for the .ipynb" in marks.said[6]
    assert marks.note.isna().all() and marks.alike.isna().all() and marks.attrs["passed_over"] == 1
    assert (workspace / "trace").read_text() == "x", "students work in copies"
    assert (workspace / "late").read_text() == "smoke"
    assert not list(workspace.parent.glob(".marking-*"))


@pytest.mark.slow
def test_copies_of_one_notebook_are_marked_and_said_so(kit, tmp_path):
    first, again = (tmp_path / "returned" / name for name in ("01_made.ipynb", "01_made (1).ipynb"))
    _returned(kit, first, _cheat)
    _returned(kit, again, lambda cells, _: cells["one"].update(source=LONG))
    renamed = LONG.replace("total", "x")
    _returned(kit, tmp_path / "returned" / "eve", lambda cells, _: cells["one"].update(source=renamed))
    marks = mark_folder(tmp_path / "returned", workspace=tmp_path / "runs" / "class", profile="smoke")
    assert marks.set_index("file").note.dropna().to_dict() == {
        "01_made.ipynb": "a copy, by its name, of 01_made (1).ipynb",
        "01_made (1).ipynb": "a copy, by its name, of 01_made.ipynb",
    }
    assert marks.groupby("file").points.sum().to_dict() == {"01_made (1).ipynb": 1, "01_made.ipynb": 1, "eve": 1}
    assert marks[marks.exercise == 1].set_index("file").alike.dropna().to_dict() == {
        "01_made (1).ipynb": "eve",
        "eve": "01_made (1).ipynb",
    }


def _answers(path):
    ((hand_in,), _) = read_submissions(path)
    return take_answers(hand_in)


def test_a_file_that_cannot_be_marked_is_said_so(kit, tmp_path):
    foreign = tmp_path / "foreign.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("1")]), foreign)
    with pytest.raises(SubmissionError, match="without any of their exercises"):
        mark_folder(foreign, workspace=tmp_path / "runs" / "class")
    for text in ("", "{}", "[]", "5"):
        foreign.write_text(text)
        with pytest.raises(SubmissionError, match="an empty file|read as a notebook"):
            mark_folder(foreign, workspace=tmp_path / "runs" / "class")
    (tmp_path / "empty").mkdir()
    for nothing in ("empty", "missing"):
        with pytest.raises(ParameterError, match="a folder of notebooks"):
            mark_folder(tmp_path / nothing, workspace=tmp_path / "runs" / "class")


def test_two_answers_to_one_exercise_are_not_chosen_from(kit, tmp_path):
    def twice(cells, notebook):
        notebook.cells.append({**cells["one"], "source": "my_one = 7"})

    with pytest.raises(SubmissionError, match="two answers to exercise 1"):
        _answers(_returned(kit, tmp_path / "mine.ipynb", twice))
    same = _returned(kit, tmp_path / "same.ipynb", lambda cells, notebook: notebook.cells.append(cells["two"]))
    assert _answers(same)[0] == "01_made"


def test_an_emptied_cell_is_a_blank_answer(kit, tmp_path):
    path = _returned(kit, tmp_path / "mine.ipynb", lambda cells, notebook: cells["one"].update(source=" \n"))
    assert _answers(path) == ("01_made", {"one": "my_one = None", "two": "my_two = None"})
