"""The incidents of the last weeks as the measures use them, kept as they are committed.

What is heard late (answers of two commits may be heard in another order) never undoes what is newer.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

from watchkeeper.correlate.incident import Incident
from watchkeeper.engine.incidents import Mark
from watchkeeper.engine.records import Note
from watchkeeper.engine.scribe import Scribe
from watchkeeper.learn.availability import Episode
from watchkeeper.ports import Put
from watchkeeper.values import SEVERITY_ORDER

EPISODES_MAX: Final = 50_000  # incidents held in memory; the oldest go first


class Episodes:
    """`changed` is told the service of each incident that moved."""

    def __init__(self, scribe: Scribe, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._found: OrderedDict[str, Episode] = OrderedDict()
        self._positions: dict[str, int] = {}
        self._of: dict[str, dict[str, None]] = defaultdict(dict)  # service -> its incidents, oldest first
        scribe.heard["incident"] = self._incident
        scribe.foreseen["incident"] = lambda stored: self.take(_incident(stored.body))
        scribe.heard["note"] = self._note
        scribe.dropped["incident"] = self.forget

    def get(self, identity: str) -> Episode | None:
        return self._found.get(identity)

    def of(self, refs: Iterable[str]) -> list[Episode]:
        return [self._found[each] for ref in refs for each in self._of.get(ref, ())]

    def services(self) -> Iterable[str]:
        return tuple(ref for ref, found in self._of.items() if found)

    def take(self, incident: Incident) -> None:
        if not incident.entity:
            return
        before = self._found.get(incident.id)
        severity = incident.severity
        if before is not None:
            severity = min(severity, before.severity, key=SEVERITY_ORDER.index)  # the worst it has been
            if before.entity != incident.entity:
                self._of[before.entity].pop(incident.id, None)
                self._changed(before.entity)
        self._found[incident.id] = Episode(
            id=incident.id,
            entity=incident.entity,
            severity=severity,
            began_at=incident.began_at,
            opened_at=incident.opened_at,
            acknowledged_at=before.acknowledged_at if before is not None else None,
            resolved_at=incident.resolved_at,
        )
        self._of[incident.entity][incident.id] = None
        self._changed(incident.entity)
        while len(self._found) > EPISODES_MAX:
            self.forget(next(iter(self._found)))

    def acknowledge(self, note: Note) -> None:
        """The first of several counts."""
        found = self._found.get(note.subject)
        if note.kind != Mark.ACKNOWLEDGED or found is None:
            return
        first = note.at if found.acknowledged_at is None else min(note.at, found.acknowledged_at)
        self._found[found.id] = replace(found, acknowledged_at=first)
        self._changed(found.entity)

    def forget(self, identity: str) -> None:
        """It went into another incident, or is too old to matter."""
        self._positions.pop(identity, None)
        gone = self._found.pop(identity, None)
        if gone is not None:
            self._of[gone.entity].pop(identity, None)
            self._changed(gone.entity)

    def _incident(self, stored: Put, position: int) -> None:
        if position >= self._positions.get(stored.id, 0):
            self._positions[stored.id] = position
            self.take(_incident(stored.body))

    def _note(self, stored: Put, position: int) -> None:
        del position  # each note is written once
        self.acknowledge(msgspec.json.decode(stored.body, type=Note))


_incident: Final = msgspec.json.Decoder(Incident).decode
