"""What expressions see, and what becomes of their answers."""

import pytest
from execute_material import (
    Effect,
    Look,
    World,
    approve,
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
)

from watchkeeper.errors import Conflict
from watchkeeper.execute import machine
from watchkeeper.execute.bindings import check_arguments, frame_at, parameters
from watchkeeper.execute.run import Done, Evaluate, Intended, Started, Status, StepDue
from watchkeeper.packs.expression import Template
from watchkeeper.packs.runbook import Ask, Call, Parameter, Step, StepKind, Undo, Verification


def look(path):
    def answer(bindings):
        value = bindings
        for part in path.split("."):
            value = value[part]
        return value

    return Look(path, answer, (tuple(path.split(".")),))


def text(*pieces):
    return Template(tuple(pieces), "".join(p if isinstance(p, str) else f"${{{p.source}}}" for p in pieces))


def act(name, arguments, **more):
    return Step(id=name, kind=StepKind.DO, call=Call(action="x", arguments=arguments), **more)


def due(memory, path):
    return next(event for event in memory.events if isinstance(event, StepDue) and event.path == path)


def test_parameters_target_run_alert_and_earlier_outputs_are_seen():
    arguments = {
        "grace": text(look("params.grace")),
        "host": text(look("target.name")),
        "said": text(look("steps.first.output.n"), " times"),
        "alert": text(look("alert.name")),
        "run": text(look("run.id")),
        "at": text(look("run.started_at")),
        "nested": {"list": [text(look("params.grace"))]},
    }
    a_plan = plan(do("first"), act("second", arguments), arguments={"grace": 30_000}, alert={"name": "Wedged"})
    memory = drive(a_plan)
    assert due(memory, "second").arguments == {
        "grace": 30_000,
        "host": "web-1",
        "said": "1 times",
        "alert": "Wedged",
        "run": "run_1",
        "at": "2026-03-01T03:00:00.000000Z",
        "nested": {"list": [30_000]},
    }


def test_intent_at_is_seen_by_the_check_and_the_undo():
    step = do("restart", effect=Effect.PROBED, check=Call(action="since", arguments={"at": text(look("intent_at"))}))
    memory = drive(plan(step), World(does={"restart": ["doubt"]}), until=at(200))
    assert check_arguments(memory.run, "restart") == {"at": "2026-03-01T03:00:00.000000Z"}
    memory = drive(plan(do("drain")))
    assert check_arguments(memory.run, "drain") == "step drain has no check"


def test_an_undo_sees_the_output_of_its_own_step():
    undo = Undo(call=Call(action="back", arguments={"n": text(look("steps.a.output.n"))}))
    memory = drive(plan(do("a", undo=undo), do("b")), World(does={"b": ["rejected"]}))
    assert next(e for e in memory.events if isinstance(e, StepDue) and e.undo).arguments == {"n": 1}


def test_a_parallel_step_is_seen_from_outside_and_a_call_is_closed():
    other = runbook(act("inner", {"x": text(look("steps.first.output.n"))}), name="payments/other")
    seen = act("after", {"x": text(look("steps.b.output.n"))})
    memory = drive(plan(do("first"), parallel("p", do("a"), do("b")), seen, called=(other,)))
    assert memory.run.status is Status.SUCCEEDED
    memory = drive(plan(do("first"), call("sub", "payments/other"), called=(other,)))
    assert memory.run.status is Status.FAILED
    assert "inner: step sub/inner: 'steps.first.output.n': KeyError" in memory.run.why


def test_a_call_binds_its_parameters_with_defaults():
    other = runbook(
        act("inner", {"host": text(look("params.host")), "n": text(look("params.n"))}),
        name="payments/other",
        parameters={"host": Parameter(type="text", required=True), "n": Parameter(type="integer", default=3)},
    )
    memory = drive(plan(call("sub", "payments/other", {"host": text(look("target.name"))}), called=(other,)))
    assert due(memory, "sub/inner").arguments == {"host": "web-1", "n": 3}
    assert machine.runbook_at(memory.run, "sub/inner").name == "payments/other"
    assert machine.runbook_at(memory.run, "sub").name == "payments/restart"
    memory = drive(plan(call("sub", "payments/other"), called=(other,)))
    assert memory.run.why == "sub: step sub: runbook payments/other needs parameter host"


@pytest.mark.parametrize(
    ("parameter", "value", "answer"),
    [
        (Parameter(type="duration"), "30s", 30_000),
        (Parameter(type="duration"), 5, 5),
        (Parameter(type="duration"), "soon", "'soon' is not a duration"),
        (Parameter(type="integer"), "3", "'3', not a whole number"),
        (Parameter(type="integer"), True, "True, not a whole number"),
        (Parameter(type="integer", least=3), 2, "is 2, less than 3"),
        (Parameter(type="integer", least=3), 3, 3),
        (Parameter(type="integer", most=3), 4, "is 4, more than 3"),
        (Parameter(type="integer", most=3), 3, 3),
        (Parameter(type="bool"), 1, "1, neither true nor false"),
        (Parameter(type="bool"), True, True),
        (Parameter(type="text"), 1, "1, not text"),
        (Parameter(type="text", pattern="[a-z]+"), "A", "does not match '[a-z]+'"),
        (Parameter(type="text", pattern="[a-z]+"), "a", "a"),
        (Parameter(type="choice", options=("a", "b")), "c", "'c', not one of a, b"),
        (Parameter(type="choice", options=("a", "b")), "b", "b"),
    ],
)
def test_a_parameter_is_typed_and_bounded(parameter, value, answer):
    one = runbook(parameters={"p": parameter})
    if isinstance(answer, str) and answer != value:
        with pytest.raises(ValueError, match=r"parameter p") as no:
            parameters(one, {"p": value})
        assert answer in str(no.value)
    else:
        assert parameters(one, {"p": value}) == {"p": answer}


def test_an_unknown_parameter_is_refused_and_an_optional_one_is_nothing():
    with pytest.raises(ValueError, match="has no parameter q, r"):
        parameters(runbook(), {"r": 1, "q": 2})
    assert parameters(runbook(parameters={"p": Parameter(type="text")}), {}) == {"p": None}


def test_a_url_is_built_only_from_declared_addresses():
    url = text(look("target.admin"), "/drain/", look("params.name"))
    steps = act("a", {"url": url, "method": "POST"})
    good = target(addresses=("admin",), attributes={"admin": "http://10.0.0.1:8080"})
    memory = drive(plan(steps, targets=(good,), arguments={"name": "a/b"}))
    assert due(memory, "a").arguments == {"url": "http://10.0.0.1:8080/drain/a%2Fb", "method": "POST"}
    bad = target(attributes={"admin": "http://10.0.0.1:8080"})
    memory = drive(plan(steps, targets=(bad,), arguments={"name": "x"}))
    assert "step a: url: " in memory.run.why
    assert "watchkeeper.dev/address" in memory.run.why


def test_an_element_of_a_command_is_one_element_and_no_option():
    step = act("a", {"argv": ["systemctl", "restart", text(look("params.unit"))]})
    memory = drive(plan(step, arguments={"unit": "web; rm -rf /"}))
    assert due(memory, "a").arguments == {"argv": ["systemctl", "restart", "web; rm -rf /"]}
    memory = drive(plan(step, arguments={"unit": "--now"}))
    assert "would read as an option; put '--' before it" in memory.run.why


def test_when_must_be_true_or_false():
    memory = drive(plan(do("a", when=Look("1", lambda b: 1))))
    assert memory.run.why == "a: step a: when: '1' answers 1, neither true nor false"
    memory = drive(plan(do("a", when=look("steps.none.output"))))
    assert "when: 'steps.none.output'" in memory.run.why


@pytest.mark.parametrize(
    ("given", "words", "found"),
    [
        ("30s", "", 30_000),
        (5_000, "", 5_000),
        (look("params.grace"), "", 700),
        (text(look("params.grace")), "", 700),
        (0, "not a duration between 1ms and a day", 0),
        (86_400_001, "not a duration between 1ms and a day", 0),
        ("soon", "'soon' is not a duration", 0),
        (True, "not a duration", 0),
    ],
)
def test_a_timeout_may_come_from_an_expression(given, words, found):
    memory = drive(plan(do("a", timeout_from=given), arguments={"grace": 700}))
    if words:
        assert words in memory.run.why
    else:
        assert memory.world.performs[0].timeout_ms == found


def test_a_verification_carries_its_expectation_and_an_approval_what_it_shows():
    check = Verification(
        probe="http",
        arguments={"url": "http://x/", "n": text(look("params.n"))},
        expect={"status": text(look("params.n"))},
    )
    ask = Ask(by=("group:sre",), show=(look("params.n"),))
    steps = (
        Step(id="v", kind=StepKind.VERIFY, verify=check),
        Step(id="ok", kind=StepKind.APPROVE, ask=ask),
    )
    memory = drive(plan(*steps, arguments={"n": 200}))
    assert due(memory, "v").arguments == {"url": "http://x/", "n": 200, "expect": {"status": 200}}
    assert due(memory, "ok").arguments == {"params.n": 200}


def test_target_is_seen_only_where_there_is_one():
    targets = (target("x"), target("y"))
    step = act("a", {"host": text(look("target.name"))})
    assert "KeyError: 'target'" in drive(plan(step, targets=targets)).run.why
    memory = drive(plan(foreach("fleet", step), targets=targets))
    assert due(memory, "fleet[1]/a").arguments == {"host": "y"}


def test_what_was_not_reached_has_no_frame():
    other = runbook(do("x"), name="payments/other")
    a_plan = plan(call("sub", "payments/other"), parallel("p", do("y")), foreach("f", do("z")), called=(other,))
    run = machine.start(a_plan, opened())
    for path in ("sub/x", "p/y"):
        with pytest.raises(Conflict, match="was not reached"):
            frame_at(run, path)
        with pytest.raises(Conflict, match="was not reached"):
            machine.state_at(run, path)
    assert frame_at(run, "f[0]/z").targets == (target(),)
    with pytest.raises(Conflict, match="was not reached"):
        machine.state_at(run, "f[0]/z")


def test_an_undo_needs_a_declared_one():
    run = machine.fold(plan(do("a")), (opened(), Started(at=at(), timeout_at=at(1))))
    with pytest.raises(Conflict, match="step a has no undo"):
        machine.evaluate(run, Evaluate(run="run_1", start_by_at=at(), path="a", undo=True), at())
    with pytest.raises(Conflict, match="was never intended"):
        machine.intent_of(run, "a")
    with pytest.raises(Conflict, match="was never intended"):
        machine.intent_of(run, "a", undo=True)


def test_retry_at_is_none_for_what_the_step_does_not_declare():
    memory = drive(plan(do("a", undo="safe"), approve()), World(answers={"sure": None}), until=at(500))
    command = memory.world.performs[0]
    assert machine.retry_at(memory.run, command, "unavailable", at()) is None
    assert machine.effects_before(memory.run, "sure")
    assert not machine.effects_before(machine.start(plan(do("a")), opened()), "a")
    from msgspec.structs import replace

    with pytest.raises(Conflict, match="no undo"):
        machine.retry_at(drive(plan(do("a"))).run, replace(command, undo=True), "unavailable", at())


def test_steps_are_listed_in_the_order_of_the_plan():
    memory = drive(plan(do("a"), parallel("p", do("b"), do("c")), foreach("f", do("d", undo="safe"))))
    assert [view.path for view in machine.steps_of(memory.run)] == ["a", "p/b", "p/c", "f[0]/d"]
    assert [type(event) for event in memory.events][-1].__name__ == "Ended"
    assert isinstance(memory.events[4], Done)
    assert isinstance(memory.events[3], Intended)
