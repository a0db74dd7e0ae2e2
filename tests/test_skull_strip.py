"""Skull stripping: finds the brain of a simulated head, whichever way the scan is stored."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from tiny import head as ball
from tiny import raises_three_lines

from epitome_kit.errors import ImageError
from epitome_kit.images import load_image, load_mask, new_image_like, same_grid
from epitome_kit.preprocess.skull_stripping import build_network, mask_above, skull_strip, skull_strip_probability


@pytest.fixture(scope="module")
def scan(phantom):
    return load_image(phantom["sub-001"].images["T2w"])


@pytest.fixture(scope="module")
def mask(scan):
    return skull_strip(scan)


def _dice(found, subject, contrast):
    truth = load_mask(subject.truth / f"{subject.id}_space-{contrast}_desc-brain_mask.nii.gz").get_fdata() > 0
    found = found.get_fdata() > 0
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


def test_the_brain_of_a_simulated_head_is_found(phantom, mask):
    assert _dice(mask, phantom["sub-001"], "T2w") >= 0.95


def test_the_contrast_does_not_matter(phantom):
    """The head moves by a millimetre or so between the two contrasts."""
    subject = phantom["sub-002"]
    assert _dice(skull_strip(subject.images["T1ce"]), subject, "T2w") >= 0.94


def test_the_mask_is_one_piece_without_holes_on_the_grid_of_the_scan(mask, scan):
    assert same_grid(mask, scan) and mask.get_data_dtype() == np.uint8
    inside = mask.get_fdata()
    assert set(np.unique(inside)) == {0, 1}
    assert ndimage.label(inside)[1] == 1
    assert np.array_equal(ndimage.binary_fill_holes(inside), inside > 0)


def test_of_several_pieces_the_largest_is_kept_and_its_holes_are_filled(monkeypatch):
    """A network that answers with a hollow ball of 80 mm and a small solid one beside it."""
    scan = ball(shape=(50, 50, 50), spacing=(4.0, 4.0, 4.0))

    def answer(volume, training):
        where = np.linalg.norm(
            np.indices(volume.shape[1:4]) - np.array(volume.shape[1:4]).reshape(3, 1, 1, 1) / 2, axis=0
        )
        found = (where < 10) & (where > 3)
        found[2:8, 2:8, 2:8] = True
        return found[None, ..., None].astype(np.float32)

    monkeypatch.setattr("epitome_kit.preprocess.skull_stripping._network", lambda: answer)
    found = skull_strip(scan).get_fdata()
    assert found.sum() == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.08)
    assert not found[:10, :10, :10].any() and found[25, 25, 25]


@pytest.mark.slow
def test_the_way_the_voxels_are_stored_does_not_matter(scan, mask):
    """All 48 orientations: three axes in any order, each of them either way."""
    expected = mask.get_fdata() > 0
    for order, flips in product(permutations(range(3)), product((1, -1), repeat=3)):
        turned = scan.as_reoriented(np.column_stack([order, flips]))
        back = nib.orientations.ornt_transform(nib.io_orientation(turned.affine), nib.io_orientation(scan.affine))
        found = skull_strip(turned).as_reoriented(back)
        assert same_grid(found, scan)
        assert ((found.get_fdata() > 0) != expected).sum() < 0.002 * expected.sum(), nib.aff2axcodes(turned.affine)


def test_a_scan_that_was_stripped_before_is_kept_as_it_is(phantom, scan):
    subject = phantom["sub-001"]
    brain = load_mask(subject.truth / f"{subject.id}_space-T2w_desc-brain_mask.nii.gz")
    bare = new_image_like(scan.get_fdata() * brain.get_fdata(), scan)
    assert _dice(skull_strip(bare), subject, "T2w") >= 0.99


def test_gain_and_offset_of_the_scanner_hardly_matter(scan, mask):
    found = skull_strip(nib.Nifti1Image(scan.get_fdata(dtype=np.float32) * 0.013 - 2, scan.affine)).get_fdata() > 0
    expected = mask.get_fdata() > 0
    assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.99


def test_the_mask_is_what_the_probability_is_above_one_half(scan, mask):
    probability = skull_strip_probability(scan)
    values = probability.get_fdata()
    assert same_grid(probability, scan) and 0 <= values.min() < 0.01 and 0.99 < values.max() <= 1
    assert np.array_equal(mask_above(probability).get_fdata(), mask.get_fdata())
    sizes = [mask_above(probability, threshold).get_fdata().sum() for threshold in (0.1, 0.5, 0.9)]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 3


def test_nothing_lies_above_certainty(scan):
    assert not mask_above(new_image_like(np.full(scan.shape, 0.4, np.float32), scan), 0.9).get_fdata().any()


def test_what_is_no_head_is_three_lines():
    small = ball(shape=(16, 18, 12), spacing=(0.5, 0.5, 0.5))
    with raises_three_lines(ImageError, "a scan of a head", "mL"):
        skull_strip(small)


def test_a_file_that_is_not_there_is_three_lines(tmp_path):
    with raises_three_lines(ImageError, "skull_strip", tmp_path / "no.nii.gz"):
        skull_strip(tmp_path / "no.nii.gz")


def test_the_network_is_small_and_takes_any_size_in_steps_of_eight():
    network = build_network()
    assert network.count_params() < 1_000_000
    assert network(np.zeros((1, 8, 16, 24, 1), np.float32)).shape == (1, 8, 16, 24, 1)
