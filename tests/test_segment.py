"""Segmentation: out of fold, on each subject's own grid, measured, compared, kept, and used on others."""

import os
import shutil
from dataclasses import replace

import keras
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from made_derivative import BRAIN, SPACING_MM, VOXEL_ML, draw_head, make_derivative
from tiny import raises_three_lines

from epitome_kit.cohort import truth_folder
from epitome_kit.errors import CohortError, ParameterError, collect_warnings
from epitome_kit.files import read_json, read_tsv, write_json
from epitome_kit.images import load_image, mark_voxel_size_unknown, same_grid, save_image
from epitome_kit.learn.arrays import load_scans
from epitome_kit.learn.channels import shipped_channels
from epitome_kit.metrics import dice, hausdorff95_mm
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.tumour import outline_cohort, segment
from epitome_kit.tumour.classical import outline_by_symmetry
from epitome_kit.tumour.fit import UNetSettings
from epitome_kit.tumour.network import load_unet
from epitome_kit.tumour.outline_cohort import outline_path
from epitome_kit.tumour.segment import predict_tumours, read_card, segment_cohort, unet_path
from epitome_kit.tumour.summary import summarise

COLUMNS = {
    *(
        "participant_id",
        "fold",
        "volume_voxels",
        "volume_ml",
        "rano_long_mm",
        "rano_perpendicular_mm",
        "dice",
        "hd95_mm",
    ),
    *("volume_low_voxels", "volume_high_voxels", "volume_low_ml", "volume_high_ml", "covered", "dice_classical"),
    *("reference", "reference_volume_voxels", "reference_volume_ml", "volume_error_pct", "compared_volume_voxels"),
    *("spread", "voxel_ml", "warnings"),
}

CHANNELS = shipped_channels("tumour_unet")
ONE_EPOCH = UNetSettings(epochs=1)


class _Quick:
    """Stands in for the tuner: its networks draw a line at a FLAIR of about 1.5, another one for each number."""

    fitted = []

    def __init__(self, arrays, epochs, seed):
        self.arrays, self.epochs, self.seed = arrays, epochs, seed

    def fit(self, train, number, advance):
        self.fitted.append((number, list(np.array(self.arrays.ids)[train]), self.arrays))
        advance(self.epochs)
        inputs = keras.Input((None, None, None, len(CHANNELS)))
        answer = keras.layers.Conv3D(1, 1, activation="sigmoid", name="tumour")
        model = keras.Model(inputs, {"tumour": answer(inputs)})
        weights = 4.0 * (np.array(CHANNELS) == "FLAIR")
        answer.set_weights([weights.reshape(1, 1, 1, 4, 1), np.array([-4 * (1.5 + 0.4 * number + self.seed)])])
        return model


@pytest.fixture(autouse=True)
def fitted(monkeypatch):
    """What the stand-in was asked for: number, subjects and arrays of each network. The baseline is spared as well."""
    monkeypatch.setattr(segment, "UNetFineTuner", _Quick)
    monkeypatch.setattr(
        outline_cohort, "outline_by_symmetry", lambda scans, contrasts: scans[..., contrasts.index("FLAIR")] > 1
    )
    monkeypatch.setattr(_Quick, "fitted", [])
    return _Quick.fitted


def _without_annotation(cohort, ready, *names):
    for name in names:
        for mask in ("label-tumour", "desc-annotated"):
            Preprocessed(ready, name).mask(mask).unlink()
    silent = {name: replace(cohort[name], annotation=None, annotated_slices=None) for name in names}
    return replace(cohort, subjects={**cohort.subjects, **silent})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Sixteen subjects, of which the first was never annotated, and their derivative."""
    cohort, ready = make_derivative(tmp_path_factory.mktemp("made"), subjects=16)
    return _without_annotation(cohort, ready, "sub-00"), ready


@pytest.fixture(scope="module")
def segmented(made, tmp_path_factory):
    """Cohort, workspace, table, and network of all subjects."""
    out = tmp_path_factory.mktemp("segmented")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "UNetFineTuner", _Quick)
        tumours = segment_cohort(*made, out, folds=3, settings=UNetSettings(epochs=2), weights=out / "all.keras")
        return made[0], out, tumours, out / "all.keras"


@pytest.fixture
def four(tmp_path):
    """Four subjects, annotated on two slices; the truth of the last two is known."""
    cohort, ready = make_derivative(tmp_path, subjects=4, slices=[7, 8])
    known = {}
    for number, name in enumerate(list(cohort.subjects)[2:], start=2):
        folder = truth_folder(cohort.root, name)
        whole = nib.Nifti1Image(draw_head(number)[1], load_image(cohort[name].images["FLAIR"]).affine)
        save_image(whole, folder / f"{name}_space-FLAIR_label-tumour_mask.nii.gz")
        known[name] = replace(cohort[name], truth=folder)
    return replace(cohort, subjects={**cohort.subjects, **known}), ready


def _mask_path(out, name):
    return out / "masks" / f"{name}_label-tumour_mask.nii.gz"


def _mask(out, name):
    return load_image(_mask_path(out, name), check_voxels=False)


def _files(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_each_subject_is_outlined_once_by_a_network_that_never_saw_it(made, tmp_path, fitted):
    tumours = segment_cohort(*made, tmp_path / "out", folds=3, settings=UNetSettings(epochs=2))
    assert list(tumours.participant_id) == list(made[0].subjects)
    assert sorted(np.bincount(tumours.fold)[1:]) == [5, 5, 6]
    assert [number for number, *_ in fitted] == [1, 2, 3]
    for number, seen, arrays in fitted:
        assert set(seen) == set(tumours.participant_id[tumours.fold != number])
        assert arrays.contrasts == CHANNELS, "those that nobody has are there, and empty"


def test_every_figure_in_the_table_is_that_of_the_mask(segmented):
    cohort, out, tumours, _ = segmented
    assert set(tumours.columns) == COLUMNS and tumours.dice.min() > 0.75
    for number, row in enumerate(tumours.itertuples()):
        mask, subject = _mask(out, row.participant_id), cohort[row.participant_id]
        found = mask.get_fdata() > 0
        assert same_grid(mask, load_image(subject.images["FLAIR"])) and mask.get_data_dtype() == np.uint8
        assert row.volume_voxels == found.sum() > 50 and row.volume_ml == pytest.approx(found.sum() * VOXEL_ML)
        assert 0 < row.rano_perpendicular_mm <= row.rano_long_mm + 1e-9
        if subject.annotation:
            drawn = draw_head(number)[1] > 0
            assert row.dice == pytest.approx(dice(found, drawn)) and row.reference == "all slices"
            assert row.hd95_mm == pytest.approx(hausdorff95_mm(found, drawn, (SPACING_MM,) * 3))
            assert row.reference_volume_voxels == drawn.sum() and row.compared_volume_voxels == found.sum()
            assert row.volume_error_pct == pytest.approx(100 * (found.sum() / drawn.sum() - 1))


def test_the_network_of_its_fold_drew_each_mask(segmented):
    """The stand-ins draw the line elsewhere for each fold; preprocessing left the scans where they are."""
    _, out, tumours, _ = segmented
    for number, row in enumerate(tumours.itertuples()):
        flair, found = draw_head(number)[0]["FLAIR"], _mask(out, row.participant_id).get_fdata() > 0
        overlaps = [dice(found, (flair > 1.5 + 0.4 * fold) & BRAIN) for fold in range(4)]
        assert overlaps[row.fold] == max(overlaps) > 0.97


def test_a_baseline_that_learns_nothing_is_scored_as_well(segmented, made):
    cohort, _, tumours, _ = segmented
    scans = load_scans(Preprocessed(made[1], "sub-03"), CHANNELS)
    baseline = dice(outline_by_symmetry(scans, CHANNELS), draw_head(3)[1] > 0)
    assert tumours.set_index("participant_id").dice_classical["sub-03"] == pytest.approx(baseline, abs=0.02)


def test_a_subject_without_annotation_is_measured_and_not_compared(segmented):
    row = segmented[2].iloc[0]
    assert row.participant_id == "sub-00" and row.volume_low_ml < row.volume_ml < row.volume_high_ml
    united = ["dice", "dice_classical", "reference", "reference_volume_voxels", "volume_error_pct", "covered"]
    assert row[united].isna().all()


def test_intervals_are_calibrated_on_the_other_folds(segmented):
    """Those of a fold say nothing about itself: the largest score of the nine to eleven in others decides."""
    tumours = segmented[2].iloc[1:]
    off = np.abs(np.log((tumours.reference_volume_voxels + 1) / (tumours.volume_voxels + 1))) / tumours.spread
    for row in tumours.itertuples():
        others = off[tumours.fold != row.fold]
        factor = np.exp(others.max() * row.spread)
        assert len(others) in (9, 10, 11) and row.volume_high_voxels == pytest.approx(
            (row.volume_voxels + 1) * factor - 1
        )
        assert row.volume_low_ml == pytest.approx(((row.volume_voxels + 1) / factor - 1) * VOXEL_ML)
        assert row.covered == (row.volume_low_voxels <= row.reference_volume_voxels <= row.volume_high_voxels)
    assert not tumours.covered.all(), "the worst is worse than those of all other folds"


def test_a_network_that_guesses_has_wide_intervals(segmented, made, tmp_path, monkeypatch):
    """The same cohort and folds; balls of any size at any place, as blurred as the outlines of the other network."""
    rng = np.random.default_rng(0)

    def guess(network, scans):
        places = np.indices(scans.shape[:3]) - rng.uniform(5, 10, (3, 1, 1, 1))
        return (1 / (1 + np.exp(4 * (np.linalg.norm(places, axis=0) - rng.uniform(1, 5))))).astype(np.float32)

    monkeypatch.setattr(outline_cohort, "tumour_probability", guess)
    guessed = segment_cohort(*made, tmp_path / "out", folds=3, settings=UNetSettings(epochs=2))
    wide, narrow = summarise(guessed), summarise(segmented[2])
    assert wide["interval_ratio_median"] >= 3 * narrow["interval_ratio_median"] > 3
    assert {"coverage", "coverage_n", "coverage_sd"} <= wide.keys() & narrow.keys()


def test_the_table_is_written_as_it_is_returned(segmented):
    _, out, tumours, _ = segmented
    written = read_tsv(out / "tumours.tsv")
    assert list(written.columns) == list(tumours.columns)
    assert np.allclose(written.dice, tumours.dice, equal_nan=True)


def test_weights_come_with_a_card(segmented):
    cohort, _, tumours, weights = segmented
    card = read_card(weights)
    assert card["trained_on"] == cohort.name and card["n_subjects"] == 16 and card["contrasts"] == ["T1ce", "FLAIR"]
    assert card["settings"]["epochs"] == 2 and card["settings"]["learn_from"] == "annotation"
    assert card["out_of_fold"]["dice_mean"] == pytest.approx(tumours.dice.mean()) and card["out_of_fold"]["n"] == 15
    assert len(card["misfits"]) == 15 and min(card["misfits"]) >= 0
    assert "misfits" in read_card(), "the shipped one has a card as well"
    assert read_card(weights.with_name("none.keras")) == {"misfits": []}


def test_weights_predict_others_with_the_intervals_of_their_card(segmented, made, tmp_path):
    weights = segmented[3]
    found = predict_tumours([made[0]["sub-05"], made[0]["sub-00"]], made[1], tmp_path, weights=weights)
    assert list(found.participant_id) == ["sub-05", "sub-00"] and set(found.columns) == COLUMNS - {"fold"}
    above = (draw_head(5)[0]["FLAIR"] > 1.5) & BRAIN
    assert dice(_mask(tmp_path, "sub-05").get_fdata() > 0, above) > 0.99, "network 0 was trained on all"
    factor = np.exp(np.sort(read_card(weights)["misfits"])[14] * found.spread[0])
    assert found.volume_high_voxels[0] == pytest.approx((found.volume_voxels[0] + 1) * factor - 1)
    assert np.allclose(read_tsv(tmp_path / "tumours.tsv").volume_ml, found.volume_ml)
    weights_alone = shutil.copy(weights, tmp_path / "alone.keras")
    assert predict_tumours([made[0]["sub-05"]], made[1], tmp_path, weights=weights_alone).volume_low_ml.isna().all()


def test_without_weights_the_shipped_network_predicts(made, tmp_path):
    found = predict_tumours([made[0]["sub-00"]], made[1], tmp_path)
    assert len(found) == 1 and "dice" not in found
    assert found.volume_voxels[0] == _mask(tmp_path, "sub-00").get_fdata().sum()


def test_nobody_preprocessed_is_three_lines(made, tmp_path):
    with raises_three_lines(CohortError, "preprocessed", tmp_path):
        predict_tumours(made[0], tmp_path, tmp_path / "out")


def test_without_a_voxel_size_voxels_are_counted_and_nothing_has_a_unit(segmented, made, tmp_path):
    subject = made[0]["sub-05"]
    lost = {}
    for name, path in (*subject.images.items(), ("mask", subject.annotation)):
        image = load_image(path)
        lost[name] = tmp_path / path.name
        data = image.get_fdata(dtype=np.float32)
        save_image(mark_voxel_size_unknown(nib.Nifti1Image(data, image.affine)), lost[name])
    sizeless = replace(subject, images={name: lost[name] for name in subject.images}, annotation=lost["mask"])
    row = predict_tumours([sizeless], made[1], tmp_path, weights=segmented[3]).iloc[0]
    united = [name for name in row.index if name.endswith(("_ml", "_mm"))]
    assert len(united) == 8 and row[united].isna().all()
    assert row.volume_low_voxels < row.volume_voxels < row.volume_high_voxels
    assert row.dice > 0.4, "a head of a usual size lies about there"


def test_the_truth_is_the_reference_where_there_is_one_and_the_annotated_slices_else(four, tmp_path):
    tumours = segment_cohort(*four, tmp_path / "out", folds=2, settings=ONE_EPOCH)
    assert list(tumours.reference) == ["annotated slices"] * 2 + ["truth"] * 2
    for number, row in enumerate(tumours.itertuples()):
        found, whole = _mask(tmp_path / "out", row.participant_id).get_fdata() > 0, draw_head(number)[1] > 0
        kept = np.s_[:, :, [7, 8]] if row.reference == "annotated slices" else np.s_[:]
        assert row.dice == pytest.approx(dice(found[kept], whole[kept]))
        assert row.reference_volume_voxels == whole[kept].sum() and row.compared_volume_voxels == found[kept].sum()
    assert tumours[["volume_low_ml", "volume_high_ml", "covered"]].isna().all(None), "three tell nothing of a fourth"


def test_the_truth_teaches_only_where_it_is_known_of_everybody(four, tmp_path, fitted):
    cohort, ready = four
    with raises_three_lines(ParameterError, "truth", "annotation"):
        segment_cohort(cohort, ready, tmp_path / "out", folds=2, settings=UNetSettings(learn_from="truth"))
    with raises_three_lines(ParameterError, "'both'"):
        segment_cohort(cohort, ready, tmp_path / "out", folds=2, settings=UNetSettings(learn_from="both"))
    simulated = replace(cohort, subjects={name: cohort[name] for name in list(cohort.subjects)[2:]})
    segment_cohort(simulated, ready, tmp_path / "out", folds=2, settings=UNetSettings(epochs=1, learn_from="truth"))
    whole = np.stack([draw_head(number)[1] for number in (2, 3)])
    assert fitted[0][2].known.all() and np.array_equal(fitted[0][2].tumour[..., 0], whole)
    segment_cohort(simulated, ready, tmp_path / "out", folds=2, settings=ONE_EPOCH)
    assert len(fitted) == 4 and not fitted[2][2].known.all()


def test_ctrl_c_in_the_second_fold_keeps_the_first_and_the_end_is_the_same(four, tmp_path, fitted, monkeypatch):
    undisturbed = segment_cohort(
        *four, tmp_path / "undisturbed", folds=2, settings=ONE_EPOCH, weights=tmp_path / "one.keras"
    )
    fit = _Quick.fit

    def stopped(self, train, number, advance):
        if number == 2:
            raise KeyboardInterrupt
        return fit(self, train, number, advance)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_Quick, "fit", stopped)
        segment_cohort(*four, tmp_path / "out", folds=2, settings=ONE_EPOCH, weights=tmp_path / "two.keras")
    kept = _files(tmp_path / "out" / "unet")
    assert {path.name for path in kept} == {"settings.json", "fold-1.keras"}, "outlined last"
    kept = {path: kept[path] for path in kept if path.suffix == ".keras"}
    fitted.clear()
    again = segment_cohort(*four, tmp_path / "out", folds=2, settings=ONE_EPOCH, weights=tmp_path / "two.keras")
    assert [number for number, *_ in fitted] == [2, 0]
    assert kept.items() <= _files(tmp_path / "out" / "unet").items()
    pd.testing.assert_frame_equal(again, undisturbed)
    for name in four[0].subjects:
        assert np.array_equal(*(_mask(tmp_path / each, name).dataobj for each in ("out", "undisturbed")))
    cards = [read_json(tmp_path / f"{name}.json") for name in ("one", "two")]
    assert all(card.pop("outputs") and card.pop("checksum") for card in cards) and cards[0] == cards[1]


def test_a_network_whose_subjects_were_not_all_outlined_is_not_trained_again(four, tmp_path, fitted, monkeypatch):
    outlined = _stop_at_the_second_outline(monkeypatch)
    weights = tmp_path / "net.keras"
    with pytest.raises(KeyboardInterrupt):
        segment_cohort(*four, tmp_path / "out", folds=2, settings=ONE_EPOCH, weights=weights)
    assert read_card(weights) and len(outlined) == 2
    assert len(segment_cohort(*four, tmp_path / "out", folds=2, settings=ONE_EPOCH, weights=weights)) == 4
    assert [number for number, *_ in fitted] == [1, 2, 0]
    assert sorted(outlined) == sorted([*four[0].subjects, outlined[1]]), "the first outline is kept"
    assert read_card(weights)["n_subjects"] == 4


def _stop_at_the_second_outline(monkeypatch):
    """Interrupt once; returns the subjects that were begun."""
    begun, outline = [], outline_cohort._outline

    def stopped(job, **how):
        begun.append(job.subject.id)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return outline(job, **how)

    monkeypatch.setattr(outline_cohort, "_outline", stopped)
    return begun


def test_finished_work_is_kept_and_another_setting_does_it_again(four, tmp_path, fitted):
    cohort, ready = four
    out, weights = tmp_path / "out", tmp_path / "net.keras"
    first = segment_cohort(cohort, ready, out, folds=2, settings=ONE_EPOCH)
    pd.testing.assert_frame_equal(segment_cohort(cohort, ready, out, folds=2, settings=ONE_EPOCH), first)
    assert len(fitted) == 2
    segment_cohort(cohort, ready, out, folds=2, settings=ONE_EPOCH, weights=weights)
    assert [number for number, *_ in fitted[2:]] == [0], "only the network of all was missing"
    segment_cohort(cohort, ready, out, folds=2, settings=ONE_EPOCH, weights=weights)
    assert len(fitted) == 3
    for change in ({"seed": 1}, {"epochs": 2}, {"folds": 3}):
        before, stated = len(fitted), {"folds": 2, "epochs": 1, "seed": 0, "learn_from": "annotation", **change}
        settings = UNetSettings(epochs=stated["epochs"])
        segment_cohort(
            cohort, ready, out, folds=stated["folds"], settings=settings, seed=stated["seed"], weights=weights
        )
        assert len(fitted) == before + stated["folds"] + 1
        assert read_card(weights)["settings"] == stated
    record = Preprocessed(ready, "sub-01").record
    write_json(record, {**read_json(record), "settings": {"inputs": "another scan"}})
    before = len(fitted)
    segment_cohort(cohort, ready, out, folds=3, settings=ONE_EPOCH)
    assert len(fitted) == before + 3


def test_weights_of_another_cohort_are_not_taken_for_those_of_this_one(four, tmp_path, fitted):
    cohort, ready = four
    three = replace(cohort, name="three", subjects={name: cohort[name] for name in list(cohort.subjects)[:3]})
    for each, out in ((cohort, "four"), (three, "three")):
        segment_cohort(each, ready, tmp_path / out, folds=2, settings=ONE_EPOCH)
        segment_cohort(each, ready, tmp_path / out, folds=2, settings=ONE_EPOCH, weights=tmp_path / "net.keras")
    assert [seen for number, seen, _ in fitted if number == 0] == [list(cohort.subjects), list(three.subjects)]
    assert read_card(tmp_path / "net.keras")["trained_on"] == "three"


def test_other_subjects_of_the_same_derivative_are_other_work(four, tmp_path):
    cohort, ready = four
    segment_cohort(cohort, ready, tmp_path / "out", folds=2, settings=ONE_EPOCH)
    three = replace(cohort, subjects={name: cohort[name] for name in list(cohort.subjects)[:3]})
    assert len(segment_cohort(three, ready, tmp_path / "out", folds=2, settings=ONE_EPOCH)) == 3


def test_masks_that_a_prediction_overwrote_are_drawn_again_without_training(four, tmp_path, fitted):
    cohort, ready = four
    out = tmp_path / "out"
    first = segment_cohort(cohort, ready, out, folds=2, settings=ONE_EPOCH)
    drawn = {name: np.asarray(_mask(out, name).dataobj) for name in cohort.subjects}
    weights = shutil.copy(unet_path(out, 1), tmp_path / "other.keras")
    predict_tumours(cohort, ready, out, weights=weights)
    assert any(not np.array_equal(_mask(out, name).dataobj, drawn[name]) for name in drawn)
    pd.testing.assert_frame_equal(segment_cohort(cohort, ready, out, folds=2, settings=ONE_EPOCH), first)
    assert all(np.array_equal(_mask(out, name).dataobj, drawn[name]) for name in drawn) and len(fitted) == 2


@pytest.mark.slow
def test_a_prediction_is_kept_goes_on_after_a_stop_and_says_why_it_is_redone(segmented, four, tmp_path, monkeypatch):
    cohort, ready = four
    out, weights = tmp_path / "out", segmented[3]
    undisturbed = predict_tumours(cohort, ready, tmp_path / "undisturbed", weights=weights)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        outlined = _stop_at_the_second_outline(patch)
        predict_tumours(cohort, ready, out, weights=weights)
    with monkeypatch.context() as patch:
        outlined = _count_outlines(patch)
        with collect_warnings() as remarks:
            found = predict_tumours(cohort, ready, out, weights=weights)
        assert outlined == list(cohort.subjects)[1:] and not remarks
    pd.testing.assert_frame_equal(found, undisturbed)
    before = {path: content for path, (content, _) in _files(out).items()}
    copy = shutil.copytree(out, tmp_path / "copy", copy_function=shutil.copyfile)
    for path in copy.rglob("*.*"):
        os.utime(path, ns=(1, 1))
    with monkeypatch.context() as patch, collect_warnings() as remarks:
        patch.setattr(outline_cohort, "for_each", lambda work, jobs, **how: jobs and pytest.fail("outlined again"))
        pd.testing.assert_frame_equal(predict_tumours(cohort, ready, copy, weights=weights), undisturbed)
    assert {path: content for path, (content, _) in _files(copy).items()} == before and not remarks
    _mask_path(copy, "sub-00").unlink()
    outline_path(copy, "sub-01").write_text('{"inputs"')
    with collect_warnings() as remarks:
        pd.testing.assert_frame_equal(predict_tumours(cohort, ready, copy, weights=weights), undisturbed)
    assert len(remarks) == 1 and "2 of 4 computed again" in remarks[0]
    with collect_warnings() as remarks:
        predict_tumours(cohort, ready, copy, weights=shutil.copy(unet_path(segmented[1], 1), tmp_path / "other.keras"))
    assert remarks == ["Outlines: 4 of 4 computed again: input network changed"]


def _count_outlines(monkeypatch):
    """Return the subjects that are outlined from now on."""
    begun, outline = [], outline_cohort._outline
    monkeypatch.setattr(
        outline_cohort, "_outline", lambda job, **how: begun.append(job.subject.id) or outline(job, **how)
    )
    return begun


@pytest.mark.slow
def test_networks_are_trained_again_with_a_reason_and_a_copy_is_as_good(four, tmp_path, fitted):
    cohort, ready = four
    first = segment_cohort(cohort, ready, tmp_path / "out", folds=2, settings=ONE_EPOCH)
    copy = shutil.copytree(tmp_path / "out", tmp_path / "copy", copy_function=shutil.copyfile)
    for path in copy.rglob("*.*"):
        os.utime(path, ns=(1, 1))
    for change, words in [
        ({}, []),
        ({"seed": 1}, ["segment_cohort: computed again: seed was 0, is 1"]),
        ({"seed": 1}, []),
    ]:
        with collect_warnings() as remarks:
            again = segment_cohort(cohort, ready, copy, folds=2, settings=ONE_EPOCH, **change)
        assert remarks == words
        if not change:
            pd.testing.assert_frame_equal(again, first)
    assert len(fitted) == 4
    write_json(copy / "unet" / "settings.json", {"folds": 2, "epochs": 1, "seed": 1, "inputs": "00"})
    with collect_warnings() as remarks:
        segment_cohort(cohort, ready, copy, folds=2, settings=ONE_EPOCH, seed=1)
    assert len(fitted) == 6 and "earlier version" in remarks[0]


@pytest.mark.parametrize("annotated", [0, 1])
def test_nobody_to_learn_from_is_three_lines(annotated, four, tmp_path):
    cohort, ready = four
    silent = _without_annotation(cohort, ready, *list(cohort.subjects)[annotated:])
    with raises_three_lines(CohortError, "tumour masks", f"{annotated} of the 4 subjects", "--train"):
        segment_cohort(silent, ready, tmp_path / "out", folds=2)


def test_more_folds_than_subjects_are_three_lines(four, tmp_path):
    with raises_three_lines(CohortError, "5 folds, 4 subjects"):
        segment_cohort(*four, tmp_path / "out")


def test_weights_have_the_name_of_their_format(four, tmp_path):
    with raises_three_lines(ParameterError, "net.h5", "net.keras"):
        segment_cohort(*four, tmp_path / "out", weights=tmp_path / "net.h5")
    assert not (tmp_path / "out").exists(), "it is said before anything is done"


def test_a_summary_of_known_figures():
    tumours = pd.DataFrame(
        {
            "dice": [0.5, 0.7, 0.9, np.nan],
            "dice_classical": [0.2, 0.3, 0.4, np.nan],
            "reference": ["truth", "truth", "all slices", None],
            "volume_error_pct": [-40, 10, 20, np.nan],
            "covered": [True, False, np.nan, np.nan],
            "fold": [1, 2, 2, 1],
            "volume_low_voxels": [9, 9, 9, np.nan],
            "volume_high_voxels": [19, 29, 49, np.nan],
        }
    )
    found = summarise(tumours)
    low, high = found.pop("dice_mean_ci95")
    assert 0.5 <= low < 0.7 < high <= 0.9
    assert found == pytest.approx(
        {
            **{"n": 3, "reference": "all slices, truth", "dice_mean": 0.7, "dice_median": 0.7},
            **{"dice_classical_mean": 0.3, "volume_error_pct_median": 20, "coverage": 0.5},
            **{"coverage_n": 2, "coverage_sd": np.sqrt(0.5), "interval_ratio_median": 3},
        }
    )


def test_what_too_few_cannot_tell_is_left_out_of_the_summary():
    one = pd.DataFrame({"dice": [0.5], "dice_classical": [np.nan], "reference": ["truth"]})
    blank = {"volume_error_pct": np.nan, "covered": np.nan, "volume_low_voxels": np.nan, "volume_high_voxels": np.nan}
    found = summarise(one.assign(**blank))
    assert found == {"n": 1, "reference": "truth", "dice_mean": 0.5, "dice_median": 0.5}
    assert summarise(one.assign(dice=np.nan)) == summarise(one[["reference"]]) == {}


@pytest.mark.slow
def test_a_real_network_learns_an_easy_tumour(made, tmp_path, monkeypatch):
    from epitome_kit.tumour.fit import UNetFineTuner

    monkeypatch.setattr(segment, "UNetFineTuner", UNetFineTuner)
    cohort = replace(made[0], subjects={name: made[0][name] for name in list(made[0].subjects)[1:7]})
    tumours = segment_cohort(cohort, made[1], tmp_path / "out", folds=2, settings=UNetSettings(epochs=20))
    assert tumours.dice.mean() > 0.6 and tumours.dice.min() > 0.4
    assert load_unet(unet_path(tmp_path / "out", 0)).name == "tumour_unet"
