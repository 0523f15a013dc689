"""How a run says it left its targets, and rare places of the tree."""

import pytest
from execute_material import (
    Effect,
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

from watchkeeper.engine import memory as driver
from watchkeeper.engine.memory import Memory
from watchkeeper.errors import Conflict
from watchkeeper.execute import machine
from watchkeeper.execute.fleet import NAMED_MAX
from watchkeeper.execute.plan import undoes
from watchkeeper.execute.run import (
    CancelAsked,
    Child,
    Done,
    Doubted,
    Ended,
    Intended,
    Perform,
    Started,
    Status,
    StepDue,
)
from watchkeeper.packs.runbook import Call, Undo

STARTED = Started(at=at(), timeout_at=at(900_000))


def closed(a_plan, *events):
    run = machine.fold(a_plan, (opened(), STARTED, *events))
    return machine.advance(run, Ended(at=at(), status=Status.CLOSED, why="gone")).state


def sent(path, undo=False, attempt=1):
    return Intended(at=at(), path=path, attempt=attempt, key="k", undo=undo)


def done(path, undo=False):
    return Done(at=at(), path=path, attempt=1, undo=undo)


A_DONE = (StepDue(at=at(), path="a"), sent("a"), done("a"), StepDue(at=at(), path="b", broken="no"))


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ((), "web-1: as before, nothing was sent"),
        ((*A_DONE, StepDue(at=at(), path="a", undo=True)), "web-1: a done; not verified"),
        (
            (*A_DONE, StepDue(at=at(), path="a", undo=True), sent("a", undo=True)),
            "web-1: undo of a in doubt: it was sent and nothing came back",
        ),
        (
            (*A_DONE, StepDue(at=at(), path="a", undo=True), sent("a", undo=True), done("a", undo=True)),
            "web-1: a undone and not verified",
        ),
        (
            (StepDue(at=at(), path="a"), sent("a"), Doubted(at=at(), path="a", attempt=1, why="lost")),
            "web-1: a in doubt: it was sent and nothing came back",
        ),
    ],
)
def test_a_closed_run_says_where_each_step_stands(events, words):
    undo = Undo(call=Call(action="back"), verify=verify().verify)
    assert closed(plan(do("a", undo=undo), do("b")), *events) == words


def test_many_targets_and_many_steps_are_counted_beyond_a_few():
    steps = tuple(do(f"s{n}") for n in range(25))
    memory = drive(plan(*steps, targets=tuple(target(f"web-{n}") for n in range(5))))
    assert memory.run.state.startswith("web-0, web-1, web-2 and 2 more: s0, s1")
    assert "s19 and 5 more done; not verified" in memory.run.state
    assert drive(plan(do("a"), targets=())).run.state == "a done; not verified"


def test_fleets_inside_calls_are_found():
    other = runbook(foreach("f", do("x")), name="payments/other")
    memory = drive(plan(call("sub", "payments/other"), parallel("p", do("y")), called=(other,)))
    assert "sub/f: 1 targets done" in memory.run.state
    assert "p/y done" in memory.run.state


def test_only_so_many_failed_targets_are_named_one_by_one():
    targets = tuple(target(f"web-{n}") for n in range(NAMED_MAX + 5))
    a_plan = plan(foreach("f", do("x"), failed=100_000, most=256), targets=targets, timeout_ms=86_400_000)
    memory = drive(a_plan, World(does={f"f[{n}]/x": ["rejected"] for n in range(len(targets))}, takes_ms=1))
    fleet = memory.run.steps[0].fleet
    assert fleet.failed == NAMED_MAX + 5
    assert len(fleet.named) == NAMED_MAX
    assert len(memory.run.state) < 3_000


def test_a_doubt_that_an_undo_covers_is_not_asked_while_the_rest_is_awaited():
    once = do("a", effect=Effect.ONCE, undo="safe")
    a_plan = plan(parallel("p", once, do("b"), most=2), do("c"))
    events = (
        opened(), STARTED, StepDue(at=at(), path="p"), StepDue(at=at(), path="p/a"), StepDue(at=at(), path="p/b"),
        sent("p/a"), sent("p/b"), CancelAsked(at=at(), by="ann"), Doubted(at=at(), path="p/a", attempt=1, why="lost"),
    )  # fmt: skip
    run = machine.fold(a_plan, events)
    assert machine.pending(run, at()) == ()
    assert run.status is Status.RUNNING
    run = machine.advance(run, done("p/b"))
    assert run.root.undoing == ("p/a",)


def test_a_dropped_target_has_nothing_to_undo():
    one = foreach("f", do("x"), do("z", undo="safe", effect=Effect.READ))
    run = drive(plan(one, do("last"), targets=(target("a"), target("b"))), until=at(1_000)).run
    assert run.ended
    kept = drive(plan(foreach("f", do("x"))), until=at(0)).run
    with pytest.raises(Conflict, match="may not begin now"):
        machine.advance(kept, StepDue(at=at(), path="f[0]/x", undo=True))
    with pytest.raises(Conflict, match="target 0 has nothing to undo"):
        machine.advance(drive(plan(foreach("f", do("x")), do("y")), until=at(100)).run, done("f[0]/x", undo=True))


def test_what_an_undo_cannot_apply_to_is_a_conflict():
    a_plan = plan(do("a", undo="safe"), parallel("p", do("b")))
    run = machine.fold(a_plan, (opened(), STARTED))
    with pytest.raises(Conflict, match="step a is pending: there is nothing to undo"):
        machine.advance(run, done("a", undo=True))
    with pytest.raises(Conflict, match="p was not reached"):
        machine.advance(run, done("p/b", undo=True))
    with pytest.raises(Conflict, match="is no path of a step"):
        machine.advance(run, done("a[x"))
    with pytest.raises(Conflict, match="step b has no undo"):
        machine.advance(drive(plan(do("b"), do("c")), until=at(50)).run, done("b", undo=True))


def test_an_undo_anywhere_under_a_container_is_seen():
    other = runbook(do("x", undo="safe"), name="payments/other")
    a_plan = plan(
        foreach("f", parallel("p", do("y"))), call("s", "payments/other"), call("t", "payments/other"), called=(other,)
    )
    assert not undoes(a_plan, a_plan.runbook.steps[:1])
    assert undoes(a_plan, a_plan.runbook.steps)
    none = runbook(do("x"), name="payments/other")
    a_plan = plan(call("s", "payments/other"), call("t", "payments/other"), called=(none,))
    assert not undoes(a_plan, a_plan.runbook.steps)


def test_left_over_children_of_an_undo_are_found():
    a_plan = plan(do("a", undo="safe"), do("b"))
    events = (
        opened(), STARTED, *A_DONE, StepDue(at=at(), path="a", undo=True), sent("a", undo=True),
        Child(at=at(), path="a", pid=4, start_ticks=5, undo=True),
    )  # fmt: skip
    (child,) = machine.leftovers(machine.fold(a_plan, events))
    assert (child.path, child.pid, child.undo) == ("a", 4, True)


def test_the_driver_drops_what_does_not_fit_and_never_loops(monkeypatch):
    memory = Memory(plan(do("a")), opened(), World())
    assert not memory.commit(done("a"))
    assert "cannot move before its start" in memory.dropped[0][1]

    class Blind(World):
        def permit(self, run, command, now):
            return done("a") if isinstance(command, Perform) else None  # no answer to a command that was not sent

    monkeypatch.setattr(driver, "ROUNDS_MAX", 50)
    memory = Memory(plan(do("a")), opened(), Blind())
    memory.drive()
    assert memory.run.why == "the run took longer than 15m"
    assert memory.world.sent == []
    monkeypatch.setattr(driver, "ROUNDS_MAX", 2)
    with pytest.raises(RuntimeError, match="more than 2 rounds"):
        Memory(plan(do("a")), opened(), World()).drive()


def test_a_joined_group_without_room_is_quiet_once_a_covered_doubt_fills_it():
    once = do("x", effect=Effect.ONCE, undo="safe")
    a_plan = plan(do("a"), parallel("p", once, do("y"), most=1, with_previous=True))
    events = (
        opened(), STARTED, StepDue(at=at(), path="a"), sent("a"), done("a"), StepDue(at=at(), path="p"),
        StepDue(at=at(), path="p/x"), sent("p/x"), CancelAsked(at=at(), by="ann"),
        Doubted(at=at(), path="p/x", attempt=1, why="lost"),
    )  # fmt: skip
    run = machine.fold(a_plan, events)
    assert run.root.undoing == ("p/x",)


def test_a_group_lists_no_more_than_it_has_room_for():
    a_plan = plan(parallel("p", do("x"), do("y"), do("z"), most=2))
    run = machine.fold(a_plan, (opened(), STARTED, StepDue(at=at(), path="p")))
    assert [command.path for command in machine.pending(run, at())[:-1]] == ["p/x", "p/y"]
    run = machine.advance(run, StepDue(at=at(), path="p/y"))
    assert [command.path for command in machine.pending(run, at())[:-1]] == ["p/x", "p/y"]
    assert [type(command).__name__ for command in machine.pending(run, at())] == ["Evaluate", "Perform", "Sleep"]
