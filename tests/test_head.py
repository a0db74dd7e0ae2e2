"""The head against the air: a known threshold, and a head without holes."""

import nibabel as nib
import numpy as np
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import BadImage
from epitome_kit.images import same_grid
from epitome_kit.preprocess.head import find_head, largest_piece, robust_range


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
    with raises_three_lines(BadImage, "find_head", tmp_path / "no.nii.gz"):
        find_head(tmp_path / "no.nii.gz")
