"""The shipped weights: what a network of any contrasts starts from."""

import keras
import numpy as np
import pytest
from keras import ops

from epitome_kit.learn.channels import shipped_channels
from epitome_kit.learn.cnn import build_cnn
from epitome_kit.learn.pretrained import start_from_simulation

CHANNELS = shipped_channels("epitome_cnn")

SHAPE = (16, 24, 8)


def _started(contrasts):
    model = build_cnn(contrasts, SHAPE)
    start_from_simulation(model)
    return model


def _answers(model, scans):
    return {name: ops.convert_to_numpy(value) for name, value in model(scans, training=False).items()}


@pytest.fixture(scope="module")
def four():
    keras.utils.set_random_seed(0)
    return _started(CHANNELS)


@pytest.mark.parametrize("contrasts", [("T1ce", "T2w"), ("FLAIR",), ("T1w", "T1ce", "FLAIR")])
def test_fewer_contrasts_are_the_same_as_empty_ones(four, contrasts):
    scans = np.random.default_rng(0).standard_normal((2, *SHAPE, 4)).astype(np.float32)
    seen = [CHANNELS.index(name) for name in contrasts]
    absent = np.setdiff1d(range(4), seen)
    scans[..., absent] = 0
    expected, found = _answers(four, scans), _answers(_started(contrasts), scans[..., seen])
    assert found["tumour"] == pytest.approx(expected["tumour"], abs=1e-5)
    assert found["features"][:, :11] == pytest.approx(expected["features"][:, :11], abs=1e-4)


def test_what_describes_is_frozen_and_what_finds_is_not(four):
    trainable = {weight.path.split("/")[0] for weight in four.trainable_variables}
    assert not [name for name in trainable if name.startswith("describe") or name.endswith("_scale")]
    assert {"find_near_1", "tumour"} <= trainable and "label" not in trainable


def test_two_starts_are_the_same(four):
    again = _started(CHANNELS)
    pairs = zip(four.get_weights(), again.get_weights(), strict=True)
    assert all(np.array_equal(mine, theirs) for mine, theirs in pairs)
