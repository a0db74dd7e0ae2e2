"""Find the images of a BIDS folder, and parse their names and sidecars."""

import glob
import re
from dataclasses import dataclass
from pathlib import Path

from epitome_kit.files import MOST_NOTES, Json, read_json
from epitome_kit.folders import walk_entries
from epitome_kit.ledger import Entry
from epitome_kit.sources.contrast_names import ENDINGS
from epitome_kit.sources.contrast_notes import UNREADABLE
from epitome_kit.sources.importing import NOT_READ

DATATYPES = {"anat", "func", "dwi", "perf", "fmap", "pet", "meg", "eeg", "ieeg", "micr", "nirs", "beh", "mrs", "motion"}
"""BIDS data types: names of folders in a subject or a session."""

_MASK = re.compile(r"mask|seg|roi|lesion|tumou?r|gtv|glioma", re.IGNORECASE)
_SUBJECT = re.compile(r"(sub-[A-Za-z0-9]+)_")
_SESSION = re.compile(r"_(ses-[^_]+)_")
_UNPACKED = re.compile(r"\.(nii|img|hdr|mgh|mgz|nrrd|mha|mhd|dcm|ima)(\W|$)|\.(zip|7z|rar|tar|tgz|bz2|xz|zst|z)$", re.I)


@dataclass(frozen=True, eq=False)
class BidsFile:
    """An image of a BIDS folder.

    Attributes
    ----------
    path : Path
    source : str
        Path relative to the BIDS folder.
    subject, session : str
        Such as ``"sub-01"`` and ``"ses-1"``; the session may be empty.
    entities : dict of str to str
        Such as ``{"acq": "mprage"}``, subject and session included.
    suffix : str
        Last part of the name, such as ``"T1w"``.
    derived : bool
        Whether the file is below ``derivatives``.
    folder : str
        Its folder below the subject or session, such as ``"anat"``.
    violation : str
        How name or location violate BIDS; empty if they do not.
    """

    path: Path
    source: str
    subject: str
    session: str
    entities: dict[str, str]
    suffix: str
    derived: bool
    folder: str
    violation: str

    @property
    def is_mask(self) -> bool:
        """Whether the file is named like a mask or a label map."""
        return _MASK.search(self.suffix) is not None or "label" in self.entities

    @property
    def extras(self) -> list[str]:
        """Parts of the name that are not entities, such as ``T1w`` in ``sub-1_T1w_label-lesion_roi``."""
        return [part for part in self.path.name.split(".")[0].split("_")[:-1] if "-" not in part]


def find_files(source: Path) -> tuple[list[BidsFile], list[Entry]]:
    """Find every image of a BIDS folder.

    Parameters
    ----------
    source : Path
        The BIDS folder.

    Returns
    -------
    files : list of BidsFile
        In natural order.
    entries : list of Entry
        Other files that look like images, and unreadable files and folders, with the reason.
    """
    files, entries = [], []
    for path, kind in walk_entries(source):
        place = path.relative_to(source)
        lower = path.name.lower()
        reason = NOT_READ.get(kind)
        if kind == "file" and lower.endswith((".img", ".img.gz")):
            reason = None if _has_header(path) else "an .img without its .hdr"
        elif kind == "file" and lower.endswith(ENDINGS):
            reason = _misplaced(place)
            if reason is None:
                files.append(_bids_file(path, place))
        elif kind == "file" and _UNPACKED.search(lower):
            reason = "not a supported image file: unpack it, convert it, or correct its extension"
        if reason:
            entries.append(Entry(place.as_posix(), "file", _subject(place), reason=reason))
    return files, entries


def _has_header(path: Path) -> bool:
    stem = re.sub(r"\.img(\.gz)?$", "", path.name, flags=re.IGNORECASE).lower()
    return any(each.name.lower() in (f"{stem}.hdr", f"{stem}.hdr.gz") for each in path.parent.iterdir())


def _misplaced(place: Path) -> str | None:
    """Explain why the location of an image is not searched; None for subjects and derivatives."""
    if any(part.startswith(".") for part in place.parts):
        return "in a hidden folder"
    if not _subject(place):
        return "no subject: no `sub-` in its path"
    top = place.parts[0]
    if len(place.parts) > 1 and (top.startswith("sub-") or top.lower() == "derivatives"):
        return None
    return (
        f"in {top}, which is not read: subjects lie at the top of a BIDS folder"
        if len(place.parts) > 1
        else "in no folder of a subject"
    )


def _subject(place: Path) -> str:
    """Return the subject of a path, by its folders or else its name; empty if there is none."""
    named = [part for part in place.parts[:-1] if part.startswith("sub-")]
    match = _SUBJECT.match(place.name)
    return named[-1] if named else (match[1] if match else "")


def _bids_file(path: Path, place: Path) -> BidsFile:
    subject, stem = _subject(place), path.name.split(".")[0]
    *parts, suffix = stem.split("_")
    entities = dict(part.split("-", 1) for part in parts if "-" in part)
    if "-" in suffix:
        key, value = suffix.split("-", 1)
        entities[key] = value
        suffix = ""
    below = place.parts[place.parts.index(subject) + 1 : -1] if subject in place.parts[:-1] else ()
    sessions = [part for part in below if part.startswith("ses-")]
    named = _SESSION.search(f"_{stem}_")
    session = sessions[-1] if sessions else named[1] if named else ""
    derived = place.parts[0].lower() == "derivatives"
    folder = place.parent.name if place.parent.name not in (subject, session) else ""
    match = _SUBJECT.match(f"{stem}_")
    violation = ""
    if match and match[1] != subject:
        violation = f"its folder says {subject}, its name {match[1]}"
    elif not derived and not match and re.fullmatch("sub-[A-Za-z0-9]+", subject):
        violation = f"its name does not begin with {subject}_"
    elif not derived and [part for part in below if part not in (session, *DATATYPES)]:
        violation = f"it lies in {'/'.join(below)}, which is neither a session (ses-) nor anat"
    return BidsFile(path, place.as_posix(), subject, session, entities, suffix, derived, folder, violation)


def read_sidecars(file: BidsFile, source: Path) -> Json:
    """Read the sidecars of an image, including those in the folders above it.

    Parameters
    ----------
    file : BidsFile
    source : Path
        The BIDS folder.

    Returns
    -------
    dict
        Nearer sidecars take precedence. The name of an unreadable sidecar is under
        :data:`epitome_kit.sources.contrast_notes.UNREADABLE`.
    """
    notes: Json = {}
    stem = file.path.name.split(".")[0]
    folders = [source, *(source / place for place in reversed(Path(file.source).parents) if place != Path("."))]
    for folder in folders:
        found = [*folder.glob(f"*{file.suffix}.json"), *folder.glob(f"{glob.escape(stem)}.*json")]
        for sidecar in sorted(set(found), key=lambda path: len(path.name)):
            if set(sidecar.name.split(".")[0].split("_")[:-1]) <= set(stem.split("_")):
                fields = read_notes(sidecar)
                notes |= {UNREADABLE: sidecar.name} if fields is None else fields
    return notes


def read_notes(path: Path) -> Json | None:
    """Read a JSON file that may be missing.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict or None
        Empty if the file is missing; None if it is unreadable.
    """
    if not path.is_symlink() and not path.is_file():
        return {}
    try:
        notes = read_json(path, most=MOST_NOTES)
    except (OSError, ValueError):
        return None
    return notes if isinstance(notes, dict) else None
