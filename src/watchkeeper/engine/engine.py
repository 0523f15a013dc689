"""The engine: everything that performs, in one loop of one process. Bootstrap hands in what it performs with.

Started, it takes up what an earlier process left: runs by their journals, held proposals by their wake-up, notices by
their outbox, and alerts by judging again what has no decision yet.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Final

import msgspec
import structlog
from msgspec.structs import replace

from watchkeeper.approve.approval import Approval, State, lapse, request_step
from watchkeeper.approve.approval import Present as Standing
from watchkeeper.approve.people import Actor
from watchkeeper.correlate.alert import AlertState, state_at
from watchkeeper.correlate.correlation import Correlation
from watchkeeper.correlate.track import Track
from watchkeeper.decide.decision import DECIDE_REV
from watchkeeper.engine.action import Action, Channel, Prober
from watchkeeper.engine.agreements import Agreements
from watchkeeper.engine.answer import No, changed, missing
from watchkeeper.engine.backup import Archiver
from watchkeeper.engine.breakers import Breakers
from watchkeeper.engine.calendars import Calendars, Fetch
from watchkeeper.engine.changes import Aside, Changes, Compile, ReadFolder
from watchkeeper.engine.clock import Clock, ClockGuard
from watchkeeper.engine.erasing import Erasing
from watchkeeper.engine.facts import facts_of
from watchkeeper.engine.group_answers import GroupAnswers
from watchkeeper.engine.identities import Identities
from watchkeeper.engine.incidents import Incidents
from watchkeeper.engine.intake import Intake, SignalReader
from watchkeeper.engine.judge import Judge
from watchkeeper.engine.judged import Opening
from watchkeeper.engine.lease import Lease
from watchkeeper.engine.limits import Limits
from watchkeeper.engine.mapping import mapped_of
from watchkeeper.engine.measured import MeasuredInputs
from watchkeeper.engine.measuring import Measuring
from watchkeeper.engine.moments import RunMoments
from watchkeeper.engine.objectives import Objectives
from watchkeeper.engine.outbox import Outbox, messages
from watchkeeper.engine.outputs import Outputs
from watchkeeper.engine.perform import Leaser, StepPerformer
from watchkeeper.engine.pipeline import Pipeline
from watchkeeper.engine.playing import Playing
from watchkeeper.engine.programs import PackActions, Programs
from watchkeeper.engine.recorder import Recorders
from watchkeeper.engine.records import ChangeRecord, Message, RunRecord, put, read
from watchkeeper.engine.reminders import Reminders
from watchkeeper.engine.replay_tests import ReplayTests
from watchkeeper.engine.restoring import held_since
from watchkeeper.engine.retention import gone
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
from watchkeeper.engine.sweeper import Sweeper
from watchkeeper.engine.take_up import TakeUp
from watchkeeper.engine.watching import Watching
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.words import of_lapse
from watchkeeper.engine.world import World
from watchkeeper.errors import Conflict
from watchkeeper.execute import machine
from watchkeeper.execute.run import Asked, Doubt, Event, NoLongerNeeded, Request, Status
from watchkeeper.execute.state import Run
from watchkeeper.guards.hold import RESTORE
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.home.configuration import Configuration
from watchkeeper.home.settings import routes_for
from watchkeeper.ledger.entry import Kind as EntryKind
from watchkeeper.ports import Commit, Committed, Put, Store
from watchkeeper.report.notices import Notice, NoticeKind, of_doubt
from watchkeeper.report.scrub import Scrubber
from watchkeeper.signals.signal import DeadLetter, Kind
from watchkeeper.values import Instant, after_ms, ms_between

log = structlog.get_logger("watchkeeper.engine")

DOUBT_EVERY_MS: Final = 1_800_000
TICK_S: Final = 0.25
LAPSED_A_TICK_MAX: Final = 500  # requests that are looked at in one tick, whether they still stand
FORGET_EVERY_S: Final = 60.0
ENDED_READ_MAX: Final = 1_000  # runs that may have ended just before a start
ENDED_COUNTED_MS: Final = 3_600_000
ROOM_WOKEN: Final = 4  # more than one: the first may be kept out by another limit


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
        self.calendars = Calendars(
            self.scribe, self.world, self.notices, self.told, self.changed, fetch_calendar, aside
        )
        self.breakers = Breakers(self.scribe, self.world, self.notices, self.told, self.changed)
        self.standings = Standings(self.scribe, self.world, self.situations, self.notices, self.told, self.changed)
        self.objectives.spent = self.standings.spent
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
        self._lapsed_to = 0
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
        await self.objectives.load()
        await self.calendars.configure()
        await self.outbox.load()
        await self._deploys()
        await self.silences.load(self.taken.all)
        await self.intake.load()
        await self.taken.runs()
        self._let_go()
        await self._ended_before()
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
        except BaseException as error:
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
                self._judge_episode(waiting.episode, "one of its alerts resolved")
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

    def notices(self, found: Iterable[Notice], only: str = "") -> tuple[Put, ...]:
        settings = self.world.configuration.settings.notify
        stored: list[Put] = []
        for notice in found:
            routes = routes_for(
                settings,
                severity=notice.severity.value,
                service=notice.service,
                team=notice.team,
                kind=notice.kind.value,
            )
            first_at = after_ms(notice.at, settings.tell_after_ms if notice.delayed else 0)
            if only:
                routes = tuple(route for route in settings.routes if route.name == only)
            full = replace(notice, checkpoint=self.sequencer.checkpoint)
            ways = [(route.name, route.channel, route.data()) for route in routes]
            stored.extend(put(message) for message in messages(full, ways, first_at))
        return tuple(stored)

    def told(self, puts: Iterable[Put]) -> None:
        for each in puts:
            if each.kind == "message":
                self.outbox.add(read_message(each))

    async def tell(self, notice: Notice, only: str = "") -> int:
        """Store a notice and send it; the number of routes that carry it. `only` names one, whatever it matches."""
        stored = self.notices((notice,), only)
        if stored:
            await self.scribe.commit(Commit(at=self.clock.now(), puts=stored))
            self.told(stored)
        return len(stored)

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

    async def request(self, live: Live, command: Request) -> tuple[Asked, tuple[Put, ...]]:
        """A step that asks a person: its card, bound to what it shows."""
        step = machine.step_at(live.run, command.path)
        assert step.ask is not None
        now = self.clock.now()
        approval = request_step(
            live.decision,
            run=live.run.id,
            epoch=self.world.epoch,
            path=command.path,
            by=step.ask.by,
            count=step.ask.count,
            within_ms=step.ask.within_ms,
            shown=command.arguments,
            at=now,
        )
        self.world.approvals[approval.id] = approval
        notice = Notice(
            id=approval.id,
            at=now,
            kind=NoticeKind.ASK,
            subject=f"Approve step {command.path} of {live.plan.runbook.name}?",
            text=approval.findings[0].reason,
            severity=live.decision.severity,
            team=live.decision.owner,
            ids={"approval": approval.id, "run": live.run.id, "decision": live.decision.id},
            commands=(f"wk approve {approval.id}", f"wk reject {approval.id}", f"wk runs show {live.run.id}"),
        )
        stored = self.notices((notice,))
        self.told(stored)
        return Asked(at=now, path=command.path, approval=approval.id, until_at=approval.expires_at), (
            put(approval),
            *stored,
        )

    async def _record_child(self, live: Live, child: Any) -> None:
        await self.runner.record_child(live, child)

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

    async def _on_end(self, live: Live) -> None:
        """Free what waited for its targets, and judge its alert again: afresh at once when it had no effect."""
        self.outputs.forget(live.run.id)
        decision = live.decision
        unstarted = live.run.started_at is None and live.run.status in {Status.STOPPED, Status.LAPSED}
        before = self.world.decided(decision.episode, decision.rule) if unstarted else None
        if before is not None and before.run == live.run.id:
            self.world.remember(decision.episode, decision.rule, replace(before, unstarted=True))
        await self._end_requests(live)
        await self.standings.ended(live.run.id)
        await self.agreements.ended(live.record, live.run)
        if decision.alert:
            self._judge_episode(decision.episode, "its run ended before it started" if unstarted else "")
        for target in decision.targets:
            for alert in self.world.concerned(f"target:{target.ref}"):
                self.pipeline.now(alert, "another run on its target ended")
        for key in self.breakers.turned():
            await self.changed(key)
        self._make_room()

    async def _ended_before(self) -> None:
        """After a start: people's runs that ended just before may not have been counted yet. Counting twice is once."""
        now = self.clock.now()
        async for record in self.taken.all(RunRecord, {"state": "closed"}, most=ENDED_READ_MAX):
            if record.actor == "automation" or ms_between(record.ended_at or now, now) > ENDED_COUNTED_MS:
                continue
            try:
                run = await self.run_of(record)
            except Conflict:  # a journal that does not fit its plan: the record still says how it ended
                run = None
            await self.agreements.ended(record, run)

    def _make_room(self) -> None:
        """The place of a run is free. A few of those that wait for one are judged: the most urgent, or the longest waiting."""
        self.pipeline.room_for(self.world.wait_for_room(ROOM_WOKEN, self.clock.now()))

    async def _end_requests(self, live: Live) -> None:
        """Requests of its steps that nobody has to answer any more."""
        now = self.clock.now()
        for each in tuple(self.world.approvals.values()):
            if each.run == live.run.id and each.path:
                self.world.approvals.pop(each.id, None)
                if each.state is State.PENDING:
                    why = f"Its run ended {live.run.status.value}."
                    await self._commit_puts((put(replace(each, state=State.LAPSED, ended_at=now, why=why)),))

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
            await self._map_again()
        self.watching.configure()
        self.measuring.configured()
        await self._lapse_approvals()
        await self.pipeline.rejudge_all("the configuration changed")

    async def _map_again(self) -> None:
        """Every alert is brought to its place in the new catalogue; an entity that is new is no longer unmapped."""
        reader, catalog = SignalReader(self.world), self.world.configuration.catalog
        before = tuple(self.correlation.alerts())
        alerts = [replace(alert, mapped=mapped_of(alert, reader.source(alert.source), catalog)) for alert in before]
        tracks = [track async for track in self.taken.all(Track, {})]
        for alert in before:
            self.witnesses.saw(alert, None)
        self.world.failing.clear()
        self.correlation.restart()
        self.correlation.restore(alerts, tracks)
        self.correlation.tick(self.clock.now())
        puts: list[Put] = []
        for alert in alerts:
            self.witnesses.saw(None, alert)
            if alert.entity and alert.resolved_at is None:
                self.world.failing[alert.entity].add(alert.id)
            puts.append(put(alert, incident=self.correlation.incident_id_of(alert.id) or ""))
            incident = self.correlation.incident_of(alert.id)
            if incident is not None:
                puts.append(put(incident))
        if puts:
            await self.scribe.commit(Commit(at=self.clock.now(), puts=tuple(puts)))

    async def _tick(self) -> None:
        forgotten_ms = self.clock.monotonic_ms()
        while True:
            await asyncio.sleep(TICK_S)
            before = self.world.clock
            self.world.clock = self._clock_guard.look(self.clock.now(), self.clock.monotonic_ms())
            if before.trusted != self.world.clock.trusted:
                log.warning("clock", trusted=self.world.clock.trusted, why=self.world.clock.why or before.why)
                await self.changed("clock")
            await self._lapse_approvals(LAPSED_A_TICK_MAX)
            await self._expire()
            await self.sayings.expire()
            await self.breakers.look()
            await self.reminders.look()
            await self.calendars.look()
            await self.standings.tick(self.clock.now())
            if self.clock.monotonic_ms() - forgotten_ms > FORGET_EVERY_S * 1000:
                forgotten_ms = self.clock.monotonic_ms()
                self.pipeline.forget()

    async def _lapse_approvals(self, most: int | None = None) -> None:
        """All of them, or the next so many: in a storm of requests each is looked at a little less often."""
        now = self.clock.now()
        every = tuple(self.world.approvals.values())
        start = self._lapsed_to if most is not None and self._lapsed_to < len(every) else 0
        looked_at = every[start:] if most is None else every[start : start + most]
        self._lapsed_to = start + len(looked_at)
        for approval in looked_at:
            present = Standing(configuration=self.world.configuration.digest, epoch=self.world.epoch)
            if approval.path:
                present = replace(present, configuration=approval.configuration)
            elif approval.episode:
                present = self._standing(approval.episode, present, now)
            after = lapse(approval, present, now)
            if after.state is approval.state:
                continue
            self.world.approvals.pop(approval.id, None)
            unanswered = after.state is State.LAPSED and present.firing and now >= approval.expires_at
            stored = self.notices((of_lapse(after, now),)) if unanswered else ()
            await self.scribe.commit(Commit(at=now, puts=(put(after), *stored)))
            self.told(stored)
            if after.state in {State.LAPSED, State.VOID} and after.episode and present.firing:
                self._judge_episode(after.episode, "its approval lapsed")

    def _judge_episode(self, episode: str, because: str) -> None:
        """By its alert; that of an incident by the first of its alerts that fires."""
        now = self.clock.now()
        members = self.correlation.members(episode) if self.correlation.alert(episode) is None else ()
        firing = (alert.id for alert in members if state_at(alert, now) is AlertState.FIRING)
        self.pipeline.now(next(firing, episode), because)

    def _standing(self, episode: str, present: Standing, now: Instant) -> Standing:
        """Whether the episode still fires. One that is not held in memory any more has ended."""
        alert = self.correlation.alert(episode)
        if alert is None:
            members = (
                facts_of(each, self.correlation, self.witnesses, now) for each in self.correlation.members(episode)
            )
            return replace(present, firing=any(each.firing and not each.stale for each in members))
        facts = facts_of(alert, self.correlation, self.witnesses, now)
        return replace(present, firing=facts.firing and not facts.stale, severity=facts.severity)

    async def _expire(self) -> None:
        """Holds and freezes that ran out no longer bind; what they held is judged again."""
        now = self.clock.now()
        for key, limits in (("hold", self.world.holds), ("freeze", self.world.freezes)):
            for identity in [identity for identity, each in limits.items() if each.until_at <= now]:
                ended = limits.pop(identity)
                closed = replace(ended, lifted_at=now, lifted_by="its own end")
                await self.scribe.commit(Commit(at=now, puts=(put(closed),), bumps=(key,)))
                await self.changed(key)

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

    async def replay_dead_letter(self, identity: str, actor: Actor) -> str | No:
        """Take a dead letter's delivery apart again, after what was wrong was mended."""
        row = await self.store.get("dead_letter", identity)
        if row is None:
            return missing("dead-letter", identity)
        letter = read(row, DeadLetter)
        delivery = await self.store.delivery(letter.delivery)
        if delivery is None:
            was = await gone(self.store, "delivery", letter.delivery)
            return changed(f"delivery {letter.delivery} is no longer kept{f': {was}' if was else ''}")
        parsed = SignalReader(self.world).read(delivery)
        if any(each.path == letter.path for each in parsed.dead):
            still = next(each for each in parsed.dead if each.path == letter.path)
            return changed(f"it still cannot be read: {still.path}: {still.why}")
        await self.pipeline.say([signal for signal in parsed.signals if signal.kind is Kind.ALERT])
        entry = self.scribe.entry(
            EntryKind.DEAD_LETTER_REPLAYED, {"letter": identity, "delivery": delivery.id}, actor=actor.name
        )
        await self.scribe.commit(Commit(at=self.clock.now(), puts=(put(letter, state="replayed"),), entries=(entry,)))
        return delivery.id


def _live(opening: Opening) -> Live:
    run = machine.start(opening.plan, opening.opened)
    return Live(opening.plan, run, 1, opening.decision, opening.record, opening.answered)


def read_message(stored: Put) -> Message:
    return msgspec.json.decode(stored.body, type=Message)
