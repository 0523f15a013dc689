"""One suite over every expression language that ships: today CEL on Google's core."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.adapters.cel import COMPREHENSIONS_MAX, ITERATIONS_MAX, SOURCE_BYTES_MAX, CelCompiler
from watchkeeper.errors import Malformed
from watchkeeper.packs.expression import Broken, Known, Unknown
from watchkeeper.packs.scope import RULE, aged_binding, attribute_names, label_names

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
NAMES = {**RULE, "params.grace": "int", "steps.drain.output": "map", "numbers": "list"}


@pytest.fixture(params=[CelCompiler], ids=["cel"])
def compiler(request):
    return request.param()


def answer(compiler, source, bindings, expects="dyn"):
    return compiler.compile(source, NAMES, expects).evaluate(bindings)


ALERT = {"labels": {"tier": "gold"}, "annotations": {}, "severity": "critical", "starts_at": NOW - timedelta(minutes=5)}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('alert.labels.tier == "gold"', True),
        ('alert.labels.tier != "canary"', True),
        ('alert.labels.absent == ""', True),
        ('alert.labels.absent != "canary"', True),
        ('alert.labels["a.b/c"] == ""', True),
        ('alert.annotations.summary == ""', True),
        ('alert.labels.exists(name, name == "tier")', True),
        ("params.grace > 29999", True),
        ('now - alert.starts_at >= duration("5m")', True),
        ('now - alert.starts_at > duration("5m")', False),
        ("steps.drain.output.status == 200", True),
        ("params.grace / 1000", 30),
        ('target.unit + ".service"', "web.service"),
        ("now", NOW),
        ("numbers.map(x, x * 2)", [2, 4]),
        ('{"a": alert.severity}', {"a": "critical"}),
    ],
)
def test_answers(compiler, source, value):
    bindings = {
        "alert": ALERT,
        "now": NOW,
        "params": {"grace": 30_000},
        "steps": {"drain": {"output": {"status": 200}}},
        "target": {"unit": "web"},
        "numbers": [1, 2],
    }
    assert answer(compiler, source, bindings) == Known(value)


@pytest.mark.parametrize(
    ("source", "expects", "words"),
    [
        ('alert.lables.tier == "gold"', "bool", "'alert.lables.tier' is not in scope; in scope: alert.annotations,"),
        ("parms.grace > 1", "bool", "'parms.grace' is not in scope; in scope: alert, dependency,"),
        ("params.grase > 1", "bool", "in scope: params.grace"),
        ("steps.restart.output.x", "dyn", "in scope: steps.drain.output"),
        ('params.grace == "30s"', "bool", "no matching overload"),
        ("params.grace", "bool", "'params.grace' answers int, expected bool"),
        ("alert.severity ==", "bool", "column 18: Syntax error"),
        ("", "bool", "the expression is empty"),
        ("   ", "bool", "the expression is empty"),
        ("has(alert.labels.tier)", "bool", 'an absent label equals ""'),
        ('alert.labels[alert.severity] == "x"', "bool", "must be written out"),
        ("import os", "bool", "Syntax error"),
        ("\ud800", "bool", ""),
        ("+".join(["numbers.map(x, x)"] * (COMPREHENSIONS_MAX + 1)), "dyn", "5 loops; at most 4"),
    ],
)
def test_what_does_not_compile_says_why_and_what_is_in_scope(compiler, source, expects, words):
    with pytest.raises(Malformed) as refused:
        compiler.compile(source, NAMES, expects)
    assert words in refused.value.why


def test_the_length_of_a_source_is_bounded(compiler):
    room = SOURCE_BYTES_MAX - len('"" == ""')
    compiler.compile('"' + "x" * room + '" == ""', NAMES, "bool")
    with pytest.raises(Malformed, match="longer than 2048 bytes"):
        compiler.compile('"' + "x" * (room + 1) + '" == ""', NAMES, "bool")


def test_as_many_loops_as_are_allowed_compile(compiler):
    compiler.compile("+".join(["numbers.map(x, x)"] * COMPREHENSIONS_MAX), NAMES, "dyn")


def test_the_iteration_budget_breaks_the_expression_and_not_the_process(compiler):
    inside, beyond = list(range(ITERATIONS_MAX - 1)), list(range(ITERATIONS_MAX + 1))
    assert answer(compiler, "numbers.all(x, true)", {"numbers": inside}) == Known(True)
    broken = answer(compiler, "numbers.all(x, true)", {"numbers": beyond})
    assert isinstance(broken, Broken)
    assert "more than 10000 iterations" in broken.why


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("target.missing == 'x'", "missing"),
        ("1 / 0", "divide by zero"),
        ("target.unit > 3", "No matching overloads found"),
        ("params.grace > 1", "params.grace has no value"),
        ("target.object == 1", "of a type that expressions do not know"),
        ("target.lone == 'x'", ""),
        ("steps.drain.output.status", ""),
    ],
)
def test_any_other_failure_is_broken(compiler, source, words):
    strange = {"object": object()} if "object" in source else {"lone": "\ud800"} if "lone" in source else {}
    got = answer(compiler, source, {"target": {"unit": "web", **strange}, "steps": {}})
    assert isinstance(got, Broken)
    assert words in got.why


def test_an_answer_of_another_type_than_expected_is_broken(compiler):
    got = answer(compiler, "target.unit", {"target": {"unit": "web"}}, expects="bool")
    assert got == Broken("'target.unit': expected bool, the answer is str 'web'")


@pytest.mark.parametrize(
    ("source", "bindings"),
    [
        ("metrics.incidents > 5", aged_binding(metrics={"incidents": Unknown("read 9 m ago, may be 5 m old")})),
        ("metrics.incidents > 5", aged_binding(metrics={})),
        ("metrics.incidents > 5", aged_binding()),
        ("metrics.incidents > 5", {}),
        ('dependency["component:db"].health == "up"', aged_binding(dependency={"component:db": Unknown("blind")})),
        ('metrics.incidents > 5 && alert.severity == "critical"', {"alert": ALERT}),
        ("[metrics.incidents]", aged_binding(metrics={"incidents": Unknown("old")})),
        ("slo", aged_binding(slo={"checkout": {"budget_left": Unknown("old")}})),
        ('slo["checkout"].burn["1h"] > 14.4', aged_binding(slo={"checkout": {"burn": {}}})),
        ('slo["checkout"].budget_left < 0.1', aged_binding(slo={})),
        ('metrics.mttr > duration("30m")', aged_binding()),
    ],
)
def test_an_input_with_an_age_that_is_not_known_makes_unknown(compiler, source, bindings):
    got = answer(compiler, source, bindings)
    assert isinstance(got, Unknown)
    assert got.why.startswith(("metrics", "dependency", "slo"))


def test_unknown_says_which_input_and_why(compiler):
    got = answer(
        compiler, "metrics.incidents > 5", aged_binding(metrics={"incidents": Unknown("read 9 m ago, may be 5 m old")})
    )
    assert got == Unknown("metrics.incidents: read 9 m ago, may be 5 m old")


def test_an_unknown_input_that_cannot_change_the_answer_does_not(compiler):
    bindings = {"alert": ALERT, **aged_binding(metrics={"incidents": Unknown("old")})}
    assert answer(compiler, 'alert.severity == "minor" && metrics.incidents > 5', bindings) == Known(False)
    assert answer(compiler, 'metrics.incidents > 5 || alert.severity == "critical"', bindings) == Known(True)


def test_what_it_does_not_look_at_may_be_unknown(compiler):
    slo = {
        "away": {"budget_left": Unknown("no connection")},
        "here": {"budget_left": 0.5, "burn": {"5m": Unknown("nothing was counted"), "1h": 2.0}},
    }
    bindings = aged_binding(slo=slo)
    assert answer(compiler, 'slo["here"].budget_left > 0.4', bindings) == Known(True)
    assert answer(compiler, 'slo["here"].burn["1h"] > 1.0 && slo["here"].budget_left < 1.0', bindings) == Known(True)
    assert answer(compiler, 'slo["here"].burn["5m"] > 1.0', bindings) == Unknown(
        "slo.here.burn.5m: nothing was counted"
    )
    assert answer(compiler, 'slo["away"].budget_left > 0.4', bindings) == Unknown("slo.away.budget_left: no connection")
    assert answer(compiler, 'slo["here"].budget_left > 0.4 || slo["away"].budget_left > 0.4', bindings) == Known(True)


def test_a_known_value_with_an_age_answers(compiler):
    assert answer(compiler, "metrics.incidents > 5", aged_binding(metrics={"incidents": 6})) == Known(True)


@pytest.mark.parametrize(
    ("source", "metrics", "value"),
    [
        ('metrics.mttr > duration("30m")', {"mttr": timedelta(minutes=30)}, False),
        ('metrics.mttr > duration("30m")', {"mttr": timedelta(minutes=30, milliseconds=1)}, True),
        ("metrics.uptime < 0.999", {"uptime": 0.999}, False),
        ("metrics.uptime < 0.999", {"uptime": 0.998999}, True),
    ],
)
def test_a_metric_has_its_own_type_and_both_sides_of_a_limit(compiler, source, metrics, value):
    assert answer(compiler, source, aged_binding(metrics=metrics)) == Known(value)


@pytest.mark.parametrize(
    ("source", "said"), [("metrics.mttr > 5", "Duration, int)"), ("metrics.mtr > 1", "in scope: ")]
)
def test_a_metric_of_another_type_or_name_does_not_compile(compiler, source, said):
    with pytest.raises(Malformed) as refused:
        compiler.compile(source, RULE, "bool")
    assert said in refused.value.why


@pytest.mark.parametrize(
    ("source", "references"),
    [
        ('alert.labels.tier == "a" && target["unit"] == "b"', {("alert", "labels", "tier"), ("target", "unit")}),
        ("numbers.map(target, target.x)", {("numbers",)}),
        ("numbers.exists(x, x == target.name)", {("numbers",), ("target", "name")}),
        ('alert.labels["a.b"] + alert.severity', {("alert", "labels", "a.b"), ("alert", "severity")}),
        ("steps.drain.output.a.b[0]", {("steps", "drain", "output", "a", "b")}),
        ("{'k': [params.grace]}", {("params", "grace")}),
        ("has(target.unit) ? target.unit : 'x'", {("target", "unit")}),
        ("1 + 1", set()),
    ],
)
def test_references_are_what_is_mentioned(compiler, source, references):
    assert set(compiler.compile(source, NAMES, "dyn").references) == references


def test_label_and_attribute_names(compiler):
    found = [compiler.compile("alert.labels.tier + target.unit + target.tier + alert.annotations.x", NAMES, "dyn")]
    assert label_names(found) == {"tier"}
    assert attribute_names(found) == {"unit"}


def test_a_label_that_is_a_number_in_text_stays_text(compiler):
    assert answer(compiler, "alert.labels.port", {"alert": {"labels": {"port": "8080"}}}) == Known("8080")


def test_evaluating_changes_no_input(compiler):
    labels = {"tier": "gold"}
    answer(compiler, 'alert.labels.absent == ""', {"alert": {"labels": labels}})
    assert labels == {"tier": "gold"}


def test_deep_expressions_neither_overflow_nor_crash(compiler):
    assert compiler.compile("+".join(["1"] * 30), NAMES, "dyn").evaluate({}) == Known(30)
    for deep in ("+".join(["1"] * 900), "(" * 900 + "1" + ")" * 900, "target" + ".x" * 900):
        with pytest.raises(Malformed, match="recursion"):
            compiler.compile(deep, NAMES, "dyn")
    assert answer(compiler, "!" * 900 + "true", {}) == Known(True)


@pytest.mark.parametrize(
    ("source", "bindings"),
    [
        ('alert.labels.tier == "gold"', {"alert": {"labels": {"tier": "gold\0canary"}}}),
        ('target.unit == "a"', {"target": {"unit": "a\0b"}}),
        ('alert.severity == "a"', {"alert": {"severity": "a\0b"}}),
        ('target.list == ["a"]', {"target": {"list": ["a\0b"]}}),
        ('alert.labels.exists(k, k == "a")', {"alert": {"labels": {"a\0b": "x"}}}),
    ],
)
def test_a_text_is_never_cut_at_a_zero_byte(compiler, source, bindings):
    got = answer(compiler, source, bindings)
    assert isinstance(got, Broken)
    assert "zero byte" in got.why


def test_a_zero_byte_elsewhere_is_no_matter(compiler):
    assert answer(compiler, 'alert.labels.a == "a"', {"alert": {"labels": {"a": "a", "b": "\0"}}}) == Known(True)


def test_one_compiled_expression_serves_many_threads(compiler):
    expression = compiler.compile('alert.labels.tier == "gold" && metrics.incidents > 1', NAMES, "bool")
    bindings = {"alert": ALERT, **aged_binding(metrics={"incidents": 2})}
    wrong = []

    def work():
        wrong.extend(1 for _ in range(300) if expression.evaluate(bindings) != Known(True))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
