"""Dice: from nothing in common to the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epitome_kit.overlap import dice


def _mask(size, *inside):
    mask = np.zeros(size, bool)
    mask[list(inside)] = True
    return mask


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
