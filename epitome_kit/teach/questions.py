"""A quiz at the end of a notebook: open an answer, and read why it is right or wrong."""

import html
import json
from dataclasses import dataclass
from importlib import resources

from epitome_kit.errors import ParameterError
from epitome_kit.plotting.style import GREEN, ORANGE

_FOLDER = resources.files("epitome_kit") / "teach" / "quizzes"


@dataclass(frozen=True)
class Quiz:
    """Questions that show themselves; plain HTML, so that they answer in an exported page as well.

    Attributes
    ----------
    questions : list of dict
        ``question`` (str) and ``answers``: a list of dicts with ``answer``,
        ``right`` (bool) and ``why`` (str), in the order shown.
    """

    questions: list

    def __repr__(self):
        return "\n\n".join(
            "\n".join([f"{number}. {asked['question']}", *(f"   - {each['answer']}" for each in asked["answers"])])
            for number, asked in enumerate(self.questions, 1)
        )

    def _repr_html_(self):
        return "".join(
            f"<p style='margin:12px 0 4px'><b>{number}. {html.escape(asked['question'])}</b></p>"
            + "".join(map(_folded, asked["answers"]))
            for number, asked in enumerate(self.questions, 1)
        )


def quiz(name):
    """Ask two or three questions about a notebook, to be answered by oneself.

    An answer opens with a click and says at once whether it is right, and why.
    Nothing is counted or kept, no kernel and no network are needed.

    Parameters
    ----------
    name : str
        Of the notebook, without ending.

    Returns
    -------
    Quiz

    Raises
    ------
    ParameterError
        There is no quiz of that name.
    """
    file = _FOLDER / f"{name}.json"
    if not file.is_file():
        known = sorted(each.name.removesuffix(".json") for each in _FOLDER.iterdir())
        raise ParameterError("quiz", f"one of {', '.join(known)}", repr(name), "use the name of the notebook")
    return Quiz(json.loads(file.read_text(encoding="utf-8")))


def _folded(answer):
    mark, word, colour = ("✓", "Right", GREEN) if answer["right"] else ("✗", "Not quite", ORANGE)
    return (
        f"<details style='margin:2px 0 2px 16px'><summary>{html.escape(answer['answer'])}</summary>"
        f"<div style='border-left:6px solid {colour};padding:4px 12px;margin:4px 0 8px'>"
        f"<b>{mark} {word}.</b> {html.escape(answer['why'])}</div></details>"
    )
