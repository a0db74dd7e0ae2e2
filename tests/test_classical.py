"""The baseline that learns nothing: it finds what is bright on one side, and no ventricles."""

import numpy as np
import pytest

from epitome_kit.contrast_table import CONTRASTS, by_conspicuity
from epitome_kit.metrics import dice
from epitome_kit.tumour.classical import outline_by_symmetry

SHAPE = (40, 40, 32)
BEST_FIRST = by_conspicuity(CONTRASTS)


def _ball(centre, radius):
    grid = np.indices(SHAPE) - np.array(centre).reshape(3, 1, 1, 1)
    return np.linalg.norm(grid, axis=0) < radius


BRAIN = _ball((19.5, 19.5, 15.5), 15)
TUMOUR = _ball((11, 22, 16), 5)
VENTRICLES = _ball((16, 14, 15), 3) | _ball((23, 14, 15), 3)


def _scans(contrasts, *, tumour=TUMOUR, gain=1.0):
    """A noisy brain with bright ventricles, and a tumour that is brighter."""
    rng, scans = np.random.default_rng(0), np.zeros((*SHAPE, len(CONTRASTS)), np.float32)
    for name in contrasts:
        grey = rng.normal(0, 0.5, SHAPE) + gain * (1.5 * VENTRICLES + 3 * tumour)
        scans[..., list(CONTRASTS).index(name)] = grey * BRAIN
    return scans


def test_a_bright_ball_on_one_side_is_found_and_ventricles_are_not():
    found = outline_by_symmetry(_scans(["FLAIR"]), CONTRASTS)
    assert found.dtype == bool and dice(found, TUMOUR) > 0.65 and found[TUMOUR].all()
    assert not (found & VENTRICLES).any() and not (found & ~BRAIN).any()


def test_a_mirrored_head_has_the_mirrored_outline():
    scans = _scans(["FLAIR"])
    assert dice(outline_by_symmetry(scans[::-1], CONTRASTS)[::-1], outline_by_symmetry(scans, CONTRASTS)) > 0.95


@pytest.mark.parametrize("contrasts", [BEST_FIRST[first:] for first in range(len(BEST_FIRST))])
def test_the_contrast_that_shows_gliomas_best_decides(contrasts):
    """The others show nothing but noise."""
    scans = _scans(contrasts[1:], gain=0.0) + _scans(contrasts[:1])
    assert dice(outline_by_symmetry(scans, CONTRASTS), TUMOUR) > 0.65


def test_it_is_one_piece_without_holes_and_the_same_again():
    ring = TUMOUR & ~_ball((11, 22, 16), 2)
    scans = _scans(["T2w"], tumour=ring | _ball((28, 28, 20), 2))
    found = outline_by_symmetry(scans, CONTRASTS)
    assert found[11, 22, 16] and not found[28, 28, 20]
    assert np.array_equal(found, outline_by_symmetry(scans, CONTRASTS))
