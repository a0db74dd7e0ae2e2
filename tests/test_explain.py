"""Explanations: a network that looks at one place is seen to look there."""

import nibabel as nib
import numpy as np
import pytest

from epitome_kit.learn.explain import occlusion_map, share_inside, tumour_map

SHAPE = (16, 16, 16)


class LooksAtOneCorner:
    """Stands for a network: its label is the mean of one cube, its map is that cube."""

    def predict(self, scans, **_):
        label = scans[:, :8, :8, :8].mean(axis=(1, 2, 3, 4))
        tumour = np.zeros((len(scans), 8, 8, 8, 1), np.float32)
        tumour[:, :4, :4, :4] = 1
        return {"label": label[:, None], "tumour": tumour}


@pytest.fixture
def scans():
    return np.full((*SHAPE, 2), 3.0, np.float32)


def test_hiding_what_counts_changes_the_answer_and_hiding_the_rest_does_not(scans):
    heat = occlusion_map(LooksAtOneCorner(), scans)
    assert heat[:8, :8, :8] == pytest.approx(3)
    heat[:8, :8, :8] = 0
    assert not heat.any()


def test_outside_the_brain_nothing_is_hidden(scans):
    scans[8:] = 0
    heat = occlusion_map(LooksAtOneCorner(), scans)
    assert not heat[8:].any() and heat[:8].any()


def test_the_tumour_map_comes_at_the_resolution_of_the_scans(scans):
    found = tumour_map(LooksAtOneCorner(), scans)
    assert found.shape == SHAPE
    assert found[:6, :6, :6].min() == 1 and found[10:].max() == 0


def test_the_share_inside_a_mask_is_the_share_of_the_heat():
    heat, mask = np.zeros(SHAPE), np.zeros(SHAPE, np.uint8)
    heat[2, 2, 2], heat[9, 9, 9], mask[:8] = 3, 1, 1
    assert share_inside(heat, mask) == 0.75
    assert share_inside(heat, nib.Nifti1Image(mask, np.eye(4))) == 0.75
    assert share_inside(heat * 0, mask) == 0
