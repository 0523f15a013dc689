"""What a card says would be done: the calls with their values, and what is decided later by its name."""

import itertools

import pytest
from execute_material import Look, call, do, foreach, parallel, plan, runbook, target, verify

from watchkeeper.execute.foresee import STEPS_FORESEEN_MAX, foresee
from watchkeeper.packs.expression import Template
from watchkeeper.packs.runbook import CALL_DEPTH_MAX, Call, Step, StepKind, Undo
from watchkeeper.packs.template import SecretUse


def look(path):
    def answer(bindings):
        value = bindings
        for part in path.split("."):
            value = value[part]
        return value

    return Look(path, answer, (tuple(path.split(".")),))


def text(*pieces):
    return Template(tuple(pieces), "".join(p if isinstance(p, str) else f"${{{p.source}}}" for p in pieces))


def act(name, arguments, action="http.request", **more):
    return Step(id=name, kind=StepKind.DO, call=Call(action=action, arguments=arguments), **more)


def lines(found, one):
    return [(each.step, each.of, each.do, dict(each.arguments), each.later) for each in foresee(found, one)]


def test_a_call_is_told_with_the_values_of_its_target_and_a_secret_stays_a_reference():
    web = target("web-1", attributes={"url": "http://127.0.0.1:9000"}, addresses=("url",))
    step = act(
        "drain",
        {
            "method": "POST",
            "url": text(look("target.url"), "/drain?n=", look("params.n")),
            "auth": {"bearer": SecretUse("admin")},
        },
        undo=Undo(call=Call(action="http.request", arguments={"url": text(look("target.url"), "/undrain")})),
    )
    assert lines(plan(step, targets=(web,), arguments={"n": "a b"}), web) == [
        (
            "drain",
            "",
            "http.request",
            {
                "method": "POST",
                "url": "http://127.0.0.1:9000/drain?n=a%20b",
                "auth": '{"bearer":{"secret":"admin"}}',
            },
            (),
        ),
        ("drain", "undo", "http.request", {"url": "http://127.0.0.1:9000/undrain"}, ()),
    ]


def test_what_only_the_run_can_say_stays_as_written_and_is_named():
    step = act(
        "restart",
        {
            "pid": text(look("steps.look.output.pid")),
            "since": text(look("intent_at")),
            "argv": ["kill", text(look("params.pid"))],
        },
        action="command.run",
    )
    ((_, _, _, arguments, later),) = lines(plan(step, targets=(target(),), arguments={"pid": "7 7"}), target())
    assert arguments == {"pid": "${steps.look.output.pid}", "since": "${intent_at}", "argv": 'kill "7 7"'}
    assert later == ("pid", "since")


def test_what_has_no_answer_now_is_no_value():
    ((_, _, _, arguments, later),) = lines(
        plan(act("x", {"a": text(look("params.none"))}), targets=(target(),)), target()
    )
    assert (arguments, later) == ({"a": "${params.none}"}, ("a",))


def test_a_fleet_is_told_for_the_target_that_is_asked_for():
    one, two = target("web-1"), target("web-2")
    found = plan(
        act("first", {"on": text(look("target.name"))}),
        foreach("all", act("x", {"on": text(look("target.name"))})),
        targets=(one, two),
    )
    assert lines(found, two) == [
        ("first", "", "http.request", {"on": "${target.name}"}, ("on",)),
        ("all/x", "", "http.request", {"on": "web-2"}, ()),
    ]


def test_groups_verifications_and_called_runbooks_are_told_step_by_step():
    inner = runbook(do("deep"), name="pack/inner")
    found = plan(
        parallel("both", do("a"), do("b")),
        verify(),
        call("sub", inner.name),
        targets=(target(),),
        called=(inner,),
    )
    assert [(each.step, each.kind, each.do) for each in foresee(found, target())] == [
        ("both/a", "do", "a"),
        ("both/b", "do", "b"),
        ("healthy", "verify", "http"),
        ("sub/deep", "do", "deep"),
    ]


def test_the_condition_of_a_step_is_told_as_written_and_the_list_is_bounded():
    many = [do(f"s{number}", when=Look("params.go", lambda b: True)) for number in range(STEPS_FORESEEN_MAX + 1)]
    found = foresee(plan(*many, targets=(target(),)), target())
    assert len(found) == STEPS_FORESEEN_MAX
    assert found[0].when == "params.go"


def test_an_expression_over_an_earlier_step_is_decided_later_even_where_it_would_have_an_answer_now():
    guess = Look("has(steps.look) ? 1 : 2", lambda b: 2, (("steps", "look"),))
    ((_, _, _, arguments, later),) = lines(plan(act("x", {"n": text(guess)}), targets=(target(),)), target())
    assert (arguments, later) == ({"n": "${has(steps.look) ? 1 : 2}"}, ("n",))


@pytest.mark.parametrize(("deep", "do"), [(CALL_DEPTH_MAX, "http.request"), (CALL_DEPTH_MAX + 1, "p/last")])
def test_calls_are_followed_as_deep_as_a_run_follows_them(deep, do):
    names = [f"p/r{number}" for number in range(1, deep)] + ["p/last"]
    inner = [runbook(call("next", following), name=name) for name, following in itertools.pairwise(names)]
    inner.append(runbook(act("push", {}), name="p/last"))
    (line,) = lines(plan(call("next", names[0]), called=inner), target())
    assert line[2] == do
