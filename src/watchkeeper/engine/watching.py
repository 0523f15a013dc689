"""What this node looks at by itself: probes it runs, and heartbeats it waits for.

A probe that cannot look says nothing: its entity's health becomes unknown, and neither fires nor clears. A heartbeat
that stays away fires at the deadline it missed.
"""

import asyncio
import zlib
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Final

import structlog
from msgspec.structs import replace

from watchkeeper.catalog.catalog import by_alias
from watchkeeper.correlate.alert import Alert, AlertState
from watchkeeper.engine.action import Prober
from watchkeeper.engine.measuring import Measuring
from watchkeeper.engine.pipeline import Pipeline
from watchkeeper.engine.recorder import Documents
from watchkeeper.engine.records import BeatRecord, HealthRecord, put
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.world import World
from watchkeeper.home.settings import Poll
from watchkeeper.ports import Commit, Committed, Drop, Put, Refused
from watchkeeper.signals.beat import Beat, Expectation, beat_of, missed
from watchkeeper.signals.sample import Sample, Seen, judge
from watchkeeper.signals.signal import Signal, Standing
from watchkeeper.values import Instant, after_ms, ms_between
from watchkeeper.verify.judge import judge as judge_look
from watchkeeper.verify.sample import Seen as Verdict

log = structlog.get_logger("watchkeeper.watching")

BEATS_EVERY_S: Final = 0.5
BEATS_KEPT: Final = 100
SAMPLES_KEPT: Final = 50
RENEW_EVERY_MS: Final = 15_000  # what goes on firing is said again so often: it was seen just now
HEALTH_PAGE: Final = 500  # records that are looked at in one read, whether a probe still looks
RECORD_EVERY_MS: Final = 30_000  # an unchanged health is written so often, so that its age survives a restart


class Watching:
    def __init__(
        self,
        scribe: Scribe,
        world: World,
        pipeline: Pipeline,
        prober: Prober,
        measuring: Measuring,
        witnesses: Witnesses,
    ) -> None:
        self._scribe, self._world, self._pipeline, self._prober = scribe, world, pipeline, prober
        self._measuring, self._witnesses = measuring, witnesses
        pipeline.relating.on_beat = self._beat
        self._beats: dict[str, deque[Beat]] = defaultdict(lambda: deque(maxlen=BEATS_KEPT))
        self._since: dict[str, Instant] = {}
        self._samples: dict[str, deque[Sample]] = defaultdict(lambda: deque(maxlen=SAMPLES_KEPT))
        self._open_since: dict[str, Instant | None] = {}
        self._told: dict[str, tuple[str, ...]] = {}
        self._written: dict[str, Instant] = {}
        self._said_at: dict[str, Instant] = {}
        self._polls: dict[str, asyncio.Task[None]] = {}
        self._sweep = False
        self._writing: set[asyncio.Task[Committed | Refused]] = set()

    async def load(self, documents: Documents) -> None:
        """After a start: since when each heartbeat is waited for. One that fell due while this node was down has its grace from
        now on: nobody could hear it.
        """
        now = self._scribe.clock.now()
        wanted = {beat.name: beat for beat in self._world.configuration.settings.heartbeats}
        async for record in documents(BeatRecord, {}):
            beat = wanted.get(record.id)
            if beat is not None and beat.source == record.source:
                self._since[beat.name] = max(record.at, after_ms(now, -beat.every_ms))

    def restore(self, alerts: Iterable[Alert]) -> None:
        """After a start: what a probe or a silence raised before is still open, and ends when it is well again."""
        settings = self._world.configuration.settings
        polls = {(poll.probe.source, poll.name) for poll in settings.polls}
        beats = {(beat.source, beat.name): beat for beat in settings.heartbeats}
        for alert in alerts:
            probe, silent = alert.labels.get("probe", ""), beats.get((alert.source, alert.labels.get("beat", "")))
            if alert.state is not AlertState.FIRING:
                continue
            if (alert.source, probe) in polls:
                self._open_since[probe] = alert.starts_at
            elif silent is not None:
                self._since[silent.name] = after_ms(alert.starts_at, -(silent.every_ms + silent.grace_ms))

    async def work(self) -> None:
        self.configure()
        try:
            while True:
                await self._heartbeats()
                for task in self._polls.values():
                    if task.done():
                        task.result()  # a probe that broke ends the process, as every task of the engine does
                if self._sweep:
                    await self._forget()
                await asyncio.sleep(BEATS_EVERY_S)
        finally:
            for task in self._polls.values():
                task.cancel()

    def configure(self) -> None:
        """Take up the probes of the active configuration; those that left it stop."""
        wanted = {poll.name: poll for poll in self._world.configuration.settings.polls}
        self.expect()
        self._sweep = True
        for task in self._polls.values():
            task.cancel()
        self._polls = {
            name: asyncio.create_task(self._poll(poll), name=f"probe {name}") for name, poll in wanted.items()
        }

    def expect(self) -> None:
        """Whose word on health counts: until each has looked, what it looks at is not known to be well."""
        self._world.health.watch(self._watched())

    def _watched(self) -> list[tuple[str, str]]:
        """Entities, each with a probe that looks at it."""
        settings, catalog = self._world.configuration.settings, self._world.configuration.catalog
        named = ((by_alias(catalog, poll.entity), poll.name) for poll in settings.polls)
        return [(entity.ref, probe) for entity, probe in named if entity is not None]

    async def _forget(self) -> None:
        """What probes saw that look no more, and heartbeats that are not waited for, go; not while a legal hold stands."""
        self._sweep = False
        settings = self._world.configuration.settings
        if settings.retention.legal_hold:
            return
        await self._keep_only("health", {_identity(ref, probe) for ref, probe in self._watched()})
        beats = {beat.name for beat in settings.heartbeats}
        await self._keep_only("beat", beats)
        for name in [name for name in self._since if name not in beats]:
            del self._since[name]
            self._beats.pop(name, None)

    async def _keep_only(self, kind: str, kept: set[str]) -> None:
        after: str | None = None
        while True:
            page = await self._scribe.store.find(kind, after=after, limit=HEALTH_PAGE)
            drops = tuple(Drop(kind=kind, id=row.id) for row in page.items if row.id not in kept)
            if drops:
                await self._scribe.commit(Commit(at=self._scribe.clock.now(), drops=drops))
            after = page.next
            if after is None:
                return

    def _beat(self, signal: Signal) -> tuple[Put, ...]:
        """A beat arrived (called by the pipeline, in its commit)."""
        if "beat" not in signal.labels:
            return ()
        beat = beat_of(signal)
        if beat.name not in {each.name for each in self._world.configuration.settings.heartbeats}:
            return ()
        kept = self._beats[beat.name]
        if len(kept) == BEATS_KEPT and not kept[0].failed:
            self._since[beat.name] = kept[0].at  # the next one is counted from the one that goes
        kept.append(beat)
        return () if beat.failed else (put(BeatRecord(id=beat.name, source=signal.source, at=beat.at)),)

    async def _heartbeats(self) -> None:
        now = self._scribe.clock.now()
        heartbeats = self._world.configuration.settings.heartbeats
        new = tuple(beat for beat in heartbeats if beat.name not in self._since)
        for beat in new:
            self._since[beat.name] = now
        if new:
            puts = tuple(put(BeatRecord(id=beat.name, source=beat.source, at=now)) for beat in new)
            await self._scribe.commit(Commit(at=now, puts=puts))
        for beat in heartbeats:
            since = self._since[beat.name]
            expected = beat.expectation(since)
            signals = missed(
                tuple(self._beats[beat.name]), (self._with_entity(expected, beat.entity, beat.severity.value),), now
            )
            await self._say(beat.name, signals)

    def _with_entity(self, expected: Expectation, entity: str, severity: str) -> Expectation:
        name = (
            self._world.configuration.catalog.entities[entity].name
            if entity in self._world.configuration.catalog.entities
            else entity
        )
        return replace(expected, labels={"service": name, "severity": severity, **expected.labels})

    async def _say(self, name: str, signals: tuple[Signal, ...]) -> None:
        """Tell the pipeline what is new: the newest statement of each episode, once."""
        fresh = [each for each in signals if each.standing is Standing.RESOLVED or each is signals[-1]]
        said = tuple(f"{each.standing.value} {each.starts_at.isoformat()}" for each in fresh)
        now, last_at = self._scribe.clock.now(), self._said_at.get(name)
        due = last_at is None or ms_between(last_at, now) >= RENEW_EVERY_MS
        if said == self._told.get(name) and not (due and fresh and fresh[-1].standing is Standing.FIRING):
            return
        before = set(self._told.get(name, ())) if not due else set(said[:-1]) & set(self._told.get(name, ()))
        await self._pipeline.say([each for each, words in zip(fresh, said, strict=True) if words not in before])
        self._told[name], self._said_at[name] = (
            said,
            now,
        )  # not before: another configuration may end this task meanwhile

    async def _poll(self, poll: Poll) -> None:
        """Look, every `every_ms`, for ever. The first look waits its share, so that a thousand probes spread."""
        await asyncio.sleep((zlib.crc32(poll.name.encode()) % 1000) / 1000 * min(poll.every_ms, 1_000) / 1000)
        while True:
            began_ms = self._scribe.clock.monotonic_ms()
            await self._look(poll)
            took_ms = self._scribe.clock.monotonic_ms() - began_ms
            await asyncio.sleep(max(0, poll.every_ms - took_ms) / 1000)

    async def _look(self, poll: Poll) -> None:
        look = await self._prober.look(poll.kind, poll.arguments, poll.timeout_ms, None)
        now = self._scribe.clock.now()
        seen, why = judge_look(poll.kind, poll.expect, look.values) if look.seen else (Verdict.NOTHING, look.why)
        sample = Sample(probe=poll.probe.name, at=now, seen=_SEEN[seen], detail=why)
        row = self._samples[poll.name]
        row.append(sample)
        named = by_alias(self._world.configuration.catalog, poll.entity)
        if named is not None:
            self._measuring.look(named.ref, poll, _SEEN[seen], now, look.values)
        self._witnesses.looked(poll.probe, now, blind=seen is Verdict.NOTHING)
        judged = judge(tuple(row), poll.probe, now, self._open_since.get(poll.name))
        await self._say(f"probe {poll.name}", judged.signals[-1:])
        if judged.signals:  # a row that says nothing (blind looks, a first good one) leaves open what is open
            last = judged.signals[-1]
            self._open_since[poll.name] = last.starts_at if last.standing is Standing.FIRING else None
        if seen is not Verdict.NOTHING:
            await self._healthy(poll, seen is Verdict.HEALTHY, now, why)

    async def _healthy(self, poll: Poll, healthy: bool, now: Instant, why: str) -> None:
        named = by_alias(self._world.configuration.catalog, poll.entity)
        if named is None:
            return
        ref = named.ref
        vitals = self._world.health
        before = vitals.of(ref, now).health
        record = HealthRecord(entity=ref, healthy=healthy, at=now, why=why, every_ms=poll.every_ms, probe=poll.name)
        last, written = vitals.saw(record), self._written.get(poll.name)
        turned = vitals.of(ref, now).health is not before
        same = not turned and last is not None and last.healthy == healthy
        if same and written is not None and ms_between(written, now) < RECORD_EVERY_MS:
            return
        self._written[poll.name] = now
        bumps = (f"dependency:{ref}",) if turned else ()
        commit = Commit(at=now, puts=(put(record, identity=_identity(ref, poll.name)),), bumps=bumps)
        writing = asyncio.create_task(self._scribe.commit(commit), name=f"health {ref}")
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        # Another configuration may end this task. A version that was raised must be heard of all the same: whoever compared
        # an older one would be refused for ever.
        await asyncio.shield(writing)
        if turned:
            await self.turned(f"dependency:{ref}")

    async def turned(self, key: str) -> None:
        """A dependency's health turned: what it held is judged afresh."""
        for alert in self._world.concerned(key):
            self._pipeline.now(alert, f"{key} changed")


def _identity(ref: str, probe: str) -> str:
    """Of a health record: one a probe and entity."""
    return f"{ref} {probe}"


_SEEN: Final = {Verdict.HEALTHY: Seen.GOOD, Verdict.UNHEALTHY: Seen.BAD, Verdict.NOTHING: Seen.BLIND}
