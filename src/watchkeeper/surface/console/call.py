"""Asking the API from within: the same routes, door and roles as from without, and no socket in between."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from watchkeeper.engine.sessions import form_word
from watchkeeper.surface.api.asgi import Application
from watchkeeper.surface.api.node import COOKIE, FORM_WORD

PREFIX: Final = "/api/v1"
UNSIGNED: Final = 401


class Refused(Exception):
    """The API said no: `status`, its `title`, and the sentence that a person acts upon."""

    def __init__(self, status: int, title: str, detail: str, more: Mapping[str, Any]) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail, self.more = status, title, detail, more


class Api:
    """The API as one session sees it."""

    def __init__(self, application: Application, session: str) -> None:
        self._application, self._session = application, session

    async def get(self, *path: str, **query: Any) -> Any:
        """`path` is quoted part by part. Raises Refused."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return await self._ask("GET", path, urlencode(given, doseq=True), b"")

    async def post(self, *path: str, **body: Any) -> Any:
        return await self._ask("POST", path, "", msgspec.json.encode(body))

    async def _ask(self, method: str, path: tuple[str, ...], query: str, body: bytes) -> Any:
        whole = PREFIX + "".join(f"/{quote(part, safe=':')}" for part in path)
        headers = [
            (b"host", b"localhost"),
            (b"cookie", f"{COOKIE}={self._session}".encode()),
            (FORM_WORD, form_word(self._session).encode()),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": PREFIX + "".join(f"/{part}" for part in path),
            "raw_path": whole.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 0),
        }
        status, found = await _through(self._application, scope, body)
        if status >= 400:
            told = found if isinstance(found, dict) else {}
            raise Refused(status, str(told.get("title", "no")), str(told.get("detail", "the API said no")), told)
        return found


async def _through(application: Application, scope: Any, body: bytes) -> tuple[int, Any]:
    status, chunks, sent = 500, bytearray(), False

    async def receive() -> Any:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            chunks.extend(message.get("body", b""))

    await application(scope, receive, send)
    return status, msgspec.json.decode(bytes(chunks)) if chunks else None
