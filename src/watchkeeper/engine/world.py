"""The world: what this node holds in memory of what is durable, so that a decision reads no table.

One process owns the store, so the mirror is exact as long as every change goes through a commit and is applied here
after it. It is never trusted for permission: admission and every intent compare versions in the store itself.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Final, assert_never

from msgspec import Struct

from watchkeeper.approve.people import Grant
from watchkeeper.correlate.alert import Alert
from watchkeeper.decide.decide import LADDER
from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.engine.earned import Earned
from watchkeeper.engine.line import Line
from watchkeeper.engine.records import RunRecord, Waiting
from watchkeeper.engine.table import Table
from watchkeeper.engine.vitals import Vitals
from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.order import ROOM
from watchkeeper.guards.situation import Attempt, Clock, Deploy, Freeze, Hold, Maintenance, Stop
from watchkeeper.home.calendar import Standing
from watchkeeper.home.configuration import Configuration
from watchkeeper.home.transaction import UNRANKED
from watchkeeper.learn.brake import Brake
from watchkeeper.learn.breaker import Circuit
from watchkeeper.signals.turn import CLASSES, rank_of
from watchkeeper.values import Instant, ms_between

ATTEMPTS_KEPT_MS: Final = 7 * 86_400_000  # no rule's window is longer
ATTEMPTS_PER_TARGET_MAX: Final = 1_000
EPISODES_MAX: Final = 200_000
APART: Final = "\x1f"
FAILURES: Final = frozenset({"failed", "undone", "undo_failed"})


class Decided(Struct, frozen=True, kw_only=True):
    """The last decision for (rule, episode), and what became of its run: enough to know when one is due afresh.

    `told` is what people were told of the episode: `escalated` or `held` -> the decision that the notice was about.
    `unstarted`: its run ended before it began, so that it is due at once. `rejected`: a person said no to its request.
    """

    decision: Decision
    run: str = ""
    run_ended_at: Instant | None = None
    effect_at: Instant | None = None
    told: dict[str, str] = {}
    unstarted: bool = False
    rejected: bool = False


class Expectation(Struct, frozen=True, kw_only=True):
    """Alerts that a run said it would cause on its targets; until None while it runs, then until it settled."""

    run: str
    runbook: str
    target: str
    names: tuple[str, ...]
    until_at: Instant | None = None


def rests_on(decision: Decision) -> frozenset[str]:
    """The versions that may turn a decision. One that observes or suggests turns with the ladder alone; one that held or
    refused with what stood in the way; a request with everything, and one that acted with nothing: its run goes on.
    """
    match decision.verdict:
        case Verdict.ACT:
            matter: tuple[Finding, ...] = ()
        case Verdict.ASK:
            matter = decision.findings
        case Verdict.OBSERVE | Verdict.SUGGEST:
            matter = tuple(each for each in decision.findings if each.guard == LADDER)
        case Verdict.HOLD | Verdict.REFUSE:
            matter = tuple(each for each in decision.findings if each.outcome is not Outcome.PASS)
        case other:
            assert_never(other)
    return frozenset(name for finding in matter for name in finding.names)


class World:
    """Mutable, owned by the engine's loop. Every method is quick; none waits."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.compiled: dict[str, Configuration] = {configuration.digest: configuration}
        self.versions: dict[str, int] = {}
        self.epoch = 0
        self.fence = 0
        self.clock = Clock()
        self.stops: dict[str, Stop] = {}
        self.holds: dict[str, Hold] = {}
        self.freezes: dict[str, Freeze] = {}
        self.maintenance: dict[str, Maintenance] = {}
        self.calendars: dict[str, Standing] = {}
        self.deploys: dict[str, Deploy] = {}
        self.suppressed: dict[tuple[str, str], str] = {}  # (group, fingerprint) -> why its source keeps it to itself
        self.circuits: dict[str, Circuit] = {}
        self.brakes: dict[str, Brake] = {}
        self.released: dict[str, Instant] = {}  # brake -> when a person released it last
        self.trials: dict[str, str] = {}  # breaker -> the run that has its trial
        self._circuits_of: dict[str, dict[str, Circuit]] = defaultdict(dict)  # failure domain -> key -> breaker
        self.grants: dict[str, Grant] = {}
        self.approvals = Table()
        self.earned = Earned()
        self.waiting: dict[str, Waiting] = {}
        self.runs: dict[str, RunRecord] = {}
        self.busy: dict[str, str] = {}
        self.health = Vitals()
        self.failing: dict[str, set[str]] = defaultdict(set)  # entity -> alerts that say it is not well
        self.room = Line()  # (episode, rule) of decisions that wait for a run's place
        self._attempts: dict[str, deque[Attempt]] = defaultdict(deque)
        self._decided: dict[str, dict[str, Decided]] = {}
        self._named: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)  # version -> (episode, rule) -> alert
        self._expected: dict[str, dict[str, Expectation]] = defaultdict(dict)

    def number(self, key: str) -> int:
        return self.versions.get(key, 0)

    def remember(self, episode: str, rule: str, decided: Decided) -> None:
        if len(self._decided) >= EPISODES_MAX:
            self.forget(next(iter(self._decided)))
        before = self.decided(episode, rule)
        if before is not None:
            self._unname(before.decision)
        self._decided.setdefault(episode, {})[rule] = decided
        names = rests_on(decided.decision)
        for name in names:
            self._named[name][episode, rule] = decided.decision.alert
        if ROOM in names:
            self.room.add(_place(episode, rule), self.rank(decided.decision), decided.decision.at)
        else:
            self.room.discard(_place(episode, rule))

    def decided(self, episode: str, rule: str) -> Decided | None:
        return self._decided.get(episode, {}).get(rule)

    def decided_of(self, episode: str) -> dict[str, Decided]:
        return self._decided.get(episode, {})

    def every_decided(self) -> Iterator[Decided]:
        return (decided for rules in self._decided.values() for decided in rules.values())

    def forget(self, episode: str) -> None:
        for decided in self._decided.pop(episode, {}).values():
            self._unname(decided.decision)
            self.room.discard(_place(episode, decided.decision.rule))

    def _unname(self, decision: Decision) -> None:
        for name in rests_on(decision):
            self._named[name].pop((decision.episode, decision.rule), None)
            if not self._named[name]:
                del self._named[name]

    def concerned(self, key: str) -> tuple[str, ...]:
        """Alerts whose last decision rests on a version, each once: they are judged afresh when it moves."""
        return tuple(dict.fromkeys(self._named.get(key, {}).values()))

    def rank(self, found: Alert | Decision) -> int:
        """How urgent something is: its severity, then the transaction that its entity, or its best target, is part of."""
        refs = (found.entity,) if isinstance(found, Alert) else tuple(target.ref for target in found.targets)
        priority = min((self.configuration.ranks.get(ref, UNRANKED) for ref in refs), default=UNRANKED)
        return rank_of(CLASSES[found.severity], priority)

    def wait_for_room(self, most: int, now: Instant) -> tuple[str, ...]:
        """Alerts of the decisions that are next to have a run's place."""
        found = (self.decided(*place.split(APART, 1)) for place in self.room.look(most, now))
        return tuple(dict.fromkeys(each.decision.alert for each in found if each is not None))

    def waits_no_more(self, episode: str, rule: str) -> None:
        """It lapsed: whoever comes next has the place."""
        self.room.discard(_place(episode, rule))

    def open_run(self, record: RunRecord) -> None:
        self.runs[record.id] = record
        for target in record.targets:
            self.busy[target] = record.id
        for key in record.trials:
            self.trials[key] = record.id

    def update_run(self, record: RunRecord) -> None:
        """Apply a run's new record; an ended one frees its targets and, unless nothing was tried, becomes an attempt."""
        if record.open:
            self.runs[record.id] = record
            return
        self.runs.pop(record.id, None)
        for target in record.targets:
            if self.busy.get(target) == record.id:
                del self.busy[target]
        for key in record.trials:
            if self.trials.get(key) == record.id:
                del self.trials[key]
        self.tried(record)

    def tried(self, record: RunRecord) -> None:
        """An attempt is a run that sent something, or failed before it could."""
        if record.ended_at is None or not (record.effects or record.status in FAILURES):
            return
        for target in record.targets:
            kept = self._attempts[target]
            kept.append(
                Attempt(
                    run=record.id,
                    target=target,
                    symptom=record.symptom,
                    ended_at=record.ended_at,
                    status=record.status,
                    runbook=record.runbook,
                )
            )
            while len(kept) > ATTEMPTS_PER_TARGET_MAX:
                kept.popleft()

    def attempts(self, target: str, now: Instant, within_ms: int) -> tuple[Attempt, ...]:
        """Earlier runs on a target whose end lies inside the window, oldest first."""
        kept = self._attempts.get(target)
        if not kept:
            return ()
        while kept and ms_between(kept[0].ended_at, now) > ATTEMPTS_KEPT_MS:
            kept.popleft()
        return tuple(attempt for attempt in kept if ms_between(attempt.ended_at, now) < within_ms)

    def keep_circuit(self, circuit: Circuit) -> None:
        self.circuits[circuit.key] = circuit
        self._circuits_of[circuit.domain][circuit.key] = circuit

    def drop_circuit(self, circuit: Circuit) -> None:
        self.circuits.pop(circuit.key, None)
        kept = self._circuits_of.get(circuit.domain, {})
        kept.pop(circuit.key, None)
        if not kept:
            self._circuits_of.pop(circuit.domain, None)

    def circuits_of(self, domain: str) -> Iterable[Circuit]:
        """The breakers of a failure domain, in key order."""
        kept = self._circuits_of.get(domain)
        return [kept[key] for key in sorted(kept)] if kept else ()

    def keep_brake(self, brake: Brake) -> None:
        """One that is on, or off: what a person released counts from then on."""
        if brake.ended_at is None:
            self.brakes[brake.key] = brake
        else:
            self.brakes.pop(brake.key, None)
        if brake.released_at is not None:
            self.released[brake.key] = brake.released_at

    def forget_breakers(self) -> None:
        self.circuits.clear()
        self._circuits_of.clear()
        self.brakes.clear()

    def expect(self, place: str, expectation: Expectation) -> None:
        self._expected[place][expectation.run] = expectation

    def expectations(self, place: str, now: Instant) -> tuple[Expectation, ...]:
        """What running or settling runs said they would cause at a place."""
        found = self._expected.get(place)
        if not found:
            return ()
        for run in [run for run, each in found.items() if each.until_at is not None and each.until_at <= now]:
            del found[run]
        return tuple(found.values())


def _place(episode: str, rule: str) -> str:
    return f"{episode}{APART}{rule}"
