"""Batches of augmented subjects, for a network to learn from."""

import numpy as np

from epitome_kit.backend import keras
from epitome_kit.learn.augmentation import augment


class Batches(keras.utils.PyDataset):
    """Shuffled, augmented batches of some of the subjects; the arrays are not copied.

    To be used in a ``with`` statement: TensorFlow remembers for ever whatever
    has dealt batches to it, and would keep the arrays as well.

    A batch is the same however often it is asked for: Keras looks at some of
    them beforehand, on each backend in its own way. Where ``keras.distribution``
    spreads batches over several devices, each batch is a multiple of their
    number, and the last is filled up with the first subjects again.

    Parameters
    ----------
    chosen : array of int
        Subjects to draw from: indices into the first axis of the arrays.
    scans : ndarray, shape (n, i, j, k, contrasts)
    masks : ndarray of uint8, shape (n, i, j, k, channels)
        Target maps, moved together with the scans.
    batch_size : int, default=2
    seed : int or None, default=0
        Of order and augmentation; None deals the subjects in order and as they are.
    spacing_mm : sequence of 3 float, default=(3.0, 3.0, 3.0)
        Voxel size, as for :func:`epitome_kit.learn.augmentation.augment`.
    """

    def __init__(self, chosen, scans, masks, *, batch_size=2, seed=0, spacing_mm=(3.0, 3.0, 3.0)):
        super().__init__(workers=1, max_queue_size=4)
        self._chosen, self._scans, self._masks = np.asarray(chosen), scans, masks
        spread = keras.distribution.distribution()
        self._devices = spread.num_model_replicas if spread else 1
        self._batch_size = -(-batch_size // self._devices) * self._devices
        self._seed, self._spacing_mm, self._epoch = seed, spacing_mm, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Let go of the arrays."""
        self._scans = self._masks = None

    def __len__(self):
        return -(-len(self._chosen) // self._batch_size)

    def __getitem__(self, index):
        order = self._chosen if self._seed is None else self._random().permutation(self._chosen)
        if self._devices > 1:
            order = np.resize(order, len(self) * self._batch_size)
        dealt = order[index * self._batch_size : (index + 1) * self._batch_size]
        scans, masks = self._scans[dealt], self._masks[dealt]
        if self._seed is not None:
            rng = self._random(index)
            pairs = [augment(*pair, rng, spacing_mm=self._spacing_mm) for pair in zip(scans, masks, strict=True)]
            scans, masks = (np.stack(part) for part in zip(*pairs, strict=True))
        return scans, {"tumour": masks.astype(np.float32)}

    def _random(self, *what):
        return np.random.default_rng([self._seed, self._epoch, *what])

    def on_epoch_end(self):
        """Shuffle for the next epoch."""
        self._epoch += 1
