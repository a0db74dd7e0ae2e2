"""A head model with known tissues, and random deformations of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import nibabel as nib
import numpy as np
from nilearn import datasets
from scipy import ndimage

TISSUES = ("csf", "grey", "white", "dura", "bone", "fat", "muscle", "eye")
"""Tissues of the head model, in the order of its maps; the rest is air."""

_TORQUE_MM = 2.0
_CORNERS_MM = np.array([[-100.0, -140.0, -150.0], [100.0, 122.0, 112.0]])


@dataclass(frozen=True)
class HeadModel:
    """Tissue fractions of one head on the ICBM152 axes.

    Attributes
    ----------
    maps : ndarray of float16, shape (8, i, j, k)
        Fraction of each of :data:`TISSUES` in each voxel.
    brain : ndarray of float32, shape (i, j, k)
        Fraction of brain: grey and white matter and the fluid inside their outline,
        as in the mask of a skull stripper.
    affine : ndarray, shape (4, 4)
        Voxel to ICBM152 mm.
    """

    maps: np.ndarray
    brain: np.ndarray
    affine: np.ndarray

    def tissue(self, name: str) -> np.ndarray:
        """Return the fraction of one tissue, float32, shape (i, j, k)."""
        return self.maps[TISSUES.index(name)].astype(np.float32)


@lru_cache(maxsize=4)
def head_model(
    spacing_mm: float = 2.0, *, gap_mm: float = 2.5, bone_mm: float = 6.5, scalp_mm: float = 6.0
) -> HeadModel:
    """Build a head around the ICBM152 brain.

    Grey and white matter are taken from the maps of nilearn, which are symmetric, and
    bent by :func:`undo_torque`. Everything around them is modelled: fluid up to the
    inner skull, dura, bone with marrow, scalp fat and skin, eyes, air in nose and
    sinuses, face and neck.

    Parameters
    ----------
    spacing_mm : float, default=2.0
        Voxel size of the model.
    gap_mm, bone_mm, scalp_mm : float, default=2.5, 6.5, 6.0
        Thickness of the fluid between brain and dura, of the skull, and of the
        scalp.

    Returns
    -------
    HeadModel
        Shared between calls: do not write to its arrays.

    References
    ----------
    Fonov et al., NeuroImage 2011, doi:10.1016/j.neuroimage.2010.07.033
    """
    shape = tuple(np.round((_CORNERS_MM[1] - _CORNERS_MM[0]) / spacing_mm).astype(int) + 1)
    affine = nib.affines.from_matvec(np.eye(3) * spacing_mm, _CORNERS_MM[0])
    axes = [axis.astype(np.float32) for axis in _axes(shape, affine)]
    points = undo_torque(np.stack(np.meshgrid(*axes, indexing="ij")))
    white = _at_points(datasets.load_mni152_wm_template(resolution=1), points)
    grey = _at_points(datasets.load_mni152_gm_template(resolution=1), points)
    mask = _at_points(datasets.load_mni152_brain_mask(resolution=1), points)
    return _assemble(white, grey, mask, affine, spacing_mm, (gap_mm, bone_mm, scalp_mm))


def undo_torque(points_mm: np.ndarray) -> np.ndarray:
    """Move points of the head model, in place, to the symmetric atlas.

    In most people the right frontal and the left occipital lobe are wider and reach
    further than the lobes opposite, which is called torque.

    Parameters
    ----------
    points_mm : ndarray of float32, shape (3, ...)
        Positions on the axes of ICBM152; overwritten.

    Returns
    -------
    ndarray of float32, shape (3, ...)
        The same array.

    References
    ----------
    Toga and Thompson, Nat Rev Neurosci 2003, doi:10.1038/nrn1009
    """
    x, y = points_mm[0] / 70, (points_mm[1] + 18) / 90
    points_mm[0] -= _TORQUE_MM * np.sqrt(x**2 + 0.02) * y
    points_mm[1] -= _TORQUE_MM * x * np.abs(y)
    return points_mm


def _at_points(image: nib.Nifti1Image, points_mm: np.ndarray) -> np.ndarray:
    matrix, offset = nib.affines.to_matvec(np.linalg.inv(image.affine))
    where = points_mm * np.float32(matrix[0, 0]) + offset.reshape(3, 1, 1, 1).astype(np.float32)
    return ndimage.map_coordinates(image.get_fdata(dtype=np.float32), where, order=1).clip(0, 1)


def _assemble(
    white: np.ndarray,
    grey: np.ndarray,
    mask: np.ndarray,
    affine: np.ndarray,
    spacing_mm: float,
    shells_mm: tuple[float, float, float],
) -> HeadModel:
    x, y, z = np.meshgrid(*_axes(mask.shape, affine), indexing="ij", sparse=True)
    cord_radius = 6 + 6 * _soft(z + 84, 12)
    cord = _soft(cord_radius - np.hypot(x, y + 38 + 0.25 * (z + 60)), 1) * _soft(-60 - z, 4)
    mask = np.maximum(mask, cord)
    inside_outline = _soft(ndimage.gaussian_filter(mask, 1.0 / spacing_mm) - 0.5, 0.08)

    # Average maps are smooth where subjects differ; squaring them gives the sharp cortex of one subject.
    white, grey = np.maximum(white, 0.9 * cord) ** 2, grey**2
    fluid = np.clip(mask - np.sqrt(white) - np.sqrt(grey), 0, 1) ** 2
    total = white + grey + fluid + 1e-3
    white, grey, fluid = (part / total * inside_outline for part in (white, grey, fluid))

    closed = _close(mask > 0.5, 9 / spacing_mm)
    depth = _signed_distance(closed, spacing_mm)
    skull_inner, bone_mm, scalp_mm = shells_mm
    skull_outer = skull_inner + bone_mm
    head = np.maximum(_soft(skull_outer + scalp_mm - depth, 1), _face_and_neck(x, y, z))
    head = _soft(ndimage.gaussian_filter(head, 3 / spacing_mm) - 0.5, 0.15)
    air = _air(x, y, z) * (1 - _soft(skull_outer - depth, 1))

    inside = _soft(skull_inner - depth, 0.7)
    dura = _soft(skull_inner + 1.4 - depth, 0.5) - inside
    shell = _soft(skull_outer - depth, 0.7)
    vault = _soft(z + 48 + 0.25 * np.abs(y), 6)
    bone = (shell - inside - dura) * (0.35 + 0.65 * vault)
    marrow = bone * np.exp(-(((depth - skull_inner - 0.57 * bone_mm) / (0.17 * bone_mm)) ** 2)) * 0.7
    eyes = np.maximum(*(_ball(x, y, z, (side * 32, 62, -38), 12.0) for side in (-1, 1))) * (1 - shell)
    around = np.clip(head - shell, 0, 1) * (1 - eyes) * (1 - air)
    skin_depth = _signed_distance(head > 0.5, spacing_mm)
    fat_share = np.exp(-(((skin_depth + 4.0) / 2.2) ** 2)) + 0.8 * np.exp(-(((skin_depth + 14) / 5) ** 2)) * (z < -30)

    maps = {
        "csf": fluid + (inside - inside_outline).clip(0, 1),
        "grey": grey,
        "white": white,
        "dura": dura,
        "bone": bone - marrow,
        "fat": marrow + around * fat_share.clip(0, 0.9),
        "muscle": around * (1 - fat_share.clip(0, 0.9)) + (shell - inside - dura) * 0.65 * (1 - vault),
        "eye": eyes,
    }
    stacked = np.stack([maps[name].clip(0, 1) for name in TISSUES]).astype(np.float32)
    stacked /= np.maximum(stacked.sum(0), 1)
    brain = _brain_outline(grey + white, inside_outline, spacing_mm) * _soft(z + 86, 2)
    return HeadModel(stacked.astype(np.float16), brain.astype(np.float32), affine)


def age_head(head: HeadModel, age: float, variation: float = 0.0) -> HeadModel:
    """Widen the ventricles and sulci of a head with age.

    Where fluid and tissue share a voxel, fluid gains weight by 3.5 % a year from the
    age of 42 on, and loses it before; around the ventricles by twice as much.

    Parameters
    ----------
    head : HeadModel
        Head of the age of 42 years.
    age : float
        Age in years.
    variation : float, default=0.0
        Difference from the average of that age, as the log of the weight.

    Returns
    -------
    HeadModel
        A copy.

    References
    ----------
    Good et al., NeuroImage 2001, doi:10.1006/nimg.2001.0786
    Walhovd et al., Neurobiol Aging 2011, doi:10.1016/j.neurobiolaging.2009.05.013
    """
    inside = ndimage.find_objects((head.brain > 0).astype(np.int8))[0]
    axes = [
        axis[part].astype(np.float32) for axis, part in zip(_axes(head.brain.shape, head.affine), inside, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    around_ventricles = _ball(x, y, z, (0, -16, 6), (34, 62, 34))
    weight = np.exp(np.float32(0.035 * (age - 42) + variation) * (1 + around_ventricles))
    fluid, grey, white = head.maps[(slice(3), *inside)].astype(np.float32)
    tissue, wide = grey + white, weight * fluid
    kept = (fluid + tissue) / np.maximum(wide + tissue, 1e-6)
    maps = head.maps.copy()
    maps[(slice(3), *inside)] = wide * kept, grey * kept, white * kept
    return replace(head, maps=maps)


def _brain_outline(tissue: np.ndarray, inside_outline: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Brain as in the mask of a skull stripper: tissue with its ventricles and narrow folds."""
    closed = ndimage.binary_fill_holes(_close(tissue > 0.5, 5 / spacing_mm))
    return _soft(ndimage.gaussian_filter(closed.astype(np.float32), 1.0 / spacing_mm) - 0.5, 0.08) * inside_outline


def _axes(shape: Sequence[int], affine: np.ndarray) -> list[np.ndarray]:
    return [affine[axis, 3] + affine[axis, axis] * np.arange(shape[axis], dtype=np.float32) for axis in range(3)]


def _soft(distance: np.ndarray, softness: float) -> np.ndarray:
    """Return the fraction inside from a distance that is positive inside."""
    return 1 / (1 + np.exp(-np.clip(distance / softness * 2, -30, 30)))


def _ball(
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    centre: tuple[float, float, float],
    radii: float | tuple[float, float, float],
) -> np.ndarray:
    rx, ry, rz = np.broadcast_to(radii, 3)
    r = np.sqrt(((x - centre[0]) / rx) ** 2 + ((y - centre[1]) / ry) ** 2 + ((z - centre[2]) / rz) ** 2)
    return _soft((1 - r) * min(rx, ry, rz), 0.8)


def _close(mask: np.ndarray, radius: float) -> np.ndarray:
    """Fill folds narrower than `radius` voxels."""
    grown = ndimage.distance_transform_edt(~mask) <= radius
    return ndimage.distance_transform_edt(grown) > radius


def _signed_distance(mask: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Smoothed distance to the surface in mm, negative inside."""
    distance = ndimage.distance_transform_edt(~mask) - ndimage.distance_transform_edt(mask)
    return ndimage.gaussian_filter(distance.astype(np.float32), 2 / spacing_mm) * spacing_mm


def _face_and_neck(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    face = _ball(x, y, z, (0, 28, -70), (66, 66, 80))
    nose = _ball(x, y, z, (0, 96, -62), (13, 16, 20))
    jaw = _ball(x, y, z, (0, 30, -115), (56, 60, 45))
    neck = _soft(58 - np.hypot(x, (y + 22) * 0.95), 1) * _soft(-40 - z, 10)
    return np.maximum.reduce(np.broadcast_arrays(face, nose, jaw, neck))


def _air(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    parts = [
        _ball(x, y, z, (0, 62, -62), (11, 32, 26)),
        _ball(x, y, z, (-28, 52, -68), (13, 15, 16)),
        _ball(x, y, z, (28, 52, -68), (13, 15, 16)),
        _ball(x, y, z, (0, 82, -14), (18, 6, 11)),
        _ball(x, y, z, (0, 12, -100), (13, 10, 35)),
        _ball(x, y, z, (-58, -30, -48), (8, 10, 12)),
        _ball(x, y, z, (58, -30, -48), (8, 10, 12)),
    ]
    return np.maximum.reduce(parts)


@dataclass(frozen=True)
class Deformation:
    """A smooth, invertible displacement in ICBM152 space.

    Attributes
    ----------
    field_mm : ndarray of float32, shape (3, i, j, k)
        Displacement on a coarse grid.
    affine : ndarray, shape (4, 4)
        Voxel of the coarse grid to mm.
    """

    field_mm: np.ndarray
    affine: np.ndarray

    def move(self, points_mm: np.ndarray) -> np.ndarray:
        """Displace points in place and return them.

        Parameters
        ----------
        points_mm : ndarray of float32, shape (3, ...)
            In ICBM152 space; overwritten.

        Returns
        -------
        ndarray of float32, shape (3, ...)
            The same array.
        """
        where = (points_mm - self.affine[:3, 3].reshape(3, *[1] * (points_mm.ndim - 1))) / self.affine[0, 0]
        where = where.astype(np.float32)
        for axis in range(3):
            points_mm[axis] += ndimage.map_coordinates(self.field_mm[axis], where, order=1, mode="nearest")
        return points_mm


def random_deformation(
    rng: np.random.Generator, *, amplitude_mm: float = 3.0, smoothness_mm: float = 24.0, spacing_mm: float = 8.0
) -> Deformation:
    """Draw a diffeomorphic deformation, the exponential of a stationary velocity field.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    amplitude_mm : float, default=3.0
        Standard deviation of the velocity along each axis.
    smoothness_mm : float, default=24.0
        Standard deviation of the Gaussian that smooths the velocity.
    spacing_mm : float, default=8.0
        Voxel size of the field.

    Returns
    -------
    Deformation
        Displacement on a coarse grid.

    References
    ----------
    Arsigny et al., MICCAI 2006, doi:10.1007/11866565_113
    """
    shape = tuple(np.ceil((_CORNERS_MM[1] - _CORNERS_MM[0]) / spacing_mm).astype(int) + 1)
    affine = nib.affines.from_matvec(np.eye(3) * spacing_mm, _CORNERS_MM[0])
    noise = rng.standard_normal((3, *shape)).astype(np.float32)
    velocity = np.stack([ndimage.gaussian_filter(part, smoothness_mm / spacing_mm) for part in noise])
    velocity *= amplitude_mm / velocity.std(axis=(1, 2, 3), keepdims=True)
    steps = 5
    field = velocity / 2**steps
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(np.float32)
    for _ in range(steps):
        moved = grid + field / spacing_mm
        field = field + np.stack([ndimage.map_coordinates(part, moved, order=1, mode="nearest") for part in field])
    return Deformation(field, affine)
