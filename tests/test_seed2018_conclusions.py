"""The four conclusions: each answer follows from its p, and is of what the grader does."""

import numpy as np
import pandas as pd
import pytest

from epitome_kit.teach.seed2018_conclusions import FAILS, HOLDS, OPEN, try_conclusions


def _table(n, shift, noise, folds=5, informative=1):
    """Features of which the first know the label; one subject in four is positive."""
    rng = np.random.default_rng(0)
    label = (np.arange(n) % 4 == 0).astype(float)
    table = pd.DataFrame(rng.standard_normal((n, informative + noise))).add_prefix("f")
    table.iloc[:, :informative] += shift * label[:, None]
    table.insert(0, "participant_id", [f"sub-{number:03d}" for number in range(n)])
    table["label"] = label
    fold_of = np.arange(n) // 4 % folds
    parts = [table.assign(fold=fold, role=np.where(fold_of == fold, "test", "train")) for fold in range(folds)]
    return pd.concat(parts)


@pytest.fixture(scope="module")
def tried():
    """By the logistic regression, of 400 features of which one is informative."""
    return try_conclusions(_table(160, 1.6, 400), network=False).set_index(["conclusion", "measure"])


@pytest.mark.slow
def test_every_difference_lies_in_its_interval_and_has_n(tried):
    assert list(tried.index) == [
        ("Balancing prevents bias", "gap between recalls"),
        ("Ranking alone does not help", "AUC"),
        ("Selection shortens training", "seconds a fold"),
        ("Selection improves accuracy", "accuracy"),
        ("Selection improves accuracy", "AUC"),
    ]
    assert (tried.low <= tried.difference).all() and (tried.difference <= tried.high).all() and (tried.n == 160).all()
    assert tried.p.between(0, 1).all() and set(tried.answer) <= {HOLDS, FAILS, OPEN}
    assert ((tried.answer == OPEN) == (tried.p > 0.05)).all()


def test_a_model_that_knows_no_order_of_columns_is_the_same_for_every_order(tried):
    row = tried.loc["Ranking alone does not help", "AUC"]
    assert abs(row.difference) < 1e-6 and row.answer == HOLDS


def test_a_selection_in_inner_folds_takes_longer_than_training_on_everything(tried):
    row = tried.loc["Selection shortens training", "seconds a fold"]
    assert row["with"] > 3 * row["without"] and row.low > 0 and row.answer == FAILS


def test_selection_helps_among_much_noise(tried):
    row = tried.loc["Selection improves accuracy", "AUC"]
    assert row["with"] > row["without"] + 0.05 and row.low > 0


@pytest.mark.slow
def test_balancing_closes_the_gap_where_classes_are_unequal():
    tried = try_conclusions(_table(400, 0.6, 0, informative=6)).set_index("conclusion")
    row = tried.loc["Balancing prevents bias"]
    assert row["without"] > 0.3 and 0 <= row["with"] < row["without"] and row.answer == HOLDS


def test_few_subjects_leave_the_question_open():
    few = try_conclusions(_table(24, 0.5, 6, folds=3), network=False)
    assert (few.answer[few.conclusion == "Selection improves accuracy"] == OPEN).all()
