"""Form: a ball of voxels has the volume of its mesh and the axes of a ball, whichever convention is asked for."""

import numpy as np
import pytest
from skimage.measure import marching_cubes

from epitome_kit.shapes import ellipsoid_axes, mesh_volume

RADII = np.array([12.0, 9.0, 6.0])
INSIDE = sum(((axis - 14) / radius) ** 2 for axis, radius in zip(np.indices((29, 29, 29)), RADII, strict=True)) < 1


def test_a_mesh_encloses_the_volume_of_its_solid():
    corners = np.array([[0, 0, 0], [2, 0, 0], [0, 3, 0], [0, 0, 4]], float)
    assert mesh_volume(corners, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])) == pytest.approx(4)
    points, faces, _, _ = marching_cubes(INSIDE.astype(np.float32), 0.5)
    assert mesh_volume(points + 100, faces) == pytest.approx(4 / 3 * np.pi * RADII.prod(), rel=0.04)


def test_each_convention_has_its_length():
    covariance = np.cov(np.argwhere(INSIDE).T, bias=True) + np.eye(3) / 12
    solid = ellipsoid_axes(covariance, convention="solid")
    assert solid == pytest.approx(2 * RADII[::-1], rel=0.015)
    assert ellipsoid_axes(covariance, convention="pyradiomics") == pytest.approx(solid * np.sqrt(4 / 5))
    assert ellipsoid_axes(np.diag([1.0, -1e-18, 0]), convention="pyradiomics").tolist() == [0, 0, 4]
