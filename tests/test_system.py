"""What differs between systems: each branch works, Windows with stand-ins, and no other module has such calls."""

import ast
import os
import re
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from test_architecture import MODULES, _tree

from epitome_kit import system

CALLS = re.compile(
    r"os\.(fork\w*|kill\w*|get\w*uid|get\w*gid|getpg\w+|setsid|chmod|chown|umask|nice|mkfifo|uname|statvfs|"
    r"symlink|link|readlink|lstat|sched_\w+|startfile|name)|sys\.(platform|getwindowsversion)|signal\.\w+|"
    r"(\w+\.)*(symlink_to|hardlink_to|chmod|lchmod|readlink|is_junction)"
)
"""Names that only `system.py` and `processes.py` may look up on a module or call on a path."""
MODULES_OF_ONE_SYSTEM = {"resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "msvcrt", "winreg", "_winapi"}
MODULES_OF_ONE_SYSTEM |= {"multiprocessing", "signal", "_thread"}
PLACES = re.compile(r"/(dev|proc|sys|tmp|etc|usr|var)/|[A-Z]:\\")
WORDS = {"preexec_fn", "start_new_session", "process_group"}


def _of_one_system(tree):
    """What a module says that holds on some systems only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ({alias.name.partition(".")[0] for alias in node.names} & MODULES_OF_ONE_SYSTEM)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from ({node.module.partition(".")[0]} & MODULES_OF_ONE_SYSTEM)
            yield from (name for name in named if CALLS.fullmatch(name))
        elif isinstance(node, ast.Attribute) and _from_the_library(ast.unparse(node)):
            yield ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and PLACES.match(node.value):
            yield node.value
        elif isinstance(node, ast.keyword) and node.arg in WORDS:
            yield node.arg


def _from_the_library(name):
    return CALLS.fullmatch(name) and not re.fullmatch(r"signal\.(shape|\w*fft\w*|convolve)", name)


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.symlink(a, b)",
        "path.symlink_to(other)",
        "a.b.chmod(0o600)",
        "from os import kill",
        "import signal",
        "import resource",
        "from multiprocessing import Pool",
        "open('/dev/null')",
        "open('/proc/meminfo')",
        "if sys.platform == 'win32': pass",
        "subprocess.run(command, start_new_session=True)",
    ],
)
def test_the_scan_finds_each_kind_of_call(text):
    assert list(_of_one_system(ast.parse(text)))


def test_two_modules_alone_have_calls_that_differ_between_systems():
    found = {name: sorted(set(_of_one_system(_tree(name)))) for name in MODULES}
    assert [name for name, calls in found.items() if calls] == ["processes.py", "system.py"], found


STARTS = re.compile(
    r"subprocess\.(run|call|check_\w+|Popen|getoutput)|os\.(system|popen|spawn\w+|exec\w+)|joblib\.Parallel|"
    r"tempfile\.(TemporaryDirectory|mkdtemp|NamedTemporaryFile)|Parallel"
)
"""Calls that start a process which outlives this one, or make a folder that does."""
STARTERS = {"processes.py", "temporary.py", "parallel.py"}


def _starts(tree):
    """Calls of :data:`STARTS`; threads are no processes."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(each.arg == "prefer" for each in node.keywords):
            continue
        simple = isinstance(node.func, ast.Name) or isinstance(getattr(node.func, "value", None), ast.Name)
        if simple and STARTS.fullmatch(ast.unparse(node.func)):
            yield ast.unparse(node.func)


def test_processes_and_temporary_folders_are_started_where_their_end_is_seen_to():
    assert list(_starts(ast.parse("subprocess.run(a)\ntempfile.mkdtemp()\nParallel(2)(jobs)"))) != []
    trees = {name: _tree(name) for name in MODULES}
    found = {name: sorted(set(_starts(tree))) for name, tree in trees.items() if not name.startswith("case/")}
    assert {name for name, calls in found.items() if calls} == STARTERS, found


@pytest.fixture
def windows(monkeypatch):
    """Pretend to be Windows; junctions are links here, and what is replaced can be held open by others."""
    monkeypatch.setattr(sys, "platform", "win32")
    made = SimpleNamespace(CreateJunction=lambda source, target: os.symlink(source, target))
    monkeypatch.setitem(sys.modules, "_winapi", made)
    monkeypatch.setattr(system.os, "rmdir", os.unlink)
    monkeypatch.setattr(system, "_REPLACE_PAUSE_S", 0.01)


def _runs(folder):
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "page").write_text(name)
    return folder / "latest", folder / "one", folder / "two"


def test_a_link_leads_to_the_folder_named_last(tmp_path):
    link, one, two = _runs(tmp_path)
    system.link_folder(link, one)
    system.link_folder(link, two)
    assert os.readlink(link) == "two" and (link / "page").read_text() == "two" and (one / "page").is_file()


def test_on_windows_the_link_is_a_junction_to_the_whole_path(tmp_path, windows):
    link, one, two = _runs(tmp_path)
    system.link_folder(link, one)
    system.link_folder(link, two)
    assert os.readlink(link) == str(two) and (one / "page").is_file()


def test_a_junction_is_a_link_and_a_folder_is_none(tmp_path, monkeypatch):
    link, one, _ = _runs(tmp_path)
    system.link_folder(link, one)
    assert system.is_link(link) and not system.is_link(one) and not system.is_link(tmp_path / "none")
    junction = SimpleNamespace(st_mode=one.stat().st_mode, st_reparse_tag=0xA0000003)
    monkeypatch.setattr(system.os, "lstat", lambda path: junction)
    assert system.is_link(one)


@pytest.mark.parametrize("make", [system.symlink_or_copy, system.hard_link_or_copy])
def test_where_links_are_not_allowed_the_file_is_copied(make, tmp_path, monkeypatch):
    (tmp_path / "a").write_text("content")
    make(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").samefile(tmp_path / "a")
    for name in ("link", "symlink"):
        monkeypatch.setattr(system.os, name, lambda *paths: (_ for _ in ()).throw(OSError("no right to link")))
    make(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_text() == "content" and not (tmp_path / "c").samefile(tmp_path / "a")


def _held_open(monkeypatch, times):
    tries, replace = [], type(system.Path()).replace

    def refuse(self, target):
        tries.append(target)
        if len(tries) <= times:
            raise PermissionError("open in another process")
        return replace(self, target)

    monkeypatch.setattr(type(system.Path()), "replace", refuse)
    return tries


def test_on_windows_a_file_that_is_open_is_replaced_as_soon_as_it_is_closed(tmp_path, windows, monkeypatch):
    tries = _held_open(monkeypatch, times=3)
    (tmp_path / "new").write_text("new")
    system.put_in_place(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_text() == "new" and len(tries) == 4


def test_on_windows_a_file_that_stays_open_is_an_error_at_last(tmp_path, windows, monkeypatch):
    tries = _held_open(monkeypatch, times=1000)
    (tmp_path / "new").touch()
    with pytest.raises(PermissionError):
        system.put_in_place(tmp_path / "new", tmp_path / "old")
    assert len(tries) == system._REPLACE_ATTEMPTS


def test_elsewhere_a_folder_that_is_closed_is_an_error_at_once(tmp_path, monkeypatch):
    tries = _held_open(monkeypatch, times=1000)
    (tmp_path / "new").touch()
    with pytest.raises(PermissionError):
        system.put_in_place(tmp_path / "new", tmp_path / "old")
    assert len(tries) == 1


@pytest.fixture(params=["alarm", "no alarm"])
def limit(request, monkeypatch):
    """The limit of time, by an alarm and as on Windows."""
    if request.param == "no alarm":
        monkeypatch.setattr(system, "signal", SimpleNamespace())
    return system.time_limit


def test_what_takes_too_long_is_stopped(limit):
    started = time.monotonic()
    with pytest.raises(ValueError, match="too long"), limit(1, lambda: ValueError("too long")):
        while time.monotonic() < started + 20:
            pass
    assert time.monotonic() < started + 10


def test_what_ends_in_time_is_left_alone(limit):
    with limit(1, lambda: ValueError("too long")):
        pass
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer) and thread.is_alive()]


def test_ctrl_c_is_no_limit_of_time(limit):
    with pytest.raises(KeyboardInterrupt), limit(30, lambda: ValueError("too long")):
        raise KeyboardInterrupt


def test_the_memory_of_a_container_is_read_where_it_is_limited(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(system, "Path", lambda place: limit)
    assert system.container_memory_bytes() is None
    for text, bytes_ in (("max\n", None), ("1073741824\n", 2**30)):
        limit.write_text(text)
        assert system.container_memory_bytes() == bytes_
