"""Batches: every subject once an epoch, and the same however often they are asked for."""

import gc
import weakref
from types import SimpleNamespace

import keras
import numpy as np
from test_augment import HEAD, SHAPE, SPOT

from epitome_kit.learn.batches import Batches


def _batches(seed=0, **options):
    """Batches of ten subjects; the mask of each is filled with its number."""
    scans = np.repeat(HEAD[None], 10, axis=0)
    masks = np.stack([SPOT[..., None].astype(np.uint8) * (number + 1) for number in range(10)])
    return Batches(np.arange(10), scans, masks, seed=seed, **options)


def _dealt(batches):
    return [[int(mask.max()) - 1 for mask in batches[index][1]["tumour"]] for index in range(len(batches))]


def test_an_epoch_deals_every_subject_once_in_another_order_than_the_last():
    batches = _batches(batch_size=4)
    first = _dealt(batches)
    assert [len(batch) for batch in first] == [4, 4, 2]
    batches.on_epoch_end()
    second = _dealt(batches)
    assert sorted(sum(first, [])) == sorted(sum(second, [])) == list(range(10))
    assert first != second
    assert _dealt(_batches(batch_size=4)) == first != _dealt(_batches(batch_size=4, seed=1))


def test_a_batch_is_the_same_however_often_it_is_asked_for():
    batches = _batches(batch_size=4)
    last, first, again = batches[2][0], batches[0][0], batches[0][0]
    assert np.array_equal(first, again) and np.array_equal(last, _batches(batch_size=4)[2][0])
    assert not np.allclose(first[0], first[1], atol=0.1) and not np.allclose(first[:2], last, atol=0.1)
    batches.on_epoch_end()
    assert not np.allclose(batches[0][0], first, atol=0.1)


def test_a_batch_has_scans_and_the_map_to_learn():
    scans, targets = _batches(batch_size=3)[0]
    assert scans.shape == (3, *SHAPE, 2) and targets["tumour"].shape == (3, *SHAPE, 1)
    assert targets["tumour"].dtype == np.float32


def test_without_a_seed_subjects_come_in_order_and_as_they_are():
    batches = _batches(seed=None, batch_size=4)
    assert _dealt(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    batches.on_epoch_end()
    scans, targets = batches[0]
    assert _dealt(batches)[0] == [0, 1, 2, 3] and np.array_equal(scans[0], HEAD)
    assert np.array_equal(targets["tumour"][1, ..., 0], 2 * SPOT) and targets["tumour"].dtype == np.float32


def test_on_several_devices_every_batch_is_a_multiple_of_them_and_nobody_is_left_out(monkeypatch):
    monkeypatch.setattr(keras.distribution, "distribution", lambda: SimpleNamespace(num_model_replicas=4))
    dealt = _dealt(_batches(batch_size=2, seed=None))
    assert dealt == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1]]
    assert [len(batch) for batch in _dealt(_batches(batch_size=6))] == [8, 8]


def test_the_arrays_are_let_go_however_long_keras_remembers_the_batches():
    scans, masks = np.zeros((4, 8, 8, 8, 1), np.float32), np.zeros((4, 8, 8, 8, 2), np.uint8)
    inputs = keras.Input((8, 8, 8, 1))
    model = keras.Model(inputs, {"tumour": keras.layers.Conv3D(2, 1)(inputs)})
    model.compile("sgd", loss={"tumour": "mse"})
    with Batches(range(4), scans, masks) as batches:
        model.fit(batches, verbose=0)
        model.predict(batches, verbose=0)
    alive = [weakref.ref(scans), weakref.ref(masks)]
    del scans, masks
    gc.collect()
    assert [each() for each in alive] == [None, None]
