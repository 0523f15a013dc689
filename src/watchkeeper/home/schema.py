"""JSON Schemas (draft 2020-12) of what people write, for editors: completion, and most mistakes while typing.

The loader stays the judge: expressions, references and bounds across fields are only seen by `wk check`. What a
schema refuses the loader refuses too, and a file the loader accepts is valid here (the tests hold the two together).
"""

import json
from enum import StrEnum
from typing import Any, Final

from watchkeeper.catalog.entity import EntityKind
from watchkeeper.documents.envelope import API_VERSION
from watchkeeper.home import schema_registers
from watchkeeper.home.schema_scenario import scenario
from watchkeeper.home.schema_settings import settings
from watchkeeper.home.schema_slos import slo_schemas
from watchkeeper.packs.action import STORES
from watchkeeper.packs.load_runbook import TYPES
from watchkeeper.packs.load_step import ERRORS
from watchkeeper.packs.replay_test import FORBIDS
from watchkeeper.packs.rule import Mode, Per, Risk, WhenUnknown
from watchkeeper.packs.runbook import Effect, OnFailure, OnStop, Via

Schema = dict[str, Any]

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
BASE: Final = "https://watchkeeper.dev/schemas/"

TEXT: Final[Schema] = {"type": "string"}
NAME: Final[Schema] = {"type": "string", "pattern": "^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$"}
DURATION: Final[Schema] = {
    "type": "string",
    "pattern": "^(?=[0-9])(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m(?!s))?(?:[0-9]+s)?(?:[0-9]+ms)?$",
    "description": "500ms, 30s, 5m, 1h30m or 7d",
}
TEMPLATED_DURATION: Final[Schema] = {"anyOf": [DURATION, {"type": "string", "pattern": r"\$\{"}]}
CLAUSE: Final[Schema] = {"type": ["string", "boolean"], "description": "an expression (CEL)"}
TEXTS: Final[Schema] = {"type": "array", "items": TEXT}
ONE_OR_MORE: Final[Schema] = {"anyOf": [TEXT, TEXTS]}
LABELS: Final[Schema] = {"type": "object", "additionalProperties": TEXT}
FREE: Final[Schema] = {"type": "object"}


def schemas() -> dict[str, Schema]:
    """File name -> schema."""
    return {
        "rule.json": _document("Rule", _rule(), ["match", "runbook"]),
        "runbook.json": _runbook(),
        "pack.json": _document(
            "Pack",
            {"version": {"type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+"}, "description": TEXT},
            ["version"],
        ),
        "action.json": _document("Action", _action(), ["program", "effect", "input", "output"]),
        "scenario.json": _document("Scenario", scenario(mapping, words, DURATION), ["given", "expect"]),
        "replay-test.json": _document(
            "ReplayTest", _replay_test(), ["decision", "rule", "runbook", "forbids", "record"]
        ),
        "watchkeeper.json": {
            "$schema": DRAFT,
            "$id": f"{BASE}watchkeeper.json",
            "title": "watchkeeper.yaml",
            **settings(),
        },
        "exclusions.json": _register("exclusions", schema_registers.exclusions()),
        "transactions.json": _register("transactions", schema_registers.transactions()),
        **{name: {"$schema": DRAFT, "$id": f"{BASE}{name}", **schema} for name, schema in slo_schemas().items()},
    }


def _replay_test() -> Schema:
    return {
        "description": {**TEXT, "description": "who said what of it"},
        "decision": TEXT,
        "at": {**TEXT, "description": "when it was made"},
        "rule": TEXT,
        "runbook": {**TEXT, "description": "what may not run again there"},
        "targets": {**ONE_OR_MORE, "description": "where; the first ones, for people"},
        "forbids": {**words(FORBIDS), "description": "the verdict that was wrong: it, and what is more lenient"},
        "record": {**TEXT, "description": "what was recorded of the decision, packed; `wk decisions test` writes it"},
    }


def _register(name: str, items: Schema) -> Schema:
    return {"$schema": DRAFT, "$id": f"{BASE}{name}.json", "title": f"{name}.yaml", **items}


def published() -> dict[str, bytes]:
    """Path below the project -> bytes, as they stand in docs/schemas."""
    return {
        f"docs/schemas/{name}": (json.dumps(schema, indent=2, sort_keys=True) + "\n").encode()
        for name, schema in schemas().items()
    }


def words(enum: type[StrEnum] | tuple[str, ...]) -> Schema:
    return {"enum": [str(word) for word in enum]}


def integer(least: int = 0, most: int | None = None) -> Schema:
    return {"type": "integer", "minimum": least, **({} if most is None else {"maximum": most})}


def mapping(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": list(required)} if required else found


def _document(kind: str, spec: Schema, required: list[str]) -> Schema:
    metadata = mapping(
        {"name": NAME, "owner": TEXT, "labels": LABELS, "annotations": LABELS, "description": TEXT}, ("name", "owner")
    )
    return {
        "$schema": DRAFT,
        "$id": f"{BASE}{kind.lower()}.json",
        "title": kind,
        **mapping(
            {
                "apiVersion": {"const": API_VERSION},
                "kind": {"const": kind},
                "metadata": metadata,
                "spec": mapping(spec, tuple(required)),
            },
            ("apiVersion", "kind", "metadata", "spec"),
        ),
    }


def _rule() -> Schema:
    ceiling = words(Mode)
    target = mapping(
        {
            "kind": words(EntityKind),
            "by": {"type": "object", "maxProperties": 1, "additionalProperties": TEXT},
            "within": mapping(dict.fromkeys(("system", "environment", "region", "domain", "tier"), TEXT)),
            "max": integer(1, 10_000),
        }
    )
    share = {"anyOf": [integer(1), {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,4})?%$"}]}
    limits = mapping(
        {
            "attempts": integer(1, 1_000),
            "within": DURATION,
            "settle": DURATION,
            "approve_within": DURATION,
            "start_by": DURATION,
            "blast": integer(0, 10_000),
            "unavailable": mapping({"max": share, "of": words(("service", "zone", "group"))}, ("max", "of")),
        }
    )
    case = mapping({"if": CLAUSE, "ceiling": ceiling}, ("if", "ceiling"))
    return {
        "match": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"anyOf": [TEXT, {**TEXTS, "minItems": 1}]},
        },
        "when": {"anyOf": [CLAUSE, {"type": "array", "items": CLAUSE, "maxItems": 32}]},
        "unknown": words(WhenUnknown),
        "for": DURATION,
        "regions": mapping({"agree": integer(1), "of": TEXTS}, ("agree", "of")),
        "corroborate": mapping({"groups": integer(1, 64), "within": DURATION}, ("groups", "within")),
        "per": words(Per),
        "target": target,
        "runbook": TEXT,
        "with": FREE,
        "priority": integer(0, 1_000),
        "autonomy": mapping({"ceiling": ceiling, "when": {"type": "array", "items": case, "maxItems": 32}}),
        "limits": limits,
        "enabled": {"type": "boolean"},
        "description": TEXT,
    }


def _runbook() -> Schema:
    parameter = mapping(
        {
            "type": words(TYPES),
            "default": {"type": ["string", "integer", "boolean"]},
            "required": {"type": "boolean"},
            "min": {"type": ["integer", "string"]},
            "max": {"type": ["integer", "string"]},
            "options": TEXTS,
            "pattern": TEXT,
            "description": TEXT,
        },
        ("type",),
    )
    permission = {"type": "object", "properties": {"do": TEXT}, "required": ["do"], "additionalProperties": ONE_OR_MORE}
    spec = {
        "params": {"type": "object", "additionalProperties": parameter},
        "secrets": {
            "type": "object",
            "additionalProperties": mapping({"store": words(STORES), "path": TEXT, "field": TEXT}, ("store", "path")),
        },
        "permissions": {"type": "array", "items": permission, "maxItems": 64},
        "needs": {**TEXTS, "maxItems": 64},
        "objective": mapping({"success": {"type": "string", "pattern": "%$"}}, ("success",)),
        "timeout": DURATION,
        "on_stop": words(OnStop),
        "on_failure": words(OnFailure),
        "expects": ONE_OR_MORE,
        "risk": words(Risk),
        "failover": {"type": "boolean"},
        "description": TEXT,
        "steps": {"$ref": "#/$defs/steps"},
    }
    return {**_document("Runbook", spec, ["steps"]), "$defs": _step_definitions()}


def _step_definitions() -> Schema:
    retry = mapping(
        {
            "attempts": integer(1, 100),
            "first": DURATION,
            "max": DURATION,
            "errors": {"anyOf": [words(ERRORS), {"type": "array", "items": words(ERRORS)}]},
        }
    )
    verify = mapping(
        {
            "http": {"type": ["string", "object"]},
            "tcp": {"type": ["string", "object"]},
            "command": {"type": ["array", "object"]},
            "promql": {"type": ["string", "object"]},
            "expect": FREE,
            "successes": integer(1, 1_000),
            "every": DURATION,
            "within": DURATION,
            "soak": DURATION,
            "timeout": DURATION,
            "via": {"enum": ["local", "ssh"]},
        }
    )
    probes = [{"required": [probe]} for probe in ("http", "tcp", "command", "promql")]
    undo = mapping(
        {
            "do": TEXT,
            "with": FREE,
            "safe_if_not_done": {"type": "boolean"},
            "timeout": DURATION,
            "retry": {"$ref": "#/$defs/retry"},
            "verify": {"$ref": "#/$defs/verify"},
        },
        ("do",),
    )
    common = {
        "id": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "when": CLAUSE,
        "with_previous": {"type": "boolean"},
        "description": TEXT,
    }
    waves = {
        "type": "array",
        "maxItems": 16,
        "items": {"type": "string", "pattern": "^(?:[1-9][0-9]{0,4}|(?:100|[1-9][0-9]?)%)$"},
    }
    kinds = {
        "do": {
            "do": TEXT,
            "via": words(Via),
            "with": FREE,
            "effect": words(Effect),
            "timeout": TEMPLATED_DURATION,
            "retry": {"$ref": "#/$defs/retry"},
            "check": mapping({"do": TEXT, "with": FREE}, ("do",)),
            "undo": undo,
        },
        "verify": {"verify": {"$ref": "#/$defs/verify"}},
        "approve": {
            "approve": mapping(
                {
                    "by": ONE_OR_MORE,
                    "count": integer(1, 16),
                    "within": DURATION,
                    "show": {"anyOf": [CLAUSE, {"type": "array", "items": CLAUSE, "maxItems": 32}]},
                },
                ("by",),
            )
        },
        "parallel": {"parallel": mapping({"max": integer(1, 256)}), "steps": {"$ref": "#/$defs/steps"}},
        "foreach": {
            "foreach": mapping(
                {
                    "in": {"const": "targets"},
                    "waves": waves,
                    "stop": mapping({"failed": integer(), "unhealthy": integer()}),
                    "max": integer(1, 256),
                },
                ("in",),
            ),
            "steps": {"$ref": "#/$defs/steps"},
        },
        "call": {"call": TEXT, "with": FREE},
    }
    steps_of = {"parallel", "foreach"}
    return {
        "retry": retry,
        "verify": {**verify, "oneOf": probes, "dependentRequired": {"via": ["command"]}},
        "steps": {"type": "array", "minItems": 1, "maxItems": 200, "items": {"$ref": "#/$defs/step"}},
        "step": {
            "oneOf": [
                mapping({**common, **parts}, ("id", kind, *(("steps",) if kind in steps_of else ())))
                for kind, parts in kinds.items()
            ]
        },
    }


def _action() -> Schema:
    document = {"type": "object", "properties": {"type": {"const": "object"}}, "required": ["type"]}
    return {
        "program": TEXT,
        "effect": words(Effect),
        "input": document,
        "output": document,
        "limits": mapping({"time": DURATION, "memory_mib": integer(1, 16_384), "output_kib": integer(1, 256)}),
        "description": TEXT,
    }
