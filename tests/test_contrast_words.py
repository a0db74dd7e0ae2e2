"""Words of an agent in many languages, what beside them denies them, and words of other images."""

import pytest

from epitome_kit.sources.contrasts import Series, judge_scan, judge_series


def judge(text):
    """Judge a text as a description and as the name of a file; both must agree."""
    told = judge_scan("none", notes={"SeriesDescription": text}, name="7_scan").contrast
    named = judge_scan("none", notes={}, name=text).contrast
    assert told == named
    return told


@pytest.mark.parametrize(
    "text",
    [
        *("T1 tra utan kontrast", "T1 uden kontrast", "T1 zonder kontrast", "T1 bez kontrastu", "T1 sem contraste"),
        *(
            "T1 innan kontrast",
            "T1 przed kontrastem",
            "T1 kontrast oncesi",
            "T1 antes do contraste",
            "T1 voor contrast",
        ),
        *("T1 ilman tehostetta", "T1 ennen tehostetta", "T1 prior to gadolinium"),
    ],
)
def test_words_for_without_and_before_are_known_in_many_languages(text):
    assert judge(text) == "T1w"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "T1 med kontrast",
            "T1 efter gadolinium",
            "T1 etter KM",
            "T1 met contrast",
            "T1 z kontrastem",
            "T1 po kontraste",
        ),
        *("T1 com contraste", "T1 após contraste", "T1 kontrast sonrasi", "T1 tehosteella", "T1 po KL", "T1 cmdc"),
        *("T1 hypophyse KM", "AX T1 GAD THIN REPEAT", "T1 gad no fs", "T1 KM vor OP", "T1 post 20 ml gad"),
    ],
)
def test_words_for_with_and_after_are_known_in_many_languages(text):
    assert judge(text) == "T1ce"


@pytest.mark.parametrize(
    "text",
    [
        *("T1 gd avvisad", "T1 kontrast nevydan", "T1 odepreno gado", "T1 gado verweigert", "T1 contrast cancelled"),
        *(
            "T1 contrast was not given",
            "T1 postcontrast not acquired",
            "T1 no postgad",
            "T1 KM evtl",
            "T1 gad if possible",
        ),
        *("T1 SS GADO", "T1 S GADO", "T1 u. kontrast", "T1 s KL", "T1 KL", "T1 kontrastigin", "T1 gad before"),
    ],
)
def test_a_word_beside_an_agent_that_may_deny_it_asks(text):
    assert judge(text) is None


@pytest.mark.parametrize(
    "name", ["Smith_T1_gad", "Karlstad_Smith_T1gd", "P12_T1_gad_S3", "gad_T1", "x9_T1c_Smith", "T1_gad_a"]
)
def test_names_of_people_away_from_the_agent_and_codes_beside_it_ask_nothing(name):
    assert judge_scan("none", notes={}, name=name).contrast == "T1ce"


@pytest.mark.parametrize(
    "text",
    [
        *("T1 C-spine", "t2_tse_sag_LWS", "T1 HWS KM", "cspine T1", "T2 knee", "Orbita T1 fs", "T1 neck", "T2 pelvis"),
        *("T1 Differenz", "T1minusT1ce", "T1 post minus pre", "LAVA-Flex T1"),
    ],
)
def test_other_parts_of_the_body_and_differences_are_other_images(text):
    assert judge(text) == "other"


def test_a_label_of_bids_for_the_spine_is_another_image():
    assert judge_scan("none", notes={}, name="sub-1_acq-spine_T1w.nii.gz").contrast == "other"
    assert judge_scan("none", notes={}, name="sub-1_acq-pituitary_T1w.nii.gz").contrast == "T1w"


@pytest.mark.parametrize("pair", [("utan", "med"), ("uden", "med"), ("zonder", "met"), ("sem", "com"), ("bez", "po")])
def test_of_two_t1_with_one_agent_in_both_headers_each_gets_its_own_kind(pair):
    exam = [
        Series({"SeriesDescription": f"AX T1 {word} kontrast", "ContrastBolusAgent": "GADAVIST", "SeriesNumber": word})
        for word in pair
    ]
    found = [judge_series(one, [other]).contrast for one, other in zip(exam, exam[::-1], strict=True)]
    assert found == ["T1w", "T1ce"]
