"""A plain situation in which a plain proposal acts: what tests of guards, decisions and approvals start from."""

from datetime import UTC, datetime, timedelta
from typing import Any

from watchkeeper.guards.finding import Finding
from watchkeeper.guards.situation import (
    AlertFacts,
    Ladder,
    Need,
    Proposal,
    Scope,
    Situation,
    Target,
)
from watchkeeper.packs.rule import Limits, Mode, Risk
from watchkeeper.packs.runbook import Effect, Via
from watchkeeper.values import Severity

AT = datetime(2026, 3, 1, 3, 4, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TICK = timedelta(milliseconds=1)
EVERYTHING = Scope()
ELSEWHERE = Scope(service="component:default/search")


def a_target(name: str = "payments-api-3", **fields: Any) -> Target:
    return Target(
        **{
            "ref": f"resource:default/{name}",
            "kind": "Resource",
            "name": name,
            "digest": "d" * 64,
            "environment": "prod",
            "production": True,
            "region": "eu-west",
            "zone": "a",
            "tier": "gold",
            "system": "system:default/payments",
            "service": "component:default/payments-api",
            "owner": "group:default/payments-sre",
            "reach": "ssh",
            "attributes": {"unit": "payments.service", "admin": "http://payments-api-3:8080"},
            "addresses": ("admin",),
            **fields,
        }
    )


def a_need(**fields: Any) -> Need:
    return Need(
        **{
            "step": "restart",
            "action": "service.restart",
            "via": Via.SSH,
            "effect": Effect.PROBED,
            "permitted": True,
            **fields,
        }
    )


def a_proposal(**fields: Any) -> Proposal:
    return Proposal(
        **{
            "id": "prp_1",
            "rule": "payments/wedged-instance",
            "rule_digest": "1" * 64,
            "runbook": "payments/restart-instance",
            "runbook_digest": "2" * 64,
            "pack": "payments",
            "pack_version": "1.2.0",
            "episode": "default:f00d:1",
            "targets": (a_target(),),
            "arguments": {"grace": 30_000},
            "limits": Limits(),
            "risk": Risk.LOW,
            "owner": "group:default/payments-sre",
            "needs": (a_need(),),
            **fields,
        }
    )


def an_alert(**fields: Any) -> AlertFacts:
    return AlertFacts(
        **{
            "id": "alr_1",
            "episode": "default:f00d:1",
            "symptom": "InstanceWedged payments-api",
            "labels": {"alertname": "InstanceWedged", "severity": "critical", "instance": "payments-api-3"},
            "annotations": {},
            "severity": Severity.CRITICAL,
            "source": "default",
            "group": "default",
            "region": "eu-west",
            "entity": "resource:default/payments-api-3",
            "starts_at": AT - MINUTE,
            "first_seen_at": AT - MINUTE,
            "last_seen_at": AT,
            "firing": True,
            **fields,
        }
    )


def a_ladder(mode: Mode = Mode.AUTO, **fields: Any) -> Ladder:
    """A ladder whose earned standing is `mode` and whose other inputs do not bind."""
    return Ladder(
        **{
            "cell": "payments/wedged-instance gold critical prod eu-west",
            "ceiling": Mode.AUTO,
            "risk_ceiling": Mode.AUTO,
            "earned": mode,
            **fields,
        }
    )


def a_situation(**fields: Any) -> Situation:
    return Situation(
        **{
            "at": AT,
            "epoch": 1,
            "configuration": "c" * 64,
            "versions": {"configuration": 3, "epoch": 1, "stop": 2},
            "alert": an_alert(),
            "ladder": a_ladder(),
            **fields,
        }
    )


def said(finding: Finding) -> tuple[str, str]:
    """Outcome and sentence: what an operator reads."""
    return finding.outcome.value, finding.reason
