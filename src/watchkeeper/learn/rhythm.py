"""How often a rule is called for at this time of the week, and whether that is unusual.

A *call* is an episode that a rule wanted to act on, counted once whatever was decided of it: a freeze is no silence, and
neither is a demotion. Calls are counted by the hour; a window (an hour, a day, a week) is compared with the same window
of the weeks before. In: hours with their calls. Out: how many are usual, from how many on it is a surge, and down to
how many it is a silence.

Hours here are hours of the clock on the wall, numbered from 1970: 168 of them are a week whatever the clocks do.

Source: Farrington et al. 1996, "A Statistical Algorithm for the Early Detection of Outbreaks of Infectious Disease":
the same time of earlier periods as reference, overdispersed counts, and what was an outbreak left out of it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from math import exp, lgamma, log, log1p, sqrt
from typing import Final

from msgspec import Struct

from watchkeeper.home.anomaly import WEEKS_MIN
from watchkeeper.values import Instant

HOUR_MS: Final = 3_600_000
DAY_HOURS: Final = 24
WEEK_HOURS: Final = 168
MONDAY: Final = 3  # 1 January 1970 was a Thursday: days since then and this many more begin on a Monday
CALLS_MIN: Final = 8  # in the weeks that are compared with: of fewer nobody can say what is usual
SURGE_MIN: Final = 3  # calls in one window; fewer are never too many
BLIND_PPM_MAX: Final = 100_000  # of a window that nobody watched, for it to count
TESTS: Final = 4  # a surge in an hour and in a day, a silence of a day and of a week
TAIL_MAX: Final = 1_000_000  # calls up to which a limit is looked for


class Span(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


class Kind(StrEnum):
    SURGE = "surge"
    SILENCE = "silence"


HOURS: Final[Mapping[Span, int]] = {Span.HOUR: 1, Span.DAY: DAY_HOURS, Span.WEEK: WEEK_HOURS}


class Policy(Struct, frozen=True, kw_only=True):
    """On average at most one false alarm in `every_ms` over all of `series` that are watched, if calls come as the model
    says. `weeks`: how far the comparison reaches back, WEEKS_MIN to WEEKS_MAX.
    """

    every_ms: int
    weeks: int
    series: int = 1


class Calls(Struct, frozen=True, kw_only=True):
    """One series. `hours`: hour -> calls, of hours with any. It was counted from hour `since` on, except in the hours
    `blind`. `unusual`: the first hours of windows, by span, that were called unusual and no part of what is usual.
    """

    hours: Mapping[int, int]
    since: int
    blind: frozenset[int] = frozenset()
    unusual: Mapping[Span, frozenset[int]] = {}

    def of(self, start: int, span: Span) -> int:
        return sum(self.hours.get(hour, 0) for hour in range(start, start + HOURS[span]))

    def watched(self, start: int, span: Span) -> bool:
        """Whether nearly all of a window was counted."""
        size = HOURS[span]
        if start < self.since:
            return False
        blind = sum(hour in self.blind for hour in range(start, start + size)) if self.blind else 0
        return blind * 1_000_000 <= BLIND_PPM_MAX * size


class Usual(Struct, frozen=True, kw_only=True):
    """What is usual in one window. `mean_milli`: calls in thousandths. More than `limit` is a surge, `floor` or fewer a
    silence; None where no number would be: it is called for too seldom. `weeks`: how many were compared with.
    """

    mean_milli: int
    limit: int
    floor: int | None
    weeks: int


class Learning(Struct, frozen=True, kw_only=True):
    """Not enough is known: the same window was watched in so many weeks, with so many calls in all of them; WEEKS_MIN and
    CALLS_MIN are needed.
    """

    weeks: int
    calls: int


class Unusual(Struct, frozen=True, kw_only=True):
    """A window in which a rule was called for unusually often, or unusually seldom. `mean_milli` and `weeks` as in `Usual`;
    `bound` is its limit or its floor. `service` is the entity's reference.
    """

    id: str
    rule: str
    service: str
    kind: Kind
    span: Span
    from_at: Instant
    until_at: Instant
    calls: int
    mean_milli: int
    bound: int
    weeks: int
    at: Instant
    owner: str = ""
    demoted: tuple[str, ...] = ()


def window(hour: int, span: Span) -> int:
    """The first hour of the window that an hour lies in. Weeks begin on Monday."""
    match span:
        case Span.HOUR:
            return hour
        case Span.DAY:
            return hour - hour % DAY_HOURS
        case Span.WEEK:
            return hour - (hour + MONDAY * DAY_HOURS) % WEEK_HOURS


def usual(calls: Calls, start: int, span: Span, policy: Policy) -> Usual | Learning:
    """What is usual in the window that begins at `start`, by the weeks before it."""
    places = _places(calls, start, span, policy.weeks)
    here = places[0]
    windows, total = sum(each.windows for each in places), sum(each.calls for each in places)
    if here.windows < WEEKS_MIN or total < CALLS_MIN:
        return Learning(weeks=here.windows, calls=total)
    mean = here.calls / here.windows
    # An hour that never had a call is not impossible, and one that always had some may miss them: a week's worth of what
    # is usual at any time is added, where that makes an alarm less likely.
    leaning = (here.calls + total / windows) / (here.windows + 1)
    spread = _dispersion(places)
    if span is Span.WEEK:  # too few of them to say how they scatter: at least as days do
        spread = max(spread, _dispersion(_places(calls, start, Span.DAY, policy.weeks)))
    spread *= 1 + 1 / here.windows  # the mean is itself a guess
    chance = 1 / (policy.every_ms / (HOURS[span] * HOUR_MS) * policy.series * TESTS)
    return Usual(
        mean_milli=round(mean * 1000),
        limit=max(too_many(max(mean, leaning), spread, chance), SURGE_MIN) - 1,
        floor=too_few(min(mean, leaning), spread, chance),
        weeks=here.windows,
    )


class _Place:
    """One place in the week: how many windows of the weeks before, their calls, and the squares of those."""

    __slots__ = ("calls", "squares", "windows")

    def __init__(self, windows: int) -> None:
        self.windows = windows
        self.calls = self.squares = 0


def _places(calls: Calls, start: int, span: Span, weeks: int) -> list[_Place]:
    """Every place in the week, that of the window itself first. Work grows with the hours that had calls, not with time."""
    size = HOURS[span]
    count = WEEK_HOURS // size
    oldest = start - weeks * WEEK_HOURS
    reach = start - max(oldest, calls.since)  # hours that were counted
    places = [_Place(max(0, (reach - (place * size or WEEK_HOURS)) // WEEK_HOURS + 1)) for place in range(count)]

    out = _left_out(calls, start, span, oldest, places)
    for window in out:
        places[_place_of(window, start, size)].windows -= 1
    found: dict[int, int] = {}
    for hour, here in calls.hours.items():
        if oldest <= hour < start:
            began = _window_of(hour, start, size)
            found[began] = found.get(began, 0) + here
    for window, here in found.items():
        if window >= calls.since and window not in out:
            place = places[_place_of(window, start, size)]
            place.calls += here
            place.squares += here * here
    return places


def _left_out(calls: Calls, start: int, span: Span, oldest: int, places: list[_Place]) -> set[int]:
    """Windows that say nothing: hardly watched; or called unusual, as long as most at that place were usual."""
    size, least = HOURS[span], max(oldest, calls.since)
    near = {_window_of(hour, start, size) for hour in calls.blind if least <= hour < start}
    out = {window for window in near if window >= least and not calls.watched(window, span)}
    strange: dict[int, set[int]] = {}
    for window in calls.unusual.get(span, ()):
        if least <= window < start and window not in out:
            strange.setdefault(_place_of(window, start, size), set()).add(window)
    unwatched = Counter(_place_of(window, start, size) for window in out)
    for place, windows in strange.items():
        if 2 * len(windows) < places[place].windows - unwatched[place]:
            out |= windows
    return out


def _window_of(hour: int, start: int, size: int) -> int:
    """The first hour of the window before `start` that an hour lies in."""
    return start - -(-(start - hour) // size) * size


def _place_of(window: int, start: int, size: int) -> int:
    return (start - window) // size % (WEEK_HOURS // size)


def _dispersion(places: Iterable[_Place]) -> float:
    """Variance over mean about each place's own mean; 1 is Poisson's, and the least."""
    squares = calls = 0.0
    for place in places:
        if place.windows > 1:
            about = place.squares - place.calls * place.calls / place.windows
            squares += about * place.windows / (place.windows - 1)
            calls += place.calls
    return max(1.0, squares / calls) if calls else 1.0


def too_many(mean: float, spread: float, chance: float) -> int:
    """The least number of calls that, or more than that, comes with less than that chance."""
    left = 1.0
    for count, here in enumerate(_chances(mean, spread)):
        if left < chance:
            return count
        left -= here
    return TAIL_MAX


def too_few(mean: float, spread: float, chance: float) -> int | None:
    """The greatest number of calls that, or fewer than that, comes with less than that chance; None when even none does
    not.
    """
    found: int | None = None
    below = 0.0
    for count, here in enumerate(_chances(mean, spread) if mean else ()):
        below += here
        if below >= chance:
            return found
        found = count
    return found


def _chances(mean: float, spread: float) -> Iterable[float]:
    """The chance of 0, 1, 2, ... calls: negative binomial with that mean and variance `spread` times the mean, above 1."""
    size = mean / (spread - 1)
    share = log1p(-1 / spread)  # of one more call
    none = -size * log(spread)
    for count in range(_first(mean, spread)):
        del count
        yield 0.0
    for count in range(_first(mean, spread), TAIL_MAX):
        yield exp(lgamma(count + size) - lgamma(size) - lgamma(count + 1) + none + count * share)


def _first(mean: float, spread: float) -> int:
    """Below it the chances are too small to be numbers: forty deviations below the mean."""
    return max(0, int(mean - 40 * sqrt(mean * spread)))
