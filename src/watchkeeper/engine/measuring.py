"""Measuring: what the availability of services is worked out from, kept as it happens.

Looks of the node's own checks by day, incidents as they are committed, failovers as they end. Nothing is read again at a
decision: an answer is summed from the days and the incidents of one service, and repeated for FRESH_MS. A start reads
back what a window can reach, each kind within its bound.
"""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.catalog import graph
from watchkeeper.correlate.incident import Incident
from watchkeeper.engine.episodes import EPISODES_MAX, Episodes
from watchkeeper.engine.failovers import Failovers, region_in
from watchkeeper.engine.records import NodeTimes, Note, kind_of, put, read
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.home.metrics import WINDOW_MAX_MS
from watchkeeper.home.settings import Poll
from watchkeeper.learn.availability import Availability, availability
from watchkeeper.learn.failover import Failover
from watchkeeper.learn.looks import DAY_MS, FINE_DAYS_MAX, Day, Look, coarse, looked, midnight, standing
from watchkeeper.ports import Commit, Drop, Put
from watchkeeper.signals.sample import Seen
from watchkeeper.values import Instant, Window, after_ms, ms_between

FRESH_MS: Final = 5_000  # how long an answer is repeated before it is summed again
KEPT_MS: Final = WINDOW_MAX_MS + 2 * DAY_MS  # a window may begin inside a day, and needs the state before it
WRITE_EVERY_MS: Final = 30_000  # looks are written so often; a crash loses at most that of their counts
ALIVE_MS: Final = 90_000  # a node that wrote nothing for so long did not watch
GAPS_MAX: Final = 1_000  # stretches without this node that are remembered
DAYS_READ_MAX: Final = 200_000
ANSWERS_MAX: Final = 4_096  # past it the least used goes
TICK_S: Final = 1.0
NODE: Final = "node"

Document = TypeVar("Document", bound=Struct)


class Measuring:
    def __init__(self, scribe: Scribe, world: World) -> None:
        self._scribe, self._world = scribe, world
        self._days: dict[str, dict[str, Day]] = defaultdict(dict)  # service -> id -> day, oldest first
        self._looks: dict[str, dict[str, Look]] = defaultdict(dict)  # service -> check -> its newest look
        self._unwritten: dict[str, Day] = {}
        self._gone: list[str] = []
        self._written_at: Instant | None = None
        self._answers: OrderedDict[tuple[str, int], tuple[int, Availability]] = OrderedDict()
        now = scribe.clock.now()
        self._times = NodeTimes(id=NODE, since_at=now, alive_at=now)
        self.alive_before: Instant | None = None  # when an earlier process last said that it lives
        self.episodes = Episodes(scribe, self._stale)
        self.failovers = Failovers(scribe, world, self.episodes, self.days, self._stale)

    def look(self, ref: str, poll: Poll, seen: Seen, at: Instant, values: Mapping[str, Any]) -> None:
        """One look of a check of this node at a service."""
        good = None if seen is Seen.BLIND else seen is Seen.GOOD
        if good is not None:
            until_at = after_ms(at, poll.probe.stale_after_ms)
            self._looks[ref][poll.name] = Look(at=at, good=good, until_at=until_at)
        state, until_at = standing(self._looks[ref].values(), at)
        days = self._days[ref]
        newest = days[next(reversed(days))] if days else None
        day = looked(newest, ref, at, state, until_at, good)
        days[day.id] = self._unwritten[day.id] = day
        if newest is None or newest.id != day.id:
            self._aged(ref, at)
        if good and poll.active_in is not None and (region := region_in(poll.active_in, values)):
            self.failovers.active_in(ref, region, at)
        self.failovers.looked(ref, poll, at)

    # What is asked.

    def days(self, ref: str) -> tuple[Day, ...]:
        return tuple(self._days.get(ref, {}).values())

    def of(self, ref: str, window_ms: int) -> Availability:
        """The availability of a service over a window that ends now; at most FRESH_MS old."""
        at_ms = self._scribe.clock.monotonic_ms()
        key = (ref, window_ms)
        kept = self._answers.get(key)
        if kept is not None and at_ms - kept[0] < FRESH_MS:
            self._answers.move_to_end(key)
            return kept[1]
        now = self._scribe.clock.now()
        found = self.between(ref, after_ms(now, -window_ms), now)
        self._answers[key] = (at_ms, found)
        self._answers.move_to_end(key)
        if len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)
        return found

    def between(self, ref: str, from_at: Instant, until_at: Instant) -> Availability:
        """The availability of a service over a window that need not end now."""
        return availability(
            ref,
            self.days(ref),
            self.episodes.of((ref, *self.members(ref))),
            self.failovers.of(ref),
            own=frozenset((ref,)),
            down_severities=frozenset(self._world.configuration.settings.metrics.down),
            watched=self.watched(),
            window_ms=ms_between(from_at, until_at),
            now=until_at,
        )

    def services(self) -> tuple[str, ...]:
        """Those of which anything was measured, by reference."""
        catalog = self._world.configuration.catalog
        measured = (*self._days, *self.episodes.services(), *self.failovers.services())
        known = {ref for ref in measured if ref in catalog.entities}
        return tuple(sorted(known | {above for ref in known for above in graph.services_of(catalog, ref)}))

    def watched(self) -> tuple[Window, ...]:
        """When this node ran, as far as it is on record."""
        found: list[Window] = []
        start = self._times.since_at
        for gap in self._times.gaps:
            found.append(Window(from_at=start, until_at=gap.from_at))
            start = gap.until_at or start
        return (*found, Window(from_at=start, until_at=self._scribe.clock.now()))

    def members(self, ref: str) -> tuple[str, ...]:
        return graph.instances(self._world.configuration.catalog, ref)

    def _stale(self, ref: str) -> None:
        """Something of a service moved: what was answered of it, or of the service it is a member of, is old."""
        concerned = {ref, *graph.services_of(self._world.configuration.catalog, ref)}
        for key in [key for key in self._answers if key[0] in concerned]:
            del self._answers[key]

    # Kept, and taken up again.

    async def load(self) -> None:
        now = self._scribe.clock.now()
        await self._scribe.timing.load(self._scribe.store, now)
        oldest_at = after_ms(now, -KEPT_MS)
        row = await self._scribe.store.get("measured", NODE)
        if row is not None:
            before = read(row, NodeTimes)
            self._times, self.alive_before = alive_again(before, now), before.alive_at
        async for day in self._all(Day, {}, DAYS_READ_MAX):
            self._days[day.entity][day.id] = day
        for ref, days in self._days.items():
            self._days[ref] = dict(sorted(days.items(), key=lambda pair: pair[1].from_at))
            self._aged(ref, now)
        incidents = {each.id: each async for each in self._all(Incident, {"state": "open"}, EPISODES_MAX)}
        async for incident in self._all(Incident, {}, EPISODES_MAX):
            if incident.opened_at < oldest_at:
                break
            incidents[incident.id] = incident
        for incident in sorted(incidents.values(), key=lambda each: each.opened_at):
            self.episodes.take(incident)
        async for note in self._all(Note, {}, EPISODES_MAX):
            if note.at < oldest_at:
                break
            self.episodes.acknowledge(note)
        failovers = [each async for each in self._all(Failover, {}, EPISODES_MAX)]
        await self.failovers.load([each for each in failovers if each.at >= oldest_at], oldest_at)
        self.configured()

    def configured(self) -> None:
        """The configuration in force: where its catalogue says that services are active, and which checks look. Where a
        check reads the region from answers, that is newer than what somebody wrote.
        """
        now, configuration = self._scribe.clock.now(), self._world.configuration
        polls = configuration.settings.polls
        read_from = {configuration.catalog.named.get(poll.entity) for poll in polls if poll.active_in is not None}
        for ref, entity in configuration.catalog.entities.items():
            if entity.active_in and ref not in read_from:
                self.failovers.active_in(ref, entity.active_in, now)
        wanted = {poll.name for poll in polls}
        for looks in self._looks.values():
            for name in [name for name in looks if name not in wanted]:
                del looks[name]
        self._answers.clear()

    async def work(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await self.failovers.work()
            now = self._scribe.clock.now()
            if self._written_at is None or abs(ms_between(self._written_at, now)) >= WRITE_EVERY_MS:
                await self.write()

    async def write(self) -> None:
        """The days that changed since the last time, what was timed, and that this node lives."""
        now = self._scribe.clock.now()
        self._written_at = now
        self._times = replace(self._times, alive_at=max(now, self._times.alive_at))
        unwritten, self._unwritten = self._unwritten, {}
        gone, self._gone = self._gone, []
        timed, old = self._scribe.timing.changes(now)
        puts: tuple[Put, ...] = (put(self._times), *(put(day) for day in unwritten.values()), *timed)
        drops = (*(Drop(kind="looks", id=name) for name in gone), *old)
        await self._scribe.commit(Commit(at=now, puts=puts, drops=drops))

    def _aged(self, ref: str, now: Instant) -> None:
        """Days grow coarse, and go when no window reaches them any more."""
        fine_from, oldest_at = after_ms(midnight(now), -FINE_DAYS_MAX * DAY_MS), after_ms(now, -KEPT_MS)
        kept: dict[str, Day] = {}
        for name, day in self._days[ref].items():
            if after_ms(day.from_at, DAY_MS) <= oldest_at:
                self._gone.append(name)
                self._unwritten.pop(name, None)
                continue
            kept[name] = coarse(day) if day.from_at < fine_from else day
            if kept[name] is not day:
                self._unwritten[name] = kept[name]
        self._days[ref] = kept

    async def _all(self, document: type[Document], where: Mapping[str, str], most: int) -> AsyncIterator[Document]:
        """Newest first, at most `most`."""
        after: str | None = None
        count = 0
        while count < most:
            page = await self._scribe.store.find(kind_of(document), where, after=after, limit=1_000)
            for row in page.items:
                yield read(row, document)
            count += len(page.items)
            after = page.next
            if after is None:
                return


def alive_again(times: NodeTimes, now: Instant) -> NodeTimes:
    """After a start: the time since the node last said that it lives is a gap, when it is long enough to matter."""
    gaps = times.gaps
    if ms_between(times.alive_at, now) > ALIVE_MS:
        gaps = (*gaps, Window(from_at=times.alive_at, until_at=now))[-GAPS_MAX:]
    return replace(times, alive_at=max(now, times.alive_at), gaps=gaps)
