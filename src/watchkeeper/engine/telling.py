"""What people are told: notices become messages by the routes, stored with what they are about, and then sent."""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from watchkeeper.engine.outbox import Outbox, messages
from watchkeeper.engine.records import Message, put
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.sequencer import Sequencer
from watchkeeper.engine.world import World
from watchkeeper.home.settings import routes_for
from watchkeeper.ports import Commit, Put
from watchkeeper.report.notices import Notice
from watchkeeper.values import after_ms


class Telling:
    def __init__(self, scribe: Scribe, world: World, outbox: Outbox, sequencer: Sequencer) -> None:
        self._scribe, self._world, self._outbox, self._sequencer = scribe, world, outbox, sequencer

    def notices(self, found: Iterable[Notice], only: str = "") -> tuple[Put, ...]:
        settings = self._world.configuration.settings.notify
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
            full = replace(notice, checkpoint=self._sequencer.checkpoint)
            ways = [(route.name, route.channel, route.data()) for route in routes]
            stored.extend(put(message) for message in messages(full, ways, first_at))
        return tuple(stored)

    def told(self, puts: Iterable[Put]) -> None:
        for each in puts:
            if each.kind == "message":
                self._outbox.add(msgspec.json.decode(each.body, type=Message))

    async def tell(self, notice: Notice, only: str = "") -> int:
        """Store a notice and send it; the number of routes that carry it. `only` names one, whatever it matches."""
        stored = self.notices((notice,), only)
        if stored:
            await self._scribe.commit(Commit(at=self._scribe.clock.now(), puts=stored))
            self.told(stored)
        return len(stored)
