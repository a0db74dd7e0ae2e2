"""Results of checks: right, not yet, or blank, with a message and a figure."""

import base64
import html
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec

from matplotlib.figure import Figure

from epitome_kit.plotting.style import GREEN, GREY, ORANGE

_P = ParamSpec("_P")

MARKS = {True: ("✓", "Right", GREEN), False: ("✗", "Not yet", ORANGE), None: ("○", "Blank", GREY)}
"""Mark, word and colour of a right, a wrong and a blank answer."""


@dataclass(frozen=True)
class Check:
    """Result of a check.

    Attributes
    ----------
    passed : bool
        Whether the answer is right; False for a blank answer, too.
    message : str
        One or two sentences for the student.
    figure : Figure or None
        Where the answer is right and where it is wrong.
    blank : bool
        Whether there was no answer to check.
    """

    passed: bool
    message: str
    figure: Figure | None = None
    blank: bool = False

    def __repr__(self) -> str:
        mark, word, _ = self._mark
        return f"{mark} {word}. {self.message}"

    @property
    def state(self) -> str:
        """``"right"``, ``"not yet"`` or ``"blank"``."""
        return self._mark[1].lower()

    def _repr_html_(self) -> str:
        mark, word, colour = self._mark
        picture = ""
        if self.figure is not None:
            stream = io.BytesIO()
            self.figure.savefig(stream, dpi=90, format="png")
            data = base64.b64encode(stream.getvalue()).decode()
            alt = html.escape(self.message, quote=True)
            picture = f"<br><img style='max-width:100%' alt=\"{alt}\" src='data:image/png;base64,{data}'>"
        return (
            f"<div style='border-left:6px solid {colour};padding:6px 12px;margin:4px 0'>"
            f"<b>{mark} {word}.</b> {html.escape(self.message)}{picture}</div>"
        )

    @property
    def _mark(self) -> tuple[str, str, str]:
        return MARKS[None if self.blank else self.passed]


class WrongAnswer(Exception):
    """A wrong or blank answer, with a message for the student."""

    def __init__(self, message: str, *, blank: bool = False) -> None:
        super().__init__(message)
        self.blank = blank


def never_raises(check: Callable[_P, Check]) -> Callable[_P, Check]:
    """Decorate a check so that a wrong or blank answer is returned, not raised."""

    @wraps(check)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> Check:
        try:
            return check(*args, **kwargs)
        except WrongAnswer as error:
            return Check(False, str(error), blank=error.blank)

    return checked


def require_answer(*answers: object) -> None:
    """Raise :class:`WrongAnswer` if an answer is still None."""
    if any(answer is None for answer in answers):
        raise WrongAnswer(
            "Nothing to check yet: write your answer into the cell of the exercise. The other cells run without it.",
            blank=True,
        )


def start_sentence(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
