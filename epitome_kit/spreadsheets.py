"""Read the sheets of an Excel file within bounds, with every cell as the text that is displayed."""

import io
import re
import warnings
import zipfile
from datetime import datetime, time
from typing import TYPE_CHECKING, NamedTuple

from epitome_kit.files import MOST_COLUMNS, MOST_TEXT

if TYPE_CHECKING:
    from openpyxl import cell, worksheet

_MOST_CELLS = 20_000_000
_MOST_ROWS = 2**20
_MOST_PART = 8 * 2**20
_PLACE = re.compile(rb'\sr="([A-Za-z]*)(\d*)"')
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z]+\d+:[A-Z]+\d+)"')
_HIDDEN = re.compile(rb'<(?:\w+:)?(row|col)\s(?=[^>]*?\bhidden="(?:1|true)")(?=[^>]*?\b(?:r|min)="(\d+)")')


class Sheet(NamedTuple):
    """One sheet.

    Attributes
    ----------
    name : str
    rows : list of list of str
        Without empty rows.
    shown : bool
        Whether the sheet is visible.
    marked : set of str
        Places of cells that hold a formula, or no value.
    notes : list of str
        Remarks, such as on merged cells.
    """

    name: str
    rows: list[list[str]]
    shown: bool
    marked: set[str]
    notes: list[str]


def read_sheets(content: bytes) -> list[Sheet]:
    """Read the sheets that are not empty, visible ones first.

    Parameters
    ----------
    content : bytes
        An ``.xlsx`` file.

    Returns
    -------
    list of Sheet

    Raises
    ------
    ValueError
        With two arguments, what was found and what to try: no ``.xlsx`` file, one that
        is too large once it is unpacked, cells out of bounds, or a formula without its value.
    """
    _check_parts(content)
    sheets = _cells(content, data_only=False)
    formulas = {sheet.name: sheet.marked for sheet in sheets if sheet.marked}
    if formulas:
        sheets = _cells(content, data_only=True)
        for sheet in sheets:
            cells = sorted(sheet.marked & formulas.get(sheet.name, set()))
            if cells:
                reason = f"a formula without its value in {cells[0]} of sheet {sheet.name!r}"
                raise ValueError(reason, "open it in Excel, and save it again")
    return [sheet for sheet in sheets if sheet.rows]


def _check_parts(content: bytes) -> None:
    """Check the sizes in an Excel file, and the places of its cells, before it is parsed."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {entry.filename: entry.file_size for entry in archive.infolist()}
        if not any(re.fullmatch(r"xl/workbook\d*\.xml", name) for name in parts):
            raise ValueError("a zip archive, not an .xlsx file", "unpack it, or save the table as .xlsx or .csv")
        claimed = sum(parts.values())
        others = (size for name, size in parts.items() if not re.match(r"xl/(worksheets|sharedStrings|media)", name))
        if claimed > MOST_TEXT or sum(others) > _MOST_PART:
            raise ValueError(
                f"{claimed >> 20} MB inside", "remove pictures and other sheets, or save the table as .csv"
            )
        for name in parts:
            if name.startswith("xl/worksheets/"):
                for column, row in _PLACE.findall(archive.read(name)):
                    if len(column) > 3 or len(row) > 7 or (row and int(row) > _MOST_ROWS):
                        place = f"{column.decode()}{row.decode()}"[:20]
                        raise ValueError(f"a cell at {place}, out of any sheet", "save it again in a spreadsheet")


def _cells(content: bytes, *, data_only: bool) -> list[Sheet]:
    """Read all sheets; `marked` are the cells with a formula, or without a value for `data_only`."""
    import openpyxl

    count = 0
    sheets: list[Sheet] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=data_only)
        for sheet in sorted(book.worksheets, key=lambda sheet: sheet.sheet_state != "visible"):
            sheet.reset_dimensions()
            rows: list[list[str]] = []
            marked: set[str] = set()
            for cells in sheet.iter_rows():
                count += 1 + len(cells)
                if count > _MOST_CELLS:
                    raise ValueError(f"more than {_MOST_CELLS:,} cells", "remove empty columns, or save it as .csv")
                if len(cells) > MOST_COLUMNS:
                    raise ValueError(f"{len(cells):,} columns", "remove empty columns, or save it as .csv")
                for cell in cells:
                    if cell.data_type == "f" or data_only and cell.data_type == "n" and cell.value is None:
                        marked.add(getattr(cell, "coordinate", ""))
                rows.append([_displayed(cell) for cell in cells])
            notes = _fill_merged_cells(sheet, rows)
            rows = [row for row in rows if any(row)]
            sheets.append(Sheet(sheet.title, rows, sheet.sheet_state == "visible", marked, notes))
    return sheets


def _fill_merged_cells(sheet: "worksheet._read_only.ReadOnlyWorksheet", rows: list[list[str]]) -> list[str]:
    """Fill vertically merged cells and return notes on merged and hidden ones, which the XML of the sheet lists."""
    from openpyxl.utils import range_boundaries

    with sheet.parent._archive.open(sheet._worksheet_path) as stream:
        content = stream.read()
    filled = []
    count = 0
    for place in _MERGED.findall(content):
        column, first, _, last = range_boundaries(place.decode())
        text = rows[first - 1][column - 1] if first <= len(rows) and column <= len(rows[first - 1]) else ""
        below = rows[first : min(last, len(rows))] if text else []
        count += len(below) * column + last - first
        if count > _MOST_CELLS:
            raise ValueError(f"merged cells that stand for {count:,} cells", "unmerge them, or save it as .csv")
        for row in below:
            row += [""] * (column - len(row))
            row[column - 1] = text
        filled += [place.decode()] * bool(below)
    hidden = {kind: [int(number) for of, number in _HIDDEN.findall(content) if of == kind] for kind in (b"row", b"col")}
    lines = [number for number in hidden[b"row"] if number <= len(rows) and any(rows[number - 1])]
    notes = [
        f"filled {len(filled)} merged cells down, such as {filled[0]}" if filled else None,
        f"read hidden rows too, {len(lines)} in all, such as row {lines[0]}" if lines else None,
        "read hidden columns too" if hidden[b"col"] else None,
    ]
    return [note for note in notes if note]


def _displayed(cell: "cell.ReadOnlyCell") -> str:
    """Return the text of an Excel cell as it is displayed."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, (int, float)):
        whole = float(value).is_integer() and abs(value) < 1e21
        digits = re.fullmatch(r'"?(0{2,})"?', cell.number_format) if whole and value >= 0 else None
        text = str(int(value)) if whole else repr(value)
        return text.zfill(len(digits[1])) if digits else text
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    return value.isoformat() if hasattr(value, "isoformat") else strip_cell(str(value))


def strip_cell(text: str) -> str:
    """Remove spaces and invisible marks around a cell."""
    return text.strip().strip("\ufeff\u200b").strip()
