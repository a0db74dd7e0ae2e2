"""The weights that every cohort starts from, learned on simulated gliomas alone."""

from epitome_kit.backend import layers
from epitome_kit.cohort import CONTRASTS
from epitome_kit.files import shipped_weights
from epitome_kit.learn.cnn import build_cnn

_SEE_CONTRASTS = ("find_near_1", "describe_texture")


def start_from_simulation(model, contrasts):
    """Give a network the shipped weights, and freeze the part that describes.

    The shipped network knows four contrasts and was trained with some of them
    left out, so leaving out their weights gives the network of fewer contrasts.

    Normalisation is frozen as well, at what it learned on simulation: batches
    of two subjects are too small to estimate it from.

    Parameters
    ----------
    model : keras.Model
        From :func:`epitome_kit.learn.cnn.build_cnn`, not compiled yet.
    contrasts : sequence out of {"T1w", "T1ce", "T2w", "FLAIR"}
        Channels of its input.
    """
    shipped = build_cnn(len(CONTRASTS), model.input_shape[1:4])
    with shipped_weights("epitome_cnn") as path:
        shipped.load_weights(path)
    seen = [list(CONTRASTS).index(name) for name in contrasts]
    for layer in model.layers:
        if layer.name == "label" or not layer.weights:
            continue
        values = shipped.get_layer(layer.name).get_weights()
        if layer.name in _SEE_CONTRASTS:
            values[0] = values[0][:, :, :, seen]
        layer.set_weights(values)
        layer.trainable = not (layer.name.startswith("describe") or isinstance(layer, layers.BatchNormalization))
