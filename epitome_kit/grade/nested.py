"""One fold of nested cross-validation: choose, learn, predict and calibrate, from training rows alone."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score

from epitome_kit.folds import assign_folds, require_apart
from epitome_kit.grade.ann import Grader
from epitome_kit.grade.rivals import RIVALS, Rival, calibrate
from epitome_kit.grade.select import METHODS, choose_columns
from epitome_kit.learn.features import feature_columns, probe_columns

NUMBERS = (10, 20, 40, 80)
"""Numbers of features to choose from."""

INNER_FOLDS = 4

ANN = "ann"
"""Name of the network among the models."""

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
    """

    features: int
    subjects: int
    epochs: int = 60
    balanced: bool = True
    seed: int = 0
    rivals: bool = True


class Choice(NamedTuple):
    """Features that were selected, and how.

    Attributes
    ----------
    method : str
    number : int
    columns : ndarray of int
        Selected on all that was given.
    inner : list of (learn, check, columns)
        Masks of each inner fold, and the columns selected on what it learns from.
    probabilities : ndarray, shape (n,)
        Of the network, out of the inner folds; NaN where there are none.
    """

    method: str
    number: int
    columns: np.ndarray
    inner: list
    probabilities: np.ndarray

    def of_everything(self):
        """Return the same inner folds, without any selection."""
        whole = slice(None)
        return self._replace(columns=whole, inner=[(learn, check, whole) for learn, check, _ in self.inner])


def grade_fold(rows, settings):
    """Learn from the training rows of a fold and predict its test rows.

    Parameters
    ----------
    rows : DataFrame
        ``participant_id``, ``repeat``, ``fold``, ``role`` ("train" or "test"),
        ``label`` (0 or 1), features, and columns of probes.
    settings : Settings

    Returns
    -------
    dict
        ``predictions``: DataFrame with a row a model and test subject, columns
        ``model``, ``participant_id``, ``repeat``, ``fold``, ``label``,
        ``probability``, ``calibrated``. ``selected``: names of features.
        ``method`` and ``number``: how they were chosen.

    Raises
    ------
    Leak
        A subject is both in training and in test.
    """
    train, test = rows[rows.role == "train"], rows[rows.role == "test"]
    require_apart(train.participant_id, test.participant_id, where=f"fold {rows.fold.iloc[0]}")
    columns = feature_columns(rows)
    x, y, unseen = train[columns].to_numpy(np.float32), train.label.to_numpy(int), test[columns].to_numpy(np.float32)
    choice = choose(x, y, settings)
    answers = {ANN: _answer(network(settings), x, y, unseen, choice, known=choice.probabilities)}
    if settings.rivals:
        answers |= {name: _answer(Rival(name, settings.seed), x, y, unseen, choice) for name in RIVALS}
        for name, alone in probe_columns(rows).items():
            known, new = train[alone].to_numpy(np.float32), test[alone].to_numpy(np.float32)
            answers[name] = _answer(Rival("logistic"), known, y, new, choice.of_everything())
    told = test[["participant_id", "repeat", "fold", "label"]]
    parts = [told.assign(model=name, probability=p, calibrated=c) for name, (p, c) in answers.items()]
    return {
        "predictions": pd.concat(parts, ignore_index=True),
        "selected": [columns[index] for index in choice.columns],
        "method": choice.method,
        "number": choice.number,
    }


def choose(x, y, settings):
    """Choose a way to select and a number of features by inner folds, and select.

    Both are judged by the AUC of the network in the inner folds: a method by its
    mean over the numbers, a number by its mean over the methods. Fewer things are
    compared that way than if every pair stood for itself, so luck decides less.

    Parameters
    ----------
    x : ndarray, shape (n, p)
        Training subjects; NaN where missing.
    y : array of 0 and 1, shape (n,)
    settings : Settings

    Returns
    -------
    Choice
        With fewer than two subjects of a class: the first method and number.
    """
    numbers = sorted({min(number, settings.features) for number in NUMBERS})
    masks = _inner_folds(y, settings.seed)
    aucs = np.zeros((len(METHODS), len(numbers)))
    probabilities, columns = np.full((*aucs.shape, len(y)), np.nan), {}
    for fold, (learn, check) in enumerate(masks):
        filled = _FILLING.fit_transform(x[learn])
        for m, method in enumerate(METHODS):
            for n, number in enumerate(numbers):
                kept = choose_columns(filled, y[learn], keep=number, method=method, seed=settings.seed)
                answer = network(settings).fit(x[learn][:, kept], y[learn]).predict(x[check][:, kept])
                aucs[m, n] += roc_auc_score(y[check], answer)
                probabilities[m, n, check], columns[fold, m, n] = answer, kept
    m, n = aucs.mean(axis=1).argmax(), aucs.mean(axis=0).argmax()
    kept = choose_columns(_FILLING.fit_transform(x), y, keep=numbers[n], method=METHODS[m], seed=settings.seed)
    inner = [(*both, columns[fold, m, n]) for fold, both in enumerate(masks)]
    return Choice(METHODS[m], numbers[n], kept, inner, probabilities[m, n])


@lru_cache(maxsize=2)
def _network(features, subjects, epochs, balanced, seed):
    return Grader(features, subjects, epochs=epochs, balanced=balanced, seed=seed)


def network(settings):
    """Return the network of some settings; building it takes longer than training it, so it is kept."""
    return _network(*settings[:-1])


def _answer(model, x, y, unseen, choice, known=None):
    """Probabilities of unseen subjects, as they are and calibrated.

    `known` are those of training subjects out of the inner folds; found here where they are not given.
    """
    if known is None:
        known = np.full(len(y), np.nan)
        for learn, check, columns in choice.inner:
            known[check] = model.fit(x[learn][:, columns], y[learn]).predict(x[check][:, columns])
    probability = model.fit(x[:, choice.columns], y).predict(unseen[:, choice.columns])
    return probability, calibrate(known, y, probability) if choice.inner else probability


def _inner_folds(y, seed):
    """Masks of the training subjects of each inner fold, and of the others."""
    folds = min(INNER_FOLDS, np.bincount(y, minlength=2).min())
    if folds < 2:
        return []
    dealt = assign_folds(pd.Series(y), folds=int(folds), seed=seed).to_numpy()
    return [(dealt != fold, dealt == fold) for fold in range(folds)]
