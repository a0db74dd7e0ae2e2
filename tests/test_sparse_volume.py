"""The whole from a few slices: ellipsoids of known volume, and bodies that are none."""

import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation
from tiny import raises_three_lines

from epitome_kit.cohort import read_annotated_slices
from epitome_kit.errors import EpitomeWarning, ImageError
from epitome_kit.tumour.sparse_volume import estimate_volume_from_slices, find_annotated_slices


def _bodies(number, roughness, seed=0):
    """Areas of every slice of tilted, rough ellipsoids, mm2, and the distance of the slices."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*[np.arange(-40, 40, 2.0)] * 3, indexing="ij"), axis=-1)
    for _ in range(number):
        radii = rng.uniform(12, 30) * np.cumprod([1, *rng.uniform(0.5, 1, 2)])
        turned = places @ Rotation.random(rng=rng).as_matrix() / radii
        waves = ndimage.gaussian_filter(rng.standard_normal(places.shape[:3]), radii[0] / 8)
        body = np.linalg.norm(turned, axis=-1) + roughness * waves / waves.std() < 1
        pieces, _ = ndimage.label(body)
        body = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
        step = int(rng.integers(1, 4))
        yield body[:, :, rng.integers(step) :: step].sum(axis=(0, 1)) * 4.0, 2.0 * step


def _estimate(areas, distance_mm, around, reach=1):
    kept = np.arange(around - reach, around + reach + 1)
    kept = kept[(kept >= 0) & (kept < len(areas))]
    return estimate_volume_from_slices(areas[kept], kept * distance_mm, distance_mm), areas[kept].sum() * distance_mm


@pytest.mark.slow
@pytest.mark.parametrize(("roughness", "least"), [(0.0, 0.95), (0.12, 0.9), (0.25, 0.85)])
@pytest.mark.parametrize("reach", [0, 1, 2])
def test_the_interval_holds_the_whole(roughness, least, reach):
    held, missed = [], []
    for areas, distance_mm in _bodies(60, roughness):
        whole, slab = _estimate(areas, distance_mm, areas.argmax(), reach)
        volume = areas.sum() * distance_mm
        held.append(whole.low_mm3 <= volume * 1.0001 and whole.high_mm3 >= volume * 0.9999)
        missed.append(abs(whole.volume_mm3 / volume - 1))
        assert slab <= whole.low_mm3 <= whole.volume_mm3 <= whole.high_mm3
    assert np.mean(held) >= least
    assert np.median(missed) < 0.25


def test_more_slices_leave_less_room():
    areas, distance_mm = next(_bodies(1, 0.0, seed=3))
    found = [_estimate(areas, distance_mm, areas.argmax(), reach)[0] for reach in (0, 1, 2, 4)]
    room = [each.high_mm3 / each.low_mm3 for each in found]
    assert room == sorted(room, reverse=True)


def test_all_slices_leave_no_room():
    heights = np.arange(-30, 31, 3.0)
    areas = 1200 * (1 - (heights / 22) ** 2).clip(0)
    whole = estimate_volume_from_slices(areas, heights, 3)
    assert whole.low_mm3 == pytest.approx(areas.sum() * 3)
    assert whole.high_mm3 == pytest.approx(areas.sum() * 3, rel=0.02)


@pytest.mark.parametrize("factor", [0.1, 3.0])
def test_the_estimate_grows_with_the_tumour(factor):
    areas, heights = np.array([900.0, 1100, 1000]), np.array([0, 3.0, 6])
    small, large = (
        estimate_volume_from_slices(areas, heights, 3),
        estimate_volume_from_slices(areas * factor**2, heights * factor, 3 * factor),
    )
    assert large == pytest.approx(np.multiply(small, factor**3))


def test_the_order_and_the_origin_of_the_slices_do_not_matter():
    areas, heights = np.array([900.0, 1100, 1000]), np.array([0, 3.0, 6])
    expected = estimate_volume_from_slices(areas, heights, 3)
    assert estimate_volume_from_slices(areas[::-1], heights[::-1] + 50, 3) == pytest.approx(expected)
    assert estimate_volume_from_slices(areas, -heights, 3) == pytest.approx(expected)


def _mask(folder, slices, affine=None, name="mask.nii.gz"):
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4) if affine is None else affine), folder / name)
    (folder / "mask.json").write_text(json.dumps({"AnnotatedSlices": slices}), encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("name", ["mask.nii.gz", "mask.nii"])
@pytest.mark.parametrize(("slices", "expected"), [([1, 2], (1, 2)), ("all", None)])
def test_the_sidecar_is_read(tmp_path, slices, expected, name):
    mask = _mask(tmp_path, slices, name=name)
    assert find_annotated_slices(mask) == read_annotated_slices(mask) == expected


def test_no_sidecar_means_all_slices(tmp_path):
    assert find_annotated_slices(tmp_path / "mask.nii.gz") is None


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_sidecar_says_nothing_which_is_said(tmp_path, content):
    mask = _mask(tmp_path, "all")
    (tmp_path / "mask.json").write_text(content, encoding="utf-8")
    with pytest.warns(EpitomeWarning, match="mask.json of mask.nii.gz is empty"):
        assert find_annotated_slices(mask) is None


@pytest.mark.parametrize("content", ["{", "[1, 2]", '{"AnnotatedSlices": "some"}'])
def test_a_damaged_sidecar_is_three_lines_in_the_name_of_measure(tmp_path, content):
    mask = _mask(tmp_path, "all")
    (tmp_path / "mask.json").write_text(content, encoding="utf-8")
    with raises_three_lines(ImageError, "measure: ", "mask.json", "--slices"):
        find_annotated_slices(mask)


def test_the_sidecar_of_a_name_in_capitals_is_found(tmp_path):
    mask = _mask(tmp_path, [1, 2])
    (tmp_path / "mask.json").rename(tmp_path / "MASK.json")
    assert find_annotated_slices(mask.rename(tmp_path / "MASK.NII.GZ")) == (1, 2)


def test_a_sidecar_counts_along_the_third_axis_which_has_to_be_axial(tmp_path):
    coronal = _mask(tmp_path, [1, 2], np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]]))
    with raises_three_lines(ImageError, "RSA", "--slices"):
        find_annotated_slices(coronal)
