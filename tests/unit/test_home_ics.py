"""A corpus of tricky calendars, with windows worked out by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from calendars import OWN_ZONE, ics, window
from watchkeeper.errors import Malformed
from watchkeeper.home.ics import EVENTS_MAX, ICS_BYTES_MAX, read_ics

Y2026 = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def spans(data, from_text="2026-01-01", until_text="2027-01-01", zone="UTC"):
    """`03-29 01:30..02:00` in UTC, each; the year where it is not 2026."""
    calendar, problems = read_ics(data, zone)
    assert calendar is not None, problems
    found = calendar.spans(*(datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (from_text, until_text)))
    return [f"{_short(span.from_at)}..{_short(span.until_at, span.from_at)}" for span in found]


def _short(at, other=None):
    year = "" if at.year == 2026 else f"{at.year}-"
    if other is not None and at.date() == other.date():
        return f"{at:%H:%M}"
    return f"{year}{at:%m-%d %H:%M}"


def told(data, zone="UTC"):
    calendar, problems = read_ics(data, zone)
    assert calendar is None
    return [f"{line}: {message}" if line else message for line, message in problems]


class TestDaylight:
    """Berlin: 29 March 02:00 -> 03:00, 25 October 03:00 -> 02:00. New York: 8 March 02:00 -> 03:00, 1 November 02:00 -> 01:00."""

    @pytest.mark.parametrize(
        ("zone", "head"), [("Europe/Berlin", ""), ("Plant Time", OWN_ZONE), ("W. Europe Standard Time", "")]
    )
    def test_berlin_nightly_over_the_gap(self, zone, head):
        nightly = f"DTSTART;TZID={zone}:20260327T023000\nDTEND;TZID={zone}:20260327T040000\nRRULE:FREQ=DAILY;COUNT=4"
        assert spans(ics(nightly, head=head)) == [
            "03-27 01:30..03:00",
            "03-28 01:30..03:00",
            "03-29 01:30..02:00",  # 02:30 is skipped: read as 03:30; it ends at 04:00 on the wall
            "03-30 00:30..02:00",
        ]

    @pytest.mark.parametrize(("zone", "head"), [("Europe/Berlin", ""), ("Plant Time", OWN_ZONE)])
    def test_berlin_nightly_over_the_overlap(self, zone, head):
        nightly = f"DTSTART;TZID={zone}:20261024T023000\nDTEND;TZID={zone}:20261024T040000\nRRULE:FREQ=DAILY;COUNT=3"
        assert spans(ics(nightly, head=head)) == [
            "10-24 00:30..02:00",
            "10-25 00:30..03:00",  # 02:30 is there twice: the first of the two
            "10-26 01:30..03:00",
        ]

    def test_new_york_over_both(self):
        gap = "DTSTART;TZID=America/New_York:20260307T013000\nDTEND;TZID=America/New_York:20260307T023000\nRRULE:FREQ=DAILY;COUNT=3"
        assert spans(ics(gap)) == ["03-07 06:30..07:30", "03-08 06:30..07:30", "03-09 05:30..06:30"]
        overlap = "DTSTART;TZID=America/New_York:20261031T013000\nDTEND;TZID=America/New_York:20261031T030000\nRRULE:FREQ=DAILY;COUNT=3"
        assert spans(ics(overlap)) == ["10-31 05:30..07:00", "11-01 05:30..08:00", "11-02 06:30..08:00"]

    def test_a_weekend_over_the_change_is_an_hour_shorter_and_longer(self):
        """Friday 18:00 to Monday 06:00, every week."""
        weekend = (
            "DTSTART;TZID=Europe/Berlin:20260327T180000\nDTEND;TZID=Europe/Berlin:20260330T060000\n"
            "RRULE:FREQ=WEEKLY;UNTIL=20261101T000000Z;INTERVAL=30"
        )
        found = spans(ics(weekend))
        assert found == ["03-27 17:00..03-30 04:00", "10-23 16:00..10-26 05:00"]

    def test_a_whole_day_is_as_long_as_its_zone_makes_it(self):
        days = "DTSTART;VALUE=DATE:20260328\nRRULE:FREQ=DAILY;COUNT=3"
        assert spans(ics(days), zone="Europe/Berlin") == [
            "03-27 23:00..03-28 23:00",
            "03-28 23:00..03-29 22:00",
            "03-29 22:00..03-30 22:00",
        ]
        assert spans(ics(days)) == ["03-28 00:00..03-29 00:00", "03-29 00:00..03-30 00:00", "03-30 00:00..03-31 00:00"]

    def test_a_floating_time_is_one_of_the_calendars_zone(self):
        floating = "DTSTART:20260701T090000\nDTEND:20260701T100000"
        assert spans(ics(floating), zone="Europe/Berlin") == ["07-01 07:00..08:00"]
        assert spans(ics(floating), zone="America/New_York") == ["07-01 13:00..14:00"]
        assert spans(ics(floating)) == ["07-01 09:00..10:00"]

    def test_a_day_without_midnight(self):
        """In Santiago the clocks go from 24:00 to 01:00 on 6 September 2026."""
        day = "DTSTART;VALUE=DATE:20260906"
        assert spans(ics(day), zone="America/Santiago") == ["09-06 04:00..09-07 03:00"]

    def test_a_utc_rule_under_a_zone_of_the_calendar_moves_with_it(self):
        """X-WR-TIMEZONE, as some calendars export it."""
        weekly = "DTSTART:20260323T080000Z\nDTEND:20260323T090000Z\nRRULE:FREQ=WEEKLY;COUNT=2"
        assert spans(ics(weekly, head="X-WR-TIMEZONE:Europe/Berlin\n")) == ["03-23 08:00..09:00", "03-30 07:00..08:00"]


class TestExceptions:
    DAILY = "UID:daily\nDTSTART;TZID=Europe/Berlin:20260601T090000\nDTEND;TZID=Europe/Berlin:20260601T100000\nRRULE:FREQ=DAILY;COUNT=4"

    def test_exdate(self):
        assert spans(ics(f"{self.DAILY}\nEXDATE;TZID=Europe/Berlin:20260602T090000,20260603T090000")) == [
            "06-01 07:00..08:00",
            "06-04 07:00..08:00",
        ]

    def test_exdate_in_utc_and_as_a_day(self):
        assert len(spans(ics(f"{self.DAILY}\nEXDATE:20260602T070000Z"))) == 3
        days = "DTSTART;VALUE=DATE:20260601\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;VALUE=DATE:20260602"
        assert spans(ics(days)) == ["06-01 00:00..06-02 00:00", "06-03 00:00..06-04 00:00"]

    def test_a_moved_instance(self):
        moved = (
            "UID:daily\nRECURRENCE-ID;TZID=Europe/Berlin:20260602T090000\n"
            "DTSTART;TZID=Europe/Berlin:20260602T140000\nDTEND;TZID=Europe/Berlin:20260602T150000"
        )
        assert spans(ics(self.DAILY, moved)) == [
            "06-01 07:00..08:00",
            "06-02 12:00..13:00",
            "06-03 07:00..08:00",
            "06-04 07:00..08:00",
        ]

    def test_a_cancelled_instance_and_a_cancelled_event(self):
        gone = (
            "UID:daily\nRECURRENCE-ID;TZID=Europe/Berlin:20260602T090000\nSTATUS:CANCELLED\n"
            "DTSTART;TZID=Europe/Berlin:20260602T090000\nDTEND;TZID=Europe/Berlin:20260602T100000"
        )
        assert len(spans(ics(self.DAILY, gone))) == 3
        assert spans(ics(f"{self.DAILY}\nSTATUS:CANCELLED")) == []

    def test_from_one_instance_on_everything_is_moved(self):
        later = (
            "UID:daily\nRECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260603T090000\n"
            "DTSTART;TZID=Europe/Berlin:20260603T110000\nDTEND;TZID=Europe/Berlin:20260603T120000"
        )
        assert spans(ics(self.DAILY, later)) == [
            "06-01 07:00..08:00",
            "06-02 07:00..08:00",
            "06-03 09:00..10:00",
            "06-04 09:00..10:00",
        ]

    def test_rdate_also_as_a_period(self):
        extra = (
            "DTSTART:20260601T090000Z\nDURATION:PT1H\nRDATE:20260610T090000Z\nRDATE;VALUE=PERIOD:20260620T090000Z/PT3H"
        )
        assert spans(ics(extra)) == ["06-01 09:00..10:00", "06-10 09:00..10:00", "06-20 09:00..12:00"]

    def test_what_is_transparent_or_has_no_length_closes_nothing(self):
        assert spans(ics(window("20260601T090000Z", "20260601T100000Z") + "\nTRANSP:TRANSPARENT")) == []
        assert spans(ics("DTSTART:20260601T090000Z")) == []
        assert spans(ics(window("20260601T090000Z", "20260601T100000Z") + "\nSTATUS:TENTATIVE")) == [
            "06-01 09:00..10:00"
        ]

    def test_of_two_revisions_the_later_counts(self):
        old, new = f"{self.DAILY}\nSEQUENCE:1", f"{self.DAILY.replace('COUNT=4', 'COUNT=1')}\nSEQUENCE:2"
        assert len(spans(ics(old, new))) == 1
        assert len(spans(ics(new, old))) == 1


class TestRules:
    def test_the_last_friday_of_the_month(self):
        rule = "DTSTART;TZID=Europe/Berlin:20260130T180000\nDURATION:PT4H\nRRULE:FREQ=MONTHLY;BYDAY=-1FR;COUNT=4"
        assert spans(ics(rule)) == [
            "01-30 17:00..21:00",
            "02-27 17:00..21:00",
            "03-27 17:00..21:00",
            "04-24 16:00..20:00",
        ]

    def test_the_29th_of_february(self):
        leap = "DTSTART;VALUE=DATE:20240229\nRRULE:FREQ=YEARLY"
        assert spans(ics(leap), "2024-01-01", "2033-01-01") == [
            "2024-02-29 00:00..2024-03-01 00:00",
            "2028-02-29 00:00..2028-03-01 00:00",
            "2032-02-29 00:00..2032-03-01 00:00",
        ]

    def test_year_end_lies_in_two_years(self):
        freeze = "DTSTART;VALUE=DATE:20251223\nDTEND;VALUE=DATE:20260103\nRRULE:FREQ=YEARLY"
        assert spans(ics(freeze)) == ["2025-12-23 00:00..01-03 00:00", "12-23 00:00..2027-01-03 00:00"]

    @pytest.mark.parametrize("until", ["UNTIL=20260603T070000Z", "UNTIL=20260603", "UNTIL=20260603T235959"])
    def test_until_is_included_however_it_is_written(self, until):
        rule = f"DTSTART;TZID=Europe/Berlin:20260601T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY;{until}"
        assert len(spans(ics(rule))) == 3

    def test_for_ever_is_cut_at_the_end_of_what_is_asked_for(self):
        for_ever = "DTSTART:20200101T000000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY"
        assert len(spans(ics(for_ever), "2026-03-01", "2026-03-11")) == 10

    def test_a_count_is_counted_from_the_beginning_and_not_from_what_is_asked_for(self):
        rule = "DTSTART:20260101T000000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=40"
        assert spans(ics(rule), "2026-02-08", "2026-03-01") == ["02-08 00:00..01:00", "02-09 00:00..01:00"]

    def test_a_rule_that_never_comes_round_ends(self):
        never = "DTSTART:20260101T000000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"
        counted = f"{never};COUNT=5"
        assert spans(ics(never), "2026-02-01", "2026-12-01") == spans(ics(counted), "2026-02-01", "2026-12-01")

    def test_what_began_before_and_still_holds_is_there(self):
        long = window("20251101T000000Z", "20260301T000000Z")
        assert spans(ics(long), "2026-02-01", "2026-02-02") == ["2025-11-01 00:00..03-01 00:00"]
        assert spans(ics(long), "2026-03-01", "2026-03-02") == []


HOSTILE = "DTSTART:20260101T000000Z\nDTEND:20260101T000001Z\nRRULE:FREQ="


class TestRefused:
    @pytest.mark.parametrize(
        ("event", "words"),
        [
            (f"{HOSTILE}SECONDLY", "RRULE: FREQ=SECONDLY is not read; DAILY, WEEKLY, MONTHLY, YEARLY are, and HOURLY"),
            (f"{HOSTILE}MINUTELY;COUNT=3", "RRULE: FREQ=MINUTELY is not read"),
            (
                f"{HOSTILE}DAILY;BYHOUR={','.join(map(str, range(24)))};BYMINUTE=0,30",
                "RRULE: more than 24 times a period",
            ),
            (f"{HOSTILE}DAILY;BYSECOND=0,1,2", "RRULE: more than 24 times a period"),
            (f"{HOSTILE}DAILY;COUNT=2;UNTIL=20270101T000000Z", "RRULE: COUNT and UNTIL exclude each other"),
            ("DTSTART:20260102T000000Z\nDTEND:20260101T000000Z", "DTEND: lies before DTSTART"),
            ("DTSTART:20260102T000000Z\nDTEND:20260103T000000", "DTEND: one of DTSTART and DTEND states a time zone"),
            ("DTSTART:20260102T000000Z\nDTEND;VALUE=DATE:20260103", "DTEND: one of DTSTART and DTEND is a day"),
            ("DTSTART:20260102T000000Z\nDTEND:20260103T000000Z\nDURATION:PT1H", "DURATION: stands beside DTEND"),
            ("DTSTART:20260102T000000Z\nDTEND:soon", "DTEND: "),
            ("DTEND:20260102T000000Z", "DTSTART: an event begins once"),
            ("DTSTART;TZID=Moon/Base:20260102T000000\nDURATION:PT1H", "DTSTART: no time zone is called 'Moon/Base'"),
            (
                "DTSTART;TZID=Europe/Berlin:20260102T000000\nDURATION:PT1H\nRRULE:FREQ=DAILY\nEXDATE;TZID=X/Y:20260103T000000",
                "EXDATE: no time zone is called 'X/Y'",
            ),
            ("DTSTART:20260102T000000Z\nDURATION:PT1H\nEXRULE:FREQ=DAILY", "EXRULE: is obsolete and not read"),
        ],
    )
    def test_with_its_line_and_what_is_wrong(self, event, words):
        first = window("20260601T090000Z", "20260601T100000Z")
        (said,) = told(ics(first, event))
        assert said.startswith(f"11: {words}"), said

    def test_one_uid_twice_would_lose_a_window(self):
        one = "UID:same\n" + window("20260601T090000Z", "20260601T100000Z")
        other = "UID:same\n" + window("20260701T090000Z", "20260701T100000Z")
        assert told(ics(one, other)) == ["11: UID: 'same' stands twice, first in line 4"]

    def test_what_is_no_calendar(self):
        assert told(b"") == ["1: is no iCalendar: it does not begin with BEGIN:VCALENDAR"]
        assert told(b"<html>sign in</html>") == ["1: is no iCalendar: it does not begin with BEGIN:VCALENDAR"]
        assert "cannot be read" in told(b"BEGIN:VCALENDAR\r\nnonsense\r\nEND:VCALENDAR\r\n")[0]
        assert told(ics() + ics()) == ["holds 2 calendars, expected one"]
        assert told(b"BEGIN:VCALENDAR\r\n" + b"x" * ICS_BYTES_MAX) == [f"has more than {ICS_BYTES_MAX} bytes"]
        assert told(ics(), zone="Moon/Base") == ["no time zone is called 'Moon/Base'"]

    def test_too_many_events(self):
        many = ics(*[window("20260601T090000Z", "20260601T100000Z")] * (EVENTS_MAX + 1))
        assert told(many) == [f"holds {EVENTS_MAX + 1} events, more than {EVENTS_MAX}"]

    @pytest.mark.parametrize(
        ("event", "words"),
        [
            ("DTSTART:19000101T000000Z\nDURATION:PT1M\nRRULE:FREQ=HOURLY", "line 4: repeats"),
            (
                "DTSTART:19000101T000000Z\nDURATION:PT1M\nRRULE:FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30;COUNT=5",
                "line 4: repeats",
            ),
        ],
    )
    def test_what_would_take_too_long_is_refused_before_it_is_worked_out(self, event, words):
        calendar, problems = read_ics(ics(event))
        assert calendar is not None, problems
        with pytest.raises(Malformed, match=words):
            calendar.spans(*Y2026)

    def test_more_windows_than_are_kept(self):
        hourly = "DTSTART:20260101T000000Z\nDURATION:PT1M\nRRULE:FREQ=HOURLY"
        calendar, _ = read_ics(ics(*[hourly] * 6))
        with pytest.raises(Malformed, match="opens more than 50,000 windows"):
            calendar.spans(*Y2026)
        assert len(calendar.spans(Y2026[0], Y2026[0] + timedelta(days=1))) == 24 * 6


def test_an_empty_calendar_is_open_for_ever():
    assert spans(ics()) == []


def test_what_is_no_event_is_passed_over():
    todo = "BEGIN:VTODO\nUID:t\nDTSTART:20260601T090000Z\nDUE:20260602T090000Z\nEND:VTODO\n"
    assert spans(ics(head=todo)) == []


def test_an_alarm_inside_an_event_does_not_disturb():
    alarm = "BEGIN:VALARM\nACTION:DISPLAY\nTRIGGER:-PT10M\nDESCRIPTION:soon\nEND:VALARM"
    assert spans(ics(f"{window('20260601T090000Z', '20260601T100000Z')}\n{alarm}")) == ["06-01 09:00..10:00"]
