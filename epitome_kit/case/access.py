"""Control access to the case page: a token for those who may come, a cookie for each visitor, headers for all.

The identity provider of jupyter_server does not serve here: it belongs to a server of kernels, whose token gives
all rights to each who holds it. Cookies are signed by tornado.
"""

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from epitome_kit.extras import needs
from epitome_kit.report.html import render_page

with needs("app"):
    from tornado.httpserver import HTTPServer
    from tornado.iostream import IOStream
    from tornado.web import HTTPError, RequestHandler

ADDRESS = "127.0.0.1"
"""The server listens on this machine only."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
"""Headers of every response: a page loads nothing but its own script, and stands in no frame."""

_MESSAGES = {
    403: "Open this page with the address printed by `epitome app`, including the token.",
    503: "There is no room at the moment; try again in a few minutes.",
}
_SAFE = ("GET", "HEAD")
_MOST_OF_ONE = 20
"""Maximum number of connections of one visitor; a browser opens six."""


@dataclass(frozen=True)
class Access:
    """Who may come, and by which address.

    Attributes
    ----------
    port : int
        On this machine.
    base : str
        Path of the page, which begins and ends with a slash.
    public : str
        Address of a proxy before the page, such as ``https://example.org``, or nothing.
    any_host : bool
        Whether the proxy may name any host, because its name is not known.
    token : str
        Made for this server.
    """

    port: int
    base: str = "/"
    public: str = ""
    any_host: bool = False
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def addresses(self) -> list[str]:
        """Addresses with the token: on this machine, and by the proxy."""
        roots = [f"http://{ADDRESS}:{self.port}", *filter(None, [self.public])]
        return [f"{root}{self.base}?token={self.token}" for root in roots]

    @property
    def hosts(self) -> set[str]:
        """Names by which a request may call this server."""
        return {f"{ADDRESS}:{self.port}", f"localhost:{self.port}", urlsplit(self.public).netloc} - {""}

    @property
    def cookie(self) -> str:
        """Name of the cookie; cookies of one host are shared by its ports."""
        return f"epitome_visitor_{self.port}"


class GuardedHandler(RequestHandler):
    """Handler that serves nothing but to visitors: with a cookie, by a known name, and not for another page."""

    visitor_id = ""

    def set_default_headers(self) -> None:
        """Set :data:`HEADERS` on every response."""
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    @property
    def access(self) -> Access:
        """Of this server."""
        return self.settings["access"]

    def prepare(self) -> None:
        """Refuse whoever is no visitor."""
        if not self.access.any_host and self.request.host not in self.access.hosts:
            raise HTTPError(403)
        signed = self.get_signed_cookie(self.access.cookie, max_age_days=1)
        if signed is None or not self._asked_by_own_page():
            raise HTTPError(403)
        self.visitor_id = signed.decode()
        self.settings["server"].welcome(self)

    def _asked_by_own_page(self) -> bool:
        """Whether a request comes from the page itself, or from a person who typed its address."""
        site = self.request.headers.get("Sec-Fetch-Site", "")
        if site:
            return site == "same-origin" or (site == "none" and self.request.method in _SAFE)
        origin = urlsplit(self.request.headers.get("Origin", "")).netloc
        return self.request.method in _SAFE or bool(origin) and origin in {self.request.host, *self.access.hosts}

    def admit(self) -> bool:
        """Answer a request with the token: give a cookie, and let the page open itself without the token."""
        given = self.get_query_argument("token", "")
        right = hmac.compare_digest(given.encode(), self.access.token.encode())
        known = self.access.any_host or self.request.host in self.access.hosts
        if not (given and right and known and self.request.method == "GET"):
            return False
        if self.get_signed_cookie(self.access.cookie, max_age_days=1) is None:
            proxy = urlsplit(self.access.public)
            self.set_signed_cookie(
                self.access.cookie,
                secrets.token_hex(16),
                1,
                path=self.access.base,
                secure=proxy.scheme == "https" and proxy.netloc == self.request.host,
                httponly=True,
                samesite="Strict",
            )
        if self.request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin"):
            self.redirect("./")
        else:  # a link on another page: the cookie is sent from here, but not on a redirect
            self.finish(render_page("app/enter.html.j2"))
        return True

    def write_error(self, status_code: int, **kwargs: object) -> None:
        """Send a page with one sentence and no internal details."""
        message = _MESSAGES.get(status_code, f"{HTTPStatus(status_code).phrase}.")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(render_page("case_error.html.j2", words=message))


class NotFound(GuardedHandler):
    """Handler of all addresses that are not served."""

    def prepare(self) -> None:
        """Refuse whoever is no visitor, and say to visitors that there is nothing."""
        super().prepare()
        raise HTTPError(404)


class FairServer(HTTPServer):
    """HTTP server with a maximum of connections; beyond it, the oldest of those that have said nothing is closed.

    Parameters
    ----------
    most : int
        Maximum number of open connections.
    """

    def initialize(self, *args: object, most: int, **kwargs: object) -> None:  # type: ignore[override]
        """Take the place of ``__init__``, as in tornado."""
        super().initialize(*args, **kwargs)  # type: ignore[arg-type]
        self._most = most
        self._strangers: dict[IOStream, None] = {}
        self._known: dict[IOStream, str] = {}

    def handle_stream(self, stream: IOStream, address: tuple) -> None:
        """Take a new connection, in place of the oldest stranger if there are too many."""
        if len(self._strangers) + len(self._known) >= self._most:
            self._close_first(self._strangers or self._known)
        self._strangers[stream] = None
        super().handle_stream(stream, address)

    def welcome(self, handler: "GuardedHandler") -> None:
        """Note that a connection belongs to a visitor, who may have some, but not all of them."""
        stream = getattr(handler.request.connection, "stream", None)
        if stream is None or stream.closed():
            return
        self._strangers.pop(stream, None)
        self._known.pop(stream, None)
        own = [each for each, visitor in self._known.items() if visitor == handler.visitor_id]
        if len(own) >= _MOST_OF_ONE:
            self._close_first(own)
        self._known[stream] = handler.visitor_id

    def _close_first(self, streams: Iterable[IOStream]) -> None:
        first = next(iter(streams))
        self._strangers.pop(first, None)
        self._known.pop(first, None)
        first.close()

    def on_close(self, server_conn: object) -> None:
        """Forget a connection that is closed."""
        super().on_close(server_conn)
        for streams in (self._strangers, self._known):
            streams.pop(getattr(server_conn, "stream", None), None)  # type: ignore[arg-type]
