"""A run done again: the same figures from the same seed, and whatever differs found by name."""

import nbformat
import pytest
from made_notebook import write_notebook
from nbformat.v4 import new_code_cell, new_notebook
from tiny import raises_three_lines, write_cohort
from typer.testing import CliRunner

from epitome_kit.cli import app
from epitome_kit.errors import ParameterError
from epitome_kit.files import read_json, read_tsv, text_digest, write_json
from epitome_kit.report.run_page import write_report
from epitome_kit.run.notebooks import run_notebooks
from epitome_kit.run.rerun import compare_runs, rerun_notebooks

SCORED = """
import json, pathlib
bonus = float(pathlib.Path(cohort, "bonus").read_text())
scores = {"auc": share + bonus, "auc_ci95": [0.4, 0.9], "n": 12, "class_counts": {"2": 6, "3": 6}}
pathlib.Path("scores.json").write_text(json.dumps(scores))
"""


@pytest.fixture
def run(tmp_path):
    """Workspace of one made-up notebook, which looks at a file that nothing keeps."""
    write_cohort(tmp_path / "tiny")
    (tmp_path / "tiny" / "bonus").write_text("0.25")
    declared = 'cohort = "phantom"\nout = "x"\nprofile = "quick"\nshare = 0.0\nworkers = 2\n'
    write_notebook(tmp_path / "made.ipynb", declared, SCORED)
    out = tmp_path / "runs" / "first"
    options = {"cohort": tmp_path / "tiny", "profile": "smoke", "parameters": {"share": 0.5}}
    run_notebooks([tmp_path / "made.ipynb"], out=out, **options)
    write_report(out)
    return out


@pytest.mark.slow
def test_a_run_is_done_again_from_what_it_says_of_itself_and_a_changed_figure_is_named(run, tmp_path):
    answer = CliRunner().invoke(app, ["rerun", str(run.parent / "latest"), "--workers", "1"])
    assert answer.exit_code == 0, answer.output
    again = run.parent / "first_rerun"
    assert read_json(again / "scores.json")["auc"] == 0.75
    stated = read_json(again / "parameters.json")
    assert (stated["share"], stated["profile"], stated["cohort"]) == (0.5, "smoke", str(tmp_path / "tiny"))
    compared = read_tsv(again / "rerun.tsv")
    assert list(compared[~compared.same].name) == ["workers"]
    assert set(compared.part) == {"parameters", "versions", "machine", "notebooks", "inputs", "figures"}

    (tmp_path / "tiny" / "bonus").write_text("0.3")
    write_json(run / "provenance.json", {**read_json(run / "provenance.json"), "versions": {"numpy": "1.0"}})
    answer = CliRunner().invoke(app, ["rerun", str(run), "--out", str(tmp_path / "third")])
    assert answer.exit_code == 1
    differ = read_tsv(tmp_path / "third" / "rerun.tsv").query("not same").set_index("name")
    assert differ.before["grading.auc"] == "0.75" and differ.after["grading.auc"] == "0.8"
    assert differ.before["numpy"] == "1.0" and differ.part["numpy"] == "versions"
    assert set(differ.part) == {"figures", "versions"}


def test_another_notebook_and_other_scans_are_told_by_their_checksums(run, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for workspace, made in ((one, "a1"), (other, "b2")):
        write_json(workspace / "parameters.json", {"cohort": str(tmp_path / "tiny")})
        record = workspace / "preprocessed" / "sub-01" / "anat" / "sub-01_quality.json"
        write_json(record, {"settings": {"spacing_mm": 3.0}, "inputs": {"sub-01_FLAIR.nii.gz": made}})
        cell = new_code_cell("1", execution_count=1)
        notebook = new_notebook(cells=[cell], metadata={"epitome_kit": {"inputs": {"notebook": made}}})
        (workspace / "notebooks").mkdir()
        nbformat.write(notebook, workspace / "notebooks" / "made.ipynb")
    differ = compare_runs(one, other).query("not same")
    assert differ[["part", "name", "before", "after"]].values.tolist() == [
        ["notebooks", "made", "a1", "b2"],
        ["inputs", "sub-01", *(text_digest(f"[('sub-01_FLAIR.nii.gz', '{made}')]") for made in ("a1", "b2"))],
    ]


def test_what_was_found_in_one_scan_is_compared_where_both_runs_looked_at_it(tmp_path):
    for name, volume_ml in (("one", 38.0), ("same", 38.0), ("other", 40.0), ("without", None)):
        write_json(tmp_path / name / "parameters.json", {"profile": "smoke"})
        if volume_ml:
            write_json(tmp_path / name / "case" / "case.json", {"size": {"volume_ml": volume_ml}})
    for name, differing in (("same", []), ("other", ["case.volume_ml"]), ("without", [])):
        compared = compare_runs(tmp_path / "one", tmp_path / name)
        assert list(compared.query("part == 'figures' and not same").name) == differing


@pytest.mark.parametrize(
    ("folder", "options", "words"),
    [
        ("nowhere", {}, "parameters.json"),
        ("first", {"out": "first"}, "the run itself"),
        ("first", {"notebooks": ["05"]}, "executed notebooks"),
    ],
)
def test_what_cannot_be_done_again_is_three_lines(folder, options, words, run):
    if "out" in options:
        options = {"out": run}
    with raises_three_lines(ParameterError, words):
        rerun_notebooks(run.parent / folder, **options)


@pytest.mark.soak
def test_the_built_in_cohort_gives_the_same_figures_again_with_one_worker_in_place_of_two(smoke_run, tmp_path):
    compared = rerun_notebooks(smoke_run, tmp_path / "again", notebooks=["04", "05"], workers=1)
    figures = compared[compared.part == "figures"]
    assert figures.same.all(), figures[~figures.same].to_string()
    assert figures.before.notna().sum() > 25, "scores, intervals, counts and quality"
    scans = compared[compared.part == "inputs"]
    assert scans.same.all() and len(scans) == 11, "ten heads, simulated again to the same bytes"
    assert list(compared[~compared.same].name) == ["workers"]
