"""Labels: found in any usual table, matched with subjects where one reading is possible, and lost never in silence."""

import warnings

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import raises_three_lines

from epitome_kit.errors import CohortError, EpitomeWarning
from epitome_kit.sources.label_table import LABELS
from epitome_kit.sources.label_words import find_columns, read_value
from epitome_kit.sources.labels import find_labels, read_labels
from epitome_kit.sources.names import match_names


def _write(path, *rows, end=""):
    """A table with tabs; the first row names the columns, which are parted by bars as all cells are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(row.replace("|", "\t") for row in rows) + end)
    return path


def _read(tmp_path, *rows, subjects=("sub-01", "sub-02", "sub-03")):
    return read_labels(_write(tmp_path / "t.tsv", *rows), subjects)


def _find(folder, subjects=("sub-01", "sub-02")):
    """Labels of a folder, with the warnings that were given."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = find_labels(folder, subjects)
    assert [str(each.message) for each in caught if each.category is EpitomeWarning] == found.warnings
    return found


UNDERSTOOD = {
    ("grade", "grade", 2): "2 2.0 II G2 WHO_II who_2 Ⅱ gradeII Grad_2 WHO_2016_grade_II II°",
    ("grade", "WHO CNS Grade", 3): "3 iii grade_III G3 CNS_WHO_grade_3 3.00",
    ("grade", "Tumour.Grade", 2): "2",
    ("grade", "histologic_grade", 3): "III",
    (
        "codeletion",
        "1p/19q",
        "codeleted",
    ): "d/d codeleted co-deleted Codel 1 yes TRUE Co-deletion deleted/deleted del/del",
    ("codeletion", "1p19q_status", "codeleted"): "1p/19q_codeleted 1p19q:co-deletion loss present",
    ("codeletion", "codeletion", "intact"): "n/n intact non-codeleted not_codeleted 0 No d/n noncodel retained no_loss",
    ("codeletion", "IDH/codel subtype", "codeleted"): "IDHmut-codel IDH_mutant,_1p/19q_codeleted",
    ("codeletion", "Molecular_subtype", "intact"): "IDHmut-non-codel IDHwt IDH1-mutant-noncodel",
    ("sex", "gender", "F"): "f F Female woman",
    ("sex", "Sex at birth", "M"): "m male",
    ("age", "age", 41): "41 41.0 041Y 41_years 41y",
    ("age", "Age_at_scan_years", 45.5): "45.5 45,5",
    ("age", "age at MRI", 89): ">89 89+ 90+ ≥90",
    ("age", "patient_age", 1): "018M",
    ("histology", "Type", "Oligoastrocytoma"): "Oligoastrocytoma",
}


@pytest.mark.parametrize(("label", "column", "meaning"), UNDERSTOOD)
def test_labels_are_understood_as_people_write_them(tmp_path, label, column, meaning):
    written = [word.replace("_", " ") for word in UNDERSTOOD[label, column, meaning].split()]
    names = [f"sub-{number}" for number in range(len(written))]
    rows = [f"{name}|{text}" for name, text in zip(names, written, strict=True)]
    found = _read(tmp_path, f"participant_id|{column}", *rows, subjects=names)
    assert found.table[label].tolist() == [meaning] * len(written)
    assert found.unknown == found.warnings == [] and list(found.table) == LABELS


LEFT = {
    "grade": ["4", "1", "IV", "WHO grade IV", "23", "low", "LGG", "2 or 3", "II-III", "2/3", "2.5", "None"],
    "codeletion": ["relative co-deletion", "1p only", "2", "none", "partial", "intact?"],
    "sex": ["0", "1", "2.0", "other"],
    "age": ["430", "40-49", "forty", "inf", "45M", "1e2", "12.03.1980"],
}


@pytest.mark.parametrize(("label", "text"), [(label, text) for label, texts in LEFT.items() for text in texts])
def test_what_cannot_be_taken_is_missing_and_named(tmp_path, label, text):
    found = _read(tmp_path, f"participant_id|{label}", f"01|{text}")
    assert found.table[label].isna().all()
    assert found.unknown[0].startswith(f"{label} {text} (1 row") and any(text in said for said in found.warnings)
    assert found.entries[1].taken_as == "" and label in found.entries[1].reason


@pytest.mark.parametrize(
    "text", ["", "n/a", "NA", "-1", "-1.0", "unknown", "[Not Available]", "?", "not tested", "nan"]
)
def test_what_is_stated_as_missing_is_no_fault(tmp_path, text):
    found = _read(tmp_path, "participant_id|grade|1p/19q|age", f"01|{text}|{text}|50")
    assert found.table[["grade", "codeletion"]].isna().all(axis=None) and found.unknown == []
    assert found.warnings == ["t.tsv: no row for sub-02, sub-03"]


@pytest.mark.parametrize(
    ("label", "text", "reason"),
    [
        ("grade", "WHO IV", "outside of 2 and 3"),
        ("grade", "HGG", "not understood"),
        ("codeletion", "relative co-deletion", "relative"),
        ("sex", "1", "number"),
    ],
)
def test_a_value_is_left_for_a_reason(label, text, reason):
    assert reason in read_value(label, text)[1]


def test_what_rows_of_others_say_is_not_counted(tmp_path):
    found = _read(tmp_path, "participant_id|grade", "01|2", "02|4", "77|4", "78|low")
    assert found.unknown == ["grade 4 (1 row: outside of 2 and 3)"]


@pytest.mark.parametrize(
    ("column", "written", "taken"),
    [
        ("grade", ["1", "2", "2"], [None] * 3),
        ("neoplasm_histologic_grade", ["1.0", "2.0", "II"], [None, None, 2]),
        ("grade", ["0", "2", "3"], [None] * 3),
        ("grade", ["1", "2", "3"], [None, 2, 3]),
        ("grade", ["2", "2", "2"], [2, 2, 2]),
        ("1p/19q", ["1", "2", "intact"], [None, None, "intact"]),
        ("1p/19q", ["0", "1", "-1"], ["intact", "codeleted", None]),
    ],
)
def test_numbers_that_may_be_codes_are_not_taken(tmp_path, column, written, taken):
    found = _read(tmp_path, f"participant_id|{column}", *(f"0{n}|{text}" for n, text in enumerate(written, start=1)))
    label = "codeletion" if "19q" in column else "grade"
    assert [None if pd.isna(value) else value for value in found.table[label]] == taken


def test_a_grade_outside_is_told_from_one_that_is_not_understood(tmp_path):
    found = _read(tmp_path, "participant_id|grade", "01|4", "02|IV", "03|HGG")
    assert "outside of 2 and 3" in found.unknown[0] and "not understood" in found.unknown[1]
    assert any("no usable grade" in said and "HGG" in said for said in found.warnings)


@given(value=st.text(max_size=12), label=st.sampled_from(["grade", "codeletion", "sex", "age"]))
def test_any_text_is_a_known_value_or_missing(value, label):
    found, fault = read_value(label, value)
    allowed = {"grade": (2, 3), "codeletion": ("intact", "codeleted"), "sex": ("F", "M")}
    assert pd.isna(found) or (0 <= found <= 120 if label == "age" else found in allowed[label])
    assert fault is None or pd.isna(found)


def test_columns_that_only_sound_like_labels_are_not_taken():
    others = [
        "upgrade",
        "grade of resection",
        "1p/19q method",
        "1p",
        "stage",
        "1p19q intact",
        "age of onset",
        "type of scan",
    ]
    assert find_columns(others) == {}


@pytest.mark.parametrize(
    ("names", "subjects", "expected"),
    [
        (["sub-01", "02"], ["sub-01", "sub-02"], ["sub-01", "sub-02"]),
        (["1", "2", "10"], ["sub-001", "sub-002", "sub-010"], ["sub-001", "sub-002", "sub-010"]),
        (["UCSF-PDGM-004"], ["UCSF-PDGM-0004", "UCSF-PDGM-0040"], ["UCSF-PDGM-0004"]),
        (["TCGA-DU-7015", "tcga_du_8"], ["sub-TCGADU7015", "sub-TCGADU0008"], ["sub-TCGADU7015", "sub-TCGADU0008"]),
        (["SUB-A1", "b2"], ["sub-a1", "sub-B2"], ["sub-a1", "sub-B2"]),
        (["subject1"], ["sub-1"], [None]),
        (["P-1-01"], ["sub-P11"], [None]),
        (["1"], ["sub-1", "sub-01"], ["sub-1"]),
        (["001"], ["sub-1", "sub-01"], [None]),
        (["1", "01"], ["sub-001"], [None, None]),
        (["001", "1"], ["sub-001"], ["sub-001", None]),
        (["0", "1", "2"], ["sub-001", "sub-002", "sub-003"], [None, None, None]),
        (["12"], ["sub-012", "sub-120"], ["sub-012"]),
        (["Zoë"], ["sub-Zoë"], ["sub-Zoë"]),
        (["---", "x"], ["sub-", "sub-y"], [None, None]),
    ],
)
def test_names_are_matched_where_one_reading_is_possible(names, subjects, expected):
    found = match_names(names, subjects)
    assert [found[name][0] for name in names] == expected
    assert all(reason for _, reason in found.values())


def test_whole_numbers_with_a_point_are_names(tmp_path):
    found = _read(tmp_path, "participant_id|grade", "1.0|2", "2.0|3", "3.0|2")
    assert found.table.grade.to_dict() == {"sub-01": 2, "sub-02": 3, "sub-03": 2}


@pytest.mark.parametrize("column", ["Subject", "ID", "patient_id", "Case", "BraTS21ID", "Filename", "PARTICIPANT ID"])
def test_the_column_of_names_goes_by_many_names(tmp_path, column):
    found = _read(tmp_path, f"centre|{column}|Grade", "7|sub-01|2", "8|sub-02|3")
    assert found.table.grade.to_dict() == {"sub-01": 2, "sub-02": 3} and found.unlabelled == ["sub-03"]


def test_numbers_of_rows_name_nobody(tmp_path):
    rows = ["|nr|who|Grade", "0|1|sub-02|2", "1|2|sub-03|3", "2|3|sub-01|3"]
    assert _read(tmp_path, *rows).table.grade.to_dict() == {"sub-01": 3, "sub-02": 2, "sub-03": 3}


def test_columns_that_name_other_subjects_are_asked_about(tmp_path):
    rows = ["participant_id|twin_id|grade", "1|sub-02|2", "2|sub-01|3"]
    with raises_three_lines(CohortError, "twin_id", "participant_id"):
        _read(tmp_path, *rows)
    rows = ["participant_id|twin_id|grade", "sub-01|sub-02|2", "sub-02|sub-01|3"]
    assert _read(tmp_path, *rows).table.grade.to_dict() == {"sub-01": 2, "sub-02": 3}


def test_columns_that_contradict_each_other_leave_a_label_missing(tmp_path):
    found = _read(tmp_path, "participant_id|grade|WHO CNS Grade|age", "01|2|III|40", "02|3|III|41", "03||II|42")
    assert found.table.grade.isna().tolist() == [True, False, False] and found.conflicting == []
    assert any("contradict" in said and "sub-01" in said for said in found.warnings)
    found = _read(tmp_path, "participant_id|grade|grade", "01|2|3", "02|2|2", "03|4|3")
    assert found.table.grade.isna().tolist() == [True, False, True]


def test_rows_that_differ_in_a_label_take_their_subject_out(tmp_path):
    rows = ["participant_id|grade|age|visit", "01|2|40|1", "01|II||2", "02|2|1|1", "02|3|1|1", "03|4|5|1", "03|3|5|1"]
    found = _read(tmp_path, *rows)
    assert found.conflicting == ["sub-02", "sub-03"] and found.table.loc["sub-01", ["grade", "age"]].tolist() == [2, 40]
    assert "differ in grade" in found.entries[3].reason


def test_every_row_and_subject_is_accounted_for(tmp_path):
    rows = ["participant_id|grade|shoe size", "01|2|44", "x7|3|40", "|2|41"]
    found = _read(tmp_path, *rows)
    table, *each = found.entries
    assert table.kind == "table" and "grade in grade" in table.evidence and "shoe size" in table.reason
    assert [(entry.subject, entry.taken_as) for entry in each] == [("sub-01", "labels"), ("", ""), ("", "")]
    assert [entry.source for entry in each] == ["t.tsv row 1", "t.tsv row 2", "t.tsv row 3"]
    assert found.unmatched == [("x7", "no subject of that name")] and found.unlabelled == ["sub-02", "sub-03"]
    assert any("x7" in said for said in found.warnings) and any("sub-02, sub-03" in said for said in found.warnings)


def test_a_column_that_may_be_a_label_is_not_passed_over_in_silence(tmp_path):
    found = _read(tmp_path, "participant_id|grade (numeric code)|1p|19q", "01|2|lost|lost", "02|3|kept|kept")
    assert sum("was not read" in said for said in found.warnings) == 3


@pytest.mark.parametrize("content", ["", "weight|grade\n1|2", "{}"])
def test_a_table_without_subjects_is_three_lines(tmp_path, content):
    path = _write(tmp_path / "participants.tsv", *content.splitlines())
    for read in (lambda: read_labels(path, ["sub-01"]), lambda: find_labels(tmp_path, ["sub-01"])):
        with raises_three_lines(CohortError, "participants.tsv"):
            read()


@pytest.mark.parametrize(
    "name",
    ["participants.tsv", "Participants.TSV", "participants.csv", "clinical_data.txt", "meta/UCSF-metadata_v5.csv"],
)
def test_tables_are_found_by_what_they_hold(tmp_path, name):
    _write(tmp_path / name, "ID|Grade", "01|2", "2|III")
    found = _find(tmp_path)
    assert found.table.grade.tolist() == [2, 3] and found.tables == [name] and found.warnings == []
    assert "1 table" in found.summary


def test_excel_is_found_too(tmp_path):
    with pd.ExcelWriter(tmp_path / "our patients.xlsx") as book:
        pd.DataFrame({"read": ["me"]}).to_excel(book, sheet_name="about", index=False)
        pd.DataFrame({"Patient": [1, 2], "1p19q": ["d/d", "n/n"]}).to_excel(
            book, sheet_name="b", index=False, startrow=2
        )
    assert _find(tmp_path).table.codeletion.tolist() == ["codeleted", "intact"]


@pytest.mark.parametrize(
    "name", ["scans.tsv", "sources.tsv", "sub-01/labels.tsv", "derivatives/labels.tsv", "._labels.tsv"]
)
def test_other_tables_are_left_alone(tmp_path, name):
    _write(tmp_path / name, "participant_id|grade", "01|2")
    found = _find(tmp_path)
    assert found.table.empty and found.tables == [] and found.unlabelled == ["sub-01", "sub-02"] and found.entries == []


def test_tables_that_go_together_are_joined(tmp_path):
    _write(tmp_path / "Clinical_data.csv", "Subject|Age|Sex|Grade", "01|40|f|2", "02|50|m|3")
    _write(tmp_path / "Genetic_labels.csv", "Subject|1p19q|Grade", "01|1|2", "02|0|2")
    found = _find(tmp_path)
    assert found.table.codeletion.tolist() == ["codeleted", "intact"] and found.table.age.tolist() == [40, 50]
    assert (
        found.table.grade.isna().tolist() == [False, True]
        and "contradict each other about the grade of 1" in found.warnings[0]
    )


def test_a_table_of_participants_leads(tmp_path):
    _write(tmp_path / "participants.tsv", "participant_id|grade", "sub-01|2", "sub-02|4")
    _write(tmp_path / "labels.csv", "ID|grade|age", "sub-01|3|40", "sub-02|3|50", "sub-77|2|3")
    found = _find(tmp_path)
    assert (
        found.table.grade.iloc[0] == 2 and pd.isna(found.table.grade.iloc[1]) and found.table.age.tolist() == [40, 50]
    )
    assert any("taken from participants.tsv" in said for said in found.warnings) and found.without_scans() == []


def test_names_of_participants_without_scans_are_listed(tmp_path):
    _write(tmp_path / "participants.tsv", "participant_id|grade", "sub-01|2", "sub-09|3")
    ((name, reason),) = _find(tmp_path).without_scans()
    assert name == "sub-09" and "participants.tsv alone" in reason


def test_labels_that_were_not_fetched_are_lost_aloud(tmp_path):
    (tmp_path / "participants.tsv").symlink_to(".git/annex/objects/x")
    found = _find(tmp_path)
    assert "participants.tsv" in found.warnings[0] and "datalad get" in found.warnings[0] and found.table.empty
    assert found.entries[0].kind == "table" and "no labels" in found.summary


def test_a_table_of_other_people_is_said(tmp_path):
    _write(tmp_path / "labels.tsv", "ID|grade", "A1|2", "A2|3")
    assert "none of its 2 names" in _find(tmp_path).warnings[0]


def test_a_damaged_table_beside_is_said_and_no_error(tmp_path):
    _write(tmp_path / "participants.tsv", "participant_id|grade", "sub-01|2", "sub-02|3")
    (tmp_path / "clinical.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99))
    (tmp_path / "bones.csv").write_bytes(bytes(99))
    found = _find(tmp_path)
    assert found.table.grade.tolist() == [2, 3] and len(found.warnings) == 1 and "clinical.xls" in found.warnings[0]
    assert {entry.source for entry in found.entries if entry.reason} == {"clinical.xls", "bones.csv"}
