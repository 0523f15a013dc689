"""HTTP/1.1 over loopback as cheaply as Python has it, so that the sender and the target cost little beside the node.

Keep-alive, Content-Length, no chunks: both ends are ours and a node's own client.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

HOST: Final = "127.0.0.1"
ANSWERS: Final = {200: b"HTTP/1.1 200 OK\r\n", 202: b"HTTP/1.1 202 Accepted\r\n"}
_LENGTH: Final = b"content-length:"
_KEY: Final = b"idempotency-key:"


class Received(NamedTuple):
    path: str
    key: str
    body: bytes


Take = Callable[[Received], tuple[int, bytes]]


class _Server(asyncio.Protocol):
    def __init__(self, take: Take) -> None:
        self._take = take
        self._buffer = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = int(_field(head, _LENGTH) or b"0")
            stop = end + 4 + length
            if len(self._buffer) < stop:
                return
            body, self._buffer = self._buffer[end + 4 : stop], self._buffer[stop:]
            path = head[: head.index(b"\r\n")].split(b" ")[1].decode()
            status, answer = self._take(Received(path, _field(head, _KEY).decode(), body))
            self._transport.write(
                ANSWERS[status] + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer
            )


def _field(head: bytes, name: bytes) -> bytes:
    lower = head.lower()
    at = lower.find(b"\r\n" + name)
    if at < 0:
        return b""
    start = at + 2 + len(name)
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()


async def listen(take: Take) -> tuple[asyncio.Server, int]:
    server = await asyncio.get_running_loop().create_server(lambda: _Server(take), HOST, 0, backlog=1_024)
    return server, server.sockets[0].getsockname()[1]


class Caller(asyncio.Protocol):
    """One kept connection, one request at a time. The status is 0 when the connection broke."""

    def __init__(self, host: str, port: int, path: str, token: str) -> None:
        self._host, self._port = host, port
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: "
        ).encode()
        self._buffer = b""
        self._answer: asyncio.Future[int] | None = None
        self._transport: Any = None

    async def connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, self._host, self._port)

    def close(self) -> None:
        self._transport.close()

    async def post(self, body: bytes) -> int:
        if self._transport is None or self._transport.is_closing():
            return 0
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(self._head + str(len(body)).encode() + b"\r\n\r\n" + body)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(0)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._answer is None:
            return
        head = self._buffer[:end]
        stop = end + 4 + int(_field(head, _LENGTH) or b"0")
        if len(self._buffer) >= stop:
            self._buffer = b""  # one answer to one request; what a peer sends in chunks behind it is not read
            if not self._answer.done():
                self._answer.set_result(int(head[9:12]))
