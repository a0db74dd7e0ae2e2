"""What DICOM headers say of a scan: every image of a volume counts, and enhanced objects as much as classic ones."""

import pytest
from made_dicom import FLAIR, T1, T2, multiframe, series, voxels, write_series
from pydicom.dataset import Dataset

from epitome_kit.sources.dicom_choice import choose
from epitome_kit.sources.dicom_headers import read_volumes

SMALL = (6, 5, 12)


def _made(number=1, **header):
    return series(voxels(SMALL, seed=number), number=number, SeriesDescription="", **header)


def _seen(folder, *stacks):
    """Contrast and reason of each volume."""
    for index, images in enumerate(stacks):
        write_series(folder / str(index), images)
    return [(each.contrast, each.reason) for choice in choose(read_volumes(folder)[0]) for each in choice.judged]


def _set(images, keyword, value):
    for image in images:
        setattr(image, keyword, value)


def _item(**elements):
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


@pytest.mark.parametrize(
    ("keyword", "value", "which"),
    [
        ("ContrastBolusAgent", "MAGNEVIST", slice(7, None)),
        ("ContrastBolusAgent", "MAGNEVIST", slice(0, 8)),
        ("SeriesDescription", "T1 SE +C", slice(1, None)),
        ("SeriesDescription", "T2", slice(3, 5)),
        ("BodyPartExamined", "LSPINE", slice(4, None)),
        ("RepetitionTime", 9000, slice(9, None)),
    ],
)
def test_images_of_one_volume_that_disagree_are_not_taken(tmp_path, keyword, value, which):
    images = _made(**T1)
    _set(images, "SeriesDescription", "T1 SE")
    _set(images[which], keyword, value)
    assert _seen(tmp_path, images) == [(None, f"cannot tell: its images disagree on {keyword}")]


@pytest.mark.parametrize(
    ("keyword", "usual", "value", "contrast"),
    [
        ("ContrastBolusAgent", "MAGNEVIST", "", "T1ce"),
        ("WindowCenter", 300, 500, "T1w"),
        ("RepetitionTime", 500, 503, "T1w"),
        ("SeriesDescription", "T1 SE", "T1 SE axial", "T1w"),
    ],
)
def test_a_lost_or_harmless_field_of_one_image_changes_nothing(tmp_path, keyword, usual, value, contrast):
    for place in (0, 5):
        images = _made(**T1)
        _set(images, keyword, usual)
        setattr(images[place], keyword, value)
        assert _seen(tmp_path / str(place), images) == [(contrast, "")]


def test_magnitude_and_phase_of_one_series_are_two_volumes(tmp_path):
    magnitude, phase = _made(**T1), _made(**T1, ImageType=["ORIGINAL", "PRIMARY", "P"])
    for image in phase:
        image.SOPInstanceUID += ".9"
    assert sorted(_seen(tmp_path, magnitude + phase)) == [("T1w", ""), ("other", "other: image type P: phase")]


def test_one_magnitude_image_does_not_speak_for_a_phase_series(tmp_path):
    images = _made(**T1)
    _set(images[1:], "ImageType", ["ORIGINAL", "PRIMARY", "P"])
    seen = dict(_seen(tmp_path, images))
    assert seen["other"] == "other: image type P: phase" and "received 1 in series 1" in seen["T1w"]


@pytest.mark.parametrize("whole", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize(
    ("items", "contrast"),
    [
        ({"ContrastBolusAgentSequence": [_item(CodeValue="C1", CodeMeaning="Gadoterate")]}, "T1ce"),
        ({"ContrastBolusAgentSequence": [_item(CodeValue="C-B03A7")]}, "T1ce"),
        ({"ContrastBolusTotalDose": 8, "ContrastBolusRoute": "IV"}, "T1ce"),
        ({"ContrastBolusAgentSequence": []}, "T1w"),
    ],
)
def test_the_agent_is_read_wherever_it_stands(tmp_path, whole, items, contrast):
    images = _made(**T1)
    for keyword, value in items.items():
        _set(images, keyword, value)
    assert _seen(tmp_path, multiframe(images) if whole else images) == [(contrast, "")]


@pytest.mark.parametrize(("given", "contrast"), [("YES", "T1ce"), ("NO", "T1w")])
def test_the_agent_of_an_enhanced_object_was_given_or_not(tmp_path, given, contrast):
    (whole,) = multiframe(_made(**T1))
    usage = _item(ContrastBolusAgentNumber=1, ContrastBolusAgentAdministered=given)
    whole.SharedFunctionalGroupsSequence[0].ContrastBolusUsageSequence = [usage]
    assert _seen(tmp_path, [whole]) == [(contrast, "")]


def test_the_inversion_of_an_enhanced_object_is_read(tmp_path):
    (whole,) = multiframe(_made(**FLAIR))
    del whole.InversionTime, whole.ScanningSequence
    modifier = _item(InversionRecovery="YES", InversionTimes=[2400.0])
    whole.SharedFunctionalGroupsSequence[0].MRModifierSequence = [modifier]
    assert _seen(tmp_path / "times", [whole]) == [("FLAIR", "")]
    del modifier.InversionTimes
    ((contrast, reason),) = _seen(tmp_path / "none", [whole])
    assert contrast is None and reason.startswith("cannot tell: ")


def test_an_inversion_without_its_time_is_no_t2(tmp_path):
    ((contrast, reason),) = _seen(tmp_path, _made(**{**FLAIR, "InversionTime": None}))
    assert contrast is None and "inversion" in reason


def test_phase_of_an_enhanced_object_is_known_by_its_frames(tmp_path):
    (whole,) = multiframe(_made(**T1))
    whole.ComplexImageComponent = "PHASE"
    assert _seen(tmp_path / "all", [whole]) == [("other", "other: image type PHASE: phase")]
    (whole,) = multiframe(_made(**T1))
    for index, frame in enumerate(whole.PerFrameFunctionalGroupsSequence):
        frame.MRImageFrameTypeSequence = [_item(ComplexImageComponent="PHASE" if index % 2 else "MAGNITUDE")]
    assert [contrast for contrast, _ in _seen(tmp_path / "half", [whole])] == ["T1w", "other"]


@pytest.mark.parametrize("part", ["KNEE", "CSPINE", "T_SPINE", "NECK", "ORBIT", "LSPINE", "Lumbar Spine", "ABDOMEN"])
def test_another_part_of_the_body_is_never_taken(tmp_path, part):
    brain, other = _made(1, BodyPartExamined="BRAIN", **T2), _made(2, BodyPartExamined=part, **T2)
    assert sorted(_seen(tmp_path, brain, other), key=str)[0] == ("T2w", "")
    words = part.upper().replace("_", " ")
    assert _seen(tmp_path, brain, other)[1] == ("other", f"other: of another part of the body: {words}")


@pytest.mark.parametrize(
    "part", ["", "HEAD", "BRAIN", "SKULL", "NEURO", "HEADNECK", "HEAD AND NECK", "MR BRAIN", "TUMOUR"]
)
def test_the_head_is_taken_under_any_name(tmp_path, part):
    assert _seen(tmp_path, _made(BodyPartExamined=part, **T2)) == [("T2w", "")]
