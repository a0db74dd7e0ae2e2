"""Net benefit: known values, and intervals that hold the expected difference to acting on all or none."""

import numpy as np
import pytest
from scipy.special import expit
from tiny import raises_three_lines

from epitome_kit.errors import ParameterError
from epitome_kit.grade.decision import KEPT, net_benefit, summarise_decision

THRESHOLDS = (0.1, 0.2, 0.35, 0.5, 0.7)


def _cohort(rng, n, spread=1.5):
    odds = rng.normal(-0.7, spread, n)
    return (rng.random(n) < expit(odds)).astype(int), expit(odds)


def _expected(spread):
    """Expected differences of probabilities that are right."""
    right, found = expit(np.random.default_rng(9).normal(-0.7, spread, 400_000)), []
    for t in THRESHOLDS:
        gain = right - (1 - right) * t / (1 - t)
        found.append((gain * (right >= t)).mean() - max(gain.mean(), 0))
    return np.array(found)


def _held(trials, n, spread=1.5, size=1, grouped=True):
    """Share of intervals that hold the truth at each threshold; `size` scans of each subject."""
    truth, rng, held = _expected(spread), np.random.default_rng(0), []
    for _ in range(trials):
        labels, probabilities = (np.repeat(each, size) for each in _cohort(rng, n, spread))
        groups = np.repeat(np.arange(n), size) if size > 1 and grouped else None
        found = net_benefit(labels, probabilities, thresholds=THRESHOLDS, groups=groups)
        held.append((found.difference_low <= truth) & (truth <= found.difference_high))
    return np.mean(held, axis=0)


def test_known_counts_have_their_net_benefit():
    labels = np.repeat([0, 1], [60, 40])
    probabilities = np.repeat([0.1, 0.7, 0.1, 0.7], [50, 10, 10, 30])
    found = net_benefit(labels, probabilities, thresholds=[0.2, 0.4, 0.5])
    assert found.model.tolist() == pytest.approx([0.3 - 0.1 / 4, 0.3 - 0.1 * 2 / 3, 0.2])
    assert found.treat_all.tolist() == pytest.approx([0.4 - 0.6 / 4, 0.0, -0.2])
    assert found.difference.tolist() == pytest.approx([0.025, 0.3 - 0.2 / 3, 0.2])
    assert (found.difference_low < found.difference).all() and (found.difference < found.difference_high).all()
    assert (found.treat_none == 0).all()


def test_at_one_half_the_difference_to_nobody_is_the_accuracy_less_a_constant():
    labels, probabilities = _cohort(np.random.default_rng(1), 200)
    (row,) = net_benefit(labels, probabilities, thresholds=[0.5]).to_dict("records")
    accuracy = ((probabilities >= 0.5) == labels).mean()
    assert row["model"] == pytest.approx(accuracy - (labels == 0).mean())


def test_a_model_that_calls_all_positive_is_no_better_than_calling_all_positive():
    found = net_benefit(np.arange(40) % 2, np.full(40, 0.9), thresholds=[0.3])
    assert found.difference[0] == 0 and found.difference_low[0] < 0


def test_noise_is_no_use_and_opposites_do_harm():
    labels, probabilities = _cohort(np.random.default_rng(2), 400)
    noise = net_benefit(labels, np.random.default_rng(3).permutation(probabilities), thresholds=THRESHOLDS)
    assert (noise.difference_low < 0).all() and noise.difference.iloc[2] < 0
    assert (net_benefit(labels, 1 - probabilities, thresholds=[0.35]).difference_high < 0).all()
    assert (net_benefit(labels, probabilities, thresholds=[0.35, 0.5]).difference_low > 0).all()


def test_repeats_are_averaged_and_scans_of_a_subject_add_nothing():
    labels, probabilities = _cohort(np.random.default_rng(4), 60)
    once = net_benefit(labels, probabilities)
    assert np.allclose(net_benefit(labels, np.tile(probabilities, (3, 1))), once)
    thrice = [np.repeat(each, 3) for each in (labels, probabilities, np.arange(60))]
    assert np.allclose(net_benefit(*thrice[:2], groups=thrice[2]), once)
    loose = net_benefit(*thrice[:2])
    assert ((loose.difference_high - loose.difference_low) < 0.8 * (once.difference_high - once.difference_low)).all()
    wide = net_benefit(labels, probabilities, design_effect=2.0)
    assert ((wide.difference_high - wide.difference_low) > (once.difference_high - once.difference_low)).all()


def test_intervals_hold_the_expected_difference():
    assert (_held(40, 48) >= 0.85).all()


@pytest.mark.slow
@pytest.mark.parametrize("cohort", [{"n": 48}, {"n": 159}, {"n": 48, "spread": 0.6}, {"n": 48, "size": 3}], ids=str)
def test_intervals_hold_the_expected_difference_in_94_of_100_cohorts(cohort):
    assert (_held(600, **cohort) >= 0.94).all()


@pytest.mark.slow
def test_scans_that_are_taken_for_subjects_are_found_out():
    assert (_held(200, 48, size=3, grouped=False)[1:4] < 0.9).all()


def test_a_few_thresholds_are_kept_for_the_scores():
    labels, probabilities = _cohort(np.random.default_rng(5), 60)
    kept = summarise_decision(labels, probabilities)
    assert [each["threshold"] for each in kept] == list(KEPT)
    curve = net_benefit(labels, probabilities, thresholds=KEPT)
    assert [each["difference_ci95"][0] for each in kept] == curve.difference_low.tolist()


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.2])
def test_a_threshold_lies_between_zero_and_one(wrong):
    with raises_three_lines(ParameterError, "thresholds between 0 and 1"):
        net_benefit([0, 1], [0.2, 0.8], thresholds=[0.5, wrong])
