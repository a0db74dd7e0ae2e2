"""Other backends of Keras: the same networks give the same answers, learn, and can be kept."""

import os
import subprocess
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from made_derivative import SHAPE, make_derivative
from on_backend import answer
from tiny import ROOT

from epitome_kit.grade.ann import build_ann
from epitome_kit.learn.cnn import build_cnn
from epitome_kit.learn.pretrained import start_from_simulation
from epitome_kit.tumour.network import save_unet, shipped_unet

pytestmark = pytest.mark.backends
OTHERS = [name for name in ("jax", "torch", "tensorflow") if find_spec(name) and name != keras.backend.backend()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six subjects, a CNN, a U-Net and an ANN, all saved by the backend of these tests."""
    folder = tmp_path_factory.mktemp("backends")
    make_derivative(folder, subjects=6)
    cnn = build_cnn(("T1ce", "FLAIR"), SHAPE)
    start_from_simulation(cnn)
    cnn.save(folder / "cnn.keras")
    save_unet(shipped_unet(), folder / "unet.keras")
    build_ann(3).save(folder / "ann.keras")
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    return answer(folder)


@pytest.fixture(scope="module", params=OTHERS)
def found(request, folder):
    quick = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}  # JAX compiles for longer than it computes
    environment = {**os.environ, **quick, "KERAS_BACKEND": request.param, "PYTHONPATH": str(ROOT)}
    script = ROOT / "tests" / "helpers" / "on_backend.py"
    run = subprocess.run([sys.executable, script, folder], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert (folder / request.param / "cnn.keras").is_file(), "it ran on the backend that was asked for"
    return dict(np.load(folder / "answers.npz"))


@pytest.mark.parametrize("name", ["tumour", "label", "features", "outline", "ann"])
def test_the_same_weights_give_the_same_answers(expected, found, name):
    assert found[name] == pytest.approx(expected[name], abs=1e-4)


def test_the_same_batches_teach_the_same(expected, found):
    assert found["history"] == pytest.approx(expected["history"], rel=0.01)
    assert found["learned"] == pytest.approx(expected["learned"], abs=0.05)


def test_what_was_learned_can_be_kept(found):
    assert found["loaded"] == pytest.approx(found["learned"], abs=1e-4)


def test_learning_again_gives_the_same_again(found):
    assert np.array_equal(found["learned"], found["learned_again"])
    assert found["graded_again"] == pytest.approx(found["graded"], abs=1e-6)
    assert found["graded"].std() > 0.01


@pytest.mark.skipif(not find_spec("jax"), reason="Keras spreads batches over devices on JAX only")
def test_batches_that_are_spread_over_two_devices_teach_every_subject(tmp_path):
    cohort, ready = make_derivative(tmp_path, subjects=5)
    flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    environment = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    script = ROOT / "tests" / "helpers" / "on_devices.py"
    run = subprocess.run(
        [sys.executable, script, tmp_path], env=os.environ | environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    found = np.load(tmp_path / "devices.npz")
    assert found["devices"] == 2 and np.isfinite(found["loss"]).all()
    assert len(found["features"]) == 5, "an odd one, too"
    assert found["features"][:1] == pytest.approx(found["alone"], abs=1e-4)
    assert (tmp_path / "devices" / "cnn.keras").is_file()
