"""Intervals of a volume: both verbs calibrate alike, and every display words them alike."""

import numpy as np
import pandas as pd
import pytest

from epitome_kit.case.findings import size_lines
from epitome_kit.plotting.segmentation import volume_intervals
from epitome_kit.tumour import intervals
from epitome_kit.tumour.conformal import volume_interval
from epitome_kit.tumour.intervals import (
    ELLIPSOID_LEVEL,
    VOLUME_LEVEL,
    add_intervals,
    describe_volume,
    pool_scores,
    score_volumes,
)
from epitome_kit.tumour.sparse_volume import estimate_volume_from_slices

RNG = np.random.default_rng(0)
TRUE = RNG.lognormal(8, 0.5, 21)
FOUND = TRUE * np.exp(RNG.normal(0, 0.2, 21))
TUMOURS = pd.DataFrame(
    {
        "volume_voxels": FOUND,
        "volume_ml": FOUND * 0.027,
        "voxel_ml": 0.027,
        "spread": 0.3,
        "compared_volume_voxels": FOUND,
        "reference_volume_voxels": [np.nan, *TRUE[1:]],
    }
)
SIZE = {"volume_ml": 38.24, "volume_low_ml": 30.0, "volume_high_ml": 47.06}
COUNTED = {"volume_voxels": 4780.0, "volume_low_voxels": 3750.2, "volume_high_voxels": 5887.0}


def test_the_levels():
    assert (VOLUME_LEVEL, ELLIPSOID_LEVEL) == (0.9, 0.95)


def test_each_subject_is_calibrated_by_the_others():
    off = score_volumes(TUMOURS)[:, 0]
    assert np.isnan(off[0]) and np.isfinite(off[1:]).all()
    found = add_intervals(TUMOURS)
    for row in range(21):
        others = [each for number, each in enumerate(off) if number != row and np.isfinite(each)]
        expected = volume_interval(FOUND[row], 0.3, others, level=0.9)
        assert tuple(found.loc[row, ["volume_low_voxels", "volume_high_voxels"]]) == pytest.approx(expected)
        in_ml = volume_interval(FOUND[row] * 0.027, 0.3, others, level=0.9, one=0.027)
        assert tuple(found.loc[row, ["volume_low_ml", "volume_high_ml"]]) == pytest.approx(in_ml)
    held = (found.volume_low_voxels <= TRUE) & (found.volume_high_voxels >= TRUE)
    assert pd.isna(found.covered[0]) and found.covered[1:].tolist() == held[1:].tolist() and not held.all()


@pytest.mark.parametrize("where", ["fold", "apart"])
def test_nobody_is_calibrated_by_the_own_group(where):
    groups = pd.Series(np.arange(21) % 2)
    found = add_intervals(TUMOURS.assign(fold=groups)) if where == "fold" else add_intervals(TUMOURS, apart=groups)
    off = score_volumes(TUMOURS)[:, 0]
    for row in range(21):
        others = [each for number, each in enumerate(off) if number % 2 != row % 2 and np.isfinite(each)]
        expected = volume_interval(FOUND[row], 0.3, others, level=0.9)
        assert tuple(found.loc[row, ["volume_low_voxels", "volume_high_voxels"]]) == pytest.approx(expected)


def test_a_subject_of_no_group_does_not_calibrate_itself():
    alone = add_intervals(TUMOURS, apart=pd.Series([np.nan] * 21))
    pd.testing.assert_frame_equal(alone, add_intervals(TUMOURS))


def test_a_network_brings_the_scores_that_calibrate_it():
    scores = np.linspace(0.1, 1, 10).tolist()
    found = add_intervals(TUMOURS[["volume_voxels", "volume_ml", "voxel_ml", "spread"]].iloc[[7]], scores)
    assert found.index.tolist() == [0] and pd.isna(found.covered[0])
    assert found.volume_high_voxels[0] == pytest.approx((FOUND[7] + 1) * np.exp(0.3) - 1)
    assert add_intervals(TUMOURS, []).volume_low_ml.isna().all()


def test_pooled_scores_are_those_of_the_subjects_or_their_quantiles():
    equal = np.repeat([[0.3], [0.1], [np.nan], [0.2]], 4, axis=1)
    assert pool_scores(equal).tolist() == [0.1, 0.2, 0.3]
    assert pool_scores(np.arange(12.0).reshape(4, 3)[::-1]).tolist() == [2, 5, 8, 11]
    assert pool_scores(np.full((2, 3), np.nan)).tolist() == []


def test_the_level_decides_the_width_and_the_label(monkeypatch):
    narrow = add_intervals(TUMOURS)
    monkeypatch.setattr(intervals, "VOLUME_LEVEL", 0.5)
    assert (add_intervals(TUMOURS).volume_high_ml < narrow.volume_high_ml).all()
    assert describe_volume({**SIZE, **COUNTED}).interval == "50 % interval 30.0 to 47.1 mL"


def test_the_ellipsoid_has_its_own_level(monkeypatch):
    wide = estimate_volume_from_slices([300, 320, 310], [0, 3, 6], 3)
    monkeypatch.setattr("epitome_kit.tumour.sparse_volume.ELLIPSOID_LEVEL", 0.5)
    close = estimate_volume_from_slices([300, 320, 310], [0, 3, 6], 3)
    assert close.volume_mm3 == wide.volume_mm3
    assert wide.low_mm3 < close.low_mm3 < close.high_mm3 < wide.high_mm3


@pytest.mark.parametrize("unknown", [None, np.nan])
def test_a_volume_is_worded_in_its_unit(unknown):
    known = describe_volume({**SIZE, **COUNTED})
    assert (known.volume, known.limits, known.label) == ("38.2 mL", "30.0 to 47.1 mL", "90 % interval")
    assert known.interval == "90 % interval 30.0 to 47.1 mL"
    counted = describe_volume({**dict.fromkeys(SIZE, unknown), **COUNTED})
    assert (counted.volume, counted.limits) == ("4780 voxels", "3750 to 5887 voxels")
    alone = describe_volume(pd.Series({"volume_ml": 2.0, "volume_low_ml": unknown, "volume_high_ml": unknown}))
    assert (alone.volume, alone.interval) == ("2.0 mL", "90 % interval unknown")


def test_displays_take_their_words_from_here():
    assert size_lines({**SIZE, **COUNTED, "measured": None})[1] == describe_volume({**SIZE, **COUNTED}).interval
    chart = volume_intervals(add_intervals(TUMOURS).assign(reference_volume_ml=[np.nan, *TRUE[1:] * 0.027]))
    assert chart.axes[0].get_title().startswith("Volume and its 90 % interval, n = 21")
