"""Simulate a scan: contrast, partial volume, thick slices, bias field and noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from epitome_kit.simulate.anatomy import TISSUES, Deformation, HeadModel, undo_torque
from epitome_kit.simulate.tumour import VISIBLE_DENSITY, Tumour

SIGNAL = {
    #       csf   grey  white dura  bone  fat   muscle eye  tumour enhancing necrotic calcium
    "T1w": (0.15, 0.50, 0.75, 0.45, 0.08, 1.00, 0.45, 0.20, 0.42, 0.45, 0.22, 0.30),
    "T1ce": (0.16, 0.52, 0.76, 0.85, 0.08, 1.02, 0.48, 0.22, 0.43, 1.10, 0.22, 0.30),
    "T2w": (1.00, 0.60, 0.42, 0.30, 0.05, 0.75, 0.25, 1.05, 0.88, 0.78, 1.00, 0.15),
    "FLAIR": (0.12, 0.62, 0.46, 0.40, 0.06, 0.75, 0.32, 0.20, 0.95, 0.90, 0.35, 0.18),
}
"""Relative signal of each tissue and tumour part by contrast, white matter on T1 near 0.75."""

_FIELD_OF_VIEW_MM = {"quick": (200, 248, 160), "full": (240.64, 240.64, 150)}
_SLICES_AT_ONCE = 16


@dataclass(frozen=True)
class Artefacts:
    """Strength of the random artefacts of a scan.

    Attributes
    ----------
    noise : float
        Standard deviation of each channel of the Rician noise, in units of :data:`SIGNAL`.
    bias_sd : float
        Standard deviation of the log bias field over the brain.
    variety : float
        Relative standard deviation of the signal of each tissue between scans.
    """

    noise: float = 0.025
    bias_sd: float = 0.10
    variety: float = 0.05


TYPICAL = Artefacts()


@dataclass(frozen=True)
class Scan:
    """One simulated scan and its truth.

    Attributes
    ----------
    image : Nifti1Image
        Magnitude, int16.
    bias : ndarray of float32, shape (i, j, k)
        Multiplicative field, geometric mean 1 over the brain.
    brain, tumour : ndarray of uint8, shape (i, j, k)
        True masks.
    to_template : ndarray, shape (4, 4)
        Least-squares affine over the brain, scanner mm to ICBM152 mm; the anatomy is also
        deformed smoothly, and asymmetric.
    beyond_affine_mm : float
        Mean distance over the brain that remains after this affine.
    """

    image: nib.Nifti1Image
    bias: np.ndarray
    brain: np.ndarray
    tumour: np.ndarray
    to_template: np.ndarray
    beyond_affine_mm: float


def random_pose(rng: np.random.Generator) -> np.ndarray:
    """Draw the size, rotation and position of a head: ICBM152 mm to scanner mm, shape (4, 4).

    The ICBM152 brain is larger than most brains; the mean size here is 0.93 of it.
    """
    size = rng.normal(0.93, 0.025) + rng.normal(0, 0.015, 3)
    return _rigid(rng, degrees=4, mm=5) @ np.diag([*size, 1])


def random_motion(rng: np.random.Generator) -> np.ndarray:
    """Draw the small rigid motion of a head between two scans, shape (4, 4)."""
    return _rigid(rng, degrees=1.0, mm=1.0)


def _rigid(rng: np.random.Generator, degrees: float, mm: float) -> np.ndarray:
    turn = Rotation.from_euler("xyz", rng.normal(0, degrees, 3), degrees=True).as_matrix()
    return nib.affines.from_matvec(turn, rng.normal(0, mm, 3))


def random_grid(
    rng: np.random.Generator, spacing_mm: Sequence[float], *, field: str = "quick"
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Draw the grid of an oblique axial scan that covers the head.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    spacing_mm : sequence of 3 float
        Voxel size; the third is the slice thickness.
    field : {"quick", "full"}, default="quick"
        Field of view.

    Returns
    -------
    affine : ndarray, shape (4, 4)
        Voxel to scanner mm.
    shape : tuple of 3 int
        Number of voxels along each axis.
    """
    shape = tuple(int(round(size / step)) for size, step in zip(_FIELD_OF_VIEW_MM[field], spacing_mm, strict=True))
    turn = Rotation.from_euler("xyz", rng.normal(0, (5, 1.5, 1.5)), degrees=True).as_matrix()
    matrix = turn * np.asarray(spacing_mm)
    centre = np.array([0, -16, 5]) + rng.normal(0, 2, 3)
    return nib.affines.from_matvec(matrix, centre - matrix @ ((np.array(shape) - 1) / 2)), shape


def acquire(
    head: HeadModel,
    tumour: Tumour,
    deformation: Deformation,
    pose: np.ndarray,
    grid: tuple[np.ndarray, tuple[int, ...]],
    *,
    contrast: str,
    rng: np.random.Generator,
    artefacts: Artefacts = TYPICAL,
) -> Scan:
    """Simulate a scan of a head with a tumour.

    Parameters
    ----------
    head : HeadModel
        Tissues of the head.
    tumour : Tumour
        Tumour that was grown in this head.
    deformation : Deformation
        Deformation to ICBM152, applied after the affine part.
    pose : ndarray, shape (4, 4)
        ICBM152 mm to scanner mm.
    grid : (ndarray, tuple of 3 int)
        Affine and shape of the scan, from :func:`random_grid`.
    contrast : str
        A key of :data:`SIGNAL`.
    rng : numpy.random.Generator
        Source of randomness.
    artefacts : Artefacts, default=TYPICAL
        Noise, bias field and variation of the signal.

    Returns
    -------
    Scan
        The image and its truth.

    References
    ----------
    Gudbjartsson and Patz, Magn Reson Med 1995, doi:10.1002/mrm.1910340618
    """
    affine, shape = grid
    levels = np.array(SIGNAL[contrast]) * rng.normal(1, artefacts.variety, len(SIGNAL[contrast]))
    volumes = (_paint(head, tumour, levels), head.brain, tumour.density)
    inverses = [np.linalg.inv(a) for a in (head.affine, head.affine, tumour.affine)]
    thickness = np.linalg.norm(affine[:3, 2])
    layers = max(1, int(round(thickness / head.affine[0, 0])))
    sampled = [np.empty(shape, np.float32) for _ in volumes]
    for start in range(0, shape[2], _SLICES_AT_ONCE):
        stop = min(start + _SLICES_AT_ONCE, shape[2])
        points = _template_points(affine, (shape[0], shape[1], start, stop), layers, pose, deformation)
        for out, volume, inverse in zip(sampled, volumes, inverses, strict=True):
            values = ndimage.map_coordinates(volume, _transform(inverse, points), order=1, mode="constant")
            out[:, :, start:stop] = values.reshape(*shape[:2], stop - start, layers).mean(-1)
    signal, brain, density = sampled
    brain = (brain > 0.5).astype(np.uint8)
    bias = random_bias(shape, brain, artefacts.bias_sd, rng)
    texture = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 1.5)
    signal *= bias * (1 + 0.03 * texture / texture.std())
    real, imaginary = rng.standard_normal((2, *shape), dtype=np.float32) * np.float32(artefacts.noise)
    magnitude = np.hypot(signal + real, imaginary)
    image = nib.Nifti1Image(np.round(magnitude * rng.uniform(600, 1200)).astype(np.int16), affine)
    image.header.set_xyzt_units("mm")
    tumour_mask = (density > VISIBLE_DENSITY).astype(np.uint8) * brain
    return Scan(image, bias, brain, tumour_mask, *_best_affine(brain, affine, pose, deformation))


def _paint(head: HeadModel, tumour: Tumour, levels: np.ndarray) -> np.ndarray:
    """Compute the signal of a head with its tumour on the grid of the head model."""
    signal = np.zeros(head.brain.shape, np.float32)
    for index, level in enumerate(levels[: len(TISSUES)]):
        signal += np.float32(level) * head.maps[index]
    low = np.round(np.linalg.inv(head.affine) @ tumour.affine[:, 3]).astype(int)[:3]
    crop = tuple(slice(a, a + n) for a, n in zip(low, tumour.density.shape, strict=True))
    part = signal[crop]
    shares = (np.clip(tumour.density / 0.5, 0, 1), tumour.enhancing, tumour.necrotic, tumour.calcified)
    for share, level in zip(shares, levels[len(TISSUES) :], strict=True):
        part += share * (np.float32(level) - part)
    return signal


def _template_points(
    affine: np.ndarray, block: tuple[int, int, int, int], layers: int, pose: np.ndarray, deformation: Deformation
) -> np.ndarray:
    """Compute the ICBM152 position of every sample of a block of slices, shape (3, i, j, k * layers)."""
    ni, nj, start, stop = block
    offsets = (np.arange(layers) + 0.5) / layers - 0.5
    slices = (np.arange(start, stop)[:, None] + offsets).ravel()
    matrix = (np.linalg.inv(pose) @ affine).astype(np.float32)
    i, j, k = (np.asarray(a, np.float32) for a in (np.arange(ni), np.arange(nj), slices))
    points = np.empty((3, ni, nj, len(k)), np.float32)
    for axis, row in enumerate(matrix[:3]):
        points[axis] = (row[0] * i + row[3])[:, None, None] + (row[1] * j)[:, None] + row[2] * k
    return deformation.move(points)


def _transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a diagonal affine to points, shape (3, ...)."""
    scale = matrix.diagonal()[:3].reshape(3, 1, 1, 1).astype(np.float32)
    return points * scale + matrix[:3, 3].reshape(3, 1, 1, 1).astype(np.float32)


def random_bias(shape: tuple[int, ...], brain: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a smooth field: its log is a sum of random Legendre polynomials up to degree three.

    Parameters
    ----------
    shape : tuple of 3 int
        Grid.
    brain : ndarray, shape (i, j, k)
        Brain mask, over which the geometric mean of the field is 1.
    sd : float
        Standard deviation of its log over the brain.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of float32, shape (i, j, k)
    """
    x, y, z = (np.linspace(-1, 1, n) for n in shape)
    weights = rng.standard_normal((4, 4, 4))
    degree = np.add.outer(np.add.outer(np.arange(4), np.arange(4)), np.arange(4))
    weights[(degree == 0) | (degree > 3)] = 0
    field = np.polynomial.legendre.leggrid3d(x, y, z, weights / (1 + degree)).astype(np.float32)
    inside = field[brain > 0]
    return np.exp((field - inside.mean()) / inside.std() * np.float32(sd))


def _best_affine(
    brain: np.ndarray, affine: np.ndarray, pose: np.ndarray, deformation: Deformation
) -> tuple[np.ndarray, float]:
    """Fit an affine from scanner mm to ICBM152 mm; return it, and the mean distance that remains in mm."""
    voxels = np.argwhere(brain)[:: max(1, int(brain.sum()) // 20_000)]
    world = nib.affines.apply_affine(affine, voxels)
    target = deformation.move(nib.affines.apply_affine(np.linalg.inv(pose), world).T.astype(np.float32))
    target = undo_torque(target)
    design = np.column_stack([world, np.ones(len(world))])
    solution = np.linalg.lstsq(design, target.T.astype(float), rcond=None)[0]
    remains_mm = np.linalg.norm(design @ solution - target.T, axis=1).mean()
    return np.vstack([solution.T, [0, 0, 0, 1]]), float(remains_mm)
