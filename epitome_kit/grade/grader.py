"""The grader: the ensemble of :mod:`epitome_kit.grade.ann` as an estimator of scikit-learn."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from epitome_kit.backend import Model, keras, layers, load_model, ops
from epitome_kit.errors import ParameterError
from epitome_kit.files import PathLike, checksum
from epitome_kit.grade.ann import Standardise, build_ann
from epitome_kit.grade.binary import binary_only, encode_classes
from epitome_kit.learn.model_state import reset_model, snapshot

_C = 2.0
_LEARNING_RATE = 0.1


class Grader(ClassifierMixin, BaseEstimator):
    """A binary classifier for a few dozen subjects: the mean of random-feature networks, see :func:`build_ann`.

    An estimator of scikit-learn, for use in pipelines and under cross-validation. It
    imputes and scales the features by itself, see :class:`Standardise`. The network is
    built once and reset at every further call of :meth:`fit` with the same sizes.

    Parameters
    ----------
    epochs : int, default=30
        Number of steps, each on all subjects.
    balanced : bool, default=True
        Whether both classes have the same total weight.
    max_features, max_subjects : int, default=None
        Sizes of the network, which serves smaller training sets as well; None takes
        those of the training set.
    random_state : int, default=0
        Seed of the random weights.

    Attributes
    ----------
    classes_ : ndarray, shape (2,)
        The classes; the positive one is the second.
    model_ : keras.Model
        The ensemble; maps scaled features, padded with zeros, to one probability for each member.
    scaler_ : Standardise
        Imputation and scaling, fitted to the training subjects.
    n_features_in_ : int
        Number of features.

    References
    ----------
    Rahimi and Recht, NeurIPS 2007, doi:10.5555/2981562.2981710

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.feature_selection import SelectKBest
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from epitome_kit.grade import Grader
    >>> labels = np.arange(100) % 2
    >>> features = np.random.default_rng(0).standard_normal((100, 20)) + 3 * labels[:, None] * (np.arange(20) == 3)
    >>> pipeline = make_pipeline(SelectKBest(k=5), Grader())
    >>> bool(cross_val_score(pipeline, features, labels, scoring="roc_auc").mean() > 0.8)
    True
    """

    model_: Model
    _initial_state: list[np.ndarray]

    def __init__(
        self,
        *,
        epochs: int = 30,
        balanced: bool = True,
        max_features: int | None = None,
        max_subjects: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.epochs, self.balanced, self.random_state = epochs, balanced, random_state
        self.max_features, self.max_subjects = max_features, max_subjects

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803
        """Fit scaling and weights to training subjects.

        Parameters
        ----------
        X : array-like, shape (n, p)
            Features; NaN where missing.
        y : array-like, shape (n,)
            One of two classes each.

        Returns
        -------
        Grader
            The fitted grader itself.

        Raises
        ------
        ParameterError
            `epochs` is less than 1.
        ValueError
            There are not exactly two classes, or more features or subjects than the network has room for.
        """
        if self.epochs < 1:
            raise ParameterError("Grader", "at least one epoch", f"epochs={self.epochs}", "use `epochs=30`")
        features, labels = validate_data(self, X, y, dtype=np.float32, ensure_all_finite="allow-nan")
        self.classes_, targets = encode_classes(self, labels)
        subjects = self._build(*features.shape)
        self.scaler_ = Standardise()
        self.scaler_.build(features.shape)
        self.scaler_.adapt(features)
        share = targets.mean()
        weights = np.where(targets == 1, 0.5 / share, 0.5 / (1 - share)) if self.balanced else np.ones(len(targets))
        copies = np.repeat(targets[:, None], self.model_.output_shape[-1], axis=1)
        # Padded with rows of weight 0, so that one compiled step serves training sets of every size.
        rows = [_padded(part, subjects) for part in (self._scaled(features), copies, weights)]
        scaled, copies, weights = (np.concatenate([part] * self.epochs) for part in rows)
        self.model_.fit(scaled, copies, sample_weight=weights, batch_size=subjects, shuffle=False, verbose=0)
        return self

    def predict_proba(self, X: ArrayLike) -> np.ndarray:  # noqa: N803
        """Predict the probabilities of both classes, averaged over the ensemble, shape (n, 2)."""
        check_is_fitted(self)
        features = validate_data(self, X, reset=False, dtype=np.float32, ensure_all_finite="allow-nan")
        outputs = self.model_(self._scaled(features), training=False)
        positive = ops.convert_to_numpy(outputs).mean(axis=1)
        return np.stack([1 - positive, positive], axis=1)

    def predict(self, X: ArrayLike) -> np.ndarray:  # noqa: N803
        """Predict the more probable class, shape (n,)."""
        positive = self.predict_proba(X)[:, 1] >= 0.5
        return self.classes_[positive.astype(int)]

    def symbolic_output(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Map raw features, symbolic (n, p), to the probability (n, 1), for :func:`join`."""
        missing = self.model_.input_shape[-1] - features.shape[-1]
        outputs = self.model_(ops.pad(self.scaler_(features), ((0, 0), (0, missing))))
        return ops.mean(outputs, axis=1, keepdims=True)

    def __sklearn_tags__(self) -> Tags:
        tags = binary_only(super().__sklearn_tags__())
        tags.input_tags.allow_nan = True
        return tags

    def _build(self, subjects: int, features: int) -> int:
        """Build the network, or reset it if it was built with the same settings; return its number of subjects."""
        most_features = features if self.max_features is None else self.max_features
        most_subjects = subjects if self.max_subjects is None else self.max_subjects
        if features > most_features or subjects > most_subjects:
            raise ValueError(
                f"Grader has room for {most_subjects} subjects (max_subjects) and {most_features} features "
                f"(max_features), but received {subjects} subjects and {features} features."
            )
        settings = (most_features, most_subjects, self.epochs, self.random_state)
        if getattr(self, "_built_with", None) == settings:
            reset_model(self.model_, self._initial_state)
            return most_subjects
        decay = 1 / (2 * _C * most_subjects)
        self.model_ = build_ann(most_features, decay=decay, seed=self.random_state)
        # One call for all steps if the backend supports it: a call takes longer than a step.
        steps = 1 if keras.config.backend() == "torch" else self.epochs
        optimizer = keras.optimizers.Adam(_LEARNING_RATE)
        self.model_.compile(optimizer, "binary_crossentropy", steps_per_execution=steps)
        self._built_with, self._initial_state = settings, snapshot(self.model_)
        return most_subjects

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        """Scale as for the training subjects, and pad with zeros."""
        scaled = ops.convert_to_numpy(self.scaler_(features))
        return np.pad(scaled, ((0, 0), (0, self.model_.input_shape[-1] - scaled.shape[1])))


def _padded(part: np.ndarray, rows: int) -> np.ndarray:
    return np.pad(part, ((0, rows - len(part)), *[(0, 0)] * (part.ndim - 1))).astype(np.float32)


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


@lru_cache(maxsize=1)
def _network(path: str, _checksum: str) -> Model:
    """Load a network once in each process, and again if its file has changed."""
    return load_model(path, where="load_grader")


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
    model = _network(str(path), checksum(path) if Path(path).is_file() else "")
    return lambda values: float(model.predict(np.asarray([values], np.float32), verbose=0)[0, 0])
