"""Codebooks: the same budget, exact errors, and an epitome that wins where parts repeat at every offset."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epitome_kit.epitome.baselines import METHODS, baseline_error, codebook_size, compare_codebooks, kmeans_patches
from epitome_kit.epitome.patches import split_halves, take_patches


@pytest.mark.parametrize(
    ("shape", "size", "count"), [((12, 12, 12), (5, 5, 5), 13), ((8, 8, 8), (3, 3, 3), 18), ((3, 3, 3), (5, 5, 5), 1)]
)
def test_a_codebook_has_no_more_voxels_than_the_epitome(shape, size, count):
    assert codebook_size(shape, size) == count
    assert count == 1 or count * np.prod(size) <= np.prod(shape) < (count + 1) * np.prod(size)


@given(seed=st.integers(0, 1000), count=st.integers(1, 6))
def test_the_error_is_that_of_the_nearest_entry(seed, count):
    rng = np.random.default_rng(seed)
    book, patches = rng.normal(size=(count, 2, 3, 1, 2)), rng.normal(size=(7, 2, 3, 1, 2))
    every = ((patches[:, None] - book) ** 2).mean(axis=(2, 3, 4, 5))
    assert baseline_error(book, patches) == pytest.approx(every.min(axis=1))
    assert baseline_error(patches, patches) == pytest.approx(0, abs=1e-12)


def test_kmeans_finds_clusters_that_are_far_apart():
    words = 10 * np.random.default_rng(1).normal(size=(3, 3, 3, 3, 1))
    patches = np.repeat(words, 20, axis=0) + 0.1 * np.random.default_rng(2).normal(size=(60, 3, 3, 3, 1))
    book = kmeans_patches(patches, 3, seed=0)
    assert baseline_error(book, words).max() < 0.01 and book.shape == (3, 3, 3, 3, 1)
    assert np.array_equal(book, kmeans_patches(patches, 3, seed=0)), "the same seed, the same centres"
    assert len(kmeans_patches(patches[:2], 5)) == 2, "no more centres than patches"


def test_an_epitome_explains_new_parts_of_a_texture_better_at_the_same_budget():
    texture = np.random.default_rng(5).normal(size=(6, 6, 6, 1))
    scans = np.tile(texture, (4, 3, 3, 1)) + 0.2 * np.random.default_rng(6).normal(size=(24, 18, 18, 1))
    mask = np.ones(scans.shape[:3], bool)
    mask[:, :4] = mask[:, -4:] = mask[:, :, :4] = mask[:, :, -4:] = mask[:3] = mask[-3:] = False
    patches = take_patches(scans, mask, 3)
    train, test = (patches[half] for half in split_halves(mask, 3))
    errors = {name: each.mean() for name, each in compare_codebooks(train, test, 6, iterations=20).items()}
    assert tuple(errors) == METHODS
    assert errors["epitome"] < 0.5 * errors["kmeans"] < 0.5 * errors["random"]
