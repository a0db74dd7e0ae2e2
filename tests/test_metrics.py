"""Agreement of two masks: known answers, laws, and the same numbers as DeepMind's surface-distance."""

import numpy as np
import pytest
import surface_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from epitome_kit.metrics import auc, auc_of_ranks, dice, hausdorff95_mm, mean_ci95, volume_error_pct

SPACINGS = [(1, 1, 1), (0.5, 0.5, 6), (0.94, 0.94, 3), (6.5, 0.78, 0.78), (0.7, 1.3, 3.1)]


def _mask(size, *inside):
    mask = np.zeros(size, bool)
    mask[list(inside)] = True
    return mask


def _box(*sides, at=(4, 4, 4), shape=(24, 24, 24)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(start, start + side) for start, side in zip(at, sides, strict=True))] = True
    return mask


def _ball(radius, centre=(12, 12, 12), shape=(24, 24, 24)):
    return sum((axis - middle) ** 2 for axis, middle in zip(np.indices(shape), centre, strict=True)) <= radius**2


SHAPES = {
    "box in a box": (_box(12, 12, 12), _box(6, 6, 6, at=(7, 7, 7))),
    "boxes apart": (_box(4, 5, 6), _box(3, 3, 3, at=(18, 17, 16))),
    "balls": (_ball(8), _ball(7, centre=(13, 11, 12))),
    "a ball and a sheet": (_ball(6), _box(16, 16, 1)),
    "a voxel in each corner": (_box(1, 1, 1, at=(0, 0, 0)), _box(1, 1, 1, at=(23, 23, 23))),
    "at the edge": (_box(24, 24, 5, at=(0, 0, 0)), _box(24, 20, 7, at=(0, 4, 0))),
    "the whole array": (np.ones((6, 5, 4), bool), _box(3, 3, 3, at=(1, 1, 1), shape=(6, 5, 4))),
    "a hollow box": (_box(12, 12, 12) & ~_box(8, 8, 8, at=(6, 6, 6)), _box(12, 12, 12)),
}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [((1, 2), (1, 2), 1.0), ((1, 2), (3, 4), 0.0), ((1, 2, 3), (3,), 0.5), ((), (1,), 0.0), ((), (), 1.0)],
)
def test_known_overlaps(first, second, expected):
    assert dice(_mask(6, *first), _mask(6, *second)) == expected


@given(first=st.sets(st.integers(0, 19)), second=st.sets(st.integers(0, 19)))
def test_it_is_symmetric_and_a_fraction(first, second):
    masks = _mask(20, *first), _mask(20, *second)
    assert dice(*masks) == dice(*masks[::-1])
    assert 0 <= dice(*masks) <= 1 and (dice(*masks) == 1) == (first == second)


@pytest.mark.parametrize(
    ("found", "reference", "expected"),
    [((1, 2, 3), (1, 2), 50), ((1,), (2, 3, 4, 5), -75), ((), (1,), -100), ((), (), 0), ((1,), (), np.inf)],
)
def test_the_volume_error_has_a_sign(found, reference, expected):
    assert volume_error_pct(_mask(6, *found), _mask(6, *reference)) == expected


def _compare(first, second, spacing):
    distances = surface_distance.compute_surface_distances(first, second, spacing)
    theirs = [
        surface_distance.compute_dice_coefficient(first, second),
        surface_distance.compute_robust_hausdorff(distances, 95),
    ]
    assert [dice(first, second), hausdorff95_mm(first, second, spacing)] == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("name", SHAPES)
def test_known_shapes_agree_with_the_peer(name, spacing):
    _compare(*SHAPES[name], spacing)


_PAIRS = array_shapes(min_dims=3, max_dims=3, max_side=9).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)).filter(lambda pair: all(map(np.any, pair)))
)


@settings(max_examples=200, deadline=None)
@given(pair=_PAIRS, spacing=st.tuples(*[st.floats(0.3, 7)] * 3))
def test_random_masks_agree_with_the_peer(pair, spacing):
    _compare(*pair, spacing)


def test_noise_agrees_with_the_peer():
    rng = np.random.default_rng(0)
    for _ in range(300):
        shape, spacing = rng.integers(2, 12, 3), rng.choice([0.5, 0.94, 1, 3, 6.5], 3)
        first, second = (rng.random(shape) < share for share in rng.uniform(0.1, 0.9, 2))
        if first.any() and second.any():
            _compare(first, second, spacing)


def test_a_sheet_moved_by_six_slices_is_six_slices_away():
    first, second = _box(16, 16, 1, at=(4, 4, 4)), _box(16, 16, 1, at=(4, 4, 10))
    assert hausdorff95_mm(first, second, (1, 1, 2.5)) == pytest.approx(6 * 2.5)


def test_a_mask_agrees_with_itself():
    ball = _ball(7)
    assert hausdorff95_mm(ball, ball, (1, 1, 3)) == 0


@pytest.mark.parametrize("size", [0.5, 3.0])
def test_distances_grow_with_the_voxels(size):
    pair = SHAPES["balls"]
    assert hausdorff95_mm(*pair, (size,) * 3) == pytest.approx(size * hausdorff95_mm(*pair, (1, 1, 1)))


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_the_order_of_the_axes_and_of_the_masks_does_not_matter(axes):
    spacing = np.array((0.7, 1.3, 3.1))
    first, second = SHAPES["balls"]
    turned = [mask.transpose(axes)[::-1] for mask in (second, first)]
    assert hausdorff95_mm(*turned, spacing[list(axes)]) == pytest.approx(hausdorff95_mm(first, second, spacing))


def test_empty_masks_agree_with_each_other_and_with_nothing_else():
    nothing, ball = np.zeros((24, 24, 24), bool), _ball(5)
    for pair, distance in (((nothing, nothing), 0), ((ball, nothing), np.inf), ((nothing, ball), np.inf)):
        assert hausdorff95_mm(*pair, (1, 1, 1)) == distance


def test_the_interval_of_a_mean_holds_the_mean_and_narrows_with_n():
    random = np.random.default_rng(1)
    small, large = random.normal(0.8, 0.1, 20), random.normal(0.8, 0.1, 2000)
    low, high = mean_ci95(small)
    assert low < small.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * small.std() / np.sqrt(20), rel=0.1)
    assert mean_ci95(large)[1] - mean_ci95(large)[0] < (high - low) / 5
    assert mean_ci95([0.5, 0.6]) is None


def test_the_area_under_the_curve_is_that_of_scikit_learn_for_one_score_and_for_many():
    random = np.random.default_rng(2)
    labels, scores = np.arange(40) % 3 == 0, random.integers(0, 9, (40, 5))
    known = [roc_auc_score(labels, column) for column in scores.T]
    assert [auc(labels.astype(int), column) for column in scores.T] == pytest.approx(known, abs=1e-15)
    assert auc_of_ranks(rankdata(scores, axis=0), labels) == pytest.approx(known, abs=1e-15)
