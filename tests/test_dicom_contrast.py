"""DICOM volumes of an exam: agents, words and protocols weighed by the whole exam."""

import pytest
from made_dicom import FLAIR, PD, T1, T2, series, write_series

from epitome_kit.sources.dicom_contrast import judge_volumes
from epitome_kit.sources.dicom_headers import read_volumes

GRADIENT = {"EchoTime": 2.9, "RepetitionTime": 1900.0, "ScanningSequence": "GR"}


def judge(folder, *headers, **how):
    """Judge series of one exam, made by their headers."""
    for number, header in enumerate(headers, start=1):
        write_series(folder / str(number), series(number=number, **header)[:5])
    return [judgement.contrast for judgement in judge_volumes(read_volumes(folder)[0], **how)]


def t1(words, agent=None, **more):
    return {**T1, "SeriesDescription": words, **({"ContrastBolusAgent": agent} if agent else {}), **more}


@pytest.mark.parametrize(
    ("header", "contrast"),
    [
        (t1("SAG T1 POSTOP"), "T1w"),
        (t1("T1 post op day 1"), "T1w"),
        (t1("POSTERIOR FOSSA T1"), "T1w"),
        (t1("AX T1 POST"), "T1ce"),
        (t1("AX T1", "WITHOUT"), "T1w"),
        (t1("AX T1", "N/A"), "T1w"),
        (t1("AX T1", "0 cc"), "T1w"),
        (t1("AX T1", "10 cc Multihance"), "T1ce"),
        (t1("AX T1", "YES"), "T1ce"),
        (t1("AX T1", ContrastBolusIngredient="GADOLINIUM"), "T1ce"),
        (t1("AX T1", ContrastBolusVolume="0"), "T1w"),
        (t1("AX T1 GD", "NONE"), None),
        (t1("T1 ohne KM", "GADAVIST"), None),
        (t1("T1 W/WO", "GADAVIST"), "T1ce"),
        (t1("T1 W AND W/O"), None),
        (t1("AX T2 TSE"), None),
        (t1("TOF 3D"), "other"),
        (t1("AX", AngioFlag="Y"), "other"),
        (t1("AX", ImageType=["DERIVED", "SECONDARY", "MPR"]), "T1w"),
        (t1("AX", ImageType=["ORIGINAL", "PRIMARY", "PHASE MAP"]), "other"),
        (t1("AX T1 SUB", "GADAVIST"), "other"),
        ({**GRADIENT, "SeriesDescription": "t1_mprage_sag"}, "T1w"),
        ({**GRADIENT, "SeriesDescription": "SAG"}, None),
        ({**T2, "SeriesDescription": "STIR"}, "other"),
        ({**T2, "InversionTime": 150.0}, "other"),
        ({**T2, "SeriesDescription": "AX FLAIR", "ContrastBolusAgent": "GADAVIST"}, "FLAIR"),
        ({**T2, "SeriesDescription": "T1 SE"}, None),
        ({**FLAIR, "SeriesDescription": "AX T2"}, "FLAIR"),
        ({"SeriesDescription": "AX PD/T2"}, "other"),
        (t1("AX", ProtocolName="t1_se_tra_KM"), "T1ce"),
        (t1("AX", ProtocolName="BRAIN WITH CONTRAST"), "T1w"),
        (t1("AX", StudyDescription="MRI BRAIN WITH CONTRAST"), "T1w"),
        (t1("AX", Modality="OT"), "other"),
    ],
)
def test_one_series_alone(tmp_path, header, contrast):
    assert judge(tmp_path, header) == [contrast]


@pytest.mark.parametrize(
    "protocol", ["MR HEAD WO & W CONTRAST", "TUMOR + PERFUSION", "HEAD WITH GAD", "T1 MPRAGE POST"]
)
def test_a_protocol_of_the_whole_exam_says_nothing(tmp_path, protocol):
    exam = [t1("Ax T1"), t1("Ax T1 +C"), {**T2, "SeriesDescription": "T2"}, {**FLAIR, "SeriesDescription": "AX"}]
    found = judge(tmp_path, *({**header, "ProtocolName": protocol} for header in exam))
    assert found == ["T1w", "T1ce", "T2w", "FLAIR"]


def test_an_agent_in_every_header_of_an_exam_does_not_outweigh_what_one_series_says(tmp_path):
    exam = t1("AX T1 PRE", "GADAVIST"), t1("AX T1 POST", "GADAVIST"), t1("COR T1", "GADAVIST")
    assert judge(tmp_path, *exam) == ["T1w", "T1ce", None]


@pytest.mark.parametrize(("agent", "contrast"), [("GADAVIST", None), (None, "T1ce")])
def test_an_agent_that_stands_in_all_headers_tells_nothing_of_a_series_without_words(tmp_path, agent, contrast):
    other = {**T2, "ContrastBolusAgent": agent} if agent else T2
    assert judge(tmp_path, t1("AX T1", "GADAVIST"), t1("AX T1 +C", "GADAVIST"), other)[:2] == [contrast, "T1ce"]


def test_without_another_t1_after_the_agent_the_two_disagree(tmp_path):
    assert judge(tmp_path, t1("AX T1 PRE", "GADAVIST"), {**T2, "ContrastBolusAgent": "GADAVIST"}) == [None, "T2w"]


def test_of_two_echoes_under_one_name_the_late_one_is_t2(tmp_path):
    name = {"SeriesDescription": "AX PD"}
    write_series(tmp_path, [*series(**PD, **name)[:5], *series(**T2, **name)[:5]])
    assert [judged.contrast for judged in judge_volumes(read_volumes(tmp_path)[0])] == ["other", "T2w"]


def test_a_collection_that_is_all_after_an_agent_needs_no_word_of_it(tmp_path):
    exam = t1("AX T1 PRE", "GADAVIST"), t1("AX T1"), t1("AX T1 W/WO"), T2
    assert judge(tmp_path, *exam, after_agent=True) == ["T1ce", "T1ce", "T1ce", "T2w"]


def test_the_evidence_holds_no_text_of_the_header(tmp_path):
    write_series(tmp_path, series(**t1("AX T1 Doe^Jane", "Doe gadavist", ProtocolName="House^Dr"))[:5])
    (judged,) = judge_volumes(read_volumes(tmp_path)[0])
    assert judged.contrast == "T1ce" and not {"Doe", "DOE", "Jane", "House"} & set(
        judged.evidence.replace("^", " ").split()
    )
