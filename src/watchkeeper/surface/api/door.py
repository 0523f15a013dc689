"""The door: who may come in by which route, and what every answer has in common.

A route names its verb where it is declared, and `approve.roles.may` answers for it: one table, looked at in one
place, before anything of the request is read. Order: signed in, allowed, not too often, known query, then the body.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from watchkeeper.approve.people import Actor
from watchkeeper.approve.roles import Denied, Verb, may
from watchkeeper.engine.answer import No
from watchkeeper.engine.sessions import form_word
from watchkeeper.errors import WatchkeeperError
from watchkeeper.surface.api import problems
from watchkeeper.surface.api.kept import Keeper, kept_key
from watchkeeper.surface.api.node import FORM_WORD, Node, Unsigned, header, session_text
from watchkeeper.surface.api.problems import HEADERS

VERB: Final = "x-watchkeeper-verb"
BODY_BYTES_MAX: Final = 16 * 1024 * 1024  # a plan carries files; everything else is small
BODY_WITHIN_S: Final = 30.0  # who takes longer is let go

_encoder: Final = msgspec.json.Encoder()

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Answer(Response):
    """JSON by msgspec. `kept`: what is remembered for a repeated request, when it is not the body itself."""

    media_type = "application/json"

    def __init__(self, found: Any, status: int = 200, *, kept: Any = None) -> None:
        super().__init__(_encoder.encode(found), status, dict(HEADERS))
        self.kept = self.body if kept is None else _encoder.encode(kept)


def answer(found: Any, status: int = 200) -> Response:
    """A struct, a map, or *no* with its reason."""
    return problems.of_no(found) if isinstance(found, No) else Answer(found, status)


class Guarded(APIRoute):
    """One route behind the door."""

    def get_route_handler(self) -> Handler:
        inner = super().get_route_handler()
        verb = Verb(self.openapi_extra[VERB]) if self.openapi_extra and VERB in self.openapi_extra else None
        known = frozenset(each.alias for each in self.dependant.query_params)

        async def handle(request: Request) -> Response:
            node: Node = request.app.state.node
            actor = node.actor(request.scope)
            if isinstance(actor, Unsigned):
                return problems.unauthenticated(actor.why)
            if verb is not None and isinstance(denied := may(actor, verb), Denied):
                return problems.problem(403, "not allowed", denied.reason, {"verb": verb.value})
            if not request.app.state.pace.allows(actor.token or actor.name):
                return problems.problem(429, "too often", "slow down a little", headers={"Retry-After": "1"})
            if request.method == "POST" and actor.channel == "session" and not _own_page(request):
                detail = "the request carries no word of our own page: reload the page and try again"
                return problems.problem(403, "not from our page", detail)
            strange = sorted(set(request.query_params) - known)
            if strange:
                listed = ", ".join(sorted(known)) or "none"
                detail = f"query parameter {strange[0]!r} is not known here; known: {listed}"
                return problems.problem(400, "unknown query parameter", detail, {"field": strange[0]})
            request.state.actor = actor
            try:
                if request.method == "POST":
                    return await _posted(request, inner, actor)
                return await inner(request)
            except (HTTPException, RequestValidationError):
                raise
            except WatchkeeperError as refused:
                return problems.of_error(refused)
            except Exception as broken:  # noqa: BLE001  the edge: whatever happens, the answer is a problem
                return problems.of_error(broken)

        return handle


def _own_page(request: Request) -> bool:
    """Whether a page of ours sent it: a page elsewhere can send the cookie, and cannot know the word."""
    word = header(request.scope, FORM_WORD)
    return hmac.compare_digest(word.encode(), form_word(session_text(request.scope)).encode())


async def _posted(request: Request, inner: Handler, actor: Actor) -> Response:
    """The body within its bound, and the answer of an earlier request with the same key."""
    body = await _body(request)
    if isinstance(body, Response):
        return body
    key = kept_key(request.headers.getlist("idempotency-key"))
    if isinstance(key, No):
        return problems.of_no(key)
    if not key:
        return await inner(request)
    keeper: Keeper = request.app.state.keeper
    found = await keeper.begin(actor, key, f"{request.method} {request.url.path}", body)
    if isinstance(found, No):
        return problems.of_no(found)
    if not found.fresh:
        headers = {**HEADERS, "Idempotency-Replayed": "true"}
        return Response(found.body.encode(), found.status, headers, "application/json")
    try:
        response = await inner(request)
    except (HTTPException, RequestValidationError, WatchkeeperError):
        await keeper.let_go(found)
        raise
    except BaseException:  # also when cancelled: nobody knows what was done
        keeper.doubt(found)
        raise
    if response.status_code < 300:
        await keeper.keep(found, response.status_code, bytes(getattr(response, "kept", response.body)))
    else:
        await keeper.let_go(found)
    return response


async def _body(request: Request) -> bytes | Response:
    found = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for chunk in request.stream():
                found += chunk
                if len(found) > BODY_BYTES_MAX:
                    return problems.problem(413, "too large", f"the body is larger than {BODY_BYTES_MAX} bytes")
    except TimeoutError:
        return problems.problem(408, "too slow", f"the body did not arrive within {BODY_WITHIN_S:.0f} s")
    except ClientDisconnect:
        return problems.problem(400, "cannot be read", "the sender hung up")
    request._body = bytes(found)  # noqa: SLF001  where the framework itself keeps it, for who reads it next
    return request._body  # noqa: SLF001


def _actor(request: Request) -> Actor:
    found: Actor = request.state.actor
    return found


def _node(request: Request) -> Node:
    found: Node = request.app.state.node
    return found


Who = Annotated[Actor, Depends(_actor)]
Here = Annotated[Node, Depends(_node)]

Endpoint = Callable[..., Awaitable[Response]]


class Family:
    """The routes of one noun family. `answers` is the shape that the description promises; None: a plain object."""

    def __init__(self, tag: str) -> None:
        self.router = APIRouter(route_class=Guarded, tags=[tag])
        self.shapes: dict[str, Any] = {}

    def get(
        self, path: str, answers: Any = None, *, verb: Verb | None = Verb.READ, media: str = "application/json"
    ) -> Callable[[Endpoint], Endpoint]:
        return self._route("GET", path, 200, answers, verb, media)

    def post(
        self,
        path: str,
        verb: Verb | None,
        answers: Any = None,
        *,
        status: int = 200,
        media: str = "application/json",
    ) -> Callable[[Endpoint], Endpoint]:
        return self._route("POST", path, status, answers, verb, media)

    def _route(
        self, method: str, path: str, status: int, answers: Any, verb: Verb | None, media: str
    ) -> Callable[[Endpoint], Endpoint]:
        extra: Mapping[str, Any] = {VERB: verb.value} if verb is not None else {}

        def add(endpoint: Endpoint) -> Endpoint:
            self.router.add_api_route(
                path,
                endpoint,
                methods=[method],
                status_code=status,
                response_model=None,
                response_class=Response,
                openapi_extra=dict(extra),
                responses={status: {"description": "Done", "content": {media: {"schema": {}}}}},
            )
            self.shapes[f"{method} {path}"] = (status, media, answers)
            return endpoint

        return add
