"""A folder of DICOM files as scanners and archives write them: scans out, names and dates left behind."""

import hashlib
import re
import warnings
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from epitome_kit.contrast_table import CONTRASTS, SUFFIX_KINDS, either
from epitome_kit.errors import CohortError, EpitomeWarning, ImageError, Reason
from epitome_kit.ledger import require_decisions, unused_decisions
from epitome_kit.sources.dicom_choice import choose, list_series, name_sources
from epitome_kit.sources.dicom_convert import convert, describe
from epitome_kit.sources.dicom_duplicates import describe_duplicates
from epitome_kit.sources.dicom_exams import drop_copies
from epitome_kit.sources.dicom_files import find_headers
from epitome_kit.sources.dicom_headers import gather
from epitome_kit.sources.dicom_ledger import LOST, as_written, count_passed, list_copies, list_files, with_its_subject
from epitome_kit.sources.dicom_names import age_years
from epitome_kit.sources.dicom_people import identify_people
from epitome_kit.sources.importing import (
    adopt_subjects,
    check_folders,
    describe_cohort,
    import_difference,
    read_repairs,
    write_scans,
)
from epitome_kit.sources.labels import find_labels

_OLDEST = 89
_DISEASE = ["grade", "codeletion", "histology"]
_README = """\
Converted from DICOM with dcm2niix. Scans were chosen by their headers, of the contrasts
{contrasts}. Names, identifiers, dates and free text of the headers were left behind; age and sex were
kept, ages above 89 as 89. {faces} {labels}
"""


class Patient(NamedTuple):
    """One person of a source.

    Attributes
    ----------
    person : Person
    volumes : list of Volume
    """

    person: tuple
    volumes: list


def import_dicom(source, out, *, keep_ids=False, person_folders=False, decisions=None, deface=None, workers=1):
    """Import a folder of DICOM files, laid out in any way.

    Images are gathered by person, series, echo time and orientation; the judge of
    contrasts says what a volume is. How people are told apart is described in
    :func:`epitome_kit.sources.dicom_people.identify_people`, how series and studies are
    chosen in :func:`epitome_kit.sources.dicom_choice.choose`. A volume with missing or
    uneven slices is never taken; one whose pixels have no size is taken as one of
    unknown voxel size. A subject without any usable volume is left out by name and
    reason. Labels come from tables in `source`, whose subjects are called by their
    DICOM PatientID, see :func:`epitome_kit.sources.labels.find_labels`. Subjects that
    an earlier import into `out` has finished are kept as they are.

    Parameters
    ----------
    source, out : path
        Folder of DICOM files, at any depth, and a folder for the cohort.
    keep_ids : bool, default=False
        Call subjects by their PatientID, which must then be a pseudonym; else they
        are numbered, and nothing links them to the origin.
    person_folders : bool, default=False
        Each folder directly below `source` is one person, whatever its headers say.
    decisions : dict of (str, str) to str, default=None
        What a person decided on series, see :func:`epitome_kit.ledger.read_decisions`:
        a contrast, or ``leave out``.
    deface : callable, default=None
        Takes a scan and returns it without the face, see
        :func:`epitome_kit.preprocess.defacing.deface`. None keeps faces.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    Cohort
        Its `ledger` lists every series and why it was taken or not; its `repaired`
        what was noticed: missing slices, several echoes or studies.

    Raises
    ------
    CohortError
        No such folder, no DICOM in it, or every subject left out.
    ParameterError
        One of the folders is, or lies in, the other.
    OutputError
        `out` cannot be written, or holds other subjects.
    """
    source, out = Path(source), Path(out)
    decisions = require_decisions(out, decisions)
    decided = {name: decision for (name, kind), decision in decisions.items() if kind == "series"}
    patients, found = read_patients(source, person_folders=person_folders, workers=workers)
    names = _names(patients, keep_ids)
    check_folders(source, out, names.values())
    labels = find_labels(source, [patient for patient, (one, _) in patients.items() if not one.shared])
    sources = name_sources([volume for patient in patients.values() for volume in patient.volumes], source)
    answers = {volume: decided[name] for volume, name in sources.items() if name in decided}
    choices = {patient: choose(patients[patient].volumes, decisions=answers) for patient in names}
    reasons = _reasons(patients, names, labels)
    excluded = [(names[patient], reason) for patient, reason in reasons.items()]
    alike = _say_alike({names[each]: patients[each].person.headers for each in names if each not in reasons})
    items = {
        names[patient]: (
            names[patient],
            *choices[patient][0][:2],
            [*patients[patient].person.notes, *alike.get(names[patient], [])],
        )
        for patient in names
        if patient not in reasons
    }
    excluded += adopt_subjects(partial(_import_subject, out, deface), items, workers=workers)
    left_out = {name for name, _ in excluded}
    kept = {patient: name for patient, name in names.items() if name not in left_out}
    entries = [entry for patient in names for entry in list_series(choices[patient], sources, names[patient])]
    repaired = read_repairs(out, sorted(kept.values()))
    entries = [as_written(with_its_subject(entry, left_out), out, repaired) for entry in entries]
    entries += [entry._replace(subject=names.get(entry.subject, "")) for entry in labels.entries]
    entries += list_copies(patients, names, source)
    entries += list_files(found, source, {entry.source for entry in labels.entries})
    return describe_cohort(
        out,
        source=source,
        participants=_participants(kept, patients, choices, labels.table, keep_ids),
        excluded=excluded,
        repaired=repaired,
        entries=[*entries, *unused_decisions(decisions, entries)],
        name="DICOM import",
        readme=_README.format(
            contrasts=", ".join(CONTRASTS),
            faces="Faces were removed." if deface else "Faces were kept.",
            labels=labels.summary,
        ),
    )


def read_patients(source, *, person_folders=False, workers=1):
    """Read every DICOM volume of a folder, by person.

    Parameters
    ----------
    source : path
    person_folders : bool, default=False
        Each folder directly below `source` is one person.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    patients : dict of str to Patient
        In the order of their names.
    found : Found
        The files of the folder.

    Raises
    ------
    CohortError
        No such folder, or no DICOM in it.
    """
    if not Path(source).is_dir():
        raise CohortError("import_dicom", "a folder of DICOM files", f"{source}, which is no folder", "check the path")
    found = find_headers(source, workers=workers)
    if not found.headers:
        damaged = f"{len(found.damaged)} damaged ones in {source}" if found.damaged else f"none in {source}"
        passed = ", ".join(f"{n} x {kind}" for kind, n in count_passed(found).items())
        raise CohortError(
            "import_dicom",
            "DICOM files",
            f"{damaged}, but {passed}" if passed else damaged,
            "unpack archives first, and give the folder that holds the series",
        )
    people = identify_people(found.headers, source, by_folder=person_folders)
    return {one.name: Patient(one, gather(one.name, drop_copies(one.headers))) for one in people}, found


def _reasons(patients, names, labels):
    """Say who is left out before any scan is looked at, and why."""
    reasons = {}
    for patient, (person, _) in patients.items():
        if person.reason:
            reasons[patient] = person.reason
        elif patient in labels.conflicting:
            reasons[patient] = str(Reason("one row in the table of labels", "rows that differ"))
        elif person.twin:
            expected = "images of one subject under one PatientID"
            first = names[person.twin]
            reasons[patient] = str(Reason(expected, f"those of {first} under another: kept as {first}"))
            rows = labels.table.reindex([person.twin, patient], columns=_DISEASE).dropna(how="all")
            if person.twin in reasons:
                reasons[patient] = str(Reason(expected, f"those of {first} under another, who is left out"))
            elif len(rows) == 2 and not rows.iloc[0].equals(rows.iloc[1]):
                reasons[patient] = str(Reason(expected, f"those of {first} under another, with other labels"))
                reasons.setdefault(person.twin, reasons[patient].replace(first, names[patient]))
    return reasons


def _say_alike(people):
    """Warn of subjects that may be one person; returns notes by subject."""
    notes, sentences = describe_duplicates(people)
    for sentence in sentences:
        hint = "if so, put them into one folder and import with --person-folders, else folds share a person"
        warnings.warn(f"import_dicom: {sentence}: {hint}", EpitomeWarning, stacklevel=3)
    return notes


def _import_subject(out, deface, item):
    """Convert and write one subject."""
    name, scans, repairs, notes = item
    if not scans:
        raise ImageError(
            "import",
            f"a {either(SUFFIX_KINDS)} volume",
            "; ".join(repairs) or "none among its series",
            "look at the series in a viewer",
        )
    origin = {"SourceDigest": digest(scans.values(), *scans), "Defaced": bool(deface)}
    again = import_difference(out, name, origin)
    if again is None:
        return None
    images, lost = {}, {}
    for contrast, volume in scans.items():
        try:
            images[contrast] = convert(volume)
        except ImageError as error:
            lost[contrast] = error
    if not images:
        raise next(iter(lost.values()))
    repairs = [*repairs, *(f"{contrast} {LOST}{error.reason}" for contrast, error in lost.items())]
    if deface:
        images = {contrast: deface(image) for contrast, image in images.items()}
    said = {"Repairs": [*repairs, *notes]}
    notes = {contrast: {**describe(scans[contrast]), **origin, **said} for contrast in images}
    write_scans(out, name, images, notes)
    return again


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
        return {patient: f"sub-{index:0{digits}d}" for index, patient in enumerate(patients, start=1)}
    names = {patient: "sub-" + re.sub(r"[^A-Za-z0-9]", "", patient) for patient in patients}
    if len(set(names.values())) < len(names) or "sub-" in names.values():
        raise CohortError(
            "import_dicom",
            "PatientIDs that differ in their letters and digits",
            f"{len(names)} PatientIDs that make {len(set(names.values()))} names",
            "import without keeping them, and subjects are numbered",
        )
    return names


def _participants(kept, patients, choices, labels, keep_ids):
    """Labels of the table, with age and sex of the headers where it has none."""
    rows = labels.reindex(list(kept)).reset_index(drop=True)
    rows.insert(0, "participant_id", list(kept.values()))
    people = [person([*choices[name][0].scans.values(), *patients[name].volumes]) for name in kept]
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
        Of one person, the scan whose age counts first.

    Returns
    -------
    dict
        `age` in years, at most 89, and `sex`, F or M; None where unknown.
    """
    ages = (_age(volume.physics) for volume in volumes)
    sexes = (volume.physics["sex"] for volume in volumes)
    age = next((age for age in ages if age is not None), None)
    return {
        "age": None if age is None else min(age, _OLDEST),
        "sex": next((sex for sex in sexes if sex in ("F", "M")), None),
    }


def _age(physics):
    """Age in years; None where it is not known."""
    age = age_years(physics["age"])
    if age is None and all(re.fullmatch(r"\d{8}", physics[name]) for name in ("birth", "date")):
        age = (int(physics["date"]) - int(physics["birth"])) // 10000
    return int(age) if age is not None and 0 <= age < 130 else None
