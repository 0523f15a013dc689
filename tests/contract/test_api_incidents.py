"""Incidents and decisions as lists tell them: what is being done, what it costs the business, and how many of each verdict."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from served import HOME, SECRETS, alerts, served
from watchkeeper.engine.records import RunRecord, put, read
from watchkeeper.ports import Commit
from watchkeeper.values import instant

API = "/api/v1"
TRANSACTIONS = b"""
- {name: sale, priority: 1, owner: group:ops, hops: [component:web]}
- {name: refund, priority: 3, owner: group:ops, hops: [component:cart, component:web]}
"""


@pytest.fixture
async def node():
    async with served({**HOME, "transactions.yaml": TRANSACTIONS}) as found:
        await found.person("alice", "admin", "approver", "operator", "viewer")
        yield found


@pytest.fixture
async def alice(node):
    async with node.client(node.tokens["alice"]) as found:
        yield found


async def fired(node, *names, **how):
    """One start for the whole test, so that what resolves is the episode that fired."""
    body = alerts(*names, **how)
    for each in body["alerts"]:
        each["startsAt"] = f"{node.engine.started_at:%Y-%m-%dT%H:%M:%SZ}"
    async with node.client(SECRETS["EDGE_TOKEN"]) as edge:
        assert (await edge.post("/hooks/alertmanager", json=body)).status_code == 202


async def granted(alice, level):
    body = {"rule": "shop/down", "level": level, "environment": "staging", "for": "1h", "reason": "for the test"}
    assert (await alice.post(f"{API}/grants", json=body)).status_code == 201


async def stands(node, alice, stage):
    """The one incident, once it stands there."""

    async def there():
        page = (await alice.get(f"{API}/incidents", params={"handling": "true"})).json()["items"]
        return next((each for each in page if each["handling"]["stage"] == stage), None)

    return await node.until(there)


async def test_an_incident_says_who_waits_who_repairs_and_what_it_costs(node, alice):
    await granted(alice, "approve")
    await fired(node, "Down")
    found = await stands(node, alice, "waiting")
    handling = found["handling"]
    assert handling["says"] == "Waits for a person"
    assert [each["name"] for each in handling["transactions"]] == ["sale", "refund"], "the most important first"
    assert handling["owner"] == "group:default/ops"
    (approval,) = handling["approvals"]
    card = (await alice.get(f"{API}/approvals/{approval}")).json()
    assert handling["until_at"] == card["expires_at"]
    assert handling["decision"] == card["decision"]

    node.action.open.clear()
    assert (await alice.post(f"{API}/approvals/{approval}/approve", json={"digest": card["digest"]})).status_code == 200
    found = await stands(node, alice, "repairing")
    assert found["handling"]["run"].startswith("run_")
    await node.until(lambda: _says(alice, "Repairing: drain"))
    await alice.post(f"{API}/runs/{found['handling']['run']}/pause", json={"reason": "look"})
    node.action.open.set()
    await node.until(lambda: _says(alice, "Its run is paused"))
    await alice.post(f"{API}/runs/{found['handling']['run']}/resume", json={})
    # It ended, nothing verified it, and the alert still fires.
    await node.until(lambda: _says(alice, "Tried, still firing"))
    assert (await stands(node, alice, "alone"))["handling"]["run"] == found["handling"]["run"]
    await fired(node, "Down", status="resolved")
    found = await stands(node, alice, "over")
    assert found["handling"]["says"] == "Repaired"
    joins = instant(found["resolved_at"]) + timedelta(minutes=5)
    assert instant(found["handling"]["until_at"]) == joins, "an alert would still join it"


@pytest.mark.parametrize(
    ("status", "state", "stage", "says"),
    [
        ("succeeded", "web: restart done; verified healthy", "mitigated", "Repaired, not reported yet"),
        ("succeeded", "web: restart done; not verified", "alone", "Tried, still firing"),
        ("failed", "web: restart done; verification unhealthy", "alone", "The repair failed"),
        ("undo_failed", "", "alone", "The undo failed"),
    ],
)
async def test_what_ended_while_the_alert_still_fires_says_how_it_ended(node, alice, status, state, stage, says):
    await granted(alice, "approve")
    await fired(node, "Down")
    found = await stands(node, alice, "waiting")
    (approval,) = found["handling"]["approvals"]
    card = (await alice.get(f"{API}/approvals/{approval}")).json()
    await alice.post(f"{API}/approvals/{approval}/approve", json={"digest": card["digest"]})
    await node.until(lambda: _says(alice, "Tried, still firing"))
    (row,) = (await node.store.find("run")).items
    record = replace(read(row, RunRecord), status=status, state=state)
    await node.store.commit(Commit(at=node.clock.now(), puts=(put(record),)))
    found = (await alice.get(f"{API}/incidents", params={"handling": "true"})).json()["items"][0]["handling"]
    assert (found["stage"], found["says"], found["run"]) == (stage, says, record.id)


async def _says(alice, words):
    page = (await alice.get(f"{API}/incidents", params={"handling": "true"})).json()["items"]
    return page[0]["handling"]["says"] == words


async def test_a_hold_says_until_when_and_an_alert_without_a_rule_that_nobody_acts(node, alice):
    await granted(alice, "auto")
    hold = (
        await alice.post(
            f"{API}/holds", json={"scope": {"entity": "component:default/web"}, "for": "1h", "reason": "looking"}
        )
    ).json()
    await fired(node, "Down")
    found = await stands(node, alice, "held")
    assert (found["handling"]["says"], found["handling"]["until_at"]) == ("Held", hold["until_at"])
    await fired(node, "Unheard", service="pay")
    found = await stands(node, alice, "alone")
    assert found["handling"]["says"] == "No rule acts"
    assert found["handling"]["transactions"] == []
    await fired(node, "Seen", service="pay")
    found = await stands(node, alice, "watched")
    assert (found["handling"]["says"], found["alerts"]) == ("Only watched", 2)


async def test_what_was_decided_about_an_alert_that_is_over_says_nothing_of_those_that_fire(node, alice):
    await fired(node, "Seen")
    found = await stands(node, alice, "watched")
    await fired(node, "Unheard")
    await fired(node, "Seen", status="resolved")
    later = await stands(node, alice, "alone")
    assert (later["id"], later["firing"], later["alerts"]) == (found["id"], 1, 2)


async def test_the_most_pressing_comes_first_by_its_transaction_whenever_it_opened(node, alice):
    await fired(node, "Seen")
    await stands(node, alice, "watched")
    await fired(node, "Seen", "Unheard", service="pay")
    await node.until(lambda: _count(alice, 2))

    async def order(**query):
        page = (await alice.get(f"{API}/incidents", params=query)).json()
        return [each["entity"].rpartition("/")[2] for each in page["items"]], page["next"]

    assert (await order(limit=2))[0] == ["pay", "web"], "the newest first"
    assert await order(pressing="true") == (["web", "pay"], None)
    assert await order(pressing="true", limit=1, handling="true") == (["web"], None)
    refused = await alice.get(f"{API}/incidents", params={"pressing": "true", "after": "1"})
    assert (refused.status_code, refused.json()["field"]) == (400, "after")


async def _count(alice, count):
    return len((await alice.get(f"{API}/incidents")).json()["items"]) == count


async def test_alerts_firing_at_once_are_told_over_time_and_none_is_told_unasked(node, alice):
    await fired(node, "Down", "Seen")
    found = await stands(node, alice, "watched")
    trend = found["handling"]["trend"]
    assert trend["steps"][-1]["firing"] == 2
    assert trend["steps"][0]["at"] == trend["from_at"] < found["began_at"]
    assert trend["steps"][0]["firing"] is None, "the node was not there before: nobody knows"
    whole = (await alice.get(f"{API}/incidents/{found['id']}")).json()
    assert whole["handling"]["trend"]["steps"][-1]["firing"] == 2
    assert whole["looked"] == [], "no check of this node looks at it"
    plain = (await alice.get(f"{API}/incidents")).json()["items"]
    assert all("handling" not in each for each in plain)


async def test_decisions_are_counted_by_verdict_for_a_filter_and_as_far_back_as_asked(node, alice):
    await granted(alice, "approve")
    await fired(node, "Down", "Seen")
    await fired(node, "Seen", service="pay")

    async def three():
        counted = (await alice.get(f"{API}/decisions/counts")).json()
        return counted if counted["total"] == 3 else None

    counted = await node.until(three)
    assert counted["counts"] == {"refuse": 0, "hold": 0, "observe": 2, "suggest": 0, "ask": 1, "act": 0}
    assert counted["from_at"] is None
    of_rule = (await alice.get(f"{API}/decisions/counts", params={"rule": "shop/seen", "window": "24h"})).json()
    assert (of_rule["total"], of_rule["counts"]["observe"], of_rule["window_ms"]) == (2, 2, 86_400_000)
    listed = (await alice.get(f"{API}/decisions", params={"window": "24h", "limit": 2})).json()
    assert (len(listed["items"]), listed["next"] is not None) == (2, True)

    # An hour on, nothing of it lies within the last minutes.
    real, node.clock.now = node.clock.now, lambda: real() + timedelta(hours=1)
    late = (await alice.get(f"{API}/decisions/counts", params={"window": "30m"})).json()
    assert (late["total"], set(late["counts"].values())) == (0, {0})
    assert (await alice.get(f"{API}/decisions", params={"window": "30m"})).json() == {"items": [], "next": None}
    assert (await alice.get(f"{API}/decisions/counts", params={"window": "2h"})).json()["total"] == 3


@pytest.mark.parametrize(
    ("window", "said"),
    [("x", "window"), ("59s", "59s lies outside 1m to 400d"), ("401d", "401d lies outside 1m to 400d")],
)
async def test_a_window_that_is_none_is_refused_in_words(alice, window, said):
    for path in ("decisions", "decisions/counts"):
        answer = await alice.get(f"{API}/{path}", params={"window": window})
        assert answer.status_code == 400
        assert said in answer.text


async def test_a_card_says_its_runbook_and_why_it_asks(node, alice):
    await granted(alice, "approve")
    await fired(node, "Down")
    await stands(node, alice, "waiting")
    (card,) = (await alice.get(f"{API}/cards")).json()["items"]
    (approval,) = card["shown"]
    whole = (await alice.get(f"{API}/approvals/{approval}")).json()
    assert (card["runbook"], card["decision"]) == ("shop/mend", whole["decision"])
    assert card["reasons"] == [each["reason"] for each in whole["findings"]]
