"""Calibration: its estimates centre on the truth, and its intervals hold the truth as often as they say."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from epitome_kit.grade.baselines import calibrate
from epitome_kit.grade.calibration import log_odds, score_calibration

NAMES = ("slope", "intercept", "in_the_large")


def _cohort(rng, n, slope=1.0, intercept=0.0, spread=1.5):
    """Probabilities, and labels drawn from them after their log odds have been stretched and shifted."""
    while True:
        odds = rng.normal(-0.5, spread, n)
        labels = (rng.random(n) < expit(intercept + slope * odds)).astype(int)
        if 1 < labels.sum() < n - 1:
            return labels, expit(odds)


def _trials(number, n, slope=1.0, intercept=0.0, size=1, seed=0, **options):
    """Estimates, (number, 3), and whether each interval holds the truth; `size` scans of each subject."""
    rng, found, held = np.random.default_rng(seed), [], []
    for _ in range(number):
        labels, probabilities = (np.repeat(each, size) for each in _cohort(rng, n, slope, intercept, **options))
        groups = np.repeat(np.arange(n), size) if size > 1 else None
        measured = score_calibration(labels, probabilities, groups=groups)
        found.append([measured[name] for name in NAMES])
        limits = np.array([measured[f"{name}_ci95"] for name in NAMES])
        truth = slope, intercept, _large_shift(logit(probabilities), slope, intercept)
        held.append((limits[:, 0] <= truth) & (truth <= limits[:, 1]))
    return np.array(found), np.array(held)


def _large_shift(odds, slope, intercept):
    """Shift of the log odds with which they are right on average, for the cohort's own predictions."""
    return brentq(lambda shift: (expit(intercept + slope * odds) - expit(odds + shift)).sum(), -9, 9)


def _limits(measured):
    """Estimates and limits in one row."""
    return np.concatenate([np.ravel(value) for value in measured.values()])


def _large(labels, odds):
    return LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(odds[:, None], labels)


def test_a_large_cohort_has_the_line_of_maximum_likelihood():
    labels, probabilities = _cohort(np.random.default_rng(1), 20_000, 0.6, 0.4)
    line, found = _large(labels, logit(probabilities)), score_calibration(labels, probabilities)
    assert found["slope"] == pytest.approx(line.coef_.item(), abs=1e-3)
    assert found["intercept"] == pytest.approx(line.intercept_.item(), abs=1e-3)
    assert found["slope_ci95"] == pytest.approx([0.56, 0.64], abs=0.03)


def test_calibrated_probabilities_have_slope_one_and_their_intervals_hold_it():
    found, held = _trials(100, 48)
    assert np.median(found, axis=0) == pytest.approx([1, 0, 0], abs=0.1)
    assert (held.mean(axis=0) > 0.89).all() and held.mean() < 0.99


@pytest.mark.slow
@pytest.mark.parametrize(
    "cohort",
    [
        {"n": 38},
        {"n": 48},
        {"n": 159},
        {"n": 48, "slope": 0.5, "spread": 2.0},
        {"n": 48, "slope": 2.0, "spread": 1.0},
        {"n": 159, "intercept": 0.8},
        {"n": 48, "size": 3},
    ],
    ids=str,
)
def test_intervals_hold_the_truth_in_93_to_98_of_100_cohorts(cohort):
    found, held = _trials(800, **cohort)
    assert ((held.mean(axis=0) >= 0.93) & (held.mean(axis=0) <= 0.98)).all(), held.mean(axis=0)
    assert np.median(found[:, 0]) == pytest.approx(cohort.get("slope", 1.0), rel=0.06)


def test_extreme_and_shifted_probabilities_are_found_out():
    labels, probabilities = _cohort(np.random.default_rng(2), 400)
    odds = logit(probabilities)
    extreme, high = score_calibration(labels, expit(3 * odds)), score_calibration(labels, expit(odds + 1.5))
    assert extreme["slope_ci95"][1] < 0.6 and high["in_the_large_ci95"][1] < -1
    assert high["slope"] == pytest.approx(score_calibration(labels, probabilities)["slope"], abs=0.01)


def test_repeats_are_averaged_and_narrow_no_interval_where_they_agree():
    labels, probabilities = _cohort(np.random.default_rng(3), 60)
    other = expit(0.5 * logit(probabilities))
    one, two = score_calibration(labels, probabilities), score_calibration(labels, other)
    both = score_calibration(labels, np.stack([probabilities, other]))
    assert both["slope"] == pytest.approx((one["slope"] + two["slope"]) / 2)
    assert _limits(score_calibration(labels, np.tile(probabilities, (4, 1)))) == pytest.approx(_limits(one), rel=1e-4)


def test_copies_of_a_subject_in_one_group_add_nothing():
    labels, probabilities = _cohort(np.random.default_rng(4), 60)
    copied = [np.repeat(each, 3) for each in (labels, probabilities, np.arange(60))]
    grouped, once = score_calibration(*copied[:2], groups=copied[2]), score_calibration(labels, probabilities)
    loose = score_calibration(*copied[:2])
    for name in NAMES:
        width, single, wrong = (float(np.diff(each[f"{name}_ci95"])[0]) for each in (grouped, once, loose))
        assert width == pytest.approx(single, rel=0.15) and wrong < 0.7 * single


def test_separated_classes_have_a_finite_slope_and_one_class_has_none():
    labels = np.arange(20) > 9
    found = score_calibration(labels, np.linspace(0.1, 0.9, 20))
    assert np.isfinite([*(found[name] for name in NAMES), *found["slope_ci95"]]).all() and found["slope"] > 1
    assert all(np.isnan(value).all() for value in score_calibration(np.ones(20), np.linspace(0.1, 0.9, 20)).values())
    same = score_calibration(labels, np.full(20, 0.3))
    assert np.isnan(same["slope"]) and same["in_the_large"] == pytest.approx(-logit(0.3), abs=0.05)
    few = score_calibration(labels, np.linspace(0.1, 0.9, 20), groups=labels)
    assert np.isfinite(few["slope"]) and np.isnan(few["slope_ci95"]).all()


def _by_hand(known, labels, probabilities):
    """Fit Platt's targets by Newton's method."""
    design = np.column_stack([np.ones(len(known)), logit(known)])
    positive, fitted = labels.sum(), np.zeros(2)
    targets = np.where(labels == 1, (positive + 1) / (positive + 2), 1 / (len(labels) - positive + 2))
    for _ in range(50):
        expected = expit(design @ fitted)
        fitted += np.linalg.solve((design.T * (expected * (1 - expected))) @ design, design.T @ (targets - expected))
    return expit(fitted[0] + fitted[1] * logit(probabilities))


def test_platt_scaling_has_the_targets_of_platt_and_no_penalty():
    labels, known = _cohort(np.random.default_rng(5), 38)
    new = np.array([0.02, 0.5, 0.97])
    assert calibrate(known, labels, new) == pytest.approx(_by_hand(known, labels, new), abs=1e-5)


@pytest.mark.parametrize("width", [0.45, 1e-4])
@pytest.mark.parametrize("turned", [False, True])
def test_platt_scaling_of_separated_classes_stays_off_zero_and_one(width, turned):
    known, labels = np.linspace(0.5 - width, 0.5 + width, 20), np.arange(20) > 9
    found = calibrate(known[::-1] if turned else known, labels, np.array([1e-6, 0.3, 0.7, 1 - 1e-6]))
    assert 1e-4 < found.min() < 0.1 and 0.9 < found.max() < 1 - 1e-4
    assert (np.diff(found) <= 0).all() if turned else (np.diff(found) >= 0).all()


def test_platt_scaling_without_a_slope_gives_the_mean_target():
    new = np.array([0.1, 0.9])
    assert calibrate(np.full(20, 0.3), np.arange(20) > 4, new) == pytest.approx([0.75 * 16 / 17 + 0.25 / 7] * 2)
    assert calibrate(np.linspace(0.1, 0.9, 20), np.ones(20), new) == pytest.approx([21 / 22] * 2)


def test_log_odds_are_clipped():
    assert log_odds([0, 0.5, 1]) == pytest.approx([-9.21024, 0, 9.21024])
