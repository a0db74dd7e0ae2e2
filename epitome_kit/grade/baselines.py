"""What the network has to beat: the usual classifiers, in the same folds."""

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

BASELINES = {
    "logistic": lambda seed: LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000),
    "random_forest": lambda seed: RandomForestClassifier(
        50, min_samples_leaf=2, class_weight="balanced", random_state=seed
    ),
}
"""Name of each rival, and what makes it; both classes count the same. One forest grows for each selection."""


class BaselineClassifier:
    """A classifier of scikit-learn that is used as the network is.

    Parameters
    ----------
    name : {"logistic", "random_forest"}
    seed : int, default=0
    """

    def __init__(self, name, seed=0):
        self._name, self._seed = name, seed

    def fit(self, features, labels):
        """Learn filling, scaling and weights from training subjects alone, shape (n, p)."""
        filling = SimpleImputer(strategy="median", keep_empty_features=True)
        self._pipeline = make_pipeline(filling, StandardScaler(), BASELINES[self._name](self._seed))
        self._pipeline.fit(features, labels)
        return self

    def predict(self, features):
        """Probability of the positive label, shape (n,)."""
        return self._pipeline.predict_proba(features)[:, 1]


def calibrate(known, labels, probabilities):
    """Make probabilities that mean what they say, by a regularised variant of Platt scaling.

    A logistic regression on the log odds of the probabilities, clipped to 0.0001 and
    0.9999, with scikit-learn's default L2 penalty (``C=1``) on its slope. Platt's own has
    no penalty and softened labels; the penalty draws the slope towards 0, and with it
    the probabilities of a small cohort towards the share of the positive class.

    Parameters
    ----------
    known : ndarray, shape (n,)
        Probabilities of training subjects, from models that did not learn from them.
    labels : array of 0 and 1, shape (n,)
    probabilities : ndarray, shape (m,)
        To be calibrated.

    Returns
    -------
    ndarray, shape (m,)

    References
    ----------
    Platt, Advances in Large Margin Classifiers 1999, pp. 61-74
    """
    answer = LogisticRegression().fit(_log_odds(known), labels)
    return answer.predict_proba(_log_odds(probabilities))[:, 1]


def _log_odds(probabilities):
    clipped = np.clip(probabilities, 1e-4, 1 - 1e-4)
    return np.log(clipped / (1 - clipped))[:, None]
