"""What is read from the files of a folder, on a made-up run and a made-up model."""

import io
import json
import zipfile

import h5py
import numpy as np
import pandas as pd
import pytest
from made_workspace import make_workspace

from epitome_kit.files import write_json, write_tsv
from epitome_kit.report.metadata import gather


def make_model(path):
    """A file like one that Keras saves: 6 + 2 weights, an optimiser and a seed, which are no weights."""
    first = {"class_name": "InputLayer", "config": {"batch_shape": [None, 3]}}
    layers = [
        first,
        {"class_name": "Dense", "config": {"units": 2}},
        {"class_name": "EnsembleDense", "config": {"members": 4}},
    ]
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["layers/dense/vars/0"] = np.zeros((3, 2))
        file["layers/dense/vars/1"] = np.zeros(2)
        file["layers/dropout/seed_generator/vars/0"] = np.zeros(2)
        file["optimizer/vars/0"] = np.zeros((3, 2))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": layers}}))
        archive.writestr("model.weights.h5", weights.getvalue())


def test_a_run_is_described_from_its_files(tmp_path):
    workspace = make_workspace(tmp_path)
    make_model(workspace / "ann.keras")
    write_json(
        workspace / "preprocessed" / "sub-001" / "anat" / "sub-001_quality.json", {"settings": {"spacing_mm": 3}}
    )
    write_tsv(workspace / "selected.tsv", pd.DataFrame({"feature": ["rim", "size"], "folds": [5, 2]}))
    known = gather(workspace)
    assert known["names"] == ("grade 2", "grade 3")
    assert known["counts"] == {"grade 2": 30, "grade 3": 16}
    assert known["cohort"]["n"] == 48 and known["cohort"]["simulated"] and known["cohort"]["contrasts"] == ("T2w",)
    assert known["preprocessing"] == {"spacing_mm": 3}
    assert known["selected"] == [["rim", 5], ["size", 2]]
    model = known["models"]["ann.keras"]
    assert (model["weights"], model["inputs"], model["members"]) == (8, [[3]], 4)
    assert known["predictions"] is None and known["training"] == {} and "cnn.keras" not in known["models"]


@pytest.mark.parametrize("twice", [False, True])
def test_predictions_are_counted_by_subject_and_checked_for_repeats(twice, tmp_path):
    table = pd.DataFrame(
        {
            "participant_id": ["a", "b", "c", "a", "b", "a" if twice else "c"],
            "repeat": [1, 1, 1, 2, 2, 2],
            "label": [0, 1, 1, 0, 1, 0 if twice else 1],
            "probability": [0.2, 0.9, 0.1, 0.4, 0.7, 0.3],
            "calibrated": [0.0, 1.0, 0.5, 0.0, 1.0, 0.5],
        }
    )
    write_json(tmp_path / "scores.json", {"n": 3})
    write_tsv(tmp_path / "predictions.tsv", table)
    described = gather(tmp_path)["predictions"]
    assert described["once"] is not twice
    if not twice:
        assert described["wrong"] == 1 and described["share"] == pytest.approx(2 / 3)
        assert described["mean_probability"] == pytest.approx(2.6 / 6)
        assert described["calibrated_brier"] == pytest.approx(0.5 / 6)


def test_a_table_has_no_cohort_and_takes_its_provenance_from_the_caller(tmp_path):
    write_json(tmp_path / "scores.json", {"n": 3, "class_counts": {"no": 1, "yes": 2}})
    known = gather(tmp_path, provenance={"seed": 4})
    assert known["cohort"] is known["summary"] is known["flow"] is known["parameters"] is None
    assert known["provenance"] == {"seed": 4} and known["counts"] == {"no": 1, "yes": 2}
