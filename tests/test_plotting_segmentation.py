"""Charts of outlines: each dot, interval and figure is that of the table."""

import numpy as np
import pandas as pd
import pytest
from ellipsoids import words

from epitome_kit.plotting.segmentation import compare_segmentations, volume_intervals

TUMOURS = pd.DataFrame(
    {
        "dice": [0.9, 0.5, 0.8, np.nan],
        "dice_classical": [0.4, 0.6, 0.2, np.nan],
        "volume_voxels": [199, 99, 49, 7],
        "volume_ml": np.nan,
        "volume_low_voxels": [99, 49, 24, 3],
        "volume_high_voxels": [399, 199, 99, 15],
        "compared_volume_voxels": [199, 49, 49, np.nan],
        "reference_volume_voxels": [300, 20, 90, np.nan],
        "reference_volume_ml": np.nan,
        "covered": [True, False, True, np.nan],
    }
)


def _segments(figure):
    return {
        tuple(segment[:, 0]): segment[:, 1] for lines in figure.axes[0].collections for segment in lines.get_segments()
    }


def test_methods_are_one_dot_a_subject_and_their_mean():
    figure = compare_segmentations(TUMOURS)
    _, dots, mean = figure.axes[0].lines
    assert dots.get_xdata().tolist() == [0.4, 0.6, 0.2] and dots.get_ydata().tolist() == [0.9, 0.5, 0.8]
    assert (mean.get_xdata()[0], mean.get_ydata()[0]) == pytest.approx((0.4, 2.2 / 3))
    assert "Network and symmetry, n = 3\nthe network is better for 2" in words(figure)


def test_intervals_stand_in_the_order_of_size_each_in_its_colour():
    figure = volume_intervals(TUMOURS)
    text = words(figure)
    found = {"contains the reference: 2", "misses it: 1", "whole volume unknown: 1", "volume (voxels)", "reference"}
    assert found <= set(text)
    assert "Volume and its 90 % interval, n = 4, median high / low 4.00, coverage 67% (n = 3)" in text
    references = next(line for line in figure.axes[0].lines if line.get_label() == "reference")
    assert references.get_xdata().tolist() == [2, 3, 4] and references.get_ydata().tolist() == [20, 90, 300]
    assert figure.axes[0].get_yscale() == "log"
    assert _segments(figure)[2, 2] == pytest.approx([49, 199]) and _segments(figure)[1, 1] == pytest.approx([3, 15])


def test_annotated_slices_say_nothing_of_coverage():
    text = words(volume_intervals(TUMOURS.assign(covered=np.nan)))
    assert "whole volume unknown: 4" in text and "reference" not in text
    assert "Volume and its 90 % interval, n = 4, median high / low 4.00" in text


def test_intervals_in_ml():
    units = ["volume_", "volume_low_", "volume_high_", "reference_volume_"]
    in_ml = TUMOURS.assign(**{f"{name}ml": TUMOURS[f"{name}voxels"] / 10 for name in units})
    figure = volume_intervals(in_ml)
    assert "volume (mL)" in words(figure)
    assert _segments(figure)[4, 4] == pytest.approx([9.9, 39.9])


def test_an_empty_mask_needs_a_linear_scale():
    empty = TUMOURS.assign(volume_voxels=0, volume_low_voxels=0, volume_high_voxels=1)
    assert volume_intervals(empty).axes[0].get_yscale() == "linear"


def test_without_any_interval_the_chart_is_empty_and_says_so():
    none = TUMOURS.assign(covered=np.nan, volume_low_voxels=np.nan, volume_high_voxels=np.nan)
    assert "Volume and its 90 % interval, n = 0" in words(volume_intervals(none))
