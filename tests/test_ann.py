"""The grader: learns, balances, starts afresh, and can be saved and loaded safely."""

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from epitome_kit.grade.ann import build_ann
from epitome_kit.grade.grader import Grader, join


def _subjects(n=120, share=0.25, shift=1.2, seed=0):
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) < share * n).astype(int)
    return 50 + 9 * (rng.standard_normal((n, 4)) + shift * labels[:, None] * [1, 0.5, 0, 0]), labels


@pytest.fixture(scope="module")
def grader():
    return Grader(max_features=4, max_subjects=120)


@pytest.fixture(scope="module")
def plain():
    return Grader(balanced=False, max_features=4, max_subjects=120)


def test_it_learns_what_can_be_learned_in_any_units(grader):
    grader.fit(*_subjects())
    features, labels = _subjects(400, seed=1)
    probability = grader.predict_proba(features)[:, 1]
    assert probability.shape == (400,) and probability.min() >= 0 and probability.max() <= 1
    assert roc_auc_score(labels, probability) > 0.78


def test_balance_finds_more_of_the_rare_class(grader, plain):
    features, labels = _subjects(share=0.12)
    unseen, truth = _subjects(600, share=0.12, seed=1)
    found = {}
    for name, each in (("balanced", grader), ("plain", plain)):
        decided = each.fit(features, labels).predict_proba(unseen)[:, 1] >= 0.5
        found[name] = decided[truth == 1].mean(), (~decided[truth == 0]).mean()
    assert found["balanced"][0] > found["plain"][0] + 0.15, "sensitivity"
    assert found["balanced"][1] < found["plain"][1], "at the price of specificity"


def test_a_second_fit_starts_afresh(grader):
    features, labels = _subjects()
    first = grader.fit(features, labels).predict_proba(features)[:, 1]
    other = grader.fit(features, 1 - labels).predict_proba(features)[:, 1]
    assert not np.allclose(first, other, atol=0.05)
    assert np.allclose(grader.fit(features, labels).predict_proba(features)[:, 1], first, atol=1e-5)


def test_a_prediction_does_not_depend_on_who_else_is_predicted(grader):
    grader.fit(*_subjects())
    unseen = _subjects(10, seed=2)[0]
    extreme = np.vstack([unseen, np.full((1, 4), 1e6)])
    assert np.allclose(grader.predict_proba(unseen)[:, 1], grader.predict_proba(extreme)[:, 1][:-1], atol=1e-6)


def test_a_constant_feature_does_no_harm(grader):
    features, labels = _subjects()
    features[:, 3] = 7
    assert np.isfinite(grader.fit(features, labels).predict_proba(features)[:, 1]).all()


def test_members_differ_and_their_mean_is_the_answer(grader):
    features, labels = _subjects()
    grader.fit(features, labels)
    scaled = ((features - features.mean(0)) / features.std(0)).clip(-5, 5).astype(np.float32) / 2
    members = np.asarray(grader.model_(scaled))
    assert members.shape == (120, 5) and members.std(1).min() > 1e-4
    assert grader.predict_proba(features)[:, 1] == pytest.approx(members.mean(1), abs=1e-5)


def test_a_border_that_no_line_draws_is_learned_too(grader):
    """Positive where both features lie on the same side of their mean: alone, neither says anything."""
    points = np.random.default_rng(0).uniform(-2, 2, (520, 2))
    same = (points.prod(axis=1) > 0).astype(int)
    probability = grader.fit(points[:120], same[:120]).predict_proba(points[120:])[:, 1]
    assert roc_auc_score(same[120:], probability) > 0.9


def test_room_for_more_subjects_changes_no_answer(grader):
    features, labels = _subjects(60)
    roomy = grader.fit(features, labels).predict_proba(features)[:, 1]
    assert roomy == pytest.approx(Grader().fit(features, labels).predict_proba(features)[:, 1], abs=0.05)


def test_fewer_features_than_there_is_room_for_are_fine(grader):
    features, labels = _subjects()
    assert roc_auc_score(labels, grader.fit(features[:, :2], labels).predict_proba(features[:, :2])[:, 1]) > 0.75


def test_what_is_missing_counts_as_the_median(grader):
    features, labels = _subjects()
    features[:, 2] = np.random.default_rng(1).permutation(np.repeat([1.0, 2.0, 9.0], 40))
    grader.fit(features, labels)
    holes, median = features[:20].copy(), features[:20].copy()
    holes[:, 2], median[:, 2] = np.nan, 2.0
    assert grader.predict_proba(holes)[:, 1] == pytest.approx(grader.predict_proba(median)[:, 1], abs=1e-6)


def test_a_feature_without_any_value_does_no_harm(grader):
    features, labels = _subjects()
    features[:, 3] = np.nan
    assert np.isfinite(grader.fit(features, labels).predict_proba(features)[:, 1]).all()


def test_joined_they_save_and_load_in_safe_mode_and_take_raw_features(tmp_path):
    features, labels = _subjects()
    places = [np.array([0, 2]), np.array([1, 2])]
    graders = [Grader(max_features=3).fit(features[:, taken], labels) for taken in places]
    join(graders, places, 3).save(tmp_path / "ann.keras")
    loaded = keras.saving.load_model(tmp_path / "ann.keras", safe_mode=True)
    unseen = _subjects(20, seed=3)[0][:, :3].astype(np.float32)
    unseen[4, 1] = np.nan
    expected = np.mean(
        [each.predict_proba(unseen[:, taken])[:, 1] for each, taken in zip(graders, places, strict=True)], axis=0
    )
    assert loaded.input_shape == (None, 3)
    assert np.asarray(loaded(unseen))[:, 0] == pytest.approx(expected, abs=1e-6)


def test_only_the_last_layer_learns():
    ann = build_ann(3, members=5, units=7)
    assert ann.output_shape == (None, 5)
    assert sum(int(np.prod(weight.shape)) for weight in ann.trainable_weights) == 5 * (7 + 1)
    assert np.asarray(ann(np.zeros((1, 3), np.float32))) == pytest.approx(0.5), "it begins undecided"
