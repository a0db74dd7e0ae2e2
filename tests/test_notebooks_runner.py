"""The runner on small made-up notebooks: every trap that papermill lets pass turns red here."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
import zmq.asyncio
from jupyter_client.session import Session
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from tiny import raises_three_lines, write_cohort

from epitome_kit.cohort import image_path
from epitome_kit.errors import CohortError, NotebookError, OutputError, ParameterError, collect_warnings
from epitome_kit.files import read_json
from epitome_kit.run.execute import ShellChannel, peak_memory
from epitome_kit.run.notebooks import find_notebooks, run_notebooks
from epitome_kit.run.parameters import declared_parameters, fit_parameters
from epitome_kit.workspace import RECORD, executed_notebooks

DECLARED = 'cohort = "phantom"  # a path, too\nout = "x"\nprofile = "quick"\nn = 3\nshare = 0.5\nname = "a"\n'


@pytest.fixture
def make(tmp_path):
    """Return a function that writes a notebook out of code cells, with parameters unless told otherwise."""

    def write(name, *cells, declared=DECLARED):
        first = [new_code_cell(declared, metadata={"tags": ["parameters"]})] if declared is not None else []
        cells = [cell if isinstance(cell, dict) else new_code_cell(cell) for cell in cells]
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(new_notebook(cells=[new_markdown_cell("# Title"), *first, *cells]), path)
        return path

    return write


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs" / "made"


def _events(workspace):
    lines = (workspace / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [(entry["event"], entry["notebook"]) for entry in map(json.loads, lines)]


TRAPS = {
    "an error": (["1 / 0"], "code cell 3: ZeroDivisionError: division by zero"),
    "an error that the cell allows": (
        [new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]}), "2"],
        "code cell 3: ZeroDivisionError",
    ),
    "interact": (
        [
            "from ipywidgets import interact",
            "def invert(x):\n    1 / x\n\ninteract(invert, x=(0, 2)).widget.children[0].value = 0",
        ],
        "code cell 4: inside a widget, ZeroDivisionError",
    ),
    "Output": (
        ["from ipywidgets import Output\nbox = Output()\nwith box:\n    raise ValueError('hidden')", "box"],
        "code cell 4: inside a widget, ValueError: hidden",
    ),
    "Output, never shown": (
        ["from ipywidgets import Output\nbox = Output()\nwith box:\n    raise ValueError('hidden')", "2"],
        "inside a widget, ValueError: hidden",
    ),
    "a button": (
        ["from ipywidgets import Button\nbutton = Button()\nbutton.on_click(lambda _: {}['key'])\nbutton.click()"],
        "code cell 3: KeyError: 'key'",
    ),
    "sys.exit": (["import sys\nsys.exit()", "2"], "code cell 3: exited early"),
    "a skipped cell": (
        [new_code_cell("1", metadata={"tags": ["skip-execution"]}), "2"],
        "code cell 3: never executed",
    ),
    "a dead kernel": (["2", "import os\nos._exit(0)", "3"], "code cell 4: the kernel died"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_turns_red_and_the_notebook_is_kept(trap, make, out):
    cells, reason = TRAPS[trap]
    with pytest.raises(NotebookError, match="made-up to run to its end") as caught:
        run_notebooks([make("made-up", *cells)], out=out)
    assert reason in caught.value.received
    kept = out / "notebooks" / "made-up.failed.ipynb"
    assert str(kept) in caught.value.hint
    assert sorted(path.name for path in kept.parent.iterdir()) == [kept.name], "only whole files"
    marks = [cell for cell in nbformat.read(kept, 4).cells if "This notebook stopped" in cell.source]
    assert reason.split(": ", 1)[-1] in marks[0].source
    entry = json.loads((out / "log.jsonl").read_text(encoding="utf-8"))
    assert (entry["event"], entry["notebook"], entry["reason"]) == ("failed", "made-up", caught.value.received)


def test_results_are_kept_and_only_what_changed_runs_again(make, out):
    first = make("first", "from pathlib import Path", "Path('trace').write_text(f'{n} {share} {cohort} {out}')")
    second = make("second", "2")
    results = run_notebooks([first, second], out=out, parameters={"n": 4})
    assert [(result["name"], result["status"]) for result in results] == [("first", "done"), ("second", "done")]
    assert (out / "trace").read_text() == f"4 0.5 phantom {out}", "the kernel works in the workspace"
    assert results[0]["seconds"] > 0
    assert 20 < results[0]["peak_rss_mb"] <= results[0]["tree_peak_rss_mb"] < 1000
    assert os.readlink(out.parent / "latest") == "made"
    assert read_json(out / "parameters.json")["n"] == 4
    provenance = read_json(out / "provenance.json")
    assert provenance["versions"]["papermill"] and provenance["started"] <= provenance["ended"]

    make("second", "3")
    results = run_notebooks([first, second], out=out, parameters={"n": 4})
    assert [result["status"] for result in results] == ["kept", "done"]
    assert [event for event, _ in _events(out)] == ["done", "done", "kept", "done"]

    make("second", "1 / 0")
    with pytest.raises(NotebookError):
        run_notebooks([second], out=out, parameters={"n": 4})
    assert [(entry["name"], entry["status"]) for entry in executed_notebooks(out)] == [
        ("first", "done"),
        ("second", "failed"),
    ]


def test_fresh_removes_what_a_run_made_and_nothing_else(make, out):
    notebook = make("only", "1")
    run_notebooks([notebook], out=out)
    (out / "scores.json").write_text("{}")
    (out / "mine.txt").write_text("keep me")
    (result,) = run_notebooks([notebook], out=out, fresh=True)
    assert result["status"] == "done"
    assert (out / "mine.txt").exists() and not (out / "scores.json").exists()


@pytest.mark.slow
def test_figures_stay_in_the_notebook_whatever_the_environment(make, out, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells = ["import matplotlib.pyplot as plt", "plt.plot([1, 2]);", "import os\nos.environ['TF_CPP_MIN_LOG_LEVEL']"]
    run_notebooks([make("figure", *cells)], out=out)
    executed = nbformat.read(out / "notebooks" / "figure.ipynb", 4)
    assert any("image/png" in output.get("data", {}) for cell in executed.cells for output in cell.get("outputs", ()))
    assert executed.cells[-1].outputs[0].data["text/plain"] == "'2'"
    assert executed.metadata[RECORD]["settings"]["parameters"]["share"] == 0.5


@pytest.mark.slow
def test_a_workspace_belongs_to_one_cohort_and_seed(make, out):
    notebook = make("only", declared=DECLARED + "seed = 0\n")
    run_notebooks([notebook], out=out, parameters={"seed": 1})
    with pytest.raises(ParameterError, match="seed 1, the settings of") as caught:
        run_notebooks([notebook], out=out, parameters={"seed": 2})
    assert "--fresh" in caught.value.hint
    assert run_notebooks([notebook], out=out, parameters={"seed": 2}, fresh=True)[0]["status"] == "done"


@pytest.mark.slow
def test_ctrl_c_stops_the_kernel_and_keeps_what_is_done(make, out):
    child = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    notebooks = [make("quick", "1"), make("slow", child, "import time\nopen('ready', 'w').close()\ntime.sleep(600)")]
    # Started in the background, a command inherits that Ctrl-C is ignored; one in a terminal listens to it.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{listen}; from epitome_kit.cli import app; app()"
    command = [sys.executable, "-c", code, "run", *map(str, notebooks), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (out / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 2, "the kernel and the child of the kernel"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(lines := said.splitlines()) == 2 and "continue" in lines[1]
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert _events(out) == [("done", "quick"), ("interrupted", "slow")]
    assert [path.name for path in (out / "notebooks").iterdir()] == ["quick.ipynb"]


def test_a_reply_is_heard_although_a_widget_spoke_when_it_came():
    async def reply_while_a_widget_speaks():
        context, session = zmq.asyncio.Context(), Session(key=b"")
        kernel, client = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        client.connect(f"tcp://127.0.0.1:{kernel.bind_to_random_port('tcp://127.0.0.1')}")
        channel = ShellChannel(client, session)
        channel.send(session.msg("execute_request"))
        sender = (await kernel.recv_multipart())[0]
        waiting = asyncio.ensure_future(channel.get_msg())
        await asyncio.sleep(0.2)
        session.send(kernel, "execute_reply", ident=sender)
        time.sleep(0.2)  # the reply is in, the loop has not seen it yet
        channel.send(session.msg("comm_msg"))
        try:
            return await asyncio.wait_for(waiting, 10)
        finally:
            context.destroy(linger=0)

    assert asyncio.run(reply_while_a_widget_speaks())["header"]["msg_type"] == "execute_reply"


@pytest.mark.slow
def test_peak_memory_counts_a_process_and_its_children():
    child = "import time; block = b'x' * 10**8; time.sleep(1.5)"
    code = f"import subprocess, sys; block = b'x' * 10**8; subprocess.run([sys.executable, '-c', {child!r}])"
    parent = subprocess.Popen([sys.executable, "-c", code])
    with peak_memory(parent.pid, every_s=0.05) as peaks:
        parent.wait()
    assert 100 < peaks["peak_rss_mb"] < 150
    assert 200 < peaks["tree_peak_rss_mb"] < 300


def test_an_unknown_parameter_is_refused_with_the_nearest_name(make, out):
    with pytest.raises(ParameterError, match="`shrae` = 1") as caught:
        run_notebooks([make("only")], out=out, parameters={"shrae": 1})
    assert "`share`" in caught.value.hint
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "value"), [("n", "4"), ("n", 4.0), ("n", True), ("share", "x"), ("name", 4), ("name", None), ("n", [4])]
)
def test_a_value_of_another_type_is_refused(name, value):
    with pytest.raises(ParameterError, match=f"expected `{name}` of type"):
        fit_parameters({"only": {"n": 3, "share": 0.5, "name": "a"}}, {name: value})


def test_each_notebook_gets_what_it_declares():
    fitted = fit_parameters({"a": {"n": 3, "share": 0.5}, "b": {"n": 3, "flag": True}}, {"share": 1, "flag": False})
    assert fitted == {"a": {"n": 3, "share": 1.0}, "b": {"n": 3, "flag": False}}
    assert isinstance(fitted["a"]["share"], float)


@pytest.mark.parametrize("declared", [None, "n = 3\nderived = n + 1", "import os", "a = b = 1", "n = "])
def test_a_cell_without_tag_or_with_more_than_literals_is_refused(declared, make, out):
    with pytest.raises(NotebookError, match="`parameters`"):
        run_notebooks([make("only", "1", declared=declared)], out=out)
    assert not out.exists()


def test_declared_parameters_come_with_their_defaults(make):
    declared = "n = -3  # help\nitems = [1, 2]\nflag = True\nnothing = None\n"
    assert declared_parameters(make("only", declared=declared)) == {
        "n": -3,
        "items": [1, 2],
        "flag": True,
        "nothing": None,
    }


def test_who_is_left_out_stands_in_the_log(make, out):
    lines = "id\\treason\\nsub-02\\texpected a scan; received text\\n"
    cells = ["from pathlib import Path", "Path('preprocessed').mkdir()"]
    run_notebooks([make("only", *cells, f"Path('preprocessed/excluded.tsv').write_text('{lines}')")], out=out)
    first, last = map(json.loads, (out / "log.jsonl").read_text(encoding="utf-8").splitlines())
    assert first["event"] == "excluded" and first["reason"] == "sub-02: expected a scan; received text"
    assert last["event"] == "done"


@pytest.mark.slow
def test_a_copied_run_is_kept_and_what_runs_again_says_why(make, out):
    notebooks = [make("01_first", "n"), make("02_second", "share")]
    run_notebooks(notebooks, out=out)
    copy = shutil.copytree(out, out.parent / "copy", copy_function=shutil.copyfile)
    for path in copy.rglob("*.*"):
        os.utime(path, ns=(1, 1))
    with collect_warnings() as remarks:
        results = run_notebooks(notebooks, out=copy)
    assert [result["status"] for result in results] == ["kept", "kept"] and not remarks
    (out / "notebooks" / "01_first.ipynb").write_text("{")
    (out / "provenance.json").write_text("{")
    with collect_warnings() as remarks:
        results = run_notebooks(notebooks, out=out, parameters={"share": 0.25})
    assert [result["status"] for result in results] == ["done", "done"]
    why = "computed again: parameters.share was 0.5, is 0.25"
    assert remarks[0] == "provenance.json was changed since the last run"
    assert remarks[1:] == ["01_first: computed again: its record cannot be read", f"02_second: {why}"]
    last = json.loads((out / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert last["reason"] == why


def test_a_file_that_is_no_notebook_is_refused(tmp_path, out):
    (tmp_path / "broken.ipynb").write_text("no JSON")
    with pytest.raises(NotebookError, match="a notebook that can be read"):
        run_notebooks([tmp_path / "broken.ipynb"], out=out)


def test_notebooks_are_found_by_number_name_and_path(tmp_path, monkeypatch):
    for name in ("01_look", "02_think", "02_write"):
        nbformat.write(new_notebook(), tmp_path / f"{name}.ipynb")
    monkeypatch.setattr("epitome_kit.run.notebooks.notebooks_folder", lambda: tmp_path)
    assert list(find_notebooks()) == ["01_look", "02_think", "02_write"]
    assert list(find_notebooks(["02_w", "01"])) == ["02_write", "01_look"]
    assert list(find_notebooks([str(tmp_path / "02_think.ipynb")])) == ["02_think"]
    with pytest.raises(ParameterError, match="matches 2 of them"):
        find_notebooks(["02"])
    with pytest.raises(ParameterError, match="01_look, 02_think, 02_write") as caught:
        find_notebooks(["07_missing"])
    assert "`07_missing`, which matches 0" in caught.value.received


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"profile": "fast"}, ParameterError, "smoke, quick, full"),
        ({"cohort": "no/such/folder"}, CohortError, "does not exist"),
        ({"parameters": {"target": "size"}}, ParameterError, "grade, codeletion"),
        ({"parameters": {"profile": "full"}}, ParameterError, "use `--profile`"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(options, error, words, make, out):
    with pytest.raises(error, match=words):
        run_notebooks([make("only", declared=DECLARED + 'target = "grade"\n')], out=out, **options)
    assert not out.exists()


def test_an_output_that_cannot_be_written_is_refused(make, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="a writable folder"):
        run_notebooks([make("only")], out=tmp_path / "file" / "run")


@pytest.mark.slow
def test_a_scan_that_changes_under_a_run_stops_it_by_name_and_all_is_made_again(make, out, tmp_path):
    cohort = write_cohort(tmp_path / "tiny")
    scan = image_path(cohort, "sub-01", "FLAIR")
    log = "open('seen.txt', 'a').write('once ')"
    change = f"import os; os.utime({str(scan)!r}, ns=(1, 1))"
    swap = "import pathlib\nflag = pathlib.Path('swapped')\nif not flag.exists():\n    flag.touch()\n"
    swap += f"    pathlib.Path({str(scan)!r}).write_bytes(pathlib.Path({str(scan)!r}).read_bytes() + b'more')"
    notebooks = [make("01_first", log, change), make("02_second", swap), make("03_third", log)]
    with raises_three_lines(CohortError, "1 changed", "sub-01/anat/sub-01_FLAIR.nii.gz", cohort):
        run_notebooks(notebooks, out=out, cohort=cohort)
    assert (out / "seen.txt").read_text().split() == ["once"], "another time of the same bytes is no change"
    results = run_notebooks(notebooks, out=out, cohort=cohort)
    assert [result["status"] for result in results] == ["done"] * 3, "also what was finished with the old scan"
    assert [result["status"] for result in run_notebooks(notebooks, out=out, cohort=cohort)] == ["kept"] * 3
