"""Taking up what an earlier process left: the world from what is stored, and every unfinished run from its journal.

In: the store. Out: the mirrors in memory, exact; live runs with what is in doubt; and, for a page, a run with its steps.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from msgspec.structs import replace

from watchkeeper.approve.approval import Approval, State
from watchkeeper.approve.people import Grant
from watchkeeper.correlate.alert import Alert, AlertState, state_at
from watchkeeper.correlate.correlation import Correlation
from watchkeeper.correlate.incident import Incident
from watchkeeper.correlate.track import Track
from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.engine.admitting import told_as
from watchkeeper.engine.changes import Changes
from watchkeeper.engine.clock import Clock
from watchkeeper.engine.moments import RunMoments
from watchkeeper.engine.pipeline import FORGET_AFTER_MS
from watchkeeper.engine.planning import plan_of
from watchkeeper.engine.records import HealthRecord, RunRecord, Waiting, kind_of, read
from watchkeeper.engine.runner import Live, Runner, decode
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.world import ATTEMPTS_KEPT_MS, Decided, World
from watchkeeper.execute import machine
from watchkeeper.execute.outcomes import tally
from watchkeeper.execute.recover import recover
from watchkeeper.execute.run import Answered, Event, NoLongerNeeded, StepStatus
from watchkeeper.execute.state import Run
from watchkeeper.guards.situation import Freeze, Hold, Situation, Stop
from watchkeeper.home.configuration import Configuration
from watchkeeper.ports import Store
from watchkeeper.report.notices import of_decision
from watchkeeper.values import Instant, ms_between

log = structlog.get_logger("watchkeeper.engine")

DECISIONS_READ_MAX: Final = 50_000
ALERTS_READ_MAX: Final = 50_000


class TakeUp:
    """`failed` is told of a run that cannot be taken up: the node is then not ready, and says why."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        world: World,
        correlation: Correlation,
        witnesses: Witnesses,
        moments: RunMoments,
        runner: Runner,
        changes: Changes,
        end_leftover: Callable[[int, int], Awaitable[object]],
        failed: Callable[[str], None],
    ) -> None:
        self._store, self._clock, self._world = store, clock, world
        self._correlation, self._witnesses = correlation, witnesses
        self._moments, self._runner, self._changes = moments, runner, changes
        self._end_leftover, self._failed = end_leftover, failed

    async def load(self) -> None:
        world, now = self._world, self._clock.now()
        for document, into in (
            (Stop, world.stops),
            (Hold, world.holds),
            (Freeze, world.freezes),
            (Grant, world.grants),
        ):
            async for found in self.all(document, {"state": "open"}):
                into[found.id] = found
        async for approval in self.all(Approval, {"state": ["pending", "approved"]}):
            if not approval.run or (approval.path and approval.state is State.PENDING):
                world.approvals[approval.id] = approval
        async for waiting in self.all(Waiting, {"state": "open"}):
            world.waiting[waiting.id] = waiting
        async for record in self.all(HealthRecord, {}):
            if record.probe:
                world.health.saw(record)
        alerts = await self._alerts(now)
        tracks = [track async for track in self.all(Track, {})]
        open_incidents = {alert.id for alert in alerts}
        self._correlation.restore(alerts, tracks)
        self._correlation.tick(now)
        for alert in alerts:
            self._witnesses.saw(None, alert)
            if state_at(alert, now) is not AlertState.FIRING:
                continue
            if alert.entity:
                world.failing[alert.entity].add(alert.id)
            await self._last_decisions(alert.id)
            incident = self._correlation.incident_id_of(alert.id)
            if incident and incident not in open_incidents:
                await self._last_decisions(incident)
        ended: list[RunRecord] = []
        async for closed in self.all(RunRecord, {"state": "closed"}, most=DECISIONS_READ_MAX):
            if closed.ended_at is not None and ms_between(closed.ended_at, now) > ATTEMPTS_KEPT_MS:
                break
            ended.append(closed)
        for record in reversed(ended):  # attempts are kept oldest first
            world.tried(record)
            self._moments.settles(record, now)

    async def _alerts(self, now: Instant) -> list[Alert]:
        """What fires, what began within a day (a late word about it is no new episode), and the rest of its incidents."""
        found = {alert.id: alert async for alert in self.all(Alert, {"state": "firing"})}
        async for alert in self.all(Alert, {}, most=ALERTS_READ_MAX):
            if ms_between(alert.first_seen_at, now) > FORGET_AFTER_MS:
                break
            found.setdefault(alert.id, alert)
        async for incident in self.all(Incident, {"state": "open"}):
            async for alert in self.all(Alert, {"incident": incident.id}):
                found.setdefault(alert.id, alert)
        return list(found.values())

    async def _last_decisions(self, episode: str) -> None:
        """The newest decision of each rule for an episode, and what became of its run."""
        seen: set[str] = set()
        told: defaultdict[str, dict[str, str]] = defaultdict(dict)
        async for decision in self.all(Decision, {"episode": episode}):
            told[decision.rule].update((told_as(each), decision.id) for each in of_decision(decision))
            if decision.rule in seen:
                continue
            seen.add(decision.rule)
            page = await self._store.find("run", {"decision": decision.id}, limit=1)
            record = read(page.items[0], RunRecord) if page.items else None
            ended_at = record.ended_at if record is not None else None
            self._world.remember(
                episode,
                decision.rule,
                Decided(
                    decision=decision,
                    run=record.id if record is not None else "",
                    run_ended_at=ended_at,
                    effect_at=ended_at if record is not None and record.effects else None,
                    rejected=await self._rejected(decision),
                ),
            )
        for rule, before in self._world.decided_of(episode).items():
            self._world.remember(episode, rule, replace(before, told=told[rule]))

    async def _rejected(self, decision: Decision) -> bool:
        if decision.verdict is not Verdict.ASK:
            return False
        page = await self._store.find("approval", {"decision": decision.id}, limit=10)
        return any(read(row, Approval).state is State.REJECTED for row in page.items)

    async def all(self, document: type[Any], where: Mapping[str, Any], most: int = 1_000_000) -> Any:
        after: str | None = None
        count = 0
        while True:
            page = await self._store.find(kind_of(document), where, after=after, limit=1000)
            for row in page.items:
                yield read(row, document)
            count += len(page.items)
            after = page.next
            if after is None or count >= most:
                return

    async def runs(self) -> None:
        """Every unfinished run, from its journal. Left-over processes are ended, and seen ended, before anything else."""
        async for record in self.all(RunRecord, {"state": "open"}):
            live = await self._live(record)
            if live is None:
                continue
            for child in machine.leftovers(live.run):
                await self._end_leftover(child.pid, child.start_ticks)
            events = recover(live.run, self._clock.now(), old_performer_dead=True)
            live.backlog.extend(events)
            live.backlog.extend(await self._answers(live))
            if record.alert and not self.fires(live.decision.episode):
                live.backlog.append(NoLongerNeeded(at=self._clock.now(), why="The alert resolved."))
            self._world.open_run(record)
            self._moments.opened(live)
            self._runner.take(live)
            log.info("run taken up", run=record.id, status=live.run.status.value, in_doubt=len(events))

    async def _answers(self, live: Live) -> list[Event]:
        """What people answered to its steps, and an earlier process did not live to journal."""
        found: list[Event] = []
        for view in machine.steps_of(live.run):
            if view.state.status is not StepStatus.DUE or not view.state.approval:
                continue
            row = await self._store.get("approval", view.state.approval)
            approval = read(row, Approval) if row is not None else None
            if approval is None or approval.state not in {State.APPROVED, State.REJECTED}:
                continue
            last = approval.answers[-1]
            yes = approval.state is State.APPROVED
            found.append(
                Answered(at=last.at, path=view.path, approval=approval.id, approved=yes, by=last.name, why=last.comment)
            )
        return found

    def fires(self, episode: str) -> bool:
        """Whether anything of an episode (an alert, or an incident) fires and was seen lately."""
        alert = self._correlation.alert(episode)
        members = self._correlation.members(episode) if alert is None else (alert,)
        return any(state_at(each, self._clock.now()) is AlertState.FIRING for each in members)

    async def _live(self, record: RunRecord) -> Live | None:
        found = await self.folded(record)
        if isinstance(found, str):
            self._failed(found)
            log.error("a run cannot be taken up", run=record.id, why=found)
            return None
        return found

    async def run_of(self, record: RunRecord) -> Run | None:
        """A run with its steps: the live one, or what the journal of an ended one says. None when that cannot be read."""
        live = self._runner.live.get(record.id)
        if live is not None:
            return live.run
        found = await self.folded(record)
        return None if isinstance(found, str) else found.run

    async def folded(self, record: RunRecord) -> Live | str:
        """From the journal alone; or the sentence that says what of it is not in the store."""
        row = await self._store.get("decision", record.decision)
        configuration = await self.compiled(record.configuration)
        if row is None or configuration is None:
            return f"run {record.id}: its {'decision' if row is None else 'configuration'} is not in the store"
        decision = read(row, Decision)
        stored = await self._store.get("situation", decision.situation)
        situation = read(stored, Situation) if stored is not None else None
        facts = situation.alert if situation is not None else None
        plan = plan_of(decision, configuration.rulebook.runbooks, facts)
        events = [decode.decode(body) for body in await self._store.journal(record.id)]
        run = machine.fold(plan, events)
        answered = situation.answered if situation is not None else ()
        return Live(plan, run, len(events), decision, record, answered, tally(plan, events))

    async def compiled(self, digest: str) -> Configuration | None:
        found = self._world.compiled.get(digest)
        if found is None:
            found = await self._changes.compiled(digest)
            if found is not None:
                self._world.compiled[digest] = found
        return found
