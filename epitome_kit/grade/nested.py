"""One fold of nested cross-validation: select features, train, predict and calibrate, on training rows alone."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score

from epitome_kit.files import Json
from epitome_kit.folds import assign_folds, class_of_groups, require_disjoint
from epitome_kit.grade.baselines import BASELINES, calibrate, make_baseline
from epitome_kit.grade.select import METHODS, FeatureSelector
from epitome_kit.learn.probes import GROUP, feature_columns, probe_columns

if TYPE_CHECKING:
    from epitome_kit.backend import Model
    from epitome_kit.grade.grader import Grader

NUMBERS = (10, 20, 40, 80)
"""Candidate numbers of features."""

MOST_WITHOUT_SELECTION = max(NUMBERS)
"""Number of features up to which the models take all of them: selection does better only in wider tables.

On simulated cohorts with the 80 features of the kit, the network had a higher AUC
without selection; with 2,030 features, selection had (``benchmarks/selection.md``).
"""

ALL, SELECTED = "all features", "selected features"
"""Names of the primary model on all features and on selected ones; one of them is the model itself."""

INNER_FOLDS = 4
"""Number of inner folds."""

ANN = "ann"
"""Name of the network in the results."""

BASELINE = "logistic"
"""Baseline that takes the place of the network if none is trained."""

_IMPUTER = SimpleImputer(strategy="median", keep_empty_features=True)


class Settings(NamedTuple):
    """Settings of all folds.

    Attributes
    ----------
    features, subjects : int
        Maximum number of selected features, and of training subjects of a fold.
    epochs : int
        Number of training steps of the network.
    balanced : bool
        Whether both classes have the same total weight.
    seed : int
        Seed of selection, inner folds and networks.
    baselines : bool
        Whether to train the baselines as well.
    network : bool
        Whether to train the network; else :data:`BASELINE` takes its place.
    selects : bool
        Whether the models take selected features; else all of them.
    """

    features: int
    subjects: int
    epochs: int = 30
    balanced: bool = True
    seed: int = 0
    baselines: bool = True
    network: bool = True
    selects: bool = True

    @property
    def primary(self) -> str:
        """Name of the primary model."""
        return ANN if self.network else BASELINE


Selections = Sequence[np.ndarray | slice]
"""Columns of several selections of features."""


class Hyperparameters(NamedTuple):
    """Selected features.

    Attributes
    ----------
    numbers : list of int
        Numbers of features by each method: the better half of :data:`NUMBERS`; none
        without selection.
    selections : list of ndarray of int
        Columns that each of :data:`METHODS` selects on all training rows, for each of
        the numbers; without selection, all columns that have a value, once.
    inner : sequence of (train, validation, selections)
        Masks of each inner fold, and the columns selected on its training rows.
    probabilities : ndarray, shape (n,), or None
        Probabilities of the primary model, out of the inner folds; NaN without inner
        folds, None without selection.
    """

    numbers: list[int]
    selections: Selections
    inner: Sequence[tuple[np.ndarray, np.ndarray, Selections]]
    probabilities: np.ndarray | None = None


def grade_fold(rows: pd.DataFrame, settings: Settings) -> Json:
    """Train on the training rows of a fold and predict its test rows.

    Parameters
    ----------
    rows : DataFrame
        ``participant_id``, ``repeat``, ``fold``, ``role`` ("train" or "test"),
        ``label`` (0 or 1), features, and columns of probes. Rows with the same
        ``group_id``, if there is such a column, are in the same inner fold.
    settings : Settings
        Settings of all folds.

    Returns
    -------
    dict
        ``predictions``: DataFrame with one row per model and test subject, columns
        ``model``, ``participant_id``, ``repeat``, ``fold``, ``label``,
        ``probability``, ``calibrated``. ``selects``, as in the settings. ``selected``:
        for each selection its ``method``, ``number`` and names of ``features``. With
        baselines, the primary model is trained both on all features and on selected ones.

    Raises
    ------
    LeakageError
        A subject, or a group, has both training and test rows.
    """
    train, test = rows[rows.role == "train"], rows[rows.role == "test"]
    require_disjoint(train.participant_id, test.participant_id, where=f"fold {rows.fold.iloc[0]}")
    groups = train[GROUP].to_numpy() if GROUP in rows else None
    if groups is not None:
        require_disjoint(groups, test[GROUP], where=f"fold {rows.fold.iloc[0]}", what="group")
    columns = feature_columns(rows)
    x, y, x_test = train[columns].to_numpy(np.float32), train.label.to_numpy(int), test[columns].to_numpy(np.float32)
    selected = chosen = _choose_features(x, y, settings, groups)
    results = {settings.primary: _predict(primary_model(settings), x, y, x_test, chosen, known=chosen.probabilities)}
    if settings.baselines:
        reverse = settings._replace(selects=not settings.selects, features=max(settings.features, len(columns)))
        other = _choose_features(x, y, reverse, groups)
        selected = chosen if settings.selects else other
        results[SELECTED if reverse.selects else ALL] = _predict(
            primary_model(reverse), x, y, x_test, other, known=other.probabilities
        )
        for name in [name for name in BASELINES if name not in results]:
            results[name] = _predict(make_baseline(name, settings.seed), x, y, x_test, chosen)
        for name, probe in probe_columns(rows).items():
            values, test_values = train[probe].to_numpy(np.float32), test[probe].to_numpy(np.float32)
            together = use_all_features(values, y, settings, groups)
            results[name] = _predict(make_baseline("logistic"), values, y, test_values, together)
    subjects = test[["participant_id", *([GROUP] if GROUP in test else []), "repeat", "fold", "label"]]
    parts = [subjects.assign(model=name, probability=p, calibrated=c) for name, (p, c) in results.items()]
    pairs = list(product(selected.numbers, METHODS))  # none without selection
    return {
        "predictions": pd.concat(parts, ignore_index=True),
        "selects": settings.selects,
        "selected": [
            {"method": method, "number": number, "features": np.array(columns)[part].tolist()}
            for (number, method), part in zip(pairs, selected.selections[: len(pairs)], strict=True)
        ],
    }


def use_all_features(
    x: np.ndarray, y: np.ndarray, settings: Settings, groups: np.ndarray | None = None
) -> Hyperparameters:
    """Take all features that have a value (all, if none has one), in the same inner folds as a selection.

    Parameters
    ----------
    x, y, settings, groups
        As for :func:`select_hyperparameters`.

    Returns
    -------
    Hyperparameters
        Without numbers of features.
    """
    known = np.isfinite(x).any(axis=0)
    everything = [np.flatnonzero(known if known.any() else ~known)]  # a model needs a column, if only of missing values
    inner = [(*masks, everything) for masks in _inner_folds(y, settings.seed, groups)]
    return Hyperparameters([], everything, inner)


def select_hyperparameters(
    x: np.ndarray, y: np.ndarray, settings: Settings, groups: np.ndarray | None = None
) -> Hyperparameters:
    """Select features by every method, and the number of features by the AUC in inner folds.

    One model is trained for each selection, that is for each method and the better
    half of the numbers, and their mean is the prediction. A single best selection
    would depend on chance with a few dozen subjects.

    Parameters
    ----------
    x : ndarray, shape (n, p)
        Features of the training subjects; NaN where missing.
    y : array of 0 and 1, shape (n,)
        Labels.
    settings : Settings
        Settings of all folds.
    groups : array, shape (n,), default=None
        Group of each row; rows of one group are in one inner fold.

    Returns
    -------
    Hyperparameters
        The smaller numbers if a class has fewer than two subjects.
    """
    offered = max(1, int(np.isfinite(x).any(axis=0).sum()))
    numbers = sorted({min(number, settings.features, offered) for number in NUMBERS})
    folds = _inner_folds(y, settings.seed, groups)
    aucs, probabilities = np.zeros(len(numbers)), np.full((len(numbers), len(y)), np.nan)
    selected: dict[tuple[int, int], list[np.ndarray]] = {}
    for fold, (train, validation) in enumerate(folds):
        for n, number in enumerate(numbers):
            columns = selected[fold, n] = _select(x[train], y[train], number, settings.seed)
            probabilities[n, validation] = _mean_prediction(
                primary_model(settings), x[train], y[train], x[validation], columns
            )
            aucs[n] += roc_auc_score(y[validation], probabilities[n, validation])
    better = sorted(np.argsort(-aucs, kind="stable")[: (len(numbers) + 1) // 2])
    selections = [columns for n in better for columns in _select(x, y, numbers[n], settings.seed)]
    inner = [(*masks, [each for n in better for each in selected[fold, n]]) for fold, masks in enumerate(folds)]
    return Hyperparameters([numbers[n] for n in better], selections, inner, probabilities[better].mean(axis=0))


def train_network(
    x: np.ndarray, y: np.ndarray, settings: Settings, groups: np.ndarray | None = None
) -> tuple["Model", np.ndarray]:
    """Choose features and train the network on all subjects.

    Parameters
    ----------
    x : ndarray, shape (n, p)
        Features; NaN where missing.
    y : array of 0 and 1, shape (n,)
        Labels.
    settings : Settings
        Settings of all folds.
    groups : array, shape (n,), default=None
        Groups, as for :func:`select_hyperparameters`.

    Returns
    -------
    model : keras.Model
        Maps raw values of the columns to the probability (n, 1).
    columns : ndarray of int
        Input columns, in order.
    """
    from epitome_kit.grade.grader import join

    chosen = _choose_features(x, y, settings, groups)
    selections = [np.arange(x.shape[1])[selected] for selected in chosen.selections]
    columns = np.unique(np.concatenate(selections))
    graders = [_new_network(settings).fit(x[:, selected], y) for selected in selections]
    places = [np.searchsorted(columns, selected) for selected in selections]
    return join(graders, places, len(columns)), columns


def _choose_features(x: np.ndarray, y: np.ndarray, settings: Settings, groups: np.ndarray | None) -> Hyperparameters:
    return (select_hyperparameters if settings.selects else use_all_features)(x, y, settings, groups)


def primary_model(settings: Settings) -> ClassifierMixin:
    """Return the primary model; a network is cached, as building it takes longer than training."""
    if not settings.network:
        return make_baseline(BASELINE, settings.seed)
    return _cached_network(settings._replace(baselines=True, selects=True))  # which do not change the network


def _new_network(settings: Settings) -> "Grader":
    from epitome_kit.grade.grader import Grader

    return Grader(
        epochs=settings.epochs,
        balanced=settings.balanced,
        max_features=settings.features,
        max_subjects=settings.subjects,
        random_state=settings.seed,
    )


_cached_network = lru_cache(maxsize=2)(_new_network)


def _predict(
    model: ClassifierMixin,
    x: np.ndarray,
    y: np.ndarray,
    x_test: np.ndarray,
    chosen: Hyperparameters,
    known: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of test subjects, raw and calibrated.

    `known` are the probabilities of the training subjects out of the inner folds;
    None computes them.
    """
    if known is None:
        known = np.full(len(y), np.nan)
        for train, validation, selections in chosen.inner:
            known[validation] = _mean_prediction(model, x[train], y[train], x[validation], selections)
    probability = _mean_prediction(model, x, y, x_test, chosen.selections)
    return probability, calibrate(known, y, probability) if chosen.inner else probability


def _mean_prediction(
    model: ClassifierMixin, x: np.ndarray, y: np.ndarray, x_test: np.ndarray, selections: Selections
) -> np.ndarray:
    """Train on each selection, and return the mean prediction."""
    fitted = (model.fit(x[:, columns], y).predict_proba(x_test[:, columns]) for columns in selections)
    return np.mean([probabilities[:, 1] for probabilities in fitted], axis=0)


def _select(x: np.ndarray, y: np.ndarray, number: int, seed: int) -> list[np.ndarray]:
    imputed = _IMPUTER.fit_transform(x)
    selectors = [FeatureSelector(keep=number, method=method, random_state=seed) for method in METHODS]
    orders = [selector.fit(imputed, y).order_ for selector in selectors]
    strongest = orders[0][:1] if len(orders[0]) else np.zeros(1, int)  # the first column if all are constant
    return [order if len(order) else strongest for order in orders]  # the strongest where none is stable


def _inner_folds(y: np.ndarray, seed: int, groups: np.ndarray | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return masks of the training and validation rows of each inner fold."""
    labels, group_of = pd.Series(y), None if groups is None else pd.Series(groups)
    units = labels if group_of is None else class_of_groups(labels, group_of)
    folds = min(INNER_FOLDS, np.bincount(units, minlength=2).min())
    if folds < 2:
        return []
    fold_of = assign_folds(labels, folds=int(folds), seed=seed, groups=group_of).to_numpy()
    return [(fold_of != fold, fold_of == fold) for fold in range(folds)]
