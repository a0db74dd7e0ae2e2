"""The model card: its numbers are those of the files, its questions are counted, its code runs."""

import re

import pytest
from made_workspace import make_workspace
from tiny import raises_three_lines

from epitome_kit.errors import ParameterError
from epitome_kit.files import read_json, write_json
from epitome_kit.report.model_card import write_model_card

BASELINE = {"auc": 0.77, "auc_ci95": [0.62, 0.9], "balanced_accuracy": 0.7, "brier": 0.2}
TABLE = {
    "target": "Target",
    "n": 159,
    "class_counts": {"0": 57, "1": 102},
    "auc": 0.83,
    "auc_ci95": [0.76, 0.89],
    "balanced_accuracy": 0.74,
    "brier": 0.17,
    "permutation_p": 0.001,
    "repeats": 4,
    "folds": 5,
    "baselines": {"logistic": {**BASELINE, "auc": 0.81}},
    "selection": {"methods": ["ranking", "stability"], "numbers": [8, 16]},
    "source": {"table": "radiomics.csv", "checksum": "0123abcd", "columns": 2030},
}


def card_of(folder, **options):
    return write_model_card(folder, **options).read_text(encoding="utf-8")


def test_the_card_of_a_run_holds_its_scores_with_interval_and_majority(tmp_path):
    text = card_of(make_workspace(tmp_path))
    assert text.startswith("# Model card: Made-up gliomas\n")
    assert "| AUC | 0.81 | 0.68 to 0.92 | 0.50 |" in text
    assert "| accuracy | 0.76 | 0.62 to 0.86 | 0.65 |" in text
    assert "n = 46; **phantom scores**" in text
    assert "grade 2: 30, grade 3: 16" in text
    assert "Left out were: expected a 3-D image: 1, expected a volume with contrast: 2." in text
    assert "**For teaching and research, not for diagnosis.**" in text
    assert f"commit {'0' * 40}" in text and "keras 3.11.0" in text


def test_the_questions_for_the_author_are_counted(tmp_path):
    for simulated in (True, False):
        text = card_of(make_workspace(tmp_path / str(simulated), simulated=simulated))
        count = int(re.search(r"\*\*(\d+) items are left to the author\*\*", text)[1])
        assert count == text.count("**AUTHOR:**") >= 4
    assert "consent" in text.partition("## Ethics")[2].partition("##")[0], "patients were scanned"


def test_baselines_and_probes_stand_in_one_table_with_the_model(tmp_path):
    workspace = make_workspace(tmp_path)
    added = {
        "baselines": {"random_forest": BASELINE},
        "probes": {"volume": {**BASELINE, "auc": 0.7}},
        "permutation_p": 0.004,
        "permutation": {"pipeline": "ridge", "p": 0.004, "auc": 0.78, "draws": 249, "detectable_auc": 0.7},
        "differences": {"volume": {"difference": 0.11, "difference_ci95": [-0.05, 0.27], "p": 0.2, "p_holm": 0.4}},
        "oracle_auc_cohort": 0.93,
    }
    write_json(workspace / "scores.json", {**read_json(workspace / "scores.json"), **added})
    text = card_of(workspace)
    assert "| **this model** | 0.81 | 0.68 to 0.92 | 0.74 | 0.190 |" in text
    assert "| random forest | 0.77 | 0.62 to 0.90 | 0.70 | 0.200 |" in text
    assert "| volume alone | 0.70 |" in text
    assert "p = 0.004 for a ridge (AUC 0.78)" in text and "of 249 permutations" in text
    assert "| volume | +0.11 | -0.05 to +0.27 | 0.400 |" in text
    assert "expected AUC of 0.90" in text and "oracle on these 46 subjects is 0.93" in text
    assert "- Volume alone reaches an AUC of 0.70, not clearly below the model's 0.81." in text


def test_a_graded_table_has_a_card_without_a_cohort(tmp_path):
    write_json(tmp_path / "scores.json", TABLE)
    text = card_of(tmp_path, provenance={"versions": {"epitome-kit": "9.9.9"}, "seed": 3})
    assert text.startswith("# Model card: radiomics.csv\n")
    assert "The model classifies Target = 1 against Target = 0" in text
    assert "table: radiomics.csv, checksum: 0123abcd, columns: 2030." in text
    assert "5 folds, repeated 4 times, seed 3" in text
    assert "Tried: methods: ranking, stability; numbers: 8, 16." in text
    assert "| logistic regression | 0.81 |" in text
    assert "Epitome Kit 9.9.9" in text
    assert "No model was saved in this folder." in text
    assert "hantom" not in text and "None" not in text and "MRI" not in text


def test_scores_of_one_key_still_have_a_card(tmp_path):
    write_json(tmp_path / "scores.json", {"n": 20})
    assert "None" not in card_of(tmp_path)


def test_the_code_of_the_card_loads_the_models(tmp_path, monkeypatch):
    from epitome_kit.grade.ann import build_ann

    write_json(tmp_path / "scores.json", TABLE)
    model = build_ann(7)
    model.save(tmp_path / "ann.keras")
    text = card_of(tmp_path)
    assert f"{model.count_params():,} weights" in text and "7 numbers a subject" in text
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert "import epitome_kit.grade.ann" in code and "safe_mode=True" in code and "cnn" not in code
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    assert names["ann"].count_params() == model.count_params()


def test_a_folder_without_scores_is_refused(tmp_path):
    with raises_three_lines(ParameterError, "scores.json"):
        write_model_card(tmp_path)


@pytest.mark.parametrize("lost", ["provenance.json", "preprocessed/quality.tsv", "tumours.tsv"])
def test_a_missing_file_leaves_a_gap_in_the_card(lost, tmp_path):
    workspace = make_workspace(tmp_path)
    (workspace / lost).unlink()
    assert "None" not in card_of(workspace)
