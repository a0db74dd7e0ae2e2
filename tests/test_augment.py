"""Augmentation: scans and masks move together, in mm, and left may become right."""

import numpy as np
import pytest
from scipy import ndimage

from epitome_kit.learn.augmentation import SCALE, augment, draw_movement

SHAPE = (24, 20, 16)


def _blob(centre, radius):
    return np.linalg.norm(np.indices(SHAPE) - np.array(centre).reshape(3, 1, 1, 1), axis=0) < radius


HEAD = np.stack([np.where(_blob((11.5, 9.5, 7.5), 7), level, 0) for level in (2.0, -3.0)], -1).astype(np.float32)
SPOT = _blob((6, 9, 7), 3)
"""A spot on the left of the middle."""


def _dice(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


@pytest.mark.parametrize("seed", range(12))
def test_masks_stay_on_their_scans(seed):
    scan = np.where(SPOT, 8.0, HEAD[..., 0])[..., None].astype(np.float32)
    masks = np.stack([SPOT, HEAD[..., 0] > 0], -1).astype(np.uint8)
    moved, carried = augment(scan, masks, np.random.default_rng(seed))
    assert moved.shape == scan.shape and moved.dtype == np.float32
    assert carried.shape == masks.shape and carried.dtype == np.uint8 and set(np.unique(carried)) == {0, 1}
    assert _dice(moved[..., 0] > 5, carried[..., 0] > 0) > 0.85
    assert _dice(moved[..., 0] > 1, carried[..., 1] > 0) > 0.93


@pytest.mark.parametrize("seed", range(12))
def test_what_is_outside_the_head_stays_zero(seed):
    """Linear interpolation lets the edge of the head spread by a voxel."""
    brain = np.any(HEAD, -1).astype(np.uint8)
    moved, carried = augment(HEAD, brain[..., None], np.random.default_rng(seed))
    lit, inside = np.any(moved, -1), carried[..., 0] > 0
    assert (inside & ~lit).sum() < 0.02 * inside.sum()
    assert not (lit & ~ndimage.binary_dilation(inside, iterations=3)).any()


def test_some_are_mirrored_and_some_are_not():
    sides = []
    for seed in range(40):
        carried = augment(HEAD, SPOT[..., None].astype(np.uint8), np.random.default_rng(seed))[1]
        sides.append(np.argwhere(carried)[:, 0].mean() > 11.5)
    assert 10 < sum(sides) < 30


@pytest.mark.parametrize("spacing", [(3, 3, 3), (0.94, 0.94, 3), (1, 4, 2)])
def test_heads_turn_in_mm_and_never_shear(spacing):
    """In mm a movement is a turn of an orthogonal, slightly scaled frame; the grid has no part in it."""
    ratio = np.array(spacing)[:, None] / np.array(spacing)
    for seed in range(20):
        in_mm = ratio * draw_movement(np.random.default_rng(seed), spacing)[0]
        squares = in_mm.T @ in_mm
        assert squares == pytest.approx(np.diag(np.diag(squares)), abs=1e-9)
        assert np.sqrt(np.diag(squares)) == pytest.approx([1, 1, 1], abs=5 * SCALE)
        assert in_mm == pytest.approx(draw_movement(np.random.default_rng(seed), (1, 1, 1))[0])
        assert draw_movement(np.random.default_rng(seed), (6, 6, 3))[1] == pytest.approx(
            draw_movement(np.random.default_rng(seed), (3, 3, 3))[1] / [2, 2, 1]
        )


def test_only_left_and_right_are_ever_exchanged():
    """Left-right in half of the cases; front-back and up-down never."""
    signs = [np.sign(np.diag(draw_movement(np.random.default_rng(seed), (1, 1, 3))[0])) for seed in range(200)]
    assert 80 < sum(sign[0] < 0 for sign in signs) < 120 and all((sign[1:] > 0).all() for sign in signs)


@pytest.mark.parametrize("seed", range(4))
def test_an_ellipsoid_keeps_its_volume_and_its_axes_in_mm(seed):
    """Semi-axes of 20, 14 and 30 mm on slices of 3 mm: what is seen is the turned, scaled ellipsoid of the law."""
    spacing, axes = np.array([1, 1, 3.0]), np.array([20, 14, 30.0])
    shape = (64, 64, 32)
    place = (np.indices(shape).reshape(3, -1).T - (np.array(shape) - 1) / 2) * spacing
    ellipsoid = (((place / axes) ** 2).sum(1) < 1).reshape(shape).astype(np.uint8)[..., None]
    carried = augment(ellipsoid.astype(np.float32), ellipsoid, np.random.default_rng(seed), spacing_mm=spacing)[1]
    matrix, _ = draw_movement(np.random.default_rng(seed), spacing)
    back = np.linalg.inv(matrix * spacing[:, None] / spacing)
    assert carried.sum() == pytest.approx(ellipsoid.sum() * abs(np.linalg.det(back)), rel=0.03)
    found = np.cov(place[carried.ravel() > 0].T)
    assert found == pytest.approx(back @ np.cov(place[ellipsoid.ravel() > 0].T) @ back.T, abs=8), "mm squared"


def test_a_contrast_that_a_subject_lacks_stays_zero():
    lacking = HEAD * [1, 0]
    moved = augment(lacking.astype(np.float32), SPOT[..., None].astype(np.uint8), np.random.default_rng(0))[0]
    assert moved[..., 0].any() and not moved[..., 1].any()


def test_changes_are_small_and_the_generator_decides():
    spots, levels = [], []
    for seed in range(40):
        moved, carried = augment(HEAD, SPOT[..., None].astype(np.uint8), np.random.default_rng(seed))
        spots.append(carried.sum() / SPOT.sum())
        levels.append(np.median(moved[..., 0][HEAD[..., 0] > 0]))
    assert 0.05 < np.std(spots) < 0.3 and np.mean(spots) == pytest.approx(1, abs=0.1)
    assert 0.05 < np.std(levels) < 0.4 and np.mean(levels) == pytest.approx(2, abs=0.15)
    again = augment(HEAD, SPOT[..., None].astype(np.uint8), np.random.default_rng(0))[0]
    assert np.array_equal(again, augment(HEAD, SPOT[..., None].astype(np.uint8), np.random.default_rng(0))[0])
