"""The guard of the case page: who may ask for what, and whose kernel is whose."""

import contextvars
import hmac
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from epitome_kit.extras import needs
from epitome_kit.report.html import render_page

with needs("app"):
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
    from tornado.web import HTTPError

ADDRESS = "127.0.0.1"
"""Nobody beyond this machine is served."""

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
"""Sent with every answer. Voila and the widgets need inline and evaluated scripts; nothing is loaded from elsewhere."""

_WORDS = {
    403: "This page opens with the address that `epitome app` printed, token included.",
    503: "All places are taken. Each is freed when its visitor leaves; try again in a few minutes.",
}
_visitor = contextvars.ContextVar("visitor")


class CaseKernels(AsyncMappingKernelManager):
    """Kernels, each with a folder, and each of one visitor; both go together.

    The server above gives ``visitors``, the most kernels at a time,
    ``kernel_settings``, environment variables, and ``folder``.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.owners, self._folders, self._starting = {}, {}, 0

    async def start_kernel(self, *, env=None, **kwargs):
        """Start a kernel for whoever asks, unless all places are taken."""
        if len(self.list_kernel_ids()) + self._starting >= self.parent.visitors:
            raise HTTPError(503)
        folder = tempfile.mkdtemp(dir=self.parent.folder)
        settings = {**self.parent.kernel_settings, "EPITOME_APP_FOLDER": folder}
        self._starting += 1
        try:
            kernel_id = await super().start_kernel(env={**(env or os.environ), **settings}, **kwargs)
        finally:
            self._starting -= 1
        self.owners[kernel_id], self._folders[kernel_id] = _visitor.get(), folder
        return kernel_id

    def remove_kernel(self, kernel_id):
        """Forget a kernel that has ended, and remove what its visitor left."""
        shutil.rmtree(self._folders.pop(kernel_id, ""), ignore_errors=True)
        self.owners.pop(kernel_id, None)
        return super().remove_kernel(kernel_id)


class AccessControlMixin:
    """What comes before every address of the server: mixed in before its handler."""

    def set_default_headers(self):
        """Send the safe headers, whatever the handler sends."""
        super().set_default_headers()
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    async def prepare(self, **kwargs):
        """Let in who has the token, or the cookie that it was changed for; to a kernel, its visitor alone."""
        server = self.settings["voila"]
        if self.request.host not in (f"{ADDRESS}:{server.port}", f"localhost:{server.port}"):
            raise HTTPError(403)
        cookie, given = f"epitome_visitor_{server.port}", self.get_query_argument("token", "")
        visitor = self.get_signed_cookie(cookie, max_age_days=1)
        if given and hmac.compare_digest(given.encode(), server.secret.encode()):
            if visitor is None:
                self.set_signed_cookie(cookie, secrets.token_hex(16), 1, httponly=True, samesite="Strict")
            return self.redirect("/")
        if visitor is None or self._kernel_of_another(visitor):
            raise HTTPError(403)
        origin = urlsplit(self.request.headers.get("Origin", "")).netloc
        if self.request.method not in ("GET", "HEAD") and origin != self.request.host:
            raise HTTPError(403)
        if ".." in unquote(self.request.path) or "//" in self.request.path:
            raise HTTPError(404)
        _visitor.set(visitor)
        waiting = super().prepare(**kwargs)
        return await waiting if waiting is not None else None

    def _kernel_of_another(self, visitor):
        """Whether the address names a kernel that is not of this visitor."""
        kernels = self.settings["kernel_manager"]
        named = set(Path(self.request.path).parts) & set(kernels.list_kernel_ids())
        return any(kernels.owners.get(kernel) != visitor for kernel in named)

    def write_error(self, status_code, **kwargs):
        """Say in one sentence what is wrong, and nothing of the inside."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        words = _WORDS.get(status_code, "There is nothing here.")
        self.finish(render_page("case_error.html.j2", words=words))


def guarded(handler):
    """Put the guard before a handler class of tornado."""
    return type(handler.__name__, (AccessControlMixin, handler), {})
