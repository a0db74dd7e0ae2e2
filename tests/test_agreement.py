"""Intraclass correlation: known values are found, its interval covers, and garbage does not agree."""

import numpy as np
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import ParameterError
from epitome_kit.learn.agreement import intraclass_correlation

RATINGS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]).T
"""Four judges of six subjects: table 2 of Shrout and Fleiss (1979)."""


def _measure(icc, shift=0.0, *, n=40, k=4, features=1, seed=0):
    """Measurements (k, n, features); `shift` is the share of the variance of the error that is one of a session."""
    rng = np.random.default_rng(seed)
    subjects = np.sqrt(icc) * rng.standard_normal((n, features))
    sessions = np.sqrt((1 - icc) * shift) * rng.standard_normal((k, 1, features))
    return subjects + sessions + np.sqrt((1 - icc) * (1 - shift)) * rng.standard_normal((k, n, features))


def test_the_example_of_shrout_and_fleiss():
    icc, low = intraclass_correlation(RATINGS)
    assert icc == pytest.approx(0.29, abs=0.005) and low == pytest.approx(0.02, abs=0.005)


@pytest.mark.parametrize("icc", [0.3, 0.75, 0.95])
def test_a_known_icc_is_found_and_its_interval_covers_it(icc):
    found, low = intraclass_correlation(_measure(icc, n=40, features=4000))
    assert np.median(found) == pytest.approx(icc, abs=0.02)
    assert 0.965 < (low <= icc).mean() < 0.985, "97.5 % nominal: the lower bound of a two-sided 95 % interval"


def test_with_sessions_that_differ_the_lower_bound_covers_nearly():
    """The interval approximates the freedom of four sessions; none of them is known better."""
    found, low = intraclass_correlation(_measure(0.75, 0.3, n=40, k=4, features=4000))
    assert np.median(found) == pytest.approx(0.75, abs=0.05)
    assert 0.93 < (low <= 0.75).mean() < 0.985


def test_shuffled_sessions_do_not_agree():
    measured = _measure(0.99, k=2, features=200)
    measured[1] = np.random.default_rng(1).permutation(measured[1])
    icc, low = intraclass_correlation(measured)
    assert abs(icc.mean()) < 0.05 and (low < 0.25).all()


def test_a_shift_lowers_it_and_a_constant_or_missing_feature_has_none():
    first = np.random.default_rng(0).standard_normal(30)
    assert intraclass_correlation(np.array([first, first]))[0] == 1
    assert intraclass_correlation(np.array([first, first + 2]))[0] < 0.5
    constant, missing = np.ones(30), np.where(np.arange(30) == 3, np.nan, first)
    icc, low = intraclass_correlation(np.stack([np.column_stack([first, constant, missing])] * 2))
    assert icc.tolist() == low.tolist() == [1, 0, 0]


@pytest.mark.parametrize("shape", [(1, 9), (2, 2)])
def test_too_few_are_refused(shape):
    with raises_three_lines(ParameterError, f"{shape[0]} of {shape[1]}"):
        intraclass_correlation(np.zeros(shape))
