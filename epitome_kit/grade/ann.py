"""The grader: many small neural networks trained side by side, and averaged."""

import numpy as np

from epitome_kit.backend import Model, keras, layers, ops
from epitome_kit.learn.fresh import restart, snapshot


@keras.saving.register_keras_serializable("epitome_kit")
class SideBySide(layers.Layer):
    """A dense layer for each member of an ensemble, with weights of its own.

    Parameters
    ----------
    members, units : int
        Ensemble size, and outputs of each member.
    activation : str, default=None
    decay : float, default=0.0
        L2 penalty on the weights.
    """

    def __init__(self, members, units, activation=None, decay=0.0, **kwargs):
        super().__init__(**kwargs)
        self.members, self.units, self.decay = members, units, decay
        self.activation = keras.activations.get(activation)

    def build(self, shape):
        """Make weights for input of shape (n, members, features)."""
        self.kernel = self.add_weight(
            shape=(self.members, shape[-1], self.units),
            initializer=keras.initializers.RandomNormal(stddev=float(np.sqrt(2 / shape[-1]))),
            regularizer=keras.regularizers.L2(self.decay),
        )
        self.bias = self.add_weight(shape=(self.members, self.units), initializer="zeros")

    def call(self, x):
        """Map (n, members, features) to (n, members, units)."""
        return self.activation(ops.einsum("nmf,mfu->nmu", x, self.kernel) + self.bias)

    def get_config(self):
        """Arguments, so that a saved model can be loaded in safe mode."""
        activation = keras.activations.serialize(self.activation)
        own = {"members": self.members, "units": self.units, "activation": activation, "decay": self.decay}
        return {**super().get_config(), **own}


def build_ann(features, *, members=10, hidden=12, decay=0.01):
    """Build the ensemble.

    Parameters
    ----------
    features : int
        Inputs, each of mean 0 and standard deviation 1 on the training subjects.
    members : int, default=10
        Networks; they differ in their first weights alone.
    hidden : int, default=12
        Units in the one hidden layer of each.
    decay : float, default=0.01
        L2 penalty on all weights.

    Returns
    -------
    keras.Model
        Shape (n, features) in, (n, members) probabilities out.
    """
    inputs = layers.Input((features,))
    x = layers.RepeatVector(members)(inputs)
    x = SideBySide(members, hidden, "relu", decay)(x)
    x = layers.Dropout(0.2)(x)
    x = SideBySide(members, 1, "sigmoid", decay)(x)
    return Model(inputs, layers.Reshape((members,))(x), name="epitome_ann")


class Grader:
    """Scaling and ensemble for one number of features, trained afresh for each fold.

    Parameters
    ----------
    features : int
        Most features that will be given; fewer are fine.
    epochs : int, default=60
    balanced : bool, default=True
        Let both classes count the same, however many subjects each has.
    seed : int, default=0
    """

    def __init__(self, features, *, epochs=60, balanced=True, seed=0):
        keras.utils.set_random_seed(seed)
        self.epochs, self.balanced = epochs, balanced
        self.model = build_ann(features)
        self.model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
        self._state = snapshot(self.model)

    def fit(self, features, labels):
        """Learn scaling and weights from training subjects alone.

        Parameters
        ----------
        features : ndarray, shape (n, p)
        labels : array of 0 and 1, shape (n,)

        Returns
        -------
        Grader
        """
        features, labels = np.asarray(features, float), np.asarray(labels, float)
        self._mean, self._spread = features.mean(0), features.std(0) + 1e-9
        restart(self.model, self._state)
        targets = np.repeat(labels[:, None], self.model.output_shape[-1], axis=1)
        share = labels.mean()
        weights = np.where(labels == 1, 0.5 / share, 0.5 / (1 - share)) if self.balanced else np.ones(len(labels))
        scaled = self._scale(features)
        for _ in range(self.epochs):
            self.model.train_on_batch(scaled, targets, sample_weight=weights)
        return self

    def predict(self, features):
        """Probability of the positive label, averaged over the ensemble, shape (n,)."""
        return self.model.predict(self._scale(features), verbose=0).mean(axis=1)

    def _scale(self, features):
        """Scale as the training subjects were; fill up with zeros, which say nothing."""
        scaled = np.clip((np.asarray(features, float) - self._mean) / self._spread, -5, 5).astype(np.float32)
        return np.pad(scaled, ((0, 0), (0, self.model.input_shape[-1] - scaled.shape[1])))
