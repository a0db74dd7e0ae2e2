"""Leaks made on purpose with plain scikit-learn, for the leakage lab; nothing in the kit grades like this."""

import numpy as np
import pandas as pd
from scipy.stats import t
from skimage.measure import block_reduce
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from epitome_kit.confidence import interval_quantiles


def cut_slices(scans, ids, *, slices=10, factor=4):
    """Cut neighbouring axial slices out of every scan, and make each a row of coarse pixels.

    Parameters
    ----------
    scans : ndarray, shape (n, i, j, k, contrasts)
    ids : sequence of str, shape (n,)
    slices : int, default=10
        Slices of each subject, around the middle.
    factor : int, default=4
        Side, in pixels, of the squares that are averaged into one.

    Returns
    -------
    DataFrame
        One row a slice, indexed by the subject it was cut from.
    """
    first = (scans.shape[3] - slices) // 2
    chosen = np.moveaxis(scans[:, :, :, first : first + slices], 3, 1)
    coarse = block_reduce(chosen, (1, 1, factor, factor, 1), np.mean)
    return _table(coarse.reshape(len(scans) * slices, -1), np.repeat(list(ids), slices))


def cut_blocks(scans, ids, *, factor=8):
    """Average every scan in cubes, and make each subject one row of them.

    Parameters
    ----------
    scans : ndarray, shape (n, i, j, k, contrasts)
    ids : sequence of str, shape (n,)
    factor : int, default=8
        Side of the cubes, in voxels.

    Returns
    -------
    DataFrame
        One row a subject.
    """
    coarse = block_reduce(scans, (1, factor, factor, factor, 1), np.mean)
    return _table(coarse.reshape(len(scans), -1), list(ids))


def slice_score(rows, labels, *, apart, seed=0):
    """Balanced accuracy of the nearest neighbour, with slices dealt to the folds one by one or by subject.

    Parameters
    ----------
    rows : DataFrame
        One row a slice, indexed by subject.
    labels : Series of int
        0 or 1, by subject.
    apart : bool
        Keep all slices of a subject in one fold; False is the leak.
    seed : int, default=0

    Returns
    -------
    float
    """
    y = labels[rows.index].to_numpy()
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(1, algorithm="kd_tree"))
    return balanced_accuracy_score(
        y, cross_val_predict(model, rows.to_numpy(), y, cv=_folds(rows.index, y, apart, seed))
    )


def selection_auc(rows, labels, *, apart, keep=12, seed=0):
    """AUC of logistic regression, with features selected inside each fold or on all subjects beforehand.

    Parameters
    ----------
    rows : DataFrame
        One row a subject.
    labels : Series of int
        0 or 1, by subject.
    apart : bool
        Select inside the folds; False is the leak.
    keep : int, default=12
    seed : int, default=0

    Returns
    -------
    float
    """
    choose, model = SelectKBest(f_classif, k=keep), make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    if apart:
        return cross_validated_auc(make_pipeline(choose, model), rows, labels, seed=seed)
    chosen = choose.set_output(transform="pandas").fit_transform(rows, labels[rows.index])
    return cross_validated_auc(model, chosen, labels, seed=seed)


def double_some(rows, labels, *, share=0.25, seed=0):
    """Enter some subjects a second time, under another name.

    Parameters
    ----------
    rows : DataFrame
        One row a subject.
    labels : Series of int
    share : float, default=0.25
    seed : int, default=0

    Returns
    -------
    DataFrame, Series
        Rows and labels with the doubles at the end, ``-again`` after their names.
    """
    twice = np.random.default_rng(seed).choice(rows.index, round(share * len(rows)), replace=False)
    again = {name: f"{name}-again" for name in twice}
    doubles, names = rows.loc[twice].rename(again), labels[twice].rename(again)
    return pd.concat([rows, doubles]), pd.concat([labels[rows.index], names])


def balance_by_copies(rows, labels, *, seed=0):
    """Copy subjects of the smaller class until both classes have the same number: oversampling.

    Parameters
    ----------
    rows : DataFrame
        One row a subject.
    labels : Series of int
    seed : int, default=0

    Returns
    -------
    DataFrame, Series
        Rows and labels; copies are called as :func:`double_some` calls them,
        with a number.
    """
    counts = labels[rows.index].value_counts()
    smaller = labels[rows.index].index[labels[rows.index] == counts.idxmin()]
    drawn = np.random.default_rng(seed).choice(smaller, counts.max() - counts.min())
    names = [f"{name}-again-{number}" for number, name in enumerate(drawn)]
    copies, copied = rows.loc[drawn].set_axis(names), labels[drawn].set_axis(names)
    return pd.concat([rows, copies]), pd.concat([labels[rows.index], copied])


def neighbour_auc(rows, labels, *, apart, seed=0):
    """AUC of the three nearest neighbours, with every name, or every person, in one fold.

    Each person is scored once, under the first name.

    Parameters
    ----------
    rows : DataFrame
        One row a name; ``-again`` marks a person who stands there twice.
    labels : Series of int
    apart : bool
        Keep all rows of a person in one fold; False is the leak.
    seed : int, default=0

    Returns
    -------
    float
    """
    y = labels[rows.index].to_numpy()
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(3, weights="distance", algorithm="kd_tree"))
    persons = rows.index.str.replace("-again.*", "", regex=True)
    folds, first = _folds(persons, y, apart, seed), rows.index == persons
    answers = cross_val_predict(model, rows.to_numpy(), y, cv=folds, method="predict_proba")[:, 1]
    return roc_auc_score(y[first], answers[first])


def scaling_auc(rows, labels, *, apart, seed=0):
    """AUC of logistic regression, with the scale learned inside each fold or from all subjects beforehand.

    Parameters
    ----------
    rows : DataFrame
        One row a subject.
    labels : Series of int
    apart : bool
        Scale inside the folds; False is the leak.
    seed : int, default=0

    Returns
    -------
    float
    """
    scale, model = StandardScaler(), LogisticRegression(C=0.1)
    if apart:
        return cross_validated_auc(make_pipeline(scale, model), rows, labels, seed=seed)
    return cross_validated_auc(model, scale.set_output(transform="pandas").fit_transform(rows), labels, seed=seed)


def cross_validated_auc(model, rows, labels, *, seed=0):
    """AUC of the out-of-fold answers of a model, by subject.

    Parameters
    ----------
    model : scikit-learn classifier
    rows : DataFrame
        One row a subject.
    labels : Series of int
    seed : int, default=0

    Returns
    -------
    float
    """
    y = labels[rows.index].to_numpy()
    folds = _folds(rows.index, y, True, seed)
    return roc_auc_score(y, cross_val_predict(model, rows.to_numpy(), y, cv=folds, method="predict_proba")[:, 1])


def shuffle_labels(labels, *, seed=0):
    """Deal the labels to the subjects anew, so that nothing can be learned.

    Parameters
    ----------
    labels : Series of int
    seed : int, default=0

    Returns
    -------
    Series of int
    """
    return pd.Series(np.random.default_rng(seed).permutation(labels.to_numpy()), index=labels.index)


def repeat(experiment, repeats):
    """Run an experiment with and without its leak, several times.

    Parameters
    ----------
    experiment : callable
        Takes `apart` and `seed`, returns a score.
    repeats : int

    Returns
    -------
    DataFrame
        Columns ``honest`` and ``leaking``, one row a repeat.
    """
    scores = [(experiment(apart=True, seed=seed), experiment(apart=False, seed=seed)) for seed in range(repeats)]
    return pd.DataFrame(scores, columns=["honest", "leaking"])


def with_both_labels(score, rows, labels, *, change=None, repeats=10):
    """Measure a leak with the true labels, and with labels shuffled anew in every repeat.

    Parameters
    ----------
    score : callable
        Takes rows, labels, `apart` and `seed`, such as :func:`slice_score`.
    rows : DataFrame
    labels : Series of int
    change : callable, default=None
        Takes rows, labels and `seed`, returns rows and labels, such as
        :func:`double_some`.
    repeats : int, default=10

    Returns
    -------
    dict of str to DataFrame
        ``true labels`` and ``shuffled``, each as :func:`repeat` gives it.
    """

    def once(dealt, apart, seed):
        changed = change(rows, dealt, seed=seed) if change else (rows, dealt)
        return score(*changed, apart=apart, seed=seed)

    return {
        "true labels": repeat(lambda apart, seed: once(labels, apart, seed), repeats),
        "shuffled": repeat(lambda apart, seed: once(shuffle_labels(labels, seed=seed), apart, seed), repeats),
    }


def mean_interval(values):
    """Mean and its 95 % interval over repeats, by Student's t.

    Parameters
    ----------
    values : sequence of float, shape (n,)

    Returns
    -------
    (float, float, float)
        Mean, low, high.
    """
    values = np.asarray(values, float)
    half = t.ppf(interval_quantiles()[1], len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean(), values.mean() - half, values.mean() + half


def _table(values, ids):
    values = values[:, (values != 0).mean(0) > 0.9]  # what lies outside the brain of some says little
    return pd.DataFrame(values, index=ids, columns=[f"f{number}" for number in range(values.shape[1])])


def _folds(groups, y, apart, seed):
    """Five folds of rows, or of whole groups; fewer where a class has fewer groups."""
    smallest = pd.Series(y).groupby(np.asarray(groups)).first().value_counts().min()
    if apart:
        splitter = StratifiedGroupKFold(min(5, smallest), shuffle=True, random_state=seed)
        return list(splitter.split(y, y, groups))
    return list(StratifiedKFold(min(5, smallest), shuffle=True, random_state=seed).split(y, y))
