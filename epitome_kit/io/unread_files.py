"""Find images in the folder of a cohort that are not read, and the reasons."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from epitome_kit.files import PathLike
from epitome_kit.folders import walk_entries
from epitome_kit.io.content import SCANS, describe_content, first_bytes, scan_kind

NOT_READ = "not read: not named as in a cohort of the kit, import the folder with `epitome cohort bids`"
"""Reason for a scan or mask."""

_TRUTH = "derivatives", "truth"
_NAMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh")
_TABLES = ("participants.tsv", "participants.csv", "participants.xlsx", "participants.txt", "participants.tsv.gz")
_KINDS = {
    "broken link": "not read: a broken link, its content was not fetched or was removed",
    "folder again": "not read: a link to a folder inside this folder",
    "folder closed": "not read: a folder without read permission",
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
        Such as ``"sub-01"``, from the path.
    finding : str
        Why it is not read.
    """

    file: str
    subject: str | None
    finding: str


def find_unread_files(root: PathLike, used: Collection[Path] = ()) -> list[UnreadFile]:
    """Find images in a folder, by content or name, that are not among the used ones.

    Images in ``derivatives/truth`` are skipped. A folder of DICOM files gives one entry.

    Parameters
    ----------
    root : path
        Folder of the cohort.
    used : collection of Path, default=()
        Images that are read, as paths below `root`.

    Returns
    -------
    list of UnreadFile
        In natural order.
    """
    root, used = Path(root), set(used)
    found: list[UnreadFile] = []
    dicom: Counter[tuple[Path, str | None]] = Counter()
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
            found.append(UnreadFile(place.as_posix(), None, "not read: labels are read only from participants.tsv"))
        elif _is_dicom(path):
            dicom[place.parent, subject] += 1
        elif _is_image(path):
            found.append(UnreadFile(place.as_posix(), subject, NOT_READ))
    for (folder, subject), count in dicom.items():
        finding = f"not read: {count} DICOM files, import the folder with `epitome cohort dicom`"
        found.append(UnreadFile(folder.as_posix(), subject, finding))
    return found


def name_files(unread: list[UnreadFile], most: int = 3) -> str:
    """Name the first few unread files, for an error.

    Parameters
    ----------
    unread : list of UnreadFile
        As from :func:`find_unread_files`.
    most : int, default=3
        Number of files to name.

    Returns
    -------
    str
        Empty if the list is empty.
    """
    if not unread:
        return ""
    more = f" and {len(unread) - most} more" if len(unread) > most else ""
    return f"{', '.join(each.file for each in unread[:most])}{more}"


def _is_image(path: Path) -> bool:
    if path.name.lower().endswith(_NAMES):
        return True
    try:
        return scan_kind(first_bytes(path)[0]) in SCANS
    except OSError:
        return False


def _is_dicom(path: Path) -> bool:
    if path.suffix.lower() in (".dcm", ".ima"):
        return True
    try:
        start, packed = first_bytes(path)
    except OSError:
        return False
    return not packed and "DICOM" in describe_content(start)
