"""The official BIDS validator accepts every cohort that the kit writes, derivatives included."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_dicom import FLAIR, T1CE, series, write_series
from made_lgg import write_collection
from test_tcga_lgg import three_patients, write_folder
from tiny import head, write_cohort

from epitome_kit.audit import audit_cohort, write_spreadsheet
from epitome_kit.cohort import image_path, open_cohort, write_annotation_sidecar
from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.images import save_image
from epitome_kit.report.quality_page import write_quality_page
from epitome_kit.simulate.phantom import make_phantom_cohort
from epitome_kit.sources.bids import import_bids
from epitome_kit.sources.dicom import import_dicom
from epitome_kit.sources.lgg_1p19q import import_lgg_1p19q
from epitome_kit.sources.tcga_lgg import import_tcga_lgg

pytestmark = pytest.mark.slow

VALIDATOR = shutil.which("bids-validator-deno", path=Path(sys.executable).parent)


def bids_errors(root):
    """Errors that the validator finds in a dataset and in each of its derivatives, as (folder, code, file)."""
    found = []
    for folder in (Path(root), *sorted(Path(root, "derivatives").glob("*"))):
        command = [VALIDATOR, "--ignoreWarnings", "--format", "json", str(folder)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        issues = json.loads(run.stdout)["issues"]["issues"]
        errors = [(folder.name, issue["code"], issue["location"]) for issue in issues if issue["severity"] == "error"]
        assert bool(errors) == (run.returncode != 0)
        found += errors
    return found


def test_a_cohort_with_every_contrast_is_valid(tmp_path):
    root = write_cohort(tmp_path, subjects=2, contrasts=tuple(CONTRASTS))
    write_annotation_sidecar(root, "sub-01", "T2w", annotated_slices=[5, 6, 7])
    assert bids_errors(root) == []


def test_a_cohort_from_slices_is_valid(tmp_path):
    source = write_folder(tmp_path / "in", three_patients())
    (source / "torn.zip").write_bytes(b"")
    cohort = import_tcga_lgg(source, tmp_path / "out")
    write_spreadsheet(cohort, audit_cohort(cohort), cohort.root / "dataset.xlsx")
    assert len(cohort.excluded) == 1 and bids_errors(cohort.root) == []


def test_an_adopted_cohort_is_valid(tmp_path):
    source = write_cohort(tmp_path / "in")
    save_image(head(70), source / "sub-05" / "ses-a" / "anat" / "sub-05_ses-a_acq-x_ce-gd_T1w.nii")
    assert bids_errors(import_bids(source, tmp_path / "out").root) == []


def test_a_cohort_from_dicom_is_valid(tmp_path):
    write_series(tmp_path / "in" / "1", series(number=1, **T1CE))
    write_series(tmp_path / "in" / "2", series(number=2, **FLAIR))
    assert bids_errors(import_dicom(tmp_path / "in", tmp_path / "out").root) == []


def test_a_cohort_from_the_collection_is_valid(tmp_path):
    cohort = import_lgg_1p19q(write_collection(tmp_path / "in"), tmp_path / "out")
    assert len(cohort) == 3 and bids_errors(cohort.root) == []


def test_a_simulated_cohort_is_valid_truth_included(tmp_path):
    cohort = make_phantom_cohort(tmp_path, subjects=2, profile="smoke", contrasts=tuple(CONTRASTS))
    assert open_cohort(tmp_path).simulated
    assert bids_errors(cohort.root) == []


@pytest.mark.parametrize(
    "name", ["sub-01/anat/sub-01_T1x.nii.gz", "derivatives/annotations/sub-01/anat/sub-01_tumour.nii.gz"]
)
def test_the_validator_does_refuse(tmp_path, name):
    root = write_cohort(tmp_path, subjects=2)
    save_image(head(), root / name)
    found = bids_errors(root)
    assert found and all(location == "/" + name.removeprefix("derivatives/annotations/") for *_, location in found)
    image_path(root, "sub-01", "T1ce").write_bytes(b"")
    assert "EMPTY_FILE" in {code for _, code, _ in bids_errors(root)}


def test_a_preprocessed_cohort_is_valid_pictures_included(phantom, preprocessed, tmp_path):
    shutil.copytree(phantom.root, tmp_path / "cohort")
    derivative = tmp_path / "cohort" / "derivatives" / "preprocessed"
    shutil.copytree(preprocessed, derivative)
    write_quality_page(phantom, derivative)
    assert bids_errors(tmp_path / "cohort") == []
