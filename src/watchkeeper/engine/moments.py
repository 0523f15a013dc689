"""The guards of a run's moments, and what is written in the same transaction as its events.

*Start* asks every guard again at dequeue; *continue* and *undo* ask theirs before each effect. The answer names the
versions it was read at, and the commit of the intent compares them: a stop that returned before it cannot be passed.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.correlate.correlation import Correlation
from watchkeeper.engine.breakers import STILL, Breakers, Moved
from watchkeeper.engine.clock import Clock
from watchkeeper.engine.facts import facts_of
from watchkeeper.engine.records import RunRecord, put
from watchkeeper.engine.runner import Live
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.situations import Situations
from watchkeeper.engine.standing import NOTHING_FALLS, Standings
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.world import Expectation, World
from watchkeeper.execute import machine
from watchkeeper.execute.machine import Run
from watchkeeper.execute.outcomes import tally
from watchkeeper.execute.run import (
    ENDED,
    Begin,
    Done,
    Doubted,
    Ended,
    Event,
    Failed,
    Held,
    Intended,
    Perform,
    Probed,
    Settled,
    Started,
    Verified,
)
from watchkeeper.guards.autonomy import standing_key
from watchkeeper.guards.breaker import BRAKE
from watchkeeper.guards.finding import Finding, Moment
from watchkeeper.guards.order import ROOM, ask, first_no, for_step
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.ledger.entry import Content, Entry, Kind
from watchkeeper.packs.action import ACTIONS
from watchkeeper.packs.permission import permitted
from watchkeeper.packs.rule import SETTLE_MS, Rule
from watchkeeper.ports import Commit, Put
from watchkeeper.report.notices import Notice, of_end
from watchkeeper.values import Instant, after_ms

ALWAYS_ASKED_WHEN_FINISHING: Final = frozenset({"stop", "exclusion"})
INTENT_COMPARES: Final = ("epoch", "exclusion", "freeze", "hold", "stop")
START_COMPARES: Final = (BRAKE, *INTENT_COMPARES)
UNDO_COMPARES: Final = ("epoch", "exclusion", "stop")


class Permitted(Struct, frozen=True, kw_only=True):
    events: tuple[Event, ...]
    expects: tuple[tuple[str, int], ...] = ()


class RunMoments:
    """`lapse` is told a run whose start was refused, so that its proposal is judged afresh."""

    def __init__(
        self,
        scribe: Scribe,
        clock: Clock,
        world: World,
        situations: Situations,
        correlation: Correlation,
        witnesses: Witnesses,
        notices: Callable[[Iterable[Notice]], tuple[Put, ...]],
        told: Callable[[Iterable[Put]], None],
        breakers: Breakers,
        standings: Standings,
    ) -> None:
        self._breakers = breakers
        self._moved: dict[str, Moved] = {}
        self._scribe, self._clock, self._world = scribe, clock, world
        self._situations, self._correlation, self._witnesses = situations, correlation, witnesses
        self._notices, self._told, self._standings = notices, told, standings
        self._messages: dict[str, tuple[Put, ...]] = {}

    def begin(self, live: Live, _command: Begin) -> Permitted:
        now = self._clock.now()
        proposal, situation = self._read(live)
        no = first_no(ask(Moment.START, proposal, situation), live.answered)
        compares = {*START_COMPARES, standing_key(live.decision.rule)}
        expects = tuple((key, number) for key, number in sorted(situation.versions.items()) if key in compares)
        if no is not None:
            return Permitted(events=(_held(no, now, situation),), expects=expects)
        timeout_at = after_ms(now, live.plan.runbook.timeout_ms)
        return Permitted(events=(Started(at=now, timeout_at=timeout_at, fence=self._world.fence),), expects=expects)

    def step(self, live: Live, command: Perform) -> Permitted:
        now = self._clock.now()
        proposal, situation = self._read(live)
        compares = UNDO_COMPARES if command.undo else INTENT_COMPARES
        expects = tuple((key, situation.versions.get(key, 0)) for key in compares)
        no = self._no(live, command, proposal, situation)
        if no is not None:
            return Permitted(events=(_held(no, now, situation),), expects=expects)
        denied = _denied(live, command)
        if denied:
            failed = Failed(
                at=now, path=command.path, attempt=command.attempt, error="denied", why=denied, undo=command.undo
            )
            return Permitted(events=(failed,))
        intent = Intended(
            at=now,
            path=command.path,
            attempt=command.attempt,
            key=command.key,
            undo=command.undo,
            fence=self._world.fence,
            performer="node",
        )
        return Permitted(events=(intent,), expects=expects)

    def _no(self, live: Live, command: Perform, proposal: Proposal, situation: Situation) -> Finding | None:
        moment = Moment.UNDO if command.undo else Moment.CONTINUE
        findings = ask(moment, for_step(proposal, command.path), situation)
        if command.finish:
            findings = tuple(each for each in findings if each.guard in ALWAYS_ASKED_WHEN_FINISHING)
        if not command.safe_point:
            # Between joined steps only `stop --now` takes effect (SEMANTICS 6).
            immediate = any(stop.now for stop in situation.stops)
            findings = tuple(each for each in findings if each.guard == "stop" and immediate)
        return first_no(findings, live.answered)

    def _read(self, live: Live) -> tuple[Proposal, Situation]:
        """The proposal as decided, and the world as it is now, without this run in it. Read once a turn of the runner."""
        if live.look is None:
            live.look = self._look(live)
        found: tuple[Proposal, Situation] = live.look  # type: ignore[assignment]  # the runner only forgets it
        return found

    def _look(self, live: Live) -> tuple[Proposal, Situation]:
        now = self._clock.now()
        decision = live.decision
        alert = self._correlation.alert(decision.alert) if decision.alert else None
        facts = facts_of(alert, self._correlation, self._witnesses, now) if alert is not None else None
        if facts is not None:
            facts = replace(facts, episode=decision.episode, inhibited="")
        rule = self._rule(decision.rule)
        proposal = self._situations.proposal(
            rule, live.plan.runbook, decision.targets, decision.arguments, facts, now, actor=decision.actor
        )
        groups, regions = self._witnesses.say(rule, alert, now) if rule is not None and alert is not None else ((), ())
        situation = self._situations.situation(
            proposal,
            rule,
            live.plan.runbook,
            facts,
            now,
            groups=groups,
            regions=regions,
            answered=live.answered,
            without_run=live.run.id,
            own_trials=live.record.trials,
        )
        return proposal, situation

    def _rule(self, name: str) -> Rule | None:
        return self._situations.configuration.rulebook.rules.get(name)

    def puts(self, live: Live, events: Sequence[Event], after: Run) -> Commit:
        """Entries for what was intended, done and ended; the run's record when its status moved; notices at its end."""
        entries = [entry for event in events if (entry := self._entry(live, event)) is not None]
        record = _record(live.record, after, events)
        puts: tuple[Put, ...] = (put(record),) if record != live.record else ()
        releases: tuple[str, ...] = ()
        voids: tuple[str, ...] = ()
        bumps: tuple[str, ...] = ()
        fallen = NOTHING_FALLS
        ended = next((event for event in events if isinstance(event, Ended)), None)
        if ended is not None:
            releases = (after.id,)
            voids = () if record.effects else (after.id,)  # without an effect it was no attempt
            bumps = tuple(f"target:{ref}" for ref in sorted(set(record.targets)))  # who waited for it is decided afresh
            if len(self._world.room):
                bumps = (ROOM, *bumps)
            notice = of_end(after.id, live.decision, ended.status, ended.why, ended.state, ended.at)
            messages = self._notices((notice,)) if notice is not None else ()
            self._messages[after.id] = messages
            moved = self._moved[after.id] = self._breakers.ending(live, events, after)
            puts = (*puts, *messages, *moved.puts)
            bumps = (*bumps, *moved.bumps)
            entries.extend(moved.entries)
            fallen = self._standings.at_end(live.decision, after)
            puts = (*puts, *fallen.puts)
        return Commit(
            at=self._clock.now(),
            puts=puts,
            bumps=(*bumps, *fallen.bumps),
            releases=releases,
            voids=voids,
            entries=(*entries, *fallen.entries),
        )

    def committed(self, live: Live, events: Sequence[Event]) -> None:
        world = self._world
        live.record = _record(live.record, live.run, events)
        live.tally = tally(live.plan, events, live.tally)
        if live.run.status in ENDED:
            world.update_run(live.record)
            self._breakers.applied(self._moved.pop(live.run.id, STILL))
            self._standings.bind(live.run.id)
            self._settles(live)
            self._told(self._messages.pop(live.run.id, ()))
        else:
            world.update_run(live.record)

    def _settles(self, live: Live) -> None:
        """After the run: remember its end for the episode, and keep its expectations until it settled.

        They end at the very instant at which its episode is due again, and at once when nothing was sent.
        """
        decision, record = live.decision, live.record
        rule = self._rule(decision.rule)
        settle_ms = rule.limits.settle_ms if rule is not None else SETTLE_MS
        decided = self._world.decided(decision.episode, decision.rule)
        if decided is not None and decided.run == record.id:
            ended_at = record.ended_at
            effect_at = ended_at if record.effects else None
            self._world.remember(
                decision.episode, decision.rule, replace(decided, run_ended_at=ended_at, effect_at=effect_at)
            )
        until_at = after_ms(record.ended_at or self._clock.now(), settle_ms if record.effects else 0)
        for target in decision.targets:
            for place in {target.ref, target.service}:
                for each in self._world.expectations(place, self._clock.now()):
                    if each.run == record.id:
                        self._world.expect(place, replace(each, until_at=until_at))

    def settles(self, record: RunRecord, now: Instant) -> None:
        """After a start: what a run that ended before still expects, until it settled."""
        runbook = self._situations.configuration.rulebook.runbooks.get(record.runbook)
        rule = self._rule(record.rule)
        if runbook is None or not runbook.expects or not record.effects or record.ended_at is None:
            return
        until_at = after_ms(record.ended_at, rule.limits.settle_ms if rule is not None else SETTLE_MS)
        if until_at <= now:
            return
        for ref in record.targets:
            target = self._situations.target(ref)
            for place in {ref, target.service if target is not None else ref}:
                name = target.name if target is not None else ref
                self._world.expect(
                    place,
                    Expectation(
                        run=record.id, runbook=runbook.name, target=name, names=runbook.expects, until_at=until_at
                    ),
                )

    def _entry(self, live: Live, event: Event) -> tuple[Entry, Content] | None:
        ids = {"run": live.run.id, "decision": live.decision.id, "incident": live.decision.incident}
        actor = live.decision.actor
        match event:
            case Intended():
                content: dict[str, Any] = {
                    "step": event.path,
                    "attempt": event.attempt,
                    "key": event.key,
                    "undo": event.undo,
                }
                return self._scribe.entry(
                    Kind.INTENT, ids, actor=actor, verdict="undo" if event.undo else "do", content=content
                )
            case Done():
                return self._outcome(ids, actor, "done", event.path, "")
            case Failed():
                return self._outcome(ids, actor, "failed", event.path, event.why)
            case Doubted():
                return self._outcome(ids, actor, "in_doubt", event.path, event.why)
            case Probed():
                return self._outcome(ids, actor, "probed", event.path, f"{event.happened}: {event.why}")
            case Settled():
                return self._outcome(ids, event.by, "settled", event.path, f"{event.happened}: {event.why}")
            case Verified():
                return self._outcome(ids, actor, event.result._value_, event.path, event.why)
            case Ended():
                kind = Kind.FORCED_CLOSE if event.status._value_ == "closed" else Kind.RUN_ENDED
                content = {"why": event.why, "state": event.state}
                return self._scribe.entry(kind, ids, actor=actor, verdict=event.status._value_, content=content)
            case _:
                return None

    def _outcome(self, ids: dict[str, str], actor: str, verdict: str, path: str, why: str) -> tuple[Entry, Content]:
        return self._scribe.entry(Kind.OUTCOME, ids, actor=actor, verdict=verdict, content={"step": path, "why": why})

    async def wait_for_change(self) -> None:
        return None

    def opened(self, live: Live) -> None:
        """A run was taken up: what its runbook expects is no news while it works."""
        names = live.plan.runbook.expects
        if not names:
            return
        for target in live.decision.targets:
            for place in {target.ref, target.service}:
                self._world.expect(
                    place,
                    Expectation(run=live.run.id, runbook=live.plan.runbook.name, target=target.name, names=names),
                )


def _denied(live: Live, command: Perform) -> str:
    """Why the runbook's own permissions do not cover this use, with the arguments as they will be sent; "" when they do.

    What is free (`wait`, `notify`) touches no target and needs none. Source: CAPABILITIES 6.6, deny by default.
    """
    step = machine.step_at(live.run, command.path)
    call = step.undo.call if command.undo and step.undo is not None else step.call
    if call is None or (call.action in ACTIONS and ACTIONS[call.action].free):
        return ""
    runbook = machine.runbook_at(live.run, command.path)
    bindings = machine.bindings(live.run, command.path)
    return permitted(runbook.permissions, call.action, command.arguments, bindings)


def _held(no: Finding, now: Any, situation: Situation) -> Held:
    immediate = no.guard == "stop" and any(stop.now for stop in situation.stops)
    return Held(at=now, guard=no.guard, why=no.reason, stay=no.guard in ALWAYS_ASKED_WHEN_FINISHING, now=immediate)


def _record(before: RunRecord, run: Run, events: Sequence[Event]) -> RunRecord:
    ended = next((event for event in events if isinstance(event, Ended)), None)
    if ended is None:
        return replace(before, status=run.status._value_) if before.status != run.status._value_ else before
    return replace(
        before,
        status=ended.status._value_,
        open=False,
        ended_at=ended.at,
        why=ended.why,
        state=ended.state,
        effects=run.effects,
    )
