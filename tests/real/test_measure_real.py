"""Size of a real tumour, against what pyradiomics says of the same mask."""

import csv

import numpy as np
import pytest

from epitome_kit.tumour.measure import measure_tumour


@pytest.fixture(scope="module")
def folder(real_data):
    return real_data / "pyradiomics-brain1"


@pytest.fixture(scope="module")
def expected(folder):
    with open(folder / "expected_features.csv", newline="") as stream:
        rows = {row["feature"]: row["value"] for row in csv.DictReader(stream)}
    return {name.removeprefix("original_shape_"): float(rows[name]) for name in rows if "_shape_" in name}


def test_the_volume_is_that_of_pyradiomics(folder, expected):
    size = measure_tumour(folder / "tumour_mask.nii.gz")
    assert expected["VoxelVolume"] == pytest.approx(16412.659, abs=1e-3)
    assert size.volume_ml * 1000 == pytest.approx(expected["VoxelVolume"], abs=1e-3)


def test_extents_axes_and_surface_are_those_of_pyradiomics(folder, expected):
    size = measure_tumour(folder / "tumour_mask.nii.gz")
    assert [expected["Maximum2DDiameterSlice"], expected["Maximum3DDiameter"]] == pytest.approx(
        [53.594, 69.601], abs=1e-3
    )
    assert size.max_2d_mm == pytest.approx(expected["Maximum2DDiameterSlice"], rel=1e-6)
    assert size.max_3d_mm == pytest.approx(expected["Maximum3DDiameter"], rel=1e-6)
    axes = [size.axis_major_mm, size.axis_minor_mm, size.axis_least_mm]
    theirs = np.array([expected[f"{name}AxisLength"] for name in ("Major", "Minor", "Least")])
    solid = np.sqrt(5) / 2 * theirs  # theirs are 4 √λ of voxel centres; the extent of voxels adds a little
    assert axes == pytest.approx(solid, rel=0.05) and (axes > solid).all()
    assert size.surface_volume_ml * 1000 == pytest.approx(expected["MeshVolume"], rel=0.005)
    assert size.surface_mm2 == pytest.approx(expected["SurfaceArea"], rel=0.005)
    assert size.sphericity == pytest.approx(expected["Sphericity"], rel=0.005)


def test_rano_diameters_stay_within_one_of_the_two_lesions(folder, expected):
    size = measure_tumour(folder / "tumour_mask.nii.gz")
    assert size.lesions == 2 and size.measurable
    assert 13 < size.rano_perpendicular_mm < size.rano_long_mm < 0.8 * expected["Maximum2DDiameterSlice"]


def test_the_slice_of_the_longest_diameter_and_its_neighbours_say_how_much_the_whole_may_be(folder, expected):
    size = measure_tumour(folder / "tumour_mask.nii.gz", annotated_slices=(14, 15, 16))
    assert size.slab_volume_ml < expected["VoxelVolume"] / 1000 and size.volume_ml is None
    assert size.ellipsoid_volume_low_ml < expected["VoxelVolume"] / 1000 < size.ellipsoid_volume_high_ml


def test_a_tumour_drawn_on_another_hospital_s_scan_has_the_volume_on_record(real_data):
    size = measure_tumour(real_data / "tcga-fg-6692" / "tumour-manual_space-t1.nii.gz")
    assert size.volume_ml == pytest.approx(24.1, abs=0.05)
