"""A visitor of the case page without a browser, and a server for him: in a thread, without workers, or as a process."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from urllib.parse import quote

import requests
from tiny import ROOT

from epitome_kit.case.access import ADDRESS, Access
from epitome_kit.case.server import _free_port, _serve
from epitome_kit.case.visitors import Limits, Visitors


class Client(requests.Session):
    """One visitor: a cookie, and the address of the page."""

    def __init__(self, address):
        super().__init__()
        self.root, self.query = address.partition("?")[::2]
        self.origin = {"Origin": re.match(r"https?://[^/]+", address)[0]}

    def ask(self, path="", method="GET", headers=None, **how):
        headers = {**self.origin, **(headers or {})}
        if path == "upload":
            headers["Connection"] = "close"  # the server ends one where it refuses what is being sent
        return self.request(method, self.root + path, headers=headers, timeout=60, **how)

    def enter(self):
        """Open the page with the token; returns the answer."""
        return self.ask("?" + self.query)

    def state(self):
        return self.ask("state").json()

    def upload(self, **files):
        """Send files by name, as the page does; returns the last answer."""
        answer = self.ask("scans", "DELETE")
        for name, data in files.items():
            answer = self.ask("upload", "POST", headers={"X-File-Name": quote(name)}, data=data)
            if not answer.ok:
                break
        return answer

    def wait(self, done, patience_s=300):
        """Return the state as soon as `done` holds for it."""
        deadline = time.monotonic() + patience_s
        while not done(state := self.state()):
            assert time.monotonic() < deadline, state
            time.sleep(0.5)
        return state

    def received(self, patience_s=300):
        """Return the state once no file of the upload is waited for."""
        return self.wait(lambda state: not state["receiving"], patience_s)

    def finished(self, patience_s=600):
        """Return the case once it has ended."""
        return self.wait(lambda state: state["case"]["state"] not in ("waiting", "running"), patience_s)["case"]


@contextmanager
def serving(folder, limits=None, pool=(), **access):
    """Serve from a thread, with a pool of workers or with none; yields the visitors and the access."""
    access = Access(_free_port(0), **access)
    present = Visitors(folder, limits or Limits(2, 1, 15, 60), {"workspace": "w", "cohorts": "c"})
    ready, found = threading.Event(), {}

    def announce():
        found.update(loop=asyncio.get_running_loop(), task=asyncio.current_task())
        ready.set()

    def run():
        with suppress(asyncio.CancelledError):
            asyncio.run(_serve(access, present, pool(present) if pool else [], announce))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield present, access
    finally:
        found["loop"].call_soon_threadsafe(found["task"].cancel)
        thread.join(30)


@contextmanager
def case_process(folder, workspace, *words, environment=None, prefix=()):
    """Run `epitome app` with its temporary files in `folder`; yields its address and its process."""
    command = [sys.executable, "-c", "from epitome_kit.cli import app; app()", "app", "--workspace", str(workspace)]
    variables = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT), **(environment or {})}
    log = folder / "stderr.txt"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*prefix, *command, "--port", "0", "--no-browser", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=variables,
            cwd=folder,
        )
    try:
        first = process.stdout.readline()
        assert str(workspace) in first, log.read_text()
        yield re.search(r"http://\S+", process.stdout.readline())[0], process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        process.stdout.close()


def idle_sockets(port, count):
    """Open connections that say nothing."""
    return [socket.create_connection((ADDRESS, port)) for _ in range(count)]
