"""Services of a machine: what is asked of whoever keeps them running, and the supervisor that is spoken to over HTTP.

`systemd.py` answers the same protocol by `systemctl`.
"""

import re
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from watchkeeper.adapters.http import AddressRule, HttpClient, Request, Response
from watchkeeper.errors import InDoubt, Rejected, Unavailable, WatchkeeperError
from watchkeeper.values import Instant, instant

ANSWER_BYTES_MAX: Final = 64 << 10


class ServiceState(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    CRASHED = "crashed"
    HUNG = "hung"  # only a supervisor that probes can say so
    CHANGING = "changing"  # on its way up or down


class ServiceStatus(Struct, frozen=True, kw_only=True):
    """`started_at` is the last start, also of one that is stopped by now; None when it never was."""

    unit: str
    state: ServiceState
    pid: int | None = None
    started_at: Instant | None = None
    starts: int = 0


class ServiceControl(Protocol):
    """`headers` go along where the far end reads them (Idempotency-Key, Watchkeeper-Run, Watchkeeper-Fence …).

    Raises: Rejected (no such unit, not permitted, it failed), Unavailable (nothing was done), InDoubt (it may have
    been done; `status` never raises it, `started_since` only when the answer is too coarse to tell).
    """

    async def start(self, unit: str, *, timeout_ms: int, headers: dict[str, str] | None = None) -> None: ...

    async def stop(self, unit: str, *, timeout_ms: int, headers: dict[str, str] | None = None) -> None: ...

    async def restart(self, unit: str, *, timeout_ms: int, headers: dict[str, str] | None = None) -> None: ...

    async def status(self, unit: str, *, timeout_ms: int) -> ServiceStatus: ...

    async def started_since(self, unit: str, since: Instant, *, timeout_ms: int) -> bool: ...


_UNIT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9:_.@-]{0,254}")


def checked_unit(unit: str) -> str:
    """A name that is an argument and nothing else: no option, no path, no pattern."""
    if not _UNIT.fullmatch(unit) or ".." in unit:
        raise Rejected(f"unit {unit[:64]!r}: not the name of a unit")
    return unit


class Supervisor:
    """`POST {base}/services/{unit}/start|stop|restart` and `GET {base}/services/{unit}`."""

    def __init__(
        self, http: HttpClient, base: str, *, allow: AddressRule | None = None, headers: dict[str, str] | None = None
    ) -> None:
        self._http = http
        self._base = base.rstrip("/")
        self._allow = allow or AddressRule()
        self._headers = headers or {}

    async def start(self, unit: str, *, timeout_ms: int, headers: dict[str, str] | None = None) -> None:
        await self._do("start", unit, timeout_ms, headers)

    async def stop(self, unit: str, *, timeout_ms: int, headers: dict[str, str] | None = None) -> None:
        await self._do("stop", unit, timeout_ms, headers)

    async def restart(self, unit: str, *, timeout_ms: int, headers: dict[str, str] | None = None) -> None:
        await self._do("restart", unit, timeout_ms, headers)

    async def status(self, unit: str, *, timeout_ms: int) -> ServiceStatus:
        try:
            answer = await self._call("GET", f"services/{checked_unit(unit)}", unit, timeout_ms, {})
        except InDoubt as unanswered:
            raise Unavailable(f"unit {unit}: {unanswered}") from unanswered  # a question changes nothing
        try:
            found = msgspec.json.decode(answer.body, type=_Answer)
            state = ServiceState(found.state)
            started_at = instant(found.started_at) if found.started_at else None
        except (msgspec.DecodeError, ValueError, RecursionError) as garbled:
            raise Rejected(f"unit {unit}: its supervisor's answer cannot be read: {garbled}") from garbled
        if found.unit != unit:
            raise Rejected(f"unit {unit}: its supervisor answers for {found.unit[:64]!r}")
        return ServiceStatus(unit=unit, state=state, pid=found.pid, started_at=started_at, starts=found.starts)

    async def started_since(self, unit: str, since: Instant, *, timeout_ms: int) -> bool:
        found = await self.status(unit, timeout_ms=timeout_ms)
        return found.started_at is not None and found.started_at >= since

    async def _do(self, verb: str, unit: str, timeout_ms: int, headers: dict[str, str] | None) -> None:
        await self._call("POST", f"services/{checked_unit(unit)}/{verb}", unit, timeout_ms, headers or {})

    async def _call(self, method: str, path: str, unit: str, timeout_ms: int, headers: dict[str, str]) -> Response:
        request = Request(
            method=method,
            url=f"{self._base}/{path}",
            headers=self._headers | headers,
            timeout_ms=timeout_ms,
            allow=self._allow,
            response_bytes_max=ANSWER_BYTES_MAX,
        )
        answer = await self._http.request(request)
        if answer.expected:
            return answer
        raise _refused(answer, unit)


class _Answer(Struct, frozen=True, kw_only=True):
    unit: str
    state: str
    pid: int | None = None
    started_at: str | None = None
    starts: int = 0


def _refused(answer: Response, unit: str) -> WatchkeeperError:
    sentence = f"unit {unit}: its supervisor answered {answer.status}{_said(answer)}"
    match answer.status:
        case 429 | 503:
            return Unavailable(sentence)
        case status if status >= 500:
            return InDoubt(sentence)
        case _:
            return Rejected(sentence)


def _said(answer: Response) -> str:
    """The `detail` or `title` of a problem (RFC 9457), when there is one."""
    try:
        problem = msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return ""
    words = problem.get("detail") or problem.get("title") or ""
    return f": {words[:200]}" if isinstance(words, str) and words.isprintable() and words else ""
