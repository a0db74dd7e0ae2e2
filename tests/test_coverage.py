"""Coverage of volume intervals: of subjects that calibrated nothing, next to the width, which a guess makes large."""

import numpy as np
import pandas as pd
import pytest

from epitome_kit.tumour import intervals
from epitome_kit.tumour.coverage import coverage_by, interval_ratio, shuffle_volumes, size_groups
from epitome_kit.tumour.intervals import add_intervals, pool_scores, score_volumes
from epitome_kit.vocabulary import institutions

UNSEEN_SD = 0.25


def _cohort(seed, subjects=48, *, sparse=False):
    """Draw a table of tumours: a fifth to a half on the slices, segmented with an error there and another elsewhere."""
    rng = np.random.default_rng(seed)
    true = rng.lognormal(8.5, 0.7, subjects)
    true_on = true * rng.uniform(0.2, 0.5, subjects)
    found_on = true_on * np.exp(rng.normal(-0.05, 0.1, subjects))
    outside = (true - true_on) / true_on * found_on * np.exp(rng.normal(0, UNSEEN_SD, subjects))
    whole = {"compared_volume_voxels": found_on + outside, "reference_volume_voxels": true, "reference": "truth"}
    slices = {"compared_volume_voxels": found_on, "reference_volume_voxels": true_on, "reference": "annotated slices"}
    table = {"volume_voxels": found_on + outside, "voxel_ml": 0.008, "spread": rng.uniform(0.2, 0.5, subjects)}
    table |= {"participant_id": [f"sub-{number:03d}" for number in range(subjects)], "fold": np.arange(subjects) % 5}
    return pd.DataFrame({**table, **(slices if sparse else whole)}).assign(
        volume_ml=table["volume_voxels"] * 0.008
    ), true


def _unseen(seed=99):
    return np.random.default_rng(seed).normal(0, UNSEEN_SD, 64)


def _held(found, true):
    return (found.volume_low_voxels <= true) & (true <= found.volume_high_voxels)


@pytest.mark.parametrize("sparse", [False, True])
def test_nine_in_ten_whole_volumes_are_held_of_subjects_that_calibrated_nothing(sparse):
    """Eight cohorts of 48, pooled: calibrated on the other folds, and each on another cohort."""
    within, elsewhere = [], []
    for seed in range(8):
        tumours, true = _cohort(seed, sparse=sparse)
        calibrating = pool_scores(score_volumes(_cohort(1000 + seed, sparse=sparse)[0], _unseen()))
        found = add_intervals(tumours, unseen=_unseen())
        assert found.volume_high_voxels.notna().mean() >= 0.9 and interval_ratio(found).median() <= 3
        within.append(_held(found, true))
        elsewhere.append(_held(add_intervals(tumours, calibrating), true))
        assert found.covered.isna().all() if sparse else found.covered.tolist() == within[-1].tolist()
    assert 0.86 <= np.mean(within) <= 0.95 and 0.86 <= np.mean(elsewhere) <= 0.95
    assert len({int(each.sum()) for each in within}) > 1, "a coverage that is the same whatever comes measures nothing"


def test_slices_alone_do_not_hold_the_whole():
    """Without a term for what lies outside, the intervals of eight cohorts hold too few."""
    held = [_held(add_intervals(tumours), true) for tumours, true in (_cohort(seed, sparse=True) for seed in range(8))]
    assert np.mean(held) < 0.84


@pytest.mark.parametrize("sparse", [False, True])
def test_a_network_that_guesses_has_intervals_three_times_as_wide(sparse):
    tumours = _cohort(0, sparse=sparse)[0]
    good, guessed = (add_intervals(each, unseen=_unseen()) for each in (tumours, shuffle_volumes(tumours)))
    assert interval_ratio(guessed).median() >= 3 * interval_ratio(good).median()


def test_intervals_that_ignore_the_errors_do_not_widen_for_a_guess(monkeypatch):
    """The test above can fail: it would, if the scores did not depend on how far the volumes are off."""
    tumours = _cohort(0)[0]
    monkeypatch.setattr(intervals, "nonconformity_score", lambda found, true, spread: np.ones(np.shape(true)))
    good, guessed = (add_intervals(each) for each in (tumours, shuffle_volumes(tumours)))
    assert interval_ratio(guessed).median() < 3 * interval_ratio(good).median()


def test_coverage_and_width_of_each_group():
    tumours = pd.DataFrame(
        {
            "volume_low_voxels": [9, 9, 19, np.nan],
            "volume_high_voxels": [19, 39, 39, np.nan],
            "covered": [True, False, True, np.nan],
        },
        index=[5, 7, 9, 11],
    )
    found = coverage_by(tumours, pd.Series(["b", "b", "a", "c"])).set_index("group")
    assert list(found.index) == ["a", "b", "c"] and found.n.tolist() == [1, 2, 0]
    assert found.coverage[:2].tolist() == [1, 0.5] and found.ratio[:2].tolist() == [2, 3]
    assert found.loc["b", ["coverage_low", "coverage_high"]].tolist() == pytest.approx([0.0126, 0.9874], abs=1e-4)
    assert found.loc["c", ["coverage", "ratio"]].isna().all()


def test_an_institution_that_differs_is_found_when_the_others_calibrate_it():
    """All volumes of one institution of three are too small by half: its own subjects would hide that."""
    tumours, _ = _cohort(3)
    site = pd.Series(np.array(["CS", "DU", "HT"])[np.arange(48) % 3])
    tumours.loc[site == "HT", ["volume_voxels", "compared_volume_voxels"]] *= 0.5
    apart = coverage_by(add_intervals(tumours, apart=site), site).set_index("group")
    assert apart.coverage["HT"] < 0.5 and apart.coverage_high["HT"] < 0.9 and apart.n.tolist() == [16, 16, 16]
    assert coverage_by(add_intervals(tumours), site).set_index("group").coverage["HT"] > apart.coverage["HT"] + 0.2


def test_groups_of_size_are_equal_and_in_order():
    tumours = pd.DataFrame({"reference_volume_voxels": [60.0, 10, 20, 50, np.nan, 30, 40]})
    assert size_groups(tumours).tolist() == ["large", "small", "small", "large", np.nan, "medium", "medium"]
    in_ml = tumours.assign(reference_volume_ml=-tumours.reference_volume_voxels)
    assert size_groups(in_ml)[0] == "small"
    assert size_groups(in_ml.assign(reference_volume_ml=np.nan)).equals(size_groups(tumours))


@pytest.mark.parametrize("name", ["TCGA-{}-4941", "sub-TCGA{}4941", "sub-{}4941", "TCGA_{}_4941_19960909"])
def test_the_institution_stands_in_the_names_of_tcga(name):
    names = pd.Series([name.format(code) for code in ("CS", "DU")])
    assert institutions(names).tolist() == ["CS", "DU"]
    assert institutions(pd.Series([*names, "sub-001"])).isna().all()


def test_other_names_have_no_institution():
    assert institutions(pd.Series(["sub-001", "sub-010203", "patient"])).isna().all()
