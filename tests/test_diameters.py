"""RANO: which lesions are large enough to be followed."""

import numpy as np
import pytest
from ellipsoids import ball
from scipy import ndimage

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
    assert second.long_mm == pytest.approx(10, abs=0.5) and third.long_mm == pytest.approx(8, abs=0.8)
    assert first.perpendicular_mm > third.perpendicular_mm


def test_a_tilted_slice_keeps_lengths_and_angles():
    matrix = np.array([[0.0, 0.8, -0.3], [1.0, 0.6, 0.8], [3.0, 0.0, 0.5]])
    pixel = in_plane(matrix)
    assert pixel.T @ pixel == pytest.approx(matrix[:, 1:].T @ matrix[:, 1:])


@pytest.mark.parametrize("points", [[[1, 2, 3]], [[0, 0, 0], [0, 0, 7]], [[0, 0, 0], [0, 3, 4], [0, 6, 8]]])
def test_points_on_a_line_are_measured_too(points):
    length, ends = longest(np.array(points, float))
    assert length == pytest.approx(np.linalg.norm(np.subtract(points[-1], points[0])))
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(length)


def _errors(diameter_mm, voxel_mm, centres):
    """Errors of both diameters of balls at random centres, in voxels, shape (centres, 2)."""
    rng, found = np.random.default_rng(diameter_mm), []
    for _ in range(centres):
        outlines = find_outlines(ball(diameter_mm, voxel_mm, rng), voxel_mm * np.eye(3))
        largest = max(outlines, key=lambda outline: outline.product_mm2)
        found.append([largest.long_mm, largest.perpendicular_mm])
    return (np.array(found) - diameter_mm) / voxel_mm


@pytest.mark.parametrize(("diameter_mm", "voxel_mm"), [(10, 3), (11, 3), (14, 3), (10, 1)])
def test_a_small_ball_has_its_diameter_from_edge_to_edge(diameter_mm, voxel_mm):
    errors = _errors(diameter_mm, voxel_mm, 30)
    assert np.abs(errors.mean(axis=0)).max() <= 0.25 and np.abs(errors).mean() <= 0.25


@pytest.mark.slow
@pytest.mark.parametrize(("diameter_mm", "voxel_mm"), [(11, 1), (14, 1), (40, 1), (40, 3)])
def test_a_ball_has_its_diameter_from_edge_to_edge(diameter_mm, voxel_mm):
    errors = _errors(diameter_mm, voxel_mm, 30)
    assert np.abs(errors.mean(axis=0)).max() <= 0.25 and np.abs(errors).mean() <= 0.25


@pytest.mark.parametrize(("long", "short"), [(24, 16), (40, 12), (30, 27)])
def test_an_ellipse_has_its_axes_from_edge_to_edge(long, short):
    """Whatever its direction and place; the tips of thin ones are cut a little."""
    rng, places, found = np.random.default_rng(long), np.moveaxis(np.indices((48, 48)), 0, -1) - 23.5, []
    for angle in rng.uniform(0, np.pi, 12):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        inside = np.linalg.norm((places - rng.uniform(-0.5, 0.5, 2)) @ turn.T / [long / 2, short / 2], axis=-1) <= 1
        (outline,) = find_outlines(inside[None], np.eye(3))
        found.append([outline.long_mm, outline.perpendicular_mm])
    assert np.mean(found, axis=0) == pytest.approx([long, short], abs=0.8)


@pytest.mark.parametrize("seed", range(4))
def test_a_mirrored_outline_has_the_same_diameters(seed):
    """Also where many diameters are nearly equally long."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).random((50, 50)), 5 - seed)
    slices, matrix = (field > np.quantile(field, 0.7))[None], np.array([[0, 0.2, 5.0], [0.8, 0, 0], [0.1, 1.1, 0]])
    sizes = [sorted(each[2:] for each in find_outlines(slices, matrix))]
    for turned in (slices[:, ::-1], slices[:, :, ::-1], slices[:, ::-1, ::-1]):
        sizes.append(sorted(each[2:] for each in find_outlines(turned, matrix)))
    assert sizes[3] == pytest.approx(np.array(sizes[0]), rel=1e-9)
    square = [
        sorted(each[2:] for each in find_outlines(turned, np.eye(3)))
        for turned in (slices, slices[:, ::-1], slices[:, :, ::-1], slices.transpose(0, 2, 1))
    ]
    for other in square[1:]:
        assert np.array(other) == pytest.approx(np.array(square[0]), rel=1e-9)


@pytest.mark.parametrize("size", [1, 3, 8])
def test_holes_do_not_count(size):
    whole = np.zeros((1, 20, 20), bool)
    whole[0, 3:17, 4:18] = True
    hollow = whole.copy()
    hollow[0, 10 - size // 2 : 10 + (size + 1) // 2, 9:11] = False
    assert find_outlines(hollow, np.eye(3)) == find_outlines(whole, np.eye(3))


@pytest.mark.slow
def test_small_outlines_are_left_out_only_where_they_do_not_matter():
    slices = np.zeros((2, 90, 90), bool)
    slices[:, ::4, ::4] = True  # 1,058 outlines of a voxel
    assert 0 < len(find_outlines(slices, np.eye(3))) <= 1058
    slices[1, 30:50, 30:44] = True
    found = find_outlines(slices, np.eye(3))
    assert max(each.product_mm2 for each in found) > 250 and len(found) < 1058
    large = find_outlines(slices, 10 * np.eye(3))
    assert len(large) > 1000, "a voxel of 10 mm may be measurable"


def test_an_outline_of_noise_is_bounded():
    noise = np.random.default_rng(0).random((1, 300, 300)) > 0.4
    (largest,) = [each for each in find_outlines(noise, np.eye(3)) if each.long_mm > 200]
    assert largest.long_mm == pytest.approx(np.hypot(300, 300), rel=0.05)
