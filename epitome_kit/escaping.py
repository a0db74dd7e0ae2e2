"""Show text of strangers as text: no markup of Rich, no Markdown, no HTML.

Pages escape by autoescape (:mod:`epitome_kit.report.html`), tables mark formulas
(:func:`epitome_kit.files.write_tsv`), and single lines lose control characters
(:func:`epitome_kit.errors.plain`).
"""

import re
from typing import Any

from rich.console import Console
from rich.progress import TextColumn

from epitome_kit.errors import plain

_MARKDOWN = re.compile(r"[\\`*<>\[\]|&~$]|(?<!\w)_|_(?!\w)|^[#+=:-]")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")


def plain_console(*, stderr: bool = True) -> Console:
    """Return a console of Rich that prints text as it is, without markup, emoji and highlights.

    Parameters
    ----------
    stderr : bool, default=True
        Print to standard error.

    Returns
    -------
    Console
    """
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def label_column(width: int = 0) -> TextColumn:
    """Return the column of a progress bar that holds its title, as text.

    Parameters
    ----------
    width : int, default=0
        Minimum number of characters.

    Returns
    -------
    TextColumn
    """
    return TextColumn(f"{{task.description:<{width}}}", markup=False)


def markdown(value: Any) -> Any:
    r"""Escape text so that Markdown shows it as it is; the texts inside lists and dicts are escaped too.

    Parameters
    ----------
    value : object
        Text, or lists, tuples and dicts that hold some; anything else is returned unchanged.

    Returns
    -------
    object
        Of the same kind, each text on one line.

    Examples
    --------
    >>> markdown({"name": "<b> *x* sub_01"})
    {'name': '\\<b\\> \\*x\\* sub_01'}
    """
    if isinstance(value, dict):
        return {markdown(key): markdown(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(markdown, value))
    return _MARKDOWN.sub(r"\\\g<0>", plain(value)) if isinstance(value, str) else value


def from_markdown(text: str) -> str:
    """Return the text that :func:`markdown` escaped.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    return _ESCAPED.sub(r"\1", text)
