"""Segmentation: masks on each subject's own grid, out of fold, compared with the best reference there is."""

import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from made_derivative import VOXEL_ML

from epitome_kit.files import read_tsv
from epitome_kit.images import load_image, mark_voxel_size_unknown, same_grid, save_image
from epitome_kit.overlap import dice
from epitome_kit.tumour.segment import choose_threshold, segment_cohort

COLUMNS = {
    *("participant_id", "fold", "dice", "reference", "volume_voxels", "volume_ml", "rano_long_mm"),
    *("rano_perpendicular_mm", "reference_volume_voxels", "reference_volume_ml", "volume_error_pct"),
}


def _mask(out, name):
    return load_image(out / "masks" / f"{name}_label-tumour_mask.nii.gz", check_voxels=False)


@pytest.fixture(scope="module")
def easy(learned):
    cohort, ready, out, _ = learned
    return cohort, out, segment_cohort(cohort, ready, out, folds=2, epochs=15)


@pytest.fixture(scope="module")
def mixed(phantom, preprocessed, tmp_path_factory):
    """Phantom of which only the first four subjects know the truth; two epochs learn next to nothing."""
    out = tmp_path_factory.mktemp("mixed")
    subjects = {name: replace(phantom[name], truth=None) for name in list(phantom.subjects)[4:]}
    cohort = replace(phantom, subjects={**phantom.subjects, **subjects})
    return cohort, out, segment_cohort(cohort, preprocessed, out, folds=2, epochs=2)


def test_an_easy_tumour_is_found_by_a_network_that_never_saw_the_subject(easy):
    cohort, out, tumours = easy
    assert list(tumours.participant_id) == list(cohort.subjects)
    assert tumours.dice.mean() > 0.6 and tumours.dice.min() > 0.45
    assert (tumours.reference == "all slices").all()


def test_every_figure_in_the_table_is_that_of_the_mask(easy):
    cohort, out, tumours = easy
    assert set(tumours.columns) == COLUMNS
    for row in tumours.itertuples():
        found = _mask(out, row.participant_id).get_fdata() > 0
        drawn = load_image(cohort[row.participant_id].annotation).get_fdata() > 0
        assert row.dice == pytest.approx(2 * (found & drawn).sum() / (found.sum() + drawn.sum()))
        assert (row.volume_voxels, row.reference_volume_voxels) == (found.sum(), drawn.sum())
        assert row.volume_ml == pytest.approx(found.sum() * VOXEL_ML)
        assert row.reference_volume_ml == pytest.approx(drawn.sum() * VOXEL_ML)
        assert row.volume_error_pct == pytest.approx(100 * (found.sum() / drawn.sum() - 1))
        assert 0 < row.rano_perpendicular_mm <= row.rano_long_mm + 1e-9


def test_folds_are_those_of_the_features(easy, learned):
    tested = learned[3][learned[3].role == "test"].set_index("participant_id").fold
    assert easy[2].set_index("participant_id").fold.to_dict() == tested.to_dict()


def test_the_table_is_written_as_it_is_returned(easy):
    _, out, tumours = easy
    written = read_tsv(out / "tumours.tsv")
    assert list(written.columns) == list(tumours.columns)
    assert np.allclose(written.dice, tumours.dice) and list(written.reference) == list(tumours.reference)


def test_masks_lie_on_the_grid_of_the_scan_that_leads(mixed):
    cohort, out, tumours = mixed
    assert set(tumours.columns) == COLUMNS and len(tumours) == 8
    for subject in cohort:
        mask = _mask(out, subject.id)
        assert same_grid(mask, load_image(subject.images["T2w"])) and mask.get_data_dtype() == np.uint8


def test_the_truth_is_the_reference_where_there_is_one_and_the_annotated_slices_else(mixed):
    cohort, _, tumours = mixed
    assert list(tumours.reference) == ["truth"] * 4 + ["annotated slices"] * 4
    for row in tumours.itertuples():
        subject = cohort[row.participant_id]
        path = subject.annotation
        if subject.truth:
            path = subject.truth / f"{subject.id}_space-T2w_label-tumour_mask.nii.gz"
        assert row.reference_volume_voxels == load_image(path).get_fdata().sum()


def test_slices_that_nobody_looked_at_do_not_count(mixed):
    cohort, out, tumours = mixed
    for row in tumours[tumours.reference == "annotated slices"].itertuples():
        subject = cohort[row.participant_id]
        kept = np.s_[:, :, list(subject.annotated_slices)]
        found, drawn = _mask(out, row.participant_id).get_fdata(), load_image(subject.annotation).get_fdata()
        assert row.dice == pytest.approx(dice(found[kept] > 0, drawn[kept] > 0))
        assert row.volume_error_pct == pytest.approx(100 * (found[kept].sum() / drawn.sum() - 1))


def test_without_a_voxel_size_voxels_are_counted_and_nothing_has_a_unit(learned, tmp_path):
    cohort, ready, out, _ = learned
    shutil.copytree(out, tmp_path / "out")
    subject = cohort["sub-00"]
    lost = {}
    for name, path in (*subject.images.items(), ("mask", subject.annotation)):
        image = load_image(path)
        lost[name] = tmp_path / path.name
        save_image(
            mark_voxel_size_unknown(nib.Nifti1Image(image.get_fdata(dtype=np.float32), image.affine)), lost[name]
        )
    sizeless = replace(subject, images={name: lost[name] for name in subject.images}, annotation=lost["mask"])
    cohort = replace(cohort, subjects={**cohort.subjects, "sub-00": sizeless})
    tumours = segment_cohort(cohort, ready, tmp_path / "out", folds=2, epochs=15)
    row = tumours.set_index("participant_id").loc["sub-00"]
    united = ["volume_ml", "rano_long_mm", "rano_perpendicular_mm", "reference_volume_ml"]
    assert row[united].isna().all() and row.reference_volume_voxels > 100 and np.isfinite(row.dice)


def test_the_threshold_is_the_one_that_fits_where_the_truth_is_known():
    tumour, known = np.zeros((2, 8, 8, 8), np.uint8), np.ones((2, 8, 8, 8), np.uint8)
    tumour[:, 2:6, 2:6, 2:6] = 1
    maps = np.full((2, 4, 4, 4), 0.05)
    maps[:, 1:3, 1:3, 1:3] = 0.35
    maps[:, 0, 0, 0] = 0.25
    assert choose_threshold(maps, tumour, known) == 0.3
    known[:, :2, :2, :2] = 0
    maps[:, 3, 3, 3] = 0.15
    assert choose_threshold(maps, tumour, known) == 0.2, "what lies where nobody looked does not count"
