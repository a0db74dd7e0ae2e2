"""One head: contrasts known by their names, and from scans to a measured mask in one call."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import raises_three_lines

from epitome_kit.contrast_table import CONTRASTS, by_conspicuity
from epitome_kit.errors import ImageError, ParameterError, collect_warnings
from epitome_kit.images import load_image, load_mask, same_grid
from epitome_kit.preprocess import subject as preprocessing
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.preprocess.skull_stripping import SkullStripResult
from epitome_kit.simulate.phantom import make_phantom_cohort
from epitome_kit.tumour.single_case import (
    SPACING_MM,
    head_name,
    label_contrasts,
    predict_scan,
    segment_head,
)

DOUBT = "The brain ends in a straight cut."
"""What the strip of this head warned of."""


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("sub-01_ce-gadolinium_T1w.nii.gz", "T1ce"),
        ("sub-01_ses-2_ce-GADAVIST_run-1_T1w.nii", "T1ce"),
        ("sub-01_T1w.nii.gz", "T1w"),
        ("sub-01_T2w.nii.gz", "T2w"),
        ("sub-01_FLAIR.nii.gz", "FLAIR"),
        ("sub-flair_T1w.nii.gz", "T1w"),
        ("sub-t2ce_desc-preproc_FLAIR.nii.gz", "FLAIR"),
        ("BraTS20_Training_001_t1ce.nii.gz", "T1ce"),
        ("BraTS20_Training_001_t1.nii.gz", "T1w"),
        ("BraTS-GLI-00001-000-t1c.nii.gz", "T1ce"),
        ("BraTS-GLI-00001-000-t1n.nii.gz", "T1w"),
        ("BraTS-GLI-00001-000-t2f.nii.gz", "FLAIR"),
        ("BraTS-GLI-00001-000-t2w.nii.gz", "T2w"),
        ("t1c.nii.gz", "T1ce"),
        ("T1Gd.nii.gz", "T1ce"),
        ("T1_post_contrast.nii.gz", "T1ce"),
        ("t1_mprage_post.nii.gz", "T1ce"),
        ("ax T1 KM.nii.gz", "T1ce"),
        ("postcontrast-t1.nii.gz", "T1ce"),
        ("T1w_CE.nii.gz", "T1ce"),
        ("T1_pre_contrast.nii.gz", "T1w"),
        ("precontrast_t1.nii.gz", "T1w"),
        ("t1_non-contrast.nii.gz", "T1w"),
        ("MPRAGE.nii.gz", "T1w"),
        ("T2_FLAIR_sag.nii.gz", "FLAIR"),
        ("t2_tirm_dark-fluid.nii.gz", "FLAIR"),
        ("T2_TSE.nii", "T2w"),
    ],
)
def test_a_name_tells_the_contrast(name, contrast):
    assert list(predict_scan([f"some/t1_folder/{name}"])) == [contrast]


def test_contrasts_come_in_their_order_and_what_is_said_outright_counts():
    found = predict_scan(["flair.nii.gz", "T1ce=x/t1.nii.gz", "T2w=a=b.nii", "t1.nii.gz"])
    assert list(found) == list(CONTRASTS)
    assert [str(path) for path, _ in found.values()] == ["t1.nii.gz", "x/t1.nii.gz", "a=b.nii", "flair.nii.gz"]


@pytest.mark.parametrize(
    ("scans", "words"),
    [
        (["t1.nii.gz", "mprage.nii.gz"], ("mprage.nii.gz", "a second T1w", "epitome cohort bids")),
        (["t1.nii.gz", "T1w=other.nii.gz"], ("other.nii.gz", "a second T1w")),
        (["scan_3.nii.gz"], ("scan_3.nii.gz, of unknown contrast", "`FLAIR=scan_3.nii.gz`")),
        (["T1_w_wo.nii.gz"], ("T1_w_wo.nii.gz", "w and wo", "`T1w=T1_w_wo.nii.gz` or `T1ce=T1_w_wo.nii.gz`")),
        (["T2_mask.nii.gz"], ("T2_mask.nii.gz, of another contrast", "mask")),
        (["DWI=b0.nii.gz"], ("DWI=b0.nii.gz, of another contrast", "b0")),
        (["no/such/folder"], ("folder", "T1w, T1ce, T2w, FLAIR")),
    ],
)
def test_what_is_unclear_is_three_lines(scans, words):
    with raises_three_lines(ParameterError, *words):
        predict_scan(scans)


def test_every_scan_comes_with_its_evidence(tmp_path):
    (tmp_path / "a.json").write_text('{"SeriesDescription": "AX T1 MPRAGE GAD"}')
    found = predict_scan([tmp_path / "a.nii.gz", "patient2_t1.nii.gz", "FLAIR=b.nii"])
    assert {name: why for name, (_, why) in found.items()} == {
        "T1w": "file name says T1, no word of an agent",
        "T1ce": "description says T1 and mprage and gad",
        "FLAIR": "as stated",
    }


def test_a_scan_that_was_received_is_named_by_what_is_stated_else_by_its_header_or_its_name():
    assert label_contrasts({"": "x"}, "patient2_t1.nii.gz")[0] == {"T1w": "x"}
    assert label_contrasts({"": "x"}, "patient2_t1.nii.gz", stated="T2w") == ({"T2w": "x"}, {"T2w": "as stated"})
    assert label_contrasts({"T1ce": "x"}, "exam.zip")[1] == {"T1ce": "the header of its DICOM series"}
    assert label_contrasts({"T1w": "x"}, "exam.zip", stated="T1ce")[0] == {"T1ce": "x"}


@pytest.mark.parametrize("name", ["Patient2.nii.gz", "T2_mask.nii.gz"])
def test_a_scan_that_was_received_and_tells_nothing_is_never_taken_for_flair(name):
    with raises_three_lines(ParameterError, "a scan, of", """-p 'contrast="FLAIR"'"""):
        label_contrasts({"": "x"}, name)


@given(st.sets(st.sampled_from(list(CONTRASTS)), min_size=1))
def test_the_contrast_that_shows_gliomas_best_leads(names):
    best = next(name for name in ("FLAIR", "T2w", "T1ce", "T1w") if name in names)
    assert by_conspicuity(sorted(names))[0] == best


def test_a_head_is_named_by_its_files_or_its_folder(tmp_path):
    assert head_name({"T1w": tmp_path / "sub-A7_ses-1_T1w.nii.gz"}) == "sub-A7"
    names = [head_name({"T1w": tmp_path / folder / "t1.nii.gz"}) for folder in ("Jane Doe", "John Doe", "Jane Doe")]
    assert names[0] == names[2] != names[1] and "oe" not in "".join(names)


@pytest.fixture(scope="module")
def outlined(tmp_path_factory):
    """A simulated head of two contrasts and what was made of it; the brain is known, to spare time."""
    folder = tmp_path_factory.mktemp("head")
    grid = {"subjects": 2, "spacing_mm": (6, 6, 6), "contrasts": ("T1ce", "T2w")}
    subject = make_phantom_cohort(folder / "cohort", **grid)["sub-001"]
    known = load_mask(next(subject.truth.glob("*T2w_desc-brain_mask.nii.gz")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            preprocessing, "strip_with_warnings", lambda image, method: SkullStripResult(known, "head", (DOUBT,))
        )
        scans = {name: str(path) for name, path in subject.images.items()}
        return replace(subject, truth=None), folder / "out", segment_head(scans, folder / "out")


def test_a_mask_on_the_grid_of_the_leading_scan_and_its_measures(outlined):
    subject, out, tumours = outlined
    mask = load_image(out / "masks" / "sub-001_label-tumour_mask.nii.gz", check_voxels=False)
    assert same_grid(mask, load_image(subject.images["T2w"]))
    (row,) = tumours.itertuples()
    assert row.participant_id == "sub-001" and row.volume_voxels == np.asarray(mask.dataobj).sum()
    assert row.volume_ml == pytest.approx(row.volume_voxels * 0.216) and "dice" not in tumours
    assert row.warnings.startswith(f"T2w: {DOUBT}")
    assert (out / "tumours.tsv").is_file()


def test_a_second_call_does_no_work_and_what_is_done_again_says_why(outlined, tmp_path, monkeypatch):
    subject, first, tumours = outlined
    out = shutil.copytree(first, tmp_path / "out", copy_function=shutil.copyfile)
    for path in out.rglob("*.*"):
        os.utime(path, ns=(1, 1))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def computed(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("epitome_kit.preprocess.pipeline.preprocess_subject", computed)
    with monkeypatch.context() as patch, collect_warnings() as remarks:
        patch.setattr("epitome_kit.tumour.outline_cohort.load_unet", computed)
        pd.testing.assert_frame_equal(segment_head(subject.images, out), tumours)
    assert not remarks and {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (out / "masks" / "sub-001_outline.json").unlink()
    pd.testing.assert_frame_equal(segment_head(subject.images, out), tumours)
    (out / "masks" / "sub-001_outline.json").write_text("{")
    with collect_warnings() as remarks:
        segment_head(subject.images, out)
    assert remarks == ["Outlines: computed again: its record cannot be read"]
    with collect_warnings() as remarks, pytest.raises(ZeroDivisionError):
        segment_head({"T2w": subject.images["T2w"]}, out)
    assert len(remarks) == 1 and "preprocessing: computed again: input sub-001_" in remarks[0]


def test_it_is_preprocessed_at_the_spacing_that_the_network_knows(outlined):
    subject, out, _ = outlined
    files = Preprocessed(out / "preprocessed", "sub-001")
    for contrast in subject.images:
        assert load_image(files.scan(contrast)).header.get_zooms() == (SPACING_MM,) * 3


def test_a_scan_that_is_not_there_is_three_lines(tmp_path):
    with raises_three_lines(ImageError, "flair.nii.gz"):
        segment_head({"FLAIR": tmp_path / "flair.nii.gz"}, tmp_path / "out")
