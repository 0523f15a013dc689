"""The outbox: telling people, through a crash, with retries, and with no guard but redaction.

A notice becomes one message for each route that wants it, stored in the same transaction as the fact that it tells.
Only telling a person fails open: nothing waits for it, and it is tried for a day before it is given up loudly.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
import structlog

from watchkeeper.engine.action import Channel, Invocation
from watchkeeper.engine.clock import Clock
from watchkeeper.engine.records import Message, put, read
from watchkeeper.engine.routes import Routes
from watchkeeper.errors import Rejected, WatchkeeperError
from watchkeeper.ports import Commit, Put, Store
from watchkeeper.report.notices import Notice
from watchkeeper.values import Instant, after_ms, id_from, ms_between

log = structlog.get_logger("watchkeeper.outbox")

Telling = Callable[
    [Invocation, str, str, str], Awaitable[int]
]  # a runbook's own word: subject, text, severity -> routes

ATTEMPTS_MAX: Final = 40
DELAY_FIRST_MS: Final = 1_000
DELAY_MOST_MS: Final = 3_600_000
SEND_TIMEOUT_S: Final = 20.0
SENDERS_MAX: Final = 8


def delay_ms(attempts: int) -> int:
    """Before the next try: doubling from one second to an hour. No dice: a channel has one queue."""
    return min(DELAY_FIRST_MS << min(attempts, 20), DELAY_MOST_MS)


def messages(
    notice: Notice, routes: Iterable[tuple[str, str, Mapping[str, Any]]], first_at: Instant
) -> tuple[Message, ...]:
    """One message for each route (name, channel, data). The id is a function of both: telling twice tells once."""
    return tuple(
        Message(
            id=id_from("msg", notice.at, notice.id, name),
            at=notice.at,
            subject_id=next(iter(notice.ids.values()), ""),
            channel=channel,
            route={"name": name, **data},
            notice=msgspec.to_builtins(notice),
            next_at=first_at,
        )
        for name, channel, data in routes
    )


class Outbox:
    """Sends what is stored. `failing` names the channels whose last attempt did not go through, for `/readyz`."""

    def __init__(self, store: Store, clock: Clock, channels: Mapping[str, Channel]) -> None:
        self._store, self._clock, self._channels = store, clock, channels
        self._heap: list[tuple[int, str, Message]] = []
        self._more = asyncio.Event()
        self._dropped: dict[str, str] = {}
        self._slots = asyncio.Semaphore(SENDERS_MAX)
        self._sending: set[asyncio.Task[None]] = set()
        self.failing: dict[str, str] = {}
        self.routes = Routes(clock)

    async def load(self) -> None:
        """Take up what was stored and never sent."""
        after: str | None = None
        while True:
            page = await self._store.find("message", {"state": "pending"}, after=after, oldest_first=True, limit=1000)
            for row in page.items:
                self.add(read(row, Message))
            after = page.next
            if after is None:
                return

    def add(self, message: Message) -> None:
        """Call once the message is durable."""
        wait_ms = ms_between(self._clock.now(), message.next_at or message.at)
        heapq.heappush(self._heap, (self._clock.monotonic_ms() + max(0, wait_ms), message.id, message))
        self._more.set()

    def drop(self, alert: str, why: str) -> None:
        """What was to be told later about an alert is no news any more."""
        for _, _, message in self._heap:
            if message.notice.get("delayed") and message.attempts == 0 and message.notice["ids"].get("alert") == alert:
                self._dropped.setdefault(message.id, why)

    def waits_for(self) -> set[str]:
        """The alerts about which people are to be told later."""
        return {
            message.notice["ids"]["alert"]
            for _, _, message in self._heap
            if message.notice.get("delayed") and message.attempts == 0 and "alert" in message.notice["ids"]
        }

    def untell(self, decision: str, why: str) -> bool:
        """Drop what was to be told later of one decision; whether there was anything that nobody had been told yet."""
        found = [
            message
            for _, _, message in self._heap
            if message.notice.get("delayed")
            and message.attempts == 0
            and message.notice["ids"].get("decision") == decision
        ]
        self._dropped.update((message.id, why) for message in found)
        return bool(found)

    async def work(self) -> None:
        while True:
            self._more.clear()
            while self._heap and self._heap[0][0] <= self._clock.monotonic_ms():
                _, _, message = heapq.heappop(self._heap)
                wait_ms = self.routes.wait_ms(_route(message)) if message.id not in self._dropped else 0
                if wait_ms:
                    heapq.heappush(self._heap, (self._clock.monotonic_ms() + wait_ms, message.id, message))
                    continue
                await self._slots.acquire()
                task = asyncio.create_task(self._send(message), name=f"tell {message.id}")
                self._sending.add(task)
                task.add_done_callback(partial(self._sent, message))
            wait_s = 60.0
            if self._heap:
                wait_s = max(0.0, (self._heap[0][0] - self._clock.monotonic_ms()) / 1000)
            try:
                async with asyncio.timeout(wait_s):
                    await self._more.wait()
            except TimeoutError:
                continue

    def _sent(self, message: Message, task: asyncio.Task[None]) -> None:
        """What broke on the way (a disk that took no word of it) is tried again: told twice is better than never."""
        self._sending.discard(task)
        self._slots.release()
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("telling broke", message=message.id, error=f"{type(error).__name__}: {error}")
        self.routes.untried(_route(message))
        if message.attempts + 1 < ATTEMPTS_MAX:
            late = msgspec.structs.replace(message, attempts=message.attempts + 1)
            at_ms = self._clock.monotonic_ms() + delay_ms(message.attempts)
            heapq.heappush(self._heap, (at_ms, late.id, late))
            self._more.set()

    async def _send(self, message: Message) -> None:
        route = _route(message)
        notice = msgspec.convert(message.notice, Notice)
        if message.id in self._dropped:
            over = msgspec.structs.replace(message, state="dropped", why=self._dropped.pop(message.id))
            await self._store.commit(Commit(at=self._clock.now(), puts=(put(over),)))
            return
        try:
            channel = self._channels[message.channel]
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await channel.tell(notice, message.route)
        except (Rejected, KeyError) as never:
            self.routes.failed(route, str(never))
            await self._give_up(message, route, str(never))
        except (
            WatchkeeperError,
            TimeoutError,
        ) as late:  # also what may have been told, and a secret that looks altered
            why = str(late) or f"no answer in {SEND_TIMEOUT_S:.0f} s"
            self.routes.failed(route, why)
            await self._again(message, route, why)
        else:
            self.failing.pop(route, None)
            self.routes.sent(route)
            sent = msgspec.structs.replace(
                message, state="sent", attempts=message.attempts + 1, sent_at=self._clock.now(), why=""
            )
            await self._store.commit(Commit(at=self._clock.now(), puts=(put(sent),)))

    async def _again(self, message: Message, route: str, why: str) -> None:
        if message.attempts + 1 >= ATTEMPTS_MAX:
            await self._give_up(message, route, f"{ATTEMPTS_MAX} attempts; the last: {why}")
            return
        self.failing[route] = why
        now = self._clock.now()
        late = msgspec.structs.replace(
            message, attempts=message.attempts + 1, next_at=after_ms(now, delay_ms(message.attempts)), why=why
        )
        log.warning("not told yet", route=route, message=message.id, attempts=late.attempts, why=why)
        await self._store.commit(Commit(at=now, puts=(put(late),)))
        self.add(late)

    async def _give_up(self, message: Message, route: str, why: str) -> None:
        self.failing[route] = why
        lost = msgspec.structs.replace(message, state="failed", attempts=message.attempts + 1, why=why)
        log.error("a person could not be told", route=route, message=message.id, why=why)
        await self._store.commit(Commit(at=self._clock.now(), puts=(put(lost),)))


def _route(message: Message) -> str:
    return str(message.route.get("name", message.channel))


def puts(found: Iterable[Message]) -> tuple[Put, ...]:
    return tuple(put(message) for message in found)
