"""A machine that fails: no room, no right to write, two runs at once, a process that is killed at any moment."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from tiny import raises_three_lines

from epitome_kit.errors import BadOutput
from epitome_kit.files import read_json
from epitome_kit.run.owner import owned
from epitome_kit.simulate.phantom import make_phantom_cohort

HOLD = "import sys, time; from pathlib import Path; from epitome_kit.run.owner import owned\n"
HOLD += "with owned(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the workspace."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_run_is_refused_by_the_name_of_the_first_and_takes_over_when_it_dies(holder, tmp_path):
    since = read_json(tmp_path / "run" / ".owner.json")["since"]
    with raises_three_lines(BadOutput, f"process {holder.pid} on ", since, "--out"), owned(tmp_path / "run"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with owned(tmp_path / "run"):
        assert read_json(tmp_path / "run" / ".owner.json")["pid"] == os.getpid()
    assert not (tmp_path / "run" / ".owner.json").exists()


SIMULATE = "import sys; from epitome_kit.simulate.phantom import make_phantom_cohort\n"
SIMULATE += "make_phantom_cohort(sys.argv[1], subjects=3, spacing_mm=(6, 6, 6), contrasts=('T2w',))"


def _bytes(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return make_phantom_cohort(
        tmp_path_factory.mktemp("heads") / "heads", subjects=3, spacing_mm=(6, 6, 6), contrasts=("T2w",)
    ).root


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 20))]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_simulation_that_is_killed_goes_on_to_the_same_bytes(seed, undisturbed, tmp_path):
    wanted, moment = _bytes(undisturbed), 1 + seed * 7 % 20
    code = f"""
import os, pathlib, signal
replace, left = pathlib.Path.replace, [{moment}]
def replace_or_die(path, target):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(path, target)
pathlib.Path.replace = replace_or_die
"""
    out = tmp_path / "heads"
    killed = subprocess.run([sys.executable, "-c", code + SIMULATE, str(out)], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert all(wanted[path] == content for path, content in _bytes(out).items() if ".partial-" not in path.name)
    make_phantom_cohort(out, subjects=3, spacing_mm=(6, 6, 6), contrasts=("T2w",))
    found = {path: content for path, content in _bytes(out).items() if ".partial-" not in path.name}
    assert found == wanted


def test_a_file_that_finds_no_room_is_three_lines_and_leaves_nothing_half(tmp_path):
    code = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); from epitome_kit.errors import EpitomeError\n"
    code += "from epitome_kit.files import write_text\ntry: write_text(sys.argv[1], 'x' * 9999)\n"
    code += "except EpitomeError as error: print(error)"
    (tmp_path / "a.txt").write_text("old")
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.txt")], capture_output=True, text=True)
    expected, received, hint = ended.stdout.splitlines()
    assert "written whole" in expected and "a.txt" in received and "goes on" in hint, ended.stderr
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 kB that can be filled, and made read-only."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_disk_that_cannot_be_written_is_three_lines(how, small_disk, phantom):
    from epitome_kit.preprocess.pipeline import preprocess_cohort

    if how == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with raises_three_lines(BadOutput, small_disk):
        preprocess_cohort(phantom, small_disk / "out", steps=("normalise",), spacing_mm=4)
    assert not list(small_disk.rglob(".partial-*"))
