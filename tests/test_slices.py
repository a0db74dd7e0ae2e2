"""Slices: what is right, front and top is drawn there, however the array is stored."""

import itertools

import ellipsoids
import nibabel as nib
import numpy as np
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import ImageError, ParameterError
from epitome_kit.images import mark_voxel_size_unknown, new_image_like, save_image
from epitome_kit.plotting.slices import PLANES, display_windows, slice_view, stack_images

ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
LETTERS = {
    "axial": {"left": "R", "right": "L", "top": "A", "bottom": "P"},
    "coronal": {"left": "R", "right": "L", "top": "S", "bottom": "I"},
    "sagittal": {"left": "A", "right": "P", "top": "S", "bottom": "I"},
}


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("turn", [(0, 0, 0), (12, -15, 20)], ids=["straight", "oblique"])
def test_the_tumour_is_drawn_where_the_letters_say(plane, turn):
    """It lies right, anterior and superior, so up and to the left in all three planes."""
    for order, flips in ORIENTATIONS:
        mask = ellipsoids.tumour(order=order, flips=flips, turn=turn, spacing=(6, 6, 8), shape=(22, 26, 18))
        view = slice_view(mask, plane)
        assert view.letters == LETTERS[plane]
        index = int(np.argwhere(mask.dataobj).mean(axis=0)[view.axis].round())
        picture = view.cut(np.asarray(mask.dataobj), index)
        assert picture.shape == view.shape
        row, column = np.argwhere(picture).mean(axis=0) / view.shape
        assert row < 0.48 and column < 0.48


def test_letters_follow_the_affine_alone():
    data = np.arange(24.0).reshape(2, 3, 4)
    left, right = (nib.Nifti1Image(data, np.diag([sign, 1, 1, 1])) for sign in (-1, 1))
    for image, columns in ((left, slice(None)), (right, slice(None, None, -1))):
        assert np.array_equal(slice_view(image).cut(data, 1), data[:, ::-1, 1].T[:, columns])


@pytest.mark.parametrize("plane", PLANES)
def test_a_voxel_is_found_at_its_pixel(plane):
    image = ellipsoids.head(order=(2, 0, 1), flips=(1, -1, 1))
    volume = np.arange(np.prod(image.shape)).reshape(image.shape)
    view, voxel = slice_view(image, plane), (5, 30, 11)
    assert view.cut(volume, voxel[view.axis])[view.pixel(voxel)] == volume[voxel]


def test_pixels_have_the_size_of_the_voxels():
    view = slice_view(ellipsoids.head(spacing=(1.0, 2.0, 5.0), order=(2, 0, 1)), "coronal")
    assert view.pixel_size == pytest.approx((5, 1))
    assert view.size == pytest.approx((5 * 36, 1 * 44))


def test_position_is_the_world_coordinate_of_the_slice():
    image = ellipsoids.head(flips=(1, 1, -1), spacing=(3.0, 3.0, 4.0))
    view = slice_view(image, "axial")
    for index in (0, 7, 35):
        assert view.millimetres(index) == pytest.approx(-4 * (index - 17.5))
        assert view.nearest(view.millimetres(index) + 1.5) == index
    assert view.nearest(1e6) == 0 and view.nearest(-1e6) == 35
    assert view.describe(10) == "axial slice k = 10 of 0–35, z = 30 mm"


def test_no_millimetre_is_claimed_where_the_voxel_size_is_unknown():
    view = slice_view(mark_voxel_size_unknown(ellipsoids.head()), "sagittal")
    assert view.describe(3) == "sagittal slice i = 3 of 0–43, voxel size unknown"
    assert view.position(3) == "i = 3"


def test_unknown_plane():
    with raises_three_lines(ParameterError, "axial, coronal, sagittal", "'horizontal'"):
        slice_view(ellipsoids.head(), "horizontal")


def test_everything_comes_onto_the_grid_of_the_first(tmp_path):
    other = {"turn": (5, 0, 12), "spacing": (2.0, 2.0, 2.0), "shape": (70, 80, 70)}
    save_image(ellipsoids.head(**other), tmp_path / "other.nii.gz")
    stack = stack_images(
        {"first": ellipsoids.head(), "second": tmp_path / "other.nii.gz"},
        {"tumour": ellipsoids.tumour(**other)},
        {"map": tmp_path / "other.nii.gz"},
    )
    assert np.array_equal(stack.maps["map"], stack.volumes["second"])
    assert [volume.shape for volume in stack.volumes.values()] == [(44, 52, 36)] * 2
    assert stack.masks["tumour"].dtype == bool
    middle = nib.affines.apply_affine(stack.grid.affine, np.argwhere(stack.masks["tumour"])).mean(axis=0)
    assert middle == pytest.approx(ellipsoids.TUMOUR, abs=0.5)
    assert np.count_nonzero(stack.masks["tumour"]) * 0.036 == pytest.approx(4 / 3 * np.pi * 1.4**3, rel=0.05)
    bright = stack.volumes["second"] > 160
    assert np.count_nonzero(bright & stack.masks["tumour"]) > 0.9 * np.count_nonzero(bright)


def test_a_single_image_needs_no_name():
    stack = stack_images(ellipsoids.head(), ellipsoids.tumour())
    assert list(stack.volumes) == ["scan"] and list(stack.masks) == ["mask"]


def test_the_surround_of_a_normalised_scan_is_missing_not_grey():
    brain = np.asarray(ellipsoids.brain().dataobj) > 0
    normal = np.where(brain, (ellipsoids.head().get_fdata() - 100) / 20, 0).astype(np.float32)
    normal[20:23, 25, 18] = 0
    shown = stack_images(new_image_like(normal, ellipsoids.head())).volumes["scan"]
    assert np.array_equal(np.isnan(shown), ~brain)
    assert np.isfinite(stack_images(ellipsoids.head()).volumes["scan"]).all()


def test_nothing_to_show():
    with raises_three_lines(ParameterError, "at least one image"):
        stack_images({})
    with raises_three_lines(ImageError, "nowhere.nii.gz"):
        stack_images("nowhere.nii.gz")


def test_the_busiest_slice_holds_most_of_the_first_mask():
    stack = stack_images(ellipsoids.head(), {"tumour": ellipsoids.tumour(), "brain": ellipsoids.brain()})
    view = slice_view(stack.grid, "axial")
    assert view.millimetres(stack.busiest(view)) == pytest.approx(ellipsoids.TUMOUR[2], abs=2)
    empty = nib.Nifti1Image(np.zeros(stack.grid.shape, np.uint8), stack.grid.affine)
    assert stack_images(ellipsoids.head(), empty).busiest(view) == 18


def test_a_crop_stays_where_it_was():
    stack = stack_images(ellipsoids.head(), {"tumour": ellipsoids.tumour()})
    small = stack.crop(stack.masks["tumour"], margin_mm=6)
    assert small.grid.shape == small.volumes["scan"].shape == small.masks["tumour"].shape
    assert np.count_nonzero(small.masks["tumour"]) == np.count_nonzero(stack.masks["tumour"])
    middle = nib.affines.apply_affine(small.grid.affine, np.argwhere(small.masks["tumour"])).mean(axis=0)
    assert middle == pytest.approx(ellipsoids.TUMOUR, abs=0.5)
    sides = np.multiply(small.grid.shape, (3, 3, 4))
    assert ((sides > 28 + 8) & (sides < 28 + 24)).all()


def test_windows():
    ramp = np.linspace(0, 1000, 8001).reshape(9, 7, 127)
    volumes = {"ramp": ramp, "double": 2 * ramp}
    robust = display_windows(volumes)
    assert robust["ramp"] == pytest.approx((10, 990), rel=0.02)
    assert robust["double"] == pytest.approx((20, 1980), rel=0.02)
    assert display_windows(volumes, "shared")["double"] == robust["ramp"]
    assert display_windows(volumes, (3, 5)) == {"ramp": (3.0, 5.0), "double": (3.0, 5.0)}


@pytest.mark.parametrize("value", [0, 1, -2, np.nan])
def test_a_constant_volume_has_a_window_too(value):
    low, high = display_windows({"flat": np.full((4, 4, 4), value)})["flat"]
    assert low < high


@pytest.mark.parametrize("window", ["bright", (5, 3), (1, 2, 3)])
def test_unknown_window(window):
    with raises_three_lines(ParameterError, "intensities", window):
        display_windows({"scan": np.ones((2, 2, 2))}, window)
