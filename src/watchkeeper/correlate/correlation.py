"""The state of all alerts and incidents, kept signal by signal.

In: one signal at a time, with what the catalogue says of it. Out: `Changes`. It holds at every moment exactly what
`incident.incidents` works out from scratch from the same alerts, and costs the same at ten open alerts as at ten
thousand: a signal touches its alert, the stretch of alerts on its place, and the incident's counts.

This is the one mutable thing of the stage. The engine owns one, on one thread, and can always make it anew:
`restore` from the stored alerts and tracks. What it persists: each `Alert` by id, each `Incident` by id
with `Changes.merged` as its aliases, each `Track` by (group, fingerprint).
"""

import heapq
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.correlate.alert import (
    Alert,
    AlertState,
    Mapped,
    ended_at,
    fold,
    state_at,
)
from watchkeeper.correlate.grouping import Grouping, Merge, Part, Split
from watchkeeper.correlate.incident import Begin, Incident, Link, by_first_seen, incident_from, links
from watchkeeper.correlate.track import Statement, Track, episodes, said_at, with_statement
from watchkeeper.signals.signal import Kind, Signal
from watchkeeper.values import EPOCH, Instant

_Key = TypeVar("_Key", bound=Hashable)
_Pairs = tuple[tuple[Alert | None, Alert | None], ...]


class Changes(Struct, frozen=True, kw_only=True):
    """What one signal changed. `alerts` are (before, after) pairs; `after` is None for one that was worked out
    anew under another id. `incidents` are the current ids of all that were touched; nothing changed: all empty.
    """

    alerts: tuple[tuple[Alert | None, Alert | None], ...] = ()
    incidents: tuple[str, ...] = ()
    merged: tuple[Merge, ...] = ()
    split: tuple[Split, ...] = ()
    track: Track | None = None


NOTHING: Final = Changes()


class Correlation:
    """All alerts and incidents that are not forgotten. Not thread-safe; see the module."""

    def __init__(self) -> None:
        self.now = EPOCH
        self._alerts: dict[str, Alert] = {}
        self._ids: dict[tuple[str, str, Instant], str] = {}  # (group, fingerprint, starts_at) -> alert id
        self._tracks: dict[tuple[str, str], Track] = {}
        self._grouping = Grouping(self._alerts)
        self._firing_at: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._symptoms: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._groups_of: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._fingerprints: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._due: list[tuple[Instant, str]] = []  # one entry a firing alert: look then whether it is stale
        self._watched: set[str] = set()
        self._touched: dict[str, None] = {}

    # -- what goes in ------------------------------------------------------------------------------

    def apply(self, signal: Signal, mapped: Mapped) -> Changes:
        """Takes one signal in. Beats and samples make no alerts: they change nothing here."""
        if signal.kind is not Kind.ALERT:
            return NOTHING
        if not signal.start_stated:
            return self._apply_unstated(signal, mapped)
        key = (signal.group, signal.fingerprint, signal.starts_at)
        before = self._alerts.get(self._ids.get(key, ""))
        after = fold(before, signal, mapped)
        if after == before:
            return NOTHING
        self._set(before, after)
        return self._changes(((before, after),), None)

    def _apply_unstated(self, signal: Signal, mapped: Mapped) -> Changes:
        key = (signal.group, signal.fingerprint)
        old = self._tracks.get(key) or Track(group=key[0], fingerprint=key[1])
        track = with_statement(old, Statement(signal=signal, mapped=mapped))
        if track is old:
            return NOTHING
        self._tracks[key] = track
        found = {alert.id: alert for alert in episodes(track.statements)}
        oldest_at = said_at(track.statements[0].signal)
        pairs: list[tuple[Alert | None, Alert | None]] = []
        for before in episodes(old.statements):
            # One that the track has forgotten stays as it was; one that the new statement cut otherwise goes.
            if before.id not in found and before.starts_at >= oldest_at:
                self._drop(before)
                pairs.append((before, None))
        for identity, after in found.items():
            known = self._alerts.get(identity)
            if known != after:
                self._set(known, after)
                pairs.append((known, after))
        return self._changes(tuple(pairs), track)

    def restart(self) -> None:
        """Forget everything: for another catalogue, in which an entity's parents may be others. `restore` follows."""
        self.__dict__.update(Correlation().__dict__)

    def restore(self, alerts: Iterable[Alert], tracks: Iterable[Track] = ()) -> None:
        """Takes in what was persisted, before any signal. Any order."""
        self._tracks.update(((track.group, track.fingerprint), track) for track in tracks)
        for alert in alerts:
            self._set(None, alert)
        self._changes((), None)

    def tick(self, now: Instant) -> tuple[Alert, ...]:
        """Moves the time on; returns the alerts that became stale by it. Time never goes back."""
        self.now = max(self.now, now)
        stale: list[Alert] = []
        while self._due and self._due[0][0] <= self.now:
            _, identity = heapq.heappop(self._due)
            self._watched.discard(identity)
            alert = self._alerts.get(identity)
            if alert is None:
                continue
            self._watch(alert)
            if self._count(alert) and state_at(alert, self.now) is AlertState.STALE:
                stale.append(alert)
        return tuple(sorted(stale, key=by_first_seen))

    def forget(self, before: Instant) -> tuple[str, ...]:
        """Drops the incidents whose last span ended before `before`; returns the ids of their alerts.

        Costs one look at every incident. A signal of a forgotten episode begins it anew.
        """
        gone: list[Alert] = []
        for part in self._grouping.parts():
            if not sum(part.counted.firing) and all(stretch.end_at < before for stretch in part.stretches):
                gone += self._grouping.members(part)
                self._grouping.remove_part(part)
        for alert in gone:
            self._unlist(alert)
        for key in {(alert.group, alert.fingerprint) for alert in gone} & self._tracks.keys():
            self._trim(key)
        return tuple(sorted(alert.id for alert in gone))

    def _trim(self, key: tuple[str, str]) -> None:
        left = self.episodes_of(*key)
        if not left:
            del self._tracks[key]
            return
        oldest_at = min(alert.starts_at for alert in left)
        track = self._tracks[key]
        kept = tuple(inner for inner in track.statements if said_at(inner.signal) >= oldest_at)
        self._tracks[key] = replace(track, statements=kept)

    # -- what comes out ----------------------------------------------------------------------------

    def alert(self, identity: str) -> Alert | None:
        return self._alerts.get(identity)

    @property
    def stale_at(self) -> Instant | None:
        """When the next firing alert may grow stale; None when none can."""
        return self._due[0][0] if self._due else None

    def alerts(self) -> Iterator[Alert]:
        return iter(self._alerts.values())

    def track(self, group: str, fingerprint: str) -> Track | None:
        return self._tracks.get((group, fingerprint))

    def incident(self, identity: str) -> Incident | None:
        """By its id or any alias. One look while something fires; else one at each member, for the end."""
        part = self._grouping.part_named(identity)
        return None if part is None else self._incident(part)

    def incident_of(self, alert: str) -> Incident | None:
        part = self._grouping.part_of(alert)
        return None if part is None else self._incident(part)

    def incident_id_of(self, alert: str) -> str | None:
        part = self._grouping.part_of(alert)
        return None if part is None else self._grouping.name_of(part)

    def members(self, identity: str) -> tuple[Alert, ...]:
        part = self._grouping.part_named(identity)
        return () if part is None else tuple(sorted(self._grouping.members(part), key=by_first_seen))

    def links(self, identity: str) -> tuple[Link, ...]:
        return links(self.members(identity))

    def incidents(self) -> tuple[Incident, ...]:
        """All of them, the earliest first. Costs one look at each."""
        return tuple(self._incident(part) for part in sorted(self._grouping.parts(), key=_root))

    def firing_on(self, place: str) -> tuple[Alert, ...]:
        """What fires on a place (an entity), as of the last `tick`."""
        return tuple(self._alerts[identity] for identity in self._firing_at.get(place, ()))

    def with_symptom(self, symptom: str) -> dict[str, Iterator[Alert]]:
        """The alerts of a symptom, by group: what `corroborate` looks at."""
        return {
            group: (self._alerts[identity] for identity in self._symptoms[symptom, group])
            for group in self._groups_of.get(symptom, ())
        }

    def episodes_of(self, group: str, fingerprint: str) -> tuple[Alert, ...]:
        """The episodes of one fingerprint: what `flapping` looks at."""
        return tuple(self._alerts[identity] for identity in self._fingerprints.get((group, fingerprint), ()))

    # -- inside ------------------------------------------------------------------------------------

    def _set(self, before: Alert | None, after: Alert) -> None:
        if before is not None and (
            before.place != after.place or before.first_seen_at < after.first_seen_at or before.symptom != after.symptom
        ):
            self._drop(before)
            before = None
        self._alerts[after.id] = after
        if before is None:
            self._ids[after.group, after.fingerprint, after.starts_at] = after.id
            self._symptoms[after.symptom, after.group][after.id] = None
            self._groups_of[after.symptom][after.group] = None
            self._fingerprints[after.group, after.fingerprint][after.id] = None
            self._grouping.add(after)
        else:
            self._grouping.move(before, after)
        self._count(after)
        self._watch(after)
        self._touched[after.id] = None

    def _drop(self, alert: Alert) -> None:
        self._grouping.remove(alert)
        self._unlist(alert)

    def _unlist(self, alert: Alert) -> None:
        del self._alerts[alert.id]
        del self._ids[alert.group, alert.fingerprint, alert.starts_at]
        _discard(self._firing_at, alert.place, alert.id)
        _discard(self._fingerprints, (alert.group, alert.fingerprint), alert.id)
        if _discard(self._symptoms, (alert.symptom, alert.group), alert.id):
            _discard(self._groups_of, alert.symptom, alert.group)

    def _count(self, alert: Alert) -> bool:
        firing = state_at(alert, self.now) is AlertState.FIRING
        if not self._grouping.count(alert, firing=firing):
            return False
        if firing:
            self._firing_at[alert.place][alert.id] = None
        else:
            _discard(self._firing_at, alert.place, alert.id)
        return True

    def _watch(self, alert: Alert) -> None:
        if alert.state is AlertState.FIRING and alert.stale_at > self.now and alert.id not in self._watched:
            self._watched.add(alert.id)
            heapq.heappush(self._due, (alert.stale_at, alert.id))

    def _incident(self, part: Part) -> Incident:
        resolved_at = None
        if not sum(part.counted.firing):
            ends = (ended_at(alert, self.now) for alert in self._grouping.members(part))
            resolved_at = max((end for end in ends if end is not None), default=None)
        return incident_from(self._alerts[_root(part)[-1]], part.counted, resolved_at)

    def _changes(self, pairs: _Pairs, track: Track | None) -> Changes:
        grouping = self._grouping
        names = {
            *(self.incident_id_of(alert) for alert in self._touched),
            *(self.incident_id_of(after.id) for _, after in pairs if after is not None),
            *(name for split in grouping.split for name in split.parts),
        }
        # A part named by a split may have been merged on in the same breath: only what still leads is told.
        current = {self._leading(name) for name in names if name is not None}
        found = Changes(
            alerts=pairs,
            incidents=tuple(sorted(name for name in current if name is not None)),
            merged=tuple(grouping.merged),
            split=tuple(grouping.split),
            track=track,
        )
        grouping.merged, grouping.split, self._touched = [], [], {}
        return found

    def _leading(self, name: str) -> str | None:
        part = self._grouping.part_named(name)
        return None if part is None else self._grouping.name_of(part)


def _root(part: Part) -> Begin:
    assert part.root is not None  # a part without members is never kept
    return part.root


def _discard(index: dict[_Key, dict[str, None]], key: _Key, item: str) -> bool:
    """Takes `item` from under `key`; True when nothing is left there."""
    row = index.get(key)
    if row is None:
        return True
    row.pop(item, None)
    if not row:
        del index[key]
    return not row
