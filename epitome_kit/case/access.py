"""Control access to the case page and to the kernels of its visitors."""

import contextvars
import hmac
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from epitome_kit.extras import needs
from epitome_kit.report.html import render_page

with needs("app"):
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
    from tornado.web import HTTPError, RequestHandler

ADDRESS = "127.0.0.1"
"""The server listens on this machine only."""

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Headers of every response. Voila and the widgets need inline and evaluated scripts; nothing external is loaded."""

_MESSAGES = {
    403: "Open this page with the address printed by `epitome app`, including the token.",
    503: "The maximum number of visitors is reached; try again in a few minutes.",
}
_visitor: contextvars.ContextVar[str] = contextvars.ContextVar("visitor")


if TYPE_CHECKING:
    from jupyter_client.manager import KernelManager
    from jupyter_server.base.handlers import JupyterHandler as _Handler
else:
    _Handler = object


class CaseKernels(AsyncMappingKernelManager):
    """Start kernels, each with an owner (a visitor) and a temporary folder.

    The parent server provides ``visitors`` (maximum number of kernels),
    ``kernel_settings`` (environment variables) and ``folder``.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.owners: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        self._starting = 0

    async def start_kernel(  # type: ignore[override]  # async in the direct base class, too
        self, *, env: Mapping[str, str] | None = None, **kwargs: Any
    ) -> str:
        """Start a kernel for the current visitor, unless the maximum is reached."""
        server: Any = self.parent
        if len(self.list_kernel_ids()) + self._starting >= server.visitors:
            raise HTTPError(503)
        folder = tempfile.mkdtemp(dir=server.folder)
        settings = {**server.kernel_settings, "EPITOME_APP_FOLDER": folder}
        self._starting += 1
        try:
            kernel_id = await super().start_kernel(env={**(env or os.environ), **settings}, **kwargs)
        finally:
            self._starting -= 1
        self.owners[kernel_id], self._folders[kernel_id] = _visitor.get(), folder
        return kernel_id

    def remove_kernel(self, kernel_id: str) -> "KernelManager":
        """Remove an ended kernel and its folder."""
        shutil.rmtree(self._folders.pop(kernel_id, ""), ignore_errors=True)
        self.owners.pop(kernel_id, None)
        return super().remove_kernel(kernel_id)


class AccessControlMixin(_Handler):
    """Check every request; mixed in before a request handler."""

    def set_default_headers(self) -> None:
        """Set :data:`HEADERS` on every response."""
        super().set_default_headers()
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    async def prepare(self, **kwargs: bool) -> None:
        """Admit requests with a valid token or visitor cookie, and to a kernel only those of its owner."""
        server = self.settings["voila"]
        if self.request.host not in (f"{ADDRESS}:{server.port}", f"localhost:{server.port}"):
            raise HTTPError(403)
        cookie, given = f"epitome_visitor_{server.port}", self.get_query_argument("token", "")
        signed = self.get_signed_cookie(cookie, max_age_days=1)
        visitor = None if signed is None else signed.decode()
        if given and hmac.compare_digest(given.encode(), server.secret.encode()):
            if visitor is None:
                self.set_signed_cookie(cookie, secrets.token_hex(16), 1, httponly=True, samesite="Strict")
            self.redirect("/")
            return
        if visitor is None or self._kernel_of_another(visitor):
            raise HTTPError(403)
        origin = urlsplit(self.request.headers.get("Origin", "")).netloc
        if self.request.method not in ("GET", "HEAD") and origin != self.request.host:
            raise HTTPError(403)
        if ".." in unquote(self.request.path) or "//" in self.request.path:
            raise HTTPError(404)
        _visitor.set(visitor)
        waiting = super().prepare(**kwargs)
        if waiting is not None:
            await waiting

    def _kernel_of_another(self, visitor: str) -> bool:
        """Whether the URL names a kernel of another visitor."""
        kernels = self.settings["kernel_manager"]
        named = set(Path(self.request.path).parts) & set(kernels.list_kernel_ids())
        return any(kernels.owners.get(kernel) != visitor for kernel in named)

    def write_error(self, status_code: int, **kwargs: object) -> None:
        """Send a page with one sentence and no internal details."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        message = _MESSAGES.get(status_code, "Page not found.")
        self.finish(render_page("case_error.html.j2", words=message))


def guarded(handler: type[RequestHandler]) -> type[RequestHandler]:
    """Add access control to a handler class of tornado."""
    return type(handler.__name__, (AccessControlMixin, handler), {})
