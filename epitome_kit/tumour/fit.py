"""Fine-tune the U-Net on a cohort, one network at a time from the same initial weights."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from epitome_kit.backend import keras, layers
from epitome_kit.learn.arrays import Arrays
from epitome_kit.learn.batches import Batches
from epitome_kit.learn.cnn import LEARNING_RATE, cosine_decay, masked_dice_bce
from epitome_kit.learn.model_state import reset_model, snapshot
from epitome_kit.metrics import dice
from epitome_kit.tumour.network import shipped_unet, tumour_probability

THRESHOLDS = (0.5, 0.4, 0.3, 0.2, 0.1, 0.6, 0.7, 0.8)
"""Candidate thresholds of the probability; the first of equally good ones is chosen."""

_MAX_TUNING_SUBJECTS = 16


@dataclass(frozen=True, kw_only=True)
class UNetSettings:
    """Settings of the fine-tuning of the U-Net.

    They are given to :func:`segment_cohort`. Networks that were trained with other
    settings are trained again.

    Parameters
    ----------
    epochs : int, default=20
        Number of epochs; there is no early stopping.
    learn_from : {"annotation", "truth"}, default="annotation"
        ``"truth"``: the whole tumour, available for simulated subjects only.

    See Also
    --------
    segment_cohort : Segment the tumour of every subject by cross-validation with a U-Net.

    Examples
    --------
    >>> import epitome_kit as ek
    >>> ek.UNetSettings(epochs=3)
    UNetSettings(epochs=3, learn_from='annotation')
    """

    epochs: int = 20
    learn_from: str = "annotation"


class UNetFineTuner:
    """One compiled U-Net, reset to the weights from simulation for each set of training subjects.

    It is trained for a fixed number of epochs with cosine decay of the learning rate; the
    loss covers voxels with a known label only. Then the bias of the output layer is
    shifted so that 0.5 is the threshold with the best mean Dice of the training subjects.
    Batch normalisation stays frozen, because batches of two subjects are too small to
    estimate its statistics.

    Parameters
    ----------
    arrays : Arrays
        With the channels of the shipped network.
    epochs : int
        Number of epochs.
    seed : int
        Seed of the augmentation and of Keras.
    """

    def __init__(self, arrays: Arrays, epochs: int, seed: int) -> None:
        keras.utils.set_random_seed(seed)
        self.arrays, self.epochs, self.seed = arrays, epochs, seed
        self._masks = np.concatenate([arrays.tumour, arrays.known], axis=-1)
        self._annotated = arrays.known.any(axis=(1, 2, 3, 4))
        self.model = shipped_unet()
        for layer in self.model.layers:
            layer.trainable = not isinstance(layer, layers.BatchNormalization)
        self.model.compile(keras.optimizers.Adam(LEARNING_RATE), loss={"tumour": masked_dice_bce})
        self._start = snapshot(self.model)

    def fit(self, train: np.ndarray, number: int, advance: Callable[[int], object]) -> keras.Model:
        """Reset the network and train it.

        Parameters
        ----------
        train : ndarray of bool, shape (n,)
            Training subjects; those without annotation are ignored.
        number : int
            Number of the network, which determines its random numbers.
        advance : callable
            Called with the number of epochs finished since the last call.

        Returns
        -------
        keras.Model
            Valid until the next call.
        """
        reset_model(self.model, self._start)
        chosen = np.flatnonzero(train & self._annotated)
        seed, spacing_mm = self.seed * 1000 + number, self.arrays.spacing_mm
        decay = cosine_decay(self.epochs)
        progress = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: advance(1))
        with Batches(chosen, self.arrays.scans, self._masks, seed=seed, spacing_mm=spacing_mm) as batches:
            self.model.fit(batches, epochs=self.epochs, callbacks=[decay, progress], shuffle=False, verbose=0)
        tune_threshold(self.model, self.arrays, chosen)
        return self.model


def tune_threshold(model: keras.Model, arrays: Arrays, chosen: np.ndarray) -> None:
    """Shift the output bias of a network so that 0.5 is the threshold with the best mean Dice.

    Parameters
    ----------
    model : keras.Model
        From :func:`epitome_kit.tumour.network.build_unet`; changed in place.
    arrays : Arrays
        Scans and tumours.
    chosen : ndarray of int
        Training subjects, of which at most sixteen, evenly spaced, are used. Only voxels
        with a known label count.
    """
    scores = []
    for index in chosen[:: -(-len(chosen) // _MAX_TUNING_SUBJECTS)]:
        known = arrays.known[index, ..., 0] > 0
        truth, probability = arrays.tumour[index, ..., 0] > 0, tumour_probability(model, arrays.scans[index])
        scores.append([dice((probability > limit) & known, truth & known) for limit in THRESHOLDS])
    best = THRESHOLDS[int(np.argmax(np.mean(scores, axis=0)))]
    layer = model.get_layer("tumour")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias - logit(best)])
