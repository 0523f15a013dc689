"""CAPABILITIES 3.6: no change in a closed calendar but by an emergency approval; checked at decision, start and each effect."""

from datetime import timedelta

from stage import ALICE, BOB, Stage, house, play

from calendars import ics, window
from watchkeeper.approve.people import Actor
from watchkeeper.decide.decide import decide
from watchkeeper.engine.answer import No
from watchkeeper.engine.records import JudgedRecord
from watchkeeper.errors import Unavailable
from watchkeeper.guards.situation import Freeze, Scope, Situation
from watchkeeper.home.calendar import Calendar
from watchkeeper.values import after_ms

MINUTE = 60.0
ENTRY = "- {name: NAME, file: NAME.ics, kind: KIND, scope: SCOPE}\n"
REMOTE = "- {name: cab, url: 'https://calendar.example/cab.ics', kind: freeze, scope: {environment: prod}, every: 1m, MORE}\n"
NOW_CLOSED = ics(window("20260302T080000Z", "20260302T100000Z", "Year end"))
LATER_CLOSED = ics(window("20260302T091000Z", "20260302T100000Z", "Month end"))
OPEN = ics()


def closed(
    body: bytes = NOW_CLOSED, *, kind: str = "freeze", scope: str = "{environment: prod}", **more
) -> dict[str, bytes]:
    entry = ENTRY.replace("NAME", "year-end").replace("KIND", kind).replace("SCOPE", scope)
    return {**house(**more), "calendars/calendars.yaml": entry.encode(), "calendars/year-end.ics": body}


def remote(more: str) -> dict[str, bytes]:
    return {**house(), "calendars/calendars.yaml": REMOTE.replace("MORE", more).encode()}


class Reachable(Stage):
    """`answer` is what the server says, or the error in its place."""

    answer: bytes | Exception = OPEN
    asked = 0

    async def fetch_calendar(self, calendar: Calendar) -> bytes:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def finding(decision, guard="freeze"):
    return next(each for each in decision.findings if each.guard == guard)


def test_a_run_inside_a_freeze_becomes_ask_and_only_an_emergency_answers_it() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (asked,) = await stage.decided()
        found = finding(asked)
        assert (asked.verdict.value, asked.would_be.value) == ("ask", "ask")
        assert found.reason.startswith("Year end (year-end:20260302T0800Z-")
        assert found.reason.endswith(") closes this to changes until 10:00 UTC.")
        assert found.until_at == stage.clock.now().replace(hour=10, minute=0, second=0, microsecond=0)
        (card,) = await stage.approvals(state="pending")
        assert card.emergency
        plain = await stage.on.steering.approve(ALICE, card.id, card.binding, "please")
        assert isinstance(plain, No)
        approver = Actor(name="carl", roles=frozenset({"approver"}), identity="idn_c")
        unfit = await stage.on.steering.approve(approver, card.id, card.binding, "please", emergency=True)
        assert isinstance(unfit, No)
        assert unfit.status == 403
        await stage.on.steering.approve(BOB, card.id, card.binding, "customers cannot pay", emergency=True)
        (run,) = await stage.ended()
        assert (run.status, run.change) == ("succeeded", "emergency")

    play(scene, Stage(closed()))


def test_outside_it_acts_as_a_standard_change_and_a_persons_run_is_a_normal_one() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert (run.status, run.change) == ("succeeded", "standard")
        acted = (await stage.decisions())[0]
        assert finding(acted).reason == "None of 1 freeze closes these targets now."
        assert finding(acted).until_at == run.at.replace(hour=9, minute=10, second=0, microsecond=0)
        await stage.on.steering.run(ALICE, "shop/mend", ("cart",), {}, "by hand")
        _, own = await stage.ended(2)
        assert own.change == "normal"

    play(scene, Stage(closed(LATER_CLOSED)))


def test_a_freeze_that_opens_while_it_runs_stops_it_at_the_safe_point() -> None:
    soon = ics(window("20260302T090003Z", "20260302T120000Z", "Sale"))

    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["drain"] = 4.0
        await stage.fire("Down", "web")
        await stage.until(lambda: "drain" in stage.theatre.verbs())
        (run,) = await stage.ended()
        assert run.status == "stopped"
        assert run.why.startswith("freeze: Sale (year-end:20260302T0900Z-")
        assert stage.theatre.verbs() == ["drain", "undrain"], "what was done is undone, and nothing new begins"

    play(scene, Stage(closed(soon)))


def test_what_waited_for_the_end_of_a_freeze_is_decided_afresh_when_it_ends() -> None:
    short = ics(window("20260302T080000Z", "20260302T090200Z", "Short"))

    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (asked,) = await stage.decided()
        assert asked.verdict.value == "ask"
        (run,) = await stage.ended(within_s=180)
        assert run.change == "standard"
        last = (await stage.decisions())[-1]
        assert (last.verdict.value, last.because) == ("act", "freeze changed")
        assert last.at < stage.clock.now().replace(hour=9, minute=2, second=1, microsecond=0)

    play(scene, Stage(closed(short)))


def test_windows_without_a_gap_end_together_and_elsewhere_is_open() -> None:
    days = ics(
        window("20260302T080000Z", "20260302T100000Z", "First"),
        window("20260302T100000Z", "20260302T200000Z", "Second"),
    )

    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.fire("Down", "cart")
        asked, acted = sorted(await stage.decided(2), key=lambda each: each.targets[0].name != "web")
        assert finding(asked).reason.endswith("until 20:00 UTC.")
        assert acted.verdict.value == "act"

    play(scene, Stage(closed(days, scope="{service: web}")))


def test_maintenance_holds_until_it_ends() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (held,) = await stage.decided()
        assert held.verdict.value == "hold"
        assert finding(held, "maintenance").reason == "Maintenance until 09:02 UTC: Disks."
        (run,) = await stage.ended(within_s=180)
        assert run.status == "succeeded"

    disks = ics(window("20260302T080000Z", "20260302T090200Z", "Disks"))
    play(scene, Stage(closed(disks, kind="maintenance")))


def test_a_calendar_that_was_never_read_holds_what_it_covers_and_frees_it_once_it_is_read() -> None:
    async def scene(stage: Reachable) -> None:
        await stage.fire("Down", "web")
        (held,) = await stage.decided()
        assert held.verdict.value == "hold"
        assert finding(held).unknown
        assert finding(held).reason == "What freeze looks at could not be read: calendar cab: no route to it."
        await stage.passes(5)
        assert stage.subjects("calendar") == ["Calendar cab cannot be read"]
        stage.answer = OPEN
        (run,) = await stage.ended(within_s=40)
        assert run.status == "succeeded"

    stage = Reachable(remote("when_unreadable: hold"))
    stage.answer = Unavailable("no route to it")
    play(scene, stage)


def test_hold_means_from_the_first_reading_that_fails() -> None:
    async def scene(stage: Reachable) -> None:
        await stage.passes(1)
        stage.answer = Unavailable("the server answered 503")
        await stage.passes(2 * MINUTE)
        await stage.fire("Down", "web")
        (held,) = await stage.decided()
        assert (held.verdict.value, finding(held).outcome.value) == ("hold", "hold")
        stage.answer = b"<html>please sign in</html>"
        await stage.passes(2 * MINUTE)
        last = (await stage.decisions())[-1]
        assert "is no iCalendar" in finding(last).reason
        assert stage.subjects("calendar") == ["Calendar cab cannot be read"], "people are told once"

    play(scene, Reachable(remote("when_unreadable: hold")))


def test_last_known_counts_until_it_is_too_old_also_over_a_restart() -> None:
    async def scene(stage: Reachable) -> None:
        await stage.passes(1)
        stage.answer = Unavailable("gone")
        await stage.crash()
        await stage.passes(5 * MINUTE)
        assert stage.subjects("calendar") == []
        await stage.fire("Down", "web")
        (asked,) = await stage.decided()
        assert asked.verdict.value == "ask", "the freeze that was read last counts"
        assert finding(asked).reason.startswith("Year end (cab:20260302T0800Z-")
        await stage.passes(6 * MINUTE)
        last = (await stage.decisions())[-1]
        assert last.verdict.value == "hold"
        assert finding(last).reason == (
            "What freeze looks at could not be read: calendar cab: it was read 11m ago and counts for 10m: gone."
        )
        assert stage.subjects("calendar") == ["Calendar cab cannot be read"]
        stage.answer = OPEN
        await stage.ended(within_s=60)

    stage = Reachable(remote("when_unreadable: last_known, max_age: 10m"))
    stage.answer = NOW_CLOSED
    play(scene, stage)


def test_what_another_address_said_does_not_count_for_this_one() -> None:
    async def scene(stage: Reachable) -> None:
        await stage.passes(1)
        stage.answer = Unavailable("gone")
        stage.files["calendars/calendars.yaml"] = stage.files["calendars/calendars.yaml"].replace(
            b"cab.ics", b"new.ics"
        )
        planned = stage.on.changes.plan()
        await stage.on.changes.apply(ALICE, planned.digest, "moved")
        await stage.passes(2)
        assert stage.on.world.calendars["cab"].unread(stage.clock.now()) == "gone"

    play(scene, Reachable(remote("when_unreadable: last_known, max_age: 1h")))


def test_another_configuration_opens_what_it_no_longer_closes() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.decided()
        stage.files["calendars/year-end.ics"] = OPEN
        planned = stage.on.changes.plan()
        assert planned.plan is not None
        assert [(each.kind, each.name, each.did.value) for each in planned.plan.changes] == [
            ("calendar", "year-end", "changed")
        ]
        before = stage.on.world.number("freeze")
        await stage.on.changes.apply(ALICE, planned.digest, "it is over")
        assert stage.on.world.number("freeze") == before + 1
        (run,) = await stage.ended(within_s=30)
        assert run.status == "succeeded"

    play(scene, Stage(closed()))


def test_the_decision_alone_replays_it_without_the_calendar() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (asked,) = await stage.decided()
        (judged,) = await stage.all(JudgedRecord)
        situation = next(each for each in await stage.all(Situation) if each.freezes)
        again = decide(judged.proposal, situation, clauses=asked.clauses, engine=asked.engine, because=asked.because)
        assert again == asked
        assert [each.origin for each in situation.freezes] == ["calendar"]

    play(scene, Stage(closed()))


def test_status_says_open_or_closed_why_until_when_and_what_is_next() -> None:
    from watchkeeper.engine.calendar_reading import CalendarReader

    body = ics(
        window("20260302T080000Z", "20260302T100000Z", "First"),
        window("20260302T100000Z", "20260302T120000Z", "Second"),
        "DTSTART;VALUE=DATE:20251223\nDTEND;VALUE=DATE:20260103\nRRULE:FREQ=YEARLY\nSUMMARY:Year end",
    )

    async def scene(stage: Stage) -> None:
        reader, now = CalendarReader(stage.on), stage.clock.now()
        closed_now = await reader.status(None, Scope())
        assert (closed_now.state, closed_now.until_at) == (
            "closed",
            now.replace(hour=12, minute=0, second=0, microsecond=0),
        )
        assert closed_now.sentence.startswith("Closed until 12:00 UTC: First (year-end:20260302T0800Z-")
        assert closed_now.next.reason == "Year end"
        later = await reader.status(now.replace(hour=12, minute=0, second=0), Scope(service="component:default/web"))
        assert later.state == "open"
        assert later.sentence.startswith("Open; closes at 23 Dec 2026, 00:00 UTC: Year end (year-end:20261223T0000Z-")
        far = await reader.status(now.replace(year=2040, month=12, day=31), Scope(environment="prod"))
        assert (far.state, far.until_at.isoformat()) == ("closed", "2041-01-03T00:00:00+00:00")
        other = await reader.status(None, Scope(environment="staging"))
        assert other.state == "open"
        unknown = await reader.status(None, Scope(service="nothing"))
        assert isinstance(unknown, No)
        await stage.on.limits.freeze(ALICE, Scope(), now, now + timedelta(hours=5), "by hand")
        both = await reader.status(None, Scope())
        assert [each.calendar for each in both.windows] == ["year-end", ""]
        assert both.until_at == now + timedelta(hours=5)

    play(scene, Stage(closed(body)))


def test_status_of_a_calendar_that_cannot_be_read_is_not_known() -> None:
    from watchkeeper.engine.calendar_reading import CalendarReader

    async def scene(stage: Reachable) -> None:
        await stage.passes(1)
        found = await CalendarReader(stage.on).status(None, Scope())
        assert found.state == "unknown"
        assert found.sentence == "Not known: calendar cab: gone. What it covers is held until it can be read."
        (view,) = stage.on.calendars.views()
        assert (view["state"], view["why"], view["source"]) == ("unreadable", "gone", "https://calendar.example")
        now = stage.clock.now()
        await stage.on.limits.freeze(ALICE, Scope(), now, now + timedelta(hours=5), "by hand")
        sure = await CalendarReader(stage.on).status(None, Scope())
        assert (sure.state, sure.until_at) == ("closed", now + timedelta(hours=5))
        assert sure.sentence.startswith("Closed until "), "what is known to be closed is said to be"
        assert sure.sentence.endswith(
            "Beyond that it is not known: calendar cab: gone. What it covers is held until it can be read."
        )

    stage = Reachable(remote("when_unreadable: hold"))
    stage.answer = Unavailable("gone")
    play(scene, stage)


def test_a_time_that_is_over_was_closed_by_what_stood_then() -> None:
    from watchkeeper.engine.calendar_reading import CalendarReader

    async def scene(stage: Stage) -> None:
        reader, start = CalendarReader(stage.on), stage.clock.now()
        await stage.passes(60)
        found = await stage.on.limits.freeze(ALICE, Scope(), start, after_ms(start, 3_600_000), "the year's end")
        await stage.passes(600)
        await stage.on.limits.lift_freeze(ALICE, found.id, "done early")
        await stage.passes(60)
        states = {}
        for minutes in (0, 5, 10, 12):
            at = after_ms(start, minutes * 60_000)
            said = await reader.status(at, Scope())
            states[minutes] = (said.state, said.until_at)
        lifted_at = (await stage.all(Freeze))[0].lifted_at
        assert states == {0: ("open", None), 5: ("closed", lifted_at), 10: ("closed", lifted_at), 12: ("open", None)}

    play(scene)
