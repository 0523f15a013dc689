"""What breaks is held, said, and alone: a rule that raises does not end the node, a delivery that does becomes a letter."""

import asyncio
import json

import pytest
from rig import Rig
from virtual import run

from watchkeeper.adapters import judge
from watchkeeper.engine.records import read
from watchkeeper.errors import Rejected
from watchkeeper.signals.signal import DeadLetter


def test_a_rule_that_breaks_holds_alone_and_its_owner_is_told_once_an_hour():
    async def scene():
        rig = Rig(1)
        rig.fleet.moody = 0.0
        engine = await rig.boot()
        await rig.trust("shop/down")
        await rig.trust("shop/stuck")
        whole = engine.situations.situation

        def breaks(proposal, *more, **named):
            if proposal.rule == "shop/down":
                raise ZeroDivisionError("division by zero")
            return whole(proposal, *more, **named)

        engine.situations.situation = breaks
        await rig.fire("Down", "svc-0")
        await rig.fire("Stuck", "svc-1")
        await asyncio.sleep(600)
        assert not engine.failed, engine.failed
        assert not rig.fleet.targets["svc-0"].arrived, "nothing acts that was not decided"
        assert rig.fleet.targets["svc-1"].arrived, "the next rule is judged"
        told = [notice for notice in rig.told.notices if notice.kind == "broken_rule"]
        assert [notice.subject for notice in told] == ["Rule shop/down broke while it was judged"]
        assert told[0].text.startswith("ZeroDivisionError: division by zero. Nothing is decided by it for Down on")
        await asyncio.sleep(3600)
        assert len([notice for notice in rig.told.notices if notice.kind == "broken_rule"]) == 2
        engine.situations.situation = whole
        await asyncio.sleep(90)
        assert rig.fleet.targets["svc-0"].arrived, "once repaired it is judged again, by itself"

    run(scene())


def test_a_decision_that_can_never_be_kept_breaks_its_rule_and_not_the_node():
    """As one over ten thousand targets with much to say of each, which is more than one document holds."""

    async def scene():
        rig = Rig(1)
        rig.fleet.moody = 0.0
        engine = await rig.boot()
        await rig.trust("shop/down")
        await rig.trust("shop/stuck")
        commit = rig.store.commit

        async def bounded(wanted):
            if any(put.kind == "decision" and b'"shop/down"' in put.body for put in wanted.puts):
                raise Rejected("decision dec_1: has 20000000 bytes, at most 16777216 are kept in one document")
            return await commit(wanted)

        rig.store.commit = bounded
        await rig.fire("Down", "svc-0")
        await rig.fire("Stuck", "svc-1")
        await asyncio.sleep(600)
        assert not engine.failed, engine.failed
        assert not rig.fleet.targets["svc-0"].arrived
        assert rig.fleet.targets["svc-1"].arrived, "the next rule is judged"
        (told,) = [notice for notice in rig.told.notices if notice.kind == "broken_rule"]
        assert told.text.startswith("Rejected: decision dec_1: has 20000000 bytes")

    run(scene())


def test_a_delivery_that_breaks_the_pipeline_becomes_a_dead_letter_and_others_go_on():
    async def scene():
        rig = Rig(1)
        engine = await rig.boot()
        apply = engine.correlation.apply

        def breaks(signal, mapped):
            if signal.labels["service"] == "svc-0":
                raise RuntimeError("no such thing")
            return apply(signal, mapped)

        engine.correlation.apply = breaks
        await rig.fire("Down", "svc-0")
        await rig.fire("Down", "svc-1")
        await asyncio.sleep(5)
        assert not engine.failed, engine.failed
        (row,) = (await rig.store.find("dead_letter")).items
        assert read(row, DeadLetter).why == "it broke the pipeline 3 times: RuntimeError: no such thing"
        assert [alert.labels["service"] for alert in engine.correlation.alerts()] == ["svc-1"]
        assert engine.intake.pending == 0

    run(scene())


@pytest.mark.parametrize("behind", [0, 3])
def test_a_delivery_that_no_commit_holds_becomes_a_dead_letter_and_ends_no_process(
    behind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene():
        rig = Rig(1)
        rig.fleet.moody = 0.0
        engine = await rig.boot()
        await rig.trust("shop/down")
        alerts = [
            {"status": "firing", "labels": {"alertname": "Other", "service": f"svc-{number}", "pad": "x" * 500}}
            for number in range(30)
        ]
        body = json.dumps({"version": "4", "status": "firing", "alerts": alerts}).encode()
        monkeypatch.setattr(judge, "COMMIT_BYTES_MAX", 30_000)
        async with engine.pipeline.turn:  # what comes meanwhile is taken together
            await engine.intake.accept("default", "alertmanager", body)
            for number in range(behind):
                await rig.fire("Down", f"svc-{number}")
        engine.pipeline.nudge()
        await asyncio.sleep(60)
        assert not engine.failed, engine.failed
        letters = [read(row, DeadLetter) for row in (await rig.store.find("dead_letter")).items]
        assert [letter.why.partition(":")[0] for letter in letters] == ["commit"]
        assert not (await rig.store.find("decision", {"rule": "shop/other"})).items
        await rig.fire("Down", "svc-0")
        await asyncio.sleep(30)
        assert rig.fleet.targets["svc-0"].arrived
        assert await rig.store.deliveries(10) == ()
        await engine.stop()

    run(scene())
