"""Epitomes of the grades: new subjects only, a difference that is there is found, and none where there is none."""

import os
from dataclasses import replace

import pandas as pd
import pytest
from made_derivative import make_derivative
from test_epitomes_by_subject import make_masks
from tiny import raises_three_lines

from epitome_kit.epitome import by_class as grade_epitomes
from epitome_kit.epitome.by_class import GradeEpitomeSettings, learn_grade_epitomes
from epitome_kit.epitome.files import load_epitome, record_path
from epitome_kit.errors import CohortError, collect_warnings
from epitome_kit.files import read_json

SETTINGS = GradeEpitomeSettings(shape=5, patch=3, iterations=4, most=20, repeats=2)
SMALL = {"settings": SETTINGS, "folds": 2}


@pytest.fixture(scope="module")
def learned_grades(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grades")
    cohort, ready = make_derivative(folder, subjects=9, unlabelled=[8])
    make_masks(cohort, folder / "out")
    return cohort, ready, folder / "out", *learn_grade_epitomes(cohort, ready, folder / "out", **SMALL)


def test_grades_that_differ_are_told_apart_on_new_subjects(learned_grades):
    cohort, *_, table, scores = learned_grades
    assert list(table.participant_id) == list(cohort.labels("grade").index), "no subject without a label"
    assert (table.log_likelihood_ratio > 0).tolist() == [False, True] * 4
    assert scores["auc"] == scores["balanced_accuracy"] == 1 and scores["majority_accuracy"] == 0.5
    assert (scores["n"], scores["class_counts"], scores["deals"]) == (8, [4, 4], 2)
    assert scores["classes"] == ["grade-2", "grade-3"]
    for method in ("epitome", "kmeans", "random"):
        assert scores["mse"][method] == pytest.approx(table[f"mse_{method}"].mean(), abs=1e-5)
    assert scores["better_than"]["random"] == (table.mse_epitome < table.mse_random).sum()


def test_the_two_epitomes_that_are_kept_can_be_subtracted(learned_grades):
    *_, out, _, _ = learned_grades
    low, high = (load_epitome(out / "epitomes" / name, name) for name in ("grade-2", "grade-3"))
    assert low.contrasts == ("T1ce", "FLAIR")
    apart = (high.mean - low.mean).mean(axis=(0, 1, 2))
    assert apart[0] > 0.5 and apart[0] > 3 * abs(apart[1]), "grade shows on T1ce"
    assert read_json(record_path(out / "epitomes" / "grade-3", "grade-3"))["settings"]["n"] == [4, 4]


def test_labels_without_meaning_tell_nothing(learned_grades, tmp_path):
    cohort, ready, out, *_ = learned_grades
    (tmp_path / "masks").symlink_to(out / "masks")
    cohort.participants["codeletion"] = ["intact", "intact", "codeleted", "codeleted"] * 2 + ["intact"]
    _, scores = learn_grade_epitomes(cohort, ready, tmp_path, target="codeletion", **SMALL)
    assert scores["classes"] == ["codeletion-intact", "codeletion-codeleted"]
    assert 0.1 < scores["auc"] < 0.9, "both classes hold as many of either grade"


def test_workers_do_not_change_the_scores_and_finished_folds_are_kept(learned_grades, tmp_path, monkeypatch):
    cohort, ready, out, table, scores = learned_grades
    (tmp_path / "masks").symlink_to(out / "masks")
    again, same = learn_grade_epitomes(cohort, ready, tmp_path, **SMALL, workers=2)
    pd.testing.assert_frame_equal(again, table)
    assert same == scores

    def learn_epitome(*args, **options):
        raise AssertionError("learned again")

    monkeypatch.setattr(grade_epitomes, "learn_epitome", learn_epitome)
    kept, kept_scores = learn_grade_epitomes(cohort, ready, out, **SMALL)
    pd.testing.assert_frame_equal(kept, table)
    assert kept_scores == scores
    for path in out.rglob("*.*"):
        os.utime(path, ns=(1, 1))
    with collect_warnings() as remarks:
        learn_grade_epitomes(cohort, ready, out, **SMALL)
    assert not remarks
    with collect_warnings() as remarks, pytest.raises(AssertionError, match="learned again"):
        learn_grade_epitomes(cohort, ready, out, settings=replace(SETTINGS, iterations=5), folds=2)
    assert remarks == ["learn_grade_epitomes: 6 of 6 computed again: iterations was 4, is 5"]
    record = next((out / "epitomes" / "folds").glob("*.json"))
    whole = record.read_bytes()
    record.write_bytes(whole[: len(whole) // 2])
    with collect_warnings() as remarks, pytest.raises(AssertionError, match="learned again"):
        learn_grade_epitomes(cohort, ready, out, **SMALL)
    record.write_bytes(whole)
    assert remarks == ["learn_grade_epitomes: 1 of 6 computed again: its record cannot be read"]


def test_no_subject_is_tested_by_what_was_learned_from_it(learned_grades, tmp_path, monkeypatch):
    cohort, ready, out, *_ = learned_grades
    (tmp_path / "masks").symlink_to(out / "masks")
    seen, pool = [], grade_epitomes._pool
    monkeypatch.setattr(grade_epitomes, "_pool", lambda patches, names: seen.append(set(names)) or pool(patches, names))
    learn_grade_epitomes(cohort, ready, tmp_path, settings=replace(SETTINGS, repeats=1, iterations=1), folds=2)
    folds = [read_json(path) for path in sorted((tmp_path / "epitomes" / "folds").glob("*.json"))]
    tested = [{row["participant_id"] for row in fold["rows"]} for fold in folds]
    assert set.union(*tested) == set(cohort.labels("grade").index) and not set.intersection(*tested)
    learned_from = [names for names in seen[3:] if len(names) == 4]
    assert learned_from and all(any(not names & test for test in tested) for names in learned_from)


def test_without_masks_the_error_is_three_lines(learned_grades, tmp_path):
    cohort, ready, *_ = learned_grades
    with raises_three_lines(CohortError, "learn_grade_epitomes", "grade", "0 subjects"):
        learn_grade_epitomes(cohort, ready, tmp_path, **SMALL)
