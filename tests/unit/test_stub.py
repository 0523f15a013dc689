"""A catalogue entry drafted from an alert: it loads, and the alert that asked for it finds it."""

import pytest

from watchkeeper.catalog.catalog import by_alias
from watchkeeper.catalog.load import load
from watchkeeper.documents import errors, parse
from watchkeeper.report.stub import stub

GROUP = "apiVersion: backstage.io/v1alpha1\nkind: Group\nmetadata: {name: ops}\nspec: {type: team, children: []}\n---\n"
FROM = ("service", "job", "instance")


@pytest.mark.parametrize(
    "value",
    [
        "payments",
        "payments-api",
        "10.0.0.7:9100",
        "has space",
        "ünïcode",
        'quote"d',
        "x" * 200,
        "-",
        "${oops}",
        "a: b # c",
    ],
)
def test_the_draft_loads_and_the_alerts_own_word_finds_it(value):
    text = stub({"service": value, "env": "prod"}, FROM, "group:ops")
    catalog, problems = load(parse("catalog/drafted.yaml", (GROUP + text).encode()))
    assert not errors(problems), [str(problem) for problem in problems]
    found = by_alias(catalog, value)
    assert found is not None
    assert found.environment == "prod"
    assert found.reach is None, "a draft is only observed"


def test_the_first_label_of_the_source_names_it():
    assert "  name: b\n" in stub({"job": "b", "instance": "c"}, FROM)
    assert "name a group of the catalogue" in stub({"job": "b"}, FROM)


def test_an_alert_without_such_a_label_says_what_to_do():
    with pytest.raises(ValueError, match="none of the labels service, job, instance: say in watchkeeper"):
        stub({"alertname": "X"}, FROM)
