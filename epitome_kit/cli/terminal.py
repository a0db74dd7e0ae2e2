"""Print text on terminals with limited encodings."""

import codecs
import sys
import unicodedata

_PLAIN = {"•": "*", "–": "-", "—": "-", "…": "...", "≥": ">=", "≤": "<=", "×": "x", "→": "->", "’": "'", "ß": "ss"}


def print_anywhere() -> None:
    """Replace characters that standard output and error cannot encode, such as ü by u."""
    codecs.register_error("epitome", _in_plain_letters)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and not str(stream.encoding).lower().startswith("utf"):
            stream.reconfigure(errors="epitome")


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    """Replace the characters of an encoding error by ASCII; by a question mark if there is no equivalent."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    plain = (_PLAIN.get(letter) or _without_accent(letter) or "?" for letter in letters)
    return "".join(plain), error.end


def _without_accent(letter: str) -> str:
    return unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode("ascii")
