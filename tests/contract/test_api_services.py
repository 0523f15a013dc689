"""How things are, over HTTP: the whole from its parts, what it needs, and what keeps automation off it."""

import re
from pathlib import Path

from msgspec.structs import replace

import watchkeeper
from served import CATALOG, HOME, alerts, served
from watchkeeper.learn.breaker import fresh
from watchkeeper.values import after_ms

API = "/api/v1"
INSTANCES = "".join(
    f"""---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata: {{name: pay-{number}, annotations: {{watchkeeper.dev/instance: pay-{number}, watchkeeper.dev/environment: staging}}}}
spec: {{type: instance, owner: group:ops, system: shop, dependencyOf: [component:pay]}}
"""
    for number in (1, 2, 3)
)
LEGACY = """---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: old, annotations: {watchkeeper.dev/automation: none}}
spec: {type: service, lifecycle: production, owner: group:ops, system: shop}
"""
KEPT_OUT = b"""
- {id: X-1, scope: {entity: component:web}, control: C, reason: by hand only, owner: group:ops, approver: a@example.org,
   from: 2020-01-01T00:00:00Z, until: 2090-01-01T00:00:00Z, compensating: people}
"""
FILES = {**HOME, "catalog/all.yaml": (CATALOG + INSTANCES + LEGACY).encode(), "exclusions.yaml": KEPT_OUT}


async def fire(node, *services: str) -> None:
    token = await node.hook_token("default")
    async with node.client(token) as sender:
        for service in services:
            assert (await sender.post("/hooks/alertmanager", json=alerts("Odd", service=service))).status_code == 202
    await node.until(lambda: all(node.engine.world.failing.get(f"resource:default/{one}") for one in services))


async def listed(client) -> dict:
    return {one["name"]: one for one in (await client.get(f"{API}/services")).json()["items"]}


async def test_a_service_is_shown_as_its_instances_are_and_guards_go_on_to_see_the_thing_itself():
    async with served(FILES) as node:
        await node.person("vera", "viewer")
        async with node.client(node.tokens["vera"]) as vera:
            assert (await listed(vera))["pay"]["condition"]["is"] == "unknown"
            await fire(node, "pay-2", "pay-3")
            found = await listed(vera)
            pay = found["pay"]
            assert pay["health"]["is"] == "unknown", "as guards see it"
            assert pay["condition"] == {
                "is": "degraded",
                "why": "0 of 3 healthy, 2 failing, 1 unknown",
                "parts": 3,
                "healthy": 0,
                "degraded": 0,
                "failing": 2,
                "unknown": 1,
                "because": [],
                "of": [f"resource:default/pay-{number}" for number in (1, 2, 3)],
            }
            assert found["cart"]["condition"]["is"] == "unknown", "it needs what is degraded, not what fails"
            await fire(node, "pay-1")
            found = await listed(vera)
            assert found["pay"]["condition"]["is"] == "failing"
            cart = found["cart"]["condition"]
            assert (cart["is"], cart["why"]) == ("degraded", "needs pay, which is failing")
            assert cart["because"] == ["component:default/pay"]
            shop = found["shop"]["condition"]
            assert (shop["is"], shop["why"]) == ("degraded", "0 of 4 healthy, 1 failing, 1 degraded, 2 unknown")
            only = (await vera.get(f"{API}/services?condition=degraded")).json()["items"]
            assert {each["name"] for each in only} == {"cart", "shop"}
            assert (await vera.get(f"{API}/services?condition=odd")).status_code in {400, 422}
            one = (await vera.get(f"{API}/services/cart")).json()
            assert {each["ref"]: each["condition"]["is"] for each in one["needs"]}["component:default/pay"] == "failing"
            around = (await vera.get(f"{API}/neighbourhood/pay")).json()
            assert {each["name"]: each["condition"]["is"] for each in around["nodes"]}["pay"] == "failing"


async def test_what_keeps_automation_off_a_thing_is_said_with_it():
    async with served(FILES) as node:
        await node.person("alice", "admin")
        async with node.client(node.tokens["alice"]) as alice:
            found = await listed(alice)
            assert found["cart"]["limits"] == []
            (kept,) = found["web"]["limits"]
            assert (kept["kind"], kept["id"], kept["by"]) == ("exclusion", "X-1", "group:default/ops")
            assert found["old"]["limits"][0]["kind"] == "no_automation"
            held = {"scope": {"entity": "component:default/pay"}, "for": "1h", "reason": "looking"}
            assert (await alice.post(f"{API}/holds", json=held)).status_code == 201
            frozen = {"scope": {"system": "system:default/shop"}, "for": "2h", "reason": "sale"}
            made = (await alice.post(f"{API}/freezes", json=frozen)).json()
            found = await listed(alice)
            assert [each["kind"] for each in found["pay-2"]["limits"]] == ["freeze", "hold"], "its service is held"
            assert [each["kind"] for each in found["cart"]["limits"]] == ["freeze"]
            assert found["cart"]["limits"][0]["until_at"] == made["until_at"]
            assert [each["kind"] for each in found["web"]["limits"]] == ["exclusion", "freeze"]
            assert (await alice.post(f"{API}/stops", json={"reason": "smoke"})).status_code in {200, 201}
            assert (await listed(alice))["cart"]["limits"][0]["kind"] == "stop"


async def test_an_open_breaker_and_a_run_are_said_where_they_are_and_a_closed_one_is_not():
    async with served(FILES) as node:
        await node.person("vera", "viewer")
        at = node.clock.now()
        for domain, state in (("cart", "open"), ("web", "closed")):
            circuit = fresh("http.request", f"component:default/{domain}", "shop@1", "", at)
            node.engine.world.keep_circuit(replace(circuit, state=state, until_at=after_ms(at, 60_000)))
        node.engine.world.busy["resource:default/pay-2"] = "run_1"
        async with node.client(node.tokens["vera"]) as vera:
            found = await listed(vera)
            (open_one,) = found["cart"]["limits"]
            assert open_one["why"] == "http.request kept failing here: its breaker is open."
            assert open_one["id"]
            assert [each["kind"] for each in found["web"]["limits"]] == ["exclusion"]
            assert (found["pay"]["run"], found["pay-2"]["run"], found["pay-1"]["run"]) == ("run_1", "run_1", "")


def test_no_decision_reads_what_is_only_for_people():
    """The condition of a whole is for reading: guards, decisions and situations know nothing of it."""
    root = Path(watchkeeper.__file__).parent
    for path in [*(root / "guards").glob("*.py"), *(root / "decide").glob("*.py"), root / "engine" / "situations.py"]:
        assert not re.search(r"catalog\.condition|condition_reading", path.read_text()), path.name
