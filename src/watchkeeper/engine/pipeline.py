"""The pipeline: deliveries to signals to alerts and incidents to decisions, read from the top down.

    take     deliveries that were accepted and not taken apart, most urgent first
    parse    bytes -> signals and dead letters
    relate   signals -> alerts, incidents, and what merged
    keep     one commit a delivery: all of that, and the delivery is taken; a piece is kept while the next is related
    line up  each alert that changed, that is due again by time, or that somebody wants judged
    judge    the most urgent of them, a few at a time, so that what comes meanwhile is seen

Who is first is said by `signals.turn`: by severity, then by business transaction, and what has waited longest has its
share. In a storm what was not taken apart stays in the store, and only what is taken apart lies in memory. After each piece
of either work the pipeline looks whether something more urgent came meanwhile, so a fresh critical alert waits for one
piece and a few judgements, however much there is.

Nothing here waits for an effect. A crash between *keep* and *judge* costs nothing: what is due to be judged follows
from the alerts and the last decisions, so it is worked out again at start.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import structlog

from watchkeeper.correlate.alert import Alert
from watchkeeper.correlate.correlation import Correlation
from watchkeeper.engine.handover import pieces as in_pieces
from watchkeeper.engine.intake import Intake, SignalReader
from watchkeeper.engine.judge import Judge
from watchkeeper.engine.line import Line
from watchkeeper.engine.pressure import LESSER_PAUSE_S, only_lesser, urgent_first, weight
from watchkeeper.engine.relating import Related, Relating
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.world import World
from watchkeeper.errors import Rejected, WatchkeeperError
from watchkeeper.ports import Committed, Refused
from watchkeeper.signals.signal import Delivery, Parsed, Signal
from watchkeeper.signals.turn import AGED_EVERY, Waiting, in_turn, is_aged
from watchkeeper.values import Instant, after_ms, ms_between

log = structlog.get_logger("watchkeeper.pipeline")

BATCH_MAX: Final = 64
OVERTAKES_MAX: Final = 16  # pieces that go before a batch of the line, before others have the pipeline's turn
BESIDE_MAX: Final = 8  # deliveries that are read at a time while alerts stand in line
JUDGED_AT_A_STRETCH: Final = 4  # alerts between two looks
IN_FLIGHT_MAX: Final = 16  # alerts under judgement, their commits on the way to the disk
LINE_MAX: Final = 4_096  # alerts that wait to be judged; from then on one piece a turn is taken apart
FAILURES_MAX: Final = 3  # of the pipeline on one delivery, before it becomes a dead letter (SEMANTICS 8)
IDLE_S: Final = 0.5
FORGET_AFTER_MS: Final = 86_400_000


class Pipeline:
    """Whoever changes the correlation or judges by it has the `turn`: the task (`work`), own signals, another catalogue."""

    def __init__(
        self,
        scribe: Scribe,
        world: World,
        correlation: Correlation,
        witnesses: Witnesses,
        reader: SignalReader,
        judge: Judge,
        intake: Intake,
    ) -> None:
        self._scribe, self._world, self._correlation, self._witnesses = scribe, world, correlation, witnesses
        self._reader, self._judge, self._intake = reader, judge, intake
        self.relating = Relating(scribe, world, correlation, witnesses, reader)
        self.on_said: Callable[[Delivery, Parsed], Awaitable[Parsed]] = _passed_over
        self.turn = asyncio.Lock()
        self._more = asyncio.Event()
        self._urgent = asyncio.Event()
        self._failures: dict[str, int] = {}
        self._due: list[tuple[Instant, str]] = []
        self._line = Line()
        self._why: dict[str, tuple[str, str]] = {}  # of those in the line that somebody or something asked for
        self._given = 0  # places of deliveries, for the share of those that wait longest
        self.taken = 0
        self.behind = 0

    def nudge(self) -> None:
        """A delivery was accepted."""
        self._more.set()
        if len(self._intake.handover):
            self._urgent.set()

    def again(self, alert: str, at: Instant) -> None:
        """Judge this alert again at that time (`for:`, a settle window, a hold's wake-up)."""
        heapq.heappush(self._due, (at, alert))
        self._more.set()

    def now(self, alert: str, because: str, asked_by: str = "") -> None:
        """Judge this alert again in its turn, and say why. `asked_by` is a person who wants it judged."""
        self._line_up(alert, because, asked_by)
        self._more.set()

    @property
    def in_line(self) -> int:
        """Alerts that wait to be judged."""
        return len(self._line)

    @property
    def due_at(self) -> Instant | None:
        """When something falls due by itself; now, where it stands in the line; None when nothing waits."""
        if len(self._line):
            return self._scribe.clock.now()
        return self._due[0][0] if self._due else None

    def room_for(self, alerts: Sequence[str]) -> None:
        """A run's place is free, and these have had their turn for it: they are judged in this order, before the others."""
        for place, alert in enumerate(alerts):
            self._line_up(alert, "there is room", rank=place - len(alerts))
        self._more.set()

    def _line_up(
        self,
        identity: str,
        because: str = "",
        asked_by: str = "",
        rank: int | None = None,
        since_at: Instant | None = None,
    ) -> None:
        """What is over goes first: nothing is decided of it, and what waited for it is let go. `since_at`: when there came
        to be a reason, where that was not now.
        """
        alert = self._correlation.alert(identity)
        if alert is None:
            return
        if because or asked_by:
            self._why[identity] = (because, asked_by)
        if rank is None:
            rank = 0 if alert.resolved_at is not None else self._world.rank(alert)
        now = self._scribe.clock.now()
        self._scribe.timing.came(identity, since_at or now)
        self._line.add(identity, rank, now)

    async def work(self) -> None:
        while True:
            self._more.clear()
            async with self.turn:
                deliveries = await self._next()
                self.behind = len(deliveries)
                pressed = self._intake.pressure.high(self._scribe.clock.monotonic_ms())
                if pressed:
                    deliveries = urgent_first(deliveries, self._scribe.clock.now())
                if deliveries:
                    await self._take(deliveries)
                await self._stale()
                self._line_up_due()
                await self._judge_next()
            if not deliveries and not len(self._line):
                await self._rest()
            elif pressed and only_lesser(deliveries) and not len(self._line):
                await self._pause()

    async def _pause(self) -> None:
        """A little rest from what is less urgent, unless something urgent comes."""
        try:
            async with asyncio.timeout(LESSER_PAUSE_S):
                await self._urgent.wait()
        except TimeoutError:
            return

    async def _next(self) -> tuple[Delivery, ...]:
        """The most urgent ones. When more wait than are taken, those that wait too long have their share."""
        most = BESIDE_MAX if len(self._line) else BATCH_MAX
        self._urgent.clear()
        handover = self._intake.handover
        if not handover.in_store:
            return handover.take()
        handover.in_store = False  # what comes meanwhile says otherwise
        found = await self._scribe.store.deliveries(most)
        for each in found:
            handover.in_store = True  # perhaps not all of it is taken now
            handover.discard(each.id)
        if len(found) < most:
            return found
        self._given += len(found)
        aged = await self._scribe.store.longest_waiting(max(1, most // AGED_EVERY))
        for each in aged:
            handover.discard(each.id)
        now = self._scribe.clock.now()
        if not any(is_aged(_waiting(each), now) for each in aged):
            return found
        both = {each.id: each for each in (*found, *aged)}
        waiting = [_waiting(each, number) for number, each in enumerate(both.values())]
        order = in_turn(waiting, now, self._given - len(found))
        return tuple(both[each.id] for each in order[:most])

    async def _judge_next(self) -> None:
        """A batch of the line. What comes meanwhile and is more urgent than all that stands there is judged before it."""
        left, overtakes = BATCH_MAX, 0
        while left > 0 and len(self._line):
            if overtakes < OVERTAKES_MAX and self._more_urgent_came():
                overtakes += 1
                await self._overtake()
            else:
                left = await self._judge_some(left)

    async def _judge_some(self, left: int) -> int:
        """Of the line, a few at a time, until something more urgent came; says how many are left to judge. Each is judged
        once, as it now stands. Those that can meet in a decision take turns; the commits of the others are in flight
        together, so that the disk is waited for once. Each decision is submitted without waiting for another, so
        admissions keep the order of the alerts whatever they claim. When it returns none is in flight.
        """
        lanes: dict[str, deque[_Called]] = {}
        tasks: list[asyncio.Task[None]] = []
        room = asyncio.Semaphore(IN_FLIGHT_MAX)
        try:
            while left > 0 and len(self._line):
                stretch = self._called(self._line.take(min(left, JUDGED_AT_A_STRETCH), self._scribe.clock.now()))
                left -= JUDGED_AT_A_STRETCH
                if len(stretch) == 1 and not tasks and not len(self._line):  # the usual, which needs no task of its own
                    await self._in_turn(deque(stretch))
                    break
                for each in stretch:
                    lane = lanes.setdefault(self._lane(each[0]), deque())
                    lane.append(each)
                    if len(lane) == 1:
                        await room.acquire()
                        tasks.append(asyncio.create_task(self._in_turn(lane, room)))
                await asyncio.sleep(0)  # they are judged and on their way to the disk; posts and effects have the loop
                if self._more_urgent_came():
                    break
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return left

    def _called(self, identities: Iterable[str]) -> "list[_Called]":
        found: list[_Called] = []
        for identity in identities:
            because, asked_by = self._why.pop(identity, ("", ""))
            if (alert := self._correlation.alert(identity)) is not None:
                found.append((alert, because, asked_by))
            else:
                self._scribe.timing.judged(identity)
        return found

    async def _rest(self) -> None:
        wait_s = IDLE_S
        if self._due:
            wait_s = min(wait_s, max(0.0, ms_between(self._scribe.clock.now(), self._due[0][0]) / 1000))
        try:
            async with asyncio.timeout(wait_s):
                await self._more.wait()
        except TimeoutError:
            return

    async def _take(self, deliveries: Sequence[Delivery]) -> None:
        """Piece by piece: while one is on its way to the disk the next is related. One, and then more as long as nothing
        more urgent than the next has come or stands in line.
        """
        pieces = list(in_pieces(deliveries))
        if len(pieces) == 1 and not len(self._line):  # the usual
            await self._at_once(deliveries, self._from_the_line)
            return
        writing: _Writing = []
        before = deliveries[0].priority
        try:
            for number, piece in enumerate(pieces):
                if piece[0].priority != before:  # what is more urgent is judged before more is taken apart
                    writing = await self._all_kept(writing)
                if self._intake.handover.goes_before(piece[0].priority, weight(len(piece[0].body))):
                    await self._overtake()
                if number and self._is_enough(piece[0].priority):
                    break
                related = await self._relate_each(piece)
                last: _Writing = [(each, asyncio.ensure_future(self._written(each))) for each in related]
                await asyncio.sleep(0)  # it is on its way; posts and effects have the loop
                await self._all_kept(writing)
                writing, before = last, piece[0].priority
            writing = await self._all_kept(writing)
        finally:
            for _, outcome in writing:
                outcome.cancel()

    async def _written(self, related: Related) -> Committed | Refused:
        """What no commit holds becomes a dead letter, and nothing is decided of it: it would end every process that reads it.
        What is known of its alerts by now is stored when they are heard of next.
        """
        try:
            return await self._scribe.commit(related.commit)
        except Rejected as unfit:
            log.warning("no commit holds what a delivery says", delivery=related.delivery.id, why=str(unfit))
            related.changed.clear()
            instead = await self.relating.unread(related.delivery, str(unfit))
            return await self._scribe.commit(instead.commit)

    async def _all_kept(self, writing: "_Writing") -> "_Writing":
        """Returns the empty list that is left of it."""
        for each, outcome in writing:
            self._kept(each, await outcome)
        return []

    async def _overtake(self) -> None:
        """One piece of the most urgent that was handed over is taken apart and judged, whatever else is under way."""
        await self._at_once(self._intake.handover.take(), self._before_the_line)

    async def _at_once(self, deliveries: Sequence[Delivery], judge: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        """Takes apart and judges without waiting for the disk in between. The store writes in the order in which it is asked,
        so no decision is durable without the alert that it is about, and nothing goes out before both are.
        """
        related = await self._relate_each(deliveries)
        writing: _Writing = [(each, asyncio.ensure_future(self._written(each))) for each in related]
        try:
            await asyncio.sleep(0)  # the store has been asked
            for _, outcome in writing:
                if outcome.done():
                    outcome.result()  # a store that fails ends this here, before anything is decided
            for each in related:
                self._scribe.foresee(each.commit)
                for identity in each.changed:
                    self._line_up(identity, since_at=each.delivery.received_at)
            await judge([identity for each in related for identity in each.changed])
            for each, outcome in writing:
                self._durable(each, await outcome)
        finally:
            for _, outcome in writing:
                outcome.cancel()

    async def _from_the_line(self, identities: Sequence[str]) -> None:
        await self._judge_some(len(identities))

    async def _before_the_line(self, identities: Sequence[str]) -> None:
        for identity in identities:
            self._line.discard(identity)
        lanes: dict[str, deque[_Called]] = {}
        for called in self._called(identities):
            lanes.setdefault(self._lane(called[0]), deque()).append(called)
        if len(lanes) == 1:  # the usual: now, and not a pass of the loop later
            await self._in_turn(next(iter(lanes.values())))
        else:
            await asyncio.gather(*(self._in_turn(lane) for lane in lanes.values()))

    async def _relate_each(self, deliveries: Iterable[Delivery]) -> list[Related]:
        found: list[Related] = []
        for delivery in deliveries:
            try:
                parsed = self._reader.read(delivery)
                if parsed.changes or parsed.acknowledgements:
                    parsed = await self.on_said(delivery, parsed)
                related = await self.relating.relate(delivery, parsed)
            except WatchkeeperError as unread:
                related = await self.relating.unread(delivery, str(unread))
            except Exception as broken:  # the edge
                # One delivery that breaks the pipeline must not stop the intake of all others.
                log.exception("a delivery broke the pipeline", delivery=delivery.id)
                self._failures[delivery.id] = self._failures.get(delivery.id, 0) + 1
                if self._failures[delivery.id] < FAILURES_MAX:
                    self._intake.handover.in_store = True  # it stays there, and is tried again
                    continue
                why = f"it broke the pipeline {FAILURES_MAX} times: {type(broken).__name__}: {broken}"
                related = await self.relating.unread(delivery, why)
            found.append(related)
        return found

    def _kept(self, related: Related, outcome: Committed | Refused) -> None:
        self._durable(related, outcome)
        for identity in related.changed:
            self._line_up(identity, since_at=related.delivery.received_at)

    def _durable(self, related: Related, outcome: Committed | Refused) -> None:
        delivery = related.delivery
        if not isinstance(outcome, Committed):
            # Only this task takes deliveries, so a refusal means that two workers share one store.
            raise SystemExit(f"watchkeeper: delivery {delivery.id} was taken by another process: {outcome.why}")
        self._failures.pop(delivery.id, None)
        self.taken += 1
        self._intake.pending = max(0, self._intake.pending - 1)
        self._wake(related.commit.bumps)

    def _is_enough(self, rank: int) -> bool:
        """Of taking apart, when the next has that rank: what stands in line is judged first."""
        best, length = self._line.best(), len(self._line)
        return best is not None and (best < rank or length >= LINE_MAX)

    def _more_urgent_came(self) -> bool:
        """Than any that stands in line."""
        best = self._line.best()
        return best is not None and self._intake.handover.goes_before(best)

    async def _in_turn(self, lane: "deque[_Called]", room: asyncio.Semaphore | None = None) -> None:
        try:
            while lane:
                alert, because, asked_by = lane[0]
                now = self._scribe.clock.now()
                self._scribe.timing.turn(alert.id, now)
                await self._judge.alert(alert, now, because=because, asked_by=asked_by)
                self._scribe.timing.judged(alert.id)
                lane.popleft()
        finally:
            if room is not None:
                room.release()

    def _lane(self, alert: Alert) -> str:
        """Alerts of one incident where a rule may decide for incidents; else those of one entity, so that the second
        finds the target taken.
        """
        incident = self._correlation.incident_id_of(alert.id) if self._world.configuration.rulebook.per_incident else ""
        return incident or alert.entity or alert.id

    def _wake(self, keys: Iterable[str]) -> None:
        """What was held for one of these is judged afresh."""
        for key in keys:
            for alert in self._world.concerned(key):
                self.now(alert, f"{key} changed")

    async def by_time(self) -> None:
        """Judge all that is due again or in the line, and mark what was not seen for too long as stale."""
        await self._stale()
        self._line_up_due()
        while len(self._line):
            await self._judge_next()

    async def _stale(self) -> None:
        now = self._scribe.clock.now()
        for alert in self._correlation.tick(now):
            await self._scribe.commit(self.relating.stale(alert))
            await self._judge.alert(alert, now)

    def _line_up_due(self) -> None:
        now = self._scribe.clock.now()
        while self._due and self._due[0][0] <= now:
            due_at, identity = heapq.heappop(self._due)
            self._line_up(identity, since_at=due_at)

    async def rejudge_all(self, because: str) -> None:
        """Every alert that fires: after a start, and after another configuration became active."""
        async with self.turn:
            now = self._scribe.clock.now()
            for alert in sorted(self._correlation.alerts(), key=self._world.rank):
                if alert.resolved_at is None:
                    await self._judge.alert(alert, now, because=because)

    def forget(self) -> None:
        """Let go of incidents that ended a day ago; they stay in the store."""
        for alert in self._correlation.forget(after_ms(self._scribe.clock.now(), -FORGET_AFTER_MS)):
            self._world.forget(alert)
            self._witnesses.forget(alert)

    async def say(self, signals: Iterable[Signal]) -> None:
        """Signals of our own making (a probe's, a missed heartbeat's): kept and judged like those of a delivery."""
        async with self.turn:
            await self._say(signals)

    async def _say(self, signals: Iterable[Signal]) -> None:
        commit, changed = self.relating.own(signals)
        if commit is not None:
            await self._scribe.commit(commit)
            self._wake(commit.bumps)
            for alert in changed.values():
                await self._judge.alert(alert, commit.at)


_Called = tuple[Alert, str, str]  # before the judge: the alert, why, and who asked
_Writing = list[tuple[Related, asyncio.Future[Committed | Refused]]]  # on the way to the disk


def _waiting(delivery: Delivery, number: int = 0) -> Waiting:
    return Waiting(id=delivery.id, rank=delivery.priority, since_at=delivery.received_at, number=number)


async def _passed_over(_delivery: Delivery, parsed: Parsed) -> Parsed:
    return parsed
