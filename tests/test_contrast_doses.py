"""Fields for a contrast agent: given, not given, and whatever is not understood asks."""

import pytest

from epitome_kit.sources.contrast_doses import read_agent
from epitome_kit.sources.contrasts import judge_scan


@pytest.mark.parametrize(
    "text",
    ["Gd-BOPTA", "MULTIHANCE 12ml", "gadovist 1,0", "6 cc", "0.2", "oui", "I.V.", "Kontrastmedel", "PROHANCE + NaCl"],
)
def test_known_agents_and_amounts_are_given(text):
    assert read_agent(text)[0] == "with"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "inget",
            "geen contrast",
            "nessuna",
            "niet",
            "brak kontrastu",
            "bez kontrastu",
            "ikke gitt",
            "nenhuma",
            "0,0 ml",
        ),
        *(
            "REFUSED",
            "pt declined gadavist",
            "Dotarem verweigert",
            "exam cancelled",
            "kontrastfri",
            "kontrastsiz",
            "NaCl",
        ),
    ],
)
def test_negations_and_refusals_in_many_languages_are_not_given(text):
    assert read_agent(text)[0] == "without"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Furosemide",
            "Midazolam",
            "GFR 25",
            "N2O",
            "SF6",
            "8 l/min",
            "Dr. Roe",
            "20250102",
            "нет",
            "なし",
            "KM bei Bedarf",
        ),
        *("Gd allergy", "contraindicated, gadavist", "gadavist?", "pre and post gd", "with/without", "Deferred"),
    ],
)
def test_what_is_not_understood_is_a_question_and_its_text_is_not_shown(text):
    state, said = read_agent(text)
    assert state == "unclear" and said in ("", "with and without", "in words that leave it open")


def test_a_field_that_is_not_understood_asks_for_a_t1_and_is_named():
    told = judge_scan("none", notes={"ContrastBolusAgent": "Xylocaine"}, name="sub-1_T1w.nii.gz")
    assert told.contrast is None and "not understood in ContrastBolusAgent" in told.evidence
    assert judge_scan("none", notes={"ContrastBolusAgent": "Xylocaine"}, name="sub-1_T2w.nii.gz").contrast == "T2w"
    assert judge_scan("none", notes={"ContrastBolusAgent": "Xylocaine"}, name="T1 postgad").contrast == "T1ce"


@pytest.mark.parametrize(
    ("notes", "contrast"),
    [
        ({"ContrastBolusTotalDose": 9}, "T1ce"),
        ({"ContrastBolusTotalDose": 0}, "T1w"),
        ({"ContrastBolusRoute": "INTRAVENOUS"}, None),
        ({"ContrastBolusStartTime": "10:11"}, None),
        ({"ContrastBolusRoute": "IV", "ContrastBolusAgent": "none"}, "T1w"),
        ({"ComplexImageComponent": "PHASE"}, "other"),
        ({"ComplexImageComponent": "MAGNITUDE"}, "T1w"),
    ],
)
def test_other_fields_of_an_agent_and_parts_of_complex_images_count(notes, contrast):
    assert judge_scan("none", notes=notes, name="sub-1_T1w.nii.gz").contrast == contrast


@pytest.mark.parametrize(
    ("description", "more", "contrast"),
    [
        ("AX", {}, None),
        ("AX T2", {}, "T2w"),
        ("AX FLAIR", {}, "FLAIR"),
        ("AX", {"RepetitionTime": 4.0}, "T2w"),
        ("AX", {"ScanningSequence": "SE"}, "T2w"),
        ("AX", {"InversionTime": 2.4}, "FLAIR"),
    ],
)
def test_an_inversion_without_its_time_leaves_flair_possible(description, more, contrast):
    times = {"EchoTime": 0.12, "RepetitionTime": 9.0, "ScanningSequence": ["SE", "IR"]}
    notes = {**times, "SeriesDescription": description, **more}
    assert judge_scan("none", notes=notes, name="7_scan").contrast == contrast
