"""Batches of augmented subjects for training."""

from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np

from epitome_kit.backend import keras
from epitome_kit.learn.augmentation import augment


class Batches(keras.utils.PyDataset):
    """Shuffled, augmented batches of some of the subjects; the arrays are not copied.

    Use it in a ``with`` statement: TensorFlow keeps a reference to every data set,
    which would keep the arrays in memory as well.

    A batch is the same whenever it is requested, as each backend of Keras looks
    ahead in its own way. Where ``keras.distribution`` spreads batches over several
    devices, the batch size is a multiple of their number, and the last batch is
    filled up with the first subjects.

    Parameters
    ----------
    chosen : array of int
        Subjects to draw from: indices into the first axis of the arrays.
    scans : ndarray, shape (n, i, j, k, contrasts)
        Scans of all subjects.
    masks : ndarray of uint8, shape (n, i, j, k, channels)
        Target maps, moved together with the scans.
    batch_size : int, default=2
        Subjects per batch.
    seed : int or None, default=0
        Seed of order and augmentation; None yields the subjects in order, without augmentation.
    spacing_mm : sequence of 3 float, default=(3.0, 3.0, 3.0)
        Voxel size, as for :func:`epitome_kit.learn.augmentation.augment`.
    """

    def __init__(
        self,
        chosen: Iterable[int],
        scans: np.ndarray,
        masks: np.ndarray,
        *,
        batch_size: int = 2,
        seed: int | None = 0,
        spacing_mm: Sequence[float] = (3.0, 3.0, 3.0),
    ) -> None:
        super().__init__(workers=1, max_queue_size=4)
        self._chosen, self._scans, self._masks = np.asarray(chosen), scans, masks
        distribution = keras.distribution.distribution()
        self._devices = distribution.num_model_replicas if distribution else 1
        self._batch_size = -(-batch_size // self._devices) * self._devices
        self._seed, self._spacing_mm, self._epoch = seed, spacing_mm, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Release the arrays."""
        del self._scans, self._masks

    def __len__(self) -> int:
        return -(-len(self._chosen) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        seed = self._seed
        order = self._chosen if seed is None else self._random(seed).permutation(self._chosen)
        if self._devices > 1:
            order = np.resize(order, len(self) * self._batch_size)
        batch = order[index * self._batch_size : (index + 1) * self._batch_size]
        scans, masks = self._scans[batch], self._masks[batch]
        if seed is not None:
            rng = self._random(seed, index)
            pairs = [augment(*pair, rng, spacing_mm=self._spacing_mm) for pair in zip(scans, masks, strict=True)]
            scans, masks = (np.stack(part) for part in zip(*pairs, strict=True))
        return scans, {"tumour": masks.astype(np.float32)}

    def _random(self, seed: int, *index: int) -> np.random.Generator:
        return np.random.default_rng([seed, self._epoch, *index])

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch."""
        self._epoch += 1
