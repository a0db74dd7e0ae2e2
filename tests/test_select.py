"""Ranking and selection: as strong as the AUC says, without repeats, without constants."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from tiny import raises_three_lines

from epitome_kit.errors import CohortError, EpitomeWarning, LeakageError, ParameterError
from epitome_kit.grade.select import (
    FALSE_SELECTIONS,
    METHODS,
    THRESHOLD,
    FeatureSelector,
    features_of_a_half,
    rank_features,
    select_features,
)

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


def _rows(table):
    """Training rows, as a table of features holds them."""
    names = [f"sub-{number:03d}" for number in range(len(table))]
    told = pd.DataFrame({"participant_id": names, "fold": 1, "role": "train", "label": LABELS.astype(float)})
    return pd.concat([told, table], axis=1)


def _ranked(table):
    return rank_features(_rows(table))


def test_strength_is_twice_the_distance_of_the_auc_from_one_half():
    table = _features()
    table["ties"] = np.round(table.weak)
    ranking = _ranked(table)
    for name in table:
        assert ranking[name] == pytest.approx(abs(2 * roc_auc_score(LABELS, table[name]) - 1), abs=1e-12)
    assert ranking.is_monotonic_decreasing and set(ranking.index) == set(table)


def test_perfect_is_one_and_constant_is_zero():
    table = pd.DataFrame({"constant": np.ones(60), "up": LABELS * 1.0, "down": -7.0 * LABELS})
    assert _ranked(table).to_dict() == {"up": 1, "down": 1, "constant": 0}


@given(gain=st.floats(0.01, 100), seed=st.integers(0, 20))
def test_units_do_not_matter(gain, seed):
    table = _features(seed)
    stretched = table.assign(noise=table.noise * gain, weak=np.exp(table.weak), strong=-table.strong)
    assert np.allclose(_ranked(stretched)[table.columns], _ranked(table)[table.columns])


def test_ranking_keeps_the_strongest_even_where_they_repeat_each_other():
    assert select_features(_rows(_features()), keep=3) == list(_ranked(_features()).index[:3])


def test_redundancy_passes_over_repeats_of_the_strongest():
    table = _features()
    kept = select_features(_rows(table), method="redundancy")
    assert kept[0] in {"strong", "echo", "mirror"} and len(set(kept) & {"strong", "echo", "mirror"}) == 1
    assert kept == [name for name in _ranked(table).index if name in kept], "best first"
    assert set(kept[1:]) == {"weak", "noise"}


def _among_noise(shift, seed=1, features=80):
    """Noise, and five features that are related to the label unless `shift` is 0."""
    table = pd.DataFrame(np.random.default_rng(seed).standard_normal((60, features)))
    table = table.rename(columns=lambda number: f"{'steady' if number < 5 else 'noise'}{number}")
    table.iloc[:, :5] += shift * LABELS[:, None]
    return table


def test_stability_selects_what_is_strong_in_most_halves():
    kept = select_features(_rows(_among_noise(2.0)), keep=80, method="stability")
    assert len(kept) >= 4 and all(name.startswith("steady") for name in kept)
    again = select_features(_rows(_among_noise(2.0)), keep=80, method="stability", seed=1)
    assert len(set(kept) & set(again)) >= 4, "other halves select the same"
    assert kept[:2] == select_features(_rows(_among_noise(2.0)), keep=2, method="stability")


def test_stability_selects_hardly_anything_in_noise_where_the_others_select_as_many_as_asked():
    tables = [_rows(_among_noise(0, seed)) for seed in range(20)]
    counts = {method: [len(select_features(rows, method=method)) for rows in tables] for method in METHODS}
    assert set(counts["ranking"]) == set(counts["redundancy"]) == {12}
    assert np.mean(counts["stability"]) <= FALSE_SELECTIONS / 2 and counts["stability"].count(0) >= 12


@pytest.mark.parametrize(("features", "number"), [(1, 1), (8, 2), (80, 6), (2030, 31)])
def test_a_half_selects_as_many_as_the_bound_allows(features, number):
    assert features_of_a_half(features) == number
    assert number == 1 or number**2 / ((2 * THRESHOLD - 1) * features) <= FALSE_SELECTIONS


def test_the_share_of_halves_is_kept_and_decides():
    table = _among_noise(1.0)
    selector = FeatureSelector(keep=80, method="stability").fit(table.to_numpy(), LABELS)
    assert set(selector.order_) == set(np.flatnonzero(selector.frequency_ >= THRESHOLD))
    assert selector.frequency_.sum() == pytest.approx(features_of_a_half(80)), "each half selects that many"
    assert list(selector.frequency_[selector.order_]) == sorted(selector.frequency_[selector.order_], reverse=True)


@pytest.mark.parametrize("method", METHODS)
@given(keep=st.integers(1, 8))
def test_no_more_are_kept_than_asked_and_never_a_constant(method, keep):
    kept = select_features(_rows(_features()), keep=keep, method=method)
    assert len(kept) <= keep and len(set(kept)) == len(kept) and "constant" not in kept
    assert method == "stability" or len(kept) == min(keep, 3 if method == "redundancy" else 5)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_but_constants_leaves_nothing(method):
    assert select_features(_rows(pd.DataFrame({"a": np.ones(60), "b": np.zeros(60)})), method=method) == []


@pytest.mark.parametrize("look", [rank_features, select_features])
def test_a_subject_under_test_may_not_be_looked_at(look):
    rows = _rows(_features())
    rows.loc[7, "role"] = "test"
    with raises_three_lines(LeakageError, "sub-007", "1 rows", "training rows only"):
        look(rows)


@pytest.mark.parametrize("method", METHODS)
def test_a_feature_with_a_gap_is_not_selected_and_a_warning_says_so(method):
    table = _features()
    complete = select_features(_rows(table.drop(columns="strong")), method=method)
    table.loc[3, "strong"] = np.nan
    with pytest.warns(EpitomeWarning, match="1 of 6 features have missing values"):
        assert select_features(_rows(table), method=method) == complete


@pytest.mark.parametrize("look", [rank_features, select_features])
@pytest.mark.parametrize(("labels", "received"), [(1.0, "1.0"), ([np.nan, *LABELS[1:]], "nan")])
def test_labels_of_one_class_or_missing_ones_are_three_lines(look, labels, received):
    with raises_three_lines(CohortError, "both classes", received):
        look(_rows(_features()).assign(label=labels))


@pytest.mark.parametrize("keep", [0, -1])
def test_fewer_than_one_feature_is_three_lines(keep):
    with raises_three_lines(ParameterError, f"keep={keep}"):
        select_features(_rows(_features()), keep=keep)


def test_an_unknown_method_is_three_lines():
    with raises_three_lines(ParameterError, "lasso", *METHODS):
        select_features(_rows(_features()), method="lasso")
