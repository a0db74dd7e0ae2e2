"""Rights that a process gives up: what is left can be read and written, the rest cannot, in children too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from epitome_kit import confinement
from epitome_kit.confinement import give_up_rights, landlock_version

CODE = """
import json, os, resource, subprocess, sys
from pathlib import Path
from epitome_kit.confinement import give_up_rights
from epitome_kit.system import system_folders
root = Path(sys.argv[1])
version = give_up_rights(
    read=[root / 'read', root / 'gone', Path(sys.prefix), Path(sys.base_prefix), *system_folders()],
    write=[root / 'write'], hidden=[root / 'read' / 'inner' / 'secret'], listed=[root],
)
allowed = []
def attempt(name, act):
    try:
        act()
        allowed.append(name)
    except Exception:
        pass
attempt('read', (root / 'read' / 'a').read_text)
attempt('read beside a secret', (root / 'read' / 'inner' / 'b').read_text)
attempt('read a secret', (root / 'read' / 'inner' / 'secret' / 'c').read_text)
attempt('read elsewhere', (root / 'else' / 'd').read_text)
attempt('list elsewhere', lambda: os.listdir(root / 'else'))
attempt('write', lambda: (root / 'write' / 'e').write_text('e'))
attempt('write where it reads', lambda: (root / 'read' / 'a').open('a'))
attempt('remove', (root / 'else' / 'd').unlink)
attempt('move in', lambda: os.rename(root / 'else' / 'd', root / 'write' / 'd'))
attempt('link in', lambda: os.link(root / 'else' / 'd', root / 'write' / 'd'))
(root / 'write' / 'way').symlink_to(root / 'else' / 'd')
attempt('read by a link', (root / 'write' / 'way').read_text)
attempt('signal', lambda: os.kill(os.getppid(), 0))
attempt('signal to all', lambda: os.kill(-1, 0))
attempt('limits of the parent', lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0)))
attempt('handle of the parent', lambda: os.pidfd_open(os.getppid()))
attempt('own limits', lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
attempt('privileges of root', lambda: os.setuid(12345))
sleeper = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])
attempt('signal to a child', sleeper.kill)
child = subprocess.run([sys.executable, '-S', '-c', f"open({str(root / 'else' / 'd')!r})"], capture_output=True)
attempt('in a child', lambda: child.check_returncode() if not child.returncode else open(root / 'else' / 'd'))
attempt('give back', lambda: give_up_rights(read=[root], write=[root]) and (root / 'else' / 'd').read_text())
print(json.dumps([version, allowed]))
"""


ALLOWED = ["read", "read beside a secret", "list elsewhere", "write", "own limits", "signal to a child"]


@pytest.mark.skipif(landlock_version() < 6, reason="this system cannot restrict files and signals")
def test_what_is_given_up_is_gone(tmp_path):
    for name in ("read/a", "read/inner/b", "read/inner/secret/c", "else/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "write").mkdir()
    package = str(Path(confinement.__file__).parents[1])
    command, environment = [sys.executable, "-c", CODE, tmp_path], {**os.environ, "PYTHONPATH": package}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr
    version, allowed = json.loads(answer.stdout)
    assert version == landlock_version() and allowed == ALLOWED


def test_without_it_nothing_is_restricted(monkeypatch):
    def missing():
        raise AttributeError("no system calls in this library")

    monkeypatch.setattr(confinement, "_libc", missing)
    assert landlock_version() == 0 and give_up_rights(read=[], write=[]) == 0
