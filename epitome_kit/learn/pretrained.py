"""Initialise the CNN with the shipped weights, which were trained on simulated gliomas alone."""

from epitome_kit.backend import Model, layers
from epitome_kit.files import shipped_weights
from epitome_kit.learn.channels import read_channels, shipped_channels
from epitome_kit.learn.cnn import build_cnn

_FIRST_LAYERS = ("find_near_1", "describe_texture")


def start_from_simulation(model: Model) -> None:
    """Load the shipped weights into a network, and freeze the part that describes the tumour.

    The shipped network has several contrasts and was trained with random subsets of
    them, so for a network of fewer contrasts the weights of the others are dropped.

    Batch normalisation is frozen as well, with the statistics of the simulation:
    batches of two subjects are too small to estimate them.

    Parameters
    ----------
    model : keras.Model
        From :func:`epitome_kit.learn.cnn.build_cnn`, not compiled yet.
    """
    channels = shipped_channels("epitome_cnn")
    shipped = build_cnn(channels, model.input_shape[1:4])
    with shipped_weights("epitome_cnn") as path:
        shipped.load_weights(path)
    used = [channels.index(name) for name in read_channels(model)]
    for layer in model.layers:
        if layer.name == "label" or not layer.weights:
            continue
        values = shipped.get_layer(layer.name).get_weights()
        if layer.name in _FIRST_LAYERS:
            values[0] = values[0][:, :, :, used]
        layer.set_weights(values)
        layer.trainable = not (layer.name.startswith("describe") or isinstance(layer, layers.BatchNormalization))
