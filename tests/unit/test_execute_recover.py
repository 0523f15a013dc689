"""After a crash: what becomes of a step with an intent and no outcome."""

import pytest
from execute_material import Call, Effect, World, at, do, drive, foreach, opened, plan, target

from watchkeeper.execute import machine
from watchkeeper.execute.attempt import INTERRUPTIONS_MAX, settled
from watchkeeper.execute.invariants import violations
from watchkeeper.execute.plan import Treatment, treatment, undo_treatment
from watchkeeper.execute.recover import recover
from watchkeeper.execute.run import Done, Doubt, Intended, Perform, Probe, Sleep, Started, Status, StepDue, StepStatus
from watchkeeper.execute.state import StepState
from watchkeeper.packs.runbook import Retry, Undo

KEYS, FENCES = ("idempotency-key",), ("fencing-token",)
CHECK = Call(action="since")


@pytest.mark.parametrize(
    ("effect", "honours", "check", "found"),
    [
        (Effect.READ, (), None, Treatment.REPEAT),
        (Effect.IDEMPOTENT, (), None, Treatment.REPEAT),
        (Effect.KEYED, KEYS, None, Treatment.REPEAT),
        (Effect.KEYED, FENCES, None, Treatment.PERSON),
        (Effect.KEYED, (), CHECK, Treatment.PROBE),
        (Effect.FENCED, FENCES, None, Treatment.REPEAT),
        (Effect.FENCED, KEYS, CHECK, Treatment.PROBE),
        (Effect.PROBED, (), CHECK, Treatment.PROBE),
        (Effect.PROBED, (), None, Treatment.PERSON),
        (Effect.ONCE, KEYS, CHECK, Treatment.PERSON),
    ],
)
def test_keys_and_fences_count_only_where_they_are_honoured(effect, honours, check, found):
    assert treatment(do("x", effect=effect, check=check), (target(honours=honours),)) is found
    assert treatment(do("x", effect=effect, check=check), ()) is (
        found
        if effect not in (Effect.KEYED, Effect.FENCED)
        else treatment(do("x", effect=effect, check=check), (target(),))
    )


def test_every_target_in_scope_must_honour_the_key():
    step = do("x", effect=Effect.KEYED)
    assert treatment(step, (target(honours=KEYS), target("web-2"))) is Treatment.PERSON


def test_an_undo_that_is_safe_if_not_done_is_safe_after_itself():
    assert undo_treatment(Undo(call=CHECK, safe_if_not_done=True)) is Treatment.REPEAT
    assert undo_treatment(Undo(call=CHECK)) is Treatment.PERSON


def crashed(step, *, dead=True, honours=()):
    a_plan = plan(step, targets=(target(honours=honours),))
    memory = drive(a_plan, World(does={step.id: ["lost", "done"]}), until=at(500))
    memory.crash(old_performer_dead=dead)
    return memory


def test_a_repeatable_step_is_sent_again_at_once_under_the_same_key():
    memory = crashed(do("drain"))
    perform = machine.pending(memory.run, memory.now)[0]
    assert isinstance(perform, Perform)
    assert (perform.attempt, perform.repeat) == (2, True)
    memory.drive()
    assert memory.run.status is Status.SUCCEEDED
    assert len({command.key for command in memory.world.performs}) == 1
    assert memory.events[-4].why == "its performer ended before the outcome of attempt 1 was recorded"


def test_an_interruption_does_not_use_up_an_attempt():
    memory = crashed(do("drain"))
    memory.drive()
    assert machine.state_at(memory.run, "drain").interruptions == 1


def test_a_probed_step_asks_its_check_not_before_intent_and_timeout():
    memory = crashed(do("restart", effect=Effect.PROBED, check=CHECK, timeout_ms=2_000))
    assert machine.pending(memory.run, at(1_999)) == (Sleep(run="run_1", start_by_at=at(2_000), until_at=at(2_000)),)
    probe = machine.pending(memory.run, at(2_000))[0]
    assert isinstance(probe, Probe)
    assert probe.not_before_at == at(2_000)
    assert machine.intent_of(memory.run, "restart").at == at()


def test_a_check_that_says_it_did_not_happen_sends_it_again_after_a_crash():
    memory = crashed(do("restart", effect=Effect.PROBED, check=CHECK, timeout_ms=2_000))
    memory.world.checks = {"restart": False}
    memory.drive()
    assert memory.run.status is Status.SUCCEEDED
    assert memory.world.sent == ["restart", "restart"]


def test_a_probed_step_goes_to_a_person_while_the_old_performer_may_live():
    memory = crashed(do("restart", effect=Effect.PROBED, check=CHECK, timeout_ms=2_000), dead=False)
    doubt = machine.pending(memory.run, at(9_000))[0]
    assert isinstance(doubt, Doubt)
    assert "may still be at work" in doubt.why
    assert memory.run.status is Status.IN_DOUBT


def test_a_step_sent_once_goes_to_a_person():
    memory = crashed(do("pay", effect=Effect.ONCE))
    assert memory.run.doubts == ("pay",)
    memory.world.settles = {"pay": False}
    memory.drive()
    assert memory.run.status is Status.SUCCEEDED  # it did not happen, so it is sent: the crash was no attempt
    assert memory.world.sent == ["pay", "pay"]


def test_a_step_that_kills_its_performer_again_and_again_goes_to_a_person():
    memory = drive(plan(do("drain")), World(does={"drain": ["lost"]}), until=at(1))
    for _ in range(INTERRUPTIONS_MAX):
        assert memory.run.status is Status.RUNNING
        memory.crash()
        memory.drive(memory.now)
    assert memory.run.status is Status.IN_DOUBT
    assert len(memory.world.sent) == INTERRUPTIONS_MAX
    assert violations(memory.plan, memory.events) == ()


def test_a_lost_undo_is_repeated_where_it_is_safe_else_a_person_decides():
    for undo, status in (("safe", Status.UNDONE), ("unsafe", Status.IN_DOUBT)):
        world = World(does={"b": ["rejected"], "un:a": ["lost", "done"]})
        memory = drive(plan(do("a", undo=undo), do("b")), world, until=at(5_000))
        memory.crash()
        memory.drive()
        assert memory.run.status is status
    assert memory.run.doubts == ("a",)
    memory.world.settles = {"a": True}
    memory.crash()
    memory.drive()
    assert memory.run.status is Status.UNDONE


def test_the_oldest_intent_is_told_first_and_other_runs_lose_nothing():
    one = foreach("fleet", do("a"), most=2)
    a_plan = plan(one, targets=(target("x"), target("y")))
    memory = drive(a_plan, World(does={"fleet[0]/a": ["lost"], "fleet[1]/a": ["lost"]}), until=at(10))
    lost = recover(memory.run, at(20), old_performer_dead=True)
    assert [event.path for event in lost] == ["fleet[0]/a", "fleet[1]/a"]
    assert all(event.interrupted for event in lost)
    assert recover(drive(plan(do("a"))).run, at(), old_performer_dead=True) == ()
    assert recover(machine.start(plan(do("a")), opened()), at(), old_performer_dead=True) == ()


def test_a_step_that_was_due_is_performed_as_if_nothing_had_happened():
    memory = drive(plan(do("a"), do("b")), until=at(0))
    memory.crash(keep=3)
    assert isinstance(memory.events[-1], StepDue)
    assert memory.drive().status is Status.SUCCEEDED


def test_intents_survive_encoding():
    memory = drive(plan(do("a")))
    kinds = [type(event) for event in memory.events]
    assert kinds[1:5] == [Started, StepDue, Intended, Done]


@pytest.mark.parametrize(
    ("interruptions", "status"), [(INTERRUPTIONS_MAX - 1, StepStatus.DUE), (INTERRUPTIONS_MAX, StepStatus.FAILED)]
)
def test_a_step_that_kills_its_performer_is_not_sent_for_ever_though_each_time_nothing_happened(interruptions, status):
    state = StepState(status=StepStatus.IN_DOUBT, attempts=interruptions + 1, interruptions=interruptions)
    found = settled(state, "restart", at(), "it did not happen", {}, Retry(attempts_max=5), happened=False)
    assert found.status is status
