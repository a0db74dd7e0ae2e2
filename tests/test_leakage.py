"""Every leak of the lab raises when it is tried through the public functions of the kit."""

import numpy as np
import pandas as pd
import pytest
from tiny import raises_three_lines

import epitome_kit as ek
from epitome_kit.errors import CohortError, EpitomeError, LeakageError
from epitome_kit.folds import assign_folds, require_disjoint
from epitome_kit.grade.select import rank_features, select_features
from epitome_kit.teach import leakage as leaks

NAMES = [f"sub-{number:02d}" for number in range(20)]
LABELS = pd.Series(np.arange(20) % 2, index=NAMES, name="label")


@pytest.fixture
def table():
    """One row a subject: four features of noise, and a label."""
    values = np.random.default_rng(0).normal(size=(20, 4))
    return pd.DataFrame(values, index=NAMES).add_prefix("f").assign(label=LABELS)


@pytest.fixture
def grade(tmp_path):
    """Return a function that grades a table whose index are the names."""

    def graded(table):
        rows = table.rename_axis("participant_id").reset_index()
        columns = ek.TableColumns(label="label", id="participant_id")
        return ek.grade_table(rows, tmp_path / "out", columns, resampling=ek.Resampling(repeats=1, folds=2))

    return graded


def test_slices_of_one_subject_on_both_sides():
    slices = np.repeat(NAMES, 10)
    with raises_three_lines(LeakageError, "lab", "sub-00"):
        require_disjoint(slices[::2], slices[1::2], where="lab")
    require_disjoint(slices[:100], slices[100:], where="lab")


def test_folds_of_a_list_in_which_one_stands_twice(table):
    with raises_three_lines(CohortError, "sub-00"):
        assign_folds(pd.concat([table, table.iloc[:1]]).label)


@pytest.mark.parametrize("choose", [rank_features, select_features])
def test_selection_that_looks_at_test_subjects(choose, table):
    roles = np.where(np.arange(20) < 4, "test", "train")
    rows = table.assign(fold=1, role=roles).rename_axis("participant_id").reset_index()
    with raises_three_lines(LeakageError):
        choose(rows)
    assert len(choose(rows[rows.role == "train"]))


def test_one_subject_twice(table, grade):
    with raises_three_lines(EpitomeError, "sub-00"):
        grade(pd.concat([table, table.iloc[:1]]))


def test_one_scan_under_two_names(table, grade):
    rows, labels = leaks.double_some(table.drop(columns="label"), LABELS, share=0.1)
    twice = rows.index[-1]
    with raises_three_lines(EpitomeError, twice, twice.removesuffix("-again")):
        grade(rows.assign(label=labels))


def test_classes_balanced_by_copies(table, grade):
    rare = pd.Series((np.arange(20) < 6).astype(int), index=NAMES)
    rows, labels = leaks.balance_by_copies(table.drop(columns="label"), rare)
    with raises_three_lines(EpitomeError, "again"):
        grade(rows.assign(label=labels))


def test_features_of_a_subject_on_both_sides_of_a_fold(table, tmp_path):
    rows = table.assign(fold=1, role="train", cnn_probability=0.5).rename_axis("participant_id").reset_index()
    both = pd.concat([rows, rows.iloc[:4].assign(role="test")])
    with raises_three_lines(CohortError, "sub-00"):
        ek.grade_features(both, tmp_path / "out")
