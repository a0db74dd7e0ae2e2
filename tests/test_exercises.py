"""Every exercise of every notebook: left blank, solved, and solved wrongly as students do."""

import ast
import re
import shutil
from copy import deepcopy

import pytest
from wrong_answers import WRONG

from epitome_kit import teach
from epitome_kit.classroom.handouts import FillInSolutions, tagged
from epitome_kit.classroom.marking import USUAL, mark_answers
from epitome_kit.errors import ParameterError
from epitome_kit.files import read_json
from epitome_kit.run.notebooks import kit_notebooks
from epitome_kit.run.parameters import declared_parameters
from epitome_kit.teach.exercises import _EXERCISES, check_with
from epitome_kit.workspace import read_notebook

NOTEBOOKS = list(kit_notebooks())
every_notebook = pytest.mark.parametrize("name", NOTEBOOKS)


def asked_for(exercise):
    """Variable that an exercise asks for, as the table of mistakes names it."""
    (statement,) = ast.parse(exercise.source).body
    return ast.unparse(statement.targets[0]).strip("()")


def in_three_states(notebook, wrong):
    """A notebook in which every exercise stands three times, each with its check, and the answers."""
    filled = FillInSolutions().preprocess(deepcopy(notebook), {})[0]
    solved = {cell.id: cell.source for cell in tagged(filled, "exercise")}
    cells, answers = [], {}
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "exercise" in tags:
            exercise = cell
            sources = {"blank": cell.source, "wrong": wrong[asked_for(cell)][1], "solved": solved[cell.id]}
        elif "check" in tags:
            for state, source in sources.items():
                answers[f"{exercise.id}-{state}"] = source
                cells += [{**exercise, "id": f"{exercise.id}-{state}"}, {**cell, "id": f"{cell.id}-{state}"}]
        else:
            cells.append(cell)
    return type(notebook)({**notebook, "cells": [type(notebook)(cell) for cell in cells]}), answers


@every_notebook
def test_each_exercise_has_a_hint_an_expected_range_and_a_mistake(name):
    cells = read_notebook(kit_notebooks()[name]).cells
    exercises = [cell for cell in cells if "exercise" in cell.metadata.get("tags", [])]
    told = [cell.source for cell in cells if cell.cell_type == "markdown" and "**Exercise " in cell.source]
    assert len(exercises) == len(told) >= 3
    assert all("*Hint:*" in text and "*Expect:*" in text for text in told)
    assert list(map(asked_for, exercises)) == list(WRONG[name]), "each needs one mistake in wrong_answers.py"


@every_notebook
def test_a_check_is_one_call_and_holds_nothing_that_is_expected(name):
    notebook = read_notebook(kit_notebooks()[name])
    for exercise, cell in zip(tagged(notebook, "exercise"), tagged(notebook, "check"), strict=True):
        assert re.fullmatch(rf'teach\.check\("[a-z0-9-]+", {asked_for(exercise)}\)', cell.source)


def test_every_exercise_of_the_kit_stands_in_one_notebook():
    cells = [cell for path in kit_notebooks().values() for cell in tagged(read_notebook(path), "check")]
    named = [re.search('"(.+?)"', cell.source)[1] for cell in cells]
    assert sorted(named) == sorted(_EXERCISES)


def test_a_check_takes_what_the_notebook_has_computed():
    made = {"scores": {"balanced_accuracy": 0.7}}
    assert check_with(made, "04-balanced", 0.7).passed and not check_with(made, "04-balanced", 0.6).passed
    assert check_with({}, "04-balanced", None).blank
    with pytest.raises(ParameterError, match="run the cells above"):
        check_with({}, "04-balanced", 0.7)
    with pytest.raises(ParameterError, match="one of 01-baseline"):
        check_with(made, "04-balance", 0.7)
    shell = {"teach": teach, **made}
    exec("found = teach.check('04-balanced', 0.7)", shell)  # as a cell of a notebook
    assert shell["found"].passed


@pytest.fixture(scope="module")
def workspace(smoke_run, tmp_path_factory):
    """Copy of a finished run, with its cohort beside it, for notebooks to write in."""
    runs = shutil.copytree(smoke_run.parent, tmp_path_factory.mktemp("exercises") / "runs", symlinks=True)
    return runs / smoke_run.name


@every_notebook
def test_a_check_tells_blank_right_and_wrong_apart(name, workspace):
    source = kit_notebooks()[name]
    notebook, answers = in_three_states(read_notebook(source), WRONG[name])
    known = {**read_json(workspace / "parameters.json"), "out": str(workspace)}
    parameters = {key: known[key] for key in declared_parameters(source)}
    cohorts = [workspace.parent / "cohorts"]
    (found,) = mark_answers(notebook, [answers], parameters, cwd=workspace, limits=USUAL, readable=cohorts)
    marks = iter(found)
    for asked, (mistake, _, words) in WRONG[name].items():
        blank, wrong, solved = next(marks), next(marks), next(marks)
        assert (blank["state"], blank["points"]) == ("blank", 0), f"{asked}: {blank['said']}"
        assert (wrong["state"], wrong["points"]) == ("not yet", 0), f"{asked}, {mistake}: {wrong['said']}"
        assert words in wrong["said"], f"{asked}, {mistake}"
        assert (solved["state"], solved["points"]) == ("right", 1), f"{asked}: {solved['said']}"
