"""The flow of subjects counted from the tables of a run."""

import numpy as np
import pandas as pd
import pytest
from made_workspace import make_workspace
from PIL import Image

from epitome_kit.cohort import open_cohort
from epitome_kit.errors import ParameterError
from epitome_kit.files import read_tsv, write_json, write_tsv
from epitome_kit.report.flow import class_names, count_flow, write_flow

NAMES = ("grade 2", "grade 3")


@pytest.fixture
def workspace(tmp_path):
    return make_workspace(tmp_path)


def counted(workspace, scores=None):
    cohort = open_cohort(workspace.parent.parent / "cohort")
    return count_flow(cohort, workspace, scores or {}, NAMES, "grade")


def predict(workspace, labels, repeats=2):
    """Write predictions of the first subjects, in folds of which each one tests every third."""
    rows = [(f"sub-{n + 1:03d}", r, n % 3 + 1, label) for r in range(1, repeats + 1) for n, label in enumerate(labels)]
    frame = pd.DataFrame(rows, columns=["participant_id", "repeat", "fold", "label"]).assign(probability=0.4)
    write_tsv(workspace / "predictions.tsv", frame)


def test_stages_and_reasons_are_those_of_the_tables(workspace):
    predict(workspace, [0] * 30 + [1] * 16)
    flow = counted(workspace)
    assert flow["stages"] == [
        ("Found", 49, {"expected a 3-D image": 1}),
        ("Imported", 48, {"expected a volume with contrast": 2}),
        ("Preprocessed", 46, {}),
    ]
    assert flow["analysed"] == {"grade 2": 30, "grade 3": 16}


def test_folds_are_counted_once_however_often_they_are_repeated(workspace):
    predict(workspace, [0, 0, 0, 1, 1, 1, 0], repeats=3)
    assert counted(workspace)["folds"] == {"grade 2": [2, 1, 1], "grade 3": [1, 1, 1]}


def test_subjects_without_a_label_are_left_out_as_such(workspace):
    people = workspace.parent.parent / "cohort" / "participants.tsv"
    table = read_tsv(people)
    write_tsv(people, table.assign(grade=table.grade.where(table.index > 2, np.nan)))
    predict(workspace, [0] * 27 + [1] * 16)
    assert counted(workspace)["stages"][-1] == ("Preprocessed", 46, {"without a label of grade": 3})


def test_subjects_that_no_table_explains_are_named_so(workspace):
    predict(workspace, [0] * 20 + [1] * 16)
    assert counted(workspace)["stages"][-1] == ("Preprocessed", 46, {"reason not recorded": 10})


def test_stages_that_have_become_too_small_are_left_out(workspace):
    predict(workspace, [0] * 40 + [1] * 20)
    flow = counted(workspace)
    assert flow["stages"] == [] and sum(flow["analysed"].values()) == 60


def test_without_predictions_the_scores_are_what_is_known(workspace):
    assert counted(workspace, {"class_counts": {"2": 30, "3": 16}})["analysed"] == dict(
        zip(NAMES, (30, 16), strict=True)
    )
    assert counted(workspace)["analysed"] == {}


def test_the_figure_is_written_with_its_text_alternative(workspace):
    path = write_flow(workspace)
    assert path == workspace / "reporting" / "flow.png"
    with Image.open(path) as image:
        assert "Imported: 48; left out: 2 expected a volume with contrast." in image.info["Description"]


def test_a_run_without_a_cohort_yet_has_no_figure(tmp_path):
    write_json(tmp_path / "parameters.json", {"cohort": "phantom", "profile": "smoke", "target": "grade", "seed": 0})
    assert write_flow(tmp_path) is None
    with pytest.raises(ParameterError, match="the workspace of a run"):
        write_flow(tmp_path / "nothing")


def test_classes_are_called_by_their_name_and_bare_numbers_by_their_column():
    counts = {"class_counts": {"0": 57, "1": 102}}
    assert class_names(counts, "codeletion") == ("1p/19q intact", "1p/19q co-deleted")
    assert class_names({**counts, "target": "Target"}) == ("Target = 0", "Target = 1")
    assert class_names({"target": "kind", "class_counts": {"low": 1, "high": 2}}) == ("low", "high")
    assert class_names({}) == ()
