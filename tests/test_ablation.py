"""Ablation: each step left out hurts its own measure; finished work is kept, failures are rows without numbers."""

import numpy as np
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import ImageError, ParameterError
from epitome_kit.preprocess import ablation
from epitome_kit.preprocess.ablation import leave_out_each_step
from epitome_kit.preprocess.subject import STEPS


@pytest.fixture(scope="module")
def made(phantom, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation")
    return folder, leave_out_each_step(phantom, folder, subjects=2, spacing_mm=4.0)


def median(table, left_out, measure):
    return table.loc[table["left_out"] == left_out, measure].median()


@pytest.mark.slow
def test_there_is_a_row_for_each_variant_and_subject(made, phantom):
    _, table = made
    first = list(phantom.subjects)[:2]
    pairs = list(zip(table["left_out"], table["participant_id"], strict=True))
    assert pairs == [(left_out, subject) for left_out in ("none", *STEPS) for subject in first]
    assert table.notna().all(axis=None)


@pytest.mark.slow
def test_each_step_left_out_hurts_its_own_measure(made):
    _, table = made
    assert median(table, "strip", "brain_mask_dice") < median(table, "none", "brain_mask_dice") - 0.1
    assert median(table, "bias", "bias_residual_sd") > 1.5 * median(table, "none", "bias_residual_sd")
    assert median(table, "register", "registration_error_mm") > 1.5 * median(table, "none", "registration_error_mm")
    assert median(table, "register", "agreement") < median(table, "none", "agreement")
    assert median(table, "normalise", "brightness_offset") > 5 * median(table, "none", "brightness_offset")


@pytest.mark.slow
def test_a_scale_does_not_change_what_has_none(made):
    _, table = made
    for measure in ("template_dice", "asymmetry", "agreement"):
        assert median(table, "normalise", measure) == pytest.approx(median(table, "none", measure), abs=0.02)


@pytest.mark.slow
def test_what_is_finished_is_kept(made, phantom, monkeypatch):
    folder, table = made
    monkeypatch.setattr("epitome_kit.preprocess.pipeline.preprocess_subject", None)
    again = leave_out_each_step(phantom, folder, subjects=2, spacing_mm=4.0)
    assert again.equals(table)
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"without-{name}" for name in ("none", *STEPS))


@pytest.mark.slow
def test_subjects_that_fail_are_rows_without_numbers(phantom, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ImageError("preprocess", "a scan", "none", "find one")

    monkeypatch.setattr("epitome_kit.preprocess.pipeline.preprocess_subject", fail)
    table = leave_out_each_step(phantom, tmp_path, subjects=2, spacing_mm=4.0)
    assert len(table) == 10 and table.drop(columns=["left_out", "participant_id"]).isna().all(axis=None)


@pytest.mark.slow
def test_one_subject_has_nobody_to_agree_with(phantom, tmp_path):
    with raises_three_lines(ParameterError, "two subjects", 1):
        leave_out_each_step(phantom, tmp_path, subjects=1)


def test_a_field_from_side_to_side_is_an_asymmetry():
    sides = np.broadcast_to(np.linspace(-1, 1, 40, dtype=np.float32)[:, None, None], (40, 40, 40))
    assert ablation._asymmetry(np.abs(sides), 2) == pytest.approx(0, abs=1e-6)
    assert ablation._asymmetry(sides, 2) == pytest.approx(1 / np.sqrt(3), rel=0.1)
