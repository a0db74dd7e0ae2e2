"""RANO: which lesions are large enough to be followed."""

import numpy as np
import pytest

from epitome_kit.tumour.diameters import Outline, find_outlines, in_plane, is_measurable, longest


def _discs(*diameters, lesion=1):
    return [Outline(index, lesion, each, each) for index, each in enumerate(diameters)]


@pytest.mark.parametrize(
    ("diameters", "distance_mm", "expected"),
    [
        ((12, 12), 3, True),
        ((12, 9.9), 3, False),
        ((30,), 3, False),
        ((9, 12, 9, 12), 1, True),
        ((12, 12), 5, True),
        ((12, 12), 6.5, False),
        ((13, 13), 6.5, True),
        ((), 3, False),
    ],
)
def test_two_slices_with_ten_mm_or_twice_a_long_way(diameters, distance_mm, expected):
    assert is_measurable(_discs(*diameters), distance_mm) is expected


def test_both_slices_are_of_one_lesion():
    apart = [*_discs(14), Outline(1, 2, 14, 14)]
    assert not is_measurable(apart, 3) and is_measurable([*apart, Outline(2, 2, 11, 10)], 3)


def test_two_outlines_in_one_slice_are_one_slice():
    assert not is_measurable([Outline(4, 1, 20, 12), Outline(4, 1, 15, 11)], 3)


def test_both_diameters_count():
    assert not is_measurable([Outline(0, 1, 40, 9), Outline(1, 1, 40, 9)], 3)


def test_each_outline_is_measured_and_knows_its_lesion():
    slices = np.zeros((3, 20, 20), bool)
    slices[0:2, 2:10, 2:4] = slices[0, 14:16, 14:19] = slices[0, 4, 4] = True  # one voxel touches the first by a corner
    outlines = find_outlines(slices, np.diag([5.0, 1.0, 2.0]))
    assert [(each.slice, each.lesion) for each in outlines] == [(0, 1), (0, 2), (1, 1)]
    first, second, third = outlines
    assert second.long_mm == pytest.approx(np.hypot(1, 8)) and third.long_mm == pytest.approx(np.hypot(7, 2))
    assert first.long_mm >= third.long_mm


def test_a_tilted_slice_keeps_lengths_and_angles():
    matrix = np.array([[0.0, 0.8, -0.3], [1.0, 0.6, 0.8], [3.0, 0.0, 0.5]])
    pixel = in_plane(matrix)
    assert pixel.T @ pixel == pytest.approx(matrix[:, 1:].T @ matrix[:, 1:])


@pytest.mark.parametrize("points", [[[1, 2, 3]], [[0, 0, 0], [0, 0, 7]], [[0, 0, 0], [0, 3, 4], [0, 6, 8]]])
def test_points_on_a_line_are_measured_too(points):
    length, ends = longest(np.array(points, float))
    assert length == pytest.approx(np.linalg.norm(np.subtract(points[-1], points[0])))
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(length)
