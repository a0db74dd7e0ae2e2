"""Volume intervals: they hold the truth as often as they say, and say nothing on too little."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epitome_kit.tumour.conformal import boundary_uncertainty, nonconformity_score, possible_volumes, unseen_error
from epitome_kit.tumour.conformal import volume_interval as interval_of_level

volume_interval = partial(interval_of_level, level=0.9)

VOLUMES = st.floats(0, 1e6)
SPREADS = st.floats(0.05, 5)
SCORES = st.lists(st.floats(0, 3), min_size=30, max_size=60)


def _drawn(rng, n):
    """Volumes that were found, true ones, and spreads that tell how far apart they tend to be."""
    true, spread = rng.lognormal(8, 1, n), rng.uniform(0.05, 1, n)
    return true * np.exp(spread * rng.standard_t(4, n)), true, spread


def test_nine_in_ten_intervals_hold_the_truth():
    rng, held = np.random.default_rng(0), []
    for _ in range(400):
        found, true, spread = _drawn(rng, 41)
        off = nonconformity_score(found, true, spread)
        low, high = volume_interval(found[0], spread[0], off[1:])
        held.append(low <= true[0] <= high)
    assert 0.87 < np.mean(held) < 0.94


def test_an_interval_holds_exactly_the_volumes_that_are_off_by_no_more():
    """Of ten, the eleventh share of 0.9 is the tenth smallest."""
    found, spread, scores = 100.0, 0.5, np.linspace(0.1, 1, 10)
    low, high = volume_interval(found, spread, scores)
    assert nonconformity_score(found, low, spread) == pytest.approx(1) and nonconformity_score(
        found, high, spread
    ) == pytest.approx(1)
    assert volume_interval(found, spread, scores, level=0.5) == pytest.approx(
        (101 / np.exp(0.3) - 1, 101 * np.exp(0.3) - 1)
    )


@given(volume=VOLUMES, spread=SPREADS, scores=SCORES, levels=st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)))
def test_a_higher_level_is_wider_and_every_interval_holds_its_volume(volume, spread, scores, levels):
    (low, high), (lower, higher) = (volume_interval(volume, spread, scores, level=each) for each in sorted(levels))
    slack = 1e-9 * (volume + 1)
    assert 0 <= lower <= low <= volume + slack and volume - slack <= high <= higher


@given(volume=VOLUMES, spread=SPREADS, scores=SCORES, ml=st.floats(1e-3, 10))
def test_the_unit_does_not_matter(volume, spread, scores, ml):
    in_ml = volume_interval(volume * ml, spread, scores, one=ml)
    assert in_ml == pytest.approx(np.multiply(volume_interval(volume, spread, scores), ml), rel=1e-6, abs=1e-6)


@given(volume=VOLUMES, scores=SCORES, spreads=st.tuples(SPREADS, SPREADS))
def test_a_blurred_map_is_less_sure(volume, scores, spreads):
    sharp, blurred = (volume_interval(volume, spread, scores) for spread in sorted(spreads))
    assert blurred[0] <= sharp[0] and sharp[1] <= blurred[1]


@given(volume=VOLUMES, spread=SPREADS, scores=SCORES)
def test_the_order_of_those_that_calibrate_does_not_matter(volume, spread, scores):
    assert volume_interval(volume, spread, scores) == volume_interval(volume, spread, sorted(scores)[::-1])


@pytest.mark.parametrize(("subjects", "level", "enough"), [(8, 0.9, False), (9, 0.9, True), (0, 0.5, False)])
def test_too_few_subjects_tell_nothing(subjects, level, enough):
    interval = volume_interval(10.0, 0.1, [0.5] * subjects, level=level)
    assert np.isfinite(interval).all() == enough and np.isnan(interval).any() != enough


def test_a_missing_volume_has_a_missing_interval():
    assert np.isnan(volume_interval(np.nan, 0.1, [0.5] * 20, one=np.nan)).all()


def test_nothing_found_may_still_be_something_small():
    low, high = volume_interval(0, 0.5, [2.0] * 20)
    assert low == 0 and high == pytest.approx(np.e - 1)


def test_the_spread_is_the_log_of_two_volumes():
    probability = np.zeros((10, 10, 10))
    assert boundary_uncertainty(probability) == boundary_uncertainty(probability + 1) == 0.05
    probability[:, :, :4], probability[:, :, :2] = 0.5, 0.9
    assert boundary_uncertainty(probability) == pytest.approx(np.log(401 / 201) + 0.05)
    assert boundary_uncertainty(probability) > boundary_uncertainty(np.round(probability))


@given(found=VOLUMES, true=VOLUMES, spread=SPREADS)
def test_a_misfit_counts_both_ways_and_is_none_for_the_right_volume(found, true, spread):
    assert (
        nonconformity_score(found, true, spread) == pytest.approx(nonconformity_score(true, found, spread))
        and nonconformity_score(true, true, spread) == 0
    )
    assert nonconformity_score(found, true, 2 * spread) == pytest.approx(nonconformity_score(found, true, spread) / 2)


def test_what_lies_outside_the_slices_is_read_off_the_outline_and_its_error():
    """The outline holds twice as much outside as on the slices, the tumour three times as much."""
    found, true, found_on, true_on = 3e6, 8e6, 1e6, 2e6
    unseen = unseen_error(found, true, found_on, true_on)
    assert unseen == pytest.approx(np.log(1.5), rel=1e-5)
    volumes = possible_volumes([found, found], [found_on, 0.0], [true_on, true_on], [0.0, unseen, 9.0])
    assert volumes.shape == (2, 3) and volumes[0, :2] == pytest.approx([6e6, true], rel=1e-5)
    assert (volumes >= true_on).all() and (volumes[1] > 1e9).all(), "nothing was found where the tumour is"


@given(volumes=st.tuples(VOLUMES, VOLUMES, VOLUMES, VOLUMES))
def test_the_error_outside_the_slices_leads_back_to_the_whole(volumes):
    found_on, true_on, outside, unseen = volumes
    error = unseen_error(found_on + outside, true_on + unseen, found_on, true_on)
    whole = possible_volumes([found_on + outside], [found_on], [true_on], [error])
    assert whole[0, 0] == pytest.approx(true_on + unseen, rel=1e-6, abs=1e-3)
