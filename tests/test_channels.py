"""The channels of a network: kept in its own file, and no others are shown to it."""

import keras
import numpy as np
import pytest
from made_derivative import make_derivative
from tiny import raises_three_lines

from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import CohortError, ImageError, ParameterError
from epitome_kit.learn.arrays import load_arrays, load_scans
from epitome_kit.learn.channels import input_name, read_channels, shipped_channels
from epitome_kit.learn.cnn import build_cnn
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.tumour.network import build_unet, load_unet, save_unet, shipped_unet, unet_channels
from epitome_kit.tumour.segment import predict_tumours


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    return make_derivative(tmp_path_factory.mktemp("channels"), subjects=2)


@pytest.mark.parametrize("name", ["epitome_cnn", "tumour_unet"])
def test_the_shipped_networks_know_their_channels(name):
    assert shipped_channels(name) == ("T1w", "T1ce", "T2w", "FLAIR")


def test_a_network_knows_its_channels_when_it_is_read_again(tmp_path):
    build_cnn(("T2w", "T1ce"), (16, 16, 8)).save(tmp_path / "cnn.keras")
    assert read_channels(keras.saving.load_model(tmp_path / "cnn.keras")) == ("T2w", "T1ce")
    save_unet(build_unet(("FLAIR",)), tmp_path / "unet.keras")
    assert unet_channels(load_unet(tmp_path / "unet.keras")) == ("FLAIR",)
    assert read_channels(shipped_unet()) == shipped_channels("tumour_unet")


def test_a_network_of_an_older_version_does_not_tell_and_has_those_of_the_shipped_one(tmp_path):
    inputs = keras.Input((None, None, None, 4))
    keras.Model(inputs, {"tumour": keras.layers.Conv3D(1, 1, name="tumour")(inputs)}).save(tmp_path / "old.keras")
    old = load_unet(tmp_path / "old.keras")
    assert read_channels(old) == () and unet_channels(old) == shipped_channels("tumour_unet")


def test_a_network_of_an_unknown_contrast_is_three_lines(tmp_path):
    save_unet(build_unet(("T2w", "ADC")), tmp_path / "net.keras")
    with raises_three_lines(ParameterError, "ADC", "net.keras"):
        load_unet(tmp_path / "net.keras")


@pytest.mark.slow
def test_a_network_is_shown_its_own_channels_in_their_order(ready, tmp_path):
    cohort, folder = ready
    save_unet(_says_channel(0, ("FLAIR", "T1ce")), tmp_path / "first.keras")
    save_unet(_says_channel(1, ("T1ce", "FLAIR")), tmp_path / "second.keras")
    save_unet(_says_channel(0, ("T1ce", "FLAIR")), tmp_path / "other.keras")
    first, second, other = (
        predict_tumours(cohort, folder, tmp_path / name, weights=tmp_path / f"{name}.keras").volume_voxels.tolist()
        for name in ("first", "second", "other")
    )
    assert first == second != other and min(first) > 0


def _says_channel(channel, contrasts):
    """Network whose answer is one channel alone, cut at 1.5."""
    inputs = keras.Input((None, None, None, len(contrasts)), name=input_name(contrasts))
    answer = keras.layers.Conv3D(1, 1, activation="sigmoid", name="tumour")
    model = keras.Model(inputs, {"tumour": answer(inputs)})
    kernel = 4.0 * (np.arange(len(contrasts)) == channel)
    answer.set_weights([kernel.reshape(1, 1, 1, -1, 1), np.array([-6.0])])
    return model


def test_a_subject_without_any_channel_is_three_lines(ready):
    cohort, folder = ready
    files = Preprocessed(folder, "sub-01")
    with raises_three_lines(ImageError, "T1w or T2w", "T1ce, FLAIR of sub-01"):
        load_scans(files, ("T1w", "T2w"))
    assert load_scans(files, ("T1w", "FLAIR")).any((0, 1, 2)).tolist() == [False, True]


def test_a_cohort_without_any_channel_is_three_lines(ready, monkeypatch):
    monkeypatch.setattr("epitome_kit.learn.arrays.shipped_channels", lambda name: ("T2w",))
    with raises_three_lines(CohortError, "scans of T2w", "T1ce, FLAIR"):
        load_arrays(*ready)


def test_further_contrasts_are_no_channels(ready, monkeypatch):
    monkeypatch.setattr("epitome_kit.learn.arrays.shipped_channels", lambda name: ("FLAIR", "T2w"))
    assert ready[0].contrasts == ("T1ce", "FLAIR") and set(ready[0].contrasts) < set(CONTRASTS)
    assert load_arrays(*ready).contrasts == ("FLAIR",)
