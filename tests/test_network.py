"""The U-Net: any size, mirrored or in windows, the same answer; and only files that are such a network are read."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from scipy import ndimage
from tiny import raises_three_lines

from epitome_kit.errors import ParameterError
from epitome_kit.learn.channels import shipped_channels
from epitome_kit.tumour import network
from epitome_kit.tumour.network import build_unet, load_unet, save_unet, shipped_unet, tumour_probability

CHANNELS = shipped_channels("tumour_unet")


@pytest.fixture(scope="module")
def unet():
    """Network of random weights, whose answers differ from voxel to voxel."""
    keras.utils.set_random_seed(1)
    model = build_unet(CHANNELS)
    model.get_layer("tumour").bias.assign([0.0])
    return model


def _scans(shape, seed=0):
    return np.random.default_rng(seed).standard_normal((*shape, len(CHANNELS))).astype(np.float32)


def _voxelwise(views, training):
    """Stand in for a network that looks at each voxel alone."""
    return {"tumour": ops.sigmoid(ops.convert_to_tensor(views[..., 1:2]))}


def _blurring(views, training):
    """Stand in for a network that looks one voxel far."""
    return {"tumour": ops.convert_to_tensor(ndimage.uniform_filter(views[..., :1], (1, 3, 3, 3, 1), mode="constant"))}


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(network, "WINDOW", 16)
    monkeypatch.setattr(network, "_STEP", 8)


def test_it_is_compact_and_takes_every_contrast(unet):
    assert unet.count_params() < 1e6
    assert unet.input_shape == (None, None, None, None, len(CHANNELS))
    assert CHANNELS == ("T1w", "T1ce", "T2w", "FLAIR"), "the shipped weights know this order"


@pytest.mark.parametrize("shape", [(8, 8, 8), (16, 8, 24)])
def test_a_probability_for_every_voxel_of_any_multiple_of_eight(unet, shape):
    found = ops.convert_to_numpy(unet(_scans(shape)[None], training=False)["tumour"])
    assert found.shape == (1, *shape, 1) and 0 < found.min() < found.max() < 1


@pytest.mark.parametrize("shape", [(9, 12, 8), (7, 16, 17), (1, 1, 1)])
def test_other_sizes_are_padded_and_cut_again(unet, shape):
    scans = _scans(shape)
    found = tumour_probability(unet, scans)
    padded = np.pad(scans, [*((0, -n % 8) for n in shape), (0, 0)])
    assert found.shape == shape and found.dtype == np.float32
    i, j, k = shape
    assert found == pytest.approx(tumour_probability(unet, padded)[:i, :j, :k], abs=1e-6)


def test_a_rare_thing_to_begin_with():
    keras.utils.set_random_seed(0)
    assert tumour_probability(build_unet(CHANNELS), _scans((8, 8, 8))).mean() < 0.1


def test_each_channel_matters_and_the_shipped_weights_tell_them_apart():
    model, scans = shipped_unet(), _scans((8, 8, 8))
    expected = tumour_probability(model, scans)
    for channel in range(len(CHANNELS)):
        without = scans.copy()
        without[..., channel] = 0
        assert not np.allclose(tumour_probability(model, without), expected, atol=1e-6)
    assert not np.allclose(tumour_probability(model, scans[..., ::-1]), expected, atol=1e-6)


def test_a_mirrored_head_has_the_mirrored_answer(unet):
    scans = _scans((16, 8, 8))
    expected, found = tumour_probability(unet, scans), tumour_probability(unet, scans[::-1])
    assert found == pytest.approx(expected[::-1], abs=1e-5)
    assert not np.allclose(found, expected, atol=1e-4)


def test_there_is_no_tumour_where_every_contrast_is_empty(unet):
    scans = _scans((8, 16, 8))
    scans[:, :5] = 0
    scans[:, 5:, :, 1:] = 0
    found = tumour_probability(unet, scans)
    assert not found[:, :5].any() and (found[:, 5:] > 0).all(), "one contrast suffices"


@settings(max_examples=15)
@given(shape=st.tuples(*[st.integers(1, 33)] * 3))
def test_windows_cover_every_voxel_and_fade_into_one(shape):
    """A network that looks at each voxel alone cannot tell that it is shown windows."""
    scans = _scans(shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "WINDOW", 16)
        patch.setattr(network, "_STEP", 8)
        found = tumour_probability(_voxelwise, scans)
    assert found == pytest.approx(1 / (1 + np.exp(-scans[..., 1])), abs=1e-5)


def test_windows_differ_from_one_pass_at_seams_alone(monkeypatch):
    scans = _scans((40, 16, 16))
    expected = tumour_probability(_blurring, scans)
    monkeypatch.setattr(network, "WINDOW", 16)
    monkeypatch.setattr(network, "_STEP", 8)
    off = np.abs(tumour_probability(_blurring, scans) - expected).max(axis=(1, 2))
    near_a_seam = [8, 15, 16, 23, 24, 31]
    assert off[near_a_seam].min() > 1e-3 and np.delete(off, near_a_seam).max() < 1e-6


def test_no_window_is_larger_than_it_may_be(small_windows):
    shown = []

    def watched(views, training):
        shown.append(views.shape[1:4])
        return _voxelwise(views, training)

    tumour_probability(watched, _scans((40, 16, 9)))
    assert shown == [(16, 16, 16)] * 4


def test_what_is_saved_is_what_is_loaded(unet, tmp_path):
    save_unet(unet, tmp_path / "new" / "net.keras")
    loaded, scans = load_unet(tmp_path / "new" / "net.keras"), _scans((8, 8, 8))
    assert np.array_equal(tumour_probability(loaded, scans), tumour_probability(unet, scans))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["net.keras"]


def test_a_file_that_was_written_again_is_read_again(unet, tmp_path):
    scans = _scans((8, 8, 8))
    save_unet(unet, tmp_path / "net.keras")
    before = tumour_probability(load_unet(tmp_path / "net.keras"), scans)
    save_unet(shipped_unet(), tmp_path / "net.keras")
    after = tumour_probability(load_unet(tmp_path / "net.keras"), scans)
    assert not np.allclose(before, after) and np.allclose(after, tumour_probability(shipped_unet(), scans))


def test_without_a_file_it_is_the_shipped_network_and_training_another_leaves_it_alone():
    scans = _scans((8, 8, 8))
    before = tumour_probability(load_unet(), scans)
    other = shipped_unet()
    other.get_layer("tumour").bias.assign([9.0])
    assert np.array_equal(tumour_probability(load_unet(), scans), before)


def _another(channels, outputs=("tumour",), sides=(None, None, None)):
    inputs = keras.Input((*sides, channels))
    heads = {name: keras.layers.Conv3D(1, 1, name=name)(inputs) for name in outputs}
    return keras.Model(inputs, heads if len(heads) > 1 or outputs == ("tumour",) else heads[outputs[0]])


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (_another(2), "None, 2)"),
        (_another(4, outputs=("other",)), "None, 1)"),
        (_another(4, outputs=("tumour", "label")), "label"),
        (_another(4, sides=(16, 16, 16)), "16, 16, 16"),
    ],
    ids=["two channels", "another output", "two outputs", "one size"],
)
def test_another_network_is_three_lines(model, words, tmp_path):
    model.save(tmp_path / "net.keras")
    with raises_three_lines(ParameterError, "a network of `epitome segment`", "net.keras", words):
        load_unet(tmp_path / "net.keras")


@pytest.mark.parametrize("name", ["net.keras", "net.h5", "net.txt", "net"])
def test_a_file_of_text_is_three_lines(name, tmp_path):
    (tmp_path / name).write_text("Not a network.")
    with raises_three_lines(ParameterError, name):
        load_unet(tmp_path / name)


def test_a_file_that_is_cut_off_or_not_there_is_three_lines(unet, tmp_path):
    save_unet(unet, tmp_path / "net.keras")
    whole = (tmp_path / "net.keras").read_bytes()
    for part in (whole[: len(whole) // 2], whole[:100] + bytes(200) + whole[300:], b"PK\x05\x06" + bytes(18)):
        (tmp_path / "net.keras").write_bytes(part)
        with raises_three_lines(ParameterError, "net.keras"):
            load_unet(tmp_path / "net.keras")
    for missing in (tmp_path / "none.keras", tmp_path):
        with raises_three_lines(ParameterError, missing):
            load_unet(missing)


def test_a_file_that_brings_code_of_its_own_is_refused(tmp_path):
    inputs = keras.Input((None, None, None, 4))
    code = keras.layers.Lambda(lambda x: x[..., :1] * 0 + __import__("os").getpid(), name="tumour")(inputs)
    keras.Model(inputs, {"tumour": code}).save(tmp_path / "net.keras")
    with raises_three_lines(ParameterError, "net.keras", "arbitrary code"):
        load_unet(tmp_path / "net.keras")


def test_a_format_without_a_safe_mode_is_refused_whatever_is_in_it(tmp_path):
    shipped_unet().save(tmp_path / "net.h5")
    with raises_three_lines(ParameterError, "net.h5", "not a `.keras` file"):
        load_unet(tmp_path / "net.h5")
