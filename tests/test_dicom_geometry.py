"""Geometry of DICOM volumes: what the headers do not say stays unknown, what does not fit is refused by name."""

import nibabel as nib
import numpy as np
import pytest
from made_dicom import FLAIR, T1, T2, lps_affine, multiframe, series, voxels, write_series
from tiny import raises_three_lines

from epitome_kit.errors import CohortError, ImageError
from epitome_kit.files import read_json
from epitome_kit.images import load_image, voxel_size_known
from epitome_kit.sources import dicom_convert
from epitome_kit.sources.dicom import import_dicom
from epitome_kit.sources.dicom_convert import convert
from epitome_kit.sources.dicom_geometry import find_remarks
from epitome_kit.sources.dicom_headers import read_volumes

AFFINE = lps_affine((1.5, 2, 3))


def _volume(folder, images):
    """Read the one volume of a series."""
    (volume,), _ = read_volumes(write_series(folder, images))
    return volume


def _at(images, places):
    """Put the slices of a series at places along the third axis."""
    for image, z in zip(images, places, strict=True):
        image.ImagePositionPatient = [*image.ImagePositionPatient[:2], f"{z:g}"]
    return images


def _without(images, *keywords):
    for image in images:
        for keyword in keywords:
            delattr(image, keyword)
    return images


def _steps(*steps):
    return np.cumsum([10, *steps])


UNEVEN = {
    "two halves": [3] * 6 + [4] * 5,
    "one step": [3] * 5 + [4.2] + [3] * 5,
    "growing": np.linspace(2.6, 3.4, 11),
    "alternating": [2.5, 3.5] * 5 + [2.5],
}


@pytest.mark.parametrize("steps", UNEVEN.values(), ids=UNEVEN)
def test_uneven_slices_are_refused_with_their_distances(tmp_path, steps):
    write_series(tmp_path / "in", _at(series(voxels(affine=AFFINE), affine=AFFINE, **T2), _steps(*steps)))
    write_series(tmp_path / "in", series(number=2, **FLAIR))
    cohort = import_dicom(tmp_path / "in", tmp_path / "out")
    assert list(cohort["sub-001"].images) == ["FLAIR"]
    assert "even distances" in cohort.repaired.repair[0]
    assert f"{min(steps):.2f} to {max(steps):.2f} mm in series 1" in cohort.repaired.repair[0]


def test_slices_that_are_nearly_even_are_taken_and_said(tmp_path):
    jitter = np.array([0, 0.2, -0.2, 0.15, 0, 0.2, 0, -0.2, 0.2, 0, 0.1, 0])
    images = _at(series(voxels(affine=AFFINE), affine=AFFINE, **T2), 10 + 3 * np.arange(12) + jitter)
    cohort = import_dicom(write_series(tmp_path / "in", images), tmp_path / "out")
    image = load_image(cohort["sub-001"].images["T2w"])
    assert np.allclose(nib.affines.voxel_sizes(image.affine), (1.5, 2, 3), atol=0.01)
    assert "taken as 3.00 mm" in cohort.repaired.repair[0]


def test_a_rounding_of_places_is_nothing_and_adds_up_to_nothing(tmp_path):
    affine = lps_affine((1, 1, 0.9375))
    places = (10 + 0.9375 * np.arange(60)).round(1)
    images = _at(series(voxels((8, 9, 60)), affine=affine, **T2), places)
    cohort = import_dicom(write_series(tmp_path / "in", images), tmp_path / "out")
    image = load_image(cohort["sub-001"].images["T2w"])
    corners = nib.affines.apply_affine(image.affine, [(0, 0, 0), (0, 0, 59)])[:, 2]
    assert cohort.repaired.empty and np.allclose(sorted(corners), (places[0], places[-1]), atol=0.05)


@pytest.mark.parametrize("aside", [0.3, -1.0])
def test_slices_that_do_not_lie_over_one_another_are_refused(tmp_path, aside):
    images = series(voxels(affine=AFFINE), affine=AFFINE, **T2)
    for k, image in enumerate(images):
        image.ImagePositionPatient = [-20 + k * aside, *image.ImagePositionPatient[1:]]
    expected, received = _volume(tmp_path, images).defect
    assert "straight over one another" in expected and f"{abs(11 * aside):.1f} mm aside" in received


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient"])
def test_slices_whose_side_cannot_be_told_are_refused(tmp_path, keyword):
    images = _without(series(**T2), keyword)
    write_series(tmp_path / "in", images)
    with raises_three_lines(CohortError, "left and right are unknown", "series 1"):
        import_dicom(tmp_path / "in", tmp_path / "out")
    ledger = (tmp_path / "out" / "sources.tsv").read_text()
    assert "left and right are unknown" in ledger


@pytest.mark.parametrize("tilt", [0.0, 0.4])
def test_pixels_without_a_size_make_the_voxel_size_unknown(tmp_path, tilt):
    affine = lps_affine((1.5, 2, 3), tilt=tilt)
    images = _without(series(voxels(affine=affine), affine=affine, **T2), "PixelSpacing")
    cohort = import_dicom(write_series(tmp_path / "in", images), tmp_path / "out")
    path = cohort["sub-001"].images["T2w"]
    image, notes = load_image(path), read_json(path.with_suffix("").with_suffix(".json"))
    assert not voxel_size_known(image) and notes["VoxelSizeKnown"] is False
    assert (
        np.allclose(nib.affines.voxel_sizes(image.affine), 1) and "voxel size is unknown" in cohort.repaired.repair[0]
    )
    true = np.diag([-1, -1, 1]) @ affine[:3, :3] / (1.5, 2, 3)
    assert np.allclose(np.abs(np.linalg.inv(image.affine[:3, :3]) @ true), np.eye(3), atol=1e-3)


def test_a_scan_of_known_size_goes_before_one_of_unknown_size(tmp_path):
    write_series(tmp_path / "in", _without(series(number=1, affine=lps_affine((1, 1, 1)), **T2), "PixelSpacing"))
    write_series(tmp_path / "in", series(number=2, **T2))
    write_series(tmp_path / "in", _without(series(number=3, **FLAIR), "PixelSpacing"))
    cohort = import_dicom(tmp_path / "in", tmp_path / "out")
    assert list(cohort["sub-001"].images) == ["T2w"]
    assert voxel_size_known(load_image(cohort["sub-001"].images["T2w"]))
    reasons = cohort.ledger[cohort.ledger.kind == "series"].reason.tolist()
    assert "its voxel size is known" in reasons[0] and "voxel size unknown" in reasons[2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"PixelSpacing": [0, 2]}, "more than 0 mm"),
        ({"PixelSpacing": [-1, 2]}, "more than 0 mm"),
        ({"ImageOrientationPatient": [1, 0, 0, 0.5, 0.8, 0]}, "right angle"),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]}, "right angle"),
        ({"Rows": 0}, "without pixels"),
    ],
)
def test_headers_of_no_geometry_are_refused(tmp_path, change, words):
    images = series(**T2)
    for image in images:
        for keyword, value in change.items():
            setattr(image, keyword, value)
    assert words in " ".join(_volume(tmp_path, images).defect)


@pytest.mark.parametrize("other", [[2.2, 2], None])
def test_pixels_of_several_sizes_are_refused(tmp_path, other):
    images = series(**T2)
    for image in images[::3]:
        if other:
            image.PixelSpacing = other
        else:
            del image.PixelSpacing
    expected, received = _volume(tmp_path, images).defect
    assert expected == "one size of pixels" and "2.5 x 2 mm" in received


def test_slices_of_which_every_second_may_be_missing_are_said(tmp_path):
    images = series(voxels(affine=AFFINE), affine=AFFINE, **T2)[::2]
    cohort = import_dicom(write_series(tmp_path / "in", images), tmp_path / "out")
    assert "6.0 mm apart, stated 3.0 mm: some may be missing" in cohort.repaired.repair[0]


def test_orientations_that_differ_by_a_rounding_are_one(tmp_path):
    images = series(**T2)
    for image in images[::2]:
        image.ImageOrientationPatient = [0.99999, 0.0049, 0, -0.0049, 0.99999, 0]
    for image in images[1::2]:
        image.ImageOrientationPatient = [0.99999, 0.0051, 0, -0.0051, 0.99999, 0]
    assert _volume(tmp_path, images).slices == 12


@pytest.mark.parametrize("spoil", ["moved", "stretched", "side"])
def test_an_image_that_lies_elsewhere_than_its_headers_say_is_refused(tmp_path, monkeypatch, spoil):
    volume = _volume(tmp_path / "in", series(**T1))
    right = convert(volume)

    def wrong(image, **_):
        affine = image.affine.copy()
        if spoil == "moved":
            affine[2, 3] += 0.2 * 4
        elif spoil == "stretched":
            affine[:3, 1] *= 1.03
        else:
            affine[0] *= -1
        return nib.Nifti1Image(np.asarray(image.dataobj), affine)

    monkeypatch.setattr(dicom_convert, "load_image", wrong)
    with raises_three_lines(ImageError, "series 1 where its headers put it", "voxels off"):
        convert(volume)
    assert right.shape == (24, 20, 12)


@pytest.mark.parametrize("packed", [False, True])
def test_any_direction_of_slices_lies_where_the_headers_say(tmp_path, packed):
    for number, order in enumerate(([0, 1, 2], [1, 2, 0], [0, 2, 1]), start=1):
        affine = lps_affine((1.5, 2, 3), tilt=0.3)
        affine[:3, :3] = affine[:3, order]
        images = series(voxels((10, 9, 8)), affine=affine, number=number, **T2)
        volume = _volume(tmp_path / str(number), multiframe(images) if packed else images)
        image, spacing = convert(volume), np.linalg.norm(affine[:3, :3], axis=0)
        assert np.allclose(nib.affines.voxel_sizes(image.affine), spacing, atol=1e-3)


@pytest.mark.parametrize(("kind", "every", "said"), [("3D", 2, True), ("3D", 1, False), ("2D", 2, False)])
def test_gaps_of_a_scan_that_has_none_are_said(tmp_path, kind, every, said):
    images = series(voxels((6, 5, 12), affine=AFFINE), affine=AFFINE, MRAcquisitionType=kind, **T2)[::every]
    for image in images:
        del image.SpacingBetweenSlices
    remarks = find_remarks(_volume(tmp_path, images))
    assert any("a scan of type 3D, which has no gaps" in remark for remark in remarks) == said
