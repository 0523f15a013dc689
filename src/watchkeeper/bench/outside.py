"""What is outside the node, as one process with one clock: who sends the alerts, and the target that they are about.

Run as `python -m watchkeeper.bench.outside`. The first line on stdout is the target's port; then one JSON order a
line on stdin, one JSON answer a line on stdout. The target lets each Idempotency-Key take effect once and counts
whatever comes again. Times are of CLOCK_MONOTONIC, in nanoseconds.
"""

import asyncio
import sys
from collections import deque
from datetime import UTC, datetime
from time import monotonic_ns
from typing import Final
from uuid import uuid4

import msgspec
from msgspec import Struct

from watchkeeper.bench.wire import Caller, Received, listen

DRAIN_WITHIN_S: Final = 120.0
QUIET_S: Final = 5.0  # no effect for so long: what is missing does not come any more
STARTS_AT: Final = "2026-01-01T00:00:00Z"


class Order(Struct, frozen=True, kw_only=True):
    """`paced`: `rate` posts a second whatever comes back. `window`: at most so many alerts sent and not yet acted upon.
    `posts`: each of `connections` sends the next when the last was answered, and no effect is waited for. `burst`: one about
    each service as quickly as they are answered, and back at once; `wait`: until what a burst sent has had its effects.

    `batch` alerts a post. `services` are taken in turn; one that still waits for its effect is passed over. `shape` is how
    an alert is put into a body, and `path` where it is posted: those of a peer are its own.
    """

    kind: str
    name: str
    seconds: float
    port: int
    token: str
    alert: str
    severity: str = "critical"
    services: int = 1_000
    rate: float = 0.0
    window: int = 0
    connections: int = 64
    batch: int = 1
    steps: int = 1
    warm_s: float = 0.0
    path: str = "/hooks/alertmanager"
    shape: str = "alertmanager"
    quiet_s: float = QUIET_S


class Outcome(Struct, kw_only=True):
    """`accepted_ns` and `effect_ns` of the alerts whose effect was seen, in the order of the effects. `pending` of a burst:
    accepted, and without an effect so far.
    """

    name: str
    posts: int = 0
    alerts: int = 0
    refused: int = 0
    effects: int = 0
    again: int = 0
    strays: int = 0
    missing: int = 0
    pending: int = 0
    seconds: float = 0.0
    sent_ns: list[int] = []
    accepted_ns: list[int] = []
    effect_ns: list[int] = []
    posts_per_s: float = 0.0
    alerts_per_s: float = 0.0
    effects_per_s: float = 0.0


class _Sent:
    __slots__ = ("accepted_ns", "effect_ns", "left", "sent_ns")

    def __init__(self, sent_ns: int, steps: int) -> None:
        self.sent_ns, self.accepted_ns, self.effect_ns, self.left = sent_ns, 0, 0, steps


class Target:
    """The services. `waiting`: what was sent about each and has not had all its effects."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.again = 0
        self.strays = 0
        self.waiting: dict[str, _Sent] = {}
        self.done: list[_Sent] = []
        self.seen_ns = monotonic_ns()
        self.free: asyncio.Event = asyncio.Event()

    def take(self, asked: Received) -> tuple[int, bytes]:
        now = monotonic_ns()
        service, _, step = asked.path.strip("/").partition("/")
        if service == "told":
            return 202, b"{}"
        if service == "by-body":
            service, step = str(msgspec.json.decode(asked.body)["service"]), "restart"
        if asked.key:
            if asked.key in self.keys:
                self.again += 1
                return 200, b"{}"
            self.keys.add(asked.key)
        self.seen_ns = now
        sent = self.waiting.get(service)
        if sent is None or not step:
            self.strays += 1
            return 200, b"{}"
        sent.effect_ns = sent.effect_ns or now
        sent.left -= 1
        if sent.left == 0:
            del self.waiting[service]
            self.done.append(sent)
            self.free.set()
        return 200, b"{}"


class Sender:
    """Alerts, each of its own: a name of its own makes each one an episode."""

    def __init__(self, order: Order, target: Target) -> None:
        self._order, self._target = order, target
        self._services: deque[str] = deque(f"svc-{number}" for number in range(order.services))
        self._callers = [Caller("127.0.0.1", order.port, order.path, order.token) for _ in range(order.connections)]
        self._idle: asyncio.Queue[Caller] = asyncio.Queue()
        self._number = 0
        self._counts_effects = order.kind != "posts"
        self.outcome = Outcome(name=order.name)

    async def run(self) -> Outcome:
        order, target = self._order, self._target
        if order.kind == "wait":
            began_ns = monotonic_ns()
            await self._drained()
            return self._summed(began_ns, monotonic_ns())
        if self._counts_effects:
            target.done.clear()
            target.again = target.strays = 0
        for caller in self._callers:
            await caller.connect()
            self._idle.put_nowait(caller)
        began_ns = monotonic_ns()
        end_ns = began_ns + int(order.seconds * 1e9)
        match order.kind:
            case "paced":
                await self._paced(began_ns, end_ns)
            case "window":
                await self._window(end_ns)
            case "burst":
                await asyncio.gather(*(self._burst(caller) for caller in self._callers))
            case _:
                await asyncio.gather(*(self._posts(caller, end_ns) for caller in self._callers))
        sent_all_ns = monotonic_ns()
        if self._counts_effects and order.kind != "burst":
            await self._drained()
        for caller in self._callers:
            caller.close()
        return self._summed(began_ns, sent_all_ns)

    async def _paced(self, began_ns: int, end_ns: int) -> None:
        gap_ns = int(1e9 / self._order.rate)
        due_ns = began_ns
        async with asyncio.TaskGroup() as under_way:
            while due_ns < end_ns:
                wait_ns = due_ns - monotonic_ns()
                if wait_ns > 0:
                    await asyncio.sleep(wait_ns / 1e9)
                caller = await self._idle.get()
                under_way.create_task(self._post(caller))
                due_ns += gap_ns

    async def _window(self, end_ns: int) -> None:
        async with asyncio.TaskGroup() as under_way:
            while monotonic_ns() < end_ns:
                if len(self._target.waiting) + self._order.batch > self._order.window:
                    self._target.free.clear()
                    await asyncio.wait({asyncio.ensure_future(self._target.free.wait())}, timeout=1.0)
                    continue
                caller = await self._idle.get()
                under_way.create_task(self._post(caller, self._take()))

    async def _burst(self, caller: Caller) -> None:
        while self._services:
            service = self._services.popleft()
            sent = self._target.waiting[service] = _Sent(monotonic_ns(), self._order.steps)
            if await self._send(caller, [service]):
                sent.accepted_ns = monotonic_ns()
            else:
                self._target.waiting.pop(service, None)

    async def _posts(self, caller: Caller, end_ns: int) -> None:
        while monotonic_ns() < end_ns:
            named = [self._services[place % len(self._services)] for place in range(self._order.batch)]
            self._services.rotate(-self._order.batch)
            await self._send(caller, named)

    async def _post(self, caller: Caller, taken: list[tuple[str, _Sent]] | None = None) -> None:
        taken = taken if taken is not None else self._take()
        if not taken:  # every service waits for its effect
            self._idle.put_nowait(caller)
            return
        accepted = await self._send(caller, [service for service, _ in taken])
        self._idle.put_nowait(caller)
        now = monotonic_ns()
        for service, sent in taken:
            if accepted:
                sent.accepted_ns = now
            else:
                self._target.waiting.pop(service, None)

    def _take(self) -> list[tuple[str, _Sent]]:
        found: list[tuple[str, _Sent]] = []
        now = monotonic_ns()
        for _ in range(len(self._services)):
            service = self._services[0]
            self._services.rotate(-1)
            if service not in self._target.waiting:
                sent = self._target.waiting[service] = _Sent(now, self._order.steps)
                found.append((service, sent))
                if len(found) == self._order.batch:
                    break
        return found

    async def _send(self, caller: Caller, services: list[str]) -> bool:
        status = await caller.post(self._body(services))
        outcome = self.outcome
        outcome.posts += 1
        if 200 <= status < 300:
            outcome.alerts += len(services)
            return True
        outcome.refused += 1
        return False

    def _body(self, services: list[str]) -> bytes:
        order = self._order
        if order.shape == "prefect":
            return self._events(services)
        alerts: list[str] = []
        for service in services:
            self._number += 1
            number = f"{order.name}-{self._number}"
            alerts.append(
                f'{{"status":"firing","labels":{{"alertname":"{order.alert}","service":"{service}","number":"{number}",'
                f'"severity":"{order.severity}"}},"annotations":{{"summary":"{service} does not answer"}},'
                f'"startsAt":"{STARTS_AT}","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus/graph",'
                f'"fingerprint":"{abs(hash(number)):016x}"}}'
            )
        return (
            '{"version":"4","groupKey":"{}:{}","truncatedAlerts":0,"status":"firing","receiver":"watchkeeper",'
            '"groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://alertmanager",'
            f'"alerts":[{",".join(alerts)}]}}'
        ).encode()

    def _events(self, services: list[str]) -> bytes:
        found = [
            {
                "id": str(uuid4()),
                "occurred": datetime.now(UTC),
                "event": "bench.alert",
                "resource": {"prefect.resource.id": f"bench.{service}"},
                "payload": {"service": service},
            }
            for service in services
        ]
        return msgspec.json.encode(found)

    async def _drained(self) -> None:
        target = self._target
        target.seen_ns = monotonic_ns()
        end_ns = monotonic_ns() + int(DRAIN_WITHIN_S * 1e9)
        while target.waiting and min(end_ns, target.seen_ns + int(self._order.quiet_s * 1e9)) > monotonic_ns():  # noqa: ASYNC110  a silence is waited for
            await asyncio.sleep(0.05)

    def _summed(self, began_ns: int, sent_all_ns: int) -> Outcome:
        found, target, order = self.outcome, self._target, self._order
        found.seconds = (sent_all_ns - began_ns) / 1e9
        found.posts_per_s = found.posts / found.seconds
        found.alerts_per_s = found.alerts / found.seconds
        found.pending = len(target.waiting) if order.kind == "burst" else 0
        if not self._counts_effects or order.kind == "burst":
            return found
        found.again, found.strays, found.missing = target.again, target.strays, len(target.waiting)
        target.waiting.clear()
        found.effects = len(target.done)
        from_ns, until_ns = began_ns + int(order.warm_s * 1e9), began_ns + int(order.seconds * 1e9)
        within = sum(1 for sent in target.done if from_ns <= sent.effect_ns < until_ns)
        found.effects_per_s = within / ((until_ns - from_ns) / 1e9)
        kept = [sent for sent in target.done if sent.effect_ns >= from_ns]
        found.sent_ns = [sent.sent_ns for sent in kept]
        found.accepted_ns = [sent.accepted_ns for sent in kept]
        found.effect_ns = [sent.effect_ns for sent in kept]
        return found


async def _main() -> None:
    target = Target()
    server, port = await listen(target.take)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    loop = asyncio.get_running_loop()
    decode, encode = msgspec.json.Decoder(list[Order]).decode, msgspec.json.Encoder().encode
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        outcomes = await asyncio.gather(*(Sender(order, target).run() for order in decode(line)))
        sys.stdout.buffer.write(encode(outcomes) + b"\n")
        sys.stdout.buffer.flush()
    server.close()


def main() -> int:
    from gc import disable

    disable()  # a pause of ours would be read as one of the node's
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main())
        return 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main())
    return 0


if __name__ == "__main__":
    sys.exit(main())
