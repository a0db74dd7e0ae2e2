"""The latest run: which runs the link leads to, and whose networks grade one scan."""

import json
import os

import pytest
from made_model import make_model
from made_notebook import write_notebook
from tiny import raises_three_lines

from epitome_kit.case import server as app
from epitome_kit.cli.printing import show_report
from epitome_kit.errors import NotebookError, ParameterError
from epitome_kit.files import write_json
from epitome_kit.grade.single_case import find_trained_run, grading_files
from epitome_kit.report.run_page import write_report
from epitome_kit.run.notebooks import plan_run, run_notebooks
from epitome_kit.workspace import latest_run

COHORT = 'cohort = "phantom"\nout = "x"\nprofile = "smoke"'
ONE_SCAN = 'scan = ""\nout = "x"\nprofile = "smoke"'
FOUND = {
    "size": {"volume_ml": 38.24, "volume_low_ml": 30.0, "volume_high_ml": 47.1, "volume_voxels": 4780.0},
    "grade": {"probability": 0.613, "names": ["grade 2", "grade 3"]},
}


@pytest.fixture
def make(tmp_path):
    """Return a function that writes a notebook, by its parameters and one cell."""

    def write(name, declared=COHORT, cell="1"):
        return write_notebook(tmp_path / f"{name}.ipynb", declared, cell)

    return write


@pytest.mark.slow
def test_latest_is_the_last_run_of_a_cohort_that_went_through(make, tmp_path):
    runs = tmp_path / "runs"
    assert latest_run(runs) is None
    run_notebooks([make("first")], out=runs / "one")
    assert os.readlink(runs / "latest") == "one" and latest_run(runs) == runs / "one"
    with pytest.raises(NotebookError):
        run_notebooks([make("fails", cell="1 / 0")], out=runs / "two")
    run_notebooks([make("scan", ONE_SCAN)], out=runs / "three")
    run_notebooks([make("first")], out=runs / "marked", latest=False)
    assert latest_run(runs) == runs / "one"
    run_notebooks([make("first")], out=runs / "four")
    assert latest_run(runs) == runs / "four"


def test_a_folder_called_latest_is_left_alone(make, tmp_path):
    mine = tmp_path / "runs" / "latest"
    mine.mkdir(parents=True)
    run_notebooks([make("first")], out=tmp_path / "runs" / "one")
    assert mine.is_dir() and not mine.is_symlink()


def test_where_links_are_not_allowed_a_file_says_which_run_it_is(make, tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.symlink_to", lambda *_, **__: (_ for _ in ()).throw(OSError("not allowed")))
    run_notebooks([make("first")], out=tmp_path / "runs" / "one")
    assert (tmp_path / "runs" / "latest.txt").read_text(encoding="utf-8") == "one\n"
    assert latest_run(tmp_path / "runs") == tmp_path / "runs" / "one"


@pytest.mark.slow
def test_one_scan_is_graded_by_its_workspace_or_else_by_the_latest_run(make, tmp_path):
    runs = tmp_path / "runs"
    assert find_trained_run(runs / "mine") is None
    graded = make_model(runs / "graded")
    assert find_trained_run(runs / "mine") is None, "a run is not the latest for lying there"
    run_notebooks([make("first")], out=graded)
    assert find_trained_run(runs / "mine") == graded
    make_model(runs / "mine")
    assert find_trained_run(runs / "mine") == runs / "mine"


@pytest.mark.slow
def test_a_new_scan_or_a_new_network_is_looked_at_again(make, tmp_path):
    scan, runs = tmp_path / "scan.nii", tmp_path / "runs"
    scan.write_bytes(b"one")
    notebook, told = make("scan", ONE_SCAN, "print(scan)"), {"out": runs / "mine", "parameters": {"scan": str(scan)}}

    def status():
        return run_notebooks([notebook], **told)[0]["status"]

    assert [status(), status()] == ["done", "kept"]
    scan.write_bytes(b"two")
    assert [status(), status()] == ["done", "kept"]
    graded = make_model(runs / "graded")
    run_notebooks([make("first")], out=graded)
    assert [status(), status()] == ["done", "kept"]
    grading_files(graded)[0].write_text("another\n", encoding="utf-8")
    assert [status(), status()] == ["done", "kept"]


def test_a_scan_is_found_from_where_its_name_was_typed_or_refused_before_anything_runs(make, tmp_path, monkeypatch):
    (tmp_path / "scan.nii").write_bytes(b"one")
    monkeypatch.chdir(tmp_path)
    plan = {"notebooks": [make("scan", ONE_SCAN)], "out": tmp_path / "runs" / "mine"}
    fitted = plan_run(**plan, parameters={"scan": "scan.nii"})[1]
    assert fitted["scan"]["scan"] == str(tmp_path / "scan.nii")
    assert plan_run(**plan)[1]["scan"]["scan"] == ""
    with raises_three_lines(ParameterError, "nothere.nii, not a file"):
        plan_run(**plan, parameters={"scan": "nothere.nii"})


def test_the_page_of_one_scan_shows_what_was_found_and_no_dashes(make, tmp_path, capsys):
    workspace = tmp_path / "runs" / "mine"
    run_notebooks([make("06_case_report", ONE_SCAN)], out=workspace)
    write_json(workspace / "case" / "case.json", FOUND)
    (workspace / "case" / "case.html").write_text("the sheet", encoding="utf-8")
    page = write_report(workspace)
    text = page.read_text(encoding="utf-8")
    for words in ("38.2 mL", "90 % interval 30.0 to 47.1 mL", "One scan: grade 3", "61 %", "case/case.html"):
        assert words in text, words
    for words in ("Phantom", "not run", "Reporting", "Excluded", "AUC", 'class="value">–'):
        assert words not in text, words
    show_report(page, as_json=False)
    told = capsys.readouterr().out
    assert str(workspace / "case" / "case.html") in told and "step" not in told
    assert "38.2 mL, 90 % interval 30.0 to 47.1 mL" in told


def test_one_scan_of_unknown_voxel_size_is_given_in_voxels_with_their_interval(make, tmp_path, capsys):
    workspace = tmp_path / "runs" / "mine"
    run_notebooks([make("06_case_report", ONE_SCAN)], out=workspace)
    volumes = {"volume_voxels": 4780.0, "volume_low_voxels": 3750.0, "volume_high_voxels": 5887.5}
    write_json(workspace / "case" / "case.json", {"size": {**dict.fromkeys(FOUND["size"]), **volumes}})
    page = write_report(workspace)
    assert "90 % interval 3750 to 5888 voxels" in page.read_text(encoding="utf-8")
    show_report(page, as_json=True)
    told = capsys.readouterr()
    assert "4780 voxels, 90 % interval 3750 to 5888 voxels" in told.err and "mL" not in told.err
    assert json.loads(told.out)["case"]["volume_high_voxels"] == 5887.5


def test_nothing_is_said_of_a_scan_in_which_nothing_was_outlined(make, tmp_path, capsys):
    workspace = tmp_path / "runs" / "mine"
    run_notebooks([make("06_case_report", ONE_SCAN)], out=workspace)
    write_json(workspace / "case" / "case.json", {"size": None})
    show_report(write_report(workspace), as_json=False)
    assert "interval" not in capsys.readouterr().out


@pytest.mark.parametrize(("graded", "said"), [(True, "Grading by"), (False, "No grading")])
def test_the_case_page_says_first_who_grades(graded, said, tmp_path, monkeypatch):
    workspace = make_model(tmp_path / "made") if graded else tmp_path
    told = []
    monkeypatch.setattr(app, "interrupt_when_told_to_end", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        app.serve_case_page(port=0, workspace=workspace, echo=told.append)
    assert told[0].startswith(said) and str(workspace) in told[0]


def test_the_case_page_refuses_a_workspace_that_is_not_there(tmp_path):
    with raises_three_lines(ParameterError, "nothere, not a folder"):
        app.serve_case_page(port=0, workspace=tmp_path / "nothere")
