"""Explorers of a cohort: the curve and the list agree, and one subject is open at a time."""

import weakref

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve
from tiny import head, lesion, raises_three_lines, write_cohort

from epitome_kit.cohort import open_cohort
from epitome_kit.errors import TableError
from epitome_kit.images import save_image
from epitome_kit.plotting import slices
from epitome_kit.preprocess.derivative import Preprocessed
from epitome_kit.widgets.cohort_explorers import cohort_explorer, prediction_explorer

NAMES = [f"sub-{number:02d}" for number in range(1, 7)]
TABLE = pd.DataFrame(
    {
        "participant_id": NAMES,
        "label": [0, 0, 0, 1, 1, 1],
        "probability": [0.1, 0.6, 0.3, 0.4, 0.8, 0.9],
        "repeat": 1,
    }
)
SCORES = {"auc": 8 / 9, "auc_ci95": [0.5, 1.0], "class_counts": {"2": 3, "3": 3}}


@pytest.fixture
def opened(monkeypatch):
    """Subjects whose files were read, in order, without repeats in a row."""
    names, function = [], slices.load_image

    def load(image, **options):
        name = image.name.split("_")[0]
        if names[-1:] != [name]:
            names.append(name)
        return function(image, **options)

    monkeypatch.setattr(slices, "load_image", load)
    return names


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("preprocessed")
    for number, name in enumerate(NAMES):
        files = Preprocessed(folder, name)
        files.scan("T1ce").parent.mkdir(parents=True)
        save_image(head(number), files.scan("T1ce"))
        if number:
            save_image(lesion(head(number)), files.mask("label-tumour"))
    return folder


@pytest.fixture
def explorer(opened, folder):
    return prediction_explorer(TABLE, SCORES, folder, names=("grade 2", "grade 3"))


def test_a_subject_is_opened_when_it_is_chosen_and_closed_after(opened, explorer):
    assert opened == ["sub-06"]
    first = weakref.ref(explorer.stack.volumes["T1ce"])
    explorer.subject.value = 3
    assert opened == ["sub-06", "sub-04"] and first() is None
    assert np.allclose(explorer.stack.volumes["T1ce"], head(3).get_fdata())
    assert list(explorer.ticks) == ["annotation"]
    explorer.subject.value = 5
    assert opened[-1] == "sub-01" and not explorer.ticks


def test_the_list_runs_from_the_most_probable_and_marks_what_is_wrong(explorer):
    lines = [line for line, _ in explorer.subject.options]
    assert [line.split()[1] for line in lines] == ["sub-06", "sub-05", "sub-02", "sub-04", "sub-03", "sub-01"]
    assert [line.split()[1] for line in lines if "wrong" in line] == ["sub-02", "sub-04"]
    explorer.subject.value = 3
    assert explorer.readout.value == explorer.curve.text
    assert explorer.readout.value.startswith("sub-04: true class grade 3; probability of grade 3 0.40, wrongly")


def test_the_curve_and_the_list_go_together(explorer):
    before = explorer.curve.value
    explorer.curve.index = 2  # as the wheel does
    assert explorer.subject.value == 2 and explorer.readout.value.startswith("sub-02")
    assert explorer.curve.value != before
    explorer.subject.value = 0
    assert explorer.curve.index == 0 and explorer.curve.value == before


def test_a_click_on_the_curve_picks_the_subject_there(explorer):
    false, true, thresholds = roc_curve(TABLE.label, TABLE.probability, drop_intermediate=False)
    corner = thresholds[(true - false).argmax()]
    explorer.curve.clicked = [0.1, 0.02]  # above the upper left corner of the axes
    chosen = explorer.readout.value.split(":")[0]
    assert chosen == TABLE.participant_id[TABLE.probability == corner].item()
    explorer.curve.clicked = [0.98, 0.02]
    assert explorer.readout.value.startswith("sub-01")


def test_one_class_has_no_curve(folder):
    with raises_three_lines(TableError, "predictions of both classes", "3 predictions, labels [0]"):
        prediction_explorer(TABLE[:3], SCORES, folder)


def test_a_cohort_is_opened_subject_by_subject(opened, tmp_path):
    cohort = open_cohort(write_cohort(tmp_path))
    explorer = cohort_explorer(cohort)
    assert opened == ["sub-01"] and list(explorer.stack.volumes) == ["T1ce", "FLAIR"]
    before = explorer.picture.value
    explorer.subject.value = "sub-03"
    assert opened == ["sub-01", "sub-03"] and explorer.picture.value != before
    assert list(explorer.ticks) == ["annotation"]
