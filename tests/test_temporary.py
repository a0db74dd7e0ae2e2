"""Temporary files: what an ended process left is removed, and nothing of anybody else."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from epitome_kit import temporary
from epitome_kit.files import whole_file, write_text
from epitome_kit.temporary import clear_temporary, owned_name, remove_abandoned, temporary_folder

DEAD = 4194305
"""No process has this number: it is above the largest that Linux gives."""


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    code = "import os; from pathlib import Path; from epitome_kit.files import whole_file\n"
    code += f"with whole_file(Path({str(tmp_path)!r}, 'sub', 'a.txt')): os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    (left,) = (tmp_path / "sub").iterdir()
    write_text(tmp_path / "sub" / "whole.txt", "whole")
    with whole_file(tmp_path / "mine.txt") as unfinished:
        theirs = Path(str(unfinished).replace(str(os.getpid()), str(os.getppid())))
        theirs.write_text("another process is at it")
        number, machine, moment, name = unfinished.name.removeprefix(".partial-").split("-")
        elsewhere = unfinished.with_name(f".partial-4194304-othermachine-{moment}-abc.txt")
        elsewhere.write_text("its process cannot be seen from here")
        remove_abandoned(tmp_path)
        assert unfinished.is_file() and theirs.is_file() and elsewhere.is_file() and not left.exists()
        older = [path.rename(path.with_name(path.name.replace(moment, "1"))) for path in (theirs, elsewhere)]
        for path in tmp_path.iterdir():
            os.utime(path, (0, 0))
        remove_abandoned(tmp_path)
        assert not older[0].exists(), "older than the process that has its number now"
        assert not older[1].exists(), "nobody writes for a day"
        assert unfinished.is_file(), "whatever time a copy gave it"
    assert (tmp_path / "mine.txt").is_file() and (tmp_path / "sub" / "whole.txt").is_file()


def test_there_need_not_be_a_folder_to_remove_from(tmp_path):
    remove_abandoned(tmp_path / "none")


def _of(pid, name):
    """Name as another process of this machine would give it."""
    return name.replace(f"-{os.getpid()}-", f"-{pid}-")


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Folder for temporary files, and one in place of shared memory."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(temporary, "shared_memory", lambda: tmp_path / "shm")
    for name in ("tmp", "shm"):
        (tmp_path / name).mkdir()
    temporary._mark.cache_clear()
    yield tmp_path / "tmp", tmp_path / "shm"
    temporary._mark.cache_clear()


def test_a_temporary_folder_is_private_and_goes_with_the_context(places):
    with temporary_folder() as folder:
        (folder / "scan.nii").touch()
        assert folder.parent == places[0] and folder.stat().st_mode & 0o077 == 0
    assert not list(places[0].iterdir())


def test_the_next_folder_removes_that_of_a_killed_process(places, tmp_path):
    for parent, prefix in ((None, "epitome-"), (tmp_path, ".partial-")):
        left = Path(parent or places[0], f"{_of(DEAD, owned_name(prefix))}abc")
        left.mkdir()
        (left / "scan.nii").touch()
        with temporary_folder(parent):
            assert not left.exists()


def test_shared_memory_of_the_dead_is_removed_and_that_of_others_is_kept(places):
    tmp, shm = places
    (shm / f"{_of(DEAD, owned_name('epitome-'))}x").mkdir()
    gone = [shm / f"sem.loky-{DEAD}-abc", shm / f"joblib_memmapping_folder_{DEAD}_1_2"]
    alive = psutil.Process().ppid()
    kept = [
        shm / f"sem.loky-{DEAD + 1}-abc",
        shm / f"sem.loky-{alive}-abc",
        shm / f"sem.mp-{DEAD}",
        tmp / "epitome-mine",
    ]
    kept += [shm / f"{_of(alive, owned_name('epitome-'))}x", shm / f"{owned_name('epitome-')}x"]
    older = shm / f"sem.loky-{DEAD}-older"  # made before the process of the kit had this number
    for path in (*gone, *kept, older):
        path.mkdir() if "folder" in path.name or "epitome" in path.name else path.touch()
    os.utime(older, (time.time() - 3600,) * 2)
    clear_temporary()
    assert not [path for path in gone if path.exists()]
    assert not [path for path in (*kept, older) if not path.exists()]


def test_a_process_that_ended_without_being_waited_for_has_ended(places):
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    left = places[0] / f"{_of(process.pid, owned_name('epitome-'))}x"
    left.mkdir()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    clear_temporary()
    assert not left.exists()
    process.wait()


def test_without_a_place_for_temporary_files_nothing_is_cleared(monkeypatch):
    def fail():
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr("tempfile.gettempdir", fail)
    clear_temporary()


def test_files_of_another_user_are_kept(places, monkeypatch):
    left = places[0] / f"{_of(DEAD, owned_name('epitome-'))}x"
    left.mkdir()
    monkeypatch.setattr(temporary, "belongs_to_user", lambda path: False)
    clear_temporary()
    assert left.exists()


def test_a_process_marks_its_shared_memory_once_and_clears_it_when_it_ends(places):
    code = "import sys, tempfile; from pathlib import Path; from epitome_kit import temporary\n"
    code += "temporary.shared_memory = lambda: Path(sys.argv[1])\n"
    code += "temporary.mark_shared_memory(); temporary.mark_shared_memory()\n"
    code += "print(len(list(Path(sys.argv[1]).iterdir())))"
    ended = subprocess.run([sys.executable, "-c", code, str(places[1])], capture_output=True, text=True, check=True)
    assert ended.stdout == "1\n" and not list(places[1].iterdir())
