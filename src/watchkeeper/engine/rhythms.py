"""Rhythms: how often each rule is called for, service by service, and what is done when that is unusual.

A call is counted when its first decision is durable, and written with others every WRITE_EVERY_MS; after a start those
that were decided since are counted again. A surge is seen at the call that makes it, a silence once its window is over.
Either is stored, demotes the cells concerned to approve (SEMANTICS 4), and its rule's owner is told.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from typing import Any, Final

import structlog
from msgspec.structs import replace

from watchkeeper.catalog.catalog import by_ref
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.measuring import Measuring
from watchkeeper.engine.records import RhythmRecord, RhythmsRecord, put, read
from watchkeeper.engine.rhythm_words import of_unusual, span_text, why_of
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.standing import Standings, cells_of
from watchkeeper.engine.telling import Telling
from watchkeeper.engine.world import World
from watchkeeper.guards.situation import Measured, Target
from watchkeeper.home.anomaly import AnomalySettings, zone_of
from watchkeeper.learn.agreement import Cell
from watchkeeper.learn.rhythm import (
    HOUR_MS,
    HOURS,
    WEEK_HOURS,
    Calls,
    Kind,
    Learning,
    Policy,
    Span,
    Unusual,
    Usual,
    usual,
    window,
)
from watchkeeper.learn.standing import Because
from watchkeeper.ports import Commit, Drop, Refused
from watchkeeper.values import EPOCH, Instant, after_ms, id_from, ms_between

log = structlog.get_logger("watchkeeper.rhythms")

SERIES_MAX: Final = 10_000  # pairs of rule and service; past it the one that was called for longest ago goes
WRITE_EVERY_MS: Final = 30_000
LOOK_EVERY_MS: Final = 60_000
AGE_MAX_MS: Final = 60_000  # the count is in memory and never older than the decision
RECOUNTED_MAX: Final = 10_000  # decisions since the last write that are read at a start
UNUSUAL_READ_MAX: Final = 5_000  # newest findings that are known after a start
CELLS_LOOKED_AT_MAX: Final = 200  # newest decisions of a rule whose cells an anomaly demotes
SPARE_WEEKS: Final = 2  # kept beyond what is compared with
NODE: Final = "node"
SURGES: Final = (Span.HOUR, Span.DAY)
SILENCES: Final = (Span.DAY, Span.WEEK)

All = Callable[..., AsyncIterator[Any]]
Answer = Usual | Learning


class Series:
    """`hours` are UTC's, as they are stored; `wall` the same calls by the clock on the wall. `kept`: answers by span, each
    for the window that begins at an hour, and under what it was worked out.
    """

    __slots__ = ("hours", "kept", "rule", "service", "since_at", "unusual", "wall")

    def __init__(self, rule: str, service: str, since_at: Instant, hours: dict[int, int] | None = None) -> None:
        self.rule, self.service, self.since_at = rule, service, since_at
        self.hours = {} if hours is None else hours
        self.wall: dict[int, int] = {}
        self.unusual: dict[Span, dict[int, str]] = {}  # first hour on the wall -> id
        self.kept: dict[Span, tuple[tuple[int, str, int], Answer]] = {}

    @property
    def record(self) -> RhythmRecord:
        identity = id_from("rhy", EPOCH, self.rule, self.service)
        return RhythmRecord(
            id=identity, rule=self.rule, service=self.service, since_at=self.since_at, hours=dict(self.hours)
        )


class Rhythms:
    """Owned by the engine's loop."""

    def __init__(
        self, scribe: Scribe, world: World, measuring: Measuring, standings: Standings, telling: Telling
    ) -> None:
        self._scribe, self._world, self._measuring = scribe, world, measuring
        self._standings, self._telling = standings, telling
        self._series: OrderedDict[tuple[str, str], Series] = OrderedDict()  # the last that was called for at the end
        self._changed: set[tuple[str, str]] = set()
        self._gone: list[str] = []
        self._fresh: OrderedDict[str, Unusual] = OrderedDict()  # seen, and not stored yet
        now = scribe.clock.now()
        self._node = RhythmsRecord(id=NODE, counted_to=now)
        self._stored: RhythmsRecord | None = None
        self._zone: tzinfo = UTC
        self._found: dict[str, Unusual] = {}  # those that are known, by id
        self._looked_at: Instant | None = None
        self._written_at: Instant | None = None

    @property
    def settings(self) -> AnomalySettings:
        return self._world.configuration.settings.anomaly

    # What is asked.

    def of(self, rule: str, targets: Iterable[Target], now: Instant, *, fresh: bool) -> Measured | None:
        """For the guard: the service and window in which the rule is closest to too many calls, or furthest past it. `fresh`:
        this episode is not counted yet. None while nothing is known to be usual.
        """
        if not self.settings.watch:
            return None
        found: list[tuple[int, Measured]] = []
        for service in services_of(targets):
            series = self._series.get((rule, service))
            if series is None:
                continue
            for span in SURGES:
                answer = self.usual(series, span, now)
                if isinstance(answer, Usual):
                    calls = self.calls(series, span, now) + fresh
                    name = f"the number of calls for it on {self.name(service)} {span_text(span)}"
                    measured = Measured(name=name, value=calls, as_of=now, age_max_ms=AGE_MAX_MS, limit=answer.limit)
                    found.append((calls - answer.limit, measured))
        return max(found, key=lambda pair: pair[0])[1] if found else None

    def series(self, rule: str = "", service: str = "") -> tuple[Series, ...]:
        """By rule and service."""
        found = (each for each in self._series.values() if rule in {"", each.rule} and service in {"", each.service})
        return tuple(sorted(found, key=lambda each: (each.rule, each.service)))

    def usual(self, series: Series, span: Span, now: Instant, back: int = 0) -> Answer:
        """In the window that `now` lies in, or the one so many before it. Worked out once a window."""
        start = window(self.hour(now), span) - back * HOURS[span]
        key = (start, self._world.configuration.digest, self._policy().series)
        kept = series.kept.get(span)
        if kept is not None and kept[0] == key:
            return kept[1]
        found = usual(self._calls(series, start), start, span, self._policy())
        if not back:
            series.kept[span] = (key, found)
        return found

    def calls(self, series: Series, span: Span, now: Instant, back: int = 0) -> int:
        start = window(self.hour(now), span) - back * HOURS[span]
        return sum(series.wall.get(hour, 0) for hour in range(start, start + HOURS[span]))

    def name(self, service: str) -> str:
        entity = by_ref(self._world.configuration.catalog, service)
        return entity.name if entity is not None else service

    def hour(self, at: Instant) -> int:
        """Its hour on the wall, numbered from 1970."""
        return self._on_the_wall(_utc_hour(at))

    # Counting.

    def decided(self, decision: Decision) -> None:
        """A decision is durable. The first one of an episode is a call."""
        if decision.follows or decision.actor != "automation" or decision.rule not in self._node.rules:
            return
        if not self._world.clock.trusted:
            return  # in which hour it came nobody knows; a call lost is better than a surge in an hour that never was
        for service in services_of(decision.targets):
            series = self._count(decision.rule, service, decision.at)
            if self.settings.watch:
                self._surge(series, decision.at)

    def _count(self, rule: str, service: str, at: Instant) -> Series:
        key = (rule, service)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series(rule, service, self._node.rules[rule])
            if len(self._series) > SERIES_MAX:
                _, gone = self._series.popitem(last=False)
                self._changed.discard((gone.rule, gone.service))
                self._gone.append(gone.record.id)
        self._series.move_to_end(key)
        hour = _utc_hour(at)
        series.hours[hour] = series.hours.get(hour, 0) + 1
        wall = self._on_the_wall(hour)
        series.wall[wall] = series.wall.get(wall, 0) + 1
        self._changed.add(key)
        return series

    def _surge(self, series: Series, at: Instant) -> None:
        for span in SURGES:
            answer = self.usual(series, span, at)
            calls = self.calls(series, span, at)
            if isinstance(answer, Usual) and calls > answer.limit:
                self._note(series, Kind.SURGE, span, at, calls, answer)

    def _note(
        self, series: Series, kind: Kind, span: Span, at: Instant, calls: int, answer: Usual, back: int = 0
    ) -> None:
        start = window(self.hour(at), span) - back * HOURS[span]
        from_at = self.instant(start)
        rule = self._world.configuration.rulebook.rules.get(series.rule)
        found = Unusual(
            id=id_from("unu", EPOCH, series.rule, series.service, kind.value, span.value, str(start)),
            rule=series.rule,
            service=series.service,
            kind=kind,
            span=span,
            from_at=from_at,
            until_at=self.instant(start + HOURS[span]),
            calls=calls,
            mean_milli=answer.mean_milli,
            bound=answer.limit if kind is Kind.SURGE else answer.floor or 0,
            weeks=answer.weeks,
            at=at,
            owner=rule.owner if rule is not None else "",
        )
        if found.id not in self._found:
            self._found[found.id] = self._fresh[found.id] = found
            self._strange(found)

    def _strange(self, found: Unusual) -> None:
        series = self._series.get((found.rule, found.service))
        if series is not None:
            series.unusual.setdefault(found.span, {})[self.hour(found.from_at)] = found.id

    def _strange_again(self) -> None:
        """Which windows those are, by the wall of the zone in force."""
        for series in self._series.values():
            series.unusual.clear()
        for found in self._found.values():
            self._strange(found)

    # By the clock.

    async def tick(self, now: Instant) -> None:
        while self._fresh:
            if not await self._unusual(next(iter(self._fresh.values()))):
                break
        if not self._world.clock.trusted:
            return  # whose hours these are nobody knows
        if self._looked_at is None or abs(ms_between(self._looked_at, now)) >= LOOK_EVERY_MS:
            self._looked_at = now
            self._silences(now)
        if self._written_at is None or abs(ms_between(self._written_at, now)) >= WRITE_EVERY_MS:
            await self.write()

    def _silences(self, now: Instant) -> None:
        """Of windows that have ended since the last look."""
        for span in SILENCES:
            ended = self.instant(window(self.hour(now), span))
            before = self._node.looked_at.get(span.value)
            if before is not None and before >= ended:
                continue
            self._node = replace(self._node, looked_at={**self._node.looked_at, span.value: ended})
            if not self.settings.watch:
                continue
            start = window(self.hour(now), span) - HOURS[span]
            for series in tuple(self._series.values()):
                if series.rule not in self._node.rules or not self._calls(series, start).watched(start, span):
                    continue
                answer = self.usual(series, span, now, back=1)
                calls = self.calls(series, span, now, back=1)
                if isinstance(answer, Usual) and answer.floor is not None and calls <= answer.floor:
                    self._note(series, Kind.SILENCE, span, now, calls, answer, back=1)

    async def _unusual(self, found: Unusual) -> bool:
        """Store what was found with all that follows of it; False when the store did not take it: the next tick tries again."""
        why = why_of(found, self.name(found.service), self.settings.zone)
        log.warning("unusual", rule=found.rule, service=found.service, kind=found.kind.value, why=why)
        fallen = self._standings.falls(await self._cells(found), Because.ANOMALY, why, cause=found.id)
        # Whoever is told of a demotion is told why; where there is nothing to demote it is told by itself.
        told = fallen.puts or self._telling.notices((of_unusual(found, why),))
        found = replace(found, demoted=tuple(each.id for each in fallen.demotions))
        puts = (put(found), *told)
        outcome = await self._scribe.commit(
            Commit(at=self._scribe.clock.now(), puts=puts, entries=fallen.entries, bumps=fallen.bumps)
        )
        if isinstance(outcome, Refused):
            return False
        self._found[found.id] = found
        self._fresh.pop(found.id, None)
        if fallen.demotions:
            await self._standings.fell(fallen)
        else:
            self._telling.told(told)
        return True

    async def _cells(self, found: Unusual) -> tuple[Cell, ...]:
        """Where the rule was judged for that service lately."""
        page = await self._scribe.store.find("decision", {"rule": found.rule}, limit=CELLS_LOOKED_AT_MAX)
        made = (read(row, Decision) for row in page.items)
        about = [each for each in made if found.service in services_of(each.targets)]
        return tuple(dict.fromkeys(cell for each in about for cell in cells_of(each)))

    # Kept, and taken up again.

    async def load(self, every: All) -> None:
        row = await self._scribe.store.get("rhythms", NODE)
        if row is not None:
            self._node = self._stored = read(row, RhythmsRecord)
        records = [record async for record in every(RhythmRecord, {})]
        for record in sorted(records, key=lambda each: max(each.hours, default=0)):
            self._series[record.rule, record.service] = Series(
                record.rule, record.service, record.since_at, record.hours
            )
        self.configured()
        await self._recount()
        async for found in every(Unusual, {}, most=UNUSUAL_READ_MAX):
            self._found[found.id] = found
        self._strange_again()

    async def _recount(self) -> None:
        """What was decided after the last write, newest first."""
        after: str | None = None
        read_ = 0
        while read_ < RECOUNTED_MAX:
            page = await self._scribe.store.find("decision", after=after, limit=1_000)
            for row in page.items:
                made = read(row, Decision)
                if made.at <= self._node.counted_to:
                    return
                if not made.follows and made.actor == "automation" and made.rule in self._node.rules:
                    for service in services_of(made.targets):
                        self._count(made.rule, service, made.at)
            read_ += len(page.items)
            after = page.next
            if after is None:
                return

    def configured(self) -> None:
        """A rule is counted from when it is in force. One that left is forgotten: under its name another may come. So is a
        service that left: nobody calls for it any more, and that is no silence.
        """
        now = self._scribe.clock.now()
        rules, catalog = self._world.configuration.rulebook.rules, self._world.configuration.catalog
        before = self._node.rules
        self._node = replace(self._node, rules={name: before.get(name, now) for name in rules})
        for key in [key for key in self._series if key[0] not in rules or by_ref(catalog, key[1]) is None]:
            self._gone.append(self._series.pop(key).record.id)
            self._changed.discard(key)
        self._zone = zone_of(self.settings.zone) or UTC
        for series in self._series.values():
            series.kept.clear()
            series.wall.clear()
            for hour, calls in series.hours.items():
                wall = self._on_the_wall(hour)
                series.wall[wall] = series.wall.get(wall, 0) + calls
        self._strange_again()

    async def write(self) -> None:
        """What changed since the last time; nothing when nothing did."""
        now = self._scribe.clock.now()
        self._written_at = now
        changed, self._changed = self._changed, set()
        gone, self._gone = self._gone, []
        found = [self._series[key] for key in changed if key in self._series]
        if not (found or gone) and self._node == self._stored:
            return
        oldest = _utc_hour(now) - (self.settings.weeks + SPARE_WEEKS) * WEEK_HOURS
        for series in found:
            for hour in [hour for hour in series.hours if hour < oldest]:
                del series.hours[hour]
        self._node = self._stored = replace(self._node, counted_to=now)
        records = [series.record for series in found]
        back = {each.id for each in records}  # forgotten, and called for again since: a drop would win over its put
        drops = tuple(Drop(kind="rhythm", id=name) for name in gone if name not in back)
        puts = (put(self._node), *(put(each) for each in records))
        await self._scribe.commit(Commit(at=now, puts=puts, drops=drops))

    # Hours.

    def _policy(self) -> Policy:
        settings = self.settings
        # The next power of two: what is usual is worked out again when there are twice as many, not with each one more.
        series = 1 << max(0, len(self._series) - 1).bit_length()
        return Policy(every_ms=settings.false_alarm_every_ms, weeks=settings.weeks, series=series)

    def _calls(self, series: Series, start: int) -> Calls:
        """As the wall's clock counts them, for a window that begins then."""
        since = self.hour(after_ms(series.since_at, HOUR_MS - 1))
        oldest = self.instant(start - self.settings.weeks * WEEK_HOURS)
        return Calls(
            hours=series.wall,
            since=since,
            blind=self._blind(max(oldest, series.since_at)),
            unusual={span: frozenset(starts) for span, starts in series.unusual.items()},
        )

    def _blind(self, since_at: Instant) -> frozenset[int]:
        """Hours in which this node did not run nearly all the time."""
        found: set[int] = set()
        watched = self._measuring.watched()
        for before, after in pairwise(watched):
            if before.until_at is None or after.from_at <= since_at:
                continue
            first, last = self.hour(max(before.until_at, since_at)), self.hour(after.from_at)
            found.update(range(first, last + 1))
        return frozenset(found)

    def _on_the_wall(self, hour: int) -> int:
        if self._zone is UTC:
            return hour
        offset = datetime.fromtimestamp(hour * 3600, UTC).astimezone(self._zone).utcoffset()
        return hour if offset is None else hour + int(offset.total_seconds() // 3600)

    def instant(self, hour: int) -> Instant:
        """When an hour on the wall begins: the first time, where it comes twice."""
        wall = datetime.fromtimestamp(hour * 3600, UTC).replace(tzinfo=self._zone)
        return wall.astimezone(UTC)


def services_of(targets: Iterable[Target]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(target.service or target.ref for target in targets))


def _utc_hour(at: Instant) -> int:
    return ms_between(EPOCH, at) // HOUR_MS
