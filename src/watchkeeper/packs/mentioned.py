"""What expressions mention: the labels and target attributes of rules and runbooks, for the warnings of `check`.

A misspelt label compiles (it is simply absent), so names that were never seen are told.
"""

from collections.abc import Iterable, Iterator, Mapping

from watchkeeper.documents import Node, Problem, ProblemSeverity, suggestion, wrong
from watchkeeper.packs.expression import Expression
from watchkeeper.packs.load_step import walk
from watchkeeper.packs.permission import expressions_of
from watchkeeper.packs.rule import Rule
from watchkeeper.packs.runbook import Runbook, Step
from watchkeeper.packs.scope import attribute_names, label_names
from watchkeeper.packs.template import expressions_in


def of_rule(rule: Rule) -> Iterator[Expression]:
    yield from rule.when
    yield from (case.when for case in rule.ceilings)
    yield from expressions_in(rule.arguments)
    if rule.target.value is not None:
        yield rule.target.value


def of_runbook(runbook: Runbook) -> Iterator[Expression]:
    yield from expressions_of(runbook.permissions)
    for step in walk(runbook.steps):
        yield from _of_step(step)


def _of_step(step: Step) -> Iterator[Expression]:
    if step.when is not None:
        yield step.when
    yield from expressions_in(step.timeout_from)
    yield from expressions_in(step.arguments)
    calls = (step.call, step.check, step.undo.call if step.undo is not None else None)
    yield from (found for call in calls if call is not None for found in expressions_in(call.arguments))
    verifications = (step.verify, step.undo.verify if step.undo is not None else None)
    for verify in verifications:
        if verify is not None:
            yield from expressions_in(verify.arguments)
            yield from expressions_in(verify.expect)
    if step.ask is not None:
        yield from step.ask.show


def labels_of(rule: Rule) -> frozenset[str]:
    """The labels a rule lives on: those it demands, and those its expressions mention."""
    return frozenset(rule.match) | label_names(of_rule(rule))


def unseen_labels(rules: Iterable[Rule], seen: frozenset[str], nodes: Mapping[str, Node]) -> tuple[Problem, ...]:
    """A warning for each rule that mentions a label no signal ever had. Without any signal nothing is known, so nothing is said."""
    problems: list[Problem] = []
    for rule in rules if seen else ():
        for label in sorted(labels_of(rule) - seen):
            wrong(
                problems,
                nodes[f"rule {rule.name}"],
                "spec",
                f'the label {label!r} was never seen, so it equals "" here{suggestion(label, seen)}',
                severity=ProblemSeverity.WARNING,
            )
    return tuple(problems)


def unknown_attributes(runbook: Runbook, attributes: frozenset[str], node: Node) -> tuple[Problem, ...]:
    """A warning for each target attribute that no entity of the catalogue has: the step would be broken."""
    problems: list[Problem] = []
    for name in sorted(attribute_names(of_runbook(runbook)) - attributes):
        wrong(
            problems,
            node,
            "spec",
            f"no entity of the catalogue has watchkeeper.dev/attr.{name}, so target.{name} has no value"
            f"{suggestion(name, attributes)}",
            severity=ProblemSeverity.WARNING,
        )
    return tuple(problems)
