"""State the facts and limits of a run as sentences, for model card and checklists."""

from collections.abc import Iterator, Sequence

from jinja2 import Environment, PackageLoader
from jinja2.environment import TemplateModule

from epitome_kit.confidence import interval_label
from epitome_kit.escaping import markdown
from epitome_kit.files import Json
from epitome_kit.grade.nested import ALL, SELECTED
from epitome_kit.report.subgroups import HEADER
from epitome_kit.workspace import Workspace

WORDING = {
    "strip": "brain extraction",
    "bias": "correction of uneven brightness",
    "register": "alignment with the template",
    "normalise": "scaling of grey values",
    "deform": "a further deformation field",
    Workspace.cnn.name: "a 3-D convolutional network that describes the tumour",
    Workspace.ann.name: "the mean of five random-feature networks that grade",
    "majority": "majority class",
    "logistic": "logistic regression",
    "random_forest": "random forest",
    "perceptron": "multilayer perceptron",
    ALL: "the same model on all features",
    SELECTED: "the same model on selected features",
}
"""Plain names for identifiers in the files."""

SCORES = {
    "auc": ("AUC", "probability that a subject of {1} scores higher than one of {0}; 0.5 is chance"),
    "accuracy": ("accuracy", "proportion of subjects classified correctly"),
    "balanced_accuracy": ("balanced accuracy", "mean of sensitivity and specificity; 0.5 is chance"),
    "sensitivity": ("sensitivity", "proportion of {1} classified as {1}"),
    "specificity": ("specificity", "proportion of {0} classified as {0}"),
    "brier": ("Brier score", "mean squared error of the probability; lower is better"),
}
"""Name and meaning of each score; {0} and {1} are the two classes."""

FEW = 100
"""Number of subjects below which a score is called uncertain."""


def template_environment() -> Environment:
    """Return the environment of the text templates, with their filters."""
    # The output is plain text; a page that shows it escapes it.
    environment = Environment(  # nosec B701
        loader=PackageLoader("epitome_kit.report"), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.globals.update(interval_label=interval_label)
    environment.filters.update(
        markdown=markdown, two=lambda value: "–" if value is None else f"{value:.2f}", listed=_listed
    )
    return environment


def state_facts(known: Json) -> tuple[Json, TemplateModule]:
    """Prepare the variables and the facts for the templates.

    Parameters
    ----------
    known : dict
        From :func:`epitome_kit.report.metadata.gather`.

    Returns
    -------
    values : dict
        Variables of the templates.
    facts : TemplateModule
        Macros without arguments; each returns text, empty if nothing is known.
    """
    rows = score_rows(known["scores"], known["names"])
    values = {
        **known,
        "wording": WORDING,
        "rows": rows,
        "measured": [row["name"] for row in rows if row["interval"]],
        "seed": known["scores"].get("seed", known["provenance"].get("seed")),
        "calibrated": describe_calibration(known["scores"]),
        "subgroups": known.get("subgroups") or [],
        "subgroup_header": HEADER,
        "uncertainty": describe_uncertainty(known["scores"]) if "permutation" in known["scores"] else [],
        "base_brier": _base_rate_brier(known["counts"]),
        "limits": limits(known),
    }
    return values, template_environment().get_template("facts.md.j2").make_module(values)


def score_rows(scores: Json, names: Sequence[str]) -> list[dict[str, str]]:
    """List the scores with their intervals and those of the majority class.

    Parameters
    ----------
    scores : dict
        As in ``scores.json``.
    names : (str, str)
        The two classes, the positive one last.

    Returns
    -------
    list of dict
        name, value, interval, majority and meaning, all text.
    """
    majority = {"auc": 0.5, "balanced_accuracy": 0.5, "accuracy": scores.get("majority_accuracy")}
    majority |= (scores.get("baselines") or {}).get("majority") or {}
    return [
        {
            "name": name,
            "value": f"{scores[key]:.2f}" if key != "brier" else f"{scores[key]:.3f}",
            "interval": "{:.2f} to {:.2f}".format(*scores[f"{key}_ci95"]) if scores.get(f"{key}_ci95") else "",
            "majority": f"{majority[key]:.2f}" if majority.get(key) is not None else "",
            "meaning": meaning.format(*names),
        }
        for key, (name, meaning) in SCORES.items()
        if scores.get(key) is not None
    ]


def describe_uncertainty(scores: Json) -> list[str]:
    """Describe what the intervals of the scores count, and the permutation test.

    Parameters
    ----------
    scores : dict
        As in ``scores.json``.

    Returns
    -------
    list of str
        One line each.
    """
    if not (test := scores.get("permutation")):
        return [
            "No permutations were computed: intervals hold the predictions fixed. They leave out the variation of "
            "training and are too narrow; there is no p value."
        ]
    return [
        f"p = {test['p']:.3f} for a {test['pipeline']} (AUC {test['auc']:.2f}): the share of {test['draws']} "
        "permutations of the labels, each trained again, with at least this AUC, the actual labels included",
        "Intervals are for the expected AUC of this pipeline, trained on as many subjects as a fold has for training; "
        "they count the variation of test subjects and of training",
        f"The smallest expected AUC that n = {scores['n']} distinguishes from 0.5 with a probability of 80 %: "
        f"{test['detectable_auc']:.2f}",
    ]


def describe_calibration(scores: Json) -> list[str]:
    """Describe the calibration of the calibrated probabilities.

    Parameters
    ----------
    scores : dict
        As in ``scores.json``.

    Returns
    -------
    list of str
        One line; none if it was not measured.
    """
    found = scores.get("calibration") or {}
    parts = [
        f"{name} {_with_interval(found[key], found.get(f'{key}_ci95'), sign)}, {ideal} if perfect"
        for key, name, sign, ideal in (
            ("slope", "slope", "", "1"),
            ("intercept", "intercept", "+", "0"),
            ("in_the_large", "in the large", "+", "0"),
        )
        if found.get(key) is not None
    ]
    stated = f"Calibration, with {interval_label()}: {'; '.join(parts)}"
    return [f"{stated}. The intervals hold the predictions fixed"] if parts else []


def describe_selection(scores: Json) -> list[str]:
    """Describe which features the model takes, and why.

    Parameters
    ----------
    scores : dict
        As in ``scores.json``.

    Returns
    -------
    list of str
        One line; none in scores of earlier versions.
    """
    selection = scores.get("selection") or {}
    if "used" not in selection:
        return []
    offered, most = scores["features"]["offered"], max(selection["numbers"])
    if selection["used"]:
        how = (
            f"Features are selected in each fold, on its training subjects, as more than {most} are offered ({offered})"
        )
        return [f"{how}; the row '{ALL}' is the same model without selection"]
    how = f"All {offered} features are used, as no more than {most} are offered"
    return [f"{how}; the row '{SELECTED}' is the same model with selection in each fold"]


def describe_columns(source: Json) -> list[str]:
    """Describe how the columns of a graded table were used, and which leaks were allowed.

    Parameters
    ----------
    source : dict
        As in ``scores.json``.

    Returns
    -------
    list of str
        One line each; may be empty.
    """
    found = [
        f"{what}, not used as features: {_some(source[name])}"
        for name, what in (("row_numbers", "Row numbers"), ("ids", "IDs"))
        if source.get(name)
    ]
    if source.get("group"):
        kept = "whole groups of {column} in one fold ({groups} groups); intervals and permutations draw whole groups"
        found.append(f"Groups: {kept.format(**source['group'])}")
    if source.get("rows_apart"):
        found.append(f"Values repeat in {source['rows_apart']}; rows were split independently because of `--no-group`")
    allowed = (source.get("allowed_leaks") or {}).items()
    found += [f"Kept as a feature although it may give the label away: {name}, {what}" for name, what in allowed]
    return [*found, *(f"Table: {text}" for text in source.get("reading") or ())]


def limits(known: Json) -> list[str]:
    """List the limits that follow from the figures themselves.

    Parameters
    ----------
    known : dict
        From :func:`epitome_kit.report.metadata.gather`.

    Returns
    -------
    list of str
        One sentence or two each.
    """
    scores, cohort, parameters = known["scores"], known["cohort"] or {}, known["parameters"] or {}
    found = []
    if cohort.get("simulated"):
        found.append("Phantom scores: no person was scanned, and performance on patients is unknown.")
    if parameters.get("profile") == "smoke":
        found.append("The smoke profile only tests that everything runs: the figures are not results.")
    if scores:
        found += [
            *_limits_of_columns(scores.get("source") or {}),
            *_limits_of_chance(scores),
            *_limits_of_size(scores, known["counts"]),
            *_limits_of_others(scores),
        ]
        base = _base_rate_brier(known["counts"])
        if base is not None and scores.get("brier", 0) >= base:
            found.append(
                f"The probabilities are no better than the prevalence of {known['names'][1]}: Brier score "
                f"{scores['brier']:.3f} against {base:.3f}."
            )
        place = "cohort" if known["parameters"] else "table"
        found.append(f"All subjects come from one {place}: there was no external validation.")
    if str(known["provenance"].get("git_commit")).endswith("-dirty"):
        found.append("The code had uncommitted changes: this run cannot be reproduced exactly.")
    return found


def _limits_of_chance(scores: Json) -> Iterator[str]:
    low, high = scores.get("auc_ci95") or (1, 1)
    if low <= 0.5:
        yield (
            f"The {interval_label()} of the AUC ({low:.2f} to {high:.2f}) includes 0.5: performance better than chance "
            "was not shown."
        )
    if (scores.get("permutation_p") or 0) > 0.05:
        yield f"Shuffled labels did as well in {scores['permutation_p']:.0%} of the permutations that trained again."
    if "permutation" in scores and not scores["permutation"]:
        yield describe_uncertainty(scores)[0]
    low, majority = (scores.get("accuracy_ci95") or (1, 1))[0], scores.get("majority_accuracy")
    if majority is not None and low <= majority:
        yield (
            f"The lower limit of the accuracy is {low:.2f}; always predicting the larger class has an accuracy of "
            f"{majority:.2f}."
        )


def _limits_of_columns(source: Json) -> Iterator[str]:
    """List what was allowed in the graded table although it can inflate the scores."""
    for name, what in (source.get("allowed_leaks") or {}).items():
        yield f"{name} was kept as a feature: {what}. The scores may be due to it alone."
    if source.get("rows_apart"):
        yield (
            f"Values repeat in {source['rows_apart']}, but rows were split independently: if they are of the same "
            "people, the scores are inflated."
        )


def _limits_of_size(scores: Json, counts: dict[str, int]) -> Iterator[str]:
    if scores.get("n", FEW) < FEW and counts:
        rarer = min(counts, key=lambda name: counts[name])
        few = f"n = {scores['n']} is small, with {counts[rarer]} of {rarer}"
        yield f"{few}: another sample could give a very different score."
    if scores.get("repeats") == 1:
        yield "The cross-validation was not repeated: another split into folds would give another score."


def _limits_of_others(scores: Json) -> Iterator[str]:
    """List baselines and probes whose AUC lies within or above the interval of the model."""
    low = (scores.get("auc_ci95") or (1, 1))[0]
    for kind, word in (("baselines", "{}"), ("probes", "{} alone")):
        for name, other in (scores.get(kind) or {}).items():
            if name != "majority" and other.get("auc") is not None and other["auc"] >= low:
                named = word.format(WORDING.get(name, name.replace("_", " ")))
                relation = "above" if other["auc"] > scores["auc"] else "not clearly below"
                reached = f"{named[0].upper()}{named[1:]} reaches an AUC of {other['auc']:.2f}"
                yield f"{reached}, {relation} the model's {scores['auc']:.2f}."


def _base_rate_brier(counts: dict[str, int]) -> float | None:
    """Return the Brier score of always predicting the prevalence of the second class; None without both classes."""
    if len(counts) != 2:
        return None
    negative, positive = counts.values()
    return negative * positive / (negative + positive) ** 2


def _with_interval(value: float, interval: Sequence[float] | None, sign: str = "") -> str:
    limits = f" ({interval[0]:{sign}.2f} to {interval[1]:{sign}.2f})" if interval else ""
    return f"{value:{sign}.2f}{limits}"


def _listed(value: object) -> str:
    """Format any JSON value on one line."""
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if item not in ([], ())}
        between = "; " if any(isinstance(item, (list, tuple)) for item in value.values()) else ", "
        return between.join(f"{str(key).replace('_', ' ')}: {_nested(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_nested, value)) if len(value) <= 8 else f"{len(value)} of them"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _nested(value: object) -> str:
    return f"({_listed(value)})" if isinstance(value, dict) else _listed(value)
