"""A compact 3D network that finds the tumour and describes what it sees there."""

import keras
from keras import Model, layers, ops

_CHANNELS = 16
FEATURES = 2 * _CHANNELS + 1
"""Mean and spread of 16 channels over the tumour, and the tumour's size."""


@keras.saving.register_keras_serializable("epitome_kit")
class DescribeWhere(layers.Layer):
    """Mean and spread of each channel over a soft region, and its log size."""

    def call(self, channels, region):
        """Pool ``(n, i, j, k, c)`` over ``(n, i, j, k, 1)`` to ``(n, 2c + 1)``."""
        axes = (1, 2, 3)
        size = ops.sum(region, axes) + 1e-3
        mean = ops.sum(channels * region, axes) / size
        spread = ops.sum(region * (channels - mean[:, None, None, None]) ** 2, axes) / size
        return ops.concatenate([mean, ops.sqrt(spread + 1e-6), ops.log(size)], axis=-1)


def build_cnn(contrasts, shape):
    """Network with two answers: where the tumour is, and how likely the positive label.

    Convolutions look at ever larger neighbourhoods. The tumour map at half
    resolution says where to look; features are pooled there, so that a few
    dozen subjects suffice to learn what matters inside.

    Parameters
    ----------
    contrasts : int
        Channels of the input.
    shape : tuple of 3 int
        Grid, multiples of 8.

    Returns
    -------
    keras.Model
        Outputs ``tumour`` (n, i/2, j/2, k/2, 1), ``label`` (n, 1) and
        ``features`` (n, 33). Under one million weights.
    """
    inputs = layers.Input((*shape, contrasts))
    near = _block(_block(inputs, _CHANNELS, strides=2), _CHANNELS)
    middle = _block(_block(near, 32, strides=2), 32)
    far = _block(_block(middle, 64, strides=2), 64)
    context = _block(layers.Concatenate()([layers.UpSampling3D()(far), middle]), 32)
    joined = layers.Concatenate()([layers.UpSampling3D()(layers.Conv3D(_CHANNELS, 1)(context)), near])
    tumour = layers.Conv3D(1, 1, activation="sigmoid", name="tumour")(_block(joined, _CHANNELS))
    features = DescribeWhere(name="features")(near, ops.stop_gradient(tumour))
    steady = layers.Dropout(0.3)(layers.BatchNormalization()(features))
    label = layers.Dense(1, activation="sigmoid", kernel_regularizer=keras.regularizers.L2(0.01), name="label")(steady)
    return Model(inputs, {"tumour": tumour, "label": label, "features": features}, name="epitome_cnn")


def _block(x, filters, strides=1):
    x = layers.Conv3D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def annotated_loss(truth, predicted):
    """Cross-entropy plus Dice loss where the tumour was annotated, one value a volume.

    Parameters
    ----------
    truth : tensor, shape (n, i, j, k, 2)
        Tumour, and whether anyone looked.
    predicted : tensor, shape (n, i / f, j / f, k / f, 1)
        Probability, at the same resolution or coarser by a whole factor f.

    Returns
    -------
    tensor, shape (n,)
    """
    factor = truth.shape[1] // predicted.shape[1]
    if factor > 1:
        truth = ops.average_pool(truth, factor, factor)
    tumour, looked = truth[..., :1], truth[..., 1:]
    axes = (1, 2, 3, 4)
    predicted = ops.clip(predicted, 1e-5, 1 - 1e-5)
    entropy = -(tumour * ops.log(predicted) + (1 - tumour) * ops.log(1 - predicted))
    entropy = ops.sum(entropy * looked, axes) / (ops.sum(looked, axes) + 1)
    overlap = ops.sum(tumour * predicted * looked, axes)
    dice = (2 * overlap + 1) / (ops.sum((tumour + predicted) * looked, axes) + 1)
    return entropy + 1 - dice
