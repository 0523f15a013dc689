import pytest
from packs_material import CATALOG, COMPILER, SIMPLE, SIMPLE_RULE, changed

from watchkeeper.home.configuration import compile_home
from watchkeeper.values import instant

ONE = """\
- id: X-1
  scope: {system: payments, environment: staging}
  control: PCI DSS 10.2
  reason: people only
  owner: group:payments-sre
  approver: jane.doe
  from: 2026-01-01T00:00:00Z
  until: 2026-12-31T00:00:00Z
  compensating: checklist
"""


def load(text, files=SIMPLE):
    home = {
        "watchkeeper.yaml": "environments: {staging: {production: false}}",
        "catalog/all.yaml": CATALOG,
        **files,
        "exclusions.yaml": text,
    }
    return compile_home({path: content.encode() for path, content in home.items()}, COMPILER)


def test_an_entry_says_what_was_written():
    (one,) = load(ONE).configuration.exclusions
    assert (one.id, one.control, one.approver, one.compensating) == ("X-1", "PCI DSS 10.2", "jane.doe", "checklist")
    assert (one.scope.system, one.scope.environment) == ("system:default/payments", "staging")
    assert one.owner == "group:default/payments-sre"
    assert (one.from_at, one.until_at) == (instant("2026-01-01T00:00:00Z"), instant("2026-12-31T00:00:00Z"))


@pytest.mark.parametrize("text", ["", "[]", "# none\n"])
def test_no_entry_is_none(text):
    assert load(text).configuration.exclusions == ()


@pytest.mark.parametrize(
    ("old", "new", "place", "field", "words"),
    [
        (
            "system: payments",
            "system: paymnts",
            "2:19",
            "[0].scope.system",
            "would bind nothing: did you mean 'system:default/payments'?",
        ),
        (
            "{system: payments, environment: staging}",
            "{}",
            "2:10",
            "[0].scope",
            "would keep automation out of everything",
        ),
        (
            "{system: payments, environment: staging}",
            "{kind: Server}",
            "2:17",
            "[0].scope.kind",
            "expected one of Component",
        ),
        (
            "{system: payments, environment: staging}",
            "{sytem: payments}",
            "2:11",
            "[0].scope.sytem",
            "did you mean 'system'?",
        ),
        ("group:payments-sre", "group:gone", "5:10", "[0].owner", "group:default/gone is not in the catalogue"),
        ("2026-12-31T00:00:00Z", "2026-01-01T00:00:00Z", "8:10", "[0].until", "is not after `from`"),
        ("2026-12-31T00:00:00Z", "2026-12-31", "8:10", "[0].until", "expected an instant such as"),
        (
            "  compensating:",
            "  review: 2025-12-31T00:00:00Z\n  compensating:",
            "9:11",
            "[0].review",
            "is before `from`",
        ),
        (
            "  compensating:",
            "  review: 2027-01-01T00:00:00Z\n  compensating:",
            "9:11",
            "[0].review",
            "is after `until`",
        ),
        ("  approver: jane.doe\n", "", "1:3", "[0].approver", "is missing"),
        ("  control: PCI DSS 10.2\n", "", "1:3", "[0].control", "is missing"),
    ],
)
def test_what_is_wrong(old, new, place, field, words):
    found = {(f"{one.line}:{one.column}", one.field): one.message for one in load(changed(ONE, old, new)).problems}
    assert (place, field) in found, found
    assert words in found[place, field]


def test_an_id_stands_once():
    (problem,) = (one for one in load(ONE + ONE).problems if one.severity == "error")
    assert (problem.line, problem.message) == (10, "the id 'X-1' stands twice, first in line 1")


class TestProof:
    """No enabled rule can reach what is excluded, or the witness is shown. Source: CAPABILITIES 1.5."""

    def warnings(self, target, exclusion=ONE):
        rule = changed(SIMPLE_RULE, "runbook: look", f"runbook: look\n  target: {target}") if target else SIMPLE_RULE
        found = load(exclusion, {**SIMPLE, "packs/payments/rules/simple.yaml": rule})
        assert found.configuration is not None, found.problems
        return [one.message for one in found.problems]

    def test_a_rule_without_bounds_reaches_it(self):
        (message,) = self.warnings("")
        assert message.startswith("can reach resource:default/web-1, which exclusion X-1 keeps out of automation")

    @pytest.mark.parametrize(
        "target",
        [
            "{within: {environment: prod}}",
            "{within: {tier: silver}}",
            "{kind: Component, by: {name: alert.entity}}",
            "{within: {region: eu}}",
        ],
    )
    def test_a_bound_that_shuts_it_out_is_a_proof(self, target):
        assert self.warnings(target) == []

    @pytest.mark.parametrize(
        "target",
        [
            "{within: {system: payments}}",
            "{kind: Resource, by: {watchkeeper.dev/instance: alert.labels.instance}}",
            "{by: {ref: alert.entity}}",
        ],
    )
    def test_a_bound_that_does_not_is_none(self, target):
        assert len(self.warnings(target)) == 1

    def test_an_entity_is_excluded_by_its_own_reference(self):
        text = changed(ONE, "{system: payments, environment: staging}", "{entity: resource:web-1}")
        assert len(self.warnings("", text)) == 1

    def test_a_disabled_rule_reaches_nothing(self):
        rule = changed(SIMPLE_RULE, "runbook: look", "runbook: look\n  enabled: false")
        assert load(ONE, {**SIMPLE, "packs/payments/rules/simple.yaml": rule}).problems == ()
