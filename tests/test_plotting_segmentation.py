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
    assert {"contains the reference: 2", "misses it: 1", "volume (voxels)", "reference"} <= set(text)
    assert "Volume and its 90 % interval, n = 3, coverage 67%" in text
    references = next(line for line in figure.axes[0].lines if line.get_label() == "reference")
    assert references.get_ydata().tolist() == [20, 90, 300]
    assert figure.axes[0].get_yscale() == "log"


def test_the_interval_is_that_of_what_was_compared():
    """Half of the second tumour lies on annotated slices: its interval is that of 49 voxels, not of 99."""
    segments = _segments(volume_intervals(TUMOURS))
    assert segments[1, 1] == pytest.approx([24, 99]) and segments[2, 2] == pytest.approx([24, 99])
    assert segments[3, 3] == pytest.approx([99, 399])


def test_intervals_in_ml():
    in_ml = TUMOURS.assign(reference_volume_ml=TUMOURS.reference_volume_voxels / 10)
    figure = volume_intervals(in_ml)
    assert "volume (mL)" in words(figure)
    assert _segments(figure)[3, 3] == pytest.approx([9.9, 39.9])


def test_an_empty_mask_needs_a_linear_scale():
    empty = TUMOURS.assign(volume_voxels=0, compared_volume_voxels=0, volume_low_voxels=0, volume_high_voxels=1)
    assert volume_intervals(empty).axes[0].get_yscale() == "linear"


def test_without_any_interval_the_chart_is_empty_and_says_so():
    assert "Volume and its 90 % interval, n = 0" in words(volume_intervals(TUMOURS.assign(covered=np.nan)))
