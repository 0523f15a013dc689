"""Events: what was committed, as it is committed, for pages and scripts that watch.

Source: Server-Sent Events, https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import Header, Query
from starlette.responses import Response, StreamingResponse

from watchkeeper.engine.scribe import WATCHERS_MAX, Change
from watchkeeper.surface.api import problems
from watchkeeper.surface.api.door import HEADERS, Family, Here
from watchkeeper.surface.api.lists import CURSOR
from watchkeeper.surface.api.node import Node

family = Family("events")

HEARTBEAT_S: Final = 15.0
RECONNECT_MS: Final = 2_000


@family.get("/events", media="text/event-stream")
async def events(
    node: Here,
    after: Annotated[str | None, Query(pattern=CURSOR)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """`event` is the kind, `id` a number to come back with (Last-Event-ID), `data` the document. `reset` says that some
    were missed: read the lists again.
    """
    if node.engine.scribe.watched_by >= WATCHERS_MAX:
        return problems.problem(503, "later", f"{WATCHERS_MAX} watch already: close a page, or ask again")
    stated = last_event_id if last_event_id is not None and last_event_id.isdigit() else after
    number = int(stated) if stated is not None and len(stated) <= 16 else None
    return StreamingResponse(_stream(node, number), 200, {**HEADERS, "X-Accel-Buffering": "no"}, "text/event-stream")


async def _stream(node: Node, after: int | None) -> AsyncIterator[bytes]:
    """Until the sender goes, the listener closes, or it has fallen too far behind."""
    changes = node.engine.scribe.watch(after)
    closing = asyncio.ensure_future(node.closing.wait())
    coming: asyncio.Future[Change | None] = asyncio.ensure_future(anext(changes))
    try:
        yield f"retry: {RECONNECT_MS}\n: watching\n\n".encode()
        while not node.closing.is_set():
            waited: set[asyncio.Future[Any]] = {coming, closing}
            await asyncio.wait(waited, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                yield b": still here\n\n"
                continue
            try:
                found = coming.result()
            except StopAsyncIteration:
                return
            yield _event(found)
            coming = asyncio.ensure_future(anext(changes))
    finally:
        closing.cancel()
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
            await coming
        await changes.aclose()


def _event(change: Change | None) -> bytes:
    """One line of data: a body is JSON without newlines."""
    if change is None:
        return b"event: reset\ndata: {}\n\n"
    head = f'id: {change.number}\nevent: {change.kind}\ndata: {{"kind":"{change.kind}","id":"{change.id}","document":'
    return head.encode() + change.body + b"}\n\n"
