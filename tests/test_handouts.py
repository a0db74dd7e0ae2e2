"""Notebooks for a class: students get no solution, whoever teaches gets all of them."""

import nbformat
import pytest

from epitome_kit.classroom import handouts as classroom
from epitome_kit.classroom.handouts import tagged, write_notebooks
from epitome_kit.errors import OutputError
from epitome_kit.run.notebooks import kit_notebooks, notebooks_folder


@pytest.mark.parametrize("solutions", [False, True])
def test_every_notebook_is_written_without_solution_cells(solutions, tmp_path):
    written = write_notebooks(tmp_path / "class", solutions=solutions)
    sources = [path.relative_to(notebooks_folder()) for path in kit_notebooks().values()]
    assert [path.relative_to(tmp_path / "class") for path in written] == sources
    for path, source in zip(written, kit_notebooks().values(), strict=True):
        nbformat.validate(ours := nbformat.read(path, nbformat.NO_CONVERT))
        kept = [cell for cell in nbformat.read(source, 4).cells if "solution" not in cell.metadata.get("tags", [])]
        assert [cell.id for cell in ours.cells] == [cell.id for cell in kept]
        changed = [cell.id for cell, was in zip(ours.cells, kept, strict=True) if cell.source != was.source]
        assert changed == ([cell.id for cell in tagged(ours, "exercise")] if solutions else [])
        assert not any(cell.get("outputs") for cell in ours.cells)


def test_a_solution_is_filled_in_without_its_condition(tmp_path):
    write_notebooks(tmp_path / "solved", solutions=True)
    notebook = nbformat.read(tmp_path / "solved" / "01_inspect_dataset.ipynb", 4)
    first, second, _ = (cell.source for cell in tagged(notebook, "exercise"))
    assert first == "my_baseline = max(labels.mean(), 1 - labels.mean())"
    assert second.splitlines()[0].startswith("depth = ") and second.splitlines()[1].startswith("my_share = ")


def test_what_stands_beside_the_notebooks_comes_along_and_no_answer_is_written_over(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    (folder / "labs" / ".hidden").mkdir(parents=True)
    for name in ("labs/map.txt", "labs/.hidden/secret.txt"):
        (folder / name).write_text("x")
    monkeypatch.setattr(classroom, "notebooks_folder", lambda: folder)
    monkeypatch.setattr(classroom, "kit_notebooks", dict)
    write_notebooks(tmp_path / "class")
    assert [path.name for path in (tmp_path / "class").rglob("*") if path.is_file()] == ["map.txt"]
    for taken in (tmp_path / "class", tmp_path / "class" / "labs" / "map.txt"):
        with pytest.raises(OutputError, match="new or empty"):
            write_notebooks(taken)
