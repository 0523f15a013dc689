"""N of M regions over the whole engine: a partition never fails over, and a region that cannot see is unknown, never down."""

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from stage import MEND, SETTINGS, Stage, house, play, rule, runbook

from watchkeeper.engine.action import Observation
from watchkeeper.guards.situation import Target
from watchkeeper.values import ms_between

SOURCES = SETTINGS.replace(
    "  default: {kind: alertmanager}\n",
    "".join(
        f"  {name}: {{kind: alertmanager, region: {region}}}\n"
        for name, region in (("default", "eu"), ("north", "north"), ("us", "us"))
    ),
)
AGREED = house(
    rules={"down": rule(runbook="move", more="  regions: {agree: 2, of: [eu, north, us]}")},
    runbooks={"move": runbook(MEND, more="  failover: true\n  on_failure: undo\n")},
    settings=SOURCES + "autonomy: {risk: {high: auto}}\n",
)


async def hears(stage: Stage, source: str, alert: str, service: str = "web", **more: Any) -> None:
    accept = stage.on.intake.accept

    async def other(_: str, *rest: object) -> object:
        return await accept(source, *rest)

    stage.on.intake.accept = other
    try:
        await stage.fire(alert, service, **more)
    finally:
        stage.on.intake.accept = accept


async def alive(stage: Stage, *sources: str) -> None:
    """A word of something else from these regions: they can see."""
    for source in sources:
        await hears(stage, source, "Watchdog", "cart")


def test_a_partitioned_region_sees_everything_down_and_moves_nothing() -> None:
    async def scene(stage: Stage) -> None:
        await alive(stage, "default", "north", "us")
        await hears(stage, "us", "Down")
        (held,) = await stage.decided(rule="shop/down")
        assert held.verdict == "hold"
        assert held.reason == "1 region of the 2 needed sees it; eu and north say that all is well."
        for _ in range(10):
            await stage.passes(60)
            await alive(stage, "default", "north")
            await hears(stage, "us", "Down")
        assert {each.verdict.value for each in await stage.decisions(rule="shop/down")} == {"hold"}
        assert (await stage.runs(), stage.theatre.sent) == ([], [])

    play(scene, Stage(AGREED))


@pytest.mark.parametrize("crash", [False, True])
def test_regions_that_fell_silent_are_unknown_and_never_agree(crash: bool) -> None:
    async def scene(stage: Stage) -> None:
        await alive(stage, "north", "us")
        await stage.passes(310)
        await hears(stage, "default", "Down")
        if crash:
            await stage.passes(5)
            await stage.crash()
        await stage.passes(70)
        last = (await stage.decisions(rule="shop/down"))[-1]
        assert last.verdict == "hold"
        assert last.reason == "1 region of the 2 needed sees it; north and us cannot see."
        (finding,) = [each for each in last.findings if each.guard == "corroboration"]
        assert finding.unknown
        await stage.passes(600)
        assert stage.theatre.sent == []

    play(scene, Stage(AGREED))


@pytest.mark.parametrize(("silent_s", "said"), [(298, "say that all is well"), (303, "cannot see")])
def test_a_region_counts_as_seeing_for_five_minutes(silent_s: int, said: str) -> None:
    async def scene(stage: Stage) -> None:
        await alive(stage, "north", "us")
        await stage.passes(silent_s)
        await hears(stage, "default", "Down")
        (held,) = await stage.decided(rule="shop/down")
        assert said in held.reason, held.reason

    play(scene, Stage(AGREED))


def test_two_regions_that_see_it_agree_and_the_failover_runs_once() -> None:
    async def scene(stage: Stage) -> None:
        await hears(stage, "us", "Down")
        await stage.decided(rule="shop/down")
        await hears(stage, "north", "Down")
        (run,) = await stage.ended(within_s=30)
        assert run.status == "succeeded"
        sent = len(stage.theatre.sent)
        for _ in range(5):
            await stage.passes(5)  # it settles 30 s after its last effect
            await hears(stage, "us", "Down")
            await hears(stage, "north", "Down")
        assert len(await stage.runs()) == 1, "what it did must show first, to every region that saw it"
        assert len(stage.theatre.sent) == sent
        assert stage.on.world.waiting == {}, "and nobody is told that it waits"

    play(scene, Stage(AGREED))


@pytest.mark.parametrize("crash", [False, True])
def test_when_it_still_fires_after_it_settled_the_second_region_has_its_turn(crash: bool) -> None:
    async def scene(stage: Stage) -> None:
        await hears(stage, "us", "Down")
        await stage.decided(rule="shop/down")
        await hears(stage, "north", "Down")
        await stage.ended(within_s=30)
        if crash:
            await stage.crash()
        for _ in range(16):
            await stage.passes(5)
            await hears(stage, "us", "Down")
            await hears(stage, "north", "Down")
        runs = sorted(await stage.runs(), key=lambda each: each.at)
        assert len(runs) == 3, [each.at for each in runs]
        for before, after in itertools.pairwise(runs):
            assert before.ended_at is not None
            assert ms_between(before.ended_at, after.at) >= 29_000

    play(scene, Stage(AGREED))


# -- the node's own checks, one a region ---------------------------------------------------------------

PROBES = "".join(
    f"""  {region}-checks:
    kind: probe
    region: {region}
    probes: [{{name: web-{region}, http: "http://127.0.0.1/{region}", every: 1s, failures: 2, successes: 2, stale_after: 5s,
               entity: web, severity: critical}}]
"""
    for region in ("eu", "north", "us")
)
CHECKED = house(
    rules={"down": rule("ProbeFailed", more="  regions: {agree: 2, of: [eu, north, us]}")},
    settings=SETTINGS.replace("  default: {kind: alertmanager}\n", f"  default: {{kind: alertmanager}}\n{PROBES}"),
)


class Regional(Stage):
    """A prober whose looks from each region say what the test says; 0: it cannot look from there."""

    def prober(self) -> Any:
        theatre = self.theatre

        class ByRegion:
            async def look(
                self, kind: str, arguments: Mapping[str, Any], timeout_ms: int, target: Target | None
            ) -> Observation:
                status = 200 if target is not None else theatre.status[str(arguments["url"]).rpartition("/")[2]]
                if not status:
                    return Observation(seen=False, why="no route from here")
                return Observation(seen=True, values={"connected": True, "status": status, "took_ms": 1})

        return ByRegion()


def test_what_one_witness_had_repaired_settles_for_another_that_had_it_repaired_before() -> None:
    async def scene(stage: Stage) -> None:
        await hears(stage, "default", "Down")
        (first,) = await stage.ended()
        await stage.passes(20)
        await hears(stage, "north", "Down")  # it saw nothing until now, so it is repaired once more
        _, second = sorted(await stage.ended(2), key=lambda each: each.at)
        assert ms_between(first.ended_at, second.ended_at) < 30_000
        await stage.passes(15)
        assert len(await stage.runs()) == 2, "what the second repair did must show, also to who asked for the first"
        await stage.ended(3, within_s=30)

    play(scene, Stage(house(settings=SOURCES)))


def test_a_region_whose_own_check_looks_and_sees_no_fault_says_that_all_is_well() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.status["us"] = 500
        (held,) = await stage.decided(rule="shop/down", within_s=10)
        assert held.reason == "1 region of the 2 needed sees it; eu and north say that all is well."

    play(scene, Regional(CHECKED))


def test_what_a_check_saw_before_it_went_blind_does_not_agree_any_more() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.status["us"] = 500
        await stage.decided(rule="shop/down", within_s=10)
        stage.theatre.status["us"] = 0
        await stage.passes(10)
        stage.theatre.status["north"] = 500
        await stage.passes(70)
        last = (await stage.decisions(rule="shop/down"))[-1]
        assert last.verdict == "hold"
        assert last.reason == "1 region of the 2 needed sees it; us cannot see."
        assert stage.theatre.sent == []
        stage.theatre.status["us"] = 500
        await stage.ended(within_s=90)

    play(scene, Regional(CHECKED))


def test_an_expression_sees_a_region_that_is_heard_and_a_silent_one_is_unknown() -> None:
    async def scene(stage: Stage) -> None:
        await alive(stage, "us")
        await stage.passes(1)

        def region() -> Any:
            return stage.on.situations.bindings(None, None, stage.clock.now())["region"]["us"]

        assert region() == "seeing"
        await stage.passes(301)
        assert region().why.startswith("nothing came from us for 5m")

    play(scene, Stage(AGREED))
