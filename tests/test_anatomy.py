"""The head model: tissues that fit together, in their places, and deformations that can be undone."""

import numpy as np
import pytest

from epitome_kit.simulate.anatomy import TISSUES, head_model, random_deformation

POINTS = {
    "white": [(28, -20, 30), (-28, -20, 30)],
    "csf": [(3, 12, 8), (-3, 12, 8)],
    "eye": [(32, 62, -38), (-32, 62, -38)],
}
"""A few ICBM152 positions, in mm, whose tissue anybody can look up: centrum semiovale, ventricles, eyes."""


@pytest.fixture(scope="module")
def head():
    return head_model(2.0)


def _at(head, position):
    index = np.round((np.array(position) - head.affine[:3, 3]) / head.affine[0, 0]).astype(int)
    return head.maps[(slice(None), *index)].astype(float)


def _upwards(head, name):
    """One tissue from the middle of the brain to above the vertex, averaged over 28 mm squared."""
    i, j = np.round((np.array([0, -10]) - head.affine[:2, 3]) / head.affine[0, 0]).astype(int)
    reach = round(14 / head.affine[0, 0])
    height = head.affine[2, 3] + head.affine[2, 2] * np.arange(head.brain.shape[2])
    column = head.tissue(name)[i - reach : i + reach + 1, j - reach : j + reach + 1]
    return height[height > 30], column.mean((0, 1))[height > 30]


def test_tissues_are_fractions_that_never_exceed_the_whole(head):
    total = head.maps.astype(np.float32).sum(0)
    assert head.maps.shape == (len(TISSUES), *head.brain.shape)
    assert head.maps.min() >= 0 and head.maps.max() <= 1
    assert total.max() < 1.002
    assert total[0].max() < 0.01, "there is air around the head"


@pytest.mark.parametrize("spacing", [2.0, 4.0])
def test_the_brain_has_the_size_of_the_template(spacing):
    head = head_model(spacing)
    assert head.brain.sum() * spacing**3 / 1e6 == pytest.approx(1.83, abs=0.03), "litres"


def test_grey_and_white_matter_lie_in_the_brain_and_fill_it(head):
    above_neck = slice(np.searchsorted(head.affine[2, 3] + 2.0 * np.arange(head.brain.shape[2]), -60), None)
    tissue = (head.tissue("grey") + head.tissue("white"))[:, :, above_neck]
    brain = head.brain[:, :, above_neck]
    assert (tissue * (1 - brain)).sum() < 0.01 * tissue.sum()
    assert (tissue * brain).sum() > 0.85 * brain.sum()


@pytest.mark.parametrize(("name", "position"), [(name, where) for name, places in POINTS.items() for where in places])
def test_tissues_are_where_they_belong(head, name, position):
    assert _at(head, position)[TISSUES.index(name)] > 0.9


def test_shells_follow_each_other_from_the_brain_to_the_skin(head):
    centres = []
    for name in ("grey", "dura", "bone", "fat"):
        height, share = _upwards(head, name)
        keep = height > 55
        centres.append(np.average(height[keep], weights=share[keep]))
    assert centres == sorted(centres)
    assert centres[-1] - centres[1] > 5, "mm between dura and scalp fat"


def test_the_skull_is_as_thick_as_asked():
    thickness = []
    for bone_mm in (4.0, 8.0, 12.0):
        height, scalp = _upwards(head_model(4.0, bone_mm=bone_mm), "muscle")
        thickness.append(np.average(height, weights=scalp))
    assert np.diff(thickness) == pytest.approx([4, 4], abs=1.2), "the scalp rises with the skull"


@pytest.mark.parametrize("strength", [{}, {"amplitude_mm": 6.0, "smoothness_mm": 16.0}])
@pytest.mark.parametrize("seed", range(4))
def test_a_deformation_never_folds(seed, strength):
    deformation = random_deformation(np.random.default_rng(seed), **strength)
    points = np.stack(np.meshgrid(*[np.arange(-80, 81, 4.0)] * 3, indexing="ij")).astype(np.float32)
    moved = deformation.move(points.copy())
    jacobian = np.stack([np.stack(np.gradient(part, 4.0)) for part in moved])
    assert np.linalg.det(np.moveaxis(jacobian, (0, 1), (-2, -1))).min() > 0.1
    assert 2 < np.linalg.norm(moved - points, axis=0).max() < 30, "mm"


def test_a_deformation_can_be_undone():
    deformation = random_deformation(np.random.default_rng(5))
    points = np.random.default_rng(0).uniform(-70, 70, (3, 500)).astype(np.float32)
    origin = points.copy()
    for _ in range(40):
        origin = points - (deformation.move(origin.copy()) - origin)
    assert np.abs(deformation.move(origin) - points).max() < 1e-3


def test_the_amplitude_is_the_spread_of_the_velocity_and_the_seed_decides():
    first, again, other = (random_deformation(np.random.default_rng(seed)).field_mm for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.allclose(first, other)
    small = random_deformation(np.random.default_rng(1), amplitude_mm=0.3).field_mm
    assert small.std() == pytest.approx(0.3, rel=0.05), "a weak flow is its velocity"
    assert not random_deformation(np.random.default_rng(1), amplitude_mm=0).field_mm.any()
