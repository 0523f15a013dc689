"""Reading fields: typed, bounded, every problem told at once with its place."""

from enum import StrEnum

import pytest

from watchkeeper.documents import (
    Fields,
    Problem,
    ProblemSeverity,
    envelope,
    errors,
    in_order,
    parse,
    percent_ppm,
    percent_text,
)
from watchkeeper.values import instant


class Ceiling(StrEnum):
    AUTO = "auto"
    APPROVE = "approve"


def fields(text: str) -> Fields:
    (node,) = parse("packs/payments/rules/a.yaml", text.encode())
    return Fields(node, [])


def said(reader: Fields) -> list[str]:
    return [str(p).removeprefix("packs/payments/rules/a.yaml:") for p in reader.problems]


def test_the_sentence_an_operator_reads():
    reader = fields("spec:\n  match: {severity: 5}")
    reader.child("spec").child("match").texts("severity", one_will_do=True)
    (problem,) = reader.problems
    assert (
        str(problem)
        == "packs/payments/rules/a.yaml:2:21: spec.match.severity: expected a list of strings, got the number 5"
    )
    assert problem.expected == "a list of strings"


def test_a_problem_without_a_place_and_a_warning():
    assert str(Problem(file="a.yaml", line=0, column=0, field="", message="is empty")) == "a.yaml: is empty"
    warned = Problem(file="a", line=1, column=2, field="x", message="old", severity=ProblemSeverity.WARNING)
    assert str(warned) == "a:1:2: warning: x: old"
    assert errors([warned]) == ()


def test_problems_are_read_down_the_file_and_none_twice():
    first, second = (Problem(file="a", line=line, column=1, field="", message="x") for line in (2, 10))
    assert in_order([second, first, second]) == (first, second)


def test_everything_that_is_right_is_read():
    reader = fields(
        "name: wedged\nn: 3\nok: true\nfor: 1h30m\nsla: 99.95%\nat: 2026-03-01T10:00:00+02:00\nceiling: auto\n"
        "many: [a, b]\none: a\nlabels: {a.b/c: x}\nsteps: [{id: x}]\nwith: {a: [1, {b: null}]}\nenv: {prod: {x: 1}}\n"
    )
    assert reader.text("name", required=True) == "wedged"
    assert reader.integer("n", least=3, most=3) == 3
    assert reader.boolean("ok") is True
    assert reader.duration("for") == 5_400_000
    assert reader.percent("sla") == 999_500
    assert reader.instant("at") == instant("2026-03-01T08:00:00Z")
    assert reader.choice("ceiling", Ceiling) is Ceiling.AUTO
    assert reader.texts("many") == ("a", "b")
    assert reader.texts("one", one_will_do=True) == ("a",)
    assert reader.labels("labels") == {"a.b/c": "x"}
    assert [step.text("id") for step in reader.many("steps")] == ["x"]
    assert reader.plain("with") == {"a": [1, {"b": None}]}
    assert reader.children("env")["prod"].integer("x") == 1
    reader.done()
    assert reader.problems == []
    assert reader.clean


def test_absent_and_nothing_are_the_default():
    reader = fields("a:\n")
    assert (reader.text("a"), reader.text("b", default=None)) == ("", None)
    assert (reader.integer("a", default=7), reader.duration("b", default=None)) == (7, None)
    assert (reader.boolean("a"), reader.boolean("b", default=True)) == (False, True)
    assert (reader.choice("a", Ceiling), reader.instant("a"), reader.percent("a", default=None)) == (None, None, None)
    assert (reader.texts("a"), reader.labels("a"), reader.many("a"), reader.child("a"), reader.plain("a")) == (
        (), {}, (), None, None,
    )  # fmt: skip
    assert reader.problems == []


def test_what_is_required_and_missing_is_told_at_its_mapping():
    reader = fields("spec: {}")
    spec = reader.child("spec")
    spec.text("name", required=True)
    spec.many("steps", required=True)
    assert said(reader) == [
        "1:7: spec.name: is missing: expected a string",
        "1:7: spec.steps: is missing: expected a list",
    ]


@pytest.mark.parametrize(
    ("yaml", "read", "words"),
    [
        ("a: 5", lambda f: f.text("a"), "a: expected a string, got the number 5, quote it"),
        ("a: 1.10", lambda f: f.text("a"), "a: expected a string, got the number 1.10, quote it"),
        ("a: true", lambda f: f.text("a"), "a: expected a string, got the boolean true, quote it"),
        ("a: []", lambda f: f.text("a"), "a: expected a string, got a list"),
        ("a: abc", lambda f: f.text("a", most=2), "a: has 3 characters, more than 2"),
        ("a: yes", lambda f: f.boolean("a"), "a: expected true or false, got the text 'yes'"),
        ("a: '5'", lambda f: f.integer("a"), "a: expected an integer of at least 0, got the text '5'"),
        ("a: true", lambda f: f.integer("a"), "a: expected an integer of at least 0, got the boolean true"),
        ("a: 0", lambda f: f.integer("a", least=1, most=9), "a: expected an integer from 1 to 9, got the number 0"),
        ("a: 10", lambda f: f.integer("a", least=1, most=9), "a: expected an integer from 1 to 9, got the number 10"),
        ("a: 30", lambda f: f.duration("a"), "a: expected a duration such as 500ms, 30s, 5m, 1h30m or 7d, got the number 30"),
        ("a: 6m", lambda f: f.duration("a", most=300_000), "a: expected a duration from 0s to 5m, got the text '6m'"),
        ("a: 0s", lambda f: f.duration("a", least=1), "a: expected a duration from 1ms to 3660d, got the text '0s'"),
        ("a: 99.9", lambda f: f.percent("a"), "a: expected a percentage such as 99.9%, got the number 99.9"),
        ("a: 100.1%", lambda f: f.percent("a"), "a: expected a percentage such as 99.9%, got the text '100.1%'"),
        ("a: 2026-03-01", lambda f: f.instant("a"), "a: expected an instant such as 2026-03-01T10:00:00Z, got the text '2026-03-01'"),
        ("a: atuo", lambda f: f.choice("a", Ceiling), "a: expected one of auto, approve, got the text 'atuo': did you mean 'auto'?"),
        ("a: [x, 5]", lambda f: f.texts("a"), "a[1]: expected a string, got the number 5, quote it"),
        ("a: [x, y]", lambda f: f.texts("a", most=1), "a: holds 2 items, more than 1"),
        ("a: x", lambda f: f.many("a"), "a: expected a list, got the text 'x'"),
        ("a: [5]", lambda f: f.many("a"), "a[0]: expected a mapping, got the number 5"),
        ("a: {b/c: 5}", lambda f: f.labels("a"), 'a["b/c"]: expected a string, got the number 5, quote it'),
        ("a: 5", lambda f: f.child("a"), "a: expected a mapping, got the number 5"),
        ("a: {b: 1, c: 2}", lambda f: f.mapping("a", most=1), "a: holds 2 keys, more than 1"),
        ("a: {b: 0.5}", lambda f: f.plain("a"), "a.b: expected a string or an integer, got the number 0.5, quote it"),
        ("a: 9007199254740993", lambda f: f.plain("a"), "a: expected an integer within 2^53, got the number 9007199254740993, quote it"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_the_reader_goes_on(yaml, read, words):
    reader = fields(yaml)
    read(reader)
    assert [line.split(": ", 1)[1] for line in said(reader)] == [words]
    assert not reader.clean


def test_unknown_fields_are_reported_at_their_key_with_the_nearest_known_one():
    reader = fields("name: x\n  \nprioritty: 5\nzzz: 1")
    reader.text("name")
    reader.integer("priority")
    reader.done()
    assert said(reader) == [
        "3:1: prioritty: unknown field: did you mean 'priority'?",
        "4:1: zzz: unknown field: known here are name, priority",
    ]


def test_a_flood_of_unknown_fields_is_counted_not_listed():
    reader = fields("\n".join(f"k{i}: 1" for i in range(53)))
    reader.done()
    assert len(reader.problems) == 51
    assert reader.problems[-1].message == "has 3 more unknown fields"


def test_a_document_that_is_no_mapping_is_one_problem():
    reader = fields("- 1")
    reader.text("name", required=True)
    reader.done()
    assert said(reader) == ["1:1: expected a mapping, got a list"]


@pytest.mark.parametrize(
    ("text", "ppm"), [("0%", 0), ("100%", 1_000_000), ("99.95%", 999_500), ("0.0001%", 1), ("5.5%", 55_000)]
)
def test_percentages_are_parts_per_million(text, ppm):
    assert percent_ppm(text) == ppm
    assert percent_text(ppm) == text


@pytest.mark.parametrize("text", ["", "5", "100.0001%", "101%", "-1%", "1.00001%", "1e1%", " 5%", "٥%"])
def test_what_is_no_percentage_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"write for example 99\.9%"):
        percent_ppm(text)


GOOD = "apiVersion: watchkeeper.dev/v1\nkind: Rule\nmetadata: {name: wedged, owner: 'group:sre', labels: {a: b}}\nspec: {x: 1}\n"


def head(text: str):
    (node,) = parse("a.yaml", text.encode())
    problems: list[Problem] = []
    return envelope(node, problems, kinds=("Rule", "Runbook")), [str(p) for p in problems]


def test_the_envelope_is_read():
    found, problems = head(GOOD)
    assert (found.kind, found.name, found.owner, found.labels, found.annotations) == (
        "Rule",
        "wedged",
        "group:sre",
        {"a": "b"},
        {},
    )
    assert found.spec.path == "spec"
    assert found.spec.integer("x") == 1
    assert problems == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("dev/v1", "dev/v2", "a.yaml:1:13: apiVersion: expected watchkeeper.dev/v1, got 'watchkeeper.dev/v2'"),
        (
            "kind: Rule",
            "kind: Ruel",
            "a.yaml:2:7: kind: expected one of Rule, Runbook, got 'Ruel': did you mean 'Rule'?",
        ),
        ("spec: {x: 1}", "spec: 5", "a.yaml:4:7: spec: expected a mapping, got the number 5"),
    ],
)
def test_an_envelope_of_something_else_gives_none(old, new, words):
    found, problems = head(GOOD.replace(old, new))
    assert found is None
    assert problems == [words]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (", owner: 'group:sre'", "", "metadata.owner: is missing: expected an owner such as group:payments-sre"),
        ("name: wedged", "name: Wedged", "metadata.name: expected a name of at most 63"),
        ("labels:", "lables:", "metadata.lables: unknown field: did you mean 'labels'?"),
        ("spec:", "sepc: 1\nspec:", "sepc: unknown field"),
    ],
)
def test_a_flaw_of_the_head_is_told_and_the_spec_still_read(old, new, words):
    found, problems = head(GOOD.replace(old, new))
    assert found is not None
    assert len(problems) == 1
    assert words in problems[0]
