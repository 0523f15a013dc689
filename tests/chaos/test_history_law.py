"""The law behind every comparison: whatever happened, under its own configuration history decides the same, and nothing of
it cannot be judged. The simulation's events, a few seeds.
"""

import asyncio
from collections import Counter

import pytest
from a_history import tried
from rig import Rig
from test_simulation import SERVICES, _one
from virtual import run

from watchkeeper.engine.replaying import Replayer
from watchkeeper.engine.trying import Than

EVENTS = 40
SEEDS = tuple(range(1, 7))


@pytest.mark.parametrize("seed", SEEDS)
def test_history_under_its_own_rules_is_what_it_was(seed: int) -> None:
    async def whole() -> None:
        rig = Rig(seed, SERVICES)
        engine = await rig.boot()
        for name in ("shop/down", "shop/stuck", "shop/slow"):
            await rig.trust(name)
        numbers: Counter[tuple[str, str]] = Counter()
        for _ in range(EVENTS):
            await _one(rig, rig.random, numbers)
            await asyncio.sleep(rig.random.choice([0.1, 1.0, 30.0]))
        rig.engine = engine = await rig.crash()
        await asyncio.sleep(5.0)
        found = await tried(rig, rig.files, limit=50)
        assert found.looked_at > SERVICES, f"seed {seed}: too little happened"
        assert found.items == [], f"seed {seed}: {found.items[:3]}"
        assert found.cannot == {}, f"seed {seed}: {found.cannot}"
        assert found.same + found.passed_over == found.looked_at
        active = await tried(rig, rig.files, limit=50, than=Than.ACTIVE)
        assert (active.items, active.cannot) == ([], {})
        rows = await rig.store.find("decision", {}, limit=1000)
        outcomes = {(await Replayer(engine).replay(row.id)).outcome for row in rows.items}
        assert outcomes == {"same"}
        await engine.stop()

    run(whole())
