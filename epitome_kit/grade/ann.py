"""The grader: small neural networks trained side by side, and averaged."""

import numpy as np
from sklearn.impute import SimpleImputer

from epitome_kit.backend import Model, keras, layers, ops
from epitome_kit.learn.model_state import reset_model, snapshot

_LENGTH_SCALES = (0.3, 1.0)
_C = 2.0
_LEARNING_RATE = 0.1
_CLIP_SD = 5.0


@keras.saving.register_keras_serializable("epitome_kit")
class Standardise(layers.Layer):
    """Fill in what is missing, and bring every feature to mean 0 and standard deviation 1.

    Missing values become the median. What lies further than five standard
    deviations away is moved there. All is divided by the square root of the
    number of features, so that distances between subjects do not depend on it.
    """

    def build(self, shape):
        """Make room for what :meth:`learn` finds, for input of shape (n, p)."""
        for name in ("median", "mean", "spread"):
            setattr(self, name, self.add_weight(shape=shape[1:], trainable=False, name=name))

    def learn(self, features):
        """Take median, mean and spread from training subjects, ndarray of shape (n, p)."""
        filling = SimpleImputer(strategy="median", keep_empty_features=True).fit(features)
        filled, median = filling.transform(features), filling.transform(np.full((1, features.shape[1]), np.nan))[0]
        for weight, value in zip(self.weights, (median, filled.mean(0), filled.std(0) + 1e-9), strict=True):
            weight.assign(value.astype(np.float32))

    def call(self, x):
        """Map (n, p) to (n, p)."""
        filled = ops.where(ops.isnan(x), ops.convert_to_tensor(self.median), x)
        scaled = ops.clip((filled - self.mean) / self.spread, -_CLIP_SD, _CLIP_SD)
        return scaled / float(np.sqrt(x.shape[-1]))


@keras.saving.register_keras_serializable("epitome_kit")
class RandomFourierFeatures(layers.Layer):
    """Hidden units whose answer is a wave across the space of features, drawn at random and kept.

    Two subjects get like answers where they lie near each other, in the way of a
    Gaussian kernel; the units' reach differs, so that both a straight border and
    a winding one can be learned from them.

    Parameters
    ----------
    members, units : int
        Ensemble size, and units of each member.

    References
    ----------
    Rahimi and Recht, NeurIPS 2007, doi:10.5555/2981562.2981710
    """

    def __init__(self, members, units, **kwargs):
        super().__init__(**kwargs)
        self.members, self.units = members, units

    def build(self, shape):
        """Draw the waves for input of shape (n, p)."""
        drawn = np.random.default_rng(np.random.randint(2**31))  # keras.utils.set_random_seed decides
        reach = np.exp(drawn.uniform(*np.log(_LENGTH_SCALES), (self.members, 1, self.units)))
        directions = drawn.standard_normal((self.members, shape[-1], self.units)) * np.sqrt(2 * reach)
        shifts = drawn.uniform(0, 2 * np.pi, (self.members, self.units))
        self.directions = self.add_weight(shape=directions.shape, trainable=False, name="directions")
        self.shifts = self.add_weight(shape=shifts.shape, trainable=False, name="shifts")
        self.directions.assign(directions)
        self.shifts.assign(shifts)

    def call(self, x):
        """Map (n, p) to (n, members, units)."""
        return float(np.sqrt(2 / self.units)) * ops.cos(ops.einsum("np,mpu->nmu", x, self.directions) + self.shifts)

    def get_config(self):
        """Arguments, so that a saved model can be loaded in safe mode."""
        return {**super().get_config(), "members": self.members, "units": self.units}


@keras.saving.register_keras_serializable("epitome_kit")
class EnsembleDense(layers.Layer):
    """One answer of each member, from weights of its own: (n, members, units) to (n, members).

    Parameters
    ----------
    decay : float, default=0.0
        L2 penalty on the weights.
    """

    def __init__(self, decay=0.0, **kwargs):
        super().__init__(**kwargs)
        self.decay = decay

    def build(self, shape):
        """Make weights, all 0, for input of shape (n, members, units)."""
        decay = keras.regularizers.L2(self.decay)
        self.kernel = self.add_weight(shape=shape[1:], initializer="zeros", regularizer=decay, name="kernel")
        self.bias = self.add_weight(shape=shape[1:2], initializer="zeros", name="bias")

    def call(self, x):
        """Weigh the units of each member and squash the sum."""
        return ops.sigmoid(ops.sum(x * self.kernel, axis=-1) + self.bias)

    def get_config(self):
        """Arguments, so that a saved model can be loaded in safe mode."""
        return {**super().get_config(), "decay": self.decay}


def build_ann(features, *, members=5, units=256, decay=0.002):
    """Build the ensemble.

    Each member has a hidden layer of :class:`RandomFourierFeatures`, whose weights are random
    and stay so, and learns how to weigh them. To train the hidden layer as
    well learns a few dozen subjects by heart.

    Parameters
    ----------
    features : int
        Inputs, as :class:`Standardise` gives them.
    members : int, default=5
        Networks; they differ in their random weights.
    units : int, default=256
        Hidden units of each.
    decay : float, default=0.002
        L2 penalty on what each member learns, beside its mean loss.

    Returns
    -------
    keras.Model
        Shape (n, features) in, (n, members) probabilities out.
    """
    inputs = layers.Input((features,))
    # Keras takes the mean of the losses of the members, but the sum of their penalties.
    answers = EnsembleDense(decay / members, name="answers")(
        RandomFourierFeatures(members, units, name="waves")(inputs)
    )
    return Model(inputs, answers)


class Grader:
    """An ensemble for up to so many features and subjects, trained afresh at every call of :meth:`fit`.

    Parameters
    ----------
    features : int
        Most features that will be given; fewer are fine.
    subjects : int
        Most subjects to train on.
    epochs : int, default=30
        Steps, each on all subjects.
    balanced : bool, default=True
        Let both classes count the same, however many subjects each has.
    seed : int, default=0
    """

    def __init__(self, features, subjects, *, epochs=30, balanced=True, seed=0):
        keras.utils.set_random_seed(seed)
        self.subjects, self.epochs, self.balanced = subjects, epochs, balanced
        self.model = build_ann(features, decay=1 / (2 * _C * subjects))
        # One call for all steps where the backend can: each call costs more than a step does.
        at_once = 1 if keras.config.backend() == "torch" else epochs
        self.model.compile(keras.optimizers.Adam(_LEARNING_RATE), "binary_crossentropy", steps_per_execution=at_once)
        self._state = snapshot(self.model)

    def fit(self, features, labels):
        """Learn scaling and weights from training subjects alone.

        Parameters
        ----------
        features : ndarray, shape (n, p)
            Numbers; NaN where missing.
        labels : array of 0 and 1, shape (n,)

        Returns
        -------
        Grader
        """
        features, labels = np.asarray(features, np.float32), np.asarray(labels, np.float32)
        self._scaler = Standardise()
        self._scaler.build(features.shape)
        self._scaler.learn(features)
        reset_model(self.model, self._state)
        share = labels.mean()
        weights = np.where(labels == 1, 0.5 / share, 0.5 / (1 - share)) if self.balanced else np.ones(len(labels))
        targets = np.repeat(labels[:, None], self.model.output_shape[-1], axis=1)
        # Rows of weight 0 fill up, so that one compiled step serves training sets of every size.
        rows = [self._filled(part) for part in (self._scaled(features), targets, weights)]
        scaled, targets, weights = (np.concatenate([part] * self.epochs) for part in rows)
        self.model.fit(scaled, targets, sample_weight=weights, batch_size=self.subjects, shuffle=False, verbose=0)
        return self

    def predict(self, features):
        """Probability of the positive label, averaged over the ensemble, shape (n,)."""
        answers = self.model(self._scaled(np.asarray(features, np.float32)), training=False)
        return ops.convert_to_numpy(answers).mean(axis=1)

    def answer(self, features):
        """Graph of the answer, for :func:`join`: raw features, symbolic (n, p), to probability (n, 1)."""
        missing = self.model.input_shape[-1] - features.shape[-1]
        answers = self.model(ops.pad(self._scaler(features), ((0, 0), (0, missing))))
        return ops.mean(answers, axis=1, keepdims=True)

    def _scaled(self, features):
        """Scale as the training subjects were; fill up with zeros, which say nothing."""
        scaled = ops.convert_to_numpy(self._scaler(features))
        return np.pad(scaled, ((0, 0), (0, self.model.input_shape[-1] - scaled.shape[1])))

    def _filled(self, part):
        return np.pad(part, ((0, self.subjects - len(part)), *[(0, 0)] * (part.ndim - 1))).astype(np.float32)


def join(graders, places, features):
    """Join trained graders into one network that fills in missing values and scales by itself.

    Parameters
    ----------
    graders : list of Grader
    places : list of ndarray of int
        Which of the inputs each takes.
    features : int
        Inputs in all.

    Returns
    -------
    keras.Model
        Raw features, (n, features), in; the mean of the graders, (n, 1), out.
    """
    inputs = layers.Input((features,))
    answers = [grader.answer(ops.take(inputs, taken, axis=1)) for grader, taken in zip(graders, places, strict=True)]
    return Model(inputs, sum(answers) / len(answers), name="epitome_grader")


def load_grader(path):
    """Load a network that :func:`join` made and a workspace keeps.

    Parameters
    ----------
    path : path
        ``ann.keras``.

    Returns
    -------
    callable
        Takes the raw values of one subject, in the order of ``ann.json``; returns
        the probability of the positive class, not calibrated.
    """
    model = keras.saving.load_model(path, compile=False)
    return lambda values: float(model.predict(np.asarray([values], np.float32), verbose=0)[0, 0])
