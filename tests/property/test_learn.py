"""Laws of what is measured: time adds up, a stored day is the same day, and a worse service never has more budget."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.learn.budget import Ratio, budget
from watchkeeper.learn.looks import TURNS_DAY_MAX, Day, Look, State, coarse, counted, looked, spans, standing
from watchkeeper.values import ms_between

LAW = settings(max_examples=150, deadline=None)
T0 = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
# (seconds since the look before, what it saw): some follow closely, some after a gap, some over midnight
LOOKS = st.lists(
    st.tuples(st.sampled_from([1, 10, 29, 31, 300, 3_600, 50_000]), st.sampled_from([True, False, None])), max_size=40
)


def days_of(looks) -> list[Day]:
    found: dict[str, Day] = {}
    last, now = None, T0
    for after_s, good in looks:
        now += timedelta(seconds=after_s)
        if good is not None:
            last = Look(at=now, good=good, until_at=now + timedelta(seconds=30))
        newest = found[next(reversed(found))] if found else None
        day = looked(newest, "web", now, *standing([last] if last else [], now), good)
        found[day.id] = day
    return list(found.values())


@LAW
@given(LOOKS, st.integers(0, 100_000), st.integers(1, 400_000))
def test_every_moment_of_a_window_is_up_or_down_or_unknown_and_only_one_of_them(looks, start_s, length_s):
    from_at = T0 + timedelta(seconds=start_s)
    until_at = from_at + timedelta(seconds=length_s)
    found = spans(days_of(looks), from_at, until_at)
    assert sum(ms_between(start, end) for _, start, end in found) == length_s * 1_000
    assert [start for _, start, _ in found] == [from_at, *[end for _, _, end in found[:-1]]]


@LAW
@given(LOOKS)
def test_nobody_is_up_or_down_longer_than_a_look_counts(looks):
    days = days_of(looks)
    seen = [good for _, good in looks if good is not None]
    known = [
        ms_between(start, end)
        for what, start, end in spans(days, T0, T0 + timedelta(days=40))
        if what is not State.UNKNOWN
    ]
    assert sum(known) <= 30_000 * len(seen)
    assert all(len(day.turns) <= TURNS_DAY_MAX for day in days)


@LAW
@given(LOOKS)
def test_a_day_that_was_stored_is_the_same_day_and_goes_on_alike(looks):
    days = days_of(looks)
    again = [msgspec.json.decode(msgspec.json.encode(day), type=Day) for day in days]
    assert again == days
    for day in days[-1:]:
        at = day.last_at + timedelta(seconds=5)
        assert looked(day, "web", at, State.DOWN, at, good=False) == looked(
            again[-1], "web", at, State.DOWN, at, good=False
        )


@LAW
@given(LOOKS)
def test_what_is_counted_is_what_was_looked_at_also_when_it_grew_coarse(looks):
    days = days_of(looks)
    for each in (days, [coarse(day) for day in days]):
        found = counted(each, T0 - timedelta(days=1), T0 + timedelta(days=40))
        assert (found.good, found.bad, found.blind) == tuple(
            sum(1 for _, good in looks if good is what) for what in (True, False, None)
        )


@LAW
@given(st.integers(1, 999_999), st.integers(1, 10**12), st.data())
def test_more_bad_never_leaves_more_budget_and_none_leaves_all_of_it(target, total, data):
    bad = data.draw(st.integers(0, total - 1))
    less, more = (budget(target, Ratio(bad=each, total=total), {}).left_ppm for each in (bad, bad + 1))
    assert more <= less
    assert budget(target, Ratio(bad=0, total=total), {}).left_ppm == 1_000_000
    spent = bad * 1_000_000 >= total * (1_000_000 - target)
    assert not spent or less <= 0, "a budget is never shown larger than it is"
