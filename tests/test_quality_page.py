"""Pictures and page for quality control: outlines, letters and mm, the outliers first, nothing from the network."""

import os
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from ellipsoids import words
from PIL import Image

from epitome_kit.cohort import open_cohort
from epitome_kit.files import read_json, read_tsv, write_json, write_tsv
from epitome_kit.images import load_image, mark_voxel_size_unknown, save_image
from epitome_kit.plotting.quality import describe_picture, quality_picture
from epitome_kit.plotting.style import MASK_ROLES, MaskStyle
from epitome_kit.preprocess.pipeline import Preprocessed, preprocess_cohort
from epitome_kit.report.quality_page import LIMIT, MIN_SUBJECTS, robust_deviations, write_quality_page


class Page(HTMLParser):
    """What a test asks of the page."""

    def __init__(self, path):
        super().__init__()
        self.pictures, self.links, self.order, self.words = [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [value for name, value in attrs.items() if name in ("href", "src")]
        self.pictures += [attrs["alt"]] if tag == "img" else []
        self.order += [attrs["id"]] if tag == "li" and "id" in attrs else []

    def handle_data(self, data):
        self.words += data.split()

    @property
    def text(self):
        return " ".join(self.words)


@pytest.fixture(scope="module")
def made(phantom, preprocessed, tmp_path_factory):
    """A copy of the derivative in which one brain is far too small, and its page."""
    out = tmp_path_factory.mktemp("quality") / "out"
    shutil.copytree(preprocessed, out)
    quality = read_tsv(out / "quality.tsv")
    quality.loc[quality.participant_id == "sub-005", "brain_volume_ml"] = 300.0
    quality["warnings"] = np.where(quality.participant_id == "sub-007", "The brain <ends> in a straight cut.", None)
    quality.loc[quality.participant_id == "sub-008", "taken_as"] = "stripped before"
    write_tsv(out / "quality.tsv", quality)
    write_tsv(out / "excluded.tsv", pd.DataFrame({"id": ["sub-099"], "reason": ["expected a <3-D> image"]}))
    return out, Page(write_quality_page(phantom, out))


@pytest.fixture(scope="module")
def picture(phantom, preprocessed):
    return quality_picture(phantom["sub-001"], Preprocessed(preprocessed, "sub-001"))


def test_a_picture_shows_three_planes_before_and_after_of_every_contrast(picture):
    titles = [axes.get_title() for axes in picture.axes]
    assert [title.partition(",")[0] for title in titles] == 3 * ["T2w before"] + 3 * ["T2w after"] + 3 * ["T1ce after"]
    assert [re.search("[xyz] = -?[0-9]+ mm", title).group()[0] for title in titles] == 3 * ["z", "y", "x"]
    text = words(picture)
    assert [text.count(letter) for letter in "RLAPSI"] == [6] * 6
    assert {"brain", "template's brain"} <= set(text)
    assert sum(word.endswith(" mm") and word[0].isdigit() for word in text) == 3, "a scale bar in each row"


def test_the_outline_of_the_brain_is_on_every_panel_and_the_template_only_after(picture):
    outlines = [len([contour for contour in axes.collections if contour.get_paths()]) for axes in picture.axes]
    assert outlines == 3 * [1] + 6 * [2]


def test_where_the_size_is_unknown_no_millimetre_is_told_of_the_scan(phantom, preprocessed, tmp_path):
    subject, files = phantom["sub-001"], Preprocessed(tmp_path, "sub-001")
    shutil.copytree(preprocessed / "sub-001", tmp_path / "sub-001")
    for source, target in (
        (subject.images["T2w"], tmp_path / "scan.nii.gz"),
        (files.mask("desc-brain", space="T2w"), files.mask("desc-brain", space="T2w")),
    ):
        save_image(mark_voxel_size_unknown(load_image(source)), target)
    lost = replace(subject, images={"T2w": tmp_path / "scan.nii.gz"})
    figure = quality_picture(lost, files)
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == 6 and ["mm" in title for title in titles] == 3 * [False] + 3 * [True]
    assert "voxel size unknown" in figure.get_suptitle()
    assert not [word for word in words(figure) if word.endswith(" mm") and word[0].isdigit()][1:]


def test_a_head_that_was_not_stripped_is_called_a_head(phantom, tmp_path):
    one = replace(phantom, subjects={"sub-002": phantom["sub-002"]})
    preprocess_cohort(one, tmp_path, spacing_mm=8.0, steps=())
    assert "head" in words(quality_picture(one["sub-002"], Preprocessed(tmp_path, "sub-002")))


def test_the_page_has_every_picture_in_itself_with_its_description(phantom, made):
    out, page = made
    assert sorted(page.pictures) == sorted(describe_picture(subject) for subject in phantom)
    with Image.open(Preprocessed(out, "sub-001").picture) as image:
        assert image.info["Description"] == describe_picture(phantom["sub-001"])
    outside = [link for link in page.links if not link.startswith(("#", "data:image/"))]
    assert outside == [] and not re.search("https?://(?!www.w3.org/)", (out / "qc.html").read_text(encoding="utf-8"))


def test_a_warning_comes_first_then_the_outlier_and_the_page_says_by_which_rule(phantom, made):
    _, page = made
    assert page.order[:2] == ["sub-007", "sub-005"] and sorted(page.order) == list(phantom.subjects)
    assert "Warning: The brain <ends> in a straight cut." in page.text and "1 with a warning" in page.text
    assert page.text.count("already skull-stripped") == 1
    assert "brain volume 300 mL:" in page.text and "deviations away" in page.text
    assert f"more than {LIMIT} deviations away is" in page.text
    assert "expected a <3-D> image" in page.text
    assert "method network" in page.text and "iterations [40, 40, 40]" in page.text


@pytest.mark.slow
def test_a_picture_is_drawn_again_only_where_the_subject_was_done_again(phantom, made):
    out, _ = made
    files = [Preprocessed(out, subject.id) for subject in phantom]
    before = [each.picture.stat().st_mtime_ns for each in files]
    for path in (files[2].record, files[2].picture):
        os.utime(path, ns=(1, 1))
    before[2] = 1
    write_json(files[3].record, {**read_json(files[3].record), "done": "again"})
    files[4].picture.unlink()
    os.utime(files[5].record)
    write_quality_page(phantom, out)
    drawn = [now.picture.stat().st_mtime_ns != then for now, then in zip(files, before, strict=True)]
    assert drawn == [number in (3, 4) for number in range(8)]


@pytest.mark.slow
def test_every_picture_is_drawn_again_when_the_style_has_changed(phantom, made, tmp_path, monkeypatch):
    out = tmp_path / "kept"
    shutil.copytree(made[0], out)
    paths = [Preprocessed(out, subject.id).picture for subject in phantom]
    before = [path.read_bytes() for path in paths]
    monkeypatch.setitem(MASK_ROLES, "template", MaskStyle("#0072B2"))
    write_quality_page(phantom, out)
    assert all(path.read_bytes() != old for path, old in zip(paths, before, strict=True))


def test_few_subjects_make_no_outlier(phantom, made, tmp_path):
    out = tmp_path / "few"
    shutil.copytree(made[0], out)
    quality = read_tsv(out / "quality.tsv")
    alike = {"brain_mask_dice": 0.97, "template_dice": 0.95, "bias_field_sd": 0.1, "bias_residual_sd": 0.03}
    table = quality.iloc[2:5].assign(**alike, registration_error_mm=1.0).drop(columns=["taken_as", "warnings"])
    write_tsv(out / "quality.tsv", table)  # as an earlier version wrote it
    page = Page(write_quality_page(open_cohort(phantom.root), out))
    assert len(page.order) == 3 and page.order[0] == "sub-005" and f"at least {MIN_SUBJECTS} are needed" in page.text
    assert "deviations away" not in page.text.replace("deviations away is", "")


def test_deviations_are_robust_and_count_on_the_bad_side_only():
    volume = [1000.0, 1100, 1200, 1300, 5000]
    dice = [0.80, 0.94, 0.95, 0.96, 0.999]
    table = pd.DataFrame({"brain_volume_ml": volume, "template_dice": dice, "bias_field_sd": np.nan, "other": 1.0})
    found = robust_deviations(table)
    assert list(found) == ["brain_volume_ml", "template_dice"]
    assert found.brain_volume_ml.tolist() == pytest.approx(np.array([200, 100, 0, 100, 3800]) / 148.26)
    assert found.template_dice.tolist() == pytest.approx(np.array([0.15, 0.01, 0, 0, 0]) / 0.019, rel=1e-6)


def test_a_figure_that_hardly_varies_makes_no_outlier():
    table = pd.DataFrame({"brain_volume_ml": [1500.0, 1500, 1500, 1500, 1510], "template_dice": None})
    assert robust_deviations(table).max(axis=None) < 1
