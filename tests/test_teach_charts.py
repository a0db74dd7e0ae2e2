"""Charts of the labs: what they write beside the marks is what was measured."""

import numpy as np
import pandas as pd
import pytest

from epitome_kit import teach


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


def test_what_was_read_is_drawn_with_shape_and_range():
    volume = np.zeros((2, 6, 5, 4, 1))
    volume[0, 2:4, 2:4, 3] = 100
    figure = teach.reading_chart({"raw": volume, "fixed": volume / 100})
    assert "6 x 5 x 4" in figure.axes[0].get_title()
    assert figure.axes[0].images[0].get_array().max() == 100, "the slice with most in it"
