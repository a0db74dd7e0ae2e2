"""Fixed pool of worker processes for the case page; one that takes too long or too much is ended and replaced."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

from epitome_kit.case.jobs import folder_bytes
from epitome_kit.case.queue import Job, JobQueue
from epitome_kit.files import Json

_PACKAGES = str(Path(__file__).resolve().parents[2])
MODULE = "epitome_kit.case.worker"
"""Program of a worker process."""

_LOOK_S, _WALK_S = 0.2, 1
_PAUSE_S = 5
_START_S = 600
_MOST_ANSWER = 1 << 20

_HINT = "Try: upload smaller or fewer scans."
TOO_LONG = ["Expected at most {:.0f} s for one file or case.", "Received: a longer one.", _HINT]
TOO_MUCH = ["Expected a case that fits into memory and disk.", "Received: a larger one.", _HINT]
ENDED = ["The analysis ended unexpectedly.", "Please try again, with smaller or fewer scans."]


class Worker(threading.Thread):
    """Thread that gives the jobs of a queue to one process, one after the other.

    Parameters
    ----------
    jobs : JobQueue
        Where it takes them from.
    settings : dict
        For the process; see :func:`epitome_kit.case.worker.main`.
    most_disk : int
        Maximum size in bytes of the folder of a visitor.
    first : Job, default=None
        Job that a new process does while nobody waits, to load the networks.
    """

    def __init__(self, jobs: JobQueue, settings: Json, most_disk: int, first: Job | None = None) -> None:
        super().__init__(daemon=True)
        self._jobs, self._settings, self._most_disk, self._first = jobs, settings, most_disk, first
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Do jobs until :meth:`stop`."""
        while not self._stopped.is_set():
            if self._process is None:
                self._prepare()
            elif (job := self._jobs.take(_LOOK_S)) is not None:
                began = time.monotonic()
                try:
                    self._do(job, began)
                finally:
                    self._jobs.charge(job.visitor, time.monotonic() - began)
            elif self._process is not None and self._process.poll() is not None:
                self._end()
        self._end()

    def stop(self) -> None:
        """End the process and this thread; the job that is being done stays undone."""
        self._stopped.set()
        if self._process is not None:
            _kill(self._process)
        self.join(_PAUSE_S)

    def _prepare(self) -> None:
        """Start the process; if it starts and nobody waits, let it do its first job."""
        if not self._start():
            self._stopped.wait(_PAUSE_S)
        elif self._first is not None and not len(self._jobs):
            self._first.state = "running"
            self._do(self._first, time.monotonic())
            if self._first.state != "done":
                self._first = None

    def _start(self) -> bool:
        """Start the process, and wait until it is ready."""
        paths = os.pathsep.join(filter(None, [_PACKAGES, os.environ.get("PYTHONPATH")]))
        self._answers = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": paths},
        )
        if self._stopped.is_set():
            return False
        threading.Thread(target=_listen, args=[self._process, self._answers], daemon=True).start()
        self._ask(self._settings)
        with suppress(queue.Empty):
            if self._answers.get(timeout=_START_S) is not None:
                return True
        self._end()
        return False

    def _do(self, job: Job, began: float) -> None:
        """Do one job, and watch its time, memory and disk."""
        self._ask({"call": job.call, "arguments": job.arguments, "folder": job.folder})
        looked, full = began, False
        while True:
            try:
                answer = self._answers.get(timeout=_LOOK_S)
            except queue.Empty:
                answer = {}
            if answer is None:
                self._end()
                return job.end("failed", lines=ENDED)
            if "state" in answer:
                return job.end(str(answer["state"]), result=answer.get("result"), lines=answer.get("lines"))
            job.step = str(answer.get("step", job.step))
            if job.state == "dropped" or self._stopped.is_set():
                self._end()
                return job.end("dropped")
            if time.monotonic() - began > job.limit_s:
                self._end()
                return job.end("failed", lines=[line.format(job.limit_s) for line in TOO_LONG])
            if time.monotonic() > looked + _WALK_S:
                looked = time.monotonic()
                full = folder_bytes(Path(job.folder)) > self._most_disk
            if full or self._takes_too_much():
                self._end()
                return job.end("failed", lines=TOO_MUCH)

    def _takes_too_much(self) -> bool:
        with suppress(psutil.Error):
            family = _family(self._process) if self._process is not None else []
            return sum(process.memory_info().rss for process in family) > self._settings["memory_bytes"]
        return False

    def _ask(self, words: Json) -> None:
        stdin = self._process.stdin if self._process is not None else None
        if stdin is not None:
            with suppress(OSError, ValueError):  # the process has ended: its answers end, too
                stdin.write(json.dumps(words) + "\n")
                stdin.flush()

    def _end(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            _kill(self._process)
            for stream in (self._process.stdin, self._process.stdout):
                with suppress(OSError):
                    if stream is not None:
                        stream.close()
        self._process = None


def _family(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Return a process and all that it has started."""
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def _kill(process: "subprocess.Popen[str]") -> None:
    with suppress(psutil.Error):
        for each in _family(process)[1:]:
            with suppress(psutil.Error):
                each.kill()
    process.kill()
    process.wait()


def _listen(process: "subprocess.Popen[str]", answers: "queue.SimpleQueue[Json | None]") -> None:
    """Pass on the answers of a process; None is the end of them, or one that is no answer."""
    with suppress(OSError, ValueError, RecursionError):
        while line := process.stdout.readline(_MOST_ANSWER) if process.stdout else "":
            answer = json.loads(line)
            if not isinstance(answer, dict):
                break
            answers.put(answer)
    answers.put(None)
