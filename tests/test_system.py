"""What differs between systems: each branch works, Windows with stand-ins, and no other module has such calls."""

import ast
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from test_architecture import MODULES, _tree

from epitome_kit import limits, system

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


def test_three_modules_alone_have_calls_that_differ_between_systems():
    found = {name: sorted(set(_of_one_system(_tree(name)))) for name in MODULES}
    assert [name for name, calls in found.items() if calls] == ["limits.py", "processes.py", "system.py"], found


STARTS = re.compile(
    r"subprocess\.(run|call|check_\w+|Popen|getoutput)|os\.(system|popen|spawn\w+|exec\w+)|joblib\.Parallel|"
    r"tempfile\.(TemporaryDirectory|mkdtemp|NamedTemporaryFile)|Parallel"
)
"""Calls that start a process which outlives this one, or make a folder that does."""
STARTERS = {"processes.py", "temporary.py", "parallel.py", "classroom/watched.py"}


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


def _in_a_new_process(code):
    text = f"import os, signal, sys\nsys.path[:0] = {sys.path!r}\nfrom epitome_kit import limits, system\n{code}"
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what Linux enforces")
def test_memory_and_files_beyond_the_limit_are_refused(tmp_path):
    limit = "limits.limit_memory_and_files(300_000_000, 1_000_000)\nbytearray(100_000_000)\n"
    assert _in_a_new_process(limit).returncode == 0
    assert "MemoryError" in _in_a_new_process(limit + "bytearray(400_000_000)").stderr
    assert (
        "File too large"
        in _in_a_new_process(limit + f"open({str(tmp_path / 'x')!r}, 'wb').write(bytes(2_000_000))").stderr
    )


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("ignored", "ended"), [("", True), ("signal.signal(signal.SIGHUP, signal.SIG_IGN)", False)])
def test_a_closed_terminal_is_ctrl_c_unless_it_is_ignored(ignored, ended):
    code = f"{ignored}\nsystem.interrupt_when_told_to_end()\nos.kill(os.getpid(), signal.SIGHUP)\n"
    assert ("KeyboardInterrupt" in _in_a_new_process(code).stderr) == ended
    assert "KeyboardInterrupt" in _in_a_new_process(code.replace("(), signal.SIGHUP", "(), signal.SIGTERM")).stderr
    assert (
        "KeyboardInterrupt"
        not in _in_a_new_process("system.ignore_ctrl_c()\nos.kill(os.getpid(), signal.SIGINT)").stderr
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="shells of Linux")
def test_open_files_are_raised_as_far_as_allowed(monkeypatch):
    code = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))\nprint(limits.most_open_files())"
    assert _in_a_new_process(code).stdout == "300\n"
    monkeypatch.setattr(sys, "platform", "win32")
    assert limits.most_open_files() == 512 and limits.limit_memory_and_files(1, 1) is None


def test_the_memory_of_a_container_is_read_where_it_is_limited(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(limits, "Path", lambda place: limit)
    assert limits.container_memory_bytes() is None
    for text, bytes_ in (("max\n", None), ("1073741824\n", 2**30)):
        limit.write_text(text)
        assert limits.container_memory_bytes() == bytes_


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no such limit")


@linux
def test_memory_is_limited_inside_the_context_and_not_after_it():
    with pytest.raises(MemoryError), limits.memory_limit(2**28):
        bytearray(2**30)
    assert len(bytearray(2**29)) == 2**29


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import os; print(sorted(os.environ.keys() - {'LC_CTYPE'}))", r"\[\]"),
        ("print(open(0).read())", ""),
        ("bytearray(2**30)", "MemoryError"),
        ("open('big', 'wb').write(bytes(2**22)); print('written')", "OSError|written"),
        ("while True: pass", "never"),
    ],
)
@linux
def test_native_code_has_no_environment_and_limits(code, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    most = {"seconds": 1 if expected == "never" else 20, "memory_bytes": 2**29, "file_bytes": 2**20}
    try:
        ended = limits.run_limited([sys.executable, "-S", "-c", code], **most)
    except subprocess.TimeoutExpired:
        ended = None
    if expected == "never":
        assert ended is None or ended.returncode
        return
    assert re.search(expected, ended.stdout + ended.stderr)
    assert all(path.stat().st_size <= 2**20 for path in tmp_path.iterdir())


def test_on_windows_only_time_is_limited_and_nothing_is_lost(windows, monkeypatch):
    run = {}
    monkeypatch.setattr(limits, "run_program", lambda command, **how: run.update(how))
    monkeypatch.setenv("SYSTEMROOT", "C:")
    monkeypatch.setenv("SECRET", "x")
    limits.run_limited(["x"], seconds=5, memory_bytes=1, file_bytes=1)
    assert run["env"].get("SYSTEMROOT") == "C:" and "SECRET" not in run["env"]
    assert run["limit"] is None and run["timeout_s"] == 5
    with limits.memory_limit(1):
        assert len(bytearray(2**20)) == 2**20
