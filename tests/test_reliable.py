"""The filter of unreliable features: by fold, before selection, for every model and permutation."""

import numpy as np
import pandas as pd
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import ParameterError, collect_warnings
from epitome_kit.grade.evaluate import build_scoreboard, cross_validate
from epitome_kit.grade.permutation import folds_of_table
from epitome_kit.grade.reliable import FEWEST, count_offered, offer_reliable
from epitome_kit.grade.splits import make_repeated_folds
from epitome_kit.learn.probes import feature_columns

NAMES = [f"f{number:02d}" for number in range(30)]


def _table(n=40, seed=0):
    """Two folds; `f00` separates the classes."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.standard_normal((n, len(NAMES))), columns=NAMES)
    table.insert(0, "participant_id", [f"sub-{number:02d}" for number in range(n)])
    table["label"] = np.arange(n) % 2
    table["f00"] += 3 * table.label
    return make_repeated_folds(table, repeats=1, folds=2)


def _icc(**low):
    """All features are reliable in both folds but those named, with the folds in which they are not."""
    rows = [(fold, name, 0.1 if fold in low.get(name, ()) else 0.9) for fold in (1, 2) for name in NAMES]
    return pd.DataFrame(rows, columns=["fold", "feature", "icc"])


def test_a_feature_is_left_out_of_the_fold_in_which_it_is_unreliable():
    table = _table()
    offered = offer_reliable(table, _icc(f00=[1], f03=[1, 2]))
    for fold, names in ((1, {"f00", "f03"}), (2, {"f03"})):
        empty = offered[offered.fold == fold][NAMES].isna()
        assert set(empty.columns[empty.all()]) == set(empty.columns[empty.any()]) == names
    assert table[NAMES].notna().all(axis=None), "the table itself stays as it is"
    assert count_offered(offered) == {"offered": 29, "dropped": {"1": 2, "2": 1}}
    assert count_offered(table) == {"offered": 30}
    assert offer_reliable(table, _icc(f00=[1]), None) is table


@pytest.fixture(autouse=True)
def two_inner_folds(monkeypatch):
    monkeypatch.setattr("epitome_kit.grade.nested.INNER_FOLDS", 2)


def test_selection_baselines_and_permutations_see_the_same_features(tmp_path):
    offered = offer_reliable(_table(), _icc(f00=[1]))
    results, _ = cross_validate(offered, tmp_path, network=False)
    chosen = [{name for each in result["selected"] for name in each["features"]} for result in results]
    assert "f00" not in chosen[0] and "f00" in chosen[1]
    assert results[0]["predictions"].probability.notna().all()
    scores = build_scoreboard(results, offered)
    assert scores["features"]["offered"] == 30 and scores["features"]["dropped"] == {"1": 1, "2": 0}
    assert max(scores["features"]["selected"]) <= 29 + 1
    empty = [np.isnan(np.concatenate([fold.x_train, fold.x_test])).all(axis=0) for fold in folds_of_table(offered)[0]]
    assert [each.tolist() for each in empty] == [[True] + 29 * [False], 30 * [False]]


def test_no_number_of_features_is_larger_than_what_is_offered(tmp_path):
    offered = offer_reliable(_table(), _icc(**{name: [1, 2] for name in NAMES[15:]}))
    results, _ = cross_validate(offered, tmp_path, network=False)
    numbers = {each["number"] for result in results for each in result["selected"]}
    assert numbers <= {10, 15} and count_offered(offered)["offered"] == 15


def test_never_all_of_them():
    icc = _icc(**{name: [2] for name in NAMES[4:]})
    icc["icc"] += np.linspace(0, 0.05, len(icc))
    with collect_warnings() as warned:
        offered = offer_reliable(_table(), icc)
    assert len(warned) == 1 and "fold 2: 4 features" in warned[0]
    kept = offered[offered.fold == 2][NAMES].notna().all()
    assert set(kept.index[kept]) == {*NAMES[:4], *NAMES[-FEWEST + 4 :]}
    few = _table()[["participant_id", "repeat", "fold", "role", "label", *NAMES[:5]]]
    assert count_offered(offer_reliable(few, _icc(f01=[1], f02=[2]))) == {"offered": 5}


def test_features_of_unknown_reliability_are_offered_and_an_icc_of_other_folds_is_refused():
    table = _table()
    some = _icc(f00=[1])
    offered = offer_reliable(table, some[some.feature.isin(NAMES[:20])])
    assert offered[feature_columns(offered)].notna().all(axis=0).sum() == 29
    with raises_three_lines(ParameterError, "fold 2"):
        offer_reliable(table, some[some.fold == 1])
    with raises_three_lines(ParameterError, "fold 1"):
        offer_reliable(table.rename(columns=lambda name: name.replace("f", "g") if name in NAMES else name), some)
