"""Breakers and the brake of this node: fed by what runs came to, claimed at admission, kept in the store.

What a run came to moves a breaker in the very transaction that ends the run, so its trial's claim goes and the breaker
turns at once: nobody can be admitted in between. Each change raises `breaker:<key>` or `breaker:brake`, which admission
compares (SEMANTICS 3).
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.approve.people import Actor
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.answer import No, changed, invalid, missing
from watchkeeper.engine.limits import Changed
from watchkeeper.engine.records import put, read
from watchkeeper.engine.runner import Live
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.execute.outcomes import Came, Word, tally
from watchkeeper.execute.run import Event, Status
from watchkeeper.execute.state import Run
from watchkeeper.guards.breaker import BRAKE, CLOSED, OPEN
from watchkeeper.home.breakers import BreakerSettings
from watchkeeper.learn.brake import OWN_END, Brake, Pull, due
from watchkeeper.learn.breaker import WHY_CHARS_MAX, Circuit, Failure, failed, fresh, healthy, idle, key_of, shut
from watchkeeper.ledger.entry import Content, Entry, Kind
from watchkeeper.ports import Commit, Committed, Drop, Put, Row
from watchkeeper.report.notices import Notice, of_brake, of_breaker
from watchkeeper.values import EPOCH, Instant, id_from

log = structlog.get_logger("watchkeeper.breakers")

REASON_CHARS_MAX: Final = 2_000
CHANGED_MAX: Final = 1_000  # breakers that one run may move; the rest of its failures are in its journal
LOOK_EVERY_MS: Final = 1_000
TRIAL: Final = "trial:"  # how the claims of trials begin

Notices = Callable[[Iterable[Notice]], tuple[Put, ...]]
Told = Callable[[Iterable[Put]], None]


class Moved(Struct, frozen=True, kw_only=True):
    """What is committed beside the end of a run, and applied to the world once it is durable."""

    circuits: tuple[Circuit, ...] = ()
    brakes: tuple[Brake, ...] = ()
    puts: tuple[Put, ...] = ()
    messages: tuple[Put, ...] = ()
    bumps: tuple[str, ...] = ()
    entries: tuple[tuple[Entry, Content], ...] = ()


STILL: Final = Moved()


class Breakers:
    """`changed(key)` is awaited after a version was raised by a person or by time; the end of a run tells by itself."""

    def __init__(self, scribe: Scribe, world: World, notices: Notices, told: Told, changed: Changed) -> None:
        self._scribe, self._world = scribe, world
        self._notices, self._told, self._changed = notices, told, changed
        self._looked_ms = 0
        self._turned: list[str] = []

    @property
    def settings(self) -> BreakerSettings:
        return self._world.configuration.settings.breakers

    # What a run came to.

    def ending(self, live: Live, events: Sequence[Event], after: Run) -> Moved:
        """Called while the commit that ends a run is made; it may be refused, so nothing is changed here."""
        if live.plan.drill:
            return STILL
        words = tally(live.plan, events, live.tally).words
        if not words:
            return STILL
        now = self._scribe.clock.now()
        succeeded = after.status is Status.SUCCEEDED
        moved: dict[str, Circuit] = {}
        for (action, _), word in words.items():
            found = self._moved(live, action, word, succeeded=succeeded)
            if found is not None and len(moved) < CHANGED_MAX:
                moved[found.key] = found
        if not moved:
            return STILL
        return self._beside(live.decision, live.run.id, tuple(moved.values()), now)

    def _moved(self, live: Live, action: str, word: Word, *, succeeded: bool) -> Circuit | None:
        """The breaker as it is afterwards; None when the word says nothing new."""
        target, pack = word.target, live.decision.pack
        key = key_of(action, target.ref, pack)
        before = self._world.circuits.get(key)
        trial = key in live.record.trials
        if word.came is Came.FAILED or (word.came is Came.UNCLEAR and trial):
            failure = Failure(
                at=word.at,
                run=live.run.id,
                rule=live.decision.rule,
                target=target.ref,
                region=target.region,
                why=word.why[:WHY_CHARS_MAX],
            )
            circuit = before or fresh(action, target.ref, pack, target.region, word.at)
            return failed(circuit, failure, self.settings, trial=trial)
        if before is None or (word.came is Came.DONE and not succeeded):
            return None
        circuit = healthy(before, word.at, trial=trial)
        return circuit if circuit is not before else None

    def _beside(self, decision: Decision, run: str, circuits: tuple[Circuit, ...], now: Instant) -> Moved:
        entries, notices = [], []
        for circuit in circuits:
            before = self._world.circuits.get(circuit.key)
            verdict = _turned(before, circuit)
            if verdict:
                entries.append(self._entry(circuit, verdict, "watchkeeper", run))
                log.info("breaker", key=circuit.key, verdict=verdict)
            if verdict == "opened":
                notices.append(_opened_notice(circuit, decision, run))
        brakes = self._of_brakes(*self._brakes(circuits, now))
        messages = self._notices(notices)
        return Moved(
            circuits=circuits,
            brakes=brakes.brakes,
            puts=(*(put(each) for each in circuits), *messages, *brakes.puts),
            messages=(*messages, *brakes.messages),
            bumps=(*(f"breaker:{each.key}" for each in circuits), *brakes.bumps),
            entries=(*entries, *brakes.entries),
        )

    def _brakes(self, moved: tuple[Circuit, ...], now: Instant) -> tuple[tuple[Brake, ...], tuple[Brake, ...]]:
        """(brakes to pull, brakes to end), with these breakers in place of what they were."""
        world = self._world
        circuits = {**world.circuits, **{each.key: each for each in moved}}
        wanted = due(circuits.values(), self.settings.brake, now, world.released)
        pulled = tuple(
            _pulled(pull, now, world.released.get(key)) for key, pull in wanted.items() if key not in world.brakes
        )
        ended = tuple(
            replace(brake, ended_at=now, ended_by=OWN_END, reason="its cause is over")
            for key, brake in world.brakes.items()
            if key not in wanted
        )
        return pulled, ended

    def applied(self, moved: Moved) -> None:
        """Once it is durable."""
        for circuit in moved.circuits:
            self._world.keep_circuit(circuit)
        for brake in moved.brakes:
            self._world.keep_brake(brake)
        self._told(moved.messages)
        self._turned.extend(moved.bumps)

    def turned(self) -> tuple[str, ...]:
        """Versions that ends of runs raised, and nobody was woken for yet."""
        found, self._turned = tuple(dict.fromkeys(self._turned)), []
        return found

    # What time does.

    async def look(self) -> None:
        """Brakes whose cause is over end, and breakers that say nothing any more are forgotten. Called at each tick."""
        now, now_ms = self._scribe.clock.now(), self._scribe.clock.monotonic_ms()
        if not (self._world.circuits or self._world.brakes) or now_ms - self._looked_ms < LOOK_EVERY_MS:
            return
        self._looked_ms = now_ms
        await self._trials()
        moved = self._of_brakes(*self._brakes((), now))
        if moved.brakes:
            outcome = await self._scribe.commit(
                Commit(at=now, puts=moved.puts, bumps=moved.bumps, entries=moved.entries)
            )
            if isinstance(outcome, Committed):
                self.applied(moved)
                await self._changed(BRAKE)
        gone = [each for each in self._world.circuits.values() if idle(each, self.settings, now)]
        if gone:
            drops = tuple(Drop(kind="breaker", id=each.id) for each in gone)
            await self._scribe.commit(Commit(at=now, drops=drops))
            for each in gone:
                self._world.drop_circuit(each)

    def _of_brakes(self, pulled: tuple[Brake, ...], ended: tuple[Brake, ...]) -> Moved:
        if not pulled and not ended:
            return STILL
        messages = self._notices([of_brake(each.id, each.why, each.since_at) for each in pulled])
        for brake in pulled:
            log.warning("the brake is on", key=brake.key, why=brake.why)
        entries = [
            *(self._brake_entry(each, "pulled", "watchkeeper") for each in pulled),
            *(self._brake_entry(each, "ended", "watchkeeper") for each in ended),
        ]
        brakes = (*pulled, *ended)
        puts = (*(put(each) for each in brakes), *messages)
        return Moved(brakes=brakes, puts=puts, messages=messages, bumps=(BRAKE,), entries=tuple(entries))

    # What people do.

    async def close(self, actor: Actor, identity: str, reason: str) -> Circuit | No:
        """By hand, on record: the person answers for what failed being mended. What was held is decided afresh."""
        if no := _bad_reason(reason):
            return no
        circuit = next((each for each in self._world.circuits.values() if each.id == identity), None)
        if circuit is None:
            return missing("breaker", identity)
        if circuit.state == CLOSED:
            return changed(f"breaker {identity} ({circuit.key}) is closed already")
        now = self._scribe.clock.now()
        found = shut(circuit, now, actor.name, reason)
        key = f"breaker:{found.key}"
        entry = self._entry(found, "closed", actor.name, "", reason)
        outcome = await self._scribe.commit(Commit(at=now, puts=(put(found),), bumps=(key,), entries=(entry,)))
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        self._world.keep_circuit(found)
        await self._changed(key)
        return found

    async def release(self, actor: Actor, identity: str, reason: str) -> Brake | No:
        """What failed until now does not pull this brake again; what fails from now on may."""
        if no := _bad_reason(reason):
            return no
        brake = next((each for each in self._world.brakes.values() if each.id == identity), None)
        if brake is None:
            return missing("brake", identity)
        now = self._scribe.clock.now()
        found = replace(brake, ended_at=now, ended_by=actor.name, reason=reason, released_at=now)
        entry = self._brake_entry(found, "released", actor.name)
        outcome = await self._scribe.commit(Commit(at=now, puts=(put(found),), bumps=(BRAKE,), entries=(entry,)))
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        self._world.keep_brake(found)
        await self._changed(BRAKE)
        return found

    # After a start, or when another node was first.

    async def load(self) -> None:
        """Breakers and brakes as they are kept. The trials of this node's runs come with the runs."""
        async for row in self._rows("breaker"):
            self._world.keep_circuit(read(row, Circuit))
        async for row in self._rows("brake"):
            self._world.keep_brake(read(row, Brake))

    async def read_again(self) -> None:
        """Another node moved a breaker or has its trial: what this one believed is not what admission compares with."""
        world, scribe = self._world, self._scribe
        for key, number in (await scribe.store.versions()).items():
            if key.startswith("breaker:"):
                scribe.versions[key] = max(number, scribe.versions.get(key, 0))
        held = {
            claim.key.removeprefix(TRIAL): claim.run for claim in await scribe.store.claims(scribe.clock.now(), TRIAL)
        }
        world.forget_breakers()
        world.trials = held
        await self.load()

    async def _trials(self) -> None:
        """A trial that another node had is over when its claim is gone; what waited for it is judged afresh."""
        foreign = [key for key, run in self._world.trials.items() if run not in self._world.runs]
        if not foreign:
            return
        await self.read_again()
        for key in foreign:
            if key not in self._world.trials:
                await self._changed(f"breaker:{key}")

    async def _rows(self, kind: str) -> AsyncIterator[Row]:
        after: str | None = None
        while True:
            page = await self._scribe.store.find(kind, {}, after=after, limit=1_000)
            for row in page.items:
                yield row
            after = page.next
            if after is None:
                return

    # The record.

    def _entry(self, circuit: Circuit, verdict: str, actor: str, run: str, reason: str = "") -> tuple[Entry, Content]:
        content = {
            "key": circuit.key,
            "failures": circuit.failed,
            "until": circuit.until_at,
            "why": circuit.failures[-1].why if circuit.failures else "",
            "reason": reason,
        }
        ids = {"breaker": circuit.id, "run": run}
        return self._scribe.entry(Kind.BREAKER, ids, actor=actor, verdict=verdict, content=content)

    def _brake_entry(self, brake: Brake, verdict: str, actor: str) -> tuple[Entry, Content]:
        content = {
            "key": brake.key,
            "why": brake.why,
            "rules": brake.rules,
            "targets": brake.targets,
            "reason": brake.reason,
        }
        return self._scribe.entry(Kind.BRAKE, {"brake": brake.id}, actor=actor, verdict=verdict, content=content)


def _opened_notice(circuit: Circuit, decision: Decision, run: str) -> Notice:
    why = circuit.failures[-1].why if circuit.failures else ""
    return of_breaker(circuit.id, circuit.key, why, circuit.until_at, decision, run, circuit.since_at)


def _turned(before: Circuit | None, after: Circuit) -> str:
    """opened, reopened, closed; "" when it only counted."""
    was = before.state if before is not None else CLOSED
    if after.state == OPEN:
        if was != OPEN:
            return "opened"
        return "reopened" if before is not None and before.since_at != after.since_at else ""
    return "closed" if was == OPEN else ""


def _pulled(pull: Pull, now: Instant, released_at: Instant | None) -> Brake:
    return Brake(
        id=id_from("brd", EPOCH, pull.key),
        key=pull.key,
        what=pull.what,
        name=pull.name,
        why=pull.why,
        since_at=now,
        rules=pull.rules,
        targets=pull.targets,
        released_at=released_at,
    )


def _bad_reason(reason: str) -> No | None:
    if not reason.strip():
        return invalid("reason", "say why, for the person who reads it at night")
    if len(reason) > REASON_CHARS_MAX:
        return invalid("reason", f"is longer than {REASON_CHARS_MAX} characters")
    return None
