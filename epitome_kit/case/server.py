"""Serve the case page on this machine: visitors, a queue, and a fixed pool of workers."""

import asyncio
import logging
import os
import re
import secrets
import shutil
import socket
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from epitome_kit.case.access import ADDRESS, Access, FairServer, NotFound
from epitome_kit.case.handlers import ROUTES
from epitome_kit.case.phantoms import PHANTOMS, made_before
from epitome_kit.case.queue import Job
from epitome_kit.case.visitors import MOST_DISK, Limits, Visitors
from epitome_kit.case.workers import Worker
from epitome_kit.errors import ParameterError
from epitome_kit.extras import needs
from epitome_kit.files import PathLike
from epitome_kit.grade.single_case import has_graded
from epitome_kit.limits import most_open_files
from epitome_kit.report.html import render_page
from epitome_kit.system import interrupt_when_told_to_end
from epitome_kit.workspace import LATEST, latest_run

with needs("app"):
    from tornado.web import Application

_RUNS = Path("runs")
_PREFIX, _LOCK = "epitome-app-", ".lock"
# The name of a variable, not a token.
_TOKEN = "EPITOME_APP_TOKEN"  # nosec B105
"""Variable with a token that outlasts the server, such as for a service of JupyterHub."""

_READERS = 2
_FIRST_S = 600
_NETWORKS = 1_500_000_000
"""Memory of a worker with networks, before any case."""

_MOST_CONNECTIONS = 500
_HEADER_S = 20
_MOST_BODY = 64_000
_LOOK_S = 1


def serve_case_page(
    *,
    port: int = 8866,
    workspace: PathLike | None = None,
    limits: Limits | None = None,
    base_url: str = "",
    browser: bool = True,
    echo: Callable[[str], object] = print,
) -> None:
    """Serve the case page until Ctrl-C.

    Parameters
    ----------
    port : int, default=8866
        0 means any free port.
    workspace : path, default=None
        Workspace of a run whose networks grade; None means the latest in ``runs``.
        Without graded networks everything but the grade is shown.
    limits : Limits, default=None
        Limits of visitors, uploads, time and memory; None means the defaults of
        :class:`epitome_kit.case.visitors.Limits`.
    base_url : str, default=""
        Address of the page behind a proxy, such as ``https://example.org/case/``, or its
        path alone. By default that which JupyterHub gives to a service, else ``/``.
    browser : bool, default=True
        Open a browser.
    echo : callable, default=print
        Called with a line about grading, and with the address once the server listens.

    Raises
    ------
    ParameterError
        The port is in use, or the workspace does not exist.
    """
    workspace, limits = _workspace(workspace), limits or Limits()
    access = _access(_free_port(port), base_url)
    echo(_describe_grading(workspace))
    interrupt_when_told_to_end()
    with private_folder() as folder, suppress(KeyboardInterrupt):
        cohorts = workspace.parent / "cohorts"
        places = {"workspace": str(workspace), "cohorts": str(cohorts if made_before(cohorts) else folder / "cohorts")}
        (folder / "visitors").mkdir()
        present = Visitors(folder / "visitors", limits, places)
        reader = {"loaded": False, "memory_bytes": int(limits.memory_gb * 1e9)}
        analyst = {"loaded": True, "memory_bytes": reader["memory_bytes"] + _NETWORKS}
        first = [_first_job(folder / f"first{number}", places) for number in range(limits.workers)]
        pool = [Worker(present.uploads, reader, MOST_DISK) for _ in range(_READERS)]
        pool += [Worker(present.cases, analyst, MOST_DISK, job) for job in first]
        try:
            asyncio.run(_serve(access, present, pool, lambda: _announce(access, folder, browser, echo)))
        finally:
            for worker in pool:
                worker.stop()
            present.remove_all()


def _first_job(folder: Path, places: dict[str, str]) -> Job:
    """Return a job that loads all networks: the analysis of a simulated scan, of which nothing is kept."""
    folder.mkdir()
    out = folder / "case"
    job = Job("", str(folder), "analyse", {"out": str(out), "phantom": next(iter(PHANTOMS)), **places}, _FIRST_S)
    job.finished = lambda job: shutil.rmtree(out, ignore_errors=True)
    return job


async def _serve(access: Access, visitors: Visitors, pool: list[Worker], ready: Callable[[], object]) -> None:
    """Listen, and look after the visitors, until the task is cancelled."""
    logging.getLogger("tornado").setLevel(logging.CRITICAL)
    base = re.escape(access.base.rstrip("/"))
    application = Application(
        [(rf"(?:{base})?/{re.escape(name)}", *rest) for name, *rest in ROUTES],
        default_handler_class=NotFound,
        cookie_secret=secrets.token_bytes(32),
        log_function=lambda handler: None,
        access=access,
        visitors=visitors,
        sending={},
    )
    most = min(_MOST_CONNECTIONS, most_open_files() // 2)
    server = FairServer(
        application,
        most=most,
        max_body_size=_MOST_BODY,
        max_header_size=_MOST_BODY // 4,
        idle_connection_timeout=_HEADER_S,
        body_timeout=_HEADER_S,
    )
    application.settings["server"] = server
    server.listen(access.port, ADDRESS)
    for worker in pool:
        worker.start()
    ready()
    while True:
        await asyncio.sleep(_LOOK_S)
        visitors.remove_gone()


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a temporary folder for the files of visitors, and remove those of servers that have been killed.

    Yields
    ------
    Path
        Removed at the end.
    """
    root = Path(tempfile.gettempdir())
    for old in root.glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError, Timeout), FileLock(old, timeout=0):  # held while its server lives
            shutil.rmtree(old.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = FileLock(folder / _LOCK)
    lock.acquire()
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _workspace(stated: PathLike | None) -> Path:
    """Return the absolute path of the given workspace, or of the latest run."""
    if stated is None:
        return latest_run(_RUNS) or (_RUNS / LATEST).absolute()
    if not Path(stated).is_dir():
        hint = "give the folder of a run, or omit it to use the latest"
        raise ParameterError("app", "an existing workspace", f"{Path(stated).absolute()}, not a folder", hint)
    return Path(stated).absolute()


def _access(port: int, base_url: str) -> Access:
    """Find out by which address the page is reached."""
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "")
    stated = urlsplit(base_url or os.environ.get("JUPYTERHUB_PUBLIC_URL", "") or prefix)
    if bool(stated.scheme) != bool(stated.netloc) or stated.scheme not in ("", "http", "https") or stated.query:
        hint = "`--base-url https://example.org/case/`, or `--base-url /case/`"
        raise ParameterError("app", "an address or a path", base_url, hint)
    public = f"{stated.scheme}://{stated.netloc}" if stated.netloc else ""
    base = f"/{stated.path.strip('/')}/".replace("//", "/")
    token = {"token": os.environ[_TOKEN]} if os.environ.get(_TOKEN) else {}
    return Access(port, base, public, any_host=bool(prefix) and not public, **token)


def _describe_grading(workspace: Path) -> str:
    if has_graded(workspace):
        return f"Grading by the networks of {workspace}."
    return f"No grading: {workspace} has no trained networks; train some with `epitome run`."


def _announce(access: Access, folder: Path, browser: bool, echo: Callable[[str], object]) -> None:
    """Print the address and open the browser, once the server listens; no command line holds the token."""
    own, *public = access.addresses
    echo(f"The case page: {own}")
    for address in public:
        echo(f"Behind the proxy: {address}")
    echo("Press Ctrl-C to stop.")
    if browser:
        opener = folder / "open.html"
        opener.touch(0o600)
        opener.write_text(render_page("app/enter.html.j2", address=own), encoding="utf-8")
        webbrowser.open(opener.as_uri())


def _free_port(port: int) -> int:
    """Return the port if it is free, or a free port for 0."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((ADDRESS, port))
        except OSError as error:
            hint = "choose another with `--port`, or `--port 0` for any"
            raise ParameterError("app", "a free port", f"port {port} ({error.strerror})", hint) from error
        return attempt.getsockname()[1]
