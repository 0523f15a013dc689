"""The front: everything that arrives on a socket comes through here, hooks beside the framework and the rest through it."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from watchkeeper.surface.api import problems
from watchkeeper.surface.api.hooks import PREFIX, Hooks
from watchkeeper.surface.api.hosts import known
from watchkeeper.surface.api.node import PEER, header

API: Final = ("/api/", "/healthz", "/readyz", "/metrics")
MISDIRECTED: Final = 421

Application = Callable[[Any, Any, Any], Any]


class Front:
    """`console` answers what is neither API nor hook; without one the API says that nothing is there.

    `hosts` are names beyond loopback that this node answers to. On the home's socket any name is right: only a
    process of its owner can speak there.
    """

    def __init__(
        self, hooks: Hooks, api: Application, hosts: Callable[[], Iterable[str]], console: Application | None = None
    ) -> None:
        self._hooks, self._api, self._hosts, self._console = hooks, api, hosts, console

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            case _:
                await _lifespan(receive, send)

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        host = header(scope, b"host")
        if PEER not in (scope.get("extensions") or {}) and not known(host, self._hosts()):
            shown = host[:100] or "none"
            detail = f"this node does not answer to the name {shown!r}: add it to server.hosts in watchkeeper.yaml"
            await problems.problem(MISDIRECTED, "unknown host", detail)(scope, receive, send)
            return
        path = scope["path"]
        if path.startswith(PREFIX):
            await self._hooks(scope, receive, send)
        elif self._console is None or path.startswith(API):
            await self._api(scope, receive, send)
        else:
            await self._console(scope, receive, send)


async def _lifespan(receive: Any, send: Any) -> None:
    """The engine is started and stopped by who owns it."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
