"""The intake: what stands between a POST and its 2xx. One durable row a delivery, and nothing else.

Alerts are taken apart later, from the store. Under pressure the answer is *later* (503 with Retry-After), because
senders retry that and give up on everything else.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from watchkeeper.engine.handover import Handover
from watchkeeper.engine.pressure import Pressure
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.errors import Malformed, Unavailable, WatchkeeperError
from watchkeeper.ports import Commit, Committed
from watchkeeper.report.scrub import Scrubber
from watchkeeper.signals.parse import parse
from watchkeeper.signals.priority import Ranker
from watchkeeper.signals.signal import Delivery, Parsed, Source

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
HEADERS_KEPT: Final = ("content-type", "x-github-event", "x-github-delivery")


class Accepted(Struct, frozen=True, kw_only=True):
    """The delivery is durable."""

    id: str
    pending: int


class Intake:
    def __init__(self, scribe: Scribe, world: World, scrubber: Scrubber) -> None:
        self._scribe, self._world, self._scrubber = scribe, world, scrubber
        self.accepted = 0
        self.pressure = Pressure()
        self.pending = 0
        self.handover = Handover()
        self.refusal: Callable[[], str] = str  # why nothing more can be taken in; "" while it can
        self._ranker = Ranker({}, ())
        self._ranks_by = ""

    async def load(self) -> None:
        """What an earlier process accepted and did not take apart counts against the bound too."""
        self.pending = await self._scribe.store.deliveries_waiting()

    async def accept(
        self, source: str, format_: str, body: bytes, headers: Mapping[str, str] | None = None, name: str = ""
    ) -> Accepted:
        """Scrub, store, and only then answer. Raises Unavailable under pressure, Malformed for what cannot be anything."""
        if self.pending >= self._world.configuration.settings.limits.deliveries_max:
            raise Unavailable(f"{self.pending} deliveries wait to be taken apart; send it again")
        if refusal := self.refusal():
            raise Unavailable(refusal)
        if not body.strip():
            raise Malformed("", "the body is empty")
        clean = self._scrubber.bytes(body)
        now = self._scribe.clock.now()
        kept = {
            key.lower(): value
            for key, value in (headers or {}).items()
            if key.lower() in HEADERS_KEPT or key.lower().startswith("ce-")
        }
        delivery = Delivery(
            id=self._scribe.new_id("dlv", now),
            source=source,
            format=format_,
            received_at=now,
            headers={key: self._scrubber.text(value) for key, value in kept.items()},
            body=clean,
            sha256=hashlib.sha256(clean).hexdigest(),
            priority=self._rank(clean),
            name=name,
        )
        began_s = asyncio.get_running_loop().time()
        self.pending += 1
        self.pressure.came(self._scribe.clock.monotonic_ms(), len(clean))
        self.handover.comes(delivery.id)
        try:
            outcome = await self._scribe.store.commit(Commit(at=now, accepts=(delivery,)))
            if not isinstance(outcome, Committed):
                raise Unavailable(f"the delivery could not be stored: {outcome.why}")
            self.handover.add(delivery)
        except WatchkeeperError:  # it is not stored, so nobody will take it apart
            self.pending -= 1
            raise
        finally:
            self.handover.unknown(delivery.id)
        self.accepted += 1
        self._scribe.timing.since("intake", began_s, now)
        return Accepted(id=delivery.id, pending=self.pending)

    def _rank(self, body: bytes) -> int:
        """By the transactions of the active configuration."""
        configuration = self._world.configuration
        if configuration.digest != self._ranks_by:
            sources = configuration.settings.sources.values()
            labels = {label for each in sources for label in each.source.entity_from}
            self._ranker, self._ranks_by = Ranker(configuration.words, labels), configuration.digest
        return self._ranker.rank(body)


class SignalReader:
    """Reads a stored delivery by its source. A source that left the configuration is read by its name alone."""

    def __init__(self, world: World) -> None:
        self._world = world

    def source(self, name: str) -> Source:
        found = self._world.configuration.settings.sources.get(name)
        return found.source if found is not None else Source(name=name, kind="alertmanager", group=name)

    def read(self, delivery: Delivery) -> Parsed:
        found = self._world.configuration.settings.sources.get(delivery.source)
        mapping = found.mapping if found is not None else None
        return parse(delivery, self.source(delivery.source), mapping)


_syntax: Final = msgspec.json.Decoder(msgspec.Raw)


def is_json(body: bytes) -> bool:
    """Whether a body can be read at all: 4xx is answered only when it cannot (SEMANTICS 9). Skips, builds nothing."""
    try:
        _syntax.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
