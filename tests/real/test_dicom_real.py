"""DICOM of five vendors, converted: every voxel where another converter put it."""

import nibabel as nib
import numpy as np
import pytest

from epitome_kit.images import load_image
from epitome_kit.sources.dicom import import_dicom
from epitome_kit.sources.dicom_convert import convert
from epitome_kit.sources.dicom_headers import read_volumes

TRUTH = {
    "ge": "anatomical/001",
    "philips": "anatomical/001",
    "hitachi": "anatomical/001",
    "hyperfine": "anatomical/001",
    "generic": "anatomical/002_non_isotropic",
}


@pytest.fixture(scope="module")
def geometry(real_data):
    return real_data / "dicom-geometry"


@pytest.mark.parametrize("vendor", TRUTH)
def test_geometry_is_right(geometry, vendor):
    (volume,), damaged = read_volumes(geometry / vendor)
    image, truth = convert(volume), load_image(geometry / vendor / f"{TRUTH[vendor]}_ground_truth.nii.gz")
    assert damaged == 0 and volume.defect is None
    index = np.argwhere(np.ones(image.shape, bool))
    place = nib.affines.apply_affine(np.linalg.inv(truth.affine) @ image.affine, index)
    assert np.abs(place - place.round()).max() < 0.02
    values = np.asarray(truth.dataobj)[tuple(place.round().astype(int).T)]
    assert np.allclose(values, np.asarray(image.dataobj).ravel(), rtol=1e-5, atol=1e-3)


def test_contrasts_are_chosen_by_their_headers(geometry, tmp_path):
    cohort = import_dicom(geometry, tmp_path / "out")
    assert list(cohort.subjects) == ["sub-001"] and cohort.contrasts in {("T1w",), ("FLAIR",), ("T1w", "FLAIR")}


@pytest.mark.parametrize(
    ("vendor", "contrast"), [("ge", "T1w"), ("philips", "FLAIR"), ("hyperfine", "FLAIR"), ("generic", "T1w")]
)
def test_each_vendor_alone_is_imported(geometry, tmp_path, vendor, contrast):
    cohort = import_dicom(geometry / vendor, tmp_path / "out")
    assert cohort.contrasts == (contrast,)
    assert not [path for path in cohort.root.rglob("*.json") if "dicom2nifti" in path.read_text()]
