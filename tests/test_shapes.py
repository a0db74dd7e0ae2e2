"""Form: an ellipsoid of voxels has the volume of its mesh and the axes of the solid."""

import numpy as np
import pytest
from ellipsoids import ball
from skimage.measure import marching_cubes

from epitome_kit.shapes import ellipsoid_axes, mesh_volume

RADII = np.array([12.0, 9.0, 6.0])
INSIDE = sum(((axis - 14) / radius) ** 2 for axis, radius in zip(np.indices((29, 29, 29)), RADII, strict=True)) < 1


def test_a_mesh_encloses_the_volume_of_its_solid():
    corners = np.array([[0, 0, 0], [2, 0, 0], [0, 3, 0], [0, 0, 4]], float)
    assert mesh_volume(corners, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])) == pytest.approx(4)
    points, faces, _, _ = marching_cubes(INSIDE.astype(np.float32), 0.5)
    assert mesh_volume(points + 100, faces) == pytest.approx(4 / 3 * np.pi * RADII.prod(), rel=0.04)


def test_the_axes_are_those_of_the_solid():
    assert ellipsoid_axes(INSIDE, np.eye(3)) == pytest.approx(2 * RADII[::-1], rel=0.015)
    sheared = np.array([[2.0, 0.3, 0], [0, 1.0, 0], [0, 0, 3.0]])
    rotated = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0] @ sheared
    assert ellipsoid_axes(INSIDE, rotated) == pytest.approx(ellipsoid_axes(INSIDE, sheared))
    assert ellipsoid_axes(INSIDE, 3 * np.eye(3)) == pytest.approx(6 * RADII[::-1], rel=0.015)


def test_a_voxel_is_a_solid_too():
    assert ellipsoid_axes(np.ones((1, 1, 1), bool), np.diag([1.0, 2.0, 4.0])) == pytest.approx(
        np.array([1, 2, 4]) * 2 * np.sqrt(5 / 12)
    )


@pytest.mark.parametrize("voxel_mm", [1, 3])
def test_a_ball_of_40_mm_has_axes_of_40_mm_wherever_it_lies(voxel_mm):
    rng = np.random.default_rng(voxel_mm)
    for _ in range(30):
        axes = ellipsoid_axes(ball(40, voxel_mm, rng), voxel_mm * np.eye(3))
        assert axes == pytest.approx([40] * 3, rel=0.02)
