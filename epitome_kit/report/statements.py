"""What a report can say of a folder: each fact a sentence, from what its files hold."""

from jinja2 import Environment, PackageLoader

from epitome_kit.confidence import interval_label
from epitome_kit.workspace import Workspace

WORDING = {
    "strip": "brain extraction",
    "bias": "correction of uneven brightness",
    "register": "alignment with the template",
    "normalise": "scaling of grey values",
    "deform": "a further deformation field",
    Workspace.cnn.name: "a 3-D convolutional network that describes the tumour",
    Workspace.ann.name: "a neural network that grades",
    "majority": "majority class",
    "logistic": "logistic regression",
    "random_forest": "random forest",
}
"""Plain words for names that stand in the files."""

SCORES = {
    "auc": ("AUC", "how often a subject of {1} gets a higher probability than one of {0}; 0.5 is chance"),
    "accuracy": ("accuracy", "share of subjects called rightly"),
    "balanced_accuracy": ("balanced accuracy", "mean of sensitivity and specificity; 0.5 is chance"),
    "sensitivity": ("sensitivity", "share of {1} called so"),
    "specificity": ("specificity", "share of {0} called so"),
    "brier": ("Brier score", "mean squared error of the probability; lower is better"),
}
"""Name and meaning of each score; {0} and {1} are the two classes."""

FEW = 100
"""Below this many subjects a score is called uncertain."""


def template_environment():
    """Templates of text, with the filters that the facts use."""
    # It makes text; a page escapes it when it is put there.
    environment = Environment(  # nosec B701
        loader=PackageLoader("epitome_kit.report"), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.globals.update(interval_label=interval_label)
    environment.filters.update(two=lambda value: "–" if value is None else f"{value:.2f}", listed=_listed)
    return environment


def state_facts(known):
    """State every fact that is known, as templates want it.

    Parameters
    ----------
    known : dict
        As :func:`epitome_kit.report.metadata.gather` gives it.

    Returns
    -------
    (dict, module)
        What templates are filled in with; and the facts, each a function
        without parameters that gives text, empty where nothing is known.
    """
    rows = score_rows(known["scores"], known["names"])
    values = {
        **known,
        "wording": WORDING,
        "rows": rows,
        "measured": [row["name"] for row in rows if row["interval"]],
        "seed": known["scores"].get("seed", known["provenance"].get("seed")),
        "base_brier": _base_rate_brier(known["counts"]),
        "limits": limits(known),
    }
    return values, template_environment().get_template("facts.md.j2").make_module(values)


def score_rows(scores, names):
    """Scores with their intervals, and what the majority class would get.

    Parameters
    ----------
    scores : dict
        As in ``scores.json``.
    names : (str, str)
        The two classes.

    Returns
    -------
    list of dict
        name, value, interval, majority and meaning, all text.
    """
    majority = {"auc": 0.5, "balanced_accuracy": 0.5, "accuracy": scores.get("majority_accuracy")}
    majority |= (scores.get("rivals") or {}).get("majority") or {}
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


def describe_columns(source):
    """Say what became of the columns of a table that was graded, and what was allowed.

    Parameters
    ----------
    source : dict
        As in ``scores.json``.

    Returns
    -------
    list of str
        A line each; empty where there is nothing to say.
    """
    found = [
        f"{what}, no features: {_some(source[name])}"
        for name, what in (("row_numbers", "Row numbers"), ("ids", "Ids"))
        if source.get(name)
    ]
    if source.get("group"):
        kept = "whole groups of {column} in one fold ({groups} groups); intervals and permutations draw whole groups"
        found.append(f"Groups: {kept.format(**source['group'])}")
    if source.get("rows_apart"):
        found.append(f"Names repeat in {source['rows_apart']}; rows were dealt one by one, as `--no-group` asked")
    allowed = (source.get("allowed_leaks") or {}).items()
    found += [
        f"Allowed among the features, though it can give the label away: {name}, {what}" for name, what in allowed
    ]
    return [*found, *(f"Table: {text}" for text in source.get("reading") or ())]


def limits(known):
    """Limits that follow from the numbers themselves.

    Parameters
    ----------
    known : dict
        As :func:`epitome_kit.report.metadata.gather` gives it.

    Returns
    -------
    list of str
        One sentence or two each.
    """
    scores, cohort, parameters = known["scores"], known["cohort"] or {}, known["parameters"] or {}
    found = []
    if cohort.get("simulated"):
        found.append("Phantom scores: no person was scanned, and nothing here says how well it would do on patients.")
    if parameters.get("profile") == "smoke":
        found.append("The smoke profile does everything once and proves nothing: the figures are not results.")
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
                f"The probabilities are no better than always stating the share of {known['names'][1]}: Brier score "
                f"{scores['brier']:.3f} against {base:.3f}."
            )
        place = "cohort" if known["parameters"] else "table"
        found.append(f"All subjects come from one {place}: nothing was tested on data from elsewhere.")
    if str(known["provenance"].get("git_commit")).endswith("-dirty"):
        found.append("The code had been edited since its last commit: nobody else can run exactly this.")
    return found


def _limits_of_chance(scores):
    low, high = scores.get("auc_ci95") or (1, 1)
    if low <= 0.5:
        yield (
            f"The {interval_label()} of the AUC ({low:.2f} to {high:.2f}) holds 0.5: these subjects do not show that "
            "the model does better than chance."
        )
    if (scores.get("permutation_p") or 0) >= 0.05:
        yield f"Shuffled labels did as well in {scores['permutation_p']:.0%} of the permutations."
    low, majority = (scores.get("accuracy_ci95") or (1, 1))[0], scores.get("majority_accuracy")
    if majority is not None and low <= majority:
        yield (
            f"The interval of the accuracy reaches down to {low:.2f}; always saying the larger class is right for "
            f"{majority:.2f}."
        )


def _limits_of_columns(source):
    """List what was allowed in the table that was graded, though it can make scores too good."""
    for name, what in (source.get("allowed_leaks") or {}).items():
        yield f"{name} was allowed among the features: {what}. The scores may follow from it alone."
    if source.get("rows_apart"):
        yield (
            f"Names repeat in {source['rows_apart']}, but rows were dealt one by one: if they are of the same people, "
            "the scores are too good."
        )


def _limits_of_size(scores, counts):
    if scores.get("n", FEW) < FEW and counts:
        rarer = min(counts, key=counts.get)
        few = f"n = {scores['n']} is small, with {counts[rarer]} of {rarer}"
        yield f"{few}: another sample could give quite another score."
    if scores.get("repeats") == 1:
        yield "The subjects were divided into folds once: another division would give another score."


def _limits_of_others(scores):
    """Rivals and probes whose AUC the interval of the model does not exclude."""
    low = (scores.get("auc_ci95") or (1, 1))[0]
    for kind, word in (("rivals", "{}"), ("probes", "{} alone")):
        for name, other in (scores.get(kind) or {}).items():
            if name != "majority" and other.get("auc") is not None and other["auc"] >= low:
                named = word.format(WORDING.get(name, name.replace("_", " ")))
                relation = "above" if other["auc"] > scores["auc"] else "not clearly below"
                reached = f"{named[0].upper()}{named[1:]} reaches an AUC of {other['auc']:.2f}"
                yield f"{reached}, {relation} the model's {scores['auc']:.2f}."


def _base_rate_brier(counts):
    """Brier score of always stating the share of the second class; None without both classes."""
    if len(counts) != 2:
        return None
    negative, positive = counts.values()
    return negative * positive / (negative + positive) ** 2


def _listed(value):
    """Write any value of a JSON file on one line, for people."""
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if item not in ([], ())}
        between = "; " if any(isinstance(item, (list, tuple)) for item in value.values()) else ", "
        return between.join(f"{str(key).replace('_', ' ')}: {_nested(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_nested, value)) if len(value) <= 8 else f"{len(value)} of them"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _some(names):
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _nested(value):
    return f"({_listed(value)})" if isinstance(value, dict) else _listed(value)
