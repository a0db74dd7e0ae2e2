"""Preprocessing of real scans: heads that no simulator drew, with answers from other tools."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from epitome_kit.cohort import annotation_path, image_path, open_cohort, write_annotation_sidecar, write_dataset
from epitome_kit.images import load_image, load_mask, save_image
from epitome_kit.preprocess.pipeline import Preprocessed, preprocess_cohort
from epitome_kit.preprocess.registration import load_template

CONTRASTS = {"T1w": "t1", "T1ce": "t1c", "T2w": "t2", "FLAIR": "flair"}
"""Contrasts of the clinical exam, and their files."""


@pytest.fixture(scope="module")
def exam(real_data):
    return real_data / "tcga-fg-6692"


@pytest.fixture(scope="module")
def preprocessed(exam, tmp_path_factory):
    """The exam as a cohort of one, preprocessed: quality, and where the derivative is."""
    folder = tmp_path_factory.mktemp("exam")
    for contrast, name in CONTRASTS.items():
        save_image(load_image(exam / f"{name}.nii.gz"), image_path(folder, "sub-1", contrast))
    save_image(load_mask(exam / "tumour-manual_space-t1.nii.gz"), annotation_path(folder, "sub-1"))
    write_annotation_sidecar(folder, "sub-1", "T1w")
    write_dataset(folder, name="exam", readme="One exam.", participants=pd.DataFrame({"participant_id": ["sub-1"]}))
    quality = preprocess_cohort(open_cohort(folder), folder / "derivatives" / "out")
    return quality.iloc[0], Preprocessed(folder / "derivatives" / "out", "sub-1")


def _inside(image):
    return np.asarray(image.dataobj) > 0


def test_contrasts_are_brought_together_although_their_headers_disagree(exam, preprocessed):
    """The reference is a rigid transform fitted to a registration by others; the headers alone are 17 mm off."""
    truth = np.loadtxt(exam / "rigid_t1-to-flair.txt")
    t1, flair = (np.loadtxt(preprocessed[1].transform(name)) for name in ("T1w", "FLAIR"))
    mask = load_mask(exam / "brainmask-hdbet_t1.nii.gz")
    points = nib.affines.apply_affine(mask.affine, np.argwhere(_inside(mask)))
    there, found = (nib.affines.apply_affine(matrix, points) for matrix in (truth, np.linalg.inv(flair) @ t1))
    assert np.linalg.norm(points - there, axis=1).mean() > 15
    assert np.linalg.norm(found - there, axis=1).mean() < 1.5


def test_the_exam_arrives_on_the_template(preprocessed):
    quality, files = preprocessed
    assert 1300 < quality.brain_volume_ml < 1900, "HD-BET finds about 1570 mL"
    assert pd.isna(quality.brain_mask_dice), "no truth is known of a patient"
    template = load_template()[1]
    brain = load_image(files.mask("desc-brain"))
    index = np.round(
        nib.affines.apply_affine(np.linalg.inv(template.affine) @ brain.affine, np.argwhere(_inside(brain)))
    )
    assert _inside(template)[tuple(index.astype(int).T)].mean() > 0.85
    for contrast in CONTRASTS:
        assert np.isfinite(load_image(files.scan(contrast)).get_fdata()).all()


def test_the_tumour_is_bright_on_flair_after_all_that(preprocessed):
    _, files = preprocessed
    tumour, brain = (_inside(load_image(files.mask(name))) for name in ("label-tumour", "desc-brain"))
    flair = load_image(files.scan("FLAIR")).get_fdata()
    assert tumour.sum() > 200 and np.median(flair[tumour & brain]) > 1.0, "one standard deviation above the brain"
