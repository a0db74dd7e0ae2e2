"""What a class hands in: every file below a folder, read as a notebook or refused with a reason."""

import json
import re
import stat
import zipfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from epitome_kit.errors import EpitomeError, SubmissionError
from epitome_kit.folders import is_litter, natural_key, walk_entries

_MB = 2**20
_LARGEST_FILE = 256 * _MB
_LARGEST_ZIP = 1024 * _MB
_MOST_MEMBERS = 2000
_ASK = "ask for the .ipynb itself: in Jupyter, File, Download"
_ENTRIES = {
    "broken link": ("a link that leads nowhere", "ask for the file itself"),
    "no file": ("a pipe or a device, which is not opened", "ask for the file itself"),
    "folder closed": ("a folder that may not be read", "ask for permission to read it"),
    "folder again": ("a link to a folder that is looked at under another name", "nothing, or take the link away"),
    "folder empty": ("an empty folder", "ask whether something was to be in it"),
}
_COPY = re.compile(r"(?i)^copy( \d+)? of |[ _-]*\(\d+\)|[ _-]+copy[ _-]*\d*(?=\.|$)")
"""Marks of a copy in the name of a file: ``01 (1).ipynb``, ``01-Copy1.ipynb``, ``Copy of 01.ipynb``."""


class Submission(NamedTuple):
    """One file that came back.

    Attributes
    ----------
    file : str
        Name below the folder; of what was in a zip, the name of the zip comes first.
    cells : dict of str to list of str, or None
        Id of each cell to its code, more than once where the id is; None where the file was refused.
    refused : EpitomeError or None
        Why it cannot be marked.
    note : str
        What else there is to say.
    """

    file: str
    cells: dict | None = None
    refused: EpitomeError | None = None
    note: str = ""


def read_submissions(path):
    """Read whatever came back as notebooks.

    A notebook is known by its content, whatever it is called. Zips are read in
    place: nothing is unpacked, and what is too large to be the work of a student
    is refused. Of a hidden folder there is one entry for all that is in it.

    Parameters
    ----------
    path : path
        A file, or a folder.

    Returns
    -------
    list of Submission
        In natural order.
    int
        Number of files that a system keeps for itself, such as ``.DS_Store``: those are passed over.
    """
    path = Path(path)
    if path.is_file():
        return _read_file(path, path.name)
    found, passed_over, hidden = [], 0, Counter()
    for entry, kind in walk_entries(path):
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


def notes_on_copies(names):
    """Say which files hold answers to the same notebook as another one of the same student, as far as names tell.

    Parameters
    ----------
    names : dict of str to str
        File to the kit's notebook that it is a copy of.

    Returns
    -------
    dict of str to str
        File to what there is to say; files without a twin are left out.
    """
    alike, together = defaultdict(list), defaultdict(list)
    for file, name in names.items():
        folder, _, last = file.rpartition("/")
        alike[folder, _COPY.sub("", last).casefold(), name].append(file)
        together[folder, name].append(file)
    notes = {}
    for (folder, name), files in together.items():
        if folder and len(files) > 1:
            notes |= dict.fromkeys(files, f"one of {len(files)} files with answers to {name} in {folder}")
    for files in alike.values():
        if len(files) > 1:
            notes |= {file: f"a copy, by its name, of {_others(files, file)}" for file in files}
    return notes


def _hidden_folder(shown):
    """First hidden folder on the way to a file, or None."""
    match = re.search(r"(?:^|/)\.(?!\.?/)[^/]*(?=/)", shown)
    return match and shown[: match.end()]


def _of_hidden_folders(counted):
    hint = "take it away, or move out of it what is to be marked"
    return [_refuse(shown, f"a hidden folder, {count} files in it", hint) for shown, count in counted.items()]


def _others(files, file):
    return ", ".join(other.rpartition("/")[2] for other in files if other != file)


def _refuse(shown, received, hint=_ASK):
    return Submission(
        shown, refused=SubmissionError("grade", "a notebook, or a zip of some", f"{received} ({shown})", hint)
    )


def _read_file(path, shown):
    """Read a file as what it holds: hand-ins, and the number of files passed over inside."""
    try:
        if path.suffix.lower() == ".zip" or (zipfile.is_zipfile(path) and _holds_notebooks(path)):
            return _read_zip(path, shown)
        with path.open("rb") as stream:
            found = _read_notebook(stream, shown)
    except OSError as error:
        found = _refuse(shown, f"a file that cannot be read, {error.strerror or error}", "ask for it again")
    if path.is_symlink():
        found = found._replace(note=f"a link to {path.resolve()}")
    return [found], 0


def _holds_notebooks(path):
    """Whether a zip under another name holds a notebook; a text document or a table is a zip, too."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.lower().endswith(".ipynb") for name in archive.namelist())
    except Exception:  # a damaged file can raise anything in zipfile
        return False


def _read_zip(path, shown):
    """Read every member of a zip, in memory and one after the other."""
    hint = "ask for the notebooks one by one, or unpack it yourself"
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
        return [_refuse(shown, f"a zip that cannot be read, {type(error).__name__} {error}", hint)], 0
    if not found:
        found = [_refuse(shown, "a zip without a file", "ask for it again")]
    return found, len(members) - len(kept)


def _parts(member):
    return [part for part in re.split(r"[/\\]", member.filename) if part]


def _read_member(archive, member, shown):
    if stat.S_ISLNK(member.external_attr >> 16):
        return _refuse(shown, "a link in a zip, which is not followed", "ask for the file itself")
    if ".." in _parts(member) or re.match(r"[/\\]|[A-Za-z]:", member.filename):
        return _refuse(shown, "a name that leads out of the zip", "ask for a zip of plain files")
    if member.flag_bits & 1:
        return _refuse(shown, "a file with a password", "ask for it without")
    try:
        with archive.open(member) as stream:
            return _read_notebook(stream, shown)
    except Exception as error:  # as in looking for notebooks
        return _refuse(shown, f"a damaged file, {type(error).__name__} {error}", "ask for the zip again")


def _read_notebook(stream, shown):
    """Read the cells of a notebook, or say what the file is instead."""
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
    except (ValueError, RecursionError) as error:
        if not named and b'"nbformat"' not in content:
            return _refuse(shown, _kind(shown, start))
        reason = f"{_kind(shown, start)} that cannot be read as a notebook, {str(error)[:160]}"
        return _refuse(shown, reason, "ask to save it again in Jupyter, and for a fresh copy")
    return Submission(shown, cells)


def _decoded(content):
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    return content.decode("utf-16" if wide else "utf-8-sig")


def _cells(notebook):
    """Id of each cell to its code; ValueError where it is no notebook."""
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
    return dict(found)


def _kind(shown, start):
    """Say what a file is by the ending of its name, or by its beginning where that is plain."""
    suffix = Path(shown).suffix.lower()
    page = re.match(rb"\s*<(!doctype html|html)", start, re.IGNORECASE)
    known = "a web page" if page else "a zip" if start.startswith(b"PK\x03\x04") else ""
    return known or (f"a {suffix} file" if suffix else "a file of another kind")
