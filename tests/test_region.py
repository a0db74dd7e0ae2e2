"""The epitome: the whole tumour, its margin, and its place in the head."""

import os
import shutil

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_derivative import make_derivative
from tiny import SHAPE, affine, head, lesion, raises_three_lines

from epitome_kit.epitome.region import extract_epitome, extract_epitomes
from epitome_kit.errors import ImageError, collect_warnings
from epitome_kit.files import write_text
from epitome_kit.images import load_image, load_mask, new_image_like, save_image
from epitome_kit.preprocess.pipeline import Preprocessed

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
    empty = new_image_like(np.zeros(SHAPE, np.uint8), head())
    with raises_three_lines(ImageError, "extract_epitome", "empty mask"):
        extract_epitome({"T2w": head()}, empty)


@pytest.mark.parametrize("other", [head(shape=(16, 18, 13)), head(spacing=(2.0, 2.0, 4.0))], ids=["shape", "spacing"])
def test_a_contrast_on_another_grid_is_three_lines(other):
    with raises_three_lines(ImageError, "extract_epitome"):
        extract_epitome({"T1ce": head(), "T2w": other}, lesion(head()))


def test_every_tumour_of_a_cohort_is_cut_out_of_all_its_contrasts(tmp_path):
    cohort, ready = make_derivative(tmp_path, subjects=3)
    masks = tmp_path / "out" / "masks"
    masks.mkdir(parents=True)
    for number, name in enumerate(cohort.subjects):
        if number != 1:
            shutil.copy(cohort[name].annotation, masks)
    write_text(Preprocessed(ready, "sub-02").transform("T1ce"), "1 0 0 12\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    found = extract_epitomes(cohort, ready, tmp_path / "out", margin_mm=12)
    assert list(found) == ["sub-00", "sub-02"], "no mask, no epitome"
    assert set(found["sub-00"]) == {"T1ce", "FLAIR", "mask"} and all(
        path.is_file() for path in found["sub-00"].values()
    )
    crops = {name: load_image(path, check_voxels=False) for name, path in found["sub-02"].items()}
    tumour = load_mask(cohort["sub-02"].annotation)
    assert np.sum(crops["mask"].dataobj) == np.sum(tumour.dataobj)
    assert np.ptp(np.argwhere(tumour.dataobj), axis=0).tolist() == [n - 3 for n in crops["mask"].shape]
    start = np.argwhere(tumour.dataobj).min(0) - 1
    shifted = np.roll(load_image(cohort["sub-02"].images["T1ce"]).get_fdata(), 1, axis=0)
    box = tuple(slice(low, low + n) for low, n in zip(start, crops["mask"].shape, strict=True))
    assert crops["T1ce"].get_fdata() == pytest.approx(shifted[box], abs=1e-4), "brought over by its transform"
    for path in tmp_path.rglob("*.*"):
        os.utime(path, ns=(1, 1))
    found["sub-02"]["FLAIR"].unlink()
    assert list(found["sub-00"]) == ["FLAIR", "T1ce", "mask"], "the one that leads comes first"
    with collect_warnings() as remarks:
        assert extract_epitomes(cohort, ready, tmp_path / "out", margin_mm=12) == found
    assert remarks == ["extract_epitomes: 1 of 3 computed again: sub-02_FLAIR.nii.gz is missing"]
    made = {name: files["FLAIR"].stat().st_mtime_ns for name, files in found.items()}
    assert made["sub-00"] == 1 != made["sub-02"], "what is finished is kept, whatever its time"
