"""Processes under limits: each limit ends one that goes beyond it, with all that it has started."""

import os
import sys
import textwrap
import time

import psutil
import pytest

from epitome_kit.classroom.watched import Limits, run_watched

START = "import os, subprocess, sys, time\nfrom pathlib import Path\nPath('0').touch()\n"
LIMITS = Limits(step_s=2, start_s=30, memory_bytes=400 * 2**20, disk_bytes=20 * 2**20, processes=5)
CASES = {
    "done": ("Path('1').touch()\ntime.sleep(60)", None),
    "ends": ("sys.exit()", "ended its process"),
    "slow": ("import signal\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(60)", "longer than 2 s"),
    "memory": ("held = bytearray(1 << 29)\nfor n in range(0, 1 << 29, 4096): held[n] = 1\ntime.sleep(60)", "of memory"),
    "disk": ("open('big', 'wb').truncate(1 << 30)\ntime.sleep(60)", "wrote more than"),
    "crowd": ("for _ in range(9): subprocess.Popen(['sleep', '60'])\ntime.sleep(60)", "more than 5 processes"),
}


def _run(code, folder, limits=LIMITS):
    command = [sys.executable, "-S", "-c", START + textwrap.dedent(code)]
    done = [folder / "0", folder / "1"]
    return run_watched(command, lambda: sum(map(os.path.exists, done)), 2, limits, cwd=folder, env={}, folders=[folder])


@pytest.mark.parametrize("case", CASES)
def test_each_limit_ends_a_process(case, tmp_path):
    code, words = CASES[case]
    started = time.monotonic()
    reason = _run(code, tmp_path)
    assert reason is None if words is None else words in reason
    assert time.monotonic() < started + 20


def test_no_process_is_left_whatever_session_parent_or_environment_it_has(tmp_path):
    before = set(psutil.Process().children(recursive=True))
    _run(
        """
        for act in (lambda: None, os.setsid):
            if os.fork() == 0:
                act()
                if os.fork() == 0:
                    os.setsid()
                    Path(f'pid-{os.getpid()}').touch()
                    os.execve('/bin/sleep', ['sleep', '300'], {})
                os._exit(0)
        while len(list(Path('.').glob('pid-*'))) < 2:
            time.sleep(0.01)
        Path('1').touch()
        """,
        tmp_path,
        LIMITS._replace(step_s=20),
    )
    found = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    assert len(found) == 2 and not [pid for pid in found if psutil.pid_exists(pid)]
    assert not set(psutil.Process().children(recursive=True)) - before


def test_other_children_are_left_alone(tmp_path):
    other = psutil.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    try:
        assert _run("Path('1').touch()", tmp_path) is None
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
