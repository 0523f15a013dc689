"""Episodes and what people say of them: suggestions answered, a person's own runs, reviews, feedback.

Only these are evidence (SEMANTICS 4): a suggestion accepted or rejected, the same runbook run by a person on that target
soon after, a verdict in review. A report that something was false or harmful counts against; that it was helpful, and
that an approval was given or refused, is on record and counts for nothing. No evidence is not agreement.
"""

from collections.abc import Callable
from typing import Final

from watchkeeper.approve.people import Actor
from watchkeeper.approve.roles import Allowed, Verb, may
from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.engine.answer import No, changed, denied, invalid, missing
from watchkeeper.engine.judged import Judged
from watchkeeper.engine.records import Feedback, JudgedRecord, RunRecord, kind_of, put, read
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.standing import Standings, cells_of, unhealthy
from watchkeeper.engine.steering import Steering
from watchkeeper.engine.world import World
from watchkeeper.execute.run import Status
from watchkeeper.execute.state import Run
from watchkeeper.guards.autonomy import RANK
from watchkeeper.learn.agreement import RUN_WITHIN_MS, Evidence, How
from watchkeeper.learn.standing import Because
from watchkeeper.ledger.entry import Content, Entry, Kind
from watchkeeper.packs.rule import Mode
from watchkeeper.ports import Commit, Committed, Drop
from watchkeeper.values import EPOCH, after_ms, id_from, id_short

SAYS: Final = ("helpful", "false", "harmful")
REASON_CHARS_MAX: Final = 2_000
FOLLOWED_MAX: Final = 8  # decisions back from a run to the suggestion that it accepts
LOOKED_AT_MAX: Final = 500  # decisions of a service that a person's run is compared with
_ANSWERS: Final = frozenset({How.SUGGESTION, How.RUN, How.REVIEW})


class Agreements:
    """`person(name)`: whether that identity is a human being. `fires(episode)`: whether it still goes on."""

    def __init__(
        self,
        scribe: Scribe,
        world: World,
        standings: Standings,
        steering: Steering,
        person: Callable[[str], bool],
        fires: Callable[[str], bool],
    ) -> None:
        self._scribe, self._world, self._standings, self._steering = scribe, world, standings, steering
        self._person, self._fires = person, fires

    # Suggestions.

    def suggestions(self) -> tuple[Decision, ...]:
        """Those that stand: the last word on an episode that goes on, and nobody has answered. Newest first."""
        every = (each.decision for each in self._world.every_decided())
        suggested = (each for each in every if each.verdict is Verdict.SUGGEST)
        found = [each for each in suggested if self._fires(each.episode) and not self.answered(each)]
        return tuple(sorted(found, key=lambda each: each.at, reverse=True))

    async def accept(self, actor: Actor, identity: str, reason: str) -> Judged | No:
        """A person runs what was suggested, as their own act: every guard is asked. It counts once the run succeeded."""
        decision = await self._suggestion(identity)
        if isinstance(decision, No):
            return decision
        return await self._steering.run_suggested(actor, decision, reason or "the suggestion was accepted")

    async def reject(self, actor: Actor, identity: str, reason: str) -> Decision | No:
        decision = await self._suggestion(identity)
        if isinstance(decision, No):
            return decision
        if no := _bad_reason(reason):
            return no
        if not actor.human:
            return denied("only a person's answer counts: a suggestion is rejected by a person")
        no = await self._record(decision, How.SUGGESTION, actor.name, agrees=False, reason=reason)
        return no or decision

    async def _suggestion(self, identity: str) -> Decision | No:
        decision = await self._decision(identity)
        if decision is None:
            return missing("suggestion", identity)
        if decision.verdict is not Verdict.SUGGEST:
            return changed(f"decision {identity} is no suggestion: its verdict is {decision.verdict.value}")
        last = self._world.decided(decision.episode, decision.rule)
        if last is None or last.decision.id != identity or not self._fires(decision.episode):
            return changed("it stands no more: it was decided afresh, or its alert is over; run 'wk suggestions'")
        if by := self.answered(decision):
            return changed(f"{by} answered it already")
        return decision

    def answered(self, decision: Decision) -> str:
        """Who gave the episode its verdict; "" when nobody has."""
        for each in self._world.earned.evidence(decision.rule):
            if each.episode == decision.episode and each.how in _ANSWERS:
                return each.by
        return ""

    # Review.

    async def review(self, actor: Actor, identity: str, reason: str, *, agrees: bool) -> tuple[Evidence, ...] | No:
        """A person's verdict on what was decided: right, or not. A later word of the same person replaces it."""
        decision = await self._decision(identity)
        if decision is None:
            return missing("decision", identity)
        if why := incomparable(decision):
            return changed(f"decision {identity} cannot be reviewed: {why}")
        if no := _bad_reason(reason):
            return no
        if not actor.human:
            return denied("only a person may review")
        no = await self._record(decision, How.REVIEW, actor.name, agrees=agrees, reason=reason)
        return no or tuple(each for each in self._of(decision) if each.by == actor.name and each.how is How.REVIEW)

    def _of(self, decision: Decision) -> tuple[Evidence, ...]:
        return tuple(each for each in self._world.earned.evidence(decision.rule) if each.episode == decision.episode)

    # Feedback.

    async def feedback(self, actor: Actor, identity: str, says: str, text: str) -> Feedback | No:
        """Of a run, or of a decision. Once a person and run: a later word replaces the earlier one, and takes back what
        it counted; a demotion stays. `false` and `harmful` count against; `harmful` demotes at once.
        """
        if says not in SAYS:
            return invalid("says", f"{says!r} is none of {', '.join(SAYS)}")
        found = await self._subject(identity)
        if isinstance(found, No):
            return found
        decision, run = found
        judged = await self._root(decision)
        now = self._scribe.clock.now()
        feedback = Feedback(
            id=id_from("fbk", decision.at, run or decision.id, actor.name),
            run=run,
            decision=decision.id,
            rule=judged.rule if judged is not None else decision.rule,
            by=actor.name,
            at=now,
            says=says,
            text=text[:REASON_CHARS_MAX],
        )
        ids = {"decision": decision.id, "run": run, "incident": decision.incident}
        entry = self._scribe.entry(Kind.REVIEW, ids, actor=actor.name, verdict=says, content={"text": text})
        outcome = await self._scribe.commit(Commit(at=now, puts=(put(feedback),), entries=(entry,)))
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        if judged is not None and actor.human:
            await self._report(actor, judged, says, text, run)
        return feedback

    async def _report(self, actor: Actor, decision: Decision, says: str, text: str, run: str) -> None:
        """What feedback does to the rule's standing."""
        if says == "helpful":
            await self._take_back(decision, actor.name)
            return
        if not incomparable(decision):
            await self._record(decision, How.REPORT, actor.name, agrees=False, reason=text, run=run)
        if says == "harmful" and isinstance(may(actor, Verb.DEMOTE), Allowed):
            about = run or decision.id
            said = f": {text}" if text.strip() else ""
            await self._standings.demote(
                cells_of(decision),
                Because.HARM,
                f"{actor.name} reported harm by {id_short(about)}{said}",
                cause=about,
                by=actor.name,
                run=run,
                decision=decision.id,
            )

    async def _take_back(self, decision: Decision, by: str) -> None:
        gone = [each for each in self._of(decision) if each.by == by and each.how is How.REPORT]
        if not gone:
            return
        drops = tuple(Drop(kind=kind_of(Evidence), id=each.id) for each in gone)
        entries = tuple(self._entry(each, "taken_back") for each in gone)
        outcome = await self._scribe.commit(Commit(at=self._scribe.clock.now(), drops=drops, entries=entries))
        if isinstance(outcome, Committed):
            for each in gone:
                self._world.earned.drop(each)

    async def _subject(self, identity: str) -> tuple[Decision, str] | No:
        """The decision that is meant by the id of a run or a decision, and its run."""
        if identity.startswith("run_"):
            row = await self._scribe.store.get("run", identity)
            if row is None:
                return missing("run", identity)
            decision = await self._decision(read(row, RunRecord).decision)
            return (decision, identity) if decision is not None else missing("decision of run", identity)
        decision = await self._decision(identity)
        if decision is None:
            return missing("decision", identity)
        runs = await self._scribe.store.find("run", {"decision": identity}, limit=1)
        return decision, runs.items[0].id if runs.items else ""

    # A person's own run.

    async def ended(self, record: RunRecord, run: Run | None) -> None:
        """A person's run has ended: it accepted a suggestion, or did what a rule would have done. Told again it changes
        nothing. A run that failed agrees with nothing; one that was verified unhealthy demotes what suggested it.
        """
        name = record.actor.removeprefix("person:")
        if name == record.actor or not self._person(name):
            return
        own = await self._decision(record.decision)
        suggested = await self._root(own) if own is not None else None
        if suggested is not None and run is not None and unhealthy(run):
            why = f"{record.runbook}, suggested and run by {name}, was verified unhealthy"
            await self._standings.demote(
                cells_of(suggested), Because.UNHEALTHY, why, cause=record.id, run=record.id, decision=suggested.id
            )
        if record.status != Status.SUCCEEDED:
            return
        if suggested is not None:
            await self._once(suggested, How.SUGGESTION, name, record.id)
            return
        for decision in await self._same(record, own):
            await self._once(decision, How.RUN, name, record.id)

    async def _once(self, decision: Decision, how: How, by: str, run: str) -> None:
        if not any(each.how is how and each.by == by for each in self._of(decision)):
            await self._record(decision, how, by, agrees=True, run=run)

    async def _root(self, decision: Decision) -> Decision | None:
        """The rule's decision behind this one: itself, or the suggestion that a person's run accepts. None: there is none."""
        found: Decision | None = decision
        for _ in range(FOLLOWED_MAX):
            if found is None or found.actor == "automation":
                break
            found = await self._decision(found.follows) if found.follows else None
        return found if found is not None and found.actor == "automation" else None

    async def _same(self, record: RunRecord, own: Decision | None) -> list[Decision]:
        """The last decision of each episode, not long before, that would have run this on targets that it was run on."""
        service = own.targets[0].service if own is not None and own.targets else ""
        since_at = after_ms(record.at, -RUN_WITHIN_MS)
        page = await self._scribe.store.find("decision", {"service": service}, limit=LOOKED_AT_MAX)
        found: dict[tuple[str, str], Decision] = {}
        for row in page.items:
            decision = read(row, Decision)
            if decision.at < since_at:
                break
            if decision.at > record.at or decision.runbook != record.runbook or incomparable(decision):
                continue
            if decision.mode is Mode.AUTO or not {each.ref for each in decision.targets} <= set(record.targets):
                continue
            found.setdefault((decision.rule, decision.episode), decision)
        return list(found.values())

    # Writing it down.

    async def _record(
        self, decision: Decision, how: How, by: str, *, agrees: bool, reason: str = "", run: str = ""
    ) -> No | None:
        """One piece of evidence a cell, each under an id of what it is about; then the cells may rise."""
        found = await self._evidence(decision, how, by, agrees=agrees, reason=reason, run=run)
        outcome = await self._scribe.commit(
            Commit(
                at=self._scribe.clock.now(),
                puts=tuple(put(each) for each in found),
                entries=tuple(self._entry(each, "agrees" if agrees else "disagrees") for each in found),
            )
        )
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        for each in found:
            self._world.earned.take(each)
        cells = {each.cell for each in found}
        rule = decision.rule
        cells.update(each for each in self._world.earned.cells() if each.rule == rule)  # pools reach further
        await self._standings.rise(cells)
        return None

    async def _evidence(
        self, decision: Decision, how: How, by: str, *, agrees: bool, reason: str, run: str
    ) -> tuple[Evidence, ...]:
        beside = await self._scribe.store.get("judged", decision.id)
        proposal = read(beside, JudgedRecord).proposal if beside is not None else None
        basis = f"{decision.runbook} {proposal.risk.value if proposal is not None else 'unknown'}"
        ceiling = ceiling_of(decision)
        now = self._scribe.clock.now()
        word = "word" if how in {How.REVIEW, How.REPORT} else how.value  # one word a person: the later one stands
        production = {
            cell: any(each.production for each in decision.targets if each.environment == cell.environment)
            for cell in cells_of(decision)
        }
        return tuple(
            Evidence(
                id=id_from("evd", EPOCH, decision.rule, decision.episode, cell.key, by, word),
                cell=cell,
                episode=decision.episode,
                decision=decision.id,
                basis=basis,
                production=production[cell],
                ceiling=ceiling,
                decided_at=decision.at,
                how=how,
                agrees=agrees,
                by=by,
                at=now,
                run=run,
                reason=reason[:REASON_CHARS_MAX],
            )
            for cell in cells_of(decision)
        )

    def _entry(self, evidence: Evidence, verdict: str) -> tuple[Entry, Content]:
        ids = {"evidence": evidence.id, "decision": evidence.decision, "run": evidence.run}
        return self._scribe.entry(Kind.EVIDENCE, ids, actor=evidence.by, verdict=verdict, content=evidence)

    async def _decision(self, identity: str) -> Decision | None:
        row = await self._scribe.store.get("decision", identity) if identity else None
        return read(row, Decision) if row is not None else None


def incomparable(decision: Decision) -> str:
    """Why an episode says nothing of what the rule may do by itself; "" when it does: it would have acted."""
    if decision.actor != "automation":
        return "it was a person's own"
    if not decision.targets:
        return "it had no target"
    if decision.would_be is not Verdict.ACT:
        return f"at auto it would not have acted ({decision.would_be.value})"
    return ""


def ceiling_of(decision: Decision) -> Mode:
    """The lower of the rule's and the risk's ceiling, as it was judged."""
    finding = next((each for each in decision.findings if each.guard == "autonomy"), None)
    if finding is None:
        return Mode.OBSERVE
    both = (Mode(str(finding.evidence.get(name, Mode.OBSERVE.value))) for name in ("ceiling", "risk"))
    return min(both, key=RANK.__getitem__)


def _bad_reason(reason: str) -> No | None:
    if not reason.strip() or len(reason) > REASON_CHARS_MAX:
        return invalid("reason", f"1 to {REASON_CHARS_MAX} characters: why, for who reads it later")
    return None
