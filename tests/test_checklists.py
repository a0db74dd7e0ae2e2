"""The checklists: complete, answered from the files, and plain about what was not done."""

import re

import pandas as pd
import pytest
from made_workspace import make_workspace

from epitome_kit.errors import ParameterError
from epitome_kit.files import read_json, write_json, write_tsv
from epitome_kit.report.checklists import CHECKLISTS, STATES, fill_in_checklists, read_items, write_checklists
from epitome_kit.report.metadata import gather
from epitome_kit.report.statements import state_facts
from epitome_kit.workspace import Workspace

LETTERS = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc", 23: "ab", 27: "abc"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    workspace = make_workspace(tmp_path_factory.mktemp("filled"))
    return workspace, fill_in_checklists(workspace)


def numbers(name):
    return [item["item"] for item in read_items(name)]


def test_every_item_of_the_sources_is_there_once_and_in_order():
    tripod = [f"{n}{letter}" for n in range(1, 28) for letter in LETTERS.get(n, [""])]
    assert numbers("tripod_ai") == tripod and len(tripod) == 52
    assert numbers("claim") == [str(n) for n in range(1, 45)]
    metrics = numbers("metrics")
    assert [n for n in metrics if n.isdigit()] == [str(n) for n in range(1, 31)]
    assert [n for n in metrics if not n.isdigit()] == ["C1", "C2", "C3", "C4", "C5"]


def test_the_weights_of_metrics_add_up_to_one_and_its_conditions_exist():
    items = read_items("metrics")
    assert sum(float(item["weight"]) for item in items if item["weight"]) == pytest.approx(1)
    assert all(bool(item["weight"]) == item["item"].isdigit() for item in items)
    assert {name for item in items for name in item["condition"].split()} == {"C1", "C2", "C3", "C4", "C5"}


@pytest.mark.parametrize("name", CHECKLISTS)
def test_every_fact_that_a_list_asks_for_is_one_that_can_be_stated(name, filled):
    _, facts = state_facts(gather(filled[0]))
    asked = {fact for item in read_items(name) for fact in item["facts"].split()}
    assert not [fact for fact in asked if not callable(getattr(facts, fact, None))]


@pytest.mark.parametrize("name", CHECKLISTS)
def test_every_item_has_an_answer_or_a_question(name, filled):
    checklist = filled[1][name]
    assert sum(checklist["counts"].values()) == len(checklist["items"])
    for item in checklist["items"]:
        assert item["answer"] or item["author"]
        assert item["state"] in STATES
        assert (item["state"] == "for the author") == (not item["answer"])
        assert (item["state"] == "not done") == item["answer"].startswith("Not done")
        assert (item["state"] == "not applicable") == item["answer"].startswith("Does not apply")
        assert "None" not in item["answer"] and "  " not in item["answer"]


def answers(filled, name):
    return {item["item"]: item for item in filled[1][name]["items"]}


def test_what_the_files_know_is_filled_in(filled):
    tripod, claim, metrics = (answers(filled, name) for name in CHECKLISTS)
    assert "AUC 0.81 (0.68 to 0.92)" in tripod["23a"]["answer"] and "n = 46" in tripod["23a"]["answer"]
    assert "Left out: expected a volume with contrast: 2" in tripod["20a"]["answer"]
    assert "cross-validation with 5 folds" in claim["19"]["answer"]
    assert "numpy 2.3.1" in claim["23"]["answer"] and claim["23"]["state"] == "filled in"
    assert "Brier score 0.190" in metrics["22"]["answer"]
    assert claim["33"]["answer"] == "Not done: there was no external validation."


def test_what_no_file_knows_is_asked_of_the_author(filled):
    tripod = answers(filled, "tripod_ai")
    assert tripod["18a"]["state"] == "for the author" and "sources" in tripod["18a"]["author"]
    assert tripod["18f"]["state"] == "filled in" and tripod["18f"]["author"] == ""


def test_questions_about_people_are_asked_only_where_people_were_scanned(filled, tmp_path):
    assert answers(filled, "tripod_ai")["17"]["answer"] == "Does not apply: every scan is simulated."
    assert answers(filled, "tripod_ai")["8a"]["author"] == ""
    patients = {
        name: {item["item"]: item for item in checklist["items"]} for name, checklist in _patients(tmp_path).items()
    }
    assert (
        patients["tripod_ai"]["17"]["state"] == "for the author" and "consent" in patients["tripod_ai"]["17"]["author"]
    )
    assert "WHO" in patients["tripod_ai"]["8a"]["author"]
    assert not [item for item in patients["claim"].values() if "simulated" in item["answer"].lower()]


def _patients(folder):
    return fill_in_checklists(make_workspace(folder, simulated=False))


def test_the_files_hold_every_item_in_a_table_that_no_answer_breaks(filled, tmp_path):
    write_json(tmp_path / "scores.json", {"n": 9, "class_counts": {"a": 4, "b": 5}, "source": {"file": "odd|name.csv"}})
    for folder in (filled[0], tmp_path):
        paths = write_checklists(folder)
        assert [path.relative_to(folder).as_posix() for path in paths] == [
            f"reporting/{name}.md" for name in CHECKLISTS
        ]
        for path in paths:
            text = path.read_text(encoding="utf-8")
            rows = [line for line in text.splitlines() if line.startswith("|")]
            assert len(rows) == 2 + len(read_items(path.stem))
            assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
            count = int(re.search(r"\*\*(\d+) of \d+ rows are left to the author\*\*", text)[1])
            assert count == text.count("**For the author:**")
            assert CHECKLISTS[path.stem][1] in text
    assert "odd\\|name.csv" in (tmp_path / "reporting" / "claim.md").read_text(encoding="utf-8")


def test_newer_scores_answer_more(filled, tmp_path):
    workspace = make_workspace(tmp_path)
    scores = read_json(workspace / "scores.json")
    probes = {
        "probes": {"volume": {"auc": 0.6}},
        "baselines": {"logistic": {"auc": 0.7}},
        "balanced": True,
        "permutation_p": 0.01,
    }
    write_json(workspace / "scores.json", {**scores, **probes})
    more = {item["item"]: item for item in fill_in_checklists(workspace)["metrics"]["items"]}
    assert answers(filled, "metrics")["19"]["answer"] == "" and "volume alone, AUC 0.60" in more["19"]["answer"]
    assert "logistic regression: AUC 0.70" in more["25"]["answer"]
    assert "permutation p = 0.010" in more["21"]["answer"].lower()


def test_a_folder_of_neither_kind_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="without parameters.json and scores.json"):
        write_checklists(tmp_path)


def test_features_that_were_measured_again_are_no_item_that_was_not_done(tmp_path, filled):
    assert answers(filled, "metrics")["14"]["state"] == "not done"
    workspace = make_workspace(tmp_path)
    icc = pd.DataFrame({"fold": [1, 1, 2, 2], "feature": ["a", "b"] * 2, "icc": [0.9, 0.5, 0.8, 0.9]})
    write_tsv(Workspace(workspace).reliability, icc)
    item = {each["item"]: each for each in fill_in_checklists(workspace)["metrics"]["items"]}["14"]
    assert item["state"] == "filled in" and "1 of 2 features" in item["answer"]
