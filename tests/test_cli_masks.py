"""`epitome measure` and `epitome strip` on masks and headers that can be read in two ways: what they ask and say."""

import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from epitome_kit import cli

SPACING = (0.5, 0.5, 4.0)


@pytest.fixture
def epitome(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture
def parts(tmp_path):
    """Parts 1, 2 and 4 of a tumour, 8 mL each, in voxels of 1 mL."""
    data = np.zeros((12, 12, 12), np.uint8)
    data[2:4, 2:4, 2:4], data[5:7, 5:7, 5:7], data[8:10, 8:10, 8:10] = 1, 2, 4
    nib.save(nib.Nifti1Image(data, np.diag([10, 10, 10, 1])), tmp_path / "seg.nii.gz")
    return tmp_path / "seg.nii.gz"


@pytest.fixture
def two_sizes(tmp_path):
    """A cube of 8 voxels whose sform says 1 mm3 a voxel, and whose qform another size."""
    data = np.zeros((20, 20, 20), np.uint8)
    data[9:11, 9:11, 9:11] = 1
    image = nib.Nifti1Image(data, np.eye(4))
    image.header.set_qform(np.diag([*SPACING, 1]), 1)
    image.header.set_sform(np.eye(4), 1)
    nib.save(nib.Nifti1Image(data, np.eye(4), image.header), tmp_path / "odd.nii.gz")
    return tmp_path / "odd.nii.gz"


def test_several_labels_are_listed_and_asked_for(epitome, parts):
    asked = epitome("measure", parts)
    assert asked.exit_code == 1 and not asked.stdout
    expected, received, hint = asked.stderr.strip().splitlines()
    assert "1: 8 mL, 2: 8 mL, 4: 8 mL" in received and "seg.nii.gz" in received and "brats21:WT" in hint


@pytest.mark.parametrize(
    ("labels", "voxels"), [("all", 24), ("4", 8), ("1,4", 16), ("brats21:TC", 16), ("brats18:ed", 8)]
)
def test_the_labels_that_are_named_are_measured(epitome, parts, labels, voxels):
    size = json.loads(epitome("measure", parts, "--mask-labels", labels, "--json").stdout)
    assert (size["volume_voxels"], size["volume_ml"], size["notes"]) == (voxels, pytest.approx(voxels), [])
    counted = json.loads(epitome("measure", parts, "--mask-labels", labels, "--voxels", "--json").stdout)
    assert counted["volume_voxels"] == voxels


def test_fractions_are_cut_and_said_on_the_screen_and_in_the_answer(epitome, tmp_path):
    data = np.zeros((10, 10, 10), np.float32)
    data[2:8, 2:8, 2:8], data[4:6, 4:6, 4:6] = 0.3, 0.8
    nib.save(nib.Nifti1Image(data, np.diag([4, 4, 4, 1])), tmp_path / "soft.nii.gz")
    answer = epitome("measure", tmp_path / "soft.nii.gz", "--json")
    size = json.loads(answer.stdout)
    assert size["volume_voxels"] == 8 and "fractions" in size["notes"][0] and "13.8 mL" in size["notes"][0]
    assert f"Warning: {size['notes'][0]}." in answer.stderr


def test_which_affine_counts_is_asked_and_obeyed(epitome, two_sizes):
    asked = epitome("measure", two_sizes)
    assert asked.exit_code == 1 and "--trust qform" in asked.stderr and "odd.nii.gz" in asked.stderr
    volumes = [
        json.loads(epitome("measure", two_sizes, "--trust", trust, "--json").stdout)["volume_ml"]
        for trust in ("sform", "qform")
    ]
    assert volumes == pytest.approx([0.008, 0.008 * np.prod(SPACING)])
    wrong = epitome("measure", two_sizes, "--trust", "both")
    assert wrong.exit_code == 1 and "sform or qform" in wrong.stderr


def test_strip_asks_and_obeys_as_well(epitome, two_sizes, tmp_path, monkeypatch):
    from epitome_kit.preprocess import skull_stripping as skull_strip

    stripped = skull_strip.SkullStripResult
    monkeypatch.setattr(skull_strip, "strip_with_warnings", lambda head, method: stripped(head, "head", []))
    out = tmp_path / "mask.nii.gz"
    asked = epitome("strip", two_sizes, "--mask", out)
    assert asked.exit_code == 1 and "--trust" in asked.stderr and not out.exists()
    assert epitome("strip", two_sizes, "--mask", out, "--trust", "qform").exit_code == 0
    assert nib.affines.voxel_sizes(nib.load(out).affine) == pytest.approx(SPACING)


def test_segment_outlines_a_head_where_the_affine_that_is_trusted_lies(epitome, two_sizes, tmp_path, monkeypatch):
    from epitome_kit.tumour import single_case as one_head

    seen = {}
    monkeypatch.setattr(one_head, "segment_head", lambda images, out, weights: seen.update(images) or 1 / 0)
    answer = epitome("segment", f"FLAIR={two_sizes}", "--trust", "qform", "--out", tmp_path / "out")
    assert isinstance(answer.exception, ZeroDivisionError)
    assert nib.affines.voxel_sizes(nib.load(seen["FLAIR"]).affine) == pytest.approx(SPACING)
    folder = epitome("segment", tmp_path, "--trust", "qform", "--out", tmp_path / "out")
    assert folder.exit_code == 1 and "epitome cohort bids --trust" in folder.stderr


def test_the_answer_may_go_to_a_file_with_the_name_of_the_mask(epitome, tmp_path):
    data = np.zeros((9, 9, 9), np.uint8)
    data[3:6, 3:6, 3:6] = 1
    nib.save(nib.Nifti1Image(data, np.diag([4, 4, 4, 1])), tmp_path / "a.nii.gz")
    (tmp_path / "a.json").touch()  # as a shell does for `> a.json`, before the program begins
    answer = epitome("measure", tmp_path / "a.nii.gz", "--json")
    assert json.loads(answer.stdout)["volume_voxels"] == 27 and "a.json" in answer.stderr
    (tmp_path / "a.json").write_text(answer.stdout, encoding="utf-8")
    assert json.loads(epitome("measure", tmp_path / "a.nii.gz", "--json").stdout)["notes"] == []
    (tmp_path / "a.json").write_text('{"AnnotatedSlices": [3,', encoding="utf-8")
    refused = epitome("measure", tmp_path / "a.nii.gz", "--json")
    assert refused.exit_code == 1 and refused.stderr.startswith("measure: ")


def test_a_mask_of_another_format_is_measured_in_mm(epitome, tmp_path):
    data = np.zeros((20, 20, 10), np.uint8)
    data[5:15, 5:15, 3:7] = 1
    image = sitk.GetImageFromArray(data.T)
    image.SetSpacing((1.0, 1.0, 2.5))
    for name in ("m.seg.nrrd", "m.mha"):
        sitk.WriteImage(image, str(tmp_path / name))
        assert json.loads(epitome("measure", tmp_path / name, "--json").stdout)["volume_ml"] == pytest.approx(1.0)


def test_the_kit_s_own_warnings_are_sentences_on_the_screen(epitome, tmp_path):
    image = nib.Nifti1Image(np.random.default_rng(0).integers(0, 9, (6, 6, 6)).astype(np.int16), np.eye(4))
    image.set_sform(None, 0)
    nib.save(image, tmp_path / "old.nii.gz")
    answer = epitome("strip", tmp_path / "old.nii.gz", "--mask", tmp_path / "m.nii.gz", "--method", "none")
    assert "Warning: old.nii.gz has neither a qform nor an sform code" in answer.stderr
    assert "EpitomeWarning" not in answer.stderr
