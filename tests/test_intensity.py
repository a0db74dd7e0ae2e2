"""Intensity: one scale for all scans, set by the brain alone."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import head, lesion, raises_three_lines

from epitome_kit.errors import ImageError
from epitome_kit.images import new_image_like
from epitome_kit.preprocess.intensity import normalise_intensity


def _brain(scan):
    return new_image_like((scan.get_fdata() > 200).astype(np.uint8), scan)


def _float(scan, gain=1.0, offset=0.0):
    return nib.Nifti1Image(scan.get_fdata(dtype=np.float32) * np.float32(gain) + np.float32(offset), scan.affine)


def test_the_brain_has_median_zero_and_the_quartiles_of_a_standard_normal():
    scan = head()
    brain = _brain(scan)
    values = normalise_intensity(scan, brain).get_fdata()[brain.get_fdata() > 0]
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    assert (middle, high - low) == pytest.approx((0, 1.349), abs=1e-4)


@settings(max_examples=30)
@given(gain=st.floats(0.01, 500), offset=st.floats(-50, 50))
def test_gain_and_offset_of_the_scanner_do_not_matter(gain, offset):
    scan = head()
    expected = normalise_intensity(scan, _brain(scan)).get_fdata()
    found = normalise_intensity(_float(scan, gain, gain * offset), _brain(scan)).get_fdata()
    assert np.allclose(found, expected, atol=5e-3)


def test_what_is_outside_the_brain_is_zero_and_does_not_count():
    scan = head()
    brain, data = _brain(scan), scan.get_fdata(dtype=np.float32)
    outside = brain.get_fdata() == 0
    brighter = nib.Nifti1Image(np.where(outside, 9000, data).astype(np.float32), scan.affine)
    found = normalise_intensity(brighter, brain).get_fdata()
    assert np.array_equal(found, normalise_intensity(scan, brain).get_fdata())
    assert not found[outside].any()


def test_a_bright_tumour_hardly_moves_the_scale_and_is_limited():
    scan = head()
    brain, tumour = _brain(scan), lesion(scan).get_fdata() > 0
    shining = nib.Nifti1Image(np.where(tumour, 90_000, scan.get_fdata()).astype(np.float32), scan.affine)
    plain, found = (normalise_intensity(image, brain).get_fdata() for image in (scan, shining))
    assert (found[tumour] == 6).all()
    assert np.abs(found - plain)[~tumour].max() < 0.1


def test_a_mask_on_another_grid_is_three_lines():
    scan = head()
    with raises_three_lines(ImageError, "normalise_intensity", "resample"):
        normalise_intensity(scan, _brain(scan).slicer[:, 1:])
