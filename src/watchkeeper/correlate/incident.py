"""An incident: alerts on one service, and along the catalogue, that overlap in time.

In: alerts. Out: incidents, and for each the reasons why its alerts belong together.

Membership is a function of the set of alerts: two alerts are linked when they stand on the same entity, or one's
entity depends directly on the other's, and their spans (first receipt to the end or to staleness, by our receipt)
lie at most `WINDOW_MS` apart. An incident is a connected component of these links. Its id is the one
of its earliest alert, so an incident that grows backwards or merges takes the older id; the id made from *any*
of its alerts names it too (an alias), so no link that was ever handed out goes dead.
"""

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.correlate.alert import Alert, AlertState, ended_at, span_end, state_at
from watchkeeper.values import SEVERITY_ORDER, Instant, Severity, after_ms, id_from

WINDOW_MS: Final = 300_000

Begin = tuple[Instant, Instant, str]


class IncidentState(StrEnum):
    """What the signals say. What people do about it is the timeline's `Phase`."""

    OPEN = "open"
    RESOLVED = "resolved"


class Because(StrEnum):
    SAME_SERVICE = "same service"
    DEPENDS_ON = "depends on"
    EARLIER = "an earlier alert came to light"


class Incident(Struct, frozen=True, kw_only=True):
    """The sum of its alerts; the alerts themselves name it by `incident_id`.

    `severity` is the worst of those that fire, or of all when none does. `began_at` is the sender's start of the
    earliest one, `opened_at` our first receipt of it. `resolved_at` is the last end, once none fires.
    """

    id: str
    root: str
    place: str
    entity: str
    environment: str
    title: str
    began_at: Instant
    opened_at: Instant
    state: IncidentState
    severity: Severity
    priority: int
    alerts: int
    firing: int
    resolved_at: Instant | None = None


class Link(Struct, frozen=True, kw_only=True):
    """Why an alert is in its incident: the alert it hangs on, and the reason in words."""

    alert: str
    to: str
    because: Because
    sentence: str


class Tally(Struct):
    """How many alerts of each severity, worst first. Owned by who counts."""

    every: list[int]
    firing: list[int]


def tally() -> Tally:
    return Tally(every=[0] * len(SEVERITY_ORDER), firing=[0] * len(SEVERITY_ORDER))


def incident_id(alert: Alert) -> str:
    return id_from("inc", alert.starts_at, alert.id)


def incident_from(root: Alert, counted: Tally, resolved_at: Instant | None) -> Incident:
    firing, every = sum(counted.firing), sum(counted.every)
    worst = next(number for number, count in enumerate(counted.firing if firing else counted.every) if count)
    name = root.labels.get("alertname") or "alert without a name"
    return Incident(
        id=incident_id(root),
        root=root.id,
        place=root.place,
        entity=root.entity,
        environment=root.mapped.environment,
        title=f"{name} on {root.place}",
        began_at=root.began_at,
        opened_at=root.first_seen_at,
        state=IncidentState.OPEN if firing else IncidentState.RESOLVED,
        severity=SEVERITY_ORDER[worst],
        priority=worst + 1,
        alerts=every,
        firing=firing,
        resolved_at=None if firing else resolved_at,
    )


def incident_of(members: Iterable[Alert], now: Instant) -> Incident:
    """The incident of its members, at least one, at `now`."""
    ordered = sorted(members, key=by_first_seen)
    counted = tally()
    for alert in ordered:
        number = SEVERITY_ORDER.index(alert.severity)
        counted.every[number] += 1
        counted.firing[number] += state_at(alert, now) is AlertState.FIRING
    ends = [end for alert in ordered if (end := ended_at(alert, now)) is not None]
    return incident_from(ordered[0], counted, max(ends, default=None))


def by_first_seen(alert: Alert) -> Begin:
    """The order of alerts: by our receipt; in one delivery by the sender's start."""
    return alert.first_seen_at, alert.starts_at, alert.id


def incidents(alerts: Iterable[Alert]) -> tuple[tuple[Alert, ...], ...]:
    """The members of each incident, from scratch; both in the order of first receipt."""
    stretches = _stretches(alerts)
    graph = _neighbours(stretches)
    found: list[tuple[Alert, ...]] = []
    done: set[int] = set()
    for number in range(len(stretches)):
        if number in done:
            continue
        reached = [number, *(inner for inner, _ in _walk(graph, number))]
        done.update(reached)
        members = [alert for inner in reached for alert in stretches[inner].alerts]
        found.append(tuple(sorted(members, key=by_first_seen)))
    return tuple(sorted(found, key=lambda members: by_first_seen(members[0])))


def links(members: Iterable[Alert]) -> tuple[Link, ...]:
    """Why each alert but the earliest belongs to the incident: one reason each, the same for every order."""
    stretches = _stretches(members)
    found: list[Link] = []
    for stretch in stretches:
        sentence = f"same service: both are on {stretch.place}"
        found += (
            Link(alert=alert.id, to=stretch.alerts[0].id, because=Because.SAME_SERVICE, sentence=sentence)
            for alert in stretch.alerts[1:]
        )
    for inner, outer in _walk(_neighbours(stretches), 0):
        near, far = stretches[inner], stretches[outer]
        needs, needed = (near, far) if far.place in near.parents else (far, near)
        sentence = f"depends on: {needs.place} depends on {needed.place}"
        found.append(Link(alert=near.alerts[0].id, to=far.alerts[0].id, because=Because.DEPENDS_ON, sentence=sentence))
    order = {alert.id: number for number, alert in enumerate(sorted(_all(stretches), key=by_first_seen))}
    return tuple(sorted(found, key=lambda link: order[link.alert]))


class _Stretch(Struct):
    """Alerts of one place without a gap longer than the window, in the order of first receipt."""

    place: str
    parents: set[str]
    alerts: list[Alert]
    end_at: Instant

    @property
    def begin_at(self) -> Instant:
        return self.alerts[0].first_seen_at


def _all(stretches: Iterable[_Stretch]) -> list[Alert]:
    return [alert for stretch in stretches for alert in stretch.alerts]


def _stretches(alerts: Iterable[Alert]) -> list[_Stretch]:
    """In the order of their first alerts."""
    current: dict[str, _Stretch] = {}
    found: list[_Stretch] = []
    for alert in sorted(alerts, key=by_first_seen):
        stretch = current.get(alert.place)
        if stretch is None or alert.first_seen_at > after_ms(stretch.end_at, WINDOW_MS):
            parents = set(stretch.parents) if stretch else set()
            stretch = _Stretch(place=alert.place, parents=parents, alerts=[], end_at=span_end(alert))
            current[alert.place] = stretch
            found.append(stretch)
        stretch.alerts.append(alert)
        stretch.parents.update(alert.mapped.parents)
        stretch.end_at = max(stretch.end_at, span_end(alert))
    return found


def _neighbours(stretches: list[_Stretch]) -> Mapping[int, list[int]]:
    at: dict[str, list[int]] = defaultdict(list)
    for number, stretch in enumerate(stretches):
        at[stretch.place].append(number)
    found: dict[int, list[int]] = defaultdict(list)
    for number, stretch in enumerate(stretches):
        for parent in sorted(stretch.parents - {stretch.place}):
            # The stretches of one place lie apart in time, so their ends are in order too.
            others = at.get(parent, [])
            earliest = after_ms(stretch.begin_at, -WINDOW_MS)
            for other in others[bisect_left(others, earliest, key=lambda n: stretches[n].end_at) :]:
                if stretches[other].begin_at > after_ms(stretch.end_at, WINDOW_MS):
                    break
                found[number].append(other)
                found[other].append(number)
    return {number: sorted(others) for number, others in found.items()}


def _walk(graph: Mapping[int, list[int]], start: int) -> Iterable[tuple[int, int]]:
    """(reached, reached from), breadth first, the earliest first."""
    seen = {start}
    waiting = deque([start])
    while waiting:
        outer = waiting.popleft()
        for inner in graph.get(outer, ()):
            if inner not in seen:
                seen.add(inner)
                waiting.append(inner)
                yield inner, outer
