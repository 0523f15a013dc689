"""Hooks: a POST becomes one durable row, and only then a 2xx. Without the framework, because this path is the load.

Under pressure the answer is 503 with Retry-After: senders try that again, and give up on everything else. 400 is said
only of what nothing can be read of.
"""

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from time import monotonic
from typing import Any, Final

import msgspec
import structlog
from msgspec import Raw, Struct
from starlette.responses import Response

from watchkeeper.engine.intake import is_json
from watchkeeper.errors import Malformed, Rejected, Unavailable
from watchkeeper.home.settings import SourceKind
from watchkeeper.surface.api import problems
from watchkeeper.surface.api.hook_credentials import sender_of, why_not
from watchkeeper.surface.api.node import Node, header
from watchkeeper.surface.api.pace import Pace
from watchkeeper.surface.api.sns_signature import confirmed, signed_by_sns

log = structlog.get_logger("watchkeeper.hooks")

PREFIX: Final = "/hooks/"
BODY_WITHIN_S: Final = 30.0  # a sender that takes longer is let go
BODY_BYTES_MAX: Final = 4 * 1024 * 1024 - 65_536  # what one row of any store holds, whatever the settings allow
FORMATS: Final = {"alertmanager": "alertmanager", "grafana": "grafana", "cloudevents": "cloudevents"}
OWN: Final = {
    "alertmanager-events": SourceKind.ALERTMANAGER,
    "sns": SourceKind.SNS,
    "pagerduty": SourceKind.PAGERDUTY,
    "github": SourceKind.GITHUB,
}
NAMED: Final = {"generic": "generic", "heartbeat": "beat"}
_BATCHES: Final = frozenset({SourceKind.ALERTMANAGER, SourceKind.GRAFANA, SourceKind.CLOUDEVENTS})
_EMPTY_BEAT: Final = b"{}"


class Hook(Struct, frozen=True):
    """What an address means: the parser, the name in it, and the sources that may post there."""

    format: str
    name: str
    sources: tuple[str, ...]


class _Batch(Struct):
    alerts: list[Raw]


NO_CREDENTIAL: Final = (
    "no credential of a source that may post here: send its token as 'Authorization: Bearer ...' "
    "(wk token create --source NAME), or what its credential in watchkeeper.yaml says; wk sources on the node says why"
)
NO_SNS: Final = (
    "not signed by SNS for a topic that a source names in its 'topics' (raw message delivery must be off); wk sources on "
    "the node says why"
)
_accepted: Final = msgspec.json.Encoder().encode
_batch: Final = msgspec.json.Decoder(_Batch)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Hooks:
    """An ASGI application for everything below `/hooks/`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._pace = Pace(lambda: node.settings.limits.api_requests_per_s, monotonic)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            response = await self._answer(scope, receive)
            if isinstance(response, bytes):
                await send(_start(len(response)))
                await send({"type": "http.response.body", "body": response})
                return
        except Unavailable as later:
            response = problems.problem(503, "later", str(later))
        except Rejected as refused:
            log.warning("a hook cannot be served", path=scope["path"], why=str(refused))
            response = problems.problem(503, "later", "this hook cannot be served now; the log of this node says why")
        except Exception as broken:  # noqa: BLE001  the edge: a sender must hear *later*, never a broken connection
            response = problems.of_error(broken)
        await response(scope, receive, send)

    async def _answer(self, scope: Mapping[str, Any], receive: Any) -> Response | bytes:
        """Bytes: it was accepted, and this is said with a 202."""
        hook = self._hook(scope["path"].removeprefix(PREFIX))
        if hook is None:
            known = ", ".join((*FORMATS, *OWN, "generic/NAME", "heartbeat/NAME"))
            detail = f"no hook at {scope['path']}: {known}"
            return problems.problem(404, "not found", detail)
        if scope["method"] != "POST":
            return problems.problem(405, "not that way", "a hook takes POST", headers={"Allow": "POST"})
        ready, wrong = self._node.engine.ready()
        if not ready and ("failed" in wrong or "starting" in wrong):
            return problems.problem(503, "later", "this node does not take deliveries now; send it again")
        if header(scope, b"content-encoding") not in {"", "identity"}:
            return problems.problem(415, "encoded", "send the body as it is, without Content-Encoding")
        body = await self._body(scope, receive)
        if isinstance(body, Response):
            return body
        source = await self._sender(hook, scope, body)
        if source is None:
            return problems.unauthenticated(NO_SNS if hook.format == "sns" else NO_CREDENTIAL)
        if not self._pace.allows(f"hook {source}", self._node.settings.sources[source].source.rate_max_per_s):
            raise Unavailable(f"source {source} sends more than its rate_max_per_s; send it again")
        headers = {
            key.decode("latin-1"): value.decode("latin-1")
            for key, value in scope["headers"]
            if key == b"content-type" or key.startswith((b"ce-", b"x-github-"))
        }
        if hook.format == "sns" and await confirmed(self._node, source, body):
            return Response(msgspec.json.encode({"confirmed": True, "source": source}), 202, None, "application/json")
        if hook.format == "beat" and not body.strip():
            body = _EMPTY_BEAT
        try:
            _readable(hook.format, headers, body)
            accepted = await self._node.engine.intake.accept(source, hook.format, body, headers, hook.name)
        except Malformed as unread:
            return problems.problem(400, "cannot be read", str(unread), {"field": unread.path} if unread.path else None)
        self._node.engine.pipeline.nudge()
        return _accepted({"id": accepted.id, "source": source})

    def _hook(self, rest: str) -> Hook | None:
        kind, slash, name = rest.partition("/")
        sources = self._node.settings.sources
        if kind in FORMATS and not slash:
            may = tuple(each for each, found in sources.items() if found.kind in _BATCHES)
            return Hook(FORMATS[kind], "", may)
        if kind in OWN and not slash:
            return Hook(kind, "", tuple(each for each, found in sources.items() if found.kind is OWN[kind]))
        if kind not in NAMED or not name or "/" in name:
            return None
        if kind == "generic":
            found = sources.get(name)
            return Hook("generic", name, (name,)) if found is not None and found.mapping is not None else None
        may = tuple(each for each, found in sources.items() if any(beat.name == name for beat in found.heartbeats))
        return Hook("beat", name, may) if may else None

    async def _sender(self, hook: Hook, scope: Mapping[str, Any], body: bytes) -> str | None:
        """Nobody is told why not: the operator reads it (`wk sources`)."""
        if hook.format == "sns":
            found = await signed_by_sns(self._node, body, hook.sources)
            if isinstance(found, str):
                return found
            why = found.why
        else:
            source = await sender_of(self._node, scope, body, hook.sources)
            if source is not None:
                return source
            why = why_not(self._node, scope, hook.sources)
        self._node.refusals.refuse(scope["path"], self._node.engine.clock.now(), why)
        return None

    async def _body(self, scope: Mapping[str, Any], receive: Any) -> bytes | Response:
        most = min(self._node.settings.limits.body_bytes_max, BODY_BYTES_MAX)
        stated = header(scope, b"content-length")
        if stated.isdigit() and int(stated) > most:
            return _too_large(most)
        found = bytearray()
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return problems.problem(400, "cannot be read", "the sender hung up")
                    found += message.get("body", b"")
                    if len(found) > most:
                        return _too_large(most)
                    if not message.get("more_body", False):
                        return bytes(found)
        except TimeoutError:
            return problems.problem(408, "too slow", f"the body did not arrive within {BODY_WITHIN_S:.0f} s")


def _too_large(most: int) -> Response:
    return problems.problem(413, "too large", f"a delivery has at most {most} bytes: send fewer alerts at once")


@lru_cache(64)
def _start(length: int) -> dict[str, Any]:
    """Nearly every answer is as long as the one before it."""
    headers = [(b"content-length", str(length).encode()), (b"content-type", b"application/json")]
    return {"type": "http.response.start", "status": 202, "headers": headers}


def _readable(format_: str, headers: Mapping[str, str], body: bytes) -> None:
    """Raises Malformed for what no part can be read of. What is only partly wrong becomes dead letters later."""
    match format_:
        case "alertmanager" | "grafana":
            try:
                _batch.decode(body)
            except _UNREADABLE as wrong:
                raise Malformed("", f"the body is no batch of alerts: {wrong}") from wrong
        case "alertmanager-events":
            if not is_json(body) or body.lstrip()[:1] not in {b"{", b"["}:
                raise Malformed("", "the body is no event of Alertmanager's recorder, and no array of them")
        case "cloudevents":
            content = headers.get("content-type", "").partition(";")[0].strip().lower()
            binary = "ce-id" in headers or "ce-specversion" in headers
            if content.startswith("application/cloudevents"):
                if not is_json(body):
                    raise Malformed("", "the body is not JSON")
            elif not binary:
                raise Malformed(
                    "content-type",
                    f"{content or 'none'} is no CloudEvents mode; expected application/cloudevents+json, "
                    "application/cloudevents-batch+json, or the headers ce-*",
                )
        case _:
            if not is_json(body):
                raise Malformed("", "the body is not JSON")
