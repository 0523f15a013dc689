"""Lengths in buckets: what is read back is never flattering, adds up, and tells nothing from nobody."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.adapters.memory_store import MemoryStore
from watchkeeper.engine.timing import ACTING_MAX, CAME_MAX, FINE_HOURS_MAX, HOURS_MAX, Timing
from watchkeeper.learn.timing import (
    HOUR_MS,
    MINUTE_MS,
    Slot,
    Spread,
    added,
    bound_us,
    bucket,
    coarse,
    length_text,
    point,
    quantile_us,
    slots,
    took,
)
from watchkeeper.ports import Commit
from watchkeeper.values import after_ms

AT = datetime(2026, 3, 2, 9, 30, 15, tzinfo=UTC)
LENGTHS = st.integers(0, 10**12)


def spread(*lengths_us: int) -> Spread:
    found = Spread(counts={})
    for each in lengths_us:
        took(found, each)
    return found


@settings(deadline=None)
@given(LENGTHS)
def test_a_length_lies_in_its_bucket_which_is_at_most_an_eighth_too_long(length_us):
    number = bucket(length_us)
    assert length_us < bound_us(number)
    if number:
        assert bound_us(number - 1) <= length_us
        assert bound_us(number) * 8 <= length_us * 9 + 8


@settings(deadline=None)
@given(st.lists(LENGTHS, min_size=1, max_size=60), st.integers(1, 1_000_000))
def test_a_quantile_is_never_too_short_and_never_beyond_the_longest(lengths_us, ppm):
    exact = sorted(lengths_us)[-(-len(lengths_us) * ppm // 1_000_000) - 1]
    found = quantile_us(spread(*lengths_us), ppm)
    assert exact <= found <= max(lengths_us)
    assert found <= max(64, exact * 9 // 8 + 1)


@settings(deadline=None)
@given(st.lists(LENGTHS, max_size=30), st.lists(LENGTHS, max_size=30))
def test_two_stretches_add_up_to_what_they_are_as_one(one, other):
    assert added((spread(*one), spread(*other))) == spread(*one, *other)


def test_of_nothing_there_is_no_quantile():
    assert quantile_us(Spread(counts={}), 500_000) is None


@pytest.mark.parametrize(
    ("us", "said"),
    [(999, "999 µs"), (1_000, "1.0 ms"), (99_949, "99.9 ms"), (100_000, "100 ms"), (1_000_000, "1.0 s"), (185_000_000, "3 min 5 s")],
)  # fmt: skip
def test_a_length_is_said_in_its_unit(us, said):
    assert length_text(us) == said


def test_a_plot_tells_nothing_came_from_nobody_looked():
    timing = Timing()
    timing.took("decided", 6_000, AT)
    timing.alive(after_ms(AT, -2 * MINUTE_MS))
    found = slots(timing.hours, AT, 4 * MINUTE_MS, MINUTE_MS)
    assert [at.minute for at, _ in found] == [27, 28, 29, 30]
    points = [point(at, slot, "decided") for at, slot in found]
    assert [(each.watched, each.count, each.p99_us) for each in points] == [
        (False, 0, None),
        (True, 0, None),
        (False, 0, None),
        (True, 1, 6_000),
    ]


def test_an_hour_is_the_sum_of_its_minutes_and_stretches_of_hours_begin_at_midnight():
    timing = Timing()
    for minute in range(3):
        timing.took("commit", 1_000 * (minute + 1), after_ms(AT, minute * MINUTE_MS))
        timing.signal("news", "edge", after_ms(AT, minute * MINUTE_MS))
    found = slots(timing.hours, AT, 24 * HOUR_MS, 6 * HOUR_MS)
    assert [at.hour for at, _ in found] == [12, 18, 0, 6]
    assert [slot is not None for _, slot in found] == [False, False, False, True]
    assert found[-1][1].signals == {"news": 3}
    assert found[-1][1].stages["commit"].count == 3
    summed = coarse(timing.hours["2026-03-02T09"])
    assert summed.minutes == {}
    assert summed.whole == found[-1][1]
    assert coarse(summed) is summed


def test_a_decision_is_timed_from_its_cause_and_only_the_first_effect_counts():
    timing = Timing()
    timing.came("alt_1", AT)
    timing.came("alt_1", after_ms(AT, 5))  # said again while it waits: the oldest counts
    timing.turn("alt_1", after_ms(AT, 10))
    timing.decided("alt_1", "dec_1", after_ms(AT, 20), acts=True)
    timing.judged("alt_1")
    timing.decided("alt_1", "dec_2", after_ms(AT, 9_000), acts=True)  # a person's own run: it did not stand in the line
    timing.goes_out("dec_1", after_ms(AT, 30))
    timing.goes_out("dec_1", after_ms(AT, 4_000))
    timing.goes_out("dec_2", after_ms(AT, 9_100))
    stages = {name: (each.count, each.max_us) for name, each in timing.totals.items()}
    assert stages == {"line": (1, 10_000), "decided": (1, 20_000), "effect": (1, 30_000)}


def test_a_clock_that_went_back_makes_no_negative_length():
    timing = Timing()
    timing.came("alt_1", AT)
    timing.turn("alt_1", after_ms(AT, -3_000))
    assert timing.totals["line"].max_us == 0


async def written(timing: Timing, store: MemoryStore, now: datetime) -> None:
    puts, drops = timing.changes(now)
    await store.commit(Commit(at=now, puts=puts, drops=drops))


async def test_what_was_timed_survives_a_start_and_the_time_without_the_node_is_unknown():
    store, before, after = MemoryStore(), Timing(), Timing()
    before.took("decided", 7_000, AT)
    before.signal("repeated", "edge", AT)
    await written(before, store, AT)
    later = after_ms(AT, 3 * MINUTE_MS)
    await after.load(store, later)
    after.alive(later)
    found = slots(after.hours, later, 4 * MINUTE_MS, MINUTE_MS)
    assert [slot is not None for _, slot in found] == [True, False, False, True]
    assert found[0][1] == before.hours["2026-03-02T09"].minutes[30]
    assert after.totals == {}  # those are of this process


async def test_what_a_start_measured_before_it_read_the_store_is_kept_and_its_minute_goes_on():
    store, before, after = MemoryStore(), Timing(), Timing()
    before.signal("news", "edge", AT)
    await written(before, store, AT)
    later = after_ms(AT, MINUTE_MS)
    after.took("commit", 7_000, AT)  # in a minute of the process before it
    after.took("commit", 7_000, later)
    await after.load(store, later)
    after.signal("news", "edge", later)
    after.took("commit", 9_000, later)
    found = [slot for _, slot in slots(after.hours, later, 2 * MINUTE_MS, MINUTE_MS)]
    assert [(slot.signals, slot.stages["commit"].count) for slot in found] == [({"news": 1}, 1), ({"news": 1}, 2)]
    await written(after, store, later)
    again = Timing()
    await again.load(store, later)
    assert again.hours == after.hours


async def test_the_last_minutes_of_an_hour_are_written_with_the_next_one():
    store, timing, again = MemoryStore(), Timing(), Timing()
    await written(timing, store, after_ms(AT, 29 * MINUTE_MS))
    timing.signal("news", "edge", after_ms(AT, 29 * MINUTE_MS))
    await written(timing, store, after_ms(AT, 31 * MINUTE_MS))
    await again.load(store, after_ms(AT, 31 * MINUTE_MS))
    assert again.hours == timing.hours
    assert set(again.hours) == {"2026-03-02T09", "2026-03-02T10"}


async def test_memory_and_store_are_bounded():
    store, timing = MemoryStore(), Timing()
    for hour in range(HOURS_MAX + 5):
        now = AT + timedelta(hours=hour)
        timing.took("commit", 1_000, now)
        await written(timing, store, now)
    assert len(timing.hours) == HOURS_MAX + 1  # the one of now, and those before it
    assert await store.count("timing") == HOURS_MAX + 1
    fine = [name for name, hour in timing.hours.items() if hour.whole is None]
    assert len(fine) == FINE_HOURS_MAX + 1
    for number in range(CAME_MAX + 1):
        timing.came(f"alt_{number}", AT)
    timing.turn(f"alt_{CAME_MAX}", AT)
    assert "line" not in timing.totals
    for number in range(ACTING_MAX + 1):
        timing.came("alt_0", AT)
        timing.decided("alt_0", f"dec_{number}", AT, acts=True)
    timing.goes_out("dec_0", AT)
    assert "effect" not in timing.totals
    timing.goes_out("dec_1", AT)
    assert timing.totals["effect"].count == 1


def test_an_empty_slot_is_a_minute_in_which_the_node_ran():
    assert point(AT, Slot(), "intake").watched
    assert not point(AT, None, "intake").watched
