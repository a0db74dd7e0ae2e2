"""The CNN: small, describes what is inside the tumour, and never learns from where nobody looked."""

import keras
import numpy as np
import pytest
from keras import ops
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from epitome_kit.learn.cnn import MaskedAverage, TumourStatistics, build_cnn, feature_names, fit_label, masked_dice_bce

SHAPE = (16, 24, 8)


@pytest.fixture(scope="module")
def cnn():
    keras.utils.set_random_seed(0)
    return build_cnn(("T1ce", "T2w"), SHAPE)


def _scans(count=3, seed=0):
    return np.random.default_rng(seed).standard_normal((count, *SHAPE, 2)).astype(np.float32)


def _answers(model, scans):
    return {name: ops.convert_to_numpy(value) for name, value in model(scans, training=False).items()}


def test_it_is_compact_and_answers_where_and_what(cnn):
    assert cnn.count_params() < 1_000_000
    answers = _answers(cnn, _scans())
    assert answers["tumour"].shape == (3, 8, 12, 4, 1)
    assert answers["label"].shape == (3, 1) and answers["features"].shape == (3, len(feature_names(("T1ce", "T2w"))))
    for name in ("tumour", "label"):
        assert answers[name].min() >= 0 and answers[name].max() <= 1


def test_a_subject_is_described_without_regard_to_the_others_of_its_batch(cnn):
    together, alone = _answers(cnn, _scans()), _answers(cnn, _scans()[1:2])
    for name, value in alone.items():
        assert together[name][1:2] == pytest.approx(value, abs=1e-4)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize(("name", "learns"), [("features", False), ("tumour", True)])
def test_nothing_but_the_map_is_learned_by_descent(name, learns):
    """Labels and traits are too few to learn from; a few dozen would be learned by heart."""
    model = build_cnn(("T1ce", "T2w"), SHAPE)
    assert not model.get_layer("label").trainable
    model.compile(keras.optimizers.SGD(0.1), loss={name: "mse"})
    before = model.get_layer("tumour").get_weights()[0]
    model.train_on_batch(_scans(), {name: np.ones((3, *model.output[name].shape[1:]), np.float32)})
    assert np.array_equal(model.get_layer("tumour").get_weights()[0], before) != learns


def test_it_saves_and_loads_in_safe_mode(cnn, tmp_path):
    cnn.save(tmp_path / "cnn.keras")
    loaded = keras.saving.load_model(tmp_path / "cnn.keras", safe_mode=True)
    expected = _answers(cnn, _scans())
    for name, value in _answers(loaded, _scans()).items():
        assert value == pytest.approx(expected[name], abs=1e-6)


def test_every_feature_has_a_name_of_its_own():
    names = feature_names(("T1ce", "T2w"))
    assert len(set(names)) == len(names) and {"growth", "size", "lateral", "T1ce_mean", "T2w_rim"} <= set(names)


def test_a_region_is_measured_by_what_lies_in_it():
    rng = np.random.default_rng(0)
    scans = rng.normal(1, 1, (2, 4, 5, 6, 2)).astype(np.float32)
    region = np.zeros((2, 4, 5, 6, 1), np.float32)
    region[0, :2], region[1] = 1, 1
    found = ops.convert_to_numpy(TumourStatistics()(scans, region))
    assert found.shape == (2, 4 + 5 * 2)
    for number, part in enumerate((slice(0, 2), slice(None))):
        inside = scans[number, part].reshape(-1, 2)
        bright, dark = (np.exp(np.clip(sign * 2 * inside, -8, 8)) for sign in (1, -1))
        assert found[number, 0] == pytest.approx(np.log(len(inside) / 120), abs=1e-3)
        assert found[number, 4:6] == pytest.approx(inside.mean(0), abs=1e-3)
        assert found[number, 6:8] == pytest.approx(inside.std(0), abs=1e-3)
        assert found[number, 8:10] == pytest.approx((inside * bright).sum(0) / bright.sum(0), abs=1e-3)
        assert found[number, 10:12] == pytest.approx((inside * dark).sum(0) / dark.sum(0), abs=1e-3)


@pytest.mark.parametrize("side", [1, 7])
def test_position_is_from_the_midline_and_along_the_other_axes(side):
    region = np.zeros((1, 9, 9, 9, 1), np.float32)
    region[0, side, 2, 8] = 1
    found = ops.convert_to_numpy(TumourStatistics()(region, region))[0]
    assert found[1:4] == pytest.approx([0.75, -0.5, 1], abs=2e-3)


def test_the_rim_is_where_the_map_fades():
    scans, tumour = np.zeros((1, 3, 1, 1, 1), np.float32), np.zeros((1, 3, 1, 1, 1), np.float32)
    scans[0, :, 0, 0, 0], tumour[0, :, 0, 0, 0] = (5, 2, 9), (1, 0.6, 0)
    assert ops.convert_to_numpy(TumourStatistics()(scans, tumour))[0, -1] == pytest.approx(2, abs=0.05)


def test_an_empty_region_is_measured_by_finite_numbers():
    scans, nothing = np.ones((1, 2, 2, 2, 3), np.float32), np.zeros((1, 2, 2, 2, 1), np.float32)
    assert np.isfinite(ops.convert_to_numpy(TumourStatistics()(scans, nothing))).all()
    assert ops.convert_to_numpy(MaskedAverage()(scans, nothing)) == pytest.approx(np.zeros((1, 3)))


def test_the_label_is_the_logistic_answer_to_the_features(cnn):
    scans, labels = _scans(8), np.array([0, 1] * 4)
    features = _answers(cnn, scans)["features"]
    before = _answers(cnn, scans)
    fit_label(cnn, features, labels)
    after = _answers(cnn, scans)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced")).fit(features, labels)
    single_precision = 1e-3  # the scales are folded into weights of 32 bits
    assert after["label"][:, 0] == pytest.approx(model.predict_proba(features)[:, 1], abs=single_precision)
    assert np.array_equal(after["features"], before["features"]) and np.array_equal(after["tumour"], before["tumour"])


@pytest.fixture
def drawn():
    """Tumour, the half of space that was looked at, and a guess."""
    rng = np.random.default_rng(0)
    tumour = (rng.random((2, 8, 8, 8, 1)) < 0.2).astype(np.float32)
    looked = np.zeros_like(tumour)
    looked[:, :, :, :4] = 1
    return tumour, looked, rng.uniform(0.01, 0.99, tumour.shape).astype(np.float32)


def _loss(tumour, looked, predicted):
    truth = ops.convert_to_tensor(np.concatenate([tumour, looked], -1))
    return ops.convert_to_numpy(masked_dice_bce(truth, ops.convert_to_tensor(predicted)))


def test_loss_is_near_zero_when_right_and_large_when_wrong(drawn):
    tumour, looked, guess = drawn
    right, wrong = _loss(tumour, looked, tumour), _loss(tumour, looked, 1 - tumour)
    assert right.shape == (2,) and (right < 0.01).all()
    assert (wrong > 5).all() and (_loss(tumour, looked, guess) > 0.5).all()


def test_loss_is_cross_entropy_plus_dice_over_what_was_looked_at(drawn):
    tumour, looked, guess = drawn
    t, p = (part[1, :, :, :4].ravel().astype(float) for part in (tumour, guess))
    entropy = -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum() / (len(t) + 1)
    overlap = (2 * (t * p).sum() + 1) / (t.sum() + p.sum() + 1)
    assert _loss(tumour, looked, guess)[1] == pytest.approx(entropy + 1 - overlap, rel=1e-5)


def test_where_nobody_looked_neither_tumour_nor_answer_matters(drawn):
    tumour, looked, guess = drawn
    elsewhere = looked == 0
    expected = _loss(tumour, looked, guess)
    assert _loss(np.where(elsewhere, 1 - tumour, tumour), looked, guess) == pytest.approx(expected)
    assert _loss(tumour, looked, np.where(elsewhere, 1 - guess, guess)) == pytest.approx(expected)
    assert _loss(tumour, looked, np.where(elsewhere, guess, 1 - guess)) != pytest.approx(expected, abs=0.01)


def test_a_subject_that_nobody_annotated_costs_nothing(drawn):
    tumour, looked, guess = drawn
    assert _loss(tumour * 0, looked * 0, guess) == pytest.approx([0, 0], abs=1e-6)


def test_a_coarser_answer_is_compared_with_the_coarser_truth(drawn):
    _, _, guess = drawn
    tumour = np.zeros((1, 8, 8, 8, 1), np.float32)
    tumour[:, 2:6, 2:6, 2:6] = 1
    looked = np.ones_like(tumour)
    coarse = np.zeros((1, 4, 4, 4, 1), np.float32)
    coarse[:, 1:3, 1:3, 1:3] = 1
    assert _loss(tumour, looked, coarse) == pytest.approx([0], abs=0.01)
    assert (_loss(tumour, looked, np.roll(coarse, 1, axis=1)) > 0.5).all()
