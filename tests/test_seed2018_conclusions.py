"""The four conclusions: each answer follows from its interval."""

import numpy as np
import pandas as pd
import pytest

from epitome_kit.teach.seed2018_conclusions import FAILS, HOLDS, OPEN, try_conclusions


def _table(n, shift, noise):
    """Features of which the first knows the label, in two folds; one subject in four is positive."""
    rng = np.random.default_rng(0)
    label = (np.arange(n) % 4 == 0).astype(float)
    table = pd.DataFrame(rng.standard_normal((n, 1 + noise)), columns=[f"f{number}" for number in range(1 + noise)])
    table["f0"] += shift * label
    table.insert(0, "participant_id", [f"sub-{number:03d}" for number in range(n)])
    table["label"] = label
    return pd.concat(
        [table.assign(fold=fold, role=np.where(np.arange(n) // 4 % 2 == fold, "test", "train")) for fold in (0, 1)]
    )


@pytest.fixture(scope="module")
def tried():
    return try_conclusions(_table(160, 1.6, 400), keep=5).set_index("conclusion")


def test_every_difference_lies_in_its_interval_and_has_n(tried):
    assert list(tried.index) == [
        "Balancing prevents bias",
        "Ranking alone does not help",
        "Selection shortens training",
        "Selection improves accuracy",
    ]
    assert (tried.low <= tried.difference).all() and (tried.difference <= tried.high).all() and (tried.n == 160).all()
    assert set(tried.answer) <= {HOLDS, FAILS, OPEN}


def test_balancing_closes_the_gap_where_classes_are_unequal(tried):
    row = tried.loc["Balancing prevents bias"]
    assert row["without"] > 0.3 and abs(row["with"]) < row["without"] and row.answer == HOLDS


@pytest.mark.slow
def test_selection_helps_among_much_noise(tried):
    row = tried.loc["Selection improves accuracy"]
    assert row["with"] > row["without"] + 0.1 and row.answer == HOLDS


@pytest.mark.slow
def test_few_subjects_leave_the_question_open():
    few = try_conclusions(_table(24, 0.5, 6), keep=3).set_index("conclusion")
    assert few.answer["Selection improves accuracy"] == OPEN
