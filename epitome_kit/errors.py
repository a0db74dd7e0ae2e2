"""Errors that say what was expected, what came, and what to try; and warnings of what had to be assumed."""

import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass

_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
"""Characters that end a line, move the cursor or turn the direction of text."""

_EXPECTED, _RECEIVED = "expected ", "; received "


def plain(text):
    """Text on one line that can be printed and written anywhere, whatever a file is called.

    Parameters
    ----------
    text : object

    Returns
    -------
    str
        Control characters become a space; bytes that are no UTF-8 are spelled out.
    """
    return _UNSEEN.sub(" ", str(text)).encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True)
class Reason:
    """Why a subject or a file is left out; as text, one line of a table.

    Attributes
    ----------
    expected : str
        What is the same for all who are left out for it, one clause.
    received : str or None
        What was found in place of it; None for a reason in other words.
    """

    expected: str
    received: str | None = None

    def __str__(self):
        return self.kind if self.received is None else f"{self.kind}{_RECEIVED}{self.received}"

    @property
    def kind(self):
        """The reason without what one file held, to count it."""
        return self.expected if self.received is None else f"{_EXPECTED}{self.expected}"

    @classmethod
    def read(cls, text):
        """Read a reason from the text of a table."""
        kind, found, received = str(text).partition(_RECEIVED)
        return cls(kind.removeprefix(_EXPECTED), received) if found else cls(kind)


class EpitomeError(Exception):
    """Base of every error the kit raises on purpose.

    Parameters
    ----------
    where : str
        The step that noticed, such as ``"skull_strip"``.
    expected, received, hint : str
        One clause each, without the closing full stop. `received` names the
        value, its unit and the file it came from.
    """

    def __init__(self, where, expected, received, hint):
        expected, received, hint = (plain(clause).removesuffix(".") for clause in (expected, received, hint))
        super().__init__(f"{where}: expected {expected}.\nReceived: {received}.\nTry: {hint}.")
        self.where, self.expected, self.received, self.hint = where, expected, received, hint

    def __reduce__(self):
        """Keep the four parts when the error crosses from a worker process."""
        return type(self), (self.where, self.expected, self.received, self.hint)

    @property
    def reason(self):
        """The error on one line, for tables of excluded subjects."""
        return str(Reason(self.expected, self.received))


class EpitomeWarning(UserWarning):
    """What a person has to know of a result, such as what was assumed of an input, in a sentence that names it."""

    def __init__(self, text):
        super().__init__(plain(text))


@contextmanager
def noticed():
    """Collect what loading has to assume, in place of showing warnings.

    Yields
    ------
    list of str
        Sentences that name the file; filled while the context is open.
    """
    found = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", EpitomeWarning)
        try:
            yield found
        finally:
            found += dict.fromkeys(str(each.message) for each in caught if issubclass(each.category, EpitomeWarning))
    for each in caught:
        if not issubclass(each.category, EpitomeWarning):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


class ImageError(EpitomeError):
    """A scan or mask cannot be used as it is."""


class UnknownVoxelSizeError(ImageError):
    """The origin lost the voxel size, so nothing in millimetres can be said."""


class CohortError(EpitomeError):
    """A cohort folder, its table of participants or its labels cannot be used."""


class LeakageError(CohortError):
    """What is held out for testing would be learned from."""


class TableError(EpitomeError):
    """A table of features cannot be used as it is."""


class ParameterError(EpitomeError):
    """A parameter has a value, a type or a name that is not understood."""


class OutputError(EpitomeError):
    """Results cannot be written where they were asked for."""


class ToolError(EpitomeError):
    """A program that the kit was asked to call is not there, or fails."""


class MissingExtraError(ToolError):
    """A package is not installed that comes with an extra of the kit, such as ``epitome-kit[train]``."""


class NotebookError(EpitomeError):
    """A notebook did not run to its end without an error."""


class SubmissionError(EpitomeError):
    """A student's notebook cannot be marked as it is."""
