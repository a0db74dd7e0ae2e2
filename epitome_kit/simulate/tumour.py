"""Simulate gliomas: grow tumours from latent variables."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import expit

from epitome_kit.simulate.anatomy import HeadModel
from epitome_kit.simulate.latents import LATENTS

VISIBLE_DENSITY = 0.16
"""Tumour cell density at the visible edge on T2 and FLAIR (Rockne et al., Phys Med Biol 2010,
doi:10.1088/0031-9155/55/12/001)."""

_WHITE = 2.8  # diffusion in white matter, relative to the one at which mean diameters grow in simulated heads
_GROWTH_MM = 2.0
_MOST_STEPS = 800
_MOST_STEPS_INVISIBLE = 4000  # for rare tumours that spread so fast that they stay below the visible density for long


@dataclass(frozen=True)
class Tumour:
    """A grown tumour on a crop of the head model.

    Attributes
    ----------
    density : ndarray of float32, shape (i, j, k)
        Tumour cell density relative to its maximum, 0 to 1.
    enhancing, necrotic, calcified : ndarray of float32, shape (i, j, k)
        Fraction of each voxel.
    affine : ndarray, shape (4, 4)
        Voxel of the crop to ICBM152 mm.
    parameters : dict
        From :func:`tumour_parameters`.
    """

    density: np.ndarray
    enhancing: np.ndarray
    necrotic: np.ndarray
    calcified: np.ndarray
    affine: np.ndarray
    parameters: dict[str, float]


def tumour_parameters(latents: np.ndarray) -> dict[str, float]:
    """Convert latent variables to physical parameters.

    Each is a monotonic function of one variable, except that diffusion D and
    proliferation r follow from two: the speed v at which the mean diameter grows and
    the width w of the edge, by v = 4 sqrt(D r) and w = sqrt(D / r). In grade 2 the
    speed has a median of 4.1 and a mean of 5.8 mm a year; published means are 4.1
    (Mandonnet 2003) and 5.8 with a standard deviation of 6.3 (Pallud 2013).

    Parameters
    ----------
    latents : ndarray, shape (7,)
        From :func:`epitome_kit.simulate.latents.draw_latents`.

    Returns
    -------
    dict
        ``radius_mm``, ``growth_mm_per_year`` (of the mean diameter),
        ``diffusion_mm2_per_year`` (of white and grey matter together),
        ``proliferation_per_year``,
        ``enhancing_fraction``, ``necrotic_fraction``, ``irregularity``,
        ``calcified_fraction``, ``site_y_mm``.

    References
    ----------
    Mandonnet et al., Ann Neurol 2003, doi:10.1002/ana.10528
    Pallud et al., Neuro Oncol 2013, doi:10.1093/neuonc/nos331
    """
    z = dict(zip(LATENTS, latents, strict=True))
    speed = 4.1 * np.exp(0.83 * z["growth"])
    width_mm = 2.2 / np.sqrt(_WHITE) * np.exp(0.3 * z["infiltration"])
    return {
        "radius_mm": float(np.clip(19 * np.exp(0.2 * z["growth"]), 9, 36)),
        "growth_mm_per_year": float(speed),
        "diffusion_mm2_per_year": float(speed * width_mm / 4),
        "proliferation_per_year": float(speed / width_mm / 4),
        "enhancing_fraction": float(0.9 * max(expit(1.2 * z["enhancement"]) - 0.5, 0)),
        "necrotic_fraction": float(0.6 * max(expit(1.2 * z["necrosis"]) - 0.5, 0)),
        "irregularity": float(0.8 * expit(z["border"])),
        "calcified_fraction": float(0.15 * expit(1.5 * (z["heterogeneity"] - 0.8))),
        "site_y_mm": float(np.clip(-18 + 24 * z["location"], -75, 45)),
    }


def grow_tumour(head: HeadModel, latents: np.ndarray, rng: np.random.Generator) -> Tumour:
    """Grow a tumour by reaction and diffusion until it has the size given by its latent variables.

    The density c follows the Fisher-Kolmogorov equation,
    dc/dt = div(D grad c) + r c (1 - c), with diffusion five times faster in
    white matter than in grey, none in fluid, and no flow out of the brain.

    Parameters
    ----------
    head : HeadModel
        Head to grow it in.
    latents : ndarray, shape (7,)
        From :func:`epitome_kit.simulate.latents.draw_latents`.
    rng : numpy.random.Generator
        Source of randomness for site and texture.

    Returns
    -------
    Tumour
        On a crop of the grid of the head.

    References
    ----------
    Swanson, Alvord and Murray, Cell Prolif 2000, doi:10.1046/j.1365-2184.2000.00177.x
    """
    parameters = tumour_parameters(latents)
    spacing = float(head.affine[0, 0])
    seed = _choose_site(head, parameters["site_y_mm"], rng)
    reach = int(np.ceil((1.9 * parameters["radius_mm"] + 8) / spacing))
    low = np.maximum(seed - reach, 0)
    high = np.minimum(seed + reach + 1, head.brain.shape)
    crop = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    white, grey = (head.maps[index][crop].astype(np.float32) for index in (2, 1))
    texture = _texture(white.shape, 7 / spacing, rng)
    mobility = (white + 0.2 * grey) * np.exp(parameters["irregularity"] * texture.clip(-1.5, 1.5))
    mobility[head.brain[crop] < 0.5] = 0
    # Growth is smooth: voxels below 2 mm would need many more steps for the same result.
    stride = max(1, round(_GROWTH_MM / spacing))
    coarse = mobility[::stride, ::stride, ::stride]
    density, _ = _react_and_diffuse(coarse, (seed - low) // stride, parameters, stride * spacing)
    if stride > 1:
        scale = np.eye(3) / stride
        density = ndimage.affine_transform(density, scale, output_shape=white.shape, order=1, mode="nearest")
    density *= mobility > 0
    enhancing, necrotic, calcified = _compose(density, parameters, _texture(white.shape, 5 / spacing, rng), rng)
    affine = head.affine.copy()
    affine[:3, 3] = head.affine[:3, :3] @ low + head.affine[:3, 3]
    return Tumour(density, enhancing, necrotic, calcified, affine, parameters)


def _choose_site(head: HeadModel, y_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Choose a white-matter voxel of one hemisphere near an anterior-posterior position."""
    spacing, origin = head.affine[0, 0], head.affine[:3, 3]
    side = rng.choice((-1, 1))
    target = np.array([side * rng.uniform(18, 46), y_mm, rng.uniform(-8, 42)])
    where = np.argwhere(head.maps[2] > 0.5)
    where = where[(where * spacing + origin)[:, 2] > -22]
    distance = np.linalg.norm(where * spacing + origin - target, axis=1)
    return where[np.argmin(distance)]


def _texture(shape: Sequence[int], smoothness: float, rng: np.random.Generator) -> np.ndarray:
    noise = ndimage.gaussian_filter(rng.standard_normal(shape).astype(np.float32), smoothness)
    return noise / noise.std()


def _react_and_diffuse(
    mobility: np.ndarray, seed: np.ndarray, parameters: dict[str, float], spacing: float
) -> tuple[np.ndarray, float]:
    """Take explicit steps on the crop until the visible volume reaches its target; return density and years."""
    diffusion = parameters["diffusion_mm2_per_year"] * _WHITE * mobility
    growth = np.float32(parameters["proliferation_per_year"])
    step = min(0.9 * spacing**2 / (6 * float(diffusion.max())), 0.25 / float(growth))
    # The flow between two voxels is limited by the smaller diffusion of the two.
    faces = [
        np.minimum(np.take(diffusion, range(n - 1), axis), np.take(diffusion, range(1, n), axis))
        * np.float32(step / spacing**2)
        for axis, n in enumerate(diffusion.shape)
    ]
    density = np.zeros_like(mobility)
    density[tuple(slice(max(i - 1, 0), i + 2) for i in seed)] = 0.8
    density *= mobility > 0
    target = 4 / 3 * np.pi * parameters["radius_mm"] ** 3 / spacing**3
    for count in range(_MOST_STEPS_INVISIBLE):
        change = growth * step * density * (1 - density)
        for axis, face in enumerate(faces):
            flow = face * np.diff(density, axis=axis)
            head = tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))
            tail = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
            change[head] += flow
            change[tail] -= flow
        density += change
        if count % 8 == 0 and np.count_nonzero(density > VISIBLE_DENSITY) >= target:
            break
        if count == _MOST_STEPS - 1 and density.max() > VISIBLE_DENSITY:
            break
    return density, float(step * (count + 1))


def _compose(
    density: np.ndarray, parameters: dict[str, float], texture: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the enhancing, necrotic and calcified fractions of each voxel."""
    visible = density > VISIBLE_DENSITY
    depth = ndimage.distance_transform_edt(visible).astype(np.float32)
    core = depth / max(depth.max(), 1) + 0.18 * texture
    necrotic_fraction = parameters["necrotic_fraction"] * (0.3 + parameters["enhancing_fraction"])
    necrotic = _top_fraction(core, visible, necrotic_fraction)
    enhancing = _top_fraction(core, visible, necrotic_fraction + parameters["enhancing_fraction"])
    speckle = ndimage.gaussian_filter(rng.standard_normal(density.shape).astype(np.float32), 0.9)
    calcified = _top_fraction(speckle, visible, parameters["calcified_fraction"])
    return enhancing * (1 - necrotic), necrotic, calcified


def _top_fraction(score: np.ndarray, inside: np.ndarray, fraction: float) -> np.ndarray:
    """Soft mask of the voxels inside with a score in the top fraction."""
    if fraction == 0:
        return np.zeros(score.shape, np.float32)
    values = score[inside]
    limit = np.quantile(values, 1 - fraction)
    return (expit((score - limit) / (0.12 * values.std() + 1e-6)) * inside).astype(np.float32)
