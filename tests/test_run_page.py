"""The summary and the page of a run, on a made-up workspace whose figures are known."""

import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from made_workspace import NOTEBOOKS, SCORES, make_workspace
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from epitome_kit.errors import ParameterError
from epitome_kit.files import read_json, read_tsv, write_json, write_tsv
from epitome_kit.provenance import cohort_checksum, describe_run, git_commit
from epitome_kit.report.run_page import build_summary, write_report


class Page(HTMLParser):
    """What a test asks of a page: its links, its pictures and its words."""

    def __init__(self, path):
        super().__init__()
        self.links, self.pictures, self.words, self.style = [], [], [], False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.style = tag == "style"
        self.links += [value for name, value in attrs.items() if name in ("href", "src")]
        self.pictures += [attrs["alt"]] if tag == "img" else []

    def handle_data(self, data):
        self.words += [] if self.style else data.split()

    @property
    def text(self):
        return " ".join(self.words)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    workspace = make_workspace(tmp_path_factory.mktemp("made"), figures=True)
    return workspace, Page(write_report(workspace))


def test_the_summary_has_the_structure_that_programs_rely_on(made):
    summary = build_summary(made[0])
    assert summary == read_json(made[0] / "summary.json")
    assert set(summary) == {"cohort", "preprocess", "grading", "tumour", "case", "notebooks", "provenance"}
    assert {"name", "n_subjects", "n_excluded", "excluded", "target", "class_counts"} <= set(summary["cohort"])
    assert {"auc", "auc_ci95", "balanced_accuracy", "balanced_accuracy_ci95", "majority_accuracy"} <= set(
        summary["grading"]
    )
    assert {"accuracy", "oracle_auc", "n"} <= set(summary["grading"])
    assert set(summary["tumour"]) == {"dice_mean", "dice_median", "volume_error_pct_median", "n"}
    assert {"versions", "seed", "parameters", "git_commit"} <= set(summary["provenance"])


def test_the_summary_holds_the_figures_of_the_files(made):
    workspace, _ = made
    summary = build_summary(workspace)
    quality = pd.read_csv(workspace / "preprocessed" / "quality.tsv", sep="\t")
    tumours = pd.read_csv(workspace / "tumours.tsv", sep="\t")
    for name, value in summary["preprocess"].items():
        assert value == pytest.approx(quality[name].mean(), abs=1e-4)
    assert summary["grading"] == {name: SCORES[name] for name in summary["grading"]}
    assert summary["tumour"]["dice_mean"] == pytest.approx(tumours.dice.mean(), abs=1e-4)
    assert summary["tumour"]["dice_median"] == pytest.approx(tumours.dice.median(), abs=1e-4)
    assert summary["tumour"]["volume_error_pct_median"] == pytest.approx(
        tumours.volume_error_pct.abs().median(), abs=1e-2
    )
    assert summary["tumour"]["n"] == 46
    assert summary["cohort"]["n_subjects"] == 48
    assert summary["cohort"]["class_counts"] == {"2": 32, "3": 16}
    assert [row["id"] for row in summary["cohort"]["excluded"]] == ["not imported", "sub-047", "sub-048"]
    assert [(row["name"], row["seconds"]) for row in summary["notebooks"]] == [
        (name, 20.5 + 40 * number) for number, name in enumerate(NOTEBOOKS)
    ]
    assert summary["notebooks"][0]["tree_peak_rss_mb"] == 710


def test_the_page_shows_each_score_with_its_interval_its_n_and_its_baseline(made):
    _, page = made
    for phrase in (
        "0.81 95 % interval 0.68 to 0.92 n = 46",
        "oracle on latents (population) 0.90",
        "0.76 95 % interval 0.62 to 0.86 n = 46",
        "always the larger class 0.65",
        "grade 2 32",
        "for teaching and research, not for diagnosis",
        "Phantom scores.",
        "received every voxel equal to 0",
        "2 min 20 s",
    ):
        assert phrase in page.text


def test_the_page_says_who_has_no_label_and_what_was_compared_on_a_few_slices(tmp_path):
    workspace = make_workspace(tmp_path)
    tumours = read_tsv(workspace / "tumours.tsv").assign(reference="annotated slices")
    write_tsv(workspace / "tumours.tsv", tumours)
    people = tmp_path / "cohort" / "participants.tsv"
    write_tsv(people, read_tsv(people).assign(grade=[np.nan, *[2] * 30, *[3] * 17]))
    page = Page(write_report(workspace))
    assert f"annotated slices only: {len(tumours)}" in page.text
    assert "1 without a grade" in page.text


def test_every_link_of_the_page_leads_to_a_file_and_none_to_the_network(made):
    workspace, page = made
    links = [link for link in page.links if not link.startswith(("#", "data:image/svg"))]
    assert len(links) > 20
    assert not [link for link in links if not (workspace / link).exists()]
    assert not re.search("https?://(?!www.w3.org/)", (workspace / "index.html").read_text(encoding="utf-8"))


def test_the_page_links_the_model_card_and_the_checklists(made):
    _, page = made
    assert {"model_card.html", "model_card.md", "reporting/flow.png"} <= set(page.links)
    assert {f"reporting/{name}.html" for name in ("tripod_ai", "claim", "metrics")} <= set(page.links)
    assert "items for the author" in page.text and "TRIPOD+AI, 52 rows" in page.text


def test_pictures_carry_the_description_that_was_saved_in_them(made):
    assert len(made[1].pictures) == len([*(made[0] / "figures").iterdir(), made[0] / "reporting" / "flow.png"])
    assert any(text.startswith("Flow of subjects. Found: 49") for text in made[1].pictures)
    assert "ROC curve over 46 subjects: AUC 0.81, far above the diagonal of chance." in made[1].pictures


def test_pictures_come_in_the_order_in_which_the_notebook_names_them_whatever_their_time(tmp_path):
    workspace = make_workspace(tmp_path, figures=True)
    shutil.copy(workspace / "figures" / "01_classes.png", workspace / "figures" / "01_a_picture_of_before.png")
    notebook = next((workspace / "notebooks").glob("01_*.ipynb"))
    names = "01_montage.png 01_classes.png"
    notebook.write_text(notebook.read_text(encoding="utf-8").replace("print(1)", names), encoding="utf-8")
    for age, path in enumerate(sorted((workspace / "figures").iterdir())):
        os.utime(path, ns=(age * 10**9, age * 10**9))
    links = [link for link in Page(write_report(workspace)).links if link.startswith("figures/01_")]
    names = ["01_montage.png", "01_classes.png", "01_a_picture_of_before.png"]
    assert list(dict.fromkeys(links)) == [f"figures/{name}" for name in names]


def test_a_copied_run_is_not_converted_again(tmp_path, monkeypatch):
    workspace = make_workspace(tmp_path)
    write_report(workspace)
    copy = shutil.copytree(workspace, tmp_path / "copy", copy_function=shutil.copyfile)
    for path in copy.rglob("*.*"):
        os.utime(path, ns=(1, 1))
    monkeypatch.setattr("epitome_kit.report.run_page.HTMLExporter", lambda **_: pytest.fail("converted again"))
    write_report(copy)


@pytest.mark.slow
def test_a_notebook_that_ran_when_the_clock_had_been_set_back_is_shown_as_it_is_now(tmp_path):
    workspace = make_workspace(tmp_path)
    write_report(workspace)
    notebook = next((workspace / "notebooks").glob("01_*.ipynb"))
    notebook.write_text(notebook.read_text(encoding="utf-8").replace("# 01_", "# Anew 01_"), encoding="utf-8")
    os.utime(notebook, ns=(1, 1))
    write_report(workspace)
    assert "Anew 01_" in notebook.with_suffix(".html").read_text(encoding="utf-8")


def test_a_cohort_of_patients_is_not_called_a_phantom(tmp_path):
    workspace = make_workspace(tmp_path, simulated=False)
    page = Page(write_report(workspace))
    summary = read_json(workspace / "summary.json")
    assert summary["preprocess"] == {"brain_mask_dice": None, "bias_residual_sd": None, "registration_error_mm": None}
    assert summary["cohort"]["simulated"] is False
    assert "hantom" not in page.text
    assert "Brain mask: mean Dice." in page.text


def test_a_run_that_has_only_begun_has_a_page(tmp_path):
    write_json(tmp_path / "parameters.json", {"cohort": "phantom", "profile": "smoke", "target": "grade", "seed": 0})
    page = Page(write_report(tmp_path))
    summary = read_json(tmp_path / "summary.json")
    assert summary["cohort"]["n_subjects"] is None and summary["grading"]["auc"] is None
    assert summary["tumour"] == {"dice_mean": None, "dice_median": None, "volume_error_pct_median": None, "n": 0}
    assert page.text.count("not run") >= 5
    assert "Smoke profile." in page.text
    assert "Nothing was graded yet." in page.text
    assert not [
        link for link in page.links if link.endswith((".html", ".md", ".png")) and not (tmp_path / link).exists()
    ]


@pytest.mark.parametrize("lost", ["scores.json", "tumours.tsv", "preprocessed/quality.tsv", "provenance.json"])
def test_a_missing_file_leaves_gaps_and_never_stops_the_report(lost, tmp_path):
    workspace = make_workspace(tmp_path)
    (workspace / lost).unlink()
    assert write_report(workspace).is_file()


def test_a_cohort_with_one_class_has_no_class_counts(tmp_path):
    workspace = make_workspace(tmp_path)
    table = tmp_path / "cohort" / "participants.tsv"
    write_tsv(table, pd.read_csv(table, sep="\t").assign(grade=2))
    assert build_summary(workspace)["cohort"]["class_counts"] is None
    assert write_report(workspace).is_file()


def test_a_notebook_that_failed_is_said_so_and_can_be_read(tmp_path):
    workspace = make_workspace(tmp_path)
    folder = workspace / "notebooks"
    (folder / f"{NOTEBOOKS[4]}.ipynb").rename(folder / f"{NOTEBOOKS[4]}.failed.ipynb")
    page = Page(write_report(workspace))
    assert "Not complete. 05_extract_tumour failed" in page.text
    assert f"notebooks/{NOTEBOOKS[4]}.failed.html" in page.links
    assert not [link for link in page.links if link.startswith("notebooks/") and not (workspace / link).exists()]


def test_a_readable_notebook_needs_no_network(tmp_path):
    workspace = make_workspace(tmp_path)
    notebook = new_notebook(cells=[new_markdown_cell("$x^2$"), new_code_cell("1", execution_count=1)])
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}, "version_major": 2}}
    nbformat.write(notebook, workspace / "notebooks" / f"{NOTEBOOKS[0]}.ipynb")
    write_report(workspace)
    page = (workspace / "notebooks" / f"{NOTEBOOKS[0]}.html").read_text(encoding="utf-8")
    assert "../index.html" in page
    assert not re.search(r"(src|href)=\"https?:|import\(\"https?:|cdn", page)


def test_what_a_cohort_says_of_itself_is_shown_and_not_executed(tmp_path):
    workspace = make_workspace(tmp_path)
    description = tmp_path / "cohort" / "dataset_description.json"
    write_json(description, {**read_json(description), "Name": "<script>alert(1)</script>"})
    assert "<script>" not in write_report(workspace).read_text(encoding="utf-8")


def test_a_folder_that_is_no_workspace_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="the workspace of a run"):
        write_report(tmp_path / "nothing")


def test_provenance_names_versions_seed_and_input(tmp_path):
    (tmp_path / "participants.tsv").write_text("participant_id\nsub-1\n")
    stated = describe_run({"seed": 7, "cohort": str(tmp_path)})
    assert stated["seed"] == 7 and stated["cohort"] == str(tmp_path)
    assert stated["versions"]["nibabel"].count(".") >= 1
    first = stated["cohort_checksum"]
    (tmp_path / "participants.tsv").write_text("participant_id\nsub-2\n")
    assert first and cohort_checksum(tmp_path) != first
    assert cohort_checksum("phantom") is None


def test_the_commit_is_a_hash_or_nothing(monkeypatch, tmp_path):
    commit = git_commit()
    assert commit is None or re.fullmatch("[0-9a-f]{40}(-dirty)?", commit)
    monkeypatch.setattr("epitome_kit.provenance.epitome_kit.__file__", str(Path(tmp_path, "kit", "__init__.py")))
    assert git_commit() is None
