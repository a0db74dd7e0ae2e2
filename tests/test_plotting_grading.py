"""Charts of grading: every model with its value, chance and ceiling; before and after calibration."""

import numpy as np
import pandas as pd
import pytest

from epitome_kit.files import write_json, write_tsv
from epitome_kit.grade.decision import net_benefit
from epitome_kit.grade.scores import score
from epitome_kit.plotting.decision import decision_chart
from epitome_kit.plotting.grading import baselines_chart, calibration_chart, grading_board
from epitome_kit.plotting.scores import ORACLE
from epitome_kit.plotting.subgroups import subgroups_chart


@pytest.fixture
def graded(tmp_path):
    rng = np.random.default_rng(0)
    label = np.arange(60) % 2
    raw = 1 / (1 + np.exp(-(label + rng.normal(0, 1, 60))))
    predictions = pd.DataFrame(
        {"participant_id": np.arange(60), "repeat": 1, "fold": 1, "label": label, "probability": raw}
    ).assign(calibrated=raw**2)
    chance = score(label, np.full(60, 0.5))
    scores = {
        **score(label, raw, raw**2),
        "class_counts": {"2": 30, "3": 30},
        "oracle_auc": 0.9,
        "baselines": {"majority": chance, "logistic": score(label, 1 - raw)},
        "probes": {"age": chance},
        "folds": 5,
        "repeats": 1,
        "features": {"offered": 7},
    }
    scores["permutation_p"] = 0.005
    write_json(tmp_path / "scores.json", scores)
    write_tsv(tmp_path / "predictions.tsv", predictions)
    write_tsv(tmp_path / "selected.tsv", pd.DataFrame({"feature": ["x" * 60, "b"], "share": [1.0, 0.4]}))
    return tmp_path, scores, predictions


def _texts(figure):
    return [text.get_text() for axes in figure.axes for text in (*axes.texts, *axes.get_yticklabels())]


def test_every_model_stands_with_its_value_and_interval(graded):
    _, scores, _ = graded
    figure = baselines_chart(scores)
    texts = _texts(figure)
    names = ["random-feature network", "majority class", "logistic regression", "age alone"]
    assert [text for text in texts if text in names] == names
    assert any(text.startswith(f"{scores['auc']:.3f}") for text in texts)
    assert f"{ORACLE}, 0.90" in texts and "n = 60" in figure.axes[0].get_title()
    left = figure.axes[0].get_xlim()[0]
    assert left <= scores["baselines"]["logistic"]["auc_ci95"][0], "a baseline below chance stays inside the frame"


def test_without_a_ceiling_none_is_drawn(graded):
    assert not any("oracle" in text for text in _texts(baselines_chart({**graded[1], "oracle_auc": None})))


def test_both_curves_name_their_brier_score(graded):
    _, scores, predictions = graded
    labels = [text.get_text() for text in calibration_chart(predictions, scores).axes[0].get_legend().get_texts()]
    assert f"before calibration: Brier {scores['brier_uncalibrated']:.3f}" in labels
    assert f"after calibration: Brier {scores['brier']:.3f}" in labels


def test_calibration_is_stated_with_its_interval(graded):
    _, scores, predictions = graded
    measured = {"slope": 0.8, "slope_ci95": [0.1, 1.5], "intercept": None, "intercept_ci95": None}
    legend = calibration_chart(predictions, {**scores, "calibration": measured}).axes[0].get_legend()
    assert "slope 0.80 (0.10 to 1.50)" in legend.get_title().get_text()
    assert "intercept" not in legend.get_title().get_text()


def test_a_decision_curve_has_three_rules_and_a_band():
    labels = np.arange(60) % 2
    curve = net_benefit(labels, np.linspace(0.1, 0.6, 60) + 0.3 * labels)
    left, right = decision_chart(curve, n=60, title="Decision curve, phantom scores").axes
    assert len(left.lines) == 3 and len(right.collections) == 1
    assert "phantom scores, n = 60" in left.get_title()


def test_every_subgroup_stands_with_its_number_and_small_ones_are_named():
    columns = {f"{name}{end}": [0.7, np.nan] for name in ("auc", "in_the_large") for end in ("", "_low", "_high")}
    rows = pd.DataFrame({"variable": "sex", "group": ["F", "M"], "n": [30, 4], **columns})
    figure = subgroups_chart(rows, {"auc": 0.8, "n": 34, "calibration": {"in_the_large": 0.1}})
    texts = _texts(figure)
    assert {"sex: F, n = 30", "sex: M, n = 4"} <= set(texts) and texts.count("too few, not scored") == 2
    assert subgroups_chart(rows.iloc[:0], {"auc": 0.8, "n": 34}).axes[0].get_yticks().size == 0


def test_the_board_shows_all_of_it(graded):
    folder, scores, _ = graded
    figure = grading_board(folder, title="grade")
    assert len(figure.axes) == 4
    title = figure.get_suptitle()
    assert "n = 60 (2: 30, 3: 30)" in title and "permutation p = 0.005" in title
    assert any("…" in text and len(text) < 50 for text in _texts(figure)), "long names are shortened"
