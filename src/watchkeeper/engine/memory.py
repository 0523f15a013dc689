"""The in-memory driver: one run on a virtual clock, its world a callback. For tests, the demo's dry runs and training.

It obeys the rules of every driver: one event at a time, committed (here: encoded and kept) before anything else; an
intent before its effect; an event that does not fit is dropped; a command under way that `pending` no longer lists is
abandoned, except an intended effect, whose outcome is always awaited.
"""

import heapq
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from watchkeeper.errors import Conflict
from watchkeeper.execute import machine
from watchkeeper.execute.recover import recover
from watchkeeper.execute.run import (
    Asked,
    Begin,
    Command,
    Doubt,
    End,
    Ended,
    Evaluate,
    Event,
    Expire,
    Held,
    Intended,
    JournalEvent,
    Opened,
    Perform,
    Plan,
    Probe,
    Probed,
    Request,
    Settled,
    Sleep,
    Started,
    TimedOut,
    Verified,
    Verify,
)
from watchkeeper.execute.state import Run
from watchkeeper.values import Instant, after_ms

ROUNDS_MAX: Final = 1_000_000  # events and looks of one run: more is a loop

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(JournalEvent)

Key = tuple[type[Command], str, bool]


class World(Protocol):
    """What is outside. Each answer comes with the milliseconds it takes; None: it never comes."""

    def permit(self, run: Run, command: Begin | Perform, now: Instant) -> Held | Ended | None:
        """The guards' "no", or None to go on."""

    def perform(self, run: Run, command: Perform, now: Instant) -> tuple[int, Event] | None: ...

    def verify(self, run: Run, command: Verify, now: Instant) -> tuple[int, Verified] | None: ...

    def probe(self, run: Run, command: Probe, now: Instant) -> tuple[int, Probed] | None: ...

    def request(self, run: Run, command: Request, now: Instant) -> tuple[Asked, tuple[int, Event] | None]:
        """The request is stored, and what a person answers."""

    def doubt(self, run: Run, command: Doubt, now: Instant) -> tuple[int, Settled] | None: ...


class Memory:
    """Mutable: the journal, the clock, and what is under way."""

    def __init__(self, plan: Plan, opened: Opened, world: World, timeout_ms: int | None = None) -> None:
        self.plan, self.world = plan, world
        self.timeout_ms = plan.runbook.timeout_ms if timeout_ms is None else timeout_ms
        self.now = opened.at
        self.run = machine.start(plan, opened)
        self.journal: list[bytes] = [_encode(opened)]
        self.dropped: list[tuple[Event, str]] = []
        self._under_way: dict[Key, int] = {}
        self._arrivals: list[tuple[Instant, int, Event, Key | None]] = []
        self._tickets = 0

    @property
    def events(self) -> list[Event]:
        return [_decode.decode(body) for body in self.journal]

    def tell(self, event: Event) -> None:
        """An event from outside, at its own time."""
        self._arrive(event.at, event, None)

    def drive(self, until: Instant | None = None) -> Run:
        """Until the run has ended, or nothing more can happen by itself, or `until`."""
        for _ in range(ROUNDS_MAX):
            if self.run.ended:
                return self.run
            if self._act():
                continue
            at = self._next_at()
            if at is None or (until is not None and at > until):
                self.now = max(self.now, until or self.now)
                return self.run
            self.now = max(self.now, at)
            self._receive()
        raise RuntimeError(f"run {self.run.id}: more than {ROUNDS_MAX} rounds")

    def crash(self, *, old_performer_dead: bool = True, keep: int | None = None) -> None:
        """Everything but the journal is lost. `keep`: of that, too, only so many events were durable."""
        if keep is not None:
            del self.journal[max(1, keep) :]
        self._under_way.clear()
        self._arrivals = [arrival for arrival in self._arrivals if arrival[3] is None]
        heapq.heapify(self._arrivals)
        self.run = machine.fold(self.plan, self.events)
        for event in recover(self.run, self.now, old_performer_dead=old_performer_dead):
            self.commit(event)

    def commit(self, event: Event) -> bool:
        """False when it does not fit: then nothing is written."""
        try:
            self.run = machine.advance(self.run, event)
        except Conflict as conflict:
            self.dropped.append((event, str(conflict)))
            return False
        self.journal.append(_encode(event))
        return True

    def _act(self) -> bool:
        """Carry out one command that is not under way. True when an event was committed."""
        commands = machine.pending(self.run, self.now)
        listed = {self._key(command) for command in commands}
        for key in [key for key in self._under_way if key not in listed and key[0] is not Perform]:
            del self._under_way[key]
        for command in commands:  # noqa: SIM110  it acts, it does not ask
            if self._key(command) not in self._under_way and self._carry_out(command):
                return True
        return False

    def _carry_out(self, command: Command) -> bool:
        now = self.now
        match command:
            case Begin():
                no = self.world.permit(self.run, command, now)
                return self.commit(no or Started(at=now, timeout_at=after_ms(now, self.timeout_ms)))
            case Evaluate():
                return self.commit(machine.evaluate(self.run, command, now))
            case Expire():
                return self.commit(TimedOut(at=now, path=command.path, why=command.why))
            case End():
                return self.commit(Ended(at=now, status=command.status, why=command.why, state=command.state))
            case Perform():
                return self._perform(command)
            case Request():
                asked, answer = self.world.request(self.run, command, now)
                if answer is not None:
                    self._arrive(after_ms(now, answer[0]), answer[1], None)
                return self.commit(asked)
            case Verify():
                self._wait_for(command, self.world.verify(self.run, command, now))
            case Probe():
                self._wait_for(command, self.world.probe(self.run, command, now))
            case Doubt():
                self._wait_for(command, self.world.doubt(self.run, command, now))
            case _:
                pass
        return False

    def _perform(self, command: Perform) -> bool:
        no = self.world.permit(self.run, command, self.now)
        if no is not None:
            return self.commit(no)
        intent = Intended(at=self.now, path=command.path, attempt=command.attempt, key=command.key, undo=command.undo)
        if not self.commit(intent):
            return False
        self._wait_for(command, self.world.perform(self.run, command, self.now))
        return True

    def _wait_for(self, command: Command, answer: tuple[int, Event] | None) -> None:
        key = self._key(command)
        self._tickets += 1
        self._under_way[key] = self._tickets
        if answer is not None:
            heapq.heappush(self._arrivals, (after_ms(self.now, answer[0]), self._tickets, answer[1], key))

    def _arrive(self, at: Instant, event: Event, key: Key | None) -> None:
        self._tickets += 1
        heapq.heappush(self._arrivals, (at, self._tickets, event, key))

    def _receive(self) -> None:
        """Take what has arrived by now; answers to what was abandoned are dropped."""
        while self._arrivals and self._arrivals[0][0] <= self.now:
            _, ticket, event, key = heapq.heappop(self._arrivals)
            if key is not None and self._under_way.get(key) != ticket:
                continue
            if key is not None:
                del self._under_way[key]
            self.commit(event)
            if key is not None or self.run.ended:
                return  # look again before the next: what it answers may be abandoned now

    def _next_at(self) -> Instant | None:
        times = [command.until_at for command in machine.pending(self.run, self.now) if isinstance(command, Sleep)]
        if self._arrivals:
            times.append(self._arrivals[0][0])
        return min(times, default=None)

    @staticmethod
    def _key(command: Command) -> Key:
        return type(command), getattr(command, "path", ""), getattr(command, "undo", False)


def journal_of(events: Iterable[Event]) -> list[Event]:
    """Events as a journal gives them back: encoded and decoded."""
    return [_decode.decode(_encode(event)) for event in events]
