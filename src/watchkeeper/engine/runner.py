"""The runner: performs what `pending(run)` says and journals what happened, for every open run of this node.

One task owns one run. It stages events that follow from the journal alone, commits them together with the intents
they lead to, and only then lets an effect go out. So a one-step run costs two durable writes: one before, one after.

A commit that is refused because the world changed (a stop, a hold, a freeze, another driver) throws the staged
events away, reads again and asks the guards again. Nothing that was staged had left the process.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Protocol

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.decide.decision import Decision
from watchkeeper.engine.clock import Clock
from watchkeeper.engine.records import RunRecord
from watchkeeper.engine.scribe import Scribe
from watchkeeper.errors import Conflict, Unavailable
from watchkeeper.execute import machine
from watchkeeper.execute.machine import Run
from watchkeeper.execute.outcomes import NOTHING, Tally
from watchkeeper.execute.run import (
    ENDED,
    Asked,
    Begin,
    Child,
    Command,
    Doubt,
    End,
    Ended,
    Evaluate,
    Event,
    Expire,
    Intended,
    JournalEvent,
    Perform,
    Plan,
    Probe,
    Request,
    Sleep,
    Started,
    StepDue,
    TimedOut,
    Verify,
)
from watchkeeper.ports import Append, Commit, Committed, Put, Refused
from watchkeeper.values import Instant, ms_between

log = structlog.get_logger("watchkeeper.runner")

REREAD_MAX: Final = 20  # refused commits in a row before the run is left to the next wake-up
REREAD_PAUSE_S: Final = 0.05
IDLE_MOST_S: Final = 30.0  # a run looks at the clock at least so often, whatever it waits for
STAGED_MAX: Final = 256

encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(JournalEvent)


class Permit(Protocol):
    """The answer of the guards at one moment: `events` to stage, and the versions that they rest on."""

    @property
    def events(self) -> tuple[Event, ...]: ...

    @property
    def expects(self) -> tuple[tuple[str, int], ...]: ...


class Moments(Protocol):
    """Guards asked by the runner, and the bookkeeping that must be in the same transaction as an event."""

    def begin(self, live: "Live", command: Begin) -> Permit:
        """Guards of *start*: `Started`, or `Ended` when the proposal is to be judged afresh."""

    def step(self, live: "Live", command: Perform) -> Permit:
        """Guards of *continue* or *undo*: `Intended`, or `Held`, or `Failed` when it is denied."""

    def puts(self, live: "Live", events: Sequence[Event], after: Run) -> Commit:
        """What else must be committed with these events: entries, record, notices, releases. No appends."""

    def committed(self, live: "Live", events: Sequence[Event]) -> None:
        """Called once the events are durable."""

    async def wait_for_change(self) -> None: ...


class Performer(Protocol):
    """What goes outside. Each returns the one event that says what happened, and never raises for it."""

    def effect(self, live: "Live", command: Perform, intent: Intended) -> Coroutine[None, None, Event]: ...

    def verification(self, live: "Live", command: Verify) -> Coroutine[None, None, Event]: ...

    async def probe(self, live: "Live", command: Probe) -> Event: ...

    async def request(self, live: "Live", command: Request) -> tuple[Asked, tuple[Put, ...]]: ...


class Staged:
    """What one turn found to do: events to commit, and what may go out once they are durable."""

    __slots__ = ("doubts", "events", "expects", "launches", "run", "waiting")

    def __init__(self, run: Run, events: list[Event]) -> None:
        self.run = run  # after the events
        self.events = events
        self.expects: dict[str, int] = {}
        self.launches: list[tuple[Perform, Intended]] = []
        self.waiting: list[Verify | Probe | Request] = []
        self.doubts: list[Doubt] = []


class Begun(Struct, frozen=True, kw_only=True):
    """A run whose first turn is written by the commit that admits it. `beside` is what that turn adds to the commit."""

    live: "Live"
    staged: Staged
    beside: Commit


class Live:
    """One open run in memory: the durable state, its number, what is in flight, and its mailbox."""

    __slots__ = (
        "answered",
        "backlog",
        "decision",
        "durable",
        "in_flight",
        "look",
        "mailbox",
        "number",
        "plan",
        "record",
        "run",
        "tally",
        "task",
        "told_doubt_at",
        "wants",
    )

    def __init__(
        self,
        plan: Plan,
        run: Run,
        number: int,
        decision: Decision,
        record: RunRecord,
        answered: tuple[str, ...] = (),
        tally: Tally = NOTHING,
    ) -> None:
        self.plan = plan
        self.run = run
        self.number = number  # of the next event
        self.decision = decision
        self.record = record
        self.answered = answered  # findings that approvals answered, as `guards.finding.answer_key`
        self.mailbox: asyncio.Queue[Event | None] = asyncio.Queue()
        self.backlog: list[Event] = []  # arrived, not yet durable: survives a refused commit
        self.durable: list[tuple[Event, asyncio.Future[None]]] = []
        self.in_flight: dict[tuple[str, str, bool], asyncio.Task[None]] = {}
        self.task: asyncio.Task[None] | None = None
        self.look: object = None  # what the guards of this turn of staging have read of the world
        self.told_doubt_at: dict[str, Instant] = {}
        self.wants: tuple[Run, tuple[Command, ...]] | None = None  # what a state of the run was found to wait for
        self.tally = tally  # what its durable events say of each action and target


class Runner:
    """Drives runs. `on_end` is awaited once a run's end is durable."""

    def __init__(
        self,
        scribe: Scribe,
        clock: Clock,
        moments: Moments,
        performer: Performer,
        on_doubt: Callable[[Live, Doubt], Awaitable[None]],
        on_end: Callable[[Live], Awaitable[None]],
        on_failure: Callable[[str], None],
    ) -> None:
        self._scribe, self._clock = scribe, clock
        self._moments, self._performer = moments, performer
        self._on_doubt, self._on_end, self._on_failure = on_doubt, on_end, on_failure
        self.live: dict[str, Live] = {}

    def begin(self, live: Live, look: object = None) -> Begun | None:
        """The first turn of a run that is about to be admitted: its guards of *start* and of the first step are asked
        now, so that the run can start in the commit that admits it. None when it does not simply begin (a guard says
        no, a step is denied): then it is admitted alone, and its first turn comes after. Changes nothing.
        `look`: what was read of the world for the decision, where the guards of the start would read the same.
        """
        live.look = look
        staged = self._stage(live, live.run, [])
        live.look = None
        if not staged.events or any(type(event) not in _BEGINNING for event in staged.events):
            return None
        beside = self._moments.puts(live, staged.events, staged.run)
        appends = _appends(live, staged.events)
        expects = tuple(sorted({**dict(beside.expects), **staged.expects}.items()))
        return Begun(live=live, staged=staged, beside=replace(beside, appends=appends, expects=expects))

    def take(self, live: Live, begun: Begun | None = None) -> None:
        """Drive this run from now on. `begun`: its first turn is durable, and what it leads to goes out."""
        self.live[live.run.id] = live
        if begun is not None:
            self._stands(live, begun.staged)
        live.task = asyncio.create_task(
            self._drive(live, begun.staged if begun is not None else None), name=f"run {live.run.id}"
        )
        live.task.add_done_callback(self._failed)

    def _failed(self, task: asyncio.Task[Any]) -> None:
        """A task that broke leaves its run where it stands: the process ends, and the next one takes it up."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a run's task failed", task=task.get_name(), error=f"{type(error).__name__}: {error}")
            self._on_failure(f"{task.get_name()}: {type(error).__name__}: {error}")

    async def tell(self, run: str, event: Event) -> bool:
        """Put an event from outside (a pause, an answer, a person's word) into the run's mailbox."""
        live = self.live.get(run)
        if live is None:
            return False
        live.mailbox.put_nowait(event)
        return True

    def nudge(self, run: str) -> None:
        """Something that the run waits for may have changed: look again."""
        live = self.live.get(run)
        if live is not None:
            live.mailbox.put_nowait(None)

    async def stop(self) -> None:
        """Let go of every run where it stands. What was intended and not answered is in doubt, for the next start."""
        tasks = [live.task for live in self.live.values() if live.task is not None]
        for live in self.live.values():
            tasks.extend(live.in_flight.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.live.clear()

    async def _drive(self, live: Live, begun: Staged | None) -> None:
        refused = 0
        while live.run.status not in ENDED:
            try:
                first, begun = begun, None
                if first is not None:
                    await self._follow(live, first)
                else:
                    refused = 0 if await self._advance(live) else refused + 1
            except Conflict as conflict:
                log.warning("run reads its journal again", run=live.run.id, why=str(conflict))
                await self._reread(live)
                refused += 1
            if refused:
                await self._reread(live)
                await asyncio.sleep(REREAD_PAUSE_S if refused < REREAD_MAX else IDLE_MOST_S)
                continue
            if live.run.status not in ENDED:
                await self._wait(live)
        self.live.pop(live.run.id, None)
        under_way = tuple(live.in_flight.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(
            *under_way, return_exceptions=True
        )  # a program is seen ended before another run is let go on
        await self._on_end(live)

    async def _advance(self, live: Live) -> bool:
        """Stage all that is due, commit it, launch what it leads to. False when the commit was refused."""
        run = live.run
        live.look = None  # nothing changes the world until this turn commits: begin and step read it once
        staged: list[Event] = []
        live.backlog.extend(self._drain(live))
        for event in tuple(live.backlog):
            try:
                run = machine.advance(run, event)
            except Conflict as conflict:
                log.warning("an event came too late", run=run.id, what=type(event).__name__, why=str(conflict))
                live.backlog.remove(event)
                self._too_late(live, event, conflict)
            else:
                staged.append(event)
        found = self._stage(live, run, staged)
        if staged and not await self._commit(live, found.run, staged, found.expects, ()):
            return False
        await self._follow(live, found)
        return True

    def _stage(self, live: Live, run: Run, staged: list[Event]) -> Staged:
        """All that follows from `staged` and the time without waiting for the outside, into `staged`."""
        found = Staged(run, staged)
        moving = True
        while moving and run.status not in ENDED and len(staged) < STAGED_MAX:
            moving = False
            found.waiting.clear()
            found.doubts.clear()
            commands = machine.pending(run, self._clock.now())
            live.wants = (run, commands)
            for command in commands:
                events = self._immediate(live, run, command, found)
                if events is None:
                    match command:
                        case Verify() | Probe() | Request():
                            found.waiting.append(command)
                        case Doubt():
                            found.doubts.append(command)
                        case _:
                            pass
                    continue
                for event in events:
                    run = machine.advance(run, event)
                    staged.append(event)
                moving = True
                break
        found.run = run
        return found

    async def _follow(self, live: Live, found: Staged) -> None:
        """What was staged is durable: launch what it leads to."""
        for perform, intent in found.launches:
            self._launch(live, perform, partial(self._performer.effect, live, perform, intent))
        for command in found.waiting:
            match command:
                case Verify():
                    self._launch(live, command, partial(self._performer.verification, live, command))
                case Probe():
                    self._launch(live, command, partial(self._probe_later, live, command))
                case Request():
                    await self._request(live, command)
        for doubt in found.doubts:
            await self._on_doubt(live, doubt)

    def _immediate(
        self,
        live: Live,
        run: Run,
        command: Command,
        found: Staged,
    ) -> tuple[Event, ...] | None:
        """Events that follow without waiting for the outside; None when the command must wait for it."""
        now = self._clock.now()
        match command:
            case Begin():
                permit = self._moments.begin(live, command)
            case Evaluate():
                return (machine.evaluate(run, command, now),)
            case Perform():
                if (command.path, "perform", command.undo) in live.in_flight:
                    return None
                permit = self._moments.step(live, command)
                found.launches.extend((command, event) for event in permit.events if isinstance(event, Intended))
            case Expire(path=path, why=why):
                return (TimedOut(at=now, path=path, why=why),)
            case End():
                return (Ended(at=now, status=command.status, why=command.why, state=command.state),)
            case _:
                return None
        found.expects.update(permit.expects)
        return permit.events

    async def _commit(
        self, live: Live, after: Run, events: Sequence[Event], expects: dict[str, int], puts: Sequence[Put]
    ) -> bool:
        beside = self._moments.puts(live, events, after)
        outcome = await self._scribe.commit(
            Commit(
                at=self._clock.now(),
                expects=tuple(sorted({**dict(beside.expects), **expects}.items())),
                bumps=beside.bumps,
                puts=(*beside.puts, *puts),
                appends=_appends(live, events),
                claims=beside.claims,
                releases=beside.releases,
                voids=beside.voids,
                entries=beside.entries,
            )
        )
        match outcome:
            case Committed():
                live.run, live.number = after, live.number + len(events)
                self._settle(live, events)
                self._moments.committed(live, events)
                return True
            case Refused(what=what, key=key):
                log.info("run judges again", run=live.run.id, what=what, key=key)
                return False

    def _stands(self, live: Live, begun: Staged) -> None:
        live.run, live.number = begun.run, live.number + len(begun.events)
        self._moments.committed(live, begun.events)

    def _settle(self, live: Live, events: Sequence[Event]) -> None:
        written = {id(event) for event in events}
        live.backlog = [event for event in live.backlog if id(event) not in written]
        for event, waiter in tuple(live.durable):
            if id(event) in written and not waiter.done():
                waiter.set_result(None)
        live.durable = [(event, waiter) for event, waiter in live.durable if not waiter.done()]

    def _too_late(self, live: Live, event: Event, conflict: Conflict) -> None:
        """Whoever waits for an event that the journal will never hold hears so: a child is not started then."""
        for waiting, waiter in live.durable:
            if waiting is event and not waiter.done():
                waiter.set_exception(Unavailable(f"the run went on without it, and nothing was started: {conflict}"))
        live.durable = [(waiting, waiter) for waiting, waiter in live.durable if waiting is not event]

    async def record_child(self, live: Live, child: Child) -> None:
        """Returns once the started child is in the journal: a successor must be able to end it."""
        waiter = asyncio.get_running_loop().create_future()
        live.durable.append((child, waiter))
        live.mailbox.put_nowait(child)
        await waiter

    async def _request(self, live: Live, command: Request) -> None:
        asked, puts = await self._performer.request(live, command)
        after = machine.advance(live.run, asked)
        await self._commit(live, after, (asked,), {}, puts)

    async def _probe_later(self, live: Live, command: Probe) -> Event:
        delay_ms = ms_between(self._clock.now(), command.not_before_at)
        if delay_ms > 0:
            await asyncio.sleep(delay_ms / 1000)
        return await self._performer.probe(live, command)

    def _launch(
        self, live: Live, command: Perform | Verify | Probe, work: Callable[[], Coroutine[None, None, Event]]
    ) -> None:
        key = (command.path, type(command).__name__.lower(), getattr(command, "undo", False))
        if key in live.in_flight:
            return

        timing, stage = self._scribe.timing, _STAGES.get(type(command), "")
        if stage == "step":
            timing.goes_out(live.decision.id, self._clock.now())

        async def finish() -> None:
            began_s = asyncio.get_running_loop().time()
            event = await work()
            if stage:
                timing.since(stage, began_s, self._clock.now())
            live.mailbox.put_nowait(event)
            live.in_flight.pop(key, None)

        live.in_flight[key] = asyncio.create_task(finish(), name=f"{key[1]} {live.run.id} {command.path}")
        live.in_flight[key].add_done_callback(self._failed)

    def _drain(self, live: Live) -> list[Event]:
        found: list[Event] = []
        while not live.mailbox.empty():
            event = live.mailbox.get_nowait()
            if event is not None:
                found.append(event)
        return found

    async def _wait(self, live: Live) -> None:
        """Until an event arrives or the next deadline of the run."""
        if not live.mailbox.empty():
            return
        now = self._clock.now()
        wait_s = IDLE_MOST_S
        wants = live.wants if live.wants is not None and live.wants[0] is live.run else None
        for command in wants[1] if wants is not None else machine.pending(live.run, now):
            match command:
                case Sleep(until_at=until_at):
                    wait_s = min(wait_s, max(0.0, ms_between(now, until_at) / 1000 + 0.001))
                case Begin() | Evaluate() | End() | Expire():
                    wait_s = 0.0
                case _:
                    pass
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                event = await live.mailbox.get()
                if event is not None:
                    live.backlog.append(event)  # staging drains the mailbox behind it, in order

    async def _reread(self, live: Live) -> None:
        """The journal is the truth: rebuild the run from it."""
        bodies = await self._scribe.store.journal(live.run.id)
        live.run = machine.fold(live.plan, [decode.decode(body) for body in bodies])
        live.number = len(bodies)


_STAGES: Final[dict[type, str]] = {Perform: "step", Verify: "verification"}
_BEGINNING: Final = frozenset({Started, StepDue, Intended})


def _appends(live: Live, events: Sequence[Event]) -> tuple[Append, ...]:
    return tuple(
        [Append(run=live.run.id, number=live.number + at, body=encode(event)) for at, event in enumerate(events)]
    )
