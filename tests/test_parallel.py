"""Progress: results in order, whatever the number of workers, and nothing written where nobody looks."""

import math
import os
import re
import signal
from io import StringIO

import pytest
from rich.console import Console
from tiny import raises_three_lines

from epitome_kit.errors import ParameterError, ToolError
from epitome_kit.parallel import byte_bar, for_each, step_bar


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_items(workers, capfd):
    assert for_each(math.sqrt, [9, 1, 4], title="Roots", workers=workers) == [3, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_nothing_to_do_is_nothing():
    assert for_each(math.sqrt, [], title="Roots") == []


def test_an_error_goes_up_as_it_is():
    with pytest.raises(ValueError, match="math domain"):
        for_each(math.sqrt, [4, -1], title="Roots")


def _die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_is_three_lines():
    with raises_three_lines(ToolError, "killed", "--workers"):
        for_each(_die, [1, 2], title="Dying", workers=2)


@pytest.mark.parametrize("workers", [0, -1])
def test_no_worker_is_three_lines(workers):
    with raises_three_lines(ParameterError, f"workers={workers}"):
        for_each(math.sqrt, [4], title="Roots", workers=workers)


@pytest.mark.parametrize("total", [0, 100])
def test_bytes_are_counted_and_nothing_is_written_where_nobody_looks(total, capfd):
    with byte_bar("Downloading", total) as advance:
        for size in (60, -60, 100):
            advance(size)
    assert capfd.readouterr() == ("", "")


def test_steps_are_counted_and_nothing_is_written_where_nobody_looks(capfd):
    with step_bar("Training", 3) as advance:
        for steps in (1, 0, 2):
            advance(steps)
    assert capfd.readouterr() == ("", "")


def test_somebody_who_looks_sees_the_share_that_is_done_and_the_time_left(monkeypatch):
    screen = Console(file=StringIO(), force_terminal=True, width=80, legacy_windows=False)
    monkeypatch.setattr("epitome_kit.parallel._console", lambda: (screen, False))
    with step_bar("Training", 4) as advance:
        advance(1)
    assert re.search(r"Training.*25%.*-:--:--", screen.file.getvalue(), re.DOTALL)
