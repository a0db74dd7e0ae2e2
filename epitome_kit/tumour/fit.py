"""Teach the U-Net a cohort: one network after another, each from the same start."""

import numpy as np
from scipy.special import logit

from epitome_kit.backend import keras, layers
from epitome_kit.learn.batches import Batches
from epitome_kit.learn.cnn import LEARNING_RATE, cosine_decay, masked_dice_bce
from epitome_kit.learn.model_state import reset_model, snapshot
from epitome_kit.metrics import dice
from epitome_kit.tumour.network import shipped_unet, tumour_probability

THRESHOLDS = (0.5, 0.4, 0.3, 0.2, 0.1, 0.6, 0.7, 0.8)
"""Tumour probabilities to choose among; of equals the first."""

_ASKED = 16


class UNetFineTuner:
    """One compiled U-Net, started afresh from simulation for each set of training subjects.

    It learns for a number of epochs that is fixed beforehand, at a rate that
    falls to nothing, and only where it is known whether there is tumour. Then
    its last bias is moved so that a probability of one half is the threshold
    that fits the training subjects best.
    Normalisation stays as simulation left it: batches of two subjects are too
    small to estimate it from.

    Parameters
    ----------
    arrays : Arrays
        With the channels of the shipped network.
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
        self.model.compile(keras.optimizers.Adam(LEARNING_RATE), loss={"tumour": masked_dice_bce})
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
        reset_model(self.model, self._start)
        chosen = np.flatnonzero(train & self._annotated)
        seed, spacing_mm = self.seed * 1000 + number, self.arrays.spacing_mm
        cooling = cosine_decay(self.epochs)
        ticking = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: advance(1))
        with Batches(chosen, self.arrays.scans, self._masks, seed=seed, spacing_mm=spacing_mm) as batches:
            self.model.fit(batches, epochs=self.epochs, callbacks=[cooling, ticking], shuffle=False, verbose=0)
        tune_threshold(self.model, self.arrays, chosen)
        return self.model


def tune_threshold(model, arrays, chosen):
    """Move the last bias of a network so that one half is the threshold with the best mean Dice.

    Parameters
    ----------
    model : keras.Model
        From :func:`epitome_kit.tumour.network.build_unet`; changed in place.
    arrays : Arrays
    chosen : ndarray of int
        Training subjects; sixteen of them, spread evenly, are asked. Only where
        it is known whether there is tumour do they count.
    """
    asked = chosen[:: -(-len(chosen) // _ASKED)]
    scores = []
    for index in asked:
        known = arrays.known[index, ..., 0] > 0
        truth, probability = arrays.tumour[index, ..., 0] > 0, tumour_probability(model, arrays.scans[index])
        scores.append([dice((probability > limit) & known, truth & known) for limit in THRESHOLDS])
    best = THRESHOLDS[int(np.argmax(np.mean(scores, axis=0)))]
    layer = model.get_layer("tumour")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias - logit(best)])
