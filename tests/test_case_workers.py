"""Workers of the case page: whatever a job does, the visitor is told, and the next job is done."""

import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import psutil
import pytest
from tiny import HELPERS, ROOT, head

from epitome_kit.case import workers as workers_module
from epitome_kit.case.queue import Job, JobQueue
from epitome_kit.case.workers import Worker

MEMORY = 600_000_000


@pytest.fixture(scope="module")
def crew(tmp_path_factory):
    """A queue, and a worker that does jobs of `on_worker`, with 600 MB of memory and 100 MB of disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{HELPERS}")
        patch.setattr(workers_module, "MODULE", "on_worker")
        jobs = JobQueue()
        worker = Worker(jobs, {"loaded": False, "memory_bytes": MEMORY}, 100_000_000)
        worker.start()
        yield jobs, worker, tmp_path_factory.mktemp("visitors")
        worker.stop()


def do(crew, how, limit_s=120):
    """Have one job done; returns it, and the seconds since it began."""
    jobs, _, root = crew
    folder = root / f"{how}{time.monotonic_ns()}"
    folder.mkdir()
    ended = threading.Event()
    job = Job("v", str(folder), "misbehave", {"how": how, "path": str(folder)}, limit_s)
    job.finished = lambda job: ended.set()
    jobs.put(job)
    while job.state == "waiting":
        time.sleep(0.02)
    began = time.monotonic()
    assert ended.wait(120)
    return job, time.monotonic() - began


def test_a_job_returns_what_it_found(crew):
    job, _ = do(crew, "fine")
    assert (job.state, job.result, job.step, job.lines) == ("done", ["fine"], "begun", [])


def test_a_job_that_swallows_every_exception_ends_at_its_limit(crew):
    job, seconds = do(crew, "sleep", limit_s=1)
    assert job.state == "failed" and "at most 1 s" in job.lines[0] and seconds < 3
    assert do(crew, "fine")[0].state == "done"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["memory", "disk", "file"])
def test_a_job_that_takes_too_much_is_ended(crew, how):
    job, _ = do(crew, how)
    assert job.state == "failed" and "fits into memory" in job.lines[0]
    assert do(crew, "fine")[0].state == "done"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["die", "babble"])
def test_a_worker_that_dies_or_answers_nonsense_is_replaced(crew, how):
    job, _ = do(crew, how)
    assert job.state == "failed" and "ended unexpectedly" in job.lines[0] or how == "babble" and job.state == "done"
    assert do(crew, "fine")[0].state == "done"


@pytest.mark.parametrize(("how", "words"), [("refuse", "Expected a scan."), ("full", "no room"), ("?", "Internal")])
def test_no_path_and_no_advice_for_administrators_is_shown(crew, how, words):
    job, _ = do(crew, how)
    assert job.state == "failed" and words in job.lines[0]
    shown = " ".join(job.lines)
    assert str(crew[2]) not in shown and "images" not in shown and "Zero" not in shown and "`" not in shown


@pytest.mark.slow
def test_a_dropped_job_is_ended(crew):
    jobs, worker, root = crew
    job = Job("v", str(root), "misbehave", {"how": "sleep"}, 600)
    jobs.put(job)
    while job.state == "waiting":
        time.sleep(0.02)
    pid = worker._process.pid
    job.state = "dropped"
    assert do(crew, "fine")[0].state == "done" and not psutil.pid_exists(pid) and job.state == "dropped"


def never_ending(path):
    """A zip of one DICOM file that is read for many minutes: a prefix, then zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, archive.open("a", "w") as stream:
        stream.write(bytes(128) + b"DICM")
        for _ in range(400):
            stream.write(bytes(1 << 20))


@pytest.mark.slow
def test_a_zip_that_never_ends_ends_at_the_limit(tmp_path):
    jobs, ended = JobQueue(), threading.Event()
    worker = Worker(jobs, {"loaded": False, "memory_bytes": 4_000_000_000}, 4_000_000_000)
    worker.start()
    never_ending(tmp_path / "a.sent")
    arguments = {"sent": str(tmp_path / "a.sent"), "folder": str(tmp_path / "a"), "name": "a.zip"}
    job = Job("v", str(tmp_path), "receive", {**arguments, "most_bytes": 2_000_000_000}, 5)
    job.finished = lambda job: ended.set()
    jobs.put(job)
    while job.state == "waiting":
        time.sleep(0.02)
    began = time.monotonic()
    assert ended.wait(60) and job.state == "failed" and "at most 5 s" in job.lines[0]
    assert time.monotonic() - began < 7
    worker.stop()


@pytest.mark.slow
def test_a_worker_ends_with_its_parent_even_while_it_is_busy(tmp_path):
    code = (
        "import subprocess, sys, json, os\n"
        "p = subprocess.Popen([sys.executable, '-m', 'on_worker'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "p.stdin.write((json.dumps({'loaded': False, 'memory_bytes': 10**9}) + '\\n').encode())\n"
        "job = {'call': 'misbehave', 'arguments': {'how': 'sleep'}, 'folder': sys.argv[1]}\n"
        "p.stdin.write((json.dumps(job) + '\\n').encode()); p.stdin.flush()\n"
        "p.stdout.readline(); p.stdout.readline(); print(p.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HELPERS}"}
    done = subprocess.run([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, env=environment)
    deadline = time.monotonic() + 5
    while psutil.pid_exists(int(done.stdout)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(int(done.stdout))


def test_a_scan_is_received_and_nothing_is_left_of_one_that_is_refused(tmp_path):
    from epitome_kit.case.jobs import receive

    (tmp_path / "a.sent").write_bytes(head().to_bytes())
    found = receive(print, sent=tmp_path / "a.sent", folder=tmp_path / "a", name="a_flair.nii", most_bytes=10**9)
    assert found[0]["contrast"] == "FLAIR" and Path(found[0]["path"]).is_file() and json.dumps(found)
    (tmp_path / "b.sent").write_bytes(b"\x89PNG" + bytes(600))
    with pytest.raises(Exception, match="PNG"):
        receive(print, sent=tmp_path / "b.sent", folder=tmp_path / "b", name="b.nii", most_bytes=10**9)
    assert not (tmp_path / "b").exists() and not [*tmp_path.glob("*.sent")]
    (tmp_path / "c.sent").write_bytes(head().to_bytes())
    with pytest.raises(Exception, match="larger"):
        receive(print, sent=tmp_path / "c.sent", folder=tmp_path / "c", name="c.nii", most_bytes=10_000)
