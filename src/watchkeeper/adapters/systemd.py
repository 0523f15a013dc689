"""Services under systemd, by `systemctl` and argv. Locally, or wherever `run` takes the command."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from watchkeeper.adapters.process import Ending, ProcessResult, ProcessSpec
from watchkeeper.adapters.process import run as run_here
from watchkeeper.adapters.services import ServiceState, ServiceStatus, checked_unit
from watchkeeper.errors import InDoubt, Rejected, Unavailable, WatchkeeperError
from watchkeeper.values import Instant

Run = Callable[[ProcessSpec], Awaitable[ProcessResult]]

OUTPUT_BYTES_MAX: Final = 64 << 10

_PROPERTIES: Final = (
    "Id,LoadState,ActiveState,SubState,Result,MainPID,NRestarts,ExecMainStartTimestamp,ActiveEnterTimestamp,Job"
)
_STATES: Final = {
    "active": ServiceState.RUNNING,
    "reloading": ServiceState.RUNNING,
    "refreshing": ServiceState.RUNNING,
    "inactive": ServiceState.STOPPED,
    "failed": ServiceState.CRASHED,
    "activating": ServiceState.CHANGING,
    "deactivating": ServiceState.CHANGING,
    "maintenance": ServiceState.CHANGING,
}
_NOT_RUNNING: Final = (
    "not been booted with systemd",
    "Failed to connect to bus",
    "Failed to connect to system scope bus",
)
_NOT_KNOWN: Final = re.compile(r"Unit \S+ (?:not found|could not be found)|Invalid unit name")
_NOT_PERMITTED: Final = re.compile(
    r"Access denied|authentication required|Permission denied|not authorized", re.IGNORECASE
)
_NO_STYLE: Final = re.compile(r"unrecognized option '--timestamp|Invalid value: us\+utc", re.IGNORECASE)
# Words like `Tue 2026-03-01 10:00:00.123456 UTC`; without the fraction from a systemd before 248.
_TIMESTAMP: Final = re.compile(r"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(\.\d{1,6})? UTC")


class Systemd:
    """`ServiceControl` over systemctl. `headers` are for others: systemd keeps no keys, so a restart is `probed`."""

    def __init__(self, *, run: Run = run_here) -> None:
        self._run = run

    async def start(self, unit: str, *, timeout_ms: int, headers: dict[str, str] | None = None) -> None:
        await self._do("start", unit, timeout_ms, headers)

    async def stop(self, unit: str, *, timeout_ms: int, headers: dict[str, str] | None = None) -> None:
        await self._do("stop", unit, timeout_ms, headers)

    async def restart(self, unit: str, *, timeout_ms: int, headers: dict[str, str] | None = None) -> None:
        await self._do("restart", unit, timeout_ms, headers)

    async def status(self, unit: str, *, timeout_ms: int) -> ServiceStatus:
        found = await self._shown(unit, timeout_ms)
        pid = found.get("MainPID", "0")
        restarts = found.get("NRestarts", "0")
        started = _started(found)
        return ServiceStatus(
            unit=unit,
            state=_state(unit, found.get("ActiveState", "")),
            pid=int(pid) if pid.isdecimal() and pid != "0" else None,
            started_at=None if started is None else started[0],
            starts=(int(restarts) if restarts.isdecimal() else 0) + (started is not None),
        )

    async def started_since(self, unit: str, since: Instant, *, timeout_ms: int) -> bool:
        """Raises InDoubt when an old systemd tells whole seconds and the start was in the second of `since`, or while
        systemd still has a job for the unit: its start may be what is to come.
        """
        started, job = await self.last_start(unit, timeout_ms=timeout_ms)
        if started is not None:
            at, exact = started
            if not exact and at == since.replace(microsecond=0):
                raise InDoubt(
                    f"unit {unit}: started in the very second of the question; this systemd tells no fractions"
                )
            if at >= since:
                return True
        if job:
            raise InDoubt(f"unit {unit}: not started since, and systemd still has a job for it ({job})")
        return False

    async def last_start(self, unit: str, *, timeout_ms: int) -> tuple[tuple[Instant, bool] | None, str]:
        """The last start by the machine's own clock, whether it is told to the microsecond, and the job under way."""
        found = await self._shown(unit, timeout_ms)
        job = found.get("Job", "0")
        return _started(found), "" if job in {"", "0"} else job

    async def _do(self, verb: str, unit: str, timeout_ms: int, headers: dict[str, str] | None) -> None:
        del headers
        result = await self._call((verb, "--", checked_unit(unit)), timeout_ms)
        if result.ending is not Ending.EXITED:
            raise InDoubt(f"unit {unit}: {verb} did not return in {timeout_ms} ms; systemd may still be at it")
        if result.exit != 0:
            raise _failed(unit, verb, result)

    async def _shown(self, unit: str, timeout_ms: int) -> dict[str, str]:
        show = ("show", f"--property={_PROPERTIES}")
        result = await self._call((*show, "--timestamp=us+utc", "--", checked_unit(unit)), timeout_ms)
        if result.exit != 0 and _NO_STYLE.search(_said(result)):
            result = await self._call((*show, "--", unit), timeout_ms)
        if result.ending is not Ending.EXITED:
            raise Unavailable(f"unit {unit}: systemctl show did not return in {timeout_ms} ms")
        if result.exit != 0:
            raise _failed(unit, "show", result)
        lines = (line.partition("=") for line in result.stdout.decode("utf-8", "replace").splitlines())
        found = {name: value for name, separated, value in lines if separated}
        if found.get("LoadState") == "not-found":
            raise Rejected(f"unit {unit}: systemd knows no such unit")
        return found

    async def _call(self, words: tuple[str, ...], timeout_ms: int) -> ProcessResult:
        return await self._run(
            ProcessSpec(
                argv=("systemctl", "--no-pager", "--no-ask-password", *words),
                env={"LC_ALL": "C.UTF-8", "TZ": "UTC"},
                timeout_ms=timeout_ms,
                output_bytes_max=OUTPUT_BYTES_MAX,
            )
        )


def _failed(unit: str, verb: str, result: ProcessResult) -> WatchkeeperError:
    said = _said(result)
    if any(words in said for words in _NOT_RUNNING):
        return Rejected(f"unit {unit}: systemd is not running here; reach the machine that runs it")
    if _NOT_KNOWN.search(said):
        return Rejected(f"unit {unit}: systemd knows no such unit")
    if _NOT_PERMITTED.search(said):
        return Rejected(f"unit {unit}: {verb} is not permitted to this user; let a polkit rule or sudo permit it")
    first = said.strip().splitlines()[0][:200] if said.strip() else f"exit {result.exit}"
    return Rejected(f"unit {unit}: {verb} failed: {''.join(one for one in first if one.isprintable())}")


def _said(result: ProcessResult) -> str:
    return result.stderr.decode("utf-8", "replace")


def _state(unit: str, word: str) -> ServiceState:
    if word not in _STATES:
        raise Rejected(f"unit {unit}: systemd calls its state {word[:32]!r}, which is not known here")
    return _STATES[word]


def _started(found: dict[str, str]) -> tuple[Instant, bool] | None:
    """The last start, and whether it is told to the microsecond. A unit without a main process tells when it got active."""
    for name in ("ExecMainStartTimestamp", "ActiveEnterTimestamp"):
        read = _TIMESTAMP.fullmatch(found.get(name, ""))
        if read:
            fraction = (read[2] or ".0").ljust(7, "0")
            return datetime.strptime(f"{read[1]}{fraction}", "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC), bool(read[2])
    return None
