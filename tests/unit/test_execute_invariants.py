"""The checker of journals: it finds what must never happen."""

import pytest
from execute_material import Effect, Result, World, at, do, drive, foreach, opened, parallel, plan, target, verify
from msgspec.structs import replace

from watchkeeper.execute.invariants import violations
from watchkeeper.execute.run import (
    Done,
    Doubted,
    Ended,
    Failed,
    Held,
    Intended,
    Paused,
    Settled,
    Started,
    Status,
    StepDue,
    TimedOut,
)

STARTED = Started(at=at(), timeout_at=at(900_000))


def first(events, kind, **fields):
    return next(
        n for n, event in enumerate(events)
        if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items())
    )  # fmt: skip


def test_a_sound_journal_violates_nothing():
    a_plan = plan(do("a", undo="safe"), parallel("p", do("b"), verify()), foreach("f", do("c")))
    assert violations(a_plan, drive(a_plan).events) == ()


def test_a_journal_begins_with_opened_and_ends_with_its_end():
    a_plan = plan(do("a"))
    events = drive(a_plan).events
    assert violations(a_plan, []) == ("the journal does not begin with Opened",)
    assert violations(a_plan, events[1:]) == ("the journal does not begin with Opened",)
    assert violations(a_plan, [*events, Paused(at=at(), by="ann")]) == ("6: Paused follows the end",)


def test_a_hole_is_found():
    a_plan = plan(do("a"))
    events = drive(a_plan).events
    del events[first(events, Intended)]
    (sentence,) = violations(a_plan, events)
    assert sentence.startswith("3: step a is due at attempt 0")


def test_another_key_for_a_repetition_is_found():
    a_plan = plan(do("a"))
    events = drive(a_plan, World(does={"a": ["doubt", "done"]})).events
    at_second = first(events, Intended, attempt=2)
    events[at_second] = replace(events[at_second], key="other")
    assert violations(a_plan, events) == (f"{at_second}: a is repeated under another key",)


def test_a_key_that_two_steps_share_is_found():
    a_plan = plan(do("a"), do("b"))
    events = drive(a_plan).events
    one, two = first(events, Intended, path="a"), first(events, Intended, path="b")
    events[two] = replace(events[two], key=events[one].key)
    assert violations(a_plan, events) == (f"{two}: b shares its key with another step",)


def test_an_end_that_names_nothing_is_found():
    a_plan = plan(do("a"), do("b"))
    events = drive(a_plan, World(does={"b": ["rejected"]})).events
    events[-1] = replace(events[-1], state="fine")
    assert violations(a_plan, events) == ("the run ended failed, a was done and nobody was told",)


def test_a_closed_run_may_leave_anything():
    a_plan = plan(do("a", effect=Effect.ONCE))
    events = [
        opened(), STARTED, StepDue(at=at(), path="a"), Intended(at=at(), path="a", attempt=1, key="k"),
        Ended(at=at(), status=Status.CLOSED, why="gone"),
    ]  # fmt: skip
    assert violations(a_plan, events) == ()


def test_a_once_step_that_a_person_saw_not_done_may_be_sent_again():
    a_plan = plan(do("a", effect=Effect.ONCE))
    events = [
        opened(), STARTED, StepDue(at=at(), path="a"), Intended(at=at(), path="a", attempt=1, key="k"),
        Doubted(at=at(), path="a", attempt=1, why="lost", interrupted=True),
        Settled(at=at(), path="a", happened=False, by="ann"),
        Intended(at=at(), path="a", attempt=2, key="k"), Done(at=at(), path="a", attempt=2),
    ]  # fmt: skip
    assert violations(a_plan, events) == ()


def test_undo_with_verification_and_stops_are_understood():
    a_plan = plan(do("a", undo="safe"), do("b", undo="unsafe"), do("c"))
    for world in (
        World(does={"c": ["rejected"]}),
        World(does={"c": ["rejected"], "un:b": ["doubt"]}, settles={"b": True}),
        World(does={"c": ["rejected"], "un:b": ["rejected"]}),
        World(no={"c": Held(at=at(), guard="stop", why="x")}),
    ):
        memory = drive(a_plan, world)
        assert memory.run.ended
        assert violations(a_plan, memory.events) == ()


@pytest.mark.parametrize("status", [Result.UNHEALTHY, Result.INCONCLUSIVE])
def test_fleets_are_understood(status):
    a_plan = plan(
        foreach("f", do("a", undo="safe"), verify(), failed=2, unhealthy=2), targets=(target("x"), target("y"))
    )
    memory = drive(a_plan, World(sees={"f[0]/healthy": status}))
    assert violations(a_plan, memory.events) == ()


def test_failed_and_timed_out_runs_are_understood():
    a_plan = plan(do("a", undo="safe"), do("b"), timeout_ms=150)
    memory = drive(a_plan, World(does={"b": ["unavailable"]}))
    assert any(isinstance(event, TimedOut | Failed) for event in memory.events)
    assert violations(a_plan, memory.events) == ()
