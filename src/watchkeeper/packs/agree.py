"""What single files cannot say: whether rules, runbooks and the catalogue fit each other.

Owners and references exist, runbooks are there and take the arguments they are given, calls end, and what a
runbook calls counts in its risk and in what this release cannot do.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from watchkeeper.catalog.catalog import Catalog
from watchkeeper.documents import Node, Problem, ProblemSeverity, suggestion, wrong
from watchkeeper.packs.expression import Template
from watchkeeper.packs.load_runbook import Loaded, unfit
from watchkeeper.packs.load_step import walk
from watchkeeper.packs.mentioned import unknown_attributes
from watchkeeper.packs.risk import with_called
from watchkeeper.packs.rule import Rule
from watchkeeper.packs.runbook import CALL_DEPTH_MAX, Parameter, Runbook

SUGGESTIONS_MAX: Final = 20  # a search among all names each; beyond it the message stands without one


def agree(
    rules: Mapping[str, Rule],
    loaded: Mapping[str, Loaded],
    catalog: Catalog,
    nodes: Mapping[str, Node],
    owners: Sequence[tuple[str, str, Node]],
    problems: list[Problem],
) -> dict[str, Runbook]:
    """The runbooks with what they call counted in. Problems are added."""
    _owners(owners, catalog, problems)
    attributes = frozenset(name for entity in catalog.entities.values() for name in entity.attrs)
    for one in loaded.values():
        for called in one.calls:
            other = loaded.get(called.name)
            if other is None:
                _dangling(called.name, nodes, called.node, called.field, problems)
                continue
            for why in arguments_wrong(other.runbook, called.arguments):
                wrong(problems, called.node, called.field, why)
        for ref, node, field in one.needs:
            if ref not in catalog.entities:
                wrong(problems, node, field, f"{ref} is not in the catalogue{suggestion(ref, catalog.entities)}")
        _approvers(one, catalog, problems)
        problems += unknown_attributes(one.runbook, attributes, one.node)
    cyclic = _cycles(loaded, problems)
    for rule in rules.values():
        _rule(rule, loaded, catalog, nodes, problems)
    return {name: _whole(one.runbook, loaded, cyclic) for name, one in loaded.items()}


def arguments_wrong(runbook: Runbook, given: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with arguments as far as the text shows: names, what is missing, and the type of literals."""
    for name, value in given.items():
        parameter = runbook.parameters.get(name)
        if parameter is None:
            has = ", ".join(sorted(runbook.parameters)) or "none"
            yield f"{runbook.name} has no parameter {name!r}{suggestion(name, runbook.parameters) or f': it has {has}'}"
        elif not isinstance(value, Template) and (why := unfit(parameter, value)):
            yield f"parameter {name!r} of {runbook.name}: {why}"
    for name, parameter in runbook.parameters.items():
        if _missing(parameter) and name not in given:
            yield f"{runbook.name} needs the parameter {name!r}"


def _missing(parameter: Parameter) -> bool:
    return parameter.required and parameter.default is None


def _owners(owners: Sequence[tuple[str, str, Node]], catalog: Catalog, problems: list[Problem]) -> None:
    """Something without an owner cannot be released. Source: CAPABILITIES 9.1."""
    for count, (what, owner, node) in enumerate(owners):
        if owner and owner not in catalog.entities:
            hint = suggestion(owner, catalog.entities) if count < SUGGESTIONS_MAX else ""
            message = f"{what} is owned by {owner}, which is not in the catalogue{hint or ': describe the group there'}"
            wrong(problems, node, "metadata.owner", message)


def _approvers(one: Loaded, catalog: Catalog, problems: list[Problem]) -> None:
    for step in walk(one.runbook.steps):
        for approver in step.ask.by if step.ask is not None else ():
            if approver not in catalog.entities:
                wrong(
                    problems,
                    one.node,
                    "spec.steps",
                    f"step {step.id} asks {approver}, which is not in the catalogue{suggestion(approver, catalog.entities)}",
                )


def _rule(
    rule: Rule, loaded: Mapping[str, Loaded], catalog: Catalog, nodes: Mapping[str, Node], problems: list[Problem]
) -> None:
    node = nodes[f"rule {rule.name}"]
    runbook = loaded.get(rule.runbook)
    place = node.find("runbook") or node
    if runbook is None:
        _dangling(rule.runbook, nodes, place, "spec.runbook", problems)
    else:
        for why in arguments_wrong(runbook.runbook, rule.arguments):
            wrong(problems, node.find("with") or place, "spec.with", why)
    for name in ("system", "domain"):
        ref = rule.target.within.get(name, "")
        if ref and ref not in catalog.entities:
            within = (node.find("target") or node).find("within") or node
            wrong(
                problems,
                within,
                f"spec.target.within.{name}",
                f"{ref} is not in the catalogue{suggestion(ref, catalog.entities)}",
            )
    annotation = rule.target.annotation
    if annotation and annotation not in {"name", "ref"} and not any(key == annotation for key, _ in catalog.keyed):
        by = (node.find("target") or node).find("by") or node
        wrong(
            problems,
            by,
            "spec.target.by",
            f"no entity of the catalogue has the annotation {annotation}: this rule finds no target",
            severity=ProblemSeverity.WARNING,
        )


def _dangling(name: str, nodes: Mapping[str, Node], node: Node, field: str, problems: list[Problem]) -> None:
    if f"runbook {name}" in nodes:
        return  # it is there and has errors of its own, which were told
    known = [other.removeprefix("runbook ") for other in nodes if other.startswith("runbook ")]
    wrong(problems, node, field, f"there is no runbook {name}{suggestion(name, known)}")


def _cycles(loaded: Mapping[str, Loaded], problems: list[Problem]) -> frozenset[str]:
    """The runbooks whose calls never end, or go deeper than they may; each told at its own call."""
    bad: set[str] = set()
    depth: dict[str, int] = {}
    for root in sorted(loaded):
        trail: list[str] = []
        waiting: list[tuple[str, bool]] = [(root, False)]
        while waiting:  # each runbook is entered once over all roots
            name, leaving = waiting.pop()
            if leaving:
                trail.pop()
                below = [depth.get(call.name, 0) for call in loaded[name].calls if call.name in loaded]
                depth[name] = 1 + max(below, default=0)
                continue
            if name in depth:
                continue
            trail.append(name)
            waiting.append((name, True))
            for call in loaded[name].calls:
                if call.name in trail:
                    bad.update(trail[trail.index(call.name) :])
                    circle = " -> ".join([*trail[trail.index(call.name) :], call.name])
                    wrong(problems, call.node, call.field, f"these calls never end: {circle}")
                elif call.name in loaded and call.name not in depth:
                    waiting.append((call.name, False))
    for name, levels in depth.items():
        if levels - 1 > CALL_DEPTH_MAX and name not in bad:
            call = loaded[name].calls[0]
            wrong(problems, call.node, call.field, f"calls go {levels - 1} deep from here, more than {CALL_DEPTH_MAX}")
            bad.add(name)
    return frozenset(bad)


def _whole(own: Runbook, loaded: Mapping[str, Loaded], cyclic: frozenset[str]) -> Runbook:
    if own.name in cyclic or not loaded[own.name].calls:
        return own
    called = _below(own.name, loaded)
    risk, reasons = with_called(own, called)
    unbuilt = (*own.unbuilt, *(f"{word}, called in {other.name}" for other in called for word in other.unbuilt))
    return msgspec.structs.replace(own, risk=risk, risk_reasons=reasons, unbuilt=tuple(dict.fromkeys(unbuilt)))


def _below(name: str, loaded: Mapping[str, Loaded]) -> tuple[Runbook, ...]:
    """Every runbook reached by calls, each once."""
    found: dict[str, Runbook] = {}
    waiting = [call.name for call in loaded[name].calls]
    while waiting:
        other = waiting.pop()
        if other in loaded and other not in found and other != name:
            found[other] = loaded[other].runbook
            waiting += [call.name for call in loaded[other].calls]
    return tuple(found[other] for other in sorted(found))
