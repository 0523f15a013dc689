"""Recorders: what the event recorders of Alertmanagers said, kept so that a restart forgets none of it.

In: the `Recorded` of each delivery. Out: documents for the commit that takes the delivery, and which alerts it was about;
what of it stands at a time. What it says binds before it is durable, like a hold. A recorder is best effort: it drops what
it cannot get rid of, so what it leaves out proves something only after a while (`correlate.muted`).
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final

import structlog
from msgspec import Struct

from watchkeeper.correlate.muted import LOST_TIMES, Muted, Reason, believed, let_go, muted, newer, standing
from watchkeeper.engine.records import RecorderRecord, SilenceRecord, put
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.home.settings import DEFAULT_SOURCE, SourceSettings
from watchkeeper.ports import Commit, Drop, Put
from watchkeeper.signals.recorded import Because, Recorded, Silence
from watchkeeper.values import Instant, ms_between

log = structlog.get_logger("watchkeeper.recorder")

MUTED_MAX: Final = 20_000  # alerts of one source; past it a new one is not kept, and the source's line says so
SILENCES_MAX: Final = 20_000  # of one source
KEPT_AFTER_MS: Final = 86_400_000  # what is over stays so long, so that a late word changes nothing
LETTING_KEPT_MS: Final = 900_000  # so long it is known, in memory, that an alert resolved which nothing kept back
OTHER_TYPES_MAX: Final = 20  # types of event that nobody here knows, by name
SWEEP_EVERY_MS: Final = 60_000
SPENT_MAX: Final = 100_000  # deliveries that hold nothing more, until the next sweep; past it retention takes them
OTHER: Final = "other"
USED: Final = frozenset(
    {
        *("silenceMutedAlert", "inhibitionMutedAlert", "silenceCreated", "silenceUpdated"),
        *("alertResolved", "notification"),
    }
)
PASSED_OVER: Final = frozenset(
    {"alertmanagerStartupEvent", "alertmanagerShutdownEvent", "alertCreated", "alertGrouped"}
)

Documents = Callable[[type[Any], Mapping[str, Any]], AsyncIterator[Any]]


class Said(Struct, frozen=True, kw_only=True):
    """What a delivery changed: the documents to keep, and the fingerprints it was about, also by their silences."""

    puts: tuple[Put, ...]
    fingerprints: tuple[str, ...]


class _Source:
    def __init__(self) -> None:
        self.muted: dict[str, Muted] = {}
        self.silences: dict[str, Silence] = {}
        self.silenced: dict[str, set[str]] = {}  # silence -> fingerprints that it was said to keep back
        self.told = 0
        self.at: Instant | None = None
        self.heard_at: Instant | None = None
        self.events: Counter[str] = Counter()
        self.other: dict[str, None] = {}
        self.not_kept = 0
        self.full = False  # until the next sweep
        self.distrusted = 0


class Recorders:
    def __init__(self, scribe: Scribe, world: World) -> None:
        self._scribe, self._world = scribe, world
        self._sources: dict[str, _Source] = {}
        self._swept_ms: int | None = None
        self._spent: dict[str, Instant] = {}

    async def load(self, documents: Documents) -> None:
        async for found in documents(RecorderRecord, {}):
            source = self._of(found.id)
            source.at, source.heard_at = found.at, found.heard_at
        async for found in documents(Muted, {}):
            self._of(found.source).muted[found.fingerprint] = found
            _index(self._of(found.source), found)
        async for found in documents(SilenceRecord, {}):
            self._of(found.source).silences[found.silence.id] = found.silence

    def take(self, name: str, recorded: Recorded, received_at: Instant) -> Said:
        """Every word of a delivery. Taken twice, or in another order, it comes to the same."""
        source = self._of(name)
        self._count(source, name, recorded.events)
        puts: list[Put] = []
        told = [each for each in recorded.silences if self._told(source, each)]
        source.told += len(told)
        for silence_id in dict.fromkeys(each.id for each in told):
            identity = f"{name}/{silence_id}"
            puts.append(put(SilenceRecord(id=identity, source=name, silence=source.silences[silence_id])))
        before = dict[str, Muted | None]()
        for muting in recorded.mutings:
            if (found := self._alert(source, name, muting.fingerprint)) is not None:
                before.setdefault(muting.fingerprint, source.muted.get(muting.fingerprint))
                source.distrusted += not believed(muting.at, muting.received_at)
                source.muted[muting.fingerprint] = muted(found, muting)
                _index(source, source.muted[muting.fingerprint])
        for letting in recorded.lettings:
            # Also of an alert that nothing is known to keep back: the word that something did may be on its way.
            if (found := self._alert(source, name, letting.fingerprint)) is not None:
                before.setdefault(letting.fingerprint, source.muted.get(letting.fingerprint))
                source.distrusted += not believed(letting.at, letting.received_at)
                source.muted[letting.fingerprint] = let_go(found, letting)
        after = [(source.muted.get(each), was) for each, was in before.items()]  # some may have made room for others
        puts.extend(put(found) for found, was in after if found is not None and found != was and found.reasons)
        record = self._heard(source, name, recorded, received_at)
        if record is not None:
            puts.append(put(record))
        also = (each for silence in told for each in source.silenced.get(silence.id, ()))
        return Said(puts=tuple(puts), fingerprints=tuple({**before, **dict.fromkeys(also)}))

    def spend(self, delivery: str, received_at: Instant) -> None:
        """A delivery of which nothing is left to read: all that it says is kept by itself."""
        if len(self._spent) < SPENT_MAX:
            self._spent[delivery] = received_at

    def spent(self) -> dict[str, Instant]:
        """Those since the last call, with when they came."""
        found, self._spent = self._spent, {}
        return found

    def _of(self, name: str) -> _Source:
        return self._sources.setdefault(name, _Source())

    def _settings(self, name: str) -> SourceSettings:
        return self._world.configuration.settings.sources.get(name, DEFAULT_SOURCE)

    def _count(self, source: _Source, name: str, events: Mapping[str, int]) -> None:
        for kind, count in events.items():
            known = kind in USED or kind in PASSED_OVER
            source.events[kind if known else OTHER] += count
            if not known and kind not in source.other and len(source.other) < OTHER_TYPES_MAX:
                source.other[kind] = None
                log.info("an event of a type that is not known is passed over", source=name, type=kind)

    def _told(self, source: _Source, silence: Silence) -> bool:
        """Whether something new was said of a silence."""
        before = source.silences.get(silence.id)
        if before is None and len(source.silences) >= SILENCES_MAX:
            source.not_kept += 1
            return False
        source.silences[silence.id] = newer(before, silence)
        return source.silences[silence.id] != before

    def _alert(self, source: _Source, name: str, fingerprint: str) -> Muted | None:
        found = source.muted.get(fingerprint)
        if found is None and len(source.muted) >= MUTED_MAX:
            if not source.full:  # what is only known to have been let go makes room, once: nothing of it comes after
                source.muted = {each: kept for each, kept in source.muted.items() if kept.reasons}
                source.full = len(source.muted) >= MUTED_MAX
            if source.full:
                source.not_kept += 1
                return None
        return found or Muted(id=f"{name}/{fingerprint}", source=name, fingerprint=fingerprint)

    def _heard(self, source: _Source, name: str, recorded: Recorded, received_at: Instant) -> RecorderRecord | None:
        at = recorded.latest_at
        at = at if at is not None and believed(at, received_at) else received_at
        after = max(at, source.at or at), max(received_at, source.heard_at or received_at)
        if after == (source.at, source.heard_at) or not recorded.events:
            return None
        source.at, source.heard_at = after
        return RecorderRecord(id=name, at=after[0], heard_at=after[1])

    # What stands.

    def fingerprints(self, name: str) -> Iterable[str]:
        return self._of(name).muted

    def silences(self, name: str) -> Mapping[str, Silence]:
        return self._of(name).silences

    def told(self, name: str) -> int:
        """How often something new was said of a silence."""
        return self._of(name).told

    def labels(self, name: str, fingerprint: str) -> dict[str, str]:
        found = self._of(name).muted.get(fingerprint)
        return found.labels if found is not None else {}

    def known(self, name: str, fingerprint: str) -> tuple[Reason, ...]:
        """Every reason that was ever said of it, whether or not it stands: their rules have names that the API leaves out."""
        found = self._of(name).muted.get(fingerprint)
        return found.reasons if found is not None else ()

    def standing(self, name: str, fingerprint: str, now: Instant, since: Instant | None) -> tuple[Reason, ...]:
        source = self._of(name)
        found = source.muted.get(fingerprint)
        if found is None or source.at is None:
            return ()
        return standing(
            found,
            source.silences,
            now,
            group_interval_ms=self._settings(name).group_interval_ms,
            recorder_at=source.at,
            since=since,
        )

    def stands(self, found: Muted) -> bool:
        """Whether it keeps an alert back now."""
        return bool(self.standing(found.source, found.fingerprint, self._scribe.clock.now(), None))

    def erased(self, kind: str, identity: str) -> None:
        """It goes from the store by order: nothing of it is written again, unless its Alertmanager says it again."""
        name, _, of = identity.partition("/")
        source = self._sources.get(name)
        if source is None:
            return
        if kind == "muted":
            source.muted.pop(of, None)
        elif kind == "silence" and source.silences.pop(of, None) is not None:
            source.told += 1  # so that what is shown of it is made again

    def resolved_since(self, name: str, fingerprint: str, at: Instant) -> bool:
        found = self._of(name).muted.get(fingerprint)
        return found is not None and found.resolved_at is not None and found.resolved_at > at

    def view(self, name: str, now: Instant) -> dict[str, Any] | None:
        """What a person reads of a recorder; None when nothing ever came from it."""
        source = self._sources.get(name)
        if source is None or source.heard_at is None:
            return None
        silent_ms = ms_between(source.heard_at, now)
        return {
            "heard_at": source.heard_at,
            "quiet": silent_ms >= LOST_TIMES * self._settings(name).group_interval_ms,
            "events": {kind: count for kind, count in sorted(source.events.items()) if count},
            "other": tuple(source.other),
            "not_kept": source.not_kept,
            "distrusted": source.distrusted,
        }

    def counts(self) -> dict[str, int]:
        """Events that came to this process, by their type; what nobody here knows is `other`."""
        found: Counter[str] = Counter()
        for source in self._sources.values():
            found.update(source.events)
        return dict(found)

    # What goes.

    async def sweep(self, now_ms: int) -> None:
        """What is over for a day goes, and everything of a source that left the configuration; from the store only while no
        legal hold stands.
        """
        if self._swept_ms is not None and now_ms - self._swept_ms < SWEEP_EVERY_MS:
            return
        self._swept_ms = now_ms
        now = self._scribe.clock.now()
        drops: list[Drop] = []
        for name in [name for name in self._sources if name not in self._world.configuration.settings.sources]:
            source = self._sources.pop(name)
            drops += [Drop(kind="muted", id=each.id) for each in source.muted.values()]
            drops += [Drop(kind="silence", id=f"{name}/{each}") for each in source.silences]
            drops.append(Drop(kind="recorder", id=name))
        for name, source in self._sources.items():
            source.full = False
            old = [each for each in source.muted.values() if self._long_over(name, each, now)]
            for each in old:
                del source.muted[each.fingerprint]
            ended = [each for each in source.silences.values() if _long_ended(each, now)]
            for silence in ended:
                del source.silences[silence.id]
            if old:
                source.silenced.clear()
                for each in source.muted.values():
                    _index(source, each)
            drops += [Drop(kind="muted", id=each.id) for each in old if each.reasons]
            drops += [Drop(kind="silence", id=f"{name}/{each.id}") for each in ended]
        if drops and not self._world.configuration.settings.retention.legal_hold:
            await self._scribe.commit(Commit(at=now, drops=tuple(drops)))

    def _long_over(self, name: str, found: Muted, now: Instant) -> bool:
        said_at = found.said_at
        kept_ms = KEPT_AFTER_MS if found.reasons else LETTING_KEPT_MS
        old = said_at is None or ms_between(said_at, now) > kept_ms
        return old and not self.standing(name, found.fingerprint, now, None)


def _index(source: _Source, found: Muted) -> None:
    for reason in found.reasons:
        if reason.because is Because.SILENCED:
            source.silenced.setdefault(reason.name, set()).add(found.fingerprint)


def _long_ended(silence: Silence, now: Instant) -> bool:
    at = silence.ends_at or silence.updated_at
    return at is None or ms_between(at, now) > KEPT_AFTER_MS
