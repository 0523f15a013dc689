"""Availability figures from recorded times: MTTD, MTTA, MTTR in milliseconds, uptime in parts per million.

In: `Progress` values of incidents, spans of outages. Out: `Measures`, whole numbers that a person can check by hand.
Source: ITIL 4, Incident management: time to detect, to acknowledge, to restore.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from watchkeeper.correlate.timeline import Progress
from watchkeeper.values import Instant, Window, ms_between

PPM: Final = 1_000_000


class Mean(Struct, frozen=True, kw_only=True):
    """A mean over `count` incidents, rounded down; None when there was none to measure."""

    mean_ms: int | None
    count: int


class Measures(Struct, frozen=True, kw_only=True):
    """`detect`: start to first receipt. `acknowledge`: first receipt to the first acknowledgement.
    `restore`: start to the end of the last alert. Each over the incidents that have both times.
    """

    incidents: int
    detect: Mean
    acknowledge: Mean
    restore: Mean


def measures(found: Iterable[Progress]) -> Measures:
    listed = tuple(found)
    return Measures(
        incidents=len(listed),
        detect=mean((one.began_at, one.opened_at) for one in listed),
        acknowledge=mean((one.opened_at, one.acknowledged_at) for one in listed),
        restore=mean((one.began_at, one.resolved_at) for one in listed),
    )


def mean(spans: Iterable[tuple[Instant, Instant | None]]) -> Mean:
    # A sender's clock may run a little ahead of ours: such a span counts as zero, not as negative time.
    lengths = [max(0, ms_between(start, end)) for start, end in spans if end is not None]
    return Mean(mean_ms=sum(lengths) // len(lengths) if lengths else None, count=len(lengths))


def down_ms(outages: Iterable[Window], from_at: Instant, until_at: Instant) -> int:
    """Milliseconds of [from_at, until_at) in which at least one outage lasted. One without end lasts to `until_at`."""
    total, reached = 0, from_at
    for outage in sorted(outages, key=lambda window: window.from_at):
        start = max(outage.from_at, reached)
        end = until_at if outage.until_at is None else min(outage.until_at, until_at)
        if end > start:
            total += ms_between(start, end)
            reached = end
    return total


def uptime_ppm(outages: Iterable[Window], from_at: Instant, until_at: Instant) -> int | None:
    """Parts per million of [from_at, until_at) without an outage, rounded down; None for an empty stretch of time."""
    whole_ms = ms_between(from_at, until_at)
    if whole_ms <= 0:
        return None
    return (whole_ms - down_ms(outages, from_at, until_at)) * PPM // whole_ms
