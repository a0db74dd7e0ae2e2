"""The server of the case page: who may come, how much he may take, and what is left when he has gone."""

import re
import signal
import socket
import threading
import time
from pathlib import Path

import psutil
import pytest
import requests
from case_client import Client, case_process, idle_sockets, serving
from tiny import head, raises_three_lines

from epitome_kit.case import server as server_module
from epitome_kit.case.access import HEADERS
from epitome_kit.case.jobs import FINDINGS
from epitome_kit.case.server import _access, private_folder
from epitome_kit.case.visitors import MOST_SCANS, Limits
from epitome_kit.errors import ParameterError
from epitome_kit.report.html import TEMPLATES

PATHS = ("", "page.js", "state", "findings", "sheet", "slices")


@pytest.fixture
def served(tmp_path):
    with serving(tmp_path) as (visitors, access):
        yield visitors, access


@pytest.fixture
def client(served):
    made = Client(served[1].addresses[0])
    assert made.enter().ok
    return made


def test_without_the_token_nothing_is_served(served):
    stranger = Client(served[1].addresses[0])
    for path in (*PATHS, "?token=wrong", "?token=é", "api/kernels", "../../etc/passwd", "a" * 5000):
        answer = stranger.ask(path)
        assert answer.status_code == 403, path
        assert "Epitome Kit" in answer.text and "Traceback" not in answer.text
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS and "Server" not in answer.headers
    assert stranger.ask("start", "POST", data=b"{}").status_code == 403
    stranger.cookies.set(served[1].cookie, "forged")
    assert stranger.ask().status_code == 403


def test_the_token_gives_a_cookie_that_no_script_and_no_other_page_can_use(served):
    visitor = Client(served[1].addresses[0])
    answer = visitor.ask("?" + visitor.query, allow_redirects=False)
    assert answer.status_code == 302 and answer.headers["Location"] == "./"
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(answer.headers["Set-Cookie"].split("; "))
    page = visitor.ask()
    assert page.ok and "token" not in page.text


def test_a_link_with_the_token_on_another_page_opens_this_one(served):
    visitor = Client(served[1].addresses[0])
    answer = visitor.ask("?" + visitor.query, headers={"Sec-Fetch-Site": "cross-site"}, allow_redirects=False)
    assert answer.ok and 'content="0; url=./"' in answer.text and "token" not in answer.text
    assert visitor.ask("", headers={"Sec-Fetch-Site": "same-origin"}).ok


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "[::1]", ""])
def test_another_host_is_refused_whatever_it_holds(client, served, host):
    for path in ("", "?token=" + served[1].token):
        answer = client.ask(path, headers={"Host": host}, allow_redirects=False)
        assert answer.status_code in (400, 403) and "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_cannot_ask_for_the_visitor(client, site):
    assert client.ask(headers={"Sec-Fetch-Site": site}).status_code == 403
    assert client.ask("scans", "DELETE", headers={"Sec-Fetch-Site": site}).status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", ""])
def test_what_changes_anything_needs_the_origin_of_the_page(client, origin):
    for path, method in (("scans", "DELETE"), ("upload", "POST"), ("start", "POST"), ("leave", "POST")):
        assert client.ask(path, method, headers={"Origin": origin}).status_code == 403
    assert client.ask("scans", "DELETE").ok


def test_an_address_that_is_not_there_and_a_banner(client, served):
    for path in ("api/kernels/1/channels", "voila/files/x", "page.js/..%2f", "%2e%2e/%2e%2e/etc/passwd"):
        answer = client.ask(path)
        assert answer.status_code == 404 and "Not Found" in answer.text
    with socket.create_connection(("127.0.0.1", served[1].port)) as raw:
        raw.sendall(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = raw.recv(65536)
    assert b"Tornado" not in answer and b"X-Frame-Options: DENY" in answer


def test_further_visitors_see_their_place_in_line(served):
    clients = [Client(served[1].addresses[0]) for _ in range(4)]
    pages = [client.enter() for client in clients]
    assert [page.status_code for page in pages] == [200] * 4
    found = [re.search(r"number (\d+) in line", page.text) for page in pages]
    assert [match and int(match[1]) for match in found] == [None, None, 1, 2]
    assert pages[2].headers["Refresh"] and clients[2].ask("state").status_code == 410
    assert not re.search("in line", clients[0].ask().text), "a reload keeps the place"


def test_a_page_that_is_closed_frees_its_place(client, served, monkeypatch):
    visitors, _ = served
    (visitor,) = visitors._here.values()
    monkeypatch.setattr("epitome_kit.case.visitors._LEAVING_S", 0.1)
    assert client.ask("leave", "POST").ok
    deadline = time.monotonic() + 20
    while visitor.folder.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not visitor.folder.exists() and client.ask("state").json() == {"ended": True}


def test_a_full_disk_is_told_in_words_for_visitors(client, served, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device: /secret")

    monkeypatch.setattr("epitome_kit.case.visitors.tempfile.mkdtemp", full)
    answer = Client(served[1].addresses[0]).enter()
    assert answer.status_code == 503 and "no room" in answer.text and "secret" not in answer.text
    monkeypatch.setattr(server_module.Visitors, "place_for_upload", full)
    answer = client.upload(**{"a.nii": b"1"})
    assert answer.status_code == 503 and "no room" in answer.text and "secret" not in answer.text


def test_uploads_are_streamed_to_the_folder_of_the_visitor(client, served):
    visitors, _ = served
    assert client.upload(**{"../../a.nii": b"1" * 400_000, "b.nii": iter([b"2" * 300_000])}).ok
    first, second = next(iter(visitors._here.values())).sent
    assert Path(first.arguments["sent"]).read_bytes() == b"1" * 400_000
    assert first.arguments["name"] == "a.nii" and len(Path(second.arguments["sent"]).read_bytes()) == 300_000
    places = [job["place"] for job in client.state()["receiving"]]
    assert places == [1, 2]


def test_an_upload_takes_no_more_than_it_may(client, served):
    (visitor,) = served[0]._here.values()
    answer = client.upload(**{"a.nii": b"1" * 1_100_000})
    assert answer.status_code == 413 and "at most 1 MB" in answer.json()["lines"][0]
    assert client.upload(**{"a.nii": b"1" * 900_000}).ok
    assert client.ask("upload", "POST", data=b"1" * 200_000).status_code == 413, "the sum counts"
    with pytest.raises(requests.RequestException):
        answer = client.ask("upload", "POST", data=iter([b"1" * 50_000] * 40))  # says no size, and goes on
        answer.raise_for_status()
    _until(lambda: sum(path.stat().st_size for path in visitor.folder.rglob("*.sent")) == 900_000)
    assert client.ask("upload", "POST", data=b"1" * 90_000).ok, "what was refused does not count"
    assert client.upload(**{f"{n}.nii": b"1" for n in range(MOST_SCANS)}).ok
    assert client.ask("upload", "POST", data=b"1").status_code == 413


def test_a_file_that_does_not_arrive_whole_is_removed(client, served):
    (visitor,) = served[0]._here.values()
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    head = f"POST /upload HTTP/1.1\r\nHost: 127.0.0.1:{served[1].port}\r\nCookie: {cookie}\r\n"
    head += f"Origin: {client.origin['Origin']}\r\nContent-Length: 500000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served[1].port)) as raw:
        raw.sendall(head.encode() + b"1" * 1000)
        _until(lambda: [*visitor.folder.rglob("*.sent")])
        assert client.ask("upload", "POST", data=b"1").status_code == 409, "one at a time"
    _until(lambda: not [*visitor.folder.rglob("*.sent")])
    assert client.ask("upload", "POST", data=b"1").ok


def _until(holds, patience_s=20):
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_no_other_address_takes_a_body(served):
    port = served[1].port
    for length in (b"Content-Length: 99000000", b"Transfer-Encoding: chunked"):
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.settimeout(20)
            raw.sendall(b"POST /start HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n\r\n")
            try:
                for _ in range(40):
                    raw.sendall(b"fa0\r\n" + b"1" * 4000 + b"\r\n")
                assert raw.recv(100).startswith(b"HTTP/1.1 4")
            except ConnectionError:
                pass


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"[" * 60_000, b'{"choice": "x", "contrasts": 5}', b'{"choice": "x", "contrasts": [[[]]]}'],
)
def test_a_broken_request_is_refused(client, body):
    assert client.ask("start", "POST", data=body).status_code == 400


def test_files_of_a_case_are_those_of_the_visitor(client, served):
    other = Client(served[1].addresses[0])
    other.enter()
    for each in (client, other):
        assert each.ask("start", "POST", json={"choice": "Simulated head A"}).ok
        assert each.ask("findings").status_code == 404
    case = served[0]._here[next(iter(served[0]._here))].case
    Path(case.arguments["out"]).mkdir()
    (Path(case.arguments["out"]) / FINDINGS).write_text("mine")
    case.state = "done"
    assert client.ask("findings").text == "mine" and other.ask("findings").status_code == 404
    assert client.ask("upload", "POST", data=b"1").ok and other.ask("upload", "POST", data=b"1").status_code == 409


@pytest.mark.slow
def test_idle_connections_of_strangers_cost_nothing(served, capfd):
    connections = idle_sockets(served[1].port, 1100)
    try:
        began = time.monotonic()
        visitor = Client(served[1].addresses[0])
        assert visitor.enter().ok and visitor.ask("page.js").ok
        assert time.monotonic() - began < 3
        assert len(capfd.readouterr().err) < 1000
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.slow
def test_a_connection_of_a_visitor_outlives_those_of_strangers(client, served, monkeypatch):
    before = client.ask("state")
    connections = idle_sockets(served[1].port, 700)
    time.sleep(1)
    closed = sum(not _open(connection) for connection in connections)
    assert 150 < closed < 700 and _open(connections[-1])
    assert client.ask("state").ok and before.ok
    for connection in connections:
        connection.close()


def test_one_visitor_cannot_take_all_connections(client, served):
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    asked = f"GET /state HTTP/1.1\r\nHost: 127.0.0.1:{served[1].port}\r\nCookie: {cookie}\r\n\r\n".encode()
    connections = idle_sockets(served[1].port, 40)
    for connection in connections:
        connection.sendall(asked)
        assert b"200 OK" in connection.recv(65536)
    time.sleep(0.5)
    assert [_open(connection) for connection in connections] == [False] * 20 + [True] * 20
    for connection in connections:
        connection.close()


def _open(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


class Proxy(threading.Thread):
    """A small reverse proxy: forwards what it hears, by another port, and may strip a prefix or put its own host."""

    def __init__(self, port, *, strip="", host=None):
        super().__init__(daemon=True)
        self.target, self.strip, self.host = port, strip.encode(), host
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.forward(connection)

    def forward(self, connection):
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += connection.recv(65536)
        head, _, body = asked.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while length and len(body) < int(length[1]):
            body += connection.recv(65536)
        if self.strip:
            head = head.replace(b" " + self.strip, b" ", 1)
        if self.host:
            head = re.sub(rb"(?i)\r\nhost: [^\r]*", b"\r\nHost: " + self.host.encode(), head)
        head = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head) + b"\r\nConnection: close"
        with socket.create_connection(("127.0.0.1", self.target)) as onward:
            onward.sendall(head + b"\r\n\r\n" + body)
            while block := onward.recv(65536):
                connection.sendall(block)


@pytest.mark.parametrize("strips", [False, True])
@pytest.mark.parametrize("own_host", [False, True])
def test_behind_a_proxy_with_a_prefix(tmp_path, strips, own_host):
    with serving(tmp_path, base="/services/case/", any_host=False, public="http://hub.example") as (visitors, access):
        proxy = Proxy(
            access.port,
            strip="/services/case" if strips else "",
            host=f"127.0.0.1:{access.port}" if own_host else None,
        )
        proxy.start()
        visitor = Client(f"http://127.0.0.1:{proxy.port}/services/case/?token={access.token}")
        outside = {"Host": "hub.example", "Origin": "http://hub.example"}
        answer = visitor.ask("?" + visitor.query, headers=outside, allow_redirects=False)
        assert answer.headers["Location"] == "./" and "Path=/services/case/" in answer.headers["Set-Cookie"]
        assert visitor.ask(headers=outside).ok and visitor.ask("page.js", headers=outside).ok
        assert visitor.ask("upload", "POST", data=b"1", headers=outside).ok
        assert visitor.ask("upload", "POST", data=b"1", headers={**outside, "Origin": "http://evil"}).status_code == 403
        (one,) = visitors._here.values()
        assert len(one.sent) == 1
        proxy.listener.close()


def test_no_address_of_the_page_is_absolute():
    for name in ("index.html.j2", "waiting.html.j2", "enter.html.j2", "page.js"):
        text = (TEMPLATES / "app" / name).read_text(encoding="utf-8")
        assert not re.search(r"""(href|src|action)=["']/|fetch\(["'`]/|(ask|send)\(["'`]/|https?://""", text), name


def test_the_address_behind_a_proxy(monkeypatch):
    assert _access(1, "").base == "/" and not _access(1, "").any_host
    stated = _access(1, "https://example.org/case")
    assert stated.base == "/case/" and "example.org" in stated.hosts and not stated.any_host
    assert stated.addresses[1].startswith("https://example.org/case/?token=")
    assert _access(1, "/case/").base == "/case/" and _access(1, "/case/").hosts == {"127.0.0.1:1", "localhost:1"}
    for wrong in ("ftp://example.org/", "https:///x", "/case/?x"):
        with raises_three_lines(ParameterError, wrong):
            _access(1, wrong)
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/services/case/")
    assert _access(1, "").base == "/services/case/" and _access(1, "").any_host
    monkeypatch.setenv("EPITOME_APP_TOKEN", "of-the-hub")
    assert _access(1, "").token == "of-the-hub"
    monkeypatch.setenv("JUPYTERHUB_PUBLIC_URL", "https://hub.example/services/case/")
    assert _access(1, "").hosts >= {"hub.example"} and not _access(1, "").any_host


def test_in_a_hub_of_unknown_name_the_token_is_what_counts(tmp_path):
    with serving(tmp_path, base="/services/case/", any_host=True) as (_, access):
        visitor = Client(access.addresses[0])
        outside = {"Host": "hub.example", "Origin": "https://hub.example"}
        assert visitor.ask(headers=outside).status_code == 403
        assert visitor.ask("?" + visitor.query, headers=outside).ok
        assert visitor.ask("scans", "DELETE", headers=outside).ok


def test_folders_of_servers_that_were_killed_are_removed_and_others_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(server_module.tempfile, "tempdir", str(tmp_path))
    killed = tmp_path / "epitome-app-killed"
    killed.mkdir()
    for name in (".lock", "scan"):
        (killed / name).touch()
    with private_folder() as one, private_folder() as two:
        assert not killed.exists() and one.is_dir() and two.is_dir()
        assert one.stat().st_mode & 0o077 == 0
    assert [*tmp_path.iterdir()] == []


def test_no_command_line_holds_the_token(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(server_module.webbrowser, "open", opened.append)
    access, said = _access(1, ""), []
    server_module._announce(access, tmp_path, True, said.append)
    assert access.token not in opened[0] and f"token={access.token}" in said[0]
    page = tmp_path / "open.html"
    assert f"token={access.token}" in page.read_text() and page.stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_nothing_outlives_a_server_that_is_told_to_end(tmp_path, name):
    (tmp_path / "w").mkdir()
    with case_process(tmp_path, tmp_path / "w") as (address, process):
        visitor = Client(address)
        assert visitor.enter().ok and visitor.upload(**{"flair.nii": head().to_bytes()}).ok
        assert visitor.received()["scans"]
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) == 4 and [*tmp_path.glob("epitome-app-*/visitors/*/scans1/*/*.nii")]
        process.send_signal(getattr(signal, name))
        assert process.wait(20) == (-9 if name == "SIGKILL" else 0)
        assert not psutil.wait_procs(workers, timeout=5)[1]
    if name == "SIGKILL":
        assert [*tmp_path.glob("epitome-app-*/visitors/*/scans1/*/*.nii")]
        with case_process(tmp_path, tmp_path / "w"):
            assert len([*tmp_path.glob("epitome-app-*")]) == 1
    assert [*tmp_path.glob("epitome-app-*")] == []
    assert "Traceback" not in (tmp_path / "stderr.txt").read_text()


def test_limits_of_the_page_are_those_of_the_server(tmp_path):
    with serving(tmp_path, Limits(1, 7, 15, 60)) as (_, access):
        page = Client(access.addresses[0]).enter().text
        assert 'data-most="7"' in page and "at most 7 MB" in page
