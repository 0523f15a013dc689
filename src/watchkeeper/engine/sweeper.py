"""The sweeper: takes out what was kept long enough, a bounded batch at a time, and puts a tombstone where it was.

Each batch is one write of its own with a pause after it, so that commits of the engine pass between any two. What an
open run, a held proposal, a firing alert, an open incident or an unexpired claim rests on stays. A legal hold keeps all.
Swept twice or interrupted anywhere, it comes to the same: what is left is found again by its age.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from msgspec.structs import replace

from watchkeeper.correlate.correlation import Correlation
from watchkeeper.correlate.muted import Muted
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.clock import Clock
from watchkeeper.engine.records import RunRecord, Swept, Tombstone, put, read
from watchkeeper.engine.retention import (
    GONE,
    KEPT_BY,
    SWEPT,
    Needed,
    day_of,
    keep_ms,
    may_go,
    sentence,
)
from watchkeeper.engine.runner import decode, encode
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.execute.run import Done, Probed
from watchkeeper.home.settings import Retention
from watchkeeper.ports import Append, Commit, Committed, Drop, Forget, Put, Row
from watchkeeper.values import Instant, after_ms, id_time

log = structlog.get_logger("watchkeeper.sweeper")

EVERY_S: Final = 3_600.0
BATCH_ROWS_MAX: Final = 200
PAUSE_S: Final = 0.02  # between two batches: the engine's own commits go first
RUNS_LEFT_MAX: Final = 1_000  # runs remembered as not ended when their outputs were swept
PRESSED_KEEP_MS: Final = 3_600_000  # outputs of the last hour stay, however little room there is
DELIVERIES_PER_ALERT_MAX: Final = 1_000
OUTPUTS: Final = "outputs"


class Sweeper:
    """`work` sweeps by the clock; `press` takes out outputs early, when there is little room."""

    def __init__(self, scribe: Scribe, clock: Clock, world: World, correlation: Correlation) -> None:
        self._scribe, self._clock, self._world, self._correlation = scribe, clock, world, correlation
        self._turn = asyncio.Lock()
        self.swept_at: Instant | None = None
        self.gone: Counter[str] = Counter()
        self.spent: Callable[[], Mapping[str, Instant]] = dict  # deliveries of which everything is kept by itself
        self.muted: Callable[[Muted], bool] = lambda _: False  # whether it keeps an alert back now

    @property
    def _retention(self) -> Retention:
        return self._world.configuration.settings.retention

    async def work(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            if self._world.clock.trusted:  # by a clock that jumped everything would be old enough
                await self.sweep()

    async def sweep(self) -> Counter[str]:
        """Everything whose time is over; rows gone, by kind. Claim windows that closed go even under a legal hold."""
        async with self._turn:
            now, retention = self._clock.now(), self._retention
            before = Counter(self.gone)
            await self._scribe.store.prune(after_ms(now, -retention.signals_ms), deliveries=False)
            if not retention.legal_hold:
                await self._everything(now, retention)
            self.swept_at = now
            found = Counter({kind: rows - before[kind] for kind, rows in self.gone.items() if rows > before[kind]})
            if found:
                log.info("swept", **found)
            return found

    async def _everything(self, now: Instant, retention: Retention) -> None:
        needed = await self.needed(after_ms(now, -retention.signals_ms))
        await self._deliveries(now, retention)
        await self._spent(now)
        await self._outputs(after_ms(now, -retention.outputs_ms), needed, "retention.outputs", retention.outputs_ms)
        for kind in SWEPT:
            span_ms = keep_ms(retention, kind)
            assert span_ms is not None
            await self._kind(kind, after_ms(now, -span_ms), needed, f"retention.{KEPT_BY[kind].value}", span_ms)

    async def press(self) -> int:
        """Outputs of every run that ended, the oldest first, one batch; the number of rows. 0 when nothing is left."""
        if self._retention.legal_hold:
            return 0
        async with self._turn:
            cutoff_at = after_ms(self._clock.now(), -PRESSED_KEEP_MS)
            needed = await self.needed(None)
            before = self.gone["output"] + self.gone["message"]
            await self._outputs(cutoff_at, needed, "store.disk_max", 0, batches=1)
            await self._kind("message", cutoff_at, needed, "store.disk_max", 0, batches=1)
            return self.gone["output"] + self.gone["message"] - before

    async def needed(self, signals_before: Instant | None) -> Needed:
        """Read once a sweep. What becomes needed while it goes on is younger than any cutoff. `signals_before` None: for a
        look that takes no signals.
        """
        world, correlation, now = self._world, self._correlation, self._clock.now()
        claims = await self._scribe.store.claims(now)
        runs = {*world.runs, *(claim.run for claim in claims), *(each.run for each in world.approvals.values())}
        decisions = {
            *(run.decision for run in world.runs.values()),
            *(each.decision for each in world.waiting.values()),
            *(each.decision for each in world.approvals.values()),
            *(decided.decision.id for decided in world.every_decided()),
        }
        old = [
            each.id
            for each in correlation.alerts()
            if signals_before is not None and each.first_seen_at < signals_before
        ]
        signals: set[str] = set()
        for alert in old:
            page = await self._scribe.store.find("signal", {"alert": alert}, limit=DELIVERIES_PER_ALERT_MAX)
            signals.update(row.id for row in page.items)
        return Needed(
            runs=frozenset(runs),
            decisions=frozenset(decisions),
            alerts=lambda identity: bool(identity) and correlation.alert(identity) is not None,
            incidents=lambda identity: bool(identity) and correlation.incident(identity) is not None,
            signals=frozenset(signals),
            tracks=lambda group, fingerprint: correlation.track(group, fingerprint) is not None,
            muted=self.muted,
        )

    async def _kind(
        self, kind: str, cutoff_at: Instant, needed: Needed, why: str, kept_ms: int, batches: int | None = None
    ) -> None:
        after: str | None = None
        done = 0
        while True:
            page = await self._scribe.store.find(kind, after=after, limit=BATCH_ROWS_MAX, oldest_first=True)
            rows, young = [], False
            for row in page.items:
                began_at = id_time(row.id)
                young = young or (began_at is not None and began_at >= cutoff_at)
                if not young and may_go(kind, row, cutoff_at, needed) and not await self._has_run(kind, row.id):
                    rows.append(row)
            if rows:
                await self._drop(kind, rows, why, kept_ms)
                done += 1
            after = page.next
            if young or after is None or (batches is not None and done >= batches):
                return
            await asyncio.sleep(PAUSE_S)

    async def _has_run(self, kind: str, identity: str) -> bool:
        """A decision stays as long as its run does: the run cannot be read without it."""
        return kind == "decision" and bool(
            (await self._scribe.store.find("run", {"decision": identity}, limit=1)).items
        )

    async def _drop(self, kind: str, rows: list[Row], why: str, kept_ms: int) -> None:
        drops = [Drop(kind=kind, id=row.id) for row in rows]
        days = {kind: Counter(_day(row) for row in rows)}
        journals: tuple[str, ...] = ()
        match kind:
            case "decision":
                found = [read(row, Decision) for row in rows]
                drops += [Drop(kind="situation", id=each.situation) for each in found]
                drops += [Drop(kind="judged", id=each.id) for each in found]
                days["situation"] = days[kind]
            case "run":
                journals = tuple(row.id for row in rows)
            case _:
                pass
        now = self._clock.now()
        tombstones = await self._tombstones(days, now, why, kept_ms)
        await self._forget(Forget(commit=Commit(at=now, puts=tombstones, drops=tuple(drops)), runs=journals))
        self.gone[kind] += len(rows)

    async def _tombstones(self, days: dict[str, Counter[str]], now: Instant, why: str, kept_ms: int) -> tuple[Put, ...]:
        puts: list[Put] = []
        for kind, counted in days.items():
            for day, rows in counted.items():
                name = f"{kind}:{day}"
                row = await self._scribe.store.get("tombstone", name)
                already = read(row, Tombstone).rows if row is not None else 0
                puts.append(
                    put(
                        Tombstone(
                            id=name, kind=kind, day=day, rows=already + rows, kept_ms=kept_ms, gone_at=now, why=why
                        )
                    )
                )
        return tuple(puts)

    async def _forget(self, forget: Forget) -> None:
        outcome = await self._scribe.store.forget(forget)
        assert isinstance(outcome, Committed), outcome  # it expects nothing, so nothing stands in its way

    async def _deliveries(self, now: Instant, retention: Retention) -> None:
        """As received: the bytes behind signals that have signals of their own in the store."""
        cutoff_at = after_ms(now, -retention.signals_ms)
        while True:
            found = await self._scribe.store.old_deliveries(cutoff_at, BATCH_ROWS_MAX)
            if not found:
                return
            days = {"delivery": Counter(day_of(each.received_at) for each in found)}
            tombstones = await self._tombstones(days, now, "retention.signals", retention.signals_ms)
            commit = Commit(at=now, puts=tombstones)
            await self._forget(Forget(commit=commit, deliveries=tuple(each.id for each in found)))
            self.gone["delivery"] += len(found)
            await asyncio.sleep(PAUSE_S)

    async def _spent(self, now: Instant) -> None:
        """What an event recorder said again and again is state, and its bytes are as many as its alerts: they go early."""
        left = list(self.spent().items())
        while left:
            batch, left = left[:BATCH_ROWS_MAX], left[BATCH_ROWS_MAX:]
            days = {"delivery": Counter(day_of(at) for _, at in batch)}
            tombstones = await self._tombstones(days, now, "what it said is kept by itself", int(EVERY_S * 1000))
            commit = Commit(at=now, puts=tombstones)
            await self._forget(Forget(commit=commit, deliveries=tuple(identity for identity, _ in batch)))
            self.gone["delivery"] += len(batch)
            await asyncio.sleep(PAUSE_S)

    # Outputs of steps stand in journals, which stay: the events keep their place, and say that the output went.

    async def _outputs(
        self, cutoff_at: Instant, needed: Needed, why: str, kept_ms: int, batches: int | None = None
    ) -> None:
        store = self._scribe.store
        row = await store.get("swept", OUTPUTS)
        state = read(row, Swept) if row is not None else Swept(id=OUTPUTS)
        left = [identity for identity in state.left if not await self._strip(identity, cutoff_at, needed, why, kept_ms)]
        done = len(state.left) - len(left)
        cursor: str | None = state.cursor or None
        while batches is None or not done:
            page = await store.find("run", after=cursor, limit=BATCH_ROWS_MAX, oldest_first=True)
            old = [each for each in page.items if (id_time(each.id) or cutoff_at) < cutoff_at]
            for each in old:
                if await self._strip(each.id, cutoff_at, needed, why, kept_ms):
                    done += 1
                else:
                    left.append(each.id)
                cursor = str(each.position)
            state = replace(state, cursor=cursor or "", left=tuple(left[-RUNS_LEFT_MAX:]))
            if page.items:
                await store.commit(Commit(at=self._clock.now(), puts=(put(state),)))
            if len(old) < len(page.items) or page.next is None:
                return
            await asyncio.sleep(PAUSE_S)

    async def _strip(self, identity: str, cutoff_at: Instant, needed: Needed, why: str, kept_ms: int) -> bool:
        """Whether this run needs no further look: its outputs are gone, or it is."""
        store = self._scribe.store
        row = await store.get("run", identity)
        if row is None:
            return True
        record = read(row, RunRecord)
        if record.ended_at is None or record.ended_at >= cutoff_at or record.id in needed.runs:
            return False
        now = self._clock.now()
        said = Tombstone(
            id="", kind="output", day=day_of(record.ended_at), rows=1, kept_ms=kept_ms, gone_at=now, why=why
        )
        rewrites = []
        for number, body in enumerate(await store.journal(identity)):
            event = decode.decode(body)
            if isinstance(event, Done | Probed) and event.output and GONE not in event.output:
                after = replace(event, output={GONE: sentence(said)})
                rewrites.append(Append(run=identity, number=number, body=encode(after)))
        if rewrites:
            await self._forget(Forget(commit=Commit(at=now), rewrites=tuple(rewrites)))
            self.gone["output"] += len(rewrites)
            await asyncio.sleep(PAUSE_S)
        return True


def _day(row: Row) -> str:
    at = id_time(row.id)
    return day_of(at) if at is not None else ""
