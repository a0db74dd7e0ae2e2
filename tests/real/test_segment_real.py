"""Segmentation of a real exam, straight from its four scans, against a mask that others drew."""

import nibabel as nib
import numpy as np
import pytest

from epitome_kit.images import load_image, load_mask, resample, same_grid
from epitome_kit.metrics import dice
from epitome_kit.tumour.outline import mask_path
from epitome_kit.tumour.single_case import predict_scan, segment_head


@pytest.fixture(scope="module")
def exam(real_data):
    return real_data / "tcga-fg-6692"


@pytest.fixture(scope="module")
def outlined(exam, tmp_path_factory):
    out = tmp_path_factory.mktemp("segmented")
    found = predict_scan(exam / f"{name}.nii.gz" for name in ("flair", "t1", "t1c", "t2"))
    tumours = segment_head({contrast: path for contrast, (path, _) in found.items()}, out)
    return tumours.iloc[0], load_mask(mask_path(out, tumours.participant_id[0]))


def test_names_tell_the_four_contrasts(exam):
    found = predict_scan(exam / f"{name}.nii.gz" for name in ("flair", "t1", "t1c", "t2"))
    names = {contrast: path.name for contrast, (path, _) in found.items()}
    assert names == {"T1w": "t1.nii.gz", "T1ce": "t1c.nii.gz", "T2w": "t2.nii.gz", "FLAIR": "flair.nii.gz"}


def test_a_tumour_of_a_plausible_size_is_found_on_the_grid_of_flair(exam, outlined):
    row, mask = outlined
    assert same_grid(mask, load_image(exam / "flair.nii.gz"))
    assert 2 < row.volume_ml < 150, "24.1 mL were drawn by hand"
    assert row.volume_ml == pytest.approx(np.sum(mask.dataobj) * abs(np.linalg.det(mask.affine[:3, :3])) / 1000)


def test_it_overlaps_with_the_mask_that_was_drawn_by_hand(exam, outlined):
    """The mask lies on T1, 17 mm off by the headers; and the head turned by 17 degrees before T2."""
    _, mask = outlined
    drawn = load_mask(exam / "tumour-manual_space-t1.nii.gz")
    carried = resample(drawn, mask.affine, mask.shape, transform=np.loadtxt(exam / "rigid_t1-to-flair.txt"))
    there = np.asarray(carried.dataobj) > 0.5
    volume_ml = there.sum() * np.prod(nib.affines.voxel_sizes(mask.affine)) / 1000
    assert volume_ml == pytest.approx(24.1, rel=0.1)
    score = dice(np.asarray(mask.dataobj) > 0, there)
    print(f"Dice with the mask drawn by hand: {score:.3f}")
    assert score > 0.6
