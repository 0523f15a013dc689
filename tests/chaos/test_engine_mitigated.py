"""An incident is mitigated by a run that was verified; one that was only carried out comforts nobody."""

import asyncio

import pytest
from rig import Rig
from virtual import run

from watchkeeper.engine.incident_reading import IncidentReader
from watchkeeper.engine.reading import Reader


@pytest.mark.parametrize(
    ("alert", "rule", "phase"), [("Down", "shop/down", "mitigated"), ("Stuck", "shop/stuck", "open")]
)
def test_only_a_verified_run_mitigates(alert, rule, phase):
    async def scene():
        rig = Rig(3)
        rig.fleet.moody = 0.0
        rig.fleet.random.random = lambda: 0.99  # the restart helps, and every look sees
        engine = await rig.boot()
        await rig.trust(rule)
        await rig.fire(alert, "svc-0")
        await asyncio.sleep(15)
        (found,) = engine.correlation.alerts()
        incident = engine.correlation.incident_id_of(found.id)
        whole = await IncidentReader(engine, Reader(engine)).incident(incident)
        assert [each["status"] for each in whole["runs"]] == ["succeeded"]
        assert whole["phase"] == phase

    run(scene())
