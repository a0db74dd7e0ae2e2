"""Augmentation: new heads out of old ones, and the batches that hold them."""

import numpy as np
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from epitome_kit.backend import keras

TURN_DEGREES, SCALE, SHIFT_MM, LIGHT = 5.0, 0.05, 3.0, 0.08
"""Standard deviations of what is done to a head."""


def augment(scans, masks, rng, *, spacing_mm=(3.0, 3.0, 3.0)):
    """Turn, scale, shift, mirror and re-light one subject at random.

    The grid's first axis runs from left to right, so a mirror image is another
    plausible head: tumours have no handedness. Heads are never upside down.

    Parameters
    ----------
    scans : ndarray of float32, shape (i, j, k, contrasts)
    masks : ndarray of uint8, shape (i, j, k, channels)
    rng : numpy.random.Generator
    spacing_mm : sequence of 3 float, default=(3.0, 3.0, 3.0)
        Voxel size along each axis: what turns is the head, not the grid.

    Returns
    -------
    scans, masks : ndarray
        Same shapes and types.
    """
    matrix, shift = draw_movement(rng, spacing_mm)
    centre = (np.array(scans.shape[:3]) - 1) / 2
    offset = centre - matrix @ (centre + shift)
    moved = _move(scans, matrix, offset, sitk.sitkLinear)
    carried = _move(masks, matrix, offset, sitk.sitkNearestNeighbor)
    gain, bias = (rng.normal(mean, LIGHT, scans.shape[-1]).astype(np.float32) for mean in (1, 0))
    return (moved * gain + bias) * (moved != 0), carried


def draw_movement(rng, spacing_mm):
    """Draw a movement of the head: turned, scaled along its axes, mirrored or not, shifted.

    Parameters
    ----------
    rng : numpy.random.Generator
    spacing_mm : sequence of 3 float

    Returns
    -------
    matrix : ndarray, shape (3, 3)
        From a voxel of the moved head, counted from the middle, to the voxel that it was.
    shift : ndarray, shape (3,)
        In voxels.
    """
    turn = Rotation.from_euler("xyz", rng.normal(0, TURN_DEGREES, 3), degrees=True).as_matrix()
    matrix = turn @ np.diag(rng.normal(1, SCALE, 3))
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
    spacing = np.asarray(spacing_mm, float)
    return matrix * spacing / spacing[:, None], rng.normal(0, SHIFT_MM, 3) / spacing


def _move(volume, matrix, offset, interpolator):
    """Fetch each voxel of a volume (i, j, k, channels) from elsewhere in it; SimpleITK counts axes backwards."""
    image = sitk.GetImageFromArray(volume, isVector=True)
    transform = sitk.AffineTransform(matrix[::-1, ::-1].ravel().tolist(), offset[::-1].tolist())
    return sitk.GetArrayFromImage(sitk.Resample(image, image, transform, interpolator)).reshape(volume.shape)


class Batches(keras.utils.PyDataset):
    """Shuffled, augmented batches of some of the subjects; the arrays are not copied.

    A batch is the same however often it is asked for: Keras looks at some of
    them beforehand, on each backend in its own way.

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
        Voxel size, as for :func:`augment`.
    """

    def __init__(self, chosen, scans, masks, *, batch_size=2, seed=0, spacing_mm=(3.0, 3.0, 3.0)):
        super().__init__(workers=1, max_queue_size=4)
        self._chosen, self._scans, self._masks = np.asarray(chosen), scans, masks
        self._batch_size, self._seed, self._spacing_mm, self._epoch = batch_size, seed, spacing_mm, 0

    def __len__(self):
        return -(-len(self._chosen) // self._batch_size)

    def __getitem__(self, index):
        order = self._chosen if self._seed is None else self._random().permutation(self._chosen)
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
