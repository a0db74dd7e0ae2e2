"""Augment scans and masks by random affine transforms, mirroring and intensity changes."""

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

ROTATION_DEGREES, SCALE, SHIFT_MM, INTENSITY = 5.0, 0.05, 3.0, 0.08
"""Standard deviations of the random changes."""


def augment(
    scans: np.ndarray,
    masks: np.ndarray,
    rng: np.random.Generator,
    *,
    spacing_mm: Sequence[float] = (3.0, 3.0, 3.0),
) -> tuple[np.ndarray, np.ndarray]:
    """Rotate, scale, shift, mirror and rescale the intensity of one subject at random.

    The first axis of the grid runs from left to right. A mirror image is a
    plausible subject, as tumours have no preferred side; heads are never turned
    upside down.

    Parameters
    ----------
    scans : ndarray of float32, shape (i, j, k, contrasts)
        Scans of the subject.
    masks : ndarray of uint8, shape (i, j, k, channels)
        Masks, which get the same affine transform.
    rng : numpy.random.Generator
        Source of the random changes.
    spacing_mm : sequence of 3 float, default=(3.0, 3.0, 3.0)
        Voxel size along each axis, so that the transform is rigid in mm.

    Returns
    -------
    scans, masks : ndarray
        Same shapes and types.
    """
    matrix, shift = draw_movement(rng, spacing_mm)
    centre = (np.array(scans.shape[:3]) - 1) / 2
    offset = centre - matrix @ (centre + shift)
    moved = move(scans, matrix, offset)
    moved_masks = move(masks, matrix, offset, sitk.sitkNearestNeighbor)
    gain, bias = (rng.normal(mean, INTENSITY, scans.shape[-1:]).astype(np.float32) for mean in (1, 0))
    return (moved * gain + bias) * (moved != 0), moved_masks


def draw_movement(rng: np.random.Generator, spacing_mm: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Draw a random rotation, scaling, mirroring and shift.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the random numbers.
    spacing_mm : sequence of 3 float
        Voxel size.

    Returns
    -------
    matrix : ndarray, shape (3, 3)
        From voxels of the moved scan to those of the original, relative to the centre.
    shift : ndarray, shape (3,)
        In voxels.
    """
    rotation = Rotation.from_euler("xyz", rng.normal(0, ROTATION_DEGREES, 3), degrees=True).as_matrix()
    matrix = rotation @ np.diag(rng.normal(1, SCALE, 3))
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
    spacing = np.asarray(spacing_mm, float)
    return matrix * spacing / spacing[:, None], rng.normal(0, SHIFT_MM, 3) / spacing


def move(volume: np.ndarray, matrix: np.ndarray, offset: np.ndarray, interpolator: int = sitk.sitkLinear) -> np.ndarray:
    """Resample a volume by an affine.

    Parameters
    ----------
    volume : ndarray, shape (i, j, k, channels)
        Scans or masks.
    matrix : ndarray, shape (3, 3)
        From voxels of the moved volume to those of `volume`.
    offset : ndarray, shape (3,)
        Voxel of `volume` that comes to the first voxel.
    interpolator : int, default=sitk.sitkLinear
        An interpolator of SimpleITK.

    Returns
    -------
    ndarray, shape (i, j, k, channels)
        0 where there was nothing; same type as `volume`.
    """
    # SimpleITK orders axes the other way round
    image = sitk.GetImageFromArray(volume, isVector=True)
    transform = sitk.AffineTransform(matrix[::-1, ::-1].ravel().tolist(), offset[::-1].tolist())
    return sitk.GetArrayFromImage(sitk.Resample(image, image, transform, interpolator)).reshape(volume.shape)
