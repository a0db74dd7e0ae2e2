"""Defacing: the face goes, the brain stays, whichever way the scan is stored."""

import nibabel as nib
import numpy as np
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import ImageError
from epitome_kit.images import load_image, new_image_like, same_grid
from epitome_kit.preprocess.defacing import deface

AFFINE = nib.affines.from_matvec(np.diag((3, 3, 5)), (-60, -90, -75))
"""Of a box of 120 x 180 x 150 mm about the origin."""


def _box():
    """Every voxel 100, noise on top."""
    noise = np.random.default_rng(0).integers(0, 50, (40, 60, 30))
    return nib.Nifti1Image((100 + noise).astype(np.int16), AFFINE)


def _places(image):
    return nib.affines.apply_affine(image.affine, np.indices(image.shape).transpose(1, 2, 3, 0))


def _brain(image):
    """An ellipsoid in the middle, longer to the front than it is high."""
    inside = ((_places(image) / (45, 65, 45)) ** 2).sum(-1) < 1
    return new_image_like(inside.astype(np.uint8), image)


def test_what_lies_before_and_below_the_brain_is_gone():
    image = _box()
    mask = _brain(image)
    found = deface(image, mask=mask)
    inside, before, after = (np.asarray(one.dataobj) for one in (mask, image, found))
    changed = before != after
    assert same_grid(found, image) and after.dtype == before.dtype
    assert not changed[inside > 0].any() and (after[changed] == before.min()).all()
    place = _places(image)
    face = (place[..., 1] > 60) & (place[..., 2] < -40)
    behind = place[..., 1] < -70
    top = place[..., 2] > 40
    assert changed[face].mean() > 0.95 and not changed[behind].any() and not changed[top].any()


@pytest.mark.parametrize("codes", ["LPS", "PIR", "SAL"])
def test_the_way_a_scan_is_stored_does_not_matter(codes):
    image = _box()
    turn = nib.orientations.ornt_transform(nib.io_orientation(AFFINE), nib.orientations.axcodes2ornt(codes))
    turned, mask = (one.as_reoriented(turn) for one in (image, _brain(image)))
    assert np.array_equal(
        np.asarray(nib.as_closest_canonical(deface(turned, mask=mask)).dataobj),
        np.asarray(deface(image, mask=_brain(image)).dataobj),
    )


def test_the_margin_is_in_millimetres():
    """A wedge: the cut is a plane at a known distance from all but its foremost part."""
    image = _box()
    place = _places(image)
    wedge = (place[..., 1] <= 0) & (place[..., 2] >= 0) & (place[..., 2] - place[..., 1] <= 30)
    gone = np.asarray(deface(image, mask=new_image_like(wedge.astype(np.uint8), image)).dataobj) == 100
    gone &= np.asarray(image.dataobj) != 100
    forward_down = (place[..., 1] - place[..., 2]) / np.sqrt(2)
    cut = np.percentile(forward_down[wedge], 95) + 25
    assert cut < forward_down[gone].min() < cut + 2


def test_a_simulated_head_loses_its_face_and_keeps_its_brain(phantom):
    subject = phantom["sub-001"]
    head = load_image(subject.images["T2w"])
    brain = load_image(next(subject.truth.glob("*space-T2w*brain_mask.nii.gz")), check_voxels=False).get_fdata() > 0
    before, after = head.get_fdata(), deface(head).get_fdata()
    assert (before != after).mean() > 0.02
    assert (before != after)[brain].mean() < 0.005


def test_no_brain_is_three_lines():
    image = _box()
    with raises_three_lines(ImageError, "deface", "an empty mask"):
        deface(image, mask=new_image_like(np.zeros(image.shape, np.uint8), image))


def test_a_mask_on_another_grid_is_three_lines():
    with raises_three_lines(ImageError, "(40, 60, 30)"):
        deface(_box(), mask=nib.Nifti1Image(np.ones((5, 5, 5), np.uint8), np.eye(4)))
