"""Which contrast each input channel of a network is: kept with its weights, never read from the table of contrasts.

A network that is saved whole has it in the name of its input; the shipped ones, of
which the weights alone are saved, have it in the ``.json`` beside them.
"""

from collections.abc import Iterable
from typing import Any

from epitome_kit.files import read_json, shipped_weights

_PREFIX = "channels"


def input_name(contrasts: Iterable[str]) -> str:
    """Name the input of a network by its channels.

    Parameters
    ----------
    contrasts : iterable of str

    Returns
    -------
    str
        Such as ``"channels_T1ce_T2w"``.
    """
    return "_".join([_PREFIX, *contrasts])


def read_channels(model: Any) -> tuple[str, ...]:
    """Read the channels of a network.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    tuple of str
        Empty where it does not tell: older versions did not record them.
    """
    prefix, *contrasts = model.inputs[0].name.split("_")
    return tuple(contrasts) if prefix == _PREFIX else ()


def shipped_channels(name: str) -> tuple[str, ...]:
    """Read the channels of a network that comes with the package.

    Parameters
    ----------
    name : {"epitome_cnn", "tumour_unet"}

    Returns
    -------
    tuple of str
    """
    with shipped_weights(name) as path:
        return tuple(read_json(path.with_name(f"{name}.json"))["channels"])
