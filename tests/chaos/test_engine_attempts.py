"""Attempts, in one process and over restarts: how often it tries, what counts, and when a person takes over."""

import pytest
from stage import ALICE, PERMISSIONS, RESTART, Stage, house, play, rule, runbook

from watchkeeper.errors import Rejected


def test_the_attempt_after_the_last_is_refused_escalates_and_pages_once() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.ended(3)
        refused = (await stage.decided(4))[3]
        assert refused.verdict == "refuse"
        assert refused.escalate
        assert refused.reason.startswith("Tried 3 times in 1h, and it fires again: "), refused.reason
        assert refused.reason.endswith("A person takes over."), refused.reason
        await stage.passes(600)
        assert stage.theatre.verbs().count("restart") == 3
        assert len(stage.subjects("escalated")) == 1, stage.subjects()

    play(scene)


def test_attempts_are_counted_over_restarts() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.ended(2)
        await stage.crash()
        await stage.ended(3)
        await stage.crash()
        refused = (await stage.decided(4))[3]
        assert refused.verdict == "refuse"
        assert refused.reason.startswith("Tried 3 times in 1h"), refused.reason
        await stage.passes(120)
        assert len(stage.subjects("escalated")) == 1, stage.subjects()
        await stage.crash()
        await stage.passes(120)
        assert len(stage.subjects("escalated")) == 1, "a restart is no reason to page again"
        assert stage.theatre.verbs().count("restart") == 3

    play(scene)


def test_a_window_of_days_is_remembered_over_a_restart() -> None:
    days = house(rules={"down": rule().replace("within: 1h, settle: 30s", "within: 4d, settle: 30s")})

    async def scene(stage: Stage) -> None:
        for number in range(3):
            await stage.fire("Down", "web", number=number)
            await stage.ended(number + 1)
            await stage.fire("Down", "web", number=number, status="resolved")
        stage.clock.skew_ms += 2 * 86_400_000
        await stage.crash()
        await stage.fire("Down", "web", number=5)
        refused = (await stage.decided(4))[3]
        assert refused.verdict == "refuse", refused.reason
        assert refused.reason.startswith("Tried 3 times in 4d"), refused.reason

    play(scene, Stage(days))


def test_after_the_window_it_may_try_again() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.ended(3)
        await stage.fire("Down", "web", status="resolved")
        await stage.passes(3_700)
        await stage.fire("Down", "web", number=100)
        await stage.ended(4)

    play(scene)


def test_a_step_that_is_not_permitted_fails_closed_and_is_not_tried_without_end() -> None:
    narrow = house(
        runbooks={"mend": runbook(permissions=PERMISSIONS.replace("units: [target.name]", "units: [other]"))}
    )

    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert run.status == "undone"
        assert run.why == "restart: unit 'web' is not among its units: other"
        assert stage.theatre.verbs() == ["drain", "undrain"]
        await stage.passes(3)
        entries = [row for row in await stage.store.entries(0, 1000) if row.content is not None]
        assert any(b"unit 'web' is not among its units" in (row.content or b"") for row in entries), "not on record"
        assert len(await stage.runs()) == 1

    play(scene, Stage(narrow))


def test_a_first_step_that_is_not_permitted_is_not_tried_in_a_circle() -> None:
    nothing = house(
        runbooks={"mend": runbook(RESTART, permissions=PERMISSIONS.replace("units: [target.name]", "units: [other]"))}
    )

    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.ended()
        await stage.passes(20)
        assert len(await stage.runs()) == 1, "not before settle"
        await stage.passes(300)
        assert stage.theatre.sent == []
        assert (await stage.verdicts())[-1] == "refuse"
        assert len(stage.subjects("escalated")) == 1, stage.subjects()

    play(scene, Stage(nothing))


def test_a_run_that_a_person_cancelled_is_not_started_again_at_once() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["drain"] = 5
        await stage.fire("Down", "web")
        await stage.until(lambda: stage.theatre.sent)
        (run,) = await stage.runs()
        await stage.on.steering.cancel(ALICE, run.id, "I do it myself")
        await stage.ended()
        await stage.passes(20)
        assert len(await stage.runs()) == 1

    play(scene)


@pytest.mark.parametrize("fault", [Rejected("no such unit")])
def test_failed_attempts_count_as_well(fault: Exception) -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.script["restart"] = [fault] * 10
        await stage.fire("Down", "web")
        found = await stage.ended(3)
        assert {each.status for each in found} == {"undone"}
        refused = (await stage.decided(4))[3]
        assert refused.verdict == "refuse"
        assert "undone" in refused.reason, refused.reason

    play(scene)
