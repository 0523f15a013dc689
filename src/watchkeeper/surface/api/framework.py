"""What the framework itself refuses (no such route, a body that does not fit), in our words."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from watchkeeper.surface.api.problems import problem

ERRORS_MAX: Final = 50
VALUE_CHARS_MAX: Final = 200


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
    message = _message(error)[:VALUE_CHARS_MAX]
    return {"file": "", "line": 0, "column": 0, "field": ".".join(place), "message": message, "expected": ""}


def _message(error: Mapping[str, Any]) -> str:
    """What the framework means, for who wrote the value: its own sentences speak of an input."""
    bound = dict(error.get("ctx") or {})
    match error.get("type"):
        case "less_than_equal" | "less_than":
            return f"at most {bound.get('le', bound.get('lt'))}"
        case "greater_than_equal" | "greater_than":
            return f"at least {bound.get('ge', bound.get('gt'))}"
        case "int_parsing" | "int_type" | "int_from_float":
            return "not a whole number"
        case "bool_parsing" | "bool_type":
            return "write true or false"
        case "missing":
            return "is missing"
        case "string_too_long" | "too_long":
            return f"at most {bound.get('max_length')} long"
        case "string_too_short" | "too_short":
            return f"at least {bound.get('min_length')} long"
        case _:
            return str(error.get("msg", "does not fit"))
