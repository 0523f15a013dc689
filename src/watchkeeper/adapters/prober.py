"""One look, by HTTP, TCP, a command or PromQL. What it saw is an observation; that it could not look is one too."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from watchkeeper.adapters.actions.places import declared, host_port
from watchkeeper.adapters.address import AddressRule, SystemResolver, admitted
from watchkeeper.adapters.http import HttpClient
from watchkeeper.adapters.http_request import Request
from watchkeeper.adapters.process import Ending, ProcessSpec, run
from watchkeeper.engine.action import Observation
from watchkeeper.errors import InDoubt, Rejected, Unavailable, WatchkeeperError
from watchkeeper.guards.situation import Target

BODY_SEEN_BYTES: Final = 64 * 1024


class NodeProber:
    """`own` are addresses that the home's probes name: whoever wrote watchkeeper.yaml meant them."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._resolver = SystemResolver()

    async def look(
        self, kind: str, arguments: Mapping[str, Any], timeout_ms: int, target: Target | None
    ) -> Observation:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            match kind:
                case "http":
                    values = await self._http(arguments, timeout_ms, target)
                case "tcp":
                    values = await self._tcp(arguments, timeout_ms, target)
                case "command":
                    values = await self._command(arguments, timeout_ms)
                case "promql":
                    values = await self._promql(arguments, timeout_ms, target)
                case other:
                    raise Rejected(f"no probe is called {other!r}")
        except WatchkeeperError as blind:
            return Observation(seen=False, why=str(blind), took_ms=int((loop.time() - began) * 1000))
        took_ms = int((loop.time() - began) * 1000)
        return Observation(seen=True, values={"took_ms": took_ms, **values}, took_ms=took_ms)

    async def _http(self, arguments: Mapping[str, Any], timeout_ms: int, target: Target | None) -> dict[str, Any]:
        url = str(arguments.get("url", ""))
        headers = {str(name): str(value) for name, value in dict(arguments.get("headers") or {}).items()}
        request = Request(
            method=str(arguments.get("method", "GET")),
            url=url,
            timeout_ms=timeout_ms,
            headers={"Watchkeeper-Actor": "automation", **headers},
            allow=_rule(target, url),
        )
        try:
            response = await self._client.request(request)
        except Unavailable as refused:
            return {"connected": False, "why": str(refused)}
        except InDoubt as silent:
            return {"connected": False, "why": str(silent)}
        return {
            "connected": True,
            "status": response.status,
            "headers": response.headers,
            "body": response.body[:BODY_SEEN_BYTES].decode("utf-8", "replace"),
        }

    async def _tcp(self, arguments: Mapping[str, Any], timeout_ms: int, target: Target | None) -> dict[str, Any]:
        place = host_port(str(arguments.get("address", "")))
        host, _, port_text = place.rpartition(":")
        host = host.strip("[]")
        if not host or not port_text.isdigit():
            raise Rejected(f"address: {arguments.get('address')!r} is not host:port")
        addresses = await self._resolver.addresses(host, int(port_text))
        rule = _rule(target, place)
        why = admitted(addresses[0], host=host, port=int(port_text), rule=rule)
        if why is not None:
            raise Rejected(why)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                _, writer = await asyncio.open_connection(str(addresses[0]), int(port_text))
        except (OSError, TimeoutError) as closed:
            return {"connected": False, "why": str(closed) or f"no connection within {timeout_ms} ms"}
        writer.close()
        return {"connected": True}

    async def _command(self, arguments: Mapping[str, Any], timeout_ms: int) -> dict[str, Any]:
        argv = arguments.get("argv")
        if not isinstance(argv, list | tuple) or not argv:
            raise Rejected("argv: a list of words with at least the program")
        result = await run(ProcessSpec(argv=tuple(str(word) for word in argv), timeout_ms=timeout_ms))
        if result.ending is not Ending.EXITED:
            raise Unavailable(f"{argv[0]} did not end by itself within {timeout_ms} ms")
        return {
            "exit": result.exit,
            "stdout": result.stdout[:BODY_SEEN_BYTES].decode("utf-8", "replace"),
            "stderr": result.stderr[:BODY_SEEN_BYTES].decode("utf-8", "replace"),
        }

    async def _promql(self, arguments: Mapping[str, Any], timeout_ms: int, target: Target | None) -> dict[str, Any]:
        """An instant query. Source: Prometheus HTTP API, `GET /api/v1/query`."""
        base = str(arguments.get("server") or (target.attributes.get("prometheus", "") if target is not None else ""))
        if not base:
            raise Rejected("promql: no server: give `server`, or the target an attribute `prometheus`")
        url = f"{base.rstrip('/')}/api/v1/query?{urlencode({'query': str(arguments.get('query', ''))})}"
        bearer = str(arguments.get("bearer", ""))
        headers = {"Watchkeeper-Actor": "automation", **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
        response = await self._client.request(
            Request(method="GET", url=url, timeout_ms=timeout_ms, headers=headers, allow=_rule(target, url))
        )
        try:
            answer = msgspec.json.decode(response.body, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as unread:
            raise Unavailable(
                f"promql: the answer (status {response.status}) is not Prometheus's: {unread}"
            ) from unread
        if answer.status != "success" or answer.data is None:
            raise Rejected(f"promql: {answer.error or f'status {response.status}'}")
        try:
            return {"samples": _samples(answer.data)}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, IndexError) as odd:
            raise Rejected(f"promql: the query gives something else than plain numbers: {odd}") from odd


class _Data(msgspec.Struct):
    resultType: str  # noqa: N815  the field of the wire format
    result: list[msgspec.Raw]


class _Answer(msgspec.Struct):
    status: str
    data: _Data | None = None
    error: str = ""


class _Series(msgspec.Struct):
    value: tuple[float, str]
    metric: dict[str, str] = {}


def _samples(data: _Data) -> list[dict[str, Any]]:
    if data.resultType == "scalar":
        return [{"labels": {}, "value": msgspec.json.decode(data.result[1], type=str)}]
    if data.resultType != "vector":
        raise Rejected(f"promql: the query gives a {data.resultType}; it must give a vector or a scalar")
    series = [msgspec.json.decode(raw, type=_Series) for raw in data.result]
    return [{"labels": one.metric, "value": one.value[1]} for one in series]


def _rule(target: Target | None, place: str) -> AddressRule:
    """A target's declared addresses; without a target the probe is the home's own and the address is meant."""
    if target is not None:
        return declared(target)
    return AddressRule(declared=frozenset({host_port(place)} - {""}))
