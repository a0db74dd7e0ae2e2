"""Train one network after another on a cohort; each stops when a few subjects, set apart, say so."""

import numpy as np
import pandas as pd

from epitome_kit.backend import keras, ops
from epitome_kit.files import whole_file
from epitome_kit.learn.batches import Batches
from epitome_kit.learn.cnn import LEARNING_RATE, build_cnn, cosine_decay, fit_label, masked_dice_bce
from epitome_kit.learn.model_state import reset_model, snapshot
from epitome_kit.learn.pretrained import start_from_simulation

PATIENCE = 3
"""Epochs without a lower loss after which training stops."""
ONE_OF = 6
"""Of so many training subjects, one is set apart to tell when to stop."""


class Trainer:
    """One compiled network, started afresh for each set of training subjects.

    A sixth of the training subjects is set apart, unless that would be fewer
    than two. Training stops when the loss of their scans, as they are, has not
    fallen for :data:`PATIENCE` epochs, and the weights of the epoch with the
    lowest are kept. The label is then fitted on all training subjects.

    Parameters
    ----------
    arrays : Arrays
    labels : Series of int
        Class of those that have one, indexed by participant_id.
    epochs : int
        At most.
    seed : int
    """

    def __init__(self, arrays, labels, epochs, seed):
        keras.utils.set_random_seed(seed)
        self.arrays, self.epochs, self.seed = arrays, epochs, seed
        self.labels = labels.reindex(arrays.ids).to_numpy(float)
        self._masks = np.concatenate([arrays.tumour, arrays.known], axis=-1)
        self._annotated = arrays.known.any(axis=(1, 2, 3, 4))
        self._model = build_cnn(arrays.contrasts, arrays.scans.shape[1:4])
        start_from_simulation(self._model)
        self._model.compile(keras.optimizers.Adam(LEARNING_RATE), loss={"tumour": masked_dice_bce})
        self._start = snapshot(self._model)

    def fit(self, train, path, number, advance, *, epochs=None):
        """Train the map, then the label, and save the network.

        Parameters
        ----------
        train : ndarray of bool, shape (n,)
            Training subjects.
        path : path
            The network. Where training is interrupted, the best so far is kept
            beside it as ``<name>.partial.keras``, without a label.
        number : int
            Tells this network's random numbers from those of the others.
        advance : callable
            Called with a number of epochs that are done.
        epochs : int, default=None
            Train on all of them for exactly so long. None sets some apart.

        Returns
        -------
        features : ndarray, shape (n, p)
            Of all subjects.
        history : DataFrame
            Columns epoch, loss and val_loss.
        """
        reset_model(self._model, self._start)
        annotated = np.flatnonzero(train & self._annotated)
        apart = validation_split(annotated, self.labels[annotated], seed=[self.seed, number]) if epochs is None else []
        kept = path.with_suffix(".partial.keras")
        history = self._fit_map(train, apart, epochs or self.epochs, number, advance, kept)
        with self._batches(range(len(train)), batch_size=4, seed=None) as everybody:
            features = self._model.predict(everybody, verbose=0)["features"][: len(train)]
        labelled = train & np.isfinite(self.labels)
        fit_label(self._model, features[labelled], self.labels[labelled])
        self._save(path)
        kept.unlink(missing_ok=True)
        return features, history

    def probability(self, features):
        """Probability of the positive label, shape (n,), by the network that was trained last."""
        return ops.convert_to_numpy(self._model.get_layer("label")(features))[:, 0]

    def _fit_map(self, train, apart, epochs, number, advance, kept):
        learned = np.setdiff1d(np.flatnonzero(train), apart)
        cooling = cosine_decay(self.epochs)
        stopping = keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True)
        ticking = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: advance(1))
        callbacks = [cooling, stopping, ticking] if len(apart) else [cooling, ticking]
        with (
            self._batches(learned, seed=self.seed * 1000 + number) as batches,
            self._batches(apart, batch_size=4, seed=None) as unseen,
        ):
            # the batches shuffle themselves, from their own seed
            how = {"validation_data": unseen if len(apart) else None, "shuffle": False, "verbose": 0}
            try:
                record = self._model.fit(batches, epochs=epochs, callbacks=callbacks, **how)
            except KeyboardInterrupt:
                if stopping.best_weights is not None:
                    self._model.set_weights(stopping.best_weights)
                    self._save(kept)
                raise
        history = pd.DataFrame({"loss": record.history["loss"], "val_loss": record.history.get("val_loss", np.nan)})
        advance(self.epochs - len(history))
        history.insert(0, "epoch", np.arange(1, len(history) + 1))
        return history

    def _batches(self, chosen, **how):
        return Batches(chosen, self.arrays.scans, self._masks, spacing_mm=self.arrays.spacing_mm, **how)

    def _save(self, path):
        """Save the network without its optimiser: a third of the size."""
        with whole_file(path) as temporary:
            keras.Model(self._model.input, self._model.output, name=self._model.name).save(temporary)


def validation_split(subjects, labels, *, seed=0):
    """Choose a sixth of the subjects, with the mix of labels of them all; fewer than two would tell nothing.

    Parameters
    ----------
    subjects : ndarray, shape (n,)
    labels : ndarray, shape (n,)
        Class of each; may be missing.
    seed : int or sequence of int, default=0

    Returns
    -------
    ndarray
        Some of `subjects`; none where there are fewer than ten.
    """
    order = np.random.default_rng(seed).permutation(len(subjects))
    by_label = order[np.argsort(labels[order], kind="stable")]
    apart = subjects[by_label[ONE_OF // 2 :: ONE_OF]]
    return apart if len(apart) > 1 else apart[:0]


def best_epoch(history):
    """Find the epoch with the lowest loss of the subjects set apart; the last where none were.

    Parameters
    ----------
    history : DataFrame
        Of one network, as :meth:`Trainer.fit` returns it.

    Returns
    -------
    int
    """
    known = history.dropna(subset="val_loss")
    return int(known.epoch[known.val_loss.idxmin()] if len(known) else history.epoch.max())
