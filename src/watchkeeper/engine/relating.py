"""What statements make of what is known: signals -> alerts, incidents, and what merged, as one commit.

In: a delivery taken apart, or signals of our own making. Out: the commit that keeps them, and the alerts that changed.
Only the pipeline's task is in here, so what is known is never changed by two.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from watchkeeper.correlate.alert import Alert, Mapped
from watchkeeper.correlate.correlation import Changes, Correlation
from watchkeeper.correlate.grouping import Merge
from watchkeeper.correlate.timeline import EventKind
from watchkeeper.engine.intake import SignalReader
from watchkeeper.engine.mapping import mapped_of
from watchkeeper.engine.records import Note, put
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.world import World
from watchkeeper.ports import Commit, Drop, Put
from watchkeeper.signals.signal import DeadLetter, Delivery, Kind, Parsed, Signal
from watchkeeper.values import Instant, id_from

RELATED_AT_A_STRETCH: Final = 16  # signals before posts, effects and answers of the disk have the loop
LETTER_CHARACTERS_MAX: Final = 65_536


class Relating:
    """Changes the correlation, and with it what is known to be unwell."""

    def __init__(
        self, scribe: Scribe, world: World, correlation: Correlation, witnesses: Witnesses, reader: SignalReader
    ) -> None:
        self._scribe, self._world, self._correlation, self._witnesses = scribe, world, correlation, witnesses
        self._reader = reader
        self.on_beat: Callable[[Signal], tuple[Put, ...]] = lambda _: ()
        self.on_recorded: Callable[[Delivery, Parsed], tuple[Put, ...]] = lambda _delivery, _parsed: ()

    async def relate(self, delivery: Delivery, parsed: Parsed) -> "Related":
        """All that a delivery says. What cannot be read of it is kept as dead letters."""
        found = _Found()
        for letter in parsed.dead:
            found.puts.append(put(letter))
            self._count("unread", letter)
        found.puts.extend(self.on_recorded(delivery, parsed))
        for number, signal in enumerate(parsed.signals, 1):
            if not number % RELATED_AT_A_STRETCH:
                await asyncio.sleep(0)  # this task alone changes what is known of alerts, so it can be interrupted
            self._witnesses.heard(signal.region, signal.received_at)
            if signal.kind is not Kind.ALERT:
                found.puts.extend(self.on_beat(signal))
                self._count("beats", signal)
                continue
            self._apply(signal, found)
        return Related(delivery, self._commit(found, taken=(delivery.id,)), found.changed)

    async def unread(self, delivery: Delivery, why: str) -> "Related":
        """The whole delivery as one dead letter."""
        letter = DeadLetter(
            id=id_from("ded", delivery.received_at, delivery.id),
            delivery=delivery.id,
            source=delivery.source,
            received_at=delivery.received_at,
            path="",
            why=why,
            body=delivery.body.decode("utf-8", "replace")[:LETTER_CHARACTERS_MAX],
        )
        return await self.relate(delivery, Parsed(signals=(), dead=(letter,)))

    def own(self, signals: Iterable[Signal]) -> tuple[Commit | None, dict[str, Alert]]:
        """Signals of our own making, and the alerts that they changed; None when there is nothing to keep."""
        found = _Found()
        for signal in signals:
            self._apply(signal, found)
        return (self._commit(found), found.changed) if found.puts else (None, {})

    def stale(self, alert: Alert) -> Commit:
        """An alert that was not seen for too long says nothing of its entity any more."""
        self._unwell(alert, well=True)
        puts: tuple[Put, ...] = (put(alert, incident=self._correlation.incident_id_of(alert.id) or ""),)
        incident = self._correlation.incident_of(alert.id)
        if incident is not None:
            puts = (*puts, put(incident))
        return Commit(at=self._scribe.clock.now(), puts=puts)

    def _apply(self, signal: Signal, found: "_Found") -> None:
        changes = self._correlation.apply(signal, self._mapped(signal))
        self._count(self._news(signal, changes), signal)
        found.puts.append(put(signal, alert=_alert_of(changes)))
        self._collect(changes, found)

    def _commit(self, found: "_Found", taken: tuple[str, ...] = ()) -> Commit:
        drops = self._incidents(found)
        return Commit(
            at=self._scribe.clock.now(),
            puts=tuple(found.puts),
            drops=drops,
            bumps=tuple(sorted(found.bumps)),
            taken=taken,
        )

    def _count(self, what: str, said: Signal | DeadLetter) -> None:
        self._scribe.timing.signal(what, said.source, said.received_at)

    def _news(self, signal: Signal, changes: Changes) -> str:
        """What a statement was: it told something, said again what was known, or is suppressed where it comes from."""
        if (signal.group, signal.fingerprint) in self._world.suppressed:
            return "suppressed"
        return "repeated" if all(_same(*each) for each in changes.alerts) else "news"

    def _mapped(self, signal: Signal) -> Mapped:
        return mapped_of(signal, self._reader.source(signal.source), self._world.configuration.catalog)

    def _collect(self, changes: Changes, found: "_Found") -> None:
        for before, after in changes.alerts:
            self._witnesses.saw(before, after)
            gone = before if after is None else None
            if gone is not None:
                self._unwell(gone, well=True)
                continue
            assert after is not None
            found.puts.append(put(after, incident=self._correlation.incident_id_of(after.id) or ""))
            found.changed[after.id] = after
            if self._unwell(after, well=after.resolved_at is not None) and after.entity:
                found.bumps.add(f"dependency:{after.entity}")
            symptom = f"symptom:{after.symptom}"
            if before is None or before.state is not after.state:
                found.bumps.update({symptom} if self._world.concerned(symptom) else ())
        if changes.track is not None:
            found.puts.append(put(changes.track, identity=f"{changes.track.group}\x1f{changes.track.fingerprint}"))
        found.incidents.update(dict.fromkeys(changes.incidents))
        for merge in changes.merged:
            found.incidents[merge.absorbed] = None
            found.puts.append(put(_merged(merge, self._scribe.clock.now())))

    def _unwell(self, alert: Alert, *, well: bool) -> bool:
        """Keep the set of alerts that say an entity is not well; True when the entity turned by it."""
        if not alert.entity:
            return False
        failing = self._world.failing[alert.entity]
        before = bool(failing)
        if well:
            failing.discard(alert.id)
        else:
            failing.add(alert.id)
        return before != bool(failing)

    def _incidents(self, found: "_Found") -> tuple[Drop, ...]:
        """Each incident as it is now; those that went into another one are to be dropped."""
        gone: list[Drop] = []
        for identity in found.incidents:
            incident = self._correlation.incident(identity)
            if incident is not None and incident.id == identity:
                found.puts.append(put(incident))
            elif incident is not None:
                gone.append(Drop(kind="incident", id=identity))
        return tuple(gone)


class Related(NamedTuple):
    """A delivery taken apart, and not yet kept."""

    delivery: Delivery
    commit: Commit
    changed: dict[str, Alert]


class _Found:
    """What comes together of one commit. `changed`: by id. `incidents`: ids of those that may have moved, in order."""

    __slots__ = ("bumps", "changed", "incidents", "puts")

    def __init__(self) -> None:
        self.puts: list[Put] = []
        self.bumps: set[str] = set()
        self.changed: dict[str, Alert] = {}
        self.incidents: dict[str, None] = {}


def _merged(merge: Merge, at: Instant) -> Note:
    """What leads from the id of an incident to the one that took it in."""
    return Note(
        id=merge.absorbed, subject=merge.into, at=at, by="watchkeeper", text=merge.sentence, kind=EventKind.MERGED.value
    )


def _same(before: Alert | None, after: Alert | None) -> bool:
    """Only seen again."""
    return (
        before is not None
        and after is not None
        and (before.state, before.severity, before.labels) == (after.state, after.severity, after.labels)
    )


def _alert_of(changes: Changes) -> str:
    """The alert that a signal changed; "" for a repetition that changed none."""
    return next((after.id for _, after in reversed(changes.alerts) if after is not None), "")
