"""Charts of results: the figures beside the curves are those that were passed or counted."""

import numpy as np
import pandas as pd
import pytest
from ellipsoids import words
from scipy.integrate import trapezoid

from epitome_kit.plotting.scores import ORACLE, confusion, dice_and_volume, reliability, roc, scoreboard

Y = np.array([0, 0, 0, 0, 1, 1, 1, 1])
P = np.array([0.1, 0.2, 0.3, 0.8, 0.4, 0.7, 0.8, 0.9])


def line(figure, start):
    return next(curve for curve in figure.axes[0].lines if str(curve.get_label()).startswith(start))


def test_roc_names_the_area_and_its_interval():
    figure = roc(Y, P, 0.906, (0.71, 1.0))
    assert {"AUC 0.91 (0.71 to 1.00)", "ROC curve, n = 8 (4 positive)", "chance: AUC 0.50"} <= set(words(figure))
    curve = line(figure, "AUC")
    assert curve.get_xdata()[0] == 0 and curve.get_ydata()[-1] == 1
    assert not any("oracle" in word for word in words(figure))


@pytest.mark.parametrize("oracle", [0.6, 0.9])
def test_the_curve_of_the_oracle_has_the_area_that_it_names(oracle):
    curve = line(roc(Y, P, 0.9, (0.7, 1.0), oracle=oracle), ORACLE)
    assert trapezoid(curve.get_ydata(), curve.get_xdata()) == pytest.approx(oracle, abs=0.01)


def test_confusion_gives_counts_and_shares_of_the_true_class():
    text = words(confusion([[15, 5], [0, 0]], ("II", "III")))
    assert {"15\n75%", "5\n25%", "0\n0%", "Confusion matrix, n = 20", "true", "predicted"} <= set(text)


def test_reliability_compares_groups_with_their_outcome():
    y = np.r_[np.zeros(30), np.ones(10), np.zeros(10), np.ones(30)]
    p = np.r_[np.full(40, 0.25), np.full(40, 0.75)]
    figure = reliability(y, p, bins=2)
    points = figure.axes[0].containers[0].lines[0]
    assert points.get_xdata() == pytest.approx([0.25, 0.75])
    assert points.get_ydata() == pytest.approx([0.25, 0.75])
    low, high = np.array(figure.axes[0].containers[0].lines[2][0].get_segments())[0, :, 1]
    assert (low, high) == pytest.approx((0.1419, 0.4019), abs=1e-3), "not the Wilson interval of 10 in 40"
    assert "Calibration, n = 80, Brier score 0.188" in words(figure)


def test_reliability_of_fewer_subjects_than_bins():
    assert "Calibration, n = 3, Brier score 0.070" in words(reliability([0, 1, 1], [0.1, 0.6, 0.8]))


def test_scoreboard_sets_each_score_beside_its_baseline():
    rows = {
        "AUC": {"value": 0.72, "ci": (0.62, 0.82), "baseline": 0.5, "ceiling": 0.9},
        "accuracy": {"value": 0.7, "ci": [0.6, 0.8], "baseline": 0.65, "ceiling": None},
        "Park 2019": {"value": 0.72},
    }
    figure = scoreboard(rows, n=106)
    text = words(figure)
    assert {"0.72  (0.62 to 0.82)", "0.70  (0.60 to 0.80)", "0.72", "Scoreboard, n = 106", "Park 2019"} <= set(text)
    assert {"baseline", ORACLE} <= set(text)
    marks = {(curve.get_marker(), *curve.get_xdata()) for curve in figure.axes[0].lines if len(curve.get_xdata()) == 1}
    assert {("|", 0.5), ("D", 0.9), ("|", 0.65), ("o", 0.72), ("o", 0.7)} == marks
    assert ORACLE not in words(scoreboard({"Park 2019": {"value": 0.72}}))


TUMOURS = pd.DataFrame(
    {
        "dice": [0.9, 0.5, 0.8, np.nan],
        "reference": ["truth", "truth", "truth", None],
        "volume_error_pct": [-10, 20, 0, np.nan],
        "reference_volume_voxels": [100, 50, 200, np.nan],
    }
)


def test_dice_and_volume_in_voxels():
    figure = dice_and_volume(TUMOURS.assign(reference_volume_ml=np.nan))
    ranks, sizes = figure.axes
    assert ranks.lines[0].get_ydata().tolist() == [0.5, 0.8, 0.9]
    assert sizes.lines[1].get_xdata().tolist() == [100, 50, 200]
    assert sizes.lines[1].get_ydata().tolist() == [90, 60, 200]
    text = words(figure)
    assert {"median 0.80", "mean 0.73", "Tumour masks, n = 3", "Volume, n = 3; median error 10 %"} <= set(text)
    assert "reference volume (voxels)" in text and not any("(mL)" in word for word in text)


def test_dice_and_volume_in_ml():
    tumours = TUMOURS.assign(reference_volume_ml=[10, 5, 20, np.nan])
    assert "reference volume (mL)" in words(dice_and_volume(tumours))


def test_what_was_compared_on_annotated_slices_alone_says_so():
    """The volume of the whole mask is another: three slices hold a part of it."""
    tumours = TUMOURS.assign(reference=["annotated slices"] * 3 + [None], volume_voxels=[270, 180, 600, 15])
    text = words(dice_and_volume(tumours))
    assert "Volume in annotated slices, n = 3; median error 10 %" in text


def test_an_empty_mask_needs_a_linear_scale():
    figure = dice_and_volume(TUMOURS.assign(volume_error_pct=[-100, 20, 0, np.nan]))
    assert figure.axes[1].get_xscale() == "linear"
