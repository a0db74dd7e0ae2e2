"""Processes end with the one that started them, however that one ends and whatever they are doing."""

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import psutil
import pytest
from commands import Command

from epitome_kit import processes
from epitome_kit.processes import Ended, run_program, signals_as_ctrl_c

HOLDS_THE_GIL = "import os, re; open(os.environ['TMPDIR'] + '/busy', 'w').close(); re.match('(a+)+b', 'a' * 60)"
"""A call of a library that takes for ever, and lets no other thread of Python run."""

RELEASES_THE_GIL = "import hashlib; print('begun', flush=True); hashlib.pbkdf2_hmac('sha256', b'a', b'b', 10**9)"
"""Another that lets other threads run, and that no signal interrupts."""

WAITING = {
    "workers": "import time; from epitome_kit.parallel import for_each\n"
    "for_each(time.sleep, [100, 100, 100], title='Sleeping', workers=2)",
    "busy workers": "import re; from functools import partial; from epitome_kit.parallel import for_each\n"
    "for_each(partial(re.match, '(a+)+b'), ['a' * 60] * 3, title='Matching', workers=2)",
    "tool": "from epitome_kit.processes import run_program\n"
    "run_program(['sh', '-c', 'sleep 100 & sleep 101; true'], timeout_s=100)",
    "kernel": "from epitome_kit.run.execute import new_kernel\n"
    "import time; kernel = new_kernel('.'); client = kernel.__enter__().client(); client.start_channels()\n"
    f"time.sleep(2); client.execute({HOLDS_THE_GIL!r}); time.sleep(100)",
}
PARTS = {
    "workers": ("LokyProcess-1", "LokyProcess-2"),
    "busy workers": ("LokyProcess-1", "LokyProcess-2"),
    "tool": ("sleep 100", "sleep 101"),
    "kernel": ("kernel.py",),
}
VERB = "from epitome_kit.cli.verbs import Verbs, _show_end; from epitome_kit.processes import signals_as_ctrl_c\n"
VERB += "with signals_as_ctrl_c(forced=_show_end):\n try: exec(%r)\n"
VERB += " except KeyboardInterrupt as error: _show_end(error); sys.exit(128 + error.number)"


@pytest.fixture
def start(tmp_path):
    """Start a Python program; all its processes are killed at the end."""
    commands = []

    def run(code):
        commands.append(Command(code, tmp=tmp_path))
        return commands[-1]

    yield run
    for command in commands:
        command.end()


AT_ONCE = [("workers", signal.SIGTERM), ("busy workers", signal.SIGKILL), ("tool", signal.SIGKILL)]
CASES = [(what, number) for what in WAITING for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGKILL)]


@pytest.mark.parametrize(
    ("what", "number"),
    [pytest.param(*case, marks=[] if case in AT_ONCE else [pytest.mark.slow]) for case in CASES],
)
def test_nothing_survives_a_process(what, number, start, tmp_path):
    command = start("import sys\n" + VERB % WAITING[what])
    command.wait_for(*PARTS[what])
    while what == "kernel" and not (tmp_path / "busy").exists():
        time.sleep(0.1)
    time.sleep(1)
    command.process.send_signal(number)
    assert command.left_after(5) == []
    code, text = command.process.wait(), command.end()
    assert code == (-number if number == signal.SIGKILL else 128 + number)
    assert number == signal.SIGKILL or text.count(signal.Signals(number).name) == 1, text


def test_a_program_that_is_in_a_long_call_of_a_library_ends_too(start):
    command = start("import sys\n" + VERB % RELEASES_THE_GIL)
    assert command.process.stdout.readline() == "begun\n"
    command.process.terminate()
    assert command.left_after(5) == []
    assert command.process.wait() == 128 + signal.SIGTERM and "SIGTERM" in command.end()


def test_only_the_first_signal_interrupts_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    code = "import signal, sys; from epitome_kit.processes import Ended, signals_as_ctrl_c\n"
    code += "try:\n with signals_as_ctrl_c(print):\n  try: signal.raise_signal(signal.SIGHUP)\n"
    code += "  finally: signal.raise_signal(signal.SIGTERM); print('cleaned up')\n"
    code += "except Ended as error: print(error, error.number, signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout == "cleaned up\nSIGHUP 1 True\n", ended.stderr
    with signals_as_ctrl_c(print):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_that_is_ignored_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_as_ctrl_c(print):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_changes_no_handler():
    found = []

    def look():
        with signals_as_ctrl_c(print):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


@pytest.fixture(params=["linux", "win32"])
def platform(request, monkeypatch):
    """The branch for this system, and that for Windows."""
    monkeypatch.setattr(processes, "sys", SimpleNamespace(platform=request.param, executable=sys.executable))
    return request.param


def test_a_program_returns_its_output_and_exit_code(platform, tmp_path):
    code = "import os, sys; print(os.getcwd(), os.environ['A']); sys.exit('said')"
    ended = run_program([sys.executable, "-c", code], timeout_s=60, cwd=tmp_path, env={**os.environ, "A": "b"})
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, f"{tmp_path} b\n", "said\n")


def test_a_program_that_dies_of_a_signal_has_another_exit_code_than_one_that_ends():
    assert run_program(["sh", "-c", "kill -11 $$"], timeout_s=60).returncode == 128 + signal.SIGSEGV


def test_a_program_that_takes_too_long_is_ended_with_what_it_started(platform, tmp_path):
    code = f"echo $$ > {tmp_path}/a; sleep 100 & echo $! > {tmp_path}/b; sleep 101; true"
    started = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        run_program(["sh", "-c", code], timeout_s=1)
    assert time.monotonic() < started + 10
    numbers = [int((tmp_path / name).read_text()) for name in "ab"]
    for number in numbers:
        last = time.monotonic() + 5
        while psutil.pid_exists(number) and psutil.Process(number).status() != "zombie" and time.monotonic() < last:
            time.sleep(0.05)
        assert not psutil.pid_exists(number) or psutil.Process(number).status() == "zombie"


def test_a_program_that_cannot_be_run_is_an_error_of_the_system(platform, tmp_path):
    (tmp_path / "tool").write_text("no program")
    for program, kind in ((tmp_path / "none", FileNotFoundError), (tmp_path / "tool", PermissionError)):
        with pytest.raises(kind):
            run_program([str(program)], timeout_s=60)


def test_on_windows_a_program_is_waited_for_in_place_of_being_replaced(monkeypatch):
    monkeypatch.setattr(processes.sys, "platform", "win32")
    assert processes.become([sys.executable, "-c", "import sys; sys.exit(7)"]) == 7


def test_elsewhere_a_program_takes_the_place_of_this_one():
    code = "import sys; from epitome_kit.processes import become; become(['/bin/sh', '-c', 'exit 7'])"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 7


def test_an_interrupt_by_a_signal_is_a_ctrl_c():
    error = Ended(signal.SIGTERM)
    assert isinstance(error, KeyboardInterrupt) and (str(error), error.number) == ("SIGTERM", signal.SIGTERM)
