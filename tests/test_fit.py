"""Training one network after another: stops in time, keeps the best, and repeats itself."""

import signal

import keras
import numpy as np
import pandas as pd
import pytest
from made_derivative import make_derivative

from epitome_kit.learn import fit
from epitome_kit.learn.arrays import load_arrays
from epitome_kit.learn.cnn import masked_dice_bce
from epitome_kit.learn.fit import PATIENCE, Trainer, best_epoch, validation_split

TRAIN = np.arange(18) < 12
LABELS = np.arange(18) % 2


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    return load_arrays(*make_derivative(tmp_path_factory.mktemp("fit"), subjects=18))


@pytest.fixture(scope="module")
def trainer(arrays):
    return Trainer(arrays, pd.Series(LABELS, index=list(arrays.ids)), 12, 0)


def _schedule(monkeypatch, rate):
    """Let the learning rate of each epoch be what a function says."""
    monkeypatch.setattr(fit, "cosine_decay", lambda epochs: keras.callbacks.LearningRateScheduler(rate))


@pytest.fixture
def spoiled(monkeypatch):
    """Let training learn for two epochs, then throw everything about."""
    _schedule(monkeypatch, lambda epoch, _: 1e-3 if epoch < 2 else 0.5)


class _Steps(list):
    """Counts epochs; presses Ctrl-C in the one that it is told."""

    def __init__(self, interrupt_in=None):
        self.interrupt_in = interrupt_in

    def __call__(self, count):
        self.append(count)
        if len(self) == self.interrupt_in:
            signal.raise_signal(signal.SIGINT)


def _loss(path, arrays, subjects):
    """Mean loss of some subjects by a saved network."""
    found = keras.saving.load_model(path, safe_mode=True).predict(arrays.scans[subjects], verbose=0)["tumour"]
    truth = np.concatenate([arrays.tumour, arrays.known], -1)[subjects].astype(np.float32)
    loss = masked_dice_bce(keras.ops.convert_to_tensor(truth), keras.ops.convert_to_tensor(found))
    return float(keras.ops.mean(loss))


def _apart():
    return validation_split(np.flatnonzero(TRAIN), LABELS[TRAIN], seed=[0, 1])


@pytest.mark.slow
def test_training_stops_when_it_no_longer_helps_and_the_best_epoch_is_kept(trainer, arrays, spoiled, tmp_path):
    steps = _Steps()
    features, history = trainer.fit(TRAIN, tmp_path / "net.keras", 1, steps)
    best = best_epoch(history)
    assert best <= 2 and history.epoch.tolist() == list(range(1, best + PATIENCE + 1))
    assert sum(steps) == 12, "epochs that were spared count as done"
    assert _loss(tmp_path / "net.keras", arrays, _apart()) == pytest.approx(history.val_loss.min(), abs=1e-4)
    assert history.val_loss.iloc[-1] > history.val_loss.min() + 0.01
    model = keras.saving.load_model(tmp_path / "net.keras")
    assert model.predict(arrays.scans, verbose=0)["features"] == pytest.approx(features, abs=1e-3)
    assert not list(tmp_path.glob("*.partial*"))


@pytest.mark.slow
def test_a_number_of_epochs_is_kept_to_and_nobody_is_set_apart(trainer, spoiled, tmp_path):
    _, history = trainer.fit(TRAIN, tmp_path / "net.keras", 1, _Steps(), epochs=6)
    assert len(history) == 6 and history.val_loss.isna().all() and best_epoch(history) == 6


@pytest.mark.slow
def test_the_same_numbers_come_again_to_the_last_digit(trainer, arrays, tmp_path):
    again = Trainer(arrays, pd.Series(LABELS, index=list(arrays.ids)), 12, 0)
    runs = [each.fit(TRAIN, tmp_path / "net.keras", 1, _Steps(), epochs=2) for each in (trainer, trainer, again)]
    for features, history in runs[1:]:
        assert np.array_equal(features, runs[0][0]) and history.equals(runs[0][1])
    other = trainer.fit(TRAIN, tmp_path / "net.keras", 2, _Steps(), epochs=2)[0]
    assert not np.allclose(other, runs[0][0], atol=1e-3)


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_network_so_far(trainer, arrays, spoiled, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(TRAIN, tmp_path / "net.keras", 1, _Steps(interrupt_in=4))
    assert [path.name for path in tmp_path.iterdir()] == ["net.partial.keras"]
    kept = _loss(tmp_path / "net.partial.keras", arrays, _apart())
    history = trainer.fit(TRAIN, tmp_path / "net.keras", 1, _Steps())[1]
    assert kept == pytest.approx(history.val_loss[:4].min(), abs=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["net.keras"]


def test_ctrl_c_before_there_is_anything_leaves_nothing(trainer, tmp_path, monkeypatch):
    _schedule(monkeypatch, lambda epoch, _: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(TRAIN, tmp_path / "net.keras", 1, _Steps())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("count", "apart"), [(0, 0), (4, 0), (9, 0), (10, 2), (38, 6), (127, 21)])
def test_a_sixth_is_set_apart_and_none_of_very_few(count, apart):
    subjects = np.arange(100, 100 + count)
    chosen = validation_split(subjects, np.arange(count) % 2.0)
    assert len(chosen) == len(set(chosen)) == apart and set(chosen) <= set(subjects)


def test_those_set_apart_have_the_mix_of_labels_of_all():
    labels = np.array([0.0] * 24 + [1.0] * 12 + [np.nan] * 6)
    for seed in range(10):
        chosen = validation_split(np.arange(42), labels, seed=seed)
        assert [(labels[chosen] == label).sum() for label in (0, 1)] == [4, 2] and len(chosen) == 7
    assert not np.array_equal(
        validation_split(np.arange(42), labels, seed=0), validation_split(np.arange(42), labels, seed=1)
    )
