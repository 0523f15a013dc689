"""Which rules and runbooks a scenario exercises: what it expects by name, else what its signals' labels lead to.

Pure, and from the texts alone: nothing is played. A rule whose `when` says no to the signals still counts, for that no is
what the scenario is about.
"""

from collections.abc import Mapping

from watchkeeper.packs.rule import Rule
from watchkeeper.packs.scenario import Scenario


def exercised(scenario: Scenario, rules: Mapping[str, Rule]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of rules and of runbooks, sorted."""
    wanted = scenario.expected.rule
    found = {wanted} if wanted else {rule.name for rule in rules.values() if _fits(rule, scenario)}
    books = {rules[name].runbook for name in found if name in rules}
    if scenario.expected.runbook:
        books = {scenario.expected.runbook}
    return tuple(sorted(found)), tuple(sorted(books))


def _fits(rule: Rule, scenario: Scenario) -> bool:
    """Whether one of the signals bears every label that the rule matches; an absent label is the empty string."""
    return any(
        all(signal.labels.get(label, "") in accepted for label, accepted in rule.match.items())
        for signal in scenario.signals
    )
