"""Marking: the answers of a student in the kit's own notebook, whatever else the student did."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from epitome_kit.errors import BadNotebook, BadParameter, NotebookFailed
from epitome_kit.run import classroom, notebooks
from epitome_kit.run.marking import mark_answers, mark_folder, take_answers

SOLVED = {"one": "my_one = 1", "two": "my_two = made * 2"}
COUNT = "Path('trace').write_text(Path('trace').read_text() + 'x' if Path('trace').exists() else 'x')"


def _cell(id, source, *tags):
    return new_code_cell(source, id=id, metadata={"tags": list(tags)})


@pytest.fixture
def kit(tmp_path, monkeypatch):
    """A folder of notebooks with one of two exercises, in place of the kit's own."""
    cells = [
        new_markdown_cell("# Made up", id="title"),
        _cell("declared", "cohort = 'phantom'\nout = 'x'\nprofile = 'quick'\n", "parameters"),
        _cell(
            "start", "from pathlib import Path\nfrom epitome_kit.teach.checks import check_number\nmade = 1\n" + COUNT
        ),
        _cell("one", "my_one = None", "exercise"),
        _cell("one-s", "if my_one is None:\n    my_one = 1", "solution"),
        _cell("one-c", "check_number(my_one, 1, tolerance=0)", "check"),
        _cell("two", "my_two = None", "exercise"),
        _cell("two-s", "if my_two is None:\n    # twice\n    my_two = 2 * made", "solution"),
        _cell("two-c", "check_number(my_two, made * 2, tolerance=0)", "check"),
        _cell("end", "Path(out, 'end').write_text(profile)"),
    ]
    folder = tmp_path / "notebooks"
    (folder / "labs").mkdir(parents=True)
    nbformat.write(new_notebook(cells=cells), folder / "01_made.ipynb")
    (folder / "labs" / "map.txt").write_text("a file that a lab needs")
    for module in (notebooks, classroom):
        monkeypatch.setattr(module, "notebooks_folder", lambda: folder)
    return folder / "01_made.ipynb"


@pytest.fixture
def mark(kit, tmp_path):
    """Return a function that marks two answers: states, what was said."""

    def run(one="my_one = 1", two="my_two = made * 2", **options):
        marks = mark_answers(
            nbformat.read(kit, 4), {"one": one, "two": two}, {"out": str(tmp_path)}, cwd=tmp_path, **options
        )
        assert [each["points"] for each in marks] == [int(each["state"] == "right") for each in marks]
        assert (tmp_path / "end").is_file(), "the rest of the notebook ran"
        return [each["state"] for each in marks], [each["said"] for each in marks]

    return run


def test_right_wrong_and_blank(mark):
    states, said = mark("my_one = 2", "my_two = None")
    assert states == ["not yet", "blank"]
    assert "2 times too large" in said[0] and said[1].startswith("Nothing to check yet")


def test_a_broken_answer_costs_its_own_point_only(mark):
    states, said = mark("my_one = 1 / 0")
    assert states == ["error", "right"] and said[0] == "ZeroDivisionError: division by zero"
    states, said = mark(two="my_two = (")
    assert states == ["right", "error"] and said[1].startswith("SyntaxError")


def test_names_of_the_kit_are_put_back(mark):
    assert mark("made = 7\ncheck_number = print\nmy_one = 1") == mark()
    assert mark("helper = 1\nmy_one = helper", "my_two = helper * 2")[0] == ["right", "right"]


def test_an_answer_that_stops_the_kernel_or_never_ends_is_left_out(mark):
    states, said = mark("import os\nos._exit(1)")
    assert states == ["error", "right"] and said[0] == "stopped the kernel"
    states, said = mark(
        two="while True:\n    try:\n        input()\n    except BaseException:\n        pass", limit_s=5
    )
    assert states == ["right", "error"] and said[1] == "took longer than 5 s"


def test_a_kit_that_hangs_is_not_blamed_on_the_student(kit, tmp_path):
    notebook = nbformat.read(kit, 4)
    notebook.cells[2].source = "import os\nos._exit(1)"
    with pytest.raises(NotebookFailed, match="stopped the kernel"):
        mark_answers(notebook, SOLVED, {}, cwd=tmp_path)


def _edited(kit, path, change):
    notebook = nbformat.read(kit, 4)
    change({cell.id: cell for cell in notebook.cells}, notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def _cheat(cells, notebook):
    cells["one"].source = "my_one = 5"
    cells["one-c"].source = "print('✓ Right.')"
    cells["start"].source = "made = 5"
    cells["two"].source = "my_two = 10"


def _solve(cells, notebook):
    for id, source in SOLVED.items():
        cells[id].source = source


def test_a_class_is_marked_on_what_one_run_made(kit, tmp_path):
    returned, workspace = tmp_path / "returned", tmp_path / "runs" / "class"
    _edited(kit, returned / "ann" / "01_made.ipynb", _solve)
    _edited(kit, returned / "bob" / "mine.ipynb", _cheat)
    _edited(kit, returned / "eve.ipynb", lambda cells, notebook: notebook.cells.remove(cells["two"]))
    (returned / "notes.ipynb").write_text("[]")
    marks = mark_folder(returned, workspace=workspace, profile="smoke")
    told = marks.fillna({"exercise": 0})[["file", "exercise", "points", "state"]].values.tolist()
    assert told == [
        ["ann/01_made.ipynb", 1, 1, "right"],
        ["ann/01_made.ipynb", 2, 1, "right"],
        ["bob/mine.ipynb", 1, 0, "not yet"],
        ["bob/mine.ipynb", 2, 0, "not yet"],
        ["eve.ipynb", 0, 0, "refused"],
        ["notes.ipynb", 0, 0, "refused"],
    ]
    assert "without exercise 2" in marks.said[4] and "can be read" in marks.said[5]
    assert (workspace / "trace").read_text() == "x", "students work in copies"
    assert (workspace / "end").read_text() == "smoke"
    assert not list(workspace.parent.glob(".marking-*"))


def test_a_file_that_cannot_be_marked_is_said_so(kit, tmp_path):
    foreign = tmp_path / "foreign.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("1")]), foreign)
    with pytest.raises(BadNotebook, match="none of their exercises"):
        take_answers(foreign)
    for text in ("", "{}", "[]", "5"):
        foreign.write_text(text)
        with pytest.raises(NotebookFailed, match="can be read"):
            take_answers(foreign)
    (tmp_path / "empty").mkdir()
    for nothing in ("empty", "missing"):
        with pytest.raises(BadParameter, match="a folder with some"):
            mark_folder(tmp_path / nothing, workspace=tmp_path / "runs" / "class")


def test_an_emptied_cell_is_a_blank_answer(kit, tmp_path):
    path = _edited(kit, tmp_path / "mine.ipynb", lambda cells, notebook: cells["one"].update(source=" \n"))
    assert take_answers(path) == ("01_made", {"one": "my_one = None", "two": "my_two = None"})
