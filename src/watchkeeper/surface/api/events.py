"""Events: what was committed, as it is committed, for pages and scripts that watch.

Source: Server-Sent Events, https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import Header, Query, Request
from starlette.responses import Response, StreamingResponse

from watchkeeper.approve.roles import Allowed, Verb, may
from watchkeeper.engine.scribe import WATCHERS_MAX, Change
from watchkeeper.surface.api import problems
from watchkeeper.surface.api.door import Family, Here
from watchkeeper.surface.api.lists import CURSOR
from watchkeeper.surface.api.node import Node, Unsigned
from watchkeeper.surface.api.problems import HEADERS

family = Family("events")

LOOKED_S: Final = 3.0  # how often it is asked whether who watches may still read
HEARTBEAT_LOOKS: Final = 5  # a sign of life after so many looks in which nothing came
RECONNECT_MS: Final = 2_000


@family.get("/events", media="text/event-stream")
async def events(
    node: Here,
    request: Request,
    after: Annotated[str | None, Query(pattern=CURSOR)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """`event` is the kind, `id` a number to come back with (Last-Event-ID), `data` the document. `reset` says that some
    were missed: read the lists again. It ends with the right to read: a revoked token, a session that is over.
    """
    if node.engine.scribe.watched_by >= WATCHERS_MAX:
        return problems.problem(503, "later", f"{WATCHERS_MAX} watch already: close a page, or ask again")
    stated = last_event_id if last_event_id is not None and last_event_id.isdigit() else after
    number = int(stated) if stated is not None and len(stated) <= 16 else None
    return StreamingResponse(
        watched(node, request.scope, number), 200, {**HEADERS, "X-Accel-Buffering": "no"}, "text/event-stream"
    )


async def watched(node: Node, scope: Any, after: int | None) -> AsyncIterator[bytes]:
    """Until the sender goes or may not read any more, the listener closes, or it has fallen too far behind."""
    changes = node.engine.scribe.watch(after)
    closing = asyncio.ensure_future(node.closing.wait())
    coming: asyncio.Future[Change | None] = asyncio.ensure_future(anext(changes))
    try:
        quiet = 0
        yield f"retry: {RECONNECT_MS}\n: watching\n\n".encode()
        while not node.closing.is_set():
            waited: set[asyncio.Future[Any]] = {coming, closing}
            await asyncio.wait(waited, timeout=LOOKED_S, return_when=asyncio.FIRST_COMPLETED)
            if not _reads(node, scope):
                return
            if not coming.done():
                quiet += 1
                if quiet % HEARTBEAT_LOOKS == 0:
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


def _reads(node: Node, scope: Any) -> bool:
    """Whether who came with this request is still signed in and may read."""
    actor = node.actor(scope)
    return not isinstance(actor, Unsigned) and isinstance(may(actor, Verb.READ), Allowed)


def _event(change: Change | None) -> bytes:
    """One line of data: a body is JSON without newlines."""
    if change is None:
        return b"event: reset\ndata: {}\n\n"
    head = f'id: {change.number}\nevent: {change.kind}\ndata: {{"kind":"{change.kind}","id":"{change.id}","document":'
    return head.encode() + change.body + b"}\n\n"
