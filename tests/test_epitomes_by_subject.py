"""Epitomes of a cohort: tested on the half that was not seen, kept when finished, named when impossible."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_derivative import SHAPE, draw_head, make_derivative
from tiny import raises_three_lines

from epitome_kit.epitome.baselines import compare_codebooks
from epitome_kit.epitome.by_subject import COLUMNS, EpitomeSettings, draw_patches, learn_epitomes, load_tumour
from epitome_kit.epitome.files import load_epitome, record_path
from epitome_kit.epitome.model import reconstruction_error
from epitome_kit.epitome.patches import split_halves, take_patches
from epitome_kit.errors import CohortError, ImageError, collect_warnings
from epitome_kit.files import write_text
from epitome_kit.images import load_image, new_image_like, save_image
from epitome_kit.preprocess.pipeline import Preprocessed

SMALL = EpitomeSettings(shape=5, iterations=4, fewest=10)


def make_masks(cohort, out):
    """Put the annotations in the place of the masks that segmentation would find."""
    (out / "masks").mkdir(parents=True)
    for subject in cohort:
        shutil.copy(subject.annotation, out / "masks")


@pytest.fixture
def ready(tmp_path):
    cohort, folder = make_derivative(tmp_path, subjects=3)
    make_masks(cohort, tmp_path / "out")
    return cohort, folder, tmp_path / "out"


def test_each_tumour_gets_an_epitome_and_its_errors_are_those_of_the_unseen_half(ready):
    cohort, folder, out = ready
    table = learn_epitomes(cohort, folder, out, settings=SMALL)
    assert list(table.columns) == COLUMNS and list(table.participant_id) == ["sub-00", "sub-01", "sub-02"]
    assert table.note.isna().all()
    scans, tumour = draw_head(1)
    grey, mask = np.stack(list(scans.values()), axis=-1), tumour > 0
    assert table.n_patches[1] == mask.sum()
    patches = take_patches(grey, mask, 3)
    lower, upper = (patches[half] for half in split_halves(mask, 3))
    tested = [compare_codebooks(*order, 5, iterations=4) for order in ((lower, upper), (upper, lower))]
    for method in ("epitome", "kmeans", "random"):
        expected = np.mean([each[method].mean() for each in tested])
        assert table[f"mse_{method}"][1] == pytest.approx(expected, abs=1e-5)
    epitome = load_epitome(out / "epitomes" / "sub-01", "sub-01")
    assert epitome.contrasts == ("T1ce", "FLAIR") and epitome.mean.shape == (5, 5, 5, 2)
    assert reconstruction_error(epitome, patches).mean() < table.mse_epitome[1], "the whole tumour was learned from"


def test_workers_do_not_change_what_is_learned(ready, tmp_path):
    cohort, folder, out = ready
    shutil.copytree(out, tmp_path / "again")
    few = replace(SMALL, most=30)
    first = learn_epitomes(cohort, folder, out, settings=few)
    second = learn_epitomes(cohort, folder, tmp_path / "again", settings=few, workers=2)
    pd.testing.assert_frame_equal(first, second)
    one, other = (load_epitome(where / "epitomes" / "sub-02", "sub-02") for where in (out, tmp_path / "again"))
    assert np.array_equal(one.mean, other.mean)
    third = learn_epitomes(cohort, folder, tmp_path / "again", settings=few, seed=1)
    assert not np.allclose(first.mse_epitome, third.mse_epitome), "another seed"


def test_finished_subjects_are_kept_until_something_changes(ready, monkeypatch):
    cohort, folder, out = ready
    first = learn_epitomes(cohort, folder, out, settings=SMALL)
    paths = [record_path(out / "epitomes" / subject.id, subject.id) for subject in cohort]
    before = [path.stat().st_mtime_ns for path in paths]
    pd.testing.assert_frame_equal(learn_epitomes(cohort, folder, out, settings=SMALL), first)
    assert [path.stat().st_mtime_ns for path in paths] == before
    mask = load_image(out / "masks" / cohort["sub-01"].annotation.name, check_voxels=False)
    save_image(
        new_image_like(np.roll(np.asarray(mask.dataobj), 1, 0), mask), out / "masks" / "sub-01_label-tumour_mask.nii.gz"
    )
    paths[2].unlink()
    learn_epitomes(cohort, folder, out, settings=SMALL)
    assert [path.stat().st_mtime_ns > then for path, then in zip(paths, before, strict=True)] == [False, True, True]
    for path in out.rglob("*.*"):
        os.utime(path, ns=(1, 1))
    paths[1].write_text('{"patch": ')
    with collect_warnings() as remarks:
        learn_epitomes(cohort, folder, out, settings=SMALL)
    assert remarks == ["learn_epitomes: 1 of 3 computed again: its record cannot be read"]
    assert [path.stat().st_mtime_ns == 1 for path in paths] == [True, False, True]
    with collect_warnings() as remarks:
        learn_epitomes(cohort, folder, out, settings=replace(SMALL, iterations=2))
    was = SMALL.iterations
    assert remarks == [f"learn_epitomes: 3 of 3 computed again: iterations was {was}, is 2"]
    assert paths[0].stat().st_mtime_ns > 1


def test_a_subject_without_an_epitome_is_named_with_its_reason(ready):
    cohort, folder, out = ready
    (out / "masks" / cohort["sub-00"].annotation.name).unlink()
    Preprocessed(folder, "sub-01").scan("T1ce").unlink()
    table = learn_epitomes(cohort, folder, out, settings=SMALL).set_index("participant_id")
    assert "tumour mask" in table.note["sub-00"] and "T1ce" in table.note["sub-01"]
    assert table.mse_epitome.notna().tolist() == [False, False, True]
    with raises_three_lines(CohortError, "learn_epitomes", "sub-00", "patches in each half"):
        learn_epitomes(cohort, folder, out, settings=replace(SMALL, fewest=60, use_annotations=True))


def test_the_mask_is_carried_to_the_template(ready):
    cohort, folder, out = ready
    write_text(Preprocessed(folder, "sub-00").transform("FLAIR"), "1 0 0 12\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    scans, mask, _ = load_tumour(cohort["sub-00"], folder, out, ("FLAIR", "T1ce"))
    grey, tumour = draw_head(0)
    assert np.array_equal(mask, np.roll(tumour, 1, axis=0) > 0), "one voxel of 12 mm"
    assert scans.shape == (*SHAPE, 2) and np.array_equal(scans[..., 0], grey["FLAIR"])
    assert np.array_equal(load_tumour(cohort["sub-00"], folder, out, ("FLAIR",), use_annotations=True)[1], tumour > 0)
    with raises_three_lines(ImageError, "load_tumour", "T2w", "sub-00"):
        load_tumour(cohort["sub-00"], folder, out, ("FLAIR", "T2w"))


def test_patches_are_drawn_by_the_name_of_the_subject(ready):
    cohort, folder, out = ready
    how = {"patch": 3, "most": 10, "seed": 0}
    found = draw_patches(cohort["sub-00"], folder, out, ("T1ce",), **how)
    assert found.shape == (10, 3, 3, 3, 1)
    assert np.array_equal(found, draw_patches(cohort["sub-00"], folder, out, ("T1ce",), **how))
    assert len(draw_patches(cohort["sub-00"], folder, out, ("T1ce",), **{**how, "most": 999})) == draw_head(0)[1].sum()
    assert draw_patches(cohort["sub-00"], folder, out, ("T2w",), **how).shape == (0, 3, 3, 3, 1)
