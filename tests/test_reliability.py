"""ICC of features in simulated second sessions: training subjects alone, kept once finished."""

import shutil

import numpy as np
import pandas as pd
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import CohortError
from epitome_kit.files import read_tsv
from epitome_kit.learn.handcrafted import handcrafted_features
from epitome_kit.learn.probes import feature_columns
from epitome_kit.learn.reliability import compare_sessions, feature_reliability


def _sessions(seed=0, n=40, sessions=3):
    """Tables of two folds: `steady` is the same in every session but for a tenth, `noise` is drawn again."""
    rng = np.random.default_rng(seed)
    steady, names = rng.standard_normal(n), [f"sub-{number:02d}" for number in range(n)]

    def draw():
        table = pd.DataFrame({"participant_id": names, "label": np.arange(n) % 2, "steady": steady})
        table["steady"] += 0.1 * rng.standard_normal(n)
        table["noise"] = rng.standard_normal(n)
        test = np.arange(n) // (n // 2)
        folds = [table.assign(fold=fold + 1, role=np.where(test == fold, "test", "train")) for fold in (0, 1)]
        return pd.concat(folds, ignore_index=True)

    return [draw() for _ in range(sessions)]


def test_what_is_repeated_is_reliable_and_noise_is_not():
    found = compare_sessions(_sessions())
    assert found[["fold", "feature"]].to_numpy().tolist() == [[1, "steady"], [1, "noise"], [2, "steady"], [2, "noise"]]
    icc = found.pivot(index="fold", columns="feature", values="icc")
    assert (icc.steady > 0.97).all() and (icc.noise.abs() < 0.35).all()
    assert (found.icc_low < found.icc).all() and (found.n == 20).all()


def test_test_subjects_never_enter():
    """What is unreliable in test subjects alone changes nothing, neither does the order of the rows."""
    sessions = _sessions()
    expected = compare_sessions(sessions)
    for number, table in enumerate(sessions):
        table.loc[table.role == "test", "steady"] = 1e6 * np.random.default_rng(number).standard_normal(40)
    sessions[1].loc[sessions[1].role == "test", "noise"] = np.nan
    sessions[2] = sessions[2].sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(compare_sessions(sessions), expected)
    sessions[0] = sessions[0][sessions[0].role == "train"]
    pd.testing.assert_frame_equal(compare_sessions(sessions), expected)


@pytest.fixture(scope="module")
def measured(learned_features, tmp_path_factory):
    cohort, ready, out, _ = learned_features
    out = shutil.copytree(out, tmp_path_factory.mktemp("measured") / "out")
    return cohort, ready, out, feature_reliability(cohort, ready, out, sessions=2)


def test_every_feature_of_every_fold_has_an_icc(measured):
    cohort, ready, out, found = measured
    first = read_tsv(out / "features.tsv")
    columns = feature_columns(first) + feature_columns(handcrafted_features(cohort, ready, out))
    assert found.groupby("fold").feature.apply(list).tolist() == [columns] * first.fold.nunique()
    assert (found.icc <= 1).all() and (found.icc_low <= found.icc).all() and found.notna().all(axis=None)
    icc = found.groupby("feature").icc.median()
    assert icc["position_anterior"] > 0.75 > icc.min(), "a place is easy to measure again, not everything is"
    for number in (1, 2):
        session = read_tsv(out / "cnn" / f"session-{number}.tsv")
        training = first[first.role == "train"]
        assert set(zip(session.participant_id, session.fold, strict=True)) == set(
            zip(training.participant_id, training.fold, strict=True)
        )


def test_finished_sessions_are_kept(measured, monkeypatch):
    cohort, ready, out, found = measured
    monkeypatch.setattr("epitome_kit.learn.reliability._measure_again", None)
    pd.testing.assert_frame_equal(feature_reliability(cohort, ready, out, sessions=2), found)
    with pytest.raises(TypeError):
        feature_reliability(cohort, ready, out, sessions=2, seed=1)


def test_networks_have_to_be_trained_first(learned_features, tmp_path):
    cohort, ready, *_ = learned_features
    with raises_three_lines(CohortError, "no features.tsv"):
        feature_reliability(cohort, ready, tmp_path)
