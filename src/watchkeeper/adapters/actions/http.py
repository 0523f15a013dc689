"""`http.request`: one call to a declared address. The status decides what is known of the effect.

| answer               | what it means                                                     |
|----------------------|-------------------------------------------------------------------|
| 2xx, or as expected  | done                                                              |
| 429, 502, 503, 504   | `Unavailable`: the target says not now                            |
| 500                  | in doubt for an effect: it may have acted before it failed        |
| other 3xx, 4xx       | `Rejected`: the target refused                                    |
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from watchkeeper.adapters.actions.places import declared
from watchkeeper.adapters.http import HttpClient
from watchkeeper.adapters.http_request import Request, Response
from watchkeeper.engine.action import Invocation, Surroundings
from watchkeeper.errors import InDoubt, Rejected, Unavailable
from watchkeeper.packs.runbook import Effect

NOT_NOW: Final = frozenset({429, 502, 503, 504})
BODY_SHOWN_BYTES: Final = 16 * 1024


class HttpRequest:
    """Arguments: method (GET), url, headers, json or body, auth ({bearer: ..} or {basic: {user, password}}), expect
    (a status or a list). Secrets stand as {secret: name} in header values, auth and json.
    """

    name = "http.request"
    effect = Effect.ONCE

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def perform(self, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        arguments = await revealed(invocation.arguments, around)
        request = _request(arguments, invocation)
        if not around.lease_ok():
            raise Unavailable("this node lost its lease before the call; nothing was sent")
        response = await self._client.request(request)
        return _judged(request, response, arguments)


async def revealed(value: Any, around: Surroundings) -> Any:
    """Arguments with each `{secret: name}` leased; what comes back never leaves the action."""
    if isinstance(value, Mapping):
        if set(value) == {"secret"} and isinstance(value["secret"], str):
            return await around.lease(value["secret"])
        return {key: await revealed(item, around) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [await revealed(item, around) for item in value]
    return value


def _request(arguments: Mapping[str, Any], invocation: Invocation) -> Request:
    method = str(arguments.get("method", "GET")).upper()
    headers = {str(name): str(value) for name, value in dict(arguments.get("headers") or {}).items()}
    headers.update(invocation.headers())
    body = b""
    if "json" in arguments:
        body = msgspec.json.encode(arguments["json"])
        headers.setdefault("Content-Type", "application/json")
    elif arguments.get("body"):
        body = str(arguments["body"]).encode()
    headers.update(_authorization(arguments.get("auth")))
    redirects = arguments.get("redirects", 0)
    return Request(
        method=method,
        url=str(arguments.get("url", "")),
        timeout_ms=invocation.timeout_ms,
        headers=headers,
        body=body,
        allow=declared(invocation.target),
        redirects=redirects if isinstance(redirects, int) else 0,
    )


def _authorization(auth: Any) -> dict[str, str]:
    if not auth:
        return {}
    if isinstance(auth, Mapping) and isinstance(auth.get("bearer"), str):
        return {"Authorization": f"Bearer {auth['bearer']}"}
    if isinstance(auth, Mapping) and isinstance(auth.get("basic"), Mapping):
        import base64

        pair = f"{auth['basic'].get('user', '')}:{auth['basic'].get('password', '')}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    raise Rejected(
        "auth: write {bearer: {secret: name}} or {basic: {user: .., password: {secret: name}}}; nothing was sent"
    )


def _judged(request: Request, response: Response, arguments: Mapping[str, Any]) -> dict[str, Any]:
    expected = arguments.get("expect")
    wanted = {expected} if isinstance(expected, int) else set(expected) if isinstance(expected, list) else None
    good = response.status in wanted if wanted is not None else 200 <= response.status < 300
    output = {
        "status": response.status,
        "headers": {
            name: value for name, value in response.headers.items() if name.lower() in {"content-type", "location"}
        },
        "body": response.body[:BODY_SHOWN_BYTES].decode("utf-8", "replace"),
        "took_ms": response.ms,
    }
    if good:
        return output
    said = f"{request.method} {request.url} answered {response.status}"
    if response.status in NOT_NOW:
        raise Unavailable(f"{said}: not now")
    if response.status >= 500 and request.method not in {"GET", "HEAD", "OPTIONS"}:
        raise InDoubt(f"{said}: it may have acted before it failed")
    if response.status >= 500:
        raise Unavailable(said)
    raise Rejected(f"{said}: {response.body[:300].decode('utf-8', 'replace')}".rstrip(": "))
