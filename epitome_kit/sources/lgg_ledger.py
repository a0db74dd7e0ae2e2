"""Write the ledger entries of every series, scan and mask of LGG-1p19qDeletion."""

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path

from epitome_kit.files import PathLike
from epitome_kit.ledger import Entry
from epitome_kit.sources.dicom_choice import Choice, choose, list_series, name_sources
from epitome_kit.sources.dicom_contrast import judge_volumes
from epitome_kit.sources.dicom_headers import Volume, digest_volumes
from epitome_kit.sources.importing import read_origin

SEGMENTATION = "SEG"
"""DICOM modality of a mask."""

_DEFAULT_REASONS = {
    "series": "another study, or the NIfTI copy that its mask fits, was taken",
    "scan": "a copy: the series was taken",
    "mask": "fits none of the scans that were taken, or another mask does",
}


def choose_scans(volumes: Iterable[Volume]) -> list[Choice]:
    """Choose the scans of a subject; every T1 of the collection is post-contrast."""
    scans = [volume for volume in volumes if volume.physics["modality"] != SEGMENTATION]
    return choose(scans, judge=partial(judge_volumes, after_agent=True))


def name_copy(kind: str) -> str:
    """Return the origin "NIfTI ..." that an import notes for a copied file.

    Parameters
    ----------
    kind : {"T1ce", "T2w", "mask"}
        Kind of the file by its name.

    Returns
    -------
    str
    """
    return f"NIfTI {kind}"


def list_sources(
    out: PathLike,
    source: PathLike,
    subjects: Mapping[str, tuple[str, list[Volume], dict[str, Path]]],
    left_out: Collection[str],
) -> list[Entry]:
    """List every series, scan and mask for the ledger.

    Parameters
    ----------
    out, source : path
        Folder of the cohort, and the imported folder.
    subjects : dict of str to (str, list of Volume, dict of str to Path)
        Name in the cohort, DICOM volumes and NIfTI files by kind, by name in the source.
    left_out : collection of str
        Names of excluded subjects in the source.

    Returns
    -------
    list of Entry
    """
    names = name_sources([volume for _, volumes, _ in subjects.values() for volume in volumes], source)
    entries = []
    for origin, (name, volumes, files) in subjects.items():
        taken = {} if origin in left_out else _read_taken(out, name)
        keys = {names[volume]: digest_volumes([volume]) for volume in volumes}
        found = list_series(choose_scans(volumes), names, name)
        found += [
            Entry(names[volume], "mask", name, evidence=f"{volume.title}: a DICOM segmentation")
            for volume in volumes
            if volume.physics["modality"] == SEGMENTATION
        ]
        for kind, path in files.items():
            place = Path(path).relative_to(source).as_posix()
            keys[place] = name_copy(kind)
            found.append(Entry(place, "mask" if kind == "mask" else "scan", name, evidence=f"its name says {kind}"))
        entries += [_with_outcome(entry, taken.get(keys[entry.source]), origin in left_out) for entry in found]
    return entries


def _read_taken(out: PathLike, name: str) -> dict[str, str]:
    """Read what each source of a subject was imported as."""
    origin = read_origin(out, name)
    return {origin.get("MaskFrom", ""): "tumour"} | {
        one: contrast for contrast, one in origin.get("TakenFrom", {}).items()
    }


def _with_outcome(entry: Entry, taken_as: str | None, lost: bool) -> Entry:
    """Complete the entry of one source: what it was imported as, or why it was not."""
    if taken_as:
        return entry._replace(taken_as=taken_as, reason="")
    reason = "its subject was left out" if lost else entry.reason or _DEFAULT_REASONS[entry.kind]
    return entry._replace(taken_as="", reason=reason)
