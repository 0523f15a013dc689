"""Timing: how long the stages of the pipeline take, and what comes in; kept by the minute, and over a restart.

What is measured stands in memory and is written with the measures of services, every half minute: a crash loses at most so
much of it. It is bounded: minutes of the last two hours, hours of the last eight days, and of each a count a bucket.
A length between two instants that other machines or processes named is never negative.
"""

import asyncio
from collections import OrderedDict
from datetime import timedelta
from typing import Final

import msgspec

from watchkeeper.learn.timing import HOUR_MS, MINUTE_MS, Hour, Slot, Spread, coarse, hour_id, hour_of, joined, took
from watchkeeper.ports import Drop, Put, Store
from watchkeeper.values import Instant, after_ms

KIND: Final = "timing"
FINE_HOURS_MAX: Final = 3  # an hour older than that is one number a bucket: no plot by the minute reaches it
HOURS_MAX: Final = 8 * 24 + 1
SOURCES_MAX: Final = 500  # counted apart in a minute; what more there are count in the whole only
CAME_MAX: Final = 20_000  # alerts that wait for their turn; past it they are not measured
ACTING_MAX: Final = 4_096  # decisions whose run has sent nothing yet; the oldest go first

_encode: Final = msgspec.json.Encoder().encode


class Timing:
    """One caller at a time: the loop. `now` is given, or read by whoever calls."""

    def __init__(self) -> None:
        self.hours: dict[str, Hour] = {}
        self.totals: dict[str, Spread] = {}  # since this process started
        self._came: dict[str, Instant] = {}  # alert -> when there came to be a reason to judge it
        self._acting: OrderedDict[str, Instant] = OrderedDict()  # decision -> the same
        self._unwritten: set[str] = set()
        self._gone: list[str] = []
        self._minute: tuple[Instant, Instant, Slot] | None = None  # [from, until) and what it holds

    # What is measured.

    def took(self, stage: str, length_us: int, now: Instant) -> None:
        length_us = max(0, length_us)
        slot = self._slot(now)
        for spreads in (slot.stages, self.totals):
            spread = spreads.get(stage)
            if spread is None:
                spread = spreads[stage] = Spread(counts={})
            took(spread, length_us)

    def since(self, stage: str, began_s: float, now: Instant) -> None:
        """`began_s` by the clock of the loop."""
        self.took(stage, int((asyncio.get_running_loop().time() - began_s) * 1_000_000), now)

    def signal(self, what: str, source: str, now: Instant) -> None:
        slot = self._slot(now)
        slot.signals[what] = slot.signals.get(what, 0) + 1
        if source in slot.sources or len(slot.sources) < SOURCES_MAX:
            slot.sources[source] = slot.sources.get(source, 0) + 1

    def came(self, alert: str, since_at: Instant) -> None:
        """There is a reason to judge the alert, which now waits for its turn. Of several the oldest counts."""
        if len(self._came) < CAME_MAX:
            self._came.setdefault(alert, since_at)

    def turn(self, alert: str, now: Instant) -> None:
        """The alert is brought before the rules."""
        if (since_at := self._came.get(alert)) is not None:
            self.took("line", _us(since_at, now), now)

    def decided(self, alert: str, decision: str, now: Instant, *, acts: bool) -> None:
        """A decision is durable. One that did not stand in the line (a person's own run, a start) is not measured."""
        if (since_at := self._came.get(alert)) is None:
            return
        self.took("decided", _us(since_at, now), now)
        if acts:
            self._acting[decision] = since_at
            while len(self._acting) > ACTING_MAX:
                self._acting.popitem(last=False)

    def judged(self, alert: str) -> None:
        """Every rule has seen it."""
        self._came.pop(alert, None)

    def goes_out(self, decision: str, now: Instant) -> None:
        """An effect goes out. Only the first one of the run counts."""
        if (since_at := self._acting.pop(decision, None)) is not None:
            self.took("effect", _us(since_at, now), now)

    def alive(self, now: Instant) -> None:
        """The node runs in this minute, whether or not anything comes."""
        self._slot(now)

    # Kept, and taken up again.

    async def load(self, store: Store, now: Instant) -> None:
        oldest = hour_id(after_ms(now, -HOURS_MAX * HOUR_MS))
        page = await store.find(KIND, limit=1_000)
        started, self.hours, self._minute = self.hours, {}, None  # a start has been measured already
        for row in page.items:
            hour = msgspec.json.decode(row.body, type=Hour)
            if hour.id < oldest:
                self._gone.append(hour.id)
            else:
                self.hours[hour.id] = hour
        for name, hour in started.items():
            self.hours[name] = joined(self.hours[name], hour) if name in self.hours else hour
        self._age(now)

    def changes(self, now: Instant) -> tuple[tuple[Put, ...], tuple[Drop, ...]]:
        """What changed since the last time, to be written; and that the node runs in this minute."""
        self.alive(now)
        self._unwritten.add(hour_id(now))
        self._age(now)
        unwritten, self._unwritten = self._unwritten, set()
        gone, self._gone = self._gone, []
        puts = tuple(
            Put(kind=KIND, id=name, body=_encode(self.hours[name])) for name in sorted(unwritten) if name in self.hours
        )
        return puts, tuple(Drop(kind=KIND, id=name) for name in gone)

    def _slot(self, now: Instant) -> Slot:
        kept = self._minute
        if kept is not None:
            if kept[0] <= now < kept[1]:
                return kept[2]
            self._unwritten.add(hour_id(kept[0]))
        self._unwritten.add(hour_id(now))
        from_at = hour_of(now)
        hour = self.hours.get(hour_id(now))
        if hour is None:
            hour = self.hours[hour_id(now)] = Hour(id=hour_id(now), from_at=from_at, minutes={})
        if hour.whole is not None:  # the clock went back by hours: what was summed takes it
            return hour.whole
        slot = hour.minutes.get(now.minute)
        if slot is None:
            slot = hour.minutes[now.minute] = Slot(stages={}, signals={}, sources={})
        begins_at = after_ms(from_at, now.minute * MINUTE_MS)
        self._minute = (begins_at, after_ms(begins_at, MINUTE_MS), slot)
        return slot

    def _age(self, now: Instant) -> None:
        """Hours become coarse, and go."""
        fine, oldest = hour_id(after_ms(now, -FINE_HOURS_MAX * HOUR_MS)), hour_id(after_ms(now, -HOURS_MAX * HOUR_MS))
        for name in sorted(self.hours):
            if name < oldest:
                del self.hours[name]
                self._gone.append(name)
            elif name < fine and self.hours[name].whole is None:
                self.hours[name] = coarse(self.hours[name])
                self._unwritten.add(name)
                self._minute = None


def _us(from_at: Instant, until_at: Instant) -> int:
    return (until_at - from_at) // _MICROSECOND


_MICROSECOND: Final = timedelta(microseconds=1)
