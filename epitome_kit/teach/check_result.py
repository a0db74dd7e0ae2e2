"""What a check says: right, not yet, or blank; in words and a picture, never as an exception."""

import base64
import html
import io
from dataclasses import dataclass
from functools import wraps

from matplotlib.figure import Figure

from epitome_kit.plotting.style import GREEN, GREY, ORANGE

MIME = "application/vnd.epitome-kit.check+json"
"""Under which a check stands in the output of a cell as data: its state and message."""

MARKS = {True: ("✓", "Right", GREEN), False: ("✗", "Not yet", ORANGE), None: ("○", "Blank", GREY)}
"""Mark, word and colour of a right, a wrong and a blank answer."""


@dataclass(frozen=True)
class Check:
    """What a check found.

    Attributes
    ----------
    passed : bool
        False for a blank answer too.
    message : str
        One or two sentences for the student.
    figure : Figure or None
        Where the answer is right and where it is off.
    blank : bool
        There was no answer to check.
    """

    passed: bool
    message: str
    figure: Figure | None = None
    blank: bool = False

    def __repr__(self):
        mark, word, _ = self._mark
        return f"{mark} {word}. {self.message}"

    @property
    def state(self):
        """``"right"``, ``"not yet"`` or ``"blank"``."""
        return self._mark[1].lower()

    def _repr_mimebundle_(self, **options):
        return {MIME: {"state": self.state, "message": self.message}}

    def _repr_html_(self):
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
    def _mark(self):
        return MARKS[None if self.blank else self.passed]


class WrongAnswer(Exception):
    """An answer that is wrong, or blank, with what to say of it."""

    def __init__(self, message, *, blank=False):
        super().__init__(message)
        self.blank = blank


def never_raises(check):
    """Decorate a check, so that a wrong or blank answer is said, not raised."""

    @wraps(check)
    def checked(*args, **kwargs):
        try:
            return check(*args, **kwargs)
        except WrongAnswer as off:
            return Check(False, str(off), blank=off.blank)

    return checked


def require_answer(*answers):
    """End a check kindly where an answer is still None."""
    if any(answer is None for answer in answers):
        raise WrongAnswer(
            "Nothing to check yet: write your answer into the cell of the exercise. The rest runs.", blank=True
        )
