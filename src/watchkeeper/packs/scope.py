"""What an expression can see: names and types for the compiler, and the bindings of the same shape.

`wk check --context` prints these tables. Source: SEMANTICS 11.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from watchkeeper.packs.expression import Expression, Unknown
from watchkeeper.packs.metrics import METRICS
from watchkeeper.packs.runbook import Parameter
from watchkeeper.values import Instant

# A word of CEL's grammar cannot follow a dot, so no parameter, step or attribute in use may be called so.
# Source: CEL specification, "Reserved".
RESERVED: Final = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
    ]
)

ALERT: Final[dict[str, str]] = {
    "alert.name": "string",
    "alert.labels": "labels",
    "alert.annotations": "labels",
    "alert.severity": "string",
    "alert.symptom": "string",
    "alert.source": "string",
    "alert.group": "string",
    "alert.region": "string",
    "alert.entity": "string",
    "alert.firing": "bool",
    "alert.starts_at": "timestamp",
    "alert.first_seen_at": "timestamp",
    "alert.last_seen_at": "timestamp",
}

# `target` itself stays open below these: `target.<name>` is the entity's annotation `watchkeeper.dev/attr.<name>`.
TARGET: Final[dict[str, str]] = {
    "target": "map",
    "target.ref": "string",
    "target.kind": "string",
    "target.name": "string",
    "target.env": "string",
    "target.environment": "string",
    "target.production": "bool",
    "target.region": "string",
    "target.zone": "string",
    "target.tier": "string",
    "target.system": "string",
    "target.service": "string",
    "target.owner": "string",
    "target.reach": "string",
    "target.automation": "string",
}
TARGET_FIELDS: Final = frozenset(name.partition(".")[2] for name in TARGET if "." in name)

# Inputs with an age: what was never read, or too long ago, is unknown and not an error (SEMANTICS 8).
AGED: Final[dict[str, str]] = {
    **{f"metrics.{name}": f"aged {kind}" for name, (kind, _) in METRICS.items()},
    **dict.fromkeys(("slo", "probe", "dependency", "region"), "aged"),
}

AGED_ROOTS: Final = frozenset(name.partition(".")[0] for name in AGED)

RULE: Final[dict[str, str]] = {**ALERT, **TARGET, **AGED, "now": "timestamp"}
RULE_TARGET: Final[dict[str, str]] = ALERT  # `target.by` finds the target, so it cannot see one

RUN: Final[dict[str, str]] = {
    "run.id": "string",
    "run.decision": "string",
    "run.incident": "string",
    "run.actor": "string",
    "run.started_at": "timestamp",
}

_PARAMETER_TYPES: Final = {"text": "string", "choice": "string", "integer": "int", "bool": "bool", "duration": "int"}


def runbook_scope(parameters: Mapping[str, Parameter], steps: Iterable[str]) -> dict[str, str]:
    """The names of a step's expressions; `steps` are the ids of earlier steps that have an output."""
    return {
        **ALERT,
        **TARGET,
        **RUN,
        "intent_at": "timestamp",
        **{f"params.{name}": _PARAMETER_TYPES[parameter.type] for name, parameter in parameters.items()},
        **{f"steps.{step}.output": "map" for step in steps},
    }


def alert_binding(
    *,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    severity: str,
    symptom: str,
    source: str,
    group: str,
    region: str,
    entity: str,
    firing: bool,
    starts_at: Instant,
    first_seen_at: Instant,
    last_seen_at: Instant,
) -> dict[str, Any]:
    """The value of `alert`."""
    return {
        "name": labels.get("alertname", ""),
        "labels": labels,
        "annotations": annotations,
        "severity": str(severity),
        "symptom": symptom,
        "source": source,
        "group": group,
        "region": region,
        "entity": entity,
        "firing": firing,
        "starts_at": starts_at,
        "first_seen_at": first_seen_at,
        "last_seen_at": last_seen_at,
    }


def target_binding(
    *,
    ref: str,
    kind: str,
    name: str,
    environment: str,
    production: bool,
    region: str,
    zone: str,
    tier: str,
    system: str,
    service: str,
    owner: str,
    reach: str,
    automation: str,
    attributes: Mapping[str, str],
) -> dict[str, Any]:
    """The value of `target`: its attributes, and the fixed fields, which no attribute can hide."""
    return {
        **attributes,
        "ref": ref,
        "kind": kind,
        "name": name,
        "env": environment,
        "environment": environment,
        "production": production,
        "region": region,
        "zone": zone,
        "tier": tier,
        "system": system,
        "service": service,
        "owner": owner,
        "reach": reach,
        "automation": automation,
    }


def aged_binding(
    metrics: Mapping[str, Any] | None = None,
    slo: Mapping[str, Any] | None = None,
    probe: Mapping[str, Any] | None = None,
    dependency: Mapping[str, Any] | None = None,
    region: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The inputs with an age, each value plain or `Unknown`; a whole group that nobody read is unknown. `metrics` gives
    every name of `METRICS` (it may work one out when it is asked for it).
    """
    given = {"slo": slo, "probe": probe, "dependency": dependency, "region": region}
    return {
        "metrics": dict.fromkeys(METRICS, Unknown("nothing was read")) if metrics is None else metrics,
        **{name: Unknown("nothing was read") if value is None else value for name, value in given.items()},
    }


def label_names(expressions: Iterable[Expression]) -> frozenset[str]:
    """The alert labels that expressions mention, for the warning about names that were never seen."""
    return frozenset(
        path[2]
        for expression in expressions
        for path in expression.references
        if path[:2] == ("alert", "labels") and len(path) > 2
    )


def attribute_names(expressions: Iterable[Expression]) -> frozenset[str]:
    """The target attributes that expressions mention beyond the fixed fields."""
    return frozenset(
        path[1]
        for expression in expressions
        for path in expression.references
        if path[0] == "target" and len(path) > 1 and path[1] not in TARGET_FIELDS
    )


def is_name(text: str) -> bool:
    """Whether an expression can say it after a dot."""
    return text.isascii() and text.isidentifier() and text not in RESERVED


def mentions(expressions: Iterable[Expression], root: str) -> bool:
    return any(path[0] == root for expression in expressions for path in expression.references)


def described(names: Mapping[str, str], hidden: Collection[str] = ()) -> tuple[tuple[str, str], ...]:
    """(name, type) in order, as `wk check --context` prints them."""
    return tuple(sorted((name, kind) for name, kind in names.items() if name not in hidden))
