"""The agenda: what people set and what calendars say, past and to come, by the API, by `wk`, and on its page."""

import json

import pytest
from test_console import ADMIN, browser
from test_over_time import node, wk  # noqa: F401  fixtures

from calendars import ics, window
from served import HOME, served
from watchkeeper.engine.agenda import AgendaReader
from watchkeeper.guards.situation import Scope
from watchkeeper.surface.cli.place import Exit
from watchkeeper.values import after_ms, instant

HOUR = 3_600_000
FILES = HOME | {
    "calendars/calendars.yaml": b"""
- {name: year-end, file: year-end.ics, kind: freeze, scope: {environment: staging}, zone: Europe/Berlin}
- {name: board, file: board.ics, kind: maintenance, scope: {system: shop}}
""",
    "calendars/year-end.ics": ics(
        window("20281220T170000Z", "20290107T070000Z", "Year-end close"),
        "DTSTART:20201103T210000Z\nDTEND:20201104T030000Z\nRRULE:FREQ=WEEKLY;BYDAY=TU\nSUMMARY:Ledger <b>close</b>",
    ),
    "calendars/board.ics": ics(window("20281224T100000Z", "20281224T120000Z", "Switch upgrade")),
}
CHRISTMAS = {"from": "2028-12-18T00:00:00Z", "until": "2028-12-25T00:00:00Z"}


async def test_windows_are_worked_out_for_the_span_however_far_away():
    async with served(FILES) as node, node.client(await node.person("vera", "viewer")) as vera:  # noqa: F811
        found = (await vera.get("/api/v1/agenda", params=CHRISTMAS)).json()
        assert [(one["kind"], one["reason"], one["from_at"], one["calendar"]) for one in found["items"]] == [
            ("freeze", "Ledger <b>close</b>", "2028-12-19T21:00:00Z", "year-end"),
            ("freeze", "Year-end close", "2028-12-20T17:00:00Z", "year-end"),
            ("maintenance", "Switch upgrade", "2028-12-24T10:00:00Z", "board"),
        ]
        past = {"from": "2024-02-26T00:00:00Z", "until": "2024-03-04T00:00:00Z"}
        found = (await vera.get("/api/v1/agenda", params=past)).json()
        assert [one["from_at"] for one in found["items"]] == ["2024-02-27T21:00:00Z"]


async def test_what_a_person_set_ends_when_it_was_lifted_and_what_never_began_held_nothing():
    async with served() as node:  # noqa: F811
        limits, at = node.engine.limits, node.clock.now()
        kept = await limits.hold(ADMIN, Scope(service="component:default/web"), after_ms(at, HOUR), "by hand")
        lifted = await limits.hold(ADMIN, Scope(service="component:default/cart"), after_ms(at, HOUR), "a mistake")
        await limits.lift_hold(ADMIN, lifted.id, "sorry")
        never = await limits.freeze(ADMIN, Scope(), after_ms(at, 2 * HOUR), after_ms(at, 3 * HOUR), "cancelled")
        await limits.lift_freeze(ADMIN, never.id, "not needed")
        stop = await limits.stop(ADMIN, Scope(rule="shop/seen"), "noisy", now_too=False)
        reader = AgendaReader(node.engine)
        found = {one.id: one for one in (await reader.agenda(after_ms(at, -HOUR), after_ms(at, 24 * HOUR))).items}
        assert set(found) == {kept.id, lifted.id, stop.id}
        assert (found[kept.id].kind, found[kept.id].until_at, found[kept.id].ended_early) == (
            "hold",
            kept.until_at,
            False,
        )
        assert found[lifted.id].ended_early
        assert found[lifted.id].until_at < lifted.until_at
        assert found[lifted.id].lifted_by == "root"
        assert (found[stop.id].kind, found[stop.id].until_at) == ("stop", None)
        later = (await reader.agenda(after_ms(at, 2 * HOUR), after_ms(at, 3 * HOUR))).items
        assert [one.id for one in later] == [stop.id]


async def test_it_is_bounded_and_says_what_was_not_looked_at(monkeypatch):
    async with served() as node:  # noqa: F811
        limits, at = node.engine.limits, node.clock.now()
        for number in range(4):
            await limits.hold(ADMIN, Scope(service="component:default/web"), after_ms(at, HOUR), f"number {number}")
        reader = AgendaReader(node.engine)
        monkeypatch.setattr("watchkeeper.engine.agenda.AGENDA_MAX", 3)
        found = await reader.agenda(at, after_ms(at, HOUR))
        assert (len(found.items), found.left_off, found.since_at) == (3, 1, None)
        monkeypatch.setattr("watchkeeper.engine.agenda.LIMITS_READ_MAX", 2)
        monkeypatch.setattr("watchkeeper.engine.agenda.PAGE", 2)
        found = await reader.agenda(at, after_ms(at, HOUR))
        assert [one.reason for one in found.items] == ["number 2", "number 3"]
        assert found.since_at == found.items[0].from_at


@pytest.mark.parametrize(
    ("span", "why"),
    [
        ({"from": "2028-12-18T00:00:00Z", "until": "2028-12-18T00:00:00Z"}, "until: must be after from"),
        ({"from": "2028-01-01T00:00:00Z", "until": "2028-12-18T00:00:00Z"}, "until: lies more than 100d after from"),
        ({"from": "yesterday"}, "from: "),
        ({"from": "2028-12-18T00:00:00Z", "until": "2028-12-18"}, "has no time zone"),
    ],
)
async def test_a_wrong_span_is_refused_with_the_reason(span, why):
    async with served() as node, node.client(await node.person("vera", "viewer")) as vera:  # noqa: F811
        answer = await vera.get("/api/v1/agenda", params=span)
        assert (answer.status_code, why in answer.json()["detail"]) == (400, True), answer.text


@pytest.mark.parametrize("begin", ["9999-12-31T00:00:00Z", "0001-01-01T00:00:00Z"])
async def test_a_span_at_the_end_of_the_calendar_is_answered_or_refused_in_words(begin):
    async with served() as node, node.client(await node.person("vera", "viewer")) as vera:  # noqa: F811
        found = await vera.get("/api/v1/agenda", params={"from": begin})
        assert (found.status_code, found.json()["items"]) == (200, [])
    async with served(FILES) as node, node.client(await node.person("vera", "viewer")) as vera:
        found = await vera.get("/api/v1/agenda", params={"from": begin})
        assert found.status_code == 400
        assert found.json()["detail"].startswith("from: calendar year-end cannot be worked out for that time")
        assert found.json()["field"] == "from"


async def test_a_month_a_week_and_a_day_have_addresses_and_say_the_same():
    async with browser(files=FILES) as ana:
        ana.client.cookies.set("wk_zone", "Europe/Berlin")
        month = await ana.see("/limits/calendar?month=2028-12&day=2028-12-24")
        assert "It is closed to changes on 24 December at 12:00." in month
        assert "Sunday, 24 December 2028" in month
        assert "18:00 Year-end close" in month  # the bar, in the viewer's zone
        assert "(17:00 UTC)" in month  # and UTC beside
        assert "22:00 Ledger &lt;b&gt;close&lt;/b&gt;" in month
        assert "wk freeze status --at 2028-12-24T11:00:00Z" in month
        assert 'href="?month=2028-11"' in month
        assert 'href="?month=2029-01"' in month
        week = await ana.see("/limits/calendar?week=2028-W52&day=2028-12-25&at=09:30")
        assert "It is closed to changes on 25 December at 09:30." in week
        assert "25 Dec to 31 Dec 2028" in week
        assert 'href="?week=2029-W01"' in week
        free = await ana.see("/limits/calendar?month=2028-12&day=2028-12-01&service=pay")
        assert "It is open to changes on 1 December at 12:00." in free
        assert "--scope=service=pay" in free


async def test_a_place_that_is_not_known_is_said_and_the_calendar_stays():
    async with browser(files=FILES) as ana:
        page = await ana.see("/limits/calendar?month=2028-12&day=2028-12-24&service=%3Cscript%3Ealert(1)")
        assert "<script>alert" not in page
        assert "December 2028" in page
        assert "It is closed to changes on 24 December" in page
        assert "scope.service" in page


async def test_a_freeze_to_come_is_not_said_to_be_in_force():
    async with browser() as ana:
        at = ana.node.clock.now()
        await ana.node.engine.limits.freeze(
            ADMIN, Scope(), after_ms(at, HOUR), after_ms(at, 2 * HOUR), "tomorrow's sale"
        )
        page = await ana.see("/limits")
        assert "Nothing is held back." in page
        assert page.index("To come") < page.index("tomorrow")


async def test_an_empty_calendar_teaches():
    async with browser() as ana:
        page = await ana.see("/limits/calendar?month=2031-01")
        assert "Nothing holds automation back in this time." in page
        assert "wk freeze agenda --from" in page


def test_an_operator_reads_the_agenda(wk) -> None:  # noqa: F811
    code, said, _ = wk("freeze", "agenda")
    assert (code, "Nothing holds automation back in that time." in said) == (Exit.DONE, True)
    assert wk("freeze", "set", "--scope", "service=web", "--for", "1h", "--reason", "sale")[0] == Exit.DONE
    code, said, _ = wk("freeze", "agenda", "--days", "1")
    assert "service web" in said
    assert "sale" in said
    found = json.loads(wk("freeze", "agenda", "--from", "2028-12-18T00:00:00Z", "--days", "7", "--json")[1])
    assert found["items"] == []
    assert instant(found["until_at"]) == instant("2028-12-25T00:00:00Z")
    assert wk("freeze", "agenda", "--days", "101")[0] == Exit.USAGE
    assert wk("freeze", "agenda", "--from", "soon")[0] == Exit.USAGE
    code, _, error = wk("freeze", "agenda", "--from", "9999-12-31T00:00:00Z")
    assert (code, "give --from as an instant" in error) == (Exit.USAGE, True)
