"""Charts of a cohort: the numbers drawn are those of the tables, n is named."""

import ellipsoids
import numpy as np
import pandas as pd
import pytest
from ellipsoids import words
from tiny import raises_three_lines, write_cohort

from epitome_kit import audit_cohort, open_cohort
from epitome_kit.errors import ImageError, ParameterError
from epitome_kit.plotting.cohort import audit_overview, class_balance, intensity_histograms, quality_strip


def test_class_balance():
    figure = class_balance(pd.Series([0] * 13 + [1] * 7), ("grade 2", "grade 3"))
    text = words(figure)
    assert [bar.get_width() for bar in figure.axes[0].patches] == [13, 7]
    assert {"13 (65%)", "7 (35%)", "grade 2", "grade 3", "Labels, n = 20 subjects"} <= set(text)
    assert any("“grade 2” would be right for 65%" in word for word in text)


def test_histograms_peak_at_the_intensities_of_the_scan():
    scan, brain = ellipsoids.head(), ellipsoids.brain()
    figure = intensity_histograms({"all": scan, "tumour": scan}, {"all": brain, "tumour": ellipsoids.tumour()})
    peaks = [line.get_xdata()[line.get_ydata().argmax()] for line in figure.axes[0].lines]
    assert 85 < peaks[0] < 120 and 185 < peaks[1] < 235
    assert {"all", "tumour", "intensity (scanner units)", "Intensities, n = 2 images"} <= set(words(figure))


def test_zeros_outside_the_head_are_no_intensity():
    line = intensity_histograms({"scan": ellipsoids.head()}).axes[0].lines[0]
    assert line.get_xdata().min() > 60


def test_many_images_have_no_legend():
    figure = intensity_histograms({f"sub-{number}": ellipsoids.head(shape=(12, 12, 12)) for number in range(9)})
    assert len(figure.axes[0].lines) == 9
    assert figure.axes[0].get_legend() is None


def test_a_mask_on_another_grid():
    with raises_three_lines(ImageError, "a mask on the grid of its scan"):
        intensity_histograms({"scan": ellipsoids.head()}, {"scan": ellipsoids.brain(shape=(10, 10, 10))})


@pytest.fixture(scope="module")
def audit(tmp_path_factory):
    return audit_cohort(open_cohort(write_cohort(tmp_path_factory.mktemp("cohort"), subjects=4)))


def test_audit_of_a_cohort(audit):
    text = words(audit_overview(audit))
    assert {"Audit, n = 8 scans of 4 subjects", "largest edge (mm)", "T1ce", "FLAIR"} <= set(text)
    assert any("smallest edge 2 to 2 mm" in word for word in text)


def test_findings_that_differ_in_their_numbers_only_are_counted_together(audit):
    audit = audit.assign(findings="")
    audit.loc[[0, 2, 4], "findings"] = ["12 voxels NaN; no T2w", "7.5 voxels NaN", "no T2w"]
    text = words(audit_overview(audit))
    assert {"2: # voxels NaN", "2: no T2w", "Findings, n = 4"} <= set(text)
    assert "nothing looks wrong" in words(audit_overview(audit.assign(findings="")))


def test_audit_where_the_voxel_size_is_lost_or_a_subject_has_no_scan(audit):
    lost = audit.assign(spacing_i_mm=np.nan, spacing_j_mm=np.nan, spacing_k_mm=np.nan)
    lost.loc[len(lost)] = {"participant_id": "sub-99", "findings": "in participants.tsv, but has no scan"}
    text = words(audit_overview(lost))
    assert {"unknown", "Audit, n = 8 scans of 5 subjects"} <= set(text)


QUALITY = pd.DataFrame(
    {
        "participant_id": [f"sub-{number}" for number in range(5)],
        "brain_mask_dice": [0.90, 0.95, 0.96, 0.97, np.nan],
        "bias_residual_sd": np.nan,
        "registration_error_mm": [1, 2, 3, 4, 5],
    }
)


def test_quality_shows_what_was_measured():
    figure = quality_strip(QUALITY)
    text = words(figure)
    assert len(figure.axes) == 2
    assert {"median 0.955\nn = 4", "median 3\nn = 5", "mean error in the brain (mm)"} <= set(text)
    points = figure.axes[1].collections[0].get_offsets()[:, 1]
    assert sorted(points) == [1, 2, 3, 4, 5]


def test_quality_without_any_measure():
    with raises_three_lines(ParameterError, "brain_mask_dice", "participant_id"):
        quality_strip(QUALITY[["participant_id", "bias_residual_sd"]])
