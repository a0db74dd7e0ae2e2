"""The surface method: a closed mesh, forces of known sign, and a brain of known size found."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from tiny import raises_three_lines

from epitome_kit.errors import ImageError
from epitome_kit.images import load_image, same_grid
from epitome_kit.preprocess.skull_stripping import skull_strip
from epitome_kit.preprocess.surface import Head, _stiffness, fill_surface, icosphere, strip_with_surface

RADII = np.array([70.0, 85.0, 62.0])
"""Half axes of the brain that is drawn, in mm: about 1545 mL."""


def draw_head(spacing=(2.0, 2.0, 2.0), seed=0):
    """A T1 head: bright brain, dark CSF and skull of 8 mm, bright scalp of 6 mm, noise; with its brain."""
    shape = [int(230 / step) for step in spacing]
    affine = nib.affines.from_matvec(np.diag(spacing), [-115 + step / 2 for step in spacing])
    places = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    brain, skull, scalp = (((places / (RADII + more)) ** 2).sum(-1) < 1 for more in (0, 8, 14))
    clean = np.select([brain, skull, scalp], [100, 15, 130], 2)
    noisy = clean + np.random.default_rng(seed).normal(0, 3, shape)
    return nib.Nifti1Image(np.abs(noisy).astype(np.float32), affine), brain


@pytest.fixture(scope="module")
def head():
    return draw_head()


@pytest.fixture(scope="module")
def found(head):
    return strip_with_surface(head[0])


def _dice(found, brain):
    inside = found.get_fdata() > 0
    return 2 * (inside & brain).sum() / (inside.sum() + brain.sum())


@pytest.mark.parametrize(("subdivisions", "n"), [(0, 12), (2, 162), (4, 2562)])
def test_the_mesh_is_a_closed_ball(subdivisions, n):
    mesh = icosphere(subdivisions)
    assert len(mesh.points) == n and np.linalg.norm(mesh.points, axis=1) == pytest.approx(np.ones(n))
    assert len(mesh.points) - len(mesh.edges) + len(mesh.faces) == 2, "Euler"
    corners = mesh.points[mesh.faces]
    volume = np.einsum("fc,fc->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert (volume > 0).all(), "every triangle looks outwards"
    assert volume.sum() == pytest.approx(4 / 3 * np.pi, rel={12: 0.4, 162: 0.05, 2562: 0.004}[n])
    assert mesh.mean_of_neighbours @ np.ones(n) == pytest.approx(np.ones(n))
    assert set(mesh.sum_of_faces @ np.ones(len(mesh.faces))) <= {5, 6}


def test_a_filled_ball_has_the_volume_of_a_ball():
    empty = Head(np.zeros((60, 60, 60)), np.eye(4), 2.0, 0, 1, 2, 1, np.full(3, 60.0), 40.0)
    mesh = icosphere(3)
    inside = fill_surface((60 + 40 * mesh.points)[mesh.faces], empty)
    assert inside.sum() * 8 == pytest.approx(4 / 3 * np.pi * 41**3, rel=0.03), "voxels are filled that are touched"
    assert ndimage.label(inside)[1] == 1


def test_sharp_bumps_are_smoothed_and_gentle_ones_left():
    assert _stiffness(np.array([1 / 50, 1 / 10, 1 / 3.33, 1])) == pytest.approx([0, 0, 1, 1], abs=0.01)


def test_a_brain_of_known_size_is_found(head, found):
    assert same_grid(found, head[0]) and found.get_data_dtype() == np.uint8
    assert _dice(found, head[1]) > 0.96


def test_a_smaller_fraction_finds_a_larger_brain(head, found):
    assert strip_with_surface(head[0], fraction=0.3).get_fdata().sum() > found.get_fdata().sum()


def test_gain_and_the_way_the_voxels_are_stored_do_not_matter(head, found):
    scan = nib.Nifti1Image(head[0].get_fdata(dtype=np.float32) * 7 + 3, head[0].affine)
    ornt = nib.orientations.axcodes2ornt("SPL")
    turned = scan.as_reoriented(ornt)
    assert _dice(strip_with_surface(turned), found.as_reoriented(ornt).get_fdata() > 0) > 0.99


def test_thick_slices_are_found_as_well():
    scan, brain = draw_head((1.0, 1.0, 5.0))
    assert _dice(strip_with_surface(scan), brain) > 0.93


def test_it_is_a_method_of_skull_stripping(head, found):
    assert np.array_equal(skull_strip(head[0], "surface").get_fdata(), found.get_fdata())


def test_a_simulated_head_is_found_too(phantom):
    subject = phantom["sub-001"]
    truth = load_image(subject.truth / "sub-001_space-T2w_desc-brain_mask.nii.gz").get_fdata() > 0
    assert _dice(skull_strip(subject.images["T1ce"], "surface"), truth) > 0.6


def test_what_is_no_head_is_three_lines():
    ball = nib.Nifti1Image(draw_head((8.0, 8.0, 8.0))[0].get_fdata(), np.diag([1, 1, 1, 1]))
    with raises_three_lines(ImageError, "a scan of a head", "mL", "network"):
        strip_with_surface(ball)
