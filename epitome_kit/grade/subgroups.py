"""Scores of subgroups of subjects, and a test whether they differ."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import f as fisher

from epitome_kit.cohort import Cohort
from epitome_kit.files import Json, PathLike, read_json, read_tsv, write_tsv
from epitome_kit.grade.calibration import score_calibration
from epitome_kit.grade.compare import gather_predictions
from epitome_kit.grade.differences import holm
from epitome_kit.grade.scores import estimates, score, units_of, variance
from epitome_kit.lock import locks
from epitome_kit.vocabulary import institutions
from epitome_kit.workspace import Workspace

FEWEST = 5
"""Fewest subjects, or groups of rows, of each class in a subgroup that is scored."""

MEASURES = ("auc", "accuracy", "in_the_large")
"""What is measured in each subgroup: AUC, accuracy, and calibration in the large."""

_CATEGORIES = 5
_COLUMNS = (
    *("variable", "group", "n", "negative", "positive"),
    *(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")),
    *("p", "p_holm", "note"),
)


def score_subgroups(
    predictions: pd.DataFrame, variables: pd.DataFrame, *, design_effects: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Score out-of-fold predictions in subgroups of subjects, such as those of each sex.

    Parameters
    ----------
    predictions : DataFrame
        As in ``predictions.tsv``: ``participant_id``, ``repeat``, ``label``,
        ``probability``, ``calibrated``, and ``group_id`` if rows are grouped.
    variables : DataFrame
        One column for each variable, indexed by participant_id. Numbers of more than
        five values are halved at their median, see :func:`halves`; all other values
        are names of subgroups. Subjects without a value are left out.
    design_effects : dict of str to float, default=None
        Factors for the variation of training, as for
        :func:`epitome_kit.grade.scores.score`.

    Returns
    -------
    DataFrame
        One row for each subgroup: ``variable``, ``group``, ``n``, ``negative`` and
        ``positive`` (numbers of each class); ``auc``, ``accuracy`` and
        ``in_the_large`` with ``..._low`` and ``..._high``; ``p`` of :func:`difference_p`
        for the AUC, the same in all rows of a variable, and ``p_holm``, adjusted for the
        variables; ``note``, why a subgroup is not scored.

    Notes
    -----
    A subgroup is scored if it has at least :data:`FEWEST` independent subjects of each
    class. Calibration in the large is the shift of the log odds that would make the
    calibrated probabilities right on average, see
    :func:`epitome_kit.grade.calibration.score_calibration`; its interval holds the
    predictions fixed.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from epitome_kit.grade import score_subgroups
    >>> names, labels = [f"sub-{number:02d}" for number in range(40)], np.arange(40) % 2
    >>> probabilities = 0.3 + 0.3 * labels + np.linspace(0, 0.3, 40)
    >>> predictions = pd.DataFrame({"participant_id": names, "repeat": 1, "label": labels,
    ...                             "probability": probabilities, "calibrated": probabilities})
    >>> sex = pd.DataFrame({"sex": np.repeat(["F", "M"], [35, 5])}, index=names)
    >>> score_subgroups(predictions, sex)[["group", "n", "note"]].values.tolist()
    [['F', 35, ''], ['M', 5, 'not scored: fewer than 5 of a class']]
    """
    subjects, (labels, raw, groups), calibrated = gather_predictions(predictions)
    units = units_of(labels, groups)
    rows, p = list[Json](), dict[str, float]()
    for name in variables:
        parts, aucs = halves(variables[name].reindex(subjects)), list[tuple[float, float, int]]()
        for part in parts.cat.categories:
            members = (parts == part).to_numpy()
            data = labels[members], raw[:, members], calibrated[:, members], units[members]
            row, auc = _score(*data, design_effects or {}, grouped=groups is not None)
            rows.append({"variable": name, "group": str(part), **row})
            aucs += auc
        p[name] = difference_p(*zip(*aucs, strict=True)) if len(aucs) > 1 else np.nan
    known = pd.Series(p, dtype=float).dropna()
    adjusted = dict(zip(known.index, holm(known), strict=True))
    found = pd.DataFrame(rows, columns=_COLUMNS)
    return found.assign(p=found.variable.map(p), p_holm=found.variable.map(adjusted).astype(float))


@locks("grade")
def grade_subgroups(cohort: Cohort, features: pd.DataFrame, out: PathLike) -> pd.DataFrame:
    """Score the graded features of a cohort in subgroups by age, sex, tumour size and institution.

    Parameters
    ----------
    cohort : Cohort
        Cohort with the participants.
    features : DataFrame
        Graded table, whose column ``size``, if it has one, is the size of the tumour.
    out : path
        Workspace with ``scores.json`` and ``predictions.tsv``; ``subgroups.tsv`` is
        written.

    Returns
    -------
    DataFrame
        From :func:`score_subgroups`. Ages and sizes are halved at their median; a
        variable that is unknown, or the same for all, is left out. The institution is
        known from the names of TCGA's patients.

    See Also
    --------
    epitome_kit.grade_features : Grade the features.
    """
    people = cohort.participants
    variables = people.reindex(columns=["age", "sex"]).rename_axis("participant_id")
    if "size" in features:
        sizes = features[features.role == "test"].groupby("participant_id")["size"].mean()
        larger = sizes.rank(pct=True, method="first") > 0.5
        halved = larger.map({False: "smaller half", True: "larger half"})
        variables["tumour size"] = halved.astype(pd.CategoricalDtype(["smaller half", "larger half"]))
    variables["institution"] = institutions(variables.index.to_series())
    variables["age"] = pd.to_numeric(variables["age"], errors="coerce")
    graded = variables[variables.index.isin(features.participant_id)]
    return save_subgroups(out, graded.loc[:, graded.nunique() > 1], read_json(Workspace(out).scores))


def save_subgroups(out: PathLike, variables: pd.DataFrame, scores: Json) -> pd.DataFrame:
    """Score the predictions of a workspace in subgroups, and write ``subgroups.tsv``.

    Parameters
    ----------
    out : path
        Workspace with ``predictions.tsv``.
    variables : DataFrame
        As for :func:`score_subgroups`; without columns, an earlier table is removed.
    scores : dict
        As in ``scores.json``, for the design effects.

    Returns
    -------
    DataFrame
        From :func:`score_subgroups`.
    """
    predictions = read_tsv(Workspace(out).predictions).astype({"participant_id": str})
    effects = (scores.get("permutation") or {}).get("design_effects")
    found = score_subgroups(predictions, variables.set_axis(variables.index.astype(str)), design_effects=effects)
    if len(found):
        write_tsv(Workspace(out).subgroups, found)
    else:
        Workspace(out).subgroups.unlink(missing_ok=True)
    return found


def halves(values: pd.Series) -> pd.Series:
    """Divide subjects into subgroups by the values of one variable.

    Parameters
    ----------
    values : Series
        Numbers or names; missing where unknown.

    Returns
    -------
    Series of category
        Numbers of more than five values are halved at their median: ``at most 51`` and
        ``above 51``. Else each value is the name of a subgroup, and categories keep
        their order. Missing stays missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from epitome_kit.grade.subgroups import halves
    >>> halves(pd.Series([31, 44, 50, 52, 63, 70])).tolist()
    ['at most 51', 'at most 51', 'at most 51', 'above 51', 'above 51', 'above 51']
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.remove_unused_categories()
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().sum() < values.notna().sum() or values.nunique() <= _CATEGORIES:
        names = values.map(lambda value: f"{value:g}" if isinstance(value, float) else str(value), na_action="ignore")
        return names.astype("category")
    median = numbers.median()
    lower, words = numbers <= median, ("at most", "above")
    if (numbers[numbers.notna()] <= median).all():  # more than half have the largest value
        lower, words = numbers < median, ("below", "at least")
    names = [f"{word} {median:.4g}" for word in words]
    codes = np.where(numbers.isna(), -1, np.where(lower, 0, 1))
    return pd.Series(pd.Categorical.from_codes(codes, names, ordered=True), values.index)


def difference_p(values: Sequence[float], variances: Sequence[float], sizes: Sequence[int]) -> float:
    """Test whether several subgroups have the same expected score.

    Parameters
    ----------
    values, variances : sequence of float
        Score of each subgroup, and its variance, above 0.
    sizes : sequence of int
        Number of independent subjects of each.

    Returns
    -------
    float
        p of Cochran's test of homogeneity, which compares the weighted sum of squared
        deviations with the F distribution instead of chi squared, as variances are
        estimated from few subjects. Subgroups are taken for independent; where rows of
        one person lie in several of them, p is too large rather than too small.

    References
    ----------
    Cochran, Biometrics 1954, doi:10.2307/3001666
    """
    scores, weights, more = np.asarray(values), 1 / np.asarray(variances), len(values) - 1
    spread = (weights * (scores - np.average(scores, weights=weights)) ** 2).sum()
    return float(fisher.sf(spread / more, more, sum(sizes) - 2 * len(sizes)))


def _score(
    labels: np.ndarray,
    raw: np.ndarray,
    calibrated: np.ndarray,
    units: np.ndarray,
    effects: Mapping[str, float],
    *,
    grouped: bool,
) -> tuple[Json, list[tuple[float, float, int]]]:
    """Score one subgroup; return its row, and its AUC, variance and number of units if it is scored."""
    counts = [len(np.unique(units[labels == value])) for value in (0, 1)]
    row: Json = {
        "n": len(labels),
        "negative": int((labels == 0).sum()),
        "positive": int((labels == 1).sum()),
        "note": "",
    }
    if min(counts) < FEWEST:
        return {**row, "note": f"not scored: fewer than {FEWEST} of a class"}, []
    found = score(labels, raw, calibrated, groups=units if grouped else None, design_effects=effects)
    found |= score_calibration(labels, calibrated, groups=units if grouped else None)
    for name in MEASURES:
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), (found[name], *found[f"{name}_ci95"]), strict=True))
    total, fewest = len(np.unique(units)), min(counts)
    auc = estimates(labels, raw)["auc"]
    shrunk = (auc.value * total + 1) / (total + 2)  # the estimated variance of a perfect score is 0
    spread = max(variance(auc, units) * fewest / (fewest - 1), shrunk * (1 - shrunk) / (total + 2))
    return row, [(auc.value, spread * max(1.0, effects.get("auc", 1.0)), total)]
