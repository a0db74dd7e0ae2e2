"""One person under two PatientIDs is said: by name, birth date and sex, by voxels, or by how the ID is written."""

import pytest
from made_dicom import T1, series, voxels, write_series

from epitome_kit.errors import EpitomeWarning
from epitome_kit.sources.dicom import import_dicom
from epitome_kit.sources.dicom_duplicates import describe_duplicates
from epitome_kit.sources.dicom_files import find_headers

SMALL = (6, 5, 5)
NOBODY = {"PatientName": "", "PatientBirthDate": "", "PatientAge": "", "PatientSex": ""}
ROE = {"PatientName": "Roe^Maxi", "PatientBirthDate": "19520304", "PatientAge": "", "PatientSex": "M"}


def _exam(number, patient, *, seed=None, **header):
    data = voxels(SMALL, seed=number if seed is None else seed)
    return series(data, number=number, patient=patient, study=f"1.2.7.{number}", **{**NOBODY, **header}, **T1)


def _say(folder, *exams):
    people = {}
    for number, images in enumerate(exams, start=1):
        people[f"sub-{number}"] = find_headers(write_series(folder / str(number), images)).headers
    return describe_duplicates(people)


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        (_exam(1, "A1", **ROE), _exam(2, "B7", **ROE), "birth date, sex and name"),
        (_exam(1, "A1", **ROE), _exam(2, "B7", **{**ROE, "PatientName": "ROE^MAXI"}), "birth date, sex and name"),
        (_exam(1, "A1", seed=3), _exam(2, "B7", seed=3), "voxels"),
        (_exam(1, "Pat-01"), _exam(2, "PAT01"), "PatientID but for capitals and signs"),
        (_exam(1, "A1", **ROE), _exam(2, "B7", **{**ROE, "PatientName": "Poe^Max"}), None),
        (_exam(1, "A1", **ROE), _exam(2, "B7", **{**ROE, "PatientBirthDate": "19520101"}), None),
        (_exam(1, "A1", **{**ROE, "PatientName": "ANON"}), _exam(2, "B7", **{**ROE, "PatientName": "ANON"}), None),
        (_exam(1, "Pat-01", PatientSex="F"), _exam(2, "PAT-01", PatientSex="M"), None),
        (_exam(1, "A1"), _exam(2, "A2"), None),
    ],
)
def test_what_two_subjects_share_is_said(tmp_path, first, second, what):
    notes, sentences = _say(tmp_path, first, second)
    assert sentences == ([f"sub-1 and sub-2 may be one person: same {what}"] if what else [])
    assert notes == (dict.fromkeys(("sub-1", "sub-2"), sentences) if what else {})


def test_three_subjects_are_said_once(tmp_path):
    _, sentences = _say(tmp_path, *(_exam(number, f"P{number}", seed=4, **ROE) for number in (1, 2, 3)))
    assert sentences == ["sub-1, sub-2 and sub-3 may be one person: same birth date, sex and name and same voxels"]


def test_an_import_warns_and_keeps_a_note_of_both(tmp_path):
    for number, patient in enumerate(("A1", "B7"), start=1):
        write_series(tmp_path / "in" / patient, _exam(number, patient, **ROE))
    with pytest.warns(EpitomeWarning, match="sub-001 and sub-002 may be one person"):
        cohort = import_dicom(tmp_path / "in", tmp_path / "out")
    assert cohort.repaired.id.tolist() == ["sub-001", "sub-002"]
    assert "Roe" not in (tmp_path / "out" / "sources.tsv").read_text()
