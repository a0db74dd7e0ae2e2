"""The reader of tables: every usual kind of file, and every cell as it is written."""

import datetime
import gzip
import io
import os

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import raises_three_lines

from epitome_kit import spreadsheets, tables
from epitome_kit.errors import TableError
from epitome_kit.tables import is_unfetched, read_text_table

ROWS = [["case", "size", "note"], ["007", "10E1", "a b"], ["08", "1,5", ""], ["TRUE", "-0.50", "é"]]
WANT = pd.DataFrame(ROWS[1:], columns=ROWS[0], dtype="str").replace("", np.nan)


def _read(path, content, **how):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_text_table(path, where="here", **how)


def _cells(table):
    """Cells of the first row."""
    return [None if pd.isna(cell) else cell for cell in table.iloc[0]]


def _text(delimiter, rows=ROWS):
    return "\n".join(delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in row) for row in rows) + "\n"


def _book(*sheets, hidden=()):
    """Bytes of an Excel file; each sheet a list of rows."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets, start=1):
        sheet = book.create_sheet(f"s{number}")
        sheet.sheet_state = "hidden" if number in hidden else "visible"
        for row in rows:
            sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


@pytest.mark.parametrize("delimiter", "\t;,|")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_of_any_kind_is_read_letter_by_letter(tmp_path, delimiter, encoding, end):
    text = _text(delimiter).replace("\n", end)
    found = _read(tmp_path / "t.dat", text.encode(encoding))
    pd.testing.assert_frame_equal(found, WANT)
    packed = _read(tmp_path / "t.csv.gz", gzip.compress(text.encode(encoding)))
    pd.testing.assert_frame_equal(packed, WANT)


def test_excel_reads_as_the_same_text(tmp_path):
    pd.testing.assert_frame_equal(_read(tmp_path / "t.csv", _book(ROWS)), WANT)


def test_a_damaged_letter_in_utf8_is_no_reason_to_take_it_for_windows(tmp_path):
    with raises_three_lines(TableError, "t.csv", "damaged"):
        _read(tmp_path / "t.csv", "id,name\n1,ééé\n2,é".encode() + b"\xff\n")
    assert _read(tmp_path / "t.csv", "id,name\n1,é\n".encode("cp1252")).attrs["notes"][0].startswith("read as Windows")


def test_cells_of_excel_are_what_people_see(tmp_path):
    book = openpyxl.load_workbook(io.BytesIO(_book([["a"], [3.0], [0.25], [True], [5], [10**17], ["  x "]])))
    sheet = book.active
    sheet["A5"].number_format = "0000"
    sheet["B1"], sheet["B2"], sheet["B3"] = "d", datetime.date(2021, 3, 4), datetime.datetime(2021, 3, 4, 5, 6)
    book.save(tmp_path / "t.xlsx")
    found = read_text_table(tmp_path / "t.xlsx", where="here")
    assert found.a.tolist() == ["3", "0.25", "TRUE", "0005", "100000000000000000", "x"]
    assert found.d.tolist()[:2] == ["2021-03-04", "2021-03-04T05:06:00"] and found.d.isna().sum() == 4


@pytest.mark.parametrize("columns", [{"id", "grade"}, lambda names: "grade" in names])
def test_the_header_is_found_below_titles_and_on_another_sheet(tmp_path, columns):
    table = [["Table 2"], [], ["id", "grade"], [1, 2], [2, 3]]
    found = _read(tmp_path / "t.xlsx", _book([["about", "this"], ["x", "y"]], table), columns=columns)
    assert found.to_numpy().tolist() == [["1", "2"], ["2", "3"]]
    assert found.attrs["notes"] == ["sheet 's2' of 2", "skipped 1 row above the header"]
    text = "Cases, all of them\nof 2019\n\nid;grade\n1;2\n2;3\n"
    assert _read(tmp_path / "t.csv", text, columns=columns).to_numpy().tolist() == [["1", "2"], ["2", "3"]]


def test_of_sheets_with_such_a_header_none_is_taken_by_chance(tmp_path):
    first, second = [["id", "grade"], [1, 2]], [["id", "grade"], [1, 3]]
    with raises_three_lines(TableError, "2 sheets", "s1, s2"):
        _read(tmp_path / "t.xlsx", _book(first, second), columns={"id"})
    assert _read(tmp_path / "t.xlsx", _book(first, first), columns={"id"}).grade.tolist() == ["2"]
    assert _read(tmp_path / "t.xlsx", _book(first, second, hidden=(1,)), columns={"id"}).grade.tolist() == ["3"]
    assert _read(tmp_path / "t.xlsx", _book([["x"]], second, hidden=(2,)), columns={"id"}).grade.tolist() == ["3"]


def test_merged_cells_fill_their_rows_and_hidden_rows_are_said(tmp_path):
    table = [["who", "side", "size"], ["Abel", "l", 1], [None, "r", 2], ["Bea", "l", 3], ["Cy", "r", 4]]
    rows = [["All cases"], [], *table]
    book = openpyxl.load_workbook(io.BytesIO(_book(rows)))
    sheet = book.active
    sheet.merge_cells("A1:C1")
    sheet.merge_cells("A4:A5")
    sheet.merge_cells("C6:C7")
    sheet.row_dimensions[6].hidden = True
    sheet.row_dimensions[20].hidden = True
    sheet.column_dimensions["B"].hidden = True
    book.save(tmp_path / "t.xlsx")
    found = read_text_table(tmp_path / "t.xlsx", where="here", columns={"who", "size"})
    assert found.who.tolist() == ["Abel", "Abel", "Bea", "Cy"] and found["size"].tolist() == ["1", "2", "3", "3"]
    assert found.attrs["notes"][1:] == [
        "filled 2 merged cells down, such as A4:A5",
        "read hidden rows too, 1 in all, such as row 6",
        "read hidden columns too",
    ]
    plain = _read(tmp_path / "t.xlsx", _book(rows), columns={"who", "size"})
    assert plain.who.isna().sum() == 1 and len(plain.attrs["notes"]) == 1


def test_a_formula_that_was_never_worked_out_is_not_an_empty_cell(tmp_path):
    with raises_three_lines(TableError, "formula", "B2"):
        _read(tmp_path / "t.xlsx", _book([["id", "grade"], [1, "=1+1"]]))


@pytest.mark.parametrize(
    ("text", "columns", "first"),
    [
        ("id\n1,5\n2\n3\n", ["id"], ["1,5"]),
        ("id;age, years\n1;45,5\n2;46,5\n", ["id", "age, years"], ["1", "45,5"]),
        ("sep=;\nid;a\n1;2,5\n", ["id", "a"], ["1", "2,5"]),
        ("a,a,,b\n1,2,,3\n4,5,6,7\n", ["a", "a.1", "Unnamed: 2", "b"], ["1", "2", None, "3"]),
        ("a,b,\n1,2,\n", ["a", "b"], ["1", "2"]),
        ("a\tb\nr1\t1\t2\nr2\t3\t4\n", ["Unnamed: 0", "a", "b"], ["r1", "1", "2"]),
        ('a,b\n1,"never closed\n2,x\n', ["a", "b"], ["1", '"never closed']),
        ('a, "b"\n1, "x, y"\n', ["a", "b"], ["1", "x, y"]),
        ('a\tb\n5" wide\t"x, y"\n', ["a", "b"], ['5" wide', "x, y"]),
        ("a,b,c\n1\n4,5\n", ["a", "b", "c"], ["1", None, None]),
    ],
)
def test_lines_are_parted_as_their_header_is(tmp_path, text, columns, first):
    found = _read(tmp_path / "t.csv", text)
    assert found.columns.tolist() == columns
    assert _cells(found) == first


def test_what_was_assumed_is_noted(tmp_path):
    assert "first column" in _read(tmp_path / "t.tsv", "a\tb\nr1\t1\t2\n").attrs["notes"][0]
    assert _read(tmp_path / "t.tsv", "a,b,c\n1,2\n1,2,3\n").attrs["notes"] == ["1 row shorter than the header"]


REFUSED = {
    ".xlsx": b"PK\x03\x04 torn",
    "password": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99),
    "line 2": b"a,b\n1,2,3\n2,3,4\n",
    "empty": b"\n\n",
    "neither text": bytes(range(256)) * 3,
    "web page": b"<!DOCTYPE html><table>",
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
}


@pytest.mark.parametrize("word", REFUSED)
def test_what_is_no_table_is_three_lines(tmp_path, word):
    with raises_three_lines(TableError, "t.csv", word):
        _read(tmp_path / "t.csv", REFUSED[word])


def test_what_is_not_there_is_three_lines(tmp_path):
    (tmp_path / "link.tsv").symlink_to("gone/for/ever")
    for name, word in {"link.tsv": "broken link", "none.tsv": "check the path", ".": "folder"}.items():
        with raises_three_lines(TableError, word):
            read_text_table(tmp_path / name, where="here")


def test_content_that_was_not_fetched_is_told_from_a_table(tmp_path):
    (tmp_path / "link").symlink_to("gone")
    (tmp_path / "pointer").write_text("/annex/objects/MD5E-s31--7.tsv\n")
    (tmp_path / "table").write_text("annex\n1\n")
    assert [is_unfetched(tmp_path / name) for name in ("link", "pointer", "table", "none")] == [
        True,
        True,
        False,
        False,
    ]


def test_bombs_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    for module in (tables, spreadsheets):
        monkeypatch.setattr(module, "MOST_TEXT", 200_000)
    with raises_three_lines(TableError, "MB"):
        _read(tmp_path / "t.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 80_000))
    with raises_three_lines(TableError, "MB inside"):
        _read(tmp_path / "t.xlsx", _book([["a" * 90, number] for number in range(5000)]))
    monkeypatch.undo()
    monkeypatch.setattr(spreadsheets, "_MOST_CELLS", 50_000)
    book = openpyxl.load_workbook(io.BytesIO(_book([["a"]])))
    for row in range(2, 8):
        book.active.cell(row, 16_384, "far")
    book.save(tmp_path / "t.xlsx")
    with raises_three_lines(TableError, "50,000 cells"):
        read_text_table(tmp_path / "t.xlsx", where="here")


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_table_of_text_or_three_lines(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    try:
        found = _read(path, content)
    except TableError:
        return
    assert all(str(kind) == "str" for kind in found.dtypes) and found.columns.is_unique


@given(cells=st.lists(st.text("ab0123456789.,E+- ;", min_size=1, max_size=8), min_size=2, max_size=6))
def test_cells_come_back_as_they_were_written(tmp_path_factory, cells):
    path = tmp_path_factory.getbasetemp() / "cells.tsv"
    found = _read(path, "\t".join("x" * (1 + n) for n in range(len(cells))) + "\n" + "\t".join(cells) + "\n")
    want = [cell.strip() or None for cell in cells]
    assert (_cells(found) if any(want) else want) == want


def test_a_pipe_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with raises_three_lines(TableError, "pipe.csv", "a pipe or a device"):
        read_text_table(tmp_path / "pipe.csv", where="here")
