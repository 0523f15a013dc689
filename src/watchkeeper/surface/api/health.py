"""Whether this node lives, does its work, and how much of it. Outside `/api/v1`, for machines that look.

`/healthz` and `/readyz` are open and say one word. Figures are for this machine, or for who may read them.
"""

from typing import Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from watchkeeper.approve.roles import Denied, Verb, may
from watchkeeper.surface.api import problems
from watchkeeper.surface.api.hosts import loopback
from watchkeeper.surface.api.metrics import MEDIA
from watchkeeper.surface.api.node import Node, Unsigned

router = APIRouter(tags=["health"])

NO_STORE: Final = {"Cache-Control": "no-store"}
FORWARDED: Final = ("forwarded", "x-forwarded-for")  # somebody stands before us, so loopback says nothing


def _word(status: int, word: str) -> Response:
    headers = {**NO_STORE, **({"Retry-After": str(problems.RETRY_AFTER_S)} if status == 503 else {})}
    return Response(msgspec.json.encode({"status": word}), status, headers, "application/json")


@router.get("/healthz")
async def healthz() -> Response:
    """The process answers."""
    return _word(200, "ok")


@router.get("/readyz", responses={503: {"description": "It does not take deliveries now."}})
async def readyz(request: Request) -> Response:
    """`ok`, `degraded` (deliveries are taken, something else is wrong: see `wk status`), or 503."""
    node: Node = request.app.state.node
    ready, wrong = node.engine.ready()
    if ready:
        return _word(200, "ok")
    if "failed" in wrong or "starting" in wrong:
        return _word(503, "failed" if "failed" in wrong else "starting")
    return _word(200, "degraded")


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    node: Node = request.app.state.node
    client = request.client.host if request.client is not None else ""
    near = loopback(client) and not any(name in request.headers for name in FORWARDED)
    if not near:
        actor = node.actor(request.scope)
        if isinstance(actor, Unsigned):
            return problems.unauthenticated(actor.why)
        if isinstance(denied := may(actor, Verb.METRICS), Denied):
            return problems.problem(403, "not allowed", denied.reason, {"verb": Verb.METRICS.value})
    return Response(await node.metrics.text(), 200, NO_STORE, MEDIA)
