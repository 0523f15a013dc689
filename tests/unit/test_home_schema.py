"""Schema and loader say the same of a file's shape: what the schema refuses the loader refuses, and the other way
round for what a schema can see.
"""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from packs_material import (
    CALLED,
    CATALOG,
    FILES,
    PACK,
    RULE,
    RUNBOOK,
    SIMPLE,
    SIMPLE_RULE,
    SIMPLE_RUNBOOK,
    changed,
    packs,
)
from test_home_settings import WHOLE
from test_home_settings import load as load_node
from test_packs_load import RULES, RUNBOOKS
from test_packs_scenario import ONE

from watchkeeper.documents import parse, plain_of
from watchkeeper.home.schema import published, schemas
from watchkeeper.home.starter import starter

ROOT = Path(__file__).parents[2]


def complaints(name, text):
    validator = Draft202012Validator(schemas()[name])
    return [
        error.message
        for node in parse("x.yaml", text.encode())
        for error in validator.iter_errors(plain_of(node, [], ""))
    ]


def test_the_schemas_are_schemas():
    for schema in schemas().values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", sorted(published()))
def test_what_is_published_is_what_the_code_says(path):
    """After a change: python -c "from watchkeeper.home.schema import published; ..." writes them again."""
    assert (ROOT / path).read_bytes() == published()[path]
    assert json.loads(published()[path])["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rule.json", RULE),
        ("rule.json", SIMPLE_RULE),
        ("runbook.json", RUNBOOK),
        ("runbook.json", CALLED),
        ("runbook.json", SIMPLE_RUNBOOK),
        ("pack.json", PACK),
        ("scenario.json", ONE),
        ("watchkeeper.json", WHOLE),
        ("watchkeeper.json", "{}"),
    ],
)
def test_what_the_loader_accepts_is_valid(name, text):
    assert complaints(name, text) == []


@pytest.mark.parametrize("path", [path for path in starter() if path.endswith(".yaml")])
def test_the_first_home_is_valid(path):
    names = {"rules": "rule.json", "runbooks": "runbook.json", "scenarios": "scenario.json"}
    parts = path.split("/")
    name = (
        "watchkeeper.json"
        if path == "watchkeeper.yaml"
        else "pack.json"
        if path.endswith("pack.yaml")
        else names.get(parts[2] if len(parts) > 2 else "")
    )
    if name is not None:
        assert complaints(name, starter()[path].decode()) == []


# What only the loader can see: words that no schema can judge without the rest of the home.
BEYOND = (
    "stands twice",
    "there is no runbook",
    "is not in scope",
    "answers string",
    "has no parameter",
    "asks for 3 regions",
    "names a region twice",
    "is not in the catalogue",
    "is not the name of a label",
    "without `by`",
    "no permission",
    "is not among",
    "no word of CEL",
    "there is no action",
    "needs 'url'",
    "no `check`",
    "ends the run",
    "is longer than `max`",
    "has no closing brace",
    "no secret 'admin'",
    "stands alone",
    "looks like",
    "is empty: name at least one",
    "never fit",
    "would decide what is dialled",
    "never end",
    "a check only looks",
    "it would allow nothing",
    "column",
    "a choice lists",
    "is more than",
    "is not a regular expression",
    "cannot be said as params",
)


@pytest.mark.parametrize(
    ("old", "new", "words"), [(one[0], one[1], one[4]) for one in RULES if not any(word in one[4] for word in BEYOND)]
)
def test_what_is_refused_in_a_rules_shape_is_invalid(old, new, words):
    assert complaints("rule.json", changed(SIMPLE_RULE, old, new)), words


@pytest.mark.parametrize(
    ("change", "words"), [(one[0], one[3]) for one in RUNBOOKS if not any(word in one[3] for word in BEYOND)]
)
def test_what_is_refused_in_a_runbooks_shape_is_invalid(change, words):
    assert complaints("runbook.json", changed(SIMPLE_RUNBOOK, *change)), words


@pytest.mark.parametrize(("old", "new"), [(one[0], one[1]) for one in RULES])
def test_what_the_schema_refuses_in_a_rule_the_loader_refuses(old, new):
    text = changed(SIMPLE_RULE, old, new)
    if "runbook: look\n  runbook: look" not in text and complaints("rule.json", text):
        assert packs({**SIMPLE, "packs/payments/rules/simple.yaml": text}).problems


@pytest.mark.parametrize("change", [one[0] for one in RUNBOOKS])
def test_what_the_schema_refuses_in_a_runbook_the_loader_refuses(change):
    text = changed(SIMPLE_RUNBOOK, *change)
    if complaints("runbook.json", text):
        assert packs({**SIMPLE, "packs/payments/runbooks/look.yaml": text}).problems


@pytest.mark.parametrize(
    "text",
    [
        "sources: []",
        "source: {}",
        "sources: {a: {}}",
        "sources: {a: {kind: nagios}}",
        "sources: {a: {kind: alertmanager, credential: {bearer: hunter2}}}",
        "notify: {routes: [{match: {severity: bad}, webhook: 'http://x'}]}",
        "roles: {users: {a: [root]}}",
        "limits: {body_max: 5}",
        "server: {port: 65536}",
        "autonomy: {risk: {high: never}}",
        "environments: {a: {prod: true}}",
    ],
)
def test_both_refuse_in_watchkeeper_yaml(text):
    assert load_node(text)[1]
    assert complaints("watchkeeper.json", text)


def test_the_corpus_holds_files_of_both_sides():
    assert len([one for one in RULES if not any(word in one[4] for word in BEYOND)]) >= 10
    assert len([one for one in RUNBOOKS if not any(word in one[3] for word in BEYOND)]) >= 15
    assert FILES
    assert CATALOG
