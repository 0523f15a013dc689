"""A backtest: past alerts, played from the beginning through the real correlation and the real judge, on virtual time.

In: signals in the order of their receipt, a configuration, a store in memory. Out: a `Backtested`: what would have been
done, asked, held, refused and only watched, and which alerts nobody has a rule or a catalogue entity for.

Nothing leaves this process. A run that would have begun takes `run_ms` and helps nothing: the alert goes on as it did.
What follows an act in its own episode is not history any more, so an episode is decided up to its act. Nobody answers what
is asked. Health is what alerts say; with `healthy`, whatever does not fire is taken for well.
"""

import asyncio
import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.approve.approval import Approval
from watchkeeper.approve.people import Grant
from watchkeeper.correlate.alert import Alert, alert_id
from watchkeeper.correlate.correlation import Correlation
from watchkeeper.decide.decide import WAKE_EVERY_MS
from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.engine.intake import Intake, SignalReader
from watchkeeper.engine.judge import UNMAPPED, Judge
from watchkeeper.engine.judged import Judged, Opening
from watchkeeper.engine.pipeline import Pipeline
from watchkeeper.engine.records import HealthRecord, RunRecord
from watchkeeper.engine.runner import Begun
from watchkeeper.engine.scribe import Dice, Scribe
from watchkeeper.engine.situations import Situations
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.world import Expectation, World
from watchkeeper.guards.finding import Outcome
from watchkeeper.guards.order import ROOM
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.home.configuration import Configuration
from watchkeeper.packs.index import matches
from watchkeeper.packs.rule import Mode
from watchkeeper.ports import Commit, Put, Store
from watchkeeper.report.notices import Notice
from watchkeeper.report.scrub import Scrubber
from watchkeeper.signals.signal import Kind, Signal
from watchkeeper.values import EPOCH, Instant, after_ms, ms_between

RUN_MS: Final = 60_000  # how long a run that would have begun is taken to last
ROUNDS_MAX: Final = 1_000  # of judging at one instant; beyond it something turns in a circle
PATIENCE_MS: Final = 600_000  # held longer than this, it is looked at again after a tenth of the time it waited
PATIENCE_SHARE: Final = 10
LISTED_MAX: Final = 2_000  # outcomes listed one by one; all are counted
REASONS_MAX: Final = 200  # different reasons a rule; the rest is counted as one
NAMES_MAX: Final = 10_000  # alert names without a rule or an entity
FORGET_EVERY_MS: Final = 3_600_000
YEARS_MS: Final = 3_650 * 86_400_000
ROOM_WOKEN: Final = 16


class Hand:
    """A clock that is set, and never turns back."""

    def __init__(self) -> None:
        self._at = EPOCH

    def now(self) -> Instant:
        return self._at

    def monotonic_ms(self) -> int:
        return ms_between(EPOCH, self._at)

    def set(self, at: Instant) -> None:
        self._at = max(self._at, at)


class Outcomes(Struct, kw_only=True):
    """What came of the episodes of one rule: how it stood in the end, and how it began where that differs. `would_be` is
    what an episode that was only watched had been at auto. `unread`: held in the end for nothing but inputs that this
    history does not hold. `reasons`: (verdict, guard) -> number and one sentence.
    """

    rule: str
    episodes: int = 0
    verdicts: Counter[str] = Counter()
    began: Counter[str] = Counter()
    would_be: Counter[str] = Counter()
    unread: int = 0
    reasons: dict[str, tuple[int, str]] = {}


class Listed(Struct, frozen=True, kw_only=True):
    """One episode under one rule. `verdict` is how it stood in the end, `first` how it began."""

    at: Instant
    rule: str
    alert: str
    verdict: str
    first: str
    would_be: str
    runbook: str
    targets: tuple[str, ...]
    reason: str


class Backtested(Struct, frozen=True, kw_only=True):
    """`episodes` are alerts that fired. `no_rule`: mapped, and no rule asks for such labels; `not_met`: one does, and its
    conditions or its `for:` were not met; `unmapped`: neither entity nor rule. Alert name -> number. `listed` holds the newest of what was more than watched.
    """

    configuration: str
    from_at: Instant
    until_at: Instant
    level: str
    episodes: int
    decisions: int
    verdicts: dict[str, int]
    rules: tuple[Outcomes, ...]
    no_rule: dict[str, int]
    not_met: dict[str, int]
    unmapped: dict[str, int]
    listed: tuple[Listed, ...]
    incidents: int = 0
    stale: int = 0


class _Episode(Struct):
    first: Decision
    last: Decision
    over: bool = False


class Backtest:
    def __init__(
        self,
        store: Store,
        configuration: Configuration,
        clock: Hand,
        dice: Dice,
        versions: dict[str, str],
        *,
        level: Mode = Mode.AUTO,
        healthy: bool = False,
        run_ms: int = RUN_MS,
    ) -> None:
        self._store, self._clock, self._level, self._run_ms = store, clock, level, run_ms
        self._healthy = healthy
        self._scribe = Scribe(store, clock, dice)
        self.world = World(configuration)
        self.world.versions = self._scribe.versions
        self.correlation = Correlation()
        witnesses = self._witnesses = Witnesses(self.world)
        self.situations = Situations(self.world, witnesses=witnesses)
        self._judge = Judge(self._scribe, self.world, self.situations, self.correlation, witnesses, self, versions)
        self._judge.kept = self._note
        self._pipeline = Pipeline(
            self._scribe,
            self.world,
            self.correlation,
            witnesses,
            SignalReader(self.world),
            self._judge,
            Intake(self._scribe, self.world, Scrubber(())),
        )
        self._awake: defaultdict[str, deque[int]] = defaultdict(deque)
        self._ends: list[tuple[Instant, str, RunRecord]] = []
        self._waits_since: dict[str, Instant] = {}
        self._asked: set[tuple[str, Instant]] = set()
        self._episodes: dict[str, dict[str, _Episode]] = {}  # alert -> rule -> what was decided
        self._fired: dict[str, Alert] = {}  # as they began
        self._rules: dict[str, Outcomes] = {}
        self._no_rule: Counter[str] = Counter()
        self._not_met: Counter[str] = Counter()
        self._unmapped: Counter[str] = Counter()
        self._listed: deque[Listed] = deque(maxlen=LISTED_MAX)
        self._incidents: set[str] = set()
        self._forgotten_at = EPOCH
        self._from_at: Instant | None = None
        self.episodes = self.decisions = self.stale = 0

    @property
    def now(self) -> Instant:
        return self._clock.now()

    # -- playing -----------------------------------------------------------------------------------

    async def tell(self, signals: Iterable[Signal]) -> None:
        """Signals in the order of their receipt; those of one instant are taken together, as from one delivery."""
        batch: list[Signal] = []
        for signal in signals:
            if signal.kind is not Kind.ALERT:
                continue
            if batch and signal.received_at != batch[0].received_at:
                await self._say(batch)
                batch = []
            batch.append(signal)
        if batch:
            await self._say(batch)

    def awake(self, region: str, steps_s: Iterable[int]) -> None:
        """When the monitoring of a region could see, in Unix seconds, ascending: before what it then said is told."""
        if region:
            self._awake[region].extend(steps_s)

    async def until(self, at: Instant) -> None:
        """Time goes on to `at`: what falls due on the way is judged."""
        while (due_at := self._due_at()) is not None and due_at <= at:
            await self._at(due_at)
        await self._at(at)

    async def finish(self, until_at: Instant) -> Backtested:
        """What still stands at the end is counted as it stands."""
        await self.until(until_at)
        for alert in {*self._fired, *self._episodes}:
            self._close(alert)
        verdicts: Counter[str] = Counter()
        for each in self._rules.values():
            verdicts.update(each.verdicts)
        return Backtested(
            configuration=self.world.configuration.digest,
            from_at=self._from_at or until_at,
            until_at=until_at,
            level=self._level.value,
            episodes=self.episodes,
            decisions=self.decisions,
            verdicts={verdict.value: verdicts[verdict.value] for verdict in Verdict},
            rules=tuple(sorted(self._rules.values(), key=lambda each: (-each.episodes, each.rule))),
            no_rule=dict(self._no_rule.most_common()),
            not_met=dict(self._not_met.most_common()),
            unmapped=dict(self._unmapped.most_common()),
            listed=tuple(self._listed),
            incidents=len(self._incidents),
            stale=self.stale,
        )

    async def _say(self, batch: list[Signal]) -> None:
        at = batch[0].received_at
        if self._from_at is None:
            self._begin(at)
        await self.until(at)
        await self._pipeline.say(batch)
        for signal in batch:
            identity = alert_id(signal.group, signal.fingerprint, signal.starts_at)
            alert = self.correlation.alert(identity)
            if alert is not None and alert.resolved_at is None and alert.first_seen_at == at:
                if identity not in self._fired:
                    self.episodes += 1
                    self._incidents.add(self.correlation.incident_id_of(identity) or identity)
                self._fired[identity] = alert
        await self._settle()

    def _begin(self, at: Instant) -> None:
        """The standing that is assumed, and health where it is."""
        self._clock.set(at)
        self._from_at = self._forgotten_at = at
        world = self.world
        if self._level is not Mode.OBSERVE:
            for rule in world.configuration.rules:
                world.grants[rule] = Grant(
                    id=f"assumed {self._level.value}",
                    rule=rule,
                    level=self._level.value,
                    at=at,
                    until_at=after_ms(at, YEARS_MS),
                    by="backtest",
                    reason="assumed",
                    second="backtest",
                )
        if self._healthy:
            for ref in world.configuration.catalog.entities:
                world.health.saw(HealthRecord(entity=ref, healthy=True, at=at, why="assumed", every_ms=YEARS_MS))

    def _due_at(self) -> Instant | None:
        found = [self._pipeline.due_at, self.correlation.stale_at, self._ends[0][0] if self._ends else None]
        return min((each for each in found if each is not None), default=None)

    async def _at(self, at: Instant) -> None:
        self._clock.set(at)
        self._see(at)
        while self._ends and self._ends[0][0] <= at:
            await self._end(heapq.heappop(self._ends)[2])
        await self._settle()
        if ms_between(self._forgotten_at, at) >= FORGET_EVERY_MS:
            self._forgotten_at = at
            self._pipeline.forget()
            await self._store.prune(at)
            self._asked = {pair for pair in self._asked if pair[1] > at}
        await asyncio.sleep(0)

    def _see(self, at: Instant) -> None:
        """Regions that were awake until now can see."""
        now_s = ms_between(EPOCH, at) // 1000
        for region, steps in self._awake.items():
            last_s = 0
            while steps and steps[0] <= now_s:
                last_s = steps.popleft()
            if last_s:
                self._witnesses.heard(region, after_ms(EPOCH, last_s * 1000))

    async def _settle(self) -> None:
        for _ in range(ROUNDS_MAX):
            await self._pipeline.by_time()
            due_at = self._pipeline.due_at
            if due_at is None or due_at > self._clock.now():
                return
        raise RuntimeError(f"judging at {self._clock.now()} does not end")

    async def _end(self, record: RunRecord) -> None:
        """A run that would have begun is over: its claims are free, and it was an attempt."""
        now = self._clock.now()
        self.world.update_run(replace(record, open=False, status="succeeded", ended_at=now, effects=1))
        await self._scribe.commit(Commit(at=now, releases=(record.id,)))
        for target in record.targets:
            for alert in self.world.concerned(f"target:{target}"):
                self._pipeline.now(alert, "another run on its target ended")
        for alert in self.world.concerned(ROOM)[:ROOM_WOKEN]:
            self._pipeline.now(alert, "there is room")

    # -- what the judge asks for (`judge.Seats`) ---------------------------------------------------

    def again(self, alert: str, at: Instant) -> None:
        """As live, and after long waiting less often: a history has no person who changes something in between."""
        now = self._clock.now()
        since = self._waits_since.setdefault(alert, now)
        waited_ms = ms_between(since, now)
        if waited_ms > PATIENCE_MS and ms_between(now, at) <= WAKE_EVERY_MS:
            at = max(at, after_ms(now, waited_ms // PATIENCE_SHARE))
        if (alert, at) not in self._asked:
            self._asked.add((alert, at))
            self._pipeline.again(alert, at)

    def begin(self, opening: Opening, look: tuple[Proposal, Situation] | None) -> Begun | None:
        """Nothing begins: that it would have is enough."""
        del opening, look
        return None

    def open(self, opening: Opening) -> None:
        self.world.open_run(opening.record)
        now = self._clock.now()
        end_at = after_ms(now, self._run_ms)
        heapq.heappush(self._ends, (end_at, opening.record.id, opening.record))
        expects = opening.plan.runbook.expects
        rule = self.world.configuration.rules.get(opening.decision.rule)
        if expects and rule is not None:
            for target in opening.decision.targets:
                for place in {target.ref, target.service} - {""}:
                    self.world.expect(
                        place,
                        Expectation(
                            run=opening.record.id,
                            runbook=opening.record.runbook,
                            target=target.name,
                            names=expects,
                            until_at=after_ms(end_at, rule.limits.settle_ms),
                        ),
                    )

    def lapse(self, alert: str, why: str) -> None:
        del why
        world = self.world
        for waiting in [each.id for each in world.waiting.values() if each.alert == alert]:
            del world.waiting[waiting]
        for approval in [each.id for each in world.approvals.values() if each.episode == alert]:
            del world.approvals[approval]
        found = self.correlation.alert(alert)
        if found is not None and found.resolved_at is None:
            self.stale += 1
        self._close(alert)

    def notices(self, found: Iterable[Notice]) -> tuple[Put, ...]:
        del found
        return ()

    def told(self, puts: Iterable[Put]) -> None:
        del puts

    def approval_ended(self, approval: Approval) -> None:
        self.world.approvals.pop(approval.id, None)

    def let_go(self, waiting: str, why: str) -> None:
        del why
        self.world.waiting.pop(waiting, None)

    async def breakers_moved(self) -> None:
        """Nobody else moves them here."""

    def untell(self, decision: str, why: str) -> bool:
        del decision, why
        return True

    # -- counting ----------------------------------------------------------------------------------

    def _note(self, judged: Judged) -> None:
        decision = judged.decision
        self.decisions += 1
        rules = self._episodes.setdefault(decision.alert, {})
        episode = rules.get(decision.rule)
        if episode is None:
            rules[decision.rule] = _Episode(first=decision, last=decision, over=decision.verdict is Verdict.ACT)
        elif not episode.over:
            episode.last = decision
            episode.over = decision.verdict is Verdict.ACT

    def _close(self, alert: str) -> None:
        """The episode is over, or the history is."""
        self._waits_since.pop(alert, None)
        began = self._fired.pop(alert, None)
        decided = self._episodes.pop(alert, {})
        name = began.labels.get("alertname", "") if began is not None else ""
        if began is not None and not began.entity and decided.keys() <= {UNMAPPED}:
            _count(self._unmapped, name)
        elif began is not None and not decided:
            rules = self.world.configuration.rulebook.candidates(began.labels)
            near = any(matches(rule, began.labels) for rule in rules)
            _count(self._not_met if near else self._no_rule, name)
        for rule, episode in decided.items():
            if rule != UNMAPPED:
                self._count(rule, episode, name)

    def _count(self, rule: str, episode: _Episode, name: str) -> None:
        first, last = episode.first, episode.last
        outcomes = self._rules.get(rule)
        if outcomes is None:
            outcomes = self._rules[rule] = Outcomes(
                rule=rule, verdicts=Counter(), began=Counter(), would_be=Counter(), reasons={}
            )
        outcomes.episodes += 1
        outcomes.verdicts[last.verdict.value] += 1
        if first.verdict is not last.verdict:
            outcomes.began[f"{first.verdict.value} -> {last.verdict.value}"] += 1
        if last.verdict is Verdict.OBSERVE:
            outcomes.would_be[last.would_be.value] += 1
        standing = [each for each in last.findings if each.outcome in {Outcome.HOLD, Outcome.REFUSE}]
        outcomes.unread += bool(standing) and all(each.unknown for each in standing)
        key = f"{last.verdict.value}: {_decider(last)}"
        known = outcomes.reasons.get(key)
        if known is not None or len(outcomes.reasons) < REASONS_MAX:
            number, sentence = known or (0, last.reason)
            outcomes.reasons[key] = (number + 1, sentence)
        if last.verdict is not Verdict.OBSERVE:
            self._listed.append(
                Listed(
                    at=last.at,
                    rule=rule,
                    alert=name,
                    verdict=last.verdict.value,
                    first=first.verdict.value,
                    would_be=last.would_be.value,
                    runbook=last.runbook,
                    targets=tuple(target.ref for target in last.targets),
                    reason=last.reason,
                )
            )


def _decider(decision: Decision) -> str:
    """The guard whose sentence the decision's reason is; the rule itself when no guard was asked."""
    if not decision.findings:
        return "target"
    return next((each.guard for each in decision.findings if each.reason == decision.reason), "all guards")


def _count(into: Counter[str], name: str) -> None:
    if name in into or len(into) < NAMES_MAX:
        into[name] += 1
