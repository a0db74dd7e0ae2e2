"""Files of a run that were changed since they were written are found, made again, and set aside."""

import contextlib
import json

import nbformat
import pytest
from made_notebook import write_notebook
from tiny import raises_three_lines, write_cohort
from typer.testing import CliRunner

from epitome_kit.cli import app
from epitome_kit.errors import EpitomeWarning, OutputError, ParameterError, collect_warnings
from epitome_kit.files import read_tsv, write_text
from epitome_kit.manifest import Manifest, verify_products
from epitome_kit.report.run_page import write_report
from epitome_kit.run import notebooks as runner
from epitome_kit.run.notebooks import run_notebooks
from epitome_kit.workspace import Workspace

DECLARED = 'cohort = "phantom"\nout = "x"\nprofile = "quick"\n'
FIRST = """
from pathlib import Path
Path("features.tsv").write_text("a\\tb\\n1\\t2\\n")
Path("figures").mkdir(exist_ok=True)
Path("figures/01.txt").write_text("drawn")
"""
SECOND = """
from pathlib import Path
Path("handcrafted.tsv").write_text(Path("features.tsv").read_text())
"""


def _execute(source, target, parameters, *, cwd, record, on_cell):
    """Execute the code of a notebook in this process, in place of a kernel."""
    notebook = nbformat.read(source, as_version=4)
    with contextlib.chdir(cwd):
        exec(notebook.cells[-1].source, {})
    record = {**record, "seconds": 0.1, "tree_peak_rss_mb": 1.0, "peak_rss_mb": 1.0}
    notebook.metadata["epitome_kit"] = record
    nbformat.write(notebook, target)
    return record


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs two made-up notebooks, the second of which reads a file of the first."""
    monkeypatch.setattr(runner, "execute_notebook", _execute)
    write_cohort(tmp_path / "tiny")
    paths = [tmp_path / "01_first.ipynb", tmp_path / "02_second.ipynb"]
    for path, code in zip(paths, (FIRST, SECOND), strict=True):
        write_notebook(path, DECLARED, code)

    def again(*chosen):
        notebooks = [paths[number] for number in chosen] or paths
        results = run_notebooks(notebooks, out=tmp_path / "run", cohort=tmp_path / "tiny", profile="smoke")
        return [each["status"] for each in results]

    again()
    again.folder = tmp_path / "run"
    return again


def test_a_run_is_kept_and_its_files_have_a_writer(run):
    assert run() == ["kept", "kept"]
    files = Manifest.read(run.folder).files
    assert {name: about["by"] for name, about in files.items() if "/" not in name} == {
        **{"features.tsv": "01_first", "handcrafted.tsv": "02_second"},
        **dict.fromkeys(["parameters.json", "provenance.json", "log.jsonl"], "run"),
    }
    assert files["figures/01.txt"]["by"] == files["notebooks/01_first.ipynb"]["by"] == "01_first"
    assert (verify_products(run.folder).state == "as written").all()


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("features.tsv", ["done", "kept"]),
        ("figures/01.txt", ["done", "kept"]),
        ("handcrafted.tsv", ["kept", "done"]),
        ("notebooks/02_second.ipynb", ["kept", "done"]),
        ("manifest.json", ["done", "done"]),
    ],
)
@pytest.mark.parametrize("damage", ["cut", "changed", "removed"])
def test_what_was_changed_is_made_again_by_its_notebook_alone(run, name, statuses, damage):
    path = run.folder / name
    before = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(before[: len(before) // 2] if damage == "cut" else before.replace(b'"', b"'") + b"1")
    verified = verify_products(run.folder).query("file == @name") if path.name != "manifest.json" else None
    if verified is not None:
        assert verified.state.tolist() == ["is missing" if damage == "removed" else "was changed"]
    with collect_warnings() as remarks:
        assert run() == statuses
    assert any(path.stem in remark or "not recorded" in remark for remark in remarks)
    if not name.startswith(("notebooks", "manifest")):
        assert path.read_bytes() == before
        kept = path.parent / "changed" / path.name
        assert kept.is_file() == (damage != "removed")
    assert run() == ["kept", "kept"] and (verify_products(run.folder).state == "as written").all()


def test_a_notebook_is_run_again_when_what_it_started_from_differs(run):
    path = run.folder.parent / "01_first.ipynb"
    write_text(path, path.read_text().replace("1\\\\t2", "3\\\\t4"))
    with collect_warnings() as remarks:
        assert run() == ["done", "done"]
    assert any("features.tsv, which it started from, differs now" in remark for remark in remarks)
    assert "3\t4" in (run.folder / "handcrafted.tsv").read_text(encoding="utf-8")


def test_a_changed_figure_is_refused_by_the_report_and_named_with_the_step_that_makes_it(run):
    write_report(run.folder)
    write_text(run.folder / "handcrafted.tsv", "a\n0.99\n")
    with raises_three_lines(OutputError, "handcrafted.tsv was changed", "02_second"):
        write_report(run.folder)
    answer = CliRunner().invoke(app, ["verify", str(run.folder)])
    assert answer.exit_code == 1 and "handcrafted.tsv" in answer.output and "02_second" in answer.output
    run()
    write_report(run.folder)
    assert CliRunner().invoke(app, ["verify", str(run.folder)]).exit_code == 0


@pytest.mark.parametrize("content", ["", "\0\0\0", '{"a": '])
def test_changed_files_of_the_run_itself_are_named_and_written_again(run, content):
    write_report(run.folder)
    names = ["parameters.json", "provenance.json", "log.jsonl", "summary.json", "index.html"]
    for name in names:
        write_text(run.folder / name, content)
    with collect_warnings() as remarks:
        assert run() == ["kept", "kept"]
    assert all(any(name in remark for remark in remarks) for name in names)
    write_report(run.folder)
    assert (verify_products(run.folder).state == "as written").all()


def test_an_interrupted_notebook_keeps_its_parts_and_is_not_refused(run):
    manifest = Manifest.read(run.folder)
    manifest.begin("02_second")
    write_text(run.folder / "handcrafted.tsv", "a part")
    assert run(0) == ["kept"]
    assert run() == ["kept", "done"] and not (run.folder / "changed").exists()


def test_an_interrupted_run_is_not_taken_for_a_changed_one(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    (run.folder / "handcrafted.tsv").unlink()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runner, "execute_notebook", interrupted)
        run()
    with collect_warnings() as remarks:
        assert run() == ["kept", "done"]
    assert not any("since the last run" in remark for remark in remarks)


def test_files_of_others_are_left_alone(run):
    write_text(run.folder / "notes.txt", "mine")
    assert run() == ["kept", "kept"]
    write_text(run.folder / "notes.txt", "changed")
    assert run() == ["kept", "kept"] and "notes.txt" not in Manifest.read(run.folder).files


def test_what_an_author_edited_is_kept_and_said(run):
    card = Workspace(run.folder).reporting / "claim.md"
    write_report(run.folder)
    write_text(card, card.read_text(encoding="utf-8") + "\nMy words.\n")
    for _ in range(2):
        with pytest.warns(EpitomeWarning, match=r"claim\.md was edited and is kept"):
            write_report(run.folder)
    assert card.read_text(encoding="utf-8").endswith("My words.\n")
    card.unlink()
    write_report(run.folder)
    assert "My words" not in card.read_text(encoding="utf-8")


def test_a_folder_without_records_cannot_be_verified(tmp_path):
    with raises_three_lines(ParameterError, "without records"):
        verify_products(tmp_path)


def test_json_lists_every_file(run):
    answer = CliRunner().invoke(app, ["verify", str(run.folder), "--json"])
    assert {row["file"] for row in json.loads(answer.stdout)} >= {"features.tsv", "handcrafted.tsv"}
    assert read_tsv(run.folder / "features.tsv").shape == (1, 2)
