"""Jobs of the visitors of the case page, and the order in which they are done."""

import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from epitome_kit.files import Json


@dataclass(eq=False)
class Job:
    """One call for a worker, and how far it is.

    Attributes
    ----------
    visitor : str
        Who asked for it.
    folder : str
        Folder of the files of the visitor.
    call : str
        Name of a function of :mod:`epitome_kit.case.jobs`.
    arguments : dict
        Its keyword arguments, as JSON.
    limit_s : float
        Time from its start after which it is stopped.
    state : {"waiting", "running", "done", "failed", "dropped"}
    step : str
        Step that was reached.
    lines : list of str
        Why it failed, in words for the visitor.
    result : object
        What the function returned, as JSON.
    finished : callable
        Called in the thread of a worker with the job, once its state is final.
    """

    visitor: str
    folder: str
    call: str
    arguments: Json
    limit_s: float
    state: str = "waiting"
    step: str = ""
    lines: list[str] = field(default_factory=list)
    result: object = None
    finished: Callable[["Job"], object] = lambda job: None

    def end(self, state: str, *, result: object = None, lines: list[str] | None = None) -> None:
        """Set the final state, unless the job was dropped, and call `finished`."""
        self.result, self.lines = result, lines or []
        self.state = "dropped" if self.state == "dropped" else state
        self.finished(self)


class JobQueue:
    """Jobs in the order in which they will be done: first those whose visitor has used the least time of workers."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._used: Counter[str] = Counter()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: Job) -> None:
        """Add a job."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def take(self, wait_s: float) -> Job | None:
        """Return the next job, now running; None if there is none for `wait_s` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._jobs, wait_s):
                return None
            job = self._order()[0]
            self._jobs.remove(job)
            job.state = "running"
            return job

    def place(self, job: Job) -> int:
        """Return the place of a job in the queue: 1 is next, 0 no longer waits."""
        with self._changed:
            order = self._order()
            return order.index(job) + 1 if job in order else 0

    def charge(self, visitor: str, seconds: float) -> None:
        """Add to the time that workers have spent on the jobs of a visitor."""
        with self._changed:
            self._used[visitor] += seconds  # type: ignore[assignment]  # a Counter of seconds

    def withdraw(self, jobs: Collection[Job]) -> None:
        """Drop jobs that wait."""
        with self._changed:
            self._jobs = [job for job in self._jobs if job not in jobs]

    def forget(self, visitor: str) -> None:
        """Drop the waiting jobs of a visitor who has left, and the time that he has used."""
        with self._changed:
            self._jobs = [job for job in self._jobs if job.visitor != visitor]
            del self._used[visitor]

    def _order(self) -> list[Job]:
        return sorted(self._jobs, key=lambda job: self._used[job.visitor])
