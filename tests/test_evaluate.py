"""Grading by nested cross-validation: no way for a label under test to leak into its prediction."""

import keras
import numpy as np
import pandas as pd
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import LeakageError, collect_warnings
from epitome_kit.files import read_json, read_tsv
from epitome_kit.folds import assign_folds
from epitome_kit.grade.calibration import score_calibration
from epitome_kit.grade.decision import summarise_decision
from epitome_kit.grade.evaluate import cross_validate, grade_features
from epitome_kit.grade.nested import _inner_folds
from epitome_kit.grade.scoreboard import build_scoreboard, majority
from epitome_kit.grade.scores import score
from epitome_kit.learn.probes import add_probe
from epitome_kit.simulate import Oracle

QUICK = {"permutations": 99}


def _table(n=60, shift=0.0, folds=3, seed=0, columns=10):
    """Features of made-up subjects, of which the first column knows the label as well as `shift` lets it."""
    rng = np.random.default_rng(seed)
    names = [f"sub-{number:03d}" for number in range(n)]
    labels = pd.Series(rng.permutation(np.arange(n) % 3 == 0).astype(int), index=names)
    fold_of = assign_folds(labels, folds=folds, seed=seed)
    features = pd.DataFrame(rng.standard_normal((n, columns)), columns=[f"f{number:02d}" for number in range(columns)])
    features["f00"] += shift * labels.to_numpy()
    features.insert(0, "participant_id", names)
    features["label"] = labels.to_numpy(float)
    parts = [
        features.assign(fold=fold + 1, role=np.where(fold_of[names] == fold, "test", "train")) for fold in range(folds)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module", autouse=True)
def two_inner_folds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("epitome_kit.grade.nested.INNER_FOLDS", 2)
        patch.setattr("epitome_kit.grade.nested.NUMBERS", (6,))
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    out = tmp_path_factory.mktemp("good")
    table = _table(shift=2.5)
    ages = pd.Series(np.arange(60.0), index=sorted(set(table.participant_id)))
    given = add_probe(table, "age", ages)
    others = {"noise": _blind(table)}
    return table, out, grade_features(given, out, oracle=Oracle(0.9, 0.93), other_tables=others, **QUICK)


def _blind(table):
    """Return the same folds without the one feature that knows."""
    return table.drop(columns="f00")


def test_what_can_be_told_apart_is(good):
    scores = good[2]
    assert scores["auc"] > 0.85 and scores["auc_ci95"][0] > 0.6
    assert scores["balanced_accuracy"] > 0.7


def test_scores_name_target_folds_and_ceiling(good):
    _, out, scores = good
    assert scores["class_counts"] == {"2": 40, "3": 20} and scores["positive"] == "3"
    assert (scores["target"], scores["n"], scores["folds"], scores["oracle_auc"]) == ("grade", 60, 3, 0.9)
    assert scores["oracle_auc_cohort"] == 0.93
    assert scores["features"]["offered"] == 10
    assert read_json(out / "scores.json") == scores


def test_each_subject_is_predicted_once_and_the_scores_are_those_of_the_table(good):
    features, out, scores = good
    predictions = read_tsv(out / "predictions.tsv")
    columns = ["participant_id", "repeat", "fold", "label", "probability", "calibrated"]
    assert list(predictions.columns) == columns
    assert list(predictions.participant_id) == sorted(set(features.participant_id))
    effects = scores["permutation"]["design_effects"]
    again = score(predictions.label, predictions.probability, predictions.calibrated, design_effects=effects)
    assert {name: scores[name] for name in again if name != "class_counts"} == {
        name: value for name, value in again.items() if name != "class_counts"
    }
    tested = features[features.role == "test"].set_index("participant_id").sort_index()
    assert list(predictions.fold) == list(tested.fold) and list(predictions.label) == list(tested.label)


def test_calibration_and_net_benefit_are_those_of_the_calibrated_probabilities(good):
    _, out, scores = good
    predictions = read_tsv(out / "predictions.tsv")
    assert scores["calibration"] == score_calibration(predictions.label, predictions.calibrated)
    assert scores["calibration"]["slope"] != score_calibration(predictions.label, predictions.probability)["slope"]
    effect = scores["permutation"]["design_effects"]["accuracy"]
    assert scores["decision"] == summarise_decision(predictions.label, predictions.calibrated, design_effect=effect)


def test_selected_features_are_counted_over_the_folds(good):
    selected = read_tsv(good[1] / "selected.tsv").set_index("feature")
    assert (selected.loc["f00", ["ranking", "redundancy", "stability"]] == 3).all() and selected["share"]["f00"] == 1
    assert (selected[["ranking", "redundancy", "stability"]] <= 3).all(axis=None)


def test_baselines_and_probes_get_the_same_scores(good):
    table, out, scores = good
    assert list(scores["baselines"]) == [
        "majority",
        "selected features",
        "logistic",
        "random_forest",
        "perceptron",
        "noise",
    ]
    assert list(scores["probes"]) == ["age"]
    for baseline in (*scores["baselines"].values(), *scores["probes"].values()):
        assert {"auc", "auc_ci95", "balanced_accuracy", "brier", "n", "class_counts"} <= set(baseline)
    assert scores["baselines"]["logistic"]["auc"] > 0.85 and scores["baselines"]["random_forest"]["auc"] > 0.85
    assert scores["baselines"]["noise"]["auc"] < 0.75 and scores["probes"]["age"]["auc"] < 0.75
    assert list(scores["differences"]) == [
        "selected features",
        "logistic",
        "random_forest",
        "perceptron",
        "age",
        "noise",
    ]
    low, high = scores["differences"]["noise"]["difference_ci95"]
    assert 0 < low < scores["auc"] - scores["baselines"]["noise"]["auc"] < high
    assert scores["permutation"]["p"] == scores["permutation_p"] == 1 / (1 + scores["permutation"]["draws"])
    baselines = read_tsv(out / "baselines.tsv")
    models = {"selected features", "logistic", "random_forest", "perceptron", "age"}
    assert set(baselines.model) == models and len(baselines) == 5 * 60


def test_the_majority_is_chance_whatever_the_mix():
    scores = majority(np.repeat([0, 1], [40, 20]))
    assert (scores["auc"], scores["auc_ci95"], scores["balanced_accuracy"]) == (0.5, [0.5, 0.5], 0.5)
    assert (scores["accuracy"], scores["sensitivity"]) == (40 / 60, 0)
    assert scores["brier"] == pytest.approx(1 / 3 * 2 / 3)


def test_the_network_is_saved_and_loads_in_safe_mode(good):
    ann = keras.saving.load_model(good[1] / "ann.keras", safe_mode=True)
    assert len(read_json(good[1] / "ann.json")["features"]) == ann.input_shape[1] >= 6 and ann.output_shape == (None, 1)


@pytest.mark.slow
def test_a_second_call_recalls_the_finished_folds(good, monkeypatch):
    table, out, scores = good
    monkeypatch.setattr("epitome_kit.grade.evaluate.grade_fold", lambda rows, settings: pytest.fail("graded again"))
    given = add_probe(table, "age", pd.Series(np.arange(60.0), index=sorted(set(table.participant_id))))
    with collect_warnings() as remarks:
        again = grade_features(given, out, oracle=Oracle(0.9, 0.93), other_tables={"noise": _blind(table)}, **QUICK)
    assert again == scores and not remarks
    assert len(list((out / "folds").iterdir())) == 7, "three folds of each table, and the permutations"
    for change, words in [({"seed": 7}, "seed was 0, is 7"), ({}, "input rows of the table changed")]:
        with collect_warnings() as remarks, pytest.raises(pytest.fail.Exception):
            grade_features(given if change else given.iloc[:, ::-1], out, **{**QUICK, **change})
        assert remarks == [f"Grading of features: 3 of 3 computed again: {words}"]
    record = next((out / "folds").glob("features_*.json"))
    whole = record.read_bytes()
    record.write_bytes(b"{")
    with collect_warnings() as remarks, pytest.raises(pytest.fail.Exception):
        grade_features(given, out, **QUICK)
    record.write_bytes(whole)
    assert remarks == ["Grading of features: 1 of 3 computed again: its record cannot be read"]


@pytest.mark.slow
def test_calibration_mends_probabilities_that_balanced_training_has_bent(tmp_path):
    """One in eight is positive: balanced training says 50 % where 12 % is right."""
    rng = np.random.default_rng(0)
    labels = (np.arange(160) % 8 == 0).astype(int)
    names = [f"sub-{number:03d}" for number in range(160)]
    table = pd.DataFrame({"participant_id": names, "label": labels, "a": rng.standard_normal(160) + labels})
    parts = [
        table.assign(fold=fold, role=np.where(np.arange(160) // 8 % 2 == fold, "test", "train")) for fold in (0, 1)
    ]
    table = pd.concat(parts, ignore_index=True)
    answers, _ = cross_validate(table, tmp_path, baselines=False, epochs=30)
    scores = build_scoreboard(answers, table)
    assert scores["permutation_p"] is None and scores["interval"] == "subjects alone"
    assert scores["brier"] < scores["brier_uncalibrated"] - 0.03
    assert scores["brier"] < 0.125


@pytest.mark.slow
def test_labels_under_test_do_not_touch_their_predictions(good, tmp_path):
    """The strongest test of leakage: turn every label of one fold's test rows, and nothing may move there."""
    features, out, _ = good
    turned = features.copy()
    under_test = (turned.fold == 2) & (turned.role == "test")
    turned.loc[under_test, "label"] = 1 - turned.loc[under_test, "label"]
    grade_features(turned, tmp_path, **QUICK)
    before, after = (read_tsv(folder / "predictions.tsv") for folder in (out, tmp_path))
    moved = (before.label != after.label).to_numpy()
    assert moved.sum() == 20 and (after.fold[moved] == 2).all()
    assert np.allclose(before.probability, after.probability, atol=1e-5)


@pytest.mark.slow
def test_labels_of_training_do_touch_predictions(good, tmp_path):
    """So that the test above can fail."""
    features, out, _ = good
    turned = features.copy()
    trained_on = (turned.fold == 2) & (turned.role == "train")
    turned.loc[trained_on, "label"] = 1 - turned.loc[trained_on, "label"]
    grade_features(turned, tmp_path, **QUICK)
    before, after = (read_tsv(folder / "predictions.tsv") for folder in (out, tmp_path))
    fold = (before.fold == 2).to_numpy()
    assert not np.allclose(before.probability[fold], after.probability[fold], atol=0.05)
    assert np.allclose(before.probability[~fold], after.probability[~fold], atol=1e-5)


@pytest.mark.slow
def test_features_that_know_nothing_score_like_chance(tmp_path):
    """Selection outside the folds would reach an AUC of about 0.75 here."""
    scores = grade_features(_table(n=90, columns=100), tmp_path, **QUICK)
    low, high = scores["auc_ci95"]
    assert low < 0.55 < high
    assert scores["balanced_accuracy"] < 0.65


def test_a_subject_on_both_sides_is_three_lines(tmp_path):
    features = _table()
    leak = features[(features.fold == 2) & (features.role == "test")].head(1).assign(role="train")
    with raises_three_lines(LeakageError, leak.participant_id.iloc[0], "fold 2", "assign_folds"):
        grade_features(pd.concat([features, leak]), tmp_path, **QUICK)
    assert not (tmp_path / "scores.json").exists()


@pytest.mark.slow
def test_subjects_without_a_label_are_left_out(tmp_path):
    features = _table(shift=2.5)
    features.loc[features.participant_id == "sub-004", "label"] = np.nan
    scores = grade_features(features, tmp_path, **QUICK)
    assert scores["n"] == 59 and "sub-004" not in set(read_tsv(tmp_path / "predictions.tsv").participant_id)


@pytest.mark.slow
def test_constant_features_are_never_selected(tmp_path):
    features = _table(shift=2.5, columns=6).assign(f01=1.0, f02=2.0)
    grade_features(features, tmp_path, **QUICK)
    assert set(read_tsv(tmp_path / "selected.tsv").feature) <= {"f00", "f03", "f04", "f05"}


def _of_two(table):
    """Give every two subjects, in alphabetical order, a group."""
    number = table.participant_id.str[-3:].astype(int) // 2
    return table.assign(group_id=[f"g{each:02d}" for each in number])


def test_a_group_on_both_sides_is_three_lines(tmp_path):
    with raises_three_lines(LeakageError, "each group in one set", "fold 1"):
        grade_features(_of_two(_table()), tmp_path, **QUICK)
    assert not (tmp_path / "scores.json").exists()


def test_groups_stay_together_in_the_inner_folds():
    labels, groups = np.repeat([0, 1], 30), np.repeat(np.arange(20), 3).astype(str)
    masks = _inner_folds(labels, 0, groups)
    assert len(masks) == 2 and all((learn ^ check).all() for learn, check in masks)
    assert not [fold for fold, (learn, check) in enumerate(masks) if set(groups[learn]) & set(groups[check])]
    apart = _inner_folds(labels, 0)
    assert set(groups[apart[0][0]]) & set(groups[apart[0][1]])


def test_a_wide_table_is_selected_from_and_a_narrow_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr("epitome_kit.grade.evaluate.MOST_WITHOUT_SELECTION", 8)
    rng = np.random.default_rng(0)
    label = np.arange(40) % 2
    wide = pd.DataFrame(
        rng.standard_normal((40, 30)) + label[:, None] * (np.arange(30) < 2), columns=[f"f{n}" for n in range(30)]
    )
    wide = wide.assign(participant_id=[f"sub-{n:02d}" for n in range(40)], label=label)
    folds = [wide.assign(fold=k + 1, role=np.where(np.arange(40) // 2 % 2 == k, "test", "train")) for k in (0, 1)]
    table = pd.concat(folds)
    for columns, used, other in ((30, True, "all features"), (8, False, "selected features")):
        part = table.drop(columns=[f"f{n}" for n in range(columns, 30)])
        results, settings = cross_validate(part, tmp_path / str(columns), network=False)
        scores = build_scoreboard(results, part)
        assert settings.selects == scores["selection"]["used"] == used
        assert other in scores["baselines"] and other in scores["differences"]
        assert scores["baselines"][other]["auc"] != scores["auc"]
        assert all(each["features"] for result in results for each in result["selected"])


def _without_values(table):
    return table.assign(f0=np.nan, f1=np.nan)


def _constant(table):
    return table.assign(f0=1.0, f1=1.0)


def _probe_of_one_fold(table):
    return table.assign(probe_age_1=np.where(table.participant_id.str[-1].astype(int) // 2 % 2 == 0, 1.0, np.nan))


@pytest.mark.parametrize("spoil", [_without_values, _constant, _probe_of_one_fold])
def test_where_nothing_can_be_learned_the_score_is_that_of_chance(spoil, tmp_path):
    label = np.arange(40) % 2
    plain = pd.DataFrame(np.random.default_rng(0).standard_normal((40, 2)), columns=["f0", "f1"])
    plain = plain.assign(participant_id=[f"sub-{n:02d}" for n in range(40)], label=label)
    tests = [(np.arange(40) % 10) // 2 % 2 == k for k in (0, 1)]
    folds = [plain.assign(fold=k + 1, role=np.where(tests[k], "test", "train")) for k in (0, 1)]
    table = spoil(pd.concat(folds))
    scores = build_scoreboard(cross_validate(table, tmp_path, network=False)[0], table)
    chance = scores["probes"]["age"] if "probe_age_1" in table else scores
    assert 0.3 < chance["auc"] < 0.7
