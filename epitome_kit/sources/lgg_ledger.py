"""What became of every series, scan and mask of LGG-1p19qDeletion."""

from functools import partial
from pathlib import Path

from epitome_kit.cohort import image_path
from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.ledger import Entry
from epitome_kit.sidecars import read_json_sidecar, sidecar_path
from epitome_kit.sources.dicom import digest
from epitome_kit.sources.dicom_choice import choose, list_series, name_sources
from epitome_kit.sources.dicom_contrast import judge_volumes

SEGMENTATION = "SEG"
"""Modality of a mask as DICOM."""

_ELSE = {
    "series": "another study, or the NIfTI copy that its mask fits, was taken",
    "scan": "a copy: the series was taken",
    "mask": "fits none of the scans that were taken, or another mask does",
}


def choose_scans(volumes):
    """Choose a subject's scans as those of any DICOM; every T1 of the collection is after contrast agent."""
    scans = [volume for volume in volumes if volume.physics["modality"] != SEGMENTATION]
    return choose(scans, judge=partial(judge_volumes, after_agent=True))


def name_copy(kind):
    """Name a NIfTI file in the sidecar of what was made from it.

    Parameters
    ----------
    kind : {"T1ce", "T2w", "mask"}
        What the name of the file says.
    """
    return f"NIfTI {kind}"


def list_sources(out, source, subjects, left_out):
    """List every series, scan and mask for the ledger.

    Parameters
    ----------
    out, source : path
    subjects : dict of str to (str, list of Volume, dict of str to Path)
        By name in the origin: name in the cohort, DICOM volumes, and NIfTI files by kind.
    left_out : set of str
        Names in the origin of the subjects that were left out.

    Returns
    -------
    list of Entry
    """
    names = name_sources([volume for _, volumes, _ in subjects.values() for volume in volumes], source)
    entries = []
    for origin, (name, volumes, files) in subjects.items():
        taken = {} if origin in left_out else _read_taken(out, name)
        keys = {names[volume]: digest([volume]) for volume in volumes}
        seen = list_series(choose_scans(volumes), names, name)
        seen += [
            Entry(names[volume], "mask", name, evidence=f"{volume.title}: a DICOM segmentation")
            for volume in volumes
            if volume.physics["modality"] == SEGMENTATION
        ]
        for kind, path in files.items():
            place = Path(path).relative_to(source).as_posix()
            keys[place] = name_copy(kind)
            seen.append(Entry(place, "mask" if kind == "mask" else "scan", name, evidence=f"its name says {kind}"))
        entries += [_judge(entry, taken.get(keys[entry.source]), origin in left_out) for entry in seen]
    return entries


def _read_taken(out, name):
    """Read from the sidecars of a subject's scans what each source was taken as."""
    taken = {}
    for contrast in CONTRASTS:
        notes = read_json_sidecar(sidecar_path(image_path(out, name, contrast)))
        taken |= {notes.get("TakenFrom"): contrast, notes.get("MaskFrom"): "tumour"}
    return taken


def _judge(entry, taken_as, lost):
    """Say what became of one source."""
    if taken_as:
        return entry._replace(taken_as=taken_as, reason="")
    reason = "its subject was left out" if lost else entry.reason or _ELSE[entry.kind]
    return entry._replace(taken_as="", reason=reason)
