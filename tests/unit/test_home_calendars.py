"""calendars/calendars.yaml: what is read, what is refused and where; and a calendar as it is known at a time."""

import subprocess
import sys
from datetime import timedelta

import pytest

from calendars import ics, window
from situations import AT, DAY, HOUR, MINUTE, SECOND
from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.home.calendar import Calendar, CalendarKind, Span, Standing, WhenUnreadable
from watchkeeper.home.configuration import compile_home
from watchkeeper.home.exclusion import Scope
from watchkeeper.home.plan import difference
from watchkeeper.home.starter import starter
from watchkeeper.packs.runbook import SecretRef

GOOD = ics(window("20260601T090000Z", "20260601T100000Z"))


def home(text: str, **files: bytes) -> dict[str, bytes]:
    named = {f"calendars/{name.replace('_', '-')}.ics": body for name, body in files.items()}
    return {**starter(), "calendars/calendars.yaml": text.encode(), **named}


def compiled(text: str, **files: bytes):
    found = compile_home(home(text, **files), CelCompiler())
    assert found.configuration is not None, [str(each) for each in found.errors]
    return found


def told(text: str, **files: bytes) -> list[str]:
    found = compile_home(home(text, **files), CelCompiler())
    assert found.configuration is None
    return [str(each) for each in found.errors]


ENTRY = "- {name: sale, file: sale.ics, kind: freeze, scope: {}}\n"


class TestFile:
    def test_a_file_and_its_defaults(self):
        (found,) = compiled(ENTRY, sale=GOOD).configuration.calendars
        assert found == Calendar(
            name="sale", kind=CalendarKind.FREEZE, scope=Scope(), file="calendars/sale.ics", body=GOOD
        )
        assert not found.remote

    def test_an_address_with_everything(self):
        text = (
            "- {name: cab, url: 'https://c.example/x.ics', kind: maintenance, scope: {service: starter}, zone: Europe/Berlin,\n"
            "   every: 5m, when_unreadable: last_known, max_age: 2h, bearer: 'secret:cab'}\n"
        ).replace("service: starter", "system: example")
        (found,) = compiled(text).configuration.calendars
        assert (found.url, found.zone, found.every_ms, found.max_age_ms) == (
            "https://c.example/x.ics",
            "Europe/Berlin",
            300_000,
            7_200_000,
        )
        assert found.scope == Scope(system="system:default/example")
        assert found.when_unreadable is WhenUnreadable.LAST_KNOWN
        assert found.bearer == SecretRef(store="file", path="cab")

    def test_an_address_that_is_a_secret_does_not_stand_in_the_file(self):
        (found,) = compiled("- {name: cab, url: 'env:CAB', kind: freeze, scope: {}}").configuration.calendars
        assert (found.url, found.url_secret) == ("", SecretRef(store="env", path="CAB"))

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("sale: x", "calendars/calendars.yaml:1:1: expected a list of calendars"),
            ("- {name: sale, kind: freeze, scope: {}}", "name either a `file` or a `url`"),
            (
                "- {name: sale, file: sale.ics, url: 'https://x.example/', kind: freeze, scope: {}}",
                "name either a `file` or a `url`",
            ),
            ("- {name: sale, file: sale.ics, kind: freeze}", "[0].scope: is missing"),
            ("- {name: sale, file: sale.ics, scope: {}}", "[0].kind: is missing: expected one of freeze, maintenance"),
            ("- {name: Sale!, file: sale.ics, kind: freeze, scope: {}}", "[0].name: expected a name in lower case"),
            (
                "- {name: sale, file: ../x.ics, kind: freeze, scope: {}}",
                "[0].file: expected the path of an .ics beside this file",
            ),
            ("- {name: sale, file: sail.ics, kind: freeze, scope: {}}", "there is no calendars/sail.ics: did you mean"),
            (
                "- {name: sale, file: sale.ics, kind: freeze, scope: {}, zone: Moon/Base}",
                "no time zone is called 'Moon/Base'",
            ),
            ("- {name: sale, file: sale.ics, kind: freeze, scope: {}, every: 5m}", "goes with a `url` only"),
            (
                "- {name: sale, url: 'https://x.example/', kind: freeze, scope: {}, every: 1s}",
                "[0].every: expected a duration from 10s to 1d",
            ),
            (
                "- {name: sale, url: 'https://x.example/', kind: freeze, scope: {}, every: 1h, max_age: 5m}",
                "is less than `every`",
            ),
            ("- {name: sale, url: 'https://u:secretpw@x.example/', kind: freeze, scope: {}}", "[0].url"),
            ("- {name: sale, file: sale.ics, kind: freeze, scope: {system: nothing}}", "this would close nothing"),
            (
                "- {name: sale, file: sale.ics, kind: freeze, scope: {rule: starter/none}}",
                "no rule is called 'starter/none'",
            ),
            ("- {name: sale, file: sale.ics, kind: freeze, scope: {}, when: x}", "[0].when: unknown field"),
            (ENTRY + ENTRY, "the name 'sale' stands twice"),
        ],
    )
    def test_every_problem_has_its_place(self, text, words):
        said = told(text, sale=GOOD)
        assert any(words in each for each in said), said
        assert all(each.startswith("calendars/calendars.yaml:") for each in said)

    def test_a_problem_in_an_ics_names_its_line(self):
        bad = ics(window("20260601T090000Z", "20260601T080000Z"))
        assert told(ENTRY, sale=bad) == ["calendars/sale.ics:4:1: DTEND: lies before DTSTART"]

    def test_a_file_that_nobody_maps_is_warned_of(self):
        found = compiled(ENTRY, sale=GOOD, other=GOOD)
        assert [str(each) for each in found.problems if "names this file" in str(each)] == [
            "calendars/other.ics: warning: no entry of calendars/calendars.yaml names this file, so it closes nothing"
        ]

    def test_a_plan_says_what_is_no_longer_closed(self):
        before, after = compiled(ENTRY, sale=GOOD).configuration, compiled("[]").configuration
        assert "calendar sale is gone: it closes nothing any more" in difference(before, after).acts
        narrower = compiled(ENTRY.replace("scope: {}", "scope: {system: example}"), sale=GOOD).configuration
        (said,) = difference(before, narrower).acts
        assert said.startswith("calendar sale closes something else: ")
        (added,) = [each for each in difference(after, before).changes if each.kind == "calendar"]
        assert (added.name, added.did.value) == ("sale", "added")


def a_span(from_at, until_at, uid="u"):
    return Span(from_at=from_at, until_at=until_at, summary="s", uid=uid)


def standing(*spans, when=WhenUnreadable.HOLD, url="https://x", **fields):
    calendar = Calendar(name="cab", kind=CalendarKind.FREEZE, scope=Scope(), url=url, when_unreadable=when)
    return Standing(calendar=calendar, spans=spans, **{"read_at": AT, "worked_out_at": AT, **fields})


class TestStanding:
    def test_a_window_includes_its_beginning_and_not_its_end(self):
        state = standing(a_span(AT, AT + HOUR))
        assert state.holding(AT - SECOND) == ()
        assert state.holding(AT) == state.spans
        assert state.holding(AT + HOUR - SECOND) == state.spans
        assert state.holding(AT + HOUR) == ()

    def test_open_it_shows_the_next_one(self):
        one, two = a_span(AT + HOUR, AT + 2 * HOUR), a_span(AT + DAY, AT + 2 * DAY)
        assert standing(one, two).closed(AT) == ((one,), None)
        assert standing().closed(AT) == ((), None)

    def test_windows_without_a_gap_are_one_closed_time(self):
        one, two = a_span(AT, AT + HOUR), a_span(AT + HOUR, AT + 2 * HOUR)
        apart = a_span(AT + 2 * HOUR + SECOND, AT + 3 * HOUR)
        assert standing(one, two, apart).closed(AT) == ((one, two), AT + 2 * HOUR)

    def test_of_very_many_the_end_counts_all(self):
        many = tuple(a_span(AT + number * HOUR, AT + (number + 1) * HOUR) for number in range(100))
        seen, until_at = standing(*many).closed(AT)
        assert len(seen) == 16
        assert until_at == AT + 100 * HOUR

    def test_a_name_stays_and_tells_two_events_apart(self):
        state = standing()
        one = a_span(AT, AT + HOUR)
        assert state.identity(one).startswith("cab:20260301T0304Z-")
        assert state.identity(one) == state.identity(a_span(AT, AT + 2 * HOUR))
        assert state.identity(one) != state.identity(a_span(AT, AT + HOUR, "other"))

    def test_when_it_may_say_something_else(self):
        state = standing(a_span(AT, AT + HOUR), a_span(AT + 10 * MINUTE, AT + DAY))
        assert state.next_at(AT) == AT + 10 * MINUTE
        assert state.next_at(AT + 10 * MINUTE) == AT + HOUR
        assert standing(url="", worked_out_at=AT).next_at(AT) == AT + DAY

    @pytest.mark.parametrize(
        ("when", "age", "why", "unread"),
        [
            (WhenUnreadable.HOLD, HOUR, "", False),
            (WhenUnreadable.HOLD, SECOND, "503", True),
            (WhenUnreadable.LAST_KNOWN, HOUR, "503", False),
            (WhenUnreadable.LAST_KNOWN, DAY, "503", False),
            (WhenUnreadable.LAST_KNOWN, DAY + timedelta(milliseconds=1), "503", True),
            (WhenUnreadable.LAST_KNOWN, DAY + timedelta(milliseconds=1), "", True),
        ],
    )
    def test_unreadable_as_it_was_declared(self, when, age, why, unread):
        state = standing(when=when, why=why, failed_at=AT if why else None)
        assert bool(state.unread(AT + age)) is unread

    def test_never_read_is_unread_whatever_was_declared(self):
        for when in WhenUnreadable:
            assert standing(when=when, read_at=None).unread(AT) == "it has not been read"


def test_a_home_without_calendars_loads_no_calendar_library():
    code = (
        "import sys\n"
        "from watchkeeper.adapters.cel import CelCompiler\n"
        "from watchkeeper.home.configuration import compile_home\n"
        "from watchkeeper.home.starter import starter\n"
        "import watchkeeper.engine.engine\n"
        "assert compile_home(starter(), CelCompiler()).configuration is not None\n"
        "print(sorted({'icalendar', 'dateutil', 'recurring_ical_events'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
