"""The engine: everything that performs, in one loop of one process. Bootstrap hands in what it performs with.

Started, it takes up what an earlier process left: runs by their journals, held proposals by their wake-up, notices by
their outbox, and alerts by judging again what has no decision yet.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

import structlog
from msgspec.structs import replace

from watchkeeper.approve.approval import Approval
from watchkeeper.correlate.correlation import Correlation
from watchkeeper.decide.decision import DECIDE_REV
from watchkeeper.engine.action import Action, Channel, Prober
from watchkeeper.engine.agreements import Agreements
from watchkeeper.engine.backup import Archiver
from watchkeeper.engine.breakers import Breakers
from watchkeeper.engine.calendars import Calendars, Fetch
from watchkeeper.engine.changes import Aside, Changes, Compile, ReadFolder
from watchkeeper.engine.clock import Clock, ClockGuard
from watchkeeper.engine.ending import Ending
from watchkeeper.engine.erasing import Erasing
from watchkeeper.engine.group_answers import GroupAnswers
from watchkeeper.engine.identities import Identities
from watchkeeper.engine.incidents import Incidents
from watchkeeper.engine.intake import Intake, SignalReader
from watchkeeper.engine.judge import Judge
from watchkeeper.engine.judged import Opening
from watchkeeper.engine.lapsing import Lapsing
from watchkeeper.engine.lease import Lease
from watchkeeper.engine.letters import Letters
from watchkeeper.engine.limits import Limits
from watchkeeper.engine.measured import MeasuredInputs
from watchkeeper.engine.measuring import Measuring
from watchkeeper.engine.moments import RunMoments
from watchkeeper.engine.objectives import Objectives
from watchkeeper.engine.outbox import Outbox
from watchkeeper.engine.outputs import Outputs
from watchkeeper.engine.perform import Leaser, StepPerformer
from watchkeeper.engine.pipeline import Pipeline
from watchkeeper.engine.playing import Playing
from watchkeeper.engine.programs import PackActions, Programs
from watchkeeper.engine.recorder import Recorders
from watchkeeper.engine.records import ChangeRecord, RunRecord, put
from watchkeeper.engine.remapping import Remapping
from watchkeeper.engine.reminders import Reminders
from watchkeeper.engine.replay_tests import ReplayTests
from watchkeeper.engine.restoring import held_since
from watchkeeper.engine.rhythms import Rhythms
from watchkeeper.engine.room import Room, RoomWatch
from watchkeeper.engine.runner import Begun, Live, Runner
from watchkeeper.engine.sayings import Sayings
from watchkeeper.engine.scribe import Dice, Scribe
from watchkeeper.engine.sequencer import Sequencer
from watchkeeper.engine.sessions import Sessions
from watchkeeper.engine.silence_answers import Answers
from watchkeeper.engine.silences import Silences
from watchkeeper.engine.situations import Situations
from watchkeeper.engine.standing import Standings
from watchkeeper.engine.steering import Steering
from watchkeeper.engine.step_request import StepRequests
from watchkeeper.engine.sweeper import Sweeper
from watchkeeper.engine.take_up import TakeUp
from watchkeeper.engine.telling import Telling
from watchkeeper.engine.watching import Watching
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.world import World
from watchkeeper.execute import machine
from watchkeeper.execute.run import Asked, Doubt, Event, NoLongerNeeded, Request
from watchkeeper.execute.state import Run
from watchkeeper.guards.hold import RESTORE
from watchkeeper.guards.situation import Clock as ClockState
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.home.configuration import Configuration
from watchkeeper.ports import Commit, Committed, Put, Store
from watchkeeper.report.notices import of_doubt
from watchkeeper.report.scrub import Scrubber
from watchkeeper.values import Instant, ms_between

log = structlog.get_logger("watchkeeper.engine")

DOUBT_EVERY_MS: Final = 1_800_000
TICK_S: Final = 0.25
LAPSED_A_TICK_MAX: Final = 500  # requests that are looked at in one tick, whether they still stand
FORGET_EVERY_S: Final = 60.0


class Engine:
    """`read_folder` and `compile_files` are how a folder becomes a configuration; runs keep the one they started with."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        dice: Dice,
        configuration: Configuration,
        *,
        actions: Mapping[str, Action],
        prober: Prober,
        channels: Mapping[str, Channel],
        leaser: Leaser,
        scrubber: Scrubber,
        lease: Lease,
        read_folder: ReadFolder,
        compile_files: Compile,
        end_leftover: Callable[[int, int], Awaitable[object]],
        versions: Mapping[str, str],
        sequencer: Sequencer,
        programs: Programs | None = None,
        aside: Aside = asyncio.to_thread,
        fetch_calendar: Fetch | None = None,
    ) -> None:
        self.store, self.clock, self.lease = store, clock, lease
        self.leaser = leaser
        self.scribe = Scribe(store, clock, dice)
        self.sequencer = sequencer
        self.world = World(configuration)
        self.correlation = Correlation()
        self.measuring = Measuring(self.scribe, self.world)
        self.objectives = Objectives(self.scribe, self.world, self.measuring, prober, leaser)
        self.witnesses = Witnesses(self.world)
        inputs = MeasuredInputs(self.scribe, self.world, self.measuring, self.objectives)
        self.situations = Situations(self.world, inputs, self.witnesses)
        self.outputs = Outputs()
        self.outbox = Outbox(store, clock, channels)
        self.identities = Identities(self.scribe)
        self.sessions = Sessions(self.scribe, self.identities)
        self.judge = Judge(
            self.scribe,
            self.world,
            self.situations,
            self.correlation,
            self.witnesses,
            self,
            {**versions, "decide_rev": str(DECIDE_REV)},
        )
        self.intake = Intake(self.scribe, self.world, scrubber)
        self.pipeline = Pipeline(
            self.scribe, self.world, self.correlation, self.witnesses, SignalReader(self.world), self.judge, self.intake
        )
        self.telling = Telling(self.scribe, self.world, self.outbox, sequencer)
        self.notices, self.told, self.tell = self.telling.notices, self.telling.told, self.telling.tell
        self.lapsing = Lapsing(
            self.scribe, self.world, self.correlation, self.witnesses, self.pipeline, self.telling, self.changed
        )
        self._step_requests = StepRequests(self.scribe, self.world, self.telling)
        self.letters = Letters(self.scribe, self.world, self.pipeline)
        self.calendars = Calendars(
            self.scribe, self.world, self.notices, self.told, self.changed, fetch_calendar, aside
        )
        self.breakers = Breakers(self.scribe, self.world, self.notices, self.told, self.changed)
        self.standings = Standings(self.scribe, self.world, self.situations, self.notices, self.told, self.changed)
        self.objectives.spent = self.standings.spent
        self.rhythms = Rhythms(self.scribe, self.world, self.measuring, self.standings, self.telling)
        self.situations.rhythm = self.rhythms.of
        self.judge.kept = lambda judged: self.rhythms.decided(judged.decision)
        self.moments = RunMoments(
            self.scribe,
            clock,
            self.world,
            self.situations,
            self.correlation,
            self.witnesses,
            self.notices,
            self.told,
            self.breakers,
            self.standings,
        )
        self.performer = StepPerformer(
            actions,
            prober,
            clock,
            lease,
            leaser,
            self.outputs.show,
            self._record_child,
            lambda: self.world.configuration.settings.limits.retries_per_target,
            PackActions(store, self._compiled, programs).find,
        )
        self.runner = Runner(self.scribe, clock, self.moments, self, self._on_doubt, self._on_end, self._on_failure)
        self.limits = Limits(self.scribe, self.world, self.changed)
        self.steering = Steering(
            self.scribe,
            self.world,
            self.situations,
            self.judge,
            self.runner,
            self.pipeline.now,
            lambda: sum(1 for each in self.identities.identities.values() if each.human),
        )
        self.groups = GroupAnswers(self.world, self.steering, store)
        self.watching = Watching(self.scribe, self.world, self.pipeline, prober, self.measuring, self.witnesses)
        self.incidents = Incidents(self.scribe, self.correlation, self.tell)
        self.changes = Changes(self.scribe, self.world, self.activated, read_folder, compile_files, aside)
        self.playing = Playing(self.scribe, self.world, self.changes.kept)
        self.replay_tests = ReplayTests(store, self.changes.compiled)
        self.changes.harms = self.replay_tests.harms
        self.sayings = Sayings(self.scribe, self.world, self.correlation, self.limits, self.incidents, self.changed)
        self.pipeline.on_said = self.sayings.take
        self.sweeper = Sweeper(self.scribe, clock, self.world, self.correlation)
        self.recorders = Recorders(self.scribe, self.world)
        self.silences = Silences(
            clock,
            self.world,
            self.correlation,
            self.witnesses,
            self.recorders,
            Answers(self.scribe),
            self.pipeline.now,
        )
        self.pipeline.relating.on_recorded = self.silences.take
        self.sweeper.spent, self.sweeper.muted = self.recorders.spent, self.recorders.stands
        self.erasing = Erasing(self.scribe, clock, self.world, self.sequencer, self.sweeper)
        self.erasing.goes = self.recorders.erased
        self.room = RoomWatch(self.scribe, clock, self.world, self.sweeper, self.tell)
        self.intake.refusal = self.room.refusal
        self.reminders = Reminders(self.scribe, self.world, self.notices, self.told)
        self._clock_guard = ClockGuard()
        self.situations.clock = self._look_at_clock
        self.taken = TakeUp(
            store,
            clock,
            self.world,
            self.correlation,
            self.witnesses,
            self.moments,
            self.runner,
            self.changes,
            end_leftover,
            self._on_failure,
        )
        self.agreements = Agreements(
            self.scribe, self.world, self.standings, self.steering, self.identities.is_person, self.taken.fires
        )
        self.ending = Ending(
            self.scribe,
            self.world,
            self.pipeline,
            self.outputs,
            self.standings,
            self.agreements,
            self.breakers,
            self.lapsing,
            self.taken,
            self.changed,
        )
        self._remapping = Remapping(self.scribe, self.world, self.correlation, self.witnesses, self.taken)
        self._tasks: list[asyncio.Task[None]] = []
        self._background: set[asyncio.Task[None]] = set()
        self.fetch: Callable[[str], Awaitable[bytes]] | None = (
            None  # GET over https, no redirects; None: this node asks nobody
        )
        self.archiver: Archiver | None = None  # None: this store cannot be copied
        self.started_at: Instant | None = None
        self.failed: str = ""

    # Starting and stopping.

    async def start(self) -> None:
        """Ready when this returns: hooks may be accepted."""
        self.scribe.versions.update(await self.store.versions())
        self.world.versions = self.scribe.versions
        self.world.epoch = self.scribe.versions.get("epoch", 0)
        await self._fence()
        await self.sequencer.step()
        await self.erasing.carry_on()
        await self.identities.load()
        await self.sessions.load()
        await self.standings.load(self.taken.all)
        await self.taken.load()
        self.watching.expect()
        await self.breakers.load()
        await self.measuring.load()
        await self.rhythms.load(self.taken.all)
        if self.measuring.alive_before is not None:
            self._clock_guard.seen(self.measuring.alive_before)
        self._look_at_clock()
        await self.objectives.load()
        await self.calendars.configure()
        await self.outbox.load()
        await self._deploys()
        await self.silences.load(self.taken.all)
        await self.intake.load()
        await self.taken.runs()
        self._let_go()
        await self.ending.ended_before()
        await self.watching.load(self.taken.all)
        self.watching.restore(self.correlation.alerts())
        await self.steering.admit_approved()
        self.started_at = self.clock.now()
        for name, work in (
            ("pipeline", self.pipeline.work()),
            ("outbox", self.outbox.work()),
            ("sequencer", self.sequencer.work()),
            ("ticker", self._tick()),
            ("watching", self.watching.work()),
            ("measuring", self.measuring.work()),
            ("objectives", self.objectives.work()),
            ("lease", self.lease.keep()),
            ("calendars", self.calendars.work()),
            ("sweeper", self.sweeper.work()),
            ("room", self.room.work()),
            ("silences", self.silences.work()),
        ):
            self._tasks.append(asyncio.create_task(self._guard(name, work), name=name))
        await self.pipeline.rejudge_all("started")
        for hold in self.world.holds.values():
            if hold.origin == RESTORE:
                await self.tell(held_since(hold, self.clock.now()))

    async def _guard(self, name: str, work: Coroutine[None, None, None]) -> None:
        """A task that must not end: when it does, the process ends, and its supervisor starts it again."""
        try:
            await work
            self.failed = f"{name} ended"
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # whatever it was: the process ends by it, and the reason is told
            log.exception("a task of the engine failed", task=name)
            self.failed = f"{name}: {type(error).__name__}: {error}"

    async def stop(self) -> None:
        """Let go where it stands. What is under way is taken up by its journal at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.playing.stop()
        await self.runner.stop()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._tasks.clear()

    async def _fence(self) -> None:
        """Each start raises the fencing token: what an older process still sends can be told from ours."""
        outcome = await self.scribe.commit(Commit(at=self.clock.now(), bumps=("fence",)))
        assert isinstance(outcome, Committed)
        self.world.fence = self.scribe.versions.get("fence", 0)

    async def _deploys(self) -> None:
        """What is under way, as the present catalogue reads it."""
        async for record in self.taken.all(ChangeRecord, {"state": "open"}):
            if (deploy := self.sayings.under_way(record)) is not None:
                self.world.deploys[record.id] = deploy

    def _let_go(self) -> None:
        """After a start: what waited for an alert that was over before anybody was told."""
        for alert in {each.alert for each in self.world.waiting.values()} | self.outbox.waits_for():
            if not self.taken.fires(alert):
                self.lapse(alert, "The alert resolved.")

    async def _compiled(self, digest: str) -> Configuration | None:
        return await self.taken.compiled(digest)

    async def run_of(self, record: RunRecord) -> Run | None:
        """A run with its steps, as `take_up` reads it."""
        return await self.taken.run_of(record)

    # What the judge asks for (`judge.Seats`).

    def again(self, alert: str, at: Instant) -> None:
        self.pipeline.again(alert, at)

    def begin(self, opening: Opening, look: tuple[Proposal, Situation] | None) -> Begun | None:
        return self.runner.begin(_live(opening), look)

    def open(self, opening: Opening) -> None:
        begun = opening.begun
        live = begun.live if begun is not None else _live(opening)
        self.world.open_run(opening.record)
        self.moments.opened(live)
        self.runner.take(live, begun)

    def lapse(self, alert: str, why: str) -> None:
        """The episode is over: what waited for it lapses, and its runs learn that they may not be needed."""
        for waiting in [each for each in self.world.waiting.values() if each.alert == alert]:
            if waiting.episode != alert and self.taken.fires(waiting.episode):
                self.lapsing.judge_episode(waiting.episode, "one of its alerts resolved")
                continue
            self.let_go(waiting.id, why)
        self.outbox.drop(alert, why)
        for live in tuple(self.runner.live.values()):
            episode = live.decision.episode
            concerns = live.decision.alert == alert or (episode != alert and self._is_of(alert, episode))
            if concerns and not live.run.no_longer_needed and not (episode != alert and self.taken.fires(episode)):
                live.mailbox.put_nowait(NoLongerNeeded(at=self.clock.now(), why=why))

    def let_go(self, waiting: str, why: str) -> None:
        found = self.world.waiting.pop(waiting, None)
        if found is not None:
            self.world.waits_no_more(found.episode, found.rule)
            self._later(put(replace(found, open=False, closed_why=why)))

    def _is_of(self, alert: str, episode: str) -> bool:
        return bool(episode) and self.correlation.incident_id_of(alert) == episode

    def approval_ended(self, approval: Approval) -> None:
        self.world.approvals.pop(approval.id, None)
        self._later(put(approval))

    async def breakers_moved(self) -> None:
        await self.breakers.read_again()

    def untell(self, decision: str, why: str) -> bool:
        return self.outbox.untell(decision, why)

    def _later(self, *puts: Put) -> None:
        """A write that nobody waits for; refused only when the store is, and then the process ends anyway."""
        task = asyncio.create_task(self._commit_puts(puts))
        self._background.add(task)
        task.add_done_callback(self._written)

    def _written(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(f"a write failed: {type(error).__name__}: {error}")

    async def _commit_puts(self, puts: tuple[Put, ...]) -> None:
        await self.scribe.commit(Commit(at=self.clock.now(), puts=puts))

    # What the runner asks for (`runner.Performer`).

    def effect(self, live: Live, command: Any, intent: Any) -> Coroutine[None, None, Event]:
        return self.performer.effect(live, command, intent)

    def verification(self, live: Live, command: Any) -> Coroutine[None, None, Event]:
        return self.performer.verification(live, command)

    async def probe(self, live: Live, command: Any) -> Event:
        return await self.performer.probe(live, command)

    async def _record_child(self, live: Live, child: Any) -> None:
        await self.runner.record_child(live, child)

    async def request(self, live: Live, command: Request) -> tuple[Asked, tuple[Put, ...]]:
        return self._step_requests.request(live, command)

    async def _on_end(self, live: Live) -> None:
        await self.ending.ended(live)

    async def _on_doubt(self, live: Live, doubt: Doubt) -> None:
        """At once, and every 30 minutes until somebody said what became of it."""
        now = self.clock.now()
        last = live.told_doubt_at.get(doubt.path)
        if last is not None and ms_between(last, now) < DOUBT_EVERY_MS:
            return
        live.told_doubt_at[doubt.path] = now
        stored = self.notices((of_doubt(live.run.id, live.decision, doubt.path, doubt.why, now),))
        if stored:
            await self.scribe.commit(Commit(at=now, puts=stored))
            self.told(stored)

    def _on_failure(self, why: str) -> None:
        self.failed = self.failed or why

    # What changes by itself, or by a person.

    async def changed(self, key: str) -> None:
        """A version was raised: what was held is judged afresh, and every run looks at its guards again."""
        for alert in self.world.concerned(key):
            self.pipeline.now(alert, f"{key} changed")
        for run in tuple(self.runner.live):
            self.runner.nudge(run)

    async def activated(self, configuration: Configuration) -> None:
        """Another configuration is in force: approvals of the old one lapse, everything that fires is judged again."""
        self.world.compiled[configuration.digest] = configuration
        self.world.configuration = configuration
        await self.calendars.configure()
        async with self.pipeline.turn:
            await self._remapping.map_again()
        self.watching.configure()
        self.measuring.configured()
        self.rhythms.configured()
        await self.lapsing.approvals()
        await self.pipeline.rejudge_all("the configuration changed")

    def _look_at_clock(self) -> ClockState:
        """Also at each decision: between two ticks a clock that jumped would decide what is over."""
        self.world.clock = self._clock_guard.look(self.clock.now(), self.clock.monotonic_ms())
        return self.world.clock

    async def _tick(self) -> None:
        forgotten_ms = self.clock.monotonic_ms()
        before = ClockState()
        while True:
            await asyncio.sleep(TICK_S)
            after = self._look_at_clock()
            if before.trusted != after.trusted:
                log.warning("clock", trusted=after.trusted, why=after.why or before.why)
                await self.changed("clock")
            before = after
            await self.lapsing.approvals(LAPSED_A_TICK_MAX)
            if after.trusted:  # what runs out by a clock that jumped would be over for good
                await self.lapsing.limits()
                await self.sayings.expire()
            await self.breakers.look()
            await self.reminders.look()
            await self.calendars.look()
            await self.standings.tick(self.clock.now())
            await self.rhythms.tick(self.clock.now())
            if self.clock.monotonic_ms() - forgotten_ms > FORGET_EVERY_S * 1000:
                forgotten_ms = self.clock.monotonic_ms()
                self.pipeline.forget()

    # Small answers for the surface.

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether this node does its work, and what is wrong when it does not. Telling that fails degrades it."""
        wrong: dict[str, Any] = {}
        if self.started_at is None:
            wrong["starting"] = True
        if self.failed:
            wrong["failed"] = self.failed
        if self.outbox.failing:
            wrong["telling"] = dict(self.outbox.failing)
        if self.room.room is Room.FULL:
            wrong["store"] = self.room.refusal()
        if not self.world.clock.trusted:
            wrong["clock"] = self.world.clock.why
        return not wrong, wrong


def _live(opening: Opening) -> Live:
    run = machine.start(opening.plan, opening.opened)
    return Live(opening.plan, run, 1, opening.decision, opening.record, opening.answered)
