"""Find the files of each patient in the TCGA-LGG slices, in folders and in zips."""

import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from epitome_kit.errors import CohortError, Reason
from epitome_kit.files import checksum
from epitome_kit.folders import is_litter, natural_key, open_file, walk_entries
from epitome_kit.ledger import Entry
from epitome_kit.sources.importing import NOT_READ

MAX_FILE_BYTES = 16 * 2**20
"""Size of the largest slice or table."""

SourceFile = tuple[Path | None, str, str]
"""Zip (None on disk), name to open, and name relative to the source."""

_SLICE = re.compile(r"(TCGA_[A-Z0-9]+_[A-Z0-9]+_\d+)_(\d+)(_mask)?\.tiff?", re.IGNORECASE)
_IMAGE = re.compile(r".*\.(tiff?|png|jpe?g|gif|bmp|nii|nii\.gz|dcm|nrrd|mha|mgz)", re.IGNORECASE | re.DOTALL)
_TABLE = re.compile(r"data( ?\(\d+\)| ?- ?copy)?\.(csv|tsv|txt|xlsx)(\.gz)?", re.IGNORECASE)
_ANY_TABLE = re.compile(r".*\.(csv|tsv|xlsx?|ods)(\.gz)?", re.IGNORECASE | re.DOTALL)


class Patient(NamedTuple):
    """Files of one exam of a patient.

    Attributes
    ----------
    name : str
        Such as ``"TCGA_CS_4941_19960909"``.
    archive : Path or None
        Zip that contains them.
    source : str
        Folder that contains them, relative to the imported folder.
    slices : list of (int, bool, str)
        Number, whether it is a mask, and name to open.
    """

    name: str
    archive: Path | None
    source: str
    slices: list[tuple[int, bool, str]]


def find_patients(source: Path) -> tuple[dict[str, Patient], list[SourceFile], list[Entry], list[tuple[str, str]]]:
    """Find every slice and table in a folder, a zip, or a folder of zips.

    Parameters
    ----------
    source : Path
        The folder or the zip.

    Returns
    -------
    patients : dict of str to Patient
        By name. Of several copies, the most complete is taken; copies are never mixed.
    tables : list of (Path or None, str, str)
        Zip, name to open, and name relative to `source` of each ``data.csv``.
    entries : list of Entry
        Skipped files, with the reason.
    failed : list of (str, str)
        Name of each unreadable zip, with the reason.

    Raises
    ------
    CohortError
        `source` does not exist, or contains no slice.
    """
    if not (source.is_dir() or source.is_file()):
        state = "is neither a folder nor a file" if source.exists() else "does not exist"
        raise CohortError("import_tcga_lgg", "a folder or a zip", f"{source}, which {state}", "check the path")
    copies: dict[tuple[str, Path | None, str], list[tuple[int, bool, str]]] = defaultdict(list)
    tables: list[SourceFile] = []
    entries: list[Entry] = []
    failed: list[tuple[str, str]] = []
    for archive, name, shown in _list_files(source, entries, failed):
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
    patients: dict[str, Patient] = {}
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
            f"none in {source}{_summarise(failed, entries)}",
            "pass the folder or the zip as downloaded",
        )
    return patients, tables, entries, failed


def _summarise(failed: Iterable[tuple[str, str]], entries: Iterable[Entry]) -> str:
    """Summarise what a folder without slices contains."""
    lines = [f"{name}: {reason}" for name, reason in failed]
    lines += [f"{entry.source}: {entry.reason}" for entry in entries]
    return "".join(f"; {line}" for line in lines[:3]) + (f"; and {len(lines) - 3} more" if len(lines) > 3 else "")


def _list_files(source: Path, entries: list[Entry], failed: list[tuple[str, str]]) -> Iterator[SourceFile]:
    """Yield every file in natural order; append unreadable entries to `entries` and zips to `failed`."""
    root = source.resolve()
    found = walk_entries(root) if root.is_dir() else [(root, "file")]
    for path, kind in found:
        shown = path.relative_to(root).as_posix() if path != root else path.name
        if kind in NOT_READ:
            entries.append(Entry(shown, "file", reason=NOT_READ[kind]))
        elif kind == "file" and (path == root or path.suffix.lower() == ".zip"):
            inside = "" if path == root else f"{shown}/"
            try:
                with zipfile.ZipFile(path) as opened:
                    names = sorted(opened.namelist(), key=natural_key)
            except (zipfile.BadZipFile, OSError, ValueError) as error:
                failed.append((shown, str(Reason("a readable zip", str(error)))))
                continue
            plain = [(name, name.replace("\\", "/")) for name in names if not name.endswith("/")]
            yield from ((path, name, inside + each) for name, each in plain if not any(map(is_litter, each.split("/"))))
        elif kind == "file":
            yield None, str(path), shown


@contextmanager
def opener(archive: Path | None) -> Iterator[Callable[[str], IO[bytes]]]:
    """Yield a function that opens a file by name, in a zip or on disk."""
    if archive is None:
        yield open_file
    else:
        with zipfile.ZipFile(archive) as opened:
            yield opened.open


def slice_checksums(patient: Patient) -> list[str]:
    """Return number, kind and checksum of each slice of a patient; of slices in a zip, their size and CRC."""
    if patient.archive is None:
        return [f"{number} {mask} {checksum(name)}" for number, mask, name in sorted(patient.slices)]
    with zipfile.ZipFile(patient.archive) as opened:
        found = [(number, mask, opened.getinfo(name)) for number, mask, name in sorted(patient.slices)]
    return [f"{number} {mask} {info.file_size} {info.CRC:08x}" for number, mask, info in found]
