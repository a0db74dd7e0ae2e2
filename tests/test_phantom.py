"""The built-in cohort: the same seed gives the same voxels, finished subjects are kept, and the truth is true."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from tiny import raises_three_lines

from epitome_kit.cohort import TARGETS, open_cohort
from epitome_kit.errors import CohortError, EpitomeWarning, ParameterError
from epitome_kit.files import read_json
from epitome_kit.images import load_image, same_grid
from epitome_kit.io.geometry import SPACE
from epitome_kit.simulate.latents import LATENTS, oracle_score
from epitome_kit.simulate.phantom import load_cohort, make_phantom_cohort

COARSE = {"subjects": 2, "spacing_mm": (8, 8, 8)}


def _voxels(root):
    """Every voxel and every table of a cohort, by name of the file."""
    found = {}
    for path in sorted(root.rglob("*.*")):
        name = str(path.relative_to(root))
        if name.endswith(".nii.gz"):
            image = nib.load(path)
            found[name] = (np.asarray(image.dataobj).tobytes(), image.affine.tobytes())
        elif path.suffix in {".tsv", ".txt"} or name.endswith("latents.json"):
            found[name] = path.read_text()
    return found


def _stamps(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*.nii.gz")}


@pytest.fixture(scope="module")
def coarse(tmp_path_factory):
    return make_phantom_cohort(tmp_path_factory.mktemp("coarse") / "one", seed=4, **COARSE)


def test_a_cohort_is_complete_and_opens_as_any_other(phantom):
    assert len(phantom) == 8 and phantom.simulated and phantom.contrasts == ("T1ce", "T2w")
    assert same_grid(load_image(phantom["sub-001"].images["T2w"]), load_image(phantom["sub-001"].annotation))
    assert phantom.labels("grade").sum() in (2, 3) and phantom.labels("codeletion").sum() in (3, 4)
    for subject in phantom.participants.itertuples():
        assert (subject.codeletion == "codeleted") == subject.histology.startswith("Oligodendroglioma")
        assert ("IDH-mutant" in subject.histology) == (subject.idh == "mutant")
    assert phantom.participants.notna().all(axis=None)
    assert phantom.participants.age.between(18, 80).all() and set(phantom.participants.sex) <= {"F", "M"}


@pytest.mark.slow
def test_two_workers_make_the_same_voxels_as_one_and_another_seed_does_not(coarse, tmp_path):
    again = make_phantom_cohort(tmp_path / "two", seed=4, workers=2, **COARSE)
    assert _voxels(again.root) == _voxels(coarse.root)
    other = _voxels(make_phantom_cohort(tmp_path / "three", seed=5, **COARSE).root)
    scans = [name for name in other if "/anat/" in name and name.endswith(".nii.gz")]
    assert len(scans) == 14
    assert all(other[name] != _voxels(coarse.root)[name] for name in scans)


def test_finished_subjects_are_kept_and_an_unfinished_one_is_made_again(tmp_path):
    whole = make_phantom_cohort(tmp_path, seed=4, **COARSE)
    expected, before = _voxels(tmp_path), _stamps(tmp_path)
    (whole["sub-001"].truth / "sub-001_latents.json").unlink()
    whole["sub-001"].images["T2w"].unlink()
    make_phantom_cohort(tmp_path, seed=4, **COARSE)
    after = _stamps(tmp_path)
    assert all(after[path] == before[path] for path in before if "sub-002" in path.name)
    assert all(after[path] > before[path] for path in before if "sub-001" in path.name)
    assert _voxels(tmp_path) == expected


def test_heads_of_an_earlier_simulator_are_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr("epitome_kit.simulate.phantom._SIMULATOR", {})
    make_phantom_cohort(tmp_path, seed=4, **COARSE)
    monkeypatch.undo()
    before = _stamps(tmp_path)
    with pytest.warns(EpitomeWarning, match="simulator"):
        make_phantom_cohort(tmp_path, seed=4, **COARSE)
    assert all(then > before[path] for path, then in _stamps(tmp_path).items())


def test_a_damaged_record_is_made_again_and_a_damaged_recipe_is_three_lines(tmp_path):
    made = make_phantom_cohort(tmp_path, seed=4, **COARSE)
    expected, before = _voxels(tmp_path), _stamps(tmp_path)
    (made["sub-001"].truth / "sub-001_latents.json").write_text('{"participant_id": "sub-0')
    make_phantom_cohort(tmp_path, seed=4, **COARSE)
    assert _voxels(tmp_path) == expected
    assert {path.name[:7] for path, then in _stamps(tmp_path).items() if then != before[path]} == {"sub-001"}
    (tmp_path / "derivatives" / "truth" / "recipe.json").write_text('{"subjects": 2')
    with raises_three_lines(ParameterError, tmp_path, "other files"):
        make_phantom_cohort(tmp_path, seed=4, **COARSE)
    assert _voxels(tmp_path) == expected


def test_a_folder_with_another_cohort_is_refused_and_left_alone(coarse):
    before = _voxels(coarse.root)
    with raises_three_lines(ParameterError, coarse.root, "'seed': 4"):
        make_phantom_cohort(coarse.root, seed=7, **COARSE)
    with raises_three_lines(ParameterError, coarse.root):
        make_phantom_cohort(coarse.root, seed=4, contrasts=("T1ce",), **COARSE)
    assert _voxels(coarse.root) == before


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.docx").touch()
    with raises_three_lines(ParameterError, tmp_path, "other files"):
        make_phantom_cohort(tmp_path, **COARSE)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"subjects": 1}, ["at least 2"]),
        ({"contrasts": ("T1ce", "PD")}, ["PD", "T1w, T1ce, T2w, FLAIR"]),
        ({"contrasts": ()}, ["T1ce"]),
        ({"profile": "huge"}, ["huge", "quick"]),
    ],
)
def test_a_request_that_cannot_be_met_is_three_lines(tmp_path, request_, words):
    with raises_three_lines(ParameterError, *words):
        make_phantom_cohort(tmp_path / "out", **request_)
    assert not (tmp_path / "out").exists()


def test_every_contrast_can_be_asked_for(tmp_path):
    cohort = make_phantom_cohort(tmp_path, contrasts=("FLAIR", "T1w", "T1ce"), **COARSE)
    assert cohort.contrasts == ("T1w", "T1ce", "FLAIR")
    assert {subject.annotated_on for subject in cohort} == {"FLAIR"}, "without T2 the first one leads"


def test_annotation_is_the_truth_on_three_slices_and_nothing_elsewhere(phantom):
    for subject in phantom:
        drawn = load_image(subject.annotation, check_voxels=False).get_fdata() > 0
        truth = load_image(subject.truth / f"{subject.id}_space-T2w_label-tumour_mask.nii.gz").get_fdata() > 0
        kept = list(subject.annotated_slices)
        assert len(kept) == 3 and kept == list(range(kept[0], kept[0] + 3))
        assert truth[:, :, kept[1]].sum() == truth.sum((0, 1)).max(), "the middle one is the widest"
        assert np.array_equal(drawn[:, :, kept], truth[:, :, kept])
        assert not np.delete(drawn, kept, axis=2).any() and np.delete(truth, kept, axis=2).any()


def test_the_tumour_lies_in_the_brain_and_shows_on_t2(phantom):
    for subject in phantom:
        brain, tumour = (
            load_image(subject.truth / f"{subject.id}_space-T2w_{name}_mask.nii.gz").get_fdata() > 0
            for name in ("desc-brain", "label-tumour")
        )
        data = load_image(subject.images["T2w"]).get_fdata()
        assert tumour.any() and not (tumour & ~brain).any()
        assert np.median(data[tumour]) > 1.1 * np.median(data[brain & ~tumour])


def test_latents_are_listed_with_their_oracle(phantom):
    latents = pd.read_csv(phantom.root / "derivatives/truth/latents.tsv", sep="\t", index_col="participant_id")
    assert list(latents.index) == list(phantom.subjects) and set(LATENTS) <= set(latents.columns)
    for target in TARGETS:
        assert latents[f"oracle_{target}"].to_numpy() == pytest.approx(oracle_score(latents[list(LATENTS)], target))
    for subject in phantom:
        mask = load_image(subject.truth / f"{subject.id}_space-T2w_label-tumour_mask.nii.gz")
        volume = mask.get_fdata().sum() * abs(np.linalg.det(mask.affine[:3, :3])) / 1000
        assert latents.volume_ml[subject.id] == pytest.approx(volume, rel=1e-5)
    assert latents.beyond_affine_mm.between(1.5, 6).all(), "the deformation has a standard deviation of some mm"
    assert read_json(phantom.root / "derivatives/truth/oracle.json")["auc_grade"] == pytest.approx(0.90, abs=0.01)


def test_true_transforms_agree_with_each_other(phantom):
    for subject in phantom:
        routes = (("T1ce", SPACE), ("T2w", SPACE), ("T1ce", "T2w"))
        names = [f"{subject.id}_from-{start}_to-{end}_mode-image_xfm.txt" for start, end in routes]
        t1, t2, motion = (np.loadtxt(subject.truth / name) for name in names)
        points = np.random.default_rng(0).uniform(-60, 60, (100, 3))
        there, by_way = (nib.affines.apply_affine(matrix, points) for matrix in (t1, t2 @ motion))
        assert np.linalg.norm(there - by_way, axis=1).max() < 0.5, "mm"
        assert not np.allclose(motion, np.eye(4), atol=1e-3), "the head moved between the contrasts"


def test_the_bias_field_beside_a_scan_is_centred_on_one(phantom):
    for subject in phantom:
        brain = load_image(subject.truth / f"{subject.id}_space-T2w_desc-brain_mask.nii.gz").get_fdata() > 0
        log_bias = np.log(load_image(subject.truth / f"{subject.id}_space-T2w_biasfield.nii.gz").get_fdata()[brain])
        assert (log_bias.mean(), log_bias.std()) == pytest.approx((0, 0.10), abs=0.002)


def test_the_built_in_cohort_is_made_once_and_kept_under_a_telling_name(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr("epitome_kit.simulate.phantom.make_phantom_cohort", lambda out, **how: made.append((out, how)))
    load_cohort("phantom", folder=tmp_path, profile="smoke", seed=3, workers=2)
    load_cohort("phantom", folder=tmp_path, subjects=12)
    assert [out.name for out, _ in made] == ["phantom_smoke_n10_seed3", "phantom_quick_n12_seed0"]
    assert made[0][1] == {"subjects": 10, "seed": 3, "profile": "smoke", "workers": 2}


def test_any_other_cohort_is_opened(coarse, tmp_path):
    assert load_cohort(coarse.root, folder=tmp_path).participants.equals(open_cohort(coarse.root).participants)
    with raises_three_lines(CohortError, tmp_path / "nowhere"):
        load_cohort(tmp_path / "nowhere", folder=tmp_path)
    assert not any(tmp_path.iterdir())
