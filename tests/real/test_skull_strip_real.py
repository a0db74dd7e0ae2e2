"""Skull stripping of real heads: a table of Dice; `make bench` sets other tools beside it."""

import numpy as np
import pytest

from epitome_kit.images import load_image, load_mask
from epitome_kit.metrics import dice
from epitome_kit.preprocess.skull_stripping import skull_strip

EXAM, HEAD = "tcga-fg-6692", "itk-head"
SCANS = {
    "exam, T1": (f"{EXAM}/t1.nii.gz", f"{EXAM}/brainmask-hdbet_t1.nii.gz"),
    "exam, T1 with contrast": (f"{EXAM}/t1c.nii.gz", f"{EXAM}/brainmask-hdbet_t1c.nii.gz"),
    "exam, T2": (f"{EXAM}/t2.nii.gz", f"{EXAM}/brainmask-hdbet_t2.nii.gz"),
    "exam, FLAIR": (f"{EXAM}/flair.nii.gz", f"{EXAM}/brainmask-hdbet_flair.nii.gz"),
    "research scan, T1": (f"{HEAD}/t1.nii.gz", f"{HEAD}/t1_stripped.nii.gz"),
}
"""Scan and reference: HD-BET's on the exam, whose slices are 5.5 mm; what is left after stripping on the other."""

LEAST, LEAST_MEAN = 0.93, 0.95


@pytest.fixture(scope="module")
def table(real_data):
    """Dice by scan; printed with `pytest -s`."""
    scores = {}
    for name, (scan, reference) in SCANS.items():
        truth = np.asarray(load_mask(real_data / reference, labels="all").dataobj) > 0
        scores[name] = dice(np.asarray(skull_strip(real_data / scan).dataobj) > 0, truth)
    print(f"\n{'scan':24}{'Dice':>8}")
    for name, score in scores.items():
        print(f"{name:24}{score:8.3f}")
    return scores


@pytest.mark.parametrize("name", SCANS)
def test_the_brain_of_a_real_head_is_found(table, name):
    assert table[name] >= LEAST


def test_the_brain_of_real_heads_is_found_well_on_average(table):
    assert np.mean(list(table.values())) >= LEAST_MEAN


@pytest.mark.parametrize("scan", [f"{HEAD}/t1_stripped.nii.gz", "seed-sample/smooth_LGG-203_T2.nii.gz"])
def test_what_was_stripped_before_comes_back_nearly_unchanged(real_data, scan):
    image = load_image(real_data / scan)
    data = np.asarray(image.dataobj, np.float32)
    kept = np.asarray(skull_strip(image).dataobj) > 0
    assert data[kept].sum() >= 0.98 * data.sum()
    assert dice(kept, data > 0.1 * np.percentile(data, 99)) >= 0.98
