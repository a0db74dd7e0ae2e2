"""Extraction: one call makes the crops, the epitomes, the table and the page, and makes nothing twice."""

import sys
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from made_derivative import make_derivative
from test_epitomes_by_subject import make_masks

from epitome_kit.epitome.by_class import GradeEpitomeSettings, learn_grade_epitomes
from epitome_kit.epitome.by_subject import EpitomeSettings, learn_epitomes
from epitome_kit.files import read_json, read_tsv
from epitome_kit.images import load_image, new_image_like, save_image
from epitome_kit.plotting.style import MASK_ROLES, MaskStyle
from epitome_kit.report import epitomes_page as extraction
from epitome_kit.report.epitomes_page import PICTURES, extract_cohort, picture_path


class Page(HTMLParser):
    """Alternative texts, outside links and words of a page."""

    def __init__(self, path):
        super().__init__()
        self.pictures, self.links, self.words = [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.pictures += [attrs["alt"]] if tag == "img" else []
        self.links += [attrs[name] for name in ("href", "src") if name in attrs]

    def handle_data(self, data):
        self.words += data.split()


def smaller(function, **options):
    """The same function, quicker."""
    return lambda *args, **given: function(*args, **{**given, **options})


def draw_nothing(item, **places):
    """Stand in for the pictures of a subject."""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    own = smaller(learn_epitomes, settings=EpitomeSettings(shape=5, iterations=2, fewest=10))
    monkeypatch.setattr(extraction, "learn_epitomes", own)
    settings = GradeEpitomeSettings(shape=5, patch=3, iterations=2, most=20, repeats=1)
    small = smaller(learn_grade_epitomes, settings=settings)
    monkeypatch.setattr(extraction, "learn_grade_epitomes", small)


@pytest.fixture
def ready(tmp_path):
    """Cohort of five, and a workspace with derivative and masks; one tumour is far too small."""
    cohort, folder = make_derivative(tmp_path, subjects=5)
    out = tmp_path / "out"
    make_masks(cohort, out)
    folder.rename(out / "preprocessed")
    (out / "preprocessed" / "quality.tsv").write_text("participant_id\n")
    path = out / "masks" / "sub-04_label-tumour_mask.nii.gz"
    mask = load_image(path, check_voxels=False)
    middle = np.argwhere(mask.dataobj)[0]
    tiny = np.zeros(mask.shape, np.uint8)
    tiny[tuple(middle)] = 1
    save_image(new_image_like(tiny, mask), path)
    return cohort, out


@pytest.mark.slow
def test_table_pictures_and_page_of_a_cohort(ready):
    cohort, out = ready
    table, scores = extract_cohort(cohort, out, folds=2)
    assert list(table.columns) == [
        *("participant_id", "grade", "n_patches", "mse_epitome", "mse_kmeans", "mse_random", "log_likelihood_ratio"),
        *("mse_epitome_grade", "mse_kmeans_grade", "mse_random_grade", "note"),
    ]
    written = read_tsv(out / "epitomes.tsv")
    assert list(written.participant_id) == list(cohort.subjects) and list(written.columns) == list(table.columns)
    assert written.n_patches.tolist()[-1] == 1 and "at least 10 patches" in written.note.iloc[-1]
    assert written.mse_epitome.notna().sum() == 4 and written.log_likelihood_ratio.notna().all()
    assert scores["subjects"]["n"] == 4 and scores["classes"]["n"] == 5
    assert scores["subjects"]["mse"]["epitome"] == pytest.approx(written.mse_epitome.mean(), abs=1e-5)
    assert read_json(out / "epitomes.json")["classes"]["auc"] == scores["classes"]["auc"]
    for kind in PICTURES:
        assert picture_path(out, "sub-01", kind).is_file()
        assert picture_path(out, "sub-04", kind).is_file() == (kind == "sheet"), "the region is shown all the same"
    page = Page(out / "epitomes.html")
    assert len(page.pictures) == 4 * 3 + 1 + 4, "of subjects, and of the cohort"
    outside = [link for link in page.links if not link.startswith(("#", "data:image/", "https://doi.org/"))]
    assert not outside
    text = " ".join(page.words)
    assert "No learned epitome: expected a tumour with at least 10 patches in each half" in text
    assert "chance 0.50" in text and "n = 5" in text and "k-means" in text


@pytest.mark.slow
def test_what_is_finished_is_not_made_again_but_drawn_again_in_another_style(ready, monkeypatch):
    cohort, out = ready
    first, scores = extract_cohort(cohort, out, folds=2)
    paths = sorted((out / "epitomes").glob("sub-*/*_desc-epitome*")) + [
        *(picture_path(out, name, "sheet") for name in cohort.subjects)
    ]
    before = [path.stat().st_ctime_ns for path in paths]
    picture_path(out, "sub-02", "sheet").unlink()
    again, same = extract_cohort(cohort, out, folds=2)
    assert same == scores and again.equals(first)
    changed = [path.name for path, then in zip(paths, before, strict=True) if path.stat().st_ctime_ns != then]
    assert changed == ["sub-02_sheet.png"]
    before = [path.stat().st_ctime_ns for path in paths]
    monkeypatch.setitem(MASK_ROLES, "tumour", MaskStyle("#0072B2"))
    extract_cohort(cohort, out, folds=2)
    changed = [path.name for path, then in zip(paths, before, strict=True) if path.stat().st_ctime_ns != then]
    assert changed == [picture_path(out, name, "sheet").name for name in cohort.subjects]


@pytest.mark.parametrize("annotated", [True, False])
def test_what_is_missing_is_made_first(ready, monkeypatch, annotated):
    cohort, out = ready
    if not annotated:
        bare = {name: replace(subject, annotation=None) for name, subject in cohort.subjects.items()}
        cohort = replace(cohort, subjects=bare)
    monkeypatch.setattr(extraction, "_draw_subject", draw_nothing)
    (out / "preprocessed" / "quality.tsv").unlink()
    kept = {path.name: path.read_bytes() for path in (out / "masks").iterdir()}
    for path in (out / "masks").iterdir():
        path.unlink()
    calls = []

    def segment(called, out, *how):
        calls.append((called, *how))
        for name, data in kept.items():
            (out / "masks" / name).write_bytes(data)

    def preprocess_cohort(cohort, out, *, workers):
        calls.append(("preprocess", workers))

    stand_ins = SimpleNamespace(
        segment_cohort=lambda cohort, preprocessed, out, *, folds, seed, workers: segment("trained", out, folds, seed),
        predict_tumours=lambda cohort, preprocessed, out, *, workers: segment("shipped", out),
    )
    monkeypatch.setitem(sys.modules, "epitome_kit.tumour.segment", stand_ins)
    monkeypatch.setattr(extraction, "preprocess_cohort", preprocess_cohort)
    extract_cohort(cohort, out, folds=2, seed=3)
    assert calls == [("preprocess", 1), ("trained", 2, 3) if annotated else ("shipped",)]


def test_classes_that_cannot_be_compared_are_named(ready, monkeypatch):
    cohort, out = ready
    monkeypatch.setattr(extraction, "_draw_subject", draw_nothing)
    table, scores = extract_cohort(cohort, out, target="codeletion")
    assert "both classes of codeletion" in scores["classes"]["reason"]
    assert "log_likelihood_ratio" not in table and table.mse_epitome.notna().sum() == 4
    assert "No epitomes by codeletion" in " ".join(Page(out / "epitomes.html").words)
