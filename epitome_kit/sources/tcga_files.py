"""Which files of the TCGA-LGG slices belong to whom, in folders and in zips."""

import re
import zipfile
from collections import defaultdict
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from epitome_kit.errors import CohortError, Reason
from epitome_kit.files import checksum
from epitome_kit.folders import is_litter, natural_key, walk_entries
from epitome_kit.ledger import Entry

LARGEST_FILE = 16 * 2**20
"""Bytes of the largest slice or table."""

_SLICE = re.compile(r"(TCGA_[A-Z0-9]+_[A-Z0-9]+_\d+)_(\d+)(_mask)?\.tiff?", re.IGNORECASE)
_IMAGE = re.compile(r".*\.(tiff?|png|jpe?g|gif|bmp|nii|nii\.gz|dcm|nrrd|mha|mgz)", re.IGNORECASE | re.DOTALL)
_TABLE = re.compile(r"data( ?\(\d+\)| ?- ?copy)?\.(csv|tsv|txt|xlsx)(\.gz)?", re.IGNORECASE)
_ANY_TABLE = re.compile(r".*\.(csv|tsv|xlsx?|ods)(\.gz)?", re.IGNORECASE | re.DOTALL)
_NOT_READ = {
    "broken link": "a link to nothing: its content was not fetched or has gone",
    "folder again": "a link to a folder that is read under another name",
    "folder closed": "a folder that may not be read",
    "no file": "neither a file nor a folder",
}


class Patient(NamedTuple):
    """Files of one exam of a patient.

    Attributes
    ----------
    name : str
        Such as ``"TCGA_CS_4941_19960909"``.
    archive : Path or None
        Zip that holds it.
    source : str
        Folder that holds it, relative to what was imported.
    slices : list of (int, bool, str)
        Number, whether a mask, and name to open.
    """

    name: str
    archive: Path | None
    source: str
    slices: list


def find_patients(source):
    """Find every slice and table of a folder, a zip, or a folder of zips.

    Parameters
    ----------
    source : Path

    Returns
    -------
    patients : dict of str to Patient
        By name. Of several copies, the fullest, and of those the first; they are never mixed.
    tables : list of (Path or None, str, str)
        Zip, name to open, and name relative to `source` of each ``data.csv``.
    entries : list of Entry
        What was passed over, and why.
    faults : list of (str, str)
        Name of a zip, and what is wrong with it.

    Raises
    ------
    CohortError
        `source` is not there, or holds no slice.
    """
    if not (source.is_dir() or source.is_file()):
        state = "is neither a folder nor a file" if source.exists() else "does not exist"
        raise CohortError("import_tcga_lgg", "a folder or a zip", f"{source}, which {state}", "check the path")
    copies, tables, entries, faults = defaultdict(list), [], [], []
    for archive, name, shown in _names(source, entries, faults):
        folder, _, last = shown.rpartition("/")
        match = _SLICE.fullmatch(last)
        if match:
            copies[match[1].upper(), archive, folder].append((int(match[2]), bool(match[3]), name))
        elif _TABLE.fullmatch(last):
            tables.append((archive, name, shown))
        elif _IMAGE.fullmatch(last):
            entries.append(Entry(shown, "file", reason="not named as a slice, `TCGA_xx_xxxx_date_1.tif`"))
        elif _ANY_TABLE.fullmatch(last):
            entries.append(Entry(shown, "table", reason="not named `data.csv`"))
    beside = source.parent / "data.csv"
    if not tables and beside.is_file():
        tables.append((None, str(beside), "../data.csv"))
    patients = {}
    for (name, archive, folder), slices in sorted(copies.items(), key=lambda item: -len(item[1])):
        if name in patients:
            reason = f"a copy of {name}: {patients[name].source or 'the first'} is taken, with as many slices or more"
            entries.append(Entry(folder, "scan", reason=reason))
        else:
            patients[name] = Patient(name, archive, folder, slices)
    if not patients:
        raise CohortError(
            "import_tcga_lgg",
            "patient folders `TCGA_xx_xxxx_date` with slices `TCGA_xx_xxxx_date_1.tif`",
            f"none in {source}{_said(faults, entries)}",
            "give the folder or the zip as it was downloaded",
        )
    return patients, tables, entries, faults


def _said(faults, entries):
    """Say what stands in a folder without a slice."""
    told = [f"{name}: {reason}" for name, reason in faults]
    told += [f"{entry.source}: {entry.reason}" for entry in entries]
    return "".join(f"; {text}" for text in told[:3]) + (f"; and {len(told) - 3} more" if len(told) > 3 else "")


def _names(source, entries, faults):
    """Yield zip or None, name to open, and name relative to the source of every file in natural order."""
    root = source.resolve()
    found = walk_entries(root) if root.is_dir() else [(root, "file")]
    for path, kind in found:
        shown = path.relative_to(root).as_posix() if path != root else path.name
        if kind in _NOT_READ:
            entries.append(Entry(shown, "file", reason=_NOT_READ[kind]))
        elif kind == "file" and (path == root or path.suffix.lower() == ".zip"):
            inside = "" if path == root else f"{shown}/"
            try:
                with zipfile.ZipFile(path) as opened:
                    names = sorted(opened.namelist(), key=natural_key)
            except (zipfile.BadZipFile, OSError, ValueError) as error:
                faults.append((shown, str(Reason("a readable zip", error))))
                continue
            plain = [(name, name.replace("\\", "/")) for name in names if not name.endswith("/")]
            yield from ((path, name, inside + each) for name, each in plain if not any(map(is_litter, each.split("/"))))
        elif kind == "file":
            yield None, str(path), shown


@contextmanager
def opener(archive):
    """Yield a function that opens a file by name, in a zip or on disk."""
    if archive is None:
        yield partial(open, mode="rb")
    else:
        with zipfile.ZipFile(archive) as opened:
            yield opened.open


def slice_checksums(patient):
    """List number, kind and checksum of every slice of a patient; in a zip, the checksum that it states."""
    if patient.archive is None:
        return [f"{number} {mask} {checksum(name)}" for number, mask, name in sorted(patient.slices)]
    with zipfile.ZipFile(patient.archive) as opened:
        found = [(number, mask, opened.getinfo(name)) for number, mask, name in sorted(patient.slices)]
    return [f"{number} {mask} {info.file_size} {info.CRC:08x}" for number, mask, info in found]
