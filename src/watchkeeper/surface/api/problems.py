"""Problems: every answer that is not the one asked for, in one shape.

Source: RFC 9457. `type` is `about:blank` or a word of ours; `detail` is the sentence a person acts upon.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from starlette.responses import Response

from watchkeeper.engine.answer import No
from watchkeeper.errors import Conflict, Malformed, Rejected, Unavailable, Untrusted

log = structlog.get_logger("watchkeeper.api")

MEDIA: Final = "application/problem+json"
RETRY_AFTER_S: Final = 5
HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}  # of every answer of the API


def problem(
    status: int,
    title: str,
    detail: str,
    more: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`title` names the reason (the same words for the same reason), `detail` this occurrence of it."""
    kept = {**HEADERS, **(headers or {})}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        kept.setdefault("Retry-After", str(RETRY_AFTER_S))
    return Response(body_of(status, title, detail, more), status, kept, MEDIA)


def body_of(status: int, title: str, detail: str, more: Mapping[str, Any] | None = None) -> bytes:
    """`more` adds members; it never replaces one of the five."""
    own = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return msgspec.json.encode({**own, **{name: value for name, value in (more or {}).items() if name not in own}})


def of_no(no: No) -> Response:
    return problem(no.status, no.title, no.detail, no.more)


def unauthenticated(detail: str) -> Response:
    return problem(401, "not signed in", detail, headers={"WWW-Authenticate": 'Bearer realm="watchkeeper"'})


def of_error(error: Exception) -> Response:
    """What an operation raised, by what the caller does next."""
    match error:
        case Unavailable():
            return problem(503, "later", str(error))
        case Malformed():
            return problem(400, "cannot be read", str(error), {"field": error.path} if error.path else None)
        case Rejected():
            return problem(422, "makes no sense here", str(error))
        case Conflict():
            return problem(409, "changed", str(error))
        case Untrusted():
            log.error("something does not hold", why=str(error))
            return problem(503, "cannot be trusted", f"{error} Stop and look: run 'wk ledger verify'.")
        case _:
            log.error("the API failed", exc_info=error)
            return problem(
                503, "failed inside", f"{type(error).__name__}; the log of this node has the whole of it. Try again."
            )
