"""Explanations: a network that looks at one place is seen to look there."""

import nibabel as nib
import numpy as np
import pytest

from epitome_kit.backend import keras, layers, ops
from epitome_kit.learn.arrays import Arrays
from epitome_kit.learn.explain import (
    attention_table,
    grad_cam,
    map_similarity,
    occlusion_map,
    randomised,
    share_by_chance,
    share_inside,
    tumour_map,
)

SHAPE = (16, 16, 16)


class LooksAtOneCorner:
    """Stands for a network: its label is the mean of one cube, its map is the corner of that cube."""

    def predict(self, scans, **_):
        label = scans[:, :8, :8, :8].mean(axis=(1, 2, 3, 4))
        tumour = np.zeros((len(scans), 8, 8, 8, 1), np.float32)
        tumour[:, :2, :2, :2] = 1
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
    assert found[:3, :3, :3].min() == 1 and found[5:].max() == 0
    assert found.sum() == pytest.approx(4**3), "the map has shifted"


def test_the_share_inside_a_mask_is_the_share_of_the_heat():
    heat, mask = np.zeros(SHAPE), np.zeros(SHAPE, np.uint8)
    heat[2, 2, 2], heat[9, 9, 9], mask[:8] = 3, 1, 1
    assert share_inside(heat, mask) == 0.75
    assert share_inside(heat, nib.Nifti1Image(mask, np.eye(4))) == 0.75
    assert share_inside(heat * 0, mask) == 0
    assert share_by_chance(mask, np.ones(SHAPE)) == 0.5
    assert share_by_chance(mask, np.indices(SHAPE)[0] >= 7) == pytest.approx(1 / 9)


@pytest.fixture
def half_blind():
    """Network whose label weighs first contrast against second, in the left half of the box alone."""
    inputs = layers.Input((*SHAPE, 2))
    seen = layers.Conv3D(2, 1, use_bias=False, name="describe_near")(layers.AveragePooling3D(2)(inputs))
    seen = layers.ReLU()(layers.Rescaling(1.0, name="describe_near_scale")(seen))
    features = ops.mean(seen[:, :4], axis=(1, 2, 3))
    label = layers.Dense(1, activation="sigmoid", name="label")(features)
    model = keras.Model(inputs, {"label": label, "features": features, "tumour": seen[..., :1]})
    model.get_layer("describe_near").set_weights([np.eye(2).reshape(1, 1, 1, 2, 2)])
    model.get_layer("label").set_weights([np.array([[1.0], [-1.0]]), np.zeros(1)])
    return model


def _lit(first, second):
    """Scans with lights of the first and of the second contrast at places of even index, dim elsewhere."""
    scans = np.full((*SHAPE, 2), 1e-3, np.float32)
    for channel, lights in enumerate((first, second)):
        for (i, j, k), brightness in lights.items():
            scans[i : i + 2, j : j + 2, k : k + 2, channel] = brightness
    return scans


LEFT, LEFT_TOO, RIGHT = (4, 4, 4), (4, 12, 12), (12, 8, 8)


def test_grad_cam_shows_what_speaks_for_the_likelier_class(half_blind):
    for lights, place in ((({LEFT: 9}, {LEFT_TOO: 5}), LEFT), (({LEFT: 5}, {LEFT_TOO: 9}), LEFT_TOO)):
        heat = grad_cam(half_blind, _lit(*lights))
        assert heat.shape == SHAPE and heat.max() == pytest.approx(1) and heat.min() == 0
        assert np.abs(np.array(np.unravel_index(heat.argmax(), SHAPE)) - place).max() <= 1
        assert heat[tuple(LEFT_TOO if place == LEFT else LEFT)] < 0.01, "what speaks against is cut"


def test_the_average_over_space_forgets_where_the_network_looks(half_blind):
    scans = _lit({LEFT: 9, RIGHT: 9}, {})
    averaged, faithful = grad_cam(half_blind, scans), grad_cam(half_blind, scans, averaged=False)
    assert averaged[LEFT] == pytest.approx(averaged[RIGHT], rel=0.2) and averaged[RIGHT] > 0.5
    assert faithful[LEFT] > 0.5 and faithful[RIGHT] == 0


def test_grad_cam_is_dark_outside_the_brain(half_blind):
    scans = _lit({LEFT: 9}, {})
    scans[:, 8:] = 0
    assert not grad_cam(half_blind, scans)[:, 8:].any()


def test_the_answer_of_a_sure_network_is_explained_as_well(half_blind):
    """A sigmoid that is full has no slope left; what goes into it has."""
    assert grad_cam(half_blind, _lit({LEFT: 90_000}, {})).max() == pytest.approx(1)


def test_shuffled_weights_are_the_same_numbers_elsewhere(half_blind):
    before = half_blind.get_weights()
    shuffled = randomised(half_blind, seed=2)
    assert all(np.array_equal(one, other) for one, other in zip(before, half_blind.get_weights(), strict=True))
    for one, other in zip(before, shuffled.get_weights(), strict=True):
        assert one.shape == other.shape and np.array_equal(np.sort(one, axis=None), np.sort(other, axis=None))
    assert any(not np.array_equal(one, other) for one, other in zip(before, shuffled.get_weights(), strict=True))
    again = randomised(half_blind, seed=2).get_weights()
    assert all(np.array_equal(one, other) for one, other in zip(shuffled.get_weights(), again, strict=True))


def test_maps_are_compared_by_rank_within_the_brain():
    rng = np.random.default_rng(0)
    one, brain = rng.random(SHAPE), np.indices(SHAPE)[0] < 8
    other = np.where(brain, one**3, rng.random(SHAPE))
    assert map_similarity(one, other, brain) == pytest.approx(1)
    assert map_similarity(one, -other, brain) == pytest.approx(-1)
    assert abs(map_similarity(one, rng.random(SHAPE), brain)) < 0.1
    assert map_similarity(one, np.ones(SHAPE), brain) == 0


def test_the_table_tells_a_network_that_looks_at_the_tumour_from_its_shuffled_self(half_blind):
    scans = np.stack([_lit({LEFT: 9}, {})] * 3)
    tumour = np.zeros((3, *SHAPE, 1), np.uint8)
    tumour[:2, 3:7, 3:7, 3:7] = 1
    known = np.ones_like(tumour)
    known[1, :, :, 8:] = 0
    arrays = Arrays(("sub-1", "sub-2", "sub-3"), ("T1ce", "T2w"), scans, tumour, known, (1.0, 1.0, 1.0))
    table = attention_table(half_blind, arrays, ["sub-1", "sub-2", "sub-3"], patch=8)
    assert len(table) == 2 * 4 * 2 and set(table.participant_id) == {"sub-1", "sub-2"}, "no tumour, no row"
    chance = table.groupby("participant_id").share_by_chance.first()
    assert chance.to_list() == pytest.approx([64 / 16**3, 2 * 64 / 16**3]), "only where it is known counts"
    learned = table[table.weights == "learned"]
    assert set(learned.method) == {"tumour map", "Grad-CAM", "HiResCAM", "occlusion"}
    assert (learned.share_inside > 3 * learned.share_by_chance).all()
    assert learned.similarity.to_numpy() == pytest.approx(1)
