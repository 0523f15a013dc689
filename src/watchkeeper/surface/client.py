"""A client of the node's HTTP API: over the socket in a home, or over TCP with a token. Standard library, quick to start.

No retries: a person or a script that waits decides about that. A POST carries an Idempotency-Key, so that sending it
again with the same key changes nothing.
"""

import http.client
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from watchkeeper.errors import Rejected, Unavailable, WatchkeeperError

SOCKET: Final = Path(".watchkeeper") / "api.sock"
API: Final = "/api/v1"
ANSWER_TIMEOUT_S: Final = 60.0
ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
PAGE_MAX: Final = 1_000
CHUNK_BYTES: Final = 1024 * 1024
SOCKET_PATH_BYTES_MAX: Final = 107  # of a unix socket's address on Linux


class NoNode(Unavailable):
    """Nobody listens there."""


class Problem(WatchkeeperError):
    """The node said no, or could not: RFC 9457 as it came. `detail` is a sentence for a person."""

    def __init__(self, status: int, title: str, detail: str, more: Mapping[str, Any]) -> None:
        super().__init__(detail or title)
        self.status, self.title, self.detail, self.more = status, title, detail or title, dict(more)

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Problems in files: file, line, column, field, message, expected."""
        found = self.more.get("errors")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


class Where(Struct, frozen=True, kw_only=True):
    """One node. `socket` is used when it is set; otherwise `url` with `token`."""

    socket: Path | None = None
    url: str = ""
    token: str = ""
    name: str = ""


class _Local(http.client.HTTPConnection):
    """HTTP over a unix socket. The node knows the caller by its uid."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        path = str(self._path)
        if len(path.encode()) > SOCKET_PATH_BYTES_MAX:
            raise Rejected(f"{path}: longer than a socket's name may be ({SOCKET_PATH_BYTES_MAX} bytes); move the home")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(path)


class Client:
    """One connection a request: a command makes few of them, and a node that restarts is not a broken pipe."""

    def __init__(
        self, where: Where, *, timeout_s: float = ANSWER_TIMEOUT_S, spare: Callable[[], str] = lambda: ""
    ) -> None:
        """`spare` is a token that may stand in where the caller may not read: the home's own, while nobody is known."""
        self.where, self._timeout_s, self._spare = where, timeout_s, spare

    def within(self, timeout_s: float) -> "Client":
        """The same, waiting so long for an answer."""
        return Client(self.where, timeout_s=timeout_s, spare=self._spare)

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The decoded answer. Raises NoNode, Problem, Unavailable, Rejected."""
        return self._asked("GET", _url(path, query), None, {})

    def text(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """An answer that is text (`/ledger/checkpoint`, a Markdown page), or the JSON string in it."""
        kind, body = self._send("GET", _url(path, query), None, {})
        if kind.endswith("json"):
            found = msgspec.json.decode(body)
            return found if isinstance(found, str) else msgspec.json.format(body).decode()
        return body.decode("utf-8", "replace")

    def post(self, path: str, body: Any = None, *, match: str = "", key: str = "", asks: bool = False) -> Any:
        """`match` is the digest that was displayed; `key` names the act, so that the same act is done once. `asks`: it
        changes nothing, so that its answer need not be kept, and the spare token may stand in as for a `get`.
        """
        headers = {"Content-Type": "application/json"}
        data = msgspec.json.encode({} if body is None else body)
        if asks:
            return self._asked("POST", _url(path, None), data, headers)
        headers["Idempotency-Key"] = key or secrets.token_hex(16)
        if match:
            headers["If-Match"] = f'"{match}"'
        return self._json("POST", _url(path, None), data, headers)

    def download(self, path: str, body: Any, into: BinaryIO) -> int:
        """The answer to a POST, which may be of any size, into a file; how many bytes it had. Raises as `get` does."""
        connection = self._connection()
        headers = {"Content-Type": "application/json", "User-Agent": "watchkeeper-cli"}
        if self.where.token:
            headers["Authorization"] = f"Bearer {self.where.token}"
        size = 0
        try:
            connection.request("POST", _url(path, None), body=msgspec.json.encode(body), headers=headers)
            answer = connection.getresponse()
            if answer.status >= 400:
                raise _problem(answer.status, answer.reason, answer.read(ANSWER_BYTES_MAX))
            while chunk := answer.read(CHUNK_BYTES):
                into.write(chunk)
                size += len(chunk)
        except (FileNotFoundError, ConnectionRefusedError, socket.gaierror) as nobody:
            raise NoNode(f"no node listens at {self.where.name}") from nobody
        except (TimeoutError, http.client.HTTPException, ConnectionError) as lost:
            raise Unavailable(f"{self.where.name}: the connection was lost ({lost}): try again") from lost
        finally:
            connection.close()
        return size

    def items(self, path: str, query: Mapping[str, Any] | None = None, *, limit: int = 100) -> Iterator[dict[str, Any]]:
        """Up to `limit` items of a listing, page after page, newest first."""
        after: str | None = None
        left = limit
        while left > 0:
            asked = {**(query or {}), "limit": min(left, PAGE_MAX), **({"after": after} if after else {})}
            page = self.get(path, asked)
            yield from page["items"][:left]
            left -= len(page["items"])
            after = page.get("next")
            if not after or not page["items"]:
                return

    def _asked(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Any:
        try:
            return self._json(method, url, body, headers)
        except Problem as said:
            token = self._spare() if said.status in {401, 403} else ""
            if not token:
                raise
            try:
                return self._json(method, url, body, {**headers, "Authorization": f"Bearer {token}"})
            except Problem:
                raise said from None  # the first no is the one about the caller

    def _json(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Any:
        _, answer = self._send(method, url, body, headers)
        if not answer:
            return None
        try:
            return msgspec.json.decode(answer)
        except msgspec.MsgspecError as broken:
            raise Unavailable(f"{self.where.name} answered {url} with something that is not JSON: {broken}") from broken

    def _send(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[str, bytes]:
        connection = self._connection()
        sent = {"Accept": "application/json", "User-Agent": "watchkeeper-cli"}
        if self.where.token:
            sent["Authorization"] = f"Bearer {self.where.token}"
        sent.update(headers)
        try:
            connection.request(method, url, body=body, headers=sent)
            answer = connection.getresponse()
            data = answer.read(ANSWER_BYTES_MAX + 1)
        except (FileNotFoundError, ConnectionRefusedError, socket.gaierror) as nobody:
            raise NoNode(f"no node listens at {self.where.name}") from nobody
        except PermissionError as closed:
            raise Rejected(f"{self.where.name}: the socket is not yours to use ({closed.strerror})") from closed
        except TimeoutError as late:
            raise Unavailable(f"{self.where.name} did not answer within {self._timeout_s:g} s") from late
        except (OSError, http.client.HTTPException) as lost:
            raise Unavailable(f"{self.where.name}: the connection was lost ({lost}); look before you repeat") from lost
        finally:
            connection.close()
        if len(data) > ANSWER_BYTES_MAX:
            raise Unavailable(f"{self.where.name}: more than {ANSWER_BYTES_MAX} bytes; ask for less with --limit")
        kind = (answer.getheader("Content-Type") or "").partition(";")[0].strip()
        if answer.status >= 400:
            raise _problem(answer.status, answer.reason, data)
        return kind, data

    def _connection(self) -> http.client.HTTPConnection:
        if self.where.socket is not None:
            return _Local(self.where.socket, self._timeout_s)
        parts = urlsplit(self.where.url)
        make: Callable[..., http.client.HTTPConnection] = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        return make(parts.hostname or "127.0.0.1", parts.port, timeout=self._timeout_s)


def segment(text: str) -> str:
    """Text as one segment of a path."""
    return quote(text, safe="")


def _url(path: str, query: Mapping[str, Any] | None) -> str:
    kept = [(name, _word(value)) for name, value in (query or {}).items() if value not in (None, "", False)]
    start = path if path.startswith(("/healthz", "/readyz")) else f"{API}{path}"
    return f"{start}?{urlencode(kept)}" if kept else start


def _word(value: Any) -> str:
    return "true" if value is True else str(value)


def _problem(status: int, reason: str, data: bytes) -> Problem:
    try:
        found = msgspec.json.decode(data)
    except msgspec.MsgspecError:
        found = {}
    if not isinstance(found, dict):
        found = {}
    title = str(found.pop("title", "") or reason or status)
    detail = str(found.pop("detail", "") or "")
    return Problem(status, title, detail, found)
