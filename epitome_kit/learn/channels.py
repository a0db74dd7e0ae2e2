"""Contrasts of the input channels of a network, which are kept with its weights and not read from a table.

A whole saved network has them in the name of its input; the shipped weights have
them in a ``.json`` of the same name.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from epitome_kit.files import read_json, shipped_weights

if TYPE_CHECKING:
    from epitome_kit.backend import Model

_PREFIX = "channels"


def input_name(contrasts: Iterable[str]) -> str:
    """Name the input of a network by its channels.

    Parameters
    ----------
    contrasts : iterable of str
        Contrasts of the channels, in order.

    Returns
    -------
    str
        Name such as ``"channels_T1ce_T2w"``.
    """
    return "_".join([_PREFIX, *contrasts])


def read_channels(model: "Model") -> tuple[str, ...]:
    """Read the channels of a network.

    Parameters
    ----------
    model : keras.Model
        Network that was built with :func:`input_name`.

    Returns
    -------
    tuple of str
        Contrasts; empty for networks of older versions, which did not record them.
    """
    prefix, *contrasts = model.inputs[0].name.split("_")
    return tuple(contrasts) if prefix == _PREFIX else ()


def shipped_channels(name: str) -> tuple[str, ...]:
    """Read the channels of a network that comes with the package.

    Parameters
    ----------
    name : {"epitome_cnn", "tumour_unet"}
        Name of the weights.

    Returns
    -------
    tuple of str
        Contrasts, in the order of the channels.
    """
    with shipped_weights(name) as path:
        return tuple(read_json(path.with_name(f"{name}.json"))["channels"])
