"""Write the ledger entries of a DICOM import for files, copies and series that were excluded late."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from epitome_kit.cohort import image_path
from epitome_kit.files import PathLike
from epitome_kit.ledger import Entry
from epitome_kit.sources.dicom_files import Found, Header
from epitome_kit.sources.dicom_headers import series_title

if TYPE_CHECKING:
    from epitome_kit.sources.dicom import Patient

NOT_CONVERTED = "could not be converted: "
"""Follows the contrast of a series that could not be converted."""


def list_copies(patients: Mapping[str, "Patient"], names: Mapping[str, str], source: Path) -> list[Entry]:
    """List copies of images, one entry per series.

    Parameters
    ----------
    patients : dict of str to Patient
    names : dict of str to str
        Names in the cohort.
    source : Path
        Folder that paths are relative to.

    Returns
    -------
    list of Entry
    """
    entries = []
    for patient, (person, volumes) in patients.items():
        used = {path for volume in volumes for path in volume.files}
        copies: dict[str | None, list[Header]] = defaultdict(list)
        for header in person.headers:
            if header["path"] not in used:
                copies[header["series"]].append(header)
        for first, *others in copies.values():
            title = series_title(first["physics"])
            reason = f"skipped: {1 + len(others)} copies of images of {title}"
            entries.append(Entry(first["path"].relative_to(source).as_posix(), "file", names[patient], reason=reason))
    return entries


def exclude_with_subject(entry: Entry, left_out: Collection[str]) -> Entry:
    """Exclude a series whose subject is excluded.

    Parameters
    ----------
    entry : Entry
        Entry of the series.
    left_out : collection of str
        Excluded subjects.

    Returns
    -------
    Entry
    """
    if entry.subject not in left_out:
        return entry
    evidence = f"{entry.evidence}: {entry.taken_as}" if entry.taken_as else entry.evidence
    return entry._replace(taken_as="", evidence=evidence, reason=entry.reason or "its subject was left out")


def mark_unconverted(entry: Entry, out: PathLike, repaired: Iterable[tuple[str, str]]) -> Entry:
    """Exclude a series that could not be converted.

    Parameters
    ----------
    entry : Entry
        Entry of the series.
    out : path
        Folder of the cohort.
    repaired : iterable of (str, str)
        Subject and repair, which states the reason.

    Returns
    -------
    Entry
    """
    contrast = entry.taken_as
    if not contrast or image_path(out, entry.subject, contrast).exists():
        return entry
    start = f"{contrast} {NOT_CONVERTED}"
    reasons = [text.removeprefix(start) for name, text in repaired if name == entry.subject and text.startswith(start)]
    return entry._replace(
        taken_as="",
        evidence=f"{entry.evidence}: {contrast}",
        reason="; ".join(reasons) or "no image could be made of it",
    )


def list_files(found: Found, source: Path, tables: Collection[str]) -> list[Entry]:
    """List skipped files: damaged ones individually, others by kind.

    Parameters
    ----------
    found : Found
        Content of the source.
    source : Path
        Folder that paths are relative to.
    tables : collection of str
        Files that were read as tables.

    Returns
    -------
    list of Entry
    """
    entries = [
        Entry(path.relative_to(source).as_posix(), "file", reason="damaged, or packed in a way that is not read")
        for path in found.damaged
    ]
    others = [path for path in found.others if path.relative_to(source).as_posix() not in tables]
    counted = count_skipped(found._replace(others=others))
    return entries + [Entry(".", "file", reason=f"skipped: {n} x {kind}") for kind, n in counted.items()]


def count_skipped(found: Found) -> Counter[str]:
    """Count skipped files by kind.

    Parameters
    ----------
    found : Found
        Content of the source.

    Returns
    -------
    Counter of str
    """
    return found.skipped + Counter(f"not DICOM, {path.suffix.lower() or 'no suffix'}" for path in found.others)
