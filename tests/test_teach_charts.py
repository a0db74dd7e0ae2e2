"""Charts of the labs: what they write beside the marks is what was measured."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from epitome_kit import teach
from epitome_kit.plotting.style import RED


def _texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_leak_is_drawn_with_what_it_adds():
    scores = pd.DataFrame({"honest": [0.5, 0.5, 0.5], "leaking": [0.9, 0.9, 0.9]})
    figure = teach.leak_chart({"slices": scores, "none": scores.assign(leaking=0.5)}, n=12)
    (axes,) = figure.axes
    assert "+40  (+40 to +40)" in _texts(axes) and "+0  (+0 to +0)" in _texts(axes)
    assert "n = 12 subjects, 3 repeats" in axes.get_title()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["slices", "none"]


def test_fixes_are_drawn_with_n_and_what_guessing_gets():
    row = {"n": 10, "accuracy": 0.7, "accuracy_ci95": [0.4, 0.9], "auc": 0.6, "auc_ci95": [0.3, 0.8]}
    stages = pd.DataFrame({"as it was": row, "fixed": {**row, "n": 48, "auc": 0.75}}).T
    figure = teach.fix_chart(stages, majority=0.65)
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["as it was  (n = 10)", "fixed  (n = 48)"]
    assert "0.65" in left.get_legend().get_texts()[0].get_text()
    assert _texts(right) == ["0.60", "0.75"]
    assert left.lines[0].get_xdata()[0] == pytest.approx(0.65)


def test_intervals_that_miss_are_counted_and_drawn_in_red():
    aucs = np.full(50, 0.6)
    intervals = pd.DataFrame({"auc": aucs, "low": aucs - 0.2, "high": aucs + 0.2})
    intervals.loc[[3, 45], ["low", "high"]] = 0.9, 1.0
    intervals.loc[7, ["low", "high"]] = 0.1, 0.2
    figure = teach.interval_chart(intervals, 0.5)
    (axes,) = figure.axes
    held, missed = axes.collections
    assert (len(held.get_segments()), len(missed.get_segments())) == (38, 2)
    assert axes.get_title().endswith("2 of 40 miss")
    assert missed.get_segments()[0][:, 0].tolist() == [3, 3] and to_hex(missed.get_color()[0]).upper() == RED
    garbage = teach.interval_chart(intervals.assign(low=0.59, high=0.61), 0.5, shown=50)
    assert garbage.axes[0].get_title().endswith("50 of 50 miss")


def test_what_was_read_is_drawn_with_shape_and_range():
    volume = np.zeros((2, 6, 5, 4, 1))
    volume[0, 2:4, 2:4, 3] = 100
    figure = teach.reading_chart({"raw": volume, "fixed": volume / 100})
    assert "6 x 5 x 4" in figure.axes[0].get_title()
    assert figure.axes[0].images[0].get_array().max() == 100, "the slice with most in it"
