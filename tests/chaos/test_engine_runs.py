"""SEMANTICS 6: how a run leaves: undo, stop, a person's word, and what nobody knows."""

import asyncio
import itertools
from datetime import timedelta

import pytest
from stage import ALICE, DRAIN, HEALTHY, MEND, RESTART, Stage, house, play, rule, runbook

from watchkeeper.engine.action import Invocation, Surroundings
from watchkeeper.engine.answer import No
from watchkeeper.engine.reading import Reader
from watchkeeper.errors import InDoubt, Rejected, Unavailable
from watchkeeper.execute.run import Intended, Probed
from watchkeeper.guards.situation import Scope

SECOND = DRAIN.replace("id: drain", "id: fence").replace("/drain", "/fence").replace("/undrain", "/unfence")
TWO_UNDOS = DRAIN + SECOND + RESTART
JOINED = DRAIN + SECOND.replace("effect: keyed", "effect: keyed\n      with_previous: true") + RESTART
ONCE = """
    - id: push
      do: http.request
      with: {method: POST, url: "${target.admin}/push"}
      effect: once
      timeout: 5s
"""


def mending(steps: str = MEND, on_stop: str = "undo", on_failure: str = "undo") -> Stage:
    return Stage(house(runbooks={"mend": runbook(steps, f"  on_stop: {on_stop}\n  on_failure: {on_failure}\n")}))


async def first_effect(stage: Stage, count: int = 1) -> str:
    await stage.fire("Down", "web")
    await stage.until(lambda: len(stage.theatre.sent) == count)
    return str((await stage.runs())[0].id)


def test_a_failure_is_undone_newest_first() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.script["restart"] = [Rejected("no such unit")]
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert run.status == "undone"
        assert run.why == "restart: no such unit"
        assert stage.theatre.verbs() == ["drain", "fence", "restart", "unfence", "undrain"]
        assert stage.subjects("run_failed") == ["Undone: shop/mend on web"]

    play(scene, mending(TWO_UNDOS))


def test_on_failure_stay_leaves_the_target_and_says_how() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.script["restart"] = [Rejected("no such unit")]
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert (run.status, run.state) == ("failed", "web: drain done; not verified")
        assert stage.theatre.verbs() == ["drain", "restart"]

    play(scene, mending(on_failure="stay"))


def test_an_undo_that_fails_ends_undo_failed_and_pages_as_critical() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.script["restart"] = [Rejected("no such unit")]
        stage.theatre.script["unfence"] = [Rejected("it will not")]
        await stage.fire("Down", "web", severity="minor")
        (run,) = await stage.ended()
        assert run.status == "undo_failed"
        assert "undrain" not in stage.theatre.verbs(), "what is older may rest on it"
        (notice,) = [each for each in stage.told.notices if each.kind == "run_failed"]
        assert notice.subject == "Undo failed: shop/mend on web"
        assert notice.severity == "critical"

    play(scene, mending(TWO_UNDOS))


def test_verification_that_finds_it_unhealthy_fails_the_run() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.heals = False
        stage.theatre.status["web"] = 500
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert run.status == "undone"
        assert run.why.startswith("healthy: "), run.why

    play(scene, mending())


def test_verification_that_sees_nothing_is_inconclusive_and_nothing_is_undone() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.heals = False
        stage.theatre.status["web"] = 0
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert run.status == "failed"
        assert "undrain" not in stage.theatre.verbs()

    play(scene, mending())


@pytest.mark.parametrize(
    ("on_stop", "verbs", "status"),
    [
        ("undo", ["drain", "undrain"], "stopped"),
        ("stay", ["drain"], "stopped"),
        ("finish", ["drain", "restart"], "succeeded"),
    ],
)
def test_a_hold_in_the_middle_takes_effect_at_the_safe_point(on_stop: str, verbs: list[str], status: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["drain"] = 2
        await first_effect(stage)
        await stage.on.limits.hold(ALICE, Scope(), stage.clock.now() + timedelta(minutes=5), "mine")
        (run,) = await stage.ended()
        assert (stage.theatre.verbs(), run.status) == (verbs, status)

    play(scene, mending(on_stop=on_stop))


@pytest.mark.parametrize("on_stop", ["undo", "finish"])
def test_a_stop_always_leaves_it_as_it_stands_and_a_person_is_told_how(on_stop: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["drain"] = 2
        await first_effect(stage)
        await stage.on.limits.stop(ALICE, Scope(), "wrong alert")
        (run,) = await stage.ended()
        assert stage.theatre.verbs() == ["drain"]
        assert run.status == "stopped"
        assert run.why.startswith("stop: alice stopped automation at "), run.why
        (notice,) = [each for each in stage.told.notices if each.kind == "run_failed"]
        assert notice.subject == "Stopped: shop/mend on web"
        assert "web: drain done" in notice.text

    play(scene, mending(on_stop=on_stop))


def test_joined_steps_are_no_safe_point_but_for_stop_now() -> None:
    async def scene(stage: Stage, now: bool = False) -> None:
        stage.theatre.takes_s["drain"] = 2
        await first_effect(stage)
        await stage.on.limits.stop(ALICE, Scope(), "wrong alert", now_too=now)
        await stage.ended()
        assert stage.theatre.verbs() == (["drain"] if now else ["drain", "fence"])

    async def at_once(stage: Stage) -> None:
        await scene(stage, now=True)

    play(scene, mending(JOINED))
    play(at_once, mending(JOINED))


def test_paused_it_waits_and_resumed_it_goes_on() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["drain"] = 2
        run = await first_effect(stage)
        await stage.on.steering.pause(ALICE, run, "let me look")
        await stage.passes(60)
        assert stage.theatre.verbs() == ["drain"]
        assert (await stage.runs())[0].status == "paused"
        await stage.on.steering.resume(ALICE, run, "fine")
        await stage.ended()
        assert stage.theatre.verbs() == ["drain", "restart"]

    play(scene, mending())


def test_cancelled_it_is_undone_and_ends_cancelled() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["drain"] = 2
        run = await first_effect(stage)
        await stage.on.steering.cancel(ALICE, run, "I do it myself")
        (record,) = await stage.ended()
        assert (record.status, record.why) == ("cancelled", "cancelled by alice: I do it myself")
        assert stage.theatre.verbs() == ["drain", "undrain"]
        again = await stage.on.steering.cancel(ALICE, run, "again")
        assert isinstance(again, No)
        assert again.detail == f"run {run} has ended (cancelled): an ended run is never changed"

    play(scene, mending())


def test_a_run_that_waits_for_a_target_begins_when_what_was_closed_by_force_is_seen_ended() -> None:
    async def scene(stage: Stage) -> None:
        ended: list[int] = []

        async def stubborn(_invocation: Invocation, _around: Surroundings) -> dict[str, object]:
            try:
                await asyncio.sleep(600)
            finally:
                await asyncio.sleep(3)  # a program that takes its time to end
                ended.append(len(stage.theatre.sent))
            return {}

        stage.theatre.script["drain"] = [stubborn]
        await stage.fire("Down", "web")
        await stage.until(lambda: stage.theatre.sent)
        await stage.fire("Stuck", "web")
        await stage.decided(2)
        await stage.on.steering.close(ALICE, next(iter(stage.on.world.runs)), "it hangs")
        await stage.until(lambda: len(stage.theatre.sent) > 1)
        assert ended == [1], "the other run began while the program of the first was still at work"

    files = house(rules={"down": rule(), "stuck": rule("Stuck")})
    play(scene, Stage(files, trusted=("shop/down", "shop/stuck")))


def test_closed_by_force_it_ends_whatever_it_was_doing() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["drain"] = 500
        run = await first_effect(stage)
        mute = await stage.on.steering.close(ALICE, run, " ")
        assert isinstance(mute, No)
        await stage.on.steering.close(ALICE, run, "it hangs")
        (record,) = await stage.ended()
        assert (record.status, record.why) == ("closed", "alice: it hangs")
        assert record.state == "as it was left; nobody verified it"

    play(scene, mending())


def test_what_nobody_knows_is_told_at_once_and_every_thirty_minutes() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.script["push"] = [InDoubt("the connection broke")]
        await stage.fire("Down", "web")
        await stage.passes(2)
        assert stage.subjects("in_doubt") == ["In doubt: step push of shop/mend on web"]
        await stage.passes(1_740)
        assert len(stage.subjects("in_doubt")) == 1
        await stage.passes(120)
        assert len(stage.subjects("in_doubt")) == 2
        assert (await stage.runs())[0].status == "in_doubt"
        assert stage.theatre.verbs() == ["push"]

    play(scene, mending(ONCE))


@pytest.mark.parametrize(("happened", "status"), [(True, "succeeded"), (False, "failed")])
def test_a_person_says_what_became_of_it(happened: bool, status: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.script["push"] = [InDoubt("the connection broke")]
        await stage.fire("Down", "web")
        await stage.passes(2)
        (run,) = await stage.runs()
        wrong = await stage.on.steering.settle(ALICE, run.id, "nothing", "looked", happened=happened)
        assert isinstance(wrong, No)
        assert wrong.detail == f"step 'nothing' of {run.id} is not in doubt; in doubt: push"
        await stage.on.steering.settle(ALICE, run.id, "push", "looked", happened=happened)
        (ended,) = await stage.ended()
        assert ended.status == status
        assert stage.theatre.verbs() == ["push"]

    play(scene, mending(ONCE, on_failure="stay"))


def test_a_keyed_step_in_doubt_is_repeated_under_the_same_key() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.script["drain"] = [InDoubt("no answer"), {"status": 200}]
        await stage.fire("Down", "web")
        await stage.ended()
        first, second = [each for each in stage.theatre.sent if each.step == "drain"]
        assert (first.key, first.attempt, second.attempt) == (second.key, 1, 2)

    play(scene, mending())


def test_what_was_not_sent_is_tried_again_as_the_step_says() -> None:
    retried = DRAIN.replace(
        "timeout: 5s", "timeout: 5s\n      retry: {attempts: 3, first: 1s, max: 4s, errors: [unavailable]}"
    )

    async def scene(stage: Stage) -> None:
        stage.theatre.script["drain"] = [Unavailable("not now")] * 2
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert run.status == "succeeded"
        intents = [each for each in await stage.journal(run.id) if isinstance(each, Intended)]
        assert [each.attempt for each in intents] == [1, 2, 3]
        gaps = [(after.at - before.at).total_seconds() for before, after in itertools.pairwise(intents)]
        assert all(0 < gap < 5 for gap in gaps), gaps

    play(scene, mending(retried + HEALTHY))


@pytest.mark.parametrize("happened", [True, False])
def test_a_probed_step_is_asked_about_no_earlier_than_its_time_out(happened: bool) -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["restart"] = 60
        stage.theatre.script["started_since"] = [{"happened": happened, "why": "it counts"}]
        run = await first_effect(stage, 2)
        await stage.crash()
        stage.theatre.takes_s["restart"] = 0.1
        await stage.until(lambda: "started_since" in stage.theatre.verbs())
        events = await stage.journal(run)
        intent = next(each for each in events if isinstance(each, Intended) and each.path == "restart")
        assert (stage.clock.now() - intent.at).total_seconds() >= 5
        await stage.ended()
        probed = next(each for each in await stage.journal(run) if isinstance(each, Probed))
        assert probed.happened is happened
        assert stage.theatre.verbs().count("restart") == (1 if happened else 2), (
            "sent again only when it did not happen"
        )
        assert (await stage.runs())[0].status == "succeeded"

    play(scene, mending())


def test_a_run_under_way_goes_on_after_a_crash_with_the_same_key() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["drain"] = 60
        await first_effect(stage)
        await stage.crash()
        stage.theatre.takes_s["drain"] = 0.1
        (run,) = await stage.ended()
        assert run.status == "succeeded"
        first, second = [each for each in stage.theatre.sent if each.step == "drain"]
        assert first.key == second.key
        assert first.fence < second.fence

    play(scene, mending())


def test_a_run_that_takes_longer_than_it_may_is_undone() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.status["web"] = 500
        stage.theatre.heals = False
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert run.status == "undone"
        assert run.why == "the run took longer than 5m", run.why

    long = MEND.replace("within: 10s", "within: 20m")
    play(scene, mending(long))


@pytest.mark.parametrize(
    ("steps", "word"),
    [(MEND, "Repaired"), (DRAIN + RESTART, "Done, not verified"), (HEALTHY, "Looked, sent nothing")],
    ids=["verified", "unverified", "looked"],
)
def test_only_what_was_verified_is_told_as_repaired(steps: str, word: str) -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert run.status == "succeeded"
        await stage.passes(2)
        assert stage.subjects() == [f"{word}: shop/mend on web"]

    play(scene, mending(steps))


def test_a_run_under_way_counts_what_it_has_sent() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["restart"] = 20
        run = await first_effect(stage, 2)
        shown = await Reader(stage.on).run(run)
        assert not isinstance(shown, No)
        assert (shown["status"], shown["effects"]) == ("running", 2)

    play(scene, mending())


def test_an_ended_run_is_not_called_missing() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        for answer in (
            await stage.on.steering.close(ALICE, run.id, "why"),
            await stage.on.steering.settle(ALICE, run.id, "drain", "why", happened=True),
        ):
            assert isinstance(answer, No)
            assert (answer.status, answer.detail) == (
                409,
                f"run {run.id} has ended (succeeded): an ended run is never changed",
            )

    play(scene, mending())
