"""The grader: an ensemble of small neural networks that are trained together and averaged."""

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from sklearn.impute import SimpleImputer

from epitome_kit.backend import Model, keras, layers, ops
from epitome_kit.files import Json, PathLike
from epitome_kit.learn.model_state import reset_model, snapshot

_LENGTH_SCALES = (0.3, 1.0)
_C = 2.0
_LEARNING_RATE = 0.1
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

    Each member has a hidden layer of :class:`RandomFourierFeatures`, whose random
    weights are fixed, and a trained output layer. Training the hidden layer as well
    overfits to a few dozen subjects.

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
    """
    inputs = layers.Input((features,))
    # Keras takes the mean of the losses of the members, but the sum of their penalties.
    hidden = RandomFourierFeatures(members, units, seed, name="waves")(inputs)
    return Model(inputs, EnsembleDense(decay / members, name="answers")(hidden))


class Grader:
    """An ensemble for a maximum number of features and subjects, reset at every call of :meth:`fit`.

    Parameters
    ----------
    features : int
        Maximum number of features.
    subjects : int
        Maximum number of training subjects.
    epochs : int, default=30
        Number of steps, each on all subjects.
    balanced : bool, default=True
        Whether both classes have the same total weight.
    seed : int, default=0
        Seed of the random weights.
    """

    def __init__(self, features: int, subjects: int, *, epochs: int = 30, balanced: bool = True, seed: int = 0) -> None:
        self.subjects, self.epochs, self.balanced = subjects, epochs, balanced
        self.model = build_ann(features, decay=1 / (2 * _C * subjects), seed=seed)
        # One call for all steps if the backend supports it: a call takes longer than a step.
        steps = 1 if keras.config.backend() == "torch" else epochs
        self.model.compile(keras.optimizers.Adam(_LEARNING_RATE), "binary_crossentropy", steps_per_execution=steps)
        self._state = snapshot(self.model)

    def fit(self, features: np.ndarray, labels: np.ndarray) -> Self:
        """Fit scaling and weights to training subjects.

        Parameters
        ----------
        features : ndarray, shape (n, p)
            Numbers; NaN where missing.
        labels : array of 0 and 1, shape (n,)
            Classes.

        Returns
        -------
        Grader
            The fitted grader itself.
        """
        features, labels = np.asarray(features, np.float32), np.asarray(labels, np.float32)
        self._scaler = Standardise()
        self._scaler.build(features.shape)
        self._scaler.adapt(features)
        reset_model(self.model, self._state)
        share = labels.mean()
        weights = np.where(labels == 1, 0.5 / share, 0.5 / (1 - share)) if self.balanced else np.ones(len(labels))
        targets = np.repeat(labels[:, None], self.model.output_shape[-1], axis=1)
        # Padded with rows of weight 0, so that one compiled step serves training sets of every size.
        rows = [self._padded(part) for part in (self._scaled(features), targets, weights)]
        scaled, targets, weights = (np.concatenate([part] * self.epochs) for part in rows)
        self.model.fit(scaled, targets, sample_weight=weights, batch_size=self.subjects, shuffle=False, verbose=0)
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Predict the probability of the positive label, averaged over the ensemble, shape (n,)."""
        outputs = self.model(self._scaled(np.asarray(features, np.float32)), training=False)
        return ops.convert_to_numpy(outputs).mean(axis=1)

    def symbolic_output(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Map raw features, symbolic (n, p), to the probability (n, 1), for :func:`join`."""
        missing = self.model.input_shape[-1] - features.shape[-1]
        outputs = self.model(ops.pad(self._scaler(features), ((0, 0), (0, missing))))
        return ops.mean(outputs, axis=1, keepdims=True)

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        """Scale as for the training subjects, and pad with zeros."""
        scaled = ops.convert_to_numpy(self._scaler(features))
        return np.pad(scaled, ((0, 0), (0, self.model.input_shape[-1] - scaled.shape[1])))

    def _padded(self, part: np.ndarray) -> np.ndarray:
        return np.pad(part, ((0, self.subjects - len(part)), *[(0, 0)] * (part.ndim - 1))).astype(np.float32)


def join(graders: Sequence[Grader], places: Sequence[np.ndarray], features: int) -> Model:
    """Join trained graders into one network that includes imputation and scaling.

    Parameters
    ----------
    graders : list of Grader
        Fitted graders.
    places : list of ndarray of int
        Indices of the inputs of each grader.
    features : int
        Total number of inputs.

    Returns
    -------
    keras.Model
        Maps raw features (n, features) to the mean of the graders (n, 1).
    """
    inputs = layers.Input((features,))
    outputs = [
        grader.symbolic_output(ops.take(inputs, columns, axis=1))
        for grader, columns in zip(graders, places, strict=True)
    ]
    return Model(inputs, sum(outputs) / len(outputs), name="epitome_grader")


def load_grader(path: PathLike) -> Callable[[Sequence[float]], float]:
    """Load the network of a workspace, see :func:`join`.

    Parameters
    ----------
    path : path
        ``ann.keras`` of a workspace.

    Returns
    -------
    callable
        Maps the raw features of one subject, in the order of ``ann.json``, to the
        uncalibrated probability of the positive class.
    """
    model = keras.saving.load_model(path, compile=False)
    return lambda values: float(model.predict(np.asarray([values], np.float32), verbose=0)[0, 0])
