"""The grader: learns, balances, starts afresh, and can be saved and loaded safely."""

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from epitome_kit.grade.ann import Grader, build_ann


def _subjects(n=120, share=0.25, shift=1.2, seed=0):
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) < share * n).astype(int)
    return 50 + 9 * (rng.standard_normal((n, 4)) + shift * labels[:, None] * [1, 0.5, 0, 0]), labels


@pytest.fixture(scope="module")
def grader():
    return Grader(4, epochs=40)


@pytest.fixture(scope="module")
def plain():
    return Grader(4, epochs=40, balanced=False)


def test_it_learns_what_can_be_learned_in_any_units(grader):
    grader.fit(*_subjects())
    features, labels = _subjects(400, seed=1)
    probability = grader.predict(features)
    assert probability.shape == (400,) and probability.min() >= 0 and probability.max() <= 1
    assert roc_auc_score(labels, probability) > 0.78


def test_balance_finds_more_of_the_rare_class(grader, plain):
    features, labels = _subjects(share=0.12)
    unseen, truth = _subjects(600, share=0.12, seed=1)
    found = {}
    for name, each in (("balanced", grader), ("plain", plain)):
        decided = each.fit(features, labels).predict(unseen) >= 0.5
        found[name] = decided[truth == 1].mean(), (~decided[truth == 0]).mean()
    assert found["balanced"][0] > found["plain"][0] + 0.15, "sensitivity"
    assert found["balanced"][1] < found["plain"][1], "at the price of specificity"


def test_a_second_fit_starts_afresh(grader):
    features, labels = _subjects()
    first = grader.fit(features, labels).predict(features)
    other = grader.fit(features, 1 - labels).predict(features)
    assert not np.allclose(first, other, atol=0.05)
    assert np.allclose(grader.fit(features, labels).predict(features), first, atol=1e-5)


def test_a_prediction_does_not_depend_on_who_else_is_predicted(grader):
    grader.fit(*_subjects())
    unseen = _subjects(10, seed=2)[0]
    extreme = np.vstack([unseen, np.full((1, 4), 1e6)])
    assert np.allclose(grader.predict(unseen), grader.predict(extreme)[:-1], atol=1e-6)


def test_a_constant_feature_does_no_harm(grader):
    features, labels = _subjects()
    features[:, 3] = 7
    assert np.isfinite(grader.fit(features, labels).predict(features)).all()


def test_members_differ_and_their_mean_is_the_answer(grader):
    features, labels = _subjects()
    grader.fit(features, labels)
    scaled = ((features - features.mean(0)) / features.std(0)).clip(-5, 5).astype(np.float32)
    members = grader.model.predict(scaled, verbose=0)
    assert members.shape == (120, 10) and members.std(1).min() > 1e-4
    assert grader.predict(features) == pytest.approx(members.mean(1), abs=1e-5)


def test_it_saves_and_loads_in_safe_mode_with_the_same_answers(grader, tmp_path):
    grader.fit(*_subjects())
    grader.model.save(tmp_path / "ann.keras")
    loaded = keras.saving.load_model(tmp_path / "ann.keras", safe_mode=True)
    points = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    assert np.asarray(loaded(points)) == pytest.approx(np.asarray(grader.model(points)), abs=1e-6)


def test_members_do_not_share_weights():
    ann = build_ann(3, members=5, hidden=7)
    assert ann.output_shape == (None, 5) and ann.count_params() == 5 * ((3 * 7 + 7) + (7 + 1))
    points = np.zeros((1, 3), np.float32)
    before = np.asarray(ann(points))
    last = ann.weights[-1]
    last.assign(last.numpy() + np.array([[1], [0], [0], [0], [0]]))
    changed = np.flatnonzero(np.asarray(ann(points))[0] != before[0])
    assert changed.tolist() == [0], "one bias belongs to one member"
