"""Trends: a day at a time, how repairs ended, how long incidents took, and how much services were up.

Worked out of what is stored, so a start changes nothing. Days are UTC. What was not measured is None, and a day of which
nobody looked far enough back at the runs says so. An ended run never changes: it is counted once.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from watchkeeper.catalog.catalog import by_alias, by_ref
from watchkeeper.engine.answer import No, missing
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.measuring import FRESH_MS
from watchkeeper.engine.records import RunRecord, read
from watchkeeper.learn.availability import Episode
from watchkeeper.learn.looks import DAY_MS, State, midnight, spans
from watchkeeper.learn.measures import PPM, down_ms, mean
from watchkeeper.ports import Row
from watchkeeper.values import Instant, after_ms, ms_between

TREND_DAYS_MAX: Final = 92
RUNS_READ_MAX: Final = 20_000  # of the newest ones, at the first look; days before the oldest of them are not known
SERVICES_MAX: Final = 20  # that are shown day by day, the one that was up least on top
PAGE: Final = 1_000
GOOD: Final = frozenset({"succeeded"})
BAD: Final = frozenset({"failed", "undone", "undo_failed"})


class TrendDay(Struct, frozen=True, kw_only=True):
    """`runs`: ended that day, by status; None where nobody looked so far back. `repairs` are those that succeeded, failed or
    were undone; `success_ppm` is the share that succeeded. Times are means over the incidents opened that day, None of none.
    `uptime_ppm` is up / (up + down); None when nobody looked. `watched_ms`: how long this node ran.
    """

    day: str
    from_at: Instant
    watched_ms: int
    runs: dict[str, int] | None
    repairs: int
    success_ppm: int | None
    incidents: int
    detect_ms: int | None
    acknowledge_ms: int | None
    restore_ms: int | None
    uptime_ppm: int | None


class ServiceDays(Struct, frozen=True, kw_only=True):
    """`uptime_ppm` over all of the days; `days` one a day, oldest first. `basis`: checks, incidents or none."""

    service: str
    name: str
    basis: str
    uptime_ppm: int | None
    days: tuple[int | None, ...]


class Trend(Struct, frozen=True, kw_only=True):
    """`service` "": of the whole node; `uptime_ppm` is then that of all services with checks of their own together."""

    at: Instant
    service: str
    items: tuple[TrendDay, ...]
    services: tuple[ServiceDays, ...]
    services_measured: int


class Trends:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = asyncio.Lock()  # two that count at a time would count a run twice
        self._position = 0  # of the newest run that was looked at
        self._since: str | None = None  # the oldest day of which all ends are counted; None: of all
        self._open: dict[str, None] = {}
        self._ends: dict[str, Counter[str]] = {}
        self._kept: dict[tuple[int, str], tuple[int, Trend]] = {}

    async def trend(self, days: int, service: str = "") -> Trend | No:
        """The last `days`, the one of now included."""
        engine = self._engine
        ref = ""
        if service:
            catalog = engine.world.configuration.catalog
            entity = by_ref(catalog, service) or by_alias(catalog, service)
            if entity is None:
                return missing("service", service)
            ref = entity.ref
        at_ms = engine.clock.monotonic_ms()
        kept = self._kept.get((days, ref))
        if kept is not None and at_ms - kept[0] < FRESH_MS:
            return kept[1]
        async with self._turn:
            await self._count()
        found = self._worked_out(days, ref)
        self._kept = {key: one for key, one in self._kept.items() if at_ms - one[0] < FRESH_MS}
        self._kept[days, ref] = (at_ms, found)
        return found

    # Ends of runs.

    async def _count(self) -> None:
        """Newest first, down to what was looked at before; then those that had not ended then."""
        store = self._engine.store
        fresh: list[Row] = []
        after: str | None = None
        while len(fresh) < RUNS_READ_MAX:
            page = await store.find("run", after=after, limit=PAGE)
            rows = [row for row in page.items if row.position > self._position]
            fresh += rows
            after = page.next
            if after is None or len(rows) < len(page.items):
                after = None
                break
        if after is not None and fresh:
            self._since = after_day(read(fresh[-1], RunRecord).at)
        waited, self._open = self._open, {}
        for name in waited:
            row = await store.get("run", name)
            if row is not None:
                self._take(row)
        for row in fresh:
            self._take(row)
        self._position = max([self._position, *(row.position for row in fresh)])
        for day in sorted(self._ends)[: -2 * TREND_DAYS_MAX]:
            del self._ends[day]

    def _take(self, row: Row) -> None:
        record = read(row, RunRecord)
        if record.ended_at is None:
            self._open[record.id] = None
        elif not record.drill:
            self._ends.setdefault(f"{record.ended_at:%Y-%m-%d}", Counter())[record.status] += 1

    # What is asked.

    def _worked_out(self, days: int, ref: str) -> Trend:
        measuring, now = self._engine.measuring, self._engine.clock.now()
        first = after_ms(midnight(now), -(days - 1) * DAY_MS)
        bounds = [(at, min(now, after_ms(at, DAY_MS))) for at in (after_ms(first, n * DAY_MS) for n in range(days))]
        up = self._up_of(ref, bounds) if ref else self._up_of_all(first, now, bounds)
        refs = (ref, *measuring.members(ref)) if ref else tuple(measuring.episodes.services())
        by_day: dict[str, list[Episode]] = {}
        for each in measuring.episodes.of(refs):
            by_day.setdefault(f"{each.opened_at:%Y-%m-%d}", []).append(each)
        watched = measuring.watched()
        items = []
        for (from_at, until_at), uptime in zip(bounds, up, strict=True):
            day = f"{from_at:%Y-%m-%d}"
            runs = None if ref or (self._since is not None and day < self._since) else self._ends.get(day, Counter())
            listed = by_day.get(day, [])
            items.append(
                TrendDay(
                    day=day,
                    from_at=from_at,
                    watched_ms=down_ms(watched, from_at, until_at),
                    runs=None if runs is None else dict(runs),
                    repairs=_of(runs, GOOD | BAD),
                    success_ppm=_share(runs),
                    incidents=len(listed),
                    detect_ms=mean((one.began_at, one.opened_at) for one in listed).mean_ms,
                    acknowledge_ms=mean((one.opened_at, one.acknowledged_at) for one in listed).mean_ms,
                    restore_ms=mean((one.began_at, one.resolved_at) for one in listed).mean_ms,
                    uptime_ppm=uptime,
                )
            )
        services, count = ((), 0) if ref else self._services(days, bounds)
        return Trend(at=now, service=ref, items=tuple(items), services=services, services_measured=count)

    def _up_of(self, ref: str, bounds: Iterable[tuple[Instant, Instant]]) -> list[int | None]:
        return [self._engine.measuring.between(ref, start, end).uptime_ppm for start, end in bounds]

    def _up_of_all(self, first: Instant, now: Instant, bounds: list[tuple[Instant, Instant]]) -> list[int | None]:
        """What the checks of this node saw of all services, a day at a time."""
        up, down = [0] * len(bounds), [0] * len(bounds)
        for ref in self._engine.measuring.services():
            for state, start, end in spans(self._engine.measuring.days(ref), first, now):
                if state is State.UNKNOWN:
                    continue
                into, at = up if state is State.UP else down, start
                while at < end:
                    place = ms_between(first, at) // DAY_MS
                    until = min(end, bounds[place][1])
                    if until <= at:
                        break
                    into[place] += ms_between(at, until)
                    at = until
        return [one * PPM // (one + other) if one + other else None for one, other in zip(up, down, strict=True)]

    def _services(self, days: int, bounds: list[tuple[Instant, Instant]]) -> tuple[tuple[ServiceDays, ...], int]:
        measuring = self._engine.measuring
        found = [measuring.of(ref, days * DAY_MS) for ref in measuring.services()]
        known = sorted(
            (one for one in found if one.uptime_ppm is not None), key=lambda one: (one.uptime_ppm, one.service)
        )
        entities = self._engine.world.configuration.catalog.entities
        return tuple(
            ServiceDays(
                service=one.service,
                name=entities[one.service].name,
                basis=one.basis.value,
                uptime_ppm=one.uptime_ppm,
                days=tuple(self._up_of(one.service, bounds)),
            )
            for one in known[:SERVICES_MAX]
        ), len(known)


def after_day(at: Instant) -> str:
    """The first day that begins after that instant: of its own day only a part was seen."""
    return f"{after_ms(midnight(at), DAY_MS):%Y-%m-%d}"


def _of(runs: Counter[str] | None, statuses: frozenset[str]) -> int:
    return 0 if runs is None else sum(runs[status] for status in statuses)


def _share(runs: Counter[str] | None) -> int | None:
    ended = _of(runs, GOOD | BAD)
    return _of(runs, GOOD) * PPM // ended if ended else None
