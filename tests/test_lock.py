"""Locks: one command at a time in a folder, for every function that writes to one."""

import inspect
import os
import subprocess
import sys
import threading

import pytest
from tiny import ROOT, raises_three_lines

import epitome_kit
from epitome_kit.classroom.handouts import write_notebooks
from epitome_kit.classroom.marking import mark_folder
from epitome_kit.errors import EpitomeWarning, OutputError
from epitome_kit.files import read_json, whole_file
from epitome_kit.lock import LOCK, OWNER, file_lock, folder_lock, locks
from epitome_kit.preprocess.ablation import leave_out_each_step
from epitome_kit.report.epitomes_page import extract_cohort
from epitome_kit.report.quality_page import write_quality_page
from epitome_kit.report.run_page import write_report
from epitome_kit.run.sweep import sweep_notebooks
from epitome_kit.simulate import phantom

HOLD = "import sys, time; from epitome_kit.lock import {0}\n"
HOLD += "with {0}(sys.argv[1], 'extract'): print('held', flush=True); time.sleep({1})"


@pytest.fixture
def hold():
    """Let another process hold a lock, for a time in seconds."""
    started = []

    def start(path, seconds=600, kind="folder_lock"):
        command = [sys.executable, "-c", HOLD.format(kind, seconds), str(path)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1].pid

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _writers():
    """Functions that write to a folder, and the name of its parameter."""
    public = [getattr(epitome_kit, name) for name in epitome_kit.__all__ if name != "__version__"]
    inner = [extract_cohort, leave_out_each_step, mark_folder, sweep_notebooks]
    inner += [write_notebooks, write_quality_page, write_report]
    for function in (*public, *inner):
        for name in ("out", "workspace"):
            if name in inspect.signature(function).parameters:
                yield pytest.param(function, name, id=function.__name__)


def test_every_function_that_writes_a_folder_respects_its_lock(hold, tmp_path, monkeypatch):
    monkeypatch.setattr("epitome_kit.lock._RETRY_S", 0)
    pid = hold(tmp_path / "out")
    for case in _writers():
        function, name = case.values
        given = {
            each.name: None for each in inspect.signature(function).parameters.values() if each.default is each.empty
        }
        given = {**given, "notebooks": ["01"]} if function.__name__ == "run_notebooks" else given
        with raises_three_lines(OutputError, f"`extract` of process {pid}", tmp_path / "out"):
            function(**{**given, name: tmp_path / "out"})
    assert len(list(_writers())) > 18


def test_the_built_in_cohort_is_waited_for(hold, tmp_path, monkeypatch):
    monkeypatch.setattr(phantom, "make_phantom_cohort", lambda path, **options: read_json(path / OWNER)["pid"])
    hold(tmp_path / "phantom_smoke_n2_seed0", seconds=1)
    with pytest.warns(EpitomeWarning, match="waiting for `extract`"):
        assert epitome_kit.load_cohort("phantom", folder=tmp_path, profile="smoke", subjects=2) == os.getpid()


def test_the_same_process_may_lock_again_and_leaves_nothing(tmp_path):
    with folder_lock(tmp_path / "out", "run"), folder_lock(tmp_path / "out", "report"):
        assert read_json(tmp_path / "out" / OWNER)["verb"] == "run"
        with folder_lock(tmp_path / "out" / "preprocessed", "preprocess"):
            (tmp_path / "out" / "preprocessed" / "a.txt").touch()
        thread = threading.Thread(target=lambda: folder_lock(tmp_path / "out", "case").__enter__())
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name not in (LOCK, OWNER)] == ["preprocessed"]
    assert [path.name for path in (tmp_path / "out" / "preprocessed").iterdir()] == ["a.txt"]


def test_a_process_started_inside_a_lock_may_write_there(tmp_path):
    code = HOLD.format("folder_lock", 0)
    with folder_lock(tmp_path / "out", "run"):
        for folder in (tmp_path / "out", tmp_path / "out" / "preprocessed"):
            command = [sys.executable, "-c", code, str(folder)]
            assert subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode == 0
        assert read_json(tmp_path / "out" / OWNER)["pid"] == os.getpid()


def test_a_folder_below_that_of_another_process_is_its_own_and_one_next_to_it_is_free(hold, tmp_path):
    pid = hold(tmp_path / "run")
    with (
        raises_three_lines(OutputError, f"process {pid}"),
        folder_lock(tmp_path / "run" / "preprocessed", "preprocess"),
    ):
        pass
    for free in (tmp_path / "other", tmp_path / "run2"):
        with folder_lock(free, "run"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["run"], "a folder that stayed empty is removed"


def test_another_name_of_the_same_folder_is_locked_too(hold, tmp_path):
    hold(tmp_path / "run")
    (tmp_path / "latest").symlink_to("run")
    with raises_three_lines(OutputError, tmp_path / "latest"), folder_lock(tmp_path / "latest", "report"):
        pass


def test_a_lock_clears_what_a_killed_command_left_there(tmp_path):
    code = "import os, sys; from epitome_kit.files import whole_file; from epitome_kit.lock import folder_lock\n"
    code += "with folder_lock(sys.argv[1], 'run'), whole_file(sys.argv[1] + '/a/b.txt'): os.kill(os.getpid(), 9)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment).returncode == -9
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3
    with pytest.warns(EpitomeWarning, match="taking over .* from `run` of process"), folder_lock(tmp_path, "report"):
        pass
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_file_of_a_command_is_locked_and_others_of_its_folder_are_free(hold, tmp_path):
    hold(tmp_path / "mask.nii", kind="file_lock")
    with raises_three_lines(OutputError, tmp_path / "mask.nii"), file_lock(tmp_path / "mask.nii", "strip"):
        pass
    with file_lock(tmp_path / "other.nii", "strip"), whole_file(tmp_path / "other.nii") as path:
        path.touch()


def test_many_processes_share_one_folder_one_at_a_time(tmp_path):
    code = "import os, sys, time; from epitome_kit.lock import folder_lock\nfor _ in range(10):\n"
    code += " with folder_lock(sys.argv[1], 'run', wait_s=60):\n"
    code += "  path = sys.argv[1] + '/inside'; os.close(os.open(path, os.O_CREAT | os.O_EXCL)); os.remove(path)"
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in started] == [("", 0)] * 3


def test_a_decorated_function_keeps_its_name_and_takes_its_folder_by_position(tmp_path):
    @locks("run")
    def write(first, out, *, more=1):
        """Write."""
        return first, read_json(out / OWNER)["verb"], more

    assert (write.__name__, write.__doc__) == ("write", "Write.")
    assert write(1, tmp_path, more=2) == (1, "run", 2)
    with pytest.raises(TypeError, match="out"):
        write(1)
    assert list(tmp_path.iterdir()) == []
