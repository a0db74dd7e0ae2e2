"""Visitors of the case page: their places, their files, and what they have asked for."""

import itertools
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from epitome_kit.case.choices import select_scans
from epitome_kit.case.jobs import FINDINGS, SLICES
from epitome_kit.case.phantoms import PHANTOMS
from epitome_kit.case.queue import Job, JobQueue
from epitome_kit.case.upload import MOST_BYTES, safe_name
from epitome_kit.errors import ParameterError
from epitome_kit.files import Json
from epitome_kit.workspace import CASE_SHEET

MOST_SCANS = 20
"""Maximum number of files in one upload."""

MOST_DISK = 2 * MOST_BYTES
"""Maximum size in bytes of the folder of a visitor, while a job runs."""

_MOST_WAITING = 1000
_RECEIVE_S = 120
_GONE_S, _OPENING_S, _WAITING_GONE_S, _LEAVING_S = 90, 30, 20, 5


@dataclass(frozen=True)
class Limits:
    """Limits of the case page.

    Attributes
    ----------
    visitors : int, default=12
        Maximum number of visitors with a place; further ones see their place in line.
    upload_mb : int, default=200
        Maximum size of an upload in MB.
    minutes : float, default=15
        Time without anything done, after which a visitor and his files are removed.
    case_s : int, default=300
        Maximum time for one file or one case in seconds.
    workers : int, default=2
        Number of cases that are analysed at a time. Each holds the networks, about 1 GB.
    memory_gb : float, default=4
        Maximum memory of a worker for one case, beyond that of the networks, in GB.
    """

    visitors: int = 12
    upload_mb: int = 200
    minutes: float = 15
    case_s: int = 300
    workers: int = 2
    memory_gb: float = 4


@dataclass(eq=False)
class Visitor:
    """One visitor who has a place.

    Attributes
    ----------
    id : str
        Of his cookie.
    folder : Path
        Of his files.
    batch : int
        Number of the upload; a new one replaces the scans of the last.
    sent : list of Job
        Jobs that receive the files of this upload, in order.
    sent_bytes : int
        Their size as sent, with the file that is being sent.
    case : Job or None
        The job of the last analysis.
    lines : list of str
        Why the last upload was refused.
    seen, acted : float
        When his page last asked for anything, and when he last did something.
    leaving : float or None
        When his page said that it was closed.
    """

    id: str
    folder: Path
    batch: int = 0
    sent: list[Job] = field(default_factory=list)
    sent_bytes: int = 0
    case: Job | None = None
    lines: list[str] = field(default_factory=list)
    seen: float = 0.0
    acted: float = 0.0
    leaving: float | None = None

    @property
    def scans(self) -> list[Json]:
        """Scans that were received, once all files of the upload were."""
        if any(job.state != "done" for job in self.sent):
            return []
        return [scan for job in self.sent if isinstance(job.result, list) for scan in job.result]

    @property
    def busy(self) -> bool:
        """Whether a job of his waits or runs."""
        return any(job.state in ("waiting", "running") for job in [*self.sent, *filter(None, [self.case])])


class Visitors:
    """All visitors: those with a place, and those who wait for one, first come, first served.

    Parameters
    ----------
    folder : Path
        Where each gets a folder of his own.
    limits : Limits
    places : dict of str to str
        ``workspace`` and ``cohorts``, for :func:`epitome_kit.case.jobs.analyse`.
    """

    def __init__(self, folder: Path, limits: Limits, places: dict[str, str]) -> None:
        self.limits, self.uploads, self.cases = limits, JobQueue(), JobQueue()
        self._folder, self._places = folder, places
        self._here: dict[str, Visitor] = {}
        self._waiting: dict[str, float] = {}
        self._numbers = itertools.count()
        self._lock = threading.RLock()

    def find(self, visitor_id: str) -> Visitor | None:
        """Return the visitor, if he has a place, and note that he is here."""
        visitor = self._here.get(visitor_id)
        if visitor is not None:
            visitor.seen, visitor.leaving = time.monotonic(), None
        return visitor

    def admit(self, visitor_id: str) -> Visitor | int:
        """Give a visitor a place, if there is one.

        Parameters
        ----------
        visitor_id : str

        Returns
        -------
        Visitor or int
            The visitor with a place; or his place in line, from 1, or 0 if the line itself is full.
        """
        visitor, now = self.find(visitor_id), time.monotonic()
        if visitor is not None:
            return visitor
        if visitor_id not in self._waiting and len(self._waiting) >= _MOST_WAITING:
            return 0
        self._waiting[visitor_id] = now
        place = [*self._waiting].index(visitor_id) + 1
        if place > self.limits.visitors - len(self._here):
            return place
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        del self._waiting[visitor_id]
        seen = now - _GONE_S + _OPENING_S  # a page asks for more at once; what does not is no page
        self._here[visitor_id] = Visitor(visitor_id, folder, seen=seen, acted=now)
        return self._here[visitor_id]

    def remove_gone(self) -> None:
        """Remove those who have left, whose page is silent, or who have done nothing for too long."""
        now = time.monotonic()
        self._waiting = {name: seen for name, seen in self._waiting.items() if now - seen < _WAITING_GONE_S}
        for visitor in [*self._here.values()]:
            left = visitor.leaving is not None and now - visitor.leaving > _LEAVING_S
            idle = not visitor.busy and now - visitor.acted > 60 * self.limits.minutes
            if left or idle or now - visitor.seen > _GONE_S:
                self.remove(visitor)

    def remove(self, visitor: Visitor) -> None:
        """Remove a visitor: his jobs, his files, his place."""
        self._here.pop(visitor.id, None)
        self.drop_scans(visitor)
        for job in filter(None, [visitor.case]):
            job.state = "dropped"
        for jobs in (self.uploads, self.cases):
            jobs.forget(visitor.id)
        shutil.rmtree(visitor.folder, ignore_errors=True)

    def remove_all(self) -> None:
        """Remove all visitors."""
        for visitor in [*self._here.values()]:
            self.remove(visitor)

    def drop_scans(self, visitor: Visitor, lines: Sequence[str] = ()) -> None:
        """Begin a new upload: what was sent before is removed; `lines` say why, if it was refused."""
        with self._lock:
            for job in visitor.sent:
                job.state = "dropped"
            self.uploads.withdraw(visitor.sent)
            shutil.rmtree(visitor.folder / f"scans{visitor.batch}", ignore_errors=True)
            visitor.batch += 1
            visitor.sent, visitor.sent_bytes, visitor.lines = [], 0, list(lines)

    def place_for_upload(self, visitor: Visitor) -> Path:
        """Return where the next file of the upload is to be written."""
        path = visitor.folder / f"scans{visitor.batch}" / f"{next(self._numbers)}.sent"
        path.parent.mkdir(exist_ok=True)
        return path

    def receive(self, visitor: Visitor, path: Path, name: str) -> None:
        """Let a worker receive a file that was sent."""
        arguments = {
            "sent": str(path),
            "folder": str(path.with_suffix("")),
            "name": safe_name(name),
            "most_bytes": MOST_BYTES,
        }
        limit_s = min(self.limits.case_s, _RECEIVE_S)
        job = Job(visitor.id, str(visitor.folder), "receive", arguments, limit_s)
        job.finished = lambda job: self._received(visitor, job)
        visitor.sent.append(job)
        visitor.acted = time.monotonic()
        self.uploads.put(job)

    def _received(self, visitor: Visitor, job: Job) -> None:
        """Refuse the whole upload, if one of its files was; called by the thread of a worker."""
        with self._lock:
            if job.state == "dropped":
                shutil.rmtree(job.arguments["folder"], ignore_errors=True)
                Path(job.arguments["sent"]).unlink(missing_ok=True)
            elif job.state == "failed":
                self.drop_scans(visitor, [f"{job.arguments['name']}:", *job.lines])
        self._tidy(visitor)

    def analyse(self, visitor: Visitor, choice: str, contrasts: Sequence[str | None]) -> None:
        """Let a worker analyse a simulated scan, or those that the visitor has sent.

        Parameters
        ----------
        visitor : Visitor
        choice : str
            A key of :data:`epitome_kit.case.phantoms.PHANTOMS`; others mean his own scans.
        contrasts : sequence of str or None
            Contrast of each of his scans.

        Raises
        ------
        ParameterError
            A case of his is not finished.
        ImageError
            The scans cannot be analysed as they are named.
        """
        if visitor.case is not None and visitor.case.state in ("waiting", "running"):
            raise ParameterError("case", "one case at a time", "a second one", "wait until the first is finished")
        arguments: Json = {"out": str(visitor.folder / f"case{next(self._numbers)}"), **self._places}
        if choice in PHANTOMS:
            arguments["phantom"] = choice
        else:
            scans = visitor.scans
            if len(contrasts) != len(scans):
                raise ParameterError("case", "one contrast for each scan", f"{len(contrasts)}", "choose files again")
            arguments["images"], arguments["evidence"] = select_scans(scans, contrasts)
        if visitor.case is not None:
            shutil.rmtree(visitor.case.arguments["out"], ignore_errors=True)
        visitor.case = Job(visitor.id, str(visitor.folder), "analyse", arguments, self.limits.case_s)
        visitor.case.finished = lambda job: self._analysed(visitor, job)
        visitor.acted = time.monotonic()
        self.cases.put(visitor.case)

    def _analysed(self, visitor: Visitor, job: Job) -> None:
        """Keep the files of a finished case that the page shows, and no others; called by the thread of a worker."""
        out = Path(job.arguments["out"])
        if job.state != "done":
            shutil.rmtree(out, ignore_errors=True)
        elif out.is_dir():
            for path in out.iterdir():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name not in (CASE_SHEET, FINDINGS, SLICES):
                    path.unlink(missing_ok=True)
        visitor.acted = time.monotonic()
        self._tidy(visitor)

    def _tidy(self, visitor: Visitor) -> None:
        """Remove what a worker may have written after its visitor had left."""
        if self._here.get(visitor.id) is not visitor:
            shutil.rmtree(visitor.folder, ignore_errors=True)
