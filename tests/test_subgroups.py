"""Subgroups: the scores are those of `score`, small ones are named, and equal ones seldom differ."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm

from epitome_kit.files import write_json, write_tsv
from epitome_kit.grade.calibration import score_calibration
from epitome_kit.grade.scores import score
from epitome_kit.grade.subgroups import difference_p, grade_subgroups, halves, score_subgroups


def _predictions(rng, n=80, shift=1.5, repeats=1, share=0.4):
    labels = (np.arange(n) < share * n).astype(int)
    names = [f"sub-{number:03d}" for number in range(n)]
    parts = []
    for repeat in range(repeats):
        raw = expit(rng.normal(size=n) + shift * labels - 1)
        columns = {"participant_id": names, "repeat": repeat + 1, "label": labels}
        parts.append(pd.DataFrame({**columns, "probability": raw, "calibrated": raw**1.1}))
    return pd.concat(parts)


def test_a_subgroup_has_the_scores_of_its_subjects_alone():
    predictions = _predictions(np.random.default_rng(0), repeats=2)
    sex = pd.DataFrame({"sex": np.where(np.arange(80) % 2, "F", "M")}, index=predictions.participant_id[:80])
    effects = {"auc": 1.5, "accuracy": 1.3}
    first, second = score_subgroups(predictions, sex, design_effects=effects).to_dict("records")
    members = np.arange(80) % 2 == 1
    raw, calibrated = (
        predictions[name].to_numpy().reshape(2, 80)[:, members] for name in ("probability", "calibrated")
    )
    labels = predictions.label.to_numpy()[:80][members]
    expected = score(labels, raw, calibrated, design_effects=effects)
    shift = score_calibration(labels, calibrated)
    assert (first["variable"], first["group"], first["n"]) == ("sex", "F", 40)
    assert (first["negative"], first["positive"]) == (24, 16) and first["note"] == ""
    assert (first["auc"], first["accuracy"]) == (expected["auc"], expected["accuracy"])
    assert [first["auc_low"], first["auc_high"]] == expected["auc_ci95"]
    assert [first["accuracy_low"], first["accuracy_high"]] == expected["accuracy_ci95"]
    assert [first["in_the_large_low"], first["in_the_large_high"]] == shift["in_the_large_ci95"]
    assert second["group"] == "M" and second["p"] == first["p"] == first["p_holm"]


def test_groups_that_are_too_small_are_named_and_not_scored():
    predictions = _predictions(np.random.default_rng(1))
    site = np.where(np.arange(80) % 10 == 0, "small", "large").astype(object)
    site[5] = None
    found = score_subgroups(predictions, pd.DataFrame({"site": site}, index=predictions.participant_id))
    rows = found.set_index("group")
    assert (rows.n["large"], rows.n["small"]) == (71, 8)
    assert "fewer than 5" in rows.note["small"] and np.isnan(rows.auc["small"]) and np.isfinite(rows.auc["large"])
    assert rows.p.isna().all(), "one scored subgroup has nothing to differ from"


def test_rows_of_one_person_count_once():
    predictions = _predictions(np.random.default_rng(2), n=96)
    predictions["group_id"] = np.arange(96) // 4
    half = pd.DataFrame({"half": np.where(np.arange(96) % 8 < 4, "a", "b")}, index=predictions.participant_id)
    assert score_subgroups(predictions, half).note.str.contains("fewer than 5").tolist() == [False, False]
    few = pd.DataFrame({"half": np.where(np.arange(96) % 32 < 16, "a", "b")}, index=predictions.participant_id)
    few.iloc[16:, 0] = "b"
    assert "fewer than 5" in score_subgroups(predictions, few).set_index("group").note["a"], "16 rows, 4 persons"


def test_p_is_adjusted_for_the_number_of_variables():
    rng = np.random.default_rng(3)
    predictions = _predictions(rng, n=120)
    variables = pd.DataFrame({"age": rng.normal(50, 9, 120), "sex": rng.choice(["F", "M"], 120)})
    found = score_subgroups(predictions, variables.set_axis(predictions.participant_id)).groupby("variable").first()
    assert found.p_holm.min() == pytest.approx(min(1, 2 * found.p.min()))


def test_a_model_that_fails_in_one_sex_is_found_out():
    rng = np.random.default_rng(4)
    predictions = _predictions(rng, n=200, shift=2.5)
    female = np.arange(200) % 2 == 0
    for name in ("probability", "calibrated"):
        predictions.loc[female, name] = rng.uniform(0.1, 0.9, 100)
    sex = pd.DataFrame({"sex": np.where(female, "F", "M")}, index=predictions.participant_id)
    assert (score_subgroups(predictions, sex).p < 0.001).all()


def test_numbers_are_halved_and_names_kept():
    assert halves(pd.Series([31, 44, 50, 52, 63, 70, None])).tolist()[:6] == ["at most 51"] * 3 + ["above 51"] * 3
    assert halves(pd.Series([31, 44, 50, 52, 63, 70, None])).isna().sum() == 1
    assert halves(pd.Series([1, 2, 3, 4, 5, 9, 9, 9, 9, 9, 9, 9])).value_counts().to_dict() == {
        "below 9": 5,
        "at least 9": 7,
    }
    assert set(halves(pd.Series([0.0, 1.0, 1.0]))) == {"0", "1"} and set(halves(pd.Series(list("ba")))) == {"a", "b"}


def _share_of_false_alarms(trials, sizes, auc, seed=0):
    rng, shift, alarms = np.random.default_rng(seed), np.sqrt(2) * norm.ppf(auc), 0
    labels = np.concatenate([np.repeat([0, 1], each) for each in sizes])
    parts = np.repeat(np.arange(len(sizes)), [sum(each) for each in sizes]).astype(str)
    names = [f"sub-{number:03d}" for number in range(len(labels))]
    for _ in range(trials):
        raw = expit(rng.normal(size=len(labels)) + shift * labels)
        columns = {"participant_id": names, "repeat": 1, "label": labels, "probability": raw, "calibrated": raw}
        alarms += score_subgroups(pd.DataFrame(columns), pd.DataFrame({"part": parts}, index=names)).p[0] <= 0.05
    return alarms / trials


def test_equal_subgroups_seldom_differ():
    values = np.random.default_rng(6).normal(0.7, 0.1, (600, 3))
    alarms = np.mean([difference_p(each, [0.01] * 3, [24] * 3) <= 0.05 for each in values])
    assert 0.01 <= alarms <= 0.07


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "auc"),
    [(((5, 5), (5, 5)), 0.5), (((16, 8), (16, 8)), 0.76), (((27, 12), (5, 5)), 0.8), (((10, 6),) * 4, 0.75)],
    ids=str,
)
def test_equal_subgroups_differ_in_5_of_100_cohorts(sizes, auc):
    assert _share_of_false_alarms(400, sizes, auc) <= 0.08


def test_the_test_of_equality_is_that_of_two_means():
    assert difference_p([0.6, 0.8], [0.01, 0.01], [1000, 1000]) == pytest.approx(2 * norm.sf(0.2 / 0.02**0.5), rel=0.02)
    assert difference_p([0.7, 0.7, 0.7], [0.01, 0.02, 0.03], [20, 20, 20]) == 1


def test_the_variables_of_a_cohort_are_those_it_has(tmp_path, phantom):
    predictions = _predictions(np.random.default_rng(5), n=len(phantom))
    predictions["participant_id"] = sorted(phantom.subjects)
    write_tsv(tmp_path / "predictions.tsv", predictions)
    write_json(tmp_path / "scores.json", {})
    features = pd.DataFrame({"participant_id": sorted(phantom.subjects), "role": "test"})
    features["size"] = np.arange(len(phantom), dtype=float)
    found = grade_subgroups(phantom, features, tmp_path)
    assert {"age", "sex", "tumour size"} >= set(found.variable) >= {"tumour size"}
    assert set(found.group[found.variable == "tumour size"]) == {"smaller half", "larger half"}
    assert (tmp_path / "subgroups.tsv").is_file()
    grade_subgroups(phantom, features.drop(columns="size").iloc[:0], tmp_path)
    assert not (tmp_path / "subgroups.tsv").exists()
