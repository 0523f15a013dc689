"""Pack actions: a program of the pack, declared with its schemas."""

import pytest
from packs_material import SIMPLE, SIMPLE_RUNBOOK, changed, packs

from watchkeeper.packs.json_schema import DEPTH_MAX, checker, schema_fault
from watchkeeper.packs.rule import Risk
from watchkeeper.packs.runbook import Effect, Via

AT = "packs/payments/actions/flush.yaml"
ACTION = """\
apiVersion: watchkeeper.dev/v1
kind: Action
metadata: {name: flush, owner: group:payments-sre}
spec:
  program: actions/flush.py
  effect: idempotent
  input: {type: object, properties: {host: {type: string}}, required: [host]}
  output: {type: object, properties: {flushed: {type: integer}}}
  limits: {time: 5s, memory_mib: 64, output_kib: 16}
"""
USE = changed(
    changed(SIMPLE_RUNBOOK, "[{do: http.request, methods: [GET]}]", "[{do: payments/flush}]"),
    '{id: see, do: http.request, with: {url: "${target.url}/healthz"}}',
    '{id: see, do: payments/flush, with: {host: "${target.host}"}}',
)
FILES = {
    **SIMPLE,
    AT: ACTION,
    "packs/payments/actions/flush.py": "#!/usr/bin/env python3\nprint('{}')",
    "packs/payments/runbooks/look.yaml": USE,
}


def test_a_program_is_used_like_any_action():
    found = packs(FILES)
    assert found.problems == ()
    action = found.rulebook.actions["payments/flush"]
    assert (action.program, action.effect, action.time_ms) == ("actions/flush.py", Effect.IDEMPOTENT, 5_000)
    assert (action.memory_bytes, action.output_bytes) == (64 * 1024**2, 16 * 1024)
    assert action.input["required"] == ["host"]
    book = found.rulebook.runbooks["payments/look"]
    assert (book.steps[0].effect, book.risk) == (Effect.IDEMPOTENT, Risk.MEDIUM)
    assert book.risk_reasons == ("step see runs the pack's own program payments/flush",)


def test_a_program_runs_on_this_node_and_is_built():
    book = packs(FILES).rulebook.runbooks["payments/look"]
    assert (book.steps[0].via, book.unbuilt) == (Via.LOCAL, ())


@pytest.mark.parametrize(
    ("via", "unbuilt", "words"),
    [
        ("local", (), ""),
        ("ssh", ("payments/flush via: ssh (step see)",), ""),
        ("api", None, "payments/flush is a program, which runs on this node: leave `via` out, or say local"),
    ],
)
def test_another_way_than_this_node_is_not_built_and_a_network_call_it_is_not(via, unbuilt, words):
    text = changed(USE, "id: see,", f"id: see, via: {via},")
    found = packs({**FILES, "packs/payments/runbooks/look.yaml": text})
    assert [one.message for one in found.problems if "runbook" not in one.message] == ([words] if words else [])
    if unbuilt is not None:
        assert found.rulebook.runbooks["payments/look"].unbuilt == unbuilt


def test_what_its_input_requires_is_asked_of_the_step():
    text = changed(USE, ', with: {host: "${target.host}"}', "")
    found = packs({**FILES, "packs/payments/runbooks/look.yaml": text})
    assert "payments/flush needs 'host'" in [one.message for one in found.problems]


def test_a_reading_program_is_of_low_risk_and_may_be_a_check():
    reading = changed(ACTION, "effect: idempotent", "effect: read")
    found = packs({**FILES, AT: reading})
    assert (found.problems, found.rulebook.runbooks["payments/look"].risk) == ((), Risk.LOW)


def test_permissions_bound_the_arguments_of_a_program():
    text = changed(USE, "[{do: payments/flush}]", "[{do: payments/flush, host: [db-1]}]")
    text = changed(text, '"${target.host}"', "db-2")
    found = packs({**FILES, "packs/payments/runbooks/look.yaml": text})
    assert [one.message for one in found.problems if "permission" in one.message] == [
        "host 'db-2' is not among the host of its permission: db-1"
    ]


def test_its_digest_covers_the_program():
    one = packs(FILES).rulebook.actions["payments/flush"].digest
    other = (
        packs({**FILES, "packs/payments/actions/flush.py": "#!/usr/bin/env python3\nprint('{ }')"})
        .rulebook.actions["payments/flush"]
        .digest
    )
    assert one != other


def test_a_program_of_the_same_pack_may_be_called_by_its_short_name():
    text = USE.replace("do: payments/flush, with", "do: flush, with")
    assert packs({**FILES, "packs/payments/runbooks/look.yaml": text}).problems == ()


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("actions/flush.py", "../../x.py", "5:12", "lies outside the pack"),
        ("actions/flush.py", "/etc/passwd", "5:12", "lies outside the pack"),
        ("actions/flush.py", "actions/gone.py", "5:12", "there is no file 'packs/payments/actions/gone.py'"),
        ("idempotent", "twice", "6:11", "expected one of read, idempotent"),
        ("input: {type: object,", "input: {type: array,", "7:10", "expected a JSON Schema of an object"),
        ("{host: {type: string}}", "{host: {type: text}}", "7:51", "is no JSON Schema: expected a type of object"),
        ("{host: {type: string}}", "[host]", "7:37", "is no JSON Schema: ['host'] is not of type 'object'"),
        ("{type: string}", '{pattern: "("}', "7:54", "'(' is not a 'regex'"),
        ("required: [host]", "required: host", "7:71", "'host' is not of type 'array'"),
        (
            "{type: string}",
            "{$ref: https://a.example/x.json}",
            "7:51",
            "leads out of this file, and nothing is fetched",
        ),
        ("{type: string}", '{$ref: "#/$defs/gone"}', "7:51", "is not in this schema; it has none"),
        ("{type: string}", "{$id: https://a.example/x.json}", "7:50", "$id is not used here"),
        ("program: actions/flush.py", "program: pack.yaml", "5:12", "its first line names no interpreter"),
        ("memory_mib: 64", "memory_mib: 0", "9:34", "expected an integer from 1 to 16384"),
        ("memory_mib: 64", "memory: 64", "9:22", "did you mean 'memory_mib'?"),
    ],
)
def test_what_is_wrong(old, new, place, words):
    found = packs({**FILES, AT: changed(ACTION, old, new)})
    problems = {f"{one.line}:{one.column}": one.message for one in found.problems if one.file == AT}
    assert place in problems, problems
    assert words in problems[place]


REFERRING = {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}
ENDLESS = {
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/n"}},
    "$defs": {"n": {"allOf": [{"$ref": "#/$defs/n"}]}},
}


def test_what_is_shared_stands_under_defs():
    assert schema_fault(REFERRING) is None
    assert checker(REFERRING)({"a": 1}) is None
    assert checker(REFERRING)({"a": "x"}) == "a: 'x' is not of type 'integer'"


@pytest.mark.parametrize("name", ["$ref", "$id", "pattern", "properties"])
def test_a_property_may_be_called_like_a_word_of_the_language(name):
    schema = {"type": "object", "properties": {name: {"type": "integer"}}}
    assert schema_fault(schema) is None
    assert checker(schema)({name: "x"})


def test_a_reference_hidden_under_such_a_name_is_found():
    hidden = {"type": "object", "properties": {"properties": {"$ref": "https://a.example/x.json"}}}
    fault = schema_fault(hidden)
    assert fault is not None
    assert fault.path == ("properties", "properties", "$ref")


def test_a_check_that_would_not_end_says_so():
    assert "checking it does not end" in checker(ENDLESS)({"a": 1})
    assert "checking it does not end" in schema_fault({**ENDLESS, "allOf": [{"$ref": "#/$defs/n"}]}).why


def test_nothing_is_fetched_even_past_the_loader(monkeypatch):
    asked = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **_: asked.append(args))
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        checker({"$ref": "http://127.0.0.1:9/x.json"})({})
    assert asked == []


def test_a_schema_is_bounded_in_depth():
    deep = {"type": "object"}
    for _ in range(DEPTH_MAX - 1):
        deep = {"type": "object", "not": deep}
    assert schema_fault(deep) is None
    assert "is nested deeper" in schema_fault({"type": "object", "not": deep}).why
