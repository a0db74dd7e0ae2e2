"""The weights that every cohort starts from, learned on simulated gliomas alone."""

from epitome_kit.backend import layers
from epitome_kit.files import shipped_weights
from epitome_kit.learn.channels import read_channels, shipped_channels
from epitome_kit.learn.cnn import build_cnn

_SEE_CONTRASTS = ("find_near_1", "describe_texture")


def start_from_simulation(model):
    """Give a network the shipped weights, and freeze the part that describes.

    The shipped network knows several contrasts and was trained with some of them
    left out, so leaving out their weights gives the network of fewer contrasts.

    Normalisation is frozen as well, at what it learned on simulation: batches
    of two subjects are too small to estimate it from.

    Parameters
    ----------
    model : keras.Model
        From :func:`epitome_kit.learn.cnn.build_cnn`, not compiled yet.
    """
    channels = shipped_channels("epitome_cnn")
    shipped = build_cnn(channels, model.input_shape[1:4])
    with shipped_weights("epitome_cnn") as path:
        shipped.load_weights(path)
    seen = [channels.index(name) for name in read_channels(model)]
    for layer in model.layers:
        if layer.name == "label" or not layer.weights:
            continue
        values = shipped.get_layer(layer.name).get_weights()
        if layer.name in _SEE_CONTRASTS:
            values[0] = values[0][:, :, :, seen]
        layer.set_weights(values)
        layer.trainable = not (layer.name.startswith("describe") or isinstance(layer, layers.BatchNormalization))
