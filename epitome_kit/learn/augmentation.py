"""Augmentation: new heads out of old ones."""

import numpy as np
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

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
