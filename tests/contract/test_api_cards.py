"""Cards over HTTP: listed by team, answered by what was displayed."""

import pytest

from served import HOME, SECRETS, alerts, served

API = "/api/v1"


@pytest.fixture
async def node():
    async with served(HOME) as found:
        await found.person("alice", "admin", "approver", "operator", "viewer")
        await found.person("vera", "viewer")
        yield found


@pytest.fixture
async def alice(node):
    async with node.client(node.tokens["alice"]) as found:
        yield found


async def asked(node, alice) -> dict:
    body = {"rule": "shop/down", "level": "approve", "environment": "staging", "for": "1h", "reason": "for the test"}
    assert (await alice.post(f"{API}/grants", json=body)).status_code == 201
    async with node.client(SECRETS["EDGE_TOKEN"]) as edge:
        await edge.post("/hooks/alertmanager", json=alerts("Down"))

    async def waits():
        return (await alice.get(f"{API}/cards")).json()["items"]

    (card,) = await node.until(waits)
    return card


async def test_a_card_is_listed_shown_and_answered_as_it_was_shown(node, alice):
    card = await asked(node, alice)
    assert (card["rule"], card["count"], card["withheld"], card["team"]) == ("shop/down", 1, False, "group:default/ops")
    one = (await alice.get(f"{API}/cards/{card['id']}")).json()
    assert one["shown"] == {each["id"]: each["digest"] for each in one["approvals"]} == card["shown"]
    done = (await alice.post(f"{API}/cards/{card['id']}/approve", json={"shown": card["shown"]})).json()
    assert (done["answered"], done["refused"], done["not_shown"]) == ([[next(iter(card["shown"])), "approved"]], [], [])
    await node.until(lambda: node.action.sent)


async def test_another_digest_is_refused_by_itself(node, alice):
    card = await asked(node, alice)
    wrong = dict.fromkeys(card["shown"], "of something else")
    done = (await alice.post(f"{API}/cards/{card['id']}/reject", json={"shown": wrong})).json()
    assert done["answered"] == []
    assert done["refused"][0]["status"] == 409
    assert (await alice.get(f"{API}/cards")).json()["items"][0]["count"] == 1


@pytest.mark.parametrize(
    ("body", "status"), [({"shown": {}}, 400), ({}, 422), ({"shown": {"a": "b"}, "all": True}, 422)]
)
async def test_what_is_not_named_is_not_answered(node, alice, body, status):
    card = await asked(node, alice)
    assert (await alice.post(f"{API}/cards/{card['id']}/approve", json=body)).status_code == status


async def test_who_may_not_approve_may_look(node, alice):
    card = await asked(node, alice)
    async with node.client(node.tokens["vera"]) as vera:
        assert (await vera.get(f"{API}/cards?team=group:default/ops")).json()["items"][0]["id"] == card["id"]
        assert (await vera.get(f"{API}/cards?team=group:default/none")).json()["items"] == []
        refused = await vera.post(f"{API}/cards/{card['id']}/approve", json={"shown": card["shown"]})
        assert refused.status_code == 403
    assert (await alice.get(f"{API}/cards/crd_none")).status_code == 404
