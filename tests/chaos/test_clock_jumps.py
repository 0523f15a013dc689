"""A clock that jumped, or was put back while the node was down: nothing is over by it, and nothing acts by it."""

import pytest
from stage import ALICE, Stage, play

from watchkeeper.engine import sweeper
from watchkeeper.guards.situation import Scope
from watchkeeper.values import after_ms


def test_no_hold_runs_out_by_a_clock_that_jumped() -> None:
    async def scene(stage: Stage) -> None:
        await stage.passes(2)
        hold = await stage.on.limits.hold(ALICE, Scope(), after_ms(stage.clock.now(), 600_000), "looking")
        stage.clock.skew_ms += 3_600_000
        await stage.fire("Down", "web")
        await stage.passes(30)
        stage.clock.skew_ms -= 3_600_000  # somebody put it right
        await stage.passes(90)
        assert stage.on.ready()[0]
        assert hold.id in stage.on.world.holds, "else it would be over for good"
        assert stage.theatre.sent == []
        await stage.ended(within_s=700)

    play(scene)


def test_a_jump_holds_from_the_very_first_decision_after_it() -> None:
    async def scene(stage: Stage) -> None:
        await stage.passes(2)
        await stage.on.limits.hold(ALICE, Scope(), after_ms(stage.clock.now(), 600_000), "looking")
        await stage.fire("Down", "web")
        await stage.decided()
        stage.clock.skew_ms += 3_600_000
        (alert,) = stage.on.correlation.alerts()
        stage.on.pipeline.now(alert.id, "asked", asked_by="alice")
        await stage.decided(2)
        assert set(await stage.verdicts()) == {"hold"}
        assert stage.theatre.sent == []

    play(scene)


def test_a_run_that_goes_on_is_held_too_while_the_clock_is_ahead() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["drain"] = 3.0
        await stage.fire("Down", "web")
        await stage.until(lambda: stage.theatre.sent)
        await stage.on.limits.hold(ALICE, Scope(), after_ms(stage.clock.now(), 60_000), "looking")
        stage.clock.skew_ms += 120_000  # not so far that the run is too late by it
        await stage.passes(30)
        assert "restart" not in stage.theatre.verbs()

    play(scene)


@pytest.mark.parametrize(("behind_s", "verdict"), [(3, "act"), (600, "hold")])
def test_a_clock_that_was_put_back_while_the_node_was_down_is_distrusted_at_the_start(
    behind_s: int, verdict: str
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.passes(31)
        await stage.on.measuring.write()
        stage.clock.skew_ms -= behind_s * 1000
        await stage.crash()
        await stage.fire("Down", "web")
        (first,) = await stage.decided()
        assert first.verdict == verdict
        if verdict == "hold":
            assert "behind a time it has already shown" in first.reason
        await stage.ended(within_s=120)

    play(scene)


def test_nothing_is_swept_by_a_clock_that_jumped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "EVERY_S", 10.0)

    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.ended()
        stage.clock.skew_ms += 1_000 * 86_400_000
        await stage.passes(45)
        stage.clock.skew_ms -= 1_000 * 86_400_000
        await stage.passes(45)
        assert len(await stage.runs()) == 1
        assert stage.on.sweeper.gone == {}

    play(scene)
