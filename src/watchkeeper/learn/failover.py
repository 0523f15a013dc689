"""How long a failover took: from the first bad sample to the first verified good one.

In: the events of a run of a `failover` runbook, or a change of where a service is active, and what the service's own
checks saw. Out: one `Failover` each. One that nobody verified has no duration; one without a bad sample was planned.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.execute.run import Done, Ended, Event, Settled, Status, Verified
from watchkeeper.learn.looks import Day, State, windows
from watchkeeper.values import Instant, after_ms, ms_between
from watchkeeper.verify.sample import Result

RECENT_MS: Final = 900_000  # a failure that ended so long before the change is still what it answered


class Cause(StrEnum):
    RUN = "run"
    ACTIVE_IN = "active_in"


class Failover(Struct, frozen=True, kw_only=True):
    """`at` is when it happened: the run's end, or the change. `bad_at` None: nothing was seen to fail, it was planned.
    `good_at` None: not verified yet, or (`failed`) never. `from_region` and `to_region` where they are known.
    """

    id: str
    service: str
    cause: Cause
    at: Instant
    run: str = ""
    bad_at: Instant | None = None
    good_at: Instant | None = None
    failed: bool = False
    from_region: str = ""
    to_region: str = ""


def verified_at(events: Iterable[Event]) -> Instant | None:
    """The first healthy verification after the last effect of a run that succeeded; None when there is none.

    One before that (a replica that is well before it is promoted) says nothing about the service.
    """
    found: Instant | None = None
    ended = False
    for event in events:
        match event:
            case Done(undo=False) | Settled():
                found = None
            case Verified(result=Result.HEALTHY, undo=False) if found is None:
                found = event.good_at or event.at
            case Ended(status=Status.SUCCEEDED):
                ended = True
            case _:
                continue
    return found if ended else None


def bad_since(days: Sequence[Day], at: Instant) -> Instant | None:
    """The first bad look of the failure that a failover at `at` answered: it goes on then, or is over since RECENT_MS at
    most. None when there was none.
    """
    if not days:
        return None
    failures = windows(days, State.DOWN, days[0].from_at, after_ms(at, 1))
    if not failures:
        return None
    last = failures[-1]
    assert last.until_at is not None
    return last.from_at if ms_between(last.until_at, at) <= RECENT_MS else None


def good_since(
    days: Sequence[Day], bad_at: Instant, changed_at: Instant, lasts_ms: int, now: Instant
) -> Instant | None:
    """The first good look after the failure that began at `bad_at`, once the service was up for `lasts_ms` from it.

    One before the change counts only when the service stayed up until the change.
    """
    for window in windows(days, State.UP, bad_at, now):
        assert window.until_at is not None
        if window.until_at >= changed_at and ms_between(window.from_at, window.until_at) >= lasts_ms:
            return window.from_at
    return None
