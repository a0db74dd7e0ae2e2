"""Measure the surface of a tumour: area, enclosed volume and extent."""

from typing import NamedTuple

import numpy as np
from skimage.measure import marching_cubes

from epitome_kit.shapes import mesh_volume
from epitome_kit.tumour.diameters import in_plane, longest


class Surface(NamedTuple):
    """Size and shape of a closed surface.

    Attributes
    ----------
    volume_mm3 : float
        Enclosed volume.
    area_mm2 : float
        Surface area.
    sphericity : float
        Area of a sphere of the same volume over the area; 1 for a sphere.
    max_2d_mm : float
        Longest distance between two points of the surface within a slice, or within
        a plane half-way between two slices.
    max_3d_mm : float
        Longest distance between any two points of the surface.
    """

    volume_mm3: float
    area_mm2: float
    sphericity: float
    max_2d_mm: float
    max_3d_mm: float


def measure_surface(slices: np.ndarray, matrix: np.ndarray) -> Surface:
    """Mesh a mask by marching cubes, and measure the mesh.

    The mesh runs half-way between voxels inside and outside, and is closed at the edge of
    the array. Definitions follow pyradiomics.

    Parameters
    ----------
    slices : ndarray of bool, shape (k, i, j)
        Mask with at least one voxel, axial slices first.
    matrix : ndarray, shape (3, 3)
        Index to mm, its columns in the order of the axes of `slices`.

    Returns
    -------
    Surface
        Measures of the mesh.

    References
    ----------
    Lorensen and Cline, SIGGRAPH 1987, doi:10.1145/37401.37422
    van Griethuysen et al., Cancer Res 2017, doi:10.1158/0008-5472.CAN-17-0339
    """
    corners, faces, _, _ = marching_cubes(np.pad(slices, 1).astype(np.float32), 0.5, method="lorensen")
    corners = corners.astype(float)
    points = corners @ matrix.T
    a, b, c = points[faces].transpose(1, 0, 2)
    volume = mesh_volume(points, faces)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    flat = corners[:, 1:] @ in_plane(matrix).T
    widest = max(longest(flat[corners[:, 0] == height])[0] for height in np.unique(corners[:, 0]))
    return Surface(
        float(volume), float(area), float(np.cbrt(36 * np.pi * volume**2) / area), widest, longest(points)[0]
    )
