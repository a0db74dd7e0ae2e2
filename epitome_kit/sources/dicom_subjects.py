"""Name the subjects of a DICOM import, and state what is known of each person."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pandas as pd

from epitome_kit.errors import CohortError
from epitome_kit.files import Json
from epitome_kit.sources.dicom_choice import Choice
from epitome_kit.sources.dicom_headers import Volume
from epitome_kit.sources.dicom_names import age_years
from epitome_kit.sources.importing import subject_name

if TYPE_CHECKING:
    from epitome_kit.sources.dicom import Patient

_MAX_AGE = 89


def name_subjects(patients: Mapping[str, "Patient"], *, keep_ids: bool) -> dict[str, str]:
    """Return the name of each subject in the cohort.

    Parameters
    ----------
    patients : dict of str to Patient
    keep_ids : bool
        Name subjects by PatientID where they have one of their own; all others are numbered.

    Returns
    -------
    dict of str to str
        By name in the source.

    Raises
    ------
    CohortError
        Two PatientIDs make one name.
    """
    digits = max(3, len(str(len(patients))))
    numbered = {patient: f"sub-{index:0{digits}d}" for index, patient in enumerate(patients, start=1)}
    ids = _patient_ids(patients) if keep_ids else {}
    names = {patient: subject_name(ids[patient]) if patient in ids else numbered[patient] for patient in patients}
    if len(set(names.values())) < len(names):
        raise CohortError(
            "import_dicom",
            "PatientIDs that differ in their letters and digits",
            f"{len(names)} PatientIDs that make {len(set(names.values()))} names",
            "import without keeping them, and subjects are numbered",
        )
    return names


def _patient_ids(patients: Mapping[str, "Patient"]) -> dict[str, str]:
    """Return the PatientID of each person who has one and shares it with nobody; never the name of a folder."""
    stated = {patient: {header["patient"] for header in one.person.headers} for patient, one in patients.items()}
    ids = {patient: next(iter(found)) for patient, found in stated.items() if len(found) == 1}
    count = Counter(ids.values())
    return {patient: one for patient, one in ids.items() if subject_name(one) != "sub-" and count[one] == 1}


def describe_participants(
    kept: Mapping[str, str],
    patients: Mapping[str, "Patient"],
    choices: Mapping[str, list[Choice]],
    labels: pd.DataFrame,
    *,
    keep_ids: bool,
) -> pd.DataFrame:
    """Return the labels of the table, completed with age and sex from the headers.

    Parameters
    ----------
    kept : dict of str to str
        Subjects that were imported, by name in the source.
    patients : dict of str to Patient
    choices : dict of str to list of Choice
    labels : DataFrame
        See :class:`epitome_kit.sources.labels.Labels`.
    keep_ids : bool
        As for :func:`name_subjects`.

    Returns
    -------
    DataFrame
        Rows of ``participants.tsv``.
    """
    rows = labels.reindex(list(kept)).reset_index(drop=True)
    rows.insert(0, "participant_id", list(kept.values()))
    people = [age_and_sex([*choices[name][0].scans.values(), *patients[name].volumes]) for name in kept]
    for column in ("age", "sex"):
        stated = pd.Series([known[column] for known in people], dtype=object)
        rows[column] = rows[column].where(rows[column].notna(), stated) if column in rows else stated
    rows["age"] = pd.to_numeric(rows["age"]).clip(upper=_MAX_AGE)
    ids = _patient_ids(patients) if keep_ids else {}
    rows["source_id"] = [ids.get(patient, pd.NA) for patient in kept]
    return rows.convert_dtypes()


def age_and_sex(volumes: Iterable[Volume]) -> dict[str, int | str | None]:
    """Return age at the scan and sex from the headers.

    Parameters
    ----------
    volumes : iterable of Volume
        Volumes of one person; the first stated age and sex count.

    Returns
    -------
    dict
        `age` in years, at most 89, and `sex`, F or M; None if unknown.
    """
    ages = (_age(volume.physics) for volume in volumes)
    sexes = (volume.physics["sex"] for volume in volumes)
    age = next((age for age in ages if age is not None), None)
    return {
        "age": None if age is None else min(age, _MAX_AGE),
        "sex": next((sex for sex in sexes if sex in ("F", "M")), None),
    }


def _age(physics: Json) -> int | None:
    """Return the age in years; None if unknown."""
    age = age_years(physics["age"])
    if age is None and all(re.fullmatch(r"\d{8}", physics[name]) for name in ("birth", "date")):
        age = (int(physics["date"]) - int(physics["birth"])) // 10000
    return int(age) if age is not None and 0 <= age < 130 else None
