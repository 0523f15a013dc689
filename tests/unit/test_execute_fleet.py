"""Many targets in waves: limits, thresholds, what a failed target leaves behind."""

import pytest
from execute_material import (
    Effect,
    Result,
    World,
    at,
    call,
    do,
    drive,
    foreach,
    opened,
    parallel,
    plan,
    runbook,
    target,
    verify,
)

from watchkeeper.errors import Conflict
from watchkeeper.execute import machine
from watchkeeper.execute.invariants import violations
from watchkeeper.execute.plan import wave_ends
from watchkeeper.execute.run import Done, Held, Intended, Started, Status, StepDue
from watchkeeper.packs.runbook import OnFailure, Step, StepKind

STARTED = Started(at=at(), timeout_at=at(900_000))


def targets(count):
    return tuple(target(f"web-{index}") for index in range(count))


@pytest.mark.parametrize(
    ("waves", "total", "ends"),
    [
        (("1", "10%", "50%", "100%"), 100, (1, 10, 50, 100)),
        (("1", "10%", "50%", "100%"), 3, (1, 2, 3)),
        (("5",), 20, (5, 20)),
        (("50",), 20, (20,)),
        ((), 4, (4,)),
        (("0%", "1"), 4, (1, 4)),
    ],
)
def test_waves_are_cumulative_and_end_with_every_target(waves, total, ends):
    assert wave_ends(waves, total) == ends


def test_how_far_a_fleet_is_can_be_seen_while_it_runs_and_when_it_ended():
    one = parallel("all", foreach("fleet", do("a"), waves=("1", "100%"), most=2))
    memory = drive(plan(one, targets=targets(5)), World(), until=at(50))
    (view,) = machine.fleets_of(memory.run)
    counts = {"targets": 5, "begun": 1, "under_way": 1, "done": 0, "failed": 0, "unhealthy": 0}
    assert (view.path, view.state.output) == ("all/fleet", counts)
    ended = drive(plan(one, targets=targets(5)), World())
    (view,) = machine.fleets_of(ended.run)
    assert view.state.output == {"targets": 5, "begun": 5, "under_way": 0, "done": 5, "failed": 0, "unhealthy": 0}


def test_the_first_wave_is_over_before_the_second_begins():
    one = foreach("fleet", do("a"), waves=("1", "100%"), most=5)
    memory = drive(plan(one, targets=targets(4)))
    assert memory.run.status is Status.SUCCEEDED
    began = [event.path for event in memory.events if isinstance(event, StepDue) and "[" in event.path]
    done = next(n for n, event in enumerate(memory.events) if isinstance(event, Done))
    second = next(n for n, event in enumerate(memory.events) if getattr(event, "path", "") == "fleet[1]/a")
    assert began == [f"fleet[{index}]/a" for index in range(4)]
    assert done < second
    assert memory.run.steps[0].output == {"targets": 4, "done": 4, "failed": 0, "unhealthy": 0}
    assert memory.run.steps[0].fleet.kept == {}
    assert "fleet: 4 targets done, 0 failed, 0 left under way" in memory.run.state


def test_at_most_so_many_targets_are_under_way():
    memory = drive(plan(foreach("fleet", do("a"), most=3), targets=targets(10)), World(), until=at(50))
    assert len(memory.world.sent) == 3
    run = memory.run
    with pytest.raises(Conflict, match="3 of 10 targets have begun"):
        machine.advance(run, StepDue(at=at(), path="fleet[3]/a"))


def test_targets_begin_in_their_order():
    run = machine.fold(
        plan(foreach("fleet", do("a"), most=3), targets=targets(3)),
        (opened(), STARTED, StepDue(at=at(), path="fleet")),
    )
    with pytest.raises(Conflict, match="0 of 3 targets have begun"):
        machine.advance(run, StepDue(at=at(), path="fleet[1]/a"))
    with pytest.raises(Conflict, match="no target 7"):
        machine.advance(run, StepDue(at=at(), path="fleet[7]/a"))


@pytest.mark.parametrize(("failed", "tried"), [(None, 1), (0, 1), (1, 1), (2, 2), (9, 6)])
def test_failures_stop_the_foreach_at_its_threshold(failed, tried):
    world = World(does={f"fleet[{index}]/a": ["rejected"] for index in range(6)})
    memory = drive(plan(foreach("fleet", do("a"), failed=failed), targets=targets(6)), world)
    assert len(world.sent) == tried
    assert memory.run.status is (Status.FAILED if tried < 6 else Status.SUCCEEDED)


def test_unhealthy_targets_are_counted_apart_from_failed_ones():
    sees = {"fleet[0]/healthy": Result.UNHEALTHY, "fleet[1]/healthy": Result.INCONCLUSIVE}
    one = foreach("fleet", do("a"), verify(), failed=3, unhealthy=2)
    memory = drive(plan(one, targets=targets(4)), World(sees=sees))
    fleet = memory.run.steps[0].fleet
    assert (fleet.done, fleet.failed, fleet.unhealthy) == (2, 1, 1)
    assert memory.run.status is Status.SUCCEEDED
    assert "web-0: healthy: unhealthy" in memory.run.state
    memory = drive(plan(foreach("fleet", do("a"), verify(), failed=3), targets=targets(4)), World(sees=sees))
    assert memory.run.steps[0].error == "unhealthy"
    assert memory.run.why == "fleet: stopped after 1 of 4 targets: web-0: healthy: unhealthy (left as it is)"


def test_those_under_way_go_on_to_their_end_when_the_threshold_is_reached():
    one = foreach("fleet", do("a"), do("b"), failed=1, most=3)
    world = World(does={"fleet[0]/a": ["rejected"]})
    memory = drive(plan(one, targets=targets(9)), world)
    assert sorted(world.sent) == ["fleet[0]/a", "fleet[1]/a", "fleet[1]/b", "fleet[2]/a", "fleet[2]/b"]
    assert memory.run.status is Status.FAILED


def test_a_tolerated_failure_undoes_its_own_target_only():
    one = foreach("fleet", do("a", undo="safe"), do("b"), failed=2)
    world = World(does={"fleet[1]/b": ["rejected"]})
    memory = drive(plan(one, targets=targets(3)), world)
    assert memory.run.status is Status.SUCCEEDED
    assert [name for name in world.sent if name.startswith("un:")] == ["un:fleet[1]/a"]
    assert memory.run.steps[0].fleet.named == ("web-1: b: rejected here (undone)",)
    assert violations(plan(one, targets=targets(3)), memory.events) == ()


def test_on_failure_stay_leaves_a_failed_target_as_it_is():
    one = foreach("fleet", do("a", undo="safe"), do("b"), failed=2)
    memory = drive(plan(one, targets=targets(2), on_failure=OnFailure.STAY), World(does={"fleet[1]/b": ["rejected"]}))
    assert memory.run.steps[0].fleet.named == ("web-1: b: rejected here (left as it is)",)


def test_past_the_threshold_every_target_is_undone_newest_first():
    one = foreach("fleet", do("a", undo="safe"), do("b"))
    world = World(does={"fleet[2]/b": ["rejected"]})
    a_plan = plan(do("first", undo="safe"), one, targets=targets(5))
    memory = drive(a_plan, world)
    undone = [name for name in world.sent if name.startswith("un:")]
    assert undone == ["un:fleet[2]/a", "un:fleet[1]/a", "un:fleet[0]/a", "un:first"]
    assert memory.run.status is Status.UNDONE
    assert violations(a_plan, memory.events) == ()


def test_a_failed_undo_of_one_target_stops_the_foreach_and_ends_undo_failed():
    one = foreach("fleet", do("z", undo="safe"), do("a", undo="safe"), do("b"), failed=5)
    world = World(does={"fleet[1]/b": ["rejected"], "un:fleet[1]/a": ["rejected"]})
    a_plan = plan(one, targets=targets(5))
    memory = drive(a_plan, world)
    assert memory.run.status is Status.UNDO_FAILED
    assert memory.run.steps[0].error == "undo_failed"
    # the others go back; what is older on the target whose undo failed is left to a person
    undone = [name for name in world.sent if name.startswith("un:")]
    assert undone == ["un:fleet[1]/a", "un:fleet[0]/a", "un:fleet[0]/z"]
    assert violations(a_plan, memory.events) == ()


def test_a_stop_in_the_middle_of_a_fleet_leaves_every_target_where_it_is():
    one = foreach("fleet", do("a", undo="safe"), do("b"), most=2)
    world = World(no={"fleet[1]/b": Held(at=at(), guard="stop", why="everything")})
    memory = drive(plan(one, targets=targets(4)), world)
    assert memory.run.status is Status.STOPPED
    assert not [name for name in world.sent if name.startswith("un:")]
    assert "left under way" in memory.run.state


def test_a_stop_while_one_target_undoes_itself_awaits_only_what_was_sent():
    one = foreach("fleet", do("a", undo="unsafe"), do("b"), failed=3, most=2)
    a_plan = plan(one, targets=targets(2))
    events = (
        opened(),
        STARTED,
        StepDue(at=at(), path="fleet"),
        StepDue(at=at(), path="fleet[0]/a"),
        Intended(at=at(), path="fleet[0]/a", attempt=1, key="k"),
        Done(at=at(), path="fleet[0]/a", attempt=1),
        StepDue(at=at(), path="fleet[0]/b", broken="no"),
        StepDue(at=at(), path="fleet[0]/a", undo=True),
        Intended(at=at(), path="fleet[0]/a", attempt=1, key="u", undo=True),
    )
    run = machine.fold(a_plan, events)
    held = machine.advance(run, Held(at=at(), guard="stop", why="stop"))
    assert machine.pending(held, at()) == ()
    done = machine.advance(held, Done(at=at(), path="fleet[0]/a", attempt=1, undo=True))
    assert machine.pending(done, at())[0].status is Status.STOPPED
    (lost,) = __import__("watchkeeper.execute.recover", fromlist=["recover"]).recover(
        held, at(), old_performer_dead=True
    )
    doubted = machine.advance(held, lost)
    assert doubted.doubts == ("fleet[0]/a",)
    assert doubted.status is Status.IN_DOUBT


def test_no_target_is_never_every_target():
    memory = drive(plan(foreach("fleet", do("a")), targets=()))
    assert memory.run.status is Status.FAILED
    assert "no target is never every target" in memory.run.why
    run = machine.fold(plan(foreach("fleet", do("a")), targets=()), (opened(), STARTED, StepDue(at=at(), path="fleet")))
    assert machine.pending(run, at())[0].status is Status.SUCCEEDED


def test_a_foreach_inside_a_call_inside_a_target_sees_that_target():
    other = runbook(foreach("again", do("x")), name="payments/other")
    memory = drive(plan(foreach("fleet", call("sub", "payments/other")), targets=targets(2), called=(other,)))
    assert memory.world.sent == ["fleet[0]/sub/again[0]/x", "fleet[1]/sub/again[0]/x"]
    assert memory.run.status is Status.SUCCEEDED


def test_paths_that_a_plan_does_not_have_are_conflicts():
    a_plan = plan(foreach("fleet", do("a")), do("b"), parallel("p", do("c")), targets=targets(2))
    for path in (
        "fleet[0]",
        "fleet/a",
        "b/a",
        "b[0]/a",
        "fleet[2]/a",
        "fleet[x]/a",
        "fleet[0",
        "",
        "p/d",
        "fleet[²]/a",
    ):
        with pytest.raises(Conflict):
            machine.step_at(machine.start(a_plan, opened()), path)
    assert machine.step_at(machine.start(a_plan, opened()), "fleet[1]/a").id == "a"
    assert machine.target_at(machine.start(a_plan, opened()), "fleet[1]/a").name == "web-1"
    assert machine.target_at(machine.start(a_plan, opened()), "b") is None


def test_a_called_runbook_that_the_configuration_lost_is_broken():
    memory = drive(plan(call("sub", "payments/gone")))
    assert "the configuration has no runbook payments/gone" in memory.run.why
    with pytest.raises(Conflict, match="the plan has no runbook 'payments/gone'"):
        machine.step_at(memory.run, "sub/x")


def test_calls_nested_too_deep_are_broken():
    loop = runbook(call("again", "payments/loop"), name="payments/loop")
    memory = drive(plan(call("first", "payments/loop"), called=(loop,)))
    assert "calls are nested deeper than 8" in memory.run.why


def test_a_read_is_never_undone():
    memory = drive(plan(do("look", effect=Effect.READ, undo="safe"), do("b")), World(does={"b": ["rejected"]}))
    assert memory.world.sent == ["look", "b"]


def test_a_foreach_over_nothing_but_a_group_still_needs_its_parts():
    empty = Step(id="fleet", kind=StepKind.FOREACH, steps=(do("a"),))
    assert drive(plan(empty, targets=targets(2))).run.status is Status.SUCCEEDED
