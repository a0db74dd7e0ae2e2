"""Masks: one part is taken, fractions are cut and said, and several labels are a question with an answer."""

import nibabel as nib
import numpy as np
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import ImageError, ParameterError, collect_warnings
from epitome_kit.images import load_mask
from epitome_kit.io.mask_labels import SCHEMES, read_labels, voxels_inside


def boxes(values, background=0, dtype=np.float32):
    """A mask of 20 x 20 x 20 voxels with a box of 4 x 4 x 4 for each value, one after the other."""
    data = np.full((20, 20, 20), background, dtype)
    for number, value in enumerate(values):
        i, j = divmod(number, 4)
        data[4 * j + 1 : 4 * j + 5, 5 * i + 1 : 5 * i + 5, 8:12] = value
    return data


@pytest.mark.parametrize(
    ("background", "value", "dtype"),
    [(0, 1, bool), (0, 255, np.uint8), (0, 4, np.int16), (-1, 1, np.int8), (0, 0.9999, np.float32), (0, 7, np.uint64)],
)
def test_one_value_above_zero_is_the_mask_and_nothing_is_said(background, value, dtype):
    found = voxels_inside(boxes([value], background, dtype))
    assert found.voxels.sum() == 64 and found.remarks == []


def test_what_is_no_number_is_outside():
    data = boxes([1])
    data[0] = np.nan
    assert voxels_inside(data).voxels.sum() == 64


@pytest.mark.parametrize(
    ("values", "boxes_inside"),
    [
        ([0.25, 0.5, 0.75, 1.0], 2),  # of four raters, more than half
        ([1e-6, 0.9999], 1),
        ([-0.04, 0.3, 0.7, 1.06], 2),  # as a spline leaves them
        ([1, 254, 255], 2),
        ([0.02, 97.0, 97.02], 2),
    ],
)
def test_fractions_are_cut_at_one_half_and_it_is_said(values, boxes_inside):
    found = voxels_inside(boxes(values), voxel_ml=0.001)
    assert found.voxels.sum() == 64 * boxes_inside
    assert len(found.remarks) == 1
    assert f"{0.064 * boxes_inside:.3g} mL inside" in found.remarks[0]


def test_fractions_that_nowhere_reach_one_half_are_three_lines():
    with raises_three_lines(ImageError, "at most 0.4", "a mask in memory"):
        voxels_inside(boxes([0.2, 0.4]))


@pytest.mark.parametrize("value", [0.2, 1 / 255])
def test_one_small_value_is_taken_and_said(value):
    found = voxels_inside(boxes([value]))
    assert found.voxels.sum() == 64 and "counts as inside" in found.remarks[0]


LABELS = {
    "of a tumour": ([1, 2, 4], np.uint8),
    "of tissues": ([1, 2, 3], np.int16),
    "two of them": ([3, 9], np.int64),
    "far from zero": ([2001, 2002], np.int32),
    "near the end of a byte": ([251, 255], np.uint8),
    "in real numbers": ([1, 1.9999999, 4.0000002], np.float64),
    "without a background": ([2], np.uint8),
}


def test_values_below_zero_and_next_to_it_are_three_lines():
    with raises_three_lines(ImageError, "-3", "0.0004"):
        voxels_inside(boxes([-3, -2, 0.0004, 0.0002]))


@pytest.mark.parametrize("kind", LABELS)
def test_several_labels_are_a_question(kind):
    values, dtype = LABELS[kind]
    data = boxes(values, 1 if kind == "without a background" else 0, dtype)
    with raises_three_lines(ImageError, "labels", f"{round(values[-1])}: 0.064 mL", "--mask-labels", "seg.nii"):
        voxels_inside(data, name="seg.nii", voxel_ml=0.001)


@pytest.mark.parametrize(
    ("labels", "inside"),
    [("all", {1, 2, 4}), ("4", {4}), ("1, 4", {1, 4}), ({2}, {2}), ("brats21:tc", {1, 4}), ("BraTS18:WT", {1, 2, 4})],
)
def test_labels_that_are_asked_for_are_joined(labels, inside):
    data = boxes([1, 2, 4], dtype=np.uint8)
    found = voxels_inside(data, labels)
    assert np.array_equal(found.voxels, np.isin(data, list(inside))) and found.remarks == []


def test_a_label_that_is_absent_is_said_and_none_of_them_is_three_lines():
    data = boxes([1, 2], dtype=np.uint8)
    assert "no label 4" in voxels_inside(data, "brats21:WT").remarks[0]
    with raises_three_lines(ImageError, "label 4", "1: 64 voxels"):
        voxels_inside(data, "4")


def test_a_scheme_takes_no_mask_with_other_labels():
    data = boxes([1, 2, 4], dtype=np.uint8)
    with raises_three_lines(ImageError, "scheme", "also 4"):
        voxels_inside(data, "msd:WT")


@pytest.mark.parametrize("labels", ["brats", "brats21", "brats21:XY", "WT", "1;2", "", "1.5"])
def test_labels_that_are_not_understood_are_three_lines(labels):
    with raises_three_lines(ParameterError, "brats21:WT"):
        read_labels(labels)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_parts_of_a_scheme_make_up_the_whole(scheme):
    parts = SCHEMES[scheme]
    assert set(parts["WT"]) == set(parts["TC"]) | set(parts["ED"]) and set(parts["TC"]) >= set(parts["ET"])


def test_fractions_and_labels_do_not_go_together():
    with raises_three_lines(ImageError, "fractions from 0 to 0.75"):
        voxels_inside(boxes([0.25, 0.75]), "1")


@pytest.mark.parametrize("values", [[0.5, 1.5, 2], [3.7, 1.2]])
def test_a_label_map_that_was_smoothed_is_three_lines(values):
    with raises_three_lines(ImageError, "nearest neighbour"):
        voxels_inside(boxes(values))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_many_values_are_those_of_a_scan(dtype):
    data = np.arange(8000).reshape(20, 20, 20) % 90
    for labels in (None, "all"):
        with raises_three_lines(ImageError, "as in a scan"):
            voxels_inside(data.astype(dtype), labels)


def test_one_region_of_an_atlas_can_be_asked_for():
    data = np.arange(8000).reshape(20, 20, 20) % 90
    assert voxels_inside(data, "77").voxels.sum() == (data == 77).sum()


def test_a_mask_where_zero_marks_the_tumour_is_a_question():
    data = 1 - boxes([1], dtype=np.uint8)
    with raises_three_lines(ImageError, "99% of the image", "`--mask-labels 0`", "`--mask-labels 1`"):
        voxels_inside(data)
    assert voxels_inside(data, "0").voxels.sum() == 64
    assert voxels_inside(data, "1").voxels.sum() == 8000 - 64


def inverted(change):
    data = 1 - boxes([1], dtype=np.uint8)
    change(data)
    return data


def _set(*places):
    def change(data):
        for place in places:
            data[place] = 0

    return change


def _one(data):
    data[:] = 1
    data[7, 0, 3] = 0


ENDS = slice(None, 3), slice(-2, None)
INVERTED = {
    "with a corner at zero": _set((0, 0, 0)),
    "with all corners at zero": _set(np.ix_(*[[0, -1]] * 3)),
    "between empty slices": _set(*((..., end) for end in ENDS)),
    "in a frame": _set(*ENDS, *((slice(None), end) for end in ENDS)),
    "with salt": lambda data: np.putmask(data, np.random.default_rng(3).random(data.shape) < 0.03, 0),
    "with a hole at a face": _set((slice(4, 9), slice(5, 11), slice(0, 6))),
    "but for one voxel": _one,
}


@pytest.mark.parametrize("kind", INVERTED)
def test_a_block_with_a_hole_is_a_question_whatever_is_cut_off_it(kind):
    data = inverted(INVERTED[kind])
    with raises_three_lines(ImageError, "of the image", "`--mask-labels 0`", "`--mask-labels 1`"):
        voxels_inside(data)
    assert voxels_inside(data, "1").voxels.sum() == data.sum()


def _ball(flat=False):
    places = np.indices((26, 30, 28)) - np.reshape([12.5, 14.5, 13.5], (3, 1, 1, 1))
    return (((places / np.reshape([13, 15, 14], (3, 1, 1, 1)))[: 2 if flat else 3] ** 2).sum(0) < 1).astype(np.uint8)


def test_a_head_that_fills_its_image_is_a_mask_and_holes_in_it_are_said():
    whole, slab, half = _ball(), _ball(flat=True), np.zeros((20, 20, 20), np.uint8)
    half[4:] = 1
    for data in (whole, slab, half):
        assert data.mean() > 0.5 and voxels_inside(data).remarks == []
    slab[11:14, 12:17, 12:15] = 0
    assert "holes of 45 voxels" in voxels_inside(slab).remarks[0]


def test_a_byte_read_with_a_sign_is_three_lines():
    with raises_three_lines(ImageError, "from -1 to 0"):
        voxels_inside(boxes([-1], dtype=np.int8))
    assert voxels_inside(boxes([-1], dtype=np.int8), "-1").voxels.sum() == 64


def test_infinite_voxels_are_three_lines():
    with raises_three_lines(ImageError, "infinite"):
        voxels_inside(boxes([np.inf]))


def test_a_rare_label_is_not_overlooked():
    data = np.zeros((200, 200, 60), np.uint8)
    data[50:90, 50:90, 20:40] = 1
    data[60, 60, 30] = 2
    with raises_three_lines(ImageError, "2: 1 voxels"):
        voxels_inside(data)


def test_the_file_and_its_volumes_are_named(tmp_path):
    nib.save(nib.Nifti1Image(boxes([1, 2], dtype=np.uint8), np.diag([1, 2, 5, 1])), tmp_path / "seg.nii.gz")
    with raises_three_lines(ImageError, "1: 0.64 mL, 2: 0.64 mL", "seg.nii.gz"):
        load_mask(tmp_path / "seg.nii.gz")
    assert np.asarray(load_mask(tmp_path / "seg.nii.gz", labels="2").dataobj).sum() == 64
    nib.save(nib.Nifti1Image(boxes([0.3, 0.8]), np.diag([2, 2, 2, 1])), tmp_path / "soft.nii.gz")
    with collect_warnings() as remarks:
        load_mask(tmp_path / "soft.nii.gz")
    assert len(remarks) == 1 and remarks[0].startswith("soft.nii.gz holds fractions")
