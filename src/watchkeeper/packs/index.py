"""The index of a rulebook: each rule under the one label that tells it best from the others.

So matching costs what matches and not what exists: an alert looks up a value for each label in the index, and
those are few, because rules that share a label name share its place.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping

from watchkeeper.packs.rule import Rule


def build_index(
    rules: Mapping[str, Rule],
) -> tuple[dict[tuple[str, str], tuple[str, ...]], tuple[str, ...], tuple[str, ...]]:
    """(label, value) -> rules in name order; the labels in use; the rules that demand no label at all."""
    crowd: Counter[tuple[str, str]] = Counter(
        (label, value) for rule in rules.values() for label, values in rule.match.items() for value in values
    )
    index: dict[tuple[str, str], list[str]] = defaultdict(list)
    unindexed = []
    for name in sorted(rules):
        rule = rules[name]
        if not rule.match:
            unindexed.append(name)
            continue
        label = min(rule.match, key=lambda one: (*_cost(rule, one, crowd), one))
        for value in rule.match[label]:
            index[label, value].append(name)
    labels = tuple(sorted({label for label, _ in index}))
    return {key: tuple(names) for key, names in index.items()}, labels, tuple(unindexed)


def _cost(rule: Rule, label: str, crowd: Mapping[tuple[str, str], int]) -> tuple[bool, int, int]:
    """The empty value last, since every alert without the label has it; then the crowd met there; then the places."""
    values = rule.match[label]
    return "" in values, max((crowd[label, value] for value in values), default=0), len(values)


def matches(rule: Rule, labels: Mapping[str, str]) -> bool:
    """Whether every label the rule demands has one of its values; an absent label is ""."""
    return all(labels.get(label, "") in values for label, values in rule.match.items())
