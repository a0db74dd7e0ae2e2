"""The one place that asks what Keras computes with."""

import numpy as np
import pytest
from keras import ops

from epitome_kit.backend import gradient


def test_the_slope_of_a_known_function():
    at = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)
    assert gradient(lambda x: ops.sum(x**3), at) == pytest.approx(3 * at**2)
    assert gradient(lambda x: ops.sum(ops.relu(x)), ops.convert_to_tensor(at)) == pytest.approx((at > 0).astype(float))
