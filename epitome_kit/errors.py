"""Errors in three lines (expected, received, try), and warnings about assumptions."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff]+")
"""Characters that end a line, move the cursor, change the direction of text or hide in it."""

_EXPECTED, _RECEIVED = "expected ", "; received "


def plain(text: object) -> str:
    """Make text printable on one line, such as the name of a file.

    Parameters
    ----------
    text : object
        Converted by ``str``.

    Returns
    -------
    str
        Control characters are replaced by a space, non-UTF-8 bytes are escaped.
    """
    return CONTROL.sub(" ", str(text)).encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True)
class Reason:
    """Reason why a subject or a file is excluded; as text, one line of a table.

    Attributes
    ----------
    expected : str
        What was expected, one clause; the same for all that are excluded for this reason.
    received : str or None
        What was found instead; None if the reason is `expected` alone.
    """

    expected: str
    received: str | None = None

    def __str__(self) -> str:
        return self.kind if self.received is None else f"{self.kind}{_RECEIVED}{self.received}"

    @property
    def kind(self) -> str:
        """The reason without what was received, by which reasons are counted."""
        return self.expected if self.received is None else f"{_EXPECTED}{self.expected}"

    @classmethod
    def read(cls, text: object) -> "Reason":
        """Read a reason from the text of a table."""
        kind, found, received = str(text).partition(_RECEIVED)
        return cls(kind.removeprefix(_EXPECTED), received) if found else cls(kind)


class EpitomeError(Exception):
    """Base class of the errors of the kit.

    Parameters
    ----------
    where : str
        The step that raises it, such as ``"skull_strip"``.
    expected, received, hint : str
        One clause each, without the full stop. `received` names the value, its
        unit and the file it was read from.
    """

    def __init__(self, where: str, expected: str, received: str, hint: str) -> None:
        expected, received, hint = (plain(clause).removesuffix(".") for clause in (expected, received, hint))
        super().__init__(f"{where}: expected {expected}.\nReceived: {received}.\nTry: {hint}.")
        self.where, self.expected, self.received, self.hint = where, expected, received, hint

    def __reduce__(self) -> tuple[type["EpitomeError"], tuple[str, str, str, str]]:
        """Keep the four parts when the error is pickled by a worker process."""
        return type(self), (self.where, self.expected, self.received, self.hint)

    @property
    def reason(self) -> str:
        """The error on one line, for tables of excluded subjects."""
        return str(Reason(self.expected, self.received))


class EpitomeWarning(UserWarning):
    """Warning about a result, such as an assumption about an input file."""

    def __init__(self, text: object) -> None:
        super().__init__(plain(text))


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Collect the messages of :class:`EpitomeWarning` instead of showing them.

    Yields
    ------
    list of str
        Messages without repeats; filled when the context is left.
    """
    found: list[str] = []
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
    """A scan or mask cannot be used."""


class UnknownVoxelSizeError(ImageError):
    """The voxel size was lost before the scan was imported, so nothing can be measured in millimetres."""


class CohortError(EpitomeError):
    """A cohort folder, its table of participants or its labels cannot be used."""


class LeakageError(CohortError):
    """Held-out data would be used for training."""


class TableError(EpitomeError):
    """A table of features cannot be used."""


class ParameterError(EpitomeError):
    """A parameter has an invalid name, type or value."""


class OutputError(EpitomeError):
    """Results cannot be written to the requested place."""


class ToolError(EpitomeError):
    """An external program is missing or fails."""


class MissingExtraError(ToolError):
    """A package is not installed that comes with an extra of the kit, such as ``epitome-kit[train]``."""


class NotebookError(EpitomeError):
    """A notebook cannot be read or did not run without errors."""


class SubmissionError(EpitomeError):
    """A student's notebook cannot be marked."""
