"""Turns: in which order what waits is worked on, so that the critical goes first and nothing starves.

Everything that waits has a *rank*, lower first: how severe it is, and within that how important the business
transaction is that it is about. Whatever has waited for `AGED_AFTER_MS` is *aged*; every `AGED_EVERY`-th place goes to the
aged one that has waited longest. So in a short storm rank alone decides, and in a long one the least important thing
before which k others have waited longer is worked on within `AGED_EVERY` * (k + 1) places, however many critical ones come.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from watchkeeper.values import Instant, Severity, ms_between

AGED_AFTER_MS: Final = 30_000
AGED_EVERY: Final = 8  # places, of which one goes to what has waited longest
RANKS_A_CLASS: Final = 16
CLASS_UNSTATED: Final = 2
CLASS_LOWEST: Final = 3
RANK_MAX: Final = RANKS_A_CLASS * (CLASS_LOWEST + 1) - 1

CLASSES: Final[dict[Severity, int]] = {
    Severity.CRITICAL: 0,
    Severity.MAJOR: 1,
    Severity.MINOR: 2,
    Severity.WARNING: 2,
    Severity.INFO: CLASS_LOWEST,
}


class Waiting(Struct, frozen=True, kw_only=True):
    """Something that waits since `since_at`; `number` orders what came at the same instant. Ids are unique among what
    waits together.
    """

    id: str
    rank: int
    since_at: Instant
    number: int = 0


def rank_of(class_: int, priority: int) -> int:
    """`class_` 0 (critical) to 3; `priority` of the transaction, 1 the most important, at most 15. Lower is first."""
    return class_ * RANKS_A_CLASS + min(priority, RANKS_A_CLASS - 1)


def class_of(rank: int) -> int:
    return rank // RANKS_A_CLASS


def by_rank(one: Waiting) -> tuple[int, Instant, int, str]:
    return one.rank, one.since_at, one.number, one.id


def by_age(one: Waiting) -> tuple[Instant, int, str]:
    return one.since_at, one.number, one.id


def is_aged(one: Waiting, now: Instant) -> bool:
    return ms_between(one.since_at, now) >= AGED_AFTER_MS


def is_for_the_aged(place: int) -> bool:
    """Whether a place, counted from 0, is kept for what has waited longest."""
    return place % AGED_EVERY == AGED_EVERY - 1


def in_turn(waiting: Iterable[Waiting], now: Instant, given: int = 0) -> tuple[Waiting, ...]:
    """All of them in the order in which they are worked on, were nothing to come. `given` places went before."""
    left = {one.id: one for one in waiting}
    ranked, oldest = sorted(left.values(), key=by_rank), sorted(left.values(), key=by_age)
    return tuple(_turns(left, iter(ranked), iter(oldest), now, given))


def _turns(
    left: dict[str, Waiting], ranked: Iterator[Waiting], oldest: Iterator[Waiting], now: Instant, given: int
) -> Iterator[Waiting]:
    place = given
    first = _first(oldest, left)
    while left:
        if first is not None and first.id not in left:
            first = _first(oldest, left)
        aged = first if first is not None and is_for_the_aged(place) and is_aged(first, now) else None
        one = aged or _first(ranked, left)
        assert one is not None
        del left[one.id]
        place += 1
        yield one


def _first(order: Iterator[Waiting], left: dict[str, Waiting]) -> Waiting | None:
    return next((one for one in order if one.id in left), None)
