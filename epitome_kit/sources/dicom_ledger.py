"""What the ledger of a DICOM import says of files, copies, and series whose fate was settled late."""

from collections import Counter, defaultdict

from epitome_kit.cohort import image_path
from epitome_kit.ledger import Entry

LOST = "could not be converted: "
"""What follows the contrast where no image could be made of a series."""


def list_copies(patients, names, source):
    """List copies of images, one entry a series.

    Parameters
    ----------
    patients : dict of str to Patient
    names : dict of str to str
        Name in the cohort.
    source : Path

    Returns
    -------
    list of Entry
    """
    entries = []
    for patient, (one, volumes) in patients.items():
        used = {path for volume in volumes for path in volume.files}
        copies = defaultdict(list)
        for header in one.headers:
            if header["path"] not in used:
                copies[header["series"]].append(header)
        for found in copies.values():
            number = found[0]["physics"]["number"]
            title = "a series without number" if number is None else f"series {number:.0f}"
            reason = f"passed over: copies of images of {title}, {len(found)} of them"
            entries.append(
                Entry(found[0]["path"].relative_to(source).as_posix(), "file", names[patient], reason=reason)
            )
    return entries


def with_its_subject(entry, left_out):
    """Leave a series out where its subject is.

    Parameters
    ----------
    entry : Entry
    left_out : set of str
        Subjects.

    Returns
    -------
    Entry
    """
    if entry.subject not in left_out:
        return entry
    evidence = f"{entry.evidence}: {entry.taken_as}" if entry.taken_as else entry.evidence
    return entry._replace(taken_as="", evidence=evidence, reason=entry.reason or "its subject was left out")


def as_written(entry, out, repaired):
    """Leave a series out of which no image could be made though its headers were sound.

    Parameters
    ----------
    entry : Entry
    out : path
        Folder of the cohort.
    repaired : list of (str, str)
        Subject, and what was noticed.

    Returns
    -------
    Entry
    """
    contrast = entry.taken_as
    if not contrast or image_path(out, entry.subject, contrast).exists():
        return entry
    begins = f"{contrast} {LOST}"
    reasons = [
        said.removeprefix(begins) for name, said in repaired if name == entry.subject and said.startswith(begins)
    ]
    return entry._replace(
        taken_as="",
        evidence=f"{entry.evidence}: {contrast}",
        reason="; ".join(reasons) or "no image could be made of it",
    )


def list_files(found, source, tables):
    """List what was passed over: damaged files one by one, others by kind.

    Parameters
    ----------
    found : epitome_kit.sources.dicom_files.Found
    source : Path
    tables : set of str
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
    counted = count_passed(found._replace(others=others))
    return entries + [Entry(".", "file", reason=f"passed over: {kind}, {n} of them") for kind, n in counted.items()]


def count_passed(found):
    """Count what was passed over, by kind.

    Parameters
    ----------
    found : epitome_kit.sources.dicom_files.Found

    Returns
    -------
    Counter of str
    """
    kinds = Counter(f"no DICOM, {path.suffix.lower() or 'no suffix'}" for path in found.others)
    return Counter(found.passed) + kinds
