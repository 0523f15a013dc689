"""Standings: levels rise by what people agreed to, and fall at once. Performs what `learn.standing` works out.

A promotion, a demotion and its lift are each one commit: the document, the entry, the word to the rule's owner, and the
version `standing:<rule>` that admission compares. So nothing that was decided at the old level can still be admitted.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.approve.people import Actor
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.answer import No, changed, denied, invalid, missing
from watchkeeper.engine.earned import basis_now, cell_of, granted, ground_of, look
from watchkeeper.engine.records import put, read
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.situations import Situations
from watchkeeper.engine.standing_words import of_demotion, of_promotion
from watchkeeper.engine.world import World
from watchkeeper.execute.state import Run, StepState
from watchkeeper.guards.autonomy import RANK, standing_key
from watchkeeper.learn.agreement import Cell, Evidence
from watchkeeper.learn.standing import CAPS, Because, Demotion, Outlook, Standing
from watchkeeper.ledger.entry import Content, Entry, Kind
from watchkeeper.ports import Commit, Committed, Put
from watchkeeper.report.notices import Notice
from watchkeeper.values import EPOCH, Instant, id_from, id_short, ms_between, rfc3339
from watchkeeper.verify.sample import Result

log = structlog.get_logger("watchkeeper.standing")

RISE_EVERY_MS: Final = 60_000  # time alone may let a cell rise: it is looked at so often
REASON_CHARS_MAX: Final = 2_000
SPENT_LOOKED_AT_MAX: Final = 200  # newest decisions about a service whose cells a spent budget demotes

All = Callable[..., AsyncIterator[Any]]


class Fallen(Struct, frozen=True, kw_only=True):
    """Demotions with all that is committed beside them. Empty when nothing falls."""

    demotions: tuple[Demotion, ...] = ()
    puts: tuple[Put, ...] = ()
    entries: tuple[tuple[Entry, Content], ...] = ()
    bumps: tuple[str, ...] = ()


NOTHING_FALLS: Final = Fallen()


class Standings:
    """`changed(key)` is awaited after a version was raised, so that what rests on the level is judged afresh."""

    def __init__(
        self,
        scribe: Scribe,
        world: World,
        situations: Situations,
        notices: Callable[[Iterable[Notice]], tuple[Put, ...]],
        told: Callable[[Iterable[Put]], None],
        changed: Callable[[str], Awaitable[None]],
    ) -> None:
        self._scribe, self._world, self._situations = scribe, world, situations
        self._notices, self._told, self._changed = notices, told, changed
        self._looked_at: Instant | None = None
        self._falling: dict[str, Fallen] = {}  # by a run whose end is being committed

    async def load(self, every: All) -> None:
        """After a start: what was stored, exactly."""
        earned = self._world.earned
        async for standing in every(Standing, {}):
            earned.stands(standing)
        async for demotion in every(Demotion, {}):
            earned.demoted(demotion)
        async for evidence in every(Evidence, {}):
            earned.take(evidence)

    # Rising.

    def outlook(self, cell: Cell, now: Instant) -> Outlook:
        """Where a cell stands, and what is missing for the next level."""
        configuration = self._world.configuration
        rule = configuration.rulebook.rules.get(cell.rule)
        ceiling = None
        if rule is not None and not rule.ceilings:
            ceiling = min(self._situations.ceilings(rule, None, now), key=RANK.__getitem__)
        ground = ground_of(
            self._world.earned,
            granted(self._world.grants.values(), cell, now),
            cell,
            basis_now(rule, configuration),
            production=self.production(cell),
            ceiling=ceiling,
        )
        return look(ground, configuration, now)

    def production(self, cell: Cell) -> bool:
        """An environment that nobody declared is production."""
        found = self._world.configuration.settings.environments.get(cell.environment)
        return found is None or found.production

    async def tick(self, now: Instant) -> None:
        if self._looked_at is None or ms_between(self._looked_at, now) >= RISE_EVERY_MS:
            self._looked_at = now
            await self.rise(self._world.earned.cells())

    async def rise(self, cells: Iterable[Cell]) -> None:
        """Every cell that has earned the next level now gets it: one level, and from then on it starts to count anew."""
        rules = self._world.configuration.rulebook.rules
        for cell in sorted(cells, key=lambda each: each.key):
            if cell.rule in rules and self.outlook(cell, self._scribe.clock.now()).rises:
                await self._rise(cell)

    async def _rise(self, cell: Cell) -> None:
        now = self._scribe.clock.now()
        found = self.outlook(cell, now)
        if not found.rises or found.next is None:
            return
        configuration = self._world.configuration
        rule = configuration.rulebook.rules[cell.rule]
        standing = Standing(
            id=id_from("std", EPOCH, cell.key),
            cell=cell,
            level=found.next,
            since_at=now,
            basis=basis_now(rule, configuration),
            agreed=found.tally.agreed,
            of=found.tally.of,
            lower_ppm=found.lower_ppm,
            pool=found.pool,
        )
        stored = self._notices((of_promotion(standing, found, rule.owner, configuration.settings.autonomy, now),))
        entry = self._scribe.entry(
            Kind.PROMOTION, {"standing": standing.id}, actor="automation", verdict=found.next.value, content=standing
        )
        outcome = await self._scribe.commit(
            Commit(at=now, puts=(put(standing), *stored), entries=(entry,), bumps=(standing_key(cell.rule),))
        )
        if not isinstance(outcome, Committed):
            return  # it is looked at again
        log.info("promoted", cell=cell.key, level=found.next.value, agreed=found.tally.agreed, of=found.tally.of)
        self._world.earned.stands(standing)
        self._told(stored)
        await self._changed(standing_key(cell.rule))

    # Falling.

    async def demote(
        self,
        cells: Iterable[Cell],
        because: Because,
        why: str,
        *,
        cause: str,
        by: str = "automation",
        run: str = "",
        decision: str = "",
    ) -> tuple[Demotion, ...]:
        """Take cells down at once: to observe for harm, else to approve. `cause` names what happened (a run, a budget's
        window): the same cause demotes a cell once, also after it was lifted. Those that fell now.
        """
        fallen = self.falls(cells, because, why, cause=cause, by=by, run=run, decision=decision)
        if not fallen.demotions:
            return ()
        earned, written = self._world.earned, False
        for each in fallen.demotions:  # it binds before it is durable
            earned.demoted(each)
        try:
            outcome = await self._scribe.commit(
                Commit(at=self._scribe.clock.now(), puts=fallen.puts, entries=fallen.entries, bumps=fallen.bumps)
            )
            written = isinstance(outcome, Committed)
        finally:
            if not written:
                for each in fallen.demotions:
                    earned.undo_demoted(each)
        if not written:
            return ()
        await self.fell(fallen)
        return fallen.demotions

    async def spent(self, service: str, budget: str, since_at: Instant) -> None:
        """The error budget of a service is spent: where rules were judged for it lately they may go no further than
        approve, until a person lifts that.
        """
        page = await self._scribe.store.find("decision", {"service": service}, limit=SPENT_LOOKED_AT_MAX)
        judged = [read(row, Decision) for row in page.items]
        rules = self._world.configuration.rulebook.rules
        cells = dict.fromkeys(cell for each in judged if each.rule in rules for cell in cells_of(each))
        why = f"The error budget {budget} is spent."
        await self.demote(cells, Because.BUDGET, why, cause=f"budget:{budget}:{rfc3339(since_at)}")

    def falls(
        self,
        cells: Iterable[Cell],
        because: Because,
        why: str,
        *,
        cause: str,
        by: str = "automation",
        run: str = "",
        decision: str = "",
    ) -> Fallen:
        """What `demote` would commit, for who has a transaction of their own."""
        now = self._scribe.clock.now()
        rules = self._world.configuration.rulebook.rules
        found: list[Demotion] = []
        for cell in dict.fromkeys(cells):
            identity = id_from("dmt", EPOCH, cell.key, because.value, cause)
            if self._world.earned.demotion(identity) is not None:
                continue
            rule = rules.get(cell.rule)
            found.append(
                Demotion(
                    id=identity,
                    cell=cell,
                    level=CAPS[because],
                    because=because,
                    cause=cause,
                    why=why[:REASON_CHARS_MAX],
                    at=now,
                    by=by,
                    owner=rule.owner if rule is not None else "",
                    run=run,
                    decision=decision,
                )
            )
        if not found:
            return NOTHING_FALLS
        return Fallen(
            demotions=tuple(found),
            puts=(*(put(each) for each in found), *self._notices(of_demotion(each, now) for each in found)),
            entries=tuple(self._entry(each, by, each.level.value, each) for each in found),
            bumps=tuple(dict.fromkeys(standing_key(each.cell.rule) for each in found)),
        )

    async def fell(self, fallen: Fallen) -> None:
        """They are durable: they bind, people are told, and what rests on them is judged afresh."""
        for each in fallen.demotions:
            self._world.earned.demoted(each)
            log.warning("demoted", cell=each.cell.key, level=each.level.value, why=each.why)
        self._told(fallen.puts)
        for key in fallen.bumps:
            await self._changed(key)

    def at_end(self, decision: Decision, run: Run) -> Fallen:
        """What the end of automation's own run takes away: a verification that says unhealthy, after it did something.
        The caller commits it with the end, then calls `bind` and `ended`.
        """
        self._falling.pop(run.id, None)
        if decision.actor != "automation" or not unhealthy(run):
            return NOTHING_FALLS
        why = f"{decision.runbook} was verified unhealthy in {id_short(run.id)}"
        fallen = self.falls(cells_of(decision), Because.UNHEALTHY, why, cause=run.id, run=run.id, decision=decision.id)
        if fallen.demotions:
            self._falling[run.id] = fallen
        return fallen

    def bind(self, run: str) -> None:
        """The end is durable, and so is what it took away."""
        for each in self._falling[run].demotions if run in self._falling else ():
            self._world.earned.demoted(each)

    async def ended(self, run: str) -> None:
        fallen = self._falling.pop(run, None)
        if fallen is not None:
            await self.fell(fallen)

    # Lifting.

    async def lift(self, actor: Actor, identity: str, reason: str) -> Demotion | No:
        """A person's act on record. In production it waits for a second person, as a grant does."""
        before = self._world.earned.demotion(identity)
        if before is None or not before.open:
            return (
                missing("demotion", identity) if before is None else changed(f"demotion {identity} is lifted already")
            )
        if not actor.human:
            return denied("only a person may lift a demotion")
        if not reason.strip() or len(reason) > REASON_CHARS_MAX:
            return invalid("reason", f"1 to {REASON_CHARS_MAX} characters: what was found, and why it may go on")
        if self.production(before.cell):
            return await self._write(replace(before, lift_by=actor.name, lift_reason=reason), actor, "lift_asked")
        return await self._lift(replace(before, lift_by=actor.name, lift_reason=reason), actor)

    async def second(self, actor: Actor, identity: str) -> Demotion | No:
        """The second pair of eyes on a lift in production."""
        before = self._world.earned.demotion(identity)
        if before is None:
            return missing("demotion", identity)
        if not before.open or not before.lift_by:
            return changed(f"demotion {identity} does not wait for a second person")
        if actor.name == before.lift_by or not actor.human:
            return denied(f"{before.lift_by} asked to lift {identity}: another person must agree to it")
        return await self._lift(before, actor)

    async def _lift(self, demotion: Demotion, actor: Actor) -> Demotion | No:
        lifted = replace(demotion, lifted_at=self._scribe.clock.now(), lifted_by=actor.name)
        done = await self._write(lifted, actor, "lifted", bumps=(standing_key(demotion.cell.rule),))
        if isinstance(done, Demotion):
            await self._changed(standing_key(demotion.cell.rule))
        return done

    async def _write(
        self, demotion: Demotion, actor: Actor, verdict: str, *, bumps: tuple[str, ...] = ()
    ) -> Demotion | No:
        entry = self._entry(demotion, actor.name, verdict, {"id": demotion.id, "reason": demotion.lift_reason})
        outcome = await self._scribe.commit(
            Commit(at=self._scribe.clock.now(), puts=(put(demotion),), entries=(entry,), bumps=bumps)
        )
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        self._world.earned.demoted(demotion)
        return demotion

    def _entry(self, demotion: Demotion, actor: str, verdict: str, content: object) -> tuple[Entry, Content]:
        ids = {"demotion": demotion.id, "run": demotion.run, "decision": demotion.decision}
        return self._scribe.entry(Kind.DEMOTION, ids, actor=actor, verdict=verdict, content=content)


def cells_of(decision: Decision) -> tuple[Cell, ...]:
    """Every cell that a decision of a rule lies in."""
    return tuple(dict.fromkeys(cell_of(decision.rule, target, decision.severity) for target in decision.targets))


def unhealthy(run: Run) -> bool:
    """Whether a verification of its way forward said unhealthy after it did something. Inconclusive is not unhealthy."""
    return run.effects > 0 and (run.result is Result.UNHEALTHY or any(_unhealthy(each) for each in run.steps))


def _unhealthy(state: StepState) -> bool:
    if state.result is Result.UNHEALTHY or (state.fleet is not None and state.fleet.unhealthy > 0):
        return True
    return any(_unhealthy(each) for each in state.steps)
