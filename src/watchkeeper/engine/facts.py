"""What a decision uses of an alert, read from correlation and from those who say the same."""

from watchkeeper.correlate.alert import Alert, AlertState, state_at
from watchkeeper.correlate.correlation import Correlation
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.guards.situation import AlertFacts
from watchkeeper.values import Instant


def facts_of(alert: Alert, correlation: Correlation, witnesses: Witnesses, now: Instant) -> AlertFacts:
    state = state_at(alert, now)
    return AlertFacts(
        id=alert.id,
        episode=alert.id,
        symptom=alert.symptom,
        labels=alert.labels,
        annotations=alert.annotations,
        severity=alert.severity,
        source=alert.source,
        group=alert.group,
        region=alert.region,
        entity=alert.entity,
        starts_at=alert.starts_at,
        first_seen_at=alert.first_seen_at,
        last_seen_at=alert.last_seen_at,
        firing=state is not AlertState.RESOLVED,
        stale=state is AlertState.STALE,
        incident=correlation.incident_id_of(alert.id) or "",
        flapping=witnesses.flapping(alert, now),
        inhibited=witnesses.inhibited(alert, now),
        incomplete=alert.incomplete,
    )
