"""Problems: every answer that is not the one asked for, in one shape.

Source: RFC 9457. `type` is `about:blank` or a word of ours; `detail` is the sentence a person acts upon.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from watchkeeper.engine.answer import No
from watchkeeper.errors import Conflict, Malformed, Rejected, Unavailable, Untrusted

log = structlog.get_logger("watchkeeper.api")

MEDIA: Final = "application/problem+json"
RETRY_AFTER_S: Final = 5
ERRORS_MAX: Final = 50
VALUE_CHARS_MAX: Final = 200


def problem(
    status: int,
    title: str,
    detail: str,
    more: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`title` names the reason (the same words for the same reason), `detail` this occurrence of it."""
    kept = dict(headers or {})
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


def install(app: FastAPI) -> None:
    """Every way in which the framework itself refuses, in our words."""

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        match error.status_code:
            case 404:
                detail = f"nothing is at {request.url.path}: the list is at /api/v1/openapi.json"
                return problem(404, "not found", detail)
            case 405:
                allowed = dict(error.headers or {})
                return problem(
                    405, "not that way", f"{request.method} does not go with {request.url.path}", None, allowed
                )
            case status:
                return problem(status, HTTPStatus(status).phrase.lower(), str(error.detail), None, error.headers)

    def unfit(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = [_field(each) for each in error.errors()[:ERRORS_MAX]]
        first = found[0] if found else {"field": "", "message": "does not fit"}
        return problem(422, "invalid", f"{first['field']}: {first['message']}".lstrip(": "), {"errors": found})

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, unfit)


def _field(error: Mapping[str, Any]) -> dict[str, Any]:
    place = [str(part) for part in error.get("loc", ())]
    if place and place[0] in {"body", "query", "path", "header"}:
        place = place[1:]
    message = str(error.get("msg", "does not fit"))[:VALUE_CHARS_MAX]
    return {"file": "", "line": 0, "column": 0, "field": ".".join(place), "message": message, "expected": ""}
