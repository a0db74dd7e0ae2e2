"""The scoreboard of a grading: scores of the model, its baselines and probes, calibration and net benefit."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from epitome_kit.files import Json
from epitome_kit.grade.baselines import BASELINES
from epitome_kit.grade.calibration import score_calibration
from epitome_kit.grade.compare import Predictions, compare, gather_predictions
from epitome_kit.grade.decision import summarise_decision
from epitome_kit.grade.nested import ALL, NUMBERS, SELECTED
from epitome_kit.grade.permutation import Permutations
from epitome_kit.grade.reliable import count_offered
from epitome_kit.grade.scores import score
from epitome_kit.grade.select import METHODS
from epitome_kit.learn.probes import feature_columns, probe_columns


def build_scoreboard(
    results: Sequence[Json],
    table: pd.DataFrame,
    *,
    others: Mapping[str, Sequence[Json]] | None = None,
    permutations: Permutations | None = None,
    seed: int = 0,
) -> Json:
    """Build the scoreboard from the results of all folds.

    Parameters
    ----------
    results : list of dict
        From :func:`cross_validate`.
    table : DataFrame
        Table that was graded.
    others : dict of str to list of dict, default=None
        Results of the same model on other tables, by name.
    permutations : Permutations, default=None
        Of the table, for p value and intervals; None if there are none.
    seed : int, default=0
        Seed of the grading, which is recorded.

    Returns
    -------
    dict
        ``model``, the name of the primary model, and its scores, as from
        :func:`epitome_kit.grade.scores.score`; ``baselines`` and ``probes`` with the same
        keys for each; ``differences`` in AUC to each of them, as from
        :func:`epitome_kit.grade.compare.compare`; ``permutation_p`` and ``permutation``,
        as from :meth:`epitome_kit.grade.permutation.Permutations.describe`;
        ``calibration`` of the calibrated probabilities, as from
        :func:`epitome_kit.grade.calibration.score_calibration`, with None for NaN;
        ``decision``, as from :func:`epitome_kit.grade.decision.summarise_decision`; ``folds``,
        ``repeats``, ``seed``, ``features`` (see
        :func:`epitome_kit.grade.reliable.count_offered`) and ``selection``.
    """
    found = _predictions(results)
    primary, (own, calibrated) = next(iter(found.items()))
    added = {name: _predictions(each)[primary] for name, each in (others or {}).items()}
    effects = permutations.design_effects if permutations else None
    scored = {name: _score(*each, effects) for name, each in {**found, **added}.items()}
    compared = {name: each for name, (each, _) in {**found, **added}.items() if name != primary}
    selections = [each for result in results for each in result["selected"]]
    numbers = pd.Series([each["number"] for each in selections if each["method"] == METHODS[0]])
    repeats = table["repeat"].nunique() if "repeat" in table else 1
    return {
        "model": primary,
        **scored[primary],
        "permutation_p": permutations.p if permutations else None,
        "permutation": permutations.describe(own.labels, len(feature_columns(table))) if permutations else None,
        "calibration": _without_nan(score_calibration(own.labels, calibrated, groups=own.groups)),
        "decision": summarise_decision(
            own.labels, calibrated, groups=own.groups, design_effect=effects["accuracy"] if effects else 1.0
        ),
        "baselines": {
            "majority": majority(own.labels, own.groups),
            **{name: scored[name] for name in (ALL, SELECTED, *BASELINES, *added) if name in compared},
        },
        "probes": {name: scored[name] for name in probe_columns(table)},
        "differences": compare(own, compared, design_effect=effects["auc"] if effects else 1.0),
        "folds": int(table.fold.nunique()),
        "repeats": int(repeats),
        "seed": seed,
        "features": {**count_offered(table), "selected": sorted(set(numbers.tolist()))},
        "selection": {
            "used": all(result["selects"] for result in results),
            "methods": list(METHODS),
            "numbers": list(NUMBERS),
            "chosen": {str(number): int(count) for number, count in numbers.value_counts().items()},
        },
    }


def majority(labels: ArrayLike, groups: ArrayLike | None = None) -> Json:
    """Score the majority-class baseline, with the share of class 1 as the probability.

    Parameters
    ----------
    labels : array of 0 and 1, shape (n,)
        Classes.
    groups : array, shape (n,), default=None
        Groups, as for :func:`epitome_kit.grade.scores.score`.

    Returns
    -------
    dict
        Scores as from :func:`epitome_kit.grade.scores.score`.
    """
    labels = np.asarray(labels, int)
    constant = {"auc_ci95": [0.5, 0.5], "balanced_accuracy_ci95": [0.5, 0.5]}
    return score(labels, np.full(len(labels), labels.mean()), groups=groups) | constant


def _predictions(results: Sequence[Json]) -> dict[str, tuple[Predictions, np.ndarray]]:
    """Return the out-of-fold probabilities of each model, and the calibrated ones, subjects sorted by name."""
    found = {}
    rows = pd.concat([result["predictions"] for result in results])
    for name, part in rows.groupby("model", sort=False):
        _, raw, calibrated = gather_predictions(part)
        found[str(name)] = raw, calibrated
    return found


def _score(raw: Predictions, calibrated: np.ndarray, effects: Mapping[str, float] | None) -> Json:
    return score(raw.labels, raw.probabilities, calibrated, groups=raw.groups, design_effects=effects)


def _without_nan(values: Json) -> Json:
    """Replace numbers that are not known by None, and intervals by None."""
    return {name: value if np.isfinite(value).all() else None for name, value in values.items()}
