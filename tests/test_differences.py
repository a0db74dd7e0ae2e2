"""Differences over folds: their intervals hold the truth, and equal folds do not make them empty."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from epitome_kit.grade.differences import corrected_t, difference_of_sizes, holm
from epitome_kit.metrics import auc


def test_the_interval_is_wider_than_that_of_independent_values_by_the_overlap_of_training_sets():
    values = np.array([0.1, -0.2, 0.3, 0.0, 0.15])
    plain = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    found = corrected_t(values)
    assert (found.high - found.low) / (plain[1] - plain[0]) == pytest.approx(np.sqrt((1 / 5 + 1 / 4) / (1 / 5)))
    assert found.difference == pytest.approx(values.mean()) == pytest.approx((found.low + found.high) / 2)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.17, 0.3])
def test_p_and_interval_agree(shift):
    found = corrected_t(np.array([0.1, -0.2, 0.3, 0.0, 0.15]) + 3 * shift)
    assert (found.p <= 0.05) == (found.low > 0)


def test_equal_folds_are_no_proof():
    assert corrected_t(np.zeros(5)).low == pytest.approx(0, abs=1e-9)
    assert corrected_t(np.zeros(5), step=0.1).high > 0.05
    assert difference_of_sizes(np.zeros(5), np.zeros(5), step=0.1).high > 0.05


def test_equivalence_is_shown_by_small_differences_alone():
    values = np.array([0.01, -0.01, 0.005, 0.0, -0.005])
    assert corrected_t(values, margin=0.05).p < 0.01 < 0.05 < corrected_t(10 * values, margin=0.05).p
    assert corrected_t(values + 0.06, margin=0.05).p > 0.5


@pytest.mark.parametrize(
    ("before", "after", "expected"), [(0.3, 0.1, -0.2), (0.3, -0.1, -0.2), (-0.1, 0.3, 0.2), (0.2, -0.2, 0.0)]
)
def test_an_over_correction_is_no_success(before, after, expected):
    spread = np.array([-0.01, 0.01, 0.0, 0.005, -0.005])
    found = difference_of_sizes(before + spread, after - spread)
    assert found.difference == pytest.approx(expected) and found.low <= expected <= found.high
    assert (found.p <= 0.05) == (found.low > 0 or found.high < 0) == (expected != 0)


def test_holm():
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5]).tolist() == [0.5] and holm([0.9, 0.8]).tolist() == [1, 1]


def _change_in_auc(rng):
    """Return the difference in AUC that selecting two of eight features makes in five folds."""
    y = (np.arange(48) < 17).astype(int)
    x = rng.standard_normal((48, 8)) + 0.5 * y[:, None] * (np.arange(8) < 4)
    values = []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=int(rng.integers(2**31))).split(x, y):
        apart = np.abs(x[train][y[train] == 1].mean(0) - x[train][y[train] == 0].mean(0))
        scores = [
            auc(y[test], LogisticRegression().fit(x[train][:, chosen], y[train]).decision_function(x[test][:, chosen]))
            for chosen in (np.arange(8), np.argsort(-apart)[:2])
        ]
        values.append(scores[1] - scores[0])
    return corrected_t(values)


@pytest.mark.slow
def test_the_interval_holds_the_truth():
    rng = np.random.default_rng(0)
    found = [_change_in_auc(rng) for _ in range(150)]
    truth = np.mean([each.difference for each in found])
    assert truth < -0.02, "selection costs something here"
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.92
