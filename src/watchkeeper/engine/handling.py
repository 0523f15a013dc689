"""What is being done about an incident, and what it means for the business: for a list of many and for one.

Worked out of the node's memory for what is open: its runs, requests, held proposals and the last decision on each alert; of
what is over one look at the store. Nothing here changes anything.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

from msgspec import Struct

from watchkeeper.approve.approval import Approval, State
from watchkeeper.catalog import graph
from watchkeeper.catalog.catalog import owner_of
from watchkeeper.correlate.alert import Alert, AlertState
from watchkeeper.correlate.firing import Step, firing
from watchkeeper.correlate.incident import WINDOW_MS, Incident, IncidentState
from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.records import RunRecord, Waiting, read
from watchkeeper.execute import machine
from watchkeeper.execute.fleet import WAVES
from watchkeeper.execute.plan import place, wave_ends
from watchkeeper.execute.run import Status, StepStatus
from watchkeeper.execute.state import Run
from watchkeeper.execute.words import VERIFIED
from watchkeeper.guards.situation import Health
from watchkeeper.guards.words import count_of
from watchkeeper.home.transaction import UNRANKED, members_of
from watchkeeper.learn.looks import spans
from watchkeeper.packs.runbook import StepKind
from watchkeeper.values import Instant, after_ms, ms_between

TREND_STEPS_MAX: Final = 48  # of a row in a list
TREND_ALERTS_MAX: Final = (
    5_000  # an incident of more alerts has no trend in a list: sorting them each time costs too much
)
STORED_ALERTS_MAX: Final = 100  # of an incident that left the memory
AROUND_MIN_MS: Final = 10_000  # how much of the time before it began, and after it ended, is shown at least
UNDER_WAY: Final = frozenset({StepStatus.DUE, StepStatus.INTENDED})

ENDED_SAYS: Final[dict[str, str]] = {
    Status.FAILED: "The repair failed",
    Status.UNDONE: "The repair was undone",
    Status.UNDO_FAILED: "The undo failed",
    Status.STOPPED: "The repair was stopped",
    Status.CANCELLED: "The repair was cancelled",
}

Thing = TypeVar("Thing", RunRecord, Approval, Waiting)


class Stage(StrEnum):
    """What is being done, the most pressing first. `alone`: no rule was asked, or none matched, or what was tried did not help.
    `watched`: the rules may do no more than observe. `mitigated`: repaired and verified, and its source has not said so yet.
    `over`: nothing fires any more.
    """

    IN_DOUBT = "in_doubt"
    REPAIRING = "repairing"
    WAITING = "waiting"
    HELD = "held"
    REFUSED = "refused"
    SUGGESTED = "suggested"
    WATCHED = "watched"
    ALONE = "alone"
    MITIGATED = "mitigated"
    OVER = "over"


class Touched(Struct, frozen=True, kw_only=True):
    """A business transaction of which an alert stands on a hop, or on what serves one."""

    name: str
    priority: int


class Serving(Struct, frozen=True, kw_only=True):
    """How many of the instances of a service serve: `failing` by an alert or by a probe, `unknown` by neither."""

    service: str
    of: int
    failing: int
    unknown: int


class Trend(Struct, frozen=True, kw_only=True):
    """Alerts firing at once, from a little before it began until now, or a little after it ended."""

    from_at: Instant
    until_at: Instant
    steps: tuple[Step, ...]


class Looked(Struct, frozen=True, kw_only=True):
    """A stretch of what this node's own checks saw of the entity: up, down or unknown."""

    state: str
    from_at: Instant
    until_at: Instant


class Handling(Struct, frozen=True, kw_only=True):
    """`says` is a few words without a time; `until_at` is when that stage ends by itself, as far as anybody knows (for `over`:
    until when an alert would still join it). `decision` is the one that the stage rests on, `run` its run, `approvals` the
    requests that wait. `trend` None: it is not known any more, or it has too many alerts.
    """

    stage: Stage
    says: str
    until_at: Instant | None = None
    decision: str = ""
    run: str = ""
    approvals: tuple[str, ...] = ()
    transactions: tuple[Touched, ...] = ()
    owner: str = ""
    serving: Serving | None = None
    trend: Trend | None = None


class Handlings:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._touching: tuple[str, dict[str, tuple[Touched, ...]]] = ("", {})

    async def of(self, incidents: Sequence[Incident]) -> tuple[Handling, ...]:
        """Of each, in order."""
        world = self._engine.world
        runs = _by_alert(world.runs.values(), lambda each: each.alert or each.incident)
        asked = _by_alert(
            (each for each in world.approvals.values() if each.state is State.PENDING), lambda each: each.episode
        )
        held = _by_alert(world.waiting.values(), lambda each: each.alert)
        return tuple([await self._of(each, runs, asked, held) for each in incidents])

    def pressing(self, incidents: Iterable[Incident]) -> list[Incident]:
        """Those of the most important transaction first; in one transaction, and in none, the most severe, then the longest."""

        def rank(incident: Incident) -> tuple[int, int, Instant, str]:
            alerts = self._engine.correlation.members(incident.id)
            touched = self.touched(dict.fromkeys((incident.entity, *(alert.entity for alert in alerts))))
            return touched[0].priority if touched else UNRANKED, incident.priority, incident.began_at, incident.id

        return sorted(incidents, key=rank)

    async def _of(
        self,
        incident: Incident,
        runs: Mapping[str, list[RunRecord]],
        asked: Mapping[str, list[Approval]],
        held: Mapping[str, list[Waiting]],
    ) -> Handling:
        alerts = await self._alerts(incident)
        names = [*dict.fromkeys((incident.root, *(alert.id for alert in alerts)))]
        firing_now = [alert.id for alert in alerts if alert.state is AlertState.FIRING]
        now = _here(runs, (*names, incident.id))
        requests, proposals = _here(asked, names), _here(held, firing_now)
        decided = self._decided(firing_now)
        stage: Handling
        if now:
            stage = self._running(max(now, key=lambda each: (each.status == Status.IN_DOUBT, each.at)))
        elif incident.state is not IncidentState.OPEN:
            stage = await self._over(incident)
        elif requests:
            first = min(requests, key=lambda each: each.expires_at)
            says = "Waits for a person" if len(requests) == 1 else f"Waits for {len(requests)} answers"
            ids = tuple(each.id for each in requests)
            stage = Handling(
                stage=Stage.WAITING, says=says, until_at=first.expires_at, decision=first.decision, approvals=ids
            )
        elif proposals:
            last = max(proposals, key=lambda each: each.at)
            until_at = _until(decided.get(last.decision))
            stage = Handling(stage=Stage.HELD, says="Held", until_at=until_at, decision=last.decision)
        else:
            stage = _judged(decided.values()) or await self._tried(incident)
        entities = list(dict.fromkeys(alert.entity for alert in alerts if alert.entity)) or [incident.entity]
        return Handling(
            stage=stage.stage,
            says=stage.says,
            until_at=stage.until_at,
            decision=stage.decision,
            run=stage.run,
            approvals=stage.approvals,
            transactions=self.touched(entities),
            owner=owner_of(self._engine.world.configuration.catalog, incident.entity),
            serving=self._serving(incident.entity),
            trend=self.trend(incident, alerts, TREND_STEPS_MAX) if 0 < len(alerts) <= TREND_ALERTS_MAX else None,
        )

    async def _alerts(self, incident: Incident) -> tuple[Alert, ...]:
        """Out of the memory; of one that left it, those in the store, unless they are many."""
        found = self._engine.correlation.members(incident.id)
        if found or incident.alerts > STORED_ALERTS_MAX:
            return found
        page = await self._engine.store.find("alert", {"incident": incident.id}, limit=STORED_ALERTS_MAX)
        return tuple(read(row, Alert) for row in page.items)

    def touched(self, entities: Iterable[str]) -> tuple[Touched, ...]:
        """The transactions that cross one of the entities, the most important first."""
        configuration = self._engine.world.configuration
        if self._touching[0] != configuration.digest:
            found: dict[str, dict[str, Touched]] = defaultdict(dict)
            for each in configuration.transactions:
                for hop in each.hops:
                    for ref in (hop, *members_of(hop, configuration.catalog)):
                        found[ref][each.name] = Touched(name=each.name, priority=each.priority)
            self._touching = (configuration.digest, {ref: tuple(those.values()) for ref, those in found.items()})
        crossed = {one.name: one for ref in entities for one in self._touching[1].get(ref, ())}
        return tuple(sorted(crossed.values(), key=lambda one: (one.priority, one.name)))

    def trend(self, incident: Incident, alerts: Sequence[Alert], most: int) -> Trend:
        now = self._engine.clock.now()
        over_at = max(incident.resolved_at or now, after_ms(incident.began_at, 1))
        around_ms = max(AROUND_MIN_MS, ms_between(incident.began_at, over_at) // 8)
        from_at = after_ms(incident.began_at, -around_ms)
        until_at = min(max(now, over_at), after_ms(over_at, around_ms))
        steps = firing(alerts, self._engine.measuring.watched(), from_at, until_at, now, most)
        return Trend(from_at=from_at, until_at=until_at, steps=steps)

    def looked(self, entity: str, from_at: Instant, until_at: Instant) -> tuple[Looked, ...]:
        """What this node's own checks saw of an entity; () where none of them looks at it."""
        days = self._engine.measuring.days(entity)
        if not days:
            return ()
        return tuple(
            Looked(state=state.value, from_at=start, until_at=end)
            for state, start, end in spans(days, from_at, until_at)
        )

    def _running(self, record: RunRecord) -> Handling:
        live = self._engine.runner.live.get(record.id)
        status = live.run.status if live is not None else Status(record.status)
        match status:
            case Status.IN_DOUBT:
                stage, says = Stage.IN_DOUBT, "In doubt: a person decides"
            case Status.WAITING:
                stage, says = Stage.WAITING, "Its run waits"
            case Status.PAUSED:
                stage, says = Stage.WAITING, "Its run is paused"
            case Status.QUEUED:
                stage, says = Stage.REPAIRING, "About to repair"
            case _:
                where = _where(live.run) if live is not None else ""
                stage, says = Stage.REPAIRING, f"Repairing{where}"
        return Handling(stage=stage, says=says, decision=record.decision, run=record.id)

    async def _tried(self, incident: Incident) -> Handling:
        """Something ran, ended, and the alert still fires."""
        last = await self._last_run(incident)
        if last is None:
            return Handling(stage=Stage.ALONE, says="No rule acts")
        if last.status == Status.SUCCEEDED and last.state.endswith(VERIFIED):
            says, stage = "Repaired, not reported yet", Stage.MITIGATED
        else:
            says, stage = ENDED_SAYS.get(last.status, "Tried, still firing"), Stage.ALONE
        return Handling(stage=stage, says=says, decision=last.decision, run=last.id)

    async def _last_run(self, incident: Incident) -> RunRecord | None:
        page = await self._engine.store.find("run", {"incident": incident.id}, limit=1)
        return read(page.items[0], RunRecord) if page.items else None

    async def _over(self, incident: Incident) -> Handling:
        last = await self._last_run(incident)
        joins = after_ms(incident.resolved_at, WINDOW_MS) if incident.resolved_at is not None else None
        until_at = joins if joins is not None and joins > self._engine.clock.now() else None
        if last is not None and last.status == Status.SUCCEEDED:
            return Handling(stage=Stage.OVER, says="Repaired", until_at=until_at, decision=last.decision, run=last.id)
        return Handling(stage=Stage.OVER, says="Over", until_at=until_at, run=last.id if last is not None else "")

    def _decided(self, alerts: Iterable[str]) -> dict[str, Decision]:
        """The newest decision of each rule on each of the alerts, by id."""
        every = (each for name in alerts for each in self._engine.world.decided_of(name).values())
        return {each.decision.id: each.decision for each in every}

    def _serving(self, entity: str) -> Serving | None:
        """Of the service that the entity is, or is an instance of; None where it has no two instances."""
        catalog, world, now = self._engine.world.configuration.catalog, self._engine.world, self._engine.clock.now()
        for service in (entity, *graph.services_of(catalog, entity)):
            members = graph.instances(catalog, service)
            if len(members) > 1:
                seen = [
                    Health.UNHEALTHY if world.failing.get(ref) else world.health.of(ref, now).health for ref in members
                ]
                failing, unknown = seen.count(Health.UNHEALTHY), seen.count(Health.UNKNOWN)
                return Serving(service=service, of=len(members), failing=failing, unknown=unknown)
        return None


def _by_alert(things: Iterable[Thing], alert: Callable[[Thing], str]) -> dict[str, list[Thing]]:
    found: dict[str, list[Thing]] = defaultdict(list)
    for each in things:
        found[alert(each)].append(each)
    return found


def _here(found: Mapping[str, list[Thing]], alerts: Iterable[str]) -> list[Thing]:
    return [each for name in alerts for each in found.get(name, ())]


def _where(run: Run) -> str:
    """`, wave 2 of 3`, `, verifying`, or at which step; "" between two."""
    for view in machine.fleets_of(run):
        fleet, total = view.state.fleet, len(place(run.plan, view.path).targets)
        if fleet is not None and view.state.status in UNDER_WAY and total:
            ends = wave_ends((view.step.waves or WAVES).waves, total)
            wave = next((number for number, end in enumerate(ends, 1) if end >= max(1, fleet.begun)), len(ends))
            return (
                f", wave {wave} of {len(ends)}" if len(ends) > 1 else f", {fleet.done} of {count_of(total, 'target')}"
            )
    doing = [view for view in machine.steps_of(run) if view.state.status in UNDER_WAY]
    if not doing:
        return ""
    return ", verifying" if doing[0].step.kind is StepKind.VERIFY else f": {doing[0].path}"


def _until(decision: Decision | None) -> Instant | None:
    """When what holds ends by itself: the last of its findings that hold; None where one of them does not say."""
    if decision is None:
        return None
    ends = [each.until_at for each in decision.findings if each.outcome == "hold"]
    known = [at for at in ends if at is not None]
    return max(known) if known and len(known) == len(ends) else None


_PRESSING: Final = (Verdict.REFUSE, Verdict.HOLD, Verdict.SUGGEST, Verdict.ACT, Verdict.ASK, Verdict.OBSERVE)


def _judged(decisions: Iterable[Decision]) -> Handling | None:
    """What the last decisions say where nothing runs and nobody is asked; None where the last one acted."""
    newest = sorted(decisions, key=lambda each: each.at, reverse=True)
    last = min(newest, key=lambda each: _PRESSING.index(each.verdict), default=None)
    if last is None:
        return Handling(stage=Stage.ALONE, says="No rule acts")
    match last.verdict:
        case Verdict.REFUSE:
            stage, says = Stage.REFUSED, "Refused: people act"
        case Verdict.HOLD:
            return Handling(stage=Stage.HELD, says="Held", until_at=_until(last), decision=last.id)
        case Verdict.SUGGEST:
            stage, says = Stage.SUGGESTED, "Suggested: run it yourself"
        case Verdict.OBSERVE:
            stage, says = Stage.WATCHED, "Only watched"
        case Verdict.ASK:
            stage, says = Stage.ALONE, "Nobody answered"
        case _:
            return None
    return Handling(stage=stage, says=says, decision=last.id)
