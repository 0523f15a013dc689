"""SEMANTICS 5: who may answer what, for how long, and what ends a request that nobody needs any more."""

import asyncio
from datetime import timedelta

import pytest
from stage import ALICE, BOB, DRAIN, HEALTHY, Stage, house, play, rule, runbook

from watchkeeper.approve.people import Actor
from watchkeeper.engine.answer import No
from watchkeeper.engine.judged import Judged
from watchkeeper.guards.situation import Scope
from watchkeeper.ports import Commit, Committed, Refused

ASKS = house(rules={"down": rule(ceiling="approve")})
CAROL = Actor(name="carol", roles=frozenset({"viewer"}), identity="idn_c")
ROBOT = Actor(name="robot", roles=frozenset({"admin", "approver"}), identity="idn_r", human=False)


def asking(files: dict[str, bytes] | None = None) -> Stage:
    return Stage(files or ASKS, trusted=("shop/down",))


async def card(stage: Stage) -> object:
    await stage.fire("Down", "web")
    await stage.decided()
    (found,) = await stage.approvals(state="pending")
    return found


def test_an_approval_starts_it_and_a_second_decision_says_who_agreed() -> None:
    async def scene(stage: Stage) -> None:
        found = await card(stage)
        assert stage.subjects("ask") == ["Approve shop/mend on web?"]
        given = await stage.on.steering.approve(BOB, found.id, found.binding, "yes")
        assert given.state == "approved"
        (run,) = await stage.ended()
        assert run.status == "succeeded"
        ask, act = await stage.decisions()
        assert (ask.verdict.value, act.verdict.value, act.follows) == ("ask", "act", ask.id)
        assert act.reason.endswith("answered by a person."), act.reason
        (stored,) = await stage.approvals()
        assert stored.run == run.id

    play(scene, asking())


def test_another_digest_is_409_and_nothing_happens() -> None:
    async def scene(stage: Stage) -> None:
        found = await card(stage)
        no = await stage.on.steering.approve(BOB, found.id, "0" * 64, "yes")
        assert isinstance(no, No)
        assert (no.status, no.detail) == (409, "What was displayed is not what would happen now. Review it again.")
        await stage.passes(5)
        assert stage.theatre.sent == []

    play(scene, asking())


@pytest.mark.parametrize(
    ("who", "detail"), [(CAROL, "approve"), (ROBOT, "robot is no person, and only a person may approve.")]
)
def test_who_may_not_answer_is_told_so(who: Actor, detail: str) -> None:
    async def scene(stage: Stage) -> None:
        found = await card(stage)
        no = await stage.on.steering.approve(who, found.id, found.binding, "yes")
        assert isinstance(no, No)
        assert no.status == 403
        assert detail in no.detail, no.detail

    play(scene, asking())


def test_a_rejection_ends_it_and_it_is_not_asked_again() -> None:
    async def scene(stage: Stage) -> None:
        found = await card(stage)
        mute = await stage.on.steering.reject(BOB, found.id, found.binding, "")
        assert isinstance(mute, No)
        assert "comment" in mute.detail
        await stage.on.steering.reject(BOB, found.id, found.binding, "not now")
        await stage.passes(700)
        assert await stage.verdicts() == ["ask"]
        late = await stage.on.steering.approve(ALICE, found.id, found.binding, "yes")
        assert isinstance(late, No)
        assert late.detail == "It is rejected already: bob rejected it."
        await stage.crash()
        await stage.passes(30)
        assert await stage.verdicts() == ["ask"]

    play(scene, asking())


def test_two_who_answer_at_once_are_one_after_the_other() -> None:
    async def scene(stage: Stage) -> None:
        found = await card(stage)
        yes, no = await asyncio.gather(
            stage.on.steering.approve(BOB, found.id, found.binding, "yes"),
            stage.on.steering.reject(ALICE, found.id, found.binding, "no"),
        )
        assert not isinstance(yes, No)
        assert isinstance(no, No)
        assert no.status == 409

    play(scene, asking())


def test_nobody_answers_in_time_and_it_is_asked_again() -> None:
    async def scene(stage: Stage) -> None:
        found = await card(stage)
        await stage.passes(301)
        first, second = await stage.approvals()
        assert (first.id, first.state.value) == (found.id, "lapsed")
        assert first.why.startswith("Nobody answered by "), first.why
        assert second.state == "pending"
        assert stage.subjects("lapsed") == ["Nobody answered: shop/mend on web"]
        assert stage.theatre.sent == []

    play(scene, asking())


def test_a_yes_at_the_last_moment_is_a_yes_however_long_the_disk_takes() -> None:
    async def scene(stage: Stage) -> None:
        found = await card(stage)
        commit = stage.store.commit

        async def slow(wanted: Commit) -> Committed | Refused:
            answer = await commit(wanted)
            if any(each.kind == "approval" for each in wanted.puts):
                await asyncio.sleep(3)
            return answer

        stage.store.commit = slow  # type: ignore[method-assign]
        await stage.passes((found.expires_at - stage.clock.now()).total_seconds() - 0.1)
        given = await stage.on.steering.approve(BOB, found.id, found.binding, "yes")
        assert given.state == "approved"
        (run,) = await stage.ended()
        assert run.status == "succeeded"
        assert [each.state.value for each in await stage.approvals()] == ["approved"]
        assert not [each for each in stage.subjects() if "answered" in each], "nobody is told that nobody answered"

    play(scene, asking())


def test_a_request_lapses_when_the_alert_resolves() -> None:
    async def scene(stage: Stage) -> None:
        found = await card(stage)
        await stage.fire("Down", "web", status="resolved")
        await stage.passes(1)
        (stored,) = await stage.approvals()
        assert (stored.state.value, stored.why) == ("lapsed", "No longer needed: the alert resolved.")
        no = await stage.on.steering.approve(BOB, found.id, found.binding, "yes")
        assert isinstance(no, No)
        assert no.status == 409

    play(scene, asking())


def test_a_request_lapses_when_severity_falls() -> None:
    async def scene(stage: Stage) -> None:
        await card(stage)
        await stage.fire("Down", "web", severity="minor")
        await stage.passes(1)
        first = (await stage.approvals())[0]
        assert first.state == "lapsed"
        assert first.why in {"Severity fell from critical to minor.", "It was decided afresh: ask."}

    play(scene, asking())


def test_a_request_lapses_when_the_configuration_changes() -> None:
    async def scene(stage: Stage) -> None:
        await card(stage)
        stage.files = house(rules={"down": rule(ceiling="approve", priority=11)})
        planned = stage.on.changes.plan()
        await stage.on.changes.apply(ALICE, planned.digest, "more important")
        await stage.passes(1)
        first, second = await stage.approvals()
        assert first.state == "lapsed"
        assert first.why in {"The configuration changed. It is decided afresh.", "It was decided afresh: ask."}
        assert second.state == "pending"

    play(scene, asking())


def test_a_hold_elsewhere_does_not_ask_a_second_time() -> None:
    async def scene(stage: Stage) -> None:
        found = await card(stage)
        until_at = stage.clock.now() + timedelta(minutes=3)
        await stage.on.limits.hold(ALICE, Scope(service="component:default/cart"), until_at, "looking")
        await stage.fire("Down", "web")
        await stage.passes(30)
        assert [each.id for each in await stage.approvals()] == [found.id]
        assert len(stage.subjects("ask")) == 1
        await stage.on.steering.approve(BOB, found.id, found.binding, "yes")
        await stage.ended()

    play(scene, asking())


def test_a_hold_on_its_target_ends_the_request_and_it_is_asked_anew_after() -> None:
    async def scene(stage: Stage) -> None:
        await card(stage)
        hold = await stage.on.limits.hold(ALICE, Scope(), stage.clock.now() + timedelta(minutes=3), "looking")
        await stage.fire("Down", "web")
        await stage.passes(1)
        (first,) = await stage.approvals()
        assert (first.state.value, first.why) == ("lapsed", "It was decided afresh: hold.")
        await stage.on.limits.lift_hold(ALICE, hold.id, "seen")
        await stage.passes(1)
        assert [each.state.value for each in await stage.approvals()] == ["lapsed", "pending"]

    play(scene, asking())


def test_what_was_approved_just_before_a_crash_is_admitted_after_it() -> None:
    async def scene(stage: Stage) -> None:
        found = await card(stage)
        for task in stage.on._tasks:
            task.cancel()
        await stage.on.steering.approve(BOB, found.id, found.binding, "yes")
        assert await stage.runs() == []
        await stage.crash()
        await stage.ended()

    play(scene, asking())


def test_the_own_run_of_a_person_asks_in_a_freeze_and_somebody_else_answers() -> None:
    async def scene(stage: Stage) -> None:
        now = stage.clock.now()
        await stage.on.limits.freeze(BOB, Scope(), now, now + timedelta(hours=1), "month end")
        judged = await stage.on.steering.run(ALICE, "shop/mend", ("component:default/web",), {}, "I saw it")
        assert isinstance(judged, Judged)
        assert judged.approval is not None
        own = await stage.on.steering.approve(ALICE, judged.approval.id, judged.approval.binding, "me", emergency=True)
        assert isinstance(own, No)
        assert own.detail == "alice asked for this. In production somebody else answers."
        await stage.on.steering.approve(BOB, judged.approval.id, judged.approval.binding, "go", emergency=True)
        (run,) = await stage.ended()
        assert (run.status, run.actor) == ("succeeded", "person:alice")

    play(scene)


def test_the_own_run_of_a_person_that_was_approved_before_a_crash_is_admitted_after_it() -> None:
    async def scene(stage: Stage) -> None:
        now = stage.clock.now()
        await stage.on.limits.freeze(BOB, Scope(), now, now + timedelta(hours=1), "month end")
        judged = await stage.on.steering.run(ALICE, "shop/mend", ("component:default/web",), {}, "I saw it")
        assert judged.approval is not None

        async def lost(*_: object, **__: object) -> None:
            return None

        stage.on.steering._admit = lost
        await stage.on.steering.approve(BOB, judged.approval.id, judged.approval.binding, "go", emergency=True)
        await stage.passes(5)
        assert await stage.runs() == []
        await stage.crash()
        (run,) = await stage.ended(within_s=30)
        assert run.actor == "person:alice"

    play(scene)


def test_the_own_run_of_a_person_that_is_held_is_not_kept_for_later() -> None:
    async def scene(stage: Stage) -> None:
        await stage.on.limits.hold(BOB, Scope(), stage.clock.now() + timedelta(minutes=2), "mine")
        judged = await stage.on.steering.run(ALICE, "shop/mend", ("component:default/web",), {}, "I saw it")
        assert judged.decision.verdict == "hold"
        assert await stage.proposals() == []
        await stage.passes(200)
        assert stage.theatre.sent == []

    play(scene)


STEP = """
    - id: sure
      approve: {by: [group:ops], count: 2, within: 20m}
"""
STEPPED = house(runbooks={"mend": runbook(DRAIN + STEP + HEALTHY)})


def test_a_step_asks_and_two_people_answer() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.passes(2)
        (found,) = await stage.approvals(state="pending")
        assert found.path == "sure"
        one = await stage.on.steering.approve(ALICE, found.id, found.binding, "ok")
        assert one.state == "pending"
        twice = await stage.on.steering.approve(ALICE, found.id, found.binding, "ok")
        assert isinstance(twice, No)
        assert twice.detail == "alice approved it already; somebody else has to be the next."
        await stage.on.steering.approve(BOB, found.id, found.binding, "ok")
        (run,) = await stage.ended()
        assert run.status == "succeeded"

    play(scene, Stage(STEPPED))


def test_a_step_that_was_answered_just_before_a_crash_goes_on_after_it() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.passes(2)
        (found,) = await stage.approvals(state="pending")
        await stage.on.steering.approve(ALICE, found.id, found.binding, "ok")
        for live in stage.on.runner.live.values():
            live.task.cancel()
        await stage.on.steering.approve(BOB, found.id, found.binding, "ok")
        await stage.crash()
        (run,) = await stage.ended(within_s=60)
        assert run.status == "succeeded"
        await stage.fire("Down", "web", status="resolved")
        (stored,) = await stage.approvals()
        await stage.passes(300)
        (later,) = await stage.approvals()
        assert stored.state == later.state == "approved"

    play(scene, Stage(STEPPED))


def test_the_request_of_a_step_ends_with_its_run() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.passes(2)
        (run,) = await stage.runs()
        await stage.on.steering.cancel(ALICE, run.id, "I do it myself")
        await stage.ended()
        await stage.passes(1)
        (found,) = await stage.approvals()
        assert (found.state.value, found.why) == ("lapsed", "Its run ended cancelled.")

    play(scene, Stage(STEPPED))
