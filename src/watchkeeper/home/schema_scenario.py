"""The JSON Schema of scenarios: what is given, in which words, and what may be expected of it."""

from collections.abc import Callable
from typing import Any, Final

from watchkeeper.packs.load_given import AGREEMENTS_MAX, BECAUSE, HEALTH, MEANS, SCOPE, SEVERITIES, UNKNOWN
from watchkeeper.packs.rule import Mode
from watchkeeper.packs.scenario import FLEET, LADDER, OUTCOMES, RESULTS, SIGNALS_MAX, VERDICTS, Standing

Schema = dict[str, Any]
Mapping = Callable[..., Schema]

TEXT: Final[Schema] = {"type": "string"}
FREE: Final[Schema] = {"type": "object"}
LABELS: Final[Schema] = {"type": "object", "additionalProperties": TEXT}
TEXTS: Final[Schema] = {"type": "array", "items": TEXT}
SHARE: Final[Schema] = {
    "type": "string",
    "pattern": rf"^(-?[0-9]{{1,3}}(\.[0-9]{{1,4}})?%|{UNKNOWN})$",
    "description": f"a share such as 12.5%, or `{UNKNOWN}`",
}
RATE: Final[Schema] = {"type": ["number", "string"], "description": "a burn rate such as 14.4"}


def scenario(mapping: Mapping, words: Callable[..., Schema], duration: Schema) -> Schema:
    """The fields of `spec`; the caller's own words for a mapping, a choice and a duration."""

    def listed(item: Schema, **more: Any) -> Schema:
        return {"type": "array", "items": item, **more}

    def of_names(value: Schema) -> Schema:
        return {"type": "object", "additionalProperties": value}

    signal = mapping(
        {
            "labels": LABELS,
            "annotations": LABELS,
            "after": duration,
            "standing": words(Standing),
            "source": TEXT,
            "region": TEXT,
        },
        ("labels",),
    )
    until = {**TEXT, "description": "a length of time such as 2h, or an instant"}
    scope = mapping(dict.fromkeys(SCOPE, TEXT))
    limit = mapping({"scope": scope, "reason": TEXT, "by": TEXT, "until": until})
    register = mapping(
        {"scope": scope, "reason": TEXT, "by": TEXT, "until": until, "control": TEXT, "owner": TEXT, "approver": TEXT}
    )
    health = mapping({"health": words(HEALTH), "age": duration}, ("health",))
    objective = {
        "anyOf": [SHARE, mapping({"budget_left": SHARE, "burn": of_names(RATE), "age": duration})],
        "description": "a share of the budget, `unknown`, or {budget_left, burn, age}",
    }
    cell = {"rule": TEXT, "target": TEXT, "severity": words(SEVERITIES)}
    metrics = mapping(
        {
            "uptime": SHARE,
            **{key: {"anyOf": [duration, {"const": UNKNOWN}]} for key in MEANS},
            "incidents": {"type": "integer", "minimum": 0, "maximum": 1_000},
            "age": duration,
        }
    )
    situation = {
        "stops": listed(limit),
        "holds": listed(limit),
        "freezes": listed(limit),
        "exclusions": listed(register),
        "maintenance": listed(limit),
        "deploys": listed(mapping({"service": TEXT, "reason": TEXT, "until": until}, ("service",))),
        "attempts": listed(
            mapping({"target": TEXT, "ago": duration, "status": TEXT, "runbook": TEXT, "symptom": TEXT}, ("target",))
        ),
        "breakers": listed(
            mapping({"runbook": TEXT, "action": TEXT, "target": TEXT, "until": until}, ("runbook", "action", "target"))
        ),
        "brakes": listed(mapping({"rule": TEXT, "region": TEXT})),
        "dependencies": of_names(
            {"anyOf": [words(HEALTH), health], "description": "healthy, unhealthy, unknown, or {health, age}"}
        ),
        "metrics": of_names(metrics),
        "slo": of_names(objective),
        "budget": of_names(objective),
        "regions": of_names(
            {
                "anyOf": [words(("seeing", "blind")), mapping({"age": duration}, ("age",))],
                "description": "seeing, blind, or {age: 20m}",
            }
        ),
        "groups": TEXTS,
        "busy": TEXTS,
        "agreement": listed(
            mapping(
                {
                    **cell,
                    "agreed": {"type": "integer", "minimum": 0, "maximum": AGREEMENTS_MAX},
                    "of": {"type": "integer", "minimum": 1, "maximum": AGREEMENTS_MAX},
                    "level": words(Mode),
                    "since": duration,
                },
                ("rule", "target", "agreed", "of"),
            )
        ),
        "demotions": listed(mapping({**cell, "because": words(BECAUSE), "ago": duration}, ("rule", "target"))),
        "calendars": of_names(
            {
                "anyOf": [{"const": "unreadable"}, mapping({"says": TEXT, "age": duration}, ("says",))],
                "description": "unreadable, or {says: the text of an .ics, age}",
            }
        ),
    }
    effect = mapping({"step": TEXT, "action": TEXT, "target": TEXT, "arguments": FREE})
    given = mapping(
        {
            "at": TEXT,
            "mode": words(Mode),
            "signals": listed(signal, maxItems=SIGNALS_MAX),
            "situation": mapping(situation),
            "catalog": listed(mapping({"ref": TEXT, "health": words(HEALTH), "age": duration}, ("ref", "health"))),
            "failing": listed(mapping({"step": TEXT, "why": TEXT, "targets": {"anyOf": [TEXT, TEXTS]}}, ("step",))),
            "probes": of_names(FREE),
            "outputs": FREE,
        },
        ("signals",),
    )
    expect = mapping(
        {
            "verdict": words(VERDICTS),
            "would_be": words(VERDICTS),
            "rule": TEXT,
            "runbook": TEXT,
            "targets": {"anyOf": [TEXT, TEXTS]},
            "mode": words(Mode),
            "reason": TEXT,
            "until": TEXT,
            "findings": of_names(words(OUTCOMES)),
            "ladder": mapping(dict.fromkeys(LADDER, TEXT)),
            "priority": {"type": "integer", "minimum": 1, "maximum": 9},
            "effects": listed(effect),
            "status": TEXT,
            "verification": words(RESULTS),
            "fleet": mapping({key: {"type": "integer", "minimum": 0} for key in FLEET}),
        }
    )
    return {
        "description": TEXT,
        "given": given,
        "expect": {**expect, "anyOf": [{"required": ["verdict"]}, {"required": ["effects"]}]},
    }
