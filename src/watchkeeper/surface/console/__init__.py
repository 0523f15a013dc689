"""The console: pages over the API, made on this node and shipped with it. A page asks only what `wk` could ask too."""

import asyncio
from collections.abc import Callable
from typing import Any

from watchkeeper.surface.api.asgi import Application
from watchkeeper.surface.api.node import Node


class Pages:
    """Imported when the first page is asked for: hooks and the API never wait for templates."""

    def __init__(self, node: Node, api: Application) -> None:
        self._node, self._api = node, api
        self._app: Application | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = self._app or await self._load()
        await app(scope, receive, send)

    async def _load(self) -> Application:
        async with self._loading:
            if self._app is None:
                create = await asyncio.to_thread(_create)
                self._app = create(self._node, self._api)
        return self._app


def _create() -> Callable[[Node, Application], Application]:
    from watchkeeper.surface.console.app import Console

    return Console
