"""The client against a small server on a unix socket: what it sends, and what it makes of every answer."""

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from watchkeeper.errors import Rejected, Unavailable
from watchkeeper.surface.client import Client, NoNode, Problem, Where, segment


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str) -> None:
        super().__init__(path, Handler)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, str, bytes]] = []

    def get_request(self) -> tuple[Any, Any]:
        request, _ = super().get_request()
        return request, ("local", 0)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, self.path, headers, self.rfile.read(size)))
        status, kind, body = self.server.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  the name the handler is called by

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(str(tmp_path / "s")) as found:
        threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield found
        found.shutdown()


@pytest.fixture
def client(tmp_path: Path, server: Server) -> Client:
    del server
    return Client(Where(socket=tmp_path / "s", name="here"))


def said(server: Server, body: Any, status: int = 200, kind: str = "application/json") -> None:
    server.answers.append((status, kind, json.dumps(body).encode()))


def test_a_query_leaves_out_what_is_not_given(client: Client, server: Server) -> None:
    said(server, {"items": [], "next": None})
    client.get("/alerts", {"state": "firing", "entity": "", "unmapped": False, "severity": None, "limit": 3})
    method, path, headers, _ = server.seen[0]
    assert (method, path) == ("GET", "/api/v1/alerts?state=firing&limit=3")
    assert "authorization" not in headers


def test_a_post_carries_a_key_of_its_own_and_the_digest_that_was_shown(client: Client, server: Server) -> None:
    for _ in range(2):
        said(server, {})
        client.post("/approvals/x/approve", {"digest": "d"}, match="d")
    first, second = (headers for _, _, headers, _ in server.seen)
    assert first["if-match"] == '"d"'
    assert first["idempotency-key"] != second["idempotency-key"]
    assert json.loads(server.seen[0][3]) == {"digest": "d"}


def test_items_goes_from_page_to_page_and_ends_at_its_limit(client: Client, server: Server) -> None:
    said(server, {"items": [{"id": "1"}, {"id": "2"}], "next": "c"})
    said(server, {"items": [{"id": "3"}, {"id": "4"}], "next": "d"})
    assert [each["id"] for each in client.items("/runs", limit=3)] == ["1", "2", "3"]
    assert server.seen[1][1] == "/api/v1/runs?limit=1&after=c"


def test_a_problem_is_told_with_its_status_and_sentence(client: Client, server: Server) -> None:
    body = {
        "type": "about:blank",
        "title": "changed",
        "status": 409,
        "detail": "It changed.",
        "errors": [{"file": "a"}],
    }
    said(server, body, 409, "application/problem+json")
    with pytest.raises(Problem, match=r"^It changed\.$") as problem:
        client.get("/runs/x")
    assert problem.value.status == 409
    assert problem.value.errors == [{"file": "a"}]


def test_an_answer_that_is_no_json_is_not_a_crash(client: Client, server: Server) -> None:
    server.answers.append((502, "text/html", b"<html>"))
    with pytest.raises(Problem) as problem:
        client.get("/runs")
    assert problem.value.status == 502
    server.answers.append((200, "application/json", b"{"))
    with pytest.raises(Unavailable, match="not JSON"):
        client.get("/runs")


def test_reading_falls_back_to_the_homes_own_token_and_acting_does_not(tmp_path: Path, server: Server) -> None:
    client = Client(Where(socket=tmp_path / "s", name="here"), spare=lambda: "wk_spare")
    said(server, {"title": "not allowed", "detail": "alice may not read."}, 403)
    said(server, {"ok": True})
    assert client.get("/status") == {"ok": True}
    assert server.seen[1][2]["authorization"] == "Bearer wk_spare"
    said(server, {"title": "not allowed", "detail": "alice may not read."}, 403)
    said(server, {"title": "not signed in", "detail": "The token expired."}, 401)
    with pytest.raises(Problem, match="alice may not read"):
        client.get("/status")
    said(server, {"title": "not allowed", "detail": "alice may not stop."}, 403)
    with pytest.raises(Problem, match="alice may not stop"):
        client.post("/stops", {})
    assert len(server.seen) == 5
    said(server, {"title": "not allowed", "detail": "alice may not read."}, 403)
    said(server, {"items": []})
    assert client.post("/history/try", {"days": 1}, asks=True) == {"items": []}
    assert server.seen[6][2]["authorization"] == "Bearer wk_spare"
    assert "idempotency-key" not in server.seen[6][2]  # nothing is done, so nothing is kept of it


def test_nobody_there_is_its_own_answer(tmp_path: Path) -> None:
    with pytest.raises(NoNode):
        Client(Where(socket=tmp_path / "none", name="here")).get("/status")
    with pytest.raises(NoNode):
        Client(Where(url="http://127.0.0.1:1", name="far")).get("/status")
    with pytest.raises(Rejected, match="longer than a socket's name may be"):
        Client(Where(socket=tmp_path / ("x" * 200), name="here")).get("/status")


def test_a_segment_cannot_leave_its_path() -> None:
    assert segment("../stops?x=1#y") == "..%2Fstops%3Fx%3D1%23y"
