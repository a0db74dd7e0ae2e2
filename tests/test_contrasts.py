"""The judge of contrasts: names, sidecars and entities, and what disagrees stays open."""

import json
import time

import pytest
from contrast_names import listed
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.multival import MultiValue

from epitome_kit.sources.contrast_fields import as_number
from epitome_kit.sources.contrast_notes import UNREADABLE, tidy_notes
from epitome_kit.sources.contrasts import Series, judge_scan, judge_series

SE = {"EchoTime": 0.012, "RepetitionTime": 0.55, "ScanningSequence": "SE"}
TSE = {"EchoTime": 0.098, "RepetitionTime": 4.2, "ScanningSequence": "SE"}
IR = {"EchoTime": 0.11, "RepetitionTime": 9.0, "InversionTime": 2.4, "ScanningSequence": ["SE", "IR"]}
T1_FLAIR = {"EchoTime": 0.022, "RepetitionTime": 2.6, "InversionTime": 0.8, "ScanningSequence": ["SE", "IR"]}


def test_of_many_names_none_is_taken_wrongly_and_most_are_known():
    judged = [(name, truth, judge_scan("none", notes={}, name=name)) for name, truth in listed()]
    wrong = [row for row in judged if row[2].contrast not in (row[1], None, "other")]
    named = [row for row in judged if row[1] is not None]
    missed = [row for row in named if row[2].contrast != row[1]]
    assert len(judged) > 200 and wrong == []
    assert len(missed) <= 0.03 * len(named), missed


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("flair_to_t1ce", "FLAIR"),
        ("T2_reg_T1ce", "T2w"),
        ("T1gd_onto_T2", "T1ce"),
        ("flair2t1", "FLAIR"),
        ("T1_to_T2_postGd", None),
        ("case_to_T1", None),
        ("P01_reg_T1", None),
    ],
)
def test_a_scan_is_told_from_the_one_that_it_was_brought_to(name, contrast):
    assert judge_scan("none", notes={}, name=name).contrast == contrast


@pytest.mark.parametrize("case", [str.upper, str.lower, lambda name: name.replace(" ", "_") + ".nii.gz"])
def test_capitals_and_blanks_change_nothing_that_is_told(case):
    changed = [
        (name, judge_scan("none", notes={}, name=case(name)).contrast)
        for name, truth in listed()
        if truth in ("T1w", "T1ce", "T2w", "FLAIR") and "sub-" not in name
    ]
    truth = dict(listed())
    assert [(name, got) for name, got in changed if got not in (truth[name], None, "other")] == []


@pytest.mark.parametrize(
    ("name", "notes", "contrast"),
    [
        ("sub-1_T1w.nii.gz", {}, "T1w"),
        ("sub-1_T1w.nii.gz", {"ContrastBolusIngredient": "GADOLINIUM"}, "T1ce"),
        ("sub-1_T1w.nii.gz", {"ContrastBolusAgent": "Clariscan 8 ml"}, "T1ce"),
        ("sub-1_T1w.nii.gz", {"ContrastBolusAgent": "No contrast given"}, "T1w"),
        ("sub-1_T1w.nii.gz", {"ContrastBolusAgent": "0.0 ml"}, "T1w"),
        ("sub-1_T1w.nii.gz", {"ContrastBolusAgent": "unknown"}, "T1w"),
        ("sub-1_T1w.nii.gz", {"ContrastBolusAgent": "W & W/O"}, None),
        ("sub-1_T1w.nii.gz", {"ContrastBolusAgent": "DOTAREM", "ContrastBolusVolume": 0}, None),
        ("sub-1_ce-Gd_T1w.nii.gz", {"ContrastBolusAgent": "none"}, None),
        ("sub-1_ce-none_T1w.nii.gz", {}, "T1w"),
        ("sub-1_acq-pregad_T1w.nii.gz", {}, "T1w"),
        ("sub-1_acq-pregad_T1w.nii.gz", {"ContrastBolusIngredient": "GADOLINIUM"}, None),
        ("sub-1_acq-post_T1w.nii.gz", {}, "T1ce"),
        ("sub-1_acq-postop_T1w.nii.gz", {}, "T1w"),
        ("sub-1_acq-postgad_T1w.nii.gz", {"SeriesDescription": "AX T1 nativ"}, None),
        ("sub-1_T1w.nii.gz", {"SeriesDescription": "t1_mprage_post_gd"}, "T1ce"),
        ("sub-1_T1w.nii.gz", {"SeriesDescription": "T1 w/wo"}, None),
        ("sub-1_T1w.nii.gz", {"SeriesDescription": "T1 w/wo", "ContrastBolusAgent": "GADAVIST"}, "T1ce"),
        ("sub-1_T1w.nii.gz", {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "other"),
        ("sub-1_T1w.nii.gz", {"ImageType": ["DERIVED", "PRIMARY", "DIXON", "WATER"]}, "other"),
        ("sub-1_T1w.nii.gz", TSE, None),
        ("sub-1_T1w.nii.gz", SE, "T1w"),
        ("sub-1_T2w.nii.gz", IR, None),
        ("sub-1_T2w.nii.gz", {**TSE, "EchoTime": 0.015}, None),
        ("sub-1_FLAIR.nii.gz", T1_FLAIR, None),
        ("sub-1_FLAIR.nii.gz", TSE, "FLAIR"),
        ("sub-1_ce-gd_FLAIR.nii.gz", {}, "other"),
        ("sub-1_echo-2_T1w.nii.gz", {}, "other"),
        ("sub-1_acq-UNI_T1w.nii.gz", {}, "T1w"),
        ("sub-1_inv-1_T1w.nii.gz", {}, "other"),
        ("sub-1_acq-PD_T2w.nii.gz", {}, None),
        ("sub-1_acq-FLAIR_T2w.nii.gz", {}, None),
        ("7_scan.nii.gz", {**SE, "SeriesDescription": "AX T1 SE"}, "T1w"),
        ("7_scan.nii.gz", TSE, "T2w"),
        ("7_scan.nii.gz", {**IR, "SeriesDescription": "AX T2"}, "FLAIR"),
        ("7_scan.nii.gz", {**T1_FLAIR, "SeriesDescription": "Ax T1 FLAIR"}, "T1w"),
        ("7_scan.nii.gz", {**TSE, "InversionTime": 0.16, "SeriesDescription": "t2_tirm_cor"}, "other"),
        ("7_scan.nii.gz", {**IR, "SeriesDescription": "t2_tirm_tra"}, "FLAIR"),
        ("7_scan.nii.gz", {**TSE, "ScanningSequence": "EP"}, "other"),
        ("7_scan.nii.gz", {"Modality": "CT", "SeriesDescription": "T1"}, "other"),
        ("t1.nii.gz", {"SeriesDescription": "AX T2 TSE"}, None),
        ("t1.nii.gz", TSE, None),
        ("t1.nii.gz", {"SeriesDescription": "Localizer"}, "other"),
        ("t1.nii.gz", {"EchoTime": 12, "RepetitionTime": 550}, "T1w"),
        ("t1.nii.gz", {"EchoTime": "n/a", "ImageType": None, "ContrastBolusAgent": [], "ProtocolName": 7}, "T1w"),
    ],
)
def test_fields_come_before_words_and_what_disagrees_is_not_told(name, notes, contrast):
    assert judge_scan("none", notes=notes, name=name).contrast == contrast


def test_the_evidence_names_both_sides_and_no_word_from_outside():
    told = judge_scan("sub-1_T1w.nii.gz", notes={"ContrastBolusIngredient": "GADOLINIUM for Doe"})
    assert told == ("T1ce", "suffix T1w, agent GADOLINIUM")
    torn = judge_scan("t1.nii.gz", notes={"SeriesDescription": "Doe^Jane T2"})
    assert torn == (None, "cannot tell: description says T2, but file name says T1")
    assert "Gadenfels" not in judge_scan("Gadenfels_T1.nii", notes={}).evidence


def test_a_sidecar_beside_the_scan_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"SeriesDescription": "Sag T2 FLAIR"}')
    assert judge_scan(tmp_path / "a.nii.gz").contrast == "FLAIR"


@pytest.mark.parametrize("content", [b"{ no json", b"\xff\xfe\x00", b"[1, 2]", b"[" * 50_000])
def test_a_sidecar_that_cannot_be_read_leaves_open_whether_a_t1_is_after_an_agent(tmp_path, content):
    for name in ("t1", "t2", "flair", "t1_gad"):
        (tmp_path / f"{name}.json").write_bytes(content)
    judged = [judge_scan(tmp_path / f"{name}.nii.gz") for name in ("t1", "t2", "flair", "t1_gad")]
    assert [contrast for contrast, _ in judged] == [None, "T2w", "FLAIR", "T1ce"]
    assert "its sidecar cannot be read" in judged[0].evidence


def test_an_empty_file_beside_a_scan_is_no_sidecar_but_in_bids(tmp_path):
    for name in ("t1", "sub-1_T1w"):
        (tmp_path / f"{name}.json").touch()
    assert judge_scan(tmp_path / "t1.nii").contrast == "T1w"
    assert judge_scan(tmp_path / "sub-1_T1w.nii").contrast is None


def test_a_sidecar_that_others_could_not_read_is_named():
    judged = judge_scan("sub-1_T1w.nii", notes={UNREADABLE: "sub-1_T1w.json"})
    assert judged.contrast is None and "cannot read sub-1_T1w.json" in judged.evidence
    assert judge_scan("sub-1_T2w.nii", notes={UNREADABLE: "sub-1_T2w.json"}).contrast == "T2w"


def write_pair(folder, **more):
    """Sidecars of a T1 before and of one after an agent, whose field stands in both."""
    for name, words in (("pregad", "AX T1 PRE"), ("postgad", "AX T1 POST")):
        notes = {"SeriesDescription": words, "ContrastBolusAgent": "GADAVIST", **more}
        (folder / f"sub-1_acq-{name}_T1w.json").write_text(json.dumps(notes))
    return folder / "sub-1_acq-pregad_T1w.nii.gz", folder / "sub-1_acq-postgad_T1w.nii.gz"


def test_an_agent_that_stands_in_every_scan_of_an_exam_leaves_the_one_before_it(tmp_path):
    before, after = write_pair(tmp_path)
    assert [judge_scan(path).contrast for path in (before, after)] == ["T1w", "T1ce"]
    after.with_name("sub-1_acq-postgad_T1w.json").unlink()
    assert judge_scan(before).contrast is None


def test_a_protocol_that_scans_share_says_nothing_and_one_of_its_own_speaks(tmp_path):
    for name, protocol in (("a", "T1 WITH CONTRAST"), ("b", "T1 WITH CONTRAST"), ("c", "t1_mprage_gd")):
        (tmp_path / f"{name}_T1.json").write_text(json.dumps({"ProtocolName": protocol}))
    assert [judge_scan(tmp_path / f"{name}_T1.nii").contrast for name in "abc"] == ["T1w", "T1w", "T1ce"]


@pytest.mark.parametrize("name", ["t1" * 2000, "post_" * 3000, "ax" * 5000, "1" * 9000, "T1" + "+" * 5000, "w " * 5000])
def test_a_name_of_any_length_is_judged_at_once(name):
    start = time.perf_counter()
    judge_scan("none", notes={"SeriesDescription": name}, name=name[:9000])
    assert time.perf_counter() - start < 2


BEFORE = {"T1w"}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["t1", "gad", "MR"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "SeriesDescription ProtocolName SequenceName ImageType ScanningSequence Modality AngioFlag EchoTime RepetitionTime "
    "RepetitionTimePreparation InversionTime ContrastBolusAgent ContrastBolusIngredient ContrastBolusVolume "
    "ContrastBolusTotalDose ContrastBolusRoute ContrastBolusStartTime ContrastFlowRate ContrastAgent ImageComments "
    f"Comments ContrastEnhanced Contrast seriesdescription protocol_name {UNREADABLE}"
).split()


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), JSON, max_size=6), st.text(max_size=12))
@example(dict.fromkeys(FIELDS, ["t1", "gad"]), "t1")
@example(dict.fromkeys(FIELDS, {"a": [None, {"b": 10**5000}]}), "sub-1_T1w")
@example(dict.fromkeys(FIELDS, 10**400), "sub-1_T1w")
@example(dict.fromkeys(FIELDS), "sub-1_T1w")
@example(dict.fromkeys(FIELDS, "\ud800"), "\ud800_T1")
def test_whatever_json_holds_a_scan_is_judged(notes, name):
    for other in (name, f"sub-1_{name}_T1w.nii", "sub-1_T1w.nii"):
        judged = judge_scan("none", notes=notes, name=other)
        assert judged.contrast in ("T1w", "T1ce", "T2w", "FLAIR", "other", None) and judged.evidence
    assert judge_series(Series(notes), [Series(notes, "sub-2_T1w")]).evidence


@pytest.mark.parametrize("notes", [None, [], "t1", 7])
def test_a_sidecar_that_is_no_object_says_nothing(notes):
    assert tidy_notes(notes) == {}


@pytest.mark.parametrize(
    ("name", "contrasts"),
    [
        ("T2toT1", {"T2w"}),
        ("t1ontoflair", BEFORE),
        ("T1gdtoT2", {"T1ce"}),
        ("T1_uten_kontrast", BEFORE),
        ("T1_ilman_gado", BEFORE),
        ("T1_bezz_gad", {None}),
        ("T1_gad_withdrawn", {None}),
        ("T1_gadavist_0cc", {None}),
        ("T1_med_kontrast", {"T1ce"}),
        ("T1_withCM", {"T1ce"}),
        ("T1_fov_22_cm", BEFORE),
        ("T1_tse_plus", {None}),
        ("T1_multihanse_magnevista", {None}),
        ("wc2T1", {"other"}),
        ("mwp2sub-1_T1w", {"other"}),
        ("c3T1", {None}),
        ("C3_T1", BEFORE),
        ("p2_T1", BEFORE),
        ("y_T1", {None}),
        ("T1_logjac", {"other"}),
        ("T1_csfprob", {"other"}),
        ("T1_lesionseg", {"other"}),
        ("T1_invwarp", {"other"}),
        ("T1_kurtosis", {"other"}),
        ("T1_gradwarp", BEFORE),
        ("T1_gd_minus_T1", {"other"}),
        ("T1_post_minus_pre", {"other"}),
        ("T1_minus_gd", BEFORE),
    ],
)
def test_what_was_computed_brought_or_denied_is_told_by_name(name, contrasts):
    assert judge_scan("none", notes={}, name=name).contrast in contrasts


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1.5", 1.5),
        ([2, 3], 2),
        (MultiValue(float, [4, 5]), 4),
        ("x", None),
        ([], None),
        (10**400, None),
        ("inf", None),
    ],
)
def test_numbers_of_sidecars_and_headers_are_converted_alike(value, number):
    assert as_number(value) == number
