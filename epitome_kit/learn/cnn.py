"""A compact 3-D network that segments the tumour and describes it."""

import math
from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from epitome_kit.backend import Model, keras, layers, ops
from epitome_kit.learn.channels import input_name
from epitome_kit.simulate.latents import LATENTS

TRAITS = tuple(LATENTS)
"""Traits of a tumour that the network estimates: the parameters of simulated tumours."""

LEARNING_RATE = 1e-3
"""Learning rate of the first epoch of training."""

_PLACE = ("size", "lateral", "anterior", "superior")
_STATISTICS = ("mean", "spread", "peak", "trough", "rim")


def feature_names(contrasts: Sequence[str]) -> list[str]:
    """List the names of the features, in the order of the output of the network.

    Parameters
    ----------
    contrasts : sequence of str
        Channels of the network.

    Returns
    -------
    list of str
        Traits, size, position, then five statistics of each contrast.
    """
    measured = [f"{contrast}_{statistic}" for statistic in _STATISTICS for contrast in contrasts]
    return [*TRAITS, *_PLACE, *measured]


@keras.saving.register_keras_serializable("epitome_kit")
class MaskedAverage(layers.Layer):
    """Average volumes under a soft map: (n, i, j, k, c) and (n, i, j, k, 1) to (n, c)."""

    def call(self, values: keras.KerasTensor, weights: keras.KerasTensor) -> keras.KerasTensor:
        """Return the weighted mean over space; 0 where all weights are 0."""
        axes = (1, 2, 3)
        return ops.sum(values * weights, axes) / (ops.sum(weights, axes) + 1e-3)


@keras.saving.register_keras_serializable("epitome_kit")
class TumourStatistics(layers.Layer):
    """Measure the scans inside and at the rim of a soft map of the tumour.

    Log of the size, distance from the midline, position along the two other
    axes; then mean, spread, peak, trough and rim of each contrast. Peak and
    trough are means weighted towards bright or dark voxels, so that a small bright
    (enhancing) or dark (necrotic) part counts; the rim is where the map fades.
    """

    def call(self, scans: keras.KerasTensor, tumour: keras.KerasTensor) -> keras.KerasTensor:
        """Map (n, i, j, k, s) and (n, i, j, k, 1) to (n, 4 + 5s)."""
        average, inside = MaskedAverage(), core(tumour)
        bright = inside * ops.exp(ops.clip(2 * scans, -8, 8))
        dark = inside * ops.exp(ops.clip(-2 * scans, -8, 8))
        mean = average(scans, inside)
        spread = ops.sqrt(average((scans - mean[:, None, None, None]) ** 2, inside) + 1e-6)
        statistics = [mean, spread, *(average(scans, weights) for weights in (bright, dark, rim(tumour)))]
        size = ops.log(ops.mean(inside, (1, 2, 3)) + 1e-5)
        x, y, z = (average(axis, inside) for axis in _axes(tumour.shape[1:4]))
        return ops.concatenate([size, ops.abs(x), y, z, *statistics], axis=-1)


def core(tumour: keras.KerasTensor) -> keras.KerasTensor:
    """Return weights of the certain tumour; the fourth power suppresses low probabilities all over the brain."""
    return tumour**4


def rim(tumour: keras.KerasTensor) -> keras.KerasTensor:
    """Return weights of the region where the map fades."""
    return tumour - core(tumour)


def _axes(shape: Sequence[int]) -> list[keras.KerasTensor]:
    """Return the position along each axis, from -1 to 1, each of shape (1, i, j, k, 1)."""
    lines = [ops.linspace(-1.0, 1.0, n) for n in shape]
    return [ops.broadcast_to(axis, shape)[None, ..., None] for axis in ops.meshgrid(*lines, indexing="ij")]


def build_cnn(contrasts: Sequence[str], shape: Sequence[int]) -> Model:
    """Build the network with two outputs: a map of the tumour and the probability of the positive label.

    The first part segments: convolutions with growing receptive fields, trained on
    tumour masks, of which every subject has thousands of voxels. The second part
    describes: convolutions whose output, averaged under the map of the first part,
    estimates the :data:`TRAITS` of the tumour. No cohort of patients has such
    numbers, so this part is trained on simulated tumours alone
    (:func:`epitome_kit.learn.pretrained.start_from_simulation`) and frozen. The
    label is a linear function of traits and direct measurements, fitted separately
    (:func:`fit_label`).

    Parameters
    ----------
    contrasts : sequence of str
        Channels of the input.
    shape : tuple of 3 int
        Size of the grid, multiples of 8.

    Returns
    -------
    keras.Model
        Outputs ``tumour`` (n, i/2, j/2, k/2, 1), ``label`` (n, 1) and
        ``features`` (n, p), named by :func:`feature_names`. It has fewer than one
        million weights.
    """
    inputs = layers.Input((*shape, len(contrasts)), name=input_name(contrasts))
    tumour = _find(inputs)
    # The map is not trained on labels: with a few dozen it would overfit, and the features of training
    # subjects would then look better than those of new ones.
    seen = ops.stop_gradient(tumour)
    measured = TumourStatistics(name="measure")(layers.AveragePooling3D(2)(inputs), seen)
    place = measured[:, : len(_PLACE)]
    features = layers.Concatenate(name="features")([_describe(inputs, seen, place), measured])
    label = layers.Dense(1, activation="sigmoid", kernel_initializer="zeros", name="label", trainable=False)(features)
    return Model(inputs, {"tumour": tumour, "label": label, "features": features}, name="epitome_cnn")


def fit_label(model: Model, features: np.ndarray, labels: np.ndarray) -> None:
    """Fit the linear layer of the label by logistic regression with balanced class weights.

    Parameters
    ----------
    model : keras.Model
        From :func:`build_cnn`; its layer ``label`` is set.
    features : ndarray, shape (n, p)
        Its features of the training subjects.
    labels : array of 0 and 1, shape (n,)
        Classes of the training subjects.
    """
    scaler = StandardScaler().fit(features)
    classifier = LogisticRegression(C=0.1, class_weight="balanced").fit(scaler.transform(features), labels)
    kernel = classifier.coef_[0] / scaler.scale_
    model.get_layer("label").set_weights([kernel[:, None], classifier.intercept_ - kernel @ scaler.mean_])


def _find(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """Return the probability of tumour at half the resolution."""
    near = conv_block(conv_block(inputs, 16, "find_near_1", strides=2), 16, "find_near_2")
    middle = conv_block(conv_block(near, 32, "find_middle_1", strides=2), 32, "find_middle_2")
    far = conv_block(conv_block(middle, 64, "find_far_1", strides=2), 64, "find_far_2")
    context = conv_block(layers.Concatenate()([layers.UpSampling3D()(far), middle]), 32, "find_context")
    context = layers.UpSampling3D()(layers.Conv3D(16, 1, name="find_narrow")(context))
    joined = conv_block(layers.Concatenate()([context, near]), 16, "find_joined")
    rare = keras.initializers.Constant(-4.0)  # initially one voxel in fifty
    return layers.Conv3D(1, 1, activation="sigmoid", bias_initializer=rare, name="tumour")(joined)


def _describe(inputs: keras.KerasTensor, tumour: keras.KerasTensor, place: keras.KerasTensor) -> keras.KerasTensor:
    """Estimate the traits of the tumour from the scans under its map, its size and position."""
    texture = conv_block(inputs, 24, "describe_texture", strides=2)
    near = conv_block(layers.Concatenate()([texture, tumour]), 32, "describe_near")
    far = conv_block(near, 48, "describe_far", strides=2)
    coarse = layers.AveragePooling3D(2)(tumour)
    views = [(near, core(tumour)), (near, rim(tumour)), (far, core(coarse)), (far, rim(coarse))]
    pooled = layers.Concatenate()([place, *(MaskedAverage()(*view) for view in views)])
    hidden = layers.Dense(64, activation="relu", name="describe_hidden")(
        layers.BatchNormalization(momentum=0.9, name="describe_scale")(pooled)
    )
    return layers.Dense(len(TRAITS), name="describe_traits")(layers.Dropout(0.2)(hidden))


def conv_block(x: keras.KerasTensor, filters: int, name: str, strides: int = 1) -> keras.KerasTensor:
    """Add a convolution of 3 x 3 x 3 with batch normalisation and ReLU, named ``name`` and ``name_scale``."""
    x = layers.Conv3D(filters, 3, strides=strides, padding="same", use_bias=False, name=name)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9, name=f"{name}_scale")(x))


def masked_dice_bce(truth: keras.KerasTensor, predicted: keras.KerasTensor) -> keras.KerasTensor:
    """Compute cross-entropy plus Dice loss where the truth is known, one value per volume.

    Parameters
    ----------
    truth : tensor, shape (n, i, j, k, 2)
        Tumour mask, and 1 where it is known.
    predicted : tensor, shape (n, i / f, j / f, k / f, 1)
        Probability, at the same resolution or coarser by an integer factor f.

    Returns
    -------
    tensor, shape (n,)
        Loss of each volume.
    """
    factor = truth.shape[1] // predicted.shape[1]
    if factor > 1:
        truth = ops.average_pool(truth, factor, factor)
    tumour, known = truth[..., :1], truth[..., 1:]
    axes = (1, 2, 3, 4)
    predicted = ops.clip(predicted, 1e-5, 1 - 1e-5)
    entropy = -(tumour * ops.log(predicted) + (1 - tumour) * ops.log(1 - predicted))
    entropy = ops.sum(entropy * known, axes) / (ops.sum(known, axes) + 1)
    overlap = ops.sum(tumour * predicted * known, axes)
    dice = (2 * overlap + 1) / (ops.sum((tumour + predicted) * known, axes) + 1)
    return entropy + 1 - dice


def cosine_decay(epochs: int) -> keras.callbacks.LearningRateScheduler:
    """Make a callback that lowers the learning rate per epoch along a half cosine to 0.

    Parameters
    ----------
    epochs : int
        Length of the decay.

    Returns
    -------
    keras.callbacks.LearningRateScheduler
        Starts at :data:`LEARNING_RATE`. The ``CosineDecay`` of Keras computes in
        float32, so that its rates differ in the last bit.
    """
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, _: LEARNING_RATE * (1 + math.cos(math.pi * epoch / epochs)) / 2
    )
