"""Ranking and selection: as strong as the AUC says, without repeats, without constants."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from epitome_kit.grade.select import rank_features, select_features

LABELS = np.arange(60) % 3 == 0


def _features(seed=0, n=60):
    """Strong, weak, absent, and constant; the strong one comes three times."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"noise": rng.standard_normal(n)})
    table["constant"] = 4.2
    table["weak"] = 0.6 * LABELS + rng.standard_normal(n)
    table["strong"] = 2.0 * LABELS + rng.standard_normal(n)
    table["echo"] = np.exp(table.strong)
    table["mirror"] = -3 * table.strong + 0.05 * rng.standard_normal(n)
    return table


def test_strength_is_twice_the_distance_of_the_auc_from_one_half():
    table = _features()
    table["ties"] = np.round(table.weak)
    ranking = rank_features(table, LABELS)
    for name in table:
        assert ranking[name] == pytest.approx(abs(2 * roc_auc_score(LABELS, table[name]) - 1), abs=1e-12)
    assert ranking.is_monotonic_decreasing and set(ranking.index) == set(table)


def test_perfect_is_one_and_constant_is_zero():
    table = pd.DataFrame({"constant": np.ones(60), "up": LABELS * 1.0, "down": -7.0 * LABELS})
    assert rank_features(table, LABELS).to_dict() == {"up": 1, "down": 1, "constant": 0}


@given(gain=st.floats(0.01, 100), seed=st.integers(0, 20))
def test_units_do_not_matter(gain, seed):
    table = _features(seed)
    stretched = table.assign(noise=table.noise * gain, weak=np.exp(table.weak), strong=-table.strong)
    assert np.allclose(rank_features(stretched, LABELS)[table.columns], rank_features(table, LABELS)[table.columns])


def test_the_strongest_is_kept_and_its_repeats_are_passed_over():
    table = _features()
    kept = select_features(table, LABELS)
    assert kept[0] in {"strong", "echo", "mirror"} and len(set(kept) & {"strong", "echo", "mirror"}) == 1
    assert kept == [name for name in rank_features(table, LABELS).index if name in kept], "best first"
    assert set(kept[1:]) == {"weak", "noise"}


def test_redundancy_is_a_choice():
    assert set(select_features(_features(), LABELS, redundancy=1.0)) == set(_features()) - {"constant"}


@given(keep=st.integers(1, 8))
def test_no_more_are_kept_than_asked_and_never_a_constant(keep):
    kept = select_features(_features(), LABELS, keep=keep, redundancy=1.0)
    assert len(kept) == min(keep, 5) and "constant" not in kept


def test_nothing_but_constants_leaves_nothing():
    assert select_features(pd.DataFrame({"a": np.ones(60), "b": np.zeros(60)}), LABELS) == []
