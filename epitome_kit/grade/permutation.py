"""Test a pipeline by permutations of the labels that train again, and measure what training adds to the variance."""

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata
from sklearn.impute import SimpleImputer

from epitome_kit import __version__
from epitome_kit.files import Json, PathLike
from epitome_kit.grade.baselines import make_baseline
from epitome_kit.grade.scores import estimates, units_of, variance
from epitome_kit.grade.splits import permute_labels
from epitome_kit.learn.probes import GROUP, feature_columns
from epitome_kit.metrics import auc_of_ranks
from epitome_kit.parallel import for_each
from epitome_kit.resume import Record
from epitome_kit.workspace import Workspace

DRAWS = 199
"""Number of permutations."""

FEATURES = 20
"""Number of features that the permuted pipeline selects."""

Learner = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Takes features (n, p) and labels (draws, n) of training rows and features (m, p) of test rows; returns
probabilities (draws, m), one classifier trained for each draw of the labels."""


class Fold(NamedTuple):
    """Rows of one fold.

    Attributes
    ----------
    train, test : ndarray of int
        Numbers of the rows.
    x_train, x_test : ndarray, shape (n, p) and (m, p)
        Features; NaN where missing.
    """

    train: np.ndarray
    test: np.ndarray
    x_train: np.ndarray
    x_test: np.ndarray


class Permutations(NamedTuple):
    """Scores of one pipeline with the actual labels and with permuted ones.

    Attributes
    ----------
    auc : float
        AUC with the actual labels.
    aucs : ndarray, shape (draws,)
        AUC of each permutation.
    design_effects : dict of str to float
        By name of the score, its variance over the permutations, in units of its mean
        variance if predictions are held fixed; at least 1.
    """

    auc: float
    aucs: np.ndarray
    design_effects: dict[str, float]

    @property
    def p(self) -> float:
        """Share of labellings with at least this AUC; the actual one is one of them."""
        return float((1 + (self.aucs >= self.auc - 1e-12).sum()) / (1 + len(self.aucs)))

    def describe(self, labels: np.ndarray, features: int) -> Json:
        """Describe the test, for ``scores.json``.

        Parameters
        ----------
        labels : array of 0 and 1, shape (n,)
            Classes.
        features : int
            Number of features of the table.

        Returns
        -------
        dict
            ``pipeline``, what was trained again; ``draws``; its ``auc``, with the actual
            labels; ``p``; ``detectable_auc``, see :func:`smallest_detectable_auc`;
            ``design_effects``.
        """
        return {
            "pipeline": describe_pipeline(features),
            "draws": len(self.aucs),
            "auc": self.auc,
            "p": self.p,
            "detectable_auc": smallest_detectable_auc(self, labels),
            "design_effects": self.design_effects,
        }


def permute(
    folds: Sequence[Fold],
    labels: np.ndarray,
    learner: Learner,
    *,
    groups: np.ndarray | None = None,
    features: int = FEATURES,
    draws: int = DRAWS,
    seed: int = 0,
    workers: int | None = None,
) -> Permutations:
    """Cross-validate one pipeline with the actual labels, and again with permuted labels.

    In every fold, and for every permutation, missing values are imputed, features are
    ranked and selected, and the classifier is trained, all on the training rows. Labels
    are permuted within each test fold, so that each fold keeps its classes; that is
    exact if folds were stratified by class at random.

    Parameters
    ----------
    folds : sequence of Fold
        Each row is in one test fold.
    labels : array of 0 and 1, shape (n,)
        Classes.
    learner : callable
        See :data:`Learner` and :func:`refit`.
    groups : ndarray, shape (n,), default=None
        Groups of rows, which are permuted as a whole.
    features : int, default=20
        Number of features, the strongest by their own AUC, that are selected.
    draws : int, default=199
        Number of permutations.
    seed : int, default=0
        Seed of the permutations.
    workers : int or None, default=None
        Number of processes; None computes here, without a progress bar.

    Returns
    -------
    Permutations
        p value and design effects.

    Notes
    -----
    The folds of a cross-validation share training subjects, and the direction that a
    classifier has learned from a small sample varies. Its AUC therefore varies more than
    test subjects alone would make it: with 48 subjects and no signal, with twice the
    variance. Permuted labels show by how much, for this table and this pipeline. The
    factor is used for other true AUCs too; ``benchmarks/coverage.md`` has the coverage
    of the intervals that result.

    References
    ----------
    Ojala and Garriga, J Mach Learn Res 2010, 11:1833-1863
    """
    rng = np.random.default_rng(seed)
    shuffled = permute_labels(labels, [fold.test for fold in folds], groups=groups, draws=draws, rng=rng)
    probabilities = np.empty(shuffled.shape)
    jobs = [(fold, shuffled[:, fold.train]) for fold in folds]
    predict = partial(_predict, learner=learner, features=features)
    found = for_each(predict, jobs, title="Permuting the labels", workers=workers) if workers else map(predict, jobs)
    for fold, predicted in zip(folds, found, strict=True):
        probabilities[:, fold.test] = predicted
    units = units_of(labels, groups)
    values: dict[str, list[float]] = {}
    variances: dict[str, list[float]] = {}
    for each, predicted in zip(shuffled, probabilities, strict=True):
        for name, estimate in estimates(each, predicted[None]).items():
            values.setdefault(name, []).append(estimate.value)
            variances.setdefault(name, []).append(variance(estimate, units))
    effects = {
        name: max(1.0, float(np.var(values[name][1:], ddof=1)) / max(float(np.mean(variances[name][1:])), 1e-12))
        for name in values
    }
    return Permutations(values["auc"][0], np.array(values["auc"][1:]), effects)


def refit(x: np.ndarray, labels: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """Train the baseline "logistic" on each draw of the labels, see :data:`Learner`.

    Parameters
    ----------
    x : ndarray, shape (n, p)
        Features of the training rows.
    labels : array of 0 and 1, shape (draws, n)
        Their classes.
    x_test : ndarray, shape (m, p)
        Features of the test rows.

    Returns
    -------
    ndarray, shape (draws, m)
        Probabilities.
    """
    model = make_baseline("logistic")
    return np.array(
        [
            model.fit(x, each).predict_proba(x_test)[:, 1] if 0 < each.mean() < 1 else np.full(len(x_test), each.mean())
            for each in labels
        ]
    )


def permute_table(
    table: pd.DataFrame, out: PathLike, *, draws: int = DRAWS, seed: int = 0, workers: int = 1
) -> Permutations | None:
    """Permute the labels of a table, see :func:`permute`; a finished result with the same rows is kept.

    The pipeline is that of :func:`describe_pipeline`: cheaper than the graded one, and with
    a score of its own, which is printed beside its p value.

    Parameters
    ----------
    table : DataFrame
        Labelled rows of every subject in every fold, as for
        :func:`epitome_kit.grade.nested.grade_fold`. The first repeat is used.
    out : path
        Workspace, in whose ``folds/`` the result is kept.
    draws : int, default=199
        Number of permutations.
    seed : int, default=0
        Seed of the permutations.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    Permutations or None
        None for 0 draws.
    """
    if not draws:
        return None
    folds, labels, groups = folds_of_table(table)
    digest = sha256(repr([groups is None, *feature_columns(table)]).encode())
    for array in (
        labels,
        *([] if groups is None else [groups.astype(str)]),
        *(part for fold in folds for part in fold),
    ):
        digest.update(np.ascontiguousarray(array).tobytes())
    settings = {"version": __version__, "features": FEATURES, "draws": draws, "seed": seed}
    record = Record(Workspace(out).ann_folds / "permutations.json", settings, {"rows": digest.hexdigest()[:16]})
    if kept := record.results():
        return Permutations(kept["auc"], np.array(kept["aucs"]), kept["design_effects"])
    found = permute(folds, labels, refit, groups=groups, draws=draws, seed=seed, workers=workers)
    record.finish(auc=found.auc, aucs=found.aucs.tolist(), design_effects=found.design_effects)
    return found


def describe_pipeline(features: int) -> str:
    """Describe what :func:`permute_table` trains.

    Parameters
    ----------
    features : int
        Number of features of the table.

    Returns
    -------
    str
        Such as "logistic regression on the 20 strongest features, one repeat".
    """
    chosen = f"the {FEATURES} strongest features" if features > FEATURES else f"all {features} features"
    return f"logistic regression on {chosen}, one repeat"


def folds_of_table(table: pd.DataFrame) -> tuple[list[Fold], np.ndarray, np.ndarray | None]:
    """Return the folds, labels and groups of the first repeat of a table.

    Parameters
    ----------
    table : DataFrame
        Labelled rows of every subject in every fold, as for
        :func:`epitome_kit.grade.nested.grade_fold`.

    Returns
    -------
    folds : list of Fold
    labels : ndarray, shape (n,)
    groups : ndarray, shape (n,), or None
    """
    first = table[table["repeat"] == table["repeat"].min()] if "repeat" in table else table
    subjects = first[first.role == "test"].set_index("participant_id")
    number = pd.Series(np.arange(len(subjects)), subjects.index)
    columns, folds = feature_columns(table), []
    for _, rows in first.groupby("fold"):
        train, test = rows[rows.role == "train"], rows[rows.role == "test"]
        numbers = (number[each.participant_id].to_numpy() for each in (train, test))
        values = (each[columns].to_numpy(np.float32) for each in (train, test))
        folds.append(Fold(*numbers, *values))
    return folds, subjects.label.to_numpy(int), subjects[GROUP].to_numpy() if GROUP in subjects else None


def smallest_detectable_auc(permutations: Permutations, labels: np.ndarray, *, power: float = 0.8) -> float:
    """Compute the smallest expected AUC that a cohort of this size tells from 0.5.

    Parameters
    ----------
    permutations : Permutations
        Of this cohort and pipeline.
    labels : array of 0 and 1, shape (n,)
        Classes.
    power : float, default=0.8
        Probability that p is at most 0.05.

    Returns
    -------
    float
        Expected AUC; 1 if no AUC is told with this probability.
    """
    critical = np.quantile(permutations.aucs, 0.95)
    positive = int(np.sum(labels))
    size = 12 * positive * (len(labels) - positive) / (len(labels) + 1) / 4 / permutations.design_effects["auc"]
    expected = np.linspace(0.5, 0.999, 500)
    told = expected - norm.ppf(power) * np.sqrt(expected * (1 - expected) / size) >= critical
    return float(expected[told][0]) if told.any() else 1.0


def _predict(job: tuple[Fold, np.ndarray], learner: Learner, features: int) -> np.ndarray:
    """Train on each draw of the labels (draws, n), and return the probabilities of the test rows."""
    fold, labels = job
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    x, x_test = imputer.fit_transform(fold.x_train), imputer.transform(fold.x_test)
    if x.shape[1] <= features:
        return learner(x, labels, x_test)
    ranks = rankdata(x, axis=0)
    predicted = np.empty((len(labels), len(x_test)))
    for draw, each in enumerate(labels):
        strength = np.abs(2 * auc_of_ranks(ranks, each) - 1)
        columns = np.argsort(-strength, kind="stable")[:features]
        predicted[draw] = learner(x[:, columns], each[None], x_test[:, columns])[0]
    return predicted
