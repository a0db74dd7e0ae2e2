"""Headers that say two things of one place are refused, and grids are compared where their corners lie."""

import struct

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import head, lesion, raises_three_lines

from epitome_kit.errors import EpitomeWarning, ImageError, ParameterError, collect_warnings
from epitome_kit.images import (
    axis_codes,
    load_image,
    load_mask,
    mark_voxel_size_unknown,
    new_image_like,
    resample,
    resample_isotropic,
    save_image,
    spacing_mm,
)
from epitome_kit.io.geometry import reorient_like, same_grid

SHAPE, SPACING = (40, 44, 12), (0.9, 0.9, 5.0)


def oblique(spacing=SPACING, origin=(-17.3, 21.9, -30.1), turn=(0.31, -0.12, 0.2)):
    return nib.affines.from_matvec(nib.eulerangles.euler2mat(*turn) * spacing, origin)


def scan(sform, qform, *, codes=(1, 1), pixdim=None, units="mm", shape=SHAPE):
    """A scan whose header is told what to say in each place."""
    data = np.random.default_rng(0).integers(0, 500, shape).astype(np.int16)
    image = nib.Nifti1Image(data, sform)
    image.header.set_xyzt_units(units)
    image.header.set_qform(qform, codes[1])
    image.header.set_sform(sform, codes[0])
    if pixdim is not None:
        image.header["pixdim"][1:4] = pixdim
    return nib.Nifti1Image(data, image.header.get_best_affine(), image.header)


def saved(image, path):
    nib.save(image, path)
    return path


def moved(affine, by_mm):
    found = affine.copy()
    found[:3, 3] += by_mm
    return found


DISAGREE = {
    "identity in the sform": (np.eye(4), oblique()),
    "sides swapped": (np.diag([-1, 1, 1, 1]) @ oblique(), oblique()),
    "turned by a degree": (oblique(turn=(0.327, -0.12, 0.2)), oblique()),
    "moved by a fifth of a voxel": (moved(oblique(), (0.18, 0, 0)), oblique()),
    "sheared": (oblique() @ np.array([[1, 0.02, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), oblique()),
    "axes exchanged": (oblique()[:, [1, 0, 2, 3]], oblique()),
}


@pytest.mark.parametrize("kind", DISAGREE)
def test_a_header_that_disagrees_is_a_question_with_two_answers(kind, tmp_path):
    sform, qform = DISAGREE[kind]
    path = saved(scan(sform, qform), tmp_path / "odd.nii.gz")
    with raises_three_lines(ImageError, "odd.nii.gz", "--trust sform", "--trust qform"):
        load_image(path)
    with raises_three_lines(ImageError, "--trust"):
        load_image(nib.load(path))
    for trust, affine in (("sform", sform), ("qform", qform)):
        found = load_image(path, trust=trust)
        np.testing.assert_allclose(found.affine, affine, atol=1e-4)
        again = load_image(saved(found, tmp_path / f"{trust}.nii.gz"))
        np.testing.assert_allclose(again.affine, affine, atol=1e-4)
        assert np.array_equal(np.asarray(again.dataobj), np.asarray(nib.load(path).dataobj))
        np.testing.assert_allclose(again.header["pixdim"][1:4], nib.affines.voxel_sizes(affine), rtol=1e-5)


def test_both_sizes_are_named(tmp_path):
    path = saved(scan(np.eye(4), oblique()), tmp_path / "a.nii")
    with raises_three_lines(ImageError, "1 x 1 x 1 mm by the sform", "0.9 x 0.9 x 5 mm by pixdim"):
        load_image(path)


@pytest.mark.parametrize("row", [[0, 0, 0, 0], [np.nan] * 4, [0.9, 0.9, 5, 0]])
def test_an_sform_that_is_no_place_leaves_the_qform(row, tmp_path):
    content = bytearray(scan(oblique(), oblique()).to_bytes())
    struct.pack_into("<12f", content, 280, *row * 3)
    (tmp_path / "a.nii").write_bytes(content)
    with raises_three_lines(ImageError, "--trust qform", "a.nii"):
        load_image(tmp_path / "a.nii")
    np.testing.assert_allclose(load_image(tmp_path / "a.nii", trust="qform").affine, oblique(), atol=1e-5)


@pytest.mark.parametrize(("share", "fits"), [(1.008, True), (1.02, False)])
def test_the_size_of_the_sform_is_that_of_pixdim(share, fits, tmp_path):
    image = scan(oblique(), oblique(), codes=(1, 0), pixdim=np.array(SPACING) * [1, 1, share])
    path = saved(image, tmp_path / "a.nii")
    if fits:
        assert np.allclose(spacing_mm(load_image(path)), SPACING)
        return
    with raises_three_lines(ImageError, "one voxel size"):
        load_image(path)
    assert np.allclose(spacing_mm(load_image(path, trust="sform")), SPACING)
    with pytest.warns(EpitomeWarning, match="left and right"):  # the code says that nobody vouches for the qform
        assert np.allclose(spacing_mm(load_image(path, trust="qform")), np.array(SPACING) * [1, 1, share])


def test_pixdim_of_zero_says_nothing_against_an_sform(tmp_path):
    content = bytearray(scan(oblique(), oblique(), codes=(2, 0)).to_bytes())
    struct.pack_into("<3f", content, 80, 0, 0, 0)
    (tmp_path / "a.nii").write_bytes(content)
    np.testing.assert_allclose(load_image(tmp_path / "a.nii").affine, oblique(), atol=1e-5)


def test_a_tenth_of_a_voxel_is_rounding(tmp_path):
    path = saved(scan(moved(oblique(), (0.04, 0.02, 0.1)), oblique()), tmp_path / "a.nii")
    with collect_warnings() as remarks:
        load_image(path)
    assert remarks == []


@given(
    axis=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: np.linalg.norm(axis) > 0.1),
    short_of_half=st.floats(-6, 0.3).map(lambda power: 10**power),
    sizes=st.tuples(*[st.floats(0.4, 6)] * 3),
    flip=st.sampled_from([1, -1]),
)
def test_a_turn_that_a_qform_keeps_poorly_is_no_disagreement(axis, short_of_half, sizes, flip):
    turn = nib.quaternions.angle_axis2mat(np.pi - short_of_half, axis)
    affine = nib.affines.from_matvec(turn * sizes * np.array([flip, 1, 1]), (120, -90, 30))
    header = scan(affine, affine, shape=(2, 2, 2)).header
    data = np.broadcast_to(np.int16(0), (512, 512, 200))
    load_image(nib.Nifti1Image(data, None, header), check_voxels=False)


@pytest.mark.parametrize("trust", ["header", "s-form", ""])
def test_trust_is_one_of_two_words(trust):
    with raises_three_lines(ParameterError, "sform or qform"):
        load_image(scan(oblique(), oblique()), trust=trust)


def test_a_place_that_is_not_there_cannot_be_trusted(tmp_path):
    path = saved(scan(oblique(), oblique(), codes=(0, 1)), tmp_path / "a.nii")
    with raises_three_lines(ParameterError, "sform", "a.nii"):
        load_image(path, trust="sform")
    assert load_image(path, trust="qform").shape == SHAPE


def test_without_a_code_the_size_counts_and_the_sides_are_said_to_be_unknown(tmp_path):
    path = saved(scan(np.eye(4), oblique(), codes=(0, 0)), tmp_path / "old.nii")
    with collect_warnings() as remarks:
        found = load_image(path)
    assert np.allclose(spacing_mm(found), SPACING)
    assert len(remarks) == 1 and "old.nii" in remarks[0] and "left and right are unknown" in remarks[0]
    assert "right," not in remarks[0] and "unit" not in remarks[0]
    with collect_warnings() as remarks:  # once said, and not again of what was made from it
        load_image(saved(found, tmp_path / "next.nii"))
    assert remarks == []


@pytest.mark.parametrize(("unit", "factor"), [("micron", 1000), ("meter", 0.001)])
def test_another_unit_becomes_mm_and_is_said(unit, factor, tmp_path):
    affine = np.diag([factor, factor, factor, 1]) @ oblique()
    path = saved(scan(affine, affine, units=unit), tmp_path / "a.nii")
    with pytest.warns(EpitomeWarning, match="metres"):
        found = load_image(path)
    np.testing.assert_allclose(found.affine, oblique(), atol=1e-3)
    assert found.header.get_xyzt_units()[0] == "mm"


def test_a_unit_in_which_no_head_fits_is_three_lines(tmp_path):
    affine = np.diag([40.0, 40.0, 40.0, 1.0])  # 40 micrometres make a head of two millimetres
    path = saved(scan(affine, affine, units="micron"), tmp_path / "mouse.nii")
    with raises_three_lines(ImageError, "mouse.nii", "40 x 40 x 40 micrometres", "set_xyzt_units"):
        load_image(path)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (moved(np.eye(4), (0.02, 0, 0)), True),
        (moved(np.eye(4), (0.09, 0, 0)), True),
        (moved(np.eye(4), (0, 0.2, 0)), False),
        (nib.affines.from_matvec(nib.eulerangles.euler2mat(0.008)), False),
        (nib.affines.from_matvec(nib.eulerangles.euler2mat(1e-4)), True),
        (np.diag([1.008, 1, 1, 1]), False),
    ],
)
def test_the_same_grid_is_decided_at_the_corners(change, same):
    first = nib.Nifti1Image(np.zeros((240, 240, 150), np.uint8), np.eye(4))
    second = nib.Nifti1Image(first.dataobj, change)
    assert same_grid(first, second) is same and same_grid(second, first) is same
    lost = [mark_voxel_size_unknown(image) for image in (first, second)]
    assert same_grid(*lost) is same


def test_one_slice_turned_around_its_middle_is_another_grid():
    first = nib.Nifti1Image(np.zeros((9, 9, 1), np.uint8), np.eye(4))
    assert not same_grid(first, nib.Nifti1Image(first.dataobj, np.diag([1, 1, -1, 1])))


def test_a_mask_a_little_off_is_taken_and_one_far_off_is_not(tmp_path):
    image = head()
    near, far = (nib.Nifti1Image(lesion(image).dataobj, moved(image.affine, (by, 0, 0))) for by in (0.15, 1.9))
    assert np.asarray(load_mask(near, like=image).dataobj).sum() == 27
    with raises_three_lines(ImageError, "grid"):
        load_mask(far, like=image)


@given(
    turn=st.tuples(*[st.floats(-3.1, 3.1)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 7)] * 3),
    flip=st.sampled_from([1, -1]),
    origin=st.tuples(*[st.floats(-300, 300)] * 3),
)
def test_nothing_that_the_kit_writes_is_refused(turn, spacing, flip, origin, tmp_path_factory):
    affine = oblique(spacing, origin, turn) @ np.diag([flip, 1, 1, 1])
    image = scan(affine, affine, shape=(9, 7, 5))
    path = tmp_path_factory.getbasetemp() / "written.nii.gz"
    mask = new_image_like(np.ones(image.shape, np.uint8), image)
    for made in (image, mask, resample(image, affine, (5, 6, 7)), resample_isotropic(image, 2.0)):
        save_image(made, path)
        found = load_image(path, check_voxels=False)
        assert axis_codes(found) == axis_codes(made) and same_grid(found, made)


def test_an_array_without_an_affine_is_said_to_have_no_place_and_no_unit():
    data = np.random.default_rng(0).integers(0, 500, SHAPE).astype(np.int16)
    with collect_warnings() as remarks:
        load_image(nib.Nifti1Image(data, None))
    assert len(remarks) == 1 and "voxel sizes are read from pixdim" in remarks[0] and "unit" in remarks[0]


@given(data=st.data())
def test_what_is_loaded_and_saved_is_loaded_again_in_the_same_place(data, tmp_path_factory):
    draw = data.draw
    affine = oblique(draw(st.sampled_from([(1, 1, 1), (0.9, 0.9, 5), (4, 2, 3)])))
    if draw(st.booleans()):
        affine = affine @ np.array([[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    codes = draw(st.sampled_from([(1, 0), (4, 0), (0, 1), (1, 1), (0, 0)]))
    image = scan(affine, affine, codes=codes, units=draw(st.sampled_from(["mm", "unknown"])), shape=(9, 7, 11))
    image = draw(st.sampled_from([nib.Nifti1Image, nib.Nifti2Image])).from_image(image)
    content, number = bytearray(image.to_bytes()), isinstance(image, nib.Nifti2Image)
    start, kind = (112, "<3d") if number else (80, "<3f")
    share = draw(st.tuples(*[st.sampled_from([1, 1, 0, 1.004, 0.993, -1, np.nan])] * 3))
    sizes = np.multiply(struct.unpack_from(kind, content, start), share)
    struct.pack_into(kind, content, start, *sizes)
    first, again = (tmp_path_factory.getbasetemp() / name for name in ("first.nii", "again.nii.gz"))
    first.write_bytes(content)
    try:
        with collect_warnings():
            found = load_image(first)
    except ImageError:
        return
    for made in (found, new_image_like(np.ones(found.shape, np.uint8), found)):
        save_image(made, again)
        np.testing.assert_allclose(load_image(again, check_voxels=False).affine, found.affine, atol=1e-3)


def test_pixdim_of_zero_is_written_again_as_the_affine_has_it(tmp_path):
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    content = bytearray(scan(affine, affine, codes=(2, 1)).to_bytes())
    struct.pack_into("<3f", content, 80, 0, 0, 0)
    (tmp_path / "a.nii").write_bytes(content)
    save_image(load_image(tmp_path / "a.nii"), tmp_path / "b.nii")
    found = load_image(tmp_path / "b.nii")
    assert np.array_equal(found.affine, affine) and np.array_equal(found.header["pixdim"][1:4], [2, 2, 3])


@pytest.mark.parametrize(("size", "small"), [(0.09, True), (0.9, False)])
def test_a_head_in_centimetres_is_said_to_be_small(size, small, tmp_path):
    affine = np.diag([size, size, size, 1.0])
    with collect_warnings() as remarks:
        load_image(saved(scan(affine, affine, shape=(250, 40, 9)), tmp_path / "a.nii"))
        load_image(mark_voxel_size_unknown(scan(affine, affine, shape=(250, 40, 9))))
    assert [("22.5 x 3.6 x 0.81 mm" in each and "unit" in each) for each in remarks] == [True] * small


@given(order=st.permutations(range(3)), flips=st.tuples(*[st.booleans()] * 3), turn=st.tuples(*[st.floats(-3, 3)] * 3))
def test_a_mask_stored_along_other_axes_is_turned_to_its_scan(order, flips, turn):
    image = nib.Nifti1Image(np.zeros((6, 8, 5), np.int16), oblique((1, 1.5, 3), turn=turn))
    drawn = nib.Nifti1Image(np.random.default_rng(0).integers(0, 2, image.shape).astype(np.uint8), image.affine)
    stored = drawn.as_reoriented(np.column_stack([order, [-1 if flip else 1 for flip in flips]]))
    found = reorient_like(stored, image)
    assert same_grid(found, image) and np.array_equal(np.asarray(found.dataobj), np.asarray(drawn.dataobj))
    assert same_grid(load_image(found, check_voxels=False), image)
    assert reorient_like(nib.Nifti1Image(stored.dataobj, moved(stored.affine, (2, 0, 0))), image) is None
    assert reorient_like(nib.Nifti1Image(np.zeros((6, 8, 6), np.uint8), stored.affine), image) is None


def test_a_mask_turned_by_half_a_right_angle_is_not_forced_onto_its_scan():
    image = nib.Nifti1Image(np.zeros((6, 6, 6), np.uint8), np.eye(4))
    for angle in (0.05, np.pi / 4):
        turned = nib.Nifti1Image(image.dataobj, nib.affines.from_matvec(nib.eulerangles.euler2mat(angle)))
        assert reorient_like(turned, image) is None
    assert reorient_like(image, image) is image
