"""HTTP/1.1 on this machine: as little of it as the demo's own processes need. Standard library only, so that a service
is up in a blink.

One request a connection. Not for anything that leaves loopback.
"""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from random import randrange
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

HOST: Final = "127.0.0.1"
HEAD_BYTES_MAX: Final = 32 * 1024
BODY_BYTES_MAX: Final = 8 * 1024 * 1024
REQUEST_TIMEOUT_S: Final = 10.0
PORT_FIRST: Final = 10_240
PORT_TRIES_MAX: Final = 200
LENT: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
LENT_USUALLY: Final = 32_768

_given: set[int] = set()


class Asked(NamedTuple):
    """A request. Header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as an object; empty when it is none."""
        with suppress(ValueError):
            found = json.loads(self.body)
            if isinstance(found, dict):
                return found
        return {}


class Answer(NamedTuple):
    status: int
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


Handler = Callable[[Asked], Awaitable[Answer]]


def answer(code: int, **content: Any) -> Answer:
    return Answer(code, json.dumps(content).encode())


def problem(status: int, detail: str) -> Answer:
    """Source: RFC 9457."""
    return answer(status, title=HTTPStatus(status).phrase, status=status, detail=detail)


def free_port() -> int:
    """A port that nobody has now, below those that the kernel lends to whoever calls out: a service that is down for a
    while finds its own still free. None is given twice by one process.
    """
    for _ in range(PORT_TRIES_MAX):
        port = randrange(PORT_FIRST, _lent_from())
        if port in _given:
            continue
        with socket.socket() as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                found.bind((HOST, port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise OSError(f"no free port from {PORT_FIRST} to {_lent_from() - 1} after {PORT_TRIES_MAX} tries")


def _lent_from() -> int:
    """Source: ip_local_port_range, https://docs.kernel.org/networking/ip-sysctl.html"""
    try:
        first = int(LENT.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return LENT_USUALLY
    return first if first > PORT_FIRST + PORT_TRIES_MAX else LENT_USUALLY


async def serve(handler: Handler, port: int) -> asyncio.Server:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                asked = await _asked(reader)
            found = await handler(asked)
            writer.write(_head(found) + found.body)
            await writer.drain()
        writer.close()

    return await asyncio.start_server(connected, HOST, port, limit=HEAD_BYTES_MAX)


async def call(
    method: str,
    url: str,
    *,
    content: Any = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = REQUEST_TIMEOUT_S,
    through: Path | None = None,
) -> Answer:
    """`through` is a socket in the file system. Raises OSError when nobody answers (refused, reset, gone silent: then TimeoutError, which is one too)."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    body = b"" if content is None else json.dumps(content).encode()
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    if content is not None:
        lines.append("Content-Type: application/json")
    lines += [f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    async with asyncio.timeout(timeout_s):
        if through is not None:
            reader, writer = await asyncio.open_unix_connection(through, limit=HEAD_BYTES_MAX)
        else:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80, limit=HEAD_BYTES_MAX)
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            await writer.drain()
            first, fields = _fields(await reader.readuntil(b"\r\n\r\n"))
            found = await _body(reader, fields)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as cut:
            raise ConnectionResetError(f"{url}: the answer was cut off") from cut
        finally:
            writer.close()
    return Answer(int(first.split()[1]), found)


async def _asked(reader: asyncio.StreamReader) -> Asked:
    first, fields = _fields(await reader.readuntil(b"\r\n\r\n"))
    method, _, rest = first.partition(" ")
    return Asked(method, rest.partition(" ")[0].partition("?")[0], fields, await _exactly(reader, fields))


def _fields(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _exactly(reader: asyncio.StreamReader, fields: Mapping[str, str]) -> bytes:
    length = int(fields.get("content-length", "0"))
    if length > BODY_BYTES_MAX:
        raise ConnectionResetError(f"a body of {length} bytes, at most {BODY_BYTES_MAX}")
    return await reader.readexactly(length)


async def _body(reader: asyncio.StreamReader, fields: Mapping[str, str]) -> bytes:
    """By length, in chunks, or up to the end of the connection. Source: RFC 9112 section 6.3."""
    if "content-length" in fields:
        return await _exactly(reader, fields)
    if fields.get("transfer-encoding", "").lower() != "chunked":
        return await reader.read(BODY_BYTES_MAX)
    found = b""
    while size := int((await reader.readline()).partition(b";")[0], 16):
        found += await reader.readexactly(size)
        await reader.readline()
        if len(found) > BODY_BYTES_MAX:
            raise ConnectionResetError(f"a body of more than {BODY_BYTES_MAX} bytes")
    return found


def _head(found: Answer) -> bytes:
    kind = "application/problem+json" if found.status >= 400 else "application/json"
    return (
        f"HTTP/1.1 {found.status} {HTTPStatus(found.status).phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(found.body)}\r\nConnection: close\r\n\r\n"
    ).encode()
