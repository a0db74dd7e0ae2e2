"""Columns that are no features, told by their names and values."""

import numpy as np
import pandas as pd
import pytest

from epitome_kit.grade.columns import files_columns, is_id, people_column, row_numbers

PEOPLE = (
    "patient Patients PatientID pat_nr PatNr Subject_ID subjid participant_id MRN pid Probandennummer Vpn RID",
    "src_subject_id bcr_patient_barcode paciente_id ID_paziente Teilnehmer-Nr sujet case CaseNo record_id Fallnummer",
)
SHARED = (
    "site Scanner center_id hospital batch clinic_no manufacturer PatientSex patient_weight age_of_patient cohort",
    "number_of_cases n_patients falls solid centroid original_glcm_Idm volume x label reader_id",
)


@pytest.mark.parametrize("name", " ".join(PEOPLE).split())
def test_a_name_of_people_is_known(name):
    frame = pd.DataFrame({"f": np.arange(30) / 7, name: np.arange(30) // 3})
    assert people_column(frame) == name and people_column(frame, exclude=[name]) is None
    assert people_column(frame.assign(**{name: np.arange(30)})) is None, "nothing repeats"
    assert people_column(frame.assign(**{name: np.arange(30) // 2 / 7})) is None, "no id has decimals"


@pytest.mark.parametrize("name", " ".join(SHARED).split())
def test_a_name_of_something_else_is_known(name):
    assert people_column(pd.DataFrame({name: np.arange(60) // 3})) is None


def test_the_surest_name_goes_first_and_a_code_of_two_is_no_case():
    frame = pd.DataFrame({"ID": np.arange(40) // 2, "case": np.arange(40) // 4, "patient": np.arange(40) // 5})
    assert people_column(frame) == "patient"
    assert people_column(frame[["ID", "case"]].assign(case=np.arange(40) % 2)) == "ID"


@pytest.mark.parametrize("name", ["id", "ScanID", "image_id", "PatientID", "SOP Instance UID", "Kennung"])
def test_a_name_of_an_id_is_known(name):
    assert is_id(name)


@pytest.mark.parametrize("name", ["grid", "solid", "original_glcm_Idn", "midline", "width", "patient_age"])
def test_a_name_of_no_id_is_known(name):
    assert not is_id(name)


def test_names_of_files_and_of_people_are_known():
    texts = pd.Series([f"a{number}.nii" for number in range(30)])
    frame = pd.DataFrame(dict.fromkeys(("Image", "file_name", "name", "site name", "image quality"), texts))
    assert files_columns(frame, exclude=["name"]) == ["Image", "file_name"]
    assert not files_columns(frame.assign(**{name: np.arange(30) for name in frame})), "numbers are no names"
    assert people_column(frame.iloc[[*range(30), *range(5)]]) == "Image"


ROWS = np.arange(30.0)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("k", ROWS),
        ("k", 3 * ROWS[::-1] + 7),
        ("k", np.where(ROWS == 4, np.nan, ROWS)),
        ("k", ROWS % 15),
        ("k", ROWS / 10),
        ("k", np.delete(np.arange(32.0), [3, 9])),
        ("Unnamed: 0", ROWS[::-1] // 2),
        ("nr", np.random.default_rng(0).permutation(300)[:30].astype(float)),
        ("", ROWS**2),
    ],
)
def test_numbers_of_rows_are_sure(name, values):
    assert row_numbers(pd.DataFrame({name: values, "f": np.sin(ROWS)})) == ([name], {})


@pytest.mark.parametrize("values", [ROWS**2, np.random.default_rng(0).permutation(30) + 5.0])
def test_numbers_of_rows_are_likely(values):
    sure, likely = row_numbers(pd.DataFrame({"k": values, "f": np.sin(ROWS)}))
    assert (sure, list(likely)) == ([], ["k"])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("age", np.random.default_rng(0).integers(20, 90, 30)),
        ("nr", np.arange(30) % 4),
        ("7", np.arange(30) % 5),
        ("sorted", np.sort(np.random.default_rng(0).normal(size=30))),
        ("batch", np.arange(30) // 10),
        ("k", np.where(ROWS < 20, np.nan, ROWS)),
        ("flag", np.arange(30) % 2),
    ],
)
def test_other_columns_number_nothing(name, values):
    assert row_numbers(pd.DataFrame({name: values.astype(float), "f": np.sin(ROWS)})) == ([], {})
