"""Read the submissions of a class: every file below a folder, as a notebook or refused with a reason."""

import json
import os
import re
import stat
import zipfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple

from epitome_kit.errors import EpitomeError, SubmissionError
from epitome_kit.files import PathLike
from epitome_kit.folders import is_litter, natural_key, walk_entries

_MB = 2**20
_LARGEST_FILE = 64 * _MB
_LARGEST_ZIP = 1024 * _MB
_MOST_MEMBERS = 2000
_LARGEST_DIRECTORY = 4 * _MB
_MOST_CODE = 4 * _MB
_ASK = "ask for the .ipynb itself: in Jupyter, File, Download"
_ENTRIES = {
    "broken link": ("a broken link", "ask for the file itself"),
    "link out": ("a link to a place outside, which is not followed", "ask for the file itself"),
    "no file": ("a pipe or a device, which is not opened", "ask for the file itself"),
    "folder closed": ("a folder without read permission", "ask for permission to read it"),
    "folder again": ("a link to a folder that is read under another name", "nothing, or remove the link"),
    "folder empty": ("an empty folder", "ask whether files are missing"),
}
_END_OF_ZIP = 22 + 65535
"""Bytes from the end within which a zip says how large its directory is; those of zip64 say 4 GB."""

_END = b"PK\x05\x06"

_COPY = re.compile(r"(?i)^copy( \d+)? of |[ _-]*\(\d+\)|[ _-]+copy[ _-]*\d*(?=\.|$)")
"""Signs of a copy in a file name: ``01 (1).ipynb``, ``01-Copy1.ipynb``, ``Copy of 01.ipynb``."""


class Submission(NamedTuple):
    """One submitted file.

    Attributes
    ----------
    file : str
        Path below the folder; files in a zip are prefixed with the path of the zip.
    cells : dict of str to list of str, or None
        Id of each cell to its code, several where the id is duplicated; None if refused.
    refused : EpitomeError or None
        Why it cannot be marked.
    note : str
        Further remarks.
    """

    file: str
    cells: dict[str, list[str]] | None = None
    refused: EpitomeError | None = None
    note: str = ""


def read_submissions(path: PathLike) -> tuple[list[Submission], int]:
    """Read the notebooks of a file or folder.

    Notebooks are recognised by content. Zips are read in memory, and files too
    large for a submission are refused. A hidden folder is one entry.

    Parameters
    ----------
    path : path
        A file, or a folder.

    Returns
    -------
    submissions : list of Submission
        In natural order.
    passed_over : int
        Number of skipped system files, such as ``.DS_Store``.
    """
    path = Path(path)
    if path.is_file():  # a pipe or a device is none
        return _read_file(path, path.name)
    found: list[Submission] = []
    passed_over, hidden = 0, Counter[str]()
    for entry, kind in walk_entries(path, links_out=False):
        shown = entry.relative_to(path).as_posix()
        if kind == "litter":
            passed_over += 1
        elif folder := _hidden_folder(shown):
            hidden[folder] += 1
        elif kind == "file":
            inside, litter = _read_file(entry, shown)
            found += inside
            passed_over += litter
        else:
            found.append(_refuse(shown, *_ENTRIES[kind]))
    found += _of_hidden_folders(hidden)
    return sorted(found, key=lambda each: tuple(map(natural_key, each.file.split("/")))), passed_over


def notes_on_copies(names: Mapping[str, str]) -> dict[str, str]:
    """List files that answer the same notebook as another file of the same student, judged by name and folder.

    Parameters
    ----------
    names : dict of str to str
        File to the kit's notebook that it is a copy of.

    Returns
    -------
    dict of str to str
        File to remark, for files with duplicates only.
    """
    alike, together = defaultdict(list), defaultdict(list)
    for file, name in names.items():
        folder, _, last = file.rpartition("/")
        alike[folder, _COPY.sub("", last).casefold(), name].append(file)
        together[folder, name].append(file)
    notes: dict[str, str] = {}
    for (folder, name), files in together.items():
        if folder and len(files) > 1:
            notes |= dict.fromkeys(files, f"one of {len(files)} files with answers to {name} in {folder}")
    for files in alike.values():
        if len(files) > 1:
            notes |= {file: f"a copy, by its name, of {_others(files, file)}" for file in files}
    return notes


def _hidden_folder(shown: str) -> str | None:
    """Return the first hidden folder in the path of a file, or None."""
    match = re.search(r"(?:^|/)\.(?!\.?/)[^/]*(?=/)", shown)
    return shown[: match.end()] if match else None


def _of_hidden_folders(counted: Mapping[str, int]) -> list[Submission]:
    hint = "remove it, or move files to be marked out of it"
    return [_refuse(shown, f"a hidden folder with {count} files", hint) for shown, count in counted.items()]


def _others(files: list[str], file: str) -> str:
    return ", ".join(other.rpartition("/")[2] for other in files if other != file)


def _refuse(shown: str, received: str, hint: str = _ASK) -> Submission:
    return Submission(
        shown, refused=SubmissionError("grade", "a notebook, or a zip of notebooks", f"{received} ({shown})", hint)
    )


def _read_file(path: Path, shown: str) -> tuple[list[Submission], int]:
    """Read a regular file; return its submissions and the number of skipped files inside."""
    try:
        if _directory_bytes(path) > _LARGEST_DIRECTORY:
            return [_refuse(shown, "a zip with a directory of more than 4 MB", "ask for separate notebooks")], 0
        if path.suffix.lower() == ".zip" or (zipfile.is_zipfile(path) and _holds_notebooks(path)):
            return _read_zip(path, shown)
        with path.open("rb") as stream:
            found = _read_notebook(stream, shown)
    except OSError as error:
        found = _refuse(shown, f"an unreadable file, {error.strerror or error}", "ask for it again")
    if path.is_symlink():
        found = found._replace(note=f"a link to {path.resolve()}")
    return [found], 0


def _directory_bytes(path: Path) -> int:
    """Return the size of the directory of a zip, before it is read to memory; 0 where the file is no zip."""
    with path.open("rb") as stream:
        stream.seek(max(stream.seek(0, os.SEEK_END) - _END_OF_ZIP, 0))
        tail = stream.read()
    last = tail[-22:]
    if not (last.startswith(_END) and last.endswith(b"\0\0")):  # a comment follows
        last = tail[tail.rfind(_END) :] if _END in tail else b""
    return int.from_bytes(last[12:16], "little")


def _holds_notebooks(path: Path) -> bool:
    """Whether a zip with another extension holds a notebook; office documents are zips, too."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.lower().endswith(".ipynb") for name in archive.namelist())
    except Exception:  # zipfile raises many types of errors for damaged files
        return False


def _read_zip(path: Path, shown: str) -> tuple[list[Submission], int]:
    """Read the members of a zip in memory, one after the other."""
    hint = "ask for separate notebooks, or unpack it yourself"
    try:
        with zipfile.ZipFile(path) as archive:
            members = [("/".join(_parts(member)), member) for member in archive.infolist() if not member.is_dir()]
            kept = [(name, member) for name, member in members if not any(map(is_litter, name.split("/")))]
            hidden = Counter(folder for folder in (_hidden_folder(name) for name, _ in kept) if folder)
            plain = {name: member for name, member in kept if not _hidden_folder(name)}
            size = sum(member.file_size for member in plain.values())
            twice = len(kept) - len(plain) - hidden.total()
            if twice or len(plain) > _MOST_MEMBERS or size > _LARGEST_ZIP:
                received = f"a zip of {len(plain)} files, {size / _MB:.0f} MB when unpacked"
                received += f", {twice} more under the same names" if twice else ""
                return [_refuse(shown, received, hint)], 0
            found = [_read_member(archive, member, f"{shown}/{name}") for name, member in plain.items()]
            found += _of_hidden_folders({f"{shown}/{folder}": count for folder, count in hidden.items()})
    except Exception as error:  # as in looking for notebooks
        return [_refuse(shown, f"an unreadable zip, {type(error).__name__} {error}", hint)], 0
    if not found:
        found = [_refuse(shown, "an empty zip", "ask for it again")]
    return found, len(members) - len(kept)


def _parts(member: zipfile.ZipInfo) -> list[str]:
    return [part for part in re.split(r"[/\\]", member.filename) if part]


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, shown: str) -> Submission:
    if stat.S_ISLNK(member.external_attr >> 16):
        return _refuse(shown, "a link in a zip, which is not followed", "ask for the file itself")
    if ".." in _parts(member) or re.match(r"[/\\]|[A-Za-z]:", member.filename):
        return _refuse(shown, "a path outside the zip", "ask for a zip of plain files")
    if member.flag_bits & 1:
        return _refuse(shown, "an encrypted file", "ask for it without a password")
    try:
        with archive.open(member) as stream:
            return _read_notebook(stream, shown)
    except Exception as error:  # as in looking for notebooks
        return _refuse(shown, f"a damaged file, {type(error).__name__} {error}", "ask for the zip again")


def _read_notebook(stream: IO[bytes], shown: str) -> Submission:
    """Read the cells of a notebook, or refuse the file with its type."""
    start = stream.read(4096)
    if not start:
        return _refuse(shown, "an empty file", "ask for it again")
    named = ".ipynb" in shown.rpartition("/")[2].lower()
    text = start.removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"").lstrip(b"\xff\xfe \t\r\n")
    if not named and not text.startswith(b"{"):
        return _refuse(shown, _kind(shown, start))
    content = start + stream.read(_LARGEST_FILE)
    if len(content) > _LARGEST_FILE:
        return _refuse(shown, f"more than {_LARGEST_FILE // _MB} MB", "ask for it without outputs")
    try:
        cells = _cells(json.loads(_decoded(content)))
    except (ValueError, RecursionError, MemoryError) as error:
        if not named and b'"nbformat"' not in content:
            return _refuse(shown, _kind(shown, start))
        reason = f"{_kind(shown, start)} that cannot be read as a notebook, {str(error)[:160]}"
        return _refuse(shown, reason, "ask for a copy saved again in Jupyter")
    return Submission(shown, cells)


def _decoded(content: bytes) -> str:
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    return content.decode("utf-16" if wide else "utf-8-sig")


def _cells(notebook: object) -> dict[str, list[str]]:
    """Return the id of each cell with its code; raise ValueError if it is not a notebook."""
    if not isinstance(notebook, dict) or "nbformat" not in notebook:
        raise ValueError("no `nbformat` in it")
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        raise ValueError(f"no list of cells in it; its format is {str(notebook['nbformat'])[:20]}")
    found = defaultdict(list)
    for cell in cells:
        name, source = (cell.get("id"), cell.get("source")) if isinstance(cell, dict) else (None, None)
        source = "".join(map(str, source)) if isinstance(source, list) else source
        if isinstance(name, str) and isinstance(source, str):
            found[name].append(source)
    if sum(len(source) for sources in found.values() for source in sources) > _MOST_CODE:
        raise ValueError(f"more than {_MOST_CODE // _MB} MB of code in it")
    return dict(found)


def _kind(shown: str, start: bytes) -> str:
    """Describe the type of a file, by its first bytes or its extension."""
    suffix = Path(shown).suffix.lower()
    page = re.match(rb"\s*<(!doctype html|html)", start, re.IGNORECASE)
    known = "a web page" if page else "a zip" if start.startswith(b"PK\x03\x04") else ""
    return known or (f"a {suffix} file" if suffix else "a file of another kind")
