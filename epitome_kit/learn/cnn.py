"""A compact 3D network that finds the tumour and describes what it sees there."""

from epitome_kit.backend import Model, keras, layers, ops

_CHANNELS = 16


def feature_count(contrasts):
    """Count the features that :class:`DescribeWhere` gives.

    Parameters
    ----------
    contrasts : int

    Returns
    -------
    int
    """
    return _CHANNELS + 5 * contrasts + 1


@keras.saving.register_keras_serializable("epitome_kit")
class DescribeWhere(layers.Layer):
    """Describe what lies under a soft map of the tumour, and at its rim.

    Features, in this order: the mean of each learned channel over the tumour;
    mean, spread, peak, trough and rim of each contrast; log size. Peak and
    trough are means that favour bright or dark voxels, so that a small bright
    (enhancing) or dark (necrotic) part counts; the rim is where the map fades.
    """

    def call(self, channels, scans, tumour):
        """Pool ``(n, i, j, k, c)`` and ``(n, i, j, k, s)`` to ``(n, c + 5s + 1)``."""
        # The fourth power keeps the faint map of the whole brain from outweighing the tumour.
        inside = tumour**4
        bright = inside * ops.exp(ops.clip(2 * scans, -8, 8))
        dark = inside * ops.exp(ops.clip(-2 * scans, -8, 8))
        mean = _average(scans, inside)
        spread = ops.sqrt(_average((scans - mean[:, None, None, None]) ** 2, inside) + 1e-6)
        parts = [mean, spread, *(_average(scans, weights) for weights in (bright, dark, tumour - inside))]
        size = ops.log(ops.sum(inside, (1, 2, 3)) + 1e-3)
        return ops.concatenate([_average(channels, inside), *parts, size], axis=-1)


def _average(values, weights):
    axes = (1, 2, 3)
    return ops.sum(values * weights, axes) / (ops.sum(weights, axes) + 1e-3)


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
    # No gradient of the label goes back: a few dozen labels would be learned by heart, and the features
    # of training subjects would then look better than those of new ones.
    parts = (ops.stop_gradient(near), layers.AveragePooling3D(2)(inputs), ops.stop_gradient(tumour))
    features = DescribeWhere(name="features")(*parts)
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
