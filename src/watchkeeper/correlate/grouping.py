"""Alerts into incidents, kept alert by alert: the moving half of `incident.incidents`.

Stretches and parts: a *stretch* holds the alerts of one place without a gap longer than the window, a *part* the
stretches that the catalogue connects: an incident. Spans mostly grow, and then parts only unite, which is cheap
(the smaller joins the larger). When a span shrinks so far that something may have hung on it, which only a late
resolution does, that one part is placed anew.
"""

import heapq
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from watchkeeper.correlate.alert import Alert, span_end
from watchkeeper.correlate.incident import WINDOW_MS, Because, Begin, Tally, by_first_seen, incident_id, tally
from watchkeeper.values import EPOCH, SEVERITY_ORDER, Instant, after_ms

_NUMBER: Final = {severity: number for number, severity in enumerate(SEVERITY_ORDER)}
_HEAP_SLACK: Final = 64  # dead entries a stretch may carry before its heap is made anew


class Merge(Struct, frozen=True, kw_only=True):
    """The incident `absorbed` is now `into`, and why. Its id goes on naming the whole."""

    into: str
    absorbed: str
    because: Because
    sentence: str


class Split(Struct, frozen=True, kw_only=True):
    """A late resolution showed that what was one incident is several: `incident` fell into `parts`."""

    incident: str
    parts: tuple[str, ...]


class Part:
    """One incident: its stretches, its counts, its earliest alert."""

    __slots__ = ("counted", "latest_at", "root", "stretches")

    def __init__(self) -> None:
        self.stretches: set[Stretch] = set()
        self.counted: Tally = tally()
        self.root: Begin | None = None
        self.latest_at = EPOCH  # no member begins after it


class Stretch:
    """Alerts of one place without a gap longer than the window."""

    __slots__ = ("begin_at", "end_at", "ends", "members", "part", "place")

    def __init__(self, place: str, begin_at: Instant, end_at: Instant) -> None:
        self.place = place
        self.begin_at = begin_at
        self.end_at = end_at
        self.members: set[str] = set()
        # The ends of the members, latest first; an entry that is no longer its member's end is dropped when met.
        self.ends: list[tuple[float, str]] = []
        self.part = Part()
        self.part.stretches.add(self)


class Grouping:
    """Which alerts belong together. `alerts` is the owner's, read here: an alert stands in it before it is placed."""

    def __init__(self, alerts: Mapping[str, Alert]) -> None:
        self.merged: list[Merge] = []
        self.split: list[Split] = []
        self.places: dict[str, list[Stretch]] = {}
        self._alerts = alerts
        self._incident_of: dict[str, str] = {}  # alert id -> the incident id made from it
        self._alert_of: dict[str, str] = {}  # and back
        self._stretch_of: dict[str, Stretch] = {}
        self._counted: dict[str, tuple[int, bool]] = {}  # alert id -> as it stands in its incident's counts
        self._edges: defaultdict[str, set[str]] = defaultdict(set)
        self._latest_at = EPOCH  # no alert begins after it

    def part_of(self, alert: str) -> Part | None:
        stretch = self._stretch_of.get(alert)
        return None if stretch is None else stretch.part

    def part_named(self, incident: str) -> Part | None:
        """By its id or any alias."""
        alert = self._alert_of.get(incident)
        return None if alert is None else self.part_of(alert)

    def parts(self) -> list[Part]:
        return list({id(stretch.part): stretch.part for row in self.places.values() for stretch in row}.values())

    def members(self, part: Part) -> list[Alert]:
        return [self._alerts[member] for stretch in part.stretches for member in stretch.members]

    def name_of(self, part: Part) -> str:
        assert part.root is not None  # a part without members is never kept
        return self._incident_of[part.root[-1]]

    def add(self, alert: Alert) -> None:
        if alert.id not in self._incident_of:
            self._incident_of[alert.id] = identity = incident_id(alert)
            self._alert_of[identity] = alert.id
        self._connect(alert)
        self._place(alert)

    def remove(self, alert: Alert) -> None:
        """Takes an alert out; its incident may fall apart."""
        self._rebuild(self._stretch_of[alert.id].part, without=alert.id)
        self._release(alert.id)

    def remove_part(self, part: Part) -> None:
        for stretch in part.stretches:
            self._unrow(stretch)
            for member in stretch.members:
                self._release(member)

    def count(self, alert: Alert, *, firing: bool) -> bool:
        """Brings its incident's counts up to date; True when they changed."""
        counted = (_NUMBER[alert.severity], firing)
        old = self._counted.get(alert.id)
        if old == counted:
            return False
        totals = self._stretch_of[alert.id].part.counted
        if old is not None:
            totals.every[old[0]] -= 1
            totals.firing[old[0]] -= old[1]
        totals.every[counted[0]] += 1
        totals.firing[counted[0]] += firing
        self._counted[alert.id] = counted
        return True

    def move(self, before: Alert, after: Alert) -> None:
        """The same alert on the same place, begun no later, with another span."""
        self._connect(after)
        stretch = self._stretch_of[after.id]
        begin_at, end_at, old_end_at = after.first_seen_at, span_end(after), span_end(before)
        if begin_at != before.first_seen_at:
            self._note_begin(after, stretch.part)
        if end_at != old_end_at:
            self._push_end(stretch, after)
        if begin_at < stretch.begin_at or end_at > stretch.end_at:
            stretch = self._stretch(after.place, min(begin_at, stretch.begin_at), max(end_at, stretch.end_at))
        if end_at < old_end_at:
            if stretch.part.latest_at > after_ms(end_at, WINDOW_MS):
                # Something began so late that it may have hung on the end that is gone.
                self._rebuild(stretch.part)
            else:
                stretch.end_at = self._latest_end(stretch)

    # -- inside ------------------------------------------------------------------------------------

    def _connect(self, alert: Alert) -> None:
        known = self._edges[alert.place] if alert.mapped.parents else ()
        for parent in alert.mapped.parents:
            if parent != alert.place and parent not in known:
                self._edges[alert.place].add(parent)
                self._edges[parent].add(alert.place)
                for stretch in tuple(self.places.get(alert.place, ())):
                    self._link(stretch)

    def _place(self, alert: Alert) -> None:
        begin_at, end_at = alert.first_seen_at, span_end(alert)
        stretch = self._stretch(alert.place, begin_at, end_at)
        stretch.members.add(alert.id)
        self._stretch_of[alert.id] = stretch
        self._push_end(stretch, alert)
        self._note_begin(alert, stretch.part)

    def _note_begin(self, alert: Alert, part: Part) -> None:
        begin = by_first_seen(alert)
        if part.root is None or begin < part.root:
            if part.root is not None and part.root[-1] != alert.id:
                sentence = f"{alert.place}: the alert seen first at {alert.first_seen_at:%H:%M:%S} UTC came to light"
                self._tell_merge(begin[-1], part.root[-1], Because.EARLIER, sentence)
            part.root = begin
        part.latest_at = max(part.latest_at, begin[0])
        self._latest_at = max(self._latest_at, begin[0])

    def _push_end(self, stretch: Stretch, alert: Alert) -> None:
        heapq.heappush(stretch.ends, (-span_end(alert).timestamp(), alert.id))
        if len(stretch.ends) > 2 * len(stretch.members) + _HEAP_SLACK:
            stretch.ends = [(-span_end(self._alerts[member]).timestamp(), member) for member in stretch.members]
            heapq.heapify(stretch.ends)

    def _latest_end(self, stretch: Stretch) -> Instant:
        ends = stretch.ends
        while True:
            stated, member = ends[0]
            if member in stretch.members:
                end_at = span_end(self._alerts[member])
                if -end_at.timestamp() == stated:
                    return end_at
            heapq.heappop(ends)

    def _stretch(self, place: str, begin_at: Instant, end_at: Instant) -> Stretch:
        """The stretch that covers the span on the place: found, grown, merged or new; linked with its neighbours."""
        row = self.places.setdefault(place, [])
        low = bisect_left(row, after_ms(begin_at, -WINDOW_MS), key=_end)
        high = low
        latest = after_ms(end_at, WINDOW_MS)
        while high < len(row) and row[high].begin_at <= latest:
            high += 1
        if low == high:
            found = Stretch(place, begin_at, end_at)
            row.insert(low, found)
            self._latest_at = max(self._latest_at, begin_at)
            self._link(found)
            return found
        base = max(row[low:high], key=_size)
        # Nothing begins where it grew: then nothing can be linked that was not.
        settled = high - low == 1 and begin_at >= base.begin_at and self._latest_at <= after_ms(base.end_at, WINDOW_MS)
        for other in row[low:high]:
            if other is not base:
                self._swallow(base, other)
        row[low:high] = [base]
        base.begin_at = min(base.begin_at, begin_at)
        base.end_at = max(base.end_at, end_at)
        if not settled:
            self._link(base)
        return base

    def _swallow(self, base: Stretch, other: Stretch) -> None:
        self._unite(base.part, other.part, Because.SAME_SERVICE, f"same service: both are on {base.place}")
        base.begin_at, base.end_at = min(base.begin_at, other.begin_at), max(base.end_at, other.end_at)
        base.members |= other.members
        for member in other.members:
            self._stretch_of[member] = base
        for entry in other.ends:
            heapq.heappush(base.ends, entry)
        base.part.stretches.discard(other)

    def _link(self, stretch: Stretch) -> None:
        near = self._edges.get(stretch.place, ())
        active = self.places
        few, many = (near, active) if len(near) <= len(active) else (active, near)
        latest = after_ms(stretch.end_at, WINDOW_MS)
        for place in sorted(place for place in few if place in many):
            row = active[place]
            for other in row[bisect_left(row, after_ms(stretch.begin_at, -WINDOW_MS), key=_end) :]:
                if other.begin_at > latest:
                    break
                sentence = f"depends on: {stretch.place} and {place} are directly connected in the catalogue"
                self._unite(stretch.part, other.part, Because.DEPENDS_ON, sentence)

    def _unite(self, one: Part, other: Part, because: Because, sentence: str) -> None:
        if one is other:
            return
        if one.root is not None and other.root is not None:
            into, absorbed = sorted((one.root, other.root))
            self._tell_merge(into[-1], absorbed[-1], because, sentence)
        large, small = (one, other) if len(one.stretches) >= len(other.stretches) else (other, one)
        for stretch in small.stretches:
            stretch.part = large
        large.stretches |= small.stretches
        large.counted.every = [a + b for a, b in zip(large.counted.every, small.counted.every, strict=True)]
        large.counted.firing = [a + b for a, b in zip(large.counted.firing, small.counted.firing, strict=True)]
        large.root = min((root for root in (one.root, other.root) if root is not None), default=None)
        large.latest_at = max(one.latest_at, other.latest_at)

    def _tell_merge(self, into: str, absorbed: str, because: Because, sentence: str) -> None:
        self.merged.append(
            Merge(
                into=self._incident_of[into],
                absorbed=self._incident_of[absorbed],
                because=because,
                sentence=sentence,
            )
        )

    def _rebuild(self, part: Part, without: str = "") -> None:
        """Places the members of one incident anew, as if they had just been seen."""
        told, old = len(self.merged), self.name_of(part)
        members = [alert for alert in self.members(part) if alert.id != without]
        for stretch in part.stretches:
            self._unrow(stretch)
        for alert in sorted(members, key=by_first_seen):
            self._place(alert)
            number, firing = self._counted[alert.id]
            totals = self._stretch_of[alert.id].part.counted
            totals.every[number] += 1
            totals.firing[number] += firing
        del self.merged[told:]
        parts = tuple(sorted({self.name_of(self._stretch_of[alert.id].part) for alert in members}))
        if parts and parts != (old,):
            self.split.append(Split(incident=old, parts=parts))

    def _unrow(self, stretch: Stretch) -> None:
        row = self.places[stretch.place]
        row.remove(stretch)
        if not row:
            del self.places[stretch.place]

    def _release(self, alert: str) -> None:
        del self._stretch_of[alert], self._counted[alert]
        del self._alert_of[self._incident_of.pop(alert)]


def _end(stretch: Stretch) -> Instant:
    return stretch.end_at


def _size(stretch: Stretch) -> int:
    return len(stretch.members)
