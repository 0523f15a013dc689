"""Steering: what people do to proposals and runs. Answer, run, pause, cancel, settle a doubt, close by force.

Every act is an entry in the ledger before it takes effect, and every act reaches a run through its journal: nothing
here changes a run's state directly.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from msgspec.structs import replace

from watchkeeper.approve.answer import No as NotTaken
from watchkeeper.approve.answer import People, answer
from watchkeeper.approve.approval import Approval, State
from watchkeeper.approve.people import Actor
from watchkeeper.approve.roles import Verb
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.answer import No, changed, denied, invalid, missing
from watchkeeper.engine.judge import Judge
from watchkeeper.engine.judged import Judged
from watchkeeper.engine.records import Note, RunRecord, put, read
from watchkeeper.engine.runner import Runner
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.situations import Situations
from watchkeeper.engine.world import World
from watchkeeper.execute.bindings import parameters
from watchkeeper.execute.run import Answered, CancelAsked, Ended, Event, Paused, Resumed, Settled, Status
from watchkeeper.guards.situation import Proposal, Situation, Target
from watchkeeper.ledger.entry import Kind
from watchkeeper.packs.runbook import Runbook
from watchkeeper.ports import Commit, Committed
from watchkeeper.values import Instant

REASON_CHARS_MAX: Final = 2_000


class Again(Protocol):
    def __call__(self, alert: str, because: str, asked_by: str = "") -> None: ...


class Steering:
    def __init__(
        self,
        scribe: Scribe,
        world: World,
        situations: Situations,
        judge: Judge,
        runner: Runner,
        again: Again,
        humans: Callable[[], int],
    ) -> None:
        self._scribe, self._world, self._situations = scribe, world, situations
        self._judge, self._runner, self._again, self._humans = judge, runner, again, humans
        self._answering = asyncio.Lock()

    async def approve(
        self, actor: Actor, identity: str, digest: str, comment: str = "", *, emergency: bool = False
    ) -> Approval | No:
        """A person's yes to exactly what was displayed. The last one admits: every guard is asked again then."""
        before = self._world.approvals.get(identity)
        if before is not None and before.emergency and not emergency:
            return denied("A freeze is in force: say that it is an emergency (wk approve --emergency), with a comment.")
        return await self._answer(actor, identity, Verb.APPROVE, digest, comment)

    async def reject(self, actor: Actor, identity: str, digest: str, comment: str = "") -> Approval | No:
        return await self._answer(actor, identity, Verb.REJECT, digest, comment)

    async def _answer(self, actor: Actor, identity: str, verb: Verb, digest: str, comment: str) -> Approval | No:
        async with self._answering:  # two people at once are one after the other
            self._world.approvals.answering.add(identity)
            try:
                return await self._answer_next(actor, identity, verb, digest, comment)
            finally:
                self._world.approvals.answering.discard(identity)

    async def _answer_next(self, actor: Actor, identity: str, verb: Verb, digest: str, comment: str) -> Approval | No:
        before = self._world.approvals.get(identity)
        if before is None:
            return await self._gone(identity)
        now = self._scribe.clock.now()
        after = answer(before, actor, verb, digest, now, People(humans=self._humans()), comment)
        if isinstance(after, NotTaken):
            return No(status=after.status, title=after.why.value, detail=after.reason)
        kind = Kind.APPROVAL if verb is Verb.APPROVE else Kind.REJECTION
        ids = {"approval": identity, "decision": before.decision, "run": before.run, "incident": before.incident}
        content = {
            "comment": comment,
            "binding": digest,
            "state": after.state.value,
            "four_eyes": after.four_eyes.value,
        }
        entry = self._scribe.entry(kind, ids, actor=actor.name, verdict=verb.value, content=content)
        outcome = await self._scribe.commit(Commit(at=now, puts=(put(after),), entries=(entry,)))
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        if after.state is State.PENDING:
            self._world.approvals[identity] = after
        elif after.path:
            self._world.approvals.pop(identity, None)
            yes = after.state is State.APPROVED
            await self._runner.tell(
                after.run,
                Answered(at=now, path=after.path, approval=identity, approved=yes, by=actor.name, why=comment),
            )
        elif after.state is State.APPROVED:
            self._world.approvals[identity] = after
            await self._admit(after)
        else:
            self._world.approvals.pop(identity, None)
            last = self._world.decided(after.episode, after.rule)
            if last is not None:
                self._world.remember(after.episode, after.rule, replace(last, rejected=True))
        return after

    async def _gone(self, identity: str) -> No:
        row = await self._scribe.store.get("approval", identity)
        if row is None:
            return missing("approval", identity)
        ended = read(row, Approval)
        return changed(f"It is {ended.state.value} already: {ended.why}")

    async def admit_approved(self) -> None:
        """After a start: what people approved for themselves, and an earlier process did not live to admit."""
        for approval in tuple(self._world.approvals.values()):
            if approval.state is State.APPROVED and not approval.path and not approval.episode:
                await self._admit(approval)

    async def _admit(self, approval: Approval) -> None:
        """Judge again, with the answer in hand. An alert's proposal goes through its episode, a person's by itself."""
        row = await self._scribe.store.get("decision", approval.decision)
        if row is None:
            return
        decision = read(row, Decision)
        if decision.alert:
            self._again(decision.alert, "approved")
            return
        runbook = self._situations.configuration.rulebook.runbooks.get(decision.runbook)
        if runbook is not None:
            await self._propose(decision.actor, runbook, decision.targets, decision.arguments, follows=decision.id)

    async def run(
        self, actor: Actor, runbook_name: str, targets: tuple[str, ...], arguments: dict[str, Any], reason: str
    ) -> Judged | No:
        """A person's own act, judged like every other proposal: excluded stays excluded, a freeze still asks."""
        found = self._wanted(runbook_name, targets, arguments, reason)
        if isinstance(found, No):
            return found
        runbook, resolved, literal = found
        return await self._propose(f"person:{actor.name}", runbook, resolved, literal, because=reason)

    async def run_suggested(self, actor: Actor, decision: Decision, reason: str) -> Judged | No:
        """What a rule suggested, as a person's own act. It follows the suggestion, so that its end is an answer to it."""
        given = {name: value for name, value in decision.arguments.items() if value is not None}
        found = self._wanted(decision.runbook, tuple(each.ref for each in decision.targets), given, reason)
        if isinstance(found, No):
            return found
        runbook, resolved, literal = found
        if decision.configuration != self._world.configuration.digest:
            return changed("another configuration is in force since it was suggested: it is judged afresh")
        return await self._propose(
            f"person:{actor.name}", runbook, resolved, literal, follows=decision.id, because=reason
        )

    def _wanted(
        self, runbook_name: str, targets: tuple[str, ...], arguments: dict[str, Any], reason: str
    ) -> tuple[Runbook, tuple[Target, ...], dict[str, Any]] | No:
        runbook = self._situations.configuration.rulebook.runbooks.get(runbook_name)
        if runbook is None:
            return missing("runbook", runbook_name)
        if not targets:
            return invalid("targets", "name at least one: an empty list is never everything")
        if not reason.strip() or len(reason) > REASON_CHARS_MAX:
            return invalid("reason", f"1 to {REASON_CHARS_MAX} characters, for the record")
        resolved: list[Target] = []
        for ref in dict.fromkeys(targets):
            target = self._situations.target(self._situations.configuration.catalog.named.get(ref, ref))
            if target is None:
                return invalid("targets", f"no entity {ref!r} in the catalogue: run 'wk catalog' to list them")
            resolved.append(target)
        try:
            literal = parameters(runbook, arguments)
        except ValueError as wrong:
            return invalid("arguments", str(wrong))
        return runbook, tuple(resolved), literal

    async def _propose(
        self,
        actor: str,
        runbook: Runbook,
        targets: tuple[Target, ...],
        arguments: dict[str, Any],
        *,
        follows: str = "",
        because: str = "",
    ) -> Judged:
        proposal = self._situations.proposal(
            None, runbook, targets, arguments, None, self._scribe.clock.now(), actor=actor
        )

        def look(at: Instant) -> Situation:
            return self._situations.situation(proposal, None, runbook, None, at)

        return await self._judge.propose(proposal, runbook, look, follows=follows, because=because)

    async def dry_run(
        self, actor: Actor, runbook_name: str, targets: tuple[str, ...], arguments: dict[str, Any]
    ) -> tuple[Proposal, Situation, Runbook] | No:
        """What a run would be judged on. Nothing is stored and nothing is sent."""
        found = self._wanted(runbook_name, targets, arguments, "dry run")
        if isinstance(found, No):
            return found
        runbook, resolved, literal = found
        now = self._scribe.clock.now()
        proposal = self._situations.proposal(None, runbook, resolved, literal, None, now, actor=f"person:{actor.name}")
        return proposal, self._situations.situation(proposal, None, runbook, None, now), runbook

    async def pause(self, actor: Actor, run: str, reason: str) -> RunRecord | No:
        return await self._tell(actor, run, "pause", reason, Paused(at=self._now(), by=actor.name, why=reason))

    async def resume(self, actor: Actor, run: str, reason: str) -> RunRecord | No:
        return await self._tell(actor, run, "resume", reason, Resumed(at=self._now(), by=actor.name, why=reason))

    async def cancel(self, actor: Actor, run: str, reason: str) -> RunRecord | No:
        live = self._runner.live.get(run)
        if live is not None and live.run.restored:
            return changed(
                f"run {run} comes from a backup, nobody knows what there is to take back: resume or close it"
            )
        return await self._tell(actor, run, "cancel", reason, CancelAsked(at=self._now(), by=actor.name, why=reason))

    async def settle(self, actor: Actor, run: str, step: str, reason: str, *, happened: bool) -> RunRecord | No:
        """A person looked at the target and says what became of a step in doubt."""
        live = self._runner.live.get(run)
        if live is None:
            return await self._over(run)
        if step not in live.run.doubts:
            waiting = ", ".join(live.run.doubts) or "none"
            return changed(f"step {step!r} of {run} is not in doubt; in doubt: {waiting}")
        event = Settled(at=self._now(), path=step, happened=happened, by=actor.name, why=reason)
        return await self._tell(actor, run, "settle", reason, event)

    async def close(self, actor: Actor, run: str, reason: str) -> RunRecord | No:
        """Ends a run whatever its state: the way out when nothing else works. What was sent stays as it is."""
        if not reason.strip():
            return invalid("reason", "say why: closing by force leaves the target as it is")
        live = self._runner.live.get(run)
        if live is None:
            return await self._over(run)
        event = Ended(
            at=self._now(),
            status=Status.CLOSED,
            why=f"{actor.name}: {reason}",
            state="as it was left; nobody verified it",
        )
        return await self._tell(actor, run, "close", reason, event)

    async def _tell(self, actor: Actor, run: str, verb: str, reason: str, event: Event) -> RunRecord | No:
        live = self._runner.live.get(run)
        if live is None:
            return await self._over(run)
        ids = {"run": run, "decision": live.decision.id, "incident": live.decision.incident}
        entry = self._scribe.entry(Kind.REVIEW, ids, actor=actor.name, verdict=verb, content={"reason": reason})
        outcome = await self._scribe.commit(Commit(at=self._now(), entries=(entry,)))
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        await self._runner.tell(run, event)
        return live.record

    async def _over(self, run: str) -> No:
        """Why a run that is not under way cannot be told anything."""
        row = await self._scribe.store.get("run", run)
        if row is None:
            return missing("run", run)
        return changed(f"run {run} has ended ({read(row, RunRecord).status}): an ended run is never changed")

    async def comment(self, actor: Actor, subject: str, text: str) -> Note | No:
        if not text.strip() or len(text) > REASON_CHARS_MAX:
            return invalid("comment", f"1 to {REASON_CHARS_MAX} characters")
        now = self._now()
        found = Note(id=self._scribe.new_id("nte", now), subject=subject, at=now, by=actor.name, text=text)
        await self._scribe.commit(Commit(at=now, puts=(put(found),)))
        return found

    def ended(self, approval: Approval) -> Approval:
        """Take an ended approval off the table; the caller stores it."""
        self._world.approvals.pop(approval.id, None)
        return replace(approval)

    def _now(self) -> Instant:
        return self._scribe.clock.now()
