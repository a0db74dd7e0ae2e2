"""Cross-fitting: what is said of a subject comes from a network that never saw it."""

import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from made_derivative import draw_head, make_derivative, write_ready
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tiny import raises_three_lines

from epitome_kit.cohort import open_cohort
from epitome_kit.errors import BadCohort
from epitome_kit.files import read_tsv, write_tsv
from epitome_kit.learn.arrays import load_arrays
from epitome_kit.learn.cnn import feature_names
from epitome_kit.learn.train import fold_model_path, learn_features
from epitome_kit.preprocess.pipeline import Preprocessed

SETTINGS = {"folds": 2, "epochs": 15}
FEATURE_COLUMNS = feature_names(("T1ce", "FLAIR"))


def _relabel(cohort, change):
    """Rewrite participants.tsv and open the cohort again."""
    table = read_tsv(cohort.root / "participants.tsv")
    write_tsv(cohort.root / "participants.tsv", change(table))
    return open_cohort(cohort.root)


def _tested(features):
    return features[features.role == "test"].set_index("participant_id").sort_index()


def test_every_subject_is_tested_once_and_trained_on_in_the_other_folds(learned):
    cohort, _, _, features = learned
    assert features.columns.tolist() == ["participant_id", "fold", "role", "label", "cnn_probability", *FEATURE_COLUMNS]
    assert sorted(features.participant_id[features.role == "test"]) == list(cohort.subjects)
    for _, rows in features.groupby("fold"):
        assert sorted(rows.participant_id) == list(cohort.subjects), "test and train part the subjects"
    assert set(features.role) == {"test", "train"} and set(features.fold) == {1, 2}
    assert np.isfinite(features[FEATURE_COLUMNS].to_numpy()).all()


def test_folds_keep_the_mix_of_labels_and_an_unlabelled_subject_comes_along(learned):
    features = learned[3]
    labels = features.drop_duplicates("participant_id").set_index("participant_id").label
    assert labels.dropna().to_dict() == {f"sub-{number:02d}": number % 2 for number in range(12)}
    assert labels.isna().to_list().count(True) == 1 and np.isnan(labels["sub-12"])
    mix = _tested(features).groupby("fold").label.agg(["sum", "count"])
    assert (mix == [3, 6]).all(axis=None)
    assert features[features.participant_id == "sub-12"][FEATURE_COLUMNS].notna().all(axis=None)


def test_what_can_be_learned_is_in_the_features(learned):
    """Half of the tumours are bright on T1ce: whoever learns from the training rows tells the test rows apart."""
    for _, rows in learned[3].dropna().groupby("fold"):
        train, test = (rows[rows.role == role] for role in ("train", "test"))
        grader = make_pipeline(StandardScaler(), LogisticRegression()).fit(train[FEATURE_COLUMNS], train.label)
        assert roc_auc_score(test.label, grader.predict_proba(test[FEATURE_COLUMNS])[:, 1]) == 1
        assert roc_auc_score(test.label, test.cnn_probability) == 1
        assert ((test.cnn_probability > 0.5) == test.label).all()


def test_features_are_those_of_the_saved_networks(learned):
    cohort, ready, out, features = learned
    arrays = load_arrays(cohort, ready)
    for fold in range(2):
        model = keras.saving.load_model(fold_model_path(out, fold), compile=False)
        answers = model.predict(arrays.scans, verbose=0)
        rows = features[features.fold == fold + 1].set_index("participant_id").loc[list(arrays.ids)]
        assert answers["features"] == pytest.approx(rows[FEATURE_COLUMNS].to_numpy(), abs=1e-3)
    history = read_tsv(out / "cnn" / "history.tsv")
    assert len(history) == 30 and history.groupby("fold").loss.agg(lambda loss: loss.iloc[-1] < loss.iloc[0]).all()


def test_a_second_call_keeps_what_is_there(learned):
    cohort, ready, out, features = learned
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    again = learn_features(cohort, ready, out, **SETTINGS)
    pd.testing.assert_frame_equal(again, features, check_dtype=False, rtol=1e-5)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_subject_under_test_is_unknown_to_its_network(learned, tmp_path):
    """Another scan, another tumour: where the subject is under test, nothing else may notice."""
    cohort, ready, _, features = learned
    shutil.copytree(ready, tmp_path / "ready")
    scans, tumour = draw_head(99)
    write_ready(Preprocessed(tmp_path / "ready", "sub-03"), scans, 1 - tumour, np.ones_like(tumour), version=2)
    changed = learn_features(cohort, tmp_path / "ready", tmp_path / "out", **SETTINGS)
    under_test = _tested(features).fold["sub-03"]
    for fold in (1, 2):
        old, new = (
            table[(table.fold == fold) & (table.participant_id != "sub-03")][FEATURE_COLUMNS].to_numpy(float)
            for table in (features, changed)
        )
        assert np.allclose(old, new, atol=1e-3) == (fold == under_test)


@pytest.fixture
def small(tmp_path):
    return *make_derivative(tmp_path, subjects=5), tmp_path / "out"


def test_one_class_only_is_three_lines(small):
    cohort, ready, out = small
    with raises_three_lines(BadCohort, "codeletion", "intact"):
        learn_features(cohort, ready, out, target="codeletion")
    assert not out.exists()


def test_fewer_subjects_than_folds_is_three_lines(small):
    cohort, ready, out = small
    with raises_three_lines(BadCohort, "3 folds and 2 subjects"):
        learn_features(cohort, ready, out, folds=3)


def test_subjects_that_were_left_out_of_preprocessing_count_for_the_folds(small):
    cohort, ready, out = small
    Preprocessed(ready, "sub-01").record.unlink()
    with raises_three_lines(BadCohort, "2 folds and 1 subjects"):
        learn_features(cohort, ready, out, folds=2)


def test_nothing_preprocessed_is_three_lines(small, tmp_path):
    with raises_three_lines(BadCohort, "load_arrays"):
        learn_features(small[0], tmp_path / "empty", small[2], folds=2)


def test_a_cohort_without_any_tumour_mask_is_three_lines(small):
    cohort, ready, out = small
    for name in cohort.subjects:
        Preprocessed(ready, name).mask("desc-annotated").unlink()
    with raises_three_lines(BadCohort, "tumour masks", "5 subjects"):
        learn_features(cohort, ready, out, folds=2)


def test_a_label_that_was_corrected_is_learned_anew(small, monkeypatch):
    cohort, ready, out = small
    starts = []
    monkeypatch.setattr("epitome_kit.learn.train._Trainer", lambda *given: starts.append(given) or _Quick())
    learn_features(cohort, ready, out, folds=2)
    learn_features(cohort, ready, out, folds=2)
    assert len(starts) == 1
    corrected = _relabel(cohort, lambda table: table.assign(grade=[3, 3, 2, 3, 2]))
    learn_features(corrected, ready, out, folds=2)
    assert len(starts) == 2
    learn_features(corrected, ready, out, folds=2, seed=1)
    assert len(starts) == 3


class _Quick:
    """Stands in for the training: says nothing about anybody."""

    def fold(self, fold, fold_of, out):
        return pd.DataFrame({"participant_id": fold_of.index, "fold": fold}), pd.DataFrame({"fold": [fold]})

    def all_subjects(self, out):
        pass
