"""Baselines of the network: common classifiers in the same folds, and calibration of probabilities."""

import warnings
from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from epitome_kit.grade.calibration import log_odds

_SAME = 1e-6


class BalancedPerceptron(MLPClassifier):
    """A multilayer perceptron, all of whose weights are trained, on classes of equal size.

    The rows of the smaller class are repeated until it is as large as the other one: a
    weight of each class would need scikit-learn 1.7.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803
        """Fit the weights.

        Parameters
        ----------
        X : array-like, shape (n, p)
            Scaled features.
        y : array-like, shape (n,)
            Class of each row.

        Returns
        -------
        BalancedPerceptron
            The fitted classifier itself.
        """
        features, labels = np.asarray(X), np.asarray(y)
        members = [np.flatnonzero(labels == value) for value in np.unique(labels)]
        rows = np.concatenate([np.resize(each, max(map(len, members))) for each in members])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is stopped early on purpose
            return super().fit(features[rows], labels[rows])


BASELINES: dict[str, Callable[[int], ClassifierMixin]] = {
    "logistic": lambda seed: LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000),
    "random_forest": lambda seed: RandomForestClassifier(
        50, min_samples_leaf=2, class_weight="balanced", random_state=seed
    ),
    "perceptron": lambda seed: BalancedPerceptron((16,), solver="lbfgs", alpha=10.0, max_iter=100, random_state=seed),
}
"""Function that makes the classifier, by name of the baseline; it takes a seed. Classes are balanced."""


def make_baseline(name: str, seed: int = 0) -> Pipeline:
    """Return the pipeline of a baseline: imputation, scaling and classifier.

    Parameters
    ----------
    name : {"logistic", "random_forest", "perceptron"}
        Name of the baseline.
    seed : int, default=0
        Seed of the classifier.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Not fitted.
    """
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    return make_pipeline(imputer, StandardScaler(), BASELINES[name](seed))


def calibrate(known: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Calibrate probabilities by Platt scaling.

    A logistic regression without penalty on the log odds of the probabilities, clipped
    to 0.0001 and 0.9999. As in Platt's paper, the n subjects of a class have the target
    (n + 1) / (n + 2) instead of 1, or 1 / (n + 2) instead of 0, so that the slope stays finite
    where the classes are separated. The slope is then that of the targets alone, and
    probabilities beyond the known ones are taken for the nearest of them. Where all
    known probabilities are the same, or all labels, there is no slope, and every
    result is the mean target.

    The targets draw the results of a small cohort towards the share of the positive
    class: for probabilities of 38 subjects that are calibrated already, the median
    slope is 0.82.

    Parameters
    ----------
    known : ndarray, shape (n,)
        Probabilities of training subjects, from models that were not trained on them.
    labels : array of 0 and 1, shape (n,)
        Classes of these subjects.
    probabilities : ndarray, shape (m,)
        Probabilities to calibrate.

    Returns
    -------
    ndarray, shape (m,)
        Calibrated probabilities.

    References
    ----------
    Platt, Advances in Large Margin Classifiers 1999, pp. 61-74
    """
    labels, odds = np.asarray(labels, int), log_odds(known)
    counts = np.bincount(labels, minlength=2)
    targets = np.where(labels == 1, (counts[1] + 1) / (counts[1] + 2), 1 / (counts[0] + 2))
    if not counts.all() or np.ptp(odds) < _SAME:
        return np.full(len(probabilities), targets.mean())
    each = np.concatenate([odds, odds])[:, None]  # a target between 0 and 1: once as 1 and once as 0, with weights
    of_class, weights = np.repeat([1, 0], len(odds)), np.concatenate([targets, 1 - targets])
    regression = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(each, of_class, sample_weight=weights)
    new, (negative, positive) = log_odds(probabilities), (odds[labels == value] for value in (0, 1))
    if negative.max() < positive.min() or positive.max() < negative.min():
        new = new.clip(odds.min(), odds.max())
    return regression.predict_proba(new[:, None])[:, 1]
