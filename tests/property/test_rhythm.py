"""Laws of what is usual: false alarms at the stated rate, surges and silences found, and the same answer by a slower way."""

from collections.abc import Callable, Mapping
from math import exp
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.learn.rhythm import (
    HOUR_MS,
    HOURS,
    WEEK_HOURS,
    Calls,
    Kind,
    Learning,
    Policy,
    Span,
    Usual,
    usual,
    window,
)

MONDAY = 96  # the first one after 1 January 1970
WEEKS, WATCHED = 8, 16
EVERY = Policy(every_ms=7 * 24 * HOUR_MS, weeks=WEEKS)  # one a week: often enough to count
SEEDS = 6
Rate = Callable[[int], float]


def office(hour: int) -> float:
    """Two an hour in working hours, few at night and at the weekend."""
    day, hour = (hour - MONDAY) // 24 % 7, hour % 24
    return 2.0 if day < 5 and 9 <= hour < 17 else 0.1 if day < 5 else 0.05


def seldom(_: int) -> float:
    return 0.03


def poisson(random: Random, mean: float) -> int:
    left, count = exp(-mean), 0
    chance = random.random()
    while chance > left:
        chance *= random.random()
        count += 1
    return count


def history(random: Random, rate: Rate, *, burst: float = 1.0) -> dict[int, int]:
    """Calls come in bursts of that many on average."""
    found = {}
    for hour in range(MONDAY, MONDAY + WATCHED * WEEK_HOURS):
        count = 0
        for _ in range(poisson(random, rate(hour) / burst)):
            count += 1
            while burst > 1 and random.random() > 1 / burst:
                count += 1
        if count:
            found[hour] = count
    return found


def alarms(calls: Calls, policy: Policy, first: int, last: int) -> list[tuple[Kind, Span, int]]:
    found = []
    for hour in range(first, last):
        for span in Span:
            if window(hour, span) != hour:
                continue
            answer, count = usual(calls, hour, span, policy), calls.of(hour, span)
            if isinstance(answer, Learning):
                continue
            if span is not Span.WEEK and count > answer.limit:
                found.append((Kind.SURGE, span, hour))
            if span is not Span.HOUR and answer.floor is not None and count <= answer.floor:
                found.append((Kind.SILENCE, span, hour))
    return found


def falsely(rate: Rate, burst: float) -> int:
    """Alarms over histories in which nothing changes."""
    first, last = MONDAY + WEEKS * WEEK_HOURS, MONDAY + WATCHED * WEEK_HOURS
    return sum(
        len(alarms(Calls(hours=history(Random(seed), rate, burst=burst), since=MONDAY), EVERY, first, last))
        for seed in range(SEEDS)
    )


def test_a_weekly_rhythm_is_called_unusual_no_more_often_than_stated():
    stated = SEEDS * (WATCHED - WEEKS)
    for rate, burst in ((office, 1.0), (office, 3.0), (seldom, 1.0)):
        assert falsely(rate, burst) <= stated, (rate.__name__, burst)


def test_a_seeded_surge_and_a_seeded_silence_are_found():
    policy = Policy(every_ms=30 * 24 * HOUR_MS, weeks=WEEKS, series=64)
    night = MONDAY + 15 * WEEK_HOURS + 2 * 24 + 3
    day = MONDAY + 15 * WEEK_HOURS + 3 * 24
    for seed in range(SEEDS):
        hours = history(Random(seed), office)
        surged = Calls(hours={**hours, night: 12}, since=MONDAY)
        assert (Kind.SURGE, Span.HOUR, night) in alarms(surged, policy, night, night + 1), seed
        silent = Calls(hours={hour: count for hour, count in hours.items() if not day <= hour < day + 24}, since=MONDAY)
        assert (Kind.SILENCE, Span.DAY, day) in alarms(silent, policy, day, day + 1), seed


COUNTS = st.dictionaries(st.integers(MONDAY, MONDAY + 9 * WEEK_HOURS - 1), st.integers(1, 40), max_size=60)
PLACES = st.sets(st.integers(MONDAY, MONDAY + 9 * WEEK_HOURS - 1), max_size=40)


def slowly(calls: Calls, start: int, span: Span, weeks: int) -> list[list[int]]:
    """Every place in the week, window by window."""
    size, strange = HOURS[span], calls.unusual.get(span, frozenset())
    places = []
    for place in range(WEEK_HOURS // size):
        kept, aside = [], []
        for number in range(weeks):
            there = start - (place * size or WEEK_HOURS) - number * WEEK_HOURS
            if there < calls.since or not calls.watched(there, span):
                continue
            (aside if there in strange else kept).append(calls.of(there, span))
        places.append(kept if len(kept) > len(aside) else kept + aside)
    return places


@given(COUNTS, PLACES, PLACES, st.sampled_from(Span), st.integers(4, 8), st.integers(0, WEEK_HOURS * 3))
def test_it_is_the_same_worked_out_window_by_window(
    hours: Mapping[int, int], blind: set[int], strange: set[int], span: Span, weeks: int, late: int
) -> None:
    start = MONDAY + 9 * WEEK_HOURS
    unusual = {span: frozenset(window(hour, span) for hour in strange)}
    calls = Calls(hours=hours, since=MONDAY + late, blind=frozenset(blind), unusual=unusual)
    answer = usual(calls, start, span, Policy(every_ms=30 * 24 * HOUR_MS, weeks=weeks))
    here, *_ = places = slowly(calls, start, span, weeks)
    if len(here) < 4 or sum(map(sum, places)) < 8:
        assert answer == Learning(weeks=len(here), calls=sum(map(sum, places)))
    else:
        assert isinstance(answer, Usual)
        assert (answer.weeks, answer.mean_milli) == (len(here), round(sum(here) / len(here) * 1000))


@given(COUNTS, st.sampled_from(Span))
def test_a_silence_lies_below_the_mean_and_below_what_would_be_a_surge(hours: Mapping[int, int], span: Span) -> None:
    answer = usual(Calls(hours=hours, since=MONDAY), MONDAY + 9 * WEEK_HOURS, span, EVERY)
    if isinstance(answer, Usual) and answer.floor is not None:
        assert answer.floor < answer.limit
        assert answer.floor <= answer.mean_milli / 1000
