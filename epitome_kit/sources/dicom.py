"""Import a folder of DICOM files, without the names and dates in their headers."""

import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from epitome_kit.cohort import Cohort
from epitome_kit.contrast_table import CONTRASTS, SUFFIX_KINDS, either
from epitome_kit.errors import CohortError, EpitomeWarning, ImageError, Reason
from epitome_kit.files import PathLike
from epitome_kit.ledger import Decisions, require_decisions, unused_decisions
from epitome_kit.lock import locks
from epitome_kit.sources.dicom_choice import choose, list_series, name_sources
from epitome_kit.sources.dicom_convert import convert, describe
from epitome_kit.sources.dicom_duplicates import describe_duplicates
from epitome_kit.sources.dicom_exams import drop_copies
from epitome_kit.sources.dicom_files import Found, Header, find_headers
from epitome_kit.sources.dicom_headers import Volume, burned_in, digest_volumes, gather
from epitome_kit.sources.dicom_ledger import (
    NOT_CONVERTED,
    count_skipped,
    exclude_with_subject,
    list_copies,
    list_files,
    mark_unconverted,
)
from epitome_kit.sources.dicom_people import Person, identify_people
from epitome_kit.sources.dicom_subjects import describe_participants, name_subjects
from epitome_kit.sources.importing import (
    Deface,
    adopt_subjects,
    check_folders,
    describe_cohort,
    import_difference,
    read_repairs,
    write_scans,
)
from epitome_kit.sources.labels import Labels, find_labels

_DISEASE = ["grade", "codeletion", "histology"]
_README = """\
Converted from DICOM with dcm2niix. Scans were chosen by their headers, of the contrasts
{contrasts}. Names, identifiers, dates and free text of the headers were left behind; age and sex were
kept, ages above 89 as 89. {faces} {labels}
"""


class Patient(NamedTuple):
    """One person and their volumes."""

    person: Person
    volumes: list[Volume]


@locks("cohort dicom")
def import_dicom(
    source: PathLike,
    out: PathLike,
    *,
    keep_ids: bool = False,
    person_folders: bool = False,
    decisions: Decisions | None = None,
    deface: Deface | None = None,
    workers: int = 1,
) -> Cohort:
    """Import a folder of DICOM files with any layout.

    Images are grouped into volumes by person, series, echo time and orientation, and
    the contrast of each volume is judged by its headers. Volumes with missing or
    unevenly spaced slices are never taken; volumes without a pixel size are imported with
    an unknown voxel size. A subject without a usable volume is excluded, with the reason.

    Labels are read from tables in `source` that identify subjects by DICOM PatientID.
    Subjects that an earlier import into `out` has completed are kept.

    Parameters
    ----------
    source : path
        Folder of DICOM files, searched recursively.
    out : path
        Folder for the cohort.
    keep_ids : bool, default=False
        Name subjects by PatientID, which must then be a pseudonym. Subjects without a
        PatientID of their own, and all subjects otherwise, are numbered, and nothing but
        the private files of the import (``sources.tsv``, ``.sources/``) links them to
        the origin.
    person_folders : bool, default=False
        Treat each folder directly below `source` as one person, whatever its headers
        contain.
    decisions : dict of (str, str) to str, default=None
        Manual decisions on series (a contrast, or ``leave out``), as returned by
        :func:`epitome_kit.ledger.read_decisions`.
    deface : callable, default=None
        Takes a scan and returns it without the face, such as
        :func:`epitome_kit.deface`. None keeps faces.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    Cohort
        Its `ledger` lists every series and why it was taken or not; its `repaired`
        lists irregularities such as missing slices or several echoes.

    Raises
    ------
    CohortError
        `source` does not exist or contains no DICOM file, or every subject is excluded.
    ParameterError
        One folder is the other, or lies inside it.
    OutputError
        `out` cannot be written to, or holds other subjects.

    See Also
    --------
    import_bids : Import a BIDS folder.
    import_lgg_1p19q : Import the LGG-1p19qDeletion collection from DICOM.
    deface : Remove the face from a scan.
    epitome_kit.sources.dicom_people.identify_people : How persons are identified.
    epitome_kit.sources.dicom_choice.choose : How series and studies are chosen.
    epitome_kit.sources.labels.find_labels : How tables of labels are found and read.

    References
    ----------
    Li et al., J Neurosci Methods 2016, doi:10.1016/j.jneumeth.2016.03.001 (dcm2niix)

    Examples
    --------
    >>> import epitome_kit as ek
    >>> cohort = ek.import_dicom("archive", "cohort", workers=4)  # doctest: +SKIP
    """
    source, out = Path(source), Path(out)
    decisions = require_decisions(out, decisions)
    decided = {name: decision for (name, kind), decision in decisions.items() if kind == "series"}
    patients, found = read_patients(source, person_folders=person_folders, workers=workers)
    names = name_subjects(patients, keep_ids=keep_ids)
    check_folders(source, out, names.values())
    labels = find_labels(source, [patient for patient, (one, _) in patients.items() if not one.shared])
    sources = name_sources([volume for patient in patients.values() for volume in patient.volumes], source)
    decided_volumes = {volume: decided[name] for volume, name in sources.items() if name in decided}
    choices = {patient: choose(patients[patient].volumes, decisions=decided_volumes) for patient in names}
    reasons = _reasons(patients, names, labels)
    excluded = [(names[patient], reason) for patient, reason in reasons.items()]
    duplicates = _warn_of_duplicates(
        {names[each]: patients[each].person.headers for each in names if each not in reasons}
    )
    items = {}
    for patient in [patient for patient in names if patient not in reasons]:
        scans, repairs, _ = choices[patient][0]
        drawn = burned_in(scans.values())
        if drawn:
            warnings.warn(f"import_dicom: {names[patient]}: {drawn}; look at it", EpitomeWarning, stacklevel=2)
        notes = [*patients[patient].person.notes, *duplicates.get(names[patient], []), *filter(None, [drawn])]
        items[names[patient]] = names[patient], scans, repairs, notes
    excluded += adopt_subjects(partial(_import_subject, out, deface), items, workers=workers)
    left_out = {name for name, _ in excluded}
    kept = {patient: name for patient, name in names.items() if name not in left_out}
    entries = [entry for patient in names for entry in list_series(choices[patient], sources, names[patient])]
    repaired = read_repairs(out, sorted(kept.values()))
    entries = [mark_unconverted(exclude_with_subject(entry, left_out), out, repaired) for entry in entries]
    entries += [entry._replace(subject=names.get(entry.subject, "")) for entry in labels.entries]
    entries += list_copies(patients, names, source)
    entries += list_files(found, source, {entry.source for entry in labels.entries})
    faces = "Faces were removed." if deface else "Faces were kept."
    return describe_cohort(
        out,
        source=source,
        participants=describe_participants(kept, patients, choices, labels.table, keep_ids=keep_ids),
        excluded=excluded,
        entries=[*entries, *unused_decisions(decisions, entries)],
        name="DICOM import",
        readme=_README.format(contrasts=", ".join(CONTRASTS), faces=faces, labels=labels.summary),
    )


def read_patients(
    source: PathLike, *, person_folders: bool = False, workers: int = 1
) -> tuple[dict[str, Patient], Found]:
    """Read every DICOM volume of a folder and group the volumes by person.

    Parameters
    ----------
    source : path
        Folder of DICOM files.
    person_folders : bool, default=False
        Treat each folder directly below `source` as one person.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    patients : dict of str to Patient
        Sorted by name.
    found : Found
        The files of the folder.

    Raises
    ------
    CohortError
        The folder does not exist, or contains no DICOM file.
    """
    if not Path(source).is_dir():
        raise CohortError(
            "import_dicom", "a folder of DICOM files", f"{source}, which is not a folder", "check the path"
        )
    found = find_headers(source, workers=workers)
    if not found.headers:
        damaged = f"{len(found.damaged)} damaged ones in {source}" if found.damaged else f"none in {source}"
        skipped = ", ".join(f"{n} x {kind}" for kind, n in count_skipped(found).items())
        raise CohortError(
            "import_dicom",
            "DICOM files",
            f"{damaged}, but {skipped}" if skipped else damaged,
            "unpack archives first, and pass the folder that contains the series",
        )
    people = identify_people(found.headers, source, by_folder=person_folders)
    return {one.name: Patient(one, gather(one.name, drop_copies(one.headers))) for one in people}, found


def _reasons(patients: Mapping[str, Patient], names: Mapping[str, str], labels: Labels) -> dict[str, str]:
    """Return the subjects that are excluded before any scan is read, with the reasons."""
    reasons: dict[str, str] = {}
    for patient, (person, _) in patients.items():
        if person.reason:
            reasons[patient] = person.reason
        elif patient in labels.conflicting:
            reasons[patient] = str(Reason("one row in the table of labels", "rows that differ"))
        elif person.duplicate_of:
            expected = "images of one subject under one PatientID"
            first = names[person.duplicate_of]
            reasons[patient] = str(Reason(expected, f"those of {first} under another: kept as {first}"))
            rows = labels.table.reindex([person.duplicate_of, patient], columns=_DISEASE).dropna(how="all")
            if person.duplicate_of in reasons:
                reasons[patient] = str(Reason(expected, f"those of {first} under another, which is left out"))
            elif len(rows) == 2 and not rows.iloc[0].equals(rows.iloc[1]):
                reasons[patient] = str(Reason(expected, f"those of {first} under another, with other labels"))
                reasons.setdefault(person.duplicate_of, reasons[patient].replace(first, names[patient]))
    return reasons


def _warn_of_duplicates(people: Mapping[str, list[Header]]) -> dict[str, list[str]]:
    """Warn of subjects that may be one person; return notes by subject."""
    notes, sentences = describe_duplicates(people)
    for sentence in sentences:
        hint = "if so, put them into one folder and import with --person-folders, else folds share a person"
        warnings.warn(f"import_dicom: {sentence}: {hint}", EpitomeWarning, stacklevel=3)
    return notes


def _import_subject(
    out: Path, deface: Deface | None, item: tuple[str, dict[str, Volume], list[str], list[str]]
) -> str | None:
    """Convert and write one subject: name, scans, repairs and notes."""
    name, scans, repairs, notes = item
    if not scans:
        raise ImageError(
            "import",
            f"a {either(SUFFIX_KINDS)} volume",
            "; ".join(repairs) or "none among its series",
            "look at the series in a viewer",
        )
    origin = {"SourceDigest": digest_volumes(scans.values(), *scans), "Defaced": bool(deface)}
    again = import_difference(out, name, origin)
    if again is None:
        return None
    images, failed = {}, {}
    for contrast, volume in scans.items():
        try:
            images[contrast] = convert(volume)
        except ImageError as error:
            failed[contrast] = error
    if not images:
        raise next(iter(failed.values()))
    repairs = [*repairs, *(f"{contrast} {NOT_CONVERTED}{error.reason}" for contrast, error in failed.items()), *notes]
    if deface:
        images = {contrast: deface(image) for contrast, image in images.items()}
    sidecars = {contrast: {**describe(scans[contrast]), "Defaced": bool(deface)} for contrast in images}
    write_scans(out, name, images, sidecars, origin={**origin, "Repairs": repairs})
    return again
