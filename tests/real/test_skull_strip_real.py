"""Skull stripping of real heads: a table of Dice, the kit beside BET in Python where that is installed."""

import numpy as np
import pytest

from epitome_kit.images import load_image, load_mask
from epitome_kit.overlap import dice
from epitome_kit.preprocess.skull_strip import skull_strip

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


def _with_brainextractor(image):
    """Brain by BET in Python, or None where it is not installed or finds none."""
    try:
        from brainextractor import BrainExtractor
    except ImportError:
        return None
    extractor = BrainExtractor(image)
    extractor.run()
    return extractor.compute_mask() > 0


@pytest.fixture(scope="module")
def table(real_data):
    """Dice of the kit and of the peer, by scan; printed with `pytest -s`."""
    rows = {}
    for name, (scan, reference) in SCANS.items():
        image, truth = load_image(real_data / scan), np.asarray(load_mask(real_data / reference).dataobj) > 0
        peer = _with_brainextractor(image)
        ours = dice(np.asarray(skull_strip(image).dataobj) > 0, truth)
        rows[name] = ours, None if peer is None else dice(peer, truth)
    print(f"\n{'scan':24}{'kit':>8}{'brainextractor':>16}")
    for name, (ours, peer) in rows.items():
        print(f"{name:24}{ours:8.3f}{'not installed' if peer is None else f'{peer:.3f}':>16}")
    return rows


@pytest.mark.parametrize("name", SCANS)
def test_the_brain_of_a_real_head_is_found(table, name):
    ours, peer = table[name]
    assert ours >= LEAST
    assert peer is None or ours > peer


def test_the_brain_of_real_heads_is_found_well_on_average(table):
    assert np.mean([ours for ours, _ in table.values()]) >= LEAST_MEAN


@pytest.mark.parametrize("scan", [f"{HEAD}/t1_stripped.nii.gz", "seed-sample/smooth_LGG-203_T2.nii.gz"])
def test_what_was_stripped_before_comes_back_nearly_unchanged(real_data, scan):
    image = load_image(real_data / scan)
    data = np.asarray(image.dataobj, np.float32)
    kept = np.asarray(skull_strip(image).dataobj) > 0
    assert data[kept].sum() >= 0.98 * data.sum()
    assert dice(kept, data > 0.1 * np.percentile(data, 99)) >= 0.98
