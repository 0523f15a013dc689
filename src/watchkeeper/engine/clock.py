"""Time as the engine reads it, and whether it can be trusted.

Durations are measured on the monotonic clock of the event loop; wall time only names instants. A simulation runs
the same engine on a loop whose time it moves itself.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from watchkeeper.guards.situation import Clock as ClockState
from watchkeeper.values import Instant, ms_between

BEHIND_MAX_MS: Final = 5_000
JUMP_MAX_MS: Final = 30_000
AGREED_FOR_MS: Final = 60_000


class Clock(Protocol):
    def now(self) -> Instant: ...

    def monotonic_ms(self) -> int: ...


class SystemClock:
    """Wall time of the machine, monotonic time of the loop that runs."""

    def now(self) -> Instant:
        return datetime.now(UTC)

    def monotonic_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)


class LoopClock:
    """Wall time derived from the loop's own: exact in a simulation. `skew` moves the wall without the loop."""

    def __init__(self, start_at: Instant) -> None:
        self._start_at = start_at
        self.skew_ms = 0

    def now(self) -> Instant:
        return self._start_at + timedelta(milliseconds=self.monotonic_ms() + self.skew_ms)

    def monotonic_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)


class ClockGuard:
    """Distrusts wall time that fell behind the highest seen by 5 s, or jumped 30 s against the monotonic clock.

    Trust returns after both agreed for 60 s. Source: SEMANTICS 8.
    """

    def __init__(self) -> None:
        self._highest_at: Instant | None = None
        self._pair: tuple[Instant, int] | None = None
        self._distrusted_since: Instant | None = None
        self._agreed_since_ms: int | None = None
        self._why = ""

    def seen(self, at: Instant) -> None:
        """A time that this node has shown before, in an earlier process."""
        if self._highest_at is None or at > self._highest_at:
            self._highest_at = at

    def look(self, wall_at: Instant, monotonic_ms: int) -> ClockState:
        """The state after one look at both clocks. Call it often: a jump shows between two looks."""
        why = ""
        if self._highest_at is not None and ms_between(wall_at, self._highest_at) > BEHIND_MAX_MS:
            behind_s = ms_between(wall_at, self._highest_at) // 1000
            why = f"the clock of this node is {behind_s} s behind a time it has already shown"
        if self._pair is not None:
            drift_ms = ms_between(self._pair[0], wall_at) - (monotonic_ms - self._pair[1])
            if abs(drift_ms) > JUMP_MAX_MS:
                why = why or f"the clock of this node jumped by {drift_ms // 1000} s"
        self._pair = (wall_at, monotonic_ms)
        if self._highest_at is None or wall_at > self._highest_at:
            self._highest_at = wall_at
        if why:
            self._distrusted_since = self._distrusted_since or wall_at
            self._agreed_since_ms = None
            self._why = why
            self._highest_at = wall_at  # from here on the two clocks only have to agree with each other
        elif self._distrusted_since is not None:
            if self._agreed_since_ms is None:
                self._agreed_since_ms = monotonic_ms
            elif monotonic_ms - self._agreed_since_ms >= AGREED_FOR_MS:
                self._distrusted_since, self._agreed_since_ms, self._why = None, None, ""
        if self._distrusted_since is None:
            return ClockState()
        return ClockState(trusted=False, why=self._why, since_at=self._distrusted_since)
