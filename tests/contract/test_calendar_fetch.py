"""A calendar on a real HTTP server: read, changed, moved, signed out of, and gone."""

import http.server
import threading
from contextlib import ExitStack, contextmanager

import pytest

from calendars import ics, window
from served import HOME, served
from watchkeeper.adapters.calendar_fetch import ANSWER_BYTES_MAX, CalendarFetcher
from watchkeeper.adapters.http import HttpClient
from watchkeeper.errors import Rejected, Unavailable
from watchkeeper.home.calendar import Calendar, CalendarKind
from watchkeeper.home.exclusion import Scope
from watchkeeper.packs.runbook import SecretRef

API = "/api/v1"
ALWAYS = ics(window("20200101T000000Z", "20400101T000000Z", "Closed for good"))


class Said:
    """What the server answers, and what it was asked with."""

    status, body, headers = 200, ALWAYS, {}
    asked: list[dict[str, str]]

    def __init__(self) -> None:
        self.asked = []


@contextmanager
def server(said: Said, port: int = 0):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            said.asked.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)

        def log_message(self, *_):
            return

    found = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found.server_address[1]
    finally:
        found.shutdown()
        found.server_close()
        thread.join()


async def reveal(store: str, path: str) -> str:
    return {("file", "cab"): "the-token"}[store, path]


def at(port: int, **fields) -> Calendar:
    return Calendar(
        name="cab", kind=CalendarKind.FREEZE, scope=Scope(), url=f"http://127.0.0.1:{port}/private/cab.ics", **fields
    )


async def test_one_reading_and_each_way_it_fails():
    said = Said()
    async with HttpClient() as client:
        fetch = CalendarFetcher(client, reveal)
        with server(said) as port:
            assert await fetch(at(port, bearer=SecretRef(store="file", path="cab"))) == ALWAYS
            assert said.asked[-1]["authorization"] == "Bearer the-token"
            assert said.asked[-1]["path"] == "/private/cab.ics"
            said.status = 503
            with pytest.raises(Unavailable, match="the server answered 503"):
                await fetch(at(port))
            said.status = 403
            with pytest.raises(Rejected, match="the server answered 403"):
                await fetch(at(port))
            said.status, said.body = 200, b"x" * (ANSWER_BYTES_MAX + 1)
            with pytest.raises(Rejected, match="more than"):
                await fetch(at(port))
            said.status, said.body, said.headers = 302, b"", {"Location": "http://127.0.0.2:1/"}
            with pytest.raises(Rejected, match="loopback"):
                await fetch(at(port))
        with pytest.raises(Unavailable) as gone:
            await fetch(at(port))
        assert "private" not in str(gone.value)


ENTRY = "- {name: cab, url: 'http://127.0.0.1:PORT/private/cab.ics', kind: freeze, scope: {}, when_unreadable: WHEN, every: 1h, max_age: 2h}\n"
FILE = b"- {name: sale, file: sale.ics, kind: freeze, scope: {environment: staging}}\n"


@pytest.mark.parametrize("when", ["hold", "last_known"])
async def test_a_server_that_goes_away_and_comes_back(when):
    said = Said()
    with ExitStack() as up:
        port = up.enter_context(server(said))
        entry = ENTRY.replace("PORT", str(port)).replace("WHEN", when).encode()
        files = {**HOME, "calendars/calendars.yaml": entry}
        async with HttpClient() as client, served(files, CalendarFetcher(client, reveal)) as node:
            await node.person("alice", "operator")
            async with node.client(node.tokens["alice"]) as alice:

                async def read() -> dict:
                    return (await alice.post(f"{API}/calendars/cab/read", json={})).json()

                async def status(query: str = "") -> dict:
                    return (await alice.get(f"{API}/freeze-status{query}")).json()

                view = await read()
                assert (view["state"], view["events"], view["why"]) == ("closed", 1, "")
                assert view["source"] == f"http://127.0.0.1:{port}", "a path may be a password"
                found = await status()
                assert (found["state"], found["until_at"]) == ("closed", "2040-01-01T00:00:00Z")
                assert found["windows"][0]["calendar"] == "cab"
                earlier = await status("?at=2019-11-01T00:00:00Z")
                assert (earlier["state"], earlier["next"]["from_at"]) == ("open", "2020-01-01T00:00:00Z")
                said.body = ics()
                await read()
                assert (await status())["state"] == "open"
                said.status = 500
                assert (await read())["why"] == "the server answered 500"
                up.close()
                assert (await read())["why"].startswith(f"GET http://127.0.0.1:{port}: ")
                assert (await status())["state"] == ("unknown" if when == "hold" else "open")
                said.status, said.body = 200, ALWAYS
                up.enter_context(server(said, port))
                assert (await read())["why"] == ""
                assert (await status())["state"] == "closed"


async def test_what_is_asked_wrongly_is_said():
    files = {**HOME, "calendars/sale.ics": ALWAYS, "calendars/calendars.yaml": FILE}
    async with served(files) as node:
        await node.person("vera", "viewer")
        async with node.client(node.tokens["vera"]) as vera:
            missing = await vera.get(f"{API}/calendars/none")
            assert missing.status_code == 404
            assert "wk calendars" in missing.json()["detail"]
            assert (await vera.get(f"{API}/freeze-status?at=tomorrow")).status_code == 400
            assert (await vera.get(f"{API}/freeze-status?service=none")).status_code == 400
            assert (await vera.get(f"{API}/freeze-status?service=web")).json()["state"] == "closed"
            assert (await vera.get(f"{API}/freeze-status?environment=prod")).json()["state"] == "open"
            assert (await vera.post(f"{API}/calendars/sale/read", json={})).status_code == 403
            listed = (await vera.get(f"{API}/calendars")).json()["items"]
            assert [(each["name"], each["state"], each["source"]) for each in listed] == [
                ("sale", "closed", "calendars/sale.ics")
            ]
            assert 'watchkeeper_calendars{state="closed"} 1.0' in (await vera.get("/metrics")).text
