"""Looking at breakers and the brake: the kept document with what is a matter of time beside it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from watchkeeper.engine.answer import No, missing
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.reading import Listed
from watchkeeper.engine.records import read
from watchkeeper.guards.breaker import CLOSED, HALF_OPEN, OPEN
from watchkeeper.learn.brake import Brake
from watchkeeper.learn.breaker import Circuit, standing

View = dict[str, Any]
STATES = (OPEN, HALF_OPEN, CLOSED)


class BreakerReader:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def breakers(self, where: Mapping[str, str], *, after: str | None, limit: int) -> Listed:
        """`state` half_open is a matter of time: it is asked of those that are kept as open."""
        state = where.get("state", "")
        wanted = {**where, "state": OPEN} if state == HALF_OPEN else dict(where)
        page = await self._engine.store.find("breaker", wanted, after=after, limit=limit)
        found = [self.view(read(row, Circuit)) for row in page.items]
        return Listed(items=tuple(each for each in found if not state or each["state"] == state), next=page.next)

    async def breaker(self, identity: str) -> View | No:
        row = await self._engine.store.get("breaker", identity)
        return self.view(read(row, Circuit)) if row is not None else missing("breaker", identity)

    def view(self, circuit: Circuit) -> View:
        found: View = msgspec.to_builtins(circuit)
        state = standing(circuit, self._engine.clock.now())
        return {**found, "state": state, "trial": self._engine.world.trials.get(circuit.key, "")}

    async def brakes(self, where: Mapping[str, str], *, after: str | None, limit: int) -> Listed:
        page = await self._engine.store.find("brake", where, after=after, limit=limit)
        return Listed(items=tuple(msgspec.Raw(row.body) for row in page.items), next=page.next)

    async def brake(self, identity: str) -> Brake | No:
        row = await self._engine.store.get("brake", identity)
        return read(row, Brake) if row is not None else missing("brake", identity)


def limits_in_force(engine: Engine) -> View:
    """For the status: breakers that are not closed, oldest first, brakes that are on, calendars that close or say nothing."""
    now = engine.clock.now()
    circuits = [each for each in engine.world.circuits.values() if each.state != CLOSED]
    return {
        "breakers": tuple(
            {"id": each.id, "key": each.key, "state": standing(each, now), "until_at": each.until_at}
            for each in sorted(circuits, key=lambda circuit: circuit.since_at)
        ),
        "brakes": tuple(engine.world.brakes.values()),
        "calendars": tuple(each for each in engine.calendars.views() if each["state"] != "open"),
    }
