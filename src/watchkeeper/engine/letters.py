"""Dead letters: what could not be read, taken apart again once what was wrong is mended."""

from watchkeeper.approve.people import Actor
from watchkeeper.engine.answer import No, changed, missing
from watchkeeper.engine.intake import SignalReader
from watchkeeper.engine.pipeline import Pipeline
from watchkeeper.engine.records import put, read
from watchkeeper.engine.retention import gone
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.ledger.entry import Kind as EntryKind
from watchkeeper.ports import Commit
from watchkeeper.signals.signal import DeadLetter, Kind


class Letters:
    def __init__(self, scribe: Scribe, world: World, pipeline: Pipeline) -> None:
        self._scribe, self._world, self._pipeline = scribe, world, pipeline

    async def replay(self, identity: str, actor: Actor) -> str | No:
        """Take a dead letter's delivery apart again, after what was wrong was mended."""
        row = await self._scribe.store.get("dead_letter", identity)
        if row is None:
            return missing("dead-letter", identity)
        letter = read(row, DeadLetter)
        delivery = await self._scribe.store.delivery(letter.delivery)
        if delivery is None:
            was = await gone(self._scribe.store, "delivery", letter.delivery)
            return changed(f"delivery {letter.delivery} is no longer kept{f': {was}' if was else ''}")
        parsed = SignalReader(self._world).read(delivery)
        if any(each.path == letter.path for each in parsed.dead):
            still = next(each for each in parsed.dead if each.path == letter.path)
            return changed(f"it still cannot be read: {still.path}: {still.why}")
        await self._pipeline.say([signal for signal in parsed.signals if signal.kind is Kind.ALERT])
        entry = self._scribe.entry(
            EntryKind.DEAD_LETTER_REPLAYED, {"letter": identity, "delivery": delivery.id}, actor=actor.name
        )
        await self._scribe.commit(
            Commit(at=self._scribe.clock.now(), puts=(put(letter, state="replayed"),), entries=(entry,))
        )
        return delivery.id
