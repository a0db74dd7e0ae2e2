"""A simulated second session: close to the first, noisier by its own noise, never out of the brain."""

import numpy as np
import pytest
from scipy import ndimage

from epitome_kit.learn.perturbation import noise_sd, outline_again, scan_again
from epitome_kit.metrics import dice

SHAPE = (30, 32, 28)


def _ball(radius):
    return sum((axis - (n - 1) / 2) ** 2 for axis, n in zip(np.indices(SHAPE), SHAPE, strict=True)) < radius**2


def _head(noise=0.1, seed=0):
    """Normalised scans of two contrasts with smooth anatomy; the second contrast is missing."""
    rng, brain = np.random.default_rng(seed), _ball(12)
    anatomy = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 2.5)
    scan = anatomy / anatomy[brain].std() + noise * rng.standard_normal(SHAPE)
    return np.stack([scan * brain, np.zeros(SHAPE)], axis=-1).astype(np.float32)


@pytest.mark.parametrize("noise", [0.05, 0.2, 0.5])
def test_the_noise_of_a_scan_is_found(noise):
    head = _head(noise)
    assert noise_sd(head[..., 0], _ball(12)) == pytest.approx(noise, rel=0.2)
    assert noise_sd(head[..., 0], np.zeros(SHAPE, bool)) == 0


def test_a_second_scan_is_like_the_first_and_normalised_again():
    head = _head()
    again = scan_again(head, np.random.default_rng(0), spacing_mm=(3, 3, 3))
    first, second = (np.any(each, axis=-1) for each in (head, again))
    assert dice(first, second) > 0.9
    both = first & second
    assert 0.8 < np.corrcoef(head[both][:, 0], again[both][:, 0])[0, 1] < 0.995
    low, middle, high = np.quantile(again[second][:, 0], (0.25, 0.5, 0.75))
    assert middle == pytest.approx(0, abs=1e-3) and (high - low) / 1.349 == pytest.approx(1, abs=0.01)
    assert again.dtype == np.float32 and not again[..., 1].any(), "a missing contrast stays missing"


def test_it_depends_on_the_seed_alone():
    head, spacing = _head(), (3, 3, 3)
    one, same, other = (scan_again(head, np.random.default_rng(seed), spacing_mm=spacing) for seed in (1, 1, 2))
    assert (one == same).all() and (one != other).any()


def test_a_noisier_scan_changes_more_between_sessions():
    def change(noise):
        pair = [scan_again(_head(noise), np.random.default_rng(seed), spacing_mm=(3, 3, 3)) for seed in (1, 2)]
        both = np.all([each[..., 0] != 0 for each in pair], axis=0)
        return np.corrcoef(*(each[both][:, 0] for each in pair))[0, 1]

    assert change(0.05) > change(0.5) + 0.1


def test_a_second_outline_moves_by_about_a_voxel_and_stays_in_the_brain():
    region, brain = _ball(6), np.indices(SHAPE)[0] < 17
    outlines = [outline_again(region & brain, brain, np.random.default_rng(seed)) for seed in range(20)]
    distance = np.abs(ndimage.distance_transform_edt(region) - ndimage.distance_transform_edt(~region))
    moved = [distance[brain & (each ^ region)] for each in outlines]
    assert 0.4 < np.mean([np.sqrt((each**2).mean()) for each in moved]) < 2
    assert not any((each & ~brain).any() for each in outlines)
    assert 0.75 < np.mean([dice(each, region & brain) for each in outlines]) < 0.97
    assert all(ndimage.label(each)[1] == 1 for each in outlines)


def test_the_smallest_region_is_never_lost():
    voxel = np.zeros(SHAPE, bool)
    voxel[0, 0, 0] = True
    assert all(outline_again(voxel, voxel, np.random.default_rng(seed)).any() for seed in range(10))
    empty = np.zeros(SHAPE, bool)
    assert not outline_again(empty, voxel, np.random.default_rng(0)).any()
