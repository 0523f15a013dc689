"""Objectives: what each SLO of the home says now, with its age.

One over this node's own checks is summed when it is asked for, and repeated for a few seconds. One over PromQL is read
beside everything else, every `every_ms` of it, all its windows in turn; what was read last counts until its `max_age`
and survives a restart. What cannot be read is unknown, never zero.
"""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.engine.action import Prober
from watchkeeper.engine.measuring import FRESH_MS, Measuring
from watchkeeper.engine.records import Reading, put, read
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.errors import WatchkeeperError
from watchkeeper.home.load_indicator import WINDOW
from watchkeeper.home.slo import BURN_WINDOWS, Indicator, Measure, Origin, Slo
from watchkeeper.learn.availability import Basis
from watchkeeper.learn.budget import Budget, Ratio, budget
from watchkeeper.learn.looks import counted
from watchkeeper.packs.runbook import SecretRef
from watchkeeper.ports import Commit
from watchkeeper.values import Instant, after_ms, duration_text, ms_between

log = structlog.get_logger("watchkeeper.objectives")

READERS_MAX: Final = 4  # objectives that are read at once
TICK_S: Final = 1.0
WHOLE: Final = "whole"  # the objective's own window among the counts
SPENT_LOOK_MS: Final = 10_000  # how often it is looked whether a budget is spent
EVENTS_MAX: Final = 10**15  # a count beyond it is no count of events
THOUSANDTHS: Final = 1_000

Leaser = Callable[[SecretRef], Awaitable[str]]


class Objective(Struct, frozen=True, kw_only=True):
    """What an SLO says now. `as_of` is how new its numbers are, None when there are none; `why` is what is wrong with
    them, "" when they count; `failing` is why the last try to read them failed. `spent_at`: since when the budget is spent.
    """

    slo: Slo
    budget: Budget
    as_of: Instant | None
    why: str = ""
    spent_at: Instant | None = None
    failing: str = ""

    @property
    def known(self) -> bool:
        return not self.why


Spent = Callable[[str, str, Instant], Awaitable[None]]  # the service, the objective, since when


async def _nobody(_service: str, _name: str, _since_at: Instant) -> None:
    """Until the engine says who is to know."""


class Objectives:
    def __init__(
        self,
        scribe: Scribe,
        world: World,
        measuring: Measuring,
        prober: Prober,
        leaser: Leaser,
    ) -> None:
        self._scribe, self._world, self._measuring = scribe, world, measuring
        self._prober, self._leaser = prober, leaser
        self.spent: Spent = _nobody
        self._readings: dict[str, Reading] = {}
        self._due_ms: dict[str, int] = {}
        self._own: dict[str, tuple[int, Budget, Instant | None]] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._looked_ms = -SPENT_LOOK_MS
        self._of_entity: tuple[str, dict[str, tuple[str, ...]]] = ("", {})

    # What is asked.

    def get(self, name: str) -> Objective | None:
        slo = self._world.configuration.slos.get(name)
        return None if slo is None else self._objective(slo)

    def all(self) -> tuple[Objective, ...]:
        return tuple(self._objective(slo) for _, slo in sorted(self._world.configuration.slos.items()))

    def of(self, entity: str) -> tuple[Objective, ...]:
        """Those of one service."""
        configuration = self._world.configuration
        if self._of_entity[0] != configuration.digest:
            found: dict[str, tuple[str, ...]] = {}
            for name, slo in sorted(configuration.slos.items()):
                found[slo.entity] = (*found.get(slo.entity, ()), name)
            self._of_entity = (configuration.digest, found)
        return tuple(self._objective(configuration.slos[name]) for name in self._of_entity[1].get(entity, ()))

    def _objective(self, slo: Slo) -> Objective:
        now = self._scribe.clock.now()
        reading = self._reading(slo)
        if slo.indicator.origin is Origin.WATCHKEEPER:
            found, as_of = self._measured(slo)
            last = "nobody has looked at it yet"
        else:
            found, as_of, last = (
                _budget(slo, reading),
                reading.at,
                reading.why,
            )  # a failed try leaves what was read before
        if as_of is None:
            why = last or "it was not read yet"
        elif (age_ms := ms_between(as_of, now)) > slo.max_age_ms:
            why = f"read {duration_text(age_ms // 1000 * 1000)} ago, and counts for {duration_text(slo.max_age_ms)}"
            why += f" ({reading.why})" if reading.why else ""
        else:
            why = "nothing was counted in its window" if found.left_ppm is None else ""
        return Objective(slo=slo, budget=found, as_of=as_of, why=why, spent_at=reading.spent_at, failing=reading.why)

    def _reading(self, slo: Slo) -> Reading:
        """What was read of it; nothing when that was under another definition."""
        found = self._readings.get(slo.name)
        return (
            found
            if found is not None and found.definition == slo.digest
            else Reading(id=slo.name, definition=slo.digest)
        )

    def _measured(self, slo: Slo) -> tuple[Budget, Instant | None]:
        at_ms = self._scribe.clock.monotonic_ms()
        kept = self._own.get(slo.digest)
        if kept is not None and at_ms - kept[0] < FRESH_MS:
            return kept[1], kept[2]
        burning = {name: self._ratio(slo, window_ms) for name, window_ms in BURN_WINDOWS.items()}
        found = budget(slo.target_ppm, self._ratio(slo, slo.window_ms), burning)
        as_of = self._as_of(slo)
        self._own = {each: value for each, value in self._own.items() if at_ms - value[0] < FRESH_MS}
        self._own[slo.digest] = (at_ms, found, as_of)
        return found, as_of

    def _as_of(self, slo: Slo) -> Instant | None:
        """Samples are as new as the newest look; time goes on by itself where incidents alone tell it."""
        if slo.indicator.total_measure is Measure.SAMPLES:
            days = self._measuring.days(slo.entity)
            return days[-1].seen_at if days else None
        return self._measuring.of(slo.entity, slo.window_ms).as_of

    def _ratio(self, slo: Slo, window_ms: int) -> Ratio | None:
        if slo.indicator.total_measure is Measure.SAMPLES:
            now = self._scribe.clock.now()
            looks = counted(self._measuring.days(slo.entity), after_ms(now, -window_ms), after_ms(now, 1))
            return Ratio(bad=looks.bad, total=looks.good + looks.bad)
        found = self._measuring.of(slo.entity, window_ms)
        if found.basis is Basis.NONE:
            return None
        return Ratio(bad=found.down_ms, total=found.up_ms + found.down_ms)

    # What is read.

    async def load(self) -> None:
        page = await self._scribe.store.find("objective", limit=1_000)
        self._readings = {row.id: read(row, Reading) for row in page.items}

    async def work(self) -> None:
        try:
            while True:
                await asyncio.sleep(TICK_S)
                self._begin()
                at_ms = self._scribe.clock.monotonic_ms()
                if at_ms - self._looked_ms >= SPENT_LOOK_MS:
                    self._looked_ms = at_ms
                    await self._look_for_spent()
        finally:
            for task in self._under_way.values():
                task.cancel()

    def _begin(self) -> None:
        """Read what is due, a few at a time; the one that waited longest first."""
        for name, task in tuple(self._under_way.items()):
            if task.done():
                del self._under_way[name]
                task.result()  # a reader that broke ends the process, as every task of the engine does
        at_ms = self._scribe.clock.monotonic_ms()
        slos = self._world.configuration.slos
        due = sorted(
            (self._due_ms.get(slo.digest, 0), slo.name)
            for slo in slos.values()
            if slo.indicator.origin is Origin.PROMETHEUS and slo.name not in self._under_way
        )
        for due_ms, name in due[: READERS_MAX - len(self._under_way)]:
            if due_ms > at_ms:
                return
            slo = slos[name]
            self._due_ms[slo.digest] = at_ms + slo.every_ms
            self._under_way[name] = asyncio.create_task(self._read(slo), name=f"slo {name}")

    async def _read(self, slo: Slo) -> None:
        """All windows of one objective. One that cannot be read leaves the whole reading as it was, with the reason."""
        counts: dict[str, tuple[int, int]] = {}
        before, began_at = self._reading(slo), self._scribe.clock.now()
        try:
            for name, window_ms in {WHOLE: slo.window_ms, **BURN_WINDOWS}.items():
                ratio = await self._asked(slo, window_ms)
                if ratio is not None:
                    counts[name] = (ratio.bad, ratio.total)
            found = replace(before, at=began_at, counts=counts, why="", tried_at=began_at)
        except _Unread as unread:
            found = replace(before, why=str(unread), tried_at=began_at)
        self._readings[slo.name] = found
        await self._scribe.commit(Commit(at=self._scribe.clock.now(), puts=(put(found),)))

    async def _asked(self, slo: Slo, window_ms: int) -> Ratio | None:
        """Bad out of total over one window; None when nothing was counted there."""
        indicator = slo.indicator
        total = await self._value(indicator, indicator.total_query, window_ms, slo)
        part = await self._value(indicator, indicator.part_query, window_ms, slo)
        if total == 0:
            return None
        bad = part if indicator.part_is_bad else total - part
        return Ratio(
            bad=min(max(bad, 0), total), total=total
        )  # rates are extrapolated: a part may pass its whole a little

    async def _value(self, indicator: Indicator, query: str, window_ms: int, slo: Slo) -> int:
        server = indicator.server
        assert server is not None
        arguments = {"server": server.url, "query": query.replace(WINDOW, promql_duration(window_ms))}
        if server.bearer is not None:
            try:
                arguments["bearer"] = await self._leaser(server.bearer)
            except WatchkeeperError as closed:
                raise _Unread(f"{server.name}: its credential cannot be read: {closed}") from closed
        look = await self._prober.look("promql", arguments, server.timeout_ms, None)
        if not look.seen:
            raise _Unread(f"{server.name}: {look.why}")
        samples = look.values.get("samples") or []
        what = "good or bad" if query == indicator.part_query else "total"
        if len(samples) != 1:
            hint = "add 'or vector(0)' if none means none" if not samples else "sum them"
            raise _Unread(
                f"{server.name}: the {what} query of {slo.name} gives {len(samples)} series, expected one: {hint}"
            )
        try:
            value = Decimal(str(samples[0].get("value")))
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite() or not 0 <= value <= EVENTS_MAX:
            raise _Unread(f"{server.name}: the {what} query of {slo.name} gives {samples[0].get('value')}, no count")
        return int(value * THOUSANDTHS)

    # What is spent.

    async def _look_for_spent(self) -> None:
        """Since when each budget is spent, on record; what is unknown changes nothing."""
        for found in self.all():
            if not found.known or found.budget.spent is (found.spent_at is not None):
                continue
            now = self._scribe.clock.now()
            after = replace(self._reading(found.slo), spent_at=now if found.budget.spent else None)
            if after.spent_at is not None:
                log.warning("an error budget is spent", slo=found.slo.name, left_ppm=found.budget.left_ppm)
                await self.spent(found.slo.entity, found.slo.name, now)  # first: what is on record as spent has demoted
            self._readings[found.slo.name] = after
            await self._scribe.commit(Commit(at=now, puts=(put(after),)))


class _Unread(Exception):
    """Why a source could not be read; never out of this file."""


def _budget(slo: Slo, reading: Reading) -> Budget:
    ratios = {name: Ratio(bad=bad, total=total) for name, (bad, total) in reading.counts.items()}
    return budget(slo.target_ppm, ratios.get(WHOLE), {name: ratios.get(name) for name in BURN_WINDOWS})


def promql_duration(window_ms: int) -> str:
    """Whole seconds: every Prometheus reads them."""
    return f"{window_ms // 1000}s"
