"""The calendar's grid: days are the viewer's, bars never lie on each other, and nothing is lost between grid and list."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.surface.console.pages.agenda import (
    LANES_SHOWN,
    begin,
    by_day,
    day_of,
    days_of,
    label,
    moment_of,
    stretch,
    week_name,
    weeks,
)

BERLIN = ZoneInfo("Europe/Berlin")
APIA = ZoneInfo("Pacific/Apia")
TODAY = date(2026, 11, 26)
FIRST, LAST = date(2026, 10, 26), date(2026, 12, 6)


def item(start: datetime, end: datetime | None, kind: str = "freeze", reason: str = "sale"):
    return {
        "id": "x",
        "kind": kind,
        "reason": reason,
        "from_at": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "until_at": f"{end:%Y-%m-%dT%H:%M:%SZ}" if end else None,
        "scope": {"service": "component:default/web"},
    }


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("month", "week", "name", "first", "last"),
    [
        ("2026-12", "", "2026-12", date(2026, 12, 1), date(2026, 12, 31)),
        ("", "2026-W53", "2026-W53", date(2026, 12, 28), date(2027, 1, 3)),
        ("2026-12", "2026-W48", "2026-W48", date(2026, 11, 23), date(2026, 11, 29)),
        ("2026-13", "", "2026-11", date(2026, 11, 1), date(2026, 11, 30)),
        ("0000-01", "2025-W53", "2026-11", date(2026, 11, 1), date(2026, 11, 30)),
        ("' or 1", "<b>", "2026-11", date(2026, 11, 1), date(2026, 11, 30)),
    ],
)
def test_an_address_names_a_stretch_and_a_wrong_one_is_the_month_of_today(month, week, name, first, last):
    found = stretch(month, week, TODAY)
    assert (found.name, found.first, found.last) == (name, first, last)


def test_neighbours_lead_there_and_back():
    found = stretch("2026-01", "", TODAY)
    assert (found.before, found.after) == ("2025-12", "2026-02")
    assert stretch(found.before, "", TODAY).after == "2026-01"
    week = stretch("", "2026-W01", TODAY)
    assert stretch("", week.before, TODAY).after == "2026-W01"
    assert week_name(date(2027, 1, 1)) == "2026-W53"


@pytest.mark.parametrize("text", ["", "2026-02-30", "yesterday", "0001-01-01", "9999-12-31"])
def test_what_is_no_day_is_none(text):
    assert day_of(text) is None


def test_a_day_begins_when_it_begins_for_the_viewer_also_when_clocks_change():
    assert begin(date(2026, 11, 26), BERLIN) == at(2026, 11, 25, 23)
    assert begin(date(2026, 3, 30), BERLIN) - begin(date(2026, 3, 29), BERLIN) == timedelta(hours=23)
    assert begin(date(2026, 10, 26), BERLIN) - begin(date(2026, 10, 25), BERLIN) == timedelta(hours=25)


def test_days_are_the_viewers_and_one_that_ends_at_midnight_ended_the_day_before():
    found = item(at(2026, 11, 25, 23), at(2026, 11, 26, 23))
    assert days_of(found, BERLIN) == (date(2026, 11, 26), date(2026, 11, 26))
    assert days_of(found, ZoneInfo("UTC")) == (date(2026, 11, 25), date(2026, 11, 26))
    assert days_of(found, APIA) == (date(2026, 11, 26), date(2026, 11, 27))
    assert days_of(item(at(2026, 11, 26), None), BERLIN) == (date(2026, 11, 26), None)


def test_the_moment_that_is_asked_about():
    now = at(2026, 11, 26, 14, 30, 5).astimezone(BERLIN)
    assert moment_of(TODAY, "", now) == at(2026, 11, 26, 14, 30, 5)
    assert moment_of(date(2026, 12, 24), "", now) == at(2026, 12, 24, 11)
    assert moment_of(date(2026, 7, 1), "18:05", now) == at(2026, 7, 1, 16, 5)
    assert moment_of(date(2026, 12, 24), "25:00", now) == at(2026, 12, 24, 11)


def test_a_bar_says_when_it_begins_and_draws_what_is_hidden():
    assert label(item(at(2026, 11, 26, 21), None), BERLIN) == "22:00 sale"
    assert label(item(at(2026, 11, 25, 23), None, reason="a\u202eb"), BERLIN) == "aU+202Eb"
    assert label(item(at(2026, 11, 25, 23), None, "hold", ""), BERLIN) == "Hold of service web"


def test_one_over_two_weeks_goes_on_in_the_second():
    one, two = weeks([item(at(2026, 11, 28), at(2026, 12, 2))], date(2026, 11, 23), date(2026, 12, 6), ZoneInfo("UTC"))
    first, second = one.bars[0], two.bars[0]
    assert (first.start, first.days, first.before, first.after) == (6, 2, False, True)
    assert (second.start, second.days, second.before, second.after) == (1, 2, True, False)


ITEMS = st.lists(
    st.builds(
        lambda hour, length: item(
            at(2026, 10, 20) + timedelta(hours=hour),
            at(2026, 10, 20) + timedelta(hours=hour + length) if length else None,
        ),
        st.integers(0, 24 * 50),
        st.integers(0, 24 * 20),
    ),
    max_size=25,
)


@settings(deadline=None)
@given(ITEMS, st.sampled_from([BERLIN, APIA, ZoneInfo("UTC")]))
def test_bars_never_overlap_and_each_item_is_a_bar_or_counted(found, zone):
    for week in weeks(found, FIRST, LAST, zone):
        taken = set()
        for bar in week.bars:
            assert bar.start >= 1
            assert bar.start + bar.days - 1 <= 7
            assert bar.lane <= LANES_SHOWN
            cells = {(bar.lane, bar.start + n) for n in range(bar.days)}
            assert not cells & taken
            taken |= cells
        spans = [days_of(one, zone) for one in found]
        inside = [one for one in spans if one[0] <= week.days[-1] and (one[1] is None or one[1] >= week.days[0])]
        assert len(week.bars) + week.more == len(inside)


@settings(deadline=None)
@given(ITEMS, st.sampled_from([BERLIN, APIA]))
def test_the_list_holds_each_item_once(found, zone):
    listed = [one for _, under in by_day(found, FIRST, LAST, zone) for one in under]
    inside = [one for one in found if (span := days_of(one, zone))[0] <= LAST and (span[1] is None or span[1] >= FIRST)]
    assert len(listed) == len(inside)
