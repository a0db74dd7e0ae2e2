"""Print text on terminals: with limited encodings, and without obeying the text."""

import codecs
import json
import re
import sys
import unicodedata

import typer

from epitome_kit.errors import CONTROL, plain

_PLAIN = {"•": "*", "–": "-", "—": "-", "…": "...", "≥": ">=", "≤": "<=", "×": "x", "→": "->", "’": "'", "ß": "ss"}
_UNPRINTABLE = re.compile(rf"(?!\n){CONTROL.pattern.removesuffix('+')}|[\ud800-\udfff]")


def print_anywhere() -> None:
    """Replace characters that standard output and error cannot encode, such as ü by u."""
    codecs.register_error("epitome", _in_plain_letters)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and not str(stream.encoding).lower().startswith("utf"):
            stream.reconfigure(errors="epitome")


def say(text: object, *, err: bool = False) -> None:
    """Print lines of text; characters that a terminal would obey are replaced, see :func:`epitome_kit.errors.plain`.

    Parameters
    ----------
    text : object
        Converted by ``str``; a line break begins a new line.
    err : bool, default=False
        Print to standard error.
    """
    typer.echo("\n".join(map(plain, str(text).split("\n"))), err=err)


def say_json(value: object) -> None:
    """Print a value as JSON; characters that a terminal would obey are written as escapes, so no value changes.

    Parameters
    ----------
    value : object
        Values that JSON does not know are converted by ``str``.
    """
    ascii_only = not str(sys.stdout.encoding).lower().startswith("utf")
    text = json.dumps(value, indent=2, ensure_ascii=ascii_only, default=str)
    typer.echo(_UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    """Replace the characters of an encoding error by ASCII; by a question mark if there is no equivalent."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    plain = (_PLAIN.get(letter) or _without_accent(letter) or "?" for letter in letters)
    return "".join(plain), error.end


def _without_accent(letter: str) -> str:
    return unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode("ascii")
