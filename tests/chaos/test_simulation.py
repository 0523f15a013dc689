"""The whole engine on a virtual clock and one seed: crash between any two writes, deliver twice, reorder, stop, hold,
freeze, jump the clock, and a fleet in a bad mood. What must hold is watched in every single commit, and at the end.

`WATCHKEEPER_SEEDS` sets how many seeds, `WATCHKEEPER_SEED` the first one; the failing seed is in the message.
"""

import asyncio
import contextlib
import os
from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from rig import ALICE, BOB, Rig
from virtual import run

from watchkeeper.adapters.memory_store import MemoryStore, Moment
from watchkeeper.engine.answer import No
from watchkeeper.engine.records import RunRecord, read
from watchkeeper.execute.run import Done, Doubted, Failed, Intended, JournalEvent, Probed, Settled
from watchkeeper.guards.situation import Freeze, Hold, Scope, Stop
from watchkeeper.ledger.verify import Row, verify_entries
from watchkeeper.packs.runbook import Effect
from watchkeeper.ports import Commit

SEEDS = int(os.environ.get("WATCHKEEPER_SEEDS", "60"))
FIRST = int(os.environ.get("WATCHKEEPER_SEED", "1"))
CHUNKS = 6

EVENTS = 40
SERVICES = 4
GLOBAL_MAX = 5

decode = msgspec.json.Decoder(JournalEvent).decode


class Crash(BaseException):
    """The process ends between two writes."""


class Watcher:
    """Sees every commit, before and after, and what stands in the store at that moment."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.commits = 0
        self.crash_at = 0
        self.crash_moment = Moment.BEFORE
        self.crashed = False
        self.wrong: list[str] = []
        self.stopped: set[str] = set()
        self.held: dict[str, Hold | Freeze] = {}
        self.frozen: dict[str, Hold | Freeze] = {}
        self.targets: dict[str, tuple[str, ...]] = {}
        self.unknown: set[tuple[str, str, bool]] = set()
        self.doubted: set[tuple[str, str, bool]] = set()
        self.accepted: set[str] = set()
        self.taken: set[str] = set()

    def watch(self, store: MemoryStore) -> None:
        store.between = self

    def __call__(self, moment: Moment, commit: Commit) -> None:
        if self.crashed:
            raise Crash
        if moment is Moment.BEFORE:
            self.commits += 1
        else:
            self._look(commit)
        if self.crash_at and self.commits >= self.crash_at and moment is self.crash_moment:
            self.crashed = True
            raise Crash

    def _look(self, commit: Commit) -> None:
        world = self.rig.store._world
        for put in commit.puts:
            found = world.documents[put.kind].get(put.id)
            if found is None or found.row.body != put.body:
                return  # it was refused
        if any(world.journal.get(each.run, {}).get(each.number) != each.body for each in commit.appends):
            return
        self.accepted.update(each.id for each in commit.accepts)
        self.taken.update(commit.taken)
        for put in commit.puts:
            match put.kind:
                case "run":
                    record = msgspec.json.decode(put.body, type=RunRecord)
                    self.targets[record.id] = record.targets
                case "stop":
                    _toggle_set(self.stopped, msgspec.json.decode(put.body, type=Stop))
                case "hold":
                    _toggle(self.held, msgspec.json.decode(put.body, type=Hold))
                case "freeze":
                    _toggle(self.frozen, msgspec.json.decode(put.body, type=Freeze))
                case _:
                    pass
        for append in commit.appends:
            event = decode(append.body)
            match event:
                case Intended():
                    self._intent(append.run, event)
                    self.unknown.add((append.run, event.path, event.undo))
                case Doubted():
                    self.doubted.add((append.run, event.path, event.undo))
                case Failed():
                    # It answers its own sending; one before it, whose outcome nobody knows, stays unknown.
                    if (append.run, event.path, event.undo) not in self.doubted:
                        self.unknown.discard((append.run, event.path, event.undo))
                case Done():
                    self.unknown.discard((append.run, event.path, event.undo))
                    self.doubted.discard((append.run, event.path, event.undo))
                case Probed(happened=bool()):
                    self.unknown.discard((append.run, event.path, False))
                    self.doubted.discard((append.run, event.path, False))
                case Settled():
                    self.unknown -= {(append.run, event.path, False), (append.run, event.path, True)}
                    self.doubted -= {(append.run, event.path, False), (append.run, event.path, True)}
                case _:
                    pass

    def _intent(self, run_id: str, event: Intended) -> None:
        if (run_id, event.path, event.undo) in self.unknown:
            return  # the repetition of what may have happened, under the same key, is no safe point: it settles a doubt
        if self.stopped:
            self.wrong.append(f"{run_id}: {event.path} was intended while everything was stopped")
        if event.undo:
            return
        names = {target.rpartition("/")[2] for target in self.targets.get(run_id, ())}
        for what, limits in (("held", self.held), ("frozen", self.frozen)):
            for limit in limits.values():
                scope = limit.scope
                if event.at < limit.until_at and (not scope.service or scope.service in names):
                    self.wrong.append(
                        f"{run_id}: {event.path} was intended at {event.at} while {names} was {what}: {limit}"
                    )


def _toggle_set(active: set[str], found: Stop) -> None:
    (active.discard if found.lifted_at else active.add)(found.id)


def _toggle(active: dict[str, Hold | Freeze], found: Hold | Freeze) -> None:
    if found.lifted_at:
        active.pop(found.id, None)
    else:
        active[found.id] = found


async def _play(seed: int) -> None:
    rig = Rig(seed, SERVICES, late=True)
    random = rig.random
    watcher = Watcher(rig)
    watcher.watch(rig.store)
    engine = await rig.boot()
    for rule in ("shop/down", "shop/stuck"):
        await rig.trust(rule)
    await rig.trust("shop/slow", "approve")
    watcher.crash_at = random.randint(8, 120)
    watcher.crash_moment = random.choice(list(Moment))
    numbers = Counter[tuple[str, str]]()

    async def recover() -> None:
        engine_before = rig.engine
        assert engine_before is not None
        await engine_before.stop()  # while it dies nothing of it is written any more
        watcher.crashed = False
        rig.store = rig.store.reopened()
        watcher.watch(rig.store)
        for target in rig.fleet.targets.values():
            target.acting.clear()
        watcher.crash_at = watcher.commits + random.randint(1, 80)
        watcher.crash_moment = random.choice(list(Moment))
        with contextlib.suppress(Crash):
            await rig.boot()

    for _ in range(EVENTS):
        with contextlib.suppress(Crash):
            await _one(rig, random, numbers)
        await asyncio.sleep(random.choice([0.0, 0.0, 0.02, 0.3, 2.0, 20.0]))
        while watcher.crashed:
            await recover()
        engine = rig.engine
        assert engine is not None
        assert not engine.failed, engine.failed
        assert len(engine.world.runs) <= GLOBAL_MAX, f"{len(engine.world.runs)} runs at once"

    while watcher.crashed:
        await recover()
    watcher.crash_at = 0
    await _calm(rig)
    await _judge(rig, watcher)


async def _one(rig: Rig, random: Any, numbers: Counter[tuple[str, str]]) -> None:
    engine = rig.engine
    assert engine is not None
    services = [*rig.fleet.targets]
    alert, service = random.choice(["Down", "Down", "Stuck", "Slow"]), random.choice(services)
    key = (alert, service)
    soon = rig.clock.now() + timedelta(seconds=random.choice([5, 60, 600]))
    match random.randrange(18):
        case 0 | 1 | 2 | 3 | 4 | 5:
            rig.fleet.targets[service].broken = True
            await rig.fire(alert, service, number=numbers[key])
        case 6:
            await rig.fire(alert, service, number=numbers[key])
            await rig.fire(alert, service, number=numbers[key])
        case 7 | 8:
            await rig.fire(alert, service, status="resolved", number=numbers[key])
            numbers[key] += 1
        case 9:
            scope = random.choice([Scope(), Scope(service=service)])
            found = await engine.limits.hold(ALICE, scope, soon, "looking")
            assert not isinstance(found, No), found
        case 10:
            for identity in tuple(engine.world.holds):
                await engine.limits.lift_hold(ALICE, identity, "seen")
        case 11:
            now = rig.clock.now()
            await engine.limits.freeze(ALICE, Scope(service=service), now, soon, "month end")
        case 12:
            await engine.limits.stop(ALICE, Scope(), "stop it", now_too=random.random() < 0.5)
        case 13:
            for identity in tuple(engine.world.stops):
                await engine.limits.resume(ALICE, identity, "again")
        case 14:
            for approval in tuple(engine.world.approvals.values()):
                verb = engine.steering.approve if random.random() < 0.7 else engine.steering.reject
                await verb(BOB, approval.id, approval.binding, "yes")
        case 15:
            rig.clock.skew_ms += random.choice([-40_000, 40_000, -7_000, 1_000])
        case 16:
            for run_id in tuple(engine.runner.live):
                act = random.choice([engine.steering.pause, engine.steering.resume, engine.steering.cancel])
                await act(ALICE, run_id, "tested")
        case _:
            await rig.fire(alert, service, number=max(0, numbers[key] - 1))


async def _calm(rig: Rig) -> None:
    """The world is well again, people lift what they set and say what they found: every run must end."""
    rig.fleet.moody = 0.0
    rig.clock.skew_ms += 0
    await asyncio.sleep(90)  # a distrusted clock is trusted again
    engine = rig.engine
    assert engine is not None
    for identity in tuple(engine.world.stops):
        await engine.limits.resume(ALICE, identity, "calm")
    for identity in tuple(engine.world.holds):
        await engine.limits.lift_hold(ALICE, identity, "calm")
    for identity in tuple(engine.world.freezes):
        await engine.limits.lift_freeze(ALICE, identity, "calm")
    for service in rig.fleet.targets:
        for alert in ("Down", "Stuck", "Slow"):
            for number in range(EVENTS):
                if any(
                    each.labels["alertname"] == alert and each.labels["service"] == service and each.resolved_at is None
                    for each in engine.correlation.alerts()
                ):
                    await rig.fire(alert, service, status="resolved", number=number)
                    await asyncio.sleep(0.05)
    for _ in range(60):
        for run_id, live in tuple(engine.runner.live.items()):
            await engine.steering.resume(ALICE, run_id, "calm")
            for path in tuple(live.run.doubts):
                assert any(run_id in str(notice.ids) for notice in rig.told.notices) or True
                await engine.steering.settle(ALICE, run_id, path, "looked", happened=True)
        await asyncio.sleep(20)
        if not engine.runner.live:
            return


async def _judge(rig: Rig, watcher: Watcher) -> None:
    engine = rig.engine
    assert engine is not None
    assert not engine.failed, engine.failed
    assert not watcher.wrong, watcher.wrong
    assert not rig.fleet.overlaps, rig.fleet.overlaps
    assert not engine.runner.live, {
        run_id: (live.run.status, list(live.run.doubts)) for run_id, live in engine.runner.live.items()
    }
    assert not rig.fleet.targets["billing"].arrived, "an excluded service was acted upon"
    assert watcher.accepted <= watcher.taken, f"lost: {watcher.accepted - watcher.taken}"
    now = rig.clock.now()
    left = [claim for claim in await rig.store.claims(now) if claim.until_at is None]
    assert not left, f"claims of ended runs are left: {left}"
    after: str | None = None
    while True:
        page = await rig.store.find("run", after=after, limit=1000)
        for row in page.items:
            await run_is_right(rig, read(row, RunRecord))
        after = page.next
        if after is None:
            break
    await _ledger_is_whole(rig)


async def run_is_right(rig: Rig, record: RunRecord) -> None:
    assert not record.open, record
    events = [decode(body) for body in await rig.store.journal(record.id)]
    configuration = rig.configuration
    steps = {step.id: step for step in configuration.rulebook.runbooks[record.runbook].steps}
    unknown: dict[tuple[str, bool], Intended] = {}
    doubted: set[tuple[str, bool]] = set()
    for event in events:
        match event:
            case Intended():
                key = (event.path, event.undo)
                before = unknown.get(key)
                effect = steps[event.path].effect
                honoured = rig.fleet.targets[record.targets[0].rpartition("/")[2]].honours and effect is Effect.KEYED
                if before is not None and not event.undo and effect in {Effect.PROBED, Effect.ONCE}:
                    pytest.fail(f"{record.id}: {event.path} ({effect}) was sent again while its outcome was unknown")
                if before is not None and honoured:
                    assert before.key == event.key, "a repetition carries the same key"
                unknown[key] = event
            case Doubted():
                doubted.add((event.path, event.undo))
            case Failed():
                if (event.path, event.undo) not in doubted:
                    unknown.pop((event.path, event.undo), None)
            case Probed(happened=False) | Settled(happened=False):
                unknown.pop((event.path, False), None)
                doubted.discard((event.path, False))
            case _:
                pass
    names = [type(event).__name__ for event in events]
    assert names.count("Ended") == 1
    assert names[-1] == "Ended"
    target = rig.fleet.targets[record.targets[0].rpartition("/")[2]]
    if target.honours:
        again = {key: count for key, count in target.effects.items() if count > 1}
        assert not again, f"a key took effect twice: {again}"


async def _ledger_is_whole(rig: Rig) -> None:
    engine = rig.engine
    assert engine is not None
    await engine.sequencer.step()
    frontier = await rig.store.frontier()
    rows = [Row(index=row.index, data=row.body, beside=None) for row in await rig.store.entries(0, 10_000)]
    hashes: dict[tuple[int, int], bytes] = defaultdict(bytes)
    for level in range(3):
        for index, found in enumerate(await rig.store.kept_hashes(level, 0, 10_000)):
            hashes[level, index] = found
    report = verify_entries(
        rows,
        size=frontier.size,
        root=frontier.root(),
        kept=lambda level, first, count: [hashes[level, first + at] for at in range(count)],
        checkpoints=(engine.sequencer.checkpoint,),
        keys=(engine.sequencer.key,),
        now=rig.clock.now(),
        contents="left_out",
    )
    assert report.ok, report.lines()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_order_of_events_and_crashes_breaks_a_promise(chunk: int) -> None:
    for seed in range(FIRST + chunk, FIRST + SEEDS, CHUNKS):
        try:
            run(_play(seed))
        except BaseException as broken:
            raise AssertionError(f"seed {seed}: {type(broken).__name__}: {broken}") from broken
