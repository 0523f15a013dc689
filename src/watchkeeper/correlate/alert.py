"""An alert: one *episode* of one fingerprint, folded from all that was said about it.

In: signals of kind alert, each with what the catalogue says of it (`Mapped`). Out: `Alert`.

The law: an alert is a function of the *set* of its signals. `join` is commutative, associative and idempotent,
so deliveries that come late, twice or in another order lead to the same alert.

The rule for firing and resolved within an episode:

- A firing statement carries no time of its own but the start, which lies before every end. So by the sender's
  time a resolution is the later word: it settles the episode, in whatever order the two arrived.
- A firing statement *received* more than `LATE_MAX_MS` after the newest resolution cannot be explained by
  lateness: the sender says that it fires again (Alertmanager does so after its own resolve time-out).
  A resolution received after that settles it again.
- The end is the sender's, unless it lies more than `SKEW_MAX_MS` from the time we received it, or before the
  start: then the receipt counts. A start more than `SKEW_MAX_MS` in our future is kept as the episode's name,
  and `began_at` is the receipt.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.signals.signal import Signal, Standing
from watchkeeper.values import Instant, Labels, Severity, after_ms, id_from, ms_between, rfc3339, severity_of

LATE_MAX_MS: Final = 300_000
SKEW_MAX_MS: Final = 300_000
DELIVERIES_MAX: Final = 32  # the newest ones, by id; a count of 32 reads "32 or more"
UNMAPPED_BY: Final = ("service", "job", "instance", "alertname")


class AlertState(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"
    STALE = "stale"


class Mapped(Struct, frozen=True, kw_only=True):
    """What the catalogue says of a signal, resolved by the caller. `entity` is "" for an unmapped one.

    `parents` are the entities it depends on directly: within one `Correlation` a function of the entity.
    """

    entity: str = ""
    system: str = ""
    environment: str = ""
    region: str = ""
    tier: str = ""
    parents: tuple[str, ...] = ()
    stale_after_ms: int = 5 * 3_600_000


class Alert(Struct, frozen=True, kw_only=True):
    """`state` is firing or resolved; whether it is stale depends on the time: ask `state_at`.

    `first_seen_at`, `last_seen_at`: receipt of the first and the newest statement. `fired_at`, `cleared_at`: receipt
    of the newest firing and the newest resolving one. `resolved_at` is set while the state is resolved.
    `stale_at`: unseen until then, it is stale. `words` is the signal whose labels, annotations and severity are shown:
    the newest by receipt. `deliveries` are the newest distinct ones, at most `DELIVERIES_MAX`.
    """

    id: str
    group: str
    fingerprint: str
    starts_at: Instant
    state: AlertState
    severity: Severity
    labels: Labels
    annotations: Labels
    source: str
    mapped: Mapped
    began_at: Instant
    first_seen_at: Instant
    last_seen_at: Instant
    stale_at: Instant
    words: str
    fired_at: Instant | None = None
    cleared_at: Instant | None = None
    cleared_by: str = ""
    end_stated_at: Instant | None = None
    resolved_at: Instant | None = None
    deliveries: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    region: str = ""
    url: str = ""
    incomplete: bool = False

    @property
    def entity(self) -> str:
        return self.mapped.entity

    @property
    def place(self) -> str:
        """Where it belongs: its entity, or for an unmapped one a name made of its labels."""
        return self.mapped.entity or _unmapped(self.labels)

    @property
    def symptom(self) -> str:
        """Alert name and service: what corroboration and attempts count by."""
        return symptom_of(self.labels, self.mapped)


def symptom_of(labels: Labels, mapped: Mapped) -> str:
    return f"{labels.get('alertname', '')} on {mapped.entity or labels.get('service', '')}"


def _unmapped(labels: Labels) -> str:
    for name in UNMAPPED_BY:
        if labels.get(name):
            return f"unmapped:{name}={labels[name]}"
    return "unmapped:"


def alert_id(group: str, fingerprint: str, starts_at: Instant) -> str:
    return id_from("alr", starts_at, group, fingerprint, rfc3339(starts_at))


def alert_of(signal: Signal, mapped: Mapped, starts_at: Instant | None = None, identity: str = "") -> Alert:
    """The alert that one statement alone makes. `starts_at` names the episode when the sender did not.

    `identity` is its id where the caller has it at hand: working it out is the greater part of the cost.
    """
    start = signal.starts_at if starts_at is None else starts_at
    resolving = signal.standing is Standing.RESOLVED
    seen_at = signal.received_at
    return _settled(
        Alert(
            id=identity or alert_id(signal.group, signal.fingerprint, start),
            group=signal.group,
            fingerprint=signal.fingerprint,
            starts_at=start,
            state=AlertState.FIRING,
            severity=severity_of(signal.labels),
            labels=signal.labels,
            annotations=signal.annotations,
            source=signal.source,
            mapped=mapped,
            began_at=start,
            first_seen_at=seen_at,
            last_seen_at=seen_at,
            stale_at=seen_at if resolving else after_ms(seen_at, mapped.stale_after_ms),
            words=signal.id,
            fired_at=None if resolving else seen_at,
            cleared_at=seen_at if resolving else None,
            cleared_by=signal.id if resolving else "",
            end_stated_at=signal.ends_at if resolving else None,
            deliveries=(signal.delivery,) if signal.delivery else (),
            sources=(signal.source,),
            region=signal.region,
            url=signal.url,
            incomplete=signal.incomplete,
        )
    )


def fold(alert: Alert | None, signal: Signal, mapped: Mapped) -> Alert:
    """The alert with one more statement of its episode."""
    if alert is None:
        return alert_of(signal, mapped)
    return join(alert, alert_of(signal, mapped, alert.starts_at, alert.id))


def join(one: Alert, other: Alert) -> Alert:
    """Both alerts of one episode as one: the least alert that holds what either knows."""
    shown, hidden = (one, other) if (one.last_seen_at, one.words) >= (other.last_seen_at, other.words) else (other, one)
    cleared = _later_clearing(one, other)
    fired_at = shown.fired_at
    if fired_at is None or (hidden.fired_at is not None and hidden.fired_at > fired_at):
        fired_at = hidden.fired_at
    return _settled(
        Alert(
            id=shown.id,
            group=shown.group,
            fingerprint=shown.fingerprint,
            starts_at=shown.starts_at,
            state=AlertState.FIRING,
            severity=shown.severity,
            labels=shown.labels,
            annotations=shown.annotations,
            source=shown.source,
            mapped=shown.mapped,
            began_at=shown.starts_at,
            first_seen_at=min(one.first_seen_at, other.first_seen_at),
            last_seen_at=shown.last_seen_at,
            stale_at=max(one.stale_at, other.stale_at),
            words=shown.words,
            fired_at=fired_at,
            cleared_at=cleared.cleared_at,
            cleared_by=cleared.cleared_by,
            end_stated_at=cleared.end_stated_at,
            deliveries=_united(shown.deliveries, hidden.deliveries)[-DELIVERIES_MAX:],
            sources=_united(shown.sources, hidden.sources),
            region=shown.region,
            url=shown.url,
            incomplete=shown.incomplete,
        )
    )


def _later_clearing(one: Alert, other: Alert) -> Alert:
    if other.cleared_at is None:
        return one
    if one.cleared_at is None:
        return other
    return one if (one.cleared_at, one.cleared_by) >= (other.cleared_at, other.cleared_by) else other


def _united(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    if one == other or not other:
        return one
    return tuple(sorted({*one, *other}))


def _settled(alert: Alert) -> Alert:
    """`alert` with all that follows from what is known of it."""
    began_at = alert.starts_at
    if ms_between(alert.first_seen_at, began_at) > SKEW_MAX_MS:
        began_at = alert.first_seen_at
    fired_at, cleared_at = alert.fired_at, alert.cleared_at
    if cleared_at is None or (fired_at is not None and ms_between(cleared_at, fired_at) > LATE_MAX_MS):
        return alert if began_at == alert.began_at else replace(alert, began_at=began_at)
    end_at = alert.end_stated_at
    if end_at is None or end_at < began_at or abs(ms_between(end_at, cleared_at)) > SKEW_MAX_MS:
        end_at = cleared_at
    return replace(alert, began_at=began_at, state=AlertState.RESOLVED, resolved_at=max(end_at, began_at))


def state_at(alert: Alert, now: Instant) -> AlertState:
    """The state at `now`: a firing alert that was not seen until `stale_at` is stale from that instant on."""
    if alert.state is AlertState.FIRING and now >= alert.stale_at:
        return AlertState.STALE
    return alert.state


def span_end(alert: Alert) -> Instant:
    """Until when, by our own receipt, it lasted or is believed to last."""
    return alert.cleared_at if alert.state is AlertState.RESOLVED and alert.cleared_at else alert.stale_at


def ended_at(alert: Alert, now: Instant) -> Instant | None:
    """When its condition ended: resolved, or stale; None while it fires."""
    match state_at(alert, now):
        case AlertState.FIRING:
            return None
        case AlertState.RESOLVED:
            return alert.resolved_at
        case AlertState.STALE:
            return alert.stale_at
