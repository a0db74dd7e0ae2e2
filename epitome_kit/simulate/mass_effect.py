"""Displace the tissue around a tumour."""

from dataclasses import replace

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.simulate.anatomy import TISSUES, HeadModel
from epitome_kit.simulate.tumour import VISIBLE_DENSITY, Tumour

_REACH = 3.0  # radii of the tumour
_INSIDE = [TISSUES.index(name) for name in ("csf", "grey", "white")]


def positions_before(points: np.ndarray, tumour: Tumour, push_mm: float | np.ndarray) -> np.ndarray:
    """Compute positions before the tumour displaced the tissue around it outwards.

    Parameters
    ----------
    points : ndarray of float32, shape (3, ...)
        ICBM152 positions after the displacement.
    tumour : Tumour
        Tumour in the middle.
    push_mm : float or ndarray
        Largest displacement, less than the radius of the tumour.

    Returns
    -------
    ndarray of float32, shape (3, ...)
        Moved towards the tumour by up to `push_mm` near its edge, and less further away.
    """
    away = points - _middle(tumour).reshape(3, *[1] * (points.ndim - 1)).astype(np.float32)
    radius = np.float32(tumour.parameters["radius_mm"])
    reach = np.sqrt((away**2).sum(0)) / radius
    strength = push_mm * np.exp(-((reach - np.float32(0.8)) ** 2)) * np.clip(_REACH - reach, 0, 1)
    return points - away * (strength / (reach * radius + 1)).astype(np.float32)


def push_tissue(head: HeadModel, tumour: Tumour, push_mm: float) -> HeadModel:
    """Displace fluid, grey and white matter of a head around a tumour; the surface of the brain stays.

    Parameters
    ----------
    head : HeadModel
        Head in which the tumour has grown.
    tumour : Tumour
        The tumour, which itself is not displaced.
    push_mm : float
        Largest displacement, less than the radius of the tumour.

    Returns
    -------
    HeadModel
        A copy.
    """
    spacing, origin = head.affine[0, 0], head.affine[:3, 3]
    reach = _REACH * tumour.parameters["radius_mm"]
    low, high = (np.round((_middle(tumour) + side * reach - origin) / spacing).astype(int) for side in (-1, 1))
    low, high = np.maximum(low, 0), np.minimum(high + 1, head.brain.shape)
    crop = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    deep = head.brain[crop] * np.clip(2 * ndimage.gaussian_filter(head.brain[crop], 5 / spacing) - 1, 0, 1)
    corner = (origin + spacing * low).astype(np.float32).reshape(3, 1, 1, 1)
    points = np.indices(deep.shape, np.float32) * np.float32(spacing) + corner
    before = (positions_before(points, tumour, np.float32(push_mm) * deep) - corner) / np.float32(spacing)
    maps = head.maps.copy()
    for index in _INSIDE:
        part = head.maps[index][crop].astype(np.float32)
        maps[index][crop] = ndimage.map_coordinates(part, before, order=1, mode="nearest")
    return replace(head, maps=maps)


def _middle(tumour: Tumour) -> np.ndarray:
    """Return the centre of the visible tumour in mm."""
    return nib.affines.apply_affine(tumour.affine, np.argwhere(tumour.density > VISIBLE_DENSITY).mean(0))
