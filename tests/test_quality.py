"""Quality: what a correction leaves of the bias is told from what it does to the anatomy."""

import ellipsoids
import numpy as np
import pytest
from scipy import ndimage
from tiny import raises_three_lines

from epitome_kit.errors import ImageError
from epitome_kit.images import new_image_like
from epitome_kit.preprocess.quality import log_residual_sd, split_correction_error

CLEAN, BRAIN = ellipsoids.head(), ellipsoids.brain()
INSIDE = np.asarray(BRAIN.dataobj) > 0
FIELD = np.exp(np.linspace(-0.2, 0.2, CLEAN.shape[0], dtype=np.float32))[:, None, None] * np.ones(CLEAN.shape)
SCAN = new_image_like((CLEAN.get_fdata() * FIELD).astype(np.float32), CLEAN)


def split(corrected):
    return split_correction_error(
        new_image_like(corrected.astype(np.float32), CLEAN), SCAN, new_image_like(FIELD, CLEAN), BRAIN
    )


def test_a_perfect_correction_leaves_nothing_whatever_its_scale():
    assert split(3.7 * CLEAN.get_fdata()) == pytest.approx((0, 0), abs=1e-4)


def test_no_correction_leaves_the_bias_and_the_detail():
    left, changed = split(SCAN.get_fdata())
    assert left == pytest.approx(np.log(FIELD[INSIDE]).std(), rel=0.15)
    assert changed < 0.2 * left


def test_a_blur_leaves_the_bias_and_takes_the_detail():
    left, changed = split(ndimage.gaussian_filter(SCAN.get_fdata(), 1))
    assert left == pytest.approx(split(SCAN.get_fdata())[0], rel=0.2)
    assert changed > 5 * split(SCAN.get_fdata())[1]


def test_half_a_correction_leaves_half():
    left, _ = split(CLEAN.get_fdata() * np.sqrt(FIELD))
    assert left == pytest.approx(split(SCAN.get_fdata())[0] / 2, rel=0.02)
    assert log_residual_sd(np.sqrt(FIELD[INSIDE]), FIELD[INSIDE]) == pytest.approx(np.log(FIELD[INSIDE]).std() / 2)


def test_a_mask_on_another_grid_is_three_lines():
    with raises_three_lines(ImageError, "split_correction_error"):
        split_correction_error(SCAN, SCAN, new_image_like(FIELD, CLEAN), ellipsoids.brain(shape=(10, 10, 10)))
