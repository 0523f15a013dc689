"""Laws of windows: closed means closed to its end, one window more never opens anything, and a name is a name."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from calendars import ics
from situations import AT
from watchkeeper.home.calendar import Calendar, CalendarKind, Span, Standing
from watchkeeper.home.exclusion import Scope
from watchkeeper.home.ics import read_ics

law = settings(max_examples=200, deadline=None)
MINUTE = timedelta(minutes=1)

rows = st.lists(st.tuples(st.integers(-120, 120), st.integers(1, 60)), max_size=30)
times = st.integers(-150, 200)


def standing(found):
    spans = sorted(
        (
            Span(from_at=AT + begin * MINUTE, until_at=AT + (begin + length) * MINUTE, summary="", uid=str(number))
            for number, (begin, length) in enumerate(found)
        ),
        key=lambda span: (span.from_at, span.until_at, span.uid),
    )
    calendar = Calendar(name="c", kind=CalendarKind.FREEZE, scope=Scope(), file="calendars/c.ics")
    return Standing(calendar=calendar, spans=tuple(spans), read_at=AT)


def holds(state, at):
    return any(span.from_at <= at < span.until_at for span in state.spans)


@law
@given(rows, times)
def test_closed_lasts_to_its_end_and_not_a_minute_longer(found, minute):
    state, at = standing(found), AT + minute * MINUTE
    seen, until_at = state.closed(at)
    assert (until_at is not None) is holds(state, at)
    if until_at is None:
        assert all(span.from_at > at for span in seen)
        return
    assert not holds(state, until_at)
    step = at
    while step < until_at:
        assert holds(state, step)
        step += MINUTE
    assert set(state.holding(at)) <= {*seen, *state.spans}


@law
@given(rows, st.tuples(st.integers(-120, 120), st.integers(1, 60)), times)
def test_one_window_more_never_opens_and_never_ends_sooner(found, more, minute):
    at = AT + minute * MINUTE
    _, before = standing(found).closed(at)
    _, after = standing([*found, more]).closed(at)
    assert before is None or (after is not None and after >= before)


@law
@given(rows, times)
def test_nothing_changes_before_it_is_said_to(found, minute):
    """What the ticker sleeps through does not move a decision."""
    state, at = standing(found), AT + minute * MINUTE
    until_at, step = state.next_at(at), at
    assert until_at > at
    while step < min(until_at, at + 300 * MINUTE):
        assert state.holding(step) == state.holding(at)
        step += MINUTE


weekly = st.lists(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1, max_size=7, unique=True)


@settings(max_examples=40, deadline=None)
@given(weekly, st.integers(0, 23), st.integers(1, 20), st.integers(1, 60), st.integers(0, 40))
def test_a_stretch_shows_the_same_windows_whatever_it_is_cut_from(days, hour, count, span_days, skip_days):
    """Working out a part is the same as working out the whole and looking at the part; also with COUNT."""
    event = (
        f"DTSTART;TZID=Europe/Berlin:20260302T{hour:02}3000\nDURATION:PT90M\n"
        f"RRULE:FREQ=WEEKLY;BYDAY={','.join(days)};COUNT={count}"
    )
    calendar, problems = read_ics(ics(event))
    assert calendar is not None, problems
    whole = calendar.spans(AT, AT + timedelta(days=400))
    from_at = AT + timedelta(days=skip_days)
    until_at = from_at + timedelta(days=span_days)
    part = calendar.spans(from_at, until_at)
    assert part == tuple(each for each in whole if each.from_at < until_at and each.until_at > from_at)
