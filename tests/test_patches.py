"""Patches: cut out, put back, and held out without a shared voxel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import raises_three_lines

from epitome_kit.epitome.patches import assemble_patches, split_halves, take_patches
from epitome_kit.errors import ImageError, ParameterError

SHAPE = (9, 8, 7)


def scans(seed=0, contrasts=2):
    return np.random.default_rng(seed).normal(size=(*SHAPE, contrasts)).astype(np.float32)


def some_mask(seed, share=0.1):
    return np.random.default_rng(seed).random(SHAPE) < share


def test_a_patch_is_the_box_around_its_voxel():
    grey, mask = scans(), np.zeros(SHAPE, bool)
    mask[4, 3, 2] = mask[0, 0, 0] = True
    corner, middle = take_patches(grey, mask, (3, 5, 3))
    assert np.array_equal(middle, grey[3:6, 1:6, 1:4])
    assert np.array_equal(corner[1:, 2:, 1:], grey[:2, :3, :2])
    assert not corner[0].any() and not corner[:, :2].any() and not corner[:, :, 0].any(), "nothing beyond the edge"


@given(seed=st.integers(0, 1000), size=st.sampled_from([1, 3, 5, (1, 3, 5)]))
def test_patches_put_back_give_the_scan_where_they_lie(seed, size):
    grey, mask = scans(seed), some_mask(seed)
    mask[4, 4, 3] = True
    laid = assemble_patches(take_patches(grey, mask, size), mask)
    assert np.allclose(laid[mask], grey[mask], atol=1e-6)
    covered = np.isfinite(laid)
    assert np.allclose(laid[covered], grey[covered], atol=1e-6)
    reach = np.broadcast_to(size, 3) // 2
    places = np.argwhere(mask)
    near = (np.abs(np.argwhere(np.ones(SHAPE))[:, None] - places) <= reach).all(-1).any(-1).reshape(SHAPE)
    assert np.array_equal(covered.all(-1), near)


def test_where_patches_overlap_they_are_averaged():
    mask = np.zeros(SHAPE, bool)
    mask[3, 3, 3] = mask[5, 3, 3] = True
    patches = np.stack([np.full((3, 3, 3, 1), 1.0), np.full((3, 3, 3, 1), 4.0)])
    laid = assemble_patches(patches, mask)[:, 3, 3, 0]
    assert np.array_equal(laid[2:7], [1, 1, 2.5, 4, 4])
    assert np.isnan(laid[[0, 1, 7, 8]]).all()


@given(seed=st.integers(0, 1000), share=st.floats(0.05, 1), size=st.sampled_from([1, 3, 5]))
def test_patches_of_the_two_halves_share_no_voxel(seed, share, size):
    mask = some_mask(seed, share)
    lower, upper = split_halves(mask, size)
    assert len(lower) == len(upper) == mask.sum() and not (lower & upper).any()
    places = np.argwhere(mask)
    if lower.any() and upper.any():
        apart = np.abs(places[lower][:, None] - places[upper]).max(-1).min()
        assert apart >= size, "they overlap"
        left_out = places[~(lower | upper)]
        axis = np.ptp(places, axis=0).argmax()
        assert len(left_out) == 0 or np.ptp(left_out[:, axis]) < size - 1, "no more than the slab is left out"


def test_an_empty_mask_has_no_patches():
    nothing = np.zeros(SHAPE, bool)
    assert take_patches(scans(), nothing, 3).shape == (0, 3, 3, 3, 2)
    assert np.isnan(assemble_patches(take_patches(scans(), nothing, 3), nothing)).all()
    assert [len(half) for half in split_halves(nothing)] == [0, 0]


@pytest.mark.parametrize("size", [4, 0, (3, 3, 2)])
def test_a_patch_without_a_middle_is_three_lines(size):
    with raises_three_lines(ParameterError, "take_patches", "odd"):
        take_patches(scans(), some_mask(0), size)


def test_a_mask_of_another_grid_is_three_lines():
    with raises_three_lines(ImageError, "take_patches", "(9, 8, 7, 2)"):
        take_patches(scans(), np.ones((9, 8, 8)), 3)
