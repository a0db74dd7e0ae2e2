"""Registration: known transforms are found again, and the template grid suits networks."""

from threading import Barrier, Thread

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from tiny import raises_three_lines

from epitome_kit.errors import ImageError
from epitome_kit.images import load_image, resample
from epitome_kit.io.geometry import SPACE
from epitome_kit.preprocess.quality import registration_error_mm
from epitome_kit.preprocess.registration import (
    load_template,
    one_thread,
    register_affine,
    register_rigid,
    template_grid,
)

SCANNER = (np.array([[-3.0, 0, 0, 120], [0, 0, 3.0, -140], [0, -3.0, 0, 130], [0, 0, 0, 1]]), (80, 80, 80))
"""A grid whose axes run right to left, then top to bottom, then back to front."""


def _moved(image, transform, *, order=1, grid=SCANNER):
    """Image carried from ICBM152 to the scanner by `transform`."""
    return resample(image, *grid, transform=transform, order=order)


def _error_mm(found, truth, mask):
    points = nib.affines.apply_affine(mask.affine, np.argwhere(mask.get_fdata() > 0)[::50])
    difference = nib.affines.apply_affine(found, points) - nib.affines.apply_affine(truth, points)
    return np.linalg.norm(difference, axis=1).max()


def _simulated(phantom):
    """A simulated scan, its true brain mask, and its true affine to ICBM152."""
    subject = phantom["sub-001"]
    truth = np.loadtxt(subject.truth / f"sub-001_from-T2w_to-{SPACE}_mode-image_xfm.txt")
    mask = load_image(subject.truth / "sub-001_space-T2w_desc-brain_mask.nii.gz")
    return load_image(subject.images["T2w"]), mask, truth


def _place(image):
    """Position of every voxel, in mm."""
    return nib.affines.apply_affine(image.affine, np.indices(image.shape).transpose(1, 2, 3, 0))


def _rigid(degrees, mm):
    return nib.affines.from_matvec(Rotation.from_euler("xyz", degrees, degrees=True).as_matrix(), mm)


@pytest.fixture(scope="module")
def brain_mm():
    """Lowest and highest position of the template brain along each axis, in mm."""
    mask = load_template()[1]
    points = nib.affines.apply_affine(mask.affine, np.argwhere(mask.get_fdata() > 0))
    return points.min(0), points.max(0)


@settings(max_examples=15)
@given(spacing=st.floats(1.5, 8))
def test_the_grid_just_holds_the_brain_in_steps_of_eight(brain_mm, spacing):
    affine, shape = template_grid(spacing)
    assert all(n % 8 == 0 for n in shape)
    assert nib.affines.voxel_sizes(affine) == pytest.approx([spacing] * 3)
    low, high = nib.affines.apply_affine(np.linalg.inv(affine), np.stack(brain_mm))
    assert (low > -0.75).all() and (high < np.array(shape) - 0.25).all()
    assert (np.array(shape) - np.ptp(brain_mm, axis=0) / spacing < 8 + 1e-6).all(), "no larger than it has to be"


@pytest.mark.parametrize(("degrees", "mm"), [((4, -3, 5), (5, -4, 6)), ((0, 0, 0), (60, 20, -40))])
def test_a_known_rigid_motion_is_found_between_unlike_contrasts(degrees, mm):
    template, mask = load_template()
    truth = _rigid(degrees, mm)
    brain = mask.get_fdata() > 0
    inverted = (template.get_fdata().max() - template.get_fdata()) * brain
    inverted = nib.Nifti1Image(inverted.astype(np.float32), mask.affine)
    found = register_rigid(_moved(inverted, truth), template, mask)
    assert _error_mm(found @ truth, np.eye(4), mask) < 1.0
    rotation = found[:3, :3]
    assert rotation.T @ rotation == pytest.approx(np.eye(3), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [(0, 4, 22), (-29, 0, 3)])
def test_a_patient_who_turned_between_two_scans_is_followed(phantom, degrees):
    subject = next(iter(phantom))
    still, turned = (load_image(subject.images[name]) for name in ("T1ce", "T2w"))
    mask = _simulated(phantom)[1]
    as_it_was, turn = register_rigid(turned, still, mask), _rigid(degrees, (2, -3, 4))
    found = register_rigid(nib.Nifti1Image(turned.dataobj, turn @ turned.affine), still, mask)
    assert _error_mm(found @ turn, as_it_was, mask) < 1.0


def test_a_known_affine_is_found_even_from_a_scan_that_lies_on_its_side():
    template, mask = load_template()
    truth = _rigid((6, -4, 5), (15, -25, 10)) @ np.diag([0.85, 0.92, 1.08, 1])
    found = register_affine(_moved(template, truth), _moved(mask, truth, order=0))
    assert _error_mm(found @ truth, np.eye(4), mask) < 1.5


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [(30, 0, 0), (0, -30, 0), (0, 0, 30), (-20, 25, 20)])
def test_a_head_that_lies_turned_is_found(phantom, degrees):
    scan, mask, truth = _simulated(phantom)
    turn = _rigid(degrees, (20, -10, 5))
    scan, mask = (nib.Nifti1Image(image.dataobj, turn @ image.affine) for image in (scan, mask))
    assert registration_error_mm(register_affine(scan, mask), truth @ np.linalg.inv(turn), mask) < 3.0


@pytest.mark.parametrize("cut", [np.s_[:, :, 10:], np.s_[:, :, :-12], np.s_[:, :-20]], ids=["below", "above", "before"])
def test_a_head_that_is_cut_off_is_found(phantom, cut):
    scan, mask, truth = _simulated(phantom)
    scan, part = scan.slicer[cut], mask.slicer[cut]
    assert part.get_fdata().sum() < 0.97 * mask.get_fdata().sum()
    assert registration_error_mm(register_affine(scan, part), truth, part) < 5.0


@pytest.mark.slow
def test_what_is_ignored_does_not_pull_the_match_along():
    """More than half of the template lies 8 mm further on than it should."""
    template, mask = load_template()
    data, displaced = template.get_fdata(dtype=np.float32), _place(template)[..., 0] < 10
    spoilt = nib.Nifti1Image(np.where(displaced, np.roll(data, 4, axis=1), data), template.affine)
    ignore, rest = (
        nib.Nifti1Image(part.astype(np.uint8), mask.affine) for part in (displaced, ~displaced & (mask.get_fdata() > 0))
    )
    truth = _rigid((4, -3, 5), (5, -4, 6))
    scan = _moved(template, truth)
    for options, low, high in (({}, 3.0, np.inf), ({"ignore": ignore}, 0.0, 1.0)):
        assert low < _error_mm(register_affine(spoilt, mask, **options), np.eye(4), rest) < high
        assert low < _error_mm(register_rigid(scan, spoilt, mask, **options) @ truth, np.eye(4), rest) < high


@pytest.mark.slow
def test_the_same_scans_are_registered_the_same_way_each_time(phantom):
    scan = load_image(phantom["sub-001"].images["T2w"])
    truth = phantom["sub-001"].truth / "sub-001_space-T2w_desc-brain_mask.nii.gz"
    first, second, third = (register_affine(scan, truth) for _ in range(3))
    assert np.array_equal(first, second) and np.array_equal(first, third), "to the last bit"


def test_a_head_of_another_scale_altogether_is_found():
    """As where the origin lost the voxel size."""
    template, mask = load_template()
    truth = np.diag([1.5, 1.3, 0.6, 1])
    found = register_affine(_moved(template, truth), _moved(mask, truth, order=0))
    assert _error_mm(found @ truth, np.eye(4), mask) < 3.0


def test_a_mask_on_another_grid_is_three_lines():
    template, mask = load_template()
    with raises_three_lines(ImageError, "register_affine"):
        register_affine(template, mask.slicer[2:])
    with raises_three_lines(ImageError, "register_rigid"):
        register_rigid(template, template, mask.slicer[2:])
    with raises_three_lines(ImageError, "register_affine"):
        register_affine(template, mask, ignore=mask.slicer[2:])


def test_a_slab_too_thin_to_match_is_three_lines():
    brain, mask = load_template()
    slab, inside = (image.slicer[:, :, 40:41] for image in (brain, mask))
    with raises_three_lines(ImageError, "covers most of a head", "hardly any overlap"):
        register_affine(slab, inside)


@pytest.fixture
def five_threads():
    """ITK with five threads by default, and how many it has now."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(5)
    yield sitk.ProcessObject.GetGlobalDefaultNumberOfThreads
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def test_one_thread_gives_itk_its_threads_back_whatever_happens(five_threads):
    with one_thread():
        with pytest.raises(ZeroDivisionError), one_thread():
            raise ZeroDivisionError
        assert five_threads() == 1, "the outer one is still in there"
    assert five_threads() == 5


@pytest.mark.parametrize("last", [0, 1])
def test_of_two_threads_the_last_to_leave_gives_itk_its_threads_back(last, five_threads):
    both_in, first_out, seen = Barrier(2), Barrier(2), []

    def register(number):
        with one_thread():
            both_in.wait()
            if number == last:
                first_out.wait()
                seen.append(five_threads())
        if number != last:
            first_out.wait()

    threads = [Thread(target=register, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] and five_threads() == 5
