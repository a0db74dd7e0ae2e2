"""The 2018 project rebuilt: its number of weights, its linear convolutions, its way of reading scans."""

import numpy as np
import pytest
from made_derivative import SHAPE, make_derivative
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from epitome_kit.backend import ops
from epitome_kit.images import load_image, new_image_like, save_image
from epitome_kit.preprocess.pipeline import Preprocessed, registration_reference
from epitome_kit.teach import seed2018


def test_the_network_has_the_weights_of_the_saved_file():
    weights = seed2018.count_weights()
    assert sum(weights.values()) == 42_016_257 == seed2018.WEIGHTS
    assert weights["dense_first"] == (16 * 16 * 5 * 64 + 1) * 512


def test_weights_are_counted_as_they_are_built():
    built = seed2018.build_seed_network((8, 8, 8), dense=4)
    assert sum(seed2018.count_weights((8, 8, 8), dense=4).values()) == built.count_params()


def test_averaging_the_filters_leaves_under_a_million_weights():
    assert sum(seed2018.count_weights(flatten=False).values()) < 1_000_000


def test_only_the_activation_asked_for_is_there():
    for activation, name in ((None, "linear"), ("relu", "relu")):
        network = seed2018.build_seed_network((8, 8, 8), activation=activation, dense=4)
        assert network.get_layer("convolution_32").activation.__name__ == name
        assert network.get_layer("convolution_64").activation.__name__ == name


def _through(network, volumes):
    """Answers of the convolutions alone: the first, and both with nothing between."""
    first, second = (network.get_layer(name) for name in ("convolution_32", "convolution_64"))
    return first(volumes), second(first.activation(first(volumes)))


@pytest.mark.parametrize(("activation", "linear"), [(None, True), ("relu", False)])
def test_without_an_activation_convolutions_add_up(activation, linear):
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 1, 8, 8, 8, 1)).astype(np.float32)
    network = seed2018.build_seed_network((8, 8, 8), activation=activation, dense=4)
    for of_sum, of_one, of_other in zip(
        *(_through(network, volume) for volume in (one + other, one, other)), strict=True
    ):
        assert np.allclose(of_sum, np.add(of_one, of_other), atol=1e-4) == linear


def test_superposition_holds_up_to_the_pooling():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 1, 8, 8, 8, 1)).astype(np.float32)
    network = seed2018.build_seed_network((8, 8, 8), dense=4)
    pooled = [ops.max_pool(_through(network, volume)[0], 2) for volume in (one + other, one, other)]
    assert not np.allclose(pooled[0], np.add(*pooled[1:]), atol=1e-2)


def test_two_convolutions_merge_into_one():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(3, 3, 3, 1, 4)), rng.normal(size=(3, 3, 3, 4, 2))
    merged = seed2018.merge_convolutions(first, second)
    volume = rng.normal(size=(9, 9, 9))
    between = [ndimage.correlate(volume, first[..., 0, b], mode="constant") for b in range(4)]
    for f in range(2):
        twice = sum(ndimage.correlate(each, second[..., b, f], mode="constant") for b, each in enumerate(between))
        once = ndimage.correlate(volume, merged[..., 0, f], mode="constant")
        inside = (slice(2, -2),) * 3
        assert np.allclose(twice[inside], once[inside])


def test_slices_are_averaged_in_chunks_whatever_their_number():
    volume = np.broadcast_to(np.arange(10.0), (6, 4, 10))
    chunks = seed2018.chunk_slices(volume, (3, 2, 5))
    assert chunks.shape == (3, 2, 5) and chunks.dtype == np.float32
    assert np.allclose(chunks[1, 1], [0.5, 2.5, 4.5, 6.5, 8.5])
    assert seed2018.chunk_slices(volume[..., :7], (3, 2, 5)).shape == (3, 2, 5)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Tiny cohort and derivative, with the masks and bias fields on the grid of the scans beside."""
    cohort, ready = make_derivative(tmp_path_factory.mktemp("seed"), subjects=4)
    for subject in cohort:
        lead, files = registration_reference(subject), Preprocessed(ready, subject.id)
        scan = load_image(subject.images[lead])
        save_image(load_image(files.mask("desc-brain")), files.mask("desc-brain", space=lead))
        field = np.full(scan.shape, 2, np.float32)
        field[0] = 1  # outside the brain
        save_image(new_image_like(field, scan), files.bias(lead))
    return cohort, ready


def test_scans_are_blurred_in_2018_and_divided_by_the_bias_field_once_fixed(tiny, monkeypatch):
    monkeypatch.setattr(seed2018, "isotropic_smooth", lambda volume, spacing: volume + 1)
    cohort, ready = tiny
    shape = (8, 8, SHAPE[2])
    seed, unbiased = (
        seed2018.read_scans(cohort, ready, list(cohort.subjects), shape=shape, fixed=fixed) for fixed in ((), ("bias",))
    )
    assert seed.shape == unbiased.shape == (4, *shape, 1)
    first = next(iter(cohort))
    scan, brain = load_image(first.images["FLAIR"]), Preprocessed(ready, first.id).mask("desc-brain")
    expected = scan.get_fdata() * load_image(brain).get_fdata() / 2
    assert np.allclose(unbiased[0, ..., 0], seed2018.chunk_slices(expected, shape), atol=1e-4)
    assert np.allclose(seed, 2 * unbiased + 1, atol=1e-4)


def test_the_blur_is_half_as_high_at_half_its_width():
    point = np.zeros((31, 31, 31))
    point[15, 15, 15] = 1
    blurred = seed2018.isotropic_smooth(point, (0.5, 1.0, 2.0), fwhm_mm=4.0)
    peak = blurred[15, 15, 15]
    assert np.allclose([blurred[19, 15, 15], blurred[15, 17, 15], blurred[15, 15, 16]], peak / 2, rtol=0.03)


def test_the_fixed_grid_is_cubic_and_normalised(tiny):
    cohort, ready = tiny
    names = list(cohort.subjects)[::-1]
    volumes = seed2018.read_scans(cohort, ready, names, grid_mm=12.0, fixed=("grid",))
    saved = load_image(Preprocessed(ready, names[0]).scan("FLAIR")).get_fdata()
    assert np.allclose(volumes[0, ..., 0], saved, atol=1e-4)


@pytest.mark.slow
def test_cross_validation_trains_afresh_and_tests_what_it_never_saw():
    rng, labels = np.random.default_rng(0), np.arange(16) % 2
    scans = rng.normal(size=(16, 4, 4, 4, 1)).astype(np.float32) + 3 * labels.reshape(-1, 1, 1, 1, 1)
    scans = scans.astype(np.float32)
    fold_of = np.arange(16) // 2 % 2
    misled = np.where(fold_of == 0, 1 - labels, labels)
    network = seed2018.build_seed_network((4, 4, 4), activation="relu", dense=8)
    answers = seed2018.cross_validate(network, scans, misled, fold_of, epochs=8)
    assert answers.shape == (16, 8)
    assert roc_auc_score(labels[fold_of == 0], answers[fold_of == 0, -1]) > 0.9
    assert roc_auc_score(labels[fold_of == 1], answers[fold_of == 1, -1]) < 0.1


@pytest.mark.slow
def test_no_fold_knows_of_the_one_before():
    scans = np.random.default_rng(0).normal(size=(8, 4, 4, 4, 1)).astype(np.float32)
    labels, fold_of = np.arange(8) % 2, np.arange(8) // 4
    network = seed2018.build_seed_network((4, 4, 4), dense=4)
    forth, back = (seed2018.cross_validate(network, scans, labels, folds, epochs=2) for folds in (fold_of, 1 - fold_of))
    assert np.allclose(forth, back, atol=1e-4)


def test_what_is_tested_can_be_read_in_another_way():
    scans = np.random.default_rng(0).normal(size=(4, 4, 4, 4, 1)).astype(np.float32)
    network = seed2018.build_seed_network((4, 4, 4), dense=4)
    answers = seed2018.cross_validate(network, scans, [0, 1, 0, 1], [0, 0, 1, 1], tested=0 * scans, epochs=1)
    assert np.ptp(answers[:2]) < 1e-5 > np.ptp(answers[2:])


def test_changes_of_the_auc_have_intervals_over_the_folds():
    labels, fold_of = np.repeat([0, 1], 50), np.tile(np.arange(5), 20)
    rng = np.random.default_rng(0)
    noise, good = rng.normal(size=100), labels + 0.2 * rng.normal(size=100)
    changes = seed2018.auc_changes(labels, fold_of, {"noise": noise, "good": good, "same": good})
    by_fold = [roc_auc_score(labels[fold_of == f], each[fold_of == f]) for each in (noise, good) for f in range(5)]
    assert changes["change of the AUC"]["good"] == pytest.approx(np.mean(by_fold[5:]) - np.mean(by_fold[:5]))
    assert (changes.low <= changes["change of the AUC"]).all() and (changes["change of the AUC"] <= changes.high).all()
    assert changes.p["good"] < 0.05 and changes.p["same"] == 1
