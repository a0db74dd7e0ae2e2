"""A compact 3D network that finds the tumour and describes what it sees there."""

from epitome_kit.backend import Model, keras, layers, ops

_CHANNELS = 16


def feature_count(contrasts):
    """Count the features: mean, spread and peak of each channel and contrast, and size.

    Parameters
    ----------
    contrasts : int

    Returns
    -------
    int
    """
    return 3 * (_CHANNELS + contrasts) + 1


@keras.saving.register_keras_serializable("epitome_kit")
class DescribeWhere(layers.Layer):
    """Mean, spread and peak of each channel over a soft region, and its log size."""

    def call(self, channels, region):
        """Pool ``(n, i, j, k, c)`` over ``(n, i, j, k, 1)`` to ``(n, 3c + 1)``."""
        axes = (1, 2, 3)
        size = ops.sum(region, axes) + 1e-3
        mean = ops.sum(channels * region, axes) / size
        spread = ops.sum(region * (channels - mean[:, None, None, None]) ** 2, axes) / size
        bright = region * ops.exp(ops.clip(channels, -6, 6))
        peak = ops.sum(channels * bright, axes) / (ops.sum(bright, axes) + 1e-3)
        return ops.concatenate([mean, ops.sqrt(spread + 1e-6), peak, ops.log(size)], axis=-1)


def build_cnn(contrasts, shape):
    """Network with two answers: where the tumour is, and how likely the positive label.

    Convolutions look at ever larger neighbourhoods. They learn from the tumour
    masks alone, of which every subject gives thousands of voxels. Features are
    pooled where the map at half resolution says tumour, and the label is a
    linear answer to them.

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
        ``features`` (n, :func:`feature_count`). Under one million weights.
    """
    inputs = layers.Input((*shape, contrasts))
    near = _block(_block(inputs, _CHANNELS, strides=2), _CHANNELS)
    middle = _block(_block(near, 32, strides=2), 32)
    far = _block(_block(middle, 64, strides=2), 64)
    context = _block(layers.Concatenate()([layers.UpSampling3D()(far), middle]), 32)
    joined = layers.Concatenate()([layers.UpSampling3D()(layers.Conv3D(_CHANNELS, 1)(context)), near])
    rare = keras.initializers.Constant(-4.0)  # one voxel in fifty, to begin with
    tumour = layers.Conv3D(1, 1, activation="sigmoid", bias_initializer=rare, name="tumour")(_block(joined, _CHANNELS))
    seen = layers.Concatenate()([near, layers.AveragePooling3D(2)(inputs)])
    # No gradient of the label goes back: a few dozen labels would be learned by heart, and the features
    # of training subjects would then look better than those of new ones. The fourth power keeps the
    # faint map of the whole brain from outweighing the tumour.
    features = DescribeWhere(name="features")(ops.stop_gradient(seen), ops.stop_gradient(tumour) ** 4)
    steady = layers.Dropout(0.3)(layers.BatchNormalization(momentum=0.9)(features))
    label = layers.Dense(1, activation="sigmoid", kernel_regularizer=keras.regularizers.L2(0.01), name="label")(steady)
    return Model(inputs, {"tumour": tumour, "label": label, "features": features}, name="epitome_cnn")


def _block(x, filters, strides=1):
    x = layers.Conv3D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def known_loss(truth, predicted):
    """Cross-entropy plus Dice loss where the truth is known, one value a volume.

    Parameters
    ----------
    truth : tensor, shape (n, i, j, k, 2)
        Tumour, and whether it is known.
    predicted : tensor, shape (n, i / f, j / f, k / f, 1)
        Probability, at the same resolution or coarser by a whole factor f.

    Returns
    -------
    tensor, shape (n,)
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
