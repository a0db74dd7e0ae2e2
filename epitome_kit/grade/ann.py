"""The network of the grader: an ensemble of random-feature networks, trained together and averaged."""

import numpy as np
from sklearn.impute import SimpleImputer

from epitome_kit.backend import Model, keras, layers, ops
from epitome_kit.files import Json

_LENGTH_SCALES = (0.3, 1.0)
_CLIP_SD = 5.0


@keras.saving.register_keras_serializable("epitome_kit")
class Standardise(layers.Layer):
    """Impute missing values, and scale every feature to mean 0 and standard deviation 1.

    Missing values become the median. Scaled values are clipped at five standard
    deviations and divided by the square root of the number of features, so that
    distances between subjects do not depend on it.
    """

    median: keras.Variable
    mean: keras.Variable
    spread: keras.Variable

    def build(self, shape: tuple[int, ...]) -> None:
        """Create the weights that :meth:`adapt` sets, for input of shape (n, p)."""
        for name in ("median", "mean", "spread"):
            setattr(self, name, self.add_weight(shape=shape[1:], trainable=False, name=name))

    def adapt(self, features: np.ndarray) -> None:
        """Set median, mean and spread from training subjects, ndarray of shape (n, p)."""
        imputer = SimpleImputer(strategy="median", keep_empty_features=True).fit(features)
        filled, median = imputer.transform(features), imputer.transform(np.full((1, features.shape[1]), np.nan))[0]
        for weight, value in zip(self.weights, (median, filled.mean(0), filled.std(0) + 1e-9), strict=True):
            weight.assign(value.astype(np.float32))

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Map (n, p) to (n, p)."""
        filled = ops.where(ops.isnan(x), ops.convert_to_tensor(self.median), x)
        scaled = ops.clip((filled - self.mean) / self.spread, -_CLIP_SD, _CLIP_SD)
        return scaled / float(np.sqrt(x.shape[-1]))


@keras.saving.register_keras_serializable("epitome_kit")
class RandomFourierFeatures(layers.Layer):
    """Random Fourier features: hidden units with fixed random weights and a cosine as activation.

    A linear model of them approximates a kernel machine with a Gaussian kernel. The
    length scale of the kernel differs between units, so that smooth and detailed
    decision boundaries can be fitted.

    Parameters
    ----------
    members, units : int
        Ensemble size, and units of each member.
    seed : int, default=0
        Seed of the weights.

    References
    ----------
    Rahimi and Recht, NeurIPS 2007, doi:10.5555/2981562.2981710
    """

    def __init__(self, members: int, units: int, seed: int = 0, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.members, self.units, self.seed = members, units, seed

    def build(self, shape: tuple[int, ...]) -> None:
        """Draw the weights for input of shape (n, p)."""
        rng = np.random.default_rng(np.random.RandomState(self.seed).randint(2**31))
        low, high = np.log(_LENGTH_SCALES)
        scale = np.exp(rng.uniform(low, high, (self.members, 1, self.units)))
        directions = rng.standard_normal((self.members, shape[-1], self.units)) * np.sqrt(2 * scale)
        shifts = rng.uniform(0, 2 * np.pi, (self.members, self.units))
        self.directions = self.add_weight(shape=directions.shape, trainable=False, name="directions")
        self.shifts = self.add_weight(shape=shifts.shape, trainable=False, name="shifts")
        self.directions.assign(directions)
        self.shifts.assign(shifts)

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Map (n, p) to (n, members, units)."""
        return float(np.sqrt(2 / self.units)) * ops.cos(ops.einsum("np,mpu->nmu", x, self.directions) + self.shifts)

    def get_config(self) -> Json:
        """Return the arguments, so that a saved model can be loaded in safe mode."""
        return {**super().get_config(), "members": self.members, "units": self.units, "seed": self.seed}


@keras.saving.register_keras_serializable("epitome_kit")
class EnsembleDense(layers.Layer):
    """A dense layer with one output for each member of the ensemble: (n, members, units) to (n, members).

    Parameters
    ----------
    decay : float, default=0.0
        L2 penalty on the weights.
    """

    def __init__(self, decay: float = 0.0, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.decay = decay

    def build(self, shape: tuple[int, ...]) -> None:
        """Create weights, all 0, for input of shape (n, members, units)."""
        decay = keras.regularizers.L2(self.decay)
        self.kernel = self.add_weight(shape=shape[1:], initializer="zeros", regularizer=decay, name="kernel")
        self.bias = self.add_weight(shape=shape[1:2], initializer="zeros", name="bias")

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Return the sigmoid of the weighted sum of the units of each member."""
        return ops.sigmoid(ops.sum(x * self.kernel, axis=-1) + self.bias)

    def get_config(self) -> Json:
        """Return the arguments, so that a saved model can be loaded in safe mode."""
        return {**super().get_config(), "decay": self.decay}


def build_ann(features: int, *, members: int = 5, units: int = 256, decay: float = 0.002, seed: int = 0) -> Model:
    """Build the ensemble.

    Each member is a random-feature network: a hidden layer of
    :class:`RandomFourierFeatures`, whose random weights are fixed, and a trained output
    layer, so it is approximately a logistic regression with a Gaussian kernel. For a
    network all of whose weights are trained, see
    :class:`epitome_kit.grade.baselines.BalancedPerceptron`.

    Parameters
    ----------
    features : int
        Number of inputs, which are scaled by :class:`Standardise`.
    members : int, default=5
        Number of networks; they differ in their random weights.
    units : int, default=256
        Hidden units of each network.
    decay : float, default=0.002
        L2 penalty on the trained weights of each member, relative to its mean loss.
    seed : int, default=0
        Seed of the random weights.

    Returns
    -------
    keras.Model
        Maps (n, features) to probabilities (n, members).

    References
    ----------
    Rahimi and Recht, NeurIPS 2007, doi:10.5555/2981562.2981710
    """
    inputs = layers.Input((features,))
    # Keras takes the mean of the losses of the members, but the sum of their penalties.
    hidden = RandomFourierFeatures(members, units, seed, name="waves")(inputs)
    return Model(inputs, EnsembleDense(decay / members, name="answers")(hidden))
