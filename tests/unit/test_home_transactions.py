import pytest
from packs_material import CATALOG, COMPILER, SIMPLE, changed

from watchkeeper.home.configuration import compile_home
from watchkeeper.home.plan import difference
from watchkeeper.home.transaction import members_of

ONE = """\
- name: pay-out
  priority: 2
  owner: group:payments-sre
  objective: 99.95%
  hops: [config-store, resource:web-1]
  description: money leaves
"""
TWO = """\
- name: login
  priority: 1
  owner: group:payments-sre
  hops: [system:payments]
"""


def load(text, files=SIMPLE):
    home = {
        "watchkeeper.yaml": "environments: {staging: {production: false}}",
        "catalog/all.yaml": CATALOG,
        **files,
        "transactions.yaml": text,
    }
    return compile_home({path: content.encode() for path, content in home.items()}, COMPILER)


def test_a_transaction_says_what_was_written():
    (one,) = load(ONE).configuration.transactions
    assert (one.name, one.priority, one.owner) == ("pay-out", 2, "group:default/payments-sre")
    assert one.hops == ("component:default/config-store", "resource:default/web-1")
    assert (one.objective_ppm, one.description, one.where) == (999_500, "money leaves", "transactions.yaml:1")


def test_the_most_important_stands_first():
    assert [each.name for each in load(ONE + TWO).configuration.transactions] == ["login", "pay-out"]


@pytest.mark.parametrize("text", ["", "[]", "# none\n"])
def test_no_transaction_is_none(text):
    found = load(text).configuration
    assert (found.transactions, found.ranks, found.words) == ((), {}, {})


@pytest.mark.parametrize(
    ("old", "new", "place", "field", "words"),
    [
        ("config-store,", "config-stre,", "5:10", "[0].hops[0]", "did you mean 'component:default/config-store'?"),
        ("config-store,", "config-store, config-store,", "5:24", "[0].hops[1]", "stands twice in these hops"),
        ("config-store,", "group:payments-sre,", "5:10", "[0].hops[0]", "is a Group; a hop is one of Component"),
        ("config-store,", "'a b',", "5:10", "[0].hops[0]", "is no reference"),
        ("[config-store, resource:web-1]", "[]", "5:9", "[0].hops", "is empty"),
        ("  hops: [config-store, resource:web-1]\n", "", "1:3", "[0].hops", "name the services"),
        ("priority: 2", "priority: 0", "2:13", "[0].priority", "an integer from 1 to 9"),
        ("priority: 2", "priority: 10", "2:13", "[0].priority", "an integer from 1 to 9"),
        ("payments-sre", "gone", "3:10", "[0].owner", "group:default/gone is not in the catalogue"),
        ("99.95%", "most", "4:14", "[0].objective", "expected a percentage"),
        ("  description: money leaves\n", "  describes: x\n", "6:3", "[0].describes", "did you mean 'description'?"),
        ("pay-out", "pay out", "1:9", "[0].name", "expected a name such as checkout"),
    ],
)
def test_what_is_wrong(old, new, place, field, words):
    found = {(f"{one.line}:{one.column}", one.field): one.message for one in load(changed(ONE, old, new)).problems}
    assert (place, field) in found, found
    assert words in found[place, field]


@pytest.mark.parametrize("priority", [1, 9])
def test_the_first_and_the_last_priority(priority):
    assert load(changed(ONE, "priority: 2", f"priority: {priority}")).configuration is not None


def test_a_name_stands_once():
    (problem,) = (one for one in load(ONE + ONE).problems if one.severity == "error")
    assert (problem.line, problem.message) == (7, "the name 'pay-out' stands twice, first in line 1")


def test_a_mapping_is_no_list():
    (problem,) = load("name: x").errors
    assert problem.message.startswith("expected a list of transactions")


def test_an_entity_has_the_priority_of_its_most_important_transaction():
    found = load(ONE + TWO).configuration
    assert found.ranks["component:default/config-store"] == 1  # it belongs to the system that login crosses
    assert found.words["config-store"] == 1
    alone = load(ONE).configuration
    assert alone.ranks["component:default/config-store"] == 2


MEMBERS = """
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata: {name: store-1, annotations: {watchkeeper.dev/instance: "10.0.0.1:9000", watchkeeper.dev/alias: "s1, s-one"}}
spec: {type: instance, owner: group:payments-sre, system: payments, dependencyOf: [component:config-store]}
"""


def test_an_alert_may_name_a_hop_by_its_members():
    found = load(ONE, {**SIMPLE, "catalog/all.yaml": CATALOG + MEMBERS}).configuration
    assert members_of("component:default/config-store", found.catalog) == ("resource:default/store-1",)
    assert found.ranks["resource:default/store-1"] == 2
    assert {found.words[word] for word in ("config-store", "store-1", "10.0.0.1:9000", "s1", "s-one")} == {2}
    assert "payments" not in found.words


def test_a_plan_says_what_changes():
    plan = difference(load(ONE).configuration, load(changed(ONE, "priority: 2", "priority: 1") + TWO).configuration)
    found = {(each.kind, each.name): (each.did.value, each.words) for each in plan.changes}
    assert found["transaction", "login"][0] == "added"
    assert found["transaction", "pay-out"] == ("changed", ("priority: 2 -> 1",))
