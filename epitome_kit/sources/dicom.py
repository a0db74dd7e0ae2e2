"""A folder of DICOM files as scanners and archives write them: scans out, names and dates left behind."""

import hashlib
import re
from functools import partial
from pathlib import Path

import pandas as pd

from epitome_kit.cohort import CONTRASTS
from epitome_kit.errors import BadCohort, BadImage
from epitome_kit.sources.dicom_contrast import best, judge_volumes
from epitome_kit.sources.dicom_convert import convert, describe
from epitome_kit.sources.dicom_headers import read_volumes
from epitome_kit.sources.importing import (
    adopt_subjects,
    check_folders,
    describe_cohort,
    is_finished,
    read_repairs,
    write_scans,
)
from epitome_kit.sources.labels import find_labels

_OLDEST = 89
_README = """\
Converted from DICOM with dcm2niix. Scans were chosen by their headers: T1w and T1ce (after contrast agent), T2w
and FLAIR. Names, identifiers, dates and free text of the headers were left behind; age and sex were kept, ages
above 89 as 89. {faces} {labels}
"""


def import_dicom(source, out, *, keep_ids=False, deface=None, workers=1):
    """Import a folder of DICOM files, laid out in any way.

    Images are gathered by patient, series, echo time and orientation; the times of
    the sequence say which contrast a volume is. Of several volumes of one contrast,
    the one with the smallest voxels is taken; of several studies of a patient, the
    first with the most contrasts. A volume with missing slices is never taken. A
    subject without any usable volume is left out by name and reason. Labels come
    from a ``participants.tsv`` in `source`, whose subjects are called by their
    DICOM PatientID. Subjects that an earlier import into `out` has finished are
    kept as they are.

    Parameters
    ----------
    source, out : path
        Folder of DICOM files, at any depth, and a folder for the cohort.
    keep_ids : bool, default=False
        Call subjects by their PatientID, which must then be a pseudonym; else they
        are numbered, and nothing links them to the origin.
    deface : callable, default=None
        Takes a scan and returns it without the face, see
        :func:`epitome_kit.preprocess.deface.deface`. None keeps faces.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    Cohort
        Its `repaired` lists what was noticed: missing slices, several echoes or studies.

    Raises
    ------
    BadCohort
        No such folder, no DICOM in it, or every subject left out.
    BadParameter
        One of the folders is, or lies in, the other.
    BadOutput
        `out` cannot be written, or holds other subjects.
    """
    source, out = Path(source), Path(out)
    patients = read_patients(source, workers=workers)
    names = _names(patients, keep_ids)
    check_folders(source, out, names.values())
    labels = find_labels(source, patients)
    items, excluded = {}, []
    for patient, name in names.items():
        if patient in labels.conflicting:
            excluded.append((name, "expected one row in the table of labels; received rows that differ"))
        else:
            items[name] = (name, *choose(patients[patient])[0])
    excluded += adopt_subjects(partial(_import_subject, out, deface), items, workers=workers)
    left_out = {name for name, _ in excluded}
    kept = {patient: name for patient, name in names.items() if name not in left_out}
    return describe_cohort(
        out,
        source=source,
        participants=_participants(kept, patients, labels.table, keep_ids),
        excluded=excluded,
        repaired=read_repairs(out, sorted(kept.values())),
        name="DICOM import",
        readme=_README.format(
            faces="Faces were removed." if deface else "Faces were kept.",
            labels=labels.summary,
        ),
    )


def read_patients(source, *, workers=1):
    """Read every DICOM volume of a folder, by patient.

    Parameters
    ----------
    source : path
    workers : int, default=1
        Number of processes.

    Returns
    -------
    dict of str to list of Volume
        PatientID to volumes.

    Raises
    ------
    BadCohort
        No such folder, or no DICOM in it.
    """
    if not Path(source).is_dir():
        raise BadCohort("import_dicom", "a folder of DICOM files", f"{source}, which is no folder", "check the path")
    volumes, damaged = read_volumes(source, workers=workers)
    if not volumes:
        raise BadCohort(
            "import_dicom",
            "DICOM files",
            f"{damaged} damaged ones in {source}" if damaged else f"none in {source}",
            "unpack archives first, and give the folder that holds the series",
        )
    patients = {}
    for volume in volumes:
        patients.setdefault(volume.patient, []).append(volume)
    return patients


def choose(volumes, *, judge=judge_volumes):
    """Choose a patient's scans by their headers.

    Parameters
    ----------
    volumes : sequence of Volume
        Of one patient.
    judge : callable, default=judge_volumes
        Takes the volumes of a study and judges each.

    Returns
    -------
    list of (dict of str to Volume, list of str)
        One entry a study, those with most contrasts first, then by date: contrast to
        volume in the order of :data:`epitome_kit.cohort.CONTRASTS`, and what was
        noticed on the way.
    """
    studies = {}
    for volume in volumes:
        studies.setdefault(volume.study, []).append(volume)
    found = []
    for number, study in enumerate(studies.values(), start=1):
        scans, repairs = _choose_in_study(study, judge)
        if len(studies) > 1:
            which = f"{len(studies)} studies: took study {number} by date, with {' and '.join(scans) or 'nothing'}"
            repairs.insert(0, which)
        found.append((scans, repairs))
    return sorted(found, key=lambda chosen: -len(chosen[0]))


def _choose_in_study(volumes, judge):
    candidates, repairs = {}, []
    for volume, (contrast, _) in zip(volumes, judge(volumes), strict=True):
        contrast = contrast if contrast in CONTRASTS else None
        if contrast and volume.fault:
            expected, received = volume.fault
            repairs.append(f"{contrast} not taken: expected {expected}; received {received}")
        elif contrast:
            candidates.setdefault(contrast, []).append(volume)
    scans = {contrast: best(candidates[contrast]) for contrast in CONTRASTS if contrast in candidates}
    for contrast, volume in scans.items():
        together = [other for other in volumes if other.series == volume.series]
        echoes = sorted({other.echo_ms for other in together if other.echo_ms})
        if len(echoes) > 1:
            times = " and ".join(f"{echo:g}" for echo in echoes)
            repairs.append(f"{volume.title} holds echoes of {times} ms: {contrast} is the one of {volume.echo_ms:g} ms")
        announced, came = volume.physics["announced"], sum(other.slices for other in together)
        if announced and came < announced:
            repairs.append(f"{contrast}: {volume.title} has {came} images and announces {announced:.0f}")
    return scans, repairs


def _import_subject(out, deface, item):
    """Convert and write one subject."""
    name, scans, repairs = item
    if not scans:
        raise BadImage(
            "import",
            "a T1w, T2w or FLAIR volume",
            "; ".join(repairs) or "none by the times of the sequences",
            "look at the series in a viewer",
        )
    origin = {"SourceDigest": digest(scans.values()), "Defaced": bool(deface)}
    if is_finished(out, name, origin):
        return
    images = {contrast: convert(volume) for contrast, volume in scans.items()}
    if deface:
        images = {contrast: deface(image) for contrast, image in images.items()}
    notes = {contrast: {**describe(volume), **origin, "Repairs": repairs} for contrast, volume in scans.items()}
    write_scans(out, name, images, notes)


def digest(volumes, *names):
    """Tell volumes from any others without naming them.

    Parameters
    ----------
    volumes : iterable of Volume
    *names : str
        Other things that matter.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    known = sorted(f"{instance} {volume.echo_ms}" for volume in volumes for instance in volume.instances)
    return hashlib.sha256("\n".join((*known, *names)).encode()).hexdigest()[:16]


def _names(patients, keep_ids):
    """Name of each subject in the cohort."""
    if not keep_ids:
        digits = max(3, len(str(len(patients))))
        return {patient: f"sub-{index:0{digits}d}" for index, patient in enumerate(sorted(patients), start=1)}
    names = {patient: "sub-" + re.sub(r"[^A-Za-z0-9]", "", patient) for patient in sorted(patients)}
    if len(set(names.values())) < len(names) or "sub-" in names.values():
        raise BadCohort(
            "import_dicom",
            "PatientIDs that differ in their letters and digits",
            f"{len(names)} PatientIDs that make {len(set(names.values()))} names",
            "import without keeping them, and subjects are numbered",
        )
    return names


def _participants(kept, patients, labels, keep_ids):
    """Labels of the table, with age and sex of the headers where it has none."""
    rows = labels.reindex(list(kept)).reset_index(drop=True)
    rows.insert(0, "participant_id", list(kept.values()))
    people = [person(patients[patient]) for patient in kept]
    for column in ("age", "sex"):
        stated = pd.Series([known[column] for known in people], dtype=object)
        rows[column] = rows[column].where(rows[column].notna(), stated) if column in rows else stated
    rows["age"] = pd.to_numeric(rows["age"]).clip(upper=_OLDEST)
    rows["source_id"] = list(kept) if keep_ids else pd.NA
    return rows.convert_dtypes()


def person(volumes):
    """Age at the scan and sex, as the headers have them.

    Parameters
    ----------
    volumes : sequence of Volume
        Of one patient.

    Returns
    -------
    dict
        `age` in years, at most 89, and `sex`, F or M; None where unknown.
    """
    physics = volumes[0].physics
    stated = re.fullmatch(r"(\d{3})([YMWD])", physics["age"])
    age = None
    if stated:
        age = int(stated[1]) // {"Y": 1, "M": 12, "W": 52, "D": 365}[stated[2]]
    elif re.fullmatch(r"\d{8}", physics["birth"]) and re.fullmatch(r"\d{8}", physics["date"]):
        age = (int(physics["date"]) - int(physics["birth"])) // 10000
    known = age is not None and 0 <= age < 130
    return {
        "age": min(age, _OLDEST) if known else None,
        "sex": physics["sex"] if physics["sex"] in ("F", "M") else None,
    }
