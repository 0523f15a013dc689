"""Storms for tests: a home of many services with transactions, and deliveries of many alerts."""

import hashlib
import json
from collections.abc import Iterable, Mapping

from stage import SETTINGS, component, house, rule, runbook

RESTART_ONLY = """
    - id: restart
      do: http.request
      with: {method: POST, url: "${target.admin}/restart"}
      effect: keyed
      timeout: 5s
"""

FILE_SERVICES = 1_000  # a file of a home has its bound


def settings(at_once: int, cards: int = 20) -> str:
    most = 10_000
    return f"{SETTINGS}\nlimits: {{runs: {{service: {most}, region: {most}, global: {at_once}}}, cards_per_team: {cards}}}\n"


def many(
    count: int,
    *,
    at_once: int = 10_000,
    transactions: str = "[]",
    ceiling: str = "auto",
    limits: str = "",
    steps: str = "",
) -> dict[str, bytes]:
    """Services `s0`, `s1`, ..; each alert `Down` restarts one, each `Noise` has no rule."""
    parts = [range(start, min(start + FILE_SERVICES, count)) for start in range(0, count, FILE_SERVICES)]
    catalog, *more = ["---".join(component(f"s{number}") for number in part) for part in parts]
    files = house(
        rules={"down": rule(ceiling=ceiling, limits=limits).replace("settle: 30s", "settle: 2h")},
        runbooks={"mend": runbook(steps or RESTART_ONLY)},
        catalog=catalog,
        settings=settings(at_once),
    )
    rest = {f"catalog/part-{number}.yaml": text.encode() for number, text in enumerate(more, 1)}
    return {**files, **rest, "transactions.yaml": transactions.encode()}


def webhook(alerts: Iterable[Mapping[str, str]]) -> bytes:
    """One delivery of Alertmanager."""
    return json.dumps(
        {
            "version": "4",
            "groupKey": "{}",
            "status": "firing",
            "receiver": "watchkeeper",
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "",
            "truncatedAlerts": 0,
            "alerts": [
                {
                    "status": "firing",
                    "labels": dict(labels),
                    "annotations": {},
                    "startsAt": "2026-03-02T08:59:30Z",
                    "endsAt": "0001-01-01T00:00:00Z",
                    "generatorURL": "",
                    "fingerprint": hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16],
                }
                for labels in alerts
            ],
        }
    ).encode()


def alert(name: str, service: str, severity: str, number: int = 0) -> dict[str, str]:
    return {"alertname": name, "service": service, "severity": severity, **({"n": str(number)} if number else {})}
