"""The availability of one service over one window, worked out of its own checks, its incidents and its failovers.

In: days of looks, `Incident`s as `Episode`s, `Failover`s. Out: `Availability`: whole milliseconds and parts per million,
each of which a person can check by hand from the record. Nothing is assumed of a time in which nobody looked.
Source: ITIL 4, Incident management (times to detect, acknowledge, restore); SRE Workbook, "Implementing SLOs".
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct

from watchkeeper.learn.failover import Failover
from watchkeeper.learn.looks import Counted, Day, State, counted, since, windows
from watchkeeper.learn.measures import PPM, Mean, down_ms, mean
from watchkeeper.values import Instant, Severity, Window, after_ms


class Basis(StrEnum):
    """What says whether the service was up. `none`: nothing does, and its uptime is unknown."""

    CHECKS = "checks"
    INCIDENTS = "incidents"
    NONE = "none"


class Episode(Struct, frozen=True, kw_only=True):
    """What the measures use of an incident. `began_at` is the sender's start, `opened_at` our first receipt."""

    id: str
    entity: str
    severity: Severity
    began_at: Instant
    opened_at: Instant
    acknowledged_at: Instant | None = None
    resolved_at: Instant | None = None


class Availability(Struct, frozen=True, kw_only=True):
    """`uptime_ppm` is up / (up + down); None when nobody looked at all. `as_of` is how new the newest look is; of a
    service without checks of its own, when it was worked out. `incidents` were opened inside the window; those that
    still go on are in `open` and in no mean. `failover` is from the first bad look to the first verified good one.
    """

    service: str
    at: Instant
    window_ms: int
    basis: Basis
    from_at: Instant
    as_of: Instant | None
    up_ms: int
    down_ms: int
    unknown_ms: int
    uptime_ppm: int | None
    looks: Counted
    incidents: int
    open: int
    detect: Mean
    acknowledge: Mean
    restore: Mean
    failover: Mean
    failovers_failed: int


def availability(
    service: str,
    days: Sequence[Day],
    episodes: Iterable[Episode],
    failovers: Iterable[Failover],
    *,
    own: frozenset[str],
    down_severities: frozenset[Severity],
    watched: Sequence[Window],
    window_ms: int,
    now: Instant,
) -> Availability:
    """`episodes` are those of the service and of its members; only those on one of `own` (the service itself) take it
    down, and only with a severity in `down_severities`. What a check saw counts whatever an incident says, because an
    incident outlasts its failures; where no check could see, the incident does. `watched` is when this node ran: without
    checks of its own, a service counts as up while it ran and no incident said otherwise.
    """
    from_at = after_ms(now, -window_ms)
    listed = tuple(episodes)
    told_down = [
        Window(from_at=one.began_at, until_at=one.resolved_at or now)
        for one in listed
        if one.entity in own and one.severity in down_severities
    ]
    if since(days) is not None:
        basis, as_of = Basis.CHECKS, days[-1].seen_at
        seen_up, seen_down = windows(days, State.UP, from_at, now), windows(days, State.DOWN, from_at, now)
        known = down_ms([*seen_up, *seen_down, *told_down], from_at, now)
        down = known - down_ms(seen_up, from_at, now)
    elif watched and listed:
        basis, as_of = Basis.INCIDENTS, now
        known, down = down_ms([*watched, *told_down], from_at, now), down_ms(told_down, from_at, now)
    else:
        basis, as_of, known, down = Basis.NONE, None, 0, 0
    inside = [one for one in listed if from_at <= one.opened_at <= now]
    taken = [one for one in failovers if from_at <= one.at <= now]
    return Availability(
        service=service,
        at=now,
        window_ms=window_ms,
        basis=basis,
        from_at=from_at,
        as_of=as_of,
        up_ms=known - down,
        down_ms=down,
        unknown_ms=window_ms - known,
        uptime_ppm=(known - down) * PPM // known if known else None,
        looks=counted(days, from_at, now),
        incidents=len(inside),
        open=sum(1 for one in inside if one.resolved_at is None),
        detect=mean((one.began_at, one.opened_at) for one in inside),
        acknowledge=mean((one.opened_at, one.acknowledged_at) for one in inside),
        restore=mean((one.began_at, one.resolved_at) for one in inside),
        failover=mean((one.bad_at, one.good_at) for one in taken if one.bad_at is not None),
        failovers_failed=sum(1 for one in taken if one.failed),
    )
