"""Charts of preprocessing: the curves are those of the masks and fields, letters and units are named."""

import ellipsoids
import numpy as np
import pandas as pd
import pytest
from ellipsoids import words
from tiny import raises_three_lines

from epitome_kit.errors import ParameterError
from epitome_kit.images import mark_voxel_size_unknown, new_image_like
from epitome_kit.metrics import dice
from epitome_kit.plotting.preprocessing import ablation_chart, bias_levels, compare_corrections, strip_thresholds
from epitome_kit.preprocess.ablation import COHORT_MEASURES
from epitome_kit.preprocess.quality import TRUTH_MEASURES

HEAD, BRAIN = ellipsoids.head(), ellipsoids.brain()
INSIDE = np.asarray(BRAIN.dataobj) > 0


def probability():
    """Falls evenly from the middle to 64 mm away from it."""
    distance = np.linalg.norm(ellipsoids.places(HEAD.shape, HEAD.affine), axis=-1)
    return new_image_like(np.clip(1 - distance / 64, 0, 1).astype(np.float32), HEAD)


def drift(strength):
    sides = np.linspace(-strength, strength, HEAD.shape[0], dtype=np.float32)
    return new_image_like(np.exp(np.broadcast_to(sides[:, None, None], HEAD.shape)), HEAD)


def curves(figure):
    """Points of each curve that is marked by dots."""
    return [line.get_xydata() for axes in figure.axes for line in axes.lines if line.get_marker() == "o"]


def test_size_and_overlap_follow_the_threshold():
    truth = new_image_like((probability().get_fdata() > 0.5).astype(np.uint8), HEAD)
    figure = strip_thresholds(HEAD, probability(), truth)
    size, overlap = curves(figure)
    for (threshold, volume), (_, score) in zip(size, overlap, strict=True):
        inside = probability().get_fdata() > threshold
        assert volume == pytest.approx(np.count_nonzero(inside) * 0.036)
        assert score == pytest.approx(dice(inside, truth.get_fdata() > 0))
    assert overlap[overlap[:, 1].argmax(), 0] == 0.5
    assert {"brain (mL)", "Dice with the truth", "above 0.5", "truth", "R", "L"} <= set(words(figure))


def test_size_without_a_truth_or_a_voxel_size():
    figure = strip_thresholds(mark_voxel_size_unknown(HEAD), probability())
    text = words(figure)
    assert len(curves(figure)) == 1 and "brain (voxels)" in text
    assert not [word for word in text if "mm" in word or "mL" in word]


def test_what_is_left_of_the_bias_at_each_level():
    truth = drift(0.2)
    figure = bias_levels(HEAD, [drift(0.1), truth, drift(0.4)], BRAIN, truth)
    (left,) = curves(figure)
    sd = np.log(truth.get_fdata())[INSIDE].std()
    assert np.allclose(left, [(0, sd), (1, sd / 2), (2, 0), (3, sd)], atol=1e-4)
    assert {"truth", "1 level", "3 levels", "residual bias (sd of the log)", "R", "L", "ratio"} <= set(words(figure))


def test_strength_of_the_field_where_no_truth_is_known():
    figure = bias_levels(HEAD, [drift(0.1)], BRAIN)
    (strength,) = curves(figure)
    assert np.allclose(strength[:, 1], [0, np.log(drift(0.1).get_fdata())[INSIDE].std()], atol=1e-4)
    assert "sd of the log field" in words(figure) and "truth" not in words(figure)


def test_each_correction_is_measured_against_the_scan_without_its_bias():
    field = drift(0.2)
    biased = new_image_like((HEAD.get_fdata() * field.get_fdata()).astype(np.float32), HEAD)
    text = words(compare_corrections(biased, {"perfect": HEAD, "none": biased}, field, BRAIN))
    numbers = [word for word in text if word.startswith("residual bias")]
    assert numbers[1] == "residual bias 0.000\nchange of detail 0.000"
    assert numbers[0] == numbers[2] and numbers[0] > "residual bias 0.05"
    assert {"scan", "perfect", "none", "R", "L", "ratio"} <= set(text)


def ablation(*, truth):
    rows = [(step, subject) for step in ("none", "strip", "bias") for subject in ("sub-1", "sub-2")]
    table = pd.DataFrame(rows, columns=["left_out", "participant_id"])
    for place, name in enumerate((*TRUTH_MEASURES, *COHORT_MEASURES)):
        table[name] = np.arange(len(rows)) + place if truth or name in COHORT_MEASURES else np.nan
    return table


@pytest.mark.parametrize(
    "truth, unit", [(True, "mean error in the brain (mm)"), (False, "correlation with the others")]
)
def test_a_step_left_out(truth, unit):
    figure = ablation_chart(ablation(truth=truth))
    text = words(figure)
    assert len(figure.axes) == 4 and unit in text
    assert {"all steps", "without strip", "without bias"} <= set(text)
    assert "Each step left out in turn, n = 2 subjects, medians in orange" in text
    assert [len(points) for points in curves(figure)] == [2] * 12


def test_a_variant_that_failed_is_named_and_nothing_at_all_is_an_error():
    table = ablation(truth=False)
    table.loc[table["left_out"] == "strip", list(COHORT_MEASURES)] = np.nan
    assert words(ablation_chart(table)).count("failed") == 4
    with raises_three_lines(ParameterError, "a measure"):
        ablation_chart(table.assign(**dict.fromkeys(COHORT_MEASURES, np.nan)))
