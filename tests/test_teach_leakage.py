"""The leaks of the lab: each adds what it should where nothing can be learned, and nothing when it is stopped."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from epitome_kit.teach import leakage as leaks

NAMES = [f"sub-{number:02d}" for number in range(40)]
LABELS = pd.Series(np.arange(40) % 2, index=NAMES)


@pytest.fixture(scope="module")
def noise():
    return pd.DataFrame(np.random.default_rng(0).normal(size=(40, 600)), index=NAMES).add_prefix("f")


@pytest.fixture(scope="module")
def scans():
    """Heads that differ from each other, and hardly from slice to slice."""
    rng = np.random.default_rng(0)
    heads = rng.normal(3, 1, size=(40, 8, 8, 1, 2))
    return (heads + rng.normal(0, 0.05, size=(40, 8, 8, 12, 2))).astype(np.float32)


def test_slices_belong_to_their_subject(scans):
    rows = leaks.cut_slices(scans, NAMES, slices=6, factor=4)
    assert rows.shape == (40 * 6, 2 * 2 * 2)
    assert list(rows.index[:7]) == ["sub-00"] * 6 + ["sub-01"]
    assert np.allclose(rows.iloc[0, 0], scans[0, :4, :4, 3, 0].mean(), atol=1e-5)


def test_blocks_are_means_and_one_row_a_subject(scans):
    rows = leaks.cut_blocks(scans, NAMES, factor=4)
    assert rows.shape == (40, 2 * 2 * 3 * 2) and list(rows.index) == NAMES
    assert np.allclose(rows.iloc[3, 0], scans[3, :4, :4, :4, 0].mean(), atol=1e-5)


def test_slices_on_both_sides_know_shuffled_labels(scans):
    rows = leaks.cut_slices(scans, NAMES, slices=6)
    scores = leaks.with_both_labels(leaks.slice_score, rows, LABELS, repeats=4)["shuffled"]
    assert scores.leaking.min() > 0.95
    assert scores.honest.mean() < 0.65


def test_selection_beforehand_finds_patterns_in_noise(noise):
    scores = leaks.repeat(lambda apart, seed: leaks.selection_auc(noise, LABELS, apart=apart, seed=seed), 3)
    assert scores.leaking.min() > 0.8
    assert scores.honest.mean() < 0.7


def test_doubles_are_the_same_scan_under_another_name(noise):
    rows, labels = leaks.double_some(noise, LABELS, share=0.25)
    assert len(rows) == len(labels) == 50 and rows.index.is_unique
    again = rows.index[-1]
    assert again.endswith("-again")
    assert (rows.loc[again] == noise.loc[again.removesuffix("-again")]).all()
    assert labels[again] == LABELS[again.removesuffix("-again")]


def test_copies_balance_the_classes(noise):
    rare = pd.Series((np.arange(30) < 8).astype(int), index=NAMES[:30])
    rows, labels = leaks.balance_by_copies(noise.loc[rare.index], rare)
    assert rows.index.is_unique and list(rows.index) == list(labels.index)
    assert labels.value_counts().to_dict() == {0: 22, 1: 22}


@pytest.mark.parametrize("change", [leaks.double_some, leaks.balance_by_copies])
def test_copies_on_both_sides_raise_the_score_of_noise(noise, change):
    rare = pd.Series((np.arange(40) % 4 == 0).astype(int), index=NAMES)
    few = noise.iloc[:, :50]
    scores = leaks.with_both_labels(leaks.neighbour_auc, few, rare, change=change, repeats=5)["shuffled"]
    assert (scores.leaking - scores.honest).mean() > 0.05


def test_whoever_stands_there_twice_is_recognised(noise):
    rows, labels = leaks.double_some(noise.iloc[:, :50], LABELS, share=1.0)
    assert leaks.neighbour_auc(rows, labels, apart=False) > 0.85
    assert leaks.neighbour_auc(rows, labels, apart=True) < 0.75


def test_scaling_beforehand_adds_next_to_nothing(noise):
    scores = leaks.repeat(lambda apart, seed: leaks.scaling_auc(noise, LABELS, apart=apart, seed=seed), 3)
    assert (scores.leaking - scores.honest).abs().max() < 0.1


def test_labels_are_dealt_anew_not_changed():
    dealt = leaks.shuffle_labels(LABELS, seed=1)
    assert list(dealt.index) == NAMES and dealt.sum() == LABELS.sum()
    assert (dealt != LABELS).any()


def test_a_small_class_gets_fewer_folds(noise):
    few = pd.Series([1, 1, 0, 0, 0, 0, 0], index=NAMES[:7])
    assert 0 <= leaks.cross_validated_auc(DummyClassifier(), noise.iloc[:7], few) <= 1


def test_the_interval_of_a_mean_is_student_s():
    mean, low, high = leaks.mean_interval([1.0, 2.0, 3.0])
    assert (mean, low, high) == pytest.approx((2.0, 2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), abs=1e-3)
