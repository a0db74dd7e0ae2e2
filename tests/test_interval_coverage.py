"""The experiments of the coverage lab: they keep what is right apart from what is wrong on purpose."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu, norm

from epitome_kit.teach.exercises import check_with
from epitome_kit.teach.interval_coverage import (
    EFFECTS,
    Cell,
    draw_cohort,
    expected_auc,
    judge_intervals,
    p_of_fixed_predictions,
    run_study,
)

NULL = Cell(48, 10, 0.0, 1)


@pytest.fixture(scope="module")
def study():
    return run_study(NULL, 3, draws=99)


def test_a_study_has_both_kinds_of_intervals_for_the_same_aucs(study):
    fixed, trained = study["fixed"], study["trained"]
    assert list(fixed) == list(trained) == ["auc", "low", "high", "p"] and len(fixed) == len(trained) == 3
    assert (fixed.auc == trained.auc).all() and fixed.auc.nunique() == 3
    assert (trained.high - trained.low > 1.1 * (fixed.high - fixed.low)).all(), "training adds to the width"
    again = run_study(NULL, 1, draws=99)["trained"]
    assert (again == trained[:1]).to_numpy().all()
    assert run_study(NULL, 1, draws=99, seed=1)["trained"].auc[0] not in set(trained.auc)


def test_p_of_fixed_predictions_is_that_of_mann_and_whitney():
    _, labels = draw_cohort(NULL, np.random.default_rng(0))
    scores = np.random.default_rng(1).normal(labels, 2)
    test = mannwhitneyu(
        scores[labels == 1], scores[labels == 0], alternative="greater", method="asymptotic", use_continuity=False
    )
    auc = test.statistic / (labels.sum() * (1 - labels).sum())
    assert p_of_fixed_predictions([auc, 0.5], NULL) == pytest.approx([test.pvalue, 0.5])


def test_the_expected_auc_grows_with_the_effect():
    null, weak, strong = (expected_auc(Cell(48, 10, effect, 1), cohorts=60) for effect in EFFECTS.values())
    assert 0.45 < null < 0.54 < weak < 0.66 < strong < 0.85


def test_intervals_that_are_too_narrow_break_their_promise_and_useless_ones_are_wide():
    rng = np.random.default_rng(0)
    value = rng.normal(0.7, 0.1, 400)
    right = pd.DataFrame({"low": value - norm.ppf(0.975) * 0.1, "high": value + norm.ppf(0.975) * 0.1})
    half = pd.DataFrame({"low": (right.low + value) / 2, "high": (right.high + value) / 2})
    found = judge_intervals({"right": right, "half": half, "all": right.assign(low=0.0, high=1.0)}, 0.7)
    assert found["keeps its promise"].tolist() == [True, False, True]
    assert found.coverage["right"] == pytest.approx(0.95, abs=0.03)
    assert found.coverage["half"] == pytest.approx(0.673, abs=0.05)
    assert found.width["half"] == pytest.approx(found.width["right"] / 2) and found.width["all"] == 1
    assert found.error["half"] == pytest.approx(np.sqrt(0.67 * 0.33 / 400), rel=0.1)


def test_exercises_take_counts_and_nothing_else():
    intervals = pd.DataFrame(
        {
            "auc": [0.5, 0.7, 0.4, 0.9],
            "low": [0.4, 0.6, 0.3, 0.8],
            "high": [0.6, 0.8, 0.5, 1.0],
            "p": [0.5, 0.04, 0.9, 0.01],
        }
    )
    known = {"fixed": intervals, "trained": intervals.assign(high=[0.75, 0.8, 0.5, 1.0]), "truth": 0.45}
    for exercise, right, wrong in (("share", 0.5, 0.75), ("false", 0.5, 2), ("next", 1 / 3, 0.75)):
        name = f"coverage-{exercise}"
        assert check_with(known, name, right).passed and not check_with(known, name, wrong).passed
        assert check_with(known, name, None).blank
