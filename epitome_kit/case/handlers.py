"""What the case page asks its server for; all addresses are relative to that of the page."""

import json
import time
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from epitome_kit.case.access import GuardedHandler
from epitome_kit.case.choices import OPTIONS, OWN
from epitome_kit.case.jobs import FINDINGS, SLICES
from epitome_kit.case.phantoms import PHANTOMS
from epitome_kit.case.queue import Job
from epitome_kit.case.steps import STEPS
from epitome_kit.case.visitors import MOST_SCANS, Visitor, Visitors
from epitome_kit.errors import EpitomeError, ParameterError
from epitome_kit.extras import needs
from epitome_kit.files import Json
from epitome_kit.report.html import TEMPLATES, render_page
from epitome_kit.workspace import CASE_SHEET

with needs("app"):
    from tornado.web import Finish, HTTPError, stream_request_body

_UPLOAD_S = 900
_BLOCK = 1 << 16


class VisitorHandler(GuardedHandler):
    """Handler for visitors who have a place."""

    visitor: Visitor

    @property
    def visitors(self) -> Visitors:
        """Of this server."""
        return self.settings["visitors"]

    def prepare(self) -> None:
        """Answer that the page has ended to those who have lost their place."""
        super().prepare()
        visitor = self.visitors.find(self.visitor_id)
        if visitor is None:
            self.answer({"ended": True}, 410)
        else:
            self.visitor = visitor

    def answer(self, words: Json, status: int = 200) -> None:
        """Send JSON, and end the request."""
        self.set_status(status)
        self.finish(words)
        raise Finish

    def refuse(self, error: EpitomeError, status: int = 400) -> None:
        """Send an error of the kit, in words for the visitor."""
        lines = [f"Expected {error.expected}.", f"Received: {error.received}.", f"Try: {error.hint.replace('`', '')}."]
        self.answer({"lines": lines}, status)

    def refuse_while_busy(self) -> None:
        """Refuse other scans while those of before are analysed."""
        if self.visitor.case is not None and self.visitor.case.state in ("waiting", "running"):
            hint = "wait until the case is finished"
            self.refuse(ParameterError("upload", "scans for the next case", "an unfinished one", hint), 409)


class PageHandler(GuardedHandler):
    """``GET ./``: the page, or a place in line."""

    def prepare(self) -> None:
        """Let those in who have the token."""
        if not self.admit():
            super().prepare()

    def get(self) -> None:
        """Send the page to a visitor with a place, and to others their place in line, which reloads itself."""
        try:
            visitor = self.settings["visitors"].admit(self.visitor_id)
        except OSError as error:
            raise HTTPError(503) from error
        if visitor == 0:
            raise HTTPError(503)
        if isinstance(visitor, int):
            self.set_header("Refresh", "5")
            self.finish(render_page("app/waiting.html.j2", place=visitor))
        else:
            limits = self.settings["visitors"].limits
            self.finish(render_page("app/index.html.j2", phantoms=list(PHANTOMS), own=OWN, most=limits.upload_mb))


class ScriptHandler(GuardedHandler):
    """``GET page.js``: the script of the page."""

    def get(self) -> None:
        """Send it."""
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.finish((TEMPLATES / "app" / "page.js").read_text(encoding="utf-8"))


class StateHandler(VisitorHandler):
    """``GET state``: what the page shows."""

    def get(self) -> None:
        """Send scans, case and messages of the visitor."""
        visitor = self.visitor
        scans = [{name: scan[name] for name in ("label", "contrast")} for scan in visitor.scans]
        waiting = [job for job in visitor.sent if job.state in ("waiting", "running")]
        state = {"batch": visitor.batch, "scans": scans, "lines": visitor.lines, "options": OPTIONS}
        state["receiving"] = [self._describe(job, self.visitors.uploads.place(job)) for job in waiting]
        if visitor.case is not None:
            state["case"] = self._describe(visitor.case, self.visitors.cases.place(visitor.case))
        self.answer(state)

    def _describe(self, job: Job, place: int) -> Json:
        step = STEPS.index(job.step) + 1 if job.step in STEPS else 0
        name = Path(job.arguments["out"]).name if job.call == "analyse" else job.arguments["name"]
        words: Json = {"name": name, "state": job.state, "place": place, "lines": job.lines}
        return words | {"step": step, "steps": len(STEPS), "words": job.step}


class ScansHandler(VisitorHandler):
    """``DELETE scans``: begin a new upload."""

    def delete(self) -> None:
        """Remove the scans that were sent before."""
        self.refuse_while_busy()
        self.visitors.drop_scans(self.visitor)
        self.answer({})


@stream_request_body
class UploadHandler(VisitorHandler):
    """``POST upload``: one file of the upload, as it is; its name is in a header, which no proxy logs."""

    _path: Path | None = None
    _stream: IO[bytes] | None = None

    def prepare(self) -> None:
        """Refuse what is too large before anything of it is read."""
        super().prepare()
        self.refuse_while_busy()
        left = self.visitors.limits.upload_mb * 10**6 - self.visitor.sent_bytes
        stated = self.request.headers.get("Content-Length", "0")
        size = int(stated) if stated.isdecimal() and len(stated) < 16 else left + 1
        if size > left:
            most, hint = f"at most {self.visitors.limits.upload_mb} MB", "send fewer scans"
            received = f"{(size + self.visitor.sent_bytes) / 1e6:.1f} MB"
            self.refuse(ParameterError("upload", most, received, hint), 413)
        if len(self.visitor.sent) >= MOST_SCANS:
            hint = "send the scans of one head"
            self.refuse(ParameterError("upload", f"at most {MOST_SCANS} files", "more", hint), 413)
        if self.settings["sending"].get(self.visitor_id):
            self.refuse(ParameterError("upload", "one file at a time", "a second one", "wait for the first"), 409)
        self._batch, self._failed, self._size = self.visitor.batch, False, 0
        self.request.connection.set_max_body_size(left)  # type: ignore[union-attr]
        self.request.connection.set_body_timeout(_UPLOAD_S)  # type: ignore[union-attr]
        self.settings["sending"][self.visitor_id] = self
        try:
            self._path = self.visitors.place_for_upload(self.visitor)
            self._stream = self._path.open("wb")
        except OSError:
            self._failed = True

    def data_received(self, chunk: bytes) -> None:
        """Write what has come so far."""
        if self._stream is None or self._failed:
            return
        try:
            self._stream.write(chunk)
        except OSError:
            self._failed = True
        self._size += len(chunk)
        self.visitor.sent_bytes += len(chunk)
        self.visitor.seen, self.visitor.acted = (time.monotonic(),) * 2

    def post(self) -> None:
        """Let a worker receive the file."""
        self._close()
        if self._failed:
            self.answer({"lines": ["There is no room for your files at the moment.", "Please try again later."]}, 503)
        path, self._path = self._path, None
        if path is None or self.visitor.batch != self._batch or not path.is_file():
            self.refuse(ParameterError("upload", "a whole file", "a part of one", "send it again"), 409)
            return
        self.visitors.receive(self.visitor, path, unquote(self.request.headers.get("X-File-Name", "the file")))
        self.answer({})

    def _close(self) -> None:
        if self._stream is not None:
            try:
                self._stream.close()
            except OSError:  # what was kept in memory does not fit
                self._failed = True
            self._stream = None
        if self.settings["sending"].get(self.visitor_id) is self:
            del self.settings["sending"][self.visitor_id]

    def on_finish(self) -> None:
        """Remove a file that did not arrive whole."""
        self._close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            if self.visitor.batch == self._batch:
                self.visitor.sent_bytes -= self._size
            self._path = None

    def on_connection_close(self) -> None:
        """Remove a file that did not arrive whole."""
        super().on_connection_close()
        self.on_finish()


class StartHandler(VisitorHandler):
    """``POST start``: analyse."""

    def post(self) -> None:
        """Put a case into the queue: JSON with ``choice`` and ``contrasts``."""
        try:
            asked = json.loads(self.request.body)
            choice, contrasts = str(asked["choice"]), [name and str(name) for name in asked.get("contrasts", [])]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise HTTPError(400) from error
        try:
            self.visitors.analyse(self.visitor, choice, contrasts)
        except EpitomeError as error:
            self.refuse(error)
        self.answer({})


class LeaveHandler(VisitorHandler):
    """``POST leave``: the page was closed, or is reloaded."""

    def post(self) -> None:
        """Give the place up, unless the page asks for something again."""
        self.visitor.leaving = time.monotonic()
        self.answer({})


class CaseFileHandler(VisitorHandler):
    """``GET findings``, ``sheet`` and ``slices``: files of the finished case."""

    def initialize(self, name: str, kind: str, attachment: str = "") -> None:
        """Take what is served: a file name, its type, and under which name it is saved."""
        self._name, self._kind, self._attachment = name, kind, attachment

    async def get(self) -> None:
        """Send the file."""
        case = self.visitor.case
        if case is None or case.state != "done":
            raise HTTPError(404)
        self.set_header("Content-Type", self._kind)
        if self._attachment:
            self.set_header("Content-Disposition", f'attachment; filename="{self._attachment}"')
        try:
            with open(Path(case.arguments["out"]) / self._name, "rb") as stream:
                while block := stream.read(_BLOCK):
                    self.write(block)
                    await self.flush()
        except FileNotFoundError as error:
            raise HTTPError(404) from error


_HTML, _JSON = "text/html; charset=utf-8", "application/json"

ROUTES: list[tuple] = [
    ("", PageHandler),
    ("page.js", ScriptHandler),
    ("state", StateHandler),
    ("scans", ScansHandler),
    ("upload", UploadHandler),
    ("start", StartHandler),
    ("leave", LeaveHandler),
    ("findings", CaseFileHandler, {"name": FINDINGS, "kind": _HTML}),
    ("sheet", CaseFileHandler, {"name": CASE_SHEET, "kind": _HTML, "attachment": "epitome_case.html"}),
    ("slices", CaseFileHandler, {"name": SLICES, "kind": _JSON}),
]
"""Addresses, relative to that of the page."""
