"""The judge: brings an alert before every rule that may concern it, decides, and has the decision admitted.

`decide` proposes and admission commits: for a decision to act one transaction compares every version that the
situation was read at, claims the limits, and opens the run. When the world moved in between, it is decided afresh.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any, Final, Protocol

import structlog
from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.approve.approval import Approval, State, answered, lapse, request
from watchkeeper.approve.approval import Present as Standing
from watchkeeper.correlate.alert import Alert
from watchkeeper.correlate.correlation import Correlation
from watchkeeper.decide.admission import TRIES_MAX, claims, expects
from watchkeeper.decide.decide import binding_of, decide, decide_untargeted
from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.decide.episode import Due, LastRun, NotDue, Present, acted_for, due
from watchkeeper.decide.match import Matched, Miss, Missed, match
from watchkeeper.decide.target import NoTarget, Subject, Untargeted, Why, targets_of
from watchkeeper.engine.arguments import arguments_of
from watchkeeper.engine.excluded import excluded_of, named_by
from watchkeeper.engine.facts import facts_of
from watchkeeper.engine.records import JudgedRecord, RunRecord, Waiting, encoder, kind_of, put
from watchkeeper.engine.runner import Begun
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.situations import Situations
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.words import Words
from watchkeeper.engine.world import Decided, World
from watchkeeper.errors import Rejected, WatchkeeperError
from watchkeeper.execute.run import Opened, Plan
from watchkeeper.guards.autonomy import mode_of
from watchkeeper.guards.breaker import on_trial
from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.order import ROOM
from watchkeeper.guards.situation import AlertFacts, Ladder, Proposal, Situation, Target
from watchkeeper.ledger.entry import Kind
from watchkeeper.packs.rule import Mode, Per, Rule
from watchkeeper.packs.runbook import Runbook
from watchkeeper.ports import Append, Claim, Commit, Committed, Put, Refused
from watchkeeper.report.notices import Notice, NoticeKind
from watchkeeper.values import EPOCH, Instant, after_ms, canonical, id_from, ms_between

log = structlog.get_logger("watchkeeper.judge")

HELD: Final = "held"
UNMAPPED: Final = "unmapped"  # stands for the rule in the decision on an alert that none matches
BROKEN_AGAIN_MS: Final = 60_000  # a rule that broke is judged again so much later
AUTOMATION: Final = "automation"
NOTHING: Final[Mapping[str, Any]] = {}
MEASURED_AGAIN_MS: Final = 60_000  # a metric moves by itself: a rule on one is looked at again while its alert fires
NOT_TOLD: Final[Mapping[str, str]] = {}


class Opening(Struct, frozen=True, kw_only=True):
    """An admitted run: what the runner takes over."""

    record: RunRecord
    plan: Plan
    opened: Opened
    decision: Decision
    answered: tuple[str, ...] = ()
    begun: Begun | None = None


class Judged(Struct, frozen=True, kw_only=True):
    """What came of one proposal. `opening` when it acts, `approval` when it asks."""

    decision: Decision
    situation: Situation
    body: bytes  # of the situation, as it was hashed
    proposal: Proposal | None = None
    untargeted: Untargeted | None = None
    opening: Opening | None = None
    approval: Approval | None = None
    told: dict[str, str] = {}


class Seats(Protocol):
    """What the judge needs of the rest of the engine."""

    def again(self, alert: str, at: Instant) -> None: ...

    def begin(self, opening: Opening, look: tuple[Proposal, Situation] | None) -> Begun | None:
        """The run's first turn, for the commit that admits it; None when it cannot simply begin. `look`: what the
        decision was read from.
        """

    def open(self, opening: Opening) -> None: ...

    def lapse(self, alert: str, why: str) -> None:
        """The episode is over or unseen: held and unanswered proposals lapse, runs learn that they are not needed."""

    def notices(self, found: Iterable[Notice]) -> tuple[Put, ...]:
        """Notices as messages to store in the same commit; handed to the outbox once `told` is called."""

    def told(self, puts: Iterable[Put]) -> None: ...

    def approval_ended(self, approval: Approval) -> None:
        """It lapsed or became void: store that and take it off the table."""

    def let_go(self, waiting: str, why: str) -> None:
        """A held proposal is not wanted any more."""

    async def breakers_moved(self) -> None:
        """Another node was first: read the breakers again."""

    def untell(self, decision: str, why: str) -> bool:
        """Drop what was to be told later of a decision; True when nobody had been told yet."""


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
        self.counts: dict[str, int] = {}

    async def alert(self, alert: Alert, now: Instant, *, because: str = "", asked_by: str = "") -> list[Judged]:
        """Every rule that concerns the alert, most important first; so a lower one finds its targets taken."""
        facts = facts_of(alert, self._correlation, self._witnesses, now)
        if not facts.firing or facts.stale:
            self._seats.lapse(
                alert.id, "The alert resolved." if not facts.firing else "The alert was not seen for too long."
            )
            return []
        matched = self._matching(facts, alert, now)
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

    def _matching(self, facts: AlertFacts, alert: Alert, now: Instant) -> list[tuple[Rule, Matched]]:
        found: list[tuple[Rule, Matched]] = []
        for rule in self._situations.configuration.rulebook.candidates(facts.labels):
            match match(rule, facts, self._seen(rule, facts, now), now):
                case Matched() as row:
                    found.append((rule, row))
                case Missed(why=Miss.TOO_EARLY, again_at=again_at) if again_at is not None:
                    self._seats.again(alert.id, again_at)
                case Missed(why=Miss.CLAUSE | Miss.UNKNOWN) if rule.name in self._situations.configuration.measured:
                    self._seats.again(alert.id, _turn(alert.id, now))
                case _:
                    pass
        found.sort(key=lambda pair: (-pair[0].priority, pair[0].name))
        return found

    def _seen(self, rule: Rule, facts: AlertFacts, now: Instant) -> Mapping[str, Any]:
        """What the rule's conditions see; nothing where it has none, which is most rules."""
        if not rule.when:
            return NOTHING
        entity = self._situations.target(facts.entity) if facts.entity else None
        return self._situations.bindings(facts, entity, now)

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
        targets = self._targets(rule, facts, now)
        last = self._world.decided(episode, rule.name)
        run = self._last_run(last)
        elsewhere = self._elsewhere(rule, facts, targets, last, now) if run is None else None
        answer = due(
            last.decision if last is not None and not last.unstarted else None,
            Present(
                at=now,
                alert=facts,
                targets=tuple(target.ref for target in targets) if isinstance(targets, tuple) else (),
                versions=self._scribe.versions,
                run=run or elsewhere,
                settle_ms=rule.limits.settle_ms,
                asked_by=asked_by or self._answered_by(last),
            ),
        )
        match answer:
            case NotDue(again_at=again_at):
                if again_at is not None:
                    self._seats.again(alert.id, again_at)
                if elsewhere is not None and last is not None:
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
        rivals = self._rivals(rule, targets, facts, matched, now)
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
            if self._answers(proposal):
                situation = self._bound(proposal, situation)
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
            judged, notices = self._told(self._prepare(proposal, runbook, decision, situation, body), told)
            puts = self._puts(judged, notices)
            outcome = await self._scribe.commit(self._commit(judged, proposal, puts))
            if isinstance(outcome, Committed):
                self._seats.told(notices)
                self._keep(judged)
                return judged
            refused = outcome
            if outcome.key.startswith(("breaker:", "trial:")):
                await self._seats.breakers_moved()
            log.info("decided afresh", decision=decision.id, what=outcome.what, key=outcome.key)
        raise AssertionError("a held decision claims nothing, so it cannot be refused")

    def _bound(self, proposal: Proposal, situation: Situation) -> Situation:
        """The situation with its answers, unless what they were bound to has changed: then they are void and said to be."""
        binding = binding_of(proposal, situation, mode_of(proposal, situation))
        for each in self._world.approvals.about(proposal.rule, proposal.episode):
            if each.state is not State.APPROVED:
                continue
            present = Standing(configuration=situation.configuration, epoch=situation.epoch, binding=binding)
            now = lapse(each, present, situation.at)
            if now.state is not State.APPROVED:
                self._seats.approval_ended(now)
        return replace(situation, answered=self._answers(proposal))

    def _prepare(
        self, proposal: Proposal, runbook: Runbook, decision: Decision, situation: Situation, body: bytes
    ) -> Judged:
        opening = approval = None
        if decision.verdict is Verdict.ACT:
            opening = self._opening(proposal, runbook, decision, situation)
        elif decision.verdict is Verdict.ASK:
            approval = self._standing_card(
                request(decision, run="", epoch=situation.epoch, answered=situation.answered)
            )
        return Judged(
            decision=decision, situation=situation, body=body, proposal=proposal, opening=opening, approval=approval
        )

    def _opening(self, proposal: Proposal, runbook: Runbook, decision: Decision, situation: Situation) -> Opening:
        at = decision.at
        run = id_from("run", at, decision.id)
        facts = situation.alert
        assert decision.start_by_at is not None
        record = RunRecord(
            id=run,
            decision=decision.id,
            runbook=runbook.name,
            rule=decision.rule,
            status="queued",
            open=True,
            at=at,
            targets=tuple(target.ref for target in proposal.targets),
            configuration=decision.configuration,
            incident=decision.incident,
            alert=decision.alert,
            symptom=decision.symptom,
            actor=decision.actor,
            change=self._change(decision, situation),
            trials=tuple(each.key for each in situation.breakers if on_trial(each, situation)),
        )
        plan = plan_of(decision, self._situations.configuration.rulebook.runbooks, facts)
        opened = Opened(
            at=at,
            run=run,
            decision=decision.id,
            runbook=runbook.name,
            configuration=decision.configuration,
            key_root=run,
            start_by_at=decision.start_by_at,
            actor=decision.actor,
        )
        opening = Opening(record=record, plan=plan, opened=opened, decision=decision, answered=situation.answered)
        # Nothing has moved since the situation was read: *start* asks its guards of the same reading. A person's own run
        # was decided under other words (an emergency, their own hold), so it is read afresh.
        look = (proposal, situation) if proposal.actor == AUTOMATION else None
        return replace(opening, begun=self._seats.begin(opening, look))

    def _change(self, decision: Decision, situation: Situation) -> str:
        """As what it is registered. Source: ITIL 4, change enablement: a standard change is authorised beforehand, a
        normal one by the people who approve it, an emergency cannot wait for the calendar.
        """
        if any(key.startswith("freeze:") for key in situation.answered):
            return "emergency"
        if decision.actor != "automation" or self._given(decision):
            return "normal"
        return "standard"

    def _standing_card(self, asked: Approval) -> Approval:
        """The card that lies on the table already and asks the same, or this one."""
        same = (each for each in self._cards(asked.rule, asked.episode) if each.binding == asked.binding)
        keys = {each.key for each in asked.findings}
        return next((each for each in same if {question.key for question in each.findings} == keys), asked)

    def _cards(self, rule: str, episode: str) -> list[Approval]:
        """Requests that wait for an answer."""
        return [
            each for each in self._world.approvals.about(rule, episode) if each.state is State.PENDING and not each.path
        ]

    def _superseded(self, judged: Judged) -> list[Approval]:
        """Requests of earlier decisions of the episode that this one has overtaken. A person's own have no episode."""
        decision = judged.decision
        if not decision.episode:
            return []
        why = f"It was decided afresh: {decision.verdict._value_}."
        kept = judged.approval.id if judged.approval is not None else ""
        return [
            replace(each, state=State.LAPSED, ended_at=decision.at, why=why)
            for each in self._cards(decision.rule, decision.episode)
            if each.id != kept
        ]

    def _answered_by(self, last: Decided | None) -> str:
        """Who makes a request due again: the people who approved it, or nobody any more, when it lapsed unanswered."""
        if last is None or last.decision.verdict is not Verdict.ASK or last.rejected:
            return ""
        about = self._world.approvals.about(last.decision.rule, last.decision.episode)
        cards = [each for each in about if not each.path]
        given = next((each for each in cards if each.state is State.APPROVED), None)
        if given is not None:
            return ", ".join(answer.name for answer in given.answers)
        return "" if cards else "watchkeeper"

    def _told(self, judged: Judged, before: Mapping[str, str]) -> tuple[Judged, tuple[Put, ...]]:
        """What people are told of it, once an episode; a page goes out whatever was told of a hold before."""
        decision, told = judged.decision, dict(before)
        if judged.approval is not None:
            new = judged.approval.id not in self._world.approvals
            return replace(judged, told=told), self._seats.notices(
                self._words.of_ask(judged.approval, decision) if new else ()
            )
        notices = [
            each
            for each in self._words.of_decision(decision)
            if each.kind is NoticeKind.BROKEN_RULE or told_as(each) not in told
        ]
        told.update((told_as(each), decision.id) for each in notices)
        return replace(judged, told=told), self._seats.notices(notices)

    def _puts(self, judged: Judged, messages: tuple[Put, ...]) -> tuple[Put, ...]:
        decision = judged.decision
        run = judged.opening.record.id if judged.opening is not None else ""
        beside = JudgedRecord(id=decision.id, proposal=judged.proposal, untargeted=judged.untargeted)
        situation = Put(kind=kind_of(Situation), id=decision.situation, body=judged.body)
        puts = [situation, put(beside), put(decision, run=run)]
        if (excluded := excluded_of(decision, judged.situation)) is not None:
            puts.append(put(excluded))
        if judged.opening is not None:
            begun = judged.opening.begun
            puts.extend((put(judged.opening.record),) if begun is None else begun.beside.puts)
            puts.extend(put(replace(each, run=run)) for each in self._given(decision))
        if judged.approval is not None and judged.approval.id not in self._world.approvals:
            puts.append(put(judged.approval))
        puts.extend(put(each) for each in self._superseded(judged))
        waiting = self._waiting(decision)
        before = self._world.waiting.get(waiting_id(decision)) if self._world.waiting else None
        if waiting is not None:
            puts.append(put(waiting))
        elif before is not None:
            closed = replace(before, open=False, closed_why=f"decided {decision.verdict.value}")
            puts.append(put(closed))
        return (*puts, *messages)

    def _given(self, decision: Decision) -> list[Approval]:
        """Approvals that were given for this very thing: same rule, same episode, same binding."""
        return [
            each
            for each in self._world.approvals.about(decision.rule, decision.episode)
            if each.state is State.APPROVED and each.binding == decision.binding
        ]

    def _answers(self, proposal: Proposal) -> tuple[str, ...]:
        """The findings that given approvals answer. `lapse` has ended those whose binding no longer holds."""
        return answered(
            each
            for each in self._world.approvals.about(proposal.rule, proposal.episode)
            if each.requester in {"automation", proposal.actor.removeprefix("person:")}
        )

    def _waiting(self, decision: Decision) -> Waiting | None:
        if decision.verdict is not Verdict.HOLD or decision.wake_at is None or not decision.alert:
            return None  # a person's own run is not kept: they read why, and ask again when they still want it
        names = {name for finding in decision.findings if finding.outcome is Outcome.HOLD for name in finding.names}
        return Waiting(
            id=waiting_id(decision),
            decision=decision.id,
            rule=decision.rule,
            alert=decision.alert,
            episode=decision.episode,
            targets=tuple(target.ref for target in decision.targets),
            names=tuple(sorted(names)),
            reason=decision.reason,
            at=decision.at,
            wake_at=decision.wake_at,
        )

    def _commit(self, judged: Judged, proposal: Proposal, puts: tuple[Put, ...]) -> Commit:
        decision = judged.decision
        ids = {
            "decision": decision.id,
            "alert": decision.alert,
            "incident": decision.incident,
            "run": judged.opening.record.id if judged.opening is not None else "",
            "approval": judged.approval.id if judged.approval is not None else "",
            "exclusion": named_by(decision),
        }
        kind = Kind.DECISION if decision.verdict in {Verdict.ACT, Verdict.ASK} else Kind.REFUSAL
        entry = self._scribe.entry(
            kind,
            ids,
            actor=decision.actor,
            verdict=decision.verdict._value_,
            content=_digestible(decision),
            at=decision.at,  # before the intent of the run that it opens, which was sealed already
        )
        if judged.opening is None:
            return Commit(at=decision.at, puts=puts, entries=(entry,))
        run = judged.opening.record.id
        begun = judged.opening.begun
        beside = begun.beside if begun is not None else Commit(at=decision.at)
        wants = claims(proposal, decision, judged.situation, self._situations.configuration.settings.limits.admission)
        return Commit(
            at=decision.at,
            expects=tuple(sorted({*expects(decision, judged.situation), *beside.expects})),
            puts=puts,
            appends=(Append(run=run, number=0, body=encoder.encode(judged.opening.opened)), *beside.appends),
            claims=tuple(
                Claim(key=want.key, run=run, limit=want.limit, units=want.units, until_at=want.until_at)
                for want in wants
            ),
            entries=(entry, *beside.entries),
        )

    def _keep(self, judged: Judged) -> None:
        decision = judged.decision
        self.counts[decision.verdict._value_] = self.counts.get(decision.verdict._value_, 0) + 1
        acts = decision.verdict is Verdict.ACT
        self._scribe.timing.decided(decision.alert, decision.id, self._scribe.clock.now(), acts=acts)
        run = judged.opening.record.id if judged.opening is not None else ""
        if decision.episode:
            told = judged.told
            if decision.verdict not in {Verdict.HOLD, Verdict.REFUSE} and self._over(told):
                told = {name: about for name, about in told.items() if name != HELD}
            self._world.remember(decision.episode, decision.rule, Decided(decision=decision, run=run, told=told))
        for each in self._superseded(judged):
            self._world.approvals.pop(each.id, None)
        waiting = self._waiting(decision)
        if waiting is not None:
            self._world.waiting[waiting.id] = waiting
        elif self._world.waiting:
            self._world.waiting.pop(waiting_id(decision), None)
        if judged.approval is not None:
            self._world.approvals[judged.approval.id] = judged.approval
        if judged.opening is not None:
            for each in self._given(decision):
                self._world.approvals.pop(each.id, None)
            self._seats.open(judged.opening)

    def _over(self, told: Mapping[str, str]) -> bool:
        """What was held is held no more: if nobody had been told of it yet, nobody is."""
        return HELD in told and self._seats.untell(told[HELD], "It is held no more.")

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
        judged, notices = self._told(
            Judged(decision=decision, situation=situation, body=body, untargeted=untargeted), told
        )
        await self._scribe.commit(self._commit(judged, proposal, self._puts(judged, notices)))
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
        content = _digestible(decision)
        entry = self._scribe.entry(
            Kind.REFUSAL,
            {"decision": decision.id, "alert": decision.alert, "incident": decision.incident},
            actor=decision.actor,
            verdict=decision.verdict.value,
            content=content,
        )
        await self._scribe.commit(Commit(at=decision.at, puts=self._puts(judged, ()), entries=(entry,)))
        self._keep(judged)
        return judged

    def _targets(self, rule: Rule, facts: AlertFacts, now: Instant) -> tuple[Target, ...] | NoTarget:
        configuration = self._situations.configuration
        if rule.target.value is None and rule.per is Per.ALERT:
            return self._situations.own_target(rule.target, facts.entity)
        subjects = [Subject(facts.entity, self._situations.bindings(facts, None, now))]
        if rule.per is Per.INCIDENT and facts.incident:
            subjects = [
                Subject(other.entity, self._situations.bindings(other, None, now))
                for other in self._same_incident(rule, facts, now)
            ]
        return targets_of(rule.target, subjects, configuration.catalog, self._situations.production())

    def _same_incident(self, rule: Rule, facts: AlertFacts, now: Instant) -> list[AlertFacts]:
        found: list[AlertFacts] = []
        for alert in self._correlation.members(facts.incident):
            other = facts_of(alert, self._correlation, self._witnesses, now)
            if not other.firing:
                continue
            if isinstance(match(rule, other, self._seen(rule, other, now), now), Matched):
                found.append(other)
        return found or [facts]

    def _rivals(
        self,
        rule: Rule,
        targets: tuple[Target, ...],
        facts: AlertFacts,
        matched: list[tuple[Rule, Matched]],
        now: Instant,
    ) -> tuple[str, ...]:
        """Runbooks of other rules of the same priority for one of these targets: a person must choose (SEMANTICS 1)."""
        refs = {target.ref for target in targets}
        found: set[str] = set()
        for other, _ in matched:
            if other.name == rule.name or other.priority != rule.priority or other.runbook == rule.runbook:
                continue
            theirs = self._targets(other, facts, now)
            if isinstance(theirs, tuple) and refs & {target.ref for target in theirs}:
                found.add(other.runbook)
        return tuple(sorted(found))

    def _elsewhere(
        self,
        rule: Rule,
        facts: AlertFacts,
        targets: tuple[Target, ...] | NoTarget,
        last: Decided | None,
        now: Instant,
    ) -> LastRun | None:
        """What the decision for another witness of the same symptom did on these targets meanwhile."""
        if isinstance(targets, NoTarget):
            return None
        tried = {target.ref: self._world.attempts(target.ref, now, rule.limits.settle_ms) for target in targets}
        return acted_for(tried, facts, rule.runbook, last.decision.at if last is not None else None)

    def _last_run(self, last: Decided | None) -> LastRun | None:
        if last is None or not last.run or last.unstarted:
            return None
        return LastRun(acting=last.run in self._world.runs, ended_at=last.run_ended_at, effect_at=last.effect_at)


def _turn(alert: str, now: Instant) -> Instant:
    """The alert's next turn: one each MEASURED_AGAIN_MS, whenever and however often it is asked for."""
    own_ms = zlib.crc32(alert.encode()) % MEASURED_AGAIN_MS
    return after_ms(now, MEASURED_AGAIN_MS - (ms_between(EPOCH, now) - own_ms) % MEASURED_AGAIN_MS)


def told_as(notice: Notice) -> str:
    """A hold and a refusal are one word to people, an escalation another."""
    return notice.kind.value if notice.kind is NoticeKind.ESCALATED else HELD


def waiting_id(decision: Decision) -> str:
    """One held proposal for (rule, episode): a later hold replaces it."""
    return id_from("hpr", EPOCH, decision.rule, decision.episode)


def plan_of(decision: Decision, runbooks: dict[str, Runbook], facts: AlertFacts | None) -> Plan:
    """The plan that a decision commits to: a run in flight keeps the configuration it was compiled from."""
    runbook = runbooks[decision.runbook]
    return Plan(
        configuration=decision.configuration,
        runbook=runbook,
        called=_called(runbook, runbooks),
        targets=decision.targets,
        arguments=decision.arguments,
        alert=_alert_binding(facts, decision),
    )


def _called(runbook: Runbook, runbooks: dict[str, Runbook]) -> dict[str, Runbook]:
    found: dict[str, Runbook] = {}
    queue = [runbook]
    while queue:
        stack = list(queue.pop().steps)
        while stack:
            step = stack.pop()
            stack.extend(step.steps)
            if step.runbook and step.runbook not in found and step.runbook in runbooks:
                found[step.runbook] = runbooks[step.runbook]
                queue.append(runbooks[step.runbook])
    return found


def _alert_binding(facts: AlertFacts | None, decision: Decision) -> dict[str, object]:
    if facts is None:
        return {"labels": {}, "annotations": {}, "incident": "", "name": "", "severity": decision.severity.value}
    return {
        "name": facts.labels.get("alertname", ""),
        "labels": facts.labels,
        "annotations": facts.annotations,
        "severity": facts.severity.value,
        "symptom": facts.symptom,
        "source": facts.source,
        "group": facts.group,
        "region": facts.region,
        "entity": facts.entity,
        "firing": facts.firing,
        "starts_at": facts.starts_at,
        "first_seen_at": facts.first_seen_at,
        "last_seen_at": facts.last_seen_at,
        "incident": facts.incident,
    }


def _digestible(decision: Decision) -> dict[str, object]:
    """What the entry commits to: the decision in full, by value where it is short and by digest where it is long."""
    return {
        "decision": decision.id,
        "rule": decision.rule,
        "runbook": decision.runbook,
        "verdict": decision.verdict._value_,
        "would_be": decision.would_be._value_,
        "reason": decision.reason,
        "targets": [target.ref for target in decision.targets],
        "binding": decision.binding,
        "situation": decision.situation,
        "configuration": decision.configuration,
        "findings": [_finding(finding) for finding in decision.findings if finding.outcome is not Outcome.PASS],
    }


def _finding(finding: Finding) -> dict[str, object]:
    return {"guard": finding.guard, "outcome": finding.outcome._value_, "reason": finding.reason}
