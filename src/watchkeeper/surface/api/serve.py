"""Listening: TCP for whoever has a token, and the home's socket for who owns it. Both in the engine's loop.

The socket says who speaks by the kernel's word (SO_PEERCRED), which no header can say. Its folder is closed to others.
"""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from watchkeeper.engine.engine import Engine
from watchkeeper.errors import Rejected
from watchkeeper.home.settings import Server, Settings
from watchkeeper.surface.api.asgi import Application, Front
from watchkeeper.surface.api.hooks import Hooks
from watchkeeper.surface.api.hosts import loopback
from watchkeeper.surface.api.node import PEER, Leaser, Node
from watchkeeper.surface.listen import shown

log = structlog.get_logger("watchkeeper.serve")

SOCKET: Final = Path(".watchkeeper") / "api.sock"
SOCKET_PATH_BYTES_MAX: Final = 107
HEAD_BYTES_MAX: Final = 64 * 1024  # request line and headers
CONNECTIONS_MAX: Final = 2_000
HEAD_WITHIN_S: Final = 30.0  # a connection that has not brought a whole head by then is closed: places are few
KEEP_ALIVE_S: Final = 75
STOP_WITHIN_S: Final = 3  # requests under way end within it; then they are let go
BACKLOG: Final = 1_024
_PEERCRED: Final = struct.Struct("3i")  # pid, uid, gid
_WILDCARDS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  recognised here, never chosen


async def serve(
    engine: Engine,
    settings: Settings,
    home: Path,
    host: str,
    port: int,
    *,
    leaser: Leaser | None = None,
    console: Callable[[Node, Application], Application] | None = None,
    ready: Callable[[str, int], None] | None = None,
    stopping: asyncio.Event | None = None,
) -> None:
    """Until `stopping` is set or the task is cancelled; then requests under way get STOP_WITHIN_S to end.

    `ready` is told the address once both listeners accept; port 0 takes any. `console` makes the application that
    answers what is neither API nor hook, and speaks to the API it is given. Whether a host beyond this machine is allowed is the caller's to ask
    (`surface.listen`). Raises Rejected where it cannot listen: another node on the home's socket, a port in use, a
    certificate that cannot be read.
    """
    node = Node(engine, leaser)
    api = _Api(node)
    pages = console(node, api) if console is not None else None
    front = Front(Hooks(node), api, lambda: _names(node.settings.server, host), pages)
    tls = _tls(settings.server, home, host)
    local = _local(home)
    try:
        near = _tcp(host, port)
    except BaseException:  # also when cancelled: no socket stays behind
        _unlink(local, home)
        raise
    server = _Listener(front, near, local, tls)

    def listening(host: str, port: int) -> None:
        node.url = shown(host, port, tls=tls is not None)
        if ready is not None:
            ready(host, port)

    work = asyncio.create_task(server.listen(listening), name="listeners")
    asked = asyncio.create_task((stopping or asyncio.Event()).wait(), name="stop asked")
    loading = asyncio.create_task(api.load(), name="load the API")
    try:
        await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        node.closing.set()
        server.should_exit = True
        asked.cancel()
        loading.cancel()
        try:
            await _through(work)
        finally:
            _unlink(local, home)


class _Api:
    """The framework and its routes, imported beside the loop: hooks are accepted before that is through."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._app: Application | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = self._app or await self.load()
        await app(scope, receive, send)

    async def load(self) -> Application:
        async with self._loading:
            if self._app is None:
                create = await asyncio.to_thread(_create)
                self._app = create(self._node)
        return self._app


def _create() -> Callable[[Node], Application]:
    from watchkeeper.surface.api.app import create_app

    return create_app


async def _through(work: asyncio.Task[None]) -> None:
    """Wait for the listeners to end, also when this task is cancelled meanwhile; they bound themselves."""
    cancelled = False
    while not work.done():
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            cancelled = not work.cancelled()
    if cancelled:
        raise asyncio.CancelledError
    await work


class _Protocol(HttpToolsProtocol):
    """HTTP with three additions: bounds on the head of a request, in bytes and in time, and who is at the other end."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._peer = _peer(transport.get_extra_info("socket"))
        self._head_bytes = 0
        self._in_head = False
        self._late = self.loop.call_later(HEAD_WITHIN_S, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        if not self.transport.is_closing():
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._peer is not None:
            self.scope["extensions"] = {PEER: {"uid": self._peer}}
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Counts what arrives between the first and the last of a head; a piece that begins one may end a body too."""
        before = self._in_head
        super().data_received(data)
        cycle = self.cycle
        if (
            self._in_head or cycle is None or cycle.response_complete
        ):  # nothing to answer yet: bytes alone keep no place
            if self._late is None and not self.transport.is_closing():
                self._late = self.loop.call_later(HEAD_WITHIN_S, self._too_late)
        elif self._late is not None:
            self._in_time()
        if before and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self.send_400_response("the head of the request is too large")


class _Listener(uvicorn.Server):
    """Two listeners under one server: signals belong to who owns the process, and only TCP speaks TLS."""

    def __init__(
        self, front: Application, near: socket.socket, local: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                front,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=CONNECTIONS_MAX,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_WITHIN_S,
            )
        )
        self._near, self._local, self._tls = near, local, tls

    async def listen(self, ready: Callable[[str, int], None] | None) -> None:
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup()
        if ready is not None:
            address = self._near.getsockname()
            ready(address[0], address[1])
        try:
            await self.main_loop()
        finally:
            await self.shutdown()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """The socket first: who sees the port open finds the socket too."""
        del sockets
        loop = asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            return _Protocol(config=self.config, server_state=self.server_state, app_state={}, _loop=loop)

        self.servers = [
            await loop.create_unix_server(protocol, sock=self._local, backlog=BACKLOG),
            await loop.create_server(protocol, sock=self._near, ssl=self._tls, backlog=BACKLOG),
        ]
        self.started = True


def _peer(sock: Any) -> int | None:
    """The uid at the other end of a unix socket; None over TCP, and where the kernel does not say."""
    if sock is None or sock.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return None
    _, uid, _ = _PEERCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size))
    return int(uid)


def _names(server: Server, host: str) -> tuple[str, ...]:
    """Names beyond loopback: those of the settings, and the address itself."""
    return server.hosts if host in _WILDCARDS else (*server.hosts, host)


def _tls(server: Server, home: Path, host: str) -> ssl.SSLContext | None:
    if not server.certificate or not server.key:
        if not loopback(host) and not server.insecure:
            log.warning("listening beyond this machine without TLS", host=host)
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(home / server.certificate, home / server.key)
    except (OSError, ssl.SSLError) as broken:
        raise Rejected(f"server.certificate {server.certificate}: {broken}") from broken
    return context


def _tcp(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.setblocking(False)
            found.bind(address)
            found.listen(BACKLOG)
        except BaseException:  # also when cancelled: no socket stays behind
            found.close()
            raise
    except OSError as taken:
        raise Rejected(f"cannot listen on {host}:{port}: {taken.strerror or taken}; give another --port") from taken
    return found


def _local(home: Path) -> socket.socket:
    """The home's socket, mode 0600 in a folder of mode 0700. One that nobody answers at is left over, and replaced."""
    path = home / SOCKET
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise Rejected(f"{path}: longer than a socket's name may be ({SOCKET_PATH_BYTES_MAX} bytes); move the home")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists():
            if _answers(path):
                raise Rejected(f"{path}: another node serves this home; stop it first")
            path.unlink()
        found.setblocking(False)
        found.bind(str(path))
        path.chmod(0o600)
        found.listen(BACKLOG)
    except OSError as failed:
        found.close()
        raise Rejected(f"{path}: cannot listen there: {failed.strerror or failed}") from failed
    except BaseException:  # also when cancelled: no socket stays behind
        found.close()
        raise
    return found


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError as gone:
            return gone.errno not in {errno.ECONNREFUSED, errno.ENOENT}
    return True


def _unlink(local: socket.socket, home: Path) -> None:
    local.close()
    with contextlib.suppress(FileNotFoundError):
        (home / SOCKET).unlink()
