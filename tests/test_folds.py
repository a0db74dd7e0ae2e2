"""Folds: a partition by subject that keeps the mix of classes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import raises_three_lines

from epitome_kit.errors import CohortError, LeakageError
from epitome_kit.folds import assign_folds, make_equal_folds, require_disjoint


def _labels(negative, positive):
    names = [f"sub-{number:03d}" for number in range(negative + positive)]
    return pd.Series([0] * negative + [1] * positive, index=names)


@given(negative=st.integers(5, 60), positive=st.integers(5, 60), unlabelled=st.integers(0, 20), folds=st.integers(2, 5))
def test_every_subject_is_tested_once_and_classes_are_spread_evenly(negative, positive, unlabelled, folds):
    labels = _labels(negative, positive)
    extra = [f"sub-x{number}" for number in range(unlabelled)]
    fold = assign_folds(labels, folds=folds, unlabelled=extra)
    assert sorted(fold.index) == list(fold.index) == sorted([*labels.index, *extra])
    assert set(fold) == set(range(folds))
    for group in (labels.index[labels == 0], labels.index[labels == 1], extra):
        sizes = fold[group].value_counts().reindex(range(folds), fill_value=0)
        assert sizes.max() - sizes.min() <= 1


@given(order=st.permutations(range(20)), seed=st.integers(0, 9))
def test_the_order_of_the_rows_does_not_matter(order, seed):
    labels = _labels(11, 9)
    assert assign_folds(labels, seed=seed).equals(assign_folds(labels.iloc[list(order)], seed=seed))


def test_the_seed_decides():
    labels = _labels(20, 20)
    assert assign_folds(labels, seed=1).equals(assign_folds(labels, seed=1))
    assert not assign_folds(labels, seed=1).equals(assign_folds(labels, seed=2))


def test_fewer_subjects_than_folds_is_three_lines():
    with raises_three_lines(CohortError, "5 folds and 3 subjects", "`folds` to 3"):
        assign_folds(_labels(10, 3), folds=5)


def test_one_fold_is_three_lines():
    with raises_three_lines(CohortError, "1 folds"):
        assign_folds(_labels(4, 4), folds=1)


@pytest.mark.parametrize("unlabelled", [(), ("sub-001",)])
def test_a_subject_twice_is_three_lines(unlabelled):
    labels = _labels(6, 6)
    doubled = labels if unlabelled else pd.concat([labels, labels.iloc[1:2]])
    with raises_three_lines(CohortError, "sub-001"):
        assign_folds(doubled, folds=2, unlabelled=unlabelled)


@given(subjects=st.integers(2, 60), folds=st.integers(2, 8), seed=st.integers(0, 9))
def test_subjects_are_dealt_evenly(subjects, folds, seed):
    folds = min(folds, subjects)
    sizes = np.bincount(make_equal_folds([f"sub-{number}" for number in range(subjects)], folds=folds, seed=seed))
    assert len(sizes) == folds and sizes.sum() == subjects and sizes.max() - sizes.min() <= 1


@given(order=st.permutations([f"sub-{number}" for number in range(20)]), seed=st.integers(0, 9))
def test_the_order_of_the_names_does_not_matter(order, seed):
    dealt = dict(zip(order, make_equal_folds(order, seed=seed), strict=True))
    assert list(make_equal_folds(sorted(order), seed=seed)) == [dealt[name] for name in sorted(order)]


def test_the_seed_deals():
    names = [f"sub-{number}" for number in range(30)]
    dealt = [tuple(make_equal_folds(names, seed=seed)) for seed in (1, 1, 2)]
    assert dealt[0] == dealt[1] != dealt[2]


@pytest.mark.parametrize(("subjects", "folds", "hint"), [(3, 5, 3), (0, 2, 2), (6, 1, 5)])
def test_folds_that_cannot_be_dealt_are_three_lines(subjects, folds, hint):
    with raises_three_lines(CohortError, f"{folds} folds, {subjects} subjects", f"`folds` to {hint}"):
        make_equal_folds([f"sub-{number}" for number in range(subjects)], folds=folds)


@given(data=st.data(), folds=st.integers(2, 4), seed=st.integers(0, 9))
def test_whole_groups_stand_in_one_fold_with_both_classes(data, folds, seed):
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=8, max_size=20))
    names = [f"sub-{number:03d}" for number in range(sum(sizes))]
    of = np.repeat(np.arange(len(sizes)), sizes)
    labels, groups = pd.Series(of % 2, index=names), pd.Series([f"g{number}" for number in of], index=names)
    fold = assign_folds(labels, folds=folds, seed=seed, groups=groups)
    assert list(fold.index) == sorted(names) and (fold.groupby(groups).nunique() == 1).all()
    assert (labels.groupby(fold).nunique() == 2).all() and set(fold) == set(range(folds))
    shuffled = data.draw(st.permutations(names))
    assert assign_folds(labels[shuffled], folds=folds, seed=seed, groups=groups[shuffled]).equals(fold)


def test_groups_of_equal_size_are_dealt_evenly_and_the_seed_decides():
    labels = _labels(60, 30)
    groups = pd.Series(np.repeat(np.arange(30), 3).astype(str), index=labels.index)
    deals = [assign_folds(labels, seed=seed, groups=groups) for seed in (0, 0, 1)]
    assert deals[0].equals(deals[1]) and not deals[0].equals(deals[2])
    assert set(deals[0].value_counts()) == {18} and set(labels.groupby(deals[0]).sum()) == {6}


def test_rows_without_a_label_stay_with_their_group():
    labels = _labels(12, 12)
    extra = ["sub-100", "sub-101"]
    groups = pd.Series([*(f"g{number // 3}" for number in range(24)), "g0", "alone"], index=[*labels.index, *extra])
    fold = assign_folds(labels, folds=2, unlabelled=extra, groups=groups)
    assert fold["sub-100"] == fold["sub-000"] and fold.notna().all() and len(fold) == 26


@pytest.mark.parametrize("groups", [np.arange(60) // 20, np.arange(60) % 20])
def test_fewer_groups_of_a_class_than_folds_is_three_lines(groups):
    labels = _labels(30, 30) if len(set(groups)) == 3 else _labels(40, 20)
    with raises_three_lines(CohortError, "groups in the smaller class"):
        assign_folds(labels, folds=3, groups=pd.Series(groups, index=labels.index))


def test_a_group_on_both_sides_is_three_lines():
    with raises_three_lines(LeakageError, "each group in one set", "g1"):
        require_disjoint(["g0", "g1"], ["g1"], where="fold 1", what="group")
