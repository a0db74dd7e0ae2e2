"""Explorers: the slider does the step anew, and the picture and the numbers follow."""

import io

import ellipsoids
import numpy as np
import pytest
from PIL import Image
from tiny import raises_three_lines

from epitome_kit.errors import ImageError, ParameterError
from epitome_kit.images import mark_voxel_size_unknown, new_image_like
from epitome_kit.metrics import dice
from epitome_kit.widgets.explorers import before_after_wipe, bias_explorer, strip_explorer, threshold_explorer
from epitome_kit.widgets.render import BORDER

HEAD, TUMOUR, BRAIN = ellipsoids.head(), ellipsoids.tumour(), ellipsoids.brain()


def ball(radius):
    return np.asarray(ellipsoids.tumour(centre=(0, 0, 0), radius=radius).dataobj) > 0


def probability():
    """0.9 within 20 mm of the middle, 0.6 within 40 mm, 0.3 within 60 mm, and a crumb far off."""
    found = sum(0.3 * ball(radius).astype(np.float32) for radius in (20, 40, 60))
    found[0, 0, 0] = 0.99
    return new_image_like(found, HEAD)


def drift(strength):
    """Bias field that rises from one side to the other."""
    sides = np.linspace(-strength, strength, HEAD.shape[0], dtype=np.float32)
    return new_image_like(np.exp(np.broadcast_to(sides[:, None, None], HEAD.shape)), HEAD)


def picture(viewer):
    return np.asarray(Image.open(io.BytesIO(viewer.picture.value))).astype(int)


def test_the_wipe_shows_before_on_its_left_and_after_on_its_right():
    after = new_image_like(HEAD.get_fdata().astype(np.float32) / 2, HEAD)
    viewer = before_after_wipe(HEAD, after)
    viewer.wipe.value = 1
    before_only = picture(viewer)
    viewer.wipe.value = 0
    after_only = picture(viewer)
    viewer.wipe.value = 0.25
    both = picture(viewer)
    border = BORDER + round(0.25 * (both.shape[1] - 2 * BORDER))
    assert np.array_equal(both[:, : border - 8], before_only[:, : border - 8]), "but for the block of the JPEG"
    assert np.array_equal(both[:, border + 8 :], after_only[:, border + 8 :])
    assert after_only[100:-100, 100:-100].mean() < 0.6 * before_only[100:-100, 100:-100].mean()


def test_threshold_follows_the_slider():
    explorer = threshold_explorer(HEAD, BRAIN, TUMOUR)
    before = explorer.picture.value
    volume, brain, truth = HEAD.get_fdata(), np.asarray(BRAIN.dataobj) > 0, np.asarray(TUMOUR.dataobj) > 0
    for threshold in (100.0, 160.0):
        explorer.threshold.value = threshold
        above = brain & (volume >= explorer.threshold.value)
        assert np.array_equal(explorer.stack.masks["above the threshold"], above)
        assert f"Dice {dice(above, truth):.2f}" in explorer.readout.value
        assert f"above the threshold: {np.count_nonzero(above) * 0.036:.1f} mL" in explorer.readout.value
    assert explorer.picture.value != before
    assert "Dice 1.00" in explorer.readout.value


def test_dice_counts_where_the_truth_was_drawn():
    slices = np.zeros(HEAD.shape, np.uint8)
    slices[..., 20:23] = 1
    sparse = new_image_like(slices * np.asarray(TUMOUR.dataobj), HEAD)
    explorer = threshold_explorer(HEAD, BRAIN, sparse, annotated=new_image_like(slices, HEAD))
    explorer.threshold.value = 160
    assert "Dice 1.00 where annotated" in explorer.readout.value


def test_an_empty_brain_mask_has_no_threshold():
    with raises_three_lines(ParameterError, "a brain mask"):
        threshold_explorer(HEAD, new_image_like(np.zeros(HEAD.shape, np.uint8), HEAD))


def test_threshold_without_a_truth_or_a_voxel_size():
    explorer = threshold_explorer(mark_voxel_size_unknown(HEAD), BRAIN, start=150)
    assert explorer.threshold.value == pytest.approx(150, abs=1)
    assert "Dice" not in explorer.readout.value and explorer.readout.value.endswith("voxels")


def test_the_brain_follows_the_probability():
    explorer = strip_explorer(HEAD, probability(), new_image_like(ball(20).astype(np.uint8), HEAD))
    assert explorer.threshold.value == 0.5 and np.array_equal(explorer.stack.masks["brain"], ball(40))
    before = explorer.picture.value
    for threshold, radius in ((0.2, 60), (0.8, 20)):
        explorer.threshold.value = threshold
        assert np.array_equal(explorer.stack.masks["brain"], ball(radius))
        assert explorer.readout.value.startswith(f"brain: {np.count_nonzero(ball(radius)) * 0.036:.1f} mL; truth: ")
        assert explorer.readout.value.endswith(f"Dice {dice(ball(radius), ball(20)):.3f}")
    assert explorer.picture.value != before


def test_the_brain_without_a_truth_or_a_voxel_size():
    explorer = strip_explorer(mark_voxel_size_unknown(HEAD), probability())
    explorer.threshold.value = 0.95
    assert explorer.readout.value == "brain: 1 voxels"


def test_a_probability_that_is_not_there(tmp_path):
    with raises_three_lines(ImageError, "strip_explorer", tmp_path / "no.nii.gz"):
        strip_explorer(HEAD, tmp_path / "no.nii.gz")


def test_the_scan_follows_the_levels():
    truth = drift(0.2)
    explorer = bias_explorer(HEAD, [drift(0.1), truth, drift(0.4)], BRAIN, truth, start=2)
    scan, inside = HEAD.get_fdata(), np.asarray(BRAIN.dataobj) > 0
    assert explorer.readout.value.endswith("residual bias 0.000 (sd of the log)")
    before = explorer.picture.value
    for levels, strength in ((0, 0), (1, 0.1), (3, 0.4)):
        explorer.levels.value = levels
        field = drift(strength).get_fdata()
        assert np.allclose(explorer.stack.volumes["after N4"], scan / field, rtol=1e-5)
        assert np.allclose(explorer.stack.volumes["field"], field * inside, rtol=1e-5)
        left = (np.log(field) - np.log(truth.get_fdata()))[inside].std()
        assert explorer.readout.value.endswith(f"residual bias {left:.3f} (sd of the log)")
    assert "field 0.7" in explorer.readout.value
    assert explorer.picture.value != before
    explorer.levels.value = 2
    assert explorer.picture.value == before


def test_levels_without_a_truth():
    explorer = bias_explorer(HEAD, [drift(0.1)], BRAIN, start=0)
    assert explorer.readout.value == "range of the field 1.00 to 1.00"
    assert explorer.levels.max == 1


def test_an_error_behind_a_slider_is_raised_and_shown(monkeypatch):
    def fail(*_):
        raise RuntimeError("no mask")

    explorer = strip_explorer(HEAD, probability())
    monkeypatch.setattr("epitome_kit.widgets.explorers.mask_above", fail)
    with pytest.raises(RuntimeError, match="no mask"):
        explorer.threshold.value = 0.3
    assert explorer.errors.outputs[0]["evalue"] == "no mask"
