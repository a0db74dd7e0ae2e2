"""Tuning the U-Net: the same again, only from what is known, and something is learned."""

from dataclasses import replace

import numpy as np
import pytest
from made_derivative import make_derivative
from scipy.special import logit

from epitome_kit.backend import Input, Model, keras, layers, ops
from epitome_kit.learn.arrays import load_arrays
from epitome_kit.learn.channels import shipped_channels
from epitome_kit.metrics import dice
from epitome_kit.tumour.fit import LEARNING_RATE, THRESHOLDS, UNetFineTuner, tune_threshold
from epitome_kit.tumour.network import shipped_unet, tumour_probability

CHANNELS = shipped_channels("tumour_unet")

ALL = np.ones(6, bool)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    return load_arrays(*make_derivative(tmp_path_factory.mktemp("tuner"), subjects=6, slices=[6, 7, 8, 9]), CHANNELS)


@pytest.fixture(scope="module")
def tuner(arrays):
    return UNetFineTuner(arrays, 1, 0)


def _weights(tuner, train=ALL, number=1):
    return [value.copy() for value in tuner.fit(train, number, lambda epochs: None).get_weights()]


def _same(first, second):
    return all(np.array_equal(*pair) for pair in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def learned(tuner):
    return _weights(tuner)


@pytest.mark.slow
def test_the_same_numbers_come_again_to_the_last_digit(tuner, learned, arrays):
    assert _same(_weights(tuner), learned) and _same(_weights(UNetFineTuner(arrays, 1, 0)), learned)


@pytest.mark.slow
def test_another_number_and_another_seed_are_other_networks(tuner, learned, monkeypatch):
    assert not _same(_weights(tuner, number=2), learned)
    monkeypatch.setattr(tuner, "seed", 1)
    assert not _same(_weights(tuner), learned)


def test_it_starts_from_simulation_and_normalisation_stays_as_it_was(tuner, learned):
    tuner.model.set_weights(learned)
    for mine, theirs in zip(tuner.model.layers, shipped_unet().layers, strict=True):
        same = _same(mine.get_weights(), theirs.get_weights())
        assert same == (isinstance(mine, layers.BatchNormalization) or not mine.get_weights()), mine.name
    *far, moved = [np.abs(a - b).max() for a, b in zip(learned, shipped_unet().get_weights(), strict=True)]
    assert max(far) < 20 * LEARNING_RATE
    assert min(abs(moved - abs(logit(limit))) for limit in THRESHOLDS) < 20 * LEARNING_RATE, "the last bias"


@pytest.mark.parametrize(("inside", "outside"), [(0.35, 0.02), (0.95, 0.65), (0.9, 0.1)])
def test_one_half_becomes_the_threshold_that_fits(arrays, inside, outside):
    """A network that says tumour too timidly, too boldly, or rightly, about what FLAIR shows."""
    scans = Input((None, None, None, len(CHANNELS)))
    bright = ops.cast(scans[..., -1:] > 1.5, "float32")
    middle, half = (logit(inside) + logit(outside)) / 2, (logit(inside) - logit(outside)) / 2
    answer = layers.Conv3D(1, 1, activation="sigmoid", name="tumour")(2 * bright - 1)
    model = Model(scans, {"tumour": answer})
    model.get_layer("tumour").set_weights([np.full((1, 1, 1, 1, 1), half), np.array([middle])])
    tune_threshold(model, arrays, np.arange(len(arrays.ids)))
    found = tumour_probability(model, arrays.scans[0])
    assert found[arrays.tumour[0, ..., 0] > 0].mean() > 0.5 > np.quantile(found[arrays.tumour[0, ..., 0] == 0], 0.95)


@pytest.mark.slow
def test_only_training_subjects_with_annotation_teach(tuner, learned, arrays):
    four = np.arange(6) < 4
    silent = replace(arrays, known=arrays.known * four.reshape(-1, 1, 1, 1, 1).astype(np.uint8))
    expected = _weights(tuner, four)
    assert _same(_weights(UNetFineTuner(silent, 1, 0)), expected) and not _same(expected, learned)


@pytest.mark.slow
def test_what_is_unknown_teaches_nothing(tuner, learned, arrays, monkeypatch):
    unknown = arrays.known == 0
    assert 0.05 < unknown.mean() < 0.9
    for where, same in ((unknown, True), (~unknown, False)):
        tumour = np.where(where, 1 - arrays.tumour, arrays.tumour)
        monkeypatch.setattr(tuner, "_masks", np.concatenate([tumour, arrays.known], axis=-1))
        assert _same(_weights(tuner), learned) == same


@pytest.mark.slow
def test_an_easy_tumour_is_found_in_a_head_that_was_not_seen(tuner, arrays, monkeypatch):
    """Every epoch is counted, and the rate falls to nothing."""
    counted, rates = [], []
    monkeypatch.setattr(
        keras.callbacks.LearningRateScheduler,
        "on_epoch_end",
        lambda self, epoch, logs: rates.append(self.schedule(epoch, 0)),
    )
    monkeypatch.setattr(tuner, "epochs", 20)
    model = tuner.fit(np.arange(6) < 5, 1, counted.append)
    assert counted == [1] * 20 and rates[0] == LEARNING_RATE and rates[10] == pytest.approx(LEARNING_RATE / 2)
    assert all(np.diff(rates) < 0) and rates[-1] < 0.01 * LEARNING_RATE
    drawn, known = (each[5, ..., 0] > 0 for each in (arrays.tumour, arrays.known))
    found = tumour_probability(model, arrays.scans[5]) > 0.5
    assert dice(found & known, drawn & known) > 0.6
