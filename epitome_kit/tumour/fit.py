"""Teach the U-Net a cohort: one network after another, each from the same start."""

import math

import numpy as np

from epitome_kit.backend import keras, layers
from epitome_kit.learn.batches import Batches
from epitome_kit.learn.cnn import known_loss
from epitome_kit.learn.fresh import restart, snapshot
from epitome_kit.tumour.network import shipped_unet

LEARNING_RATE = 1e-3


class Tuner:
    """One compiled U-Net, started afresh from simulation for each set of training subjects.

    It learns for a number of epochs that is fixed beforehand, at a rate that
    falls to nothing, and only where it is known whether there is tumour.
    Normalisation stays as simulation left it: batches of two subjects are too
    small to estimate it from.

    Parameters
    ----------
    arrays : Arrays
        All four contrasts as channels.
    epochs : int
    seed : int
    """

    def __init__(self, arrays, epochs, seed):
        keras.utils.set_random_seed(seed)
        self.arrays, self.epochs, self.seed = arrays, epochs, seed
        self._masks = np.concatenate([arrays.tumour, arrays.known], axis=-1)
        self._annotated = arrays.known.any(axis=(1, 2, 3, 4))
        self.model = shipped_unet()
        for layer in self.model.layers:
            layer.trainable = not isinstance(layer, layers.BatchNormalization)
        self.model.compile(keras.optimizers.Adam(LEARNING_RATE), loss={"tumour": known_loss})
        self._start = snapshot(self.model)

    def fit(self, train, number, advance):
        """Train the network afresh.

        Parameters
        ----------
        train : ndarray of bool, shape (n,)
            Training subjects; those without annotation teach nothing.
        number : int
            Tells this network's random numbers from those of the others.
        advance : callable
            Called with a number of epochs that are done.

        Returns
        -------
        keras.Model
            Valid until the next call.
        """
        restart(self.model, self._start)
        chosen = np.flatnonzero(train & self._annotated)
        seed, spacing_mm = self.seed * 1000 + number, self.arrays.spacing_mm
        batches = Batches(chosen, self.arrays.scans, self._masks, seed=seed, spacing_mm=spacing_mm)
        cooling = keras.callbacks.LearningRateScheduler(self._learning_rate)
        ticking = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: advance(1))
        self.model.fit(batches, epochs=self.epochs, callbacks=[cooling, ticking], shuffle=False, verbose=0)
        return self.model

    def _learning_rate(self, epoch, _):
        """Fall from the full rate to nothing along a half cosine."""
        return LEARNING_RATE * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
