"""The run machine: one rule a test, with the words an operator reads."""

import pytest
from execute_material import (
    FALSE,
    Effect,
    Result,
    Retry,
    World,
    approve,
    at,
    call,
    do,
    drive,
    opened,
    parallel,
    plan,
    runbook,
    target,
    verify,
)

from watchkeeper.errors import Conflict
from watchkeeper.execute import machine
from watchkeeper.execute.attempt import LOOK_LONG_MS, LOOKS_MAX
from watchkeeper.execute.invariants import violations
from watchkeeper.execute.run import (
    Admitted,
    Answered,
    Asked,
    Begin,
    CancelAsked,
    Child,
    Done,
    Doubt,
    Doubted,
    End,
    Ended,
    Evaluate,
    Failed,
    Held,
    Intended,
    NoLongerNeeded,
    Opened,
    Paused,
    Perform,
    Probed,
    Resumed,
    Settled,
    Sleep,
    Started,
    Status,
    StepDue,
    StepStatus,
    TimedOut,
    Verified,
)
from watchkeeper.packs.runbook import Call, OnFailure, OnStop, Step, StepKind, Undo


def names(memory):
    return [type(event).__name__ for event in memory.events]


def journal(a_plan, *events):
    return machine.fold(a_plan, (opened(), *events))


STARTED = Started(at=at(), timeout_at=at(900_000))


def intend(path, attempt=1, undo=False, ms=0):
    return Intended(at=at(ms), path=path, attempt=attempt, key="k", undo=undo)


def due(path, ms=0, **more):
    return StepDue(at=at(ms), path=path, timeout_ms=1_000, **more)


# -- before the start


def test_a_run_goes_from_queued_through_its_steps_to_succeeded():
    memory = drive(plan(do("drain"), do("restart"), verify()))
    assert names(memory) == [
        "Opened", "Started", "StepDue", "Intended", "Done", "StepDue", "Intended", "Done", "StepDue", "Verified", "Ended",
    ]  # fmt: skip
    assert memory.run.status is Status.SUCCEEDED
    assert memory.run.state == "web-1: drain, restart done; verified healthy"
    assert memory.run.result is Result.HEALTHY
    assert not memory.run.healed_by_itself
    assert memory.run.number == 11


def test_a_run_waits_for_its_approval_and_then_for_its_start():
    a_plan = plan(do("drain"))
    run = machine.start(a_plan, opened(waiting_for="apr_1"))
    assert run.status is Status.WAITING
    assert machine.pending(run, at(0)) == (Sleep(run="run_1", start_by_at=at(600_000), until_at=at(600_000)),)
    with pytest.raises(Conflict, match="cannot start"):
        machine.advance(run, STARTED)
    run = machine.advance(run, Admitted(at=at(1), start_by_at=at(5_000)))
    assert run.status is Status.QUEUED
    begin, sleep = machine.pending(run, at(4_999))
    assert isinstance(begin, Begin)
    assert begin.start_by_at == at(5_000)
    assert sleep.until_at == at(5_000)
    with pytest.raises(Conflict, match="admitted before"):
        machine.advance(run, Admitted(at=at(2), start_by_at=at(5_000)))


@pytest.mark.parametrize(
    ("more", "words"), [({}, "waited for its start"), ({"waiting_for": "approval apr_1"}, "waited for approval apr_1")]
)
def test_what_does_not_start_in_time_lapses(more, words):
    run = machine.start(plan(do("drain")), opened(**more))
    (end,) = machine.pending(run, at(600_000))
    assert isinstance(end, End)
    assert end.status is Status.LAPSED
    assert words in end.why
    assert "2026-03-01T03:10:00" in end.why
    run = machine.advance(run, Ended(at=at(600_001), status=end.status, why=end.why))
    assert run.state == "web-1: as before, nothing was sent"


def test_a_guard_that_says_no_at_the_start_ends_the_run_stopped():
    memory = drive(plan(do("drain")), World(no={"begin": Held(at=at(), guard="freeze", why="quarter end")}))
    assert memory.run.status is Status.STOPPED
    assert memory.run.why == "freeze: quarter end"
    assert memory.run.state == "web-1: as before, nothing was sent"


def test_the_start_guards_may_end_the_run_lapsed():
    memory = drive(plan(do("drain")), World(no={"begin": Ended(at=at(), status=Status.LAPSED, why="decided afresh")}))
    assert memory.run.status is Status.LAPSED


def test_a_run_that_waits_is_cancelled_at_once():
    run = journal(plan(do("drain")), CancelAsked(at=at(), by="ann", why="wrong host"))
    (end,) = machine.pending(run, at())
    assert (end.status, end.why) == (Status.CANCELLED, "cancelled by ann: wrong host")
    assert run.cancelled_by == "ann"


def test_a_paused_run_does_not_start_and_still_lapses():
    run = journal(plan(do("drain")), Paused(at=at(), by="ann", why="lunch"))
    assert run.status is Status.PAUSED
    assert run.why == "paused by ann: lunch"
    assert [type(command) for command in machine.pending(run, at())] == [Sleep]
    assert isinstance(machine.pending(run, at(600_000))[0], End)
    run = machine.advance(run, Resumed(at=at(1), by="bob"))
    assert run.status is Status.QUEUED
    assert run.why == "resumed by bob"


@pytest.mark.parametrize("started", [False, True])
def test_no_longer_needed_before_the_first_effect_lapses(started):
    events = (STARTED, due("look")) if started else ()
    run = journal(plan(do("look", effect=Effect.READ), do("drain")), *events, NoLongerNeeded(at=at(1), why="resolved"))
    (end,) = machine.pending(run, at(1))
    assert (end.status, end.why) == (Status.LAPSED, "no longer needed: resolved")


def test_no_longer_needed_after_an_effect_goes_on_and_says_healed_by_itself():
    memory = drive(plan(do("drain"), do("restart"), verify()), tell=(NoLongerNeeded(at=at(50), why="resolved"),))
    assert memory.run.status is Status.SUCCEEDED
    assert memory.world.sent == ["drain", "restart"]
    assert memory.run.healed_by_itself
    assert memory.run.why == "healed by itself"


def test_resolved_after_the_last_effect_was_helped():
    memory = drive(plan(do("restart"), verify()), tell=(NoLongerNeeded(at=at(150), why="resolved"),))
    assert not memory.run.healed_by_itself
    assert memory.run.why == "all steps done"


def test_a_verification_before_any_effect_was_healed_by_itself():
    assert drive(plan(verify("well"))).run.healed_by_itself
    for seen in (Result.UNHEALTHY, Result.INCONCLUSIVE):
        assert not drive(plan(verify("well")), World(sees={"well": seen})).run.healed_by_itself


def test_a_read_under_way_is_awaited_before_a_run_lapses():
    memory = drive(plan(do("look", effect=Effect.READ), do("drain")), tell=(NoLongerNeeded(at=at(50), why="resolved"),))
    assert memory.run.status is Status.LAPSED
    assert memory.world.sent == ["look"]


# -- steps


def test_a_step_whose_when_is_false_is_skipped():
    memory = drive(plan(do("drain", when=FALSE), do("restart")))
    assert memory.world.sent == ["restart"]
    assert machine.state_at(memory.run, "drain").status is StepStatus.SKIPPED


def test_a_failed_step_is_tried_again_only_for_its_errors_and_its_attempts():
    retry = Retry(attempts_max=3, first_ms=100, errors=("unavailable",))
    memory = drive(plan(do("drain", retry=retry)), World(does={"drain": ["unavailable", "unavailable", "done"]}))
    assert memory.run.status is Status.SUCCEEDED
    assert [command.attempt for command in memory.world.performs] == [1, 2, 3]
    assert len({command.key for command in memory.world.performs}) == 1
    memory = drive(plan(do("drain", retry=retry)), World(does={"drain": ["unavailable"]}))
    assert len(memory.world.sent) == 3
    assert memory.run.status is Status.FAILED
    assert memory.run.why == "drain: unavailable here"
    memory = drive(plan(do("drain", retry=retry)), World(does={"drain": ["rejected"]}))
    assert len(memory.world.sent) == 1


def test_a_retry_waits_for_its_time():
    a_plan = plan(do("drain", retry=Retry(attempts_max=2)))
    run = journal(a_plan, STARTED, due("drain"), intend("drain"))
    failed = Failed(at=at(10), path="drain", attempt=1, error="unavailable", why="x", retry_at=at(500))
    run = machine.advance(run, failed)
    assert machine.pending(run, at(499)) == (Sleep(run="run_1", start_by_at=at(500), until_at=at(500)),)
    perform = machine.pending(run, at(500))[0]
    assert (perform.attempt, perform.repeat, perform.safe_point) == (2, False, True)


def test_a_denied_step_fails_without_an_intent():
    a_plan = plan(do("drain"))
    run = journal(
        a_plan, STARTED, due("drain"), Failed(at=at(), path="drain", attempt=1, error="denied", why="not permitted")
    )
    (end,) = machine.pending(run, at())
    assert (end.status, end.why) == (Status.FAILED, "drain: not permitted")


def test_a_broken_expression_fails_its_step():
    run = journal(plan(do("drain")), STARTED, due("drain", broken="step drain: no such key"))
    assert machine.pending(run, at())[0].why == "drain: step drain: no such key"


def test_unhealthy_undoes_and_inconclusive_stays_for_a_person():
    steps = (do("drain", undo="safe"), do("restart"), verify())
    memory = drive(plan(*steps), World(sees={"healthy": Result.UNHEALTHY}))
    assert memory.run.status is Status.UNDONE
    assert memory.world.sent == ["drain", "restart", "un:drain"]
    assert memory.run.state == "web-1: restart done; drain undone; verification unhealthy: unhealthy"
    memory = drive(plan(*steps), World(sees={"healthy": Result.INCONCLUSIVE}))
    assert memory.run.status is Status.FAILED
    assert memory.world.sent == ["drain", "restart"]
    assert "verification inconclusive" in memory.run.state


def test_on_failure_stay_undoes_nothing():
    steps = (do("drain", undo="safe"), do("restart"))
    memory = drive(plan(*steps, on_failure=OnFailure.STAY), World(does={"restart": ["rejected"]}))
    assert memory.run.status is Status.FAILED
    assert memory.world.sent == ["drain", "restart"]


def test_a_run_that_takes_too_long_undoes_what_it_did():
    memory = drive(plan(do("drain", undo="safe"), do("restart"), do("more"), timeout_ms=150))
    assert memory.world.sent == ["drain", "restart", "un:drain"]
    assert memory.run.status is Status.UNDONE
    assert memory.run.why == "the run took longer than 150ms"
    assert machine.state_at(memory.run, "restart").status is StepStatus.DONE


def test_the_last_step_in_flight_at_the_timeout_still_succeeds():
    memory = drive(plan(do("drain", undo="safe"), timeout_ms=50))
    assert memory.run.status is Status.SUCCEEDED
    assert memory.run.why == "all steps were done before it could leave"


def test_time_does_not_run_out_while_paused():
    run = journal(plan(do("drain")), STARTED, Paused(at=at(1), by="ann"))
    assert machine.pending(run, at(10_000_000)) == ()
    run = machine.advance(run, Resumed(at=at(10_000_000), by="ann", why="back"))
    assert machine.pending(run, at(10_000_000))[0].why == "the run took longer than 15m"


# -- approvals inside a run


def test_a_step_approval_is_asked_for_and_answered():
    memory = drive(plan(do("drain"), approve(), do("restart")))
    assert memory.run.status is Status.SUCCEEDED
    assert machine.state_at(memory.run, "sure").output == {"approved": True, "by": "ann"}


def test_a_rejected_step_undoes():
    memory = drive(plan(do("drain", undo="safe"), approve(), do("restart")), World(answers={"sure": False}))
    assert memory.run.status is Status.UNDONE
    assert memory.run.why == "sure: ann rejected it"


def test_an_approval_nobody_answers_times_out():
    memory = drive(plan(do("drain", undo="safe"), approve()), World(answers={"sure": None}))
    assert memory.run.status is Status.UNDONE
    assert memory.run.why == "sure: nobody answered apr_1 by 2026-03-01T03:01:00.100000Z"


def test_an_answer_to_another_request_does_not_fit():
    a_plan = plan(approve())
    run = journal(a_plan, STARTED, due("sure"))
    answer = Answered(at=at(1), path="sure", approval="apr_1", approved=True, by="ann")
    with pytest.raises(Conflict, match="does not wait for approval apr_1"):
        machine.advance(run, answer)
    asked = Asked(at=at(), path="sure", approval="apr_2", until_at=at(60_000))
    run = machine.advance(run, asked)
    with pytest.raises(Conflict, match="does not wait for approval apr_1"):
        machine.advance(run, answer)
    with pytest.raises(Conflict, match="no approval is to be asked for"):
        machine.advance(run, asked)
    assert [type(one) for one in machine.pending(run, at(59_999))] == [Sleep]
    paused = machine.advance(run, Paused(at=at(1), by="ann"))
    assert machine.pending(paused, at(70_000)) == ()


# -- a person or a guard interferes


def hold(path, guard="hold", **more):
    return {path: Held(at=at(), guard=guard, why="no", **more)}


def test_a_hold_at_a_safe_point_follows_on_stop():
    steps = (do("drain", undo="safe"), do("restart"))
    memory = drive(plan(*steps), World(no=hold("restart")))
    assert (memory.run.status, memory.world.sent) == (Status.STOPPED, ["drain", "un:drain"])
    assert memory.run.state == "web-1: drain undone"
    memory = drive(plan(*steps, on_stop=OnStop.STAY), World(no=hold("restart")))
    assert (memory.run.status, memory.world.sent) == (Status.STOPPED, ["drain"])
    assert memory.run.state == "web-1: drain done; not verified"
    memory = drive(plan(*steps, on_stop=OnStop.FINISH), World(no=hold("restart")))
    assert (memory.run.status, memory.world.sent) == (Status.SUCCEEDED, ["drain", "restart"])
    assert [command.finish for command in memory.world.performs] == [False, True]


@pytest.mark.parametrize("guard", ["stop", "exclusion"])
def test_a_stop_and_an_exclusion_always_stay(guard):
    for on_stop in OnStop:
        steps = (do("drain", undo="safe"), do("restart"))
        memory = drive(plan(*steps, on_stop=on_stop), World(no=hold("restart", guard)))
        assert (memory.run.status, memory.world.sent) == (Status.STOPPED, ["drain"])


def test_a_guard_may_ask_to_stay():
    memory = drive(plan(do("drain", undo="safe"), do("restart")), World(no=hold("restart", stay=True)))
    assert memory.world.sent == ["drain"]


def test_a_no_while_finishing_stays():
    steps = (do("drain", undo="safe"), do("restart"), do("more"))
    world = World(no={**hold("restart"), **hold("more", "trust")})
    memory = drive(plan(*steps, on_stop=OnStop.FINISH), world)
    assert (memory.run.status, memory.world.sent) == (Status.STOPPED, ["drain", "restart"])


def test_steps_joined_to_their_previous_go_on_to_the_safe_point():
    steps = (do("drain", undo="safe"), do("restart", with_previous=True), do("more"))
    memory = drive(plan(*steps), tell=(CancelAsked(at=at(50), by="ann"),))
    assert memory.world.sent == ["drain", "restart", "un:drain"]
    assert [command.safe_point for command in memory.world.performs] == [True, False, True]
    assert memory.run.status is Status.CANCELLED


def test_stop_now_does_not_wait_for_the_safe_point():
    steps = (do("drain"), do("restart", with_previous=True))
    for no in (hold("restart", "stop", now=True), hold("restart", "stop")):
        memory = drive(plan(*steps), World(no=no))
        assert memory.run.status is Status.STOPPED if no["restart"].now else memory.run.ended
        assert memory.world.sent == (["drain"] if no["restart"].now else ["drain", "restart"])


def test_a_second_no_at_a_joined_step_is_obeyed():
    steps = (do("drain", undo="safe"), do("restart", with_previous=True))
    a_plan = plan(*steps)
    run = journal(a_plan, STARTED, due("drain"), intend("drain"), CancelAsked(at=at(), by="ann"))
    run = machine.advance(run, Done(at=at(), path="drain", attempt=1))
    assert isinstance(machine.pending(run, at())[0], Evaluate)
    run = machine.advance(run, Held(at=at(), guard="hold", why="no"))
    assert machine.pending(run, at())[0] == Evaluate(run="run_1", start_by_at=at(60_000), path="drain", undo=True)


def test_a_stop_in_the_middle_of_undoing_ends_it_there():
    steps = (do("a", undo="safe"), do("b", undo="safe"), do("c"))
    memory = drive(plan(*steps), World(does={"c": ["rejected"]}, no={}))
    assert memory.world.sent == ["a", "b", "c", "un:b", "un:a"]
    world = World(does={"c": ["rejected"]})
    world.no = {}

    def permit(run, command, now, base=world.permit):
        if getattr(command, "undo", False) and command.path == "a":
            return Held(at=now, guard="stop", why="everything stops")
        return base(run, command, now)

    world.permit = permit
    memory = drive(plan(*steps), world)
    assert memory.world.sent == ["a", "b", "c", "un:b"]
    assert memory.run.status is Status.STOPPED
    assert memory.run.why == "stop: everything stops (after c: rejected here)"
    assert memory.run.state == "web-1: a done; b undone; not verified"
    assert violations(plan(*steps), memory.events) == ()


def test_a_stop_while_an_undo_is_under_way_awaits_its_outcome():
    a_plan = plan(do("a", undo="unsafe"), do("b"))
    run = journal(
        a_plan,
        STARTED,
        due("a"),
        intend("a"),
        Done(at=at(), path="a", attempt=1),
        due("b", broken="no"),
        due("a", undo=True),
        intend("a", undo=True),
        Held(at=at(), guard="stop", why="stop"),
    )
    assert machine.pending(run, at()) == ()
    doubted = machine.advance(run, Doubted(at=at(), path="a", attempt=1, why="lost", undo=True))
    assert doubted.status is Status.IN_DOUBT
    (doubt,) = machine.pending(doubted, at())
    assert (doubt.path, doubt.undo) == ("a", True)
    settled = machine.advance(doubted, Settled(at=at(), path="a", happened=True, by="ann"))
    (end,) = machine.pending(settled, at())
    assert (end.status, end.state) == (Status.STOPPED, "web-1: a undone")
    settled = machine.advance(doubted, Settled(at=at(), path="a", happened=False, by="ann", why="looked"))
    (end,) = machine.pending(settled, at())
    assert end.status is Status.UNDO_FAILED


def test_cancel_finishes_where_the_runbook_says_so_and_twice_is_once():
    steps = (do("drain", undo="safe"), do("restart"))
    memory = drive(plan(*steps, on_stop=OnStop.FINISH), tell=(CancelAsked(at=at(50), by="ann", why="x"),))
    assert memory.run.status is Status.SUCCEEDED
    memory = drive(plan(*steps), tell=(CancelAsked(at=at(50), by="ann"), CancelAsked(at=at(150), by="bob")))
    assert memory.run.status is Status.CANCELLED
    assert memory.run.why == "cancelled by ann"


def test_a_pause_takes_effect_at_the_next_safe_point():
    steps = (do("drain"), do("warm", with_previous=True), do("restart"))
    memory = drive(plan(*steps), tell=(Paused(at=at(50), by="ann"),))
    assert memory.world.sent == ["drain", "warm"]
    assert memory.run.status is Status.PAUSED
    with pytest.raises(Conflict, match="may not begin now"):
        machine.advance(memory.run, due("restart"))
    memory.commit(Resumed(at=memory.now, by="ann"))
    assert memory.drive().status is Status.SUCCEEDED


def test_a_pause_holds_the_undo_as_well():
    a_plan = plan(do("a", undo="safe"), do("b"))
    run = journal(
        a_plan, STARTED, due("a"), intend("a"), Done(at=at(), path="a", attempt=1), due("b", broken="no"),
        Paused(at=at(), by="ann"),
    )  # fmt: skip
    assert machine.pending(run, at()) == ()
    resumed = machine.advance(run, Resumed(at=at(), by="ann"))
    run = machine.advance(machine.advance(resumed, due("a", undo=True)), Paused(at=at(), by="ann"))
    assert machine.pending(run, at()) == ()


def test_close_ends_any_run_at_any_time_and_says_what_is_in_doubt():
    a_plan = plan(do("drain", effect=Effect.ONCE))
    run = journal(a_plan, STARTED, due("drain"), intend("drain"))
    run = machine.advance(run, Ended(at=at(1), status=Status.CLOSED, why="closed by ann: gone"))
    assert run.status is Status.CLOSED
    assert run.state == "web-1: drain in doubt: it was sent and nothing came back"
    assert run.ended_at == at(1)


# -- undo


def test_undo_goes_newest_first_and_through_its_verification():
    undo = Undo(call=Call(action="back"), verify=verify().verify)
    steps = (do("a", undo="safe"), do("b", undo=undo), do("c"), do("d"))
    world = World(does={"d": ["rejected"]})
    memory = drive(plan(*steps), world)
    assert world.sent == ["a", "b", "c", "d", "un:b", "un:a"]
    assert memory.run.status is Status.UNDONE
    assert memory.run.state == "web-1: c done; a, b undone; not verified"
    event = next(one for one in memory.events if isinstance(one, StepDue) and one.undo)
    assert event.verify == {"url": "http://web-1/healthz", "expect": {"status": 200}}


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (World(does={"c": ["rejected"], "un:b": ["rejected"]}), "b done and its undo failed: rejected here"),
        (World(does={"c": ["rejected"]}, sees={"un:b": Result.UNHEALTHY}), "b done and its undo failed: unhealthy"),
    ],
)
def test_a_failed_undo_ends_undo_failed_and_leaves_what_is_older(world, words):
    undo = Undo(call=Call(action="back"), verify=verify().verify)
    memory = drive(plan(do("a", undo="safe"), do("b", undo=undo), do("c")), world)
    assert memory.run.status is Status.UNDO_FAILED
    assert words in memory.run.state
    assert "a done" in memory.run.state


def test_an_undo_is_tried_again_by_its_own_retry():
    undo = Undo(call=Call(action="back"), retry=Retry(attempts_max=2, first_ms=10), timeout_ms=77)
    world = World(does={"b": ["rejected"], "un:a": ["unavailable", "done"]})
    memory = drive(plan(do("a", undo=undo), do("b")), world)
    assert memory.run.status is Status.UNDONE
    undos = [command for command in world.performs if command.undo]
    assert [command.attempt for command in undos] == [1, 2]
    assert {command.timeout_ms for command in undos} == {77}
    assert undos[0].key != world.performs[0].key


def test_an_undo_whose_arguments_are_broken_failed():
    a_plan = plan(do("a", undo="safe"), do("b"))
    run = journal(
        a_plan, STARTED, due("a"), intend("a"), Done(at=at(), path="a", attempt=1), due("b", broken="no"),
        due("a", undo=True, broken="no such key"),
    )  # fmt: skip
    assert machine.pending(run, at())[0].status is Status.UNDO_FAILED


def test_a_step_in_doubt_is_undone_where_that_is_safe_else_a_person_is_asked_before():
    def steps(undo):
        one = do("restart", effect=Effect.ONCE, undo=undo)
        return plan(parallel("both", one, do("warm"), most=2), on_failure=OnFailure.UNDO)

    world = World(does={"both/restart": ["doubt"], "both/warm": ["rejected"]})
    memory = drive(steps("safe"), world)
    assert memory.run.status is Status.UNDONE
    assert world.sent[-1] == "un:both/restart"
    world = World(does={"both/restart": ["doubt"], "both/warm": ["rejected"]}, settles={"both/restart": True})
    memory = drive(steps("unsafe"), world)
    assert world.doubts == ["both/restart"]
    assert memory.run.status is Status.UNDONE
    world = World(does={"both/restart": ["doubt"], "both/warm": ["rejected"]}, settles={"both/restart": False})
    memory = drive(steps("unsafe"), world)
    assert memory.run.status is Status.FAILED
    assert memory.world.sent == ["both/restart", "both/warm"]


# -- groups and calls


def test_a_group_runs_at_most_so_many_and_stops_beginning_when_one_failed():
    one = parallel("all", *(do(name) for name in "abcd"), most=2)
    memory = drive(plan(one, do("after")))
    assert memory.run.status is Status.SUCCEEDED
    memory = drive(plan(one), World(does={"a": ["rejected"], "all/a": ["rejected"]}))
    assert memory.world.sent == ["all/a", "all/b"]
    assert memory.run.status is Status.FAILED
    assert memory.run.why == "all: a: rejected here"


def test_a_group_with_an_inconclusive_and_an_unhealthy_part_is_unhealthy():
    one = parallel("all", verify("x"), verify("y"), do("z", undo="safe"), most=3)
    world = World(sees={"all/x": Result.INCONCLUSIVE, "all/y": Result.UNHEALTHY})
    a_plan = plan(do("first", undo="safe"), one)
    run = journal(
        a_plan, STARTED, due("first"), intend("first"), Done(at=at(), path="first", attempt=1), due("all"),
        due("all/x"), due("all/y"), due("all/z"), intend("all/z"),
        Verified(at=at(), path="all/x", result=Result.INCONCLUSIVE, why="blind"),
        Verified(at=at(), path="all/y", result=Result.UNHEALTHY, why="red"),
        Done(at=at(), path="all/z", attempt=1),
    )  # fmt: skip
    assert run.root.leaving.error == "unhealthy"
    assert run.root.undoing == ("all/z", "first")
    assert drive(a_plan, world).run.ended


def test_a_group_of_nothing_and_a_runbook_of_nothing_are_done():
    assert drive(plan(parallel("all"), do("a"))).run.status is Status.SUCCEEDED
    assert drive(plan()).run.status is Status.SUCCEEDED


def test_a_fifth_child_does_not_fit_a_full_group():
    one = parallel("all", do("a"), do("b"), most=1)
    run = journal(plan(one), STARTED, due("all"), due("all/a"))
    with pytest.raises(Conflict, match="1 steps of its group are under way"):
        machine.advance(run, due("all/b"))


def test_a_call_runs_the_steps_of_the_other_runbook():
    other = runbook(do("flush", undo="safe"), do("fill"), name="payments/warm-cache")
    memory = drive(plan(call("warm", "payments/warm-cache"), do("after"), called=(other,)))
    assert memory.world.sent == ["warm/flush", "warm/fill", "after"]
    memory = drive(plan(call("warm", "payments/warm-cache"), called=(other,)), World(does={"warm/fill": ["rejected"]}))
    assert memory.world.sent == ["warm/flush", "warm/fill", "un:warm/flush"]
    assert memory.run.why == "warm: fill: rejected here"


def test_a_joined_call_has_no_safe_point_before_its_first_step():
    other = runbook(do("flush"), do("fill"), name="payments/warm-cache")
    a_plan = plan(do("drain"), call("warm", "payments/warm-cache", with_previous=True), called=(other,))
    memory = drive(a_plan)
    assert [command.safe_point for command in memory.world.performs] == [True, False, True]


# -- what does not fit


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ((due("drain"),), "cannot move before its start"),
        ((STARTED, STARTED), "cannot start"),
        ((STARTED, due("nothing")), "the plan has no step 'nothing'"),
        ((STARTED, due("restart")), "does not follow: a step before it has not passed"),
        ((STARTED, due("drain"), due("drain")), "it cannot fall due again"),
        ((STARTED, intend("drain")), "does not follow"),
        ((STARTED, due("drain"), intend("drain", 2)), "the intent of attempt 2 does not follow"),
        ((STARTED, due("drain"), intend("drain"), intend("drain", 2)), "does not follow"),
        ((STARTED, due("drain"), Done(at=at(), path="drain", attempt=1)), "answers no intent"),
        ((STARTED, due("drain"), intend("drain"), Done(at=at(), path="drain", attempt=2)), "answers no intent"),
        ((STARTED, due("drain"), Failed(at=at(), path="drain", attempt=2, error="x", why="")), "answers no intent"),
        ((STARTED, due("drain"), Probed(at=at(), path="drain", happened=None)), "not in doubt"),
        ((STARTED, due("drain"), Settled(at=at(), path="drain", happened=True, by="a")), "not in doubt"),
        ((STARTED, due("drain"), Child(at=at(), path="drain", pid=1, start_ticks=1)), "without an intent"),
        ((STARTED, due("drain"), Verified(at=at(), path="drain", result=Result.HEALTHY, why="")), "no verification"),
        ((STARTED, TimedOut(at=at(), path="drain")), "waits for no answer"),
        ((TimedOut(at=at()),), "its time is not running"),
        ((STARTED, Ended(at=at(), status=Status.SUCCEEDED, why="")), "does not end succeeded here"),
        ((opened(),), "Opened does not follow"),
        ((STARTED, due("drain", undo=True)), "may not begin now"),
        ((STARTED, due("drain/deeper")), "has not passed|nothing under it"),
        ((STARTED, due("drain[0]")), "no step 'drain\\[0\\]'"),
        (
            (STARTED, Verified(at=at(), path="drain", result=Result.HEALTHY, why="", undo=True)),
            "nothing to undo|no undo",
        ),
        ((CancelAsked(at=at(), by="a"), STARTED), "came too late"),
    ],
)
def test_an_event_that_does_not_fit_is_a_conflict(events, words):
    with pytest.raises(Conflict, match=words):
        journal(plan(do("drain"), do("restart")), *events)


def test_a_verification_has_no_effect_to_intend():
    with pytest.raises(Conflict, match="has no effect to intend"):
        journal(plan(verify()), STARTED, due("healthy"), intend("healthy"))


def test_nothing_follows_the_end():
    memory = drive(plan(do("drain")))
    with pytest.raises(Conflict, match="ended succeeded: nothing follows, not Paused"):
        machine.advance(memory.run, Paused(at=at(), by="ann"))
    assert machine.pending(memory.run, at()) == ()


def test_a_journal_begins_with_opened():
    with pytest.raises(Conflict, match="begins with Started"):
        machine.fold(plan(), [STARTED])
    with pytest.raises(Conflict, match="without events"):
        machine.fold(plan(), [])


# -- in doubt


def test_a_repeatable_step_is_sent_again_under_its_key_while_no_answer_comes():
    memory = drive(plan(do("drain")), World(does={"drain": ["doubt", "doubt", "done"]}))
    assert memory.run.status is Status.SUCCEEDED
    assert [(one.repeat, one.safe_point) for one in memory.world.performs] == [
        (False, True),
        (True, False),
        (True, False),
    ]
    assert len({one.key for one in memory.world.performs}) == 1


def test_three_sendings_without_an_answer_go_to_a_person():
    memory = drive(plan(do("drain")), World(does={"drain": ["doubt"]}), until=at(60_000))
    assert len(memory.world.sent) == 3
    assert memory.run.status is Status.IN_DOUBT
    assert memory.run.doubts == ("drain",)
    (doubt, sleep) = machine.pending(memory.run, memory.now)
    assert isinstance(doubt, Doubt)
    assert (doubt.path, doubt.why) == ("drain", "no answer")
    assert doubt.since_at is not None
    assert isinstance(sleep, Sleep)


def test_a_read_without_an_answer_failed():
    memory = drive(plan(do("look", effect=Effect.READ)), World(does={"look": ["doubt"]}))
    assert memory.run.status is Status.FAILED
    assert len(memory.world.sent) == 3


def test_a_repetition_that_is_refused_leaves_the_first_sending_in_doubt():
    memory = drive(plan(do("drain")), World(does={"drain": ["doubt", "rejected"]}))
    assert memory.run.status is Status.IN_DOUBT
    assert (
        "an earlier attempt has no outcome, and its repetition failed" in machine.pending(memory.run, memory.now)[0].why
    )


def test_a_probed_step_asks_its_check_after_its_timeout():
    step = do("restart", effect=Effect.PROBED, check=Call(action="since"), timeout_ms=2_000)
    world = World(does={"restart": ["doubt"]}, checks={"restart": True})
    memory = drive(plan(step), world)
    assert memory.run.status is Status.SUCCEEDED
    assert world.probes == [("restart", at(2_000))]
    world = World(does={"restart": ["doubt"]}, checks={"restart": False})
    memory = drive(plan(step), world)
    assert memory.run.status is Status.FAILED
    assert memory.run.why == "restart: it did not happen"
    world = World(does={"restart": ["doubt"]}, checks={"restart": None})
    memory = drive(plan(step), world)
    assert memory.run.status is Status.IN_DOUBT


def test_a_check_that_could_not_look_is_asked_again_a_bounded_number_of_times():
    step = do("restart", effect=Effect.PROBED, check=Call(action="since"), timeout_ms=2_000)
    world = World(does={"restart": ["doubt"]}, checks={"restart": [None] * (LOOKS_MAX - 1) + [True]})
    memory = drive(plan(step), world)
    assert memory.run.status is Status.SUCCEEDED
    assert world.sent == ["restart"]
    assert world.probes == [("restart", at(ms)) for ms in (2_000, 4_100, 10_200, 28_300)]
    assert not world.doubts, "nobody is asked while the check may still tell"

    world = World(does={"restart": ["doubt"]}, checks={"restart": [None] * LOOKS_MAX + [True]})
    memory = drive(plan(step), world)
    assert memory.run.status is Status.IN_DOUBT
    assert len(world.probes) == LOOKS_MAX
    assert set(world.doubts) == {"restart"}, "then a person is"


@pytest.mark.parametrize(("takes_ms", "looks"), [(LOOK_LONG_MS, LOOKS_MAX), (LOOK_LONG_MS + 1, 1)])
def test_a_check_that_is_long_in_vain_is_not_asked_again(takes_ms, looks):
    step = do("restart", effect=Effect.PROBED, check=Call(action="since"), timeout_ms=90_000)
    world = World(does={"restart": ["doubt"]}, checks={"restart": [None]}, takes_ms=takes_ms)
    assert drive(plan(step), world).run.status is Status.IN_DOUBT
    assert len(world.probes) == looks
    assert set(world.doubts) == {"restart"}


def test_each_doubt_of_a_step_has_looks_of_its_own():
    step = do(
        "restart", effect=Effect.PROBED, check=Call(action="since"), timeout_ms=1_000, retry=Retry(attempts_max=2)
    )
    world = World(does={"restart": ["doubt"]}, checks={"restart": [None, False]})
    memory = drive(plan(step), world)
    assert memory.run.status is Status.FAILED
    assert len(world.probes) == 4, "the second doubt begins at the first look again"


def test_a_step_that_did_not_happen_is_sent_again_while_its_attempts_last():
    step = do("restart", effect=Effect.PROBED, check=Call(action="since"), retry=Retry(attempts_max=2))
    world = World(does={"restart": ["doubt", "done"]}, checks={"restart": False})
    assert drive(plan(step), world).run.status is Status.SUCCEEDED
    assert world.sent == ["restart", "restart"]
    assert not world.performs[1].repeat


def test_a_check_whose_arguments_cannot_be_worked_out_asks_a_person():
    from execute_material import Look

    from watchkeeper.packs.expression import Template

    look = Look("params.nothing", lambda b: b["params"]["nothing"])
    check = Call(action="since", arguments={"x": Template((look,), "${params.nothing}")})
    memory = drive(plan(do("restart", effect=Effect.PROBED, check=check)), World(does={"restart": ["doubt"]}))
    assert memory.run.status in (Status.IN_DOUBT, Status.RUNNING)
    doubt = machine.pending(memory.run, memory.now)[0]
    assert "check of step restart: 'params.nothing'" in doubt.why


def test_a_person_settles_a_step_that_is_sent_once():
    step = do("pay", effect=Effect.ONCE)
    memory = drive(plan(step, do("after")), World(does={"pay": ["doubt"]}, settles={"pay": True}))
    assert memory.run.status is Status.SUCCEEDED
    assert machine.state_at(memory.run, "pay").why == "ann said so"
    memory = drive(plan(step, do("after")), World(does={"pay": ["doubt"]}, settles={"pay": False}))
    assert memory.run.status is Status.FAILED
    assert memory.world.sent == ["pay"]


def test_a_doubt_is_told_while_a_sibling_goes_on():
    one = parallel("both", do("pay", effect=Effect.ONCE), do("a"), do("b"), most=2)
    memory = drive(plan(one), World(does={"both/pay": ["doubt"]}))
    assert memory.run.status is Status.IN_DOUBT
    assert memory.world.sent == ["both/pay", "both/a", "both/b"]


def test_a_stop_turns_a_due_repetition_into_a_doubt():
    a_plan = plan(do("drain"))
    run = journal(
        a_plan, STARTED, due("drain"), intend("drain"), Doubted(at=at(), path="drain", attempt=1, why="lost"),
        Held(at=at(), guard="stop", why="stop", now=True),
    )  # fmt: skip
    assert run.status is Status.IN_DOUBT
    assert [type(one) for one in machine.pending(run, at())] == [Doubt]
    run = machine.advance(run, Settled(at=at(), path="drain", happened=True, by="ann"))
    assert machine.pending(run, at())[0].status is Status.SUCCEEDED


def test_a_repetition_goes_on_after_a_hold_because_it_is_no_new_effect():
    a_plan = plan(do("drain", undo="safe"), do("more"))
    run = journal(
        a_plan, STARTED, due("drain"), intend("drain"), Doubted(at=at(), path="drain", attempt=1, why="lost"),
        Held(at=at(), guard="hold", why="no"),
    )  # fmt: skip
    perform = machine.pending(run, at(60_000))[0]
    assert isinstance(perform, Perform)
    assert (perform.repeat, perform.safe_point) == (True, False)


def test_opened_is_kept_with_the_run():
    run = machine.start(plan(), opened(actor="person:ann"))
    assert isinstance(run.opened, Opened)
    assert machine.bindings(journal(plan(do("a"))), "a")["run"]["actor"] == "automation"


def test_a_step_of_a_kind_without_its_part_is_broken():
    empty = Step(id="x", kind=StepKind.DO)
    memory = drive(plan(empty))
    assert memory.run.status is Status.FAILED
    assert "lacks what it needs; run 'watchkeeper check'" in memory.run.why


def test_children_of_a_lost_step_are_left_over_until_the_next_intent():
    a_plan = plan(do("drain"), targets=(target(),))
    run = journal(
        a_plan, STARTED, due("drain"), intend("drain"), Child(at=at(), path="drain", pid=7, start_ticks=9),
    )  # fmt: skip
    assert [(one.path, one.pid, one.start_ticks, one.undo) for one in machine.leftovers(run)] == [
        ("drain", 7, 9, False)
    ]
    run = machine.advance(run, Doubted(at=at(), path="drain", attempt=1, why="lost", interrupted=True))
    assert len(machine.leftovers(run)) == 1
    run = machine.advance(run, intend("drain", 2))
    assert machine.leftovers(run) == ()
