"""What a decision leaves: its documents, its entry, its claims and its notices in one commit, and what is remembered.

In: a proposal and its decision. Out: a `Judged` with its run or its card, the commit that admits it, and once that is
durable the world as it is then.
"""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from watchkeeper.approve.approval import Approval, State, answered, lapse, request
from watchkeeper.approve.approval import Present as Standing
from watchkeeper.decide.admission import claims, expects
from watchkeeper.decide.decide import binding_of
from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.engine.excluded import excluded_of, named_by
from watchkeeper.engine.judged import Judged, Opening, Seats
from watchkeeper.engine.planning import plan_of
from watchkeeper.engine.records import JudgedRecord, RunRecord, Waiting, encoder, kind_of, put
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.situations import Situations
from watchkeeper.engine.words import Words
from watchkeeper.engine.world import Decided, World
from watchkeeper.execute.run import Opened
from watchkeeper.guards.autonomy import mode_of
from watchkeeper.guards.breaker import on_trial
from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.ledger.entry import Kind
from watchkeeper.packs.runbook import Runbook
from watchkeeper.ports import Append, Claim, Commit, Put
from watchkeeper.report.notices import Notice, NoticeKind
from watchkeeper.values import EPOCH, id_from

HELD: Final = "held"
AUTOMATION: Final = "automation"


class Admitting:
    """Kept by the judge, one caller at a time. `counts`: decisions of this process by verdict."""

    def __init__(self, scribe: Scribe, world: World, situations: Situations, words: Words, seats: Seats) -> None:
        self._scribe, self._world, self._situations = scribe, world, situations
        self._words, self._seats = words, seats
        self.counts: dict[str, int] = {}

    # Before the commit.

    def bound(self, proposal: Proposal, situation: Situation) -> Situation:
        """The situation with its answers, unless what they were bound to has changed: then they are void and said to be."""
        binding = binding_of(proposal, situation, mode_of(proposal, situation))
        for each in self._world.approvals.about(proposal.rule, proposal.episode):
            if each.state is not State.APPROVED:
                continue
            present = Standing(configuration=situation.configuration, epoch=situation.epoch, binding=binding)
            now = lapse(each, present, situation.at)
            if now.state is not State.APPROVED:
                self._seats.approval_ended(now)
        return replace(situation, answered=self.answers(proposal))

    def prepare(
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

    def answered_by(self, last: Decided | None) -> str:
        """Who makes a request due again: the people who approved it, or nobody any more, when it lapsed unanswered."""
        if last is None or last.decision.verdict is not Verdict.ASK or last.rejected:
            return ""
        about = self._world.approvals.about(last.decision.rule, last.decision.episode)
        cards = [each for each in about if not each.path]
        given = next((each for each in cards if each.state is State.APPROVED), None)
        if given is not None:
            return ", ".join(answer.name for answer in given.answers)
        return "" if cards else "watchkeeper"

    def told(self, judged: Judged, before: Mapping[str, str]) -> tuple[Judged, tuple[Put, ...]]:
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

    def answers(self, proposal: Proposal) -> tuple[str, ...]:
        """The findings that given approvals answer. `lapse` has ended those whose binding no longer holds."""
        return answered(
            each
            for each in self._world.approvals.about(proposal.rule, proposal.episode)
            if each.requester in {"automation", proposal.actor.removeprefix("person:")}
        )

    def _given(self, decision: Decision) -> list[Approval]:
        """Approvals that were given for this very thing: same rule, same episode, same binding."""
        return [
            each
            for each in self._world.approvals.about(decision.rule, decision.episode)
            if each.state is State.APPROVED and each.binding == decision.binding
        ]

    # The commit.

    def puts(self, judged: Judged, messages: tuple[Put, ...]) -> tuple[Put, ...]:
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

    def commit(self, judged: Judged, proposal: Proposal, puts: tuple[Put, ...]) -> Commit:
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
            content=content_of(decision),
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

    # After it.

    def keep(self, judged: Judged) -> None:
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


def told_as(notice: Notice) -> str:
    """A hold and a refusal are one word to people, an escalation another."""
    return notice.kind.value if notice.kind is NoticeKind.ESCALATED else HELD


def waiting_id(decision: Decision) -> str:
    """One held proposal for (rule, episode): a later hold replaces it."""
    return id_from("hpr", EPOCH, decision.rule, decision.episode)


def content_of(decision: Decision) -> dict[str, object]:
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
