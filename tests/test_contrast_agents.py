"""Words and fields of an agent: in every entity, written together with others, denied, left open."""

import pytest

from epitome_kit.sources.contrasts import judge_scan

AGENT_OR_ASK, BEFORE = {"T1ce", None}, {"T1w"}
IN_ENTITIES = (
    "agent-dotarem medium-gd gado-yes c-gad time-afterGd series-T1gad scan-postgd visit-postkm "
    "ses-postgado run-pgad bolus-after timing-post inj-gad CE-gadavist dir-postcontrast run-1post"
)
OF_TIMES = "ses-post ses-postop ses-2post visit-pre tp-3 dir-AP space-T1ce gd-0 agent-none scan-pregad"
GLUED = (
    "SAGPOST sagpost postcor corpost tfepost postmprage flashpost navpostX zzpost postzz braingd kmtra "
    "axkm fsce CECOR tseplus BRAVOC cubec CM axcontrast contrastsag fatsatpost waterexcpost"
)
LIKE_AGENTS = (
    "axpre presag prescan prenorm slice reference cerebrum central face posterior space sequence stealth "
    "mprage 1mm sag3d hires preproc postproc defaced normalised KWE"
)
DENIED = "nogado noKM nonGd prekm sansgd singado kmfrei gadfree gdless null wo"
OPEN = "unk negative Baseline tbd gadneg maybe"


@pytest.mark.parametrize(
    "entity",
    IN_ENTITIES.split(),
)
def test_a_word_of_an_agent_counts_in_every_entity(entity):
    assert judge_scan(f"sub-1_{entity}_T1w.nii", notes={}).contrast in AGENT_OR_ASK


@pytest.mark.parametrize(
    "entity",
    OF_TIMES.split(),
)
def test_a_word_of_a_time_or_a_denied_agent_in_an_entity_leaves_a_t1(entity):
    assert judge_scan(f"sub-post_{entity}_T1w.nii", notes={}).contrast == "T1w"


def test_a_visit_counts_where_the_name_is_not_whole_bids_too():
    assert judge_scan("sub-1_ses-postgad_T1.nii", notes={}).contrast == "T1ce"


@pytest.mark.parametrize(
    "word",
    GLUED.split(),
)
@pytest.mark.parametrize("key", ["acq", "desc", "rec"])
def test_a_word_of_an_agent_is_found_where_it_is_written_together_with_others(key, word):
    assert judge_scan(f"sub-1_{key}-{word}_T1w.nii", notes={}).contrast in AGENT_OR_ASK


@pytest.mark.parametrize(
    "word",
    LIKE_AGENTS.split(),
)
def test_what_only_looks_like_a_word_of_an_agent_leaves_a_t1(word):
    assert judge_scan(f"sub-1_acq-{word}_T1w.nii", notes={}).contrast == "T1w"


@pytest.mark.parametrize(
    ("value", "contrasts"),
    [
        *((value, BEFORE) for value in DENIED.split()),
        *((value, {None}) for value in OPEN.split()),
        *((value, {"T1ce"}) for value in ["Gd", "km", "gadoterate", "7ml", "xyz"]),
    ],
)
def test_an_entity_ce_is_read_with_its_negation(value, contrasts):
    assert judge_scan(f"sub-1_ce-{value}_T1w.nii", notes={}).contrast in contrasts
    if value.isalpha() and contrasts == BEFORE:
        assert judge_scan("sub-1_T1w.nii", notes={"ContrastBolusAgent": value}).contrast == "T1w"


@pytest.mark.parametrize(
    ("notes", "contrasts"),
    [
        ({"ContrastBolusRoute": "INTRAVENOUS"}, {None}),
        ({"ContrastBolusStopTime": "1132"}, {None}),
        ({"ContrastFlowRate": 2.0}, {None}),
        ({"ContrastBolusRoute": "none", "ContrastBolusStartTime": ""}, BEFORE),
        ({"ContrastBolusRoute": "IV", "ContrastBolusAgent": "none"}, BEFORE),
        ({"ContrastBolusRoute": "IV", "SeriesDescription": "t1 pre gad"}, BEFORE),
        ({"ContrastBolusTotalDose": 9}, {"T1ce"}),
        ({"ContrastBolusVolume": "9 ml"}, {"T1ce"}),
        ({"ContrastBolusTotalDose": "0 ml"}, BEFORE),
        ({"contrast_agent": "Dotarem"}, {"T1ce"}),
        ({"PostGad": "yes"}, {"T1ce"}),
        ({"contrast_given": False}, BEFORE),
        ({"NonContrast": "true"}, BEFORE),
        ({"contrastPhase2": "arterial", "Injection": "see notes"}, {None}),
        ({"Contrast": "T1", "ContrastNoiseRatio": 4.1, "AcquisitionContrast": "T1"}, BEFORE),
        ({"Comments": "after gadobutrol"}, {"T1ce"}),
        ({"ImageComments": "Unaliased MB3, post processed"}, BEFORE),
        ({"SERIESDESCRIPTION": "t1 mprage km"}, {"T1ce"}),
        ({"series description": "t1", "SeriesDescription": "gd"}, {"T1ce"}),
        ({"ProtocolName": "glioma with gad", "SeriesDescription": "t1 vibe"}, {None}),
        ({"ProtocolName": "head wo/w", "SeriesDescription": "t1 vibe"}, {None}),
        ({"ProtocolName": "glioma with gad", "SeriesDescription": "t1 vibe nativ"}, BEFORE),
        ({"ProtocolName": "glioma follow-up", "SeriesDescription": "t1 vibe"}, BEFORE),
        ({"Modality": "MRI"}, BEFORE),
        ({"Modality": "magnetic resonance imaging"}, BEFORE),
        ({"Modality": ["MR"]}, BEFORE),
        ({"Modality": "PT"}, {"other"}),
        ({"Modality": "ultrasound"}, {"other"}),
    ],
)
def test_fields_in_any_spelling_tell_of_an_agent(notes, contrasts):
    assert judge_scan("sub-1_T1w.nii", notes=notes).contrast in contrasts
