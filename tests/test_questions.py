"""Quizzes: one for each notebook, one right answer a question, a reason beside every answer, no kernel needed."""

import json

import pytest
from tiny import ROOT

from epitome_kit.errors import ParameterError
from epitome_kit.run.notebooks import kit_notebooks
from epitome_kit.teach.questions import Quiz, quiz
from epitome_kit.workspace import read_notebook

FOLDER = ROOT / "epitome_kit" / "teach" / "quizzes"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.mark.parametrize("name", kit_notebooks())
def test_every_notebook_ends_with_its_own_quiz(name):
    asked = [cell for cell in read_notebook(kit_notebooks()[name]).cells if "teach.quiz(" in cell.source]
    assert [cell.source for cell in asked] == [f'teach.quiz("{name}")']


@pytest.mark.parametrize("name", NAMES)
def test_each_question_has_one_right_answer_and_a_reason_for_each(name):
    questions = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert 2 <= len(questions) <= 5
    for asked in questions:
        assert [each["right"] for each in asked["answers"]].count(True) == 1
        assert len({each["why"] for each in asked["answers"]}) == len(asked["answers"]) >= 2
        assert all(len(each["why"]) > 20 for each in asked["answers"])
    places = [[each["right"] for each in asked["answers"]].index(True) for asked in questions]
    assert len(set(places)) > 1, "the right answer stands at the same place each time"


def test_an_answer_opens_without_a_script_and_text_is_not_html():
    answers = [
        {"answer": "x < 3", "right": True, "why": "So it is."},
        {"answer": "x > 3", "right": False, "why": "Not <b>so</b>."},
    ]
    shown = Quiz([{"question": "How large?", "answers": answers}])._repr_html_()
    assert shown.count("<details") == 2 and "<script" not in shown
    assert "<summary>x &lt; 3</summary>" in shown and "Not &lt;b&gt;so" in shown
    assert shown.index("✓ Right") < shown.index("✗ Not quite")
    assert repr(Quiz([{"question": "How large?", "answers": answers}])) == "1. How large?\n   - x < 3\n   - x > 3"


def test_an_unknown_quiz_names_the_known_ones():
    with pytest.raises(ParameterError, match="01_inspect_dataset"):
        quiz("07")
