"""Handcrafted features: exact on ellipsoids and checkerboards, blind to left and right, free of manual masks."""

import os
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from made_derivative import SPACING_MM
from tiny import raises_three_lines

from epitome_kit.errors import CohortError, collect_warnings
from epitome_kit.files import read_tsv
from epitome_kit.images import load_image, new_image_like, save_image
from epitome_kit.learn.arrays import load_arrays
from epitome_kit.learn.explain import tumour_map
from epitome_kit.learn.handcrafted import LEVELS, describe_region, find_region, handcrafted_features, merge_features
from epitome_kit.learn.probes import feature_columns
from epitome_kit.learn.train import fold_model_path
from epitome_kit.preprocess.pipeline import Preprocessed

CONTRASTS = ("T1ce", "T2w")


def _ellipsoid(radii, *, shape=(40, 40, 40), spacing=(1, 1, 1), centre=(0, 0, 0)):
    """Mask of an ellipsoid; radii and centre in mm from the middle of the box."""
    grid = np.moveaxis(np.indices(shape), 0, -1) - (np.array(shape) - 1) / 2
    return (((grid * spacing - centre) / np.array(radii)) ** 2).sum(axis=-1) <= 1


def _describe(mask, scans=None, spacing=1.0):
    return describe_region(np.ones((*mask.shape, 2)) if scans is None else scans, mask, spacing, CONTRASTS)


def _noise(shape=(40, 40, 40), seed=0):
    return np.random.default_rng(seed).normal(0, 1, (*shape, 2)).astype(np.float32)


@pytest.mark.parametrize(("shape", "spacing"), [((40, 40, 40), (1, 1, 1)), ((40, 48, 20), (1, 1, 2))])
def test_size_and_form_of_an_ellipsoid(shape, spacing):
    found = _describe(_ellipsoid((15, 12, 8), shape=shape, spacing=spacing), spacing=spacing)
    brain = np.prod(shape) * np.prod(spacing)  # mm3; all of the box
    ball = np.cbrt(6 / np.pi * brain)
    assert found["shape_volume"] == pytest.approx(4 / 3 * np.pi * 15 * 12 * 8 / brain, rel=0.03)
    axes = [found[f"shape_{name}_axis"] * ball for name in ("long", "middle", "short")]
    assert axes == pytest.approx([30, 24, 16], rel=0.03)
    assert found["shape_elongation"] == pytest.approx(24 / 30, rel=0.03)
    assert found["shape_flatness"] == pytest.approx(16 / 30, rel=0.03)
    assert found["shape_longest"] * ball == pytest.approx(30, abs=1.5)
    assert found["shape_extent"] == pytest.approx(np.pi / 6, rel=0.05)
    assert 0.9 < found["shape_solidity"] <= 1


def test_a_ball_is_rounder_than_a_stick_and_a_ring_is_not_solid():
    ball, stick = _describe(_ellipsoid((9, 9, 9))), _describe(_ellipsoid((18, 4, 4)))
    ring = _describe(_ellipsoid((12, 12, 4)) & ~_ellipsoid((8, 8, 20)))
    assert 0.85 < ball["shape_sphericity"] < 1 and stick["shape_sphericity"] < 0.8
    assert ring["shape_solidity"] < 0.7
    radius = np.cbrt(3 / 4 / np.pi) * 40  # of a ball with the volume of the box
    assert ball["shape_surface"] == pytest.approx((9 / radius) ** 2, rel=0.15)
    assert ball["shape_surface_to_volume"] == pytest.approx(radius / 9, rel=0.15)


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_a_larger_head_with_its_tumour_is_described_the_same_and_nothing_has_a_unit(factor):
    """Whatever the voxel size is said to be: the template is not the patient, and the voxel size may be lost."""
    mask, scans = _ellipsoid((9, 7, 5), centre=(8, 3, -2)), _noise()
    one, other = _describe(mask, scans, 2.0), _describe(mask, scans, 2.0 * factor)
    sizes = [name for name in one if name.startswith(("shape_", "position_"))]
    assert [other[name] for name in sizes] == pytest.approx([one[name] for name in sizes])
    assert not [name for name in one if name.endswith(("_mm", "_mm2", "_cm2", "_ml"))]


def test_place_is_told_from_the_midline_to_the_front_and_up():
    found = _describe(_ellipsoid((5, 5, 5), centre=(-12, 6, -4)), spacing=2.0)
    names, ball = ("lateral", "anterior", "superior"), np.cbrt(6 / np.pi) * 80
    assert [found[f"position_{name}"] * ball for name in names] == pytest.approx([24, 12, -8], abs=0.5)
    assert found["position_across"] == 0
    assert _describe(_ellipsoid((5, 5, 5), centre=(0, 6, 0)))["position_across"] == pytest.approx(0.5)


def test_brightness_is_that_of_the_region():
    scans, mask = _noise(), _ellipsoid((9, 9, 9))
    scans[mask] = 3 + 2 * scans[mask]
    found, grey = _describe(mask, scans), scans[mask][:, 1].astype(float)
    assert found["first_T2w_mean"] == pytest.approx(grey.mean()) and found["first_T2w_sd"] == pytest.approx(grey.std())
    assert found["first_T2w_p10"] == pytest.approx(np.percentile(grey, 10))
    assert found["first_T2w_skewness"] == pytest.approx(0, abs=0.1)
    assert found["first_T2w_kurtosis"] == pytest.approx(3, abs=0.2)
    assert 3 < found["first_T2w_entropy"] < np.log2(LEVELS)


def test_a_bright_ball_stands_out_from_around_it_and_from_the_other_side():
    mask = _ellipsoid((9, 9, 9), centre=(10, 0, 0))
    scans = np.where(mask[..., None], [3.0, 1.0], [1.0, 1.0])
    found = _describe(mask, scans)
    assert [found[f"border_T1ce_{name}"] for name in ("core", "rim", "around")] == [3, 3, 1]
    assert found["border_T1ce_sharpness"] > 0.1 and found["border_T2w_sharpness"] == 0
    assert found["first_T1ce_asymmetry"] == 2 and found["first_T2w_asymmetry"] == 0
    shell = np.where((mask & ~_ellipsoid((5, 5, 5), centre=(10, 0, 0)))[..., None], 5.0, scans)
    found = _describe(mask, shell)
    assert found["border_T1ce_rim"] > 4.5 and found["border_T1ce_core"] < 4


def test_a_constant_region_has_no_spread_and_no_texture():
    found = _describe(_ellipsoid((9, 9, 9)))
    for name in ("first_T1ce_sd", "first_T1ce_entropy", "first_T1ce_skewness", "texture_T1ce_contrast"):
        assert found[name] == 0
    assert found["texture_T1ce_homogeneity"] == found["texture_T1ce_energy"] == 1
    assert found["texture_T1ce_entropy"] == found["texture_T1ce_dissimilarity"] == 0


def test_the_texture_of_a_checkerboard():
    """Of 13 directions, along 3 axes and 4 space diagonals neighbours differ; on 6 face diagonals they do not."""
    side, mask = 12, np.zeros((20, 20, 20), bool)
    mask[4:16, 4:16, 4:16] = True
    board = np.indices(mask.shape).sum(axis=0) % 2
    unlike = 3 * side**2 * (side - 1) + 4 * (side - 1) ** 3
    share = unlike / (unlike + 6 * side * (side - 1) ** 2)
    found = _describe(mask, np.stack([board, 1.0 - board], axis=-1))
    assert found["texture_T1ce_contrast"] == pytest.approx(share * (LEVELS - 1) ** 2)
    assert found["texture_T1ce_dissimilarity"] == pytest.approx(share * (LEVELS - 1))
    assert found["texture_T1ce_correlation"] == pytest.approx(1 - 2 * share, abs=1e-3)
    assert found["first_T1ce_entropy"] == 1 and found["pair_T1ce_T2w_correlation"] == pytest.approx(-1)


def test_texture_and_entropy_do_not_depend_on_brightness_and_contrast():
    scans, mask = _noise(), _ellipsoid((9, 7, 5))
    plain, relit = _describe(mask, scans), _describe(mask, 5 + 3 * scans)
    same = [name for name in plain if name.startswith("texture_") or name.endswith("entropy")]
    assert len(same) == 14
    assert [relit[name] for name in same] == pytest.approx([plain[name] for name in same], rel=0.02)
    assert relit["first_T1ce_sd"] == pytest.approx(3 * plain["first_T1ce_sd"], rel=1e-3)


def test_a_mirrored_head_is_described_the_same():
    scans = _noise()
    mask = _ellipsoid((9, 7, 5), centre=(8, 3, -2)) | _ellipsoid((4, 9, 4), centre=(14, 0, 0))
    one, other = _describe(mask, scans), _describe(mask[::-1], scans[::-1])
    assert one == pytest.approx(other, rel=1e-3, abs=1e-4)
    turned = _describe(mask[:, ::-1], scans[:, ::-1])
    assert turned["position_anterior"] == pytest.approx(-one["position_anterior"])


def _one_voxel():
    mask = np.zeros((12, 12, 12), bool)
    mask[3, 4, 5] = True
    return mask


@pytest.mark.parametrize("mask", [_one_voxel(), np.ones((12, 12, 12), bool), np.zeros((12, 12, 12), bool)])
@pytest.mark.parametrize("scans", [_noise((12, 12, 12)), np.zeros((12, 12, 12, 2))])
def test_nothing_is_ever_missing(mask, scans):
    found = _describe(mask, scans, 3.0)
    assert found.keys() == _describe(_ellipsoid((9, 9, 9))).keys()
    assert np.isfinite(list(found.values())).all()
    assert any(found.values()) == mask.any()


def test_sixty_numbers_for_two_contrasts_and_none_twice():
    found = _describe(_ellipsoid((9, 7, 5)), _noise())
    groups = pd.Series([name.split("_")[0] for name in found]).value_counts().to_dict()
    assert groups == {"first": 22, "texture": 12, "shape": 12, "border": 8, "position": 4, "pair": 1}


def test_the_region_is_the_largest_likely_piece():
    probability, brain = np.zeros((20, 20, 20)), np.ones((20, 20, 20), bool)
    probability[2:5, 2:5, 2:5], probability[12:18, 12:18, 12:18] = 0.9, 0.8
    assert np.argwhere(find_region(probability, brain)).min() == 12
    brain[12:] = False
    assert find_region(probability, brain).sum() == 27, "a likely place outside the brain does not count"


def test_where_nothing_is_likely_the_most_probable_part_of_the_brain_is_taken():
    probability, brain = np.random.default_rng(0).uniform(0, 0.4, (20, 20, 20)), np.ones((20, 20, 20), bool)
    region = find_region(probability, brain)
    assert region.sum() == 40 and probability[region].min() > probability[~region].max()


@pytest.fixture(scope="module")
def measured(learned_features, tmp_path_factory):
    """Cohort, derivative, workspace and handcrafted features; a copy, so that the shared workspace stays as it is."""
    cohort, ready, out, _ = learned_features
    out = shutil.copytree(out, tmp_path_factory.mktemp("measured") / "out")
    return cohort, ready, out, handcrafted_features(cohort, ready, out)


def test_every_row_is_described_inside_the_map_of_its_network(measured):
    cohort, ready, out, found = measured
    rows, arrays = read_tsv(out / "features.tsv"), load_arrays(cohort, ready)
    leading = ["participant_id", "fold", "role", "label"]
    pd.testing.assert_frame_equal(found[leading], rows[leading])
    assert found.drop(columns="label").notna().all(axis=None)
    for row in (3, 20):
        scans = arrays.scans[arrays.ids.index(rows.participant_id[row])]
        model = keras.saving.load_model(fold_model_path(out, rows.fold[row] - 1), compile=False)
        region = find_region(tumour_map(model, scans), np.any(scans, axis=-1))
        expected = describe_region(scans, region, SPACING_MM, arrays.contrasts)
        assert found.loc[row, list(expected)].to_dict() == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_finished_work_is_kept_until_a_network_changes_and_manual_masks_change_nothing(measured, tmp_path):
    cohort, ready, out, first = measured
    ready, out = shutil.copytree(ready, tmp_path / "ready"), shutil.copytree(out, tmp_path / "out")
    for path in out.rglob("*.*"):
        os.utime(path, ns=(1, 1))
    before = (out / "handcrafted.tsv").stat().st_mtime_ns
    pd.testing.assert_frame_equal(handcrafted_features(cohort, ready, out), first, check_dtype=False)
    assert (out / "handcrafted.tsv").stat().st_mtime_ns == before
    for name in cohort.subjects:
        path = Preprocessed(ready, name).mask("label-tumour")
        mask = load_image(path)
        save_image(new_image_like(1 - np.asarray(mask.dataobj), mask), path)
    shutil.copy(fold_model_path(out, 0), fold_model_path(out, 1))
    with collect_warnings() as remarks:
        other = handcrafted_features(cohort, ready, out)
    assert remarks == ["handcrafted_features: computed again: input fold-2.keras changed"]
    same = np.isclose(other[feature_columns(other)], first[feature_columns(first)]).all(axis=1)
    assert same[first.fold == 1].all() and not same[first.fold == 2].all()


def test_without_networks_there_is_no_region(learned_features, tmp_path):
    with raises_three_lines(CohortError, "features.tsv", "learn_features"):
        handcrafted_features(learned_features[0], learned_features[1], tmp_path)


def test_both_kinds_of_features_side_by_side(measured):
    cnn, handcrafted = read_tsv(measured[2] / "features.tsv"), measured[3]
    both = merge_features(cnn, handcrafted.sample(frac=1, random_state=0))
    assert feature_columns(both) == feature_columns(cnn) + feature_columns(handcrafted)
    pd.testing.assert_frame_equal(both[list(cnn)], cnn)
    pd.testing.assert_frame_equal(both[list(handcrafted)], handcrafted, check_dtype=False)
    stored = merge_features(cnn, read_tsv(measured[2] / "handcrafted.tsv"))
    pd.testing.assert_frame_equal(stored, both, check_dtype=False)


def test_tables_of_two_workspaces_do_not_go_together(measured):
    cnn, handcrafted = read_tsv(measured[2] / "features.tsv"), measured[3]
    with raises_three_lines(CohortError, f"{len(cnn)} rows", f"{len(cnn) - 1} handcrafted"):
        merge_features(cnn, handcrafted.iloc[1:])
    swapped = handcrafted.assign(role=handcrafted.role.map({"train": "test", "test": "train"}))
    with raises_three_lines(CohortError, "roles"):
        merge_features(cnn, swapped)
