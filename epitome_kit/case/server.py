"""The case page as a server for visitors: Voila on this machine alone, each with a kernel of their own."""

import logging
import secrets
import socket
import tempfile
import webbrowser
from pathlib import Path

from epitome_kit.case.access import ADDRESS, CaseKernels, guarded
from epitome_kit.case.phantoms import load_phantoms
from epitome_kit.errors import ParameterError
from epitome_kit.extras import needs
from epitome_kit.grade.single_case import has_graded
from epitome_kit.report.html import TEMPLATES
from epitome_kit.run.notebooks import find_notebooks
from epitome_kit.system import interrupt_on_ctrl_c
from epitome_kit.workspace import LATEST, latest_run

with needs("app"):
    import nbformat
    from tornado.ioloop import IOLoop
    from traitlets.config import Config
    from voila.app import Voila

APP_TAG = "app"
"""Tag of the cells of notebook 06 that a visitor sees."""

_RUNS = Path("runs")


def serve_case_page(
    *, port=8866, workspace=None, visitors=4, upload_mb=200, minutes=15, case_s=300, browser=True, tell=print
):
    """Serve the case page until Ctrl-C.

    Parameters
    ----------
    port : int, default=8866
        0 takes any that is free.
    workspace : path, default=None
        Of a run whose networks grade; None means the latest in ``runs``. Without
        one, everything but the grade is shown.
    visitors : int, default=4
        Kernels at a time; one more visitor is asked to wait.
    upload_mb : int, default=200
        Most that a visitor may send at once.
    minutes : int, default=15
        A kernel that says nothing for so long is removed, with the visitor's files.
    case_s : int, default=300
        Seconds that one case may take.
    browser : bool, default=True
        Open a browser.
    tell : callable, default=print
        Takes a line about the grade, and then the address that opens the page,
        once it can be opened.

    Raises
    ------
    ParameterError
        The port is taken, or there is no such workspace.
    """
    port, workspace = _free_port(port), _workspace(workspace)
    tell(_say_who_grades(workspace))
    cohorts = workspace.parent / "cohorts"
    load_phantoms(cohorts)
    logging.getLogger("tornado.general").setLevel(logging.ERROR)  # it warns of the ping settings of Jupyter's own
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
        IOLoop.current().add_callback(_announce, server, browser, tell)
        server.start()


def app_cells(notebook):
    """Keep what a visitor sees of a notebook: the cells tagged :data:`APP_TAG`.

    Parameters
    ----------
    notebook : NotebookNode

    Returns
    -------
    NotebookNode
    """
    kept = [cell for cell in notebook.cells if APP_TAG in cell.metadata.get("tags", [])]
    return nbformat.from_dict({**notebook, "cells": kept})


class CaseServer(Voila):
    """Voila with a guard before every address, and a template of its own."""

    def setup_template_dirs(self):
        """Put the template of the case page before those of Voila."""
        super().setup_template_dirs()
        self.template_paths = [str(TEMPLATES / "app"), str(TEMPLATES), *self.template_paths]

    def init_handlers(self):
        """Guard every address that Voila serves."""
        return [(pattern, guarded(handler), *rest) for pattern, handler, *rest in super().init_handlers()]


def _workspace(stated):
    """Absolute path of the workspace that was asked for, or of the latest run."""
    if stated is None:
        return latest_run(_RUNS) or (_RUNS / LATEST).absolute()
    if not Path(stated).is_dir():
        hint = "give the folder of a run, or leave it out: the latest grades"
        raise ParameterError("app", "a workspace that is there", f"{Path(stated).absolute()}, no folder", hint)
    return Path(stated).absolute()


def _say_who_grades(workspace):
    if has_graded(workspace):
        return f"The networks of {workspace} grade."
    return f"Nothing is graded, all else is shown: {workspace} holds no trained networks; `make run` trains some."


def _announce(server, browser, tell):
    """Tell the address, once the server listens."""
    address = f"http://{ADDRESS}:{server.port}/?token={server.secret}"
    tell(f"The case page: {address}\nCtrl-C ends it.")
    if browser:
        webbrowser.open(address)


def _free_port(port):
    """Make sure that the port can be had, before anything is started."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((ADDRESS, port))
        except OSError as error:
            hint = "choose another with `--port`, or 0 for any; or end what listens there"
            raise ParameterError("app", "a port that is free", f"port {port} ({error.strerror})", hint) from error
        return attempt.getsockname()[1]


def _config(port, upload_mb, minutes):
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
            "disable_check_xsrf": True,  # the guard asks for the origin and for a cookie that no other site can send
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
    # What says nothing for so long goes, whether its page is open or not, busy or not.
    config.MappingKernelManager.update(
        cull_idle_timeout=60 * minutes, cull_interval=30, cull_connected=True, cull_busy=True
    )
    config.ZMQChannelsWebsocketConnection.limit_rate = False
    return config
