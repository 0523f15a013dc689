"""A world to act upon: targets that count what reaches them, honour keys or do not, and fail as they are told."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

from watchkeeper.engine.action import Invocation, Observation, Surroundings
from watchkeeper.errors import InDoubt, Rejected, Unavailable
from watchkeeper.guards.situation import Target
from watchkeeper.packs.runbook import Effect

HOME = {
    "watchkeeper.yaml": b"""
environments:
  prod: {production: true, local: true}
sources:
  default: {kind: alertmanager}
notify:
  routes:
    - {name: all, webhook: "http://127.0.0.1:1/none"}
limits: {runs: {service: 3, region: 4, global: 5}}
""",
    "exclusions.yaml": b"""
- id: X-1
  scope: {entity: component:billing}
  control: SOX-7
  reason: money moves here
  owner: group:ops
  approver: user:alice
  from: 2026-01-01T00:00:00Z
  until: 2099-01-01T00:00:00Z
""",
    "packs/shop/pack.yaml": b"""
apiVersion: watchkeeper.dev/v1
kind: Pack
metadata: {name: shop, owner: group:ops}
spec: {version: 1.0.0, description: test}
""",
}


def catalog(services: int) -> bytes:
    """`services` components that honour keys when even, and do not when odd; and one that is excluded."""
    parts = [
        "apiVersion: backstage.io/v1alpha1\nkind: Group\nmetadata: {name: ops}\nspec: {type: team, children: []}\n",
        "apiVersion: backstage.io/v1alpha1\nkind: User\nmetadata: {name: alice}\nspec: {memberOf: [group:ops]}\n",
        "apiVersion: backstage.io/v1alpha1\nkind: System\nmetadata: {name: shop}\nspec: {owner: group:ops}\n",
    ]
    for name in [*(f"svc-{number}" for number in range(services)), "billing"]:
        number = name.partition("-")[2]
        honours = "\n    watchkeeper.dev/honours: idempotency-key" if number and int(number) % 2 == 0 else ""
        parts.append(
            f"""apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {name}
  annotations:
    watchkeeper.dev/environment: prod
    watchkeeper.dev/tier: gold
    watchkeeper.dev/region: eu
    watchkeeper.dev/reach: api
    watchkeeper.dev/attr.admin: http://127.0.0.1:9000
    watchkeeper.dev/address: admin{honours}
spec: {{type: service, lifecycle: production, owner: group:ops, system: shop}}
"""
        )
    return "---\n".join(parts).encode()


class Aim:
    """What one target saw. `keys` counts what took effect by idempotency key, `sent` what arrived at all."""

    def __init__(self, *, honours: bool) -> None:
        self.honours = honours
        self.arrived: list[tuple[str, str, int]] = []
        self.effects: Counter[str] = Counter()
        self.broken = True
        self.acting: set[str] = set()


class Fleet:
    """Every target of the simulation, and the dice that decide how it behaves."""

    def __init__(self, seed: int, services: int) -> None:
        self.random = Random(seed)
        self.targets = {f"svc-{number}": Aim(honours=number % 2 == 0) for number in range(services)}
        self.targets["billing"] = Aim(honours=False)
        self.moody = 0.25
        self.overlaps: list[str] = []
        self.alive = True

    async def act(self, verb: str, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        assert invocation.target is not None
        target = self.targets[invocation.target.name]
        others = target.acting - {invocation.run}
        if others:
            self.overlaps.append(f"{invocation.run} and {others} act on {invocation.target.name} at once")
        target.acting.add(invocation.run)
        try:
            await asyncio.sleep(self.random.choice([0.0, 0.01, 0.2, 1.0]))
            mood = self.random.random()
            if mood < self.moody / 3:
                raise Unavailable(f"{invocation.target.name}: not now")
            if mood < self.moody / 2:
                raise Rejected(f"{invocation.target.name}: refused")
            if not around.lease_ok():
                raise Unavailable("no lease")
            self._take(target, verb, invocation)
            if mood < self.moody:
                raise InDoubt(f"{invocation.target.name}: no answer")
            await asyncio.sleep(self.random.choice([0.0, 0.05, 0.5]))
        finally:
            target.acting.discard(invocation.run)
        return {"status": 200}

    def _take(self, target: Aim, verb: str, invocation: Invocation) -> None:
        target.arrived.append((invocation.run, invocation.step, invocation.attempt))
        if target.honours and target.effects[invocation.key]:
            return
        target.effects[invocation.key] += 1
        if verb in {"restart", "reload"}:
            target.broken = self.random.random() < 0.2


class FleetAction:
    def __init__(self, fleet: Fleet, name: str, effect: Effect) -> None:
        self.fleet, self.name, self.effect = fleet, name, effect

    async def perform(self, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        verb = self.name.partition(".")[2]
        if verb == "started_since":
            assert invocation.target is not None
            target = self.fleet.targets[invocation.target.name]
            happened = any(run == invocation.run for run, _, _ in target.arrived)
            return {"happened": happened, "why": "it counts"}
        if self.name == "http.request":
            verb = str(invocation.arguments.get("url", "")).rpartition("/")[2]
        return await self.fleet.act(verb, invocation, around)


class FleetProber:
    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    async def look(
        self, kind: str, arguments: Mapping[str, Any], timeout_ms: int, target: Target | None
    ) -> Observation:
        await asyncio.sleep(0.01)
        if target is None or self.fleet.random.random() < 0.05:
            return Observation(seen=False, why="blind")
        broken = self.fleet.targets[target.name].broken
        return Observation(
            seen=True, values={"connected": True, "status": 500 if broken else 200, "took_ms": 1, "body": ""}
        )


def actions(fleet: Fleet) -> dict[str, FleetAction]:
    names = {
        "http.request": Effect.ONCE,
        "service.restart": Effect.PROBED,
        "service.started_since": Effect.READ,
    }
    return {name: FleetAction(fleet, name, effect) for name, effect in names.items()}


class Told:
    """A channel that keeps what it was given."""

    def __init__(self) -> None:
        self.notices: list[Any] = []

    async def tell(self, notice: Any, route: Mapping[str, Any]) -> None:
        self.notices.append(notice)
