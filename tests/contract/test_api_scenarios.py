"""Scenarios of the active configuration on a node: listed with what they exercise, played in a process of their own, and
never told as of now when they were played under another configuration.
"""

import asyncio

import pytest

from served import HOME, RULE, Served, served
from watchkeeper.adapters.player import ChildPlayer
from watchkeeper.engine.player import Result
from watchkeeper.errors import Unavailable

API = "/api/v1"

SCENARIO = """
apiVersion: watchkeeper.dev/v1
kind: Scenario
metadata: {{name: {name}, owner: group:ops}}
spec:
  description: {description}
  given:
    mode: {mode}
    signals: [{{labels: {{alertname: {alert}, service: web, severity: critical}}}}]
  expect: {expect}
"""


def scenario(name: str, expect: str, *, alert: str = "Down", mode: str = "approve", description: str = "Text") -> bytes:
    return SCENARIO.format(name=name, expect=expect, alert=alert, mode=mode, description=description).encode()


PLAYED = {
    **HOME,
    "packs/shop/scenarios/asks.yaml": scenario("asks", "{verdict: ask, rule: shop/down, effects: []}"),
    "packs/shop/scenarios/acts.yaml": scenario("acts", "{verdict: act, status: succeeded}"),
    "packs/shop/scenarios/watches.yaml": scenario("watches", "{verdict: observe}", alert="Seen"),
}


@pytest.fixture
async def node(tmp_path):
    async with served(PLAYED) as found:
        found.engine.playing.player = ChildPlayer(tmp_path)
        await found.person("alice", "admin", "approver", "operator", "viewer")
        await found.person("vera", "viewer")
        yield found
        assert list(tmp_path.iterdir()) == [], (
            "the files of the configuration lie there while they are played, and no longer"
        )


@pytest.fixture
async def alice(node):
    async with node.client(node.tokens["alice"]) as found:
        yield found


async def listed(alice, **query) -> dict:
    return (await alice.get(f"{API}/scenarios", params=query)).json()


async def over(node: Served, alice) -> dict:
    async def ended():
        found = await listed(alice)
        return None if found["playing"] else found

    return await node.until(ended)


async def test_they_are_listed_with_what_they_exercise_before_anything_was_played(alice):
    found = (await listed(alice))["items"]
    assert [(one["name"], one["rules"], one["runbooks"], one["state"], one["last"]) for one in found] == [
        ("shop/acts", ["shop/down"], ["shop/mend"], "never", None),
        ("shop/asks", ["shop/down"], ["shop/mend"], "never", None),
        ("shop/watches", ["shop/seen"], ["shop/mend"], "never", None),
    ]
    assert [one["name"] for one in (await listed(alice, rule="shop/seen"))["items"]] == ["shop/watches"]
    assert len((await listed(alice, runbook="shop/mend"))["items"]) == 3
    assert (await listed(alice, pack="none"))["items"] == []


async def test_they_are_played_under_the_active_configuration_and_say_what_differed(node, alice):
    begun = await alice.post(f"{API}/scenarios/play", json={})
    assert begun.status_code == 202
    assert (begun.json()["of"], begun.json()["by"]) == (3, "alice")
    again = await alice.post(f"{API}/scenarios/play", json={})
    assert again.status_code == 409
    assert "Scenarios are being played already (" in again.json()["detail"]
    found = {one["name"]: one for one in (await over(node, alice))["items"]}
    assert {name: one["state"] for name, one in found.items()} == {
        "shop/acts": "failed",
        "shop/asks": "passed",
        "shop/watches": "passed",
    }
    last = found["shop/acts"]["last"]
    assert last["failures"][0].startswith("verdict: expected act, it was ask: ")
    assert (last["verdict"], last["by"], last["configuration"]) == (
        "ask",
        "alice",
        node.engine.world.configuration.digest,
    )
    assert node.action.sent == [], "nothing real was touched"
    assert (await alice.get(f"{API}/decisions")).json()["items"] == []


async def test_a_result_of_an_older_configuration_says_so_and_one_of_a_scenario_that_is_no_more_goes(node, alice):
    await alice.post(f"{API}/scenarios/play", json={"names": ["shop/asks", "shop/watches"]})
    await over(node, alice)
    before = node.engine.world.configuration.digest
    node.files["packs/shop/rules/other.yaml"] = RULE.format(name="other", alert="Other", ceiling="observe").encode()
    del node.files["packs/shop/scenarios/watches.yaml"]
    planned = (await alice.post(f"{API}/configuration/plan", json={})).json()
    applied = await alice.post(f"{API}/configuration/apply", json={"digest": planned["digest"], "reason": "more"})
    assert applied.status_code == 200
    (asks,) = [one for one in (await listed(alice))["items"] if one["name"] == "shop/asks"]
    assert (asks["state"], asks["current"]) == ("never", False)
    assert (asks["last"]["state"], asks["last"]["configuration"]) == ("passed", before)
    await alice.post(f"{API}/scenarios/play", json={"names": ["shop/acts"]})
    await over(node, alice)
    assert {row.id for row in (await node.store.find("played")).items} == {"shop/acts", "shop/asks"}


async def test_who_may_only_look_plays_nothing_and_what_is_not_there_is_said(node, alice):
    async with node.client(node.tokens["vera"]) as vera:
        assert len((await listed(vera))["items"]) == 3
        refused = await vera.post(f"{API}/scenarios/play", json={})
        assert refused.status_code == 403
        assert "may not play scenarios: that needs the role operator" in refused.json()["detail"]
    none = await alice.post(f"{API}/scenarios/play", json={"rule": "shop/none"})
    assert (none.status_code, none.json()["detail"]) == (
        404,
        "no scenario 'shop/none': run 'wk test --last' to list them",
    )
    assert (await alice.post(f"{API}/scenarios/play", json={"all": True})).status_code == 422
    node.engine.playing.player = None
    assert (await alice.post(f"{API}/scenarios/play", json={})).status_code == 503


class Ends:
    """A player that ends after its first result."""

    async def play(self, files, names, hear):
        hear(Result(scenario=names[0], configuration=Ends.digest))
        hear(Result(scenario="shop/strange", configuration=Ends.digest))
        hear(Result(scenario=names[1], configuration="another"))
        return "not played: the time for one go (10 s) ran out"


async def test_what_was_not_played_to_its_end_says_why_and_passes_for_nothing(node, alice):
    Ends.digest = node.engine.world.configuration.digest
    node.engine.playing.player = Ends()
    await alice.post(f"{API}/scenarios/play", json={})
    found = {one["name"]: one for one in (await over(node, alice))["items"]}
    assert {name: one["state"] for name, one in found.items()} == {
        "shop/acts": "passed",
        "shop/asks": "broken",
        "shop/watches": "broken",
    }
    assert found["shop/asks"]["last"]["failures"] == ["not played: the time for one go (10 s) ran out"]


async def test_a_go_whose_results_the_store_refused_is_over_and_another_one_may_begin(node, alice, monkeypatch):
    Ends.digest = node.engine.world.configuration.digest
    node.engine.playing.player = Ends()

    async def refused(_record):
        raise Unavailable("the disk is full")

    with monkeypatch.context() as full:
        full.setattr(node.engine.playing, "_keep", refused)
        await alice.post(f"{API}/scenarios/play", json={})
        found = await over(node, alice)
    assert {one["state"] for one in found["items"]} == {"never"}
    assert (await alice.post(f"{API}/scenarios/play", json={})).status_code == 202
    assert "passed" in {one["state"] for one in (await over(node, alice))["items"]}


class Stays:
    def __init__(self):
        self.began, self.let_go = asyncio.Event(), False

    async def play(self, files, names, hear):
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.let_go = True


async def test_a_node_that_stops_lets_the_player_go_and_says_nothing_of_what_was_not_played(node, alice):
    stays = node.engine.playing.player = Stays()
    await alice.post(f"{API}/scenarios/play", json={})
    await stays.began.wait()
    await node.engine.playing.stop()
    assert stays.let_go
    assert {one["state"] for one in (await listed(alice))["items"]} == {"never"}
