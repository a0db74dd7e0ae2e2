"""The epitome: the whole tumour, its margin, and its place in the head."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import SHAPE, affine, head, lesion, raises_three_lines

from epitome_kit.errors import BadImage
from epitome_kit.images import image_like, save_image
from epitome_kit.tumour.epitome import extract_epitome

TILTED = nib.affines.from_matvec([[1.9, 0.3, 0.1], [-0.3, 1.9, 0.2], [0.1, 0.2, -3.0]], (12, -40, 33))


def _mask(low, high, grid=None):
    data = np.zeros(SHAPE, np.uint8)
    data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1
    return nib.Nifti1Image(data, affine() if grid is None else grid)


def test_tumour_and_margin_are_cut_out_of_every_contrast():
    images = {"T1ce": head(1), "T2w": head(2)}
    crops = extract_epitome(images, lesion(head()), margin=2)
    assert set(crops) == {"T1ce", "T2w", "mask"}
    box = np.s_[5:12, 6:13, 3:10]
    for name, image in images.items():
        assert np.array_equal(crops[name].get_fdata(), image.get_fdata()[box])
        assert crops[name].get_data_dtype() == image.get_data_dtype()
    assert crops["mask"].get_fdata().sum() == 27


@given(
    corners=st.tuples(*[st.tuples(st.integers(0, n - 1), st.integers(1, 6)) for n in SHAPE]),
    margin=st.integers(0, 8),
)
def test_the_whole_tumour_is_kept_and_every_voxel_stays_where_it_was(corners, margin):
    low, high = zip(*[(start, start + width) for start, width in corners], strict=True)
    mask, scan = _mask(low, high, TILTED), nib.Nifti1Image(head(3).get_fdata(), TILTED)
    crops = extract_epitome({"T2w": scan}, mask, margin=margin)
    assert crops["mask"].get_fdata().sum() == mask.get_fdata().sum()
    tumour_mm = nib.affines.apply_affine(mask.affine, np.argwhere(mask.get_fdata()))
    index = np.argwhere(crops["mask"].get_fdata())
    assert np.allclose(nib.affines.apply_affine(crops["mask"].affine, index), tumour_mm)
    assert np.array_equal(crops["T2w"].affine, crops["mask"].affine)
    assert np.array_equal(crops["T2w"].get_fdata()[tuple(index.T)], scan.get_fdata()[mask.get_fdata() > 0])
    inside = np.array(SHAPE), np.array(low), np.minimum(high, SHAPE)
    expected = np.minimum(inside[2] + margin, inside[0]) - np.maximum(inside[1] - margin, 0)
    assert crops["mask"].shape == tuple(expected), "the margin ends at the edge of the scan"


def test_paths_will_do_as_well(tmp_path):
    save_image(head(1), tmp_path / "t2.nii.gz")
    save_image(lesion(head()), tmp_path / "mask.nii.gz")
    crops = extract_epitome({"T2w": tmp_path / "t2.nii.gz"}, tmp_path / "mask.nii.gz")
    assert np.array_equal(crops["T2w"].get_fdata(), head(1).get_fdata()[2:15, 3:16, :])


def test_an_empty_mask_is_three_lines():
    empty = image_like(np.zeros(SHAPE, np.uint8), head())
    with raises_three_lines(BadImage, "extract_epitome", "empty mask"):
        extract_epitome({"T2w": head()}, empty)


@pytest.mark.parametrize("other", [head(shape=(16, 18, 13)), head(spacing=(2.0, 2.0, 4.0))], ids=["shape", "spacing"])
def test_a_contrast_on_another_grid_is_three_lines(other):
    with raises_three_lines(BadImage, "extract_epitome"):
        extract_epitome({"T1ce": head(), "T2w": other}, lesion(head()))
