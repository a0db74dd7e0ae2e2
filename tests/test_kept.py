"""Fixtures on disk: made once, made again where they are not as they were made, and guarded."""

import os
import time

import kept
import pytest
from kept import AT_START, UNUSED_S, checksums, sources_checksum


@pytest.fixture
def use(tmp_path):
    """Use a fixture of one file, whose content says how often it was made; do something to the folder meanwhile."""
    made = []

    def make(here):
        here.mkdir()
        made.append(here)
        (here / "content").write_text(str(len(made)))

    def use(meanwhile=lambda here: None):
        with kept.kept("number", make, folder=tmp_path) as here:
            content = (here / "content").read_text()
            meanwhile(here)
        return content

    return use


def test_a_fixture_is_made_once(use, tmp_path):
    assert [use(), use()] == ["1", "1"]
    assert {path.name for path in (tmp_path / AT_START).iterdir()} >= {"number", "number.json"}


@pytest.mark.parametrize(
    "change",
    [
        lambda here: (here / "content").write_text("other"),
        lambda here: (here / "more").touch(),
        lambda here: (here / "content").unlink(),
    ],
)
def test_whoever_changes_it_is_red_and_it_is_made_again(use, change):
    with pytest.raises(AssertionError, match="changed the shared fixture number: .*(content|more)"):
        use(change)
    assert use() == "2"


def test_what_was_interrupted_is_made_again(use, tmp_path):
    use()
    (tmp_path / AT_START / "number.json").unlink()
    assert use() == "2"


def test_nothing_is_kept_of_sources_that_changed_meanwhile(use, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "sources_checksum", lambda: "other")
    with pytest.raises(AssertionError, match="the sources changed"):
        use()
    monkeypatch.undo()
    assert use() == "2"


def test_fixtures_of_other_sources_go_once_nobody_uses_them(use, tmp_path):
    for name, age_s in (("in_use", 60), ("unused", UNUSED_S + 60)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    use()
    assert (tmp_path / "in_use").is_dir() and not (tmp_path / "unused").exists()


def test_any_change_of_a_source_is_another_checksum(tmp_path):
    for path in ("epitome_kit/a.py", "epitome_kit/weights/a.h5", "notebooks/a.ipynb", "tests/helpers/a.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("before")
    found = [sources_checksum(tmp_path)]
    for path in checksums(tmp_path):
        (tmp_path / path).write_text("after")
        found.append(sources_checksum(tmp_path))
    (tmp_path / "epitome_kit" / "__pycache__").mkdir()
    (tmp_path / "epitome_kit" / "__pycache__" / "a.pyc").touch()
    assert len(set(found)) == 5 and sources_checksum(tmp_path) == found[-1]
