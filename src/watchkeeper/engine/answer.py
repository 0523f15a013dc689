"""How an operation answers a person: what was done, or no with its reason. No is a value."""

from typing import Any, Final

from msgspec import Struct


class No(Struct, frozen=True, kw_only=True):
    """`status` is the HTTP status that says the same: 400 wrong input, 403 may not, 404 not there, 409 changed since,
    410 was there and went, 422 makes no sense here, 503 later. `title` is the short name of the reason, `detail` the sentence.
    """

    status: int
    title: str
    detail: str
    more: dict[str, Any] = {}


_LISTED_BY: Final = {  # the verb that lists what a plural does not name
    "card": "wk approvals cards",
    "scenario": "wk test --last",
    "brake": "wk breakers",
    "configuration": "wk apply --list",
    "dead-letter": "wk dead-letters",
    "freeze": "wk freeze",
    "demotion": "wk autonomy demotions",
    "grant": "wk autonomy grants",
    "hold": "wk hold",
    "identity": "wk identity",
    "service": "wk catalog",
    "situation": "wk decisions",
    "slo": "wk slo",
    "stop": "wk status",
    "token": "wk token",
}


def missing(what: str, identity: str) -> No:
    listed = _LISTED_BY.get(what, f"wk {what}s")
    return No(status=404, title="not found", detail=f"no {what} {identity!r}: run {listed!r} to list them")


def went(what: str, identity: str, why: str) -> No:
    return No(status=410, title="gone", detail=f"{what} {identity}: {why}")


def denied(detail: str) -> No:
    return No(status=403, title="not allowed", detail=detail)


def invalid(field: str, why: str) -> No:
    return No(status=400, title="invalid", detail=f"{field}: {why}", more={"field": field})


def changed(detail: str, **more: Any) -> No:
    return No(status=409, title="changed", detail=detail, more=more)


def later(detail: str) -> No:
    return No(status=503, title="later", detail=detail)
