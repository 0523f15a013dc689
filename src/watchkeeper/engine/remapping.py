"""Another catalogue: every alert is brought to its place in it."""

from msgspec.structs import replace

from watchkeeper.correlate.correlation import Correlation
from watchkeeper.correlate.track import Track
from watchkeeper.engine.intake import SignalReader
from watchkeeper.engine.mapping import mapped_of
from watchkeeper.engine.records import put
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.take_up import TakeUp
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.world import World
from watchkeeper.ports import Commit, Put


class Remapping:
    def __init__(
        self, scribe: Scribe, world: World, correlation: Correlation, witnesses: Witnesses, taken: TakeUp
    ) -> None:
        self._scribe, self._world, self._correlation = scribe, world, correlation
        self._witnesses, self._taken = witnesses, taken

    async def map_again(self) -> None:
        """Every alert is brought to its place in the new catalogue; an entity that is new is no longer unmapped."""
        reader, catalog = SignalReader(self._world), self._world.configuration.catalog
        before = tuple(self._correlation.alerts())
        alerts = [replace(alert, mapped=mapped_of(alert, reader.source(alert.source), catalog)) for alert in before]
        tracks = [track async for track in self._taken.all(Track, {})]
        for alert in before:
            self._witnesses.saw(alert, None)
        self._world.failing.clear()
        self._correlation.restart()
        self._correlation.restore(alerts, tracks)
        self._correlation.tick(self._scribe.clock.now())
        puts: list[Put] = []
        for alert in alerts:
            self._witnesses.saw(None, alert)
            if alert.entity and alert.resolved_at is None:
                self._world.failing[alert.entity].add(alert.id)
            puts.append(put(alert, incident=self._correlation.incident_id_of(alert.id) or ""))
            incident = self._correlation.incident_of(alert.id)
            if incident is not None:
                puts.append(put(incident))
        if puts:
            await self._scribe.commit(Commit(at=self._scribe.clock.now(), puts=tuple(puts)))
