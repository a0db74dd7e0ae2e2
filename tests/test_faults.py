"""Faults: the mistake that was made is the one that is named."""

import ellipsoids
import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from epitome_kit.images import mark_voxel_size_unknown
from epitome_kit.preprocess.quality import mean_distance
from epitome_kit.teach.mistakes import explain_field, explain_mask, explain_number, explain_transform


@pytest.mark.parametrize(
    "value, expected, words",
    [
        (34000, 34, "1000 times too large: did you use mm³ in place of mL"),
        (0.034, 34, "1000 times too small: did you use mm³ in place of mL"),
        (82, 0.82, "per cent in place of a fraction"),
        (4.5, 45, "10 times too small: did you use mm in place of cm"),
        (20, 10, "a radius in place of a diameter"),
        (70, 10, "about 7 times too large"),
        (11.5, 10, "too large by about 15%"),
        (8.5, 10, "too small by about 15%"),
        (-10, 10, "wrong sign"),
        (0, 10, "go through the steps"),
        (3, 0, "go through the steps"),
    ],
)
def test_numbers(value, expected, words):
    assert words in explain_number(value, expected)


GRID = ellipsoids.tumour(turn=(8, 0, 5), flips=(-1, 1, 1), order=(1, 0, 2))
STORED = {"turn": (8, 0, 5), "flips": (-1, 1, 1), "order": (1, 0, 2)}
TRUE = np.asarray(GRID.dataobj) > 0


def mask(centre=ellipsoids.TUMOUR, radius=14):
    return np.asarray(ellipsoids.tumour(centre, radius, **STORED).dataobj) > 0


def moved(x=0, y=0, z=0):
    return tuple(np.add(ellipsoids.TUMOUR, (x, y, z)))


@pytest.mark.parametrize(
    "shift, side",
    [
        ((9, 0, 0), "patient's right"),
        ((-9, 0, 0), "patient's left"),
        ((0, 9, 0), "front of the head"),
        ((0, -9, 0), "back of the head"),
        ((0, 0, 9), "crown"),
        ((0, 0, -9), "neck"),
    ],
)
def test_a_shifted_mask(shift, side):
    text = explain_mask(mask(moved(*shift)), TRUE, GRID, 0.9)
    assert text == f"Its size is about right, but it is 9 mm too far towards the {side}."
    assert "voxels too far" in explain_mask(mask(moved(*shift)), TRUE, mark_voxel_size_unknown(GRID), 0.9)


def test_a_mask_too_large_or_too_small():
    assert "too large, 2.1 times the truth; the extra voxels are on all sides" in explain_mask(
        mask(radius=18), TRUE, GRID, 0.9
    )
    assert "too small, 37% of the truth; the missed voxels are on all sides" in explain_mask(
        mask(radius=10), TRUE, GRID, 0.9
    )


def test_extra_voxels_on_one_side():
    text = explain_mask(TRUE | mask(moved(y=-12)), TRUE, GRID, 0.9)
    assert "too large" in text and "extra voxels are mostly towards the back of the head" in text


def test_a_mask_inside_out_or_mirrored():
    assert "inverted" in explain_mask(~TRUE, TRUE, GRID, 0.9)
    for axis in range(3):
        assert f"mirrored along axis {'ijk'[axis]}" in explain_mask(np.flip(TRUE, axis), TRUE, GRID, 0.9)


def test_a_mask_of_the_wrong_shape_in_the_right_place():
    shape, affine = ellipsoids.grid(**STORED)
    flat = ellipsoids.ellipsoid(shape, affine, ellipsoids.TUMOUR, (22, 14, 9))
    assert "its shape is not" in explain_mask(flat, TRUE, GRID, 0.9)


LOG_FIELD = 0.2 * np.sin(np.linspace(0, 6, 500))


@pytest.mark.parametrize(
    "found, words",
    [
        (-LOG_FIELD + 1, "inverted"),
        (0.3 * LOG_FIELD, "too flat"),
        (np.zeros(500), "too flat"),
        (2.5 * LOG_FIELD, "too strong"),
        (np.roll(LOG_FIELD, 120), "another shape"),
    ],
)
def test_fields(found, words):
    assert words in explain_field(found, LOG_FIELD, 0.03)


def rigid(angle=0, x=0, y=0, z=0):
    return nib.affines.from_matvec(Rotation.from_euler("z", angle, degrees=True).as_matrix(), (x, y, z))


TRUTH = rigid(15, 6, -4, 9)
POINTS = np.argwhere(np.ones((9, 9, 9))) * 12.0 - 48


@pytest.mark.parametrize(
    "matrix, words",
    [
        (np.eye(4), "identity"),
        (np.linalg.inv(TRUTH), "inverse"),
        (TRUTH.T, "transposed"),
        (rigid(15, 11, -4, 9), "off by 5.0, 0.0, 0.0 mm along x, y, z"),
        (rigid(40, 6, -4, 9), "The translation is right; the rotation is not"),
        (rigid(40, 16, -4, 9), "Both rotation and translation"),
        (np.zeros((4, 4)), "Both rotation and translation"),
    ],
)
def test_transforms(matrix, words):
    assert words in explain_transform(matrix, TRUTH, POINTS, 1.0)


def test_distance_between_transforms():
    assert mean_distance(rigid(x=3, y=4), np.eye(4), POINTS) == pytest.approx(5)
