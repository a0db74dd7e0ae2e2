"""Registration of a real exam: T1 to FLAIR, against a transform fitted to a registration by others."""

import nibabel as nib
import numpy as np
import pytest

from epitome_kit.images import load_mask, resample
from epitome_kit.metrics import dice
from epitome_kit.preprocess.registration import register_rigid


def test_t1_is_carried_to_flair_although_the_headers_disagree(real_data):
    exam = real_data / "tcga-fg-6692"
    truth = np.loadtxt(exam / "rigid_t1-to-flair.txt")
    found = register_rigid(exam / "t1.nii.gz", exam / "flair.nii.gz", exam / "brainmask-hdbet_flair.nii.gz")
    brain = load_mask(exam / "brainmask-hdbet_t1.nii.gz")
    points = nib.affines.apply_affine(brain.affine, np.argwhere(np.asarray(brain.dataobj) > 0))
    there, carried = (nib.affines.apply_affine(matrix, points) for matrix in (truth, found))
    assert np.linalg.norm(points - there, axis=1).mean() > 15, "the headers alone"
    assert np.linalg.norm(carried - there, axis=1).mean() < 1.5


def test_t2_is_carried_to_flair_although_the_head_had_turned(real_data):
    """By 17 degrees, as the brain masks of both scans show, which others drew."""
    exam = real_data / "tcga-fg-6692"
    there = load_mask(exam / "brainmask-hdbet_flair.nii.gz")
    found = register_rigid(exam / "t2.nii.gz", exam / "flair.nii.gz", there)
    carried = resample(load_mask(exam / "brainmask-hdbet_t2.nii.gz"), there.affine, there.shape, transform=found)
    assert dice(np.asarray(carried.dataobj) > 0.5, np.asarray(there.dataobj) > 0) > 0.95
    assert np.degrees(np.arctan2(found[0, 1], found[0, 0])) == pytest.approx(17.3, abs=2)
