"""The JSON Schemas of `slos/*.yaml`: of OpenSLO v1 what this release reads, and nothing it would refuse."""

from typing import Any, Final

from watchkeeper.home.load_slos import KINDS, OURS, VERSION
from watchkeeper.home.metrics import Response
from watchkeeper.home.slo import Measure

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_DURATION: Final[Schema] = {"type": "string", "pattern": "^[0-9]", "description": "500ms, 30s, 5m, 1h30m or 7d"}
_SECRET: Final[Schema] = {"type": "string", "pattern": "^(secret|env):[A-Za-z0-9_./-]{1,128}$"}


def slo_schemas() -> dict[str, Schema]:
    """File name -> schema, one a kind."""
    source = _mapping(
        {
            "metricSourceRef": _TEXT,
            "type": _TEXT,
            "spec": _mapping({"measure": {"enum": [each.value for each in Measure]}, "query": _TEXT}),
        },
        "spec",
    )
    counted = _mapping({"metricSource": source}, "metricSource")
    ratio = _mapping(
        {"counter": {"type": "boolean"}, "good": counted, "bad": counted, "total": counted},
        "total",
    )
    indicator = _mapping({"description": _TEXT, "ratioMetric": ratio}, "ratioMetric")
    inline = _mapping(
        {
            "metadata": _mapping({**dict.fromkeys(("name", "displayName"), _TEXT), "labels": {}, "annotations": {}}),
            "spec": indicator,
        },
        "spec",
    )
    objective = _mapping({"displayName": _TEXT, "target": {"type": "number"}, "targetPercent": {"type": "number"}})
    window = _mapping(
        {"duration": {"type": "string", "pattern": "^[1-9][0-9]{0,3}(m|h|d|w)$"}, "isRolling": {"const": True}},
        "duration",
        "isRolling",
    )
    specs: dict[str, Schema] = {
        "SLO": _mapping(
            {
                "description": _TEXT,
                "service": _TEXT,
                "indicator": inline,
                "indicatorRef": _TEXT,
                "timeWindow": {"type": "array", "items": window, "minItems": 1, "maxItems": 1},
                "budgetingMethod": {"const": "Occurrences"},
                "objectives": {"type": "array", "items": objective, "minItems": 1, "maxItems": 1},
                "alertPolicies": {"type": "array", "maxItems": 0},
            },
            "service",
            "timeWindow",
            "budgetingMethod",
            "objectives",
        ),
        "SLI": indicator,
        "Service": _mapping({"description": _TEXT}),
        "DataSource": _mapping(
            {
                "description": _TEXT,
                "type": {"type": "string", "pattern": "^[Pp]rometheus$"},
                "connectionDetails": _mapping({"url": _TEXT, "bearer": _SECRET, "timeout": _DURATION}, "url"),
            },
            "type",
            "connectionDetails",
        ),
    }
    return {f"{kind.lower()}.json": _document(kind, specs[kind]) for kind in KINDS}


def _document(kind: str, spec: Schema) -> Schema:
    annotations: Schema = {"type": "object", "additionalProperties": _TEXT}
    if kind == "SLO":
        annotations["properties"] = {
            f"{OURS}response": {"enum": [each.value for each in Response]},
            f"{OURS}max-age": _DURATION,
            f"{OURS}every": _DURATION,
            f"{OURS}budget-floor": {"type": "string", "pattern": "%$"},
        }
    metadata = _mapping(
        {
            "name": {"type": "string", "pattern": "^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$"},
            "displayName": _TEXT,
            "labels": {"type": "object"},
            "annotations": annotations,
        },
        "name",
    )
    return {
        "title": kind,
        **_mapping(
            {"apiVersion": {"const": VERSION}, "kind": {"const": kind}, "metadata": metadata, "spec": spec},
            "apiVersion",
            "kind",
            "metadata",
            "spec",
        ),
    }


def _mapping(properties: Schema, *required: str) -> Schema:
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": list(required)} if required else found
