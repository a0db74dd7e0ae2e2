"""Scores as others compute them, with intervals that hold the truth as often as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics

from epitome_kit.grade.scores import score


def _scored(labels, probabilities, *more):
    return score(np.array(labels), np.array(probabilities), *more)


@settings(max_examples=10)
@given(
    subjects=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10)), min_size=4, max_size=60).filter(
        lambda pairs: len({label for label, _ in pairs}) == 2
    )
)
def test_scores_are_those_of_scikit_learn(subjects):
    labels, tenths = np.array(subjects).T
    probabilities = tenths / 10
    decided = probabilities >= 0.5
    found = _scored(labels, probabilities)
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(labels, probabilities))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, decided))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, decided))
    assert found["sensitivity"] == pytest.approx(metrics.recall_score(labels, decided))
    assert found["specificity"] == pytest.approx(metrics.recall_score(labels, decided, pos_label=0))
    assert found["brier"] == pytest.approx(np.mean((probabilities - labels) ** 2))
    assert found["confusion_matrix"] == metrics.confusion_matrix(labels, decided).tolist()
    assert (found["n"], found["class_counts"]) == (len(labels), [(labels == 0).sum(), (labels == 1).sum()])
    assert found["majority_accuracy"] == pytest.approx(max(labels.mean(), 1 - labels.mean()))
    interval = binomtest(int((labels == decided).sum()), len(labels)).proportion_ci(method="exact")
    assert found["accuracy_ci95"] == pytest.approx([interval.low, interval.high])
    for name in ("auc", "balanced_accuracy"):
        low, high = found[f"{name}_ci95"]
        assert 0 <= low <= found[name] <= high <= 1


def test_perfect_and_worst_have_intervals_at_the_edge():
    labels = np.arange(30) % 2
    low, high = _scored(labels, labels)["auc_ci95"]
    assert 0.85 < low < 0.95 and high == 1, "thirty subjects told apart do not prove that all are"
    assert _scored(labels, labels)["accuracy_ci95"] == pytest.approx([0.8843, 1], abs=1e-4), "Clopper-Pearson for 30/30"
    assert _scored(labels, 1 - labels)["accuracy_ci95"] == pytest.approx([0, 0.1157], abs=1e-4)


def _auc_interval(n, rng, distance):
    """Interval for scores that are normal in both classes, `distance` standard deviations apart."""
    labels = np.arange(n) % 2
    return _scored(labels, 1 / (1 + np.exp(-rng.normal(distance * labels, 1))))["auc_ci95"]


@pytest.mark.parametrize(("n", "distance", "truth"), [(20, 1.8124, 0.9), (48, 0.9989, 0.76), (48, 2.3262, 0.95)])
def test_intervals_hold_the_truth_as_often_as_they_say_and_shrink_with_more_subjects(n, distance, truth):
    rng = np.random.default_rng(0)
    intervals = np.array([_auc_interval(n, rng, distance) for _ in range(400)])
    held = (intervals[:, 0] < truth) & (intervals[:, 1] > truth)
    assert 0.93 <= held.mean() <= 0.995
    low, high = _auc_interval(40 * n, rng, distance)
    assert high - low < 0.3 * np.median(np.diff(intervals))


def test_sensitivity_and_specificity_have_the_exact_interval():
    labels = np.repeat([0, 1], [30, 20])
    probabilities = np.where(np.arange(50) % 4 == 0, 1 - labels, labels)
    found = _scored(labels, probabilities)
    hits = int((probabilities[labels == 1] == 1).sum())
    interval = binomtest(hits, 20).proportion_ci(method="exact")
    assert found["sensitivity_ci95"] == pytest.approx([interval.low, interval.high])


def test_several_deals_score_their_mean_and_not_that_of_a_committee():
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    deals = 1 / (1 + np.exp(-(1.2 * labels + rng.normal(0, 1, (5, 80)))))
    together, alone = _scored(labels, deals), [_scored(labels, deal) for deal in deals]
    for name in ("auc", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "brier"):
        assert together[name] == pytest.approx(np.mean([each[name] for each in alone]))
    assert together["auc"] < metrics.roc_auc_score(labels, deals.mean(axis=0)) - 0.02
    assert np.sum(together["confusion_matrix"]) == 80


def test_repeating_the_same_deal_changes_nothing():
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    once = 1 / (1 + np.exp(-(labels + rng.normal(0, 1, 40))))
    one, three = _scored(labels, once), _scored(labels, np.tile(once, (3, 1)))
    assert one["auc_ci95"] == pytest.approx(three["auc_ci95"])


def test_calibrated_probabilities_count_for_the_brier_score_alone():
    labels, raw = np.array([0, 0, 1, 1] * 5), np.array([0.4, 0.6, 0.55, 0.9] * 5)
    found = _scored(labels, raw, raw**2)
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(labels, raw**2))
    assert found["brier_uncalibrated"] == pytest.approx(metrics.brier_score_loss(labels, raw))
    assert found["accuracy"] == metrics.accuracy_score(labels, raw >= 0.5)


def test_a_design_effect_divides_the_number_of_subjects():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    probabilities = 1 / (1 + np.exp(-rng.normal(labels, 1)))
    plain, wider = score(labels, probabilities), score(labels, probabilities, design_effects={"auc": 2, "brier": 4})
    ratio = {
        name: float(np.diff(wider[f"{name}_ci95"])[0] / np.diff(plain[f"{name}_ci95"])[0]) for name in ("auc", "brier")
    }
    assert ratio["auc"] == pytest.approx(np.sqrt(2), abs=0.1) and ratio["brier"] == pytest.approx(2, abs=0.1)
    assert wider["accuracy_ci95"] == plain["accuracy_ci95"]
    assert (plain["interval"], wider["interval"]) == ("subjects alone", "training and subjects")


def _of_groups(seed, groups=24, rows=4):
    """Rows of a group share its label and, nearly, its probability, which is noise."""
    rng = np.random.default_rng(seed)
    own = rng.random(groups)
    of = np.repeat(np.arange(groups), rows)
    return of % 2, np.clip(own[of] + rng.normal(scale=0.01, size=len(of)), 0, 1), of


def test_rows_of_a_group_are_one_unit():
    """The interval of noise holds 0.5; that of rows that are taken one by one often does not."""
    known = [score(*_of_groups(seed)[:2], groups=_of_groups(seed)[2]) for seed in range(40)]
    apart = [score(*_of_groups(seed)[:2]) for seed in range(40)]
    outside = [sum(not each["auc_ci95"][0] <= 0.5 <= each["auc_ci95"][1] for each in part) for part in (known, apart)]
    assert outside[0] <= 5 < outside[1]
    for each, plain in zip(known, apart, strict=True):
        assert each["auc"] == plain["auc"] and each["n_groups"] == 24 and "n_groups" not in plain
        for name in ("accuracy", "sensitivity", "specificity"):
            assert np.diff(each[f"{name}_ci95"]) > np.diff(plain[f"{name}_ci95"]) * 0.9


def test_groups_of_one_row_say_what_rows_say():
    labels, probabilities = np.arange(60) % 2, np.random.default_rng(0).random(60)
    plain, grouped = score(labels, probabilities), score(labels, probabilities, groups=np.arange(60))
    assert grouped["auc_ci95"] == pytest.approx(plain["auc_ci95"])


def test_groups_with_both_classes_are_scored():
    labels, groups = np.arange(40) % 2, np.repeat(np.arange(10), 4)
    found = score(labels, np.random.default_rng(0).random(40), groups=groups)
    assert found["auc_ci95"][0] < found["auc"] < found["auc_ci95"][1]
