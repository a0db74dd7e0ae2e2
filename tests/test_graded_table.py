"""`epitome grade`: from a table to scores, pictures, a network and its card."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from epitome_kit.cli import app
from epitome_kit.files import read_json, read_tsv

TRAINED = ("logistic", "random_forest", "perceptron")
KEYS = {"auc", "auc_ci95", "balanced_accuracy", "brier", "n", "class_counts"}


def _write(folder, n=44, shift=2.2):
    rng = np.random.default_rng(0)
    label = np.arange(n) % 2
    table = pd.DataFrame(rng.standard_normal((n, 12)), columns=[f"f{number}" for number in range(12)])
    for name in ("f0", "f2", "f3"):  # each alone leaves doubt, or it would be refused
        table[name] += shift * label
    table.loc[rng.random(n) < 0.1, "f1"] = np.nan
    table.insert(0, "patient", [f"p{number:02d}" for number in range(n)])
    table = table.assign(status=np.where(label, "mutant", "wild"), flat=1.0, age=rng.normal(50, 9, n))
    table["sex"] = np.where(np.arange(n) // 2 % 2, "F", "M")
    table.to_csv(folder / "mine.csv.gz", index=False)
    return folder / "mine.csv.gz"


def _write_visits(folder, people=24, visits=2):
    """Several rows a person, saved with the numbers of the rows; the label is of the person, the features are noise."""
    rng = np.random.default_rng(1)
    who = np.repeat(np.arange(people), visits)
    table = pd.DataFrame(rng.normal(size=(people, 4))[who] + rng.normal(scale=0.05, size=(len(who), 4))).add_prefix("f")
    table.insert(0, "scan", [f"{number:03d}" for number in range(len(who))])
    table = table.assign(patient=who + 1, status=np.where(who % 2, "mutant", "wild"))
    table.to_csv(folder / "visits.csv")
    return str(folder / "visits.csv")


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    path = _write(folder)
    options = [
        "--label",
        "status",
        "--id",
        "patient",
        "--probe",
        "age",
        "--subgroups",
        "sex",
        "--positive",
        "mutant",
        "--workers",
        "1",
    ]
    deals = ["--repeats", "2", "--folds", "2", "--permutations", "99", "--json", "--out", str(folder / "out")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("epitome_kit.grade.nested.INNER_FOLDS", 2)
        patch.setattr("epitome_kit.grade.nested.NUMBERS", (3,))
        result = CliRunner().invoke(app, ["grade", str(path), *options, *deals])
        assert result.exit_code == 0, result.output
        yield folder / "out", result, [str(path), *options, *deals]


def test_the_scores_have_the_keys_that_were_promised(graded):
    out, result, _ = graded
    scores = read_json(out / "scores.json")
    printed = json.loads(result.stdout)
    assert [each["group"] for each in printed.pop("subgroups")] == ["F", "M"] and printed == scores
    assert set(scores) >= KEYS and set(scores["baselines"]) == {"majority", "selected features", *TRAINED}
    assert all(set(baseline) >= KEYS for baseline in (*scores["baselines"].values(), scores["probes"]["age"]))
    assert scores["class_counts"] == {"wild": 22, "mutant": 22} and scores["positive"] == "mutant"
    assert (scores["n"], scores["folds"], scores["repeats"]) == (44, 2, 2)
    assert set(scores["differences"]) == {"selected features", *TRAINED, "age"}
    assert scores["permutation_p"] == scores["permutation"]["p"] == 0.01 and scores["permutation"]["auc"] > 0.7
    assert scores["auc"] > 0.8 and scores["auc_ci95"][0] > 0.5
    assert scores["source"]["table"] == "mine.csv.gz" and scores["source"]["constant"] == ["flat"]


def test_subgroups_are_scored_and_are_no_features(graded):
    out, scores = graded[0], read_json(graded[0] / "scores.json")
    found, card = read_tsv(out / "subgroups.tsv"), (out / "model_card.md").read_text(encoding="utf-8")
    assert found.n.tolist() == [22, 22] and found.auc.notna().all() and (found.p == found.p_holm).all()
    assert "sex" not in scores["source"]["not_numbers"] and scores["features"]["offered"] == 12
    assert "| sex | F | 22 | 11 and 11 |" in card and "groups of people were not compared" not in card
    assert scores["calibration"].keys() >= {"slope", "slope_ci95", "in_the_large"} and "Calibration, with" in card
    assert "**Net benefit**" in card and [each["threshold"] for each in scores["decision"]] == [0.25, 0.5, 0.75]


@pytest.mark.slow
def test_without_keras_the_baselines_are_graded_and_no_network_is_lost(graded, tmp_path, monkeypatch):
    monkeypatch.setattr("epitome_kit.report.graded_table.is_installed", lambda package: False)
    monkeypatch.setattr("epitome_kit.grade.nested._new_network", lambda settings: pytest.fail("a network was made"))
    refused = CliRunner().invoke(app, ["grade", *graded[2]])
    assert refused.exit_code == 1 and "another `--out`" in " ".join(refused.output.split())
    command = [part if part != str(graded[0]) else str(tmp_path) for part in graded[2]]
    result = CliRunner().invoke(app, ["grade", *command])
    assert result.exit_code == 0, result.output
    assert "epitome-kit[train]" in result.stderr
    scores, by_network = read_json(tmp_path / "scores.json"), read_json(graded[0] / "scores.json")
    assert (by_network["model"], scores["model"]) == ("ann", "logistic") and set(scores) == set(by_network)
    baselines = {"selected features", "random_forest", "perceptron"}
    assert set(scores["baselines"]) == {"majority", *baselines}
    assert set(scores["probes"]) == {"age"} and not scores["selection"]["used"]
    assert scores["auc_ci95"][0] > 0.5
    assert set(read_tsv(tmp_path / "baselines.tsv").model) == {*baselines, "age"}
    assert len(read_tsv(tmp_path / "predictions.tsv")) == 88
    assert not [*tmp_path.glob("ann.*")] and "No model was saved" in (tmp_path / "model_card.md").read_text("utf-8")


def test_predictions_hold_every_subject_once_a_deal(graded):
    predictions = read_tsv(graded[0] / "predictions.tsv")
    assert (predictions.groupby("repeat").participant_id.nunique() == 44).all() and len(predictions) == 88
    assert predictions[["probability", "calibrated"]].apply(lambda column: column.between(0, 1).all()).all()


def test_the_network_takes_raw_features_of_new_subjects(graded):
    out = graded[0]
    model = keras.saving.load_model(out / "ann.keras", safe_mode=True)
    names = read_json(out / "ann.json")["features"]
    assert "f0" in names and model.input_shape == (None, len(names))
    new = np.full((2, len(names)), np.nan, np.float32)
    new[:, names.index("f0")] = -1, 6
    low, high = np.asarray(model(new))[:, 0]
    assert low < 0.5 < high


def test_the_picture_has_a_text_alternative_and_there_is_a_card(graded):
    out = graded[0]
    with Image.open(out / "scoreboard.png") as picture:
        assert picture.width > 900 and "baselines" in picture.info["Description"]
    card = (out / "model_card.md").read_text(encoding="utf-8")
    assert "not for diagnosis" in card and "mine.csv.gz" in card


@pytest.mark.slow
def test_the_same_command_goes_on_where_it_stopped(graded, monkeypatch):
    out, _, command = graded
    before = read_json(out / "scores.json")
    (out / "scores.json").unlink()
    monkeypatch.setattr("epitome_kit.grade.evaluate.grade_fold", lambda rows, settings: pytest.fail("graded again"))
    assert CliRunner().invoke(app, ["grade", *command]).exit_code == 0
    assert read_json(out / "scores.json") == before


@pytest.mark.slow
def test_shuffled_labels_are_said_to_be(graded, tmp_path):
    command = [part if part != str(graded[0]) else str(tmp_path) for part in graded[2]]
    assert CliRunner().invoke(app, ["grade", *command, "--shuffle"]).exit_code == 0
    scores = read_json(tmp_path / "scores.json")
    assert scores["shuffled"] and scores["auc_ci95"][0] < 0.55
    assert "labels were shuffled first" in (tmp_path / "model_card.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_quick_says_that_its_intervals_are_too_narrow(graded, tmp_path):
    command = [
        part if part != str(graded[0]) else str(tmp_path) for part in graded[2] if part not in ("--permutations", "99")
    ]
    result = CliRunner().invoke(app, ["grade", *command, "--quick"])
    assert result.exit_code == 0 and "too narrow" in " ".join(result.stderr.split())
    scores, whole = read_json(tmp_path / "scores.json"), read_json(graded[0] / "scores.json")
    assert scores["permutation_p"] is scores["permutation"] is None and scores["auc"] == whole["auc"]
    assert np.diff(scores["auc_ci95"]) < np.diff(whole["auc_ci95"])


def test_another_grading_in_the_folder_is_not_lost(graded):
    before = (graded[0] / "scores.json").read_bytes()
    result = CliRunner().invoke(app, ["grade", *graded[2], "--shuffle"])
    assert result.exit_code == 1 and "another `--out`" in " ".join(result.output.split())
    assert (graded[0] / "scores.json").read_bytes() == before


def test_a_wrong_column_ends_in_three_lines_and_code_1(tmp_path):
    result = CliRunner().invoke(
        app, ["grade", str(_write(tmp_path)), "--label", "Status", "--out", str(tmp_path / "x")]
    )
    assert result.exit_code == 1 and "status" in result.output and not (tmp_path / "x").exists()


@pytest.mark.slow
def test_rows_of_a_person_are_kept_together_and_it_is_said(graded, tmp_path):
    command = ["grade", _write_visits(tmp_path), "--label", "status", "--id", "scan", "--out", str(tmp_path / "out")]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 1 and "--group patient" in refused.output and not (tmp_path / "out").exists()
    more = ["--group", "patient", "--repeats", "1", "--folds", "2", "--workers", "1"]
    result = CliRunner().invoke(app, [*command, *more])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "as features: Unnamed: 0" in said and "whole groups of patient in one fold (24 groups)" in said
    lines = (tmp_path / "out" / "predictions.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0].split("\t")[:2] == ["participant_id", "group_id"] and lines[1].split("\t")[:2] == ["000", "1"]
    predictions = read_tsv(tmp_path / "out" / "predictions.tsv")
    assert (predictions.groupby("group_id").fold.nunique() == 1).all() and len(predictions) == 48
    scores = read_json(tmp_path / "out" / "scores.json")
    assert scores["source"]["group"] == {"column": "patient", "groups": 24} and scores["n_groups"] == 24
    assert scores["features"]["offered"] == 4 and scores["source"]["row_numbers"] == ["Unnamed: 0"]
    card = " ".join((tmp_path / "out" / "model_card.md").read_text(encoding="utf-8").split())
    assert "All rows of one patient are in one fold" in card


def test_a_feature_that_tells_the_label_ends_in_three_lines(tmp_path):
    command = ["grade", str(_write(tmp_path, shift=60.0)), "--label", "status", "--id", "patient"]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "x")])
    assert result.exit_code == 1 and "--allow-leak f0" in result.output and not (tmp_path / "x").exists()
