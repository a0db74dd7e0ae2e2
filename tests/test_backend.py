"""The one place that asks what Keras computes with."""

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from keras import ops

from epitome_kit.backend import gradient


def test_the_slope_of_a_known_function():
    at = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)
    assert gradient(lambda x: ops.sum(x**3), at) == pytest.approx(3 * at**2)
    assert gradient(lambda x: ops.sum(ops.relu(x)), ops.convert_to_tensor(at)) == pytest.approx((at > 0).astype(float))


@pytest.mark.parametrize("name", ["no_such_backend", "jax"])
def test_a_backend_that_is_absent_is_three_lines(name):
    if name == "jax" and find_spec("jax"):
        pytest.skip("jax is installed")
    code = (
        "from epitome_kit.errors import ToolError\ntry:\n import epitome_kit.backend\nexcept ToolError as e: print(e)"
    )
    environment = {**os.environ, "KERAS_BACKEND": name}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and done.stdout.count("\n") == 3, done.stderr
    assert f"KERAS_BACKEND={name}" in done.stdout and "unset KERAS_BACKEND" in done.stdout
