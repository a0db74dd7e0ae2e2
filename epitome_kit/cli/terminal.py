"""Terminals that know few letters: what they cannot print is written in those that they can."""

import codecs
import sys
import unicodedata

_PLAIN = {"•": "*", "–": "-", "—": "-", "…": "...", "≥": ">=", "≤": "<=", "×": "x", "→": "->", "’": "'", "ß": "ss"}


def print_anywhere():
    """Let standard output and error replace what their encoding lacks, such as ü by u, and never fail of it."""
    codecs.register_error("epitome", _in_plain_letters)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and not str(stream.encoding).lower().startswith("utf"):
            stream.reconfigure(errors="epitome")


def _in_plain_letters(error):
    """Write the letters of an error of encoding in ASCII; a question mark where there is no like letter."""
    letters = error.object[error.start : error.end]
    plain = (_PLAIN.get(letter) or _without_accent(letter) or "?" for letter in letters)
    return "".join(plain), error.end


def _without_accent(letter):
    return unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode("ascii")
