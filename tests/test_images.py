"""Images: known grids, round trips, and files that cannot be used."""

import struct

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import CENTRE, head, lesion, raises_three_lines

from epitome_kit.errors import ImageError, OutputError, UnknownVoxelSizeError
from epitome_kit.images import (
    axis_codes,
    load_image,
    load_mask,
    mark_voxel_size_unknown,
    new_image_like,
    resample,
    resample_isotropic,
    same_grid,
    save_image,
    spacing_mm,
    voxel_size_known,
)


def _write(path, data, affine=None):
    nib.save(nib.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    return path


_AFFINES = st.builds(
    lambda order, signs, sizes, origin: nib.affines.from_matvec(
        np.eye(3)[list(order)] * np.array(signs) * np.array(sizes), origin
    ),
    st.permutations(range(3)),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.tuples(*[st.floats(0.3, 8)] * 3),
    st.tuples(*[st.floats(-200, 200)] * 3),
)


@given(
    affine=_AFFINES,
    shape=st.tuples(*[st.integers(2, 6)] * 3),
    dtype=st.sampled_from(["uint8", "int16", "uint16", "int32", "float32", "float64"]),
    seed=st.integers(0, 99),
)
def test_what_is_saved_is_what_is_loaded(tmp_path_factory, affine, shape, dtype, seed):
    path = tmp_path_factory.getbasetemp() / "round.nii.gz"
    scaled = nib.Nifti1Image(np.zeros(shape, np.float32), affine)
    scaled.header.set_slope_inter(3.0, 7.0)
    data = np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)
    data.flat[:2] = 0, 1
    save_image(new_image_like(data, scaled), path)
    found = load_image(path)
    assert found.get_data_dtype() == data.dtype
    assert np.array_equal(np.asarray(found.dataobj), data)
    assert same_grid(found, scaled)
    assert np.allclose(spacing_mm(found), nib.affines.voxel_sizes(affine), rtol=1e-5)
    assert axis_codes(found) == "".join(nib.aff2axcodes(affine))


def test_an_image_in_memory_is_taken_as_it_is():
    scan = head()
    assert load_image(scan) is scan


def test_trailing_dimensions_of_one_are_dropped(tmp_path):
    path = _write(tmp_path / "a.nii.gz", np.arange(24.0, dtype=np.float32).reshape(2, 3, 4, 1, 1))
    assert load_image(path).shape == (2, 3, 4)
    assert np.array_equal(load_image(path).get_fdata(), np.arange(24.0).reshape(2, 3, 4))


@pytest.mark.parametrize("shape", [(5, 5), (5, 5, 5, 3), (5, 5, 1, 2)])
def test_not_three_dimensional_is_three_lines(tmp_path, shape):
    path = _write(tmp_path / "a.nii.gz", np.random.default_rng(0).random(shape).astype(np.float32))
    with raises_three_lines(ImageError, shape, "a.nii.gz"):
        load_image(path, where="strip")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_is_three_lines_and_is_counted(tmp_path, value):
    data = np.arange(60.0, dtype=np.float32).reshape(3, 4, 5)
    data[1, 1, :2] = value
    path = _write(tmp_path / "a.nii.gz", data)
    with raises_three_lines(ImageError, "2 of 60 voxels", "a.nii.gz"):
        load_image(path)
    assert load_image(path, check_voxels=False).shape == (3, 4, 5)


@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_volume_is_three_lines(tmp_path, value):
    path = _write(tmp_path / "a.nii.gz", np.full((3, 4, 5), value, np.int16))
    with raises_three_lines(ImageError, f"every voxel equal to {value}", "a.nii.gz"):
        load_image(path)


@pytest.mark.parametrize("data", [np.zeros((3, 3, 3), np.complex64), np.zeros((3, 3, 3), [(c, "u1") for c in "RGB"])])
def test_colour_and_complex_voxels_are_three_lines(tmp_path, data):
    with raises_three_lines(ImageError, "data type", "a.nii.gz"):
        load_image(_write(tmp_path / "a.nii.gz", data))


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_an_affine_without_an_inverse_is_three_lines(tmp_path, value):
    path = tmp_path / "a.nii"
    save_image(head(), path)
    content = bytearray(path.read_bytes())
    content[312:328] = struct.pack("<4f", *[value] * 4)
    path.write_bytes(content)
    with raises_three_lines(ImageError, "affine", "a.nii"):
        load_image(path)


def test_a_missing_file_is_three_lines(tmp_path):
    with raises_three_lines(ImageError, tmp_path / "none.nii.gz", "does not exist"):
        load_image(tmp_path / "none.nii.gz")


@pytest.mark.parametrize("load", [load_image, load_mask])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98])
def test_a_truncated_file_is_three_lines(tmp_path, load, suffix, share):
    path = tmp_path / f"a{suffix}"
    save_image(head(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with raises_three_lines(ImageError, f"a{suffix}", "again"):
        load(path)


@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_a_flipped_byte_is_an_image_or_three_lines(tmp_path_factory, place, value):
    path = tmp_path_factory.getbasetemp() / "flipped.nii.gz"
    save_image(head(), path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= value
    path.write_bytes(content)
    try:
        assert load_image(path).shape == head().shape
    except ImageError as error:
        assert "flipped.nii.gz" in str(error)


def test_an_impossible_header_is_three_lines(tmp_path):
    path = tmp_path / "a.nii"
    save_image(head(), path)
    content = bytearray(path.read_bytes())
    content[70:72] = struct.pack("<h", 999)
    path.write_bytes(content)
    with raises_three_lines(ImageError, "a.nii", "999"):
        load_image(path)


def test_what_a_library_repairs_does_not_reach_the_screen(tmp_path, capfd):
    content = bytearray(head().to_bytes())
    content[:4] = struct.pack("<i", 999)
    (tmp_path / "a.nii").write_bytes(content)
    assert load_image(tmp_path / "a.nii").shape == head().shape
    assert capfd.readouterr() == ("", "")


def test_text_is_no_image(tmp_path):
    (tmp_path / "a.nii.gz").write_text("see README")
    with raises_three_lines(ImageError, "a.nii.gz"):
        load_image(tmp_path / "a.nii.gz")


def test_a_mask_becomes_zero_and_one():
    scan = head()
    data = np.zeros(scan.shape, np.float32)
    data[CENTRE], data[0, 0, 0], data[1, 1, 1] = 255, np.nan, -1
    mask = load_mask(nib.Nifti1Image(data, scan.affine), like=scan)
    assert mask.get_data_dtype() == np.uint8
    assert np.argwhere(np.asarray(mask.dataobj)).tolist() == [list(CENTRE)]


def test_an_empty_mask_is_a_mask():
    assert not np.asarray(load_mask(new_image_like(np.zeros(head().shape, np.uint8), head())).dataobj).any()


@pytest.mark.parametrize("change", ["shape", "affine"])
def test_a_mask_on_another_grid_is_three_lines(tmp_path, change):
    scan = head()
    data = np.ones((16, 18, 11) if change == "shape" else scan.shape, np.uint8)
    affine = scan.affine.copy()
    affine[0, 3] += change == "affine"
    path = _write(tmp_path / "mask.nii.gz", data, affine)
    with raises_three_lines(ImageError, "grid", scan.shape, "mask.nii.gz"):
        load_mask(path, like=scan)


def test_a_lost_voxel_size_is_remembered_on_disk(tmp_path):
    save_image(mark_voxel_size_unknown(head()), tmp_path / "a.nii.gz")
    lost = load_image(tmp_path / "a.nii.gz")
    assert not voxel_size_known(lost)
    assert not voxel_size_known(new_image_like(np.ones(lost.shape, np.uint8), lost))
    with raises_three_lines(UnknownVoxelSizeError, "a.nii.gz"):
        spacing_mm(lost)


def test_a_known_voxel_size_is_read_from_an_oblique_affine():
    turn = nib.eulerangles.euler2mat(0.3, 0.2, 0.1)
    scan = nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), nib.affines.from_matvec(turn @ np.diag([-0.9, 0.9, 5.5])))
    assert voxel_size_known(scan)
    assert np.allclose(spacing_mm(scan), (0.9, 0.9, 5.5))
    assert axis_codes(scan) == "LAS"


def test_the_same_grid_is_shape_and_affine():
    scan = head()
    assert same_grid(scan, lesion(scan))
    assert not same_grid(scan, head(shape=(18, 16, 12)))
    assert not same_grid(scan, head(spacing=(2, 2, 3.1)))


def test_resampling_to_its_own_grid_changes_nothing():
    scan = head()
    assert np.array_equal(resample(scan, scan.affine, scan.shape).get_fdata(), scan.get_fdata())


def test_resampling_follows_the_transform():
    scan = head()
    moved = resample(scan, scan.affine, scan.shape, transform=nib.affines.from_matvec(np.eye(3), (4, 0, -3)))
    assert np.array_equal(moved.get_fdata()[2:, :, :-1], scan.get_fdata()[:-2, :, 1:])


def test_a_coarser_grid_sums_up_what_it_covers_instead_of_picking():
    noise = np.random.default_rng(0).normal(size=(60, 60, 10)).astype(np.float32)
    scan = nib.Nifti1Image(noise, np.diag([1.0, 1.0, 6.0, 1.0]))
    grid = np.diag([4.0, 4.0, 6.0, 1.0]), (15, 15, 10)
    picked, summed = (resample(scan, *grid, smooth=smooth).get_fdata() for smooth in (False, True))
    assert picked.std() == pytest.approx(1, abs=0.1) and summed.std() < 0.4
    even = resample(nib.Nifti1Image(np.ones_like(noise), scan.affine), *grid, smooth=True).get_fdata()
    assert np.allclose(even, 1)


def test_isotropic_voxels_cover_the_field_of_view():
    scan = nib.Nifti1Image(head().get_fdata().astype(np.float32)[::-1], head().affine @ np.diag([-1, 1, 1, 1]))
    found = resample_isotropic(scan, 4.0, multiple=4)
    assert np.allclose(spacing_mm(found), 4) and axis_codes(found) == "RAS"
    assert all(n % 4 == 0 and n * 4 >= m for n, m in zip(found.shape, (32, 36, 36), strict=True))
    assert found.get_fdata().sum() * 64 == pytest.approx(scan.get_fdata().sum() * 12, rel=0.05)


def test_a_name_that_is_not_of_nifti_is_three_lines(tmp_path):
    with raises_three_lines(OutputError, ".nii or .nii.gz", "mask.txt"):
        save_image(head(), tmp_path / "mask.txt")
    assert not list(tmp_path.iterdir())


def test_what_is_no_nifti_is_said_and_where_dicom_goes(tmp_path):
    with raises_three_lines(ImageError, "a folder", "epitome cohort dicom"):
        load_image(tmp_path)
    (tmp_path / "image.dcm").write_bytes(b"not a scan")
    with raises_three_lines(ImageError, "readable scan", "is text", "epitome cohort dicom"):
        load_image(tmp_path / "image.dcm")
