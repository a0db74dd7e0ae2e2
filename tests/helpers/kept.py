"""Fixtures that take long to make, kept on disk for every process and every run until what they are made from changes.

They lie in ``build/test-fixtures/CHECKSUM OF THE SOURCES/``; `make clean` removes them.
"""

import json
import os
import shutil
import sys
import time
from contextlib import contextmanager
from hashlib import sha256

from filelock import FileLock
from tiny import ROOT

FOLDER = ROOT / "build" / "test-fixtures"
SOURCES = (
    *("epitome_kit", "notebooks", "tests/conftest.py", "tests/helpers", "requirements.lock"),
    *("book", "docs", "data/README.md", "benchmarks/*.md", "*.md"),
)
"""Files and folders that fixtures are made from; the second line is what the book shows."""

UNUSED_S = 3600
"""After this time (s) without a use, fixtures of other sources are removed: no run of the tests takes as long."""


def _files(path):
    """Every file of a folder, or the file itself; neither compiled Python nor locks."""
    found = [path] if path.is_file() else path.rglob("*")
    return sorted(
        each for each in found if each.is_file() and each.suffix != ".lock" and "__pycache__" not in each.parts
    )


def checksums(folder):
    """Relative path and checksum of each file of a folder."""
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in _files(folder)}


def sources_checksum(root=ROOT):
    """Checksum of all that fixtures are made from."""
    files = [path for source in SOURCES for found in sorted(root.glob(source)) for path in _files(found)]
    state = [(path.relative_to(root).as_posix(), sha256(path.read_bytes()).hexdigest()) for path in files]
    made_by = [sys.version, os.environ.get("KERAS_BACKEND", "tensorflow")]
    return sha256(json.dumps([made_by, state]).encode()).hexdigest()[:16]


AT_START = sources_checksum()
"""Checksum of the sources as this process started."""


@contextmanager
def kept(name, make, *, folder=FOLDER):
    """Folder that ``make(folder)`` has filled, in this run or an earlier one; an error where tests changed it."""
    here = folder / AT_START / name
    record = here.with_name(f"{name}.json")
    here.parent.mkdir(parents=True, exist_ok=True)
    os.utime(here.parent)
    with FileLock(here.with_name(f"{name}.lock")):
        if not record.is_file() or json.loads(record.read_text()) != checksums(here):
            _remove_unused(folder)
            _make(here, record, make)
    yield here
    stated = json.loads(record.read_text())
    changed = {path for path, _ in stated.items() ^ checksums(here).items()}
    assert not changed, f"tests changed the shared fixture {name}: {sorted(changed)[:10]}"


def _make(here, record, make):
    record.unlink(missing_ok=True)
    shutil.rmtree(here, ignore_errors=True)
    make(here)
    assert sources_checksum() == AT_START, f"the sources changed while the fixture {here.name} was made: run again"
    temporary = record.with_suffix(".tmp")
    temporary.write_text(json.dumps(checksums(here)))
    temporary.replace(record)


def _remove_unused(folder):
    old = [each for each in folder.iterdir() if time.time() - each.stat().st_mtime > UNUSED_S]
    for each in old:
        shutil.rmtree(each, ignore_errors=True)
