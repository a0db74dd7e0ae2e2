"""Deals of rows into folds: every row is tested once, and whole groups stay together."""

import numpy as np
import pandas as pd
from tiny import raises_three_lines

from epitome_kit.errors import CohortError
from epitome_kit.grade.splits import make_repeated_folds, shuffle_labels


def _features(n=40, groups=None):
    table = pd.DataFrame({"participant_id": [f"p{number:02d}" for number in range(n)]})
    table["label"] = (np.arange(n) % 3 > 0).astype(int)
    return table.assign(f0=np.arange(n) / 7.0, **({} if groups is None else {"group_id": groups}))


def test_every_deal_tests_each_subject_once_and_no_two_deals_are_alike():
    features = _features()
    dealt = make_repeated_folds(features, repeats=3, folds=4)
    tested = dealt[dealt.role == "test"]
    assert len(dealt) == 3 * 4 * 40 and (tested.groupby("repeat").participant_id.nunique() == 40).all()
    shares = tested.groupby(["repeat", "fold"]).label.mean()
    assert shares.between(0.55, 0.75).all(), "stratified"
    folds = tested.pivot(index="participant_id", columns="repeat", values="fold")
    assert (folds[1] != folds[2]).any()


def test_more_folds_than_subjects_of_a_class_is_three_lines():
    with raises_three_lines(CohortError, "20 folds and 14 subjects"):
        make_repeated_folds(_features(), folds=20)


def test_a_group_stands_in_one_fold_of_every_deal():
    groups = np.array([f"g{number:02d}" for number in range(14)])[np.minimum(np.arange(60) // 3, 13)]
    features = _features(60, groups).assign(label=(np.unique(groups, return_inverse=True)[1] % 2))
    tested = make_repeated_folds(features, folds=5).query("role == 'test'")
    assert (tested.groupby(["repeat", "group_id"]).fold.nunique() == 1).all() and len(tested) == 4 * 60
    assert (tested.groupby(["repeat", "fold"]).label.nunique() == 2).all(), "both classes in every fold"


def test_fewer_groups_than_folds_is_three_lines():
    features = _features(60, [f"g{number % 6}" for number in range(60)]).assign(label=np.arange(60) % 6 // 3)
    with raises_three_lines(CohortError, "5 folds and 3 groups"):
        make_repeated_folds(features)


def test_labels_are_shuffled_by_whole_groups():
    groups = np.repeat([f"g{number:02d}" for number in range(20)], 3)
    features = _features(60, groups).assign(label=np.repeat(np.arange(20) % 2, 3))
    shuffled = shuffle_labels(features, seed=1)
    assert (shuffled.groupby("group_id").label.nunique() == 1).all() and shuffled.label.sum() == 30
    assert (shuffled.label != features.label).any() and (shuffle_labels(features, seed=1).equals(shuffled))


def test_labels_of_rows_are_shuffled_as_ever():
    features = _features()
    assert np.array_equal(shuffle_labels(features).label, np.random.default_rng(0).permutation(features.label))
