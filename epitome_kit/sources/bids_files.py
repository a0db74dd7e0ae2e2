"""Every image of a BIDS folder: whose it is, and what its name and its sidecars say."""

import re
from dataclasses import dataclass
from pathlib import Path

from epitome_kit.files import read_json
from epitome_kit.folders import walk_entries
from epitome_kit.ledger import Entry
from epitome_kit.sources.contrast_names import ENDINGS

ELSEWHERE = {"sourcedata", "code", "stimuli", "rawdata"}
"""Folders of a BIDS dataset in which no scan or mask is looked for."""

_MASKS = {"mask", "dseg", "probseg", "roi", "seg", "segmentation"}
_SUBJECT = re.compile(r"sub-[A-Za-z0-9]+")
_SESSION = re.compile(r"(?:^|_)(ses-[A-Za-z0-9]+)(?:_|$)")
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
    """

    path: Path
    source: str
    subject: str
    session: str
    entities: dict
    suffix: str
    derived: bool
    folder: str

    @property
    def is_mask(self):
        """Whether it is named as a mask or a label map."""
        return self.suffix.lower() in _MASKS or "label" in self.entities


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
        if kind in _KINDS_SAID:
            entries.append(Entry(place.as_posix(), "file", _subject(place), reason=_KINDS_SAID[kind]))
        elif (
            kind == "file"
            and path.name.lower().endswith(ENDINGS)
            and not path.name.lower().endswith((".img", ".img.gz"))
        ):
            subject, top = _subject(place), place.parts[0]
            if not subject:
                entries.append(Entry(place.as_posix(), "file", reason="of no subject: no `sub-` in its path"))
            elif top in ELSEWHERE:
                entries.append(Entry(place.as_posix(), "file", subject, reason=f"in {top}, which is not read"))
            else:
                files.append(_bids_file(path, place, subject))
    return files, entries


def _subject(place):
    """Subject of a path: that of its folders, else of its name; empty where there is none."""
    named = [part for part in place.parts[:-1] if part.startswith("sub-")]
    match = _SUBJECT.match(place.name)
    return named[-1] if named else (match[0] if match else "")


def _bids_file(path, place, subject):
    *parts, suffix = re.split("_", path.name.split(".")[0])
    entities = dict(part.split("-", 1) for part in parts if "-" in part)
    if "-" in suffix:
        entities |= [suffix.split("-", 1)]
        suffix = ""
    session = _SESSION.search(path.name.split(".")[0]) or _SESSION.search("_".join(place.parts[:-1]))
    folder = place.parent.name if place.parent.name not in (subject, session and session[1]) else ""
    derived = place.parts[0] == "derivatives"
    return BidsFile(path, place.as_posix(), subject, session[1] if session else "", entities, suffix, derived, folder)


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
        The nearer sidecar counts more. One that is damaged, or a link out of the
        folder, says nothing.
    """
    notes = {}
    folders = [source, *(source / place for place in reversed(Path(file.source).parents) if place != Path("."))]
    for folder in folders:
        for sidecar in sorted(folder.glob(f"*{file.suffix}.json"), key=lambda path: len(path.name)):
            *parts, _ = sidecar.name.removesuffix(".json").split("_")
            if set(parts) <= set(file.path.name.split(".")[0].split("_")):
                notes |= read_notes(sidecar)
    return notes


def read_notes(path):
    """Read a JSON file; one that is missing, damaged or a link to another folder says nothing."""
    try:
        notes = {} if path.is_symlink() and _leads_out(path) else read_json(path)
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _leads_out(link):
    """Whether a link of a BIDS folder ends outside of the folder that holds its subject."""
    parts = [part for part in link.absolute().parents if part.name.startswith("sub-")] or [link.parent]
    return not link.resolve().is_relative_to(parts[-1].parent.resolve())
