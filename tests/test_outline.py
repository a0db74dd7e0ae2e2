"""Outlines: a map on the template becomes a mask on the scan, is measured and is compared with the best there is."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from made_derivative import AFFINE as GRID
from made_derivative import BRAIN, SHAPE, VOXEL_ML, make_derivative

from epitome_kit.cohort import Subject, truth_folder
from epitome_kit.files import write_text
from epitome_kit.images import load_image, load_mask, mark_voxel_size_unknown, new_image_like, same_grid, save_image
from epitome_kit.metrics import dice
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.tumour.measure import measure_tumour
from epitome_kit.tumour.outline import (
    compare_outline,
    describe_outline,
    mask_path,
    save_outline,
    to_subject_space,
    true_mask,
    voxel_ml,
)

CENTRE, RADIUS = np.array([15.0, -10.0, 20.0]), 30.0
"""A ball on the template, in mm."""
TURNED = nib.affines.from_matvec([[0, -2.0, 0], [2.5, 0, 0], [0, 0, 4.0]], (60, -100, -60))
"""A scan whose axes are those of another device, 5 mm off the template."""
TO_TEMPLATE = nib.affines.from_matvec(np.eye(3), (5, 0, -3))


def _ball(affine, shape, centre, radius):
    places = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    return np.linalg.norm(places - centre, axis=-1) < radius


@pytest.fixture
def subject(tmp_path):
    """One subject with a scan of its own grid and the files of its preprocessing that are asked for."""
    scan = nib.Nifti1Image(np.random.default_rng(0).normal(size=(80, 70, 40)).astype(np.float32), TURNED)
    save_image(scan, tmp_path / "flair.nii.gz")
    files = Preprocessed(tmp_path / "ready", "sub-1")
    save_image(nib.Nifti1Image(BRAIN.astype(np.uint8), GRID), files.mask("desc-brain"))
    write_text(files.transform("FLAIR"), "\n".join(" ".join(map(str, row)) for row in TO_TEMPLATE))
    return Subject("sub-1", {"FLAIR": tmp_path / "flair.nii.gz"}, annotated_on="FLAIR")


def _map(*balls):
    """Probability that falls from 1 in the middle of each ball to 0.5 on its border."""
    places = nib.affines.apply_affine(GRID, np.moveaxis(np.indices(SHAPE), 0, -1))
    falls = [1 - np.linalg.norm(places - centre, axis=-1) / radius / 2 for centre, radius in balls]
    return np.clip(np.max(falls, axis=0), 0, 1).astype(np.float32)


def _outlined(subject, tmp_path, *balls):
    return to_subject_space(subject, tmp_path / "ready", _map(*balls))


def test_a_ball_arrives_where_the_transform_says_on_the_grid_of_the_scan(subject, tmp_path):
    found = _outlined(subject, tmp_path, (CENTRE, RADIUS))
    scan = load_image(subject.images["FLAIR"])
    assert same_grid(found, scan) and found.get_data_dtype() == np.uint8
    there = _ball(TURNED, scan.shape, CENTRE - TO_TEMPLATE[:3, 3], RADIUS)
    assert dice(found.get_fdata() > 0, there) > 0.93
    assert measure_tumour(found).volume_ml == pytest.approx(4 / 3 * np.pi * 30**3 / 1000, rel=0.1)


def test_a_scan_without_voxel_size_is_believed_to_be_a_usual_head_and_stays_unmeasured(subject, tmp_path):
    path = subject.images["FLAIR"]
    lost = nib.Nifti1Image(load_image(path).get_fdata(dtype=np.float32), np.eye(4))
    save_image(mark_voxel_size_unknown(lost), path)
    found = _outlined(subject, tmp_path, (CENTRE, RADIUS))
    assert same_grid(found, load_image(path)) and found.get_fdata().any() and np.isnan(voxel_ml(found))
    described = describe_outline(subject, found)
    assert described["volume_voxels"] == found.get_fdata().sum()
    assert np.isnan([described[name] for name in ("volume_ml", "rano_long_mm", "rano_perpendicular_mm")]).all()


@pytest.mark.parametrize(("second", "pieces"), [(12.5, 1), (24.0, 2)])
def test_crumbs_are_left_out_and_a_second_tumour_is_kept(subject, tmp_path, second, pieces):
    found = _outlined(subject, tmp_path, (CENTRE, RADIUS), (CENTRE - (60, 0, 0), second))
    assert measure_tumour(found).lesions == pieces


def test_a_map_without_tumour_is_an_empty_mask_of_no_volume(subject, tmp_path):
    found = to_subject_space(subject, tmp_path / "ready", np.full(SHAPE, 0.5, np.float32))
    described = describe_outline(subject, found)
    assert not found.get_fdata().any() and described["volume_ml"] == described["volume_voxels"] == 0
    assert np.isnan(described["rano_long_mm"]) and "dice" not in described


def test_a_mask_is_described_by_its_measures(subject, tmp_path):
    found = _outlined(subject, tmp_path, (CENTRE, RADIUS))
    described, size = describe_outline(subject, found), measure_tumour(found)
    assert described == {
        "volume_voxels": size.volume_voxels,
        "volume_ml": size.volume_ml,
        "rano_long_mm": size.rano_long_mm,
        "rano_perpendicular_mm": size.rano_perpendicular_mm,
    }
    assert size.volume_ml == pytest.approx(size.volume_voxels * voxel_ml(found))


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    """A subject that was annotated on two slices, and whose whole truth is one voxel wider."""
    cohort, _ = make_derivative(tmp_path_factory.mktemp("annotated"), subjects=1, slices=[7, 8])
    subject = cohort["sub-00"]
    wide = load_mask(subject.annotation)
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[4:9, 4:9, 4:12] = 1
    folder = truth_folder(cohort.root, subject.id)
    save_image(new_image_like(voxels, wide), folder / "sub-00_space-FLAIR_label-tumour_mask.nii.gz")
    return subject, folder, voxels


def _mask(voxels):
    return nib.Nifti1Image(voxels.astype(np.uint8), GRID)


def test_only_what_lies_on_annotated_slices_is_compared(annotated):
    subject, _, _ = annotated
    drawn = load_mask(subject.annotation).get_fdata() > 0
    far = drawn.copy()
    far[:, :, [0, 3, 12]] = True
    compared = compare_outline(subject, _mask(far))
    assert compared["dice"] == 1 and compared["reference"] == "annotated slices" and compared["volume_error_pct"] == 0
    assert compared["compared_volume_voxels"] == compared["reference_volume_voxels"] == drawn.sum()
    assert compared["reference_volume_ml"] == pytest.approx(drawn.sum() * VOXEL_ML)
    everywhere = compare_outline(replace(subject, annotated_slices=None), _mask(far))
    assert everywhere["reference"] == "all slices" and everywhere["dice"] == dice(far, drawn) < 0.5


def test_the_truth_comes_before_the_annotation(annotated):
    subject, folder, voxels = annotated
    known = replace(subject, truth=folder)
    assert true_mask(known).is_file()
    compared = compare_outline(known, _mask(voxels))
    assert compared["dice"] == 1 and compared["reference"] == "truth"
    half = voxels.copy()
    half[:, :, 6:] = 0
    assert compare_outline(known, _mask(half))["volume_error_pct"] == -75


def test_a_volume_cannot_be_off_in_per_cent_of_nothing(annotated):
    subject, _, voxels = annotated
    compared = compare_outline(replace(subject, annotated_slices=(0,)), _mask(voxels))
    assert np.isnan(compared["volume_error_pct"]) and compared["reference_volume_voxels"] == 0
    assert compared["dice"] == 1, "nothing was found on that slice either"


def test_a_mask_is_saved_under_the_name_of_its_subject(annotated, tmp_path):
    save_outline(_mask(annotated[2]), tmp_path, "sub-00")
    assert mask_path(tmp_path, "sub-00") == tmp_path / "masks" / "sub-00_label-tumour_mask.nii.gz"
    assert np.array_equal(load_mask(mask_path(tmp_path, "sub-00")).get_fdata(), annotated[2])
