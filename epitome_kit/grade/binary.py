"""Labels of two classes, as the estimators of scikit-learn receive them: of any type."""

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


def encode_classes(estimator: "BaseEstimator", labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the two classes, sorted, and the labels as 0 and 1.

    Parameters
    ----------
    estimator : BaseEstimator
        Estimator that needs them, for the error.
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
        raise ValueError(f"{type(estimator).__name__} needs two classes, but all labels are {labels[0]!r}: one class.")
    return classes, codes


def binary_only(tags: Tags) -> Tags:
    """Mark the tags of an estimator that it needs labels, of two classes."""
    tags.classifier_tags = ClassifierTags(multi_class=False)
    tags.target_tags.required = True
    return tags
