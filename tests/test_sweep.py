"""Sweeps on small made-up notebooks: every setting a run, what is finished kept, what fails named."""

import inspect
import json
import os
import textwrap

import pytest
from made_notebook import write_notebook
from PIL import Image
from tiny import raises_three_lines, write_cohort
from typer.testing import CliRunner

from epitome_kit.cli import app
from epitome_kit.cli.runs import sweep
from epitome_kit.errors import CohortError, ParameterError
from epitome_kit.files import read_json, read_tsv, write_json, write_text
from epitome_kit.run import sweep as module
from epitome_kit.run.sweep import read_grid, sweep_notebooks

NOTEBOOK = """
import json, pathlib
assert not pathlib.Path(out, "../fail_" + target).exists(), "told to fail"
pathlib.Path("scores.json").write_text(json.dumps({"auc": 0.5 + seed / 10, "auc_ci95": [0.4, 0.9], "n": 12}))
pathlib.Path("preprocessed").mkdir(exist_ok=True)
with open("../executed.txt", "a") as log:
    log.write(f"{seed} {target}\\n")
"""


@pytest.fixture
def grid(tmp_path):
    """Return a function that writes a grid around one made-up notebook."""
    write_cohort(tmp_path / "tiny")
    declared = (
        f'cohort = {str(tmp_path / "tiny")!r}\nout = "x"\nprofile = "smoke"\ntarget = "grade"\nseed = 0\nworkers = 2\n'
    )
    write_notebook(tmp_path / "made.ipynb", declared, NOTEBOOK)

    def write(**content):
        given = {"notebooks": [str(tmp_path / "made.ipynb")], "fixed": {"cohort": str(tmp_path / "tiny")}, **content}
        write_json(tmp_path / "grid.yaml", given)  # JSON is YAML
        return tmp_path / "grid.yaml"

    return write


def _executed(out):
    return (out / "executed.txt").read_text().splitlines()


def test_the_example_of_the_help_is_a_grid(tmp_path):
    example = inspect.getdoc(sweep).split("```yaml\n")[1].split("```")[0]
    (tmp_path / "grid.yaml").write_text(textwrap.dedent(example))
    plan = read_grid(tmp_path / "grid.yaml")
    assert plan["notebooks"] == ["02", "03", "04"] and plan["varied"] == ["seed", "target"]
    assert len(plan["runs"]) == 6
    assert plan["runs"]["seed-2_target-codeletion"] == {"profile": "smoke", "seed": 2, "target": "codeletion"}


@pytest.mark.slow
def test_a_failed_run_is_named_the_others_go_on_and_the_next_call_does_it_alone(grid, tmp_path):
    out, path = tmp_path / "out", grid(grid={"seed": [2], "target": ["codeletion", "grade"]})
    out.mkdir()
    (out / "fail_codeletion").touch()
    answer = CliRunner().invoke(app, ["sweep", str(path), "--out", str(out), "--json"])
    assert answer.exit_code == 1
    rows = read_tsv(out / "sweep.tsv").set_index("run")
    failed, done = rows.loc["seed-2_target-codeletion"], rows.loc["seed-2_target-grade"]
    assert (failed.status, done.status) == ("failed", "done")
    assert "told to fail" in failed.reason and failed[["auc", "dice"]].isna().all()
    assert (done.auc, done.auc_high, done.n_graded) == (0.7, 0.9, 12) and done.seconds > 0
    page = (out / "sweep.html").read_text(encoding="utf-8")
    assert "told to fail" in page and 'href="seed-2_target-grade/index.html"' in page
    with Image.open(out / "figures" / "sweep.png") as picture:
        assert "2 runs" in picture.info["Description"]

    (out / "fail_codeletion").unlink()
    answer = CliRunner().invoke(app, ["sweep", str(path), "--out", str(out), "--json"])
    assert answer.exit_code == 0, answer.output
    assert {row["status"] for row in json.loads(answer.stdout)} == {"done"}
    assert _executed(out) == ["2 grade", "2 codeletion"], "each once, the failed one last"


@pytest.mark.slow
def test_ctrl_c_keeps_the_finished_runs_and_their_table(grid, tmp_path, monkeypatch):
    out, path, run = tmp_path / "out", grid(runs=[{"seed": 1}, {"seed": 2}]), module.run_notebooks

    def stopped(notebooks, *, out, **options):
        if out.name == "seed-2":
            raise KeyboardInterrupt
        return run(notebooks, out=out, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "run_notebooks", stopped)
        sweep_notebooks(path, out)
    assert list(read_tsv(out / "sweep.tsv").status) == ["done", "waiting"]
    rows = sweep_notebooks(path, out, workers=1)
    assert list(rows.status) == ["done", "done"] and _executed(out) == ["1 grade", "2 grade"]
    assert read_json(out / "seed-2" / "parameters.json")["workers"] == 1


@pytest.mark.slow
def test_runs_of_the_same_scans_share_what_was_preprocessed(grid, tmp_path, monkeypatch):
    out, path, run = tmp_path / "out", grid(grid={"target": ["grade", "codeletion"]}), module.run_notebooks
    seen = {}

    def watched(notebooks, *, out, **options):
        seen[out.name] = sorted(each.name for each in out.rglob("*") if each.is_file())
        results = run(notebooks, out=out, **options)
        if not seen[out.name]:
            write_text(out / "preprocessed" / "sub-01_quality.json", "made")
        return results

    monkeypatch.setattr(module, "run_notebooks", watched)
    sweep_notebooks(path, out)
    assert seen == {"target-grade": [], "target-codeletion": ["sub-01_quality.json"]}
    assert os.stat(out / "target-grade" / "preprocessed" / "sub-01_quality.json").st_nlink == 2


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"target": "grade"}, {"target": "codeletion"}, True),
        ({"seed": 0}, {"seed": 1}, False),
        ({"seed": 0, "cohort": "a"}, {"seed": 1, "cohort": "a"}, True),
        ({"cohort": "a"}, {"cohort": "b"}, False),
        ({"profile": "smoke"}, {}, False),
    ],
)
def test_which_runs_have_the_same_scans(one, other, same):
    assert module._same_scans(one, other) == same


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("grid: {seed: [0, 1]}\nruns: []", "grid, runs"),
        ("fixed: {seed: 0}", "fixed"),
        ("grid: {seed: 3}", "lists of values"),
        ("grid: {seed: []}", "lists of values"),
        ("runs: []", "at least one setting"),
        ("runs: [{seed: 1}, {seed: 1}]", "twice"),
        ("runs: [1]", "`runs`"),
        ("- a", "list"),
        ("grid: {seed: [0", "readable"),
        ("notebooks: 4\ngrid: {seed: [1]}", "as a list"),
    ],
)
def test_a_grid_that_is_none_is_three_lines(text, words, tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    with raises_three_lines(ParameterError, words, path):
        read_grid(path)


def test_names_stay_short_and_apart(tmp_path):
    (tmp_path / "grid.yaml").write_text(f"runs: [{{cohort: a/x}}, {{cohort: b/x}}, {{name: {'y' * 300}}}]")
    names = list(read_grid(tmp_path / "grid.yaml")["runs"])
    assert len(set(names)) == 3 and max(map(len, names)) < 100 and names[0].startswith("cohort-x_")


@pytest.mark.parametrize(
    ("varied", "error", "words"),
    [
        ({"sead": [1]}, ParameterError, "`sead`"),
        ({"seed": [1, "two"]}, ParameterError, "'two'"),
        ({"cohort": ["no/such"]}, CohortError, "does not exist"),
    ],
)
def test_what_no_notebook_knows_is_refused_before_anything_runs(varied, error, words, grid, tmp_path):
    with raises_three_lines(error, words):
        sweep_notebooks(grid(grid=varied), tmp_path / "out")
    assert not (tmp_path / "out").exists()
