"""Cross-fitting: what is said of a subject comes from a network that never saw it."""

import os
import shutil
import signal
from contextlib import contextmanager
from functools import partial

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
from epitome_kit.errors import CohortError, collect_warnings
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


def test_every_subject_is_tested_once_and_trained_on_in_the_other_folds(learned_features):
    cohort, _, _, features = learned_features
    assert features.columns.tolist() == ["participant_id", "fold", "role", "label", "cnn_probability", *FEATURE_COLUMNS]
    assert sorted(features.participant_id[features.role == "test"]) == list(cohort.subjects)
    for _, rows in features.groupby("fold"):
        assert sorted(rows.participant_id) == list(cohort.subjects), "test and train part the subjects"
    assert set(features.role) == {"test", "train"} and set(features.fold) == {1, 2}
    assert np.isfinite(features[FEATURE_COLUMNS].to_numpy()).all()


def test_folds_keep_the_mix_of_labels_and_an_unlabelled_subject_comes_along(learned_features):
    features = learned_features[3]
    labels = features.drop_duplicates("participant_id").set_index("participant_id").label
    assert labels.dropna().to_dict() == {f"sub-{number:02d}": number % 2 for number in range(12)}
    assert labels.isna().to_list().count(True) == 1 and np.isnan(labels["sub-12"])
    mix = _tested(features).groupby("fold").label.agg(["sum", "count"])
    assert (mix == [3, 6]).all(axis=None)
    assert features[features.participant_id == "sub-12"][FEATURE_COLUMNS].notna().all(axis=None)


def test_what_can_be_learned_is_in_the_features(learned_features):
    """Half of the tumours are bright on T1ce: whoever learns from the training rows tells the test rows apart."""
    for _, rows in learned_features[3].dropna().groupby("fold"):
        train, test = (rows[rows.role == role] for role in ("train", "test"))
        grader = make_pipeline(StandardScaler(), LogisticRegression()).fit(train[FEATURE_COLUMNS], train.label)
        assert roc_auc_score(test.label, grader.predict_proba(test[FEATURE_COLUMNS])[:, 1]) == 1
        assert roc_auc_score(test.label, test.cnn_probability) == 1
        assert ((test.cnn_probability > 0.5) == test.label).mean() > 0.8


@pytest.mark.slow
def test_features_are_those_of_the_saved_networks(learned_features):
    cohort, ready, out, features = learned_features
    arrays = load_arrays(cohort, ready)
    for fold in range(2):
        model = keras.saving.load_model(fold_model_path(out, fold), compile=False)
        answers = model.predict(arrays.scans, verbose=0)
        rows = features[features.fold == fold + 1].set_index("participant_id").loc[list(arrays.ids)]
        assert answers["features"] == pytest.approx(rows[FEATURE_COLUMNS].to_numpy(), abs=1e-3)
    history = read_tsv(out / "cnn" / "history.tsv")
    assert list(history.columns) == ["fold", "epoch", "loss", "val_loss"] and set(history.fold) == {1, 2}
    assert history.groupby("fold").loss.agg(lambda loss: loss.iloc[-1] < loss.iloc[0]).all()


def test_a_second_call_keeps_what_is_there_and_so_does_one_on_a_copy(learned_features, tmp_path, monkeypatch):
    cohort, ready, out, features = learned_features
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    again = learn_features(cohort, ready, out, **SETTINGS)
    pd.testing.assert_frame_equal(again, features, check_dtype=False, rtol=1e-5)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    copy = shutil.copytree(out, tmp_path / "copy", copy_function=shutil.copyfile)
    for path in copy.rglob("*.*"):
        os.utime(path, ns=(1, 1))
    monkeypatch.setattr("epitome_kit.learn.train.load_arrays", lambda *_: pytest.fail("trained again"))
    with collect_warnings() as remarks:
        pd.testing.assert_frame_equal(learn_features(cohort, ready, copy, **SETTINGS), again)
    assert not remarks


@pytest.mark.slow
def test_a_subject_under_test_is_unknown_to_its_network(learned_features, tmp_path):
    """Another scan, another tumour: where the subject is under test, nothing else may notice."""
    cohort, ready, _, features = learned_features
    shutil.copytree(ready, tmp_path / "ready")
    scans, tumour = draw_head(99)
    write_ready(Preprocessed(tmp_path / "ready", "sub-04"), scans, 1 - tumour, np.ones_like(tumour), version=2)
    changed = learn_features(cohort, tmp_path / "ready", tmp_path / "out", **SETTINGS)
    under_test = _tested(features).fold["sub-04"]
    for fold in (1, 2):
        old, new = (
            table[(table.fold == fold) & (table.participant_id != "sub-04")][FEATURE_COLUMNS].to_numpy(float)
            for table in (features, changed)
        )
        assert np.allclose(old, new, atol=1e-3) == (fold == under_test)


@pytest.fixture
def small(tmp_path):
    return *make_derivative(tmp_path, subjects=5), tmp_path / "out"


@pytest.mark.slow
def test_a_call_that_was_interrupted_goes_on_where_it_was(small, tmp_path, monkeypatch):
    cohort, ready, out = small
    how = {"folds": 2, "epochs": 2}
    expected = learn_features(cohort, ready, tmp_path / "whole", **how)
    with monkeypatch.context() as patch:
        patch.setattr("epitome_kit.learn.train.step_bar", partial(_ctrl_c, after=3))
        with pytest.raises(KeyboardInterrupt) as caught:
            learn_features(cohort, ready, out, **how)
    assert "1 of 2 folds" in caught.value.__notes__[0] and "continues" in caught.value.__notes__[0]
    assert "fold-1.keras" in _names(out / "cnn") and "fold-2.keras" not in _names(out / "cnn")
    assert not (out / "features.tsv").exists()
    first = fold_model_path(out, 0).stat().st_mtime_ns
    pd.testing.assert_frame_equal(learn_features(cohort, ready, out, **how), expected)
    assert fold_model_path(out, 0).stat().st_mtime_ns == first, "a finished fold is kept"
    assert _names(out) == _names(tmp_path / "whole")


def test_other_settings_leave_nothing_of_the_old(small, starts):
    cohort, ready, out = small
    learn_features(cohort, ready, out, folds=2)
    (out / "cnn" / "fold-3.keras").touch()
    with collect_warnings() as remarks:
        learn_features(cohort, ready, out, folds=2, epochs=3)
    assert remarks == ["learn_features: computed again: epochs was 5, is 3"]
    assert not (out / "cnn" / "fold-3.keras").exists()
    (out / "cnn" / "settings.json").write_text('{"settings": {')
    with collect_warnings() as remarks:
        learn_features(cohort, ready, out, folds=2, epochs=3)
    assert remarks == ["learn_features: computed again: its record cannot be read"]


def test_the_network_for_everybody_takes_the_median_of_what_was_best_in_the_folds(small, starts):
    learn_features(*small, folds=2)
    assert starts[0].asked == [(1, None), (2, None), (0, 3)], "2 and 4 were best"


def _names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@contextmanager
def _ctrl_c(title, total, *, after):
    """Presses Ctrl-C once so many steps are done."""
    done = []

    def advance(steps):
        done.extend([None] * steps)
        if len(done) == after:
            signal.raise_signal(signal.SIGINT)

    yield advance


def test_one_class_only_is_three_lines(small):
    cohort, ready, out = small
    with raises_three_lines(CohortError, "codeletion", "intact"):
        learn_features(cohort, ready, out, target="codeletion")
    assert not out.exists()


def test_fewer_subjects_than_folds_is_three_lines(small):
    cohort, ready, out = small
    with raises_three_lines(CohortError, "3 folds and 2 subjects"):
        learn_features(cohort, ready, out, folds=3)


def test_subjects_that_were_left_out_of_preprocessing_count_for_the_folds(small):
    cohort, ready, out = small
    Preprocessed(ready, "sub-01").record.unlink()
    with raises_three_lines(CohortError, "2 folds and 1 subjects"):
        learn_features(cohort, ready, out, folds=2)


def test_nothing_preprocessed_is_three_lines(small, tmp_path):
    with raises_three_lines(CohortError, "load_arrays"):
        learn_features(small[0], tmp_path / "empty", small[2], folds=2)


def test_a_cohort_without_any_tumour_mask_is_three_lines(small):
    cohort, ready, out = small
    for name in cohort.subjects:
        Preprocessed(ready, name).mask("desc-annotated").unlink()
    with raises_three_lines(CohortError, "tumour masks", "5 subjects"):
        learn_features(cohort, ready, out, folds=2)


@pytest.fixture
def starts(monkeypatch):
    """What training was begun with, in place of training."""
    begun = []

    def begin(arrays, labels, epochs, seed, pretrained):
        begun.append(_Quick(arrays, labels))
        return begun[-1]

    monkeypatch.setattr("epitome_kit.learn.train.Trainer", begin)
    return begun


def test_a_label_that_was_corrected_is_learned_anew(small, starts):
    cohort, ready, out = small
    learn_features(cohort, ready, out, folds=2)
    learn_features(cohort, ready, out, folds=2)
    assert len(starts) == 1
    corrected = _relabel(cohort, lambda table: table.assign(grade=[3, 3, 2, 3, 2]))
    learn_features(corrected, ready, out, folds=2)
    assert len(starts) == 2
    learn_features(corrected, ready, out, folds=2, seed=1)
    assert len(starts) == 3


class _Quick:
    """Stands in for the training: says nothing about anybody, and notes what it was asked."""

    epochs = 5

    def __init__(self, arrays, labels):
        self.arrays, self.labels, self.asked = arrays, labels.reindex(arrays.ids).to_numpy(float), []

    def fit(self, train, path, number, advance, *, epochs=None):
        self.asked.append((number, epochs))
        path.touch()
        history = pd.DataFrame({"epoch": range(1, 6), "loss": 1.0})
        history["val_loss"] = abs(history.epoch - 2 * number)
        return np.zeros((len(train), len(FEATURE_COLUMNS)), np.float32), history

    def probability(self, features):
        return features[:, 0]
