"""Simulate patients with gliomas in random contrasts, to train networks that segment tumours."""

from collections.abc import Iterable, Sequence

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from epitome_kit.simulate.anatomy import TISSUES, HeadModel, age_head, head_model, random_deformation
from epitome_kit.simulate.latents import draw_latents
from epitome_kit.simulate.mass_effect import positions_before
from epitome_kit.simulate.random_head import smooth_noise
from epitome_kit.simulate.scanner import SIGNAL
from epitome_kit.simulate.tumour import VISIBLE_DENSITY, Tumour, grow_tumour

_PARTS = ("density", "enhancing", "necrotic", "calcified")
_WATER_BRIGHT = ("T2w", "FLAIR")
_SECOND_TUMOUR, _CYSTIC = 0.08, 0.15


def random_patient(
    rng: np.random.Generator,
    affine: np.ndarray,
    shape: tuple[int, int, int],
    contrasts: Sequence[str] = tuple(SIGNAL),
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Draw one patient with a glioma, scanned in several contrasts on one grid.

    Anatomy, site, size and number of tumours vary; neighbouring tissue is displaced,
    oedema extends into white matter, and some tumours are mostly cystic. Signals vary
    around :data:`epitome_kit.simulate.scanner.SIGNAL`, up to nearly invisible tumours.
    Bright spots in white matter, bright fluid, residual bias, thick slices, noise,
    shifts between contrasts and an irregular brain mask make networks robust.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    affine : ndarray, shape (4, 4)
        Grid near the ICBM152 template: voxel to mm, equal along all axes.
    shape : tuple of 3 int
        Number of voxels along each axis.
    contrasts : sequence of str, default=tuple(SIGNAL)
        Out of :data:`epitome_kit.simulate.scanner.SIGNAL`.

    Returns
    -------
    scans : dict of str to ndarray of float32, shape (i, j, k)
        By contrast, with the head around the brain.
    brain, tumour : ndarray of uint8, shape (i, j, k)
        Brain mask as from a skull stripper, and the true tumour with its oedema inside it.

    References
    ----------
    Billot et al., Med Image Anal 2023, doi:10.1016/j.media.2023.102789
    """
    head = age_head(head_model(2.0), rng.uniform(18, 90))
    grown = [_grow(head, rng) for _ in range(2 if rng.random() < _SECOND_TUMOUR else 1)]
    points = _points(rng, affine, shape)
    tumour = np.max([_sample_tumour(each, points) for each in grown], axis=0)
    tissues = _sample(head.maps, head.affine, positions_before(points, grown[0], rng.uniform(0, 6)))
    inside = _sample(head.brain[None], head.affine, points)[0]
    visible = tumour[0] > VISIBLE_DENSITY
    oedema = _oedema(visible, tissues[TISSUES.index("white")], rng)
    shares = np.stack([np.clip(tumour[0] / rng.uniform(0.22, 0.55), 0, 1), *tumour[1:]])
    shares[0] = np.maximum(shares[0], oedema * rng.uniform(0.5, 1))
    cyst = _cyst(visible, rng) if rng.random() < _CYSTIC else np.zeros_like(oedema)
    variety = rng.choice((0.05, 0.1, 0.2))
    thickness = rng.uniform(1, 2.4) if rng.random() < 0.7 else 1.0
    scans = {name: _scan(tissues, shares, cyst, name, rng, variety=variety, thickness=thickness) for name in contrasts}
    brain = _irregular_mask(inside, rng)
    return scans, brain, ((visible | (oedema > 0.5)) & (brain > 0)).astype(np.uint8)


def _grow(head: HeadModel, rng: np.random.Generator) -> Tumour:
    latents = draw_latents(rng.random() < 0.5, rng.random() < 0.5, rng)
    latents *= 1.3
    latents[0] += rng.uniform(0, 2)
    latents[2:4] = rng.normal(0.5, 1.3, 2)  # enhancement and necrosis, of which other tumours have more
    return grow_tumour(head, latents, rng)


def _points(rng: np.random.Generator, affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Draw the ICBM152 position of every voxel, for a head with a small registration error."""
    grid = np.stack(np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij"))
    turn = Rotation.from_euler("xyz", rng.normal(0, 3, 3), degrees=True).as_matrix()
    near = nib.affines.from_matvec(turn * rng.normal(1, 0.04, 3), rng.normal(0, 2.5, 3)) @ affine
    points = np.tensordot(near[:3, :3], grid, 1) + near[:3, 3].reshape(3, 1, 1, 1)
    return random_deformation(rng, amplitude_mm=rng.uniform(1.5, 5)).move(points.astype(np.float32))


def _sample(volumes: Iterable[np.ndarray], affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    where = (points - affine[:3, 3].reshape(3, 1, 1, 1)) / affine[0, 0]
    return np.stack([ndimage.map_coordinates(each.astype(np.float32), where, order=1) for each in volumes])


def _sample_tumour(tumour: Tumour, points: np.ndarray) -> np.ndarray:
    return _sample([getattr(tumour, part) for part in _PARTS], tumour.affine, points)


def _oedema(visible: np.ndarray, white: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the fraction of oedema: white matter up to a varying distance from the tumour."""
    if rng.random() < 0.4:
        return np.zeros_like(white)
    extent = rng.uniform(0, 7) * (1 + 0.5 * smooth_noise(white.shape, 4, rng))
    away = ndimage.distance_transform_edt(~visible)
    return (np.clip(extent - away + 0.5, 0, 1) * np.clip(2 * white - 0.5, 0, 1)).astype(np.float32)


def _cyst(visible: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the fraction of fluid: 20 % to 90 % of the tumour, in its interior."""
    depth = ndimage.distance_transform_edt(visible)
    score = depth / depth.max() + 0.2 * smooth_noise(visible.shape, 4, rng)
    limit = np.quantile(score[visible], rng.uniform(0.1, 0.8))
    return ndimage.gaussian_filter((visible & (score > limit)).astype(np.float32), 0.5)


def _scan(
    tissues: np.ndarray,
    shares: np.ndarray,
    cyst: np.ndarray,
    contrast: str,
    rng: np.random.Generator,
    *,
    variety: float,
    thickness: float,
) -> np.ndarray:
    """Compute the signal of one contrast, with artefacts of scanner and preprocessing."""
    levels = np.array(SIGNAL[contrast]) * np.exp(rng.normal(0, variety, len(SIGNAL[contrast])))
    white = levels[TISSUES.index("white")]
    levels[len(TISSUES) :] = white + (levels[len(TISSUES) :] - white) * rng.uniform(0.45, 1.3)
    signal = np.tensordot(levels[: len(TISSUES)].astype(np.float32), tissues, 1)
    bright = levels[len(TISSUES)]
    if contrast in _WATER_BRIGHT:
        signal += _distractors(tissues, rng) * np.float32(bright - white)
    for share, level in zip(shares, levels[len(TISSUES) :], strict=True):
        signal += share * (np.float32(level) - signal)
    signal += cyst * (np.float32(levels[TISSUES.index("csf")]) - signal)
    shape = signal.shape
    uneven = rng.uniform(0, 0.15) * smooth_noise(shape, 4, rng) * shares[0]
    signal *= np.exp(uneven + rng.uniform(0, 0.12) * smooth_noise(shape, 12, rng))
    signal *= 1 + rng.uniform(0, 0.06) * smooth_noise(shape, 0.7, rng)
    shift = rng.normal(0, 0.8 if rng.random() < 0.1 else 0.2, 3)
    signal = ndimage.shift(ndimage.gaussian_filter(signal, rng.uniform(0.1, 0.7)), shift, order=1)
    signal = _thick_slices(signal, thickness)
    noise = rng.standard_normal((2, *shape), dtype=np.float32) * np.float32(rng.uniform(0.005, 0.035))
    return np.hypot(signal + noise[0], noise[1]) ** np.float32(rng.uniform(0.8, 1.25))


def _distractors(tissues: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw brightness outside tumours: spots in white matter, rims of the ventricles, flowing fluid."""
    white, fluid = (tissues[TISSUES.index(name)] for name in ("white", "csf"))
    spots = np.clip(smooth_noise(white.shape, rng.uniform(0.7, 1.3), rng) - rng.uniform(2.2, 3.5), 0, 1) * white
    rims = ndimage.gaussian_filter(fluid, 1.5) * white
    flow = np.clip(smooth_noise(white.shape, 3, rng), 0, 2) * fluid
    return rng.uniform(0, 1) * spots + rng.uniform(0, 0.5) * rims + rng.choice((0, rng.uniform(0, 0.4))) * flow


def _thick_slices(signal: np.ndarray, thickness: float) -> np.ndarray:
    """Average and coarsen along the third axis, then interpolate, like preprocessing of thick slices."""
    if thickness <= 1:
        return signal
    blurred = ndimage.gaussian_filter1d(signal, 0.42 * thickness, axis=2)
    n = signal.shape[2]
    coarse = np.clip(np.arange(0, n + thickness, thickness), 0, n - 1)
    slices = blurred[:, :, np.round(coarse).astype(int)]
    below = np.clip(np.arange(n) / thickness, 0, len(coarse) - 2)
    index = below.astype(int)
    part = (below - index).astype(np.float32)
    return slices[:, :, index] * (1 - part) + slices[:, :, index + 1] * part


def _irregular_mask(inside: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a brain mask with small errors, sometimes cut by the field of view."""
    noise = smooth_noise(inside.shape, 3, rng)
    mask = ndimage.gaussian_filter(inside, 0.7) > np.maximum(rng.uniform(0.3, 0.7) + 0.2 * noise, 0.05)
    if rng.random() < 0.2:
        mask[:, :, : rng.integers(4, 14)] = False
    if rng.random() < 0.1:
        mask[:, :, mask.shape[2] - rng.integers(4, 12) :] = False
    return mask.astype(np.uint8)
