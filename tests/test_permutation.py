"""Permutations that train again: an exact p value, and the variance that training adds."""

import numpy as np
import pytest

from epitome_kit.grade.compare import Predictions, compare
from epitome_kit.grade.permutation import describe_pipeline, permute, permute_table, smallest_detectable_auc
from epitome_kit.grade.splits import make_repeated_folds, permute_labels
from epitome_kit.teach.interval_coverage import Cell, draw_cohort, learn_ridge, make_folds, run_cohort, summarise


def _cohort(seed, effect=0.0):
    rng = np.random.default_rng(seed)
    x, labels = draw_cohort(Cell(48, 10, effect, 1), rng)
    return make_folds(x, labels, seed), labels


def test_permuted_labels_keep_the_classes_of_each_fold_and_never_split_a_group():
    folds, labels = _cohort(0)
    shuffled = permute_labels(labels, [fold.test for fold in folds], draws=50, rng=np.random.default_rng(0))
    assert (shuffled[0] == labels).all() and (shuffled[1:] != labels).any(axis=1).all()
    for fold in folds:
        assert (shuffled[:, fold.test].sum(axis=1) == labels[fold.test].sum()).all()
    rows = np.repeat(np.arange(10), 2)
    tests, given = [np.flatnonzero(rows % 2 == part) for part in (0, 1)], (rows % 3 == 0).astype(int)
    grouped = permute_labels(given, tests, groups=rows, draws=20, rng=np.random.default_rng(0))
    assert (grouped[:, ::2] == grouped[:, 1::2]).all() and len(np.unique(grouped, axis=0)) > 5


def test_what_cannot_be_learned_has_a_large_p_and_what_can_has_the_smallest():
    folds, labels = _cohort(1)
    noise = permute(folds, labels, learn_ridge, draws=99)
    folds, labels = _cohort(1, effect=1.5)
    signal = permute(folds, labels, learn_ridge, draws=99)
    assert noise.p > 0.1 and signal.p == 0.01
    assert signal.auc > 0.9 and abs(signal.aucs.mean() - 0.5) < 0.05
    assert 1.3 < noise.design_effects["auc"] < 2.6, "training adds as much variance as test subjects, without a signal"


def test_a_learner_that_has_seen_the_test_subjects_is_not_saved_by_permutations_of_fixed_answers():
    """The learner returns the labels of other permutations: p is that of a guess."""
    folds, labels = _cohort(2)
    guesses = permute(
        folds, labels, lambda x, y, x_test: np.random.default_rng(0).random((len(y), len(x_test))), draws=99
    )
    assert guesses.p > 0.05 and guesses.design_effects["auc"] < 1.5, "nothing is trained, so nothing is added"


def test_a_table_is_permuted_once(tmp_path, monkeypatch):
    import pandas as pd

    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((30, 25)), columns=[f"f{number}" for number in range(25)])
    table.insert(0, "participant_id", [f"sub-{number:02d}" for number in range(30)])
    table["label"] = np.arange(30) % 2
    splits = make_repeated_folds(table, repeats=2, folds=3)
    first = permute_table(splits, tmp_path, draws=5)
    monkeypatch.setattr("epitome_kit.grade.permutation.permute", None)
    again = permute_table(splits, tmp_path, draws=5)
    assert again.auc == first.auc and (again.aucs == first.aucs).all() and again.design_effects == first.design_effects
    assert permute_table(splits, tmp_path, draws=0) is None
    with pytest.raises(TypeError):
        permute_table(splits.assign(f0=0.5), tmp_path, draws=5)


def test_the_smallest_auc_falls_with_more_subjects():
    found = []
    for n in (48, 480):
        x, labels = draw_cohort(Cell(n, 10, 0.0, 1), np.random.default_rng(0))
        found.append(smallest_detectable_auc(permute(make_folds(x, labels, 0), labels, learn_ridge, draws=99), labels))
    assert 0.7 < found[0] < 0.85 and 0.52 < found[1] < 0.62


def test_differences_are_paired_and_adjusted():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    shared, own = rng.normal(size=200), 0.1 * rng.normal(size=(3, 200))
    strong, same, weak = (
        1 / (1 + np.exp(-(shared + distance * labels + noise))) for distance, noise in zip((2, 2, 0), own, strict=True)
    )
    primary = Predictions(labels, strong[None])
    found = compare(primary, {"same": Predictions(labels, same[None]), "weak": Predictions(labels, weak[None])})
    low, high = found["same"]["difference_ci95"]
    assert low < 0 < high and high - low < 0.05, "subjects that both get wrong count for neither"
    assert found["weak"]["difference_ci95"][0] > 0.3 and found["weak"]["p_holm"] == 2 * found["weak"]["p"]
    wider = compare(primary, {"same": Predictions(labels, same[None])}, design_effect=4.0)["same"]["difference_ci95"]
    assert np.diff(wider)[0] == pytest.approx(2 * (high - low))


def test_repeats_do_not_narrow_the_interval_of_a_difference():
    rng, labels = np.random.default_rng(1), np.arange(80) % 2
    one, other = (0.5 + 0.1 * labels + 0.2 * rng.standard_normal((4, 80)) for _ in range(2))

    def width(chosen):
        found = compare(Predictions(labels, one[chosen]), {"other": Predictions(labels, other[chosen])})
        return np.ptp(found["other"]["difference_ci95"])

    singly = [width([repeat]) for repeat in range(4)]
    assert width([0, 1, 2, 3]) == pytest.approx(np.sqrt(np.mean(np.square(singly))))


def test_the_pipeline_is_named_by_what_it_takes():
    assert "the 20 strongest" in describe_pipeline(21) and "all 20 features" in describe_pipeline(20)


@pytest.mark.slow
def test_a_small_study_of_coverage_finds_the_promise_kept_and_one_of_plain_intervals_broken():
    rows = [run_cohort(Cell(48, 10, 0.0, 1), seed) for seed in range(250)]
    found = summarise(rows)
    assert found["auc"]["coverage"] >= 0.93 and found["auc"]["width_ratio"] <= 1.5
    assert found["false_positives"] <= 0.09, "0.065 and two standard errors"
    assert found["difference"]["coverage"] >= 0.92
    assert found["auc_subjects_alone"]["coverage"] < 0.91, "intervals without the variation of training"
