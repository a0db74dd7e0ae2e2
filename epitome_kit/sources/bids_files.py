"""Every image of a BIDS folder: whose it is, and what its name and its sidecars say."""

import glob
import re
from dataclasses import dataclass
from pathlib import Path

from epitome_kit.files import read_json
from epitome_kit.folders import walk_entries
from epitome_kit.ledger import Entry
from epitome_kit.sources.contrast_names import ENDINGS
from epitome_kit.sources.contrast_notes import UNREADABLE

DATATYPES = {"anat", "func", "dwi", "perf", "fmap", "pet", "meg", "eeg", "ieeg", "micr", "nirs", "beh", "mrs", "motion"}
"""Folders of a subject or a session."""

_MASK = re.compile(r"mask|seg|roi|lesion|tumou?r|gtv|glioma", re.IGNORECASE)
_SUBJECT = re.compile(r"(sub-[A-Za-z0-9]+)_")
_SESSION = re.compile(r"_(ses-[^_]+)_")
_UNPACKED = re.compile(r"\.(nii|img|hdr|mgh|mgz|nrrd|mha|mhd|dcm|ima)(\W|$)|\.(zip|7z|rar|tar|tgz|bz2|xz|zst|z)$", re.I)
_KINDS_SAID = {
    "broken link": "a link to nothing: its content was not fetched or has gone",
    "folder again": "a link to a folder that was read already",
    "folder closed": "a folder that may not be read",
    "no file": "neither a file nor a folder",
}


@dataclass(frozen=True, eq=False)
class BidsFile:
    """An image of a BIDS folder.

    Attributes
    ----------
    path : Path
    source : str
        Path relative to the BIDS folder.
    subject, session : str
        Such as ``"sub-01"`` and ``"ses-1"``; the session is empty where there is none.
    entities : dict of str to str
        Such as ``{"acq": "mprage"}``, subject and session included.
    suffix : str
        Last part of the name, such as ``"T1w"``.
    derived : bool
        Whether it lies below ``derivatives``.
    folder : str
        Folder that it lies in below its subject or session, such as ``"anat"``.
    oddity : str
        Why its name or place is not that of a scan in BIDS; empty where it is.
    """

    path: Path
    source: str
    subject: str
    session: str
    entities: dict
    suffix: str
    derived: bool
    folder: str
    oddity: str

    @property
    def is_mask(self):
        """Whether it is named as a mask or a label map."""
        return _MASK.search(self.suffix) is not None or "label" in self.entities

    @property
    def extras(self):
        """Parts of the name that are no entity, such as the ``T1w`` of ``sub-1_T1w_label-lesion_roi``."""
        return [part for part in self.path.name.split(".")[0].split("_")[:-1] if "-" not in part]


def find_files(source):
    """Find every image of a BIDS folder.

    Parameters
    ----------
    source : Path

    Returns
    -------
    files : list of BidsFile
        In natural order.
    entries : list of Entry
        What else looked like an image, or like a file that cannot be opened, and
        why it was not looked at.
    """
    files, entries = [], []
    for path, kind in walk_entries(source):
        place = path.relative_to(source)
        lower = path.name.lower()
        reason = _KINDS_SAID.get(kind)
        if kind == "file" and lower.endswith((".img", ".img.gz")):
            reason = None if _has_header(path) else "an .img without its .hdr"
        elif kind == "file" and lower.endswith(ENDINGS):
            reason = _misplaced(place)
            if reason is None:
                files.append(_bids_file(path, place))
        elif kind == "file" and _UNPACKED.search(lower):
            reason = "no image that is read: unpack it, convert it, or call it by its format"
        if reason:
            entries.append(Entry(place.as_posix(), "file", _subject(place), reason=reason))
    return files, entries


def _has_header(path):
    stem = re.sub(r"\.img(\.gz)?$", "", path.name, flags=re.IGNORECASE).lower()
    return any(each.name.lower() in (f"{stem}.hdr", f"{stem}.hdr.gz") for each in path.parent.iterdir())


def _misplaced(place):
    """Why nothing is looked for where an image lies; None where it lies below a subject or the derivatives."""
    if any(part.startswith(".") for part in place.parts):
        return "in a hidden folder"
    if not _subject(place):
        return "of no subject: no `sub-` in its path"
    top = place.parts[0]
    if len(place.parts) > 1 and (top.startswith("sub-") or top.lower() == "derivatives"):
        return None
    return (
        f"in {top}, which is not read: subjects lie at the top of a BIDS folder"
        if len(place.parts) > 1
        else "in no folder of a subject"
    )


def _subject(place):
    """Subject of a path: that of its folders, else of its name; empty where there is none."""
    named = [part for part in place.parts[:-1] if part.startswith("sub-")]
    match = _SUBJECT.match(place.name)
    return named[-1] if named else (match[1] if match else "")


def _bids_file(path, place):
    subject, stem = _subject(place), path.name.split(".")[0]
    *parts, suffix = stem.split("_")
    entities = dict(part.split("-", 1) for part in parts if "-" in part)
    if "-" in suffix:
        entities |= [suffix.split("-", 1)]
        suffix = ""
    below = place.parts[place.parts.index(subject) + 1 : -1] if subject in place.parts[:-1] else ()
    sessions = [part for part in below if part.startswith("ses-")]
    named = _SESSION.search(f"_{stem}_")
    session = sessions[-1] if sessions else named[1] if named else ""
    derived = place.parts[0].lower() == "derivatives"
    folder = place.parent.name if place.parent.name not in (subject, session) else ""
    match = _SUBJECT.match(f"{stem}_")
    oddity = ""
    if match and match[1] != subject:
        oddity = f"its folder says {subject}, its name {match[1]}"
    elif not derived and not match and re.fullmatch("sub-[A-Za-z0-9]+", subject):
        oddity = f"its name does not begin with {subject}_"
    elif not derived and [part for part in below if part not in (session, *DATATYPES)]:
        oddity = f"it lies in {'/'.join(below)}, which is neither a session (ses-) nor anat"
    return BidsFile(path, place.as_posix(), subject, session, entities, suffix, derived, folder, oddity)


def read_sidecars(file, source):
    """Read what the sidecars of an image say, those of the folders above it included.

    Parameters
    ----------
    file : BidsFile
    source : Path
        The BIDS folder.

    Returns
    -------
    dict
        The nearer sidecar counts more. One that is a link out of the folder says
        nothing; one that cannot be read is named under
        :data:`epitome_kit.sources.contrast_notes.UNREADABLE`.
    """
    notes, stem = {}, file.path.name.split(".")[0]
    folders = [source, *(source / place for place in reversed(Path(file.source).parents) if place != Path("."))]
    for folder in folders:
        found = [*folder.glob(f"*{file.suffix}.json"), *folder.glob(f"{glob.escape(stem)}.*json")]
        for sidecar in sorted(set(found), key=lambda path: len(path.name)):
            if set(sidecar.name.split(".")[0].split("_")[:-1]) <= set(stem.split("_")):
                said = read_notes(sidecar)
                notes |= {UNREADABLE: sidecar.name} if said is None else said
    return notes


def read_notes(path):
    """Read a JSON file that may not be there.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict or None
        Empty where there is none, or a link out of the folder; None where it cannot be read.
    """
    if not path.is_symlink() and not path.is_file():
        return {}
    try:
        notes = {} if path.is_symlink() and path.exists() and _leads_out(path) else read_json(path)
    except (OSError, ValueError):
        return None
    return notes if isinstance(notes, dict) else None


def _leads_out(link):
    """Whether a link of a BIDS folder ends outside of the folder that holds its subject."""
    parts = [part for part in link.absolute().parents if part.name.startswith("sub-")] or [link.parent]
    return not link.resolve().is_relative_to(parts[-1].parent.resolve())
