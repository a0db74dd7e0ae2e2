"""Deliberate leaks made with plain scikit-learn, for the leakage lab; the kit does not grade like this."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import t
from skimage.measure import block_reduce
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from epitome_kit.confidence import interval_quantiles


def cut_slices(scans: np.ndarray, ids: Sequence[str], *, slices: int = 10, factor: int = 4) -> pd.DataFrame:
    """Cut neighbouring axial slices out of every scan, and make each a row of coarse pixels.

    Parameters
    ----------
    scans : ndarray, shape (n, i, j, k, contrasts)
    ids : sequence of str, shape (n,)
        Subjects of the scans.
    slices : int, default=10
        Number of central slices of each subject.
    factor : int, default=4
        Side of the squares that are averaged, in pixels.

    Returns
    -------
    DataFrame
        One row per slice, indexed by subject.
    """
    first = (scans.shape[3] - slices) // 2
    chosen = np.moveaxis(scans[:, :, :, first : first + slices], 3, 1)
    coarse = block_reduce(chosen, (1, 1, factor, factor, 1), np.mean)
    return _table(coarse.reshape(len(scans) * slices, -1), np.repeat(list(ids), slices))


def cut_blocks(scans: np.ndarray, ids: Sequence[str], *, factor: int = 8) -> pd.DataFrame:
    """Average every scan in cubes, and make each subject a row of their means.

    Parameters
    ----------
    scans : ndarray, shape (n, i, j, k, contrasts)
    ids : sequence of str, shape (n,)
        Subjects of the scans.
    factor : int, default=8
        Side of the cubes, in voxels.

    Returns
    -------
    DataFrame
        One row per subject.
    """
    coarse = block_reduce(scans, (1, factor, factor, factor, 1), np.mean)
    return _table(coarse.reshape(len(scans), -1), list(ids))


def slice_score(rows: pd.DataFrame, labels: pd.Series, *, apart: bool, seed: int = 0) -> float:
    """Return the balanced accuracy of the nearest neighbour, with folds made by slice or by subject.

    Parameters
    ----------
    rows : DataFrame
        One row per slice, indexed by subject.
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


def selection_auc(rows: pd.DataFrame, labels: pd.Series, *, apart: bool, keep: int = 12, seed: int = 0) -> float:
    """Return the AUC of logistic regression, with features selected in each fold or on all subjects beforehand.

    Parameters
    ----------
    rows : DataFrame
        One row per subject.
    labels : Series of int
        0 or 1, by subject.
    apart : bool
        Select inside the folds; False is the leak.
    keep : int, default=12
        Number of features to select.
    seed : int, default=0

    Returns
    -------
    float
    """
    select, model = SelectKBest(f_classif, k=keep), make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    return _transformed_auc(select, model, rows, labels, apart, seed)


def double_some(
    rows: pd.DataFrame, labels: pd.Series, *, share: float = 0.25, seed: int = 0
) -> tuple[pd.DataFrame, pd.Series]:
    """Duplicate some subjects under another name.

    Parameters
    ----------
    rows : DataFrame
        One row per subject.
    labels : Series of int
        0 or 1, by subject.
    share : float, default=0.25
        Fraction of the subjects to duplicate.
    seed : int, default=0

    Returns
    -------
    DataFrame, Series
        Rows and labels followed by the duplicates, whose names end in ``-again``.
    """
    twice = np.random.default_rng(seed).choice(rows.index, round(share * len(rows)), replace=False)
    again = {name: f"{name}-again" for name in twice}
    doubles, names = rows.loc[twice].rename(again), labels[twice].rename(again)
    return pd.concat([rows, doubles]), pd.concat([labels[rows.index], names])


def balance_by_copies(rows: pd.DataFrame, labels: pd.Series, *, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Oversample the smaller class: copy its subjects until both classes have the same number.

    Parameters
    ----------
    rows : DataFrame
        One row per subject.
    labels : Series of int
        0 or 1, by subject.
    seed : int, default=0

    Returns
    -------
    DataFrame, Series
        Rows and labels; names of copies end in ``-again-`` and a number.
    """
    counts = labels[rows.index].value_counts()
    smaller = labels[rows.index].index[labels[rows.index] == counts.idxmin()]
    drawn = np.random.default_rng(seed).choice(smaller, counts.max() - counts.min())
    names = [f"{name}-again-{number}" for number, name in enumerate(drawn)]
    copies, copied = rows.loc[drawn].set_axis(names), labels[drawn].set_axis(names)
    return pd.concat([rows, copies]), pd.concat([labels[rows.index], copied])


def neighbour_auc(rows: pd.DataFrame, labels: pd.Series, *, apart: bool, seed: int = 0) -> float:
    """Return the AUC of the three nearest neighbours, with folds made by name or by person.

    Each person is scored once, under the original name.

    Parameters
    ----------
    rows : DataFrame
        One row per name; ``-again`` marks duplicates of a person.
    labels : Series of int
        0 or 1, by name.
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
    probabilities = cross_val_predict(model, rows.to_numpy(), y, cv=folds, method="predict_proba")[:, 1]
    return roc_auc_score(y[first], probabilities[first])


def scaling_auc(rows: pd.DataFrame, labels: pd.Series, *, apart: bool, seed: int = 0) -> float:
    """Return the AUC of logistic regression, with features scaled in each fold or on all subjects beforehand.

    Parameters
    ----------
    rows : DataFrame
        One row per subject.
    labels : Series of int
        0 or 1, by subject.
    apart : bool
        Scale inside the folds; False is the leak.
    seed : int, default=0

    Returns
    -------
    float
    """
    return _transformed_auc(StandardScaler(), LogisticRegression(C=0.1), rows, labels, apart, seed)


def _transformed_auc(
    transform: TransformerMixin, model: BaseEstimator, rows: pd.DataFrame, labels: pd.Series, apart: bool, seed: int
) -> float:
    """Return the AUC of a model, with features transformed in each fold, or on all subjects beforehand."""
    if apart:
        return cross_validated_auc(make_pipeline(transform, model), rows, labels, seed=seed)
    transformed = transform.set_output(transform="pandas").fit_transform(rows, labels[rows.index])
    return cross_validated_auc(model, transformed, labels, seed=seed)


def cross_validated_auc(model: BaseEstimator, rows: pd.DataFrame, labels: pd.Series, *, seed: int = 0) -> float:
    """Return the AUC of the out-of-fold probabilities of a model, with folds by subject.

    Parameters
    ----------
    model : scikit-learn classifier
    rows : DataFrame
        One row per subject.
    labels : Series of int
        0 or 1, by subject.
    seed : int, default=0

    Returns
    -------
    float
    """
    y = labels[rows.index].to_numpy()
    folds = _folds(rows.index, y, True, seed)
    return roc_auc_score(y, cross_val_predict(model, rows.to_numpy(), y, cv=folds, method="predict_proba")[:, 1])


def shuffle_labels(labels: pd.Series, *, seed: int = 0) -> pd.Series:
    """Permute the labels among the subjects, so that nothing can be learned.

    Parameters
    ----------
    labels : Series of int
    seed : int, default=0

    Returns
    -------
    Series of int
    """
    return pd.Series(np.random.default_rng(seed).permutation(labels.to_numpy()), index=labels.index)


def repeat(experiment: Callable[..., float], repeats: int) -> pd.DataFrame:
    """Repeat an experiment with and without its leak.

    Parameters
    ----------
    experiment : callable
        Takes `apart` and `seed`, returns a score.
    repeats : int
        Number of repeats, which use the seeds 0, 1, and so on.

    Returns
    -------
    DataFrame
        Columns ``honest`` and ``leaking``, one row per repeat.
    """
    scores = [(experiment(apart=True, seed=seed), experiment(apart=False, seed=seed)) for seed in range(repeats)]
    return pd.DataFrame(scores, columns=["honest", "leaking"])


def with_both_labels(
    score: Callable[..., float],
    rows: pd.DataFrame,
    labels: pd.Series,
    *,
    change: Callable[..., tuple[pd.DataFrame, pd.Series]] | None = None,
    repeats: int = 10,
) -> dict[str, pd.DataFrame]:
    """Measure a leak with the true labels, and with labels shuffled in every repeat.

    Parameters
    ----------
    score : callable
        Takes rows, labels, `apart` and `seed`, such as :func:`slice_score`.
    rows : DataFrame
        One row per subject or slice.
    labels : Series of int
        0 or 1, by subject.
    change : callable, default=None
        Takes rows, labels and `seed`, returns rows and labels, such as
        :func:`double_some`.
    repeats : int, default=10

    Returns
    -------
    dict of str to DataFrame
        ``true labels`` and ``shuffled``, each as returned by :func:`repeat`.
    """

    def once(used: pd.Series, apart: bool, seed: int) -> float:
        changed = change(rows, used, seed=seed) if change else (rows, used)
        return score(*changed, apart=apart, seed=seed)

    return {
        "true labels": repeat(lambda apart, seed: once(labels, apart, seed), repeats),
        "shuffled": repeat(lambda apart, seed: once(shuffle_labels(labels, seed=seed), apart, seed), repeats),
    }


def mean_interval(values: Sequence[float] | np.ndarray | pd.Series) -> tuple[float, float, float]:
    """Return the mean over repeats and its 95 % interval by Student's t.

    Parameters
    ----------
    values : sequence of float, shape (n,)

    Returns
    -------
    (float, float, float)
        Mean, low, high.
    """
    scores = np.asarray(values, float)
    half = t.ppf(interval_quantiles()[1], len(scores) - 1) * scores.std(ddof=1) / np.sqrt(len(scores))
    return scores.mean(), scores.mean() - half, scores.mean() + half


def _table(values: np.ndarray, ids: Sequence[str] | np.ndarray) -> pd.DataFrame:
    values = values[:, (values != 0).mean(0) > 0.9]  # inside the brain of nearly all
    return pd.DataFrame(values, index=ids, columns=[f"f{number}" for number in range(values.shape[1])])


def _folds(groups: pd.Index, y: np.ndarray, apart: bool, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return five folds of rows, or of whole groups; fewer if a class has fewer groups."""
    smallest = pd.Series(y).groupby(np.asarray(groups)).first().value_counts().min()
    if apart:
        splitter = StratifiedGroupKFold(min(5, smallest), shuffle=True, random_state=seed)
        return list(splitter.split(y, y, groups))
    return list(StratifiedKFold(min(5, smallest), shuffle=True, random_state=seed).split(y, y))
