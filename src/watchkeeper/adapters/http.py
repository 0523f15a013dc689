"""The one HTTP client: actions, probes, verification, calendars and messages all go out through it.

The host is resolved once, its addresses are judged (`address.py`), and the connection is made to exactly one of
them: the wire is handed the literal address, with the Host header and the TLS name of the URL. Its pool is keyed by
that address, so a connection checked for one caller is no way round the check for another.

It never asks again by itself. What a failure means is said by its class: `Unavailable` when nothing was sent,
`InDoubt` from the moment a connection was taken for the request, `Rejected` when the call is not allowed.
"""

import asyncio
import ipaddress
import os
import ssl
from functools import lru_cache
from time import monotonic
from types import TracebackType
from typing import Final, Self

from yarl import URL

from watchkeeper import __version__
from watchkeeper.adapters.address import (
    ADDRESSES_KEPT,
    ADDRESSES_MAX,
    Address,
    AddressRule,
    Resolver,
    SystemResolver,
    admitted,
    endpoint,
)
from watchkeeper.adapters.http_request import Request, Response, Tls, checked, redirected
from watchkeeper.adapters.http_wire import Answer, Connections, Lost, Place, Strange
from watchkeeper.errors import InDoubt, Rejected, Unavailable, Untrusted

__all__ = ["AddressRule", "HttpClient", "Request", "Response", "Tls"]

TLS_CONTEXTS_MAX: Final = 64

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SEE_OTHER: Final = frozenset({301, 302, 303})
_HARMLESS: Final = frozenset({"accept", "accept-encoding", "accept-language", "user-agent", "traceparent"})
_ENCODED: Final = frozenset({"content-encoding", "content-length"})


class HttpClient:
    """One session. Made and closed in the event loop that uses it: `async with HttpClient() as http`."""

    def __init__(self, *, resolver: Resolver | None = None) -> None:
        own = SystemResolver()
        self._resolver: Resolver = own if resolver is None else resolver
        self._own = own
        self._connections: Connections | None = None
        self._tls: dict[Tls, ssl.SSLContext] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._connections is not None:
            self._connections.close()
            self._connections = None
        self._own.close()

    async def request(self, request: Request) -> Response:
        """One call, at most `redirects` hops. 429 and 503 are answers like any other.

        Raises: Rejected (not allowed, or never possible), Unavailable (nothing was sent), InDoubt (it may have
        arrived), Untrusted (the certificate does not hold; nothing was sent).
        """
        target = checked(request)
        flight = _Flight()
        try:
            async with asyncio.timeout(request.timeout_ms / 1000):
                return await self._follow(request, target, flight)
        except TimeoutError as late:
            where = _subject(request.method, target)
            if flight.left:
                raise InDoubt(f"{where}: no whole answer in {request.timeout_ms} ms; it may have arrived") from late
            raise Unavailable(f"{where}: no connection in {request.timeout_ms} ms; nothing was sent") from late

    async def _follow(self, request: Request, target: URL, flight: "_Flight") -> Response:
        method, headers, body, hops = request.method.upper(), request.headers, request.body, 0
        acted = False  # an earlier hop was answered in a way that says: done, now look there
        started = monotonic()
        while True:
            try:
                answer = await self._send(request, method, target, headers, body, flight)
            except (Rejected, Unavailable, Untrusted) as failed:
                if acted:
                    raise InDoubt(f"{request.method} was answered with a redirect, then: {failed}") from failed
                raise
            location = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not location or hops == request.redirects:
                return Response(
                    status=answer.status,
                    headers=answer.headers,
                    body=answer.body,
                    truncated=answer.truncated,
                    ms=int((monotonic() - started) * 1000),
                    expected=answer.status in request.expect if request.expect else 200 <= answer.status < 300,
                    url=str(target),
                )
            hops += 1
            acted = flight.left = acted or (answer.status in _SEE_OTHER and method not in _SAFE)
            try:
                following = redirected(target, location)
                if answer.status in _SEE_OTHER and method != "HEAD":
                    method, body = "GET", b""
                    headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
                if following.origin() != target.origin():
                    headers = {name: value for name, value in headers.items() if name.lower() in _HARMLESS}
                    if body:
                        raise Rejected(f"{_subject(method, target)}: redirected with its body to another host")
            except Rejected as refused:
                if acted:
                    raise InDoubt(f"{request.method} was answered with a redirect, then: {refused}") from refused
                raise
            target = following

    async def _send(
        self, request: Request, method: str, target: URL, headers: dict[str, str], body: bytes, flight: "_Flight"
    ) -> Answer:
        host, port = target.raw_host or "", target.port or 0
        addresses = await self._judged(host, port, request.allow, method, target)
        tls = await self._context(request.tls) if target.scheme == "https" else None
        failed: Exception | None = None
        for address in addresses:
            # Another address of the same name is tried only while nothing has been sent.
            try:
                return await self._call(request, method, target, address, headers, body, tls, flight)
            except ssl.SSLCertVerificationError as untrusted:
                raise Untrusted(
                    f"{_subject(method, target)}: its certificate does not hold: {untrusted}"
                ) from untrusted
            except ssl.SSLError as strange:
                if flight.left:
                    raise InDoubt(f"{_subject(method, target)}: {_why(strange)}; it may have arrived") from strange
                raise Rejected(f"{_subject(method, target)}: no TLS handshake: {strange}") from strange
            except (Lost, Strange) as lost:
                raise InDoubt(f"{_subject(method, target)}: {_why(lost)}; it may have arrived") from lost
            except OSError as refused:  # a connection that took too long is one too
                if flight.left:
                    raise InDoubt(f"{_subject(method, target)}: {_why(refused)}; it may have arrived") from refused
                failed = refused
        raise Unavailable(f"{_subject(method, target)}: {_why(failed)}; nothing was sent") from failed

    async def _judged(self, host: str, port: int, rule: AddressRule, method: str, target: URL) -> tuple[Address, ...]:
        literal = _literal(host)
        addresses = (literal,) if literal else (await self._resolver.addresses(host, port))[:ADDRESSES_MAX]
        if not addresses:
            raise Rejected(f"{_subject(method, target)}: no such name")
        for address in addresses:
            # One guarded answer among good ones is a name that is being turned around: none is dialled.
            why_not = admitted(address, host=host, port=port, rule=rule)
            if why_not is not None:
                raise Rejected(f"{_subject(method, target)}: {why_not}")
        return addresses

    async def _call(
        self,
        request: Request,
        method: str,
        target: URL,
        address: Address,
        headers: dict[str, str],
        body: bytes,
        tls: ssl.SSLContext | None,
        flight: "_Flight",
    ) -> Answer:
        name = (request.tls.server_name or target.raw_host) if tls is not None else None
        if self._connections is None:
            self._connections = Connections()
        found: Answer = await self._connections.exchange(
            Place(str(address), target.port or 0, tls, name),
            _written(method, target, headers, body),
            bound=request.response_bytes_max,
            bodiless=method == "HEAD",
            connect_within_s=request.connect_timeout_ms / 1000,
            leaving=flight.leaves,
        )
        kept = found.headers
        if found.decoded:
            kept = {key: value for key, value in kept.items() if key not in _ENCODED}
        return found._replace(headers=kept)

    async def _context(self, tls: Tls) -> ssl.SSLContext:
        known = self._tls.get(tls)
        if known is None:
            try:
                known = await asyncio.to_thread(_tls_context, tls)
            except (OSError, ssl.SSLError, ValueError) as unreadable:
                raise Rejected(f"TLS files {_files(tls)}: {unreadable}") from unreadable
            while len(self._tls) >= TLS_CONTEXTS_MAX:
                self._tls.pop(next(iter(self._tls)))
            self._tls[tls] = known
        return known

    def forget_tls(self) -> None:
        """Reads certificate files again on next use: call it when they were renewed."""
        self._tls.clear()


# -- words ----------------------------------------------------------------------------------------


@lru_cache(ADDRESSES_KEPT)
def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _subject(method: str, target: URL) -> str:
    """No path and no query: a hook's address is its password."""
    return f"{method} {target.scheme}://{endpoint(target.raw_host or '', target.port or 0)}"


def _written(method: str, target: URL, headers: dict[str, str], body: bytes) -> bytes:
    """The request as it goes out. Names and values were checked: none holds a line break."""
    lines = [f"{method} {target.raw_path_qs} HTTP/1.1", f"Host: {target.host_port_subcomponent or ''}"]
    given = {name.lower() for name in headers}
    lines += [line for name, line in _USUAL if name not in given]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body and "content-type" not in given:
        lines.append("Content-Type: application/octet-stream")
    if body or method not in _SAFE:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode("utf-8", "replace") + body


_USUAL: Final = (
    ("accept", "Accept: */*"),
    ("accept-encoding", "Accept-Encoding: identity"),
    ("user-agent", f"User-Agent: watchkeeper/{__version__}"),
)


def _why(error: Exception | None) -> str:
    match error:
        case TimeoutError():
            return "no connection in time"
        case Lost():
            return "the connection was lost"
        case Strange():
            return f"the answer cannot be read ({error})"
        case OSError():
            return error.strerror or "no connection"
        case _:
            return "no connection"


def _files(tls: Tls) -> str:
    return ", ".join(one for one in (tls.ca_file, tls.cert_file, tls.key_file) if one) or "given as data"


def _tls_context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_file or None, cadata=tls.ca_data or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(("http/1.1",))
    if tls.cert_file:
        # An encrypted key must not ask at a terminal.
        context.load_cert_chain(tls.cert_file, tls.key_file or None, password=lambda: "")
    if tls.cert_data:
        _load(context, f"{tls.cert_data}\n{tls.key_data}\n")
    return context


def _load(context: ssl.SSLContext, pem: str) -> None:
    """The library takes names of files only; this one is in memory and gone when it is closed."""
    number = os.memfd_create("tls", os.MFD_CLOEXEC)
    with os.fdopen(number, "wb") as file:
        file.write(pem.encode())
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{number}", password=lambda: "")


# -- the call --------------------------------------------------------------------------------------


class _Flight:
    """Whether a byte of the request may have left."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = False

    def leaves(self) -> None:
        self.left = True
