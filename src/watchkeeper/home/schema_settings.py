"""The JSON Schema of watchkeeper.yaml."""

from typing import Any, Final

from watchkeeper.home.anomaly import WEEKS_MAX, WEEKS_MIN
from watchkeeper.home.load_metrics import KNOWN
from watchkeeper.home.load_notify import KINDS
from watchkeeper.home.metrics import Response
from watchkeeper.home.settings import Role, SourceKind
from watchkeeper.packs.rule import Mode, Risk
from watchkeeper.values import Severity

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_TEXTS: Final[Schema] = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
_DURATION: Final[Schema] = {"type": "string", "pattern": "^[0-9]", "description": "500ms, 30s, 5m, 1h30m or 7d"}
_SIZE: Final[Schema] = {"type": "string", "pattern": "^[1-9][0-9]{0,6} ?(MiB|GiB|TiB)$"}
_SECRET: Final[Schema] = {"type": "string", "pattern": "^(secret|env):[A-Za-z0-9_./-]{1,128}$"}
_FLAG: Final[Schema] = {"type": "boolean"}
_LABELS: Final[Schema] = {"type": "object", "additionalProperties": _TEXT}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 1}


def settings() -> Schema:
    return _mapping(
        {
            "environments": _named(_mapping({"production": _FLAG, "local": _FLAG})),
            "sources": _named(_source()),
            "notify": _mapping(
                {"tell_after": _DURATION, "routes": {"type": "array", "items": _route(), "maxItems": 100}}
            ),
            "roles": _mapping(
                {"users": _named(_some(list(Role))), "tokens": _named(_some(list(Role))), "groups": _named(_TEXTS)}
            ),
            "trust": _named(_TEXTS),
            "retention": _mapping(
                {**dict.fromkeys(("signals", "situations", "outputs"), _DURATION), "legal_hold": _FLAG}
            ),
            "limits": _mapping(
                {
                    "runs": _mapping(dict.fromkeys(("service", "region", "global"), _COUNT)),
                    "body_max": _SIZE,
                    **dict.fromkeys(
                        (
                            "cards_per_team",
                            "deliveries",
                            "runs_waiting",
                            "outbox",
                            "retries_per_target",
                            "steps_at_once",
                            "api_requests_per_s",
                        ),
                        _COUNT,
                    ),
                }
            ),
            "anomaly": _mapping(
                {
                    "watch": _FLAG,
                    "false_alarm_every": _DURATION,
                    "weeks": {"type": "integer", "minimum": WEEKS_MIN, "maximum": WEEKS_MAX},
                    "zone": _TEXT,
                }
            ),
            "coverage": _mapping({"proven_within": _DURATION}),
            "store": _mapping({"path": _TEXT, "disk_max": _SIZE, "checkpoint": _TEXT}),
            "engine": _mapping(dict.fromkeys(("lease", "renew", "drift", "settle"), _DURATION)),
            "server": _mapping(
                {
                    "host": _TEXT,
                    "port": {"type": "integer", "minimum": 0, "maximum": 65_535},
                    "hosts": _TEXTS,
                    "certificate": _TEXT,
                    "key": _TEXT,
                    "insecure": _FLAG,
                    "status_page": _FLAG,
                }
            ),
            "breakers": _mapping(
                {
                    "failures": _COUNT,
                    **dict.fromkeys(("within", "open", "open_max"), _DURATION),
                    "brake": _mapping({"within": _DURATION, **dict.fromkeys(("targets", "rules", "open"), _COUNT)}),
                }
            ),
            "metrics": _mapping(
                {
                    **dict.fromkeys(("window", "max_age"), _DURATION),
                    "down": {"type": "array", "items": {"enum": [severity.value for severity in Severity]}},
                    "budget_floor": {"type": "string", "pattern": "%$"},
                    "response": _mapping(
                        {name: {"enum": [word.value for word in Response]} for name in ("default", *KNOWN)}
                    ),
                }
            ),
            "autonomy": _mapping(
                {
                    "episodes": _COUNT,
                    "agreement": {"type": "string", "pattern": "%$"},
                    "days": _COUNT,
                    "days_after_demotion": _COUNT,
                    "risk": _mapping({risk.value: {"enum": [mode.value for mode in Mode]} for risk in Risk}),
                }
            ),
        }
    )


def _mapping(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": list(required)} if required else found


def _named(value: Schema) -> Schema:
    return {"type": "object", "additionalProperties": value}


def _some(words: list[Any]) -> Schema:
    one = {"enum": [str(word) for word in words]}
    return {"anyOf": [one, {"type": "array", "items": one}]}


def _source() -> Schema:
    expected = {
        "name": _TEXT,
        "entity": _TEXT,
        "severity": {"enum": [severity.value for severity in Severity]},
        "labels": _LABELS,
        "every": _DURATION,
    }
    beat = _mapping({**expected, "grace": _DURATION}, ("name", "entity", "every"))
    probe = _mapping(
        {
            **expected,
            "http": {"type": ["string", "object"]},
            "tcp": {"type": ["string", "object"]},
            "command": {"type": ["array", "object"]},
            "timeout": _DURATION,
            "stale_after": _DURATION,
            "failures": _COUNT,
            "successes": _COUNT,
            "expect": {"type": "object"},
            "active_in": _mapping({"header": _TEXT, "json": _TEXT}),
        },
        ("name", "entity"),
    )
    credential = _mapping(
        {
            "bearer": _SECRET,
            "basic": _mapping({"user": _TEXT, "password": _SECRET}, ("user", "password")),
            "hmac": _mapping({"key": _SECRET, "header": _TEXT, "timestamp": _TEXT, "tolerance": _DURATION}, ("key",)),
        }
    )
    return _mapping(
        {
            "kind": {"enum": [kind.value for kind in SourceKind]},
            "group": _TEXT,
            "region": _TEXT,
            "repeat": _DURATION,
            "stale_after": _DURATION,
            "entity_from": {"type": "array", "items": _TEXT},
            "rate_max_per_s": _COUNT,
            "credential": credential,
            "mapping": {"type": "object"},
            "beats": {"type": "array", "items": beat},
            "probes": {"type": "array", "items": probe},
            "services": _LABELS,
            "topics": {"type": "array", "items": _TEXT},
            "confirm": _FLAG,
            "late_max": _DURATION,
            "hold_for": _DURATION,
            "deploy_within": _DURATION,
            "workflows": {"type": "array", "items": _TEXT},
            "api": _TEXT,
            "every": _DURATION,
            "group_interval": _DURATION,
        },
        ("kind",),
    )


def _route() -> Schema:
    match = _mapping(
        {
            "severity": _some(list(Severity)),
            "kind": _some(list(KINDS)),
            "service": _TEXTS,
            "team": _TEXTS,
        }
    )
    email = _mapping(
        {"to": _TEXTS, "via": _TEXT, "from": _TEXT, "user": _TEXT, "secret": _SECRET}, ("to", "via", "from")
    )
    return _mapping({"name": _TEXT, "match": match, "webhook": _TEXT, "secret": _SECRET, "email": email, "also": _FLAG})
