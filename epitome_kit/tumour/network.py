"""A compact 3D U-Net that outlines the tumour in whichever contrasts there are."""

from itertools import product
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from epitome_kit.backend import Input, Model, keras, layers, ops
from epitome_kit.contrast_table import CONTRASTS, either
from epitome_kit.errors import ParameterError
from epitome_kit.files import shipped_weights, whole_file
from epitome_kit.learn.channels import input_name, read_channels, shipped_channels
from epitome_kit.learn.cnn import conv_block

FILTERS = (12, 24, 48, 96)
MULTIPLE = 2 ** (len(FILTERS) - 1)
"""Every side of a volume is a multiple of this many voxels."""

WINDOW = 96
"""Longest side, in voxels, of what the network is shown at once."""
_STEP = 72


def build_unet(contrasts):
    """3D U-Net for volumes of any size that is a multiple of 8 voxels.

    A contrast that a head lacks is 0 throughout; the network learned to do without.

    Parameters
    ----------
    contrasts : sequence of str
        Channels of the input.

    Returns
    -------
    keras.Model
        Shape (n, i, j, k, contrasts) in; its output ``tumour``, of shape (n, i, j, k, 1),
        is a probability. Under a million weights.

    References
    ----------
    Cicek et al., MICCAI 2016, doi:10.1007/978-3-319-46723-8_49
    """
    x = inputs = Input((None, None, None, len(contrasts)), name=input_name(contrasts))
    skips = []
    for depth, filters in enumerate(FILTERS):
        x = conv_block(x, filters, f"down_{depth}_1", strides=2 if depth else 1)
        x = conv_block(x, filters, f"down_{depth}_2")
        skips.append(x)
    for depth in range(len(FILTERS) - 2, -1, -1):
        x = layers.Conv3D(FILTERS[depth], 1, name=f"narrow_{depth}")(x)
        x = layers.Concatenate()([layers.UpSampling3D()(x), skips[depth]])
        x = conv_block(x, FILTERS[depth], f"up_{depth}")
    rare = keras.initializers.Constant(-4.0)  # one voxel in fifty, to begin with
    answer = layers.Conv3D(1, 1, activation="sigmoid", bias_initializer=rare, name="tumour")(x)
    return Model(inputs, {"tumour": answer}, name="tumour_unet")


def shipped_unet():
    """Network as it comes with the kit: it has seen simulated patients alone.

    Returns
    -------
    keras.Model
        A new one at each call, to be trained further or not.
    """
    model = build_unet(shipped_channels("tumour_unet"))
    with shipped_weights("tumour_unet") as path:
        model.load_weights(path)
    return model


def unet_channels(model):
    """Read the channels of a network; one that does not tell has those of the shipped one.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    tuple of str
    """
    return read_channels(model) or shipped_channels("tumour_unet")


def save_unet(model, path):
    """Save a network without its optimiser, whole or not at all."""
    with whole_file(path) as temporary:
        Model(model.input, model.output, name=model.name).save(temporary)


def load_unet(path=None):
    """Load a network to predict with.

    Parameters
    ----------
    path : path, default=None
        As :func:`epitome_kit.segment_cohort` or ``epitome segment --train``
        wrote it, ``.keras``; None means the shipped one. Read in Keras' safe
        mode: a file that would run code of its own is refused.

    Returns
    -------
    keras.Model
        Not to be trained further.

    Raises
    ------
    ParameterError
        The file is not such a network.
    """
    if path is None:
        return shipped_unet()
    path = Path(path)
    if path.suffix != ".keras" or not path.is_file():  # other formats know no safe mode
        raise _not_a_network(path, "no file `.keras`")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        shapes = model.input_shape, keras.tree.map_structure(lambda tensor: tensor.shape, model.output)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, BadZipFile) as error:
        raise _not_a_network(path, " ".join(str(error).split())[:160]) from error
    channels = unet_channels(model)
    if shapes != ((None,) * 4 + (len(channels),), {"tumour": (None,) * 4 + (1,)}):
        raise _not_a_network(path, f"a network from {shapes[0]} to {shapes[1]}")
    unknown = [name for name in channels if name not in CONTRASTS]
    if unknown:
        raise _not_a_network(path, f"a network for {either(unknown)}, which the kit does not know")
    return model


def _not_a_network(path, found):
    hint = "make one with `epitome segment COHORT --train WEIGHTS.keras`, or leave it out"
    return ParameterError("segment", "a network of `epitome segment`", f"{path} ({found})", hint)


def tumour_probability(model, scans):
    """Ask the network where the tumour is, of the scans as they are and mirrored.

    What is larger than :data:`WINDOW` is shown in overlapping windows, whose
    answers fade into each other.

    Parameters
    ----------
    model : keras.Model
    scans : ndarray of float32, shape (i, j, k, channels)
        Normalised, on a grid whose first axis runs from left to right.

    Returns
    -------
    ndarray of float32, shape (i, j, k)
        From 0 to 1; 0 where every contrast is 0, outside the brain.
    """
    padding = [(0, -n % MULTIPLE) for n in scans.shape[:3]]
    padded = np.pad(scans, [*padding, (0, 0)])
    total, weight = np.zeros((2, *padded.shape[:3]), np.float32)
    for corner in product(*(_starts(n) for n in padded.shape[:3])):
        box = tuple(slice(start, start + WINDOW) for start in corner)
        shown = padded[box]
        fade = _fade(shown.shape[:3])
        views = np.stack([shown, shown[::-1]])
        straight, mirrored = ops.convert_to_numpy(model(views, training=False)["tumour"])[..., 0]
        total[box] += fade * (straight + mirrored[::-1]) / 2
        weight[box] += fade
    i, j, k = scans.shape[:3]
    return (total / weight)[:i, :j, :k] * np.any(scans, axis=-1)


def _starts(n):
    """Where windows begin along an axis: the last one ends with it."""
    return [0] if n <= WINDOW else sorted({*range(0, n - WINDOW, _STEP), n - WINDOW})


def _fade(shape):
    """Weights that fall towards the sides of a window."""
    lines = [np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)).astype(np.float32) for n in shape]
    return np.einsum("i,j,k->ijk", *(np.minimum(line, (WINDOW - _STEP) / 2) for line in lines))
