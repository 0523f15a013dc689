"""HTTP/1.1 on the wire: one request and one answer at a time over connections that are kept for the next.

Nothing here knows which address may be dialled, follows a redirect or sends anything twice. `Lost` and `Strange` say that
the request had left; what fails before comes as OSError or TimeoutError.
"""

import asyncio
import ssl
import zlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import httptools

HEAD_BYTES_MAX: Final = 64 * 1024  # status line and headers of an answer
CONNECTIONS_MAX: Final = 256
CONNECTIONS_PER_ADDRESS_MAX: Final = 64
KEEPALIVE_S: Final = 4.0  # below the five seconds after which common servers hang up on an idle connection

_SWITCHING: Final = 101
_FINAL: Final = 200  # below it an answer only announces another
_WINDOWS: Final = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}


class Lost(Exception):
    """The connection broke under the request."""


class Strange(Exception):
    """What came back is no answer that can be read."""


class Answer(NamedTuple):
    """`decoded`: the body was unpacked. Neither what is read nor what it unpacks to passes the bound."""

    status: int
    headers: dict[str, str]
    body: bytes
    truncated: bool
    decoded: bool


class Place(NamedTuple):
    """What a connection is kept under: one for another certificate or name is another place."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    name: str | None


class Connection(asyncio.Protocol):
    """`exchange` one after the other; `open` says whether another may follow."""

    def __init__(self) -> None:
        self.open = True
        self.idle_since_s = 0.0
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._parser: Any = None

    # -- ours --------------------------------------------------------------------------------------

    async def exchange(self, request: bytes, *, bound: int, bodiless: bool) -> Answer:
        """Raises Lost or Strange: the request has left. Cancelled, it leaves the connection unusable."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Answer] = loop.create_future()
        self._waiter = waiter
        self._parser = httptools.HttpResponseParser(self)
        self._bound, self._bodiless = bound, bodiless
        self._head: list[tuple[bytes, bytes]] = []
        self._head_bytes = self._read_bytes = 0
        self._chunks: list[bytes] = []
        self._in_body = self._until_end = False
        if self._transport is None or not self.open:
            raise Lost
        self._transport.write(request)
        try:
            return await waiter
        except BaseException:  # also when cancelled: an answer that nobody read would be the next request's
            self.close()
            raise
        finally:
            self._waiter = self._parser = None

    def close(self) -> None:
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def _end(self, outcome: Answer | Exception) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if isinstance(outcome, Exception):
            self.open = False
            waiter.set_exception(outcome)
        else:
            waiter.set_result(outcome)

    def _whole(self, *, cut: bool = False) -> None:
        headers: dict[str, str] = {}
        encoding = b""
        for raw, value in self._head:
            name = raw.decode("latin-1").lower()
            text = value.decode("utf-8", "replace")
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
            if name == "content-encoding":
                encoding = value.strip().lower()
        window = _WINDOWS.get(encoding)
        status: int = self._parser.get_status_code()
        body, truncated = _unpacked(self._chunks, self._bound, window) if window else (b"".join(self._chunks), False)
        truncated = truncated or cut
        if truncated:
            body = body[: self._bound]
        self._end(Answer(status, headers, body, truncated, window is not None))

    # -- what the transport says -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport writes

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            self.close()  # nothing was asked
            return
        if not self._in_body:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as unread:
            self._end(Strange(type(unread).__name__))
            self.close()
        if not self._in_body and self._head_bytes > HEAD_BYTES_MAX:
            self._end(Strange("its head is too large"))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self._until_end and error is None:
            self._whole()
        else:
            self._end(Lost())

    # -- what the parser says ----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._waiter is None or self._waiter.done():
            self.open = False  # more than one answer to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == _SWITCHING:
            self._end(Strange("it switched to another protocol"))
            return
        if status < _FINAL:
            return
        self._in_body = True
        if self._bodiless:
            self.open = False
            self._whole()
            return
        framed = {name.lower() for name, _ in self._head} & {b"content-length", b"transfer-encoding"}
        self._until_end = not framed and status not in {204, 304}

    def on_body(self, chunk: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            return
        self._read_bytes += len(chunk)
        self._chunks.append(chunk)
        if self._read_bytes > self._bound:
            self.open = False
            self._whole(cut=True)

    def on_message_complete(self) -> None:
        if not self._in_body:  # an answer that only announced another
            self._head.clear()
            return
        if not self._parser.should_keep_alive():
            self.open = False
        self._whole()


class _Gate:
    """How many may be under way to one place, and how many use it or wait for it."""

    __slots__ = ("room", "users")

    def __init__(self) -> None:
        self.room = asyncio.Semaphore(CONNECTIONS_PER_ADDRESS_MAX)
        self.users = 0


class Connections:
    """Kept by place. Made and closed in one event loop."""

    def __init__(self) -> None:
        self._idle: dict[Place, list[Connection]] = {}
        self._gates: dict[Place, _Gate] = {}
        self._all = asyncio.Semaphore(CONNECTIONS_MAX)
        self._sweeping: asyncio.TimerHandle | None = None

    async def exchange(
        self,
        place: Place,
        request: bytes,
        *,
        bound: int,
        bodiless: bool,
        connect_within_s: float,
        leaving: Callable[[], None],
    ) -> Answer:
        """`leaving` is called once there is a connection: from then on bytes may be written."""
        gate = self._gates.get(place)
        if gate is None:
            gate = self._gates[place] = _Gate()
        gate.users += 1
        try:
            async with self._all, gate.room:
                connection = self._kept(place) or await _dial(place, connect_within_s)
                leaving()
                found = await connection.exchange(request, bound=bound, bodiless=bodiless)
                self._keep(place, connection)
                return found
        finally:
            gate.users -= 1
            if not gate.users:
                del self._gates[place]

    def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for kept in self._idle.values():
            for each in kept:
                each.close()
        self._idle.clear()

    def _kept(self, place: Place) -> Connection | None:
        kept = self._idle.get(place)
        now_s = asyncio.get_running_loop().time()
        while kept:
            found = kept.pop()
            if found.open and now_s - found.idle_since_s < KEEPALIVE_S:
                return found
            found.close()
        return None

    def _keep(self, place: Place, connection: Connection) -> None:
        if not connection.open:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since_s = loop.time()
        self._idle.setdefault(place, []).append(connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(KEEPALIVE_S, self._sweep)

    def _sweep(self) -> None:
        """What was idle for too long goes."""
        loop = asyncio.get_running_loop()
        self._sweeping = None
        for place, kept in tuple(self._idle.items()):
            still = [each for each in kept if each.open and loop.time() - each.idle_since_s < KEEPALIVE_S]
            for each in kept:
                if each not in still:
                    each.close()
            if still:
                self._idle[place] = still
            else:
                del self._idle[place]
        if self._idle:
            self._sweeping = loop.call_later(KEEPALIVE_S, self._sweep)


async def _dial(place: Place, within_s: float) -> Connection:
    async with asyncio.timeout(within_s):
        _, connection = await asyncio.get_running_loop().create_connection(
            Connection, place.host, place.port, ssl=place.tls, server_hostname=place.name
        )
    return connection


def _unpacked(chunks: list[bytes], bound: int, window: int) -> tuple[bytes, bool]:
    """(body, truncated), unpacked no further than one byte past the bound."""
    unpack = zlib.decompressobj(window)
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        try:
            part = unpack.decompress(chunk, bound - size + 1)
        except zlib.error:
            return b"".join(parts), True
        parts.append(part)
        size += len(part)
        if size > bound:
            return b"".join(parts), True
        if unpack.eof:
            return b"".join(parts), bool(unpack.unused_data)
    return b"".join(parts), bool(chunks) and not unpack.eof
