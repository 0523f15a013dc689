"""Room: how much of `store.disk_max` the store uses, and what gives way when there is little.

At 80 % outputs of runs that ended go first, oldest first; at 95 % hooks answer *later* (503 with Retry-After), which
senders try again. People are told all the same. Each state ends by itself, a little below where it began, so that it
does not flicker. Source: SEMANTICS 13.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from enum import StrEnum
from typing import Final

import structlog

from watchkeeper.engine.clock import Clock
from watchkeeper.engine.records import SizeSample, put, read
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.sweeper import Sweeper
from watchkeeper.engine.world import World
from watchkeeper.errors import Unavailable
from watchkeeper.ports import Commit, Drop
from watchkeeper.report.notices import Notice, NoticeKind
from watchkeeper.values import Instant, Severity, after_ms, id_from, ms_between

log = structlog.get_logger("watchkeeper.room")

LOOK_EVERY_S: Final = 2.0
TIGHT_PPM: Final = 800_000
TIGHT_ENDS_PPM: Final = 750_000
FULL_PPM: Final = 950_000
FULL_ENDS_PPM: Final = 900_000
SAMPLES_KEPT_MS: Final = 14 * 86_400_000
GROWTH_OVER_MS: Final = 7 * 86_400_000  # how far back the growth is measured
GROWTH_LEAST_MS: Final = 3_600_000  # less history says nothing
PRESSED_BATCHES_MAX: Final = 50  # at one look
DAYS_MAX: Final = 3_650  # further away is "not in ten years"


class Room(StrEnum):
    """`ample`, `tight`: outputs go first, `full`: hooks answer later."""

    AMPLE = "ample"
    TIGHT = "tight"
    FULL = "full"


def room_after(before: Room, used: int, most: int) -> Room:
    """The state at this use: entered at 80 and 95 %, left below 75 and 90 %."""
    share_ppm = used * 1_000_000 // most
    if share_ppm >= FULL_PPM or (before is Room.FULL and share_ppm >= FULL_ENDS_PPM):
        return Room.FULL
    if share_ppm >= TIGHT_PPM or (before is not Room.AMPLE and share_ppm >= TIGHT_ENDS_PPM):
        return Room.TIGHT
    return Room.AMPLE


def days_left(samples: Iterable[SizeSample], now: Instant, used: int, most: int) -> int | None:
    """Whole days until the limit at the growth of the last week; None where it does not grow, or nobody can say yet."""
    recent = [each for each in samples if 0 <= ms_between(each.at, now) <= GROWTH_OVER_MS]
    if not recent or used >= most:
        return 0 if used >= most else None
    first = min(recent, key=lambda each: each.at)
    span_ms, grown = ms_between(first.at, now), used - first.used
    if span_ms < GROWTH_LEAST_MS or grown <= 0:
        return None
    days = (most - used) * span_ms // grown // 86_400_000
    return days if days <= DAYS_MAX else None


class RoomWatch:
    def __init__(
        self, scribe: Scribe, clock: Clock, world: World, sweeper: Sweeper, tell: Callable[[Notice], Awaitable[int]]
    ) -> None:
        self._scribe, self._clock, self._world, self._sweeper, self._tell = scribe, clock, world, sweeper, tell
        self.room = Room.AMPLE
        self.used = 0

    @property
    def most(self) -> int:
        return self._world.configuration.settings.store.disk_max

    def refusal(self) -> str:
        """Why a delivery cannot be taken now; "" when it can."""
        if self.room is not Room.FULL:
            return ""
        return f"the store uses {_percent(self.used, self.most)} of store.disk_max; send it again"

    async def work(self) -> None:
        while True:
            try:
                await self.look()
            except Unavailable as full:
                log.warning("the store could not be looked at", why=str(full))
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> Room:
        """Measure, take out what gives way, and say so when the state changed."""
        before = self.room
        await self._measure()
        for _ in range(PRESSED_BATCHES_MAX):
            if not self._pressed() or not await self._sweeper.press():
                break
            await self._measure()
        if self.room is not before:
            await self._changed(before)
        await self._sample()
        return self.room

    def _pressed(self) -> bool:
        return self.room is not Room.AMPLE

    async def _measure(self) -> None:
        self.used = await self._scribe.store.used_bytes()
        self.room = room_after(self.room, self.used, self.most)

    async def _changed(self, before: Room) -> None:
        share = _percent(self.used, self.most)
        hold = self._world.configuration.settings.retention.legal_hold
        match self.room:
            case Room.FULL:
                subject = f"The store is full: {share} of store.disk_max"
                text = "Hooks answer 503 until there is room; senders try again."
                severity = Severity.CRITICAL
            case Room.TIGHT:
                subject = f"The store has little room: {share} of store.disk_max"
                text = "Outputs of runs that ended go first, oldest first."
                severity = Severity.MAJOR
            case Room.AMPLE:
                subject, severity = f"The store has room again: {share} of store.disk_max", Severity.INFO
                text = "Everything goes on as usual."
        if hold and self.room is not Room.AMPLE:
            text = f"{text} A legal hold keeps everything: nothing was taken out."
        log.warning("room", was=before.value, now=self.room.value, used=self.used, most=self.most)
        now = self._clock.now()
        await self._tell(
            Notice(
                id=id_from("ntc", now, "room", self.room.value),
                at=now,
                kind=NoticeKind.ROOM,
                subject=subject,
                text=text,
                severity=severity,
                commands=("wk store size",),
            )
        )

    async def _sample(self) -> None:
        now = self._clock.now()
        name = now.strftime("%Y-%m-%dT%H")
        if await self._scribe.store.get("size", name) is not None:
            return
        page = await self._scribe.store.find("size", oldest_first=True, limit=100)
        old = after_ms(now, -SAMPLES_KEPT_MS)
        drops = tuple(Drop(kind="size", id=row.id) for row in page.items if read(row, SizeSample).at < old)
        sample = SizeSample(id=name, at=now, used=self.used)
        await self._scribe.store.commit(Commit(at=now, puts=(put(sample),), drops=drops))


def _percent(used: int, most: int) -> str:
    return f"{used * 100 // most} %"
