"""Keras, imported once and without the chatter of TensorFlow's start.

TensorFlow writes to the terminal before its own log level counts, and writes
again at the first operation. In a notebook that looks like an error.
"""

import logging
import os
import sys
from contextlib import contextmanager

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
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


with _silent_stderr():
    import keras
    from keras import Input, Model, layers, ops

    ops.zeros(1)

__all__ = ["Input", "Model", "keras", "layers", "ops"]
