"""Laws of the run machine: whatever fails, whenever it crashes, whoever interferes."""

import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parent.parent / "unit"))

from execute_material import (
    FALSE,
    T0,
    TRUE,
    World,
    approve,
    at,
    call,
    do,
    foreach,
    opened,
    parallel,
    plan,
    runbook,
    target,
    verify,
)

from watchkeeper.engine.memory import Memory, journal_of
from watchkeeper.errors import Conflict
from watchkeeper.execute import machine
from watchkeeper.execute.backoff import backoff_ms, dice_ppm, step_key
from watchkeeper.execute.invariants import violations
from watchkeeper.execute.plan import body, wave_ends
from watchkeeper.execute.run import (
    CancelAsked,
    Doubt,
    Ended,
    Held,
    NoLongerNeeded,
    Paused,
    Resumed,
    Status,
    TimedOut,
)
from watchkeeper.packs.runbook import Call, Effect, OnFailure, OnStop, Retry, StepKind, Undo
from watchkeeper.verify.sample import Result

LAW = settings(max_examples=60, deadline=None)

RETRY = Retry(attempts_max=2, first_ms=200, errors=("unavailable",))


@st.composite
def leaf(draw, name):
    kind = draw(st.sampled_from(["do", "do", "do", "verify", "approve"]))
    more = {
        "when": draw(st.sampled_from([None, None, None, TRUE, FALSE])),
        "with_previous": draw(st.sampled_from([False, False, True])),
    }
    if kind == "verify":
        return verify(name, **more)
    if kind == "approve":
        return approve(name, **more)
    effect = draw(st.sampled_from(list(Effect)))
    check = Call(action="check") if draw(st.booleans()) else None
    undo = draw(st.sampled_from([None, "safe", "unsafe", "verified", "retried"]))
    if undo == "verified":
        undo = Undo(call=Call(action="u"), verify=verify().verify, safe_if_not_done=draw(st.booleans()))
    elif undo == "retried":
        undo = Undo(call=Call(action="u"), retry=RETRY, safe_if_not_done=draw(st.booleans()))
    retry = draw(st.sampled_from([Retry(), RETRY]))
    return do(name, effect=effect, check=check, undo=undo, retry=retry, timeout_ms=500, **more)


@st.composite
def sequence(draw, prefix, deep):
    steps = []
    for index in range(draw(st.integers(1, 3))):
        name = f"{prefix}{index}"
        kind = draw(st.sampled_from(["leaf", "leaf", "leaf", "parallel", "foreach", "call"])) if deep else "leaf"
        joined = draw(st.sampled_from([False, False, True]))
        if kind == "parallel":
            inner = draw(sequence(f"{name}_", deep - 1))
            steps.append(parallel(name, *inner, most=draw(st.integers(1, 3)), with_previous=joined))
        elif kind == "foreach":
            inner = draw(sequence(f"{name}_", deep - 1))
            steps.append(
                foreach(
                    name,
                    *inner,
                    waves=draw(st.sampled_from([("100%",), ("1", "50%", "100%"), ("2",)])),
                    failed=draw(st.sampled_from([None, 2])),
                    unhealthy=draw(st.sampled_from([None, 2])),
                    most=draw(st.integers(1, 3)),
                    with_previous=joined,
                )
            )
        elif kind == "call":
            steps.append(call(name, "payments/other", with_previous=joined))
        else:
            steps.append(draw(leaf(name)))
    return steps


@st.composite
def plans(draw):
    names = ["a", "b", "c", "d"][: draw(st.integers(1, 4))]
    honours = draw(st.sampled_from([(), ("idempotency-key",), ("idempotency-key", "fencing-token")]))
    return plan(
        *draw(sequence("s", 2)),
        targets=tuple(target(name, honours=honours) for name in names),
        called=(runbook(*draw(sequence("o", 0)), name="payments/other"),),
        on_stop=draw(st.sampled_from(list(OnStop))),
        on_failure=draw(st.sampled_from(list(OnFailure))),
        timeout_ms=draw(st.sampled_from([3_000, 60_000])),
    )


class Chance(World):
    """Outcomes by dice, weighted towards going on."""

    def __init__(self, seed, bad):
        super().__init__()
        self.dice, self.bad = Random(seed), bad

    def _fine(self):
        return self.dice.random() > self.bad

    def permit(self, run, command, now):
        if self._fine() or self.dice.random() < 0.7:
            return None
        return Held(at=now, guard=self.dice.choice(["hold", "freeze", "stop"]), why="no", now=self.dice.random() < 0.3)

    def perform(self, run, command, now):
        name = f"un:{command.path}" if command.undo else command.path
        outcome = "done" if self._fine() else self.dice.choice(["done", "unavailable", "rejected", "doubt", "lost"])
        self.does[name] = [outcome]
        self.takes_ms = self.dice.choice([10, 300, 700])
        return super().perform(run, command, now)

    def verify(self, run, command, now):
        self.sees = {command.path: Result.HEALTHY if self._fine() else self.dice.choice(list(Result))}
        self.sees[f"un:{command.path}"] = self.sees[command.path]
        return super().verify(run, command, now)

    def probe(self, run, command, now):
        self.checks = {command.path: self.dice.choice([True, False, None])}
        return super().probe(run, command, now)

    def request(self, run, command, now):
        self.answers = {command.path: True if self._fine() else self.dice.choice([False, None])}
        return super().request(run, command, now)

    def doubt(self, run, command, now):
        self.settles = {command.path: self.dice.choice([True, False, None])}
        return super().doubt(run, command, now)


OUTSIDE = st.lists(
    st.tuples(
        st.integers(0, 4_000),
        st.sampled_from(["pause", "resume", "cancel", "needless", "hold", "crash", "crash", "takeover"]),
    ),
    max_size=4,
)


def every(a_plan, steps, prefix, targets):
    """The paths that a run without failures sends."""
    for step in steps:
        if step.when is FALSE:
            continue
        path = f"{prefix}{step.id}"
        match step.kind:
            case StepKind.DO:
                yield path
            case StepKind.FOREACH:
                for index in range(targets):
                    yield from every(a_plan, step.steps, f"{path}[{index}]/", 1)
            case _:
                yield from every(a_plan, body(a_plan, step), f"{path}/", targets)


def outside(kind, when):
    return {
        "pause": Paused(at=when, by="ann"),
        "resume": Resumed(at=when, by="ann"),
        "cancel": CancelAsked(at=when, by="ann"),
        "needless": NoLongerNeeded(at=when, why="resolved"),
        "hold": Held(at=when, guard="hold", why="a person leads"),
    }[kind]


def play(a_plan, seed, bad, interference):
    memory = Memory(a_plan, opened(), Chance(seed, bad))
    for ms, kind in sorted(interference):
        when = at(ms)
        memory.drive(when)
        if kind in ("crash", "takeover"):
            memory.crash(old_performer_dead=kind == "crash")
        else:
            memory.commit(outside(kind, max(when, memory.now)))
    memory.drive()
    # What never answers is what a crash looks like to the next one; a pause is lifted in the end.
    for _ in range(300):
        if memory.run.ended or any(isinstance(one, Doubt) for one in machine.pending(memory.run, memory.now)):
            break
        memory.crash()
        if memory.run.paused:
            memory.commit(Resumed(at=memory.now, by="ann"))
        memory.drive()
    return memory


@settings(max_examples=100, deadline=None)
@given(plans(), st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.3, 0.6]), OUTSIDE)
def test_every_run_ends_or_asks_a_person_and_every_invariant_holds(a_plan, seed, bad, interference):
    memory = play(a_plan, seed, bad, interference)
    events = memory.events
    assert violations(a_plan, events) == ()
    run = memory.run
    asked = [one for one in machine.pending(run, memory.now) if isinstance(one, Doubt)]
    assert run.ended or asked, (run.status, machine.pending(run, memory.now))
    if asked and not run.ended:
        assert run.status is Status.IN_DOUBT
        assert {one.path for one in asked} == set(run.doubts)
    if run.ended:
        with pytest.raises(Conflict):
            machine.advance(run, Paused(at=memory.now, by="ann"))
        assert machine.pending(run, memory.now) == ()


@LAW
@given(plans(), st.integers(0, 2**32), st.sampled_from([0.0, 0.3]), OUTSIDE)
def test_a_run_is_a_function_of_its_journal_at_every_event(a_plan, seed, bad, interference):
    memory = play(a_plan, seed, bad, interference)
    events = memory.events
    assert machine.fold(a_plan, events) == memory.run
    run = machine.start(a_plan, events[0])
    for number, event in enumerate(journal_of(events)[1:], start=1):
        run = machine.advance(run, event)
        assert run.number == number + 1
        again = machine.fold(a_plan, events[: number + 1])
        now = event.at
        assert machine.pending(run, now) == machine.pending(again, now)


@LAW
@given(plans(), st.integers(0, 2**32), st.sampled_from([0.0, 0.3]), st.data())
def test_a_crash_after_any_event_loses_no_run(a_plan, seed, bad, data):
    memory = Memory(a_plan, opened(), Chance(seed, bad))
    memory.drive()
    keep = data.draw(st.integers(1, len(memory.journal)))
    memory.crash(keep=keep)
    for _ in range(300):
        if memory.run.ended or any(isinstance(one, Doubt) for one in machine.pending(memory.run, memory.now)):
            break
        memory.drive()
        if not memory.run.ended:
            memory.crash()
    assert memory.run.ended or memory.run.status is Status.IN_DOUBT
    assert violations(a_plan, memory.events) == ()


@LAW
@given(plans(), st.integers(0, 2**32), st.sampled_from([0.1, 0.6]), OUTSIDE)
def test_closing_by_force_always_works(a_plan, seed, bad, interference):
    memory = Memory(a_plan, opened(), Chance(seed, bad))
    for ms, kind in sorted(interference):
        memory.drive(at(ms))
        if not memory.run.ended and kind not in ("crash", "takeover"):
            memory.commit(outside(kind, memory.now))
    if not memory.run.ended:
        assert memory.commit(Ended(at=memory.now, status=Status.CLOSED, why="by force"))
    assert memory.run.ended
    assert memory.run.state


@LAW
@given(plans(), st.integers(0, 2**32))
def test_without_failures_every_step_is_sent_once_in_order(a_plan, seed):
    memory = Memory(a_plan, opened(), Chance(seed, 0.0))
    memory.drive()
    sent = Counter(memory.world.sent)
    assert all(count == 1 for count in sent.values())
    if not any(isinstance(event, TimedOut) for event in memory.events):
        assert not any(name.startswith("un:") for name in sent)
        assert memory.run.status is Status.SUCCEEDED
        assert sorted(sent) == sorted(every(a_plan, a_plan.runbook.steps, "", len(a_plan.targets)))
    assert violations(a_plan, memory.events) == ()


@LAW
@given(
    st.lists(st.one_of(st.integers(1, 50).map(str), st.integers(1, 100).map(lambda n: f"{n}%")), max_size=6),
    st.integers(1, 10_000),
)
def test_waves_rise_and_end_with_every_target(waves, total):
    ends = wave_ends(tuple(waves), total)
    assert ends[-1] == total
    assert list(ends) == sorted(set(ends))
    assert all(0 < end <= total for end in ends)


@LAW
@given(st.integers(1, 20), st.integers(1, 5_000), st.integers(1, 60_000), st.integers(0, 999_999))
def test_a_pause_stays_within_full_jitter(attempt, first_ms, most_ms, dice):
    retry = Retry(first_ms=first_ms, most_ms=most_ms)
    assert 0 <= backoff_ms(retry, attempt, dice) <= min(most_ms, first_ms * 2 ** (attempt - 1))


def test_a_thousand_pauses_are_uniform_up_to_the_bound():
    retry = Retry(first_ms=1_000, most_ms=8_000)
    for attempt, bound in ((1, 1_000), (3, 4_000), (9, 8_000)):
        keys = [step_key(f"root-{index}", "drain", undo=False) for index in range(1_000)]
        pauses = [backoff_ms(retry, attempt, dice_ppm(key, attempt)) for key in keys]
        assert min(pauses) >= 0
        assert max(pauses) <= bound
        buckets = Counter(min(9, pause * 10 // bound) for pause in pauses)
        # chi-square with 9 degrees of freedom: 27.9 is the 99.9 % quantile
        assert sum((buckets[n] - 100) ** 2 / 100 for n in range(10)) < 27.9
        assert pauses == [backoff_ms(retry, attempt, dice_ppm(key, attempt)) for key in keys]


def test_ten_thousand_targets_need_the_memory_of_the_few_under_way():
    targets = tuple(target(f"web-{index}") for index in range(10_000))
    one = foreach("fleet", do("restart"), verify(), waves=("1", "10%", "50%", "100%"), most=10)
    memory = Memory(plan(one, targets=targets, timeout_ms=86_400_000), opened(), World(takes_ms=1))
    most = 0
    while not memory.run.ended:
        memory.drive(memory.now + timedelta(milliseconds=400))
        fleet = memory.run.steps[0].fleet
        if fleet is not None:
            most = max(most, len(msgspec.json.encode(fleet)))
            assert len(fleet.active) <= 10
    assert memory.run.status is Status.SUCCEEDED
    assert memory.run.steps[0].fleet.done == 10_000
    assert most < 20_000
    assert memory.run.opened.at == T0
