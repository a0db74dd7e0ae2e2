"""Size of a real tumour, against what pyradiomics says of the same mask."""

import csv

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


def test_diameters_fit_into_those_of_pyradiomics(folder, expected):
    """Its axial diameter also counts the surface between two slices, so it is an upper bound."""
    size = measure_tumour(folder / "tumour_mask.nii.gz")
    assert 0.8 * expected["Maximum2DDiameterSlice"] < size.rano_long_mm <= expected["Maximum2DDiameterSlice"]
    assert 10 < size.rano_perpendicular_mm < size.rano_long_mm and size.measurable


def test_a_tumour_drawn_on_another_hospital_s_scan_has_the_volume_on_record(real_data):
    size = measure_tumour(real_data / "tcga-fg-6692" / "tumour-manual_space-t1.nii.gz")
    assert size.volume_ml == pytest.approx(24.1, abs=0.05)
