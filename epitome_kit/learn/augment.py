"""Augmentation: new heads out of old ones, and the batches that hold them."""

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from epitome_kit.backend import keras


def augment(scans, masks, rng):
    """Turn, scale, shift, mirror and re-light one subject at random.

    The template grid is isotropic and its first axis runs from left to right,
    so a mirror image is another plausible head: tumours have no handedness.

    Parameters
    ----------
    scans : ndarray of float32, shape (i, j, k, contrasts)
    masks : ndarray of uint8, shape (i, j, k, channels)
    rng : numpy.random.Generator

    Returns
    -------
    scans, masks : ndarray
        Same shapes and types.
    """
    turn = Rotation.from_euler("xyz", rng.normal(0, 5, 3), degrees=True).as_matrix()
    matrix = turn @ np.diag(rng.normal(1, 0.05, 3))
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
    centre = (np.array(scans.shape[:3]) - 1) / 2
    offset = centre - matrix @ (centre + rng.normal(0, 1, 3))
    moved = np.stack(
        [ndimage.affine_transform(scans[..., c], matrix, offset, order=1) for c in range(scans.shape[-1])], -1
    )
    carried = [ndimage.affine_transform(masks[..., c], matrix, offset, order=0) for c in range(masks.shape[-1])]
    lit = moved * rng.normal(1, 0.08, scans.shape[-1]) + rng.normal(0, 0.08, scans.shape[-1])
    return (lit * np.any(moved, -1, keepdims=True)).astype(np.float32), np.stack(carried, -1)


class Batches(keras.utils.PyDataset):
    """Shuffled, augmented batches of some of the subjects; the arrays are not copied.

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
    """

    def __init__(self, chosen, scans, masks, *, batch_size=2, seed=0):
        super().__init__(workers=1, max_queue_size=4)
        self._scans, self._masks = scans, masks
        self._batch_size, self._order = batch_size, np.asarray(chosen)
        self._rng = None if seed is None else np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self._order) // self._batch_size)

    def __getitem__(self, index):
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        if self._rng is None:
            return self._scans[chosen], {"tumour": self._masks[chosen].astype(np.float32)}
        pairs = [augment(self._scans[i], self._masks[i], self._rng) for i in chosen]
        scans, masks = (np.stack(part) for part in zip(*pairs, strict=True))
        return scans, {"tumour": masks.astype(np.float32)}

    def on_epoch_end(self):
        """Shuffle for the next epoch."""
        if self._rng is not None:
            self._order = self._rng.permutation(self._order)
