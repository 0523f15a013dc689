"""How many alerts fired at once: both edges of each, what nobody watched, what is stale, and the bound."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.correlate.alert import Alert, Mapped, alert_of, fold
from watchkeeper.correlate.firing import STEPS_MAX, firing, thinned
from watchkeeper.signals.signal import Kind, Signal, Standing
from watchkeeper.values import Window

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
ALWAYS = (Window(from_at=T0 - timedelta(days=1)),)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def alert(start: float, end: float | None = None, name: str = "f", stale_after_min: float = 600) -> Alert:
    found = None
    for minute, standing in ((start, Standing.FIRING), (end, Standing.RESOLVED)):
        if minute is not None:
            said = Signal(
                id=f"{name}{minute}", delivery="d", source="am", group="am", received_at=at(minute), kind=Kind.ALERT,
                fingerprint=name, standing=standing, labels={"alertname": "Down", "severity": "critical"}, annotations={},
                starts_at=at(start), ends_at=at(minute) if standing is Standing.RESOLVED else None,
            )  # fmt: skip
            mapped = Mapped(entity="web", stale_after_ms=int(stale_after_min * 60_000))
            found = fold(found, said, mapped) if found else alert_of(said, mapped)
    assert found is not None
    return found


def told(alerts, watched=ALWAYS, begin=0.0, end=10.0, now=10.0):
    return [
        ((step.at - T0).total_seconds() / 60, step.firing)
        for step in firing(alerts, watched, at(begin), at(end), at(now))
    ]


def test_each_edge_is_a_step_and_what_does_not_change_is_none():
    assert told([alert(2, 5), alert(3, name="g")]) == [(0, 0), (2, 1), (3, 2), (5, 1)]
    assert told([]) == [(0, 0)]
    assert told([alert(2, 5)], begin=2, end=5) == [(2, 1)]
    assert told([alert(2, 5)], begin=5, end=9) == [(5, 0)]
    assert told([alert(2)], begin=4, end=4) == []


def test_one_that_ends_as_another_begins_makes_no_step():
    assert told([alert(2, 5), alert(5, 7, name="g")]) == [(0, 0), (2, 1), (7, 0)]


def test_while_the_node_did_not_run_nobody_knows():
    watched = (Window(from_at=at(1), until_at=at(3)), Window(from_at=at(6)))
    assert told([alert(2)], watched) == [(0, None), (1, 0), (2, 1), (3, None), (6, 1)]
    assert told([alert(2)], ()) == [(0, None)]


def test_a_stale_alert_is_no_calm():
    stale = alert(2, stale_after_min=3)
    assert told([stale]) == [(0, 0), (2, 1), (5, None)]
    assert told([stale, alert(4, name="g")]) == [(0, 0), (2, 1), (4, 2), (5, 1)]
    assert told([stale], now=4.9, end=4.9) == [(0, 0), (2, 1)]


@pytest.mark.parametrize(("count", "steps"), [((STEPS_MAX - 2) // 2, STEPS_MAX - 1), (STEPS_MAX, STEPS_MAX)])
def test_beyond_the_bound_stretches_keep_their_greatest_number(count, steps):
    every = [alert(n + 0.1, n + 0.6, name=f"f{n}") for n in range(count)]
    found = told(every, end=float(count), now=float(count))
    assert len(found) == steps
    assert max(number for _, number in found) == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=20), st.integers(1, 12))
def test_thinned_never_hides_the_peak_and_covers_the_same_time(spans, count):
    every = [alert(start, start + length, name=f"f{n}") for n, (start, length) in enumerate(spans)]
    found = firing(every, ALWAYS, at(0), at(60), at(100))
    few = thinned(found, at(0), at(60), count)
    assert few[0].at == found[0].at == at(0)
    assert len(few) == count
    assert max(step.firing for step in few) == max(step.firing for step in found)
