"""The CNN: small, describes what is inside the tumour, and never learns from where nobody looked."""

import keras
import numpy as np
import pytest
from keras import ops

from epitome_kit.learn.cnn import DescribeWhere, build_cnn, feature_count, known_loss

SHAPE = (16, 24, 8)


@pytest.fixture(scope="module")
def cnn():
    keras.utils.set_random_seed(0)
    return build_cnn(2, SHAPE)


def _scans(count=3, seed=0):
    return np.random.default_rng(seed).standard_normal((count, *SHAPE, 2)).astype(np.float32)


def _answers(model, scans):
    return {name: np.asarray(value) for name, value in model(scans, training=False).items()}


def test_it_is_compact_and_answers_where_and_what(cnn):
    assert cnn.count_params() < 1_000_000
    answers = _answers(cnn, _scans())
    assert answers["tumour"].shape == (3, 8, 12, 4, 1)
    assert answers["label"].shape == (3, 1) and answers["features"].shape == (3, feature_count(2))
    for name in ("tumour", "label"):
        assert answers[name].min() >= 0 and answers[name].max() <= 1


def test_a_subject_is_described_without_regard_to_the_others_of_its_batch(cnn):
    together, alone = _answers(cnn, _scans()), _answers(cnn, _scans()[1:2])
    for name, value in alone.items():
        assert together[name][1:2] == pytest.approx(value, abs=1e-4)


def test_the_label_teaches_nothing_about_where_the_tumour_is(cnn):
    """Features are pooled over the map as it is: else the map could drift from tumours to what pays."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = ops.mean(cnn(_scans(), training=True)["label"])
    kernel = cnn.get_layer("tumour").kernel
    assert tape.gradient(loss, kernel.value) is None


def test_it_saves_and_loads_in_safe_mode(cnn, tmp_path):
    cnn.save(tmp_path / "cnn.keras")
    loaded = keras.saving.load_model(tmp_path / "cnn.keras", safe_mode=True)
    expected = _answers(cnn, _scans())
    for name, value in _answers(loaded, _scans()).items():
        assert value == pytest.approx(expected[name], abs=1e-6)


def test_a_region_is_described_by_what_lies_in_it():
    rng = np.random.default_rng(0)
    channels, scans = (rng.normal(1, 1, (2, 4, 5, 6, count)).astype(np.float32) for count in (3, 2))
    region = np.zeros((2, 4, 5, 6, 1), np.float32)
    region[0, :2], region[1] = 1, 1
    found = np.asarray(DescribeWhere()(channels, scans, region))
    assert found.shape == (2, 3 + 5 * 2 + 1)
    for number, part in enumerate((slice(0, 2), slice(None))):
        inside = scans[number, part].reshape(-1, 2)
        bright, dark = (np.exp(np.clip(sign * 2 * inside, -8, 8)) for sign in (1, -1))
        assert found[number, :3] == pytest.approx(channels[number, part].reshape(-1, 3).mean(0), abs=1e-3)
        assert found[number, 3:5] == pytest.approx(inside.mean(0), abs=1e-3)
        assert found[number, 5:7] == pytest.approx(inside.std(0), abs=1e-3)
        assert found[number, 7:9] == pytest.approx((inside * bright).sum(0) / bright.sum(0), abs=1e-3)
        assert found[number, 9:11] == pytest.approx((inside * dark).sum(0) / dark.sum(0), abs=1e-3)
        assert found[number, 13] == pytest.approx(np.log(len(inside)), abs=1e-3)


def test_the_rim_is_where_the_map_fades():
    scans, tumour = np.zeros((1, 3, 1, 1, 1), np.float32), np.zeros((1, 3, 1, 1, 1), np.float32)
    scans[0, :, 0, 0, 0], tumour[0, :, 0, 0, 0] = (5, 2, 9), (1, 0.6, 0)
    rim = np.asarray(DescribeWhere()(scans, scans, tumour))[0, 5]
    assert rim == pytest.approx(2, abs=0.05)


def test_an_empty_region_is_described_by_finite_numbers():
    channels = np.ones((1, 2, 2, 2, 3), np.float32)
    assert np.isfinite(np.asarray(DescribeWhere()(channels, channels, np.zeros((1, 2, 2, 2, 1), np.float32)))).all()


def test_no_label_shapes_the_convolutions(cnn):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = ops.mean(cnn(_scans(), training=True)["label"])
    convolutions = [layer.kernel.value for layer in cnn.layers if layer.name.startswith("conv3d")]
    assert convolutions and tape.gradient(loss, convolutions) == [None] * len(convolutions)


@pytest.fixture
def drawn():
    """Tumour, the half of space that was looked at, and a guess."""
    rng = np.random.default_rng(0)
    tumour = (rng.random((2, 8, 8, 8, 1)) < 0.2).astype(np.float32)
    looked = np.zeros_like(tumour)
    looked[:, :, :, :4] = 1
    return tumour, looked, rng.uniform(0.01, 0.99, tumour.shape).astype(np.float32)


def _loss(tumour, looked, predicted):
    return np.asarray(known_loss(ops.convert_to_tensor(np.concatenate([tumour, looked], -1)), predicted))


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
