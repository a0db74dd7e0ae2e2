"""A compact 3D network that finds the tumour and describes what it sees there."""

import math

from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from epitome_kit.backend import Model, keras, layers, ops
from epitome_kit.learn.channels import input_name
from epitome_kit.simulate.tumour import LATENTS

TRAITS = tuple(LATENTS)
"""What the network estimates of a tumour: the numbers that simulated ones are grown from."""

LEARNING_RATE = 1e-3
"""Learning rate of the first epoch of training."""

_PLACE = ("size", "lateral", "anterior", "superior")
_STATISTICS = ("mean", "spread", "peak", "trough", "rim")


def feature_names(contrasts):
    """Name the features, in the order in which the network gives them.

    Parameters
    ----------
    contrasts : sequence of str

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

    def call(self, values, weights):
        """Weighted mean over space; 0 where all weights are 0."""
        axes = (1, 2, 3)
        return ops.sum(values * weights, axes) / (ops.sum(weights, axes) + 1e-3)


@keras.saving.register_keras_serializable("epitome_kit")
class TumourStatistics(layers.Layer):
    """Measure what lies under a soft map of the tumour, and at its rim.

    Log of the size, distance from the midline, position along the two other
    axes; then mean, spread, peak, trough and rim of each contrast. Peak and
    trough are means that favour bright or dark voxels, so that a small bright
    (enhancing) or dark (necrotic) part counts; the rim is where the map fades.
    """

    def call(self, scans, tumour):
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


def core(tumour):
    """Weights of the sure tumour: the fourth power keeps a faint map of the whole brain from outweighing it."""
    return tumour**4


def rim(tumour):
    """Weights of where the map fades."""
    return tumour - core(tumour)


def _axes(shape):
    """Position along each axis, from -1 to 1, each of shape (1, i, j, k, 1)."""
    lines = [ops.linspace(-1.0, 1.0, n) for n in shape]
    return [ops.broadcast_to(axis, shape)[None, ..., None] for axis in ops.meshgrid(*lines, indexing="ij")]


def build_cnn(contrasts, shape):
    """Network with two answers: where the tumour is, and how likely the positive label.

    One part finds: convolutions that look at ever larger neighbourhoods, and
    learn from tumour masks, of which every subject gives thousands of voxels.
    The other describes: convolutions whose answer, averaged where the first
    part says tumour, estimates the tumour's :data:`TRAITS`. No cohort of
    patients has such numbers, so this part learns from simulated tumours alone
    (:func:`epitome_kit.learn.pretrained.start_from_simulation`) and is frozen.
    The label is a linear answer to traits and plain measurements, fitted apart
    from the rest (:func:`fit_label`).

    Parameters
    ----------
    contrasts : sequence of str
        Channels of the input.
    shape : tuple of 3 int
        Grid, multiples of 8.

    Returns
    -------
    keras.Model
        Outputs ``tumour`` (n, i/2, j/2, k/2, 1), ``label`` (n, 1) and
        ``features`` (n, p), named by :func:`feature_names`. Under one million
        weights.
    """
    inputs = layers.Input((*shape, len(contrasts)), name=input_name(contrasts))
    tumour = _find(inputs)
    # Labels teach the map nothing: a few dozen would be learned by heart, and the features of training
    # subjects would then look better than those of new ones.
    seen = ops.stop_gradient(tumour)
    measured = TumourStatistics(name="measure")(layers.AveragePooling3D(2)(inputs), seen)
    place = measured[:, : len(_PLACE)]
    features = layers.Concatenate(name="features")([_describe(inputs, seen, place), measured])
    label = layers.Dense(1, activation="sigmoid", kernel_initializer="zeros", name="label", trainable=False)(features)
    return Model(inputs, {"tumour": tumour, "label": label, "features": features}, name="epitome_cnn")


def fit_label(model, features, labels):
    """Fit the linear answer of the network: logistic regression, both classes counting the same.

    Parameters
    ----------
    model : keras.Model
        From :func:`build_cnn`.
    features : ndarray, shape (n, p)
        What it says of the training subjects.
    labels : array of 0 and 1, shape (n,)
    """
    scaler = StandardScaler().fit(features)
    answer = LogisticRegression(C=0.1, class_weight="balanced").fit(scaler.transform(features), labels)
    kernel = answer.coef_[0] / scaler.scale_
    model.get_layer("label").set_weights([kernel[:, None], answer.intercept_ - kernel @ scaler.mean_])


def _find(inputs):
    """Probability of tumour at half the resolution."""
    near = conv_block(conv_block(inputs, 16, "find_near_1", strides=2), 16, "find_near_2")
    middle = conv_block(conv_block(near, 32, "find_middle_1", strides=2), 32, "find_middle_2")
    far = conv_block(conv_block(middle, 64, "find_far_1", strides=2), 64, "find_far_2")
    context = conv_block(layers.Concatenate()([layers.UpSampling3D()(far), middle]), 32, "find_context")
    context = layers.UpSampling3D()(layers.Conv3D(16, 1, name="find_narrow")(context))
    joined = conv_block(layers.Concatenate()([context, near]), 16, "find_joined")
    rare = keras.initializers.Constant(-4.0)  # one voxel in fifty, to begin with
    return layers.Conv3D(1, 1, activation="sigmoid", bias_initializer=rare, name="tumour")(joined)


def _describe(inputs, tumour, place):
    """Estimated traits of the tumour, from what lies under its map, its size and place."""
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


def conv_block(x, filters, name, strides=1):
    """Add a convolution of 3 x 3 x 3 with batch normalisation and ReLU, named ``name`` and ``name_scale``."""
    x = layers.Conv3D(filters, 3, strides=strides, padding="same", use_bias=False, name=name)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9, name=f"{name}_scale")(x))


def masked_dice_bce(truth, predicted):
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


def cosine_decay(epochs):
    """Make a callback that lowers the learning rate from epoch to epoch, along a half cosine to nothing.

    Parameters
    ----------
    epochs : int
        Length of the decay.

    Returns
    -------
    keras.callbacks.LearningRateScheduler
        From :data:`LEARNING_RATE` on. Keras' own ``CosineDecay`` counts in
        float32, so that its rates differ in their last bit.
    """
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, _: LEARNING_RATE * (1 + math.cos(math.pi * epoch / epochs)) / 2
    )
