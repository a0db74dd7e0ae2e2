"""Import Keras without the messages of TensorFlow.

TensorFlow writes to the terminal before its log level takes effect, and again at
the first operation. In a notebook that looks like an error.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from epitome_kit.errors import ToolError
from epitome_kit.extras import is_installed, missing_extra
from epitome_kit.files import PathLike
from epitome_kit.io.model_files import bad_model, read_config
from epitome_kit.limits import memory_limit

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # messages at level error may be harmless; real errors raise
logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Redirect native standard error to the null device."""
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


if not is_installed("keras"):
    raise missing_extra("train", "keras")
try:
    with _silent_stderr():
        import keras
        from keras import Input, Model, layers, ops

        ops.zeros(1)
except (ImportError, ValueError) as error:
    backend = os.environ.get("KERAS_BACKEND")
    received = f"KERAS_BACKEND={backend} ({error})" if backend else f"{type(error).__name__}: {error}"
    hint = f"unset KERAS_BACKEND, or install {backend}" if backend else "`epitome doctor` lists missing packages"
    raise ToolError("backend", "Keras with an installed backend", received, hint) from error

_MOST_LOADED = 4 * 2**30
"""Memory that a network may take while it is loaded, in bytes; those of the kit take some megabytes."""


def load_model(path: PathLike, *, where: str, expected: str = "a network of the kit") -> Model:
    """Load a network, in the safe mode of Keras and within bounds.

    Parameters
    ----------
    path : path
        File ``.keras``.
    where : str
        The step to name in an error.
    expected : str, default="a network of the kit"
        What to expect in an error.

    Returns
    -------
    keras.Model
        Not compiled.

    Raises
    ------
    ParameterError
        It cannot be read, would run code, or is too large; see
        :func:`epitome_kit.io.model_files.read_config`.
    """
    read_config(path, where=where, expected=expected)
    try:
        with memory_limit(_MOST_LOADED):
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a hostile or damaged file can raise anything in Keras
        raise bad_model(path, str(error) or type(error).__name__, where=where, expected=expected) from error


Tensor = Any
"""Tensor of any backend, which share no base class."""

__all__ = ["Input", "Model", "gradient", "keras", "layers", "load_model", "ops"]


def gradient(function: Callable[[Tensor], Tensor], at: "np.ndarray | Tensor") -> np.ndarray:
    """Differentiate a function of Keras operations with the backend of Keras.

    Keras has no such function that works with every backend.

    Parameters
    ----------
    function : callable
        Takes a tensor and returns a scalar tensor.
    at : ndarray or tensor
        Where to differentiate.

    Returns
    -------
    ndarray
        Same shape as `at`.
    """
    return ops.convert_to_numpy(_GRADIENTS[keras.backend.backend()](function, ops.convert_to_tensor(at)))


def _with_tensorflow(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    import tensorflow

    with tensorflow.GradientTape() as tape:
        tape.watch(at)
        value = function(at)
    return tape.gradient(value, at)


def _with_torch(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    import torch

    at = at.detach().requires_grad_()
    return torch.autograd.grad(function(at), at)[0]


def _with_jax(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    import jax

    return jax.grad(function)(at)


_GRADIENTS = {"tensorflow": _with_tensorflow, "torch": _with_torch, "jax": _with_jax}
