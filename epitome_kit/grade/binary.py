"""Labels of two classes, numbers or text, for estimators of scikit-learn."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target


def encode_classes(estimator: BaseEstimator, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the two classes, sorted, and the labels as 0 and 1.

    Parameters
    ----------
    estimator : BaseEstimator
        Estimator to name in the error.
    labels : ndarray, shape (n,)
        Numbers or strings.

    Returns
    -------
    classes : ndarray, shape (2,)
        Classes; the second is the positive one.
    codes : ndarray of int, shape (n,)
        Index of the class of each label.

    Raises
    ------
    ValueError
        There are not exactly two classes.
    """
    check_classification_targets(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) > 2:
        kind = type_of_target(labels)
        # The wording that scikit-learn's checks of estimators require.
        raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
    if len(classes) < 2:
        raise ValueError(f"{type(estimator).__name__} needs two classes, but received one class: {classes[0]}.")
    return classes, codes


def binary_only(tags: Tags) -> Tags:
    """Set the tags of an estimator that needs labels of exactly two classes."""
    tags.classifier_tags = ClassifierTags(multi_class=False)
    tags.target_tags.required = True
    return tags
