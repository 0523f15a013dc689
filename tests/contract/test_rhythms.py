"""How often rules are called for, over HTTP: what is usual, what was not, and the rule's page."""

from datetime import timedelta

from markupsafe import escape
from test_console import Browser

from served import HOME, SECRETS, alerts, served
from watchkeeper.engine.records import RhythmRecord, RhythmsRecord, put
from watchkeeper.learn.rhythm import Kind, Span, Unusual
from watchkeeper.ports import Commit
from watchkeeper.surface.cli.rhythms import _cell, _what
from watchkeeper.values import EPOCH, id_from

API = "/api/v1"
RULE, WEB = "shop/down", "component:default/web"
HOUR = timedelta(hours=1)
WEEKS = 6


async def counted(node):
    """Six weeks in which the rule was called for three times a day."""
    now = node.clock.now()
    since = now.replace(minute=0, second=0, microsecond=0) - timedelta(weeks=WEEKS, days=7)
    times = [now - timedelta(days=day) for day in range(1, WEEKS * 7 + 1)]
    record = RhythmRecord(
        id=id_from("rhy", EPOCH, RULE, WEB),
        rule=RULE,
        service=WEB,
        since_at=since,
        hours={int((at - EPOCH) / HOUR): 3 for at in times},
    )
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    silence = Unusual(
        id=id_from("unu", EPOCH, "test"),
        rule=RULE,
        service=WEB,
        kind=Kind.SILENCE,
        span=Span.DAY,
        from_at=day - timedelta(days=1),
        until_at=day,
        calls=0,
        mean_milli=3000,
        bound=0,
        weeks=WEEKS,
        at=now,
        owner="group:default/ops",
    )
    state = RhythmsRecord(id="node", counted_to=now, rules={RULE: since})
    await node.store.commit(Commit(at=now, puts=(put(record), put(state), put(silence))))
    await node.engine.rhythms.load(node.engine.taken.all)


async def test_what_is_usual_and_what_was_not_are_read_by_who_may_look() -> None:
    async with served(HOME) as node:
        await counted(node)
        await node.person("vera", "viewer")
        async with node.client(node.tokens["vera"]) as vera:
            (found,) = (await vera.get(f"{API}/rhythms?rule={RULE}")).json()["items"]
            assert (found["rule"], found["name"], found["state"]) == (RULE, "web", "watched")
            hour, day, week = found["windows"]
            assert (hour["span"], day["span"], week["span"]) == ("hour", "day", "week")
            assert (day["mean_milli"], day["weeks"]) == (3000, WEEKS)
            assert (hour["floor"], week["limit"]) == (None, None)
            assert 3 * 7 * (WEEKS - 1) <= sum(found["week"]) <= 3 * 7 * WEEKS, "of whole weeks"
            assert (await vera.get(f"{API}/rhythms?rule=shop/none")).json()["items"] == []
            (silence,) = (await vera.get(f"{API}/anomalies?rule={RULE}")).json()["items"]
            assert silence["why"].startswith("It was never called for on web on ")
            assert "a source may be silent" in silence["next"]
            one = (await vera.get(f"{API}/anomalies/{silence['id']}")).json()
            assert one == silence
            missing = await vera.get(f"{API}/anomalies/unu_none")
            assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
            assert (await vera.get(f"{API}/rhythms?speed=1")).status_code == 400
        browser = Browser(node)
        await browser.enter()
        page = await browser.see(f"/rules/{RULE}")
        assert "How often it is called for" in page
        assert str(escape(silence["why"]))[:60] in page
        assert "Calls by day and hour; most on " in page
        await browser.client.aclose()


async def test_a_call_is_seen_at_once_and_says_what_it_is_learning() -> None:
    async with served(HOME) as node:
        async with node.client(SECRETS["EDGE_TOKEN"]) as edge:
            assert (await edge.post("/hooks/alertmanager", json=alerts("Down"))).status_code == 202
        await node.person("vera", "viewer")
        async with node.client(node.tokens["vera"]) as vera:

            async def listed():
                return (await vera.get(f"{API}/rhythms")).json()["items"]

            (found, *_) = await node.until(listed)
            assert found["state"] == "learning"
            assert [each["calls"] for each in found["windows"]] == [1, 1, 1]
            assert found["windows"][0]["learning"] == (
                "this window was watched in 0 of 4 weeks, it was called for 0 of 8 times"
            )
            assert _what(found) == "learning, 0 of 4 weeks"


def test_a_cell_of_the_table_says_the_mean_and_the_bounds_that_there_are() -> None:
    def cell(**more: object) -> str:
        return _cell({"calls": 4, "mean_milli": 2140, "floor": None, "limit": None, **more})

    assert cell(mean_milli=None) == "4"
    assert cell() == "4 (2.1)"
    assert cell(limit=11) == "4 (2.1, up to 11)"
    assert cell(floor=0, limit=11) == "4 (2.1, over 0, up to 11)"
    learning = {"state": "learning", "windows": [{"weeks": 4}]}
    assert _what(learning) == "learning, too few calls"
    assert _what({"state": "off", "unusual": 0}) == "not watched (anomaly.watch)"
    assert _what({"state": "watched", "unusual": 2}) == "2 unusual"
