"""One fold of nested cross-validation: choose, learn, predict and calibrate, from training rows alone."""

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score

from epitome_kit.folds import assign_folds, class_of_groups, require_apart
from epitome_kit.grade.baselines import BASELINES, BaselineClassifier, calibrate
from epitome_kit.grade.select import METHODS, choose_columns
from epitome_kit.learn.probes import GROUP, feature_columns, probe_columns

NUMBERS = (10, 20, 40, 80)
"""Numbers of features to choose from."""

INNER_FOLDS = 4

ANN = "ann"
"""Name of the network among the models."""

BASELINE = "logistic"
"""The baseline that selects and leads where the network is left out."""

_FILLING = SimpleImputer(strategy="median", keep_empty_features=True)


class Settings(NamedTuple):
    """What holds for every fold.

    Attributes
    ----------
    features, subjects : int
        Most features that may be kept, and most training subjects of a fold.
    epochs : int
    balanced : bool
    seed : int
    rivals : bool
        Whether to train the rivals as well.
    network : bool
        Whether to train the network; else :data:`BASELINE` takes its place.
    """

    features: int
    subjects: int
    epochs: int = 30
    balanced: bool = True
    seed: int = 0
    rivals: bool = True
    network: bool = True

    @property
    def leading(self):
        """Name of the model whose scores lead."""
        return ANN if self.network else BASELINE


class Hyperparameters(NamedTuple):
    """Features that were selected.

    Attributes
    ----------
    numbers : list of int
        How many by each method: the better half of :data:`NUMBERS`.
    selections : list of ndarray of int
        Columns that each of :data:`METHODS` selects on all that was given, for
        each of the numbers.
    inner : list of (learn, check, selections)
        Masks of each inner fold, and what is selected on those it learns from.
    probabilities : ndarray, shape (n,)
        Of the leading model, out of the inner folds; NaN where there are none.
    """

    numbers: list
    selections: list
    inner: list
    probabilities: np.ndarray

    def without_selection(self):
        """Return the same inner folds, without any selection."""
        whole = [slice(None)]
        return self._replace(selections=whole, inner=[(learn, check, whole) for learn, check, _ in self.inner])


def grade_fold(rows, settings):
    """Learn from the training rows of a fold and predict its test rows.

    Parameters
    ----------
    rows : DataFrame
        ``participant_id``, ``repeat``, ``fold``, ``role`` ("train" or "test"),
        ``label`` (0 or 1), features, and columns of probes. Rows with the same
        ``group_id``, where there is one, stay together in the inner folds, too.
    settings : Settings

    Returns
    -------
    dict
        ``predictions``: DataFrame with a row a model and test subject, columns
        ``model``, ``participant_id``, ``repeat``, ``fold``, ``label``,
        ``probability``, ``calibrated``. ``selected``: for each selection its
        ``method``, ``number`` and names of ``features``.

    Raises
    ------
    Leak
        A subject, or a group, is both in training and in test.
    """
    train, test = rows[rows.role == "train"], rows[rows.role == "test"]
    require_apart(train.participant_id, test.participant_id, where=f"fold {rows.fold.iloc[0]}")
    groups = train[GROUP].to_numpy() if GROUP in rows else None
    if groups is not None:
        require_apart(groups, test[GROUP], where=f"fold {rows.fold.iloc[0]}", what="group")
    columns = feature_columns(rows)
    x, y, unseen = train[columns].to_numpy(np.float32), train.label.to_numpy(int), test[columns].to_numpy(np.float32)
    choice = select_hyperparameters(x, y, settings, groups)
    answers = {settings.leading: _answer(leading_model(settings), x, y, unseen, choice, known=choice.probabilities)}
    if settings.rivals:
        others = [name for name in BASELINES if name not in answers]
        answers |= {name: _answer(BaselineClassifier(name, settings.seed), x, y, unseen, choice) for name in others}
        for name, alone in probe_columns(rows).items():
            known, new = train[alone].to_numpy(np.float32), test[alone].to_numpy(np.float32)
            answers[name] = _answer(BaselineClassifier("logistic"), known, y, new, choice.without_selection())
    told = test[["participant_id", *([GROUP] if GROUP in test else []), "repeat", "fold", "label"]]
    parts = [told.assign(model=name, probability=p, calibrated=c) for name, (p, c) in answers.items()]
    return {
        "predictions": pd.concat(parts, ignore_index=True),
        "selected": [
            {"method": method, "number": number, "features": [columns[index] for index in chosen]}
            for (number, method), chosen in zip(product(choice.numbers, METHODS), choice.selections, strict=True)
        ],
    }


def select_hyperparameters(x, y, settings, groups=None):
    """Select features by every method; choose how many by the AUC in inner folds.

    Every selection trains a model, and their mean is the answer: each method, in
    the better half of the numbers. To choose a single one on a few dozen subjects
    would follow chance.

    Parameters
    ----------
    x : ndarray, shape (n, p)
        Training subjects; NaN where missing.
    y : array of 0 and 1, shape (n,)
    settings : Settings
    groups : array, shape (n,), default=None
        Rows of one group stay in one inner fold.

    Returns
    -------
    Choice
        With fewer than two subjects of a class: the smallest numbers.
    """
    numbers = sorted({min(number, settings.features) for number in NUMBERS})
    masks = _inner_folds(y, settings.seed, groups)
    aucs, answers, selected = np.zeros(len(numbers)), np.full((len(numbers), len(y)), np.nan), {}
    for fold, (learn, check) in enumerate(masks):
        for n, number in enumerate(numbers):
            selected[fold, n] = _select(x[learn], y[learn], number, settings.seed)
            answers[n, check] = _mean_answer(leading_model(settings), x[learn], y[learn], x[check], selected[fold, n])
            aucs[n] += roc_auc_score(y[check], answers[n, check])
    better = sorted(np.argsort(-aucs, kind="stable")[: (len(numbers) + 1) // 2])
    selections = [chosen for n in better for chosen in _select(x, y, numbers[n], settings.seed)]
    inner = [(*both, [each for n in better for each in selected[fold, n]]) for fold, both in enumerate(masks)]
    return Hyperparameters([numbers[n] for n in better], selections, inner, answers[better].mean(axis=0))


def train_network(x, y, settings, groups=None):
    """Choose, select and train on all that is given.

    Parameters
    ----------
    x : ndarray, shape (n, p)
        NaN where missing.
    y : array of 0 and 1, shape (n,)
    settings : Settings
    groups : array, shape (n,), default=None
        As for :func:`select_hyperparameters`.

    Returns
    -------
    model : keras.Model
        Raw values of the columns in, (n, 1) probability out.
    columns : ndarray of int
        What it takes, in this order.
    """
    from epitome_kit.grade.ann import join

    choice = select_hyperparameters(x, y, settings, groups)
    columns = np.unique(np.concatenate(choice.selections))
    graders = [_new_network(settings).fit(x[:, chosen], y) for chosen in choice.selections]
    places = [np.searchsorted(columns, chosen) for chosen in choice.selections]
    return join(graders, places, len(columns)), columns


def leading_model(settings):
    """Return the leading model of some settings; building a network takes longer than training it, so it is kept."""
    if not settings.network:
        return BaselineClassifier(BASELINE, settings.seed)
    return _kept_network(settings._replace(rivals=True))


def _new_network(settings):
    from epitome_kit.grade.ann import Grader

    return Grader(
        settings.features, settings.subjects, epochs=settings.epochs, balanced=settings.balanced, seed=settings.seed
    )


_kept_network = lru_cache(maxsize=2)(_new_network)


def _answer(model, x, y, unseen, choice, known=None):
    """Probabilities of unseen subjects, as they are and calibrated.

    `known` are those of training subjects out of the inner folds; found here where they are not given.
    """
    if known is None:
        known = np.full(len(y), np.nan)
        for learn, check, selections in choice.inner:
            known[check] = _mean_answer(model, x[learn], y[learn], x[check], selections)
    probability = _mean_answer(model, x, y, unseen, choice.selections)
    return probability, calibrate(known, y, probability) if choice.inner else probability


def _mean_answer(model, x, y, unseen, selections):
    """Train on each selection, predict, and take the mean."""
    return np.mean([model.fit(x[:, chosen], y).predict(unseen[:, chosen]) for chosen in selections], axis=0)


def _select(x, y, number, seed):
    filled = _FILLING.fit_transform(x)
    return [choose_columns(filled, y, keep=number, method=method, seed=seed) for method in METHODS]


def _inner_folds(y, seed, groups=None):
    """Masks of the training subjects of each inner fold, and of the others."""
    labels, groups = pd.Series(y), None if groups is None else pd.Series(groups)
    units = labels if groups is None else class_of_groups(labels, groups)
    folds = min(INNER_FOLDS, np.bincount(units, minlength=2).min())
    if folds < 2:
        return []
    dealt = assign_folds(labels, folds=int(folds), seed=seed, groups=groups).to_numpy()
    return [(dealt != fold, dealt == fold) for fold in range(folds)]
