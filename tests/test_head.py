"""The head against the air: a known threshold, and a head without holes."""

import nibabel as nib
import numpy as np
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import ImageError
from epitome_kit.images import same_grid
from epitome_kit.preprocess.head import cut_outliers, darken_air, find_head, largest_piece, robust_range


def _cube(shape, low, high):
    cube = np.zeros(shape, bool)
    cube[tuple(slice(low, high) for _ in range(3))] = True
    return cube


def test_the_threshold_is_a_tenth_of_the_way_from_dark_to_bright():
    assert robust_range(np.arange(101.0)) == pytest.approx((2, 11.6, 98))


def test_the_largest_piece_is_kept_and_filled():
    mask = _cube((20, 20, 20), 2, 12) & ~_cube((20, 20, 20), 5, 8)
    mask[15:18, 15:18, 15:18] = True
    assert np.array_equal(largest_piece(mask), _cube((20, 20, 20), 2, 12))
    assert not largest_piece(np.zeros((3, 3, 3), bool)).any()


def test_a_head_has_no_cavities_even_where_they_are_open_in_the_next_slice():
    data = 100.0 * _cube((24, 24, 24), 3, 21)
    data[8:12, 8:12, 10:] = 0
    data[0, 0, 0] = 90
    image = nib.Nifti1Image(data, np.diag([2, 2, 2, 1]))
    found = find_head(image)
    assert same_grid(found, image) and found.get_data_dtype() == np.uint8
    assert np.array_equal(found.get_fdata() > 0, _cube((24, 24, 24), 3, 21)), "the well is filled, the speck is left"


def test_a_file_that_is_not_there_is_three_lines(tmp_path):
    with raises_three_lines(ImageError, "find_head", tmp_path / "no.nii.gz"):
        find_head(tmp_path / "no.nii.gz")


def test_values_far_from_all_others_are_cut_and_counted():
    data = np.random.default_rng(0).uniform(0, 100, (30, 30, 30)).astype(np.float32)
    same, count = cut_outliers(data)
    assert same is data and count == 0
    data[3, 3, 3], data[4, 4, 4], data[5, 5, 5] = 1e6, -1e6, 450
    cut, count = cut_outliers(data)
    assert count == 2 and 99 < cut[3, 3, 3] < 100 and 0 < cut[4, 4, 4] < 1
    assert cut[5, 5, 5] == 450, "less than four times the range above all others"
    assert np.count_nonzero(cut != data) == 2


def test_a_mask_has_no_outliers():
    mask = np.zeros((30, 30, 30), np.uint8)
    mask[3, 3, 3] = 1
    assert cut_outliers(mask)[1] == 0


def test_air_of_standard_scores_is_made_the_darkest():
    inside = _cube((24, 24, 24), 6, 18)
    scores = np.where(inside, np.random.default_rng(0).normal(0, 1, inside.shape), 0).astype(np.float32)
    dark = darken_air(nib.Nifti1Image(scores, np.eye(4))).get_fdata()
    assert np.array_equal(dark[inside], scores[inside]) and (dark[~inside] == scores.min()).all()
    usual = nib.Nifti1Image(np.where(inside, 100 + scores, 3).astype(np.float32), np.eye(4))
    assert darken_air(usual) is usual
