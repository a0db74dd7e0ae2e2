"""Simulate heads with random contrasts, to train networks that work with every contrast (domain randomisation)."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from epitome_kit.images import GRID_MM, unit_range
from epitome_kit.simulate.anatomy import TISSUES, HeadModel, age_head, head_model, random_deformation
from epitome_kit.simulate.scanner import SIGNAL, random_pose

_SHAPE = (64, 64, 64)
_AROUND = ("fat", "muscle", "eye")
_SHELLS_MM = [(1.0, 5.0, 4.0), (2.5, 6.5, 6.0), (4.0, 8.0, 9.0), (6.0, 6.0, 5.0)]


def random_head(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a head with a random contrast, and its brain.

    Half of the heads have a random signal for every tissue, the others that of a real
    contrast, sometimes inverted. Shape, blobs (tumours), patches of uneven tissue, bias
    field, slice thickness along any axis, field of view and noise are random; some
    heads are already stripped.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    image : ndarray of float32, shape (64, 64, 64)
        On a 4 mm grid in RAS order, scaled to 0 to 1 by :func:`~epitome_kit.images.unit_range`.
    brain : ndarray of float32, shape (64, 64, 64)
        1 inside, 0 outside, in between at the surface.

    References
    ----------
    Hoopes et al., NeuroImage 2022, doi:10.1016/j.neuroimage.2022.119474
    Billot et al., Med Image Anal 2023, doi:10.1016/j.media.2023.102789
    """
    gap_mm, bone_mm, scalp_mm = _SHELLS_MM[rng.integers(len(_SHELLS_MM))]
    head = head_model(3.0, gap_mm=gap_mm, bone_mm=bone_mm, scalp_mm=scalp_mm)
    head = age_head(head, rng.uniform(18, 90))
    points = _points(rng)
    where = (points - head.affine[:3, 3].reshape(3, 1, 1, 1)) / head.affine[0, 0]
    brain = ndimage.map_coordinates(head.brain, where, order=1)
    signal = ndimage.map_coordinates(_paint(head, rng), where, order=1)
    for _ in range(rng.integers(0, 3)):
        blob = _blob(_SHAPE, rng) * (brain > 0.5)
        signal += blob * (rng.uniform(0, 1.2) - signal)
    if rng.random() < 0.06:
        signal *= brain > 0.5
    else:
        signal *= np.exp(rng.uniform(0.02, 0.25) * smooth_noise(_SHAPE, 3, rng))
    signal *= np.exp(rng.uniform(0, 0.5) * smooth_noise(_SHAPE, 14, rng))
    signal = _thick_slices(signal, rng)
    noise = rng.standard_normal((2, *_SHAPE), dtype=np.float32) * np.float32(rng.uniform(0, 0.09))
    signal = np.hypot(signal + noise[0], noise[1])
    field = _field_of_view(rng)
    return unit_range(signal * field) ** np.float32(rng.uniform(0.7, 1.4)), (brain * field).astype(np.float32)


def _points(rng: np.random.Generator) -> np.ndarray:
    """Draw the ICBM152 position of every voxel of the grid, for a random head in a random position."""
    axes = [(np.arange(n, dtype=np.float32) - (n - 1) / 2) * GRID_MM for n in _SHAPE]
    stretch = np.diag([*rng.uniform(0.88, 1.12, 3), 1])
    place = np.eye(4)
    place[:3, 3] = np.array([0, 16, -8]) + rng.normal(0, (6, 10, 18))
    turn = random_pose(rng)
    turn[:3, :3] = turn[:3, :3] @ _random_rotation(rng)
    inverse = np.linalg.inv(place @ stretch @ turn)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))
    points = np.tensordot(inverse[:3, :3].astype(np.float32), grid, 1)
    points += inverse[:3, 3].reshape(3, 1, 1, 1).astype(np.float32)
    return random_deformation(rng, amplitude_mm=rng.uniform(1, 6), smoothness_mm=rng.uniform(16, 36)).move(points)


def _random_rotation(rng: np.random.Generator) -> np.ndarray:
    return Rotation.from_euler("xyz", rng.normal(0, (12, 6, 6)), degrees=True).as_matrix()


def _paint(head: HeadModel, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.5:
        levels = rng.uniform(0.02, 1.1, len(TISSUES))
        air = rng.uniform(0, 0.15) if rng.random() < 0.3 else 0.0
    else:
        names = list(SIGNAL)
        levels = np.array(SIGNAL[names[rng.integers(len(names))]][: len(TISSUES)]) * rng.normal(1, 0.15, len(TISSUES))
        air = 0.0
        if rng.random() < 0.15:
            levels = 1.15 - levels
    signal = np.full(head.brain.shape, np.float32(air))
    for index, level in enumerate(levels):
        signal += np.float32(level - air) * head.maps[index]
    if rng.random() < 0.7:
        around = sum(head.tissue(name) for name in _AROUND) * np.float32(rng.uniform(0.3, 1))
        signal += around * (_mosaic(signal.shape, rng) - signal)
    return signal


def _mosaic(shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Draw regions of random size and signal, for the tissue between skull and skin."""
    pieces = rng.integers(3, 9)
    size = rng.uniform(2.5, 6)
    fields = np.stack([smooth_noise(shape, size, rng) for _ in range(pieces)])
    return rng.uniform(0, 1.2, pieces).astype(np.float32)[fields.argmax(0)]


def smooth_noise(shape: Sequence[int], smoothness: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a smooth random field of unit standard deviation, upsampled from a coarse grid.

    Parameters
    ----------
    shape : sequence of 3 int
        Number of voxels along each axis.
    smoothness : float
        Standard deviation of the Gaussian that smooths it, in voxels.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of float32, shape `shape`
        The field.
    """
    step = max(1, int(smoothness // 2))
    small = rng.standard_normal([n // step + 2 for n in shape], dtype=np.float32)
    small = ndimage.gaussian_filter(small, smoothness / step)
    field = ndimage.zoom(small / small.std(), step, order=1)
    return field[tuple(slice(0, n) for n in shape)]


def _blob(shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Draw a soft ellipsoid near the middle of the grid."""
    grids = np.meshgrid(*map(np.arange, shape), indexing="ij", sparse=True)
    centre = np.array(shape) / 2 + rng.normal(0, 8, 3)
    radii = rng.uniform(1.5, 8, 3)
    r = np.sqrt(sum(((g - c) / w) ** 2 for g, c, w in zip(grids, centre, radii, strict=True)))
    return np.clip(1.5 - r, 0, 1).astype(np.float32)


def _thick_slices(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Average and coarsen along one axis, like thick slices."""
    factor = rng.uniform(0.5, 2.2)
    if factor < 1:
        return signal
    axis = rng.integers(3)
    signal = ndimage.gaussian_filter1d(signal, 0.42 * factor, axis=axis)
    n = signal.shape[axis]
    coarse = np.clip(np.round(np.round(np.arange(n) / factor) * factor), 0, n - 1).astype(int)
    return np.take(signal, coarse, axis=axis)


def _field_of_view(rng: np.random.Generator) -> np.ndarray:
    """Draw the box that the scan covers: often cut above the neck, sometimes elsewhere."""
    field = np.zeros(_SHAPE, np.float32)
    low, high = np.zeros(3, int), np.array(_SHAPE)
    low[2] = rng.integers(0, 20)
    for axis in range(3):
        if rng.random() < 0.25:
            low[axis] = max(low[axis], rng.integers(0, 12))
            high[axis] -= rng.integers(0, 12)
    field[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1
    return field
