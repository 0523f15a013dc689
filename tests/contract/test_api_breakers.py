"""Breakers and the brake over HTTP: listed with what is a matter of time, closed and released on record by who may."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from served import served
from watchkeeper.engine.records import put
from watchkeeper.learn.brake import Brake, Brakes
from watchkeeper.learn.breaker import Failure, failed, fresh
from watchkeeper.ports import Commit

API = "/api/v1"


@pytest.fixture
async def node():
    async with served() as found:
        await found.person("alice", "approver")
        await found.person("olga", "operator")
        now = found.engine.clock.now()
        circuit = fresh("service.restart", "component:default/web", "shop@1", "eu-west", now)
        for _ in range(3):
            failure = Failure(at=now, run="run_1", rule="shop/down", target=circuit.domain, why="status 500")
            circuit = failed(circuit, failure, found.engine.breakers.settings)
        over = fresh("http.request", "component:default/web", "shop@1", "eu-west", now)
        over = replace(over, state="open", until_at=now - timedelta(minutes=1), opened=1, opened_at=now)
        brake = Brake(
            id="brd_1",
            key="rule:shop/down",
            what=Brakes.RULE,
            name="shop/down",
            why="it failed on 5 targets",
            since_at=now,
        )
        world = found.engine.world
        cause = [
            failed(
                fresh("service.restart", f"component:default/n{number}", "shop@1", "", now),
                Failure(at=now, run="run_1", rule="shop/down", target=f"component:default/n{number}"),
                found.engine.breakers.settings,
            )
            for number in range(5)
        ]
        kept = (circuit, over, *cause)
        for each in kept:
            world.keep_circuit(each)
        world.keep_brake(brake)
        await found.engine.scribe.commit(Commit(at=now, puts=(*(put(each) for each in kept), put(brake))))
        found.circuit, found.over = circuit, over
        yield found


async def test_breakers_are_listed_shown_and_closed_by_an_approver(node):
    async with node.client(node.tokens["alice"]) as alice, node.client(node.tokens["olga"]) as olga:
        items = (await olga.get(f"{API}/breakers")).json()["items"]
        assert len(items) == 7
        assert {each["action"]: each["state"] for each in items if each["domain"].endswith("/web")} == {
            "service.restart": "open",
            "http.request": "half_open",
        }
        only = (await olga.get(f"{API}/breakers?state=half_open")).json()["items"]
        assert [each["id"] for each in only] == [node.over.id]
        assert (await olga.get(f"{API}/breakers?state=ajar")).status_code == 422
        path = f"{API}/breakers/{node.circuit.id}"
        shown = (await olga.get(path)).json()
        assert shown["failures"][0]["why"] == "status 500"
        assert shown["trial"] == ""
        denied = await olga.post(f"{path}/close", json={"reason": "mended"})
        assert denied.status_code == 403
        assert "close a breaker or release the brake" in denied.json()["detail"]
        assert (await alice.post(f"{path}/close", json={"reason": ""})).status_code == 400
        closed = await alice.post(f"{path}/close", json={"reason": "mended"})
        assert (closed.status_code, closed.json()["state"], closed.json()["closed_by"]) == (200, "closed", "alice")
        assert (await alice.post(f"{path}/close", json={"reason": "mended"})).status_code == 409
        missing = await alice.get(f"{API}/breakers/brk_none")
        assert missing.status_code == 404
        assert "wk breakers" in missing.json()["detail"]


async def test_brakes_are_listed_and_released(node):
    async with node.client(node.tokens["alice"]) as alice, node.client(node.tokens["olga"]) as olga:
        status = (await olga.get(f"{API}/status")).json()
        assert [each["key"] for each in status["brakes"]] == ["rule:shop/down"]
        assert [each["state"] for each in status["breakers"]] == ["open", "half_open"]
        figures = (await olga.get("/metrics")).text
        assert 'watchkeeper_breakers{state="open"} 1.0' in figures
        assert 'watchkeeper_breakers{state="closed"} 5.0' in figures
        assert 'watchkeeper_brakes{what="rule"} 1.0' in figures
        assert (await olga.post(f"{API}/brakes/brd_1/release", json={"reason": "x"})).status_code == 403
        released = await alice.post(f"{API}/brakes/brd_1/release", json={"reason": "looked at all five"})
        assert released.status_code == 200
        assert released.json()["ended_by"] == "alice"
        assert (await olga.get(f"{API}/brakes?state=open")).json()["items"] == []
        assert (await olga.get(f"{API}/brakes/brd_1")).json()["reason"] == "looked at all five"
        assert (await alice.post(f"{API}/brakes/brd_1/release", json={"reason": "again"})).status_code == 404
