"""Scores as others compute them, and no way for a label under test to leak into its prediction."""

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics
from tiny import raises_three_lines

from epitome_kit.errors import BadCohort
from epitome_kit.files import read_json, read_tsv
from epitome_kit.folds import assign_folds
from epitome_kit.grade.evaluate import grade_features, score

QUICK = {"keep": 4, "epochs": 15}


def _table(n=60, shift=0.0, folds=3, seed=0, columns=10):
    """Features of made-up subjects, of which the first column knows the label as well as `shift` lets it."""
    rng = np.random.default_rng(seed)
    names = [f"sub-{number:03d}" for number in range(n)]
    labels = pd.Series(rng.permutation(np.arange(n) % 3 == 0).astype(int), index=names)
    fold_of = assign_folds(labels, folds=folds, seed=seed)
    features = pd.DataFrame(rng.standard_normal((n, columns)), columns=[f"f{number:02d}" for number in range(columns)])
    features["f00"] += shift * labels.to_numpy()
    features.insert(0, "participant_id", names)
    features["label"] = labels.to_numpy(float)
    parts = [
        features.assign(fold=fold + 1, role=np.where(fold_of[names] == fold, "test", "train")) for fold in range(folds)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    out = tmp_path_factory.mktemp("good")
    return _table(shift=2.5), out, grade_features(_table(shift=2.5), out, oracle_auc=0.9, **QUICK)


def _scored(labels, probabilities):
    return score(np.array(labels), np.array(probabilities))


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
    assert _scored(labels, labels)["auc_ci95"] == [1, 1]
    assert _scored(labels, labels)["accuracy_ci95"] == pytest.approx([0.8843, 1], abs=1e-4), "Clopper-Pearson for 30/30"
    assert _scored(labels, 1 - labels)["accuracy_ci95"] == pytest.approx([0, 0.1157], abs=1e-4)


def _auc_interval(n, rng):
    """Interval for scores that are normal in both classes, 1.2 standard deviations apart: the true AUC is 0.802."""
    labels = np.arange(n) % 2
    return _scored(labels, 1 / (1 + np.exp(-rng.normal(1.2 * labels, 1))))["auc_ci95"]


def test_intervals_hold_the_truth_as_often_as_they_say_and_shrink_with_more_subjects(monkeypatch):
    monkeypatch.setattr("epitome_kit.grade.evaluate.DRAWS", 300)
    rng = np.random.default_rng(0)
    intervals = np.array([_auc_interval(60, rng) for _ in range(50)])
    held = (intervals[:, 0] < 0.802) & (intervals[:, 1] > 0.802)
    assert 42 <= held.sum() <= 50
    low, high = _auc_interval(600, rng)
    assert high - low < 0.4 * np.median(np.diff(intervals))


def test_what_can_be_told_apart_is(good):
    scores = good[2]
    assert scores["auc"] > 0.85 and scores["auc_ci95"][0] > 0.6
    assert scores["balanced_accuracy"] > 0.7


def test_scores_name_target_folds_and_ceiling(good):
    _, out, scores = good
    assert scores["class_counts"] == {"2": 40, "3": 20} and scores["positive"] == "3"
    assert (scores["target"], scores["n"], scores["folds"], scores["oracle_auc"]) == ("grade", 60, 3, 0.9)
    assert scores["features"] == {"offered": 10, "selected": 4}
    assert read_json(out / "scores.json") == scores


def test_each_subject_is_predicted_once_and_the_scores_are_those_of_the_table(good):
    features, out, scores = good
    predictions = read_tsv(out / "predictions.tsv")
    assert list(predictions.columns) == ["participant_id", "fold", "label", "probability"]
    assert list(predictions.participant_id) == sorted(set(features.participant_id))
    assert score(predictions.label, predictions.probability)["auc"] == pytest.approx(scores["auc"])
    tested = features[features.role == "test"].set_index("participant_id").sort_index()
    assert list(predictions.fold) == list(tested.fold) and list(predictions.label) == list(tested.label)


def test_selected_features_are_counted_over_the_folds(good):
    selected = read_tsv(good[1] / "selected.tsv").set_index("feature").folds
    assert selected["f00"] == 3 and selected.sum() == 3 * 4


def test_the_network_is_saved_and_loads_in_safe_mode(good):
    ann = keras.saving.load_model(good[1] / "ann.keras", safe_mode=True)
    assert ann.input_shape == (None, 4)


def test_labels_under_test_do_not_touch_their_predictions(good, tmp_path):
    """The strongest test of leakage: turn every label of one fold's test rows, and nothing may move there."""
    features, out, _ = good
    turned = features.copy()
    under_test = (turned.fold == 2) & (turned.role == "test")
    turned.loc[under_test, "label"] = 1 - turned.loc[under_test, "label"]
    grade_features(turned, tmp_path, **QUICK)
    before, after = (read_tsv(folder / "predictions.tsv") for folder in (out, tmp_path))
    moved = (before.label != after.label).to_numpy()
    assert moved.sum() == 20 and (after.fold[moved] == 2).all()
    assert np.allclose(before.probability, after.probability, atol=1e-5)


def test_labels_of_training_do_touch_predictions(good, tmp_path):
    """So that the test above can fail."""
    features, out, _ = good
    turned = features.copy()
    trained_on = (turned.fold == 2) & (turned.role == "train")
    turned.loc[trained_on, "label"] = 1 - turned.loc[trained_on, "label"]
    grade_features(turned, tmp_path, **QUICK)
    before, after = (read_tsv(folder / "predictions.tsv") for folder in (out, tmp_path))
    fold = (before.fold == 2).to_numpy()
    assert not np.allclose(before.probability[fold], after.probability[fold], atol=0.05)
    assert np.allclose(before.probability[~fold], after.probability[~fold], atol=1e-5)


def test_features_that_know_nothing_score_like_chance(tmp_path):
    """Selection outside the folds would reach an AUC of about 0.8 here."""
    scores = grade_features(_table(n=90, columns=200), tmp_path, **QUICK)
    low, high = scores["auc_ci95"]
    assert low < 0.5 < high
    assert scores["balanced_accuracy"] < 0.65


def test_a_subject_on_both_sides_is_three_lines(tmp_path):
    features = _table()
    leak = features[(features.fold == 2) & (features.role == "test")].head(1).assign(role="train")
    with raises_three_lines(BadCohort, leak.participant_id.iloc[0], "fold 2", "assign_folds"):
        grade_features(pd.concat([features, leak]), tmp_path, **QUICK)
    assert not any(tmp_path.iterdir())


def test_subjects_without_a_label_are_left_out(tmp_path):
    features = _table(shift=2.5)
    features.loc[features.participant_id == "sub-004", "label"] = np.nan
    scores = grade_features(features, tmp_path, **QUICK)
    assert scores["n"] == 59 and "sub-004" not in set(read_tsv(tmp_path / "predictions.tsv").participant_id)


def test_fewer_features_than_asked_for_are_all_taken(tmp_path):
    scores = grade_features(_table(shift=2.5, columns=3), tmp_path, keep=12, epochs=15)
    assert scores["features"] == {"offered": 3, "selected": 3} and scores["auc"] > 0.8


def test_constant_features_are_taken_only_where_there_is_nothing_else(tmp_path):
    features = _table(shift=2.5, columns=6).assign(f01=1.0, f02=2.0)
    grade_features(features, tmp_path, **QUICK)
    assert set(read_tsv(tmp_path / "selected.tsv").feature) == {"f00", "f03", "f04", "f05"}
    only = features.drop(columns=["f03", "f04"])
    assert grade_features(only, tmp_path, **QUICK)["n"] == 60
