"""The JSON Schemas of the two registers: exclusions.yaml and transactions.yaml. Each file is one list."""

from typing import Any, Final

from watchkeeper.catalog.entity import EntityKind
from watchkeeper.home.load_exclusions import EXCLUSIONS_MAX, SCOPE
from watchkeeper.home.load_transactions import HOPS_MAX, TRANSACTIONS_MAX
from watchkeeper.home.transaction import PRIORITY_FIRST, PRIORITY_MAX

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_INSTANT: Final[Schema] = {"type": "string", "pattern": "^[0-9]{4}-", "description": "an instant"}
_SHARE: Final[Schema] = {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,4})?%$"}


def exclusions() -> Schema:
    scope = {
        "type": "object",
        "minProperties": 1,
        "properties": {
            name: {"enum": [kind.value for kind in EntityKind]} if name == "kind" else _TEXT for name in SCOPE
        },
        "additionalProperties": False,
    }
    texts = dict.fromkeys(("control", "criterion", "reason", "owner", "approver", "compensating"), _TEXT)
    return _list(
        {
            "id": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"},
            "scope": scope,
            **texts,
            **dict.fromkeys(("from", "until", "review"), _INSTANT),
        },
        ("id", "scope", "control", "reason", "owner", "approver", "from", "until"),
        EXCLUSIONS_MAX,
    )


def transactions() -> Schema:
    return _list(
        {
            "name": {"type": "string", "pattern": "^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"},
            "priority": {"type": "integer", "minimum": PRIORITY_FIRST, "maximum": PRIORITY_MAX},
            "owner": _TEXT,
            "hops": {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": HOPS_MAX},
            "objective": _SHARE,
            "description": _TEXT,
        },
        ("name", "priority", "owner", "hops"),
        TRANSACTIONS_MAX,
    )


def _list(properties: Schema, required: tuple[str, ...], most: int) -> Schema:
    item = {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }
    return {"type": ["array", "null"], "items": item, "maxItems": most}
