"""The home of the kill tests: services that honour keys (even) and that do not (odd), and one runbook of every effect."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

SETTINGS = """
environments:
  dev: {production: false, local: true}
sources:
  default: {kind: alertmanager, credential: {bearer: "env:HOOK_TOKEN"}}
notify:
  routes:
    - {name: on-call, webhook: "http://127.0.0.1:PORT/told"}
roles:
  users: {USER: [admin]}
limits: {runs: {service: 5, region: 500, global: 500}, api_requests_per_s: 10000}  # a test asks often
"""

PEOPLE = """
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: ops}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: shop}
spec: {owner: group:ops}
"""

SERVICE = """---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: NAME
  annotations:
    watchkeeper.dev/environment: dev
    watchkeeper.dev/tier: gold
    watchkeeper.dev/region: eu
    watchkeeper.dev/reach: api
    watchkeeper.dev/attr.url: http://127.0.0.1:PORT/NAME
    watchkeeper.dev/attr.supervisor: http://127.0.0.1:PORT/NAME
    watchkeeper.dev/address: url, supervisor
HONOURS
spec: {type: service, lifecycle: production, owner: group:ops, system: shop}
"""

PACK = """
apiVersion: watchkeeper.dev/v1
kind: Pack
metadata: {name: shop, owner: group:ops}
spec: {version: 1.0.0, description: for the kill tests}
"""

RULE = """
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {{name: {name}, owner: group:ops}}
spec:
  match: {{alertname: {alert}}}
  target: {{within: {{system: shop}}}}
  runbook: shop/{runbook}
  autonomy: {{ceiling: auto}}
  limits: {{attempts: 3, within: 1h, settle: 10m, approve_within: 5m, start_by: 2m}}
"""

PERMITTED = """
  permissions:
    - {do: http.request, methods: [GET, POST], to: target.url}
    - {do: service.restart, units: [target.name]}
"""

MEND = f"""
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {{name: mend, owner: group:ops}}
spec:{PERMITTED}
  timeout: 5m
  on_failure: undo
  steps:
    - id: look
      do: http.request
      with: {{method: GET, url: "${{target.url}}/look"}}
      effect: read
      timeout: 3s
      retry: {{attempts: 5, first: 100ms, max: 1s, errors: [unavailable, timeout]}}
    - id: drain
      do: http.request
      with: {{method: POST, url: "${{target.url}}/drain"}}
      effect: keyed
      timeout: 3s
      retry: {{attempts: 5, first: 100ms, max: 1s, errors: [unavailable]}}
      undo: {{do: http.request, with: {{method: POST, url: "${{target.url}}/undrain"}}, safe_if_not_done: true}}
    - id: restart
      do: service.restart
      via: api
      with: {{unit: "${{target.name}}"}}
      effect: probed
      timeout: 1500ms
      check: {{do: service.started_since, with: {{unit: "${{target.name}}", since: "${{intent_at}}"}}}}
    - id: healthy
      verify: {{http: "${{target.url}}/healthz", expect: {{status: 200}}, successes: 2, every: 100ms, within: 5s}}
"""

PUSH = f"""
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {{name: push, owner: group:ops}}
spec:{PERMITTED}
  timeout: 5m
  on_failure: stay
  steps:
    - id: look
      do: http.request
      with: {{method: GET, url: "${{target.url}}/look"}}
      effect: read
      timeout: 3s
    - id: push
      do: http.request
      with: {{method: POST, url: "${{target.url}}/reload"}}
      effect: once
      timeout: 3s
    - id: healthy
      verify: {{http: "${{target.url}}/healthz", expect: {{status: 200}}, successes: 2, every: 100ms, within: 5s}}
"""

EFFECT_OF = {"look": "read", "drain": "keyed", "restart": "probed", "push": "once"}
VERB_OF = {"look": "look", "drain": "drain", "restart": "restart", "push": "reload"}


def honours(service: str) -> bool:
    return int(service.partition("-")[2]) % 2 == 0


def write(folder: Path, port: int, services: list[str], user: str) -> None:
    keys = "    watchkeeper.dev/honours: idempotency-key"
    catalog = PEOPLE + "".join(
        SERVICE.replace("NAME", name).replace("HONOURS", keys if honours(name) else "") for name in services
    )
    files = {
        "watchkeeper.yaml": SETTINGS.replace("USER", user),
        "catalog/all.yaml": catalog,
        "packs/shop/pack.yaml": PACK,
        "packs/shop/rules/down.yaml": RULE.format(name="down", alert="Down", runbook="mend"),
        "packs/shop/rules/stuck.yaml": RULE.format(name="stuck", alert="Stuck", runbook="push"),
        "packs/shop/runbooks/mend.yaml": MEND,
        "packs/shop/runbooks/push.yaml": PUSH,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("PORT", str(port)))


def batch(*alerts: tuple[str, str], status: str = "firing", starts: datetime | None = None) -> bytes:
    """What an Alertmanager posts for (alertname, service) pairs."""
    at = starts or datetime.now(UTC)
    ends = datetime.now(UTC) if status == "resolved" else None
    return json.dumps(
        {
            "version": "4",
            "groupKey": "{}",
            "status": status,
            "receiver": "watchkeeper",
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "",
            "truncatedAlerts": 0,
            "alerts": [
                {
                    "status": status,
                    "labels": {"alertname": alert, "service": service, "severity": "critical"},
                    "annotations": {},
                    "startsAt": _text(at),
                    "endsAt": _text(ends) if ends else "0001-01-01T00:00:00Z",
                    "generatorURL": "",
                    "fingerprint": hashlib.sha256(f"{alert} {service}".encode()).hexdigest()[:16],
                }
                for alert, service in alerts
            ],
        }
    ).encode()


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
