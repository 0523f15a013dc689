"""Storms: the critical transaction first, the rest in order, nothing starves, and memory does not follow the backlog."""

import asyncio
from random import Random
from typing import Any

import storm
from stage import Stage, play

from watchkeeper.decide.decision import Verdict
from watchkeeper.engine.pipeline import BATCH_MAX, IN_FLIGHT_MAX, JUDGED_AT_A_STRETCH, LINE_MAX
from watchkeeper.engine.records import RunRecord
from watchkeeper.signals.turn import AGED_AFTER_MS, rank_of

PIECES_AHEAD_MAX = 2 + 1  # one that is being taken apart and one that is on its way to the disk; and its own
ALERTS_AHEAD_MAX = IN_FLIGHT_MAX + JUDGED_AT_A_STRETCH + 1  # under judgement, and a few; and itself

CHECKOUT = """
- {name: checkout, priority: 1, owner: group:ops, hops: [s7]}
- {name: browse, priority: 5, owner: group:ops, hops: [s3, s5]}
"""


async def post(stage: Stage, *alerts: dict[str, str]) -> None:
    await stage.on.intake.accept("default", "alertmanager", storm.webhook(alerts), {"content-type": "application/json"})
    stage.on.pipeline.nudge()


async def order(stage: Stage) -> list[str]:
    """Targets in the order in which their runs were opened."""
    return [record.targets[0].rpartition("/")[2] for record in await stage.all(RunRecord)]


def test_the_run_of_the_critical_transaction_starts_first_whatever_came_first():
    async def scene(stage: Stage) -> None:
        async with stage.on.pipeline.turn:  # the whole storm is there before anything is judged
            for number in range(12):
                await post(stage, storm.alert("Down", f"s{number}", "critical"))
        await stage.ended(12)
        assert (await order(stage))[:3] == ["s7", "s3", "s5"]

    play(scene, Stage(storm.many(12, transactions=CHECKOUT)))


def test_one_delivery_of_many_alerts_is_judged_in_that_order_too():
    async def scene(stage: Stage) -> None:
        await post(stage, *(storm.alert("Down", f"s{number}", "critical") for number in range(12)))
        await stage.ended(12)
        assert await order(stage) == ["s7", "s3", "s5", "s0", "s1", "s2", "s4", "s6", "s8", "s9", "s10", "s11"]

    play(scene, Stage(storm.many(12, transactions=CHECKOUT)))


def test_severity_comes_before_the_transaction():
    async def scene(stage: Stage) -> None:
        await post(stage, storm.alert("Down", "s7", "warning"), storm.alert("Down", "s1", "critical"))
        await stage.ended(2)
        assert await order(stage) == ["s1", "s7"]

    play(scene, Stage(storm.many(8, transactions=CHECKOUT)))


def test_whoever_waits_for_a_place_gets_it_by_the_transaction():
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["restart"] = 2.0
        await post(stage, storm.alert("Down", "s0", "critical"))
        await stage.decided(1, verdict="act")
        await post(stage, *(storm.alert("Down", f"s{number}", "critical") for number in range(1, 10)))
        await stage.decided(9, verdict="hold")
        await stage.ended(10)
        assert (await order(stage))[:4] == ["s0", "s7", "s3", "s5"]

    play(scene, Stage(storm.many(10, at_once=1, transactions=CHECKOUT)))


def test_what_matters_least_does_not_starve():
    """One place, and always somebody critical who wants it: what is aged gets every eighth."""

    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["restart"] = 3.0
        await post(stage, storm.alert("Down", "s0", "critical"))
        await stage.decided(1, verdict="act")
        await post(stage, storm.alert("Down", "s1", "info"), storm.alert("Down", "s2", "info"))
        await stage.decided(2, verdict="hold")
        await post(stage, *(storm.alert("Down", f"s{number}", "critical") for number in range(3, 45)))
        await stage.ended(45, within_s=1_200)
        ran = await order(stage)
        assert ran.index("s1") > AGED_AFTER_MS / 3_000 - 1  # not before it was aged
        assert max(ran.index("s1"), ran.index("s2")) < 30  # and long before the last critical one

    play(scene, Stage(storm.many(45, at_once=1)))


def test_a_delivery_has_the_rank_of_the_best_in_it():
    async def scene(stage: Stage) -> None:
        async with stage.on.pipeline.turn:
            await stage.passes(1)  # the pipeline waits for its turn
            await post(stage, storm.alert("Noise", "s1", "info"))
            await post(stage, storm.alert("Noise", "s1", "info"), storm.alert("Noise", "s7", "info"))
            await post(stage, storm.alert("Noise", "s5", "critical"))
            waiting = {each.priority for each in await stage.store.deliveries(10)}
            assert {rank_of(3, 15), rank_of(3, 1), rank_of(0, 5)} == waiting

    play(scene, Stage(storm.many(8, transactions=CHECKOUT)))


def test_the_critical_transaction_is_first_though_its_alerts_lie_far_back_in_deliveries_of_their_rank():
    """Each delivery names a service of the transaction and holds somebody else's critical alert: by their bytes all are alike."""
    deliveries = 30

    async def scene(stage: Stage) -> None:
        async with stage.on.pipeline.turn:
            for number in range(deliveries):
                noise = [storm.alert("Noise", "s7", "info", 1 + number * 50 + n) for n in range(48)]
                who = {24: "s7", deliveries - 1: "s8"}.get(number, f"s{10 + number}")
                await post(stage, *noise, storm.alert("Down", who, "critical"))
            assert len({each.priority for each in await stage.store.deliveries(100)}) == 1
        await stage.ended(deliveries)
        assert (await order(stage))[:2] == ["s7", "s8"]

    transactions = "- {name: checkout, priority: 1, owner: group:ops, hops: [s7, s8]}"
    play(scene, Stage(storm.many(10 + deliveries, transactions=transactions)))


def test_a_fresh_critical_alert_waits_for_a_piece_and_a_few_judgements_however_much_there_is():
    """1,500 alerts lie there: noise, and critical ones that are repaired. Every now and then a fresh one comes."""
    services, fresh = 150, tuple(f"s{number}" for number in range(150, 170))
    transactions = f"- {{name: checkout, priority: 1, owner: group:ops, hops: [{', '.join(fresh)}]}}"
    apart, judged = [0], [0]
    ahead: list[tuple[int, int]] = []

    def counted(call: Any, count: list[int]) -> Any:
        def counts(*given: Any, **named: Any) -> Any:
            count[0] += 1
            return call(*given, **named)

        return counts

    async def scene(stage: Stage) -> None:
        pipeline, opened = stage.on.pipeline, dict[str, tuple[int, int]]()
        relating, judge = pipeline.relating, stage.on.judge
        relating.relate, judge.alert = counted(relating.relate, apart), counted(judge.alert, judged)
        opens = stage.on.open

        def opens_and_looks(opening: Any) -> None:
            opened[opening.record.targets[0].rpartition("/")[2]] = apart[0], judged[0]
            opens(opening)

        stage.on.open = opens_and_looks
        alerts = [storm.alert("Noise", f"s{number}", "info", n) for n in range(1, 10) for number in range(services)]
        alerts += [storm.alert("Down", f"s{number}", "critical") for number in range(services)]
        Random(1).shuffle(alerts)
        async with pipeline.turn:
            for start in range(0, len(alerts), 50):
                await post(stage, *alerts[start : start + 50])
        for number, name in enumerate(fresh):
            while judged[0] < number * 60:
                await asyncio.sleep(0)  # the backlog is worked on, in no time of the virtual clock
            assert stage.on.intake.pending or len(pipeline._line), "the backlog is gone: nothing is measured"
            await post(stage, storm.alert("Down", name, "critical"))
            before = apart[0], judged[0]
            while name not in opened:
                await asyncio.sleep(0)
            ahead.append((opened[name][0] - before[0], opened[name][1] - before[1]))
        await stage.ended(services + len(fresh))

    play(scene, Stage(storm.many(services + len(fresh), transactions=transactions)))
    assert max(pieces for pieces, _ in ahead) <= PIECES_AHEAD_MAX, ahead
    assert max(alerts for _, alerts in ahead) <= ALERTS_AHEAD_MAX, ahead


def test_a_storm_of_five_thousand_is_drained_in_bounded_memory_critical_first():
    """500 services, ten alerts each: a critical one that is repaired, the others noise and repetition."""
    services, most = 500, 0
    transactions = "- {name: checkout, priority: 1, owner: group:ops, hops: [s499, s250]}"

    async def scene(stage: Stage) -> None:
        nonlocal most
        line = stage.on.pipeline._line
        stage.theatre.takes_s["restart"] = 0.5
        alerts = [storm.alert("Noise", f"s{number}", "info", n) for n in range(1, 10) for number in range(services)]
        alerts += [storm.alert("Down", f"s{number}", "critical") for number in range(services)]
        async with stage.on.pipeline.turn:
            for start in range(0, len(alerts), 50):
                await post(stage, *alerts[start : start + 50])
        assert stage.on.intake.pending == len(alerts) / 50
        waited = 0.0
        while stage.on.intake.pending or len(line) or len(stage.theatre.sent) < services or stage.on.runner.live:
            most = max(most, len(line))
            await stage.passes(0.05)
            waited += 0.05
            assert waited < 600, f"{stage.on.intake.pending} deliveries and {len(line)} alerts wait"
        ran = await order(stage)
        assert sorted(ran) == sorted(f"s{number}" for number in range(services))
        assert set(ran[:2]) == {"s499", "s250"}
        verdicts = await stage.verdicts()
        assert verdicts.count(Verdict.ACT.value) == services
        assert most <= LINE_MAX + BATCH_MAX + services

    play(scene, Stage(storm.many(services, at_once=50, transactions=transactions)))
