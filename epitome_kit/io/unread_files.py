"""Images in the folder of a cohort that nobody reads, and why not."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from epitome_kit.folders import walk_entries
from epitome_kit.io.content import SCANS, describe_content, first_bytes, scan_kind

NOT_READ = "not read: not named as the kit's cohorts are, import the folder with `epitome cohort bids`"
"""What is said of a scan or mask."""

_TRUTH = "derivatives", "truth"
_NAMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh")
_TABLES = ("participants.tsv", "participants.csv", "participants.xlsx", "participants.txt", "participants.tsv.gz")
_KINDS = {
    "broken link": "not read: a link to nothing, its content was not fetched or has gone",
    "folder again": "not read: a link to a folder that is in this folder anyway",
    "folder closed": "not read: a folder that may not be read",
    "folder empty": "not read: an empty folder",
    "no file": "not read: neither a file nor a folder",
}


class UnreadFile(NamedTuple):
    """One image, table or folder that is not read.

    Attributes
    ----------
    file : str
        Path below the folder of the cohort.
    subject : str or None
        Such as ``"sub-01"``, by the path.
    finding : str
        Why it is not read.
    """

    file: str
    subject: str | None
    finding: str


def find_unread_files(root, used=()):
    """Find the images of a folder that are not among those used, known by content or name.

    Images in ``derivatives/truth`` are the kit's own and passed over. Of a folder of
    DICOM files there is one entry.

    Parameters
    ----------
    root : path
    used : collection of Path, default=()
        Images that are read, as paths below `root`.

    Returns
    -------
    list of UnreadFile
        In natural order.
    """
    root, used, found, dicom = Path(root), set(used), [], Counter()
    for path, kind in walk_entries(root):
        place = path.relative_to(root)
        if path in used or kind == "litter" or place.parts[:2] == _TRUTH:
            continue
        subject = next((part for part in place.parts if part.startswith("sub-")), None)
        subject = subject and subject.split("_")[0].split(".")[0]
        if kind != "file":
            if subject or path.name.lower().endswith((*_NAMES, *_TABLES)):
                found.append(UnreadFile(place.as_posix(), subject, _KINDS[kind]))
        elif len(place.parts) == 1 and path.name.lower() in _TABLES[1:]:
            found.append(UnreadFile(place.as_posix(), None, "not read: labels are read from participants.tsv alone"))
        elif _is_dicom(path):
            dicom[place.parent, subject] += 1
        elif _is_image(path):
            found.append(UnreadFile(place.as_posix(), subject, NOT_READ))
    for (folder, subject), count in dicom.items():
        finding = f"not read: {count} DICOM files, import the folder with `epitome cohort dicom`"
        found.append(UnreadFile(folder.as_posix(), subject, finding))
    return found


def name_some(strays, most=3):
    """Name a few of what is not read, for an error.

    Parameters
    ----------
    strays : list of UnreadFile
    most : int, default=3

    Returns
    -------
    str
        Empty where there is none.
    """
    if not strays:
        return ""
    more = f" and {len(strays) - most} more" if len(strays) > most else ""
    return f"{', '.join(stray.file for stray in strays[:most])}{more}"


def _is_image(path):
    if path.name.lower().endswith(_NAMES):
        return True
    try:
        return scan_kind(first_bytes(path)[0]) in SCANS
    except OSError:
        return False


def _is_dicom(path):
    if path.suffix.lower() in (".dcm", ".ima"):
        return True
    try:
        start, packed = first_bytes(path)
    except OSError:
        return False
    return not packed and "DICOM" in describe_content(start)
