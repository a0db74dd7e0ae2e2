"""Starting afresh: a restarted model is the model that it was, optimiser and dropout included."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from epitome_kit.learn.model_state import reset_model, snapshot

DATA = np.random.default_rng(0).standard_normal((16, 5)).astype(np.float32)
LABELS = (DATA[:, :1] > 0).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    hidden = [layers.Dense(6, "relu"), layers.BatchNormalization(), layers.Dropout(0.5, seed=1)]
    model = keras.Sequential([keras.Input((5,)), *hidden, layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy")
    return model


def _train(model):
    model.fit(DATA, LABELS, epochs=3, batch_size=8, shuffle=False, verbose=0)
    return ops.convert_to_numpy(model(DATA, training=False))


def test_a_restart_brings_back_the_first_answers_and_the_first_training(model):
    state = snapshot(model)
    before = ops.convert_to_numpy(model(DATA, training=False))
    trained = _train(model)
    assert not np.allclose(trained, before, atol=1e-3)
    assert not np.allclose(_train(model), trained, atol=1e-3), "going on is not starting afresh"
    reset_model(model, state)
    assert np.array_equal(ops.convert_to_numpy(model(DATA, training=False)), before)
    assert int(model.optimizer.iterations) == 0
    assert np.allclose(_train(model), trained, atol=1e-6)


def test_a_snapshot_does_not_change_when_the_model_does(model):
    state = snapshot(model)
    kept = [value.copy() for value in state]
    _train(model)
    assert all(np.array_equal(value, other) for value, other in zip(state, kept, strict=True))


def test_the_state_of_another_model_is_refused(model):
    with pytest.raises(ValueError):
        reset_model(model, snapshot(model)[:-1])
