"""A Rule's document to a `Rule`. Every problem is told; a rule is built only when there was no error."""

import re
from collections.abc import Mapping
from typing import Any, Final

from watchkeeper.catalog.entity import EntityKind, resolve
from watchkeeper.documents import Envelope, Fields, Kind, Node, path_join, percent_ppm, text_of, wrong
from watchkeeper.packs.clauses import Clauses, canonical_ref, normal_digest, where_of
from watchkeeper.packs.rule import (
    APPROVE_WITHIN_MS,
    ATTEMPTS_DEFAULT,
    ATTEMPTS_WITHIN_MS,
    SETTLE_MS,
    START_BY_MS,
    TARGETS_MAX,
    Agreement,
    CeilingCase,
    Corroboration,
    Limits,
    Mode,
    Per,
    Rule,
    TargetQuery,
    Unavailable,
    WhenUnknown,
)
from watchkeeper.packs.scope import RULE, RULE_TARGET

PRIORITY_MAX: Final = 1_000
ATTEMPTS_MAX: Final = 1_000
ACCEPTED_MAX: Final = 256  # values of one label
REGIONS_MAX: Final = 64
WINDOW_MAX_MS: Final = 7 * 86_400_000  # attempts are remembered as long
WAIT_MAX_MS: Final = 7 * 86_400_000

WITHIN: Final = ("system", "environment", "region", "domain", "tier")
SCOPES: Final = ("service", "zone", "group")

_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:/-]{0,255}")
_RUNBOOK: Final = re.compile(r"(?:[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*")
_QUERY: Final = re.compile(r"name|ref|[a-z0-9.-]+/[A-Za-z0-9._-]+")


def load_rule(head: Envelope, pack: str, clauses: Clauses) -> Rule | None:
    """None when the document has an error. `pack` is the name of the pack the file stands in."""
    spec = head.spec
    before = len(spec.problems)
    runbook = spec.text(
        "runbook", required=True, pattern=_RUNBOOK, expected="a runbook such as payments/restart-instance"
    )
    autonomy = _autonomy(spec, clauses)
    rule = Rule(
        name=f"{pack}/{head.name}",
        owner=canonical_ref(head.owner),
        pack=pack,
        where=where_of(head.node),
        digest=normal_digest("Rule", f"{pack}/{head.name}", head.owner, head.node),
        match=_match(spec),
        when=clauses.clauses(spec, "when", RULE),
        when_unknown=spec.choice("unknown", WhenUnknown, default=WhenUnknown.SKIP),
        for_ms=spec.duration("for", most=WAIT_MAX_MS),
        regions=_regions(spec),
        corroborate=_corroborate(spec),
        per=spec.choice("per", Per, default=Per.ALERT),
        target=_target(spec, clauses),
        runbook=runbook if "/" in runbook else f"{pack}/{runbook}",
        arguments=_arguments(spec, clauses, RULE),
        priority=spec.integer("priority", most=PRIORITY_MAX),
        ceiling=autonomy[0],
        ceilings=autonomy[1],
        limits=_limits(spec),
        enabled=spec.boolean("enabled", default=True),
        description=spec.text("description"),
    )
    spec.done()
    return rule if not any(problem.severity == "error" for problem in spec.problems[before:]) else None


def _match(spec: Fields) -> dict[str, tuple[str, ...]]:
    """At least one label: a rule that demands nothing would match everything, and nobody means that."""
    found = {}
    node = spec.node_of("match")
    for label, value in spec.mapping("match", required=True):
        place = path_join(spec.at("match"), label)
        if not _LABEL.fullmatch(label):
            wrong(spec.problems, value, place, f"{label!r} is not the name of a label")
        items = value.items if value.kind is Kind.LIST else (value,)
        if not items or len(items) > ACCEPTED_MAX:
            wrong(
                spec.problems,
                value,
                place,
                f"expected a value, or a list of 1 to {ACCEPTED_MAX}",
                expected="a string or a list of strings",
            )
        accepted = (text_of(item, spec.problems, place, expected="a string") for item in items)
        found[label] = tuple(dict.fromkeys(text for text in accepted if text is not None))
    if node is not None and node.kind is Kind.MAPPING and not node.entries:
        spec.wrong(
            "match", "is empty, and a rule that demands no label would match every alert: name one, such as alertname"
        )
    return found


def _regions(spec: Fields) -> Agreement | None:
    regions = spec.child("regions")
    if regions is None:
        return None
    of = regions.texts("of", required=True, most=REGIONS_MAX)
    agree = regions.integer("agree", required=True, least=1, default=1)
    if len(set(of)) != len(of):
        regions.wrong("of", "names a region twice")
    if of and agree > len(of):
        regions.wrong("agree", f"asks for {agree} regions of {len(of)}: it could never be met")
    regions.done()
    return Agreement(agree=agree, of=of)


def _corroborate(spec: Fields) -> Corroboration | None:
    fields = spec.child("corroborate")
    if fields is None:
        return None
    found = Corroboration(
        groups=fields.integer("groups", required=True, least=1, most=REGIONS_MAX, default=1),
        within_ms=fields.duration("within", required=True, least=1_000, most=WAIT_MAX_MS, default=300_000),
    )
    fields.done()
    return found


def _target(spec: Fields, clauses: Clauses) -> TargetQuery:
    fields = spec.child("target")
    if fields is None:
        return TargetQuery()
    by = fields.mapping("by")
    if len(by) > 1:
        fields.wrong("by", f"names {len(by)} annotations, and a look-up has one: bound the rest with `within`")
    annotation, value = "", None
    for key, node in by[:1]:
        if not _QUERY.fullmatch(key):
            wrong(
                fields.problems,
                node,
                path_join(fields.at("by"), key),
                f"{key!r} is no annotation: expected one such as watchkeeper.dev/instance, or name, or ref",
            )
        annotation, value = key, clauses.clause(node, path_join(fields.at("by"), key), RULE_TARGET, "string")
    query = TargetQuery(
        kind=str(fields.choice("kind", EntityKind) or ""),
        annotation=annotation,
        value=value,
        within=_within(fields),
        most=fields.integer("max", default=1, least=1, most=TARGETS_MAX),
    )
    if not annotation and (query.kind or query.most > 1):
        fields.wrong(
            "", "without `by` the alert's own entity is the target: leave `kind` and `max` out, or say what to look up"
        )
    fields.done()
    return query


def _within(target: Fields) -> dict[str, str]:
    """Systems and domains as canonical references, so that they compare with the catalogue's."""
    fields = target.child("within")
    if fields is None:
        return {}
    found = {}
    for name in WITHIN:
        text = fields.text(name)
        if text and name in {"system", "domain"}:
            try:
                text = resolve(text, kind=name)
            except ValueError as why:
                fields.wrong(name, str(why))
        if text:
            found[name] = text
    fields.done()
    return found


def _arguments(spec: Fields, clauses: Clauses, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        key: clauses.tree(node, path_join(spec.at("with"), key), names) for key, node in spec.mapping("with", most=64)
    }


def _autonomy(spec: Fields, clauses: Clauses) -> tuple[Mode, tuple[CeilingCase, ...]]:
    fields = spec.child("autonomy")
    if fields is None:
        return Mode.OBSERVE, ()
    cases = []
    for case in fields.many("when", most=32):
        node = case.node_of("if")
        ceiling = case.choice("ceiling", Mode, required=True)
        if node is None:
            case.wrong("if", "is missing: expected an expression that says when this ceiling holds")
        else:
            condition = clauses.clause(node, case.at("if"), RULE)
            if condition is not None and ceiling is not None:
                cases.append(CeilingCase(when=condition, ceiling=ceiling))
        case.done()
    ceiling = fields.choice("ceiling", Mode, default=Mode.OBSERVE)
    fields.done()
    return ceiling, tuple(cases)


def _limits(spec: Fields) -> Limits:
    fields = spec.child("limits")
    if fields is None:
        return Limits()
    blast = fields.integer("blast", default=None, most=TARGETS_MAX)
    found = Limits(
        attempts=fields.integer("attempts", default=ATTEMPTS_DEFAULT, least=1, most=ATTEMPTS_MAX),
        attempts_within_ms=fields.duration("within", default=ATTEMPTS_WITHIN_MS, least=60_000, most=WINDOW_MAX_MS),
        settle_ms=fields.duration("settle", default=SETTLE_MS, most=WAIT_MAX_MS),
        approve_within_ms=fields.duration("approve_within", default=APPROVE_WITHIN_MS, least=60_000, most=WAIT_MAX_MS),
        start_by_ms=fields.duration("start_by", default=START_BY_MS, least=1_000, most=WAIT_MAX_MS),
        unavailable=_unavailable(fields),
        blast_max=blast,
    )
    fields.done()
    return found


def _unavailable(limits: Fields) -> Unavailable | None:
    fields = limits.child("unavailable")
    if fields is None:
        return None
    of = fields.text("of", required=True)
    if of and of not in SCOPES:
        fields.wrong("of", f"expected one of {', '.join(SCOPES)}, got {of!r}")
    node = fields.node_of("max")
    most, most_ppm = None, None
    if node is None:
        fields.wrong("max", "is missing: expected a count such as 1, or a share such as 10%")
    else:
        most, most_ppm = _count_or_share(node, fields)
    fields.done()
    return Unavailable(of=of or "service", most=most, most_ppm=most_ppm)


def _count_or_share(node: Node, fields: Fields) -> tuple[int | None, int | None]:
    if node.kind is Kind.INTEGER and isinstance(node.scalar, int) and 1 <= node.scalar <= TARGETS_MAX:
        return node.scalar, None
    try:
        share = percent_ppm(node.raw) if node.kind is Kind.TEXT else 0
    except ValueError:
        share = 0
    if not share:
        fields.wrong("max", f"expected a count of at least 1, or a share such as 10%, got {node}", expected="1, or 10%")
    return None, share or None
