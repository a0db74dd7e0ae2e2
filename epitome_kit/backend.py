"""Keras, imported once and without the chatter of TensorFlow's start.

TensorFlow writes to the terminal before its own log level counts, and writes
again at the first operation. In a notebook that looks like an error.
"""

import logging
import os
import sys
from contextlib import contextmanager

from epitome_kit.errors import ToolError
from epitome_kit.extras import is_installed, missing_extra

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what it calls an error may be none; real ones raise
logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextmanager
def _silent_stderr():
    """Send what native code writes to standard error nowhere."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


if not is_installed("keras"):
    raise missing_extra("train", "keras")
try:
    with _silent_stderr():
        import keras
        from keras import Input, Model, layers, ops

        ops.zeros(1)
except (ImportError, ValueError) as error:
    asked = os.environ.get("KERAS_BACKEND")
    received = f"KERAS_BACKEND={asked} ({error})" if asked else f"{type(error).__name__}: {error}"
    hint = "unset KERAS_BACKEND, or install what it names" if asked else "`epitome doctor` says what is not installed"
    raise ToolError("backend", "Keras with a backend that is installed", received, hint) from error

__all__ = ["Input", "Model", "gradient", "keras", "layers", "ops"]


def gradient(function, at):
    """Differentiate a function of Keras operations, with whatever Keras computes with.

    Keras itself has no such call: this is the one place that asks its backend.

    Parameters
    ----------
    function : callable
        Takes a tensor and returns one number, as a tensor without axes.
    at : ndarray or tensor
        Where to differentiate.

    Returns
    -------
    ndarray
        Same shape as `at`.
    """
    return ops.convert_to_numpy(_GRADIENTS[keras.backend.backend()](function, ops.convert_to_tensor(at)))


def _with_tensorflow(function, at):
    import tensorflow

    with tensorflow.GradientTape() as tape:
        tape.watch(at)
        answer = function(at)
    return tape.gradient(answer, at)


def _with_torch(function, at):
    import torch

    at = at.detach().requires_grad_()
    return torch.autograd.grad(function(at), at)[0]


def _with_jax(function, at):
    import jax

    return jax.grad(function)(at)


_GRADIENTS = {"tensorflow": _with_tensorflow, "torch": _with_torch, "jax": _with_jax}
