"""Services under systemd on another machine, by ssh: its answers, its clock, its rights.

A start is told by the clock of the machine it happened on. That clock is asked in the same breath, and what it is
ahead or behind is taken off: only what the way there and back leaves open can be in doubt. Each look bounds the
difference from both sides, and what all of them leave open is less than any one does.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec.structs import replace

from watchkeeper.adapters.process_spec import Ending, ProcessResult, ProcessSpec
from watchkeeper.adapters.services import ServiceStatus
from watchkeeper.adapters.systemd import Run, Systemd
from watchkeeper.errors import InDoubt, Rejected, Unavailable
from watchkeeper.values import Instant

CLOCK_LOOKS: Final = 5  # the first may include connecting; a few more see the way at its shortest

_CLOCK: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{9}))?")
_EXACTLY: Final = timedelta(microseconds=1)
_SECOND: Final = timedelta(seconds=1)


class Clock:
    """How far a machine's clock is ahead of ours: at least `least`, at most `most`."""

    __slots__ = ("least", "most")

    def __init__(self, least: timedelta, most: timedelta) -> None:
        self.least, self.most = least, most

    def words(self) -> str:
        """What a person should know of it; "" when the two agree to the second."""
        middle = (self.least + self.most) / 2
        if abs(middle) < _SECOND:
            return ""
        way = "ahead" if middle > timedelta() else "behind"
        return f"its clock is {abs(middle).total_seconds():.1f} s {way}, which is taken off"


class SshSystemd(Systemd):
    """`run` takes a command to the machine. With `sudo` whatever changes something goes through `sudo -n`."""

    def __init__(self, *, run: Run, sudo: bool = False, now: Callable[[], Instant] = lambda: datetime.now(UTC)) -> None:
        super().__init__(run=self._carry)
        self._there, self._sudo, self._now = run, sudo, now
        self.clock: Clock | None = None

    async def status(self, unit: str, *, timeout_ms: int) -> ServiceStatus:
        try:
            return await super().status(unit, timeout_ms=timeout_ms)
        except InDoubt as unanswered:
            raise Unavailable(f"unit {unit}: {unanswered}") from unanswered  # a question changes nothing

    async def started_since(self, unit: str, since: Instant, *, timeout_ms: int) -> bool:
        """Raises InDoubt when the start is nearer to `since` than the two clocks can be told apart."""
        looks = [await self._ask_clock(timeout_ms) for _ in range(CLOCK_LOOKS)]
        self.clock = clock = Clock(max(look.least for look in looks), min(look.most for look in looks))
        if clock.least > clock.most:
            raise InDoubt(f"unit {unit}: the clock of its machine, or ours, was set while it was asked")
        started, job = await self.last_start(unit, timeout_ms=timeout_ms)
        if started is not None:
            at, exact = started
            earliest = at - clock.most
            latest = at - clock.least + (_EXACTLY if exact else _SECOND)
            if earliest >= since:
                return True
            if latest >= since:
                raise InDoubt(f"unit {unit}: started too near to the moment asked about to tell, by two clocks")
        if job:
            raise InDoubt(f"unit {unit}: not started since, and systemd still has a job for it ({job})")
        return False

    async def _ask_clock(self, timeout_ms: int) -> Clock:
        before = self._now()
        result = await self._there(ProcessSpec(argv=("date", "+%s.%N"), env={"LC_ALL": "C"}, timeout_ms=timeout_ms))
        after = self._now()
        words = result.stdout.decode("ascii", "replace").strip()
        # A `date` that knows no nanoseconds leaves their letters standing.
        found = _CLOCK.fullmatch(words.removesuffix(".%N").removesuffix(".N").removesuffix("."))
        if result.ending is not Ending.EXITED or result.exit != 0 or found is None:
            raise Rejected(f"the machine does not say what time it is: date answered {words[:40]!r}")
        seconds = datetime.fromtimestamp(int(found[1]), UTC)
        there = seconds + timedelta(microseconds=int(found[2] or "0") // 1000)
        coarse = _EXACTLY if found[2] else _SECOND
        return Clock(there - after, there - before + coarse)

    async def _carry(self, spec: ProcessSpec) -> ProcessResult:
        changes = self._sudo and "show" not in spec.argv[:4]
        return await self._there(replace(spec, argv=("sudo", "-n", "--", *spec.argv)) if changes else spec)
