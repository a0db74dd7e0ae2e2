"""Size: boxes, discs and ellipses whose volume and diameters anybody can work out."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import raises_three_lines

from epitome_kit.errors import BadImage, UnknownVoxelSize
from epitome_kit.images import mark_voxel_size_unknown
from epitome_kit.tumour.measure import axial_axis, measure_tumour


def _image(mask, spacing=(1.0, 1.0, 1.0)):
    return nib.Nifti1Image(np.asarray(mask, np.uint8), np.diag([*spacing, 1.0]))


def _box():
    """20 x 10 x 4 voxels of 1 x 2 x 3 mm."""
    mask = np.zeros((40, 30, 12))
    mask[5:25, 8:18, 3:7] = 1
    return _image(mask, (1.0, 2.0, 3.0))


def _ellipse(long_mm, short_mm, degrees=0.0, spacing=(1.0, 1.0), depth=1):
    """Ellipse of given diameters in every slice of the array."""
    x, y = np.meshgrid(*[np.arange(n) * step for n, step in zip((96, 64), spacing, strict=True)], indexing="ij")
    x, y = x - 47.5 * spacing[0], y - 31.5 * spacing[1]
    turn = np.radians(degrees)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    inside = (2 * along / long_mm) ** 2 + (2 * across / short_mm) ** 2 <= 1
    return _image(np.repeat(inside[..., None], depth, axis=2), (*spacing, 4.0))


def test_a_box_has_the_volume_of_a_box():
    size = measure_tumour(_box())
    assert (size.volume_voxels, size.volume_ml) == (800, pytest.approx(4.8))
    assert size.lesions == 1 and size.measurable


def test_the_long_diameter_of_a_box_is_its_diagonal_from_centre_to_centre():
    size = measure_tumour(_box())
    assert size.rano_long_mm == pytest.approx(np.hypot(19, 18))
    assert size.rano_perpendicular_mm == pytest.approx(np.hypot(19, 18) * 18 / 19, abs=2)
    assert 3 <= size.rano_slice < 7


@settings(max_examples=25)
@given(long_mm=st.floats(24, 50), ratio=st.floats(0.3, 0.9), degrees=st.floats(0, 180))
def test_an_ellipse_has_its_two_axes_whichever_way_it_lies(long_mm, ratio, degrees):
    size = measure_tumour(_ellipse(long_mm, ratio * long_mm, degrees))
    assert size.rano_long_mm == pytest.approx(long_mm, abs=2)
    assert size.rano_perpendicular_mm == pytest.approx(ratio * long_mm, abs=2.5)


def test_pixels_need_not_be_square():
    size = measure_tumour(_ellipse(44, 30, spacing=(0.7, 1.4)))
    assert size.rano_long_mm == pytest.approx(44, abs=2) and size.rano_perpendicular_mm == pytest.approx(30, abs=3)


@pytest.mark.parametrize(("short_mm", "measurable"), [(8.0, False), (14.0, True)])
def test_measurable_means_both_diameters_of_ten_mm(short_mm, measurable):
    assert measure_tumour(_ellipse(40, short_mm)).measurable is measurable


@pytest.mark.parametrize("codes", ["LPS", "SAR", "PIL", "ASL"])
def test_the_way_the_voxels_are_stored_does_not_matter(codes):
    mask = _box()
    ornt = nib.orientations.ornt_transform(nib.io_orientation(mask.affine), nib.orientations.axcodes2ornt(codes))
    turned = mask.as_reoriented(ornt)
    found, expected = measure_tumour(turned), measure_tumour(mask)
    for name in ("volume_ml", "volume_voxels", "rano_long_mm", "rano_perpendicular_mm", "lesions", "measurable"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name))
    assert axial_axis(turned) == codes.index("S" if "S" in codes else "I")
    assert turned.get_fdata().sum(tuple({0, 1, 2} - {axial_axis(turned)}))[found.rano_slice] > 0


def test_a_tilted_or_sheared_grid_is_respected():
    mask = _box()
    tilt = np.array([[0.98, -0.17, 0.0], [0.17, 0.98, 0.05], [0.0, 0.0, 1.0]])
    sheared = nib.Nifti1Image(mask.get_fdata(), nib.affines.from_matvec(tilt @ mask.affine[:3, :3]))
    assert measure_tumour(sheared).volume_ml == pytest.approx(4.8 * np.linalg.det(tilt))


def test_the_widest_slice_is_named():
    mask = np.zeros((30, 30, 9))
    for k, half in ((2, 3), (3, 9), (4, 5)):
        mask[15 - half : 15 + half, 15 - half : 15 + half, k] = 1
    assert measure_tumour(_image(mask)).rano_slice == 3


def test_pieces_are_counted_and_touching_corners_are_one():
    mask = np.zeros((20, 20, 20))
    mask[2:4, 2:4, 2:4] = mask[4:6, 4:6, 4:6] = mask[12:14, 2:4, 2:4] = 1
    assert measure_tumour(_image(mask)).lesions == 2


@pytest.mark.parametrize(("voxels", "long_mm"), [(1, 0.0), (2, 1.0), (7, 6.0)])
def test_a_point_and_a_line_have_no_width(voxels, long_mm):
    mask = np.zeros((10, 5, 5))
    mask[1 : 1 + voxels, 2, 2] = 1
    size = measure_tumour(_image(mask))
    assert (size.rano_long_mm, size.rano_perpendicular_mm, size.measurable) == (pytest.approx(long_mm), 0, False)


def test_a_path_will_do_as_well(tmp_path):
    nib.save(_box(), tmp_path / "mask.nii.gz")
    assert measure_tumour(tmp_path / "mask.nii.gz") == measure_tumour(_box())


def test_an_empty_mask_is_three_lines():
    with raises_three_lines(BadImage, "measure_tumour", "empty mask"):
        measure_tumour(_image(np.zeros((5, 5, 5))))


def test_a_scan_is_no_mask():
    scan = np.arange(6000).reshape(20, 20, 15)
    with raises_three_lines(BadImage, "measure_tumour", "values from 0 to 255"):
        measure_tumour(_image(scan))


def test_no_volume_without_a_voxel_size():
    with raises_three_lines(UnknownVoxelSize, "measure_tumour", "voxels"):
        measure_tumour(mark_voxel_size_unknown(_box()))
