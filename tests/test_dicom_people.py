"""Who is who in DICOM files: people of one placeholder, one exam under two names, and what is a question."""

import numpy as np
import pytest
from made_dicom import FLAIR, T2, series, voxels, write_series
from tiny import raises_three_lines

from epitome_kit.errors import CohortError
from epitome_kit.files import write_tsv
from epitome_kit.sources.dicom import import_dicom
from epitome_kit.sources.dicom_files import find_headers
from epitome_kit.sources.dicom_names import is_placeholder
from epitome_kit.sources.dicom_people import identify_people

SMALL = (6, 5, 4)


def _exam(folder, seed=0, *, patient="REMOVED", study=None, **header):
    """One small series, in a study of its own unless stated."""
    study = study or f"1.2.7.{abs(hash((str(folder), seed))) % 10**9}"
    return write_series(folder, series(voxels(SMALL, seed=seed), patient=patient, study=study, **T2, **header))


def _people(source, **how):
    return identify_people(find_headers(source).headers, source, **how)


def _sizes(people):
    return [(one.name, len(one.headers) // SMALL[2]) for one in people]


NOBODY = (
    *("", "  ", "***", "-", "X", "xxxxx", "0", "000000", "77777", "12345678", "NONE", "null", "N/A", "n.a."),
    *("no name", "NoName", "Not Available", "ANONYMOUS^PATIENT", "AnonymisedPatient", "De-Identified", "deidentified"),
    *("ID REMOVED", "Redacted", "unknown", "Unbekannt", "Doe^John", "PATIENT", "Test^Patient", "anonymisiert"),
)
SOMEBODY = (
    "LGG-104",
    "A",
    "B7",
    "7",
    "42",
    "110",
    "ANON-017",
    "Patient 3",
    "TCGA-DU-7015",
    "Noel",
    "Anna",
    "10E1",
    "AAB",
)


@pytest.mark.parametrize("text", NOBODY)
def test_what_programs_write_in_the_place_of_a_name_names_nobody(text):
    assert is_placeholder(text)


@pytest.mark.parametrize("text", SOMEBODY)
def test_pseudonyms_name_somebody(text):
    assert not is_placeholder(text)


def test_a_number_of_equal_digits_among_numbers_names_somebody():
    assert not is_placeholder("111", ["109", "110", "111"])
    assert is_placeholder("111", ["111", "LGG-1"]) and is_placeholder("11111", ["11111", "00000"])


@pytest.mark.parametrize("patient", ["REDACTED", "", "99999", "Anonym^Anonym", "hidden"])
def test_people_of_one_placeholder_are_told_apart_by_their_folders(tmp_path, patient):
    for number, name in enumerate(("ward", "clinic", "study")):
        _exam(tmp_path / name / "deep", number, patient=patient)
    people = _people(tmp_path)
    assert _sizes(people) == [("clinic", 1), ("study", 1), ("ward", 1)]
    assert all("folder" in one.notes[0] and not one.reason for one in people)


def test_a_placeholder_that_one_person_has_alone_changes_nothing(tmp_path):
    _exam(tmp_path / "b", 1, patient="LGG-2")
    _exam(tmp_path / "a", 2, patient="REMOVED")
    assert _sizes(_people(tmp_path)) == [("LGG-2", 1), ("REMOVED", 1)]


def test_series_of_one_study_in_several_folders_are_one_person(tmp_path):
    for number, name in enumerate(("T1", "T2"), start=1):
        write_series(tmp_path / name, series(voxels(SMALL), patient="N/A", study="1.2.7.5", number=number, **T2))
    assert _sizes(_people(tmp_path)) == [("N/A", 2)]


def test_one_study_identifier_in_the_exams_of_two_people_joins_nobody(tmp_path):
    for name in ("a", "b"):
        images = series(voxels(SMALL), patient="ANON", study="1.2.7.5", **T2)
        for image in images:
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{image.SOPInstanceUID}.{ord(name)}"
            image.SeriesInstanceUID = f"1.2.7.5.{ord(name)}"
        write_series(tmp_path / name, images)
    assert _sizes(_people(tmp_path)) == [("a", 1), ("b", 1)]


@pytest.mark.parametrize(
    "second",
    [
        {"PatientSex": "M"},
        {"PatientBirthDate": "19871130", "PatientAge": "032Y"},
        {"PatientBirthDate": "19610204"},
        {"PatientBirthDate": "", "PatientAge": "031Y"},
        {"PatientName": "Olsen^Kari", "PatientBirthDate": ""},
    ],
)
def test_studies_of_nobody_that_contradict_one_another_are_several_people(tmp_path, second):
    _exam(tmp_path / "export" / "1", 1, PatientName="Berg^Ola")
    _exam(tmp_path / "export" / "2", 2, **{"PatientName": "Berg^Ola", **second})
    people = _people(tmp_path)
    assert _sizes(people) == [("export (1)", 1), ("export (2)", 1)] and not any(one.reason for one in people)


@pytest.mark.parametrize("place", ["{}", "export/{}", "."])
def test_studies_of_nobody_that_nothing_tells_apart_are_a_question(tmp_path, place):
    for number in (1, 2, 3):
        _exam(tmp_path / "in" / "all" / place.format(number), number)
    (one,) = _people(tmp_path / "in")
    assert "cannot tell who" in one.reason and "--person-folders" in one.reason and len(one.headers) == 12
    with raises_three_lines(CohortError, "3 studies without PatientID", "--person-folders"):
        import_dicom(tmp_path / "in", tmp_path / "out")


def test_a_name_or_a_birth_date_that_differs_among_them_joins_studies_of_nobody(tmp_path):
    for number, (name, birth) in enumerate((("Berg^Ola", "1"), ("Olsen^Kari", "2"), ("BERG^OLA", "1"))):
        _exam(tmp_path / str(number), number, PatientName=name, PatientBirthDate=f"1961020{birth}")
    assert sorted(len(one.headers) // 4 for one in _people(tmp_path)) == [1, 2]


def test_a_name_that_all_of_them_share_joins_nobody(tmp_path):
    for number in (1, 2, 3):
        _exam(tmp_path / str(number), number, PatientName="GLIOMA^TRIAL")
    assert len(_people(tmp_path)) == 3


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"PatientSex": "M"}, "two sexes"),
        ({"PatientBirthDate": "19900101"}, "ages"),
        ({"PatientAge": "023Y"}, "ages"),
        ({"PatientAge": "059Y", "StudyDate": "20010511", "PatientBirthDate": ""}, "ages"),
    ],
)
def test_one_contradiction_under_one_patient_id_is_a_question(tmp_path, second, words):
    _exam(tmp_path / "in" / "a", 1, patient="LGG-7")
    _exam(tmp_path / "in" / "b", 2, patient="LGG-7", **second)
    _exam(tmp_path / "in" / "c", 3, patient="LGG-8")
    assert [bool(one.reason) for one in _people(tmp_path / "in")] == [True, False]
    cohort = import_dicom(tmp_path / "in", tmp_path / "out")
    assert list(cohort.subjects) == ["sub-002"] and cohort.excluded.id.tolist() == ["sub-001"]
    assert words in cohort.excluded.reason[0] and "cannot tell who" in cohort.excluded.reason[0]
    series_left = cohort.ledger[(cohort.ledger.kind == "series") & (cohort.ledger.subject == "sub-001")]
    assert len(series_left) == 2 and (series_left.taken_as == "").all()


def test_two_contradictions_under_one_patient_id_are_two_people(tmp_path):
    _exam(tmp_path / "in" / "a", 1, patient="17")
    _exam(tmp_path / "in" / "b", 2, patient="17", PatientSex="M", PatientBirthDate="19900612", PatientAge="029Y")
    write_tsv(tmp_path / "in" / "participants.tsv", _table({"17": 3}))
    cohort = import_dicom(tmp_path / "in", tmp_path / "out")
    assert cohort.participants.sex.tolist() == ["F", "M"] and cohort.participants.age.tolist() == [59, 29]
    assert cohort.participants.grade.isna().all()
    assert all("distinguished by two sexes" in text for text in cohort.repaired.repair)


def test_a_header_that_says_nothing_does_not_join_what_contradicts(tmp_path):
    _exam(tmp_path / "a", 1, patient="17")
    _exam(tmp_path / "b", 2, patient="17", PatientSex="M", PatientBirthDate="19900612", PatientAge="029Y")
    _exam(tmp_path / "c", 3, patient="17", PatientSex="", PatientBirthDate="", PatientAge="")
    (one,) = _people(tmp_path)
    assert "cannot tell who" in one.reason


@pytest.mark.parametrize(
    "second",
    [
        {"StudyDate": "20260511"},
        {"StudyDate": "20260511", "PatientAge": "065Y"},
        {"PatientAge": ""},
        {"PatientSex": ""},
        {"PatientSex": "O"},
        {"PatientBirthDate": "20200511", "PatientAge": "000Y"},
        {"PatientBirthDate": "19610101", "PatientAge": "059Y"},
        {"PatientBirthDate": "19610302"},
        {"PatientName": "Removed"},
    ],
)
def test_headers_that_one_person_can_have_are_one_person(tmp_path, second):
    _exam(tmp_path / "a", 1, patient="LGG-7", PatientName="Berg^Ola")
    _exam(tmp_path / "b", 2, **{"patient": "LGG-7", "PatientName": "Berg^Ola", **second})
    _exam(tmp_path / "c", 3, patient="LGG-8")
    one, _ = _people(tmp_path)
    assert not one.reason and bool(one.notes) == ("19610302" in second.values())


def test_one_patient_id_for_a_whole_source_of_folders_is_said(tmp_path):
    for number in (1, 2):
        _exam(tmp_path / str(number), number, patient="TRIAL-9")
    (one,) = _people(tmp_path)
    assert "all 2 folders" in one.notes[0] and "--person-folders" in one.notes[0]


def test_ages_that_are_written_as_the_oldest_contradict_nobody(tmp_path):
    for name, day in (("a", "20100511"), ("b", "20180511")):
        _exam(tmp_path / name, ord(name), patient="LGG-7", PatientAge="090Y", PatientBirthDate="", StudyDate=day)
    assert not _people(tmp_path)[0].reason


def test_equal_identifiers_of_other_images_are_other_people(tmp_path):
    for number in (1, 2, 3):
        _exam(tmp_path / "in" / f"p{number}", number, patient=f"K-{number}", study="1.2.7.1")
    cohort = import_dicom(tmp_path / "in", tmp_path / "out")
    assert len(cohort) == 3 and cohort.excluded.empty
    assert all("other pixels" in text for text in cohort.repaired.repair) and len(cohort.repaired) == 3
    scans = [np.asarray(_load(subject)).ravel() for subject in cohort]
    assert not np.array_equal(scans[0], scans[1]) and not np.array_equal(scans[1], scans[2])


def _load(subject):
    import nibabel as nib

    return nib.load(subject.images["T2w"]).dataobj


def test_equal_identifiers_of_other_images_tell_people_of_one_placeholder_apart(tmp_path):
    for number in (1, 2, 3):
        _exam(tmp_path / f"p{number}", number, patient="000", study="1.2.7.1")
    assert _sizes(_people(tmp_path)) == [("p1", 1), ("p2", 1), ("p3", 1)]


def _table(grades):
    import pandas as pd

    return pd.DataFrame({"participant_id": list(grades), "grade": list(grades.values())})


@pytest.mark.parametrize(("grades", "kept"), [({}, 2), ({"K-1": 2, "K-2": 2}, 2), ({"K-1": 2, "K-2": 3}, 1)])
def test_one_exam_under_two_names_is_kept_once_and_not_at_all_where_its_labels_differ(tmp_path, grades, kept):
    for patient in ("K-1", "K-2"):
        _exam(tmp_path / "in" / patient, 1, patient=patient, study="1.2.7.1")
    _exam(tmp_path / "in" / "K-3", 3, patient="K-3")
    if grades:
        write_tsv(tmp_path / "in" / "participants.tsv", _table(grades))
    cohort = import_dicom(tmp_path / "in", tmp_path / "out")
    assert len(cohort) == kept and "sub-003" in cohort.subjects
    assert "under one PatientID" in cohort.excluded.reason[0] and len(cohort.excluded) == 3 - kept


def test_an_exam_of_nobody_belongs_to_whoever_has_its_study(tmp_path):
    write_series(tmp_path / "x", series(voxels(SMALL), patient="LGG-7", study="1.2.7.1", number=1, **T2))
    write_series(tmp_path / "y", series(voxels(SMALL), patient="ANON", study="1.2.7.1", number=2, **FLAIR))
    assert _sizes(_people(tmp_path)) == [("LGG-7", 2)]


def test_one_patient_id_with_equal_identifiers_on_other_images_is_a_question(tmp_path):
    for number in (1, 2):
        _exam(tmp_path / f"p{number}", number, patient="LGG-7", study="1.2.7.1")
    (one,) = _people(tmp_path)
    assert "different images with equal identifiers" in one.reason


def test_copies_are_passed_over_even_where_one_is_damaged(tmp_path):
    images = series(patient="LGG-7", **T2)
    write_series(tmp_path / "in" / "a", images)
    for path in write_series(tmp_path / "in" / "b", images).iterdir():
        path.write_bytes(path.read_bytes()[:-500])
    cohort = import_dicom(tmp_path / "in", tmp_path / "out")
    assert _load(cohort["sub-001"]).shape == (24, 20, 12)


def test_folders_are_people_where_a_person_says_so(tmp_path):
    for number, (folder, sex) in enumerate((("p1", "F"), ("p1", "M"), ("p2", "F"), ("p3", "F"))):
        _exam(tmp_path / "in" / folder / str(number), number, patient="LGG-7", PatientSex=sex)
    assert _sizes(_people(tmp_path / "in", by_folder=True)) == [("p1", 2), ("p2", 1), ("p3", 1)]
    write_tsv(tmp_path / "in" / "participants.tsv", _table({"p1": 2, "p2": 3}))
    cohort = import_dicom(tmp_path / "in", tmp_path / "out", person_folders=True)
    assert cohort.participants.grade.tolist()[:2] == [2, 3] and any(
        "two sexes" in text for text in cohort.repaired.repair
    )
    _exam(tmp_path / "in", 9)
    assert any("no folder" in one.reason for one in _people(tmp_path / "in", by_folder=True))


def test_numbers_follow_patient_ids_as_ever(tmp_path):
    for number, patient in enumerate(("P10", "P2", "ANON-3", "111", "112")):
        _exam(tmp_path / f"f{number}", number, patient=patient)
    assert [one.name for one in _people(tmp_path)] == sorted(["P10", "P2", "ANON-3", "111", "112"])


def test_one_equal_image_among_others_makes_two_names_one_exam(tmp_path):
    _exam(tmp_path / "K-1", 1, patient="K-1", study="1.2.7.1")
    images = series(voxels(SMALL, seed=2), patient="K-2", study="1.2.7.1", **T2)
    images[0].PixelData = series(voxels(SMALL, seed=1), **T2)[0].PixelData
    write_series(tmp_path / "K-2", images)
    first, second = _people(tmp_path)
    assert second.duplicate_of == "K-1" and not first.duplicate_of and not first.notes + second.notes


@pytest.mark.parametrize(
    ("first", "second", "noted"),
    [
        ({"InstitutionName": "North"}, {"InstitutionName": "South"}, True),
        ({"InstitutionName": "North"}, {"InstitutionName": "north"}, False),
        ({"InstitutionName": "North"}, {"InstitutionName": ""}, False),
        (
            {"InstitutionName": "North", "PatientName": "Roe^Maxi"},
            {"InstitutionName": "South", "PatientName": "ROE^MAXI"},
            False,
        ),
    ],
)
def test_one_number_at_two_institutions_is_noted(tmp_path, first, second, noted):
    nobody = {"PatientName": "", "PatientBirthDate": "", "PatientAge": "", "PatientSex": ""}
    for number, header in enumerate((first, second)):
        _exam(tmp_path / "in" / f"site{number}" / "1001", number, patient="1001", **{**nobody, **header})
    (one,) = _people(tmp_path / "in")
    assert any("one PatientID at 2 institutions" in note for note in one.notes) == noted
