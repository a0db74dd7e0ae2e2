"""One case: from scans to a sheet that says how far to believe it, and a page that says what is wrong in words."""

import gzip
import io
import os
import shutil
import zipfile
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from made_dicom import T1, T2, series, write_series
from made_model import make_model
from tiny import head, raises_three_lines

from epitome_kit.case import report as case_module
from epitome_kit.case.choices import OWN
from epitome_kit.case.page import CasePage
from epitome_kit.case.report import case_html, case_report
from epitome_kit.case.steps import STEPS
from epitome_kit.errors import CohortError, ParameterError, collect_warnings
from epitome_kit.files import read_json, read_tsv, write_tsv
from epitome_kit.grade.single_case import calibrate_probability, grade_head
from epitome_kit.images import load_image, load_mask, mark_voxel_size_unknown, new_image_like, save_image
from epitome_kit.preprocess import subject as preprocessing
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.preprocess.skull_stripping import SkullStripResult
from epitome_kit.simulate.phantom import make_phantom_cohort
from epitome_kit.tumour.segment import read_card

SCRIPT = "<script>alert(1)</script>"
NOW = datetime.now(UTC)
DOUBT = "The brain ends in a straight cut."
"""What the strip of this head warned of."""


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    """A simulated head of two contrasts, whose headers name a person and hold a script."""
    folder = tmp_path_factory.mktemp("head")
    made = make_phantom_cohort(folder / "cohort", subjects=2, spacing_mm=(6, 6, 6))["sub-001"]
    images = {}
    for name, path in made.images.items():
        scan = load_image(path)
        scan.header["descrip"], scan.header["intent_name"] = SCRIPT.encode(), b"Doe^Jane"
        images[name] = folder / f"DOE_JANE_{name}.nii"
        save_image(scan, images[name])
    return replace(made, images=images)


@pytest.fixture(scope="module")
def known_brain(subject):
    """Spare the network that strips the skull: the brain of a simulated head is known."""
    brain = load_mask(next(subject.truth.glob("*T2w_desc-brain_mask.nii.gz")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            preprocessing,
            "strip_with_warnings",
            lambda image, method: SkullStripResult(new_image_like(np.asarray(brain.dataobj), image), "head", (DOUBT,)),
        )
        yield


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("runs") / "made")


@pytest.fixture(scope="module")
def report(subject, known_brain, workspace, tmp_path_factory):
    told = []
    made = case_report(
        subject.images,
        tmp_path_factory.mktemp("out") / "case",
        workspace=workspace,
        evidence={"T2w": "file name says T2"},
        progress=told.append,
    )
    assert told == list(STEPS)
    return made


@pytest.mark.slow
def test_a_finished_sheet_is_kept_and_another_scan_or_network_makes_it_again(
    subject, report, workspace, tmp_path, monkeypatch
):
    how = {"workspace": workspace, "evidence": {"T2w": "file name says T2"}}
    copy = shutil.copytree(report.folder, tmp_path / "case", copy_function=shutil.copyfile)
    for path in copy.rglob("*.*"):
        os.utime(path, ns=(1, 1))
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}

    def computed(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(case_module, "prepare_head", computed)
    with collect_warnings() as remarks:
        kept = case_report(subject.images, copy, **how)
    assert not remarks and {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
    assert case_html(kept) == case_html(report) and list(kept.pictures) == list(report.pictures)
    for changed, words in [
        ({"evidence": {}}, "evidence.T2w was file name says T2"),
        ({"workspace": None}, "input ann.keras is gone"),
    ]:
        shutil.rmtree(copy)
        shutil.copytree(report.folder, copy)
        with collect_warnings() as remarks, pytest.raises(ZeroDivisionError):
            case_report(subject.images, copy, **{**how, **changed})
        assert len(remarks) == 1 and remarks[0].startswith("case_report: computed again: ")
        assert words in remarks[0] or "model" in remarks[0]


def test_it_says_its_limits_and_every_number_has_a_unit(report):
    sheet = report.sheet.read_text(encoding="utf-8")
    size = report.facts["size"]
    assert "For teaching and research, not for diagnosis" in sheet
    assert f"{size['volume_ml']:.1f} <small>mL</small>" in sheet
    assert f"90 % interval {size['volume_low_ml']:.1f} to {size['volume_high_ml']:.1f} mL" in sheet
    assert size["volume_low_ml"] < size["volume_ml"] < size["volume_high_ml"]
    assert f"{size['measured']['rano_long_mm']:.0f} mm" in sheet
    assert f"trained on {read_card()['trained_on']}" in sheet
    for words in ("van den Bent 2011", "RANO 2.0", "several targets", "Cysts, necrosis", "Enhancing disease"):
        assert words in sheet, words
    assert f"T2w: {DOUBT}" in report.facts["notes"] and f"T2w: {DOUBT}" in sheet
    assert 'src="http' not in sheet and 'href="http' not in sheet
    assert sheet.count("<img") == len(report.pictures) == 5 and "alt=" in sheet
    assert read_json(report.folder / "case.json")["size"]["volume_voxels"] == size["volume_voxels"]


def test_the_sheet_says_how_each_contrast_is_known(report):
    scans = read_json(report.folder / "case.json")["scans"]
    assert {name: each["evidence"] for name, each in scans.items()} == {
        name: "file name says T2" if name == "T2w" else "as stated" for name in report.scans
    }
    assert "<td>file name says T2</td>" in report.sheet.read_text(encoding="utf-8")


def test_the_outline_lies_on_the_scan_that_leads(report):
    assert report.main_contrast == "T2w"
    scan, mask = load_image(report.scans["T2w"]), load_mask(report.tumour, like=load_image(report.scans["T2w"]))
    voxel_ml = abs(np.linalg.det(scan.affine[:3, :3])) / 1000
    assert report.facts["size"]["volume_ml"] == pytest.approx(np.sum(mask.dataobj) * voxel_ml)


def test_nothing_of_the_headers_nor_of_the_names_is_written(report):
    for path in (each for each in report.folder.rglob("*") if each.is_file()):
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        assert not [word for word in (b"<script", b"Doe^Jane", b"DOE_JANE") if word in data], path.name
        assert "DOE" not in path.name


def test_a_grade_stands_beside_the_model_that_gave_it(report):
    grade, sheet = report.facts["grade"], report.sheet.read_text(encoding="utf-8")
    assert 0 < grade["probability"] < 1 and grade["trained_on"] == 24
    assert grade["missing"] == [] and not grade["unusual"]
    for words in (
        f"{100 * grade['probability']:.0f} % grade 3",
        "AUC 0.81 (95 % interval 0.68 to 0.92), n = 46",
        "predicting the majority class: 65 %",
        "phantom score",
        "was trained on 24 of them",
        f"Of the 10 test subjects with the most similar probability, {grade['near_positive']} were",
    ):
        assert words in sheet, words


@pytest.mark.parametrize(("answer", "positive"), [(0.95, 10), (0.05, 0)])
def test_an_answer_is_worth_what_similar_ones_were(answer, positive):
    told = np.linspace(0.02, 0.98, 40)
    predictions = pd.DataFrame({"repeat": 1, "probability": told, "label": (told > 0.5).astype(int)})
    probability, near = calibrate_probability(predictions, answer)
    assert near == {"near": 10, "near_positive": positive}
    assert abs(probability - positive / 10) < 0.1


def test_a_head_out_of_range_and_a_missing_contrast_are_said(report, workspace, tmp_path):
    narrow = tmp_path / "narrow"
    shutil.copytree(workspace, narrow)
    for name in ("features.tsv", "handcrafted.tsv"):
        table = read_tsv(narrow / name)
        table.iloc[:, 4:] *= 1e-9
        write_tsv(narrow / name, table)
    files = Preprocessed(report.folder / "preprocessed", "sub-case")
    derivative = shutil.copytree(files.folder, tmp_path / "derivative")
    files = Preprocessed(derivative, files.id)
    files.scan("T1ce").unlink()
    files.record.unlink()
    grade = grade_head(files, narrow)
    assert grade["missing"] == ["T1ce"] and grade["unusual"]
    assert grade["outside"] > 0.5 * grade["features"] > grade["outside_usual"]
    page = case_html(replace(report, facts={**report.facts, "grade": {**report.facts["grade"], **grade}}))
    assert "T1ce is missing and replaced by the average" in page and "Unusual:" in page
    assert page.count("Do not rely on the number") == 2


def test_a_run_with_features_of_an_earlier_version_is_three_lines(report, workspace, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(workspace, old)
    table = read_tsv(old / "handcrafted.tsv").rename(columns={"shape_volume": "shape_volume_ml"})
    write_tsv(old / "handcrafted.tsv", table)
    with raises_three_lines(CohortError, "shape_volume_ml", "epitome run 03 04"):
        grade_head(Preprocessed(report.folder / "preprocessed", "sub-case"), old)


def test_a_workspace_that_graded_nothing_is_three_lines(report, tmp_path):
    with raises_three_lines(CohortError, "ann.keras", "`make run`"):
        grade_head(Preprocessed(report.folder / "preprocessed", "sub-case"), tmp_path)


@pytest.mark.slow
def test_a_head_without_a_tumour_a_unit_or_a_model_says_so(subject, known_brain, tmp_path, monkeypatch):
    def nothing(subjects, preprocessed, out):
        scan = load_image(subjects[0].images["T2w"])
        save_image(new_image_like(np.zeros(scan.shape, np.uint8), scan), case_module.mask_path(out, subjects[0].id))
        return pd.DataFrame([{"volume_voxels": 0}])

    monkeypatch.setattr(case_module, "predict_tumours", nothing)
    unknown = tmp_path / "t2.nii"
    save_image(mark_voxel_size_unknown(load_image(subject.images["T2w"])), unknown)
    report = case_report({"T2w": unknown}, tmp_path / "out")
    sheet = report.sheet.read_text(encoding="utf-8")
    assert report.facts["size"] is None and report.facts["ungraded"] == "no tumour was found"
    assert "No tumour was found." in sheet
    assert "voxel size of a scan is unknown" in sheet
    assert " mL<" not in sheet and " mm<" not in sheet


def test_a_contrast_that_nobody_knows_is_three_lines(tmp_path):
    for images in ({"DWI": "x.nii"}, {}):
        with raises_three_lines(ParameterError, "T1w, T1ce, T2w, FLAIR"):
            case_report(images, tmp_path)


@pytest.fixture
def page(tmp_path, workspace):
    made = CasePage(workspace, tmp_path / "cohorts", folder=tmp_path / "visitor", upload_mb=1)
    made.choice.value = OWN
    return made


def send(page, **files):
    page.upload.value = [
        {"name": name, "type": "", "size": len(data), "content": memoryview(data), "last_modified": NOW}
        for name, data in files.items()
    ]


def test_the_page_waits_until_every_scan_is_named(page):
    assert page.start.disabled
    send(page, **{"flair.nii.gz": gzip.compress(head(1).to_bytes()), "x.nii": head(2).to_bytes()})
    first, second = page.contrasts.children
    assert first.value == "FLAIR" and second.value is None and page.start.disabled
    second.value = "T2w"
    assert not page.start.disabled and page.upload.value == ()


@pytest.mark.parametrize(
    ("name", "contrast"),
    [("patient2_t1.nii", "T1w"), ("T1_postop_KM.nii", "T1ce"), ("T1_w_wo.nii", None), ("T2_seg.nii", None)],
)
def test_the_page_proposes_what_a_name_tells_and_nothing_where_it_tells_none(page, name, contrast):
    send(page, **{name: head(1).to_bytes()})
    (menu,) = page.contrasts.children
    assert menu.value == contrast and page.start.disabled == (contrast is None)


def test_the_page_hands_on_how_each_contrast_is_known(page, report, monkeypatch):
    told = {}
    send(page, **{"ax_flair.nii": head(1).to_bytes(), "x.nii": head(2).to_bytes()})
    page.contrasts.children[1].value = "T2w"
    monkeypatch.setattr(case_module, "case_report", lambda *args, **how: told.update(how["evidence"]) or report)
    page.start.click()
    assert told == {"FLAIR": "file name says FLAIR", "T2w": "as stated"}


def test_a_series_that_cannot_be_told_is_asked_about_and_can_be_left_out(page, report, monkeypatch, tmp_path):
    unsure = {"SeriesDescription": "AX T1 W AND WO"}
    write_series(tmp_path / "exam", series(number=1, **T2) + series(number=7, **unsure, **T1))
    stream, told = io.BytesIO(), {}
    with zipfile.ZipFile(stream, "w") as archive:
        for path in (tmp_path / "exam").iterdir():
            archive.write(path, path.name)
    send(page, **{"exam.zip": stream.getvalue()})
    known, asked = page.contrasts.children
    assert known.value == "T2w" and asked.value is None and "series 7" in asked.description and page.start.disabled
    asked.value = "other"
    monkeypatch.setattr(case_module, "case_report", lambda images, *rest, **how: told.update(images) or report)
    page.start.click()
    assert list(told) == ["T2w"]
    known.value = "other"
    page.start.click()
    assert "at least one scan" in page.message.value


def test_the_page_says_what_was_wrong_with_a_file_and_escapes_its_name(page):
    send(page, **{"<script>alert(1).nii.gz": b"\x89PNG" + bytes(600)})
    assert "a PNG picture" in page.message.value
    assert "<script" not in page.message.value and "&lt;script&gt;" in page.message.value
    assert page.start.disabled and page.contrasts.children == ()


def test_nothing_is_kept_of_an_upload_that_is_refused(page):
    send(page, **{"flair.nii": head(1).to_bytes(), "b.nii": b"\x89PNG" + bytes(600)})
    assert "a PNG picture" in page.message.value and not [*page._folder.rglob("*.nii")]


def test_the_page_takes_no_more_than_it_says(page):
    send(page, **{"big.nii": bytes(1_100_000)})
    assert "at most 1 MB" in page.message.value and "1.1 MB" in page.message.value


def test_two_scans_of_one_contrast_are_refused(page):
    send(page, **{"flair.nii": head(1).to_bytes(), "b_flair.nii": head(2).to_bytes()})
    page.start.click()
    assert "select the contrast" in page.message.value


def test_what_goes_wrong_inside_stays_inside(page, monkeypatch, capfd):
    send(page, **{"flair.nii": head(1).to_bytes()})
    monkeypatch.setattr(case_module, "case_report", lambda *args, **how: 1 / 0)
    page.start.click()
    assert "Internal error" in page.message.value
    assert "Zero" not in page.message.value and "/" not in page.message.value.replace("</p>", "")
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert page.findings.children == () and not page.start.disabled


def test_the_page_shows_what_was_found_and_hands_over_the_sheet(page, report, monkeypatch):
    send(page, **{"flair.nii": head(1).to_bytes()})
    monkeypatch.setattr(case_module, "case_report", lambda *args, **how: report)
    page.start.click()
    keep, findings, _, viewer = page.findings.children
    assert "download='epitome_case.html' href='data:text/html;base64," in keep.value
    assert "90 % interval" in findings.value and set(viewer.ticks) == {"brain", "tumour"}
