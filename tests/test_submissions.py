"""Hand-ins: a notebook is known by its content, everything else refused by name, nothing lost."""

import json
import os
import stat
import zipfile

import pytest

from epitome_kit.classroom import submissions as returned
from epitome_kit.classroom.submissions import notes_on_copies, read_submissions

NOTEBOOK = json.dumps({"nbformat": 4, "metadata": {}, "cells": [{"id": "a", "source": ["x = ", "1"]}]})


def _write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def _read(root):
    """Name of each file to its cells, or to what it was instead."""
    hand_ins, _ = read_submissions(root)
    assert len({each.file for each in hand_ins}) == len(hand_ins)
    return {each.file: each.cells or each.refused.received for each in hand_ins}


def _zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("1.ipynb", NOTEBOOK),
        ("1.IPYNB", NOTEBOOK),
        ("1.ipynb.txt", NOTEBOOK),
        ("1.ipynb.json", NOTEBOOK),
        ("homework", "\n  " + NOTEBOOK),
        ("windows.ipynb", NOTEBOOK.encode("utf-8-sig")),
        ("notepad.txt", NOTEBOOK.encode("utf-16")),
    ],
)
def test_a_notebook_is_known_by_its_content(tmp_path, name, content):
    assert _read(_write(tmp_path, {name: content})) == {name: {"a": ["x = 1"]}}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.py", "x = 1", "a .py file"),
        ("a.html", "<!DOCTYPE html><html>", "a web page"),
        ("a.ipynb", "<html>log in", "a web page that cannot be read as a notebook"),
        ("a.ipynb", NOTEBOOK[:60], "cannot be read as a notebook"),
        ("a", NOTEBOOK[:60], "cannot be read as a notebook"),
        ("a.ipynb", "[" * 100_000, "cannot be read as a notebook"),
        ("a.ipynb", '{"nbformat": 3, "worksheets": []}', "no list of cells in it, its format is 3"),
        ("a.ipynb", '{"nbformat": 4, "cells": 5}', "no list of cells in it"),
        ("a.ipynb", '{"nbformat": 4, "cells": ' + "[" * 200_000, "cannot be read as a notebook"),
        ("a.ipynb", '{"nbformat": ' + "9" * 100_000 + "}", "cannot be read as a notebook"),
        ("a.ipynb", json.dumps({"nbformat": 4, "cells": [{"id": "a", "source": "x" * 2**23}]}), "4 MB of code"),
        ("a.ipynb", b"\xff\xfe{\x00\xd8", "cannot be read as a notebook"),
        ("a.json", '{"name": "app"}', "a .json file"),
        ("a.txt", "{not json", "a .txt file"),
        ("a", "text", "a file of another kind"),
        ("a.ipynb", "", "an empty file"),
        ("a.docx", b"PK\x03\x04" + bytes(50), "a zip"),
    ],
)
def test_what_is_no_notebook_is_refused_by_name(tmp_path, name, content, words):
    ((said,),) = [list(_read(_write(tmp_path, {name: content})).values())]
    assert words in said.replace(";", ",") and name in said


def test_cells_of_any_shape_are_passed_over(tmp_path):
    cells = [5, None, {"id": ["a"], "source": "x"}, {"id": "b", "source": 5}, {"id": "c"}, {"id": "d", "source": "y"}]
    _write(tmp_path, {"a.ipynb": json.dumps({"nbformat": 4, "cells": [*cells, {"id": "d", "source": "z"}]})})
    assert _read(tmp_path) == {"a.ipynb": {"d": ["y", "z"]}}


def test_every_file_has_an_entry_in_natural_order(tmp_path):
    _write(tmp_path, {"s10/1.ipynb": NOTEBOOK, "s9/1.ipynb": NOTEBOOK, ".venv/lib/a.py": "", ".venv/b.py": ""})
    _write(tmp_path, {".DS_Store": "x", "s9/._1.ipynb": "x", "s9/.ipynb_checkpoints/1.ipynb": NOTEBOOK})
    (tmp_path / "nothing").mkdir()
    (tmp_path / "lost.ipynb").symlink_to("gone.ipynb")
    (tmp_path / "twin.ipynb").symlink_to("s9/1.ipynb")
    os.mkfifo(tmp_path / "pipe.ipynb")
    assert list(_read(tmp_path)) == [
        ".venv",
        "lost.ipynb",
        "nothing",
        "pipe.ipynb",
        "s9/1.ipynb",
        "s10/1.ipynb",
        "twin.ipynb",
    ]
    hand_ins, passed_over = read_submissions(tmp_path)
    assert passed_over == 3
    said = [each.refused.received for each in hand_ins if each.refused]
    for words, each in zip(
        ["hidden folder with 2 files", "broken link", "an empty folder", "a pipe"], said, strict=True
    ):
        assert words in each
    assert hand_ins[-1].note == f"a link to {tmp_path.resolve() / 's9' / '1.ipynb'}"


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    def closed(path, mode="r"):
        raise PermissionError(13, "Permission denied")

    _write(tmp_path, {"1.ipynb": NOTEBOOK})
    monkeypatch.setattr(returned.Path, "open", closed)
    assert "Permission denied" in _read(tmp_path)["1.ipynb"]


def test_only_regular_files_inside_the_folder_are_opened(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "in"
    _write(outside, {"1.ipynb": NOTEBOOK})
    _write(folder, {"ann/1.ipynb": NOTEBOOK})
    for name, target in {
        "zero": "/dev/zero",
        "passwd": "/etc/passwd",
        "file": outside / "1.ipynb",
        "all": outside,
    }.items():
        (folder / f"{name}.ipynb").symlink_to(target)
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.ipynb")
    with (folder / "large.ipynb").open("wb") as stream:
        stream.truncate(5 << 30)
    with (folder / "large.zip").open("wb") as stream:
        stream.truncate(5 << 30)
    found = _read(folder)
    assert found.pop("ann/1.ipynb") == {"a": ["x = 1"]}
    outward = dict.fromkeys(("all.ipynb", "file.ipynb", "passwd.ipynb"), "a link to a place outside")
    others = {"zero.ipynb": "a pipe or a device", "pipe.ipynb": "a pipe or a device", "large.ipynb": "more than 64 MB"}
    others |= {"large.zip": "unreadable zip"}
    assert all(words in found.pop(name) for name, words in (outward | others).items())
    assert set(found) <= {"up"} and all("link" in said for said in found.values())
    assert read_submissions(folder / "pipe.ipynb") == read_submissions(folder / "zero.ipynb") == ([], 0)


def test_a_zip_with_a_large_directory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(returned, "_LARGEST_DIRECTORY", 2000)
    _zip(tmp_path / "many.zip", {f"{number}.txt": "" for number in range(100)})
    whole = (tmp_path / "many.zip").read_bytes()
    (tmp_path / "hidden.zip").write_bytes(whole[:-2] + b"\x05\x00" + b"words")
    (tmp_path / "zip64.zip").write_bytes(whole[:-10] + b"\xff" * 8 + b"\0\0")
    _zip(tmp_path / "few.zip", {"1.ipynb": NOTEBOOK})
    found = _read(tmp_path)
    assert found.pop("few.zip/1.ipynb") and len(found) == 3
    assert all("a directory of more than" in said for said in found.values())


def test_a_zip_is_read_member_by_member(tmp_path):
    link = zipfile.ZipInfo("link.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    inner = _zip(tmp_path / "inner", {"1.ipynb": NOTEBOOK}).read_bytes()
    members = {"w\u00f6rk/1.ipynb": NOTEBOOK, "w/2.py": "x", "__MACOSX/w/._1.ipynb": "x", "../out.ipynb": NOTEBOOK}
    members |= {"/etc/3.ipynb": NOTEBOOK, link: "/etc/passwd", "inner.zip": inner, ".git/config": "x", ".env/a": "x"}
    (tmp_path / "in").mkdir()
    _zip(tmp_path / "in" / "A.ZIP", members)
    found = _read(tmp_path / "in")
    assert found.pop("A.ZIP/w\u00f6rk/1.ipynb") == {"a": ["x = 1"]}
    expected = {
        "w/2.py": "a .py file",
        "../out.ipynb": "outside the zip",
        "etc/3.ipynb": "outside the zip",
        "link.ipynb": "a link",
    }
    expected |= {"inner.zip": "a zip", ".env": "hidden folder with 1 files"}
    assert list(found) == sorted(f"A.ZIP/{name}" for name in expected)
    assert all(words in found[f"A.ZIP/{name}"] for name, words in expected.items())
    assert read_submissions(tmp_path / "in")[1] == 2
    assert not list(tmp_path.rglob("out.ipynb")), "nothing is unpacked"


def test_a_zip_that_cannot_be_the_work_of_a_student_is_refused_as_a_whole(tmp_path, monkeypatch):
    for name, files in {"bomb": {"1.ipynb": bytes(2**21)}, "many": dict.fromkeys("abcdef", "x"), "empty": {}}.items():
        _zip(tmp_path / f"{name}.zip", files)
    with pytest.warns(UserWarning), zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("1.ipynb", NOTEBOOK)
        archive.writestr("1.ipynb", NOTEBOOK.replace("1", "2"))
    whole = _zip(tmp_path / "torn.zip", {"1.ipynb": NOTEBOOK}).read_bytes()
    (tmp_path / "torn.zip").write_bytes(whole[:40])
    (tmp_path / "bad.zip").write_bytes(whole.replace(b"1.ipynbP", b"2.ipynbP"))
    in_list = b"PK\x01\x02\x14\x03\x14\x00"
    (tmp_path / "secret.zip").write_bytes(whole.replace(in_list + b"\x00", in_list + b"\x01"))
    monkeypatch.setattr(returned, "_LARGEST_ZIP", 2**20)
    monkeypatch.setattr(returned, "_MOST_MEMBERS", 5)
    found = _read(tmp_path)
    expected = {
        "bomb": "1 files, 2 MB when unpacked",
        "many": "6 files",
        "empty": "an empty zip",
        "torn": "not a zip",
    }
    expected |= {"twice": "1 more under the same names"}
    for name, words in expected.items():
        assert words in found[f"{name}.zip"], name
    assert "encrypted" in found["secret.zip/1.ipynb"] and "damaged" in found["bad.zip/2.ipynb"]


def test_a_member_larger_than_a_notebook_can_be_is_refused(tmp_path, monkeypatch):
    _zip(tmp_path / "a.zip", {"1.ipynb": NOTEBOOK + " " * 10_000})
    _write(tmp_path, {"2.ipynb": NOTEBOOK + " " * 10_000})
    monkeypatch.setattr(returned, "_LARGEST_FILE", 5000)
    assert all("more than" in said for said in _read(tmp_path).values())


def test_a_zip_by_another_name_is_read_where_it_holds_notebooks(tmp_path):
    _zip(tmp_path / "hand-in.zip.download", {"1.ipynb": NOTEBOOK})
    _zip(tmp_path / "essay.docx", {"word/document.xml": "<x/>"})
    assert _read(tmp_path) == {"essay.docx": "a zip (essay.docx)", "hand-in.zip.download/1.ipynb": {"a": ["x = 1"]}}


def test_copies_of_one_student_are_named_and_others_are_not():
    files = ["ann_1.ipynb", "bob_1.ipynb", "1.ipynb", "1-Copy1.ipynb", "eve/a.ipynb", "eve/b.ipynb", "eve/2.ipynb"]
    notes = notes_on_copies({file: "02" if file == "eve/2.ipynb" else "01" for file in files})
    assert notes == {
        "1.ipynb": "a copy, by its name, of 1-Copy1.ipynb",
        "1-Copy1.ipynb": "a copy, by its name, of 1.ipynb",
        "eve/a.ipynb": "one of 2 files with answers to 01 in eve",
        "eve/b.ipynb": "one of 2 files with answers to 01 in eve",
    }


@pytest.mark.parametrize("mark", ["{} (2)", "{}(1)", "{}-Copy3", "{} - Copy", "Copy of {}", "{} copy 2"])
def test_marks_of_a_copy_are_known(mark):
    assert len(notes_on_copies({"1.ipynb": "01", f"{mark.format(1)}.ipynb": "01"})) == 2
