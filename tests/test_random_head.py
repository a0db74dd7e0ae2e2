"""Wild heads: every draw another contrast, always with its brain; and the scale that networks see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epitome_kit.images import GRID_MM, unit_range
from epitome_kit.simulate.random_head import random_head


@pytest.fixture(scope="module")
def heads():
    return [random_head(np.random.default_rng(seed)) for seed in range(8)]


def test_a_head_and_its_brain_share_a_grid_and_a_range(heads):
    for image, brain in heads:
        assert image.shape == brain.shape == (64, 64, 64)
        assert image.dtype == brain.dtype == np.float32
        assert (image.min(), image.max()) == pytest.approx((0, 1), abs=0.05)
        assert brain.min() >= 0 and brain.max() <= 1


def test_brains_have_the_size_of_brains(heads):
    litres = np.array([brain.sum() * GRID_MM**3 / 1e6 for _, brain in heads])
    assert ((litres > 0.6) & (litres < 2.6)).all(), "a cropped field of view may cut some"
    assert litres.std() > 0.05


def test_there_is_a_brain_in_the_picture(heads):
    for image, brain in heads:
        inside, outside = image[brain > 0.5], image[brain < 0.5]
        assert np.median(inside) > np.median(outside) + 0.02


def test_contrast_is_random(heads):
    """What is around the brain is brighter in some heads and darker in others."""
    ratios = []
    for image, brain in heads:
        around = (brain < 0.05) & (image > 0.15)
        ratios.append(np.median(image[brain > 0.95]) / np.median(image[around]) if around.any() else 2.0)
    assert min(ratios) < 0.9 and max(ratios) > 1.1


def test_the_generator_decides(heads):
    again, brain = random_head(np.random.default_rng(0))
    assert np.array_equal(again, heads[0][0]) and np.array_equal(brain, heads[0][1])
    assert not np.allclose(heads[0][0], heads[1][0])


@given(gain=st.floats(0.01, 5000), seed=st.integers(0, 50))
def test_the_scale_does_not_depend_on_the_gain_of_the_scanner(gain, seed):
    data = np.random.default_rng(seed).gamma(1.0, 1.0, (6, 7, 8))
    assert unit_range(data * gain) == pytest.approx(unit_range(data), abs=1e-4)


@given(seed=st.integers(0, 50))
def test_the_scale_keeps_the_order_and_ends_at_zero_and_one(seed):
    data = np.random.default_rng(seed).normal(0, 3, (6, 7, 8))
    scaled = unit_range(data)
    assert scaled.dtype == np.float32 and scaled.min() == 0 and scaled.max() == 1
    order = np.argsort(data, axis=None)
    assert (np.diff(scaled.ravel()[order]) >= 0).all()


def test_nothing_stays_nothing():
    assert not unit_range(np.zeros((3, 3, 3))).any()
