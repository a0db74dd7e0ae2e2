"""Readers on bytes that nobody thought of: changed at random in every run, and by atheris in `make test-soak`."""

import os
import subprocess
import sys

import pytest
import readers
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import HELPERS, ROOT

SECONDS = 30


@pytest.mark.parametrize("name", readers.READERS)
def test_what_is_sound_is_read(name, tmp_path):
    for number, data in enumerate(readers.sound(name)):
        if name != "cohort":  # whose scan is empty
            readers.READERS[name](data, tmp_path / str(number))


@pytest.mark.parametrize("name", readers.READERS)
@settings(max_examples=40)
@given(drawn=st.data())
def test_changed_bytes_are_read_or_refused_in_three_lines(name, drawn):
    data = bytearray(drawn.draw(st.sampled_from(readers.sound(name))))
    early = st.integers(0, min(len(data), 400) - 1)  # where headers are
    for place in drawn.draw(st.lists(early, max_size=6)):
        data[place] = drawn.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, drawn.draw(st.integers(0, 255))]))
    readers.read(name, bytes(data[: drawn.draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))]))


@pytest.mark.soak
@pytest.mark.parametrize("name", readers.READERS)
def test_a_fuzzer_finds_no_crash(name, tmp_path):
    pytest.importorskip("atheris", reason="atheris is among the development packages on Linux alone")
    for number, data in enumerate(readers.sound(name)):
        (tmp_path / "corpus").mkdir(exist_ok=True)
        (tmp_path / "corpus" / str(number)).write_bytes(data)
    bounds = [f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=2000", f"-artifact_prefix={tmp_path}/"]
    command = [sys.executable, HELPERS / "fuzz.py", name, *bounds, str(tmp_path / "corpus")]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{HELPERS}"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, f"{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
