"""Steps of preprocessing can be left out one by one, and what was done is written down."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import OutputError, ParameterError, ToolError
from epitome_kit.files import read_json, write_json
from epitome_kit.images import load_image, load_mask
from epitome_kit.preprocess.deformation import resample_deformed
from epitome_kit.preprocess.pipeline import STEPS, Preprocessed, preprocess_cohort
from epitome_kit.preprocess.registration import centre_on_template, load_template
from epitome_kit.preprocess.skull_stripping import METHODS, SkullStripResult
from epitome_kit.preprocess.subject import describe_steps, preprocess_subject
from epitome_kit.sidecars import sidecar_path


@pytest.fixture(scope="module")
def single(phantom):
    """The phantom, with one subject of its eight."""
    return replace(phantom, subjects={"sub-001": phantom["sub-001"]}, participants=phantom.participants.iloc[:1])


@pytest.fixture(scope="module")
def without(single, tmp_path_factory):
    """The subject preprocessed without one step: where its files are, and its row of quality."""
    made = {}

    def make(step):
        if step not in made:
            out = tmp_path_factory.mktemp("without") / step
            steps = [name for name in STEPS if name != step]
            quality = preprocess_cohort(single, out, spacing_mm=6.0, steps=steps)
            made[step] = Preprocessed(out, "sub-001"), quality.iloc[0]
        return made[step]

    return make


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_what_was_left_out_is_written_down(step, without):
    files, _ = without(step)
    settings = read_json(files.record)["settings"]
    assert list(settings["steps"]) == list(STEPS) and settings["reference"] == "T2w"
    assert [name for name, parameters in settings["steps"].items() if parameters is None] == [step]
    assert f"left out: {step}" in read_json(files.folder / "dataset_description.json")["GeneratedBy"][0]["Description"]
    for contrast in ("T1ce", "T2w"):
        sidecar = read_json(sidecar_path(files.scan(contrast)))
        assert sidecar["Steps"] == settings["steps"] and sidecar["SkullStripped"] == (step != "strip")
        assert ("not registered" in sidecar["SpatialReference"]) == (step == "register")


@pytest.mark.slow
def test_without_stripping_the_head_is_kept_and_no_brain_is_measured(without, preprocessed):
    files, quality = without("strip")
    head = load_mask(files.mask("desc-brain", space="T2w")).get_fdata()
    brain = load_mask(Preprocessed(preprocessed, "sub-001").mask("desc-brain", space="T2w")).get_fdata()
    assert head.sum() > 1.2 * brain.sum() and (head[brain > 0] > 0).mean() > 0.98
    assert quality.brain_volume_ml is None and quality.template_dice is None
    assert quality.brain_mask_dice < 0.9


@pytest.mark.slow
def test_without_correction_there_is_no_field_and_the_bias_stays(without, preprocessed):
    files, quality = without("bias")
    assert not files.bias("T2w").exists() and Preprocessed(preprocessed, "sub-001").bias("T2w").is_file()
    assert quality.bias_field_sd is None and quality.bias_residual_sd == pytest.approx(0.1, abs=0.03)


@pytest.mark.slow
def test_without_registration_the_brain_is_only_moved_to_the_middle(without):
    files, quality = without("register")
    there, other = (np.loadtxt(files.transform(name)) for name in ("T2w", "T1ce"))
    assert np.array_equal(there[:3, :3], np.eye(3)) and np.array_equal(there, other)
    assert quality.registration_error_mm > without("bias")[1].registration_error_mm + 0.5
    brain = load_mask(files.mask("desc-brain"))
    places, ideal = (
        nib.affines.apply_affine(mask.affine, np.argwhere(mask.get_fdata() > 0)).mean(0)
        for mask in (brain, load_template()[1])
    )
    assert np.abs(places - ideal).max() < 3


@pytest.mark.slow
def test_without_normalisation_the_intensities_stay_those_of_the_scanner(without):
    files, _ = without("normalise")
    scan, brain = (load_image(path).get_fdata() for path in (files.scan("T2w"), files.mask("desc-brain")))
    assert np.median(scan[brain > 0]) > 50 and not scan[brain == 0].any()


def test_a_mask_is_moved_onto_the_template_without_turning_it():
    mask = load_template()[1]
    moved = nib.Nifti1Image(mask.get_fdata(), nib.affines.from_matvec(np.eye(3), (5, -7, 30)) @ mask.affine)
    assert centre_on_template(moved) == pytest.approx(nib.affines.from_matvec(np.eye(3), (-5, 7, -30)))


def test_another_switch_does_the_subject_again_and_clears_what_it_left(single, tmp_path):
    files = Preprocessed(tmp_path, "sub-001")
    own = tmp_path / "sub-001" / "anat" / "sub-001_notes.txt"
    cheap = {"spacing_mm": 8.0}
    preprocess_cohort(single, tmp_path, steps=("strip", "bias"), **cheap)
    own.write_text("mine")
    done = files.record.stat().st_mtime_ns
    preprocess_cohort(single, tmp_path, steps=("bias", "strip"), **cheap)
    assert files.record.stat().st_mtime_ns == done, "the same steps in another order are the same steps"
    preprocess_cohort(single, tmp_path, steps=("bias", "strip"), resume=False, **cheap)
    again = files.record.stat().st_mtime_ns
    assert again > done, "unless they are asked for again"
    preprocess_cohort(single, tmp_path, steps=("strip",), **cheap)
    assert files.record.stat().st_mtime_ns > again
    assert not files.bias("T2w").exists() and own.read_text() == "mine"


def test_a_sidecar_that_changed_does_the_subject_again(single, tmp_path):
    cheap = {"spacing_mm": 8.0, "steps": ("strip",)}
    files, sidecar = Preprocessed(tmp_path, "sub-001"), sidecar_path(single["sub-001"].annotation)
    preprocess_cohort(single, tmp_path, **cheap)
    before, notes = read_json(files.record), read_json(sidecar)
    try:
        write_json(sidecar, {**notes, "Rater": "another"})
        preprocess_cohort(single, tmp_path, **cheap)
    finally:
        write_json(sidecar, notes)
    assert read_json(files.record)["inputs"] != before["inputs"]


def test_the_parameters_of_a_method_are_part_of_the_settings(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda program: program)
    network, tool = (describe_steps(STEPS, method)["strip"] for method in ("network", "fsl"))
    assert len(network["weights"]) == 16 and tool["command"].startswith("bet ")
    assert describe_steps(STEPS)["bias"] == {"iterations": [40, 40, 40], "working_mm": 8.0}
    assert describe_steps(("bias",), "no such method")["strip"] is None


@pytest.mark.slow
def test_a_deformation_is_written_when_asked_for(single, tmp_path, without):
    preprocess_cohort(single, tmp_path, spacing_mm=6.0, steps=(*STEPS, "deform"))
    files, plain = Preprocessed(tmp_path, "sub-001"), without("strip")[0]
    field = nib.load(files.deformation("T2w"))
    assert field.shape[3] == 3 and 0.5 < np.linalg.norm(field.get_fdata(), axis=3).max() < 30
    assert read_json(files.record)["settings"]["steps"]["deform"]["spacing_mm"] == 4.0
    assert not plain.deformation("T2w").exists()
    deformed = resample_deformed(single["sub-001"].images["T2w"], np.loadtxt(files.transform("T2w")), field)
    assert deformed.shape == field.shape[:3]


def test_a_deformation_needs_a_registration(single, tmp_path):
    with raises_three_lines(ParameterError, "`register` before `deform`", "strip, deform"):
        preprocess_cohort(single, tmp_path, steps=("strip", "deform"))


def test_an_unknown_step_or_method_is_three_lines(single, tmp_path):
    with raises_three_lines(ParameterError, "strip, bias, register, normalise", "'N4'"):
        preprocess_cohort(single, tmp_path, steps=("N4",))
    with raises_three_lines(ParameterError, ", ".join(METHODS), "'magic'"):
        preprocess_cohort(single, tmp_path, method="magic")


def test_a_tool_that_is_missing_is_said_before_any_subject(single, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with raises_three_lines(ToolError, "`bet`", "FSL"):
        preprocess_cohort(single, tmp_path / "out", method="fsl")
    assert not (tmp_path / "out").exists()


def test_the_cohort_itself_is_never_written_to(single):
    with raises_three_lines(OutputError, single.root, "derivatives"):
        preprocess_cohort(single, single.root / "sub-001" / "..")


@pytest.mark.slow
def test_two_threads_write_the_same_bytes_as_one(single, tmp_path, monkeypatch):
    """The brain is known beforehand: it is found before there are threads."""
    (subject,) = single
    known = load_mask(next(subject.truth.glob("*T2w_desc-brain_mask.nii.gz")))
    stripped = SkullStripResult(known, "head", ())
    monkeypatch.setattr("epitome_kit.preprocess.subject.strip_with_warnings", lambda image, method: stripped)
    written = []
    for threads in (1, 2):
        files = Preprocessed(tmp_path / str(threads), subject.id)
        quality = preprocess_subject(subject, files, steps=describe_steps(), spacing_mm=6.0, threads=threads)
        paths = sorted(files.record.parent.iterdir())
        written.append((quality, {path.name: path.read_bytes() for path in paths}))
    assert written[0] == written[1] and len(written[0][1]) == 12
