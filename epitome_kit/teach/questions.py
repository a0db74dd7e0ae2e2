"""Show a quiz at the end of a notebook, with the reason why each answer is right or wrong."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from epitome_kit.errors import ParameterError
from epitome_kit.files import Json
from epitome_kit.plotting.style import GREEN, ORANGE

_FOLDER = resources.files("epitome_kit") / "teach" / "quizzes"


@dataclass(frozen=True)
class Quiz:
    """Questions of a quiz, shown as plain HTML that works in exported pages, too.

    Attributes
    ----------
    questions : list of dict
        ``question`` (str) and ``answers``: a list of dicts with ``answer``,
        ``right`` (bool) and ``why`` (str), in the order shown.
    """

    questions: Sequence[Json]

    def __repr__(self) -> str:
        return "\n\n".join(
            "\n".join([f"{number}. {asked['question']}", *(f"   - {each['answer']}" for each in asked["answers"])])
            for number, asked in enumerate(self.questions, 1)
        )

    def _repr_html_(self) -> str:
        return "".join(
            f"<p style='margin:12px 0 4px'><b>{number}. {html.escape(asked['question'])}</b></p>"
            + "".join(map(_folded, asked["answers"]))
            for number, asked in enumerate(self.questions, 1)
        )


def quiz(name: str) -> Quiz:
    """Return two or three questions about a notebook, for self-assessment.

    A click on an answer shows whether it is right, and why. Nothing is counted
    or stored; no kernel and no network connection are needed.

    Parameters
    ----------
    name : str
        Name of the notebook, without suffix.

    Returns
    -------
    Quiz

    Raises
    ------
    ParameterError
        There is no quiz with this name.
    """
    file = _FOLDER / f"{name}.json"
    if not file.is_file():
        known = sorted(each.name.removesuffix(".json") for each in _FOLDER.iterdir())
        raise ParameterError("quiz", f"one of {', '.join(known)}", repr(name), "use the name of the notebook")
    return Quiz(json.loads(file.read_text(encoding="utf-8")))


def _folded(answer: Json) -> str:
    mark, word, colour = ("✓", "Right", GREEN) if answer["right"] else ("✗", "Not quite", ORANGE)
    return (
        f"<details style='margin:2px 0 2px 16px'><summary>{html.escape(answer['answer'])}</summary>"
        f"<div style='border-left:6px solid {colour};padding:4px 12px;margin:4px 0 8px'>"
        f"<b>{mark} {word}.</b> {html.escape(answer['why'])}</div></details>"
    )
