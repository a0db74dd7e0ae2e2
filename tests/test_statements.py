"""What a report says of known numbers, and that it says nothing of what is not known."""

import numpy as np
import pytest
from scipy.special import expit

from epitome_kit.grade.calibration import score_calibration
from epitome_kit.report.metadata import gather
from epitome_kit.report.statements import describe_selection, limits, score_rows, state_facts

SCORES = {
    "n": 200,
    "class_counts": {"low": 120, "high": 80},
    "auc": 0.8,
    "auc_ci95": [0.74, 0.86],
    "accuracy": 0.75,
    "accuracy_ci95": [0.68, 0.81],
    "majority_accuracy": 0.6,
    "brier": 0.18,
    "permutation_p": 0.01,
    "repeats": 4,
    "folds": 5,
}
ELSEWHERE = "All subjects come from one table: there was no external validation."


def known(**changes):
    """What would be known of a graded table with these scores."""
    scores = {**SCORES, **changes}
    names = tuple(scores["class_counts"])
    nothing = dict.fromkeys(("parameters", "summary", "cohort", "predictions", "flow"))
    empty = {"selected": [], "models": {}, "training": {}, "preprocessing": {}, "ablation": [], "files": []}
    return {**nothing, **empty, "scores": scores, "names": names, "counts": scores["class_counts"], "provenance": {}}


def say(fact, **changes):
    return " ".join(getattr(state_facts(known(**changes))[1], fact)().split())


def test_good_numbers_have_one_limit_left():
    assert limits(known()) == [ELSEWHERE]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"auc_ci95": [0.48, 0.86]}, "(0.48 to 0.86) includes 0.5"),
        ({"permutation_p": 0.21}, "Shuffled labels did as well in 21% of the permutations"),
        ({"accuracy_ci95": [0.58, 0.81]}, "is 0.58; always predicting the larger class has an accuracy of 0.60"),
        ({"n": 48, "class_counts": {"low": 31, "high": 17}}, "n = 48 is small, with 17 of high"),
        ({"repeats": 1}, "not repeated"),
        ({"brier": 0.25}, "Brier score 0.250 against 0.240"),
        (
            {"probes": {"volume": {"auc": 0.75}}},
            "Volume alone reaches an AUC of 0.75, not clearly below the model's 0.80.",
        ),
        (
            {"baselines": {"random_forest": {"auc": 0.82}}},
            "Random forest reaches an AUC of 0.82, above the model's 0.80.",
        ),
    ],
)
def test_a_limit_follows_from_its_number_and_from_no_other(changes, words):
    (limit,) = [limit for limit in limits(known(**changes)) if limit != ELSEWHERE]
    assert words in limit


def test_what_the_interval_excludes_is_no_limit():
    weak = {"probes": {"age": {"auc": 0.6}}, "baselines": {"logistic": {"auc": 0.7}, "majority": {"auc": 0.9}}}
    assert limits(known(**weak)) == [ELSEWHERE]


def test_phantom_smoke_and_edited_code_are_limits():
    changed = known()
    changed |= {
        "cohort": {"simulated": True},
        "parameters": {"profile": "smoke"},
        "provenance": {"git_commit": "a-dirty"},
    }
    text = " ".join(limits(changed))
    assert "Phantom scores" in text and "smoke profile" in text and "uncommitted" in text and "one cohort" in text


def test_scores_stand_beside_the_majority():
    rows = {row["name"]: row for row in score_rows(SCORES, ("low", "high"))}
    assert rows["AUC"] == {
        "name": "AUC",
        "value": "0.80",
        "interval": "0.74 to 0.86",
        "majority": "0.50",
        "meaning": "probability that a subject of high scores higher than one of low; 0.5 is chance",
    }
    assert rows["accuracy"]["majority"] == "0.60" and rows["Brier score"]["value"] == "0.180"
    assert "sensitivity" not in rows
    assert score_rows({}, ()) == []


def test_calibration_compares_with_the_base_rate():
    assert "Brier score 0.180; always predicting the prevalence of high: 0.240" in say("calibration")


def test_over_confident_probabilities_are_reported_by_their_slope():
    rng = np.random.default_rng(0)
    odds = rng.normal(size=300)
    labels = rng.random(300) < expit(odds)
    measured = score_calibration(labels, expit(3 * odds))
    text = say("calibration", calibration=measured)
    assert f"slope {measured['slope']:.2f} ({measured['slope_ci95'][0]:.2f} to" in text
    assert measured["slope_ci95"][1] < 0.6 and "hold the predictions fixed" in text
    unknown = {"slope": None, "slope_ci95": None, "intercept": None, "intercept_ci95": None}
    text = say("calibration", calibration={**unknown, "in_the_large": 0.2, "in_the_large_ci95": None})
    assert "slope" not in text and "in the large +0.20, 0 if perfect" in text


def test_newer_keys_are_used_when_they_are_there():
    selection = {"methods": ["ranking", "stability"], "tried": 3}
    assert say("tuning", selection=selection) == "Tried: methods: ranking, stability; tried: 3."
    assert say("tuning") == ""
    assert say("baselines", baselines={"logistic": {"auc": 0.7}}).startswith(
        "logistic regression: AUC 0.70; this model: 0.80"
    )
    assert say("baselines") == "Accuracy of always predicting the larger class: 0.60, n = 200."
    assert "repeated 4 times" in say("partition") and "repeated" not in say("partition", repeats=1)
    assert say("source", source={"file": "a.csv", "columns": 2030}) == "file: a.csv, columns: 2030."


def test_of_a_run_that_has_only_begun_no_fact_claims_a_result(tmp_path):
    (tmp_path / "parameters.json").write_text('{"cohort": "phantom", "target": "grade"}')
    values, facts = state_facts(gather(tmp_path))
    said = {
        name: " ".join(fact().split())
        for name, fact in vars(facts).items()
        if callable(fact) and name != "_body_stream"
    }
    told = {name for name, text in said.items() if text and not text.startswith(("Not done", "Does not apply"))}
    assert told == {"task", "intended", "outcome", "tabular", "guideline"}
    assert values["rows"] == [] and values["limits"] == []


def test_which_features_the_model_takes_is_said():
    numbers, features = [10, 20, 40, 80], {"offered": 12}
    (every,) = describe_selection({"selection": {"used": False, "numbers": numbers}, "features": features})
    (some,) = describe_selection({"selection": {"used": True, "numbers": numbers}, "features": {"offered": 90}})
    assert "All 12" in every and "80" in every and "90" in some and "all features" in some
    assert describe_selection({"selection": {"numbers": numbers}, "features": features}) == []
