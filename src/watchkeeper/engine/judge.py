"""The judge: brings an alert before every rule that may concern it, decides, and has the decision admitted.

`decide` proposes and admission commits: for a decision to act one transaction compares every version that the
situation was read at, claims the limits, and opens the run. When the world moved in between, it is decided afresh.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final

import structlog
from msgspec.structs import replace

from watchkeeper.correlate.alert import Alert
from watchkeeper.correlate.correlation import Correlation
from watchkeeper.decide.admission import TRIES_MAX
from watchkeeper.decide.decide import decide, decide_untargeted
from watchkeeper.decide.decision import Verdict
from watchkeeper.decide.episode import Due, LastRun, NotDue, Present, due, newest
from watchkeeper.decide.match import Matched
from watchkeeper.decide.target import NoTarget, Untargeted, Why
from watchkeeper.engine.admitting import Admitting, content_of, waiting_id
from watchkeeper.engine.arguments import arguments_of
from watchkeeper.engine.concerns import Concerns
from watchkeeper.engine.facts import facts_of
from watchkeeper.engine.judged import Judged, Seats
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.situations import Situations
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.words import Words
from watchkeeper.engine.world import Decided, World
from watchkeeper.errors import Rejected, WatchkeeperError
from watchkeeper.guards.order import ROOM
from watchkeeper.guards.situation import AlertFacts, Ladder, Proposal, Situation
from watchkeeper.ledger.entry import Kind
from watchkeeper.packs.rule import Mode, Per, Rule
from watchkeeper.packs.runbook import Runbook
from watchkeeper.ports import Commit, Committed, Refused
from watchkeeper.values import Instant, after_ms, canonical

log = structlog.get_logger("watchkeeper.judge")

UNMAPPED: Final = "unmapped"  # stands for the rule in the decision on an alert that none matches
BROKEN_AGAIN_MS: Final = 60_000  # a rule that broke is judged again so much later
NOT_TOLD: Final[Mapping[str, str]] = {}


class Judge:
    """One caller at a time: the pipeline's task."""

    def __init__(
        self,
        scribe: Scribe,
        world: World,
        situations: Situations,
        correlation: Correlation,
        witnesses: Witnesses,
        seats: Seats,
        engine: dict[str, str],
    ) -> None:
        self._scribe, self._world, self._situations = scribe, world, situations
        self._correlation, self._witnesses, self._seats, self._engine = correlation, witnesses, seats, engine
        self._words = Words(world)
        self._concerns = Concerns(world, situations, correlation, witnesses, seats)
        self._admitting = Admitting(scribe, world, situations, self._words, seats)
        self.counts = self._admitting.counts
        self.kept: Callable[[Judged], object] = lambda _: None  # told of each decision once it is durable

    async def alert(self, alert: Alert, now: Instant, *, because: str = "", asked_by: str = "") -> list[Judged]:
        """Every rule that concerns the alert, most important first; so a lower one finds its targets taken."""
        facts = facts_of(alert, self._correlation, self._witnesses, now)
        if not facts.firing or facts.stale:
            self._seats.lapse(
                alert.id, "The alert resolved." if not facts.firing else "The alert was not seen for too long."
            )
            return []
        matched = self._concerns.matching(facts, alert, now)
        self._unmatched(alert, facts, {rule.name for rule, _ in matched})
        found: list[Judged] = []
        if not matched and not facts.entity and self._world.decided(alert.id, UNMAPPED) is None:
            found.append(await self._unmapped(facts, now))
        for rule, row in matched:
            try:
                judged = await self._rule(rule, row, alert, facts, matched, now, because=because, asked_by=asked_by)
            except Rejected as never:  # such as a decision over more than can be kept: asked again it is the same
                await self._broke(rule, alert, facts, never, now)
                continue
            except WatchkeeperError:
                raise
            except Exception as broken:  # noqa: BLE001  the edge: this rule holds for this alert, the next one is judged
                await self._broke(rule, alert, facts, broken, now)
                continue
            if judged is not None:
                found.append(judged)
        return found

    async def _broke(self, rule: Rule, alert: Alert, facts: AlertFacts, broken: Exception, now: Instant) -> None:
        """Nothing was decided, so nothing acts; the owner is told once an hour, and it is tried again (SEMANTICS 8)."""
        log.error("a rule broke while it was judged", rule=rule.name, alert=alert.id, exc_info=broken)
        self._seats.again(alert.id, after_ms(now, BROKEN_AGAIN_MS))
        notices = self._words.of_broken(rule, facts, f"{type(broken).__name__}: {broken}", now)
        stored = self._seats.notices(notices)
        if stored:
            await self._scribe.commit(Commit(at=now, puts=stored))
            self._seats.told(stored)

    def _unmatched(self, alert: Alert, facts: AlertFacts, matched: set[str]) -> None:
        """What a rule held that left the configuration, or whose conditions hold no more, waits for nothing."""
        for episode in {alert.id, facts.incident}:
            for name, last in self._world.decided_of(episode).items():
                if name not in matched and last.decision.verdict is Verdict.HOLD and last.decision.alert == alert.id:
                    self._seats.let_go(waiting_id(last.decision), "The rule does not match any more.")

    async def _rule(
        self,
        rule: Rule,
        row: Matched,
        alert: Alert,
        facts: AlertFacts,
        matched: list[tuple[Rule, Matched]],
        now: Instant,
        *,
        because: str,
        asked_by: str,
    ) -> Judged | None:
        episode = facts.incident if rule.per is Per.INCIDENT and facts.incident else facts.episode
        facts = replace(facts, episode=episode)
        targets = self._concerns.targets(rule, facts, now)
        last = self._world.decided(episode, rule.name)
        own = self._last_run(last)
        elsewhere = self._concerns.elsewhere(rule, facts, targets, last, now) if own is None or not own.acting else None
        run = newest(own, elsewhere)
        answer = due(
            last.decision if last is not None and not last.unstarted else None,
            Present(
                at=now,
                alert=facts,
                targets=tuple(target.ref for target in targets) if isinstance(targets, tuple) else (),
                versions=self._scribe.versions,
                run=run,
                settle_ms=rule.limits.settle_ms,
                asked_by=asked_by or self._admitting.answered_by(last),
            ),
        )
        match answer:
            case NotDue(again_at=again_at):
                if again_at is not None:
                    self._seats.again(alert.id, again_at)
                if run is not None and run is elsewhere and last is not None:
                    self._seats.let_go(waiting_id(last.decision), f"A run for the same symptom ended. {answer.why}")
                return None
            case Due(because=reason):
                pass
        runbook = self._situations.configuration.rulebook.runbooks[rule.runbook]
        follows = last.decision.id if last is not None else ""
        why = because or reason.value
        if isinstance(targets, NoTarget):
            told = last.told if last is not None else {}
            return await self._untargeted(
                rule, runbook, row, facts, targets, now, follows=follows, because=why, told=told
            )
        arguments, broken = arguments_of(self._situations, rule, runbook, facts, targets, now)
        proposal = self._situations.proposal(rule, runbook, targets, arguments, facts, now)
        rivals = self._concerns.rivals(rule, targets, facts, matched, now)
        groups, regions = self._witnesses.say(rule, alert, now)

        def read(at: Instant) -> Situation:
            return self._situations.situation(
                proposal,
                rule,
                runbook,
                facts,
                at,
                groups=groups,
                regions=regions,
                rivals=rivals,
                unknown_clause=row.unknown_clause,
                broken_clause=row.broken_clause or broken,
            )

        judged = await self.propose(
            proposal, runbook, read, row, follows=follows, because=why, told=last.told if last is not None else {}
        )
        if judged.decision.wake_at is not None:
            self._seats.again(alert.id, judged.decision.wake_at)
        return judged

    async def propose(
        self,
        proposal: Proposal,
        runbook: Runbook,
        read: Callable[[Instant], Situation],
        row: Matched | None = None,
        *,
        follows: str = "",
        because: str = "",
        told: Mapping[str, str] = NOT_TOLD,
    ) -> Judged:
        """Decide and admit. Three times afresh when the world moved; then it is held, for contention."""
        refused: Refused | None = None
        for attempt in range(TRIES_MAX + 1):
            now = self._scribe.clock.now()
            situation = read(now)
            if self._admitting.answers(proposal):
                situation = self._admitting.bound(proposal, situation)
            if attempt == TRIES_MAX and refused is not None:
                versions = {**situation.versions, ROOM: self._world.number(ROOM)}
                situation = replace(situation, contended=refused.why, versions=versions)
            body = canonical(situation)
            decision = decide(
                proposal,
                situation,
                stored_as=sha256(body).hexdigest(),
                clauses=row.clauses if row is not None else (),
                engine=self._engine,
                follows=follows,
                because=because,
            )
            judged, notices = self._admitting.told(
                self._admitting.prepare(proposal, runbook, decision, situation, body), told
            )
            puts = self._admitting.puts(judged, notices)
            outcome = await self._scribe.commit(self._admitting.commit(judged, proposal, puts))
            if isinstance(outcome, Committed):
                self._seats.told(notices)
                self._keep(judged)
                return judged
            refused = outcome
            if outcome.key.startswith(("breaker:", "trial:")):
                await self._seats.breakers_moved()
            log.info("decided afresh", decision=decision.id, what=outcome.what, key=outcome.key)
        raise AssertionError("a held decision claims nothing, so it cannot be refused")

    def _keep(self, judged: Judged) -> None:
        self._admitting.keep(judged)
        self.kept(judged)

    async def _untargeted(
        self,
        rule: Rule,
        runbook: Runbook,
        row: Matched,
        facts: AlertFacts,
        missing: NoTarget,
        now: Instant,
        *,
        follows: str,
        because: str,
        told: Mapping[str, str],
    ) -> Judged:
        pack = self._situations.configuration.rulebook.packs.get(rule.pack)
        proposal = self._situations.proposal(rule, runbook, (), {}, facts, now)
        situation = self._situations.situation(proposal, rule, runbook, facts, now)
        untargeted = Untargeted(
            rule=rule.name,
            rule_digest=rule.digest,
            runbook=rule.runbook,
            pack=rule.pack,
            pack_version=pack.version if pack is not None else "",
            missing=missing,
            owner=rule.owner,
            priority=rule.priority,
        )
        body = canonical(situation)
        decision = decide_untargeted(
            untargeted,
            situation,
            stored_as=sha256(body).hexdigest(),
            clauses=row.clauses,
            engine=self._engine,
            follows=follows,
            because=because,
        )
        judged, notices = self._admitting.told(
            Judged(decision=decision, situation=situation, body=body, untargeted=untargeted), told
        )
        await self._scribe.commit(self._admitting.commit(judged, proposal, self._admitting.puts(judged, notices)))
        self._seats.told(notices)
        self._keep(judged)
        return judged

    async def _unmapped(self, facts: AlertFacts, now: Instant) -> Judged:
        """An alert that nothing in the catalogue answers for is observed, on record, once an episode (SEMANTICS 1)."""
        reason = "The alert names no entity of the catalogue, and no rule matches it."
        situation = Situation(
            at=now,
            epoch=self._world.epoch,
            configuration=self._situations.configuration.digest,
            versions={},
            alert=facts,
            ladder=Ladder(cell="", ceiling=Mode.OBSERVE, risk_ceiling=Mode.OBSERVE),
        )
        untargeted = Untargeted(
            rule=UNMAPPED,
            rule_digest="",
            runbook="",
            pack="",
            pack_version="",
            missing=NoTarget(why=Why.UNMAPPED, reason=reason),
        )
        body = canonical(situation)
        decision = decide_untargeted(
            untargeted, situation, engine=self._engine, because="first", stored_as=sha256(body).hexdigest()
        )
        judged = Judged(decision=decision, situation=situation, body=body, untargeted=untargeted)
        content = content_of(decision)
        entry = self._scribe.entry(
            Kind.REFUSAL,
            {"decision": decision.id, "alert": decision.alert, "incident": decision.incident},
            actor=decision.actor,
            verdict=decision.verdict.value,
            content=content,
        )
        await self._scribe.commit(Commit(at=decision.at, puts=self._admitting.puts(judged, ()), entries=(entry,)))
        self._keep(judged)
        return judged

    def _last_run(self, last: Decided | None) -> LastRun | None:
        if last is None or not last.run or last.unstarted:
            return None
        return LastRun(acting=last.run in self._world.runs, ended_at=last.run_ended_at, effect_at=last.effect_at)
