"""A machine that fails: no room, no right to write, two runs at once, a clock that goes back."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from tiny import raises_three_lines

from epitome_kit.errors import EpitomeWarning, OutputError
from epitome_kit.files import read_json
from epitome_kit.lock import folder_lock

HOLD = "import sys, time; from pathlib import Path; from epitome_kit.lock import folder_lock\n"
HOLD += "with folder_lock(Path(sys.argv[1]), 'run'): print('held', flush=True); time.sleep(600)"


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
    refused = raises_three_lines(OutputError, f"`run` of process {holder.pid} on ", since, "--out")
    with refused, folder_lock(tmp_path / "run", "preprocess"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    taken_over = pytest.warns(EpitomeWarning, match=f"process {holder.pid}")
    with taken_over, folder_lock(tmp_path / "run", "preprocess"):
        assert read_json(tmp_path / "run" / ".owner.json")["pid"] == os.getpid()
    assert not (tmp_path / "run" / ".owner.json").exists()


def test_a_file_that_finds_no_room_is_three_lines_and_leaves_nothing_half(tmp_path):
    code = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); from epitome_kit.errors import EpitomeError\n"
    code += "from epitome_kit.files import write_text\ntry: write_text(sys.argv[1], 'x' * 9999)\n"
    code += "except EpitomeError as error: print(error)"
    (tmp_path / "a.txt").write_text("old")
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.txt")], capture_output=True, text=True)
    expected, received, hint = ended.stdout.splitlines()
    assert "room for the whole file" in expected and "a.txt" in received and "continue" in hint, ended.stderr
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


@pytest.mark.slow
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_disk_that_cannot_be_written_is_three_lines(how, small_disk, phantom):
    from epitome_kit.preprocess.pipeline import preprocess_cohort

    if how == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with raises_three_lines(OutputError, small_disk):
        preprocess_cohort(phantom, small_disk / "out", steps=("normalise",), spacing_mm=4)
    assert not list(small_disk.rglob(".partial-*"))
