"""The simulated scanner: every truth it hands out fits the picture it takes."""

import nibabel as nib
import numpy as np
import pytest

from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.images import resample
from epitome_kit.preprocess.registration import load_template
from epitome_kit.simulate.anatomy import head_model, random_deformation
from epitome_kit.simulate.latents import LATENTS
from epitome_kit.simulate.scanner import Artefacts, acquire, random_grid, random_motion, random_pose
from epitome_kit.simulate.tumour import VISIBLE_DENSITY, grow_tumour


@pytest.fixture(scope="module")
def head():
    return head_model(4.0)


@pytest.fixture(scope="module")
def tumour(head):
    latents = np.array([{"enhancement": 3.0}.get(name, 0.0) for name in LATENTS])
    return grow_tumour(head, latents, np.random.default_rng(1))


@pytest.fixture(scope="module")
def scan(head, tumour):
    """Take a scan on any grid; by default that of the head model, not deformed and not moved."""

    def take(*, contrast="T2w", deform=0.0, pose=None, grid=None, seed=0, **options):
        deformation = random_deformation(np.random.default_rng(seed + 50), amplitude_mm=deform)
        grid = grid or (head.affine, head.brain.shape)
        pose = np.eye(4) if pose is None else pose
        rng = np.random.default_rng(seed)
        artefacts = Artefacts(**options)
        return acquire(head, tumour, deformation, pose, grid, contrast=contrast, rng=rng, artefacts=artefacts)

    return take


def _shift(x, y, z):
    return nib.affines.from_matvec(np.eye(3), (x, y, z))


def _apart(first, second):
    """Largest distance in mm of where two transforms move the corners of a box around the brain."""
    corners = np.stack(np.meshgrid(*[(-60.0, 60.0)] * 3), -1).reshape(-1, 3)
    there = [nib.affines.apply_affine(matrix, corners) for matrix in (first, second)]
    return np.linalg.norm(there[0] - there[1], axis=1).max()


def _density_on(head, tumour):
    """Density of the tumour on the grid of the head model."""
    whole = np.zeros(head.brain.shape, np.float32)
    low = np.round(np.linalg.inv(head.affine) @ tumour.affine[:, 3]).astype(int)[:3]
    whole[tuple(slice(start, start + n) for start, n in zip(low, tumour.density.shape, strict=True))] = tumour.density
    return whole


def test_true_masks_are_what_was_put_into_the_scanner(scan, head, tumour):
    found = scan()
    inside = head.brain > 0.5
    assert np.array_equal(found.brain > 0, inside)
    visible = (_density_on(head, tumour) > VISIBLE_DENSITY) & inside
    assert visible.sum() > 100
    assert np.array_equal(found.tumour > 0, visible)


def test_a_scan_that_is_not_moved_is_in_template_space(scan):
    """But for the affine part of its asymmetry."""
    assert _apart(scan().to_template, np.eye(4)) < 1.0


def test_a_moved_head_is_moved_back_by_the_true_transform(scan):
    still, moved = scan(), scan(pose=_shift(8, -12, 4))
    assert _apart(moved.to_template, still.to_template @ _shift(-8, 12, -4)) < 0.1
    assert np.array_equal(moved.brain[2:, :-3, 1:], still.brain[:-2, 3:, :-1])


@pytest.mark.parametrize("seed", range(3))
def test_the_true_transform_carries_the_brain_onto_the_template_brain(scan, seed):
    rng = np.random.default_rng(seed)
    found = scan(pose=random_pose(rng), grid=random_grid(rng, (4, 4, 4)), deform=3.0, seed=seed)
    template = load_template()[1]
    brain = nib.Nifti1Image(found.brain, found.image.affine)
    carried = resample(brain, template.affine, template.shape, transform=found.to_template).get_fdata() > 0.5
    expected = template.get_fdata() > 0
    above_neck = np.s_[:, :, 15:]
    overlap = 2 * (carried & expected)[above_neck].sum()
    assert overlap / (carried[above_neck].sum() + expected[above_neck].sum()) > 0.93


@pytest.mark.parametrize("spread", [0.05, 0.10])
def test_the_bias_field_has_mean_one_and_the_spread_that_was_asked_for(scan, spread):
    found = scan(bias_sd=spread)
    log_bias = np.log(found.bias[found.brain > 0])
    assert log_bias.mean() == pytest.approx(0, abs=1e-4)
    assert log_bias.std() == pytest.approx(spread, rel=1e-3)
    steps = [np.abs(np.diff(found.bias, axis=axis)).max() for axis in range(3)]
    assert max(steps) < 0.1, "smooth: less than a tenth from one voxel of 4 mm to the next"


def test_the_bias_field_is_in_the_picture(scan):
    plain, uneven = scan(bias_sd=0.0, noise=0.0), scan(bias_sd=0.3, noise=0.0)
    inside = plain.brain > 0
    ratio = uneven.image.get_fdata()[inside] / plain.image.get_fdata()[inside]
    assert np.std(np.log(ratio) - np.log(uneven.bias[inside])) < 0.02


def test_noise_in_air_is_rayleigh_and_pushes_the_mean_up(scan, head):
    air = head.maps.astype(np.float32).sum(0) < 0.01
    values = scan(noise=0.05).image.get_fdata()[air]
    assert values.min() >= 0
    assert values.mean() / values.std() == pytest.approx(1.913, abs=0.03), "1.913 for Rayleigh, 1.32 for |normal|"
    assert scan(noise=0.0).image.get_fdata()[air].mean() < 0.05 * values.mean()


def test_contrasts_look_as_they_do_on_a_ward(scan, head, tumour):
    lesion = (_density_on(head, tumour) > 0.6) & (head.brain > 0.9)
    tissues = {name: (head.tissue(name) > 0.6) & ~lesion for name in ("csf", "grey", "white", "fat")}
    level = {}
    for contrast in CONTRASTS:
        data = scan(contrast=contrast).image.get_fdata()
        level[contrast] = {name: np.median(data[where]) for name, where in {**tissues, "tumour": lesion}.items()}
    assert level["T1w"]["csf"] < level["T1w"]["grey"] < level["T1w"]["white"] < level["T1w"]["fat"]
    assert level["T2w"]["white"] < level["T2w"]["grey"] < level["T2w"]["tumour"] < level["T2w"]["csf"]
    assert level["FLAIR"]["csf"] < level["FLAIR"]["white"] < level["FLAIR"]["tumour"]
    gain = {name: level["T1ce"][name] / level["T1w"][name] for name in ("white", "tumour")}
    assert gain["tumour"] > 1.2 * gain["white"], "an enhancing tumour takes up contrast agent"


def test_a_thick_slice_is_the_mean_of_thin_ones(scan, head):
    thick_affine = head.affine @ np.diag([1, 1, 3, 1])
    thick_affine[:3, 3] += [0, 0, 4]
    i, j, k = head.brain.shape
    quiet = {"noise": 0.0, "bias_sd": 0.0}
    thick = scan(grid=(thick_affine, (i, j, k // 3)), **quiet).image.get_fdata()
    thin = scan(**quiet).image.get_fdata()[:, :, : k // 3 * 3].reshape(i, j, k // 3, 3)
    seen = thin.max(-1) > 0

    def likeness(candidate):
        return np.corrcoef(candidate[seen], thick[seen])[0, 1]

    assert likeness(thin.mean(-1)) > 0.99 > likeness(thin[..., 1]) + 0.005


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (0.94, 0.94, 3.0)])
def test_the_grid_is_oblique_and_has_the_spacing_that_was_asked_for(spacing):
    affine, shape = random_grid(np.random.default_rng(0), spacing, field="quick")
    directions = affine[:3, :3] / spacing
    assert nib.affines.voxel_sizes(affine) == pytest.approx(spacing)
    assert directions.T @ directions == pytest.approx(np.eye(3), abs=1e-9)
    assert 0.01 < np.abs(directions - np.eye(3)).max() < 0.4
    assert np.array(shape) * spacing == pytest.approx((200, 248, 160), abs=3)


def test_motion_is_small_and_rigid_and_a_pose_also_scales():
    rng = np.random.default_rng(0)
    motions = np.stack([random_motion(rng) for _ in range(200)])
    products = np.swapaxes(motions[:, :3, :3], 1, 2) @ motions[:, :3, :3]
    assert products == pytest.approx(np.tile(np.eye(3), (200, 1, 1)), abs=1e-9)
    angles = np.degrees(np.arccos((np.trace(motions[:, :3, :3], axis1=1, axis2=2) - 1) / 2))
    assert 0.5 < np.median(angles) < 3 and np.abs(motions[:, :3, 3]).max() < 5
    sizes = [np.cbrt(np.linalg.det(random_pose(rng)[:3, :3])) for _ in range(200)]
    assert np.mean(sizes) == pytest.approx(0.93, abs=0.01) and 0.02 < np.std(sizes) < 0.04


def test_an_image_is_whole_numbers_on_the_grid_that_was_prescribed(scan):
    affine, shape = random_grid(np.random.default_rng(3), (6, 6, 6))
    image = scan(grid=(affine, shape)).image
    assert image.get_data_dtype() == np.int16 and image.shape == shape
    assert np.array_equal(image.affine, affine) and image.header.get_xyzt_units()[0] == "mm"
