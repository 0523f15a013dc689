"""An alert that nothing in the catalogue answers for is observed, on record, once an episode, and never acted upon."""

import asyncio

from rig import Rig
from virtual import run

from watchkeeper.decide.decision import Decision
from watchkeeper.engine.records import read
from watchkeeper.engine.replaying import Replayer


def test_an_unmapped_alert_that_no_rule_matches_is_observed_once():
    async def scene():
        rig = Rig(1)
        engine = await rig.boot()
        await rig.fire("DiskFull", "nobody-knows-it")
        await rig.fire("DiskFull", "nobody-knows-it")
        await asyncio.sleep(120)
        found = [read(row, Decision) for row in (await rig.store.find("decision")).items]
        assert [(each.verdict.value, each.reason) for each in found] == [
            ("observe", "The alert names no entity of the catalogue, and no rule matches it.")
        ]
        assert (await Replayer(engine).replay(found[0].id)).outcome == "same"
        engine = await rig.crash()
        await asyncio.sleep(5)
        assert await rig.store.count("decision") == 1, "a restart does not decide it again"
        assert not rig.told.notices, "nobody is woken by it"

    run(scene())
