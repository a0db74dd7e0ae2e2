"""Read tables from text files and Excel, with every cell as text."""

import csv
import gzip
import io
import re
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from epitome_kit.errors import TableError
from epitome_kit.files import MOST_COLUMNS, MOST_TEXT, PathLike
from epitome_kit.folders import open_file
from epitome_kit.spreadsheets import read_sheets, strip_cell

Header = Collection[str] | Callable[[list[str]], bool] | None
"""Names that a header has, or a function that recognises one; see :func:`read_text_table`."""

_DELIMITERS = "\t;,|"
_NONE = "\x1f"
"""Delimiter for a table with one column."""

_MOST_ABOVE = 30
_SNIFFED = 200
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1f]")
_OLD_EXCEL = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\x09\x08", b"\x09\x04", b"\x09\x02")
_POINTER = re.compile(rb"version https://git-lfs|[./]*(\.git/)?annex/objects/")
_FETCH = "fetch it with `datalad get` or `git lfs pull`, or download the table again"
_SAVE_AS = "open it in a spreadsheet, and save it as .xlsx or .csv"


def read_text_table(path: PathLike, *, where: str, columns: Header = None) -> pd.DataFrame:
    """Read a table without converting the values of its cells.

    Text with tabs, semicolons, commas or bars, plain or as ``.gz``, in UTF-8, UTF-16
    or Windows-1252, and Excel's ``.xlsx`` are recognised by content, not by name.
    Spaces around a cell are removed, empty rows and empty unnamed columns are left
    out. Repeated names get a suffix ``.1`` and so on, and columns without a name are
    called ``Unnamed: 2`` and so on, counted from 0.

    Parameters
    ----------
    path : path
        File to read.
    where : str
        The step to name in an error.
    columns : collection of str or callable, default=None
        Names that the header has, or a function that takes a list of names and returns
        whether they are a header. The header is searched in the first 30 rows of every
        sheet; if it is not found, or for None, it is the first row that is not empty.

    Returns
    -------
    DataFrame of str
        Unchanged text such as ``001`` and ``10E1``. Integers from Excel have no decimal
        point, dates are in ISO format, and a merged cell fills all of its rows. Only
        empty cells are missing. ``attrs["notes"]`` lists remarks, such as which sheet
        was read.

    Raises
    ------
    TableError
        The file cannot be read, is not a table, is larger than 64 MB, has more than 20,000
        columns, or several sheets have the header and differ.
    """
    path = Path(path)
    try:
        content = _read(path)
        if content.startswith(b"PK\x03\x04"):
            return _from_excel(content, columns)
        return _from_text(_decode(content), columns, ".tsv" in path.name.lower())
    except Exception as error:  # a damaged archive can raise anything in its reader
        known = type(error) is ValueError and len(error.args) == 2
        reason, hint = error.args if known else (f"{type(error).__name__}: {error}", _SAVE_AS)
        hint = "check the path" if isinstance(error, OSError) else hint
        received = f"{path} ({' '.join(str(reason).split())[:200]})"
        raise TableError(where, "a table with a header line, as text or .xlsx", received, hint) from error


def is_unfetched(path: PathLike) -> bool:
    """Check whether a file is a link or pointer to content that Git LFS, git-annex or DataLad has not fetched."""
    path = Path(path)
    if path.is_symlink() and not path.exists():
        return True
    if not path.is_file():
        return False
    with open_file(path) as stream:
        return _POINTER.match(stream.read(200)) is not None


def _read(path: Path) -> bytes:
    """Read the bytes of a file, decompressed if it is gzip."""
    if path.is_symlink() and not path.exists():
        raise ValueError("a broken link: its content was not fetched", _FETCH)
    if path.is_dir():
        raise ValueError("a folder", "give a table inside it")
    if path.exists() and not path.is_file():
        raise ValueError("a pipe or a device", "write it to a file first")
    if is_unfetched(path):
        raise ValueError("a pointer to content that was not fetched", _FETCH)
    with open_file(path) as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else open_file(path) as stream:
        content = stream.read(MOST_TEXT + 1)
    if len(content) > MOST_TEXT:
        raise ValueError(f"more than {MOST_TEXT >> 20} MB of text", "split the table, or remove columns")
    if content.startswith(_OLD_EXCEL):
        raise ValueError("an old Excel file (.xls) or one with a password", "save it as .xlsx or .csv")
    return content


def _decode(content: bytes) -> tuple[str, str | None]:
    """Decode the text of a file; also return a note if the encoding is not UTF-8 or UTF-16."""
    encoding = next((known for mark, known in _MARKS.items() if content.startswith(mark)), None)
    if encoding is None and b"\x00" in content:
        zeros = np.frombuffer(content[: len(content) // 2 * 2], np.uint8) == 0
        even, odd = zeros[::2].mean(), zeros[1::2].mean()
        encoding = "utf-16-le" if odd > 0.4 > even else "utf-16-be" if even > 0.4 > odd else None
    note = None
    try:
        text = content.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        lost = content.decode("utf-8", "replace")
        if encoding or sum(letter > "\x7f" for letter in lost) > 2 * lost.count("\ufffd"):
            raise ValueError("damaged text", "save it again, in UTF-8") from None
        try:
            text, note = content.decode("cp1252"), "read as Windows-1252, as it is not UTF-8"
        except UnicodeDecodeError:
            text, note = content.decode("latin-1"), "read as Latin-1, as it is not UTF-8"
    text = text.rstrip("\x1a")
    if _BINARY.search(text):
        raise ValueError("neither text nor .xlsx", _SAVE_AS)
    if text.lstrip()[:1] == "<":
        raise ValueError("a web page or another XML file", _SAVE_AS)
    return text.replace("\r\n", "\n").replace("\r", "\n"), note


def _from_text(decoded: tuple[str, str | None], columns: Header, tabs: bool) -> pd.DataFrame:
    """Read text with the delimiter that gives most rows the width of the header."""
    text, note = decoded
    declared = re.match(r'"?sep=(.)"?\n', text)
    text = text[declared.end() :] if declared else text
    candidates = [declared[1]] if declared else [mark for mark in _DELIMITERS if mark in text]

    def fit(delimiter: str) -> tuple[bool, bool, bool, float, int]:
        rows = [row for _, row in _records(text, delimiter, _SNIFFED)]
        start = _find_header(rows, columns)
        width, *widths = [len(row) for row in rows[start or 0 :]] or [0]
        separated = bool(np.mean([each > 1 for each in widths] or 1) >= 0.5)
        same = float(np.mean([each == width for each in widths] or 1))
        return width > 1 and separated, start is not None, tabs and delimiter == "\t", same, width

    delimiter = max(candidates, key=fit, default=_NONE)
    if delimiter == _NONE or not fit(delimiter)[0]:
        delimiter = _NONE
    records = _records(text, delimiter)
    if not records:
        raise ValueError("an empty file", "give a table with a header line and one line per subject")
    start = _find_header([row for _, row in records], columns) or 0
    names, rows = records[start][1], records[start + 1 :]
    width = len(names)
    if width > MOST_COLUMNS:
        raise ValueError(f"{width:,} columns", f"keep at most {MOST_COLUMNS:,}: choose features first")
    if delimiter == "\t" and rows and all(len(row) == width + 1 for _, row in rows):
        names, width, note = ["", *names], width + 1, "the header has no name for the first column, as R writes it"
    for line, row in rows:
        if any(row[width:]):
            received = f"line {line} has {len(row)} cells, and the header {width}"
            raise ValueError(received, "quote cells that contain the delimiter")
    return _frame(names, [row[:width] for _, row in rows], [_skipped_note(start), note])


def _records(text: str, delimiter: str, most: int | None = None) -> list[tuple[int, list[str]]]:
    """Read rows that are not empty, with the number of their last line; a quote that is never closed is kept."""

    def read(*, strict: bool = False, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> list[tuple[int, list[str]]]:
        stream = io.StringIO(text)
        reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=strict, quoting=quoting)
        found = ((reader.line_num, [strip_cell(cell) for cell in row]) for row in islice(reader, most))
        return [(line, row) for line, row in found if any(row)]

    try:
        return read(strict=True)
    except csv.Error as error:
        return read(quoting=csv.QUOTE_NONE) if "end of data" in str(error) else read()


def _from_excel(content: bytes, columns: Header) -> pd.DataFrame:
    """Read the sheet that has the header, or else the first sheet that is not empty."""
    sheets = read_sheets(content)
    if not sheets:
        raise ValueError("only empty sheets", "give a table with a header line and one line per subject")
    fitting = [each for each in sheets if columns is not None and _find_header(each.rows, columns) is not None]
    fitting = [each for each in fitting if each.shown] or fitting or sheets[:1]
    frames = []
    for name, rows, _, _, notes in fitting:
        start = _find_header(rows, columns) or 0
        width = max(map(len, rows[start:]))
        rows = [row + [""] * (width - len(row)) for row in rows[start:]]
        of = f"sheet {name!r} of {len(sheets)}" if len(sheets) > 1 else None
        frames.append(_frame(rows[0], rows[1:], [of, _skipped_note(start), *notes]))
    if not all(frame.equals(frames[0]) for frame in frames):
        names = ", ".join(name for name, *_ in fitting[:5])
        raise ValueError(f"{len(frames)} sheets with this header: {names}", "keep one, or save it as .csv")
    return frames[0]


def _find_header(rows: Sequence[list[str]], columns: Header) -> int | None:
    """Return the index of the first row that is a header, or None."""
    if columns is None:
        return 0 if rows else None
    is_header = columns if callable(columns) else set(columns).issubset
    return next((number for number, row in enumerate(rows[:_MOST_ABOVE]) if is_header(row)), None)


def _skipped_note(start: int) -> str | None:
    return f"skipped {start} row{'s' * (start > 1)} above the header" if start else None


def _frame(names: list[str], rows: list[list[str]], notes: Sequence[str | None]) -> pd.DataFrame:
    """Make a table of text; short rows are filled with empty cells."""
    width = len(names)
    table = np.array([row + [""] * (width - len(row)) for row in rows], dtype=object).reshape(-1, width)
    kept = [number for number, name in enumerate(names) if name or (table[:, number] != "").any()]
    taken = {}
    for number in kept:
        name = names[number] or f"Unnamed: {number}"
        copies = 0
        while (f"{name}.{copies}" if copies else name) in taken:
            copies += 1
        taken[f"{name}.{copies}" if copies else name] = table[:, number]
    short = sum(len(row) < width for row in rows)
    if short:
        notes = [*notes, f"{short} row{'s' * (short > 1)} shorter than the header"]
    frame = pd.DataFrame(taken, dtype="str").replace("", np.nan)
    frame.attrs["notes"] = [note for note in notes if note]
    return frame
