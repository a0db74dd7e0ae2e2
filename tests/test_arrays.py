"""Arrays: every preprocessed subject once, contrasts in one order, nothing where there was nothing."""

import numpy as np
import pytest
from made_derivative import BRAIN, SHAPE, SPACING_MM, draw_head, make_derivative, write_ready
from tiny import raises_three_lines

from epitome_kit.errors import CohortError
from epitome_kit.learn.arrays import known_region, load_arrays
from epitome_kit.preprocess.pipeline import Preprocessed


@pytest.fixture
def ready(tmp_path):
    return make_derivative(tmp_path, subjects=4, slices=[6, 7, 8])


def test_scans_and_masks_come_in_the_order_of_the_cohort(ready):
    arrays = load_arrays(*ready)
    assert arrays.ids == ("sub-00", "sub-01", "sub-02", "sub-03") and arrays.contrasts == ("T1ce", "FLAIR")
    assert arrays.scans.shape == (4, *SHAPE, 2) and arrays.scans.dtype == np.float32
    assert arrays.spacing_mm == (SPACING_MM,) * 3
    assert arrays.tumour.shape == arrays.known.shape == (4, *SHAPE, 1)
    assert arrays.tumour.dtype == arrays.known.dtype == np.uint8
    for number in range(4):
        scans, tumour = draw_head(number)
        assert np.array_equal(arrays.scans[number, ..., 0], scans["T1ce"])
        assert np.array_equal(arrays.scans[number, ..., 1], scans["FLAIR"])
        assert np.array_equal(arrays.tumour[number, :, :, 6:9, 0], tumour[:, :, 6:9])


def test_where_nobody_looked_is_told(ready):
    known = load_arrays(*ready).known[..., 0].astype(bool)
    assert known[:, :, :, 6:9].all() and known[:, ~BRAIN].all()
    assert not known[:, :, :, [5, 9]][:, BRAIN[:, :, [5, 9]]].any(), "next to the slices it may go on"


def test_no_tumour_reaches_further_than_it_is_wide():
    tumour, annotated, brain = (np.zeros((20, 20, 40), np.uint8) for _ in range(3))
    tumour[8:12, 8:11, 10], annotated[:, :, 10], brain[:] = 1, 1, 1
    known = known_region(tumour, annotated, brain)
    assert np.flatnonzero(known.all(axis=(0, 1))).tolist() == [*range(7), 10, *range(14, 40)]
    assert not known[:, :, [7, 8, 9, 11, 12, 13]].any()
    assert known_region(tumour, annotated * 0, brain).sum() == 0, "nothing is known where nobody looked at all"
    assert np.array_equal(known_region(tumour * 0, annotated, brain), annotated), "no tumour seen, no width known"


def test_a_contrast_that_a_subject_lacks_is_zero(ready):
    cohort, folder = ready
    Preprocessed(folder, "sub-02").scan("T1ce").unlink()
    arrays = load_arrays(cohort, folder)
    assert not arrays.scans[2, ..., 0].any() and arrays.scans[2, ..., 1][BRAIN].any()
    assert arrays.scans[1, ..., 0].any()


def test_a_subject_without_annotation_has_been_seen_nowhere(ready):
    cohort, folder = ready
    for name in ("label-tumour", "desc-annotated"):
        Preprocessed(folder, "sub-01").mask(name).unlink()
    arrays = load_arrays(cohort, folder)
    assert not arrays.tumour[1].any() and not arrays.known[1].any() and arrays.known[2].any()


def test_a_subject_that_was_not_finished_is_left_out(ready):
    cohort, folder = ready
    Preprocessed(folder, "sub-00").record.unlink()
    assert load_arrays(cohort, folder).ids == ("sub-01", "sub-02", "sub-03")


def test_a_subject_of_another_cohort_is_not_taken_in(ready):
    cohort, folder = ready
    write_ready(Preprocessed(folder, "sub-99"), draw_head(9)[0])
    assert "sub-99" not in load_arrays(cohort, folder).ids


def test_nothing_preprocessed_is_three_lines(ready, tmp_path):
    with raises_three_lines(CohortError, tmp_path / "empty", "epitome preprocess"):
        load_arrays(ready[0], tmp_path / "empty")
