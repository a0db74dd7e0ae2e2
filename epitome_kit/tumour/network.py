"""A compact 3D U-Net that segments tumours from any available contrasts."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np

from epitome_kit.backend import Input, Model, keras, layers, load_model, ops
from epitome_kit.contrast_table import CONTRASTS, either
from epitome_kit.errors import ParameterError
from epitome_kit.files import PathLike, shipped_weights, whole_file
from epitome_kit.learn.channels import input_name, read_channels, shipped_channels
from epitome_kit.learn.cnn import conv_block

FILTERS = (12, 24, 48, 96)
MULTIPLE = 2 ** (len(FILTERS) - 1)
"""The number of voxels along each side of a volume is a multiple of this."""

WINDOW = 96
"""Maximum side of a window, in voxels, processed at once."""
_STEP = 72
_NETWORK = "a network of `epitome segment`"


def build_unet(contrasts: Sequence[str]) -> Model:
    """Build the 3D U-Net, for volumes with sides that are multiples of 8 voxels.

    A missing contrast is 0 everywhere; the network is trained with contrasts left out.

    Parameters
    ----------
    contrasts : sequence of str
        Channels of the input.

    Returns
    -------
    keras.Model
        Input of shape (n, i, j, k, contrasts); the output ``tumour``, of shape
        (n, i, j, k, 1), is a probability. Fewer than a million weights.

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
    rare = keras.initializers.Constant(-4.0)  # initial probability of 1 in 50
    output = layers.Conv3D(1, 1, activation="sigmoid", bias_initializer=rare, name="tumour")(x)
    return Model(inputs, {"tumour": output}, name="tumour_unet")


def shipped_unet() -> keras.Model:
    """Load the shipped network, trained on simulated patients only.

    Returns
    -------
    keras.Model
        A new model at each call, which may be trained further.
    """
    model = build_unet(shipped_channels("tumour_unet"))
    with shipped_weights("tumour_unet") as path:
        model.load_weights(path)
    return model


def unet_channels(model: keras.Model) -> tuple[str, ...]:
    """Read the channels of a network; those of the shipped network if none are stored.

    Parameters
    ----------
    model : keras.Model
        From :func:`load_unet`.

    Returns
    -------
    tuple of str
        Names of contrasts.
    """
    return read_channels(model) or shipped_channels("tumour_unet")


def save_unet(model: keras.Model, path: PathLike) -> None:
    """Save a network atomically, without its optimiser."""
    with whole_file(path) as temporary:
        Model(model.input, model.output, name=model.name).save(temporary)


def load_unet(path: PathLike | None = None) -> keras.Model:
    """Load a network for prediction.

    Parameters
    ----------
    path : path, default=None
        File ``.keras`` written by :func:`epitome_kit.segment_cohort` or ``epitome
        segment --train``; None for the shipped network. Read in the safe mode of
        Keras, which rejects files with executable code.

    Returns
    -------
    keras.Model
        For prediction only.

    Raises
    ------
    ParameterError
        The file is not such a network.
    """
    if path is None:
        return shipped_unet()
    path = Path(path)
    model = load_model(path, where="segment", expected=_NETWORK)
    try:
        shapes = model.input_shape, keras.tree.map_structure(lambda tensor: tensor.shape, model.output)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _not_a_network(path, " ".join(str(error).split())[:160]) from error
    channels = unet_channels(model)
    if shapes != ((None,) * 4 + (len(channels),), {"tumour": (None,) * 4 + (1,)}):
        raise _not_a_network(path, f"a network from {shapes[0]} to {shapes[1]}")
    unknown = [name for name in channels if name not in CONTRASTS]
    if unknown:
        raise _not_a_network(path, f"a network for {either(unknown)}, which the kit does not know")
    return model


def _not_a_network(path: Path, found: str) -> ParameterError:
    hint = "make one with `epitome segment COHORT --train WEIGHTS.keras`, or leave it out"
    return ParameterError("segment", _NETWORK, f"{path} ({found})", hint)


def tumour_probability(model: keras.Model, scans: np.ndarray) -> np.ndarray:
    """Predict the probability of tumour, averaged over the scans and their mirror image.

    Volumes larger than :data:`WINDOW` are processed in overlapping windows, whose
    predictions are blended.

    Parameters
    ----------
    model : keras.Model
        From :func:`load_unet`.
    scans : ndarray of float32, shape (i, j, k, channels)
        Normalised, on a grid whose first axis runs from left to right.

    Returns
    -------
    ndarray of float32, shape (i, j, k)
        From 0 to 1; 0 outside the brain, where every contrast is 0.
    """
    padding = [(0, -n % MULTIPLE) for n in scans.shape[:3]]
    padded = np.pad(scans, [*padding, (0, 0)])
    total, weight = np.zeros((2, *padded.shape[:3]), np.float32)
    for corner in product(*(_starts(n) for n in padded.shape[:3])):
        box = tuple(slice(start, start + WINDOW) for start in corner)
        window = padded[box]
        fade = _fade(window.shape[:3])
        views = np.stack([window, window[::-1]])
        straight, mirrored = ops.convert_to_numpy(model(views, training=False)["tumour"])[..., 0]
        total[box] += fade * (straight + mirrored[::-1]) / 2
        weight[box] += fade
    i, j, k = scans.shape[:3]
    return (total / weight)[:i, :j, :k] * np.any(scans, axis=-1)


def _starts(n: int) -> list[int]:
    """Return the first indices of the windows along an axis; the last window ends with it."""
    return [0] if n <= WINDOW else sorted({*range(0, n - WINDOW, _STEP), n - WINDOW})


def _fade(shape: Sequence[int]) -> np.ndarray:
    """Return weights that decrease towards the sides of a window."""
    lines = [np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)).astype(np.float32) for n in shape]
    return np.einsum("i,j,k->ijk", *(np.minimum(line, (WINDOW - _STEP) / 2) for line in lines))
