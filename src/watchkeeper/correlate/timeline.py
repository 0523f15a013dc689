"""What happened in an incident, and how far it has come.

In: what the signals say (`Incident`) and what people and runs did (`TimelineEvent`s, as a set).
Out: `Progress`: open -> acknowledged -> mitigated -> resolved -> closed.
"""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from watchkeeper.correlate.alert import Alert, ended_at, state_at
from watchkeeper.correlate.incident import Incident, IncidentState, by_first_seen
from watchkeeper.values import Instant


class EventKind(StrEnum):
    ALERT = "alert"
    MERGED = "merged"
    ACKNOWLEDGED = "acknowledged"
    DECIDED = "decided"
    RUN = "run"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    CLOSED = "closed"
    REOPENED = "reopened"
    NOTE = "note"


class Phase(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    CLOSED = "closed"


class TimelineEvent(Struct, frozen=True, kw_only=True):
    """`actor`: `automation`, a source's name, or a person. `ids`: what it speaks of (alert, run, decision, incident)."""

    at: Instant
    actor: str
    kind: EventKind
    sentence: str
    ids: tuple[str, ...] = ()


class Progress(Struct, frozen=True, kw_only=True):
    """Each time is that of the first such event since the incident was opened or reopened; None: not yet."""

    phase: Phase
    began_at: Instant
    opened_at: Instant
    acknowledged_at: Instant | None = None
    mitigated_at: Instant | None = None
    resolved_at: Instant | None = None
    closed_at: Instant | None = None


def ordered(events: Iterable[TimelineEvent]) -> tuple[TimelineEvent, ...]:
    """Each event once, by time; at one time in an order that depends on nothing but the events."""
    return tuple(sorted(set(events), key=lambda event: (event.at, event.kind, event.actor, event.ids, event.sentence)))


def progress(incident: Incident, events: Iterable[TimelineEvent]) -> Progress:
    """How far it is. The signals have the last word on whether it is over: nobody closes what still fires."""
    first: dict[EventKind, Instant] = {}
    for event in ordered(events):
        if event.kind is EventKind.REOPENED:
            first.clear()
        first.setdefault(event.kind, event.at)
    acknowledged_at, mitigated_at = first.get(EventKind.ACKNOWLEDGED), first.get(EventKind.MITIGATED)
    over = incident.state is IncidentState.RESOLVED
    closed_at = first.get(EventKind.CLOSED) if over else None
    if closed_at is not None:
        phase = Phase.CLOSED
    elif over:
        phase = Phase.RESOLVED
    elif mitigated_at is not None:
        phase = Phase.MITIGATED
    else:
        phase = Phase.OPEN if acknowledged_at is None else Phase.ACKNOWLEDGED
    return Progress(
        phase=phase,
        began_at=incident.began_at,
        opened_at=incident.opened_at,
        acknowledged_at=acknowledged_at,
        mitigated_at=mitigated_at,
        resolved_at=incident.resolved_at,
        closed_at=closed_at,
    )


def told_by_alerts(members: Iterable[Alert], now: Instant) -> tuple[TimelineEvent, ...]:
    """The signals' own part of the timeline, worked out from the alerts whenever it is read."""
    found: list[TimelineEvent] = []
    for alert in sorted(members, key=by_first_seen):
        what = f"{alert.labels.get('alertname', 'alert without a name')} on {alert.place}"
        said = [(alert.first_seen_at, f"firing, severity {alert.severity}")] if alert.fired_at is not None else []
        over_at = ended_at(alert, now)
        if over_at is not None:
            said.append((over_at, state_at(alert, now).value))
        found += (
            TimelineEvent(at=at, actor=alert.source, kind=EventKind.ALERT, sentence=f"{what}: {word}", ids=(alert.id,))
            for at, word in said
        )
    return ordered(found)
