"""Marking: the answers of a student in the kit's own notebook, whatever else the student did."""

import json
import zipfile

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from epitome_kit.classroom import handouts as classroom
from epitome_kit.classroom.marking import mark_answers, mark_folder, take_answers
from epitome_kit.classroom.submissions import read_submissions
from epitome_kit.errors import NotebookError, ParameterError, SubmissionError
from epitome_kit.run import notebooks

IMPORTS = "from pathlib import Path\nfrom epitome_kit.teach.checks import check_number\nmade = 1"
STAND_IN = """from pathlib import Path
made = 1
from epitome_kit.teach.check_result import Check
def check_number(value, truth, tolerance):
    return Check(value == truth, "Yes." if value == truth else "No.")
"""
COUNT = "with open('trace', 'a') as stream:\n    stream.write('x')"


def _cell(id, source, *tags):
    return new_code_cell(source, id=id, metadata={"tags": list(tags)})


def _made_up(exercises, start=STAND_IN):
    """A notebook whose exercises all ask for twice what the kit made."""
    cells = [
        new_markdown_cell("# Made up", id="title"),
        _cell("declared", "cohort = 'phantom'\nout = 'x'\nprofile = 'quick'\n", "parameters"),
        _cell("start", f"{start}\n{COUNT}"),
    ]
    for name in exercises:
        cells += [
            _cell(name, f"my_{name} = None", "exercise"),
            _cell(f"{name}-s", f"if my_{name} is None:\n    # twice\n    my_{name} = 2 * made", "solution"),
            _cell(f"{name}-c", f"check_number(my_{name}, 2 * made, tolerance=0)", "check"),
        ]
    return new_notebook(cells=[*cells, _cell("late", "Path(out, 'late').write_text(profile)")])


@pytest.fixture
def kit(tmp_path, monkeypatch):
    """A folder with one notebook of two exercises, in place of the kit's own."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(_made_up(["one", "two"]), folder / "01_made.ipynb")
    for module in (notebooks, classroom):
        monkeypatch.setattr(module, "notebooks_folder", lambda: folder)
    return folder / "01_made.ipynb"


@pytest.mark.slow
def test_each_answer_gets_its_own_point_whatever_the_others_do(tmp_path):
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
    marks = mark_answers(_made_up(answers, IMPORTS), sources, {"out": str(tmp_path)}, cwd=tmp_path)
    assert [mark["exercise"] for mark in marks] == list(range(1, 10))
    for mark, (_, state, words) in zip(marks, answers.values(), strict=True):
        assert (mark["state"], mark["points"]) == (state, int(state == "right")) and words in mark["said"]
    assert (tmp_path / "trace").read_text() == "x", "once is enough"
    assert not (tmp_path / "late").exists(), "nothing below the last check gives points"


@pytest.mark.slow
def test_an_answer_that_stops_the_kernel_or_never_ends_is_left_out(tmp_path):
    answers = {
        "dead": "import os\nos._exit(1)",
        "right": "my_right = 2",
        "endless": "while True:\n    try:\n        1 / 0\n    except BaseException:\n        pass",
    }
    marks = mark_answers(_made_up(answers), answers, {}, cwd=tmp_path, limit_s=6)
    assert [mark["state"] for mark in marks] == ["error", "right", "error"]
    assert [marks[0]["said"], marks[2]["said"]] == ["stopped the kernel", "took longer than 6 s"]


@pytest.mark.slow
def test_a_kit_that_stops_is_not_blamed_on_the_student(tmp_path):
    notebook = _made_up(["one"])
    notebook.cells[2].source = "import os\nos._exit(1)"
    with pytest.raises(NotebookError, match="stopped the kernel"):
        mark_answers(notebook, {"one": "my_one = 2"}, {}, cwd=tmp_path)


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
    cells["two"].source = "my_two = 2 * made"


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
    assert marks.note.isna().all() and marks.attrs["passed_over"] == 1
    assert (workspace / "trace").read_text() == "x", "students work in copies"
    assert (workspace / "late").read_text() == "smoke"
    assert not list(workspace.parent.glob(".marking-*"))


@pytest.mark.slow
def test_copies_of_one_notebook_are_marked_and_said_so(kit, tmp_path):
    first, again = (tmp_path / "returned" / name for name in ("01_made.ipynb", "01_made (1).ipynb"))
    _returned(kit, first, _cheat)
    _returned(kit, again, lambda cells, _: cells["one"].update(source="my_one = 2"))
    marks = mark_folder(tmp_path / "returned", workspace=tmp_path / "runs" / "class", profile="smoke")
    assert dict(zip(marks.file, marks.note, strict=True)) == {
        "01_made.ipynb": "a copy, by its name, of 01_made (1).ipynb",
        "01_made (1).ipynb": "a copy, by its name, of 01_made.ipynb",
    }
    assert marks.groupby("file").points.sum().tolist() == [1, 1]


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
