"""Size: boxes, discs and ellipses whose volume and diameters anybody can work out."""

from dataclasses import asdict

import nibabel as nib
import numpy as np
import pytest
from ellipsoids import ellipsoid, grid
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import raises_three_lines

from epitome_kit.errors import ImageError, ParameterError, UnknownVoxelSizeError
from epitome_kit.images import mark_voxel_size_unknown
from epitome_kit.tumour.diameters import axial_axis
from epitome_kit.tumour.measure import count_voxels, measure_tumour

LENGTHS = ("rano_long_mm", "rano_perpendicular_mm", "max_2d_mm", "max_3d_mm")
AXES = ("axis_major_mm", "axis_minor_mm", "axis_least_mm")


def _image(mask, spacing=(1.0, 1.0, 1.0)):
    return nib.Nifti1Image(np.asarray(mask, np.uint8), np.diag([*spacing, 1.0]))


def _box():
    """20 x 10 x 4 voxels of 1 x 2 x 3 mm."""
    mask = np.zeros((40, 30, 12))
    mask[5:25, 8:18, 3:7] = 1
    return _image(mask, (1.0, 2.0, 3.0))


def _ellipse(long_mm, short_mm, degrees=0.0, spacing=(1.0, 1.0), depth=2):
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


def test_the_long_diameter_of_a_box_is_its_diagonal_from_edge_to_edge_with_its_corners_cut():
    size = measure_tumour(_box())
    assert np.hypot(20, 20) - 2.5 < size.rano_long_mm < np.hypot(20, 20)
    assert size.rano_perpendicular_mm == pytest.approx(size.rano_long_mm, abs=1)
    assert 3 <= size.rano_slice < 7


@settings(max_examples=25)
@given(long_mm=st.floats(24, 50), ratio=st.floats(0.3, 0.9), degrees=st.floats(0, 180))
def test_an_ellipse_has_its_two_axes_whichever_way_it_lies(long_mm, ratio, degrees):
    size = measure_tumour(_ellipse(long_mm, ratio * long_mm, degrees))
    # The tips of a thin ellipse are cut, or lie between two rows.
    assert long_mm - 1.75 < size.rano_long_mm < long_mm + 0.75
    assert size.rano_perpendicular_mm == pytest.approx(ratio * long_mm, abs=1)


def test_pixels_need_not_be_square():
    size = measure_tumour(_ellipse(44, 30, spacing=(0.7, 1.4)))
    assert size.rano_long_mm == pytest.approx(44, abs=1) and size.rano_perpendicular_mm == pytest.approx(30, abs=1.4)


@pytest.mark.parametrize(("short_mm", "measurable"), [(8.0, False), (14.0, True)])
def test_measurable_means_both_diameters_of_ten_mm(short_mm, measurable):
    assert measure_tumour(_ellipse(40, short_mm)).measurable is measurable


@pytest.mark.parametrize("codes", ["LPS", "SAR", "PIL", "ASL"])
def test_the_way_the_voxels_are_stored_does_not_matter(codes):
    mask = _box()
    ornt = nib.orientations.ornt_transform(nib.io_orientation(mask.affine), nib.orientations.axcodes2ornt(codes))
    turned = mask.as_reoriented(ornt)
    found, expected = measure_tumour(turned), measure_tumour(mask)
    for name, value in asdict(expected).items():
        if name != "rano_slice":
            assert getattr(found, name) == pytest.approx(value), name
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


@pytest.mark.parametrize("voxels", [1, 2, 7])
def test_a_point_and_a_line_are_as_wide_as_a_voxel(voxels):
    mask = np.zeros((10, 5, 5))
    mask[1 : 1 + voxels, 2, 2] = 1
    size = measure_tumour(_image(mask))
    assert size.rano_long_mm == pytest.approx(voxels, abs=1) and size.rano_perpendicular_mm == pytest.approx(1, abs=0.5)
    assert not size.measurable
    assert size.max_2d_mm == pytest.approx(voxels) and size.volume_voxels == voxels
    assert [getattr(size, name) for name in AXES] == pytest.approx(np.array([voxels, 1, 1]) * np.sqrt(5 / 3))


def test_a_path_will_do_as_well(tmp_path):
    nib.save(_box(), tmp_path / "mask.nii.gz")
    assert measure_tumour(tmp_path / "mask.nii.gz") == measure_tumour(_box())


def test_an_empty_mask_is_three_lines():
    with raises_three_lines(ImageError, "measure_tumour", "empty mask"):
        measure_tumour(_image(np.zeros((5, 5, 5))))


def test_a_scan_is_no_mask():
    scan = np.arange(6000).reshape(20, 20, 15)
    with raises_three_lines(ImageError, "measure_tumour", "values from 0 to 255"):
        measure_tumour(_image(scan))


def _ellipsoid(radii, **options):
    shape, affine = grid(**options)
    return nib.Nifti1Image(ellipsoid(shape, affine, (0, 0, 0), radii).astype(np.uint8), affine)


@settings(max_examples=12, deadline=None)
@given(
    radii=st.tuples(*[st.floats(12, 32)] * 3),
    turn=st.tuples(*[st.floats(-40, 40)] * 3),
    spacing=st.sampled_from([(1.5, 1.5, 1.5), (1.0, 1.0, 3.0), (1.0, 1.5, 2.0)]),
)
def test_an_ellipsoid_has_its_volume_and_axes_on_any_grid(radii, turn, spacing):
    shape = tuple(int(80 / step) for step in spacing)
    size = measure_tumour(_ellipsoid(radii, turn=turn, spacing=spacing, shape=shape))
    assert size.volume_ml == pytest.approx(4 / 3 * np.pi * np.prod(radii) / 1000, rel=0.04)
    assert size.surface_volume_ml == pytest.approx(size.volume_ml, rel=0.04)
    lengths = sorted(2 * np.array(radii), reverse=True)
    assert [getattr(size, name) for name in AXES] == pytest.approx(lengths, rel=0.05)
    assert size.max_3d_mm == pytest.approx(lengths[0], abs=2 * max(spacing))
    assert size.rano_long_mm <= size.max_2d_mm + max(spacing) / 2 and size.max_2d_mm <= size.max_3d_mm + 1e-9
    assert size.lesions == 1 and size.measurable and not size.touches_edge


def test_a_ball_is_round_and_has_the_surface_of_a_ball():
    size = measure_tumour(_ellipsoid((25, 25, 25), spacing=(1, 1, 1), shape=(60, 60, 60)))
    assert 0.85 < size.sphericity < 1
    assert size.surface_mm2 == pytest.approx(4 * np.pi * 25**2, rel=0.1)


@settings(max_examples=15, deadline=None)
@given(factor=st.floats(0.3, 4), radii=st.tuples(*[st.floats(9, 24)] * 3))
def test_sizes_grow_with_the_voxels(factor, radii):
    small = _ellipsoid(radii, spacing=(2, 2, 3), shape=(30, 30, 20))
    large = nib.Nifti1Image(small.get_fdata(), small.affine @ np.diag([factor] * 3 + [1]))
    before, after = measure_tumour(small), measure_tumour(large)
    for names, power in ((LENGTHS + AXES, 1), (("surface_mm2", "rano_product_mm2"), 2), (("volume_ml",), 3)):
        for name in names:
            assert getattr(after, name) == pytest.approx(getattr(before, name) * factor**power), name
    assert after.sphericity == pytest.approx(before.sphericity)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(3)), flips=st.tuples(*[st.sampled_from([1, -1])] * 3), radii=st.floats(10, 25))
def test_turned_or_mirrored_voxels_have_the_same_sizes(order, flips, radii):
    common = {"spacing": (1.5, 2.0, 3.0), "shape": (40, 30, 20)}
    expected = asdict(measure_tumour(_ellipsoid((radii, 14, 20), **common)))
    found = asdict(measure_tumour(_ellipsoid((radii, 14, 20), order=tuple(order), flips=flips, **common)))
    for name in set(expected) - {"rano_slice"}:
        assert found[name] is expected[name] or found[name] == pytest.approx(expected[name], rel=1e-6), name


def test_two_lesions_are_measured_each_on_its_own():
    mask = np.zeros((60, 60, 12))
    mask[4:24, 4:16, 2:8] = mask[44:52, 44:52, 2:8] = 1
    size = measure_tumour(_image(mask))
    assert (size.lesions, size.largest_lesion_ml) == (2, pytest.approx(1.44))
    assert size.volume_ml == pytest.approx(1.44 + 0.384)
    assert size.rano_long_mm == pytest.approx(np.hypot(20, 12), abs=2)
    assert size.max_2d_mm > 60


def test_the_largest_product_counts_rather_than_the_longest_line():
    mask = np.zeros((60, 60, 9))
    mask[4:54, 4:7, 2] = mask[10:35, 10:35, 5] = 1
    size = measure_tumour(_image(mask))
    assert size.rano_slice == 5
    assert size.rano_product_mm2 == pytest.approx(size.rano_long_mm * size.rano_perpendicular_mm)


def test_a_tumour_at_the_edge_of_the_field_of_view_is_closed_and_said_to_be_there():
    mask = np.zeros((30, 30, 30))
    mask[:10, 10:20, 10:20] = 1
    size, inner = measure_tumour(_image(mask)), measure_tumour(_image(np.roll(mask, 5, axis=0)))
    assert size.touches_edge and not inner.touches_edge
    assert size.surface_mm2 == pytest.approx(inner.surface_mm2)
    assert 540 < size.surface_mm2 < 600 and 0.95 < size.surface_volume_ml < 1
    assert size.surface_volume_ml == pytest.approx(inner.surface_volume_ml)


def test_a_mask_may_fill_its_array():
    size = measure_tumour(_image(np.ones((12, 10, 8)), (1.0, 1.0, 2.0)))
    assert size.touches_edge and size.lesions == 1 and size.measurable
    assert (size.volume_ml, size.rano_long_mm) == (pytest.approx(1.92), pytest.approx(np.hypot(12, 10), abs=2))
    assert size.max_2d_mm == pytest.approx(np.hypot(12, 9))


def test_one_voxel_has_a_volume_and_a_surface():
    mask = np.zeros((5, 5, 5))
    mask[2, 2, 2] = 1
    size = measure_tumour(_image(mask, (2.0, 2.0, 2.0)))
    assert (size.volume_voxels, size.volume_ml, size.lesions) == (1, pytest.approx(0.008), 1)
    assert size.surface_volume_ml == pytest.approx(0.008 / 6) and size.max_3d_mm == pytest.approx(2)
    assert size.rano_long_mm == pytest.approx(2, abs=0.1)
    assert [getattr(size, name) for name in AXES] == pytest.approx([2 * np.sqrt(5 / 3)] * 3)


def test_a_mask_of_one_slice_is_as_deep_as_a_voxel():
    """The solid ellipsoid of a plate is wider than the plate: by √5 / 2 in its plane, by √(5 / 3) across."""
    size = measure_tumour(_ellipse(40, 24, depth=1))
    assert [getattr(size, name) for name in AXES] == pytest.approx(
        [20 * np.sqrt(5), 12 * np.sqrt(5), 4 * np.sqrt(5 / 3)], rel=0.02
    )
    assert size.rano_long_mm == pytest.approx(40, abs=1) and size.touches_edge and not size.measurable


def test_very_long_voxels_are_respected():
    mask = np.zeros((60, 60, 10))
    mask[10:50, 20:40, 3:7] = 1
    size = measure_tumour(_image(mask, (0.5, 0.5, 6.0)))
    assert size.volume_ml == pytest.approx(20 * 10 * 24 / 1000)
    assert size.rano_long_mm == pytest.approx(np.hypot(20, 10), abs=1)
    assert size.max_3d_mm == pytest.approx(np.sqrt(19.5**2 + 9.5**2 + 24**2))
    assert not size.measurable


def test_a_sheared_ellipsoid_keeps_the_sizes_it_has_in_the_world():
    shape, matrix = (60, 60, 60), np.array([[1.0, 0.3, 0.1], [0.0, 1.0, 0.2], [0.0, 0.0, 1.1]])
    affine = nib.affines.from_matvec(matrix, -matrix @ (np.array(shape) - 1) / 2)
    sheared = nib.Nifti1Image(ellipsoid(shape, affine, (0, 0, 0), (18, 12, 15)).astype(np.uint8), affine)
    size = measure_tumour(sheared)
    assert size.volume_ml == pytest.approx(4 / 3 * np.pi * 18 * 12 * 15 / 1000, rel=0.02)
    assert [getattr(size, name) for name in AXES] == pytest.approx([36, 30, 24], rel=0.03)
    assert (size.max_3d_mm, size.rano_long_mm, size.rano_perpendicular_mm) == pytest.approx((36, 36, 24), abs=2)


def test_what_is_not_a_number_is_outside():
    data = np.asarray(_box().dataobj).astype(np.float32)
    data[:5] = np.nan
    assert measure_tumour(nib.Nifti1Image(data, _box().affine)) == measure_tumour(_box())


def test_the_name_of_an_empty_file_is_told(tmp_path):
    nib.save(_image(np.full((5, 5, 5), np.nan) > 0), tmp_path / "nothing.nii.gz")
    with raises_three_lines(ImageError, "measure_tumour", "nothing.nii.gz"):
        measure_tumour(tmp_path / "nothing.nii.gz")


def test_annotated_slices_give_a_slab_and_an_estimate_and_no_volume():
    whole = _ellipsoid((18, 14, 16), spacing=(1, 1, 3), shape=(50, 50, 21))
    size = measure_tumour(whole, annotated_slices=(11, 9, 10))
    held = np.asarray(whole.dataobj)[:, :, 9:12].sum() * 3 / 1000
    assert (size.slab_volume_ml, size.annotated_slices) == (pytest.approx(held), (9, 10, 11))
    assert size.slab_volume_ml < size.ellipsoid_volume_low_ml < size.ellipsoid_volume_ml < size.ellipsoid_volume_high_ml
    assert size.ellipsoid_volume_low_ml < measure_tumour(whole).volume_ml < size.ellipsoid_volume_high_ml
    needs_all = ("volume_ml", "volume_voxels", "surface_mm2", "sphericity", "max_2d_mm", "max_3d_mm", *AXES, "lesions")
    assert [getattr(size, name) for name in needs_all] == [None] * len(needs_all)
    assert size.rano_long_mm == pytest.approx(36, abs=2) and size.rano_slice in (9, 10, 11) and size.measurable


def test_a_whole_mask_has_no_slab():
    size = measure_tumour(_box())
    told_apart = ("annotated_slices", "slab_volume_ml", "ellipsoid_volume_ml", "ellipsoid_volume_low_ml")
    assert [getattr(size, name) for name in told_apart] == [None] * 4


@pytest.mark.parametrize("slices", [(), (4, 12), (-1,)])
def test_slices_that_are_not_there_are_three_lines(slices):
    for measure in (measure_tumour, count_voxels):
        with raises_three_lines(ParameterError, "annotated slices in the range 0 to 11"):
            measure(_box(), annotated_slices=slices)


def test_annotated_slices_without_a_tumour_are_three_lines():
    with raises_three_lines(ImageError, "on slices 0, 1"):
        measure_tumour(_box(), annotated_slices=(0, 1))


def test_voxels_can_be_counted_without_their_size():
    mask = np.zeros((20, 20, 10))
    mask[2:6, 2:6, 3:6] = mask[10:12, 10:12, 9] = 1
    for image in (_image(mask), mark_voxel_size_unknown(_image(mask))):
        count = count_voxels(image)
        assert (count.volume_voxels, count.lesions, count.largest_lesion_voxels) == (52, 2, 48)
        assert (count.largest_slice, count.touches_edge, count.slab_voxels) == (3, True, None)
        part = count_voxels(image, annotated_slices=(5, 9))
        assert (part.slab_voxels, part.volume_voxels, part.lesions) == (20, None, None)


def test_the_way_out_without_a_voxel_size_is_named():
    with raises_three_lines(UnknownVoxelSizeError, "epitome measure MASK --voxels"):
        measure_tumour(mark_voxel_size_unknown(_box()))


def test_the_enhancing_part_is_measured_apart_on_a_grid_of_its_own():
    whole = _ellipsoid((20, 16, 15), spacing=(1, 1, 3), shape=(60, 60, 21))
    part = _ellipsoid((8, 6, 9), spacing=(1, 1, 1), shape=(40, 40, 40))
    alone, size, own = measure_tumour(whole), measure_tumour(whole, enhancing=part), measure_tumour(part)
    given = {name: value for name, value in asdict(size).items() if name.startswith("enhancing_")}
    assert all(value is None for name, value in asdict(alone).items() if name.startswith("enhancing_"))
    assert {name: value for name, value in asdict(size).items() if name not in given} == {
        name: value for name, value in asdict(alone).items() if name not in given
    }
    assert given == {
        "enhancing_volume_ml": pytest.approx(own.volume_ml),
        "enhancing_long_mm": own.rano_long_mm,
        "enhancing_perpendicular_mm": own.rano_perpendicular_mm,
        "enhancing_product_mm2": own.rano_product_mm2,
        "enhancing_slice": own.rano_slice,
        "enhancing_measurable": True,
    }


def test_no_enhancement_is_a_finding_and_its_mask_needs_a_voxel_size():
    size = measure_tumour(_box(), enhancing=_image(np.zeros((5, 5, 5))))
    assert (size.enhancing_volume_ml, size.enhancing_long_mm, size.enhancing_measurable) == (0, 0, False)
    with raises_three_lines(UnknownVoxelSizeError, "unknown voxel size"):
        measure_tumour(_box(), enhancing=mark_voxel_size_unknown(_box()))


def test_the_labels_of_the_enhancing_part_are_its_own():
    labels = np.zeros((30, 30, 10))
    labels[4:24, 4:24, 2:8], labels[8:20, 8:20, 3:7] = 2, 4
    image = _image(labels)
    size = measure_tumour(image, labels="all", enhancing=image, enhancing_labels="4")
    assert (size.volume_ml, size.enhancing_volume_ml) == (pytest.approx(2.4), pytest.approx(0.576))
