"""What is usual at this time of the week: windows, both sides of each limit, and what is left out."""

import pytest

from watchkeeper.learn.rhythm import (
    CALLS_MIN,
    HOUR_MS,
    SURGE_MIN,
    WEEK_HOURS,
    Calls,
    Learning,
    Policy,
    Span,
    Usual,
    too_few,
    too_many,
    usual,
    window,
)

MONTH = 30 * 24 * HOUR_MS
POLICY = Policy(every_ms=MONTH, weeks=8)
MONDAY = 2960 * WEEK_HOURS + 4 * 24  # Monday 24 September 2026, midnight


def at(week: int, day: int = 0, hour: int = 0) -> int:
    return MONDAY + week * WEEK_HOURS + day * 24 + hour


def weekly(calls: int, weeks: int = 8, *, days: int = 5, hour: int = 10) -> dict[int, int]:
    """So many calls at that hour of each working day of the weeks before MONDAY."""
    return {at(-week, day, hour): calls for week in range(1, weeks + 1) for day in range(days)}


def found(calls: Calls, start: int, span: Span, policy: Policy = POLICY) -> Usual:
    answer = usual(calls, start, span, policy)
    assert isinstance(answer, Usual), answer
    return answer


@pytest.mark.parametrize(
    ("span", "hour", "start"),
    [
        (Span.HOUR, at(0, 3, 7), at(0, 3, 7)),
        (Span.DAY, at(0, 3, 7), at(0, 3)),
        (Span.DAY, at(0, 3, 23), at(0, 3)),
        (Span.DAY, at(0, 4, 0), at(0, 4)),
        (Span.WEEK, at(0, 6, 23), at(0)),
        (Span.WEEK, at(1), at(1)),
        (Span.WEEK, 3 * 24 + WEEK_HOURS - 72, 4 * 24),  # Monday 5 January 1970
    ],
)
def test_windows_begin_on_the_hour_at_midnight_and_on_monday(span, hour, start):
    assert window(hour, span) == start


def test_four_weeks_of_the_same_window_are_needed():
    history = weekly(3)
    for since, weeks in ((at(-4), 4), (at(-4) + 1, 3)):
        answer = usual(Calls(hours=history, since=since), at(0), Span.DAY, POLICY)
        if weeks == 4:
            assert isinstance(answer, Usual)
            assert answer.weeks == 4
        else:
            assert answer == Learning(weeks=3, calls=answer.calls)


@pytest.mark.parametrize("calls", [CALLS_MIN - 1, CALLS_MIN])
def test_eight_calls_in_all_are_needed(calls):
    hours = {at(-1 - number, 1, 5): 1 for number in range(calls)}
    answer = usual(Calls(hours=hours, since=at(-10)), at(0), Span.DAY, Policy(every_ms=MONTH, weeks=10))
    assert isinstance(answer, Learning if calls < CALLS_MIN else Usual)


def test_a_working_hour_and_a_night_have_limits_of_their_own():
    calls = Calls(hours=weekly(6), since=at(-8))
    busy, night = found(calls, at(0, 0, 10), Span.HOUR), found(calls, at(0, 0, 3), Span.HOUR)
    assert (busy.mean_milli, night.mean_milli) == (6000, 0)
    assert SURGE_MIN - 1 <= night.limit < 6 < busy.limit
    weekend = found(calls, at(0, 5), Span.DAY)
    assert (weekend.mean_milli, weekend.floor) == (0, None)
    working = found(calls, at(0, 2), Span.DAY)
    assert working.mean_milli == 6000


def test_a_silence_needs_enough_calls_that_none_would_be_strange():
    seldom = found(Calls(hours=weekly(2), since=at(-8)), at(0), Span.DAY)
    often = found(Calls(hours=weekly(20), since=at(-8)), at(0), Span.DAY)
    assert seldom.floor is None
    assert often.floor is not None
    assert 0 <= often.floor < 20 < often.limit


def test_hours_that_nobody_watched_are_no_silence_of_before():
    hours = {hour: calls for hour, calls in weekly(6).items() if hour < at(-2)}
    blind = frozenset(range(at(-2), at(0)))
    seen = found(Calls(hours=hours, since=at(-8), blind=blind), at(0, 0, 10), Span.HOUR)
    assert (seen.mean_milli, seen.weeks) == (6000, 6)
    unseen = found(Calls(hours=hours, since=at(-8)), at(0, 0, 10), Span.HOUR)
    assert (unseen.mean_milli, unseen.weeks) == (4500, 8)


@pytest.mark.parametrize(("blind", "weeks"), [(2, 8), (3, 7)])
def test_a_day_counts_while_nine_tenths_of_it_were_watched(blind, weeks):
    calls = Calls(hours=weekly(6), since=at(-8), blind=frozenset(range(at(-1), at(-1) + blind)))
    assert found(calls, at(0), Span.DAY).weeks == weeks


def test_what_was_unusual_is_no_part_of_what_is_usual_unless_it_is_most_of_it():
    hours = {**weekly(6), at(-1, 0, 10): 90, at(-2, 0, 10): 90}
    strange = {Span.HOUR: frozenset({at(-1, 0, 10), at(-2, 0, 10)})}
    assert found(Calls(hours=hours, since=at(-8)), at(0, 0, 10), Span.HOUR).mean_milli == 27_000
    apart = found(Calls(hours=hours, since=at(-8), unusual=strange), at(0, 0, 10), Span.HOUR)
    assert (apart.mean_milli, apart.weeks) == (6000, 6)
    most = {Span.HOUR: frozenset(at(-week, 0, 10) for week in range(1, 5))}
    assert found(Calls(hours=hours, since=at(-8), unusual=most), at(0, 0, 10), Span.HOUR).weeks == 8


def test_more_series_and_rarer_false_alarms_widen_what_is_usual():
    calls = Calls(hours=weekly(20), since=at(-8))
    one = found(calls, at(0), Span.DAY)
    many = found(calls, at(0), Span.DAY, Policy(every_ms=MONTH, weeks=8, series=1000))
    rare = found(calls, at(0), Span.DAY, Policy(every_ms=100 * MONTH, weeks=8))
    assert one.limit < many.limit
    assert one.limit < rare.limit
    assert one.floor is not None
    for wider in (many, rare):
        assert wider.floor is None or wider.floor < one.floor


def test_calls_that_come_in_bursts_widen_what_is_usual():
    even = found(Calls(hours=weekly(8), since=at(-8)), at(0, 0, 10), Span.HOUR)
    bursts = {hour: (14 if number % 2 else 2) for number, hour in enumerate(weekly(8))}
    uneven = found(Calls(hours=bursts, since=at(-8)), at(0, 0, 10), Span.HOUR)
    assert uneven.limit > even.limit + 5


@pytest.mark.parametrize(
    ("mean", "chance", "least"),
    [
        # Poisson's tail, nearly: P(X >= 7) = 0.0335 and P(X >= 8) = 0.0119 at a mean of 3
        (3.0, 0.04, 7),
        (3.0, 0.03, 8),
        (0.001, 0.5, 1),
    ],
)
def test_the_upper_limit_is_the_least_number_with_less_than_the_chance(mean, chance, least):
    assert too_many(mean, 1.000001, chance) == least


@pytest.mark.parametrize(
    ("mean", "chance", "most"),
    [
        # P(X <= 2) = 0.00277, P(X <= 3) = 0.01034 at a mean of 10
        (10.0, 0.003, 2),
        (10.0, 0.0027, 1),
        (10.0, 0.00004, None),
        (0.0, 0.5, None),
    ],
)
def test_the_lower_limit_is_the_greatest_number_with_less_than_the_chance(mean, chance, most):
    assert too_few(mean, 1.000001, chance) == most


def test_large_means_have_numbers_too():
    assert 10_400 < too_many(10_000, 1.2, 1e-6) < 10_700
    floor = too_few(10_000, 1.2, 1e-6)
    assert floor is not None
    assert 9_300 < floor < 9_600
