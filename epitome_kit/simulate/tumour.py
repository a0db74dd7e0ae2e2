"""Simulate gliomas: draw latent variables and grow tumours from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from epitome_kit.simulate.anatomy import HeadModel

VISIBLE_DENSITY = 0.16
"""Tumour cell density at the visible edge on T2 and FLAIR (Swanson 2008)."""

LATENTS = {
    "growth": (0.8, 0.0),
    "infiltration": (0.55, 0.5),
    "enhancement": (1.2, 0.0),
    "necrosis": (0.8, 0.0),
    "border": (0.5, 0.7),
    "heterogeneity": (0.0, 1.1),
    "location": (0.0, 1.0),
}
"""Standard normal latent variables, with their shifts for WHO grade III and 1p/19q codeletion.

Directions follow the radiology; sizes are chosen so that the best classifier of
grade reaches an AUC of 0.90. Growth: Swanson 2008 (velocity rises with grade).
Enhancement: Pallud 2009. Necrosis: WHO 2016. Indistinct border and heterogeneous
T2 signal with codeletion: Jenkinson 2006; calcification and frontal site: Smits
2016.

References
----------
Swanson et al., Br J Cancer 2008, doi:10.1038/sj.bjc.6604125
Pallud et al., Neuro Oncol 2009, doi:10.1215/15228517-2008-066
Louis et al., Acta Neuropathol 2016, doi:10.1007/s00401-016-1545-1
Jenkinson et al., Brain 2006, doi:10.1093/brain/awl108
Smits, Br J Radiol 2016, doi:10.1259/bjr.20150857
"""

CODELETED_SHARE = 102 / 159
GRADE_III_SHARE = 55 / 159
_GROWTH_MM = 2.0
_MOST_STEPS = 800
_MOST_STEPS_INVISIBLE = 4000  # for rare tumours that spread so fast that they stay below the visible density for long


def draw_labels(subjects: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw grades and 1p/19q status with the proportions of the LGG-1p19qDeletion collection.

    Parameters
    ----------
    subjects : int
        Number of subjects.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    grade_iii, codeleted : ndarray of bool, shape (subjects,)
        As close to 55/159 and 102/159 as possible, independent of each other; from
        two subjects on, at least one of each class.
    """
    labels = []
    for share in (GRADE_III_SHARE, CODELETED_SHARE):
        count = int(np.clip(round(share * subjects), 1, max(subjects - 1, 1)))
        labels.append(rng.permutation(np.arange(subjects) < count))
    grade_iii, codeleted = labels
    return grade_iii, codeleted


def draw_latents(grade_iii: bool | np.ndarray, codeleted: bool | np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the latent variables of one or more subjects.

    Parameters
    ----------
    grade_iii, codeleted : bool or array of bool, shape (n,)
        Labels of the subjects.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (n, 7) or (7,)
        In the order of :data:`LATENTS`.
    """
    shifts = np.array(list(LATENTS.values()))
    mean = np.multiply.outer(grade_iii, shifts[:, 0]) + np.multiply.outer(codeleted, shifts[:, 1])
    return mean + rng.standard_normal(mean.shape)


def oracle_score(latents: np.ndarray, target: str) -> np.ndarray:
    """Compute the log likelihood ratio of the best possible classifier on the latent variables.

    Parameters
    ----------
    latents : ndarray, shape (n, 7)
        From :func:`draw_latents`.
    target : {"grade", "codeletion"}
        Label to predict.

    Returns
    -------
    ndarray, shape (n,)
        Higher values mean grade III, or codeleted. The other label is unknown to the
        classifier and marginalised.
    """
    shifts = np.array(list(LATENTS.values())).T
    shift, other = (shifts[0], shifts[1]) if target == "grade" else (shifts[1], shifts[0])
    share = CODELETED_SHARE if target == "grade" else GRADE_III_SHARE

    def density(mean: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * ((np.asarray(latents) - mean) ** 2).sum(-1))

    def mixture(mean: np.ndarray) -> np.ndarray:
        return share * density(mean + other) + (1 - share) * density(mean)

    return np.log(mixture(shift)) - np.log(mixture(0 * shift))


def oracle_auc(target: str, *, draws: int = 100_000, seed: int = 0) -> float:
    """Estimate the AUC of the best possible classifier on the latent variables, the upper limit of any model.

    Parameters
    ----------
    target : {"grade", "codeletion"}
        Label to predict.
    draws : int, default=100_000
        Number of simulated tumours.
    seed : int, default=0
        Seed of the simulation.

    Returns
    -------
    float
        Area under the ROC curve.
    """
    rng = np.random.default_rng(seed)
    grade_iii, codeleted = rng.random(draws) < GRADE_III_SHARE, rng.random(draws) < CODELETED_SHARE
    scores = oracle_score(draw_latents(grade_iii, codeleted, rng), target)
    return float(roc_auc_score(grade_iii if target == "grade" else codeleted, scores))


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
        Diffusion (mm2/day), proliferation (1/day), radius (mm), and the rest.
    """

    density: np.ndarray
    enhancing: np.ndarray
    necrotic: np.ndarray
    calcified: np.ndarray
    affine: np.ndarray
    parameters: dict[str, float]


def tumour_parameters(latents: np.ndarray) -> dict[str, float]:
    """Convert latent variables to physical parameters; each is a monotonic function of one variable.

    Parameters
    ----------
    latents : ndarray, shape (7,)
        From :func:`draw_latents`.

    Returns
    -------
    dict
        ``radius_mm``, ``proliferation_per_day``, ``diffusion_mm2_per_day`` (in
        white matter), ``enhancing_fraction``, ``necrotic_fraction``,
        ``irregularity``, ``calcified_fraction``, ``site_y_mm``.
    """
    z = dict(zip(LATENTS, latents, strict=True))
    proliferation = 0.012 * np.exp(0.4 * z["growth"])
    infiltration_mm = 2.2 * np.exp(0.3 * z["infiltration"])
    return {
        "radius_mm": float(np.clip(19 * np.exp(0.2 * z["growth"]), 9, 36)),
        "proliferation_per_day": float(proliferation),
        "diffusion_mm2_per_day": float(infiltration_mm**2 * proliferation),
        "enhancing_fraction": float(0.45 * expit(1.6 * (z["enhancement"] - 0.9))),
        "necrotic_fraction": float(0.30 * expit(1.6 * (z["necrosis"] - 1.1))),
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
        From :func:`draw_latents`.
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
    density = _react_and_diffuse(coarse, (seed - low) // stride, parameters, stride * spacing)
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
) -> np.ndarray:
    """Take explicit steps on the crop until the visible volume reaches its target."""
    diffusion = parameters["diffusion_mm2_per_day"] * mobility
    growth = np.float32(parameters["proliferation_per_day"])
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
    return density


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
    values = score[inside]
    limit = np.quantile(values, 1 - fraction)
    return (expit((score - limit) / (0.12 * values.std() + 1e-6)) * inside).astype(np.float32)
