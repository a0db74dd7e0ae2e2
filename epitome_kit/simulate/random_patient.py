"""Patients that no scanner shows: grown gliomas in varied contrasts, to train networks that outline them."""

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from epitome_kit.simulate.anatomy import TISSUES, head_model, random_deformation
from epitome_kit.simulate.random_head import smooth_noise
from epitome_kit.simulate.scanner import SIGNAL
from epitome_kit.simulate.tumour import VISIBLE_DENSITY, draw_latents, grow_tumour

_PARTS = ("density", "enhancing", "necrotic", "calcified")
_WATER_BRIGHT = ("T2w", "FLAIR")
_SECOND_TUMOUR, _CYSTIC = 0.08, 0.15


def random_patient(rng, affine, shape, contrasts=tuple(SIGNAL)):
    """Draw one patient with a glioma, scanned in several contrasts on one grid.

    Anatomy, site, size and number of tumours vary; neighbouring tissue is pushed
    away, oedema reaches into white matter, and some tumours are cysts for the
    most part. The signals are those of :data:`epitome_kit.simulate.scanner.SIGNAL`,
    varied up to where tumours hardly show. Bright spots in white matter, bright
    fluid, a left-over bias, thick slices, noise, shifts between contrasts and a
    ragged brain mask are what a network must not be fooled by.

    Parameters
    ----------
    rng : numpy.random.Generator
    affine : ndarray, shape (4, 4)
        Grid near the ICBM152 template: voxel to mm, equal along all axes.
    shape : tuple of 3 int
    contrasts : sequence of str, default=tuple(SIGNAL)
        Out of :data:`epitome_kit.simulate.scanner.SIGNAL`.

    Returns
    -------
    scans : dict of str to ndarray of float32, shape (i, j, k)
        By contrast, the head around the brain included.
    brain, tumour : ndarray of uint8, shape (i, j, k)
        Brain mask as a tool would draw it, and the true tumour inside it with
        its oedema.

    References
    ----------
    Billot et al., Med Image Anal 2023, doi:10.1016/j.media.2023.102789
    """
    head = head_model(2.0)
    grown = [_grow(head, rng) for _ in range(2 if rng.random() < _SECOND_TUMOUR else 1)]
    points = _points(rng, affine, shape)
    tumour = np.max([_sample_tumour(each, points) for each in grown], axis=0)
    tissues = _sample(head.maps, head.affine, _pushed(points, grown[0], rng.uniform(0, 6)))
    inside = _sample(head.brain[None], head.affine, points)[0]
    visible = tumour[0] > VISIBLE_DENSITY
    oedema = _oedema(visible, tissues[TISSUES.index("white")], rng)
    shares = np.stack([np.clip(tumour[0] / rng.uniform(0.22, 0.55), 0, 1), *tumour[1:]])
    shares[0] = np.maximum(shares[0], oedema * rng.uniform(0.5, 1))
    cyst = _cyst(visible, rng) if rng.random() < _CYSTIC else np.zeros_like(oedema)
    variety = rng.choice((0.05, 0.1, 0.2))
    thickness = rng.uniform(1, 2.4) if rng.random() < 0.7 else 1.0
    how = {"variety": variety, "thickness": thickness}
    scans = {name: _scan(tissues, shares, cyst, name, rng, **how) for name in contrasts}
    brain = _ragged(inside, rng)
    return scans, brain, ((visible | (oedema > 0.5)) & (brain > 0)).astype(np.uint8)


def _grow(head, rng):
    latents = draw_latents(rng.random() < 0.5, rng.random() < 0.5, rng)
    latents *= 1.3
    latents[0] += rng.uniform(0, 2)
    return grow_tumour(head, latents, rng)


def _points(rng, affine, shape):
    """ICBM152 position of every voxel, for a head that registration has brought close."""
    grid = np.stack(np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij"))
    turn = Rotation.from_euler("xyz", rng.normal(0, 3, 3), degrees=True).as_matrix()
    near = nib.affines.from_matvec(turn * rng.normal(1, 0.04, 3), rng.normal(0, 2.5, 3)) @ affine
    points = np.tensordot(near[:3, :3], grid, 1) + near[:3, 3].reshape(3, 1, 1, 1)
    return random_deformation(rng, amplitude_mm=rng.uniform(1.5, 5)).move(points.astype(np.float32))


def _pushed(points, tumour, push_mm):
    """Positions before the tumour pushed the tissue around it outwards by up to `push_mm`."""
    centre = nib.affines.apply_affine(tumour.affine, np.argwhere(tumour.density > VISIBLE_DENSITY).mean(0))
    away = points - centre.reshape(3, 1, 1, 1).astype(np.float32)
    reach = np.sqrt((away**2).sum(0)) / tumour.parameters["radius_mm"]
    strength = push_mm * np.exp(-((reach - 0.8) ** 2)) / (reach * tumour.parameters["radius_mm"] + 1)
    return points - away * strength.astype(np.float32)


def _sample(volumes, affine, points):
    where = (points - affine[:3, 3].reshape(3, 1, 1, 1)) / affine[0, 0]
    return np.stack([ndimage.map_coordinates(each.astype(np.float32), where, order=1) for each in volumes])


def _sample_tumour(tumour, points):
    return _sample([getattr(tumour, part) for part in _PARTS], tumour.affine, points)


def _oedema(visible, white, rng):
    """Share of oedema: white matter up to some distance from the tumour, further here and less far there."""
    if rng.random() < 0.4:
        return np.zeros_like(white)
    extent = rng.uniform(0, 7) * (1 + 0.5 * smooth_noise(white.shape, 4, rng))
    away = ndimage.distance_transform_edt(~visible)
    return (np.clip(extent - away + 0.5, 0, 1) * np.clip(2 * white - 0.5, 0, 1)).astype(np.float32)


def _cyst(visible, rng):
    """Share of fluid: from a fifth of the tumour to most of it, inside."""
    depth = ndimage.distance_transform_edt(visible)
    score = depth / depth.max() + 0.2 * smooth_noise(visible.shape, 4, rng)
    limit = np.quantile(score[visible], rng.uniform(0.1, 0.8))
    return ndimage.gaussian_filter((visible & (score > limit)).astype(np.float32), 0.5)


def _scan(tissues, shares, cyst, contrast, rng, *, variety, thickness):
    """Paint one contrast and spoil it as a scanner and preprocessing do."""
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


def _distractors(tissues, rng):
    """Share of brightness that is no tumour: spots in white matter, rims of the ventricles, flowing fluid."""
    white, fluid = (tissues[TISSUES.index(name)] for name in ("white", "csf"))
    spots = np.clip(smooth_noise(white.shape, rng.uniform(0.7, 1.3), rng) - rng.uniform(2.2, 3.5), 0, 1) * white
    rims = ndimage.gaussian_filter(fluid, 1.5) * white
    flow = np.clip(smooth_noise(white.shape, 3, rng), 0, 2) * fluid
    return rng.uniform(0, 1) * spots + rng.uniform(0, 0.5) * rims + rng.choice((0, rng.uniform(0, 0.4))) * flow


def _thick_slices(signal, thickness):
    """Average and coarsen along the third axis, then interpolate, as preprocessing of thick slices does."""
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


def _ragged(inside, rng):
    """Brain mask with the small errors of a tool, now and then cut off by the field of view."""
    noise = smooth_noise(inside.shape, 3, rng)
    mask = ndimage.gaussian_filter(inside, 0.7) > np.maximum(rng.uniform(0.3, 0.7) + 0.2 * noise, 0.05)
    if rng.random() < 0.2:
        mask[:, :, : rng.integers(4, 14)] = False
    if rng.random() < 0.1:
        mask[:, :, mask.shape[2] - rng.integers(4, 12) :] = False
    return mask.astype(np.uint8)
