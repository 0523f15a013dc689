"""A day of alerts, written by hand, and what a tired person would say of each: the oracle of the backtest."""

from collections.abc import Iterator
from datetime import UTC, datetime

DAY = datetime(2026, 3, 1, tzinfo=UTC)
STEP_S = 60
MINUTES = 24 * 60
GAP = range(800, 890)  # minutes without any data

SETTINGS = """
environments: {prod: {production: true}}
sources: {default: {kind: alertmanager, repeat: 20m}}
notify: {routes: [{webhook: "http://127.0.0.1:9/none"}]}
"""

CATALOG = """
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: ops}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: shop}
spec: {owner: group:ops}
""" + "".join(
    f"""---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {name}
  annotations:
    watchkeeper.dev/environment: prod
    watchkeeper.dev/tier: gold
    watchkeeper.dev/reach: api
    watchkeeper.dev/attr.url: http://127.0.0.1:9000
    watchkeeper.dev/address: url
spec: {{type: service, lifecycle: production, owner: group:ops, system: shop}}
"""
    for name in ("web", "cart", "edge", "mail")
)

PACK = """
apiVersion: watchkeeper.dev/v1
kind: Pack
metadata: {name: shop, owner: group:ops}
spec: {version: 1.0.0, description: Shop}
"""

RUNBOOK = """
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: mend, owner: group:ops}
spec:
  permissions: [{do: http.request, methods: [POST], to: target.url}]
  timeout: 2m
  steps:
    - {id: mend, do: http.request, with: {method: POST, url: "${target.url}/mend"}, effect: idempotent, timeout: 5s}
"""


def rule(name: str, alert: str, ceiling: str, attempts: int = 100, more: str = "") -> str:
    return f"""
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {{name: {name}, owner: group:ops}}
spec:
  match: {{alertname: {alert}}}
  runbook: shop/mend
  autonomy: {{ceiling: {ceiling}}}
  limits: {{attempts: {attempts}, within: 1h}}
{more}
"""


HOME = {
    "watchkeeper.yaml": SETTINGS,
    "exclusions.yaml": "[]",
    "catalog/all.yaml": CATALOG,
    "packs/shop/pack.yaml": PACK,
    "packs/shop/runbooks/mend.yaml": RUNBOOK,
    "packs/shop/rules/down.yaml": rule("down", "Down", "auto", attempts=2),
    "packs/shop/rules/slow.yaml": rule("slow", "Slow", "approve"),
    "packs/shop/rules/watch.yaml": rule("watch", "Watch", "observe"),
    "packs/shop/rules/late.yaml": rule("late", "Late", "auto", more="  for: 5m"),
    "packs/shop/rules/flap.yaml": rule("flap", "Flap", "auto"),
}
FILES = {path: text.encode() for path, text in HOME.items()}

# (minute, minutes, alert, service, verdict by rule or why there is none)
EPISODES = [
    (60, 10, "Down", "web", "act"),
    (80, 10, "Down", "web", "act"),
    (100, 10, "Down", "web", "refuse"),  # the third within an hour
    (200, 10, "Down", "web", "act"),  # the window is over
    (300, 30, "Slow", "cart", "ask"),
    (400, 5, "Watch", "web", "observe"),
    (500, 3, "Late", "web", "not met"),  # shorter than its rule waits
    (520, 20, "Late", "web", "act"),
    *((600 + 4 * turn, 2, "Flap", "mail", "act" if turn < 3 else "hold") for turn in range(6)),
    (700, 5, "Down", "ghost", "observe"),  # a rule, and no entity: unmapped, so observed
    (710, 5, "Odd", "web", "no rule"),
    (720, 5, "Stray", "phantom", "unmapped"),
    (790, 10, "Down", "cart", "act"),  # stands when the data ends; gone when it is back
    (780, 130, "Down", "edge", "act"),  # stands before, in and after the gap: one episode
    (1430, 11, "Slow", "edge", "ask"),  # stands at the end of the day
]
PENDING = [(1000, 4, "Slow", "web"), (515, 5, "Late", "web")]  # the second one fires afterwards

ORACLE = {
    "verdicts": {"act": 9, "ask": 2, "hold": 3, "refuse": 1, "observe": 2, "suggest": 0},
    "rules": {
        "shop/down": {"act": 5, "refuse": 1, "observe": 1},
        "shop/slow": {"ask": 2},
        "shop/watch": {"observe": 1},
        "shop/late": {"act": 1},
        "shop/flap": {"act": 3, "hold": 3},
    },
    "no_rule": {"Odd": 1},
    "not_met": {"Late": 1},
    "unmapped": {"Stray": 1},
    "episodes": 20,
    "pending_only": 1,
    "blind_minutes": len(GAP),
    "unsure": 1,
    "standing": 1,
    "stale": 2,
}


def stands(minute: int, start: int, minutes: int) -> bool:
    return start <= minute < start + minutes and minute not in GAP


def samples() -> Iterator[tuple[str, dict[str, str], int]]:
    """(metric, labels, Unix seconds), each series by itself and in order of time, as a backfill wants it."""
    base = int(DAY.timestamp())
    for minute in range(1, MINUTES + 1):
        if minute not in GAP:
            yield "up", {"job": "shop", "instance": "a:1"}, base + 60 * minute
    series: dict[tuple[str, str, str], list[int]] = {}
    for state, found in (("firing", EPISODES), ("pending", PENDING)):
        for start, minutes, alert, service, *_ in found:
            times = series.setdefault((state, alert, service), [])
            times += [minute for minute in range(start, start + minutes) if minute not in GAP]
    for (state, alert, service), minutes in sorted(series.items()):
        labels = {"alertname": alert, "alertstate": state, "service": service, "severity": "critical"}
        for minute in sorted(minutes):
            yield "ALERTS", labels, base + 60 * minute
