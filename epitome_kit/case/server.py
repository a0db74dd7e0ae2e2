"""Serve the case page by Voila on this machine, with one kernel per visitor."""

import logging
import secrets
import socket
import tempfile
import webbrowser
from collections.abc import Callable
from pathlib import Path

from epitome_kit.case.access import ADDRESS, CaseKernels, guarded
from epitome_kit.case.phantoms import load_phantoms
from epitome_kit.errors import ParameterError
from epitome_kit.extras import needs
from epitome_kit.files import PathLike
from epitome_kit.grade.single_case import has_graded
from epitome_kit.report.html import TEMPLATES
from epitome_kit.run.notebooks import find_notebooks
from epitome_kit.system import interrupt_on_ctrl_c
from epitome_kit.workspace import LATEST, latest_run

with needs("app"):
    import nbformat
    from nbformat import NotebookNode
    from tornado.ioloop import IOLoop
    from traitlets.config import Config
    from voila.app import Voila

APP_TAG = "app"
"""Tag of the cells of notebook 06 that are served."""

_RUNS = Path("runs")


def serve_case_page(
    *,
    port: int = 8866,
    workspace: PathLike | None = None,
    visitors: int = 4,
    upload_mb: int = 200,
    minutes: int = 15,
    case_s: int = 300,
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
    visitors : int, default=4
        Maximum number of kernels; further visitors are asked to wait.
    upload_mb : int, default=200
        Maximum size of an upload in MB.
    minutes : int, default=15
        Idle time after which a kernel and the files of its visitor are removed.
    case_s : int, default=300
        Maximum time for one case in seconds.
    browser : bool, default=True
        Open a browser.
    echo : callable, default=print
        Called with a line about grading, and with the address once the server listens.

    Raises
    ------
    ParameterError
        The port is in use, or the workspace does not exist.
    """
    port, workspace = _free_port(port), _workspace(workspace)
    echo(_describe_grading(workspace))
    cohorts = workspace.parent / "cohorts"
    load_phantoms(cohorts)
    logging.getLogger("tornado.general").setLevel(logging.ERROR)  # it warns about ping settings of Jupyter
    with tempfile.TemporaryDirectory(prefix="epitome-app-", ignore_cleanup_errors=True) as folder:
        server = CaseServer(config=_config(port, upload_mb, minutes))
        server.folder, server.visitors, server.secret = folder, visitors, secrets.token_urlsafe(24)
        server.kernel_settings = {
            "EPITOME_APP_WORKSPACE": str(workspace),
            "EPITOME_APP_COHORTS": str(cohorts),
            "EPITOME_APP_UPLOAD_MB": str(upload_mb),
            "EPITOME_APP_CASE_S": str(case_s),
        }
        interrupt_on_ctrl_c()
        server.initialize([])
        IOLoop.current().add_callback(_announce, server, browser, echo)
        server.start()


def app_cells(notebook: NotebookNode) -> NotebookNode:
    """Select the cells of a notebook tagged :data:`APP_TAG`.

    Parameters
    ----------
    notebook : NotebookNode
        Notebook 06.

    Returns
    -------
    NotebookNode
        A copy with these cells only.
    """
    kept = [cell for cell in notebook.cells if APP_TAG in cell.metadata.get("tags", [])]
    return nbformat.from_dict({**notebook, "cells": kept})


class CaseServer(Voila):
    """Voila with access control and a separate template."""

    folder: str
    visitors: int
    secret: str
    kernel_settings: dict[str, str]
    template_paths: list[str]

    def setup_template_dirs(self) -> None:
        """Search the template of the case page first."""
        super().setup_template_dirs()
        self.template_paths = [str(TEMPLATES / "app"), str(TEMPLATES), *self.template_paths]

    def init_handlers(self) -> list[tuple]:
        """Add access control to all handlers of Voila."""
        return [(pattern, guarded(handler), *rest) for pattern, handler, *rest in super().init_handlers()]


def _workspace(stated: PathLike | None) -> Path:
    """Return the absolute path of the given workspace, or of the latest run."""
    if stated is None:
        return latest_run(_RUNS) or (_RUNS / LATEST).absolute()
    if not Path(stated).is_dir():
        hint = "give the folder of a run, or omit it to use the latest"
        raise ParameterError("app", "an existing workspace", f"{Path(stated).absolute()}, not a folder", hint)
    return Path(stated).absolute()


def _describe_grading(workspace: Path) -> str:
    if has_graded(workspace):
        return f"Grading by the networks of {workspace}."
    return f"No grading: {workspace} has no trained networks; train some with `epitome run`."


def _announce(server: CaseServer, browser: bool, echo: Callable[[str], object]) -> None:
    """Print the address and open the browser, once the server listens."""
    address = f"http://{ADDRESS}:{server.port}/?token={server.secret}"
    echo(f"The case page: {address}\nPress Ctrl-C to stop.")
    if browser:
        webbrowser.open(address)


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


def _config(port: int, upload_mb: int, minutes: int) -> Config:
    config = Config()
    (notebook,) = find_notebooks(["06"]).values()
    config.Voila.update(
        ip=ADDRESS,
        port=port,
        port_retries=0,
        open_browser=False,
        notebook_path=str(notebook),
        root_dir=str(notebook.parent),
        config_file_paths=[],
        cookie_secret=secrets.token_bytes(32),
        log_level=logging.CRITICAL,
        tornado_settings={
            "websocket_max_message_size": (upload_mb + 1) * 10**6,
            "disable_check_xsrf": True,  # access control checks the origin and a SameSite cookie
            "log_function": lambda handler: None,
        },
    )
    config.VoilaConfiguration.update(
        template="lab",
        show_tracebacks=False,
        file_allowlist=[],
        file_denylist=[".*"],
        allow_template_override="NO",
        allow_theme_override="NO",
        extension_allowlist=["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8", "anywidget"],
        multi_kernel_manager_class=CaseKernels,
        prelaunch_hook=lambda handler, notebook, cwd: app_cells(notebook),
        resources={"upload_mb": upload_mb},
    )
    # Idle kernels are removed even if their page is open or they are busy.
    config.MappingKernelManager.update(
        cull_idle_timeout=60 * minutes, cull_interval=30, cull_connected=True, cull_busy=True
    )
    config.ZMQChannelsWebsocketConnection.limit_rate = False
    return config
