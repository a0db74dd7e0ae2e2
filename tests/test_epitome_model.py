"""The learned epitome: exact distances, a likelihood that never falls, and what was planted is found."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from tiny import raises_three_lines

from epitome_kit.epitome.model import (
    FLOOR,
    LearnedEpitome,
    learn_epitome,
    log_likelihood,
    posteriors,
    reconstruct,
    reconstruction_error,
    squared_distances,
)
from epitome_kit.epitome.patches import take_patches
from epitome_kit.errors import ParameterError

TEXTURE = 2 * np.random.default_rng(4).normal(size=(6, 6, 6, 2))
"""What repeats itself in all directions, every 6 voxels."""


def wrapped(image, corner, size):
    """The part of an image that wraps around, voxel by voxel."""
    return image[np.ix_(*[(np.arange(n) + c) % side for n, c, side in zip(size, corner, image.shape, strict=False)])]


def drawn_patches(n=40, size=(3, 3, 3), *, noise=0.0, seed=0, image=TEXTURE):
    """Patches of random parts of an image, with noise; and their corners."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, image.shape[:3], (n, 3))
    patches = np.stack([wrapped(image, corner, size) for corner in corners])
    return patches + noise * rng.normal(size=patches.shape), corners


def epitome_of(mean, patch=(3, 3, 3), variance=0.1):
    shape = mean.shape[:3]
    usage = np.full(shape, 1 / np.prod(shape))
    return LearnedEpitome(mean, np.full(mean.shape, variance), usage, patch, ("T1ce", "T2w"), ())


@given(seed=st.integers(0, 1000), size=st.tuples(*[st.integers(1, 4)] * 3), weighed=st.booleans())
@effort(max_examples=20)
def test_distances_by_fft_are_those_of_brute_force(seed, size, weighed):
    rng = np.random.default_rng(seed)
    mean, patches = rng.normal(size=(4, 5, 6, 2)), rng.normal(0, 3, (3, *size, 2))
    precision = rng.uniform(0.2, 20, mean.shape) if weighed else None
    found = squared_distances(patches, mean, precision)
    for corner in np.ndindex(4, 5, 6):
        weight = 1 if precision is None else wrapped(precision, corner, size)
        expected = (weight * (patches - wrapped(mean, corner, size)) ** 2).sum(axis=(1, 2, 3, 4))
        assert found[(slice(None), *corner)] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_the_likelihood_is_that_of_a_mixture_of_all_parts():
    rng = np.random.default_rng(1)
    epitome = replace(epitome_of(rng.normal(size=(3, 3, 4, 2)), (2, 1, 2)), variance=rng.uniform(0.5, 2, (3, 3, 4, 2)))
    patches = rng.normal(size=(5, 2, 1, 2, 2))
    parts = []
    for corner in np.ndindex(3, 3, 4):
        mean, variance = (wrapped(field, corner, (2, 1, 2)) for field in (epitome.mean, epitome.variance))
        density = np.exp(-((patches - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        parts.append(density.prod(axis=(1, 2, 3, 4)))
    assert log_likelihood(epitome, patches) == pytest.approx(np.log(np.mean(parts, axis=0)))
    expected = np.reshape(np.transpose(parts / np.sum(parts, axis=0)), (5, 3, 3, 4))
    assert posteriors(epitome, patches) == pytest.approx(expected)


@given(seed=st.integers(0, 1000), side=st.integers(3, 6))
@effort(max_examples=15)
def test_the_likelihood_never_falls(seed, side):
    patches, _ = drawn_patches(30, noise=1.0, seed=seed)
    epitome = learn_epitome(patches, side, iterations=12, seed=seed)
    assert len(epitome.history) == 13
    assert (np.diff(epitome.history) > -1e-9).all()
    assert epitome.history[-1] == pytest.approx(log_likelihood(epitome, patches).mean())
    assert (epitome.variance >= FLOOR).all() and epitome.usage.sum() == pytest.approx(1)


def test_a_periodic_texture_is_recovered():
    scans = np.tile(TEXTURE, (3, 3, 3, 1))
    patches = take_patches(scans, np.pad(np.ones((12, 12, 12), bool), 3), 5)
    fits = [learn_epitome(patches, 6, iterations=30, seed=seed) for seed in range(3)]
    best = max(fits, key=lambda epitome: epitome.history[-1])
    apart = squared_distances(TEXTURE[None], best.mean) / TEXTURE.size
    assert apart.min() < 1e-3, "not the texture, wherever it begins"
    assert reconstruction_error(best, patches).max() < 1e-2
    assert np.ptp(best.usage) < 0.01, "every part is needed as often"


def test_a_planted_dictionary_is_recovered_from_noisy_patches():
    words = np.random.default_rng(3).normal(0, 3, (4, 3, 3, 3, 1))
    rng = np.random.default_rng(0)
    said = rng.integers(4, size=400)
    patches = words[said] + 0.3 * rng.normal(size=(400, 3, 3, 3, 1))
    fits = [learn_epitome(patches, (6, 6, 3), iterations=20, seed=seed) for seed in range(8)]
    best = max(fits, key=lambda epitome: epitome.history[-1])
    assert reconstruction_error(best, words).max() < 0.01, "each word is a part, the noise averaged away"
    assert reconstruction_error(best, patches).mean() == pytest.approx(0.09, abs=0.01), "what is left is the noise"


def test_it_does_not_matter_where_the_epitome_begins():
    patches, _ = drawn_patches(noise=0.5)
    epitome = learn_epitome(patches, 6, iterations=3)
    moved = {name: np.roll(getattr(epitome, name), (1, 2, 5), (0, 1, 2)) for name in ("mean", "variance", "usage")}
    moved = replace(epitome, **moved)
    assert log_likelihood(moved, patches) == pytest.approx(log_likelihood(epitome, patches))
    assert reconstruction_error(moved, patches) == pytest.approx(reconstruction_error(epitome, patches))
    rolled = np.roll(posteriors(epitome, patches), (1, 2, 5), (1, 2, 3))
    assert posteriors(moved, patches) == pytest.approx(rolled, abs=1e-9)
    further = learn_epitome(patches, 6, iterations=2, start=moved)
    expected = learn_epitome(patches, 6, iterations=2, start=epitome)
    assert further.mean == pytest.approx(np.roll(expected.mean, (1, 2, 5), (0, 1, 2)))


def test_patches_find_their_places_across_the_edge():
    patches, corners = drawn_patches(200)
    weights = posteriors(epitome_of(TEXTURE), patches)
    found = np.stack(np.unravel_index(weights.reshape(200, -1).argmax(1), TEXTURE.shape[:3]), axis=1)
    assert np.array_equal(found, corners) and weights.max(axis=(1, 2, 3)) == pytest.approx(1)
    assert (corners.max(axis=1) > 3).any(), "none went across the edge"
    assert reconstruction_error(epitome_of(TEXTURE), patches) == pytest.approx(0, abs=1e-9)


def test_a_tumour_is_rebuilt_from_its_parts():
    rng = np.random.default_rng(2)
    clean = np.tile(TEXTURE, (3, 3, 3, 1))
    noisy = clean + 0.3 * rng.normal(size=clean.shape)
    mask = np.zeros(clean.shape[:3], bool)
    mask[5:12, 6:13, 7:10] = True
    rebuilt = reconstruct(epitome_of(TEXTURE), noisy, mask)
    assert rebuilt[mask] == pytest.approx(clean[mask], abs=1e-3), "the noise is not rebuilt"
    reached = np.zeros_like(mask)
    reached[4:13, 5:14, 6:11] = True
    assert np.array_equal(np.isfinite(rebuilt).all(-1), reached)
    assert np.isnan(reconstruct(epitome_of(TEXTURE), noisy, mask & False)).all()


def test_the_same_seed_gives_the_same_epitome():
    patches, _ = drawn_patches(noise=0.5)
    first, same, other = (learn_epitome(patches, 5, iterations=3, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.mean, same.mean) and np.array_equal(first.variance, same.variance)
    assert not np.allclose(first.mean, other.mean)
    assert first.contrasts == ("1", "2")
    assert learn_epitome(patches, 5, iterations=0, contrasts=("T1ce", "T2w")).contrasts == ("T1ce", "T2w")


@pytest.mark.parametrize(
    ("patches", "options", "word"),
    [
        (np.zeros((0, 3, 3, 3, 1)), {}, "at least one"),
        (np.zeros((4, 3, 3, 3)), {}, "(4, 3, 3, 3)"),
        (np.zeros((4, 3, 3, 3, 1)), {"shape": (2, 8, 8)}, "(2, 8, 8)"),
        (np.zeros((4, 3, 3, 3, 1)), {"shape": 6, "start": epitome_of(TEXTURE)}, "(6, 6, 6, 2)"),
    ],
)
def test_what_cannot_be_learned_from_is_three_lines(patches, options, word):
    with raises_three_lines(ParameterError, "learn_epitome", word):
        learn_epitome(patches, **options)
