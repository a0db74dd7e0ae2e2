"""Wild patients: every draw another tumour in another head, with its truth, on the grid that was asked for."""

import nibabel as nib
import numpy as np
import pytest

from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.preprocess.registration import load_template, template_grid
from epitome_kit.simulate.random_patient import random_patient

SPACING_MM, SEEDS = 6.0, 6
GRID = template_grid(SPACING_MM)


@pytest.fixture(scope="module")
def patients():
    return [random_patient(np.random.default_rng(seed), *GRID) for seed in range(SEEDS)]


def test_scans_brain_and_tumour_share_the_grid(patients):
    for scans, brain, tumour in patients:
        assert set(scans) == set(CONTRASTS)
        assert {scan.shape for scan in scans.values()} == {brain.shape, tumour.shape} == {GRID[1]}
        assert all(np.isfinite(scan).all() and scan.min() >= 0 for scan in scans.values())
        assert set(np.unique(brain)) == set(np.unique(tumour)) == {0, 1} and brain.dtype == tumour.dtype == np.uint8


def test_tumours_lie_in_the_brain_and_have_the_size_of_gliomas(patients):
    """With oedema, whose width counts in voxels: on this coarse grid it is twice that of the training grid."""
    ml = [tumour.sum() * SPACING_MM**3 / 1000 for _, _, tumour in patients]
    assert all((tumour <= brain).all() for _, brain, tumour in patients)
    assert min(ml) > 1 and max(ml) < 400 and max(ml) > 3 * min(ml), "small ones and large ones"


def test_brains_lie_near_the_template(patients):
    mask = load_template()[1]
    places = nib.affines.apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj) > 0))
    for _, brain, _ in patients:
        found = nib.affines.apply_affine(GRID[0], np.argwhere(brain))
        assert np.abs(found.mean(0) - places.mean(0)).max() < 20, "a cropped field of view moves the middle"
        assert 0.6 < len(found) * SPACING_MM**3 / 1e6 < 2.6


def test_contrasts_differ(patients):
    for scans, brain, _ in patients:
        inside = [scan[brain > 0] for scan in scans.values()]
        together = np.corrcoef(inside)[np.triu_indices(4, 1)]
        assert together.max() < 0.995 and together.min() < 0.6


def test_most_tumours_are_bright_on_flair_around_a_cyst(patients):
    """As they are in real scans; a few hardly show."""
    brighter = [
        np.quantile(scans["FLAIR"][tumour > 0], 0.8) > np.median(scans["FLAIR"][(brain > 0) & (tumour == 0)])
        for scans, brain, tumour in patients
    ]
    assert np.mean(brighter) >= 0.8


def test_sites_are_on_both_sides(patients):
    sides = [nib.affines.apply_affine(GRID[0], np.argwhere(tumour)).mean(0)[0] for _, _, tumour in patients]
    assert min(sides) < -5 and max(sides) > 5


@pytest.mark.slow
def test_the_generator_decides(patients):
    again = random_patient(np.random.default_rng(0), *GRID)
    assert all(np.array_equal(again[0][name], patients[0][0][name]) for name in CONTRASTS)
    assert all(np.array_equal(*pair) for pair in zip(again[1:], patients[0][1:], strict=True))
    assert not np.array_equal(patients[0][2], patients[1][2])


def test_a_cyst_is_a_part_of_the_tumour_as_dark_as_fluid_on_flair(monkeypatch):
    seen = {}
    for chance in (0, 1):
        monkeypatch.setattr("epitome_kit.simulate.random_patient._CYSTIC", chance)
        scans, _, tumour = random_patient(np.random.default_rng(4), *GRID)
        seen[chance] = [np.quantile(scans[name][tumour > 0], 0.1) for name in ("FLAIR", "T1w")]
    assert np.less(seen[1], np.multiply(seen[0], 0.8)).all(), "on T1 as well"
