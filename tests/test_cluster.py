"""A Dask cluster: the same results as here, every subject once, also when a worker is killed at its work."""

import os
import signal
import sys
import time
from dataclasses import replace
from functools import partial
from threading import Thread

import pytest
from distributed import LocalCluster
from tiny import raises_three_lines
from typer.testing import CliRunner

import epitome_kit
from epitome_kit import cluster
from epitome_kit.cli import app
from epitome_kit.cluster import SCHEDULER, scheduler, use_scheduler
from epitome_kit.errors import ImageError, MissingExtraError, ToolError
from epitome_kit.files import write_json
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.pipeline import preprocess_cohort


@pytest.fixture(scope="module")
def address():
    """Address of a scheduler with two workers, each a process of its own."""
    where = {"host": "127.0.0.1", "dashboard_address": None}
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **where) as made:
        yield made.scheduler_address


def _note(folder, event, number):
    (folder / f"{event}-{number}-{os.getpid()}-{time.monotonic_ns()}").touch()


def _work(number, *, folder):
    """One item as the kit does it: found and kept, or made and renamed at the end."""
    if (folder / f"result-{number}").is_file():
        return number * 10
    _note(folder, "begun", number)
    time.sleep(0.15)
    (folder / f"half-{number}").touch()
    (folder / f"half-{number}").rename(folder / f"result-{number}")
    _note(folder, "done", number)
    return number * 10


def _noted(folder, event):
    """The number and the process of each note."""
    return [tuple(map(int, path.name.split("-")[1:3])) for path in folder.glob(f"{event}-*")]


def _kill_when(found, deadline_s=60):
    """Kill the process that `found` names, as soon as it names one."""
    for _ in range(int(deadline_s / 0.02)):
        if pid := found():
            os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.02)


@pytest.mark.slow
def test_results_come_in_the_order_of_the_items_from_both_workers(address, tmp_path):
    with use_scheduler(address):
        assert for_each(partial(_work, folder=tmp_path), range(6), title="Work", workers=1) == [0, 10, 20, 30, 40, 50]
    processes = {pid for _, pid in _noted(tmp_path, "done")}
    assert len(processes) == 2 and os.getpid() not in processes


@pytest.mark.slow
def test_what_a_killed_worker_had_begun_is_done_once_more_and_nothing_else_is(address, tmp_path):
    def midway():
        done, begun = _noted(tmp_path, "done"), _noted(tmp_path, "begun")
        busy = sorted(set(begun) - set(done))
        return busy[0][1] if len(done) >= 6 and busy else None

    killer = Thread(target=_kill_when, args=(midway,))
    killer.start()
    with use_scheduler(address):
        found = for_each(partial(_work, folder=tmp_path), range(20), title="Work", workers=1)
    killer.join()
    assert found == [10 * number for number in range(20)]
    begun, done = _noted(tmp_path, "begun"), _noted(tmp_path, "done")
    assert sorted(number for number, _ in done) == list(range(20)), "every item was finished once"
    lost = set(begun) - set(done)
    assert len(lost) == 1 and len(begun) == 21, "one was begun twice, by the worker that died and by another"
    assert len({pid for _, pid in begun}) >= 2


@pytest.mark.slow
def test_a_cohort_is_preprocessed_to_the_same_bytes_although_a_worker_is_killed(
    address, phantom, preprocessed, tmp_path
):
    few = replace(phantom, subjects=dict(list(phantom.subjects.items())[:3]))
    out, workers = tmp_path / "out", set()

    def at_the_first_record():
        workers.update(int(path.name.split("-")[1]) for path in out.rglob(".partial-*"))
        return next(iter(workers), None) if list(out.rglob("*_quality.json")) else None

    killer = Thread(target=_kill_when, args=(at_the_first_record,))
    killer.start()
    with use_scheduler(address):
        quality = preprocess_cohort(few, out, spacing_mm=4.0)
    killer.join()
    assert workers and os.getpid() not in workers
    assert list(quality.participant_id) == list(few.subjects)
    assert _bytes(out, few) == _bytes(preprocessed, few)


def _bytes(folder, cohort):
    """Whole files of some subjects, but for how long each took; a killed worker may leave an unfinished one."""
    files = (path for name in cohort.subjects for path in (folder / name).rglob("*") if path.is_file())
    whole = (path for path in files if "_timing" not in path.name and not path.name.startswith(".partial-"))
    return {path.relative_to(folder): path.read_bytes() for path in whole}


def _refuse(_):
    raise ImageError("work", "a head", "a hat", "take it off")


def test_the_file_that_a_scheduler_writes_leads_to_it(address, tmp_path):
    write_json(tmp_path / "scheduler.json", {"type": "Scheduler", "address": address})
    with use_scheduler(str(tmp_path / "scheduler.json")):
        assert for_each(abs, [-1, -2], title="Work", workers=1) == [1, 2]


def test_an_error_of_the_kit_comes_back_as_it_is(address):
    with use_scheduler(address), raises_three_lines(ImageError, "a hat"):
        for_each(_refuse, [1], title="Work", workers=1)


def test_work_that_cannot_travel_stays_here(address):
    seen = []
    with use_scheduler(address):
        for_each(seen.append, [1, 2], title="Work")
    assert seen == [1, 2]


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        use_scheduler("tcp://127.0.0.1:1"),
        raises_three_lines(MissingExtraError, "epitome-kit[cluster]", "`--scheduler`"),
    ):
        for_each(abs, [1], title="Work", workers=1)


@pytest.mark.parametrize("nobody", ["tcp://127.0.0.1:1", "no scheme at all", "{folder}/none.json", "{folder}/odd.json"])
def test_a_scheduler_that_does_not_answer_is_three_lines(nobody, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_TIMEOUT_S", 1)
    (tmp_path / "odd.json").write_text("[1]")
    nobody = nobody.format(folder=tmp_path)
    with use_scheduler(nobody), raises_three_lines(ToolError, nobody):
        for_each(abs, [1], title="Work", workers=1)


def test_a_worker_with_another_version_of_the_kit_is_refused():
    with raises_three_lines(ToolError, epitome_kit.__version__, "0.0.7"):
        cluster._on_worker(1, function=abs, version="0.0.7")


@pytest.mark.parametrize("before", [None, "tcp://10.0.0.1:8786"])
def test_the_option_holds_as_long_as_the_verb(before, monkeypatch, tmp_path):
    monkeypatch.delenv(SCHEDULER, raising=False)
    if before:
        monkeypatch.setenv(SCHEDULER, before)
    seen = []
    monkeypatch.setattr("epitome_kit.cohort.open_cohort", lambda path: seen.append(scheduler()) or 1 / 0)
    CliRunner().invoke(app, ["inspect", str(tmp_path), "--scheduler", "tcp://10.0.0.2:8786"])
    assert seen == ["tcp://10.0.0.2:8786"] and scheduler() == before
